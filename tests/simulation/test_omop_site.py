import pyarrow as pa
import pytest

from clm_ler.simulation import hospital, omop_site
from clm_ler.simulation.options import CohortOptions

OPTIONS = CohortOptions(persons=60)


@pytest.fixture(scope="module")
def cdm():
    events = {name: table(OPTIONS, 1, 0) for name, table in omop_site.EVENTS.items()}
    tables = events | {name: table() for name, table in omop_site.VOCABULARY.items()}
    return {name: table.to_pandas() for name, table in tables.items()}


def test_each_row_of_the_hospital_is_one_of_the_cdm(cdm):
    raw = hospital.lab_table(OPTIONS, 1, 0)
    assert cdm["measurement"].person_id.tolist() == raw["person_id"].to_pylist()
    assert cdm["measurement"].value_source_value.tolist() == raw["value_source_value"].to_pylist()


@pytest.mark.parametrize(
    ("table", "kind", "vocabularies"),
    [
        ("condition_occurrence", "condition", {"ICD9CM", "ICD10CM"}),
        ("drug_exposure", "drug", {"RxNorm", "NDC"}),
        ("procedure_occurrence", "procedure", {"CPT4", "HCPCS"}),
        ("measurement", "measurement", {"LOINC"}),
    ],
)
def test_every_source_text_has_its_concept(cdm, table, kind, vocabularies):
    concept = cdm["concept"].set_index("concept_id")
    rows = cdm[table]
    source = concept.loc[rows[f"{kind}_source_concept_id"]]
    assert set(source.vocabulary_id) == vocabularies
    texts = rows[f"{kind}_source_value"].str.replace("-", "").str.replace(".", "")
    found = source.concept_code.str.replace("-", "").str.replace(".", "")
    assert all(text.endswith(code) for text, code in zip(texts, found, strict=True))


def test_diagnoses_and_packages_map_to_standard_concepts(cdm):
    concept = cdm["concept"].set_index("concept_id")
    for table, kind, vocabulary in (
        ("condition_occurrence", "condition", "SNOMED"),
        ("drug_exposure", "drug", "RxNorm"),
    ):
        standard = concept.loc[cdm[table][f"{kind}_concept_id"]]
        assert set(standard.vocabulary_id) == {vocabulary}
        assert set(standard.standard_concept) == {"S"}
    maps = cdm["concept_relationship"].set_index("concept_id_1").concept_id_2
    rows = cdm["condition_occurrence"]
    mapped = maps.loc[rows.condition_source_concept_id].tolist()
    assert mapped == rows.condition_concept_id.tolist()


def test_ids_of_concepts_are_their_own_and_ancestors_are_known(cdm):
    ids = cdm["concept"].concept_id
    assert ids.is_unique
    ancestors = cdm["concept_ancestor"]
    assert set(ancestors.ancestor_concept_id) | set(ancestors.descendant_concept_id) <= set(ids)
    assert (ancestors.min_levels_of_separation == 2).any()


def test_a_result_that_is_no_number_stays_text(cdm):
    rows = cdm["measurement"]
    words = rows[rows.value_as_number.isna()].value_source_value
    assert {"see comment", ">300"} <= set(words)
    assert rows.value_as_number.notna().mean() > 0.95


def test_a_stay_has_its_end_and_a_day_its_date(cdm):
    stays = cdm["visit_occurrence"].query("visit_concept_id == 9201")
    assert (stays.visit_end_datetime.dropna() > stays.visit_start_datetime).any()
    assert (stays.visit_start_date == stays.visit_start_datetime.dt.date).all()


def test_tables_of_all_chunks_have_one_schema():
    options = CohortOptions(persons=100, chunk_persons=50)
    for table in omop_site.EVENTS.values():
        schemas = [table(options, 1, chunk).schema for chunk in (0, 1)]
        assert schemas[0] == schemas[1]
        assert pa.null() not in schemas[0].types

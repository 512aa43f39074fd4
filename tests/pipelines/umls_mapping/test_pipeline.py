"""The whole pipeline on the simulated EHRSHOT site and its miniature UMLS."""

import ibis
import pyarrow as pa
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from kedro_datasets.ibis import FileDataset
from kedro_datasets.json import JSONDataset

from clm_ler.datasets.rrf import RRFDataset
from clm_ler.pipelines.umls_mapping.options import TranslationOptions
from clm_ler.pipelines.umls_mapping.pipeline import create_pipeline
from clm_ler.simulation import codes, ehrshot_site, umls_site
from clm_ler.simulation.options import SiteOptions
from clm_ler.simulation.texts import ndc11
from clm_ler.tables.ehrshot.events import count_source_codes, read_events
from tests.pipelines.umls_mapping.test_nodes import tokenizer

OPTIONS = TranslationOptions(
    data_to_umls_source_map={"SNOMED": "SNOMEDCT_US", "RxNorm": "RXNORM", "CPT4": "CPT"},
    vocab_to_umls_source_map={},
    gender_mapping={"F": "F", "M": "M"},
    relations=["mapped_to"],
)
STORED = (
    *("umls_concepts", "umls_attributes", "umls_relations", "icd_maps", "source_codes"),
    *("named_sources", "named_targets", "source_concepts", "target_concepts"),
    *("translation_candidates", "code_translations"),
)


def expected():
    """What the miniature UMLS allows: the token and method of every code, and the vocabulary.

    Three quarters of the diagnoses are in the vocabulary, as ICD-10-CM; a third each of the drugs
    as RxNorm, as NDC, and not at all; of the procedures every second.
    """
    diagnoses = codes.DIAGNOSES.codes
    known = [n % 4 != 0 for n in range(len(diagnoses))]
    apart = [n % umls_site.APART == umls_site.APART - 1 for n in range(len(diagnoses))]
    parents = umls_site.parents()
    found = {}
    for n, item in enumerate(diagnoses):
        if known[n]:
            method = "relation" if apart[n] else "same_cui"
            found["SNOMED", item.snomed] = (f"ICD10CM:{item.icd10cm}", method)
            continue
        broader = parents.get(n)
        while broader is not None and (not known[broader] or apart[broader]):
            broader = parents.get(broader)
        if broader is not None:
            found["SNOMED", item.snomed] = (f"ICD10CM:{diagnoses[broader].icd10cm}", "parent")
    strengths = {}
    for drug in codes.DRUGS.codes:
        strengths.setdefault(drug.rxnorm, ndc11(drug.ndc).replace("-", "")[:9])
    for n, (rxnorm, product) in enumerate(strengths.items()):
        token = [f"RXNORM:{rxnorm}", f"NDC:{product}", None][n % 3]
        if token:
            found["RxNorm", rxnorm] = (token, ["direct", "same_cui"][n % 3])
    for procedure in codes.PROCEDURES.codes[::2]:
        system = {"CPT": "CPT4", "HCPCS": "HCPCS"}[procedure.system]
        found[system, procedure.code] = (f"{procedure.system}:{procedure.code}", "direct")
    found |= {("LOINC", "4548-4"): ("LOINC:4548-4", "direct")}
    found |= {("Gender", sex): (f"GENDER:{sex}", "demographic") for sex in "FM"}
    return found


@pytest.fixture(scope="module")
def site():
    return ehrshot_site.event_table(SiteOptions(persons=40, events_per_person=300), 7, 0)


@pytest.fixture(scope="module")
def outputs(site, tmp_path_factory):
    """Run the pipeline with every table stored, as the catalog does."""
    folder, backend = tmp_path_factory.mktemp("umls_mapping"), ibis.duckdb.connect()

    class Stored(FileDataset):
        connection = backend

    class Release(RRFDataset):
        connection = backend

    catalog = DataCatalog({name: Stored(str(folder / f"{name}.parquet")) for name in STORED})
    catalog["translation_report"] = JSONDataset(filepath=str(folder / "report.json"))
    files = umls_site.miniature_umls()
    for name, table in files.items():
        release = Release(filepath=str(folder / "umls" / name))
        release.save(table)
        catalog[f"umls_{name[2:].removesuffix('.RRF').lower()}"] = release
    empty = {
        "omop_concept": ["concept_id", "vocabulary_id", "concept_code", "standard_concept"],
        "omop_concept_relationship": [
            *("concept_id_1", "concept_id_2", "relationship_id", "invalid_reason")
        ],
    }
    for name, columns in empty.items():
        catalog[name] = ibis.memtable([], schema=dict.fromkeys(columns, "string"))
    words = {token for token, _ in expected().values()}
    catalog["tokenizer"] = MemoryDataset(tokenizer(*sorted(words)), copy_mode="assign")
    catalog["source_codes"].save(count_source_codes(read_events(ibis.memtable(site))))
    catalog["params:umls_mapping"] = OPTIONS
    SequentialRunner().run(create_pipeline(), catalog)
    return catalog


def test_the_site_is_translated_as_its_umls_allows(outputs, site):
    coded = [tuple(code.split("/", 1)) for code in site["code"].to_pylist()]
    allowed = {code: found for code, found in expected().items() if code in set(coded)}
    rows = outputs["code_translations"].load().to_pyarrow().to_pylist()
    translated = {
        (row["source_system"], row["source_code"]): (row["vocab_token"], row["method"])
        for row in rows
    }
    assert translated == allowed
    assert len(rows) == len(allowed)
    # Every way is walked.
    methods = {"demographic", "direct", "same_cui", "relation", "parent"}
    assert {method for _, method in allowed.values()} == methods
    coverage = outputs["translation_report"].load()["all"]
    assert coverage["codes"] == len(set(coded))
    assert coverage["share_of_codes"] == pytest.approx(len(allowed) / len(set(coded)), abs=1e-6)
    events = sum(code in allowed for code in coded)
    assert coverage["share_of_events"] == pytest.approx(events / len(coded), abs=1e-6)


def test_no_event_is_counted_twice(outputs, site):
    events = pa.table({"code": site["code"]})
    tokens = outputs["code_translations"].load().to_pyarrow()
    keys = pa.array([f"{r['source_system']}/{r['source_code']}" for r in tokens.to_pylist()])
    joined = events.join(tokens.append_column("code", keys), "code", join_type="left outer")
    assert joined.num_rows == events.num_rows

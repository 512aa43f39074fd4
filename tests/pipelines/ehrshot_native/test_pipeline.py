"""The benchmark as a site: its persons have the same sequences whichever way they come."""

import ibis
import pandas as pd
import pytest
import yaml

from clm_ler.corridor.options import PreprocessOptions
from clm_ler.pipelines import ehrshot_eval, ehrshot_native, preprocess, split
from clm_ler.pipelines.ehrshot_native.nodes import keep_codes
from clm_ler.pipelines.split.options import SplitOptions
from clm_ler.tables.ehrshot.events import count_source_codes, read_events
from tests.end_to_end.conftest import ROOT
from tests.pipelines.outputs import outputs_of

pytestmark = pytest.mark.slow  # it trains models

DAY = pd.Timedelta(days=1)


@pytest.fixture(scope="module")
def tables() -> dict[str, ibis.Table]:
    """The events of twelve persons, one of whom has a short record, in all spellings."""
    events = []
    for person in range(12):
        start = pd.Timestamp("2020-01-01") + person * DAY
        events += [(person, str(start - 9000 * DAY), "SNOMED/3950001", "", "")]
        events += [(person, str(start - 9000 * DAY), "Ethnicity/Not Hispanic", "", "")]
        events += [
            (person, str(start), "Visit/IP", "", ""),
            (person, str(start), "CPT4/a1", "", ""),
        ]
        events += [
            (person, str(start + day * DAY), "LOINC/2345-7", str(90 + 3 * day + person), "mg/dL")
            for day in ((0,) if person == 0 else (1, 40, 80))
        ]
    columns = ["patient_id", "start", "code", "value", "unit"]
    timeline = read_events(ibis.memtable(pd.DataFrame(events, columns=columns)))
    timeline = ibis.duckdb.connect().create_table("timeline", timeline)
    splits = {"person_id": range(12), "split": ["train", "valid", "test"] * 4}
    return {
        "ehrshot_timeline": timeline,
        "ehrshot_person_splits": ibis.memtable(pd.DataFrame(splits)),
        "source_codes": ibis.memtable(count_source_codes(timeline).to_pyarrow()),
    }


@pytest.fixture(scope="module")
def options() -> PreprocessOptions:
    """Those of the environment, for a handful of persons."""
    file = ROOT / "conf" / "ehrshot" / "parameters_preprocess.yml"
    small = {"min_loinc_counts": 3, "min_loinc_value_counts": 3, "number_of_days_threshold": 30}
    known = yaml.safe_load(file.read_text())["preprocess"]
    return PreprocessOptions(**(known | small | {"min_history_size": 2}))


@pytest.fixture(scope="module")
def made(tables: dict[str, ibis.Table], options: PreprocessOptions) -> dict[str, list[dict]]:
    site = ehrshot_native.create_pipeline() + split.create_pipeline() + preprocess.create_pipeline()
    absent = ("prescription", "procedure", "pretraining_persons", "given_translations")
    inputs = dict.fromkeys([*absent, "given_unit_conversions", "given_lab_percentiles"])
    inputs |= tables | {"params:preprocess": options, "params:split": SplitOptions()}
    names = ["sequences", "unit_conversions", "lab_percentiles", "code_translations"]
    fitted = {
        name: ibis.memtable(table.to_pyarrow())
        for name, table in outputs_of(site, inputs, *names).items()
    }
    benchmark = outputs_of(ehrshot_eval.create_pipeline(), inputs | fitted, "ehrshot_sequences")
    found = {"sequences": fitted["sequences"], **benchmark}
    return {
        name: table.order_by("person_id").to_pyarrow().to_pylist() for name, table in found.items()
    }


def test_a_person_has_one_sequence_by_either_way(made: dict[str, list[dict]]) -> None:
    assert [row["person_id"] for row in made["sequences"]] == list(range(1, 12))
    assert made["ehrshot_sequences"][1:] == made["sequences"]


def test_codes_are_spelt_as_any_sites_are(made: dict[str, list[dict]]) -> None:
    tokens = made["ehrshot_sequences"][0]["sorted_event_tokens"]
    assert tokens[:2] == ["AGE:24", "ETHNICITY:Not Hispanic"]
    assert {"CPT:A1", "Visit:IP"} < set(tokens[2:])


def test_short_records_are_evaluated_but_not_learned_from(made: dict[str, list[dict]]) -> None:
    assert [row["split"] for row in made["sequences"]] == [
        "valid",
        "test",
        *["train", "valid", "test"] * 3,
    ]
    assert made["ehrshot_sequences"][0]["person_id"] == 0


def test_codes_that_were_found_a_token_have_it_and_others_their_own(
    tables: dict[str, ibis.Table], options: PreprocessOptions
) -> None:
    codes = tables["source_codes"]
    columns = ["source_system", "source_code", "vocab_token", "method", "rank"]
    found = ibis.memtable([("CPT4", "a1", "SNOMED:7", "relation", 3)], columns=columns)
    found = found.cast({"rank": "int32"})  # as `umls_mapping` writes it

    def tokens_of(**changes: object) -> dict[tuple[str, str], str]:
        known = keep_codes(codes, options.model_copy(update=changes), found).to_pyarrow()
        return {
            (row["source_system"], row["source_code"]): row["vocab_token"]
            for row in known.to_pylist()
        }

    assert tokens_of() == {("CPT4", "a1"): "SNOMED:7"}
    own = {
        (row["source_system"], row["source_code"]): row["vocab_token"]
        for row in keep_codes(codes, options).to_pyarrow().to_pylist()
    }
    assert len(own) > 3
    assert tokens_of(untranslated="keep") == own | {("CPT4", "a1"): "SNOMED:7"}


def test_a_placeholder_has_no_token_of_its_own(options: PreprocessOptions) -> None:
    codes = ibis.memtable({"system": ["CPT4", "CPT4"], "code": ["a1", "UNKNOWN"]})
    assert keep_codes(codes, options).vocab_token.to_pyarrow().to_pylist() == ["CPT:A1"]

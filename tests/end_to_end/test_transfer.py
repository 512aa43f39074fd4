"""A model at a site that writes other codes: the hospital again, its diagnoses in SNOMED CT."""

import shutil
from collections import Counter

import ibis
import pandas as pd
import pytest
from ibis import _

from clm_ler.simulation.codes import DIAGNOSES
from clm_ler.tables.screening import NO_TOKEN

RAW = ("patient", "diagnosis", "prescription", "procedure", "lab")


@pytest.fixture(scope="module")
def site(chain, storage, kedro_run, tmp_path_factory):
    """The catalog of the site after its codes were mapped and its persons were predicted."""
    trained, storage = storage, tmp_path_factory.mktemp("site")
    for table in RAW:
        shutil.copytree(trained / "01_raw" / table, storage / "01_raw" / table)
    write_in_snomed(storage / "01_raw" / "diagnosis")
    kedro_run(storage, ["transfer"], trained=str(trained), umls_root=str(trained / "01_raw/umls"))
    return kedro_run(storage, ["predict"], trained=str(trained), translations_from=str(storage))


def write_in_snomed(folder):
    codes = {item.icd10cm.replace(".", ""): item.snomed for item in DIAGNOSES.codes}
    for file in folder.glob("*.parquet"):
        rows = pd.read_parquet(file)
        source = rows["condition_source_value"].str.partition(" ")
        snomed = source[2].str.replace(".", "").map(codes).where(source[0] == "ICD-10-CM")
        rows["condition_source_value"] = ("SNOMED " + snomed).fillna(rows["condition_source_value"])
        rows.to_parquet(file)


def test_its_codes_are_counted_and_translated(site):
    systems = site.load("translation_report")["systems"]
    assert systems["SNOMED"]["share_of_events"] > 0.8
    assert systems["ICD-9-CM"]["share_of_events"] > 0.8
    assert systems["GENDER"]["share_of_events"] == 1


def kept_events(site):
    screened = site.load("new_named_coded_events")
    return screened.filter(screened.reason.isnull())


def test_the_model_knows_every_event_and_the_others_are_counted(site):
    vocabulary = site.load("tokenizer").get_vocab()
    events = kept_events(site)
    tokens = events.select(token=_.system + ":" + _.code).distinct().to_pyarrow()["token"]
    assert set(tokens.to_pylist()) <= set(vocabulary)
    counts = site.load("new_raw_row_counts").filter(_.table != "patient", _.table != "lab")
    rows = Counter()
    for row in counts.to_pyarrow().to_pylist():
        rows[row["reason"]] += row["rows"]
    whole = rows.pop("all")
    assert rows[None] == events.count().to_pyarrow().as_py()
    assert rows.total() == whole
    assert rows[NO_TOKEN] < rows[None]


def test_its_persons_are_predicted(site):
    predictions = site.load("predictions")
    assert isinstance(predictions, ibis.Table)
    persons = kept_events(site).select("person_id").distinct()
    assert predictions.semi_join(persons, "person_id").person_id.nunique().execute() == (
        persons.count().execute()
    )

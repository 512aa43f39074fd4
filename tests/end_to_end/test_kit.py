"""A model goes to a second site, which writes other codes, and the site's numbers come back."""

import shutil

import pyarrow.parquet as pq
import pytest

from clm_ler.files.kit import check_kit
from tests.end_to_end.test_transfer import RAW, write_in_snomed

TASK, FLOOR = "diabetes_1y", 3


@pytest.fixture(scope="module")
def kit(chain, storage, kedro_run, tmp_path_factory):
    """The kit of the chain's model, as it was sent."""
    kedro_run(storage, ["package"], package={"min_persons": 1})  # as vocab.min_persons of the chain
    return shutil.copytree(
        storage / "08_reporting" / "kit", tmp_path_factory.mktemp("sent") / "kit"
    )


@pytest.fixture(scope="module")
def site(kit, storage, kedro_run, tmp_path_factory):
    """The catalog of the site after the kit was used there, in one run."""
    place = tmp_path_factory.mktemp("second")
    for table in (*RAW, "raw_labels"):
        shutil.copytree(storage / "01_raw" / table, place / "01_raw" / table)
    write_in_snomed(place / "01_raw" / "diagnosis")
    umls = {"umls_root": str(storage / "01_raw" / "umls")}
    return kedro_run(place, kit=str(kit), site={"min_persons": FLOOR}, **umls)


def test_the_kit_is_whole_and_holds_nobody(kit):
    inventory = check_kit(str(kit))
    assert inventory["tasks"] == [TASK]
    assert all(row["persons"] is None or row["persons"] >= 1 for row in inventory["files"])
    tables = [path for path in kit.rglob("*.parquet")]
    assert {path.stem for path in tables} >= {"unit_conversions", "lab_percentiles"}
    for path in tables:
        assert not {"person_id", "own_id", "sample_id"} & {*pq.read_schema(path).names}


def test_the_site_understands_the_kit_and_every_label_is_predicted(site):
    summary = site.load("site_summary")
    shares = {row["table"]: row["share"] for row in summary["understood"]}
    assert shares.keys() == {"diagnosis", "prescription", "procedure", "lab"}
    assert all(share > 0.7 for share in shares.values())
    labels = site.load("site_labels")
    asked = labels.select("person_id", "prediction_time").distinct().count().to_pyarrow().as_py()
    assert 0.95 * asked <= summary["predictions"]["n"] <= asked


def test_what_comes_back_is_sums_of_enough_persons(site):
    task = site.load("site_summary")["tasks"][TASK]
    parts = [task, *(row for row in task["subgroups"] if not row["suppressed"])]
    assert len(parts) > 1
    for part in parts:
        assert FLOOR <= part["events"] <= part["n"] - FLOOR
        assert sum(row["n"] for row in part["bins"]) == part["n"]
        assert sum(row["events"] for row in part["bins"]) == part["events"]
        assert 0 < part["auroc"]["se"] < 0.5
    assert task["at_home"]["events"] > 0


def test_recalibrated_risks_add_up_to_what_was_observed(site):
    task = site.load("site_summary")["tasks"][TASK]
    rows = site.load("site_predictions").inner_join(
        site.load("site_labels"), ["person_id", "prediction_time", "task"]
    )
    for column in ("risk_intercept", "risk_intercept_and_slope"):
        total = rows[column].sum().to_pyarrow().as_py()
        assert total == pytest.approx(task["events"], rel=1e-6), column


def test_the_page_tells_it(site):
    page = site.load("site_report")
    assert f"{TASK}: how good its risks are" in page
    assert "site_summary/understood/0/share" in page

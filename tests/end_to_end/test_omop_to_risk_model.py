"""The tutorial from an OMOP database to a risk model: each block done in order, on fewer persons."""

import re
import shlex
import shutil

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project

from clm_ler.cli import cli
from tests.end_to_end.conftest import ROOT
from tests.end_to_end.test_commands import SMALL
from tests.test_docs import FENCED

PAGE = ROOT / "docs" / "omop_to_risk_model.md"
FEWER = SMALL | {
    "cohort.persons": "500",  # with twenty new cases
    "vocab.min_persons": "1",
    "finetune.bootstrap_replicates": "10",
    "explain.min_persons": "3",
    "report.min_persons": "1",
}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """What lies there when a reader has come to the end of the page; and what was said on the way."""
    bootstrap_project(ROOT)
    place = tmp_path_factory.mktemp("tutorial")
    shutil.copytree(ROOT / "conf", place / "conf")
    said = []
    with pytest.MonkeyPatch.context() as patch:
        for language, text in FENCED.findall(PAGE.read_text()):
            if name := re.match(r"# (conf/\S+)\n", text):
                (place / name[1]).write_text(text)
            elif language == "python":
                patch.chdir(place)
                exec(compile(text, PAGE.name, "exec"), {})
            else:
                patch.chdir(ROOT)
                said += [given(command, place) for command in text.splitlines()]
    return place / "data", said


def given(command, place):
    """Give a command, and return what it prints."""
    words = [word.replace("=data/", f"={place}/data/") for word in shlex.split(command)[1:]]
    run, *options, params = words
    small = [f"{name}={value}" for name, value in FEWER.items() if f"{name}=" not in params]
    conf = f"--conf-source={place / 'conf'}"
    result = CliRunner().invoke(cli, [run, *options, ",".join([params, *small]), conf])
    assert result.exit_code == 0, (command, result.output, result.exception)
    return result.output


MEDS_TASK = """
name: hypertension_by_code
events:
  outpatient: {codes: {Visit: [OP]}}
  hypertension: {codes: {ICD10CM: [I10], ICD9CM: [401*]}}
index: {event: outpatient, keep: yearly}
outcome: {event: hypertension, days: [1, 365], first_ever: true}
"""


def test_a_meds_dataset_has_labels_at_the_codes_of_its_visits(done):
    """The same persons once more, as `meds_export` writes them."""
    place = done[0].parent
    (place / "conf" / "tasks" / "hypertension_by_code.yml").write_text(MEDS_TASK)
    meds = "data/risk/05_model_input/meds_sequences"
    into = f"meds_root={meds},storage=data/meds,task=hypertension_by_code"
    given("kedro run --pipelines=meds_export --params=storage=data/risk", place)
    given(f"kedro run --env=meds --pipelines=split,preprocess,label --params={into}", place)
    found = table(place / "data" / "meds", "03_primary/task_candidates")
    labels = found[found["reason"].isna()]
    assert set(labels["label"]) == {0, 1}
    visits = table(done[0] / "hospital", "01_raw/omop/visit_occurrence").query(
        "visit_concept_id == 9202"
    )
    days = set(zip(visits["person_id"], visits["visit_start_datetime"].dt.date, strict=True))
    asked = zip(labels["person_id"], labels["prediction_time"].dt.date, strict=True)
    assert set(asked) <= days


def table(place, name):
    return pq.read_table(place / name).to_pandas()


def test_the_doctor_finds_every_table(done):
    checked = next(text for text in done[1] if "ok    lab" in text)
    assert "wrong" not in checked


def test_what_is_said_is_news(done):
    assert max(len(text.splitlines()) for text in done[1]) <= 60
    assert not any("Replacing dataset" in text for text in done[1])


def test_concepts_with_descendants_mean_what_the_codes_mean(done):
    """``new_diabetes`` by ICD codes, whose index dates are overwritten, and the task of the page."""
    attrition = table(done[0] / "risk", "08_reporting/task_attrition.parquet")
    assert set(attrition["task"]) == {"diabetes_by_concept"}
    codes = table(done[0] / "risk", "03_primary/task_codes.parquet")
    diabetes = codes[codes["event"] == "diabetes"]
    assert {"ICD10CM", "ICD9CM"} <= set(diabetes["system"])
    assert diabetes["code"].str.contains("^E11|^250").all()


def test_the_report_tells_of_the_task(done):
    names = table(done[0] / "risk", "08_reporting/contribution_summary.parquet").set_index("token")
    assert names.loc["Visit:OP", "name"] == "Outpatient Visit"  # by the CDM's vocabulary
    page = (done[0] / "risk" / "08_reporting" / "report.html").read_text()
    assert "diabetes_by_concept" in page
    assert "AUROC" in page


def test_every_new_person_has_a_risk_with_reasons(done):
    folder = done[0] / "new" / "07_model_output"
    risks, reasons = table(folder, "predictions"), table(folder, "prediction_reasons")
    assert len(risks) > 150
    above = (
        risks.assign(risk=risks["probabilities"].str[1])
        .sort_values("risk")["training_above"]
        .str[1]
    )
    assert above.between(0, 1).all()
    assert above.is_monotonic_decreasing and above.nunique() > 10
    skipped, persons = (
        table(folder, "skipped_predictions.parquet"),
        table(folder, "predict/demographics"),
    )
    assert len(skipped) + len(risks) == len(persons)
    assert set(reasons["person_id"]) == set(risks["person_id"])
    assert reasons.groupby("person_id").size().max() == 5

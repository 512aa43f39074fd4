"""Five tasks as ACES writes them and as ours, on the simulated hospital as MEDS data.

ACES counts to the second and our days are those of the calendar: times are cut to days here, where both
mean the same. It knows no units: results are those in one unit.
"""

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from ibis import _
from kedro.io import DatasetError
from polars.exceptions import InvalidOperationError

from clm_ler.datasets.aces import AcesLabelsDataset
from clm_ler.pipelines.label import nodes
from clm_ler.tables.tasks.definition import TaskOptions, Tasks
from tests.pipelines.label.hospital import label, read_hospital

BEFORE = {"start": None, "end": "trigger", "start_inclusive": True, "end_inclusive": True}
CODES = {
    "admission": ("VISIT", "IP", "VISIT//IP"),
    "office": ("VISIT", "OP", "VISIT//OP"),
    "discharge": ("DISCHARGE", "IP", "DISCHARGE//IP"),
    "diabetes": ("ICD10CM", "E11*", {"regex": "^ICD10CM//E11"}),
    "hypertension": ("ICD10CM", "I10", "ICD10CM//I10"),
    "lipids": ("ICD10CM", "E78*", {"regex": "^ICD10CM//E78"}),
}
FREE = {"incomplete": "negative", "death": "negative"}  # ACES lets nobody go by default
CREATININE = {"codes": {"LOINC": ["2160-0"]}, "above": 1.05, "unit": "mg/dL"}


def window(has, **parts):
    return BEFORE | {"has": dict.fromkeys(has, "(None, 0)")} | parts


def after(label, days, start="input.end"):
    ends = {"start": start, "end": f"start + {days}d"}
    return ends | {"start_inclusive": False, "end_inclusive": True, "label": label}


# Each: the names of the events, the rest of our task, the trigger and windows of ACES.
TASKS = {
    "readmission": (
        ["discharge", "admission"],
        {"index": {"event": "discharge"}, "outcome": {"event": "admission", "days": [1, 30]}},
        {"input": window(["death"], index_timestamp="end"), "target": after("admission", 30)},
    ),
    "death": (
        ["admission"],
        {"index": {"event": "admission"}, "outcome": {"event": "death", "days": [1, 180]}},
        {"input": window(["death"], index_timestamp="end"), "target": after("death", 180)},
    ),
    # Followed for a year, women only.
    "new_diabetes": (
        ["office", "diabetes"],
        {
            "index": {"event": "office", "without": ["diabetes"], "sex": ["F"]},
            "outcome": {"event": "diabetes", "days": [1, 365]},
            "follow_up": {"incomplete": "exclude"},
        },
        {
            "input": window(["diabetes"], index_timestamp="end"),
            "target": after("diabetes", 365),
            "followed": {
                "start": "target.end",
                "end": None,
                "start_inclusive": True,
                "end_inclusive": True,
                "has": {"_ANY_EVENT": "(1, None)"},
            },
        },
    ),
    # A gap, and a year without it before.
    "high_creatinine": (
        ["discharge"],
        {
            "index": {"event": "discharge"},
            "outcome": {"event": "creatinine", "days": [30, 180], "washout": 365},
        },
        {
            "input": window(["death"], index_timestamp="end"),
            "washout": window(["creatinine"], start="end - 365d"),
            "gap": window(
                ["creatinine"],
                start="trigger",
                end="start + 30d",
                start_inclusive=False,
                end_inclusive=False,
            ),
            "target": after("creatinine", 150, "gap.end") | {"start_inclusive": True},
        },
    ),
    # Either of two codes, for those who have a third.
    "either": (
        ["office", "diabetes", "hypertension", "lipids"],
        {
            "index": {"event": "office", "having": ["lipids"]},
            "outcome": {"event": "either", "days": [1, 90], "first_ever": True},
        },
        {
            "input": window(["death"], index_timestamp="end"),
            "having": BEFORE | {"has": {"lipids": "(1, None)"}},
            "first": window(["either"]),
            "target": after("either", 90),
        },
    ),
}


def our_task(name):
    names, rest, _windows = TASKS[name]
    events = {one: {"codes": {CODES[one][0]: [CODES[one][1]]}} for one in names}
    events |= {"death": {"death": True}, "creatinine": CREATININE}
    if name == "either":
        events["either"] = {"any_of": ["diabetes", "hypertension"]}
    rest = {"follow_up": {}} | rest
    rest |= {
        "index": rest["index"] | {"end_of_day": False},
        "follow_up": FREE | rest["follow_up"],
    }
    return TaskOptions(name=name, events=events, min_events=1, **rest)


def aces_task(name, folder):
    names, _rest, windows = TASKS[name]
    predicates = {one: {"code": CODES[one][2]} for one in names} | {"death": {"code": "MEDS_DEATH"}}
    high = {"code": "LOINC//2160-0", "value_min": 1.05, "value_min_inclusive": False}
    predicates["creatinine"] = high
    if name == "either":
        predicates["either"] = {"expr": "or(diabetes, hypertension)"}
    text = {"predicates": predicates, "trigger": names[0], "windows": windows}
    if name == "new_diabetes":
        text["patient_demographics"] = {"woman": {"code": "GENDER//F"}}
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(text))
    return str(file)


@pytest.fixture(scope="module")
def hospital():
    """The tables of ``label``, every time a day: stays and visits as codes, results in one unit."""
    tables = read_hospital(300)
    visits = tables["visit"].mutate(
        start=_.visit_start_datetime[:10].cast("timestamp"),
        end=_.visit_end_datetime[:10].cast("timestamp"),
        code=_.visit_source_value,
    )
    starts = visits.select("person_id", time=_.start, system=ibis.literal("VISIT"), code=_.code)
    ends = visits.filter(_.code == "IP", _.end.notnull()).select(
        "person_id", time=_.end, system=ibis.literal("DISCHARGE"), code=_.code
    )
    coded = tables["coded_events"].mutate(time=_.time.truncate("D"))
    labs = tables["lab_events"].filter(_.unit == "mg/dL", _.value.notnull())
    columns = ("person_id", "time", "system", "code")
    coded = ibis.union(
        *(table.select(columns).cast({"time": "timestamp"}) for table in (coded, starts, ends))
    )
    labs = labs.mutate(time=_.time.truncate("D"))
    backend = coded.get_backend()
    return tables | {
        "coded_events": backend.create_table("days_of_codes", coded),
        "lab_events": backend.create_table("days_of_labs", labs),
        "death": tables["death"].mutate(death_datetime=_.death_datetime[:10] + " 00:00:00"),
    }


@pytest.fixture(scope="module")
def meds(hospital, tmp_path_factory):
    """The same as MEDS data of two shards, once without deaths: they would be records of ACES."""
    number = ibis.null("float32")
    born = hospital["demographics"].filter(_.birth_date.notnull())
    rows = ibis.union(
        *(
            table.select(
                subject_id="person_id",
                time=time.cast("timestamp"),
                code=code,
                numeric_value=value,
            )
            for table, time, code, value in (
                (hospital["coded_events"], _.time, _.system + "//" + _.code, number),
                (hospital["lab_events"], _.time, _.system + "//" + _.code, _.value.cast("float32")),
                (born, _.birth_date, ibis.literal("MEDS_BIRTH"), number),
                (
                    hospital["demographics"].filter(_.gender.notnull()),
                    ibis.null("timestamp"),
                    "GENDER//" + _.gender,
                    number,
                ),
                (
                    hospital["death"],
                    _.death_datetime,
                    ibis.literal("MEDS_DEATH"),
                    number,
                ),
            )
        )
    ).to_pyarrow()
    root = tmp_path_factory.mktemp("meds")
    living = pa.compute.not_equal(rows["code"], "MEDS_DEATH")
    for name, table in {"all": rows, "undying": rows.filter(living)}.items():
        (root / name / "data").mkdir(parents=True)
        odd = pa.compute.equal(pa.compute.bit_wise_and(table["subject_id"], 1), 1)
        for shard, kept in enumerate((odd, pa.compute.invert(odd))):
            pq.write_table(table.filter(kept), root / name / "data" / f"{shard}.parquet")
    return root


@pytest.mark.parametrize("name", TASKS)
def test_a_task_of_aces_has_the_labels_of_ours(name, hospital, meds, tmp_path):
    tables = dict(hospital)
    followed = name == "new_diabetes"
    if followed:
        tables["death"] = tables["death"].limit(0)
    rows = label(tables, our_task(name))["task_candidates"].filter(_.reason.isnull())
    ours = rows.select("person_id", "prediction_time", "label").to_pyarrow().to_pylist()
    folder = str(meds / ("undying" if followed else "all"))
    given = [{"name": name, "aces": aces_task(name, tmp_path)}, {"name": "of our own"}]
    dataset, task = AcesLabelsDataset(folder=folder, tasks=given), Tasks(given[0])
    found = nodes.label_index_dates(
        *([None] * 3), tables["demographics"], None, None, dataset.load(), task, 42
    ).to_pyarrow()
    keys = ("person_id", "prediction_time", "label")
    assert {tuple(row[key] for key in keys) for row in found.to_pylist()} == {
        tuple(row.values()) for row in ours
    }
    assert {row["label"] for row in ours} == {0, 1}
    assert len(ours) == found.num_rows > 50


def test_a_file_that_aces_cannot_read_is_told_in_a_line(meds, tmp_path):
    def named(file):
        return {"name": "t", "aces": str(file)}

    def load(text, folder=meds / "all"):
        file = tmp_path / "task.yaml"
        file.write_text(yaml.safe_dump(text))
        return AcesLabelsDataset(folder=str(folder), tasks=named(file)).load()

    text = {"predicates": {"a": {"code": "VISIT//IP"}}, "trigger": "a"}
    for windows, message in (
        ({"input": BEFORE}, "one window has to name a label"),
        ({"input": BEFORE | {"end": "nowhere + 3d"}}, "task.yaml: .*nowhere"),
    ):
        with pytest.raises(DatasetError, match=message) as error:
            load(text | {"windows": windows})
        assert "\n" not in str(error.value)
    with pytest.raises(DatasetError, match=r"no Parquet file in .*empty/data"):
        load(text, tmp_path / "empty")
    missing = AcesLabelsDataset(folder=str(meds / "all"), tasks=named(tmp_path / "no.yaml"))
    with pytest.raises(DatasetError, match=r"task t, aces: .*no.yaml"):
        missing.load()
    with pytest.raises(ValueError, match="ACES reads MEDS data: give --env=meds"):
        task = Tasks({"name": "t", "aces": "x.yaml"})
        nodes.label_index_dates(*([None] * 7), task, 42)


def test_no_value_of_a_person_is_in_the_message(monkeypatch, meds, tmp_path):
    def refuse(*_):
        raise InvalidOperationError("conversion failed for value: Mrs Secret")

    monkeypatch.setattr("aces.query.query", refuse)
    task = aces_task("new_diabetes", tmp_path)
    with pytest.raises(DatasetError, match=r"parquet: InvalidOperationError\.$") as error:
        AcesLabelsDataset(folder=str(meds / "all"), tasks={"name": "t", "aces": task}).load()
    assert "Secret" not in str(error.value)

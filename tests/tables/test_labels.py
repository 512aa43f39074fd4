from datetime import datetime

import pytest

from clm_ler.tables.labels import LabelOptions, select_labels, usable_samples
from clm_ler.tables.samples import label_samples
from tests.engines import both_engines

NOON = datetime(2020, 1, 1, 12)
LABELS = {"person_id": "int64", "prediction_time": "timestamp", "label": "int32", "task": "string"}


@pytest.fixture
def raw(as_table):
    return lambda rows, schema=None: as_table(rows, LABELS if schema is None else schema)


def result(table, *columns):
    return sorted(table.select(*columns).execute().itertuples(index=False, name=None))


def test_sql_chooses_rows_and_classes(raw):
    table = raw(
        [
            (1, "2020-01-01T12:00:00", 8.1, "clinic"),
            (2, "2020-01-01 12:00:00", 5.0, "clinic"),
            (3, None, 5.0, "other"),
        ],
        {"patient": "int64", "seen": "string", "hba1c": "float64", "site": "string"},
    ).rename(person_id="patient")
    options = LabelOptions(
        inclusion_criteria="site = 'clinic'",
        positive_class_criteria="hba1c >= 6.5",
        prediction_time="seen",
        task="'diabetes'",
    )
    labels = select_labels(table, options)
    assert labels.columns == ("person_id", "prediction_time", "label", "task")
    assert result(labels, "person_id", "label", "task") == [(1, 1, "diabetes"), (2, 0, "diabetes")]
    assert labels.prediction_time.execute().tolist() == [NOON, NOON]


def test_the_included_may_be_told_by_a_demographic_of_the_label_table(raw):
    table = raw([(1, NOON, 0, "t", "F"), (2, NOON, 1, "t", "M")], LABELS | {"px_gender": "string"})
    labels = select_labels(table, LabelOptions(inclusion_criteria="px_gender = 'F'"))
    assert result(labels, "person_id", "label") == [(1, 0)]


@both_engines
def test_criteria_are_about_the_columns_of_the_table_not_what_is_made_of_them(raw):
    table = raw([(1, NOON, 0, "t"), (2, NOON, 1, "t"), (3, NOON, 9, "t")])
    options = LabelOptions(positive_class_criteria="label = 1", inclusion_criteria="label <> 9")
    assert result(select_labels(table, options), "person_id", "label") == [(1, 0), (2, 1)]
    later = {"prediction_time": "date_sub(prediction_time, 1)", "task": "'x'"}
    kept = LabelOptions(inclusion_criteria="prediction_time > '2020-01-01' AND label < 2", **later)
    assert result(select_labels(table, kept), "person_id", "task") == [(1, "x"), (2, "x")]


@both_engines
@pytest.mark.parametrize("since", ["DATE '2020-01-01'", "TIMESTAMP '2020-01-01 13:00:00'"])
def test_a_time_that_is_text_is_compared_as_a_time(raw, since):
    rows = [(1, "2019-12-31 12:00:00", 0, "t"), (2, "2020-01-02 12:00:00", 1, "t")]
    table = raw(rows, LABELS | {"prediction_time": "string"})
    options = LabelOptions(inclusion_criteria=f"prediction_time >= {since}")
    assert result(select_labels(table, options), "person_id") == [(2,)]


@both_engines
@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (float("nan"), "have no label"),
        *((value, "have a label that is no whole") for value in (float("inf"), 1e300, 0.5)),
    ],
)
def test_a_label_that_is_no_whole_number_is_told_in_one_line(raw, value, fault):
    table = raw([(1, NOON, 1.0, "t"), (2, NOON, value, "t")], LABELS | {"label": "float64"})
    with pytest.raises(ValueError, match=f"1 rows {fault}"):
        select_labels(table, LabelOptions())


def test_what_yaml_reads_as_no_text_is_still_sql(raw):
    options = LabelOptions(inclusion_criteria=True, positive_class_criteria=1, prediction_time=None)
    labels = select_labels(raw([(1, NOON, 0, "a")]), options)
    assert result(labels, "person_id", "label") == [(1, 1)]
    assert labels.prediction_time.isnull().all().execute()
    assert LabelOptions().positive_class_criteria is None


def test_a_case_expression_gives_several_classes(raw):
    table = raw([(1, None, 0, "t"), (2, None, 5, "t"), (3, None, 9, "t")])
    criteria = "CASE WHEN label > 7 THEN 2 WHEN label > 3 THEN 1 ELSE 0 END"
    labels = select_labels(table, LabelOptions(positive_class_criteria=criteria, num_classes=3))
    assert result(labels, "person_id", "label") == [(1, 0), (2, 1), (3, 2)]


@pytest.mark.parametrize("kind", [bool, int])
def test_meds_and_aces_label_files_need_no_expression(raw, kind):
    values = {bool: {"boolean_value": "boolean"}, int: {"integer_value": "int64"}}[kind]
    schema = {"subject_id": "int64", "prediction_time": "timestamp", **values}
    table = raw([(1, NOON, kind(1)), (2, NOON, kind(0))], schema)
    labels = select_labels(table, LabelOptions(task="'t'"))
    assert result(labels, "person_id", "label") == [(1, 1), (2, 0)]


def test_a_meds_label_without_a_time_is_counted(raw):
    schema = {"subject_id": "int64", "prediction_time": "timestamp", "boolean_value": "boolean"}
    table = raw([(1, NOON, True), (2, None, False)], schema)
    with pytest.raises(ValueError, match=r"^labels: 1 rows have no prediction_time, which a MEDS"):
        select_labels(table, LabelOptions(task="'t'"))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(1, NOON, 0, "t"), (1, NOON, 1, "t"), (2, NOON, 0, "t")], "2 rows share person"),
        ([(1, None, 0, "t"), (1, None, 0, "t")], "2 rows share person"),
        ([(1, NOON, 2, "t"), (2, NOON, -1, "t")], "2 rows have a label outside 0 to 1"),
        ([(1, NOON, None, "t")], "1 rows have no label"),
        ([(None, NOON, 1, "t")], "1 rows have no person"),
        ([(1, NOON, 1, None)], "1 rows have no task"),
        ([(1, NOON, 1, "split")], r"1 rows have a task of a name that is taken \(sample_id, "),
        ([], "no row meets inclusion_criteria"),
    ],
)
def test_faulty_labels_are_counted(raw, rows, message):
    with pytest.raises(ValueError, match=message):
        select_labels(raw(rows), LabelOptions())


def test_unparsable_times_are_counted_but_missing_ones_are_allowed(raw):
    schema = LABELS | {"prediction_time": "string"}
    rows = [(1, "the other day", 0, "t"), (2, None, 1, "t"), (3, "2020-01-01", 1, "t")]
    with pytest.raises(ValueError, match="1 rows have a prediction time that does not parse"):
        select_labels(raw(rows, schema), LabelOptions())
    assert len(select_labels(raw(rows[1:], schema), LabelOptions()).execute()) == 2


@pytest.fixture
def people(sequences):
    return sequences(*((n, ("train", "valid", "test")[n // 2], [1], [NOON]) for n in range(6)))


def test_labels_that_see_nothing_are_counted_and_dropped_within_max_loss(raw, people):
    usable = [(n, NOON, n % 2, "t") for n in range(6)]
    lost = [(9, NOON, 0, "t"), (0, datetime(2019, 1, 1), 0, "t")]
    candidates = label_samples(raw(usable + lost), people)
    with pytest.raises(
        ValueError, match="1 rows belong to persons without events; 1 rows lie before"
    ):
        usable_samples(candidates, LabelOptions(max_loss=0.2))
    samples = usable_samples(candidates, LabelOptions(max_loss=0.25))
    assert result(samples, "person_id", "n_positions") == [(n, 3) for n in range(6)]


def test_a_class_that_a_split_lacks_is_named(raw, people):
    labels = raw([(n, NOON, int(n == 1), "t") for n in range(6)])
    with pytest.raises(ValueError, match="1 of 2 classes are missing in task 't', split 'valid'"):
        usable_samples(label_samples(labels, people), LabelOptions())


def test_of_several_tasks_those_of_few_persons_have_no_name(raw, people):
    rows = [(n, NOON, int(n == 1), f"CANARY{n}") for n in range(6)]
    with pytest.raises(ValueError, match="6 tasks of fewer than 10 persons lack classes") as raised:
        usable_samples(label_samples(raw(rows), people), LabelOptions())
    assert "CANARY" not in str(raised.value)


def test_temporal_validation_tests_on_later_days_only(raw, sequences):
    days = [datetime(2020, 1, n, 12) for n in range(1, 13)]
    splits = ("train", "valid", "test")
    people = sequences(*((n, splits[n], [1], [days[0]]) for n in range(3)))
    labels = raw([(n, day, int(day.day % 2), "t") for n in range(3) for day in days])
    options = LabelOptions(test_from="2020-01-08", gap_days=2)
    kept = usable_samples(label_samples(labels, people), options)
    found = {(row.split, row.prediction_time.day) for row in kept.execute().itertuples()}
    early = {(split, day) for split in ("train", "valid") for day in range(1, 6)}
    assert found == early | {("test", day) for day in range(8, 13)}
    whole = raw([(n, None, n % 2, "t") for n in range(3)])
    with pytest.raises(
        ValueError, match=r"3 rows have no prediction time, which labels\.test_from"
    ):
        usable_samples(label_samples(whole, people), options)


@both_engines
def test_both_engines_select_the_same_labels(raw):
    schema = LABELS | {"prediction_time": "string"}
    rows = [(n, "2020-01-01T12:00:00" if n % 3 else None, n % 3, "t") for n in range(12)]
    options = LabelOptions(inclusion_criteria="person_id < 9", positive_class_criteria="label = 2")
    labels = select_labels(raw(rows, schema), options).to_pyarrow().to_pylist()
    found = sorted((row["person_id"], row["prediction_time"], row["label"]) for row in labels)
    assert found == [(n, NOON if n % 3 else None, n % 3 == 2) for n in range(9)]


def test_a_label_is_a_whole_number(raw):
    rows = [(1, None, 1.7, "a"), (2, None, 1.0, "a")]
    schema = {"person_id": "int64", "prediction_time": "timestamp", "label": "float64"}
    with pytest.raises(ValueError, match="1 rows have a label that is no whole number"):
        select_labels(raw(rows, schema | {"task": "string"}), LabelOptions())

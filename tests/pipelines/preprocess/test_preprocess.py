from collections import Counter
from datetime import date, datetime
from itertools import pairwise

import pytest

from clm_ler.corridor import nodes as corridor
from clm_ler.pipelines.preprocess import nodes
from clm_ler.tables.labs.results import count_lab_values
from tests.engines import both_engines
from tests.pipelines.preprocess.site import (
    SCHEMAS,
    listed,
    options,
    preprocess,
    rows,
    selected_rows,
)

BIRTH = datetime(1980, 1, 1)
# One person, every rule, worked out by hand.
RAW = {
    "patient": [
        (1, "1980-01-01", " F ", "NJ"),
        (1, "1980-01-02", "F", "NJ"),  # listed twice: the first by its values stays
        (2, "1800-01-01", "M", ""),  # placeholder birth, no region
        (None, "1990-01-01", "F", "NJ"),
        (3, "1990-01-01", None, "NJ"),
        (4, "31.12.1990", "F", "NJ"),  # a birth date that cannot be read
        (5, " ", "F", "NJ"),  # none
    ],
    "diagnosis": [
        (1, "2020-01-01 10:00:00", "ICD-10-CM J45901"),
        (1, "2020-01-01 08:00:00", "ICD-10-CM J45.901"),  # the same code with its dot, earlier
        (1, "2020-01-01 08:00:00", "ICD-10-CM J45.901"),  # the same row again
        (1, "2020-01-03 00:00:00", "ICD-9-CM 4939"),
        (1, "2020-02-10 23:59:59", "ICD9Proc 3601"),
        (1, "1979-12-31 00:00:00", "ICD-10-CM J45.901"),  # before birth
        (1, "1800-01-01 00:00:00", "ICD-10-CM J45.901"),  # placeholders
        (1, "2300-01-01 00:00:00", "ICD-10-CM J45.901"),
        (1, "junk", "ICD-10-CM J45.901"),
        (1, None, "ICD-10-CM J45.901"),
        (1, "2020-01-01 10:00:00", "ignored x"),
        (1, "2020-01-01 10:00:00", "ICD-10-CM"),  # no code
        (7, "2020-01-01 10:00:00", "ICD-10-CM J45.901"),  # no such person
        (None, "2020-01-01 10:00:00", "ICD-10-CM J45.901"),
        (1, "2024-05-01 10:00:00", "ICD-10-CM J45.901"),  # after event_date_filter
        (2, "2020-01-01 10:00:00", "ICD-10-CM J45.901"),
        (3, "2020-01-01 10:00:00", "ICD-10-CM J45.901"),  # a history of one day
    ],
    "prescription": [
        (1, "2020-01-03 00:00:00", "RxNorm_drug:860975"),
        (1, "2020-01-03 00:00:00", "NDC:0093-7214-01"),
        (1, "2020-01-04 00:00:00", "NDC:00093721410"),
        (2, "2020-03-01 10:00:00", "RxNorm_drug:860975"),
    ],
    "lab": [
        (1, "2020-01-02 07:00:00", "2345-7", "100", "mg/dL"),
        (1, "2020-01-02 08:00:00", "2345-7", "120", "mg/dL"),
        (1, "2020-01-05 07:00:00", "2345-7", "80", "mg/dL"),
        (1, "2020-01-06 07:00:00", "2345-7", "10", "mmol/L"),  # 180.156 mg/dL
        (1, "2020-01-07 07:00:00", "2345-7", "high", "mg/dL"),
        (1, "2020-01-07 07:00:00", "2345-7", "90", None),
        (1, "2020-01-07 07:00:00", "2345-7", "90", "furlong"),
        (1, "2020-01-07 07:00:00", "0000-0", "90", "mg/dL"),
    ],
}
EVENTS = [  # day of January or later, position, time, token
    (1, datetime(2020, 1, 1, 8), "ICD10CM:J45.901"),
    (2, datetime(2020, 1, 2, 7), "LOINC:2345-7:50-75"),
    (2, datetime(2020, 1, 2, 8), "LOINC:2345-7:75-100"),
    (3, datetime(2020, 1, 3), "ICD9CM:493.9"),
    (3, datetime(2020, 1, 3), "NDC:000937214"),
    (3, datetime(2020, 1, 3), "RXNORM:860975"),
    (4, datetime(2020, 1, 4), "NDC:000937214"),
    (5, datetime(2020, 1, 5, 7), "LOINC:2345-7:25-50"),
    (6, datetime(2020, 1, 6, 7), "LOINC:2345-7:75-100"),
    (41, datetime(2020, 2, 10, 23, 59, 59), "ICD9CM:36.01"),
]


@pytest.fixture
def made(as_table):
    return preprocess(as_table, RAW, options())


@both_engines
def test_a_small_site_worked_out_by_hand(made):
    assert rows(made["demographics"]) == [
        (1, date(1980, 1, 1), "F", None, None, "NJ"),
        (2, None, "M", None, None, None),
        (3, date(1990, 1, 1), None, None, None, "NJ"),
        *((nobody, None, "F", None, None, "NJ") for nobody in (4, 5)),
    ]
    # Boundaries of 80, 100, 120, 180.156: 80, 100, 120 (the smallest value reached by each quarter).
    (percentiles,) = made["lab_percentiles"].to_pyarrow().to_pylist()
    assert percentiles["boundaries"] == pytest.approx([80, 100, 120])
    (sequence,) = made["sequences"].to_pyarrow().to_pylist()
    # Person 2 has only three tokens, person 3 one day. 14,610 days are 40 years of 365 and 10 days.
    baseline = [(0, BIRTH, token) for token in ("AGE:40", "GENDER:F", "REGION:NJ")]
    assert sequence["person_id"] == 1
    assert (
        list(
            zip(
                sequence["day_position_tokens"],
                sequence["date"],
                sequence["sorted_event_tokens"],
                strict=True,
            )
        )
        == baseline + EVENTS
    )
    check_ledger(made)


def check_ledger(made):
    losses = made["loss_ledger"].to_pyarrow().to_pylist()
    found = {(row["step"], row["table"], row["reason"]): row["rows"] for row in losses}
    assert found == {
        ("read", "patient", "no person_id"): 1,
        ("read", "patient", "person listed before"): 1,
        ("blank_values", "patient", "placeholder birth date"): 1,
        ("blank_values", "patient", "birth date that cannot be read"): 1,
        ("read", "diagnosis", "before birth"): 1,
        ("read", "diagnosis", "placeholder date"): 2,
        ("read", "diagnosis", "no date that can be read"): 2,
        ("read", "diagnosis", "filter_expr"): 1,
        ("read", "diagnosis", "no code"): 1,
        ("read", "diagnosis", "person not in patient"): 1,
        ("read", "diagnosis", "no person_id"): 1,
        ("read", "diagnosis", "event_date_filter"): 1,
        ("lab_tokens", "lab", "not a number"): 1,
        ("lab_tokens", "lab", "no unit"): 1,
        ("lab_tokens", "lab", "unit cannot be converted"): 1,
        ("lab_tokens", "lab", "not a LOINC code"): 1,
        ("number_of_days_threshold", "events", "history spans too few days"): 1,
        ("min_history_size", "events", "sequence has too few tokens"): 2,
        ("once_a_day", "events", "same token again on the day"): 2,
    }


def test_every_raw_row_is_accounted_for(made):
    flow = {(row["step"], row["table"]): row for row in made["cutflow"].to_pyarrow().to_pylist()}
    losses = made["loss_ledger"].to_pyarrow().to_pylist()
    for table in RAW:
        lost = sum(r["rows"] for r in losses if (r["step"], r["table"]) == ("read", table))
        assert flow["raw", table]["rows"] == len(RAW[table]) == flow["read", table]["rows"] + lost
    steps = ["events", "split", "number_of_days_threshold", "min_history_size", "once_a_day"]
    for before, step in pairwise(steps):
        lost = sum(row["rows"] for row in losses if row["step"] == step)
        assert flow[before, "events"]["rows"] - lost == flow[step, "events"]["rows"]
    coded = sum(flow["read", table]["rows"] for table in ("diagnosis", "prescription"))
    assert flow["events", "events"]["rows"] == coded + flow["lab_tokens", "lab"]["rows"]
    tokens = sum(len(row) - 3 for (row,) in rows(made["sequences"], "sorted_event_tokens"))
    assert flow["once_a_day", "events"]["rows"] == tokens == len(EVENTS)
    assert flow["once_a_day", "events"]["persons"] == 1


def test_the_figure_carries_every_row_that_was_read(made):
    link = made["loss_figure"].data[0].link
    labels = made["loss_figure"].data[0].node.label
    for name in ("diagnosis", "lab results", "events"):
        place = labels.index(name)
        out = sum(v for s, v in zip(link.source, link.value, strict=True) if s == place)
        into = sum(v for t, v in zip(link.target, link.value, strict=True) if t == place)
        assert out == (into or len(RAW[name]))


def test_labs_that_another_run_had_not_are_fitted_where_the_vocabulary_grows(made):
    fitted = [made["unit_conversions"], made["lab_percentiles"]]
    none = [table.limit(0) for table in fitted]

    def provided(given, **changes):
        chosen = options(**changes)
        labs = (made["lab_events"], made["person_splits"], chosen)
        counts = count_lab_values(*labs)
        return [
            rows(nodes.provide_unit_conversions(counts, given[0], chosen)),
            rows(nodes.provide_lab_percentiles(counts, fitted[0], *labs[:2], given[1], chosen)),
        ]

    assert provided(none) == [[], []]
    assert provided(none, untranslated="keep") == [rows(table) for table in fitted]
    for chosen in ("lose", "keep"):
        assert provided(fitted, untranslated=chosen) == [rows(table) for table in fitted]


def test_any_table_of_events_may_be_absent(as_table):
    present = ("patient", "diagnosis")
    raw = {name: RAW[name] for name in present}
    made = preprocess(as_table, raw, options(tables=listed(*present)))
    assert made["lab_events"].count().execute() == 0
    tokens = [row for (row,) in rows(made["sequences"], "sorted_event_tokens")]
    assert tokens == [
        ["AGE:40", "GENDER:F", "REGION:NJ", "ICD10CM:J45.901", "ICD9CM:493.9", "ICD9CM:36.01"]
    ]


def test_a_table_that_is_not_listed_is_not_read_although_it_is_there(as_table):
    alone = listed("patient", "diagnosis")
    counts = preprocess(as_table, RAW, options(tables=alone))["raw_row_counts"]
    assert {table for (table,) in rows(counts, "table")} == set(alone)


@pytest.mark.parametrize("name", ["patient", "prescription", "lab"])
def test_a_listed_table_that_is_not_there_is_named(as_table, name):
    raw = {table: as_table(rows, SCHEMAS[table]) for table, rows in RAW.items() if table != name}
    with pytest.raises(ValueError, match=f"^{name} is listed in preprocess.tables, and there is"):
        selected_rows(raw, options())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"max_loss": {"diagnosis": 0.4}}, r"diagnosis: step 'read' loses 8 of 17 rows \(47.1%\)"),
        ({"max_loss": {"read": 0.4}}, "for the reason"),
        ({"max_loss": {"lab_tokens": 0.4}}, "lab: step 'lab_tokens' loses 4 of 8 rows"),
        ({"max_loss": {"min_history_size": 0.1}}, "sequence has too few tokens"),
    ],
)
def test_a_step_that_loses_too_much_stops(as_table, changed, message):
    with pytest.raises(ValueError, match=message):
        preprocess(as_table, RAW, options(**changed))


def test_a_loss_stops_the_run_before_the_step_that_builds_on_it(made):
    strict = options(max_loss={"lab_tokens": 0.4, "number_of_days_threshold": 0})
    events = [made[name] for name in ("coded_events", "lab_events")]
    fitted = [made[name] for name in ("unit_conversions", "lab_percentiles")]
    splits, counts = made["person_splits"], made["lab_token_counts"]
    with pytest.raises(ValueError, match="lab: step 'lab_tokens' loses 4 of 8 rows"):
        corridor.measure_persons(*events, *fitted, counts, splits, strict)
    with pytest.raises(ValueError, match="history spans too few days"):
        nodes.build_pretraining_sequences(
            made["demographics"], *events, *fitted, splits, made["person_spans"], strict
        )


def test_a_pattern_that_parses_nothing_is_one_clear_error(as_table):
    dates = [(person, "01/02/2020", source) for person, _date, source in RAW["prescription"]]
    with pytest.raises(ValueError, match=r"prescription.*date of none of 4 rows can be read"):
        preprocess(as_table, RAW | {"prescription": dates}, options())


def test_a_filter_that_drops_all_is_one_clear_error(as_table):
    with pytest.raises(ValueError, match="event_date_filter drops all 4 rows"):
        preprocess(as_table, RAW, options(event_date_filter="date > '2100-01-01'"))


def lab_row(day, code, value, unit="mg/dL", person=1, hour=7):
    return (person, f"2020-01-{day:02d} {hour:02d}:00:00", code, value, unit)


# Two persons; glucose has numbers of every kind, the urine strip only words and three numbers.
RESULTS = [
    *(lab_row(day, "2345-7", value) for day, value in enumerate(("80", "<100", "110-130"), 1)),
    lab_row(4, "2345-7", "180.156", None),
    lab_row(5, "2345-7", "hemolyzed"),
    *(
        lab_row(n, "5778-6", text, None, 1 + n % 2)
        for n, text in enumerate(("yellow", "Yellow."), 6)
    ),
    lab_row(8, "5778-6", "pink", None),
    lab_row(9, "5778-6", "pending", None),
    *(lab_row(9 + n, "2887-8", value, None) for n, value in enumerate("0012")),
    lab_row(13, "UNKNOWN", "5"),
]
TWO = {"patient": [(1, "1980-01-01", "F", None), (2, "1980-01-01", "M", None)], "lab": RESULTS}
EVERY_RESULT = {
    "bounds": True,
    "without_unit": True,
    "few_values": 4,
    "text_min_persons": 2,
}


def read_results(as_table, raw=TWO, **changes):
    changes = {"number_of_days_threshold": 0, "min_history_size": 1} | changes
    return preprocess(as_table, raw, options(tables=listed("patient", "lab"), **changes))


@both_engines
def test_every_kind_of_result_has_a_token(as_table):
    made = read_results(as_table, results=EVERY_RESULT, min_loinc_value_counts=4)
    (one,), (two,) = rows(made["sequences"].order_by("person_id"), "sorted_event_tokens")
    assert [*two[2:]] == ["LOINC:5778-6:YELLOW"]
    assert [*one[2:]] == [
        "LOINC:2345-7:0-25",  # 80, 100, 120, 180.156: four values, four bins
        "LOINC:2345-7:25-50",
        "LOINC:2345-7:50-75",
        "LOINC:2345-7:75-100",
        "LOINC:5778-6:YELLOW",
        "LOINC:2887-8:0-25",
        "LOINC:2887-8:0-25",
        "LOINC:2887-8:25-50",
        "LOINC:2887-8:75-100",
    ]
    losses = Counter()
    for row in made["loss_ledger"].to_pyarrow().to_pylist():
        losses[row["reason"]] += row["rows"]
    assert losses == {
        "placeholder code": 1,
        "text result of too few persons": 2,
        "not a number": 1,
    }


def test_by_default_a_result_is_a_number_with_a_unit(as_table):
    made = read_results(as_table, min_loinc_counts=1, min_loinc_value_counts=1)
    losses = made["lab_token_counts"].to_pyarrow().to_pylist()
    assert sum(row["rows"] for row in losses if row["reason"] is None) == 1
    assert "text" not in made["lab_events"].columns


@pytest.mark.parametrize(
    ("once", "expected"), [(True, 1), ({"lab": False}, 2), (False, 2), ({"diagnosis": False}, 1)]
)
def test_a_token_may_count_at_every_time_it_has(as_table, once, expected):
    labs = [lab_row(1, "2345-7", "80", hour=hour) for hour in (7, 7, 9)]
    changes = {"min_loinc_counts": 1, "min_loinc_value_counts": 1, "once_a_day": once}
    if once == {"diagnosis": False}:
        changes["once_a_day"] = dict.fromkeys(("diagnosis", "prescription", "procedure"), False)
    made = read_results(as_table, TWO | {"lab": labs}, **changes)
    ((tokens, times),) = rows(made["sequences"], "sorted_event_tokens", "date")
    assert len(tokens) == 2 + expected == len(times)
    assert [time.hour for time in times[2:]] == [7, 9][:expected]


def test_tables_of_codes_agree_on_once_a_day():
    with pytest.raises(ValueError, match="diagnosis, prescription, procedure have to agree"):
        options(once_a_day={"diagnosis": False})
    with pytest.raises(ValueError, match="no table of events 'labs'"):
        options(once_a_day={"labs": False})


def test_given_tables_that_would_multiply_results_are_refused(as_table):
    units = as_table([("LOINC", "1", "g")] * 2, dict.fromkeys(["system", "code", "unit"], "string"))
    with pytest.raises(
        ValueError, match="1 values of system, code, unit are in several rows of unit_"
    ):
        nodes.provide_unit_conversions(None, units, options())
    labs = as_table([("LOINC", "1")] * 2, dict.fromkeys(["system", "code"], "string"))
    with pytest.raises(
        ValueError, match="1 values of system, code are in several rows of lab_perc"
    ):
        nodes.provide_lab_percentiles(None, units, None, None, labs, options())
    kinds = {"system": "string", "code": "string", "texts": "array<string>"}
    texts = as_table([("LOINC", "1", ["YELLOW", "RED", "RED"]), ("LOINC", "2", ["RED"])], kinds)
    with pytest.raises(ValueError, match="1 values of system, code, text are in several rows of"):
        nodes.provide_lab_percentiles(None, units, None, None, texts, options())

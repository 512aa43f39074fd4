"""Index dates, outcomes and follow-up on a few persons, on both engines."""

from datetime import date, datetime

import pytest

from clm_ler.storage.person_wise import refuse
from clm_ler.tables.tasks import candidates as c
from clm_ler.tables.tasks.definition import TaskOptions
from clm_ler.tables.tasks.event_definition import Rise
from clm_ler.tables.tasks.events import TASK_CODES, _rises, task_events
from clm_ler.tables.tasks.stays import (
    DEATH,
    DEATHS,
    VISIT,
    VISITS,
    merged_stays,
    read_deaths,
    read_visits,
)
from tests.engines import both_engines

EVENT = {"person_id": "int64", "time": "timestamp", "event": "string"}
CODED = {"person_id": "int64", "time": "timestamp", "system": "string", "code": "string"}
LABS = CODED | {"value": "float64", "unit": "string"}
BORN = {"person_id": "int64", "birth_date": "date", "gender": "string"}
SPAN = {"person_id": "int64", "first": "timestamp", "last": "timestamp"}
END = datetime(2024, 12, 31)
YEARS = (1901, 2299)


def at(text):
    return datetime.fromisoformat(text)


def task(**parts):
    given = {
        "name": "t",
        "events": {"sick": {"codes": {"X": ["1"]}}, "seen": {"codes": {"X": ["2"]}}},
        "index": {"event": "seen"},
        "outcome": {"event": "sick", "days": [1, 30]},
    }
    return TaskOptions(**given | parts)


@pytest.fixture
def label(as_table):
    """Rows of events, visits, deaths and persons to the candidates, as tuples."""

    def run(task, events=(), visits=(), deaths=(), born=((1, date(1980, 5, 5), "F"),), until=None):
        times = [time for _, time, *_ in events] + [time for _, *ends, _ in visits for time in ends]
        times = [time for time in times if time] or [END]
        spans = [(person, min(times), until or max(times)) for person, *_ in born]
        rows = c.label_candidates(
            as_table(list(events), EVENT),
            as_table([(*visit, None) for visit in visits], VISITS),
            as_table([(*death, None) for death in deaths], DEATHS),
            as_table(list(born), BORN),
            as_table(spans, SPAN),
            task,
            END,
            7,
        )
        refuse(rows, {})
        found = rows.select("prediction_time", "label", "reason").to_pyarrow().to_pylist()
        return sorted(tuple(row.values()) for row in found)

    return run


SEEN = (1, at("2020-01-10 09:00"), "seen")
PREDICTED = at("2020-01-10 23:59")


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("2020-01-11 00:00", (1, None)),
        ("2020-02-09 23:59", (1, None)),
        ("2020-02-10 00:00", (0, None)),
        ("2020-01-10 23:59", (0, None)),  # it is known then
    ],
)
def test_an_outcome_counts_from_the_first_day_to_the_last(label, when, expected):
    events = [SEEN, (1, at(when), "sick")]
    assert label(task(), events, until=END) == [(PREDICTED, *expected)]


@pytest.mark.parametrize(
    ("rule", "with_outcome", "without"),
    [
        ("censored", (1, None), (None, c.LOST)),
        ("exclude", (None, c.LOST), (None, c.LOST)),
        ("negative", (1, None), (0, None)),
    ],
)
def test_who_leaves_before_the_end(label, rule, with_outcome, without):
    asked = task(follow_up={"incomplete": rule})
    sick = [SEEN, (1, at("2020-01-20 00:00"), "sick")]
    until = at("2020-01-25")
    assert label(asked, sick, until=until) == [(PREDICTED, *with_outcome)]
    assert label(asked, [SEEN], until=until) == [(PREDICTED, *without)]
    assert label(asked, [SEEN], until=at("2020-02-09")) == [(PREDICTED, 0, None)]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("negative", (0, None)),
        ("censored", (None, c.DIED)),
        ("exclude", (None, c.DIED)),
        ("outcome", (1, None)),
    ],
)
def test_who_dies_before_the_end(label, rule, expected):
    asked = task(follow_up={"death": rule})
    died = [(1, at("2020-01-20"))]
    assert label(asked, [SEEN], deaths=died) == [(PREDICTED, *expected)]
    billed = [SEEN, (1, at("2020-01-25"), "sick")]
    assert label(asked, billed, deaths=died) == [(PREDICTED, *expected)]
    sick = [SEEN, (1, at("2020-01-19 08:00"), "sick")]
    assert label(asked, sick, deaths=died) == [(PREDICTED, 1, None)]
    dead = label(asked, [SEEN], deaths=[(1, at("2020-01-10"))])
    assert [reason for *_, reason in dead] == [c.DEAD]


@pytest.mark.parametrize(
    ("rule", "with_outcome", "without"),
    [
        ("negative", (1, None), (0, None)),
        ("outcome", (1, None), (1, None)),
        ("censored", (None, c.LOST), (None, c.DIED)),
        ("exclude", (None, c.LOST), (None, c.DIED)),
    ],
)
@pytest.mark.parametrize("ends", ["last_record", "end_of_data"])
def test_to_exclude_who_leaves_does_not_choose_by_the_outcome(
    label, rule, with_outcome, without, ends
):
    asked = task(follow_up={"incomplete": "exclude", "death": rule, "ends": ends})
    died, sick = [(1, at("2020-01-20"))], (1, at("2020-01-15"), "sick")
    until = at("2020-01-19")
    assert label(asked, [SEEN, sick], deaths=died, until=until) == [(PREDICTED, *with_outcome)]
    assert label(asked, [SEEN], deaths=died, until=until) == [(PREDICTED, *without)]


def test_a_death_that_is_the_outcome_is_known_to_the_end(label):
    asked = task(
        events={"seen": {"codes": {"X": ["2"]}}, "death": {"death": True}},
        outcome={"event": "death", "days": [1, 30]},
        follow_up={"incomplete": "exclude"},
    )
    died = at("2020-01-20")
    events = [SEEN, (1, died, "death")]
    assert label(asked, events, deaths=[(1, died)], until=died) == [(PREDICTED, 1, None)]


@pytest.mark.parametrize(
    ("died", "reason"),
    [
        ("2020-01-10 10:00", None),
        ("2020-01-10 09:00", c.DEAD),
        ("2020-01-10", c.DEAD),  # only the day is known
        ("2020-01-11", None),
    ],
)
def test_who_dies_after_the_prediction_is_alive_at_it(label, died, reason):
    asked = task(index={"event": "seen", "end_of_day": False}, follow_up={"death": "negative"})
    (row,) = label(asked, [SEEN], deaths=[(1, at(died))])
    assert row[2] == reason


def test_a_day_is_over_at_its_last_minute(label):
    (row,) = label(task(), [SEEN], deaths=[(1, at("2020-01-10 23:59:30"))])
    assert row[2] == c.DEAD


@pytest.mark.parametrize(("days", "reason"), [(9, c.BEFORE), (8, None)])
def test_a_washout_is_of_calendar_days(label, days, reason):
    events = [(1, at("2020-01-01"), "sick"), SEEN]
    asked = task(outcome={"event": "sick", "days": [1, 30], "washout": days})
    assert [row[2] for row in label(asked, events, until=END)] == [reason]


@pytest.mark.parametrize(
    ("index", "outcome", "reason"),
    [
        ({"since": "2020-01-11"}, {}, c.CALENDAR),
        ({"until": "2020-01-09"}, {}, c.CALENDAR),
        ({"age": [40, None]}, {}, c.AGE),  # 39 until the 5th of May
        ({"age": [None, 39]}, {}, c.AGE),
        ({"age": [39, 40]}, {}, None),
        ({"sex": ["M"]}, {}, c.SEX),
        ({"min_history": 10}, {}, c.SHORT_HISTORY),
        ({"min_history": 9}, {}, None),
        ({"max_history": 8}, {}, c.LONG_HISTORY),
        ({"having": ["sick"]}, {}, None),
        ({"without": ["sick"]}, {}, c.WITHOUT),
        ({"having": ["other"]}, {}, c.HAVING),
        ({}, {"first_ever": True}, c.BEFORE),
        ({}, {"washout": 9}, c.BEFORE),
        ({}, {"washout": 8}, None),
    ],
)
def test_the_first_reason_is_told(label, index, outcome, reason):
    events = [(1, at("2020-01-01 23:59"), "sick"), SEEN]
    asked = task(
        events={name: {"codes": {"X": [name]}} for name in ("sick", "seen", "other")},
        index={"event": "seen"} | index,
        outcome={"event": "sick", "days": [1, 30]} | outcome,
    )
    assert [row[2] for row in label(asked, events, until=END)] == [reason]


def test_which_of_the_index_dates_is_kept(label):
    days = ["2020-01-10", "2020-03-10", "2021-03-10"]
    events = [(1, at(f"{day} 09:00"), "seen") for day in days]

    def kept(**index):
        rows = label(task(index={"event": "seen"} | index), events, until=END)
        return [str(time.date()) for time, _, reason in rows if reason is None]

    assert kept() == days
    assert kept(keep="first") == days[:1]
    assert kept(keep="yearly") == [days[0], days[2]]
    assert len(kept(keep="random")) == 1
    assert kept(keep="random") == kept(keep="random")
    assert kept(keep="first", since="2020-02-01") == [days[1]]
    assert kept(first_ever=True, since="2020-02-01") == []


def test_fixed_days_are_for_everybody(label):
    asked = task(index={"dates": ["2020-06-01", "2021-06-01"]})
    rows = label(asked, [SEEN], born=((1, None, None), (2, None, None)), until=END)
    assert len(rows) == 4


STAY = (1, at("2020-01-10 10:00"), at("2020-01-20 10:00"), "IP")


def stay_task(outcome, events=None, **parts):
    index = {"visits": ["IP"], "still_in": True} | parts
    return task(events=events or {}, index=index, outcome=outcome)


def test_what_has_no_effect_on_the_length_of_a_stay_is_said(caplog):
    stay_task({"stay_days": 7, "first_ever": True, "washout": 30})
    assert "with stay_days, first_ever, washout has no effect" in caplog.text


@pytest.mark.parametrize(("days", "expected"), [(10, 1), (10.1, 0)])
def test_a_stay_may_be_long(label, days, expected):
    asked = stay_task({"stay_days": days})
    assert label(asked, visits=[STAY]) == [(PREDICTED, expected, None)]
    unknown = (*STAY[:2], None, "IP")
    assert label(asked, visits=[unknown]) == [(PREDICTED, None, c.NO_END)]
    short = (*STAY[:2], at("2020-01-10 20:00"), "IP")
    assert [row[2] for row in label(asked, visits=[short])] == [c.NOT_IN]


@pytest.mark.parametrize(
    ("days", "label_and_reason"), [(2, (1, c.REACHED)), (3, (1, None)), (11, (0, None))]
)
def test_how_long_a_stay_already_is_is_not_predicted(label, days, label_and_reason):
    asked = stay_task({"stay_days": days}, hours_after=48, end_of_day=False)
    assert label(asked, visits=[STAY]) == [(at("2020-01-12 10:00"), *label_and_reason)]


@pytest.mark.parametrize(
    ("died", "expected"),
    [("2020-01-20", 1), ("2020-01-20 10:00", 1), ("2020-01-21", 0), ("2020-01-11", 1)],
)
def test_a_death_counts_until_the_day_of_discharge(label, died, expected):
    asked = stay_task(
        {"event": "death", "days": [0, 365], "until_discharge": True}, {"death": {"death": True}}
    )
    asked = asked.model_copy(
        update={"follow_up": asked.follow_up.model_copy(update={"death": "negative"})}
    )
    deaths, events = [(1, at(died))], [(1, at(died), "death")]
    assert label(asked, events, [STAY], deaths) == [(PREDICTED, expected, None)]


def test_visits_that_touch_are_one(as_table):
    rows = [
        (1, at("2020-01-01 08:00"), at("2020-01-03 08:00"), "IP", None),
        (1, at("2020-01-02 08:00"), at("2020-01-02 09:00"), "IP", None),
        (1, at("2020-01-04 08:00"), None, "ERIP", None),
        (1, at("2020-01-05 09:00"), at("2020-01-06 08:00"), "IP", None),
        (1, at("2020-01-05 09:00"), at("2020-02-06 08:00"), "OP", None),
        (2, at("2020-01-04 08:00"), None, "IP", None),
        (2, at("2020-01-04 08:00"), None, "IP", "no start"),
    ]
    stays = merged_stays(as_table(rows, VISITS), ("*IP",), 24)
    found = sorted(tuple(row.values()) for row in stays.to_pyarrow().to_pylist())
    assert found[:2] == [
        (1, at("2020-01-01 08:00"), None),  # its last part goes on
        (1, at("2020-01-05 09:00"), at("2020-01-06 08:00")),
    ]
    assert found[2] == (2, at("2020-01-04 08:00"), None)
    within = [(*rows[0][:2], at("2020-01-05 08:00"), "IP", None), rows[2]]
    (stay,) = merged_stays(as_table(within, VISITS), ("*IP",), 0).to_pyarrow().to_pylist()
    assert stay["stay_end"] == at("2020-01-05 08:00")


VISIT_TYPES = ["ip_acute", "IPXacute", "a+(b)", "A", None]


@pytest.mark.parametrize(
    ("types", "found"),
    [
        (("*",), [0, 1, 2, 3, 4]),
        (("ip_*",), [0]),
        (("ip?acute",), [0, 1]),
        (("%",), []),
        (("A", "a+(b)"), [2, 3]),
    ],
)
def test_types_of_visits_are_patterns_of_two_signs(as_table, types, found):
    raw = [(n, at("2020-01-01 08:00"), None, kind) for n, kind in enumerate(VISIT_TYPES)]
    persons = [(n, date(1980, 5, 5), "F") for n in range(5)]
    columns = {name: VISITS[name] for name in VISIT}
    visits = read_visits(as_table(raw, columns), as_table(persons, BORN), YEARS)
    stays = merged_stays(visits, types, 0).to_pyarrow()
    assert sorted(stays["person_id"].to_pylist()) == found


@both_engines
def test_dates_that_are_placeholders_make_no_stay_without_end_and_no_death(as_table):
    persons = as_table([(1, date(1980, 5, 5), "F")], BORN)
    raw = [
        (1, at("2020-01-01 08:00"), at("9999-12-31"), "IP"),
        (1, at("2021-01-01 08:00"), at("2021-01-05"), "IP"),
        (1, at("1900-01-01"), at("1900-01-02"), "IP"),
    ]
    columns = {name: VISITS[name] for name in VISIT}
    visits = read_visits(as_table(raw, columns), persons, YEARS)
    stays = merged_stays(visits, ("IP",), 0).order_by("stay_start").to_pyarrow()
    assert stays["stay_start"].to_pylist() == [at("2020-01-01 08:00"), at("2021-01-01 08:00")]
    assert stays["stay_end"].to_pylist() == [None, at("2021-01-05")]
    spans = c.record_spans(as_table([], CODED), as_table([], LABS), visits).to_pyarrow()
    assert spans["last"].to_pylist() == [at("2021-01-05")]
    dead = as_table([(1, at("1900-01-01")), (1, at("2022-01-01"))], {n: DEATHS[n] for n in DEATH})
    deaths = read_deaths(dead, persons, YEARS)
    found = deaths.filter(deaths.reason.isnull()).to_pyarrow()["time"].to_pylist()
    assert found == [at("2022-01-01")]


CREATININE = ("LOINC", "2160-0")


def code_row(**values):
    empty = dict.fromkeys(TASK_CODES)
    empty |= {
        "task": "t",
        "event": "aki",
        "leaf": "aki",
        "measured": True,
        "rises": True,
        "lab": True,
    }
    empty |= {
        "system": "LOINC",
        "code": "2160-0",
        "unit": "",
        "factor": 1.0,
        "offset": 0.0,
        "rows": 9,
    }
    return tuple((empty | values).values())


def test_results_that_rise_or_pass_a_bound_are_events(as_table):
    asked = task(
        events={
            "aki": {
                "codes": {"LOINC": ["2160-0"]},
                "unit": "mg/dL",
                "rise": [{"by": 0.3, "days": 2}, {"times": 1.5, "days": 7}],
            },
            "high": {"codes": {"LOINC": ["2160-0"]}, "unit": "mg/dL", "at_least": 1.2},
            "any": {"codes": {"LOINC": ["2160-0"]}},
            "both": {
                "codes": {"LOINC": ["2160-0"]},
                "unit": "mg/dL",
                "at_least": 1.3,
                "rise": [{"by": 0.3, "days": 2}, {"times": 1.5, "days": 7}],
            },
        },
        index={"event": "any"},
        outcome={"event": "high"},
    )
    bound = {"event": "high", "leaf": "high", "rises": False, "at_least": 1.2}
    each = {"event": "any", "leaf": "any", "rises": False, "measured": False, "factor": None}
    molar = {"unit": "umol/L", "factor": 0.0113}
    both = {"event": "both", "leaf": "both", "at_least": 1.3}
    codes = [code_row(**unit | kind) for kind in ({}, bound, each, both) for unit in ({}, molar)]
    times = [at("2020-01-01 08:00"), at("2020-01-03 08:00"), at("2020-01-05 09:00")]
    values = [(0.9, None), (1.2, None), (120.0, "umol/L")]  # the last is 1.356 mg/dL
    rows = [(1, t, *CREATININE, *v) for t, v in zip(times, values, strict=True)]
    rows += [(1, at("2020-06-01"), *CREATININE, None, None)]
    made = task_events(
        as_table([(1, times[0], "X", "1")], CODED),
        as_table(rows, LABS),
        as_table([], VISITS),
        as_table([], DEATHS),
        as_table(codes, TASK_CODES),
        [asked],
    )
    found = {}
    for row in made.to_pyarrow().to_pylist():
        found.setdefault(row["event"], []).append(row["time"])
    assert sorted(found["aki"]) == times[1:]  # by 0.3 in 48 hours, by 1.5 times in 7 days
    assert sorted(found["high"]) == times[1:]
    assert found["both"] == times[2:]
    assert len(found["any"]) == 4


def test_a_multiple_of_nothing_is_no_rise(as_table):
    days = [at(f"2020-01-0{n}") for n in range(1, 6)]
    values = zip([1, 1, 2, 3, 3], [0.0, 0.0, -2.0, 1.0, 1.5], strict=True)
    rows = [(person, day, value) for day, (person, value) in zip(days, values, strict=True)]
    schema = {"person_id": "int64", "time": "timestamp", "value": "float64"}
    risen = _rises(as_table(rows, schema), (Rise(days=7, times=1.5),))
    assert [row["time"] for row in risen.to_pyarrow().to_pylist()] == days[4:]

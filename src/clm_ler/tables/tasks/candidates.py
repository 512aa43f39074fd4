"""Index dates of a task, each with its label or with the first reason why it has none."""

from collections.abc import Sequence
from datetime import datetime

import ibis
import ibis.expr.types as ir
from ibis import _

from clm_ler.engines.portable import small_table
from clm_ler.tables.tasks.definition import IndexOptions, OutcomeOptions, TaskOptions
from clm_ler.tables.tasks.stays import merged_stays

# The reasons in the order in which they are looked at: an index date is lost for the first.
CALENDAR = "outside of the calendar window"
NOT_FIRST = "not the first of the person"
AGE, SEX = "age", "sex"
NO_RECORD, SHORT_HISTORY, LONG_HISTORY = (
    "no record before",
    "history is too short",
    "history is too long",
)
DEAD = "dead at the prediction"
NOT_IN = "visit is over at the prediction"
NO_END = "end of the visit is unknown"
REACHED = "the visit is so long already at the prediction"
HAVING, WITHOUT = "lacks a required event", "has an excluding event"
BEFORE = "had the outcome before"
DIED = "died before the end of the horizon"
LOST = "not followed to the end of the horizon"
UNMEASURED = "not measured within the horizon"
SAME_TIME = "same prediction time as another"
NOT_KEPT = "not the index date that is kept"
REASONS = (
    CALENDAR,
    NOT_FIRST,
    AGE,
    SEX,
    NO_RECORD,
    SHORT_HISTORY,
    LONG_HISTORY,
    DEAD,
    NOT_IN,
    NO_END,
    REACHED,
    HAVING,
    WITHOUT,
    BEFORE,
    DIED,
    LOST,
    UNMEASURED,
    SAME_TIME,
    NOT_KEPT,
)
DAY, MINUTE = ibis.interval(days=1), ibis.interval(minutes=1)


def record_spans(coded_events: ir.Table, lab_events: ir.Table, visits: ir.Table) -> ir.Table:
    """Return ``person_id, first, last``: the times between which a person has records."""
    visits = visits.filter(_.reason.isnull())
    times = ibis.union(
        coded_events.select("person_id", "time"),
        lab_events.select("person_id", "time"),
        visits.select("person_id", time=_.start_time),
        visits.select("person_id", time=_.end_time.coalesce(_.start_time)),
    )
    return times.group_by("person_id").agg(first=_.time.min(), last=_.time.max())


def label_candidates(
    task_events: ir.Table,
    visits: ir.Table,
    deaths: ir.Table,
    demographics: ir.Table,
    spans: ir.Table,
    task: TaskOptions,
    end_of_data: datetime,
    seed: int,
) -> ir.Table:
    """Return one row per index date of the task.

    Args:
        task_events: Of ``events.task_events``, those of the task.
        visits: Of ``stays.read_visits``.
        deaths: Of ``stays.read_deaths``.
        demographics: The persons.
        spans: Of :func:`record_spans`.
        task: The task.
        end_of_data: Last day of the records.
        seed: Decides which index date is kept, where one is drawn at random.

    Returns:
        ``person_id``; ``prediction_time``; ``label`` (0, 1; null where it is unknown); ``outcome_days``
        and ``followed_days`` from the prediction to the outcome and to the end of the follow-up, at most
        to that of the horizon; ``age`` (years) and ``gender``; ``task``; and ``reason``, null for those
        that become labels.
    """
    rows = _index_dates(task_events, visits, demographics, task)
    rows = _with_persons(rows, demographics, deaths, spans)
    names = {
        name for name, where in task.named() if not where.startswith(("index.event", "events"))
    }
    rows = rows.left_join(_times_by_event(task_events, sorted(names)), "person_id").drop(
        "person_id_right"
    )
    rows = _with_window(rows, task.outcome, task.follow_up.ends, end_of_data)
    rows = _with_outcome(rows, task)
    rows = rows.mutate(reason=_first_reason(rows, task))
    rows = _one_of_each(rows, task.index, seed)
    return rows.select(
        "person_id",
        "prediction_time",
        label=ibis.cases((rows.known, rows.outcome.cast("int64"))),
        outcome_days=_days(rows.prediction_time, rows.outcome_time),
        followed_days=_days(rows.prediction_time, rows.followed),
        age=rows.age.cast("int32"),
        gender=rows.gender,
        task=ibis.literal(task.name),
        reason=rows.reason,
    )


def _index_dates(
    task_events: ir.Table, visits: ir.Table, demographics: ir.Table, task: TaskOptions
) -> ir.Table:
    """Return ``person_id, prediction_time, stay_start, stay_end, is_first``."""
    index = task.index
    no_stay = {name: ibis.null("timestamp") for name in ("stay_start", "stay_end")}
    if index.visits:
        stays = merged_stays(visits, index.visits, task.merge_hours)
        rows = stays.mutate(time=stays[f"stay_{index.at}"].coalesce(stays.stay_start))
    elif index.event:
        rows = task_events.filter(_.event == index.event).select("person_id", "time")
        rows = rows.distinct().mutate(**no_stay)
    else:
        days = [{"time": datetime.combine(day, datetime.min.time())} for day in index.dates]
        dates = small_table(days, ibis.schema({"time": "timestamp"}))
        rows = demographics.select("person_id").cross_join(dates).mutate(**no_stay)
    time = rows.time + ibis.interval(seconds=round(index.hours_after * 3600))
    if index.end_of_day:
        time = _midnight(time) + DAY - MINUTE
    order = ibis.window(group_by="person_id", order_by=["time", "stay_start", "stay_end"])
    return rows.select(
        "person_id",
        "stay_start",
        "stay_end",
        prediction_time=time,
        is_first=ibis.row_number().over(order) == 0,
    )


def _with_persons(
    rows: ir.Table, demographics: ir.Table, deaths: ir.Table, spans: ir.Table
) -> ir.Table:
    """Return the rows with what is known of the person: ``age, gender, died, first, last``."""
    died = deaths.filter(_.reason.isnull()).group_by("person_id").agg(died=_.time.min())
    persons = demographics.select("person_id", "birth_date", "gender")
    for table in (died, spans):
        persons = persons.left_join(table, "person_id").drop("person_id_right")
    joined = rows.inner_join(persons, "person_id")
    return joined.mutate(age=age_at(joined))


def age_at(rows: ir.Table) -> ir.IntegerValue:
    """Return the years from ``birth_date`` to ``prediction_time``."""
    years = rows.prediction_time.year() - rows.birth_date.year()
    birthday = rows.birth_date.month() * 100 + rows.birth_date.day()
    today = rows.prediction_time.month() * 100 + rows.prediction_time.day()
    return years - (today < birthday).cast("int32")


def _times_by_event(task_events: ir.Table, names: Sequence[str]) -> ir.Table:
    """Return a row per person with the times of each event as a list, named ``times_EVENT``."""
    lists = {f"times_{name}": _.time.collect(where=_.event == name) for name in names}
    return task_events.group_by("person_id").agg(**lists or {"nothing": _.count()})


def _with_window(
    rows: ir.Table, outcome: OutcomeOptions, ends: str, end_of_data: datetime
) -> ir.Table:
    """Return the rows with ``begin`` and ``end`` of the horizon, and ``followed``: an end is excluded."""
    today = _midnight(rows.prediction_time)
    begin, end = (today + ibis.interval(days=day) for day in (outcome.days[0], outcome.days[1] + 1))
    if outcome.stay_days is not None:
        begin, end = today, _midnight(rows.stay_end) + DAY
    elif outcome.until_discharge:
        end = ibis.least(end, _midnight(rows.stay_end) + DAY)
    last = rows["last"] if ends == "last_record" else ibis.literal(end_of_data)
    followed = _midnight(last) + DAY
    return rows.mutate(begin=begin, end=end, followed=ibis.least(followed, end))


def _with_outcome(rows: ir.Table, task: TaskOptions) -> ir.Table:
    """Return the rows with ``outcome``, ``outcome_time``, ``dies`` (without it) and ``known``."""
    outcome, rule = task.outcome, task.follow_up
    if outcome.stay_days is not None:
        wanted = round(outcome.stay_days * 86_400)
        seconds = rows.stay_end.epoch_seconds() - rows.stay_start.epoch_seconds()
        reached = rows.stay_start + ibis.interval(seconds=wanted)
        seen, followed = ibis.cases((seconds >= wanted, reached)), rows.stay_end.notnull()
    else:
        seen = _first_within(rows, f"times_{outcome.event}")
        followed = (rows.followed >= rows.end).fill_null(False)
    rows = rows.mutate(seen=seen, dead=(rows.died < rows.end).fill_null(False))
    # What is recorded after the day of the death, such as the codes of a bill, does not undo it.
    too_late = (_midnight(rows.died) < _midnight(rows.seen)).fill_null(False)
    dies = rows.dead & (rows.seen.isnull() | too_late)
    happened = rows.seen.notnull() & ~dies
    # To leave out the dead without the outcome, and not those with it, would choose by the outcome.
    to_the_end = followed | rows.dead if _death_answers(task) else followed & ~rows.dead
    known = {
        "negative": ibis.literal(True),
        "censored": followed | rows.dead | happened,
        "exclude": to_the_end,
    }[rule.incomplete]
    if_dies = rule.death in ("negative", "outcome") or (
        rule.death == "censored" and rule.incomplete == "negative"
    )
    death = ibis.cases((dies & (rule.death == "outcome"), rows.died))
    return rows.mutate(
        outcome=happened | death.notnull(),
        outcome_time=ibis.ifelse(dies, death, rows.seen),
        dies=dies,
        known=ibis.ifelse(dies, ibis.literal(if_dies), known),
    )


def _death_answers(task: TaskOptions) -> bool:
    """Return whether it is known of the dead to the end of the horizon if they had the outcome."""
    event = task.outcome.event
    is_outcome = event is not None and any(task.events[leaf].death for leaf in task.leaves(event))
    return is_outcome or task.follow_up.death in ("negative", "outcome")


def _first_within(rows: ir.Table, times: str) -> ir.TimestampValue:
    """Return the first of the times after the prediction and within the horizon."""
    within = rows[times].filter(
        lambda time: (time > rows.prediction_time) & (time >= rows.begin) & (time < rows.end)
    )
    return within.mins()


def _any_until(rows: ir.Table, name: str) -> ir.BooleanValue:
    """Return whether there is such an event until the prediction."""
    seen = rows[f"times_{name}"].filter(lambda time: time <= rows.prediction_time)
    return (seen.length() > 0).fill_null(False)


def _first_reason(rows: ir.Table, task: TaskOptions) -> ir.StringValue:
    index, rule, outcome = task.index, task.follow_up, task.outcome
    day, history = rows.prediction_time.date(), _days(rows["first"], rows.prediction_time)
    lowest, highest = index.age
    lost: dict[str, ir.BooleanValue | bool] = {
        CALENDAR: _either(index.since and day < index.since, index.until and day > index.until),
        NOT_FIRST: index.first_ever and ~rows.is_first,
        AGE: _either(
            (lowest is not None) and ~(rows.age >= lowest).fill_null(False),
            (highest is not None) and ~(rows.age < highest).fill_null(False),
        ),
        SEX: bool(index.sex) and ~rows.gender.isin(index.sex).fill_null(False),
        NO_RECORD: ~(rows["first"] <= rows.prediction_time).fill_null(False),
        SHORT_HISTORY: history < index.min_history,
        LONG_HISTORY: index.max_history is not None and history > index.max_history,
        DEAD: _dead(rows, index),
        NOT_IN: index.still_in and (rows.stay_end <= rows.prediction_time).fill_null(False),
        NO_END: _needs_end(task) and rows.stay_end.isnull(),
        REACHED: outcome.stay_days is not None
        and (rows.seen <= rows.prediction_time).fill_null(False),
        HAVING: _either(*(~_any_until(rows, name) for name in index.having)),
        WITHOUT: _either(*(_any_until(rows, name) for name in index.without)),
        BEFORE: _outcome_before(rows, outcome),
        DIED: rows.dies & ~rows.known,
        LOST: ~rows.known,
        UNMEASURED: rule.measured is not None
        and ~rows.outcome & _first_within(rows, f"times_{rule.measured}").isnull(),
    }
    assert list(lost) == list(REASONS[: len(lost)])
    return ibis.cases(*((_boolean(condition), reason) for reason, condition in lost.items()))


def _dead(rows: ir.Table, index: IndexOptions) -> ir.BooleanValue:
    """Return whether the person is dead at the prediction, or on that day where only the day is known.

    Such a death has the time 00:00:00, as dates have. What is predicted at the end of a day is after all of it.
    """
    died = _midnight(rows.died) if index.end_of_day else rows.died
    return died <= rows.prediction_time


def _needs_end(task: TaskOptions) -> bool:
    outcome = task.outcome
    return task.index.at == "end" or outcome.until_discharge or outcome.stay_days is not None


def _outcome_before(rows: ir.Table, outcome: OutcomeOptions) -> ir.BooleanValue | bool:
    """Return whether the outcome was there before its horizon begins, or in the washout before it."""
    if outcome.event is None or not (outcome.first_ever or outcome.washout):
        return False
    earliest = _midnight(rows.prediction_time) - ibis.interval(days=outcome.washout or 0)
    everything = ibis.literal(outcome.first_ever)
    seen = rows[f"times_{outcome.event}"].filter(
        lambda time: (
            ((time <= rows.prediction_time) | (time < rows.begin))
            & (everything | (time >= earliest))
        )
    )
    return (seen.length() > 0).fill_null(False)


def _one_of_each(rows: ir.Table, index: IndexOptions, seed: int) -> ir.Table:
    """Return the rows with the reason of those that share a prediction time, or are not kept."""
    order = ["prediction_time", "stay_start", "stay_end"]
    rows = rows.mutate(kept=rows.reason.isnull())
    same = ibis.window(group_by=["person_id", "kept", "prediction_time"], order_by=order)
    repeated = rows.kept & (ibis.row_number().over(same) > 0)
    rows = rows.mutate(reason=ibis.cases((repeated, SAME_TIME), else_=rows.reason))
    if index.keep == "every":
        return rows
    rows = rows.mutate(kept=rows.reason.isnull(), drawn=_digest(rows, seed))
    by = ["drawn"] if index.keep == "random" else []
    year = [rows.prediction_time.year().name("year")] if index.keep == "yearly" else []
    among = ibis.window(group_by=["person_id", "kept", *year], order_by=[*by, "prediction_time"])
    later = rows.kept & (ibis.row_number().over(among) > 0)
    return rows.mutate(reason=ibis.cases((later, NOT_KEPT), else_=rows.reason))


def _digest(rows: ir.Table, seed: int) -> ir.StringValue:
    second = rows.prediction_time.epoch_seconds().cast("int64").cast("string")
    return (ibis.literal(f"{seed}:") + rows.person_id.cast("string") + ":" + second).hexdigest(
        "md5"
    )


def _midnight(time: ir.TimestampValue) -> ir.TimestampValue:
    return time.truncate("D")


def _days(start: ir.TimestampValue, end: ir.TimestampValue) -> ir.IntegerValue:
    return end.date().delta(start.date(), unit="day").cast("int32")


def _either(*conditions: ir.BooleanValue | bool | None) -> ir.BooleanValue | bool:
    asked = [condition for condition in conditions if isinstance(condition, ir.BooleanValue)]
    return ibis.or_(*asked) if asked else False


def _boolean(condition: ir.BooleanValue | bool) -> ir.BooleanValue:
    return condition if isinstance(condition, ir.BooleanValue) else ibis.literal(bool(condition))

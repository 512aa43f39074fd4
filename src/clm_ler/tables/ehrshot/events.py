"""The events of the EHRSHOT benchmark as the rows of a site.

Two releases are read: EHRSHOT_ASSETS (one CSV) and EHRSHOT_MEDS (Parquet); columns go by name, so
an index column in front or another order does not matter. Every event is in one of three tables:
who a person is, codes, results.
"""

import ibis
import ibis.expr.types as ir
from ibis import _

from clm_ler.engines.portable import finite, sum_int64, trim
from clm_ler.tables.labs.parsing import plain_number
from clm_ler.tables.persons import person_key
from clm_ler.tokens import BASELINE

NO_SYSTEM = "MEDS"  # of a code without a slash
BIRTHS = (("SNOMED", "3950001"), (NO_SYSTEM, "MEDS_BIRTH"))
_LAYOUTS = {
    "EHRSHOT_ASSETS": {"patient_id", "start", "code", "value", "unit"},
    "EHRSHOT_MEDS": {"subject_id", "time", "code", "numeric_value", "text_value", "unit"},
}


def read_events(ehrshot_events: ir.Table) -> ir.Table:
    """Return every event of either release: person_id, time, system, code, value, text, unit.

    ``time`` is the start of the event, null where it cannot be read; ``end`` and ``visit_id`` are
    left behind, because the end of a visit under way tells the future. ``system`` and ``code`` are
    parted at the first slash; ``value`` is the result where it is a number, ``text`` where not.

    Raises:
        ValueError: If the columns are those of neither release.
    """
    raw = ehrshot_events
    layout = _layout(raw)
    if layout == "EHRSHOT_MEDS":
        raw = raw.rename(patient_id="subject_id", start="time")
        # By way of its text: as float32, 7.1 is a little less, and may be on the other side of a bin.
        number = raw.numeric_value.cast("string").try_cast("float64")
        text = trim(raw.text_value.cast("string")).nullif("")
    else:
        text = trim(raw.value.cast("string")).nullif("")
        number = plain_number(text)
    number = finite(number)
    code = raw.code.cast("string")
    slash = code.find("/")
    return raw.select(
        person_id=person_key(raw.patient_id),
        time=raw.start.try_cast("timestamp"),
        system=ibis.ifelse(slash < 0, NO_SYSTEM, code.substr(0, slash)),
        code=ibis.ifelse(slash < 0, code, code.substr(slash + 1)),
        value=number,
        text=ibis.ifelse(number.isnull(), text, ibis.null("string")),
        unit=raw.unit.cast("string").nullif(""),
    )


def count_source_codes(ehrshot_timeline: ir.Table) -> ir.Table:
    """Return the distinct codes of the events as a site's are spelt: ``system``, ``code``, ``events``."""
    counts = ehrshot_timeline.filter(_.code.notnull()).group_by("system", "code").agg(n=_.count())
    spelt = counts.mutate(system=trim(counts.system), code=trim(counts.code))
    return spelt.group_by("system", "code").agg(events=lambda t: sum_int64(t.n))


def patient_rows(timeline: ir.Table) -> ir.Table:
    """Return a row for each person: ``birth_date`` and, as their codes, the other demographics.

    What is told of somebody after the day of the first other event is not known: a prediction may come
    before it, and race is told otherwise now and then.
    """
    other = ~_is_demographic(timeline)
    persons = timeline.group_by("person_id").agg(
        birth_date=timeline.time.min(where=_is_birth(timeline)).date(),
        first_day=timeline.time.min(where=other).date(),
    )
    told = timeline.filter(_is_demographic(timeline)).select(
        "time", "system", "code", who="person_id"
    )
    rows = persons.left_join(told, persons.person_id == told.who)
    late = (rows.time.date() > rows.first_day).fill_null(False)
    codes = {
        column: rows.code.min(where=(rows.system.upper() == name) & ~late)
        for name, column in BASELINE.items()
    }
    return rows.group_by("person_id", "birth_date").agg(**codes)


def coded_rows(timeline: ir.Table) -> ir.Table:
    """Return person_id, time, system and code of what has no number, visits and care sites included."""
    coded = timeline.filter(timeline.value.isnull() & ~_is_demographic(timeline))
    return coded.select("person_id", "time", "system", "code")


def lab_rows(timeline: ir.Table) -> ir.Table:
    """Return person_id, time, system, code, value and unit (empty: none) of what has a number."""
    measured = timeline.filter(timeline.value.notnull() & ~_is_demographic(timeline))
    unit = _.unit.fill_null("")  # as conversions name it
    return measured.select("person_id", "time", "system", "code", "value", unit=unit)


def count_tokens(timeline: ir.Table, binned: ir.Table) -> ir.Table:
    """Return what the count baselines count: person_id, time, token, official.

    ``official`` marks the codes of events without a value: the official baseline counts nothing
    else (it leaves out every result). The stronger one also counts that a test was done, its bin,
    and results in words.

    Args:
        timeline: What :func:`read_events` returns.
        binned: The tokens of its numbers: :func:`clm_ler.tables.labs.results.lab_tokens`.
    """
    dated = timeline.filter(timeline.time.notnull())
    code = dated.system + "/" + dated.code
    done = dated.select("person_id", "time", token=code, official=_has_no_value(dated))
    words = dated.filter(dated.text.notnull()).select(
        "person_id", "time", token=_.system + "/" + _.code + "=" + _.text, official=False
    )
    bins = binned.select("person_id", "time", "token", official=False)
    return done.union(words).union(bins)


def valued_events(timeline: ir.Table, unit_conversions: ir.Table) -> ir.Table:
    """Return every dated event with its result: person_id, time, token, value.

    ``value`` is in the lab's base unit, null where there is no number or its unit does not convert;
    results in words are part of the token.
    """
    dated = timeline.filter(timeline.time.notnull() & timeline.code.notnull())
    dated = dated.mutate(unit=dated.unit.fill_null(""))
    units = unit_conversions.filter(_.status != "unconvertible")
    lab = ["system", "code", "unit"]
    rows = dated.left_join(units.select(*lab, "factor", "offset"), lab)
    rows = rows.select(*dated.columns, "factor", "offset")
    code = rows.system + "/" + rows.code
    return rows.select(
        "person_id",
        "time",
        token=ibis.ifelse(rows.text.isnull(), code, code + "=" + rows.text),
        value=rows.value * rows.factor + rows.offset,
    )


def _layout(raw: ir.Table) -> str:
    for name, columns in _LAYOUTS.items():
        if columns <= set(raw.columns):
            return name
    layouts = "; ".join(f"{name} has {', '.join(sorted(cols))}" for name, cols in _LAYOUTS.items())
    # Without a header, the columns are called as the first person's values are.
    known = set().union(*_LAYOUTS.values()) & {*raw.columns}
    found = f"Found: {', '.join(raw.columns)}." if known else "Does it begin with a header?"
    raise ValueError(f"ehrshot_events has the columns of neither release: {layouts}. {found}")


def _is_demographic(timeline: ir.Table) -> ir.BooleanValue:
    """Return whether the event tells who the person is; false where the code is missing."""
    described = timeline.system.upper().isin(list(BASELINE)) | _is_birth(timeline)
    return described.fill_null(False)


def _is_birth(timeline: ir.Table) -> ir.BooleanValue:
    first, second = (
        (timeline.system == system) & (timeline.code == code) for system, code in BIRTHS
    )
    return first | second


def _has_no_value(timeline: ir.Table) -> ir.BooleanValue:
    return timeline.value.isnull() & timeline.text.isnull()

"""Raw rows to rows that can be used: each row that cannot be has a reason, and is counted."""

import logging
from collections.abc import Sequence

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
from ibis import _

from clm_ler.engines.portable import sum_int64, trim
from clm_ler.tables.labs.parsing import PUBLISHED, ResultOptions, read_numbers, read_texts
from clm_ler.tables.sources import RAW_TABLES
from clm_ler.tokens import BASELINE

logger = logging.getLogger(__name__)

# Lost because the configuration says so, not because the data are odd.
DELIBERATE = ("filter_expr", "event_date_filter")
NO_PERSON = "no person_id"
NO_DATE = "no date that can be read"
PLACEHOLDER_BIRTH = "placeholder birth date"
UNREADABLE_BIRTH = "birth date that cannot be read"
BLANKED = (PLACEHOLDER_BIRTH, UNREADABLE_BIRTH)  # the person stays, without the date
NO_TOKEN = "code without a token"
PLACEHOLDER_CODE = "placeholder code"
# A screened row has its table and its reason by number, which takes a sixteenth of the room.
TABLES = tuple(RAW_TABLES)
REASONS = (
    *("filter_expr", NO_PERSON, "person listed before", "person not in patient", "no code"),
    *(NO_DATE, "placeholder date", "before birth", "event_date_filter", NO_TOKEN),
    PLACEHOLDER_CODE,
)
_LAB_KEYS = ("system", "code", "unit")  # lost laboratory results are counted by them

Years = tuple[int, int]


def screen_patients(rows: ir.Table, years: Years) -> ir.Table:
    """Return every row in the types of ``demographics``, and why it is lost (see REASONS), or null.

    A birth date outside the plausible years, or one that is given and cannot be read, is taken as not
    known, and the person stays; ``blanked`` says why. Of several rows for one person one is kept, the first by its values.
    """
    birth = _as(rows.birth_date, "date")
    given = rows.birth_given if "birth_given" in rows.columns else rows.birth_date.notnull()
    texts = {name: _text(rows[name]) for name in ("gender", "race", "ethnicity", "region")}
    rows = rows.select(
        "passes_filter",
        "person_id",
        birth_date=ibis.cases((birth.year().between(*years), birth)),
        blanked=ibis.cases(
            (~birth.year().between(*years), PLACEHOLDER_BIRTH),
            (birth.isnull() & given, UNREADABLE_BIRTH),
        ),
        **texts,
    )
    same_person = ibis.window(
        group_by=["person_id", "passes_filter"], order_by=["birth_date", *texts]
    )
    return rows.mutate(
        table=_numbered("patient", TABLES),
        reason=first_reason(
            (~rows.passes_filter, "filter_expr"),
            (rows.person_id.isnull(), NO_PERSON),
            (ibis.row_number().over(same_person) > 0, "person listed before"),
        ),
    )


def screen_events(
    rows: ir.Table,
    demographics: ir.Table,
    table: str,
    years: Years,
    results: ResultOptions = PUBLISHED,
) -> ir.Table:
    """Return every row in the project's types, and why it is lost: the first reason that holds.

    A value that is no number is null; ``text`` has it where texts count as results.

    Args:
        rows: Selected rows: person_id, time, system, code, the two filters; value and unit of labs.
        demographics: The persons that there are, with their birth dates.
        table: The name of the raw table, for the ledger.
        years: The first and the last year that is no placeholder.
        results: Which results count; plain numbers by default.
    """
    born = demographics.select("birth_date", known_id="person_id")
    typed = rows.mutate(
        time=_as(rows.time, "timestamp"),
        system=_text(rows.system),
        code=_text(rows.code),
        **_lab_columns(rows, results),
    )
    joined = typed.left_join(born, typed.person_id == born.known_id)
    reason = first_reason(
        (~joined.passes_filter, "filter_expr"),
        (joined.person_id.isnull(), NO_PERSON),
        (joined.known_id.isnull(), "person not in patient"),
        (joined.system.isnull() | joined.code.isnull(), "no code"),
        (joined.time.isnull(), NO_DATE),
        (~joined.time.year().between(*years), "placeholder date"),
        (joined.time.date() < joined.birth_date, "before birth"),
        (~joined.passes_date_filter, "event_date_filter"),
    )
    kept = [name for name in typed.columns if not name.startswith("passes_")]
    return joined.select(*kept, table=_numbered(table, TABLES), reason=reason)


def count_codes(
    demographics: ir.Table, screened_coded_events: ir.Table, screened_lab_events: ir.Table
) -> ir.Table:
    """Return the codes of the rows that are kept, as they are spelt: ``system, code, events, persons``.

    Demographic values are codes of the systems GENDER, RACE, ETHNICITY and REGION, an event each.
    """
    rows = [
        table.filter(table.reason.isnull()).select("system", "code", "person_id")
        for table in (screened_coded_events, screened_lab_events)
    ]
    rows += [
        demographics.filter(demographics[column].notnull()).select(
            system=ibis.literal(system), code=column, person_id="person_id"
        )
        for system, column in BASELINE.items()
    ]
    counts = {"events": _.count(), "persons": _.person_id.nunique()}
    return ibis.union(*rows).group_by("system", "code").agg(counts)


def count_rows(*screened: ir.Table) -> ir.Table:
    """Return rows and persons by table and reason, and in all (reason ``all``).

    Kept rows have no reason. Lost laboratory results are counted by system, code and unit.
    """
    by_person = ibis.union(*(_count_by_person(rows) for rows in screened))
    by_reason = by_person.group_by(["table", "reason", *_LAB_KEYS]).agg(
        rows=lambda t: sum_int64(t.rows), persons=_.person_id.count()
    )
    whole = by_person.group_by("table").agg(
        reason=ibis.literal("all"),
        **{name: ibis.null("string") for name in _LAB_KEYS},
        rows=lambda t: sum_int64(t.rows),
        persons=_.person_id.nunique(),
    )
    by_reason = by_reason.mutate(reason=by_reason.reason.cases(*enumerate(REASONS)))
    counts = by_reason.union(whole)
    return counts.mutate(table=counts.table.cases(*enumerate(TABLES)))


def count_years(*screened: ir.Table) -> ir.Table:
    """Return the kept rows by table and year."""
    rows = [
        table.filter(table.reason.isnull()).select("table", year=table.time.year().cast("int64"))
        for table in screened
    ]
    counts = ibis.union(*rows).group_by("table", "year").agg(rows=_.count())
    return counts.mutate(table=counts.table.cases(*enumerate(TABLES)))


def _count_by_person(screened: ir.Table) -> ir.Table:
    keys = _LAB_KEYS if "unit" in screened.columns else ()
    lost = screened.reason.notnull()
    texts = {name: ibis.cases((lost, screened[name].cast("string"))) for name in keys}
    group = ["table", "reason", *keys, "person_id"]
    counts = screened.mutate(texts).group_by(group).agg(rows=_.count())
    absent = {name: ibis.null("string") for name in _LAB_KEYS if name not in keys}
    return counts.mutate(absent).select("table", "reason", *_LAB_KEYS, "person_id", "rows")


def _numbered(text: str, texts: Sequence[str]) -> ir.IntegerScalar:
    """Return the place of a text among others, in one byte (Ibis would write a plain number)."""
    return ibis.literal(texts.index(text), "int32").cast("int8")


def first_reason(*reasons: tuple[ir.BooleanValue, str]) -> ir.IntegerValue:
    """Return the number of the first reason whose condition holds, null where none does."""
    return ibis.cases(*((condition, _numbered(text, REASONS)) for condition, text in reasons))


def _lab_columns(rows: ir.Table, results: ResultOptions) -> dict[str, ir.Column]:
    if "value" not in rows.columns:
        return {}
    number, unit = read_numbers(rows.value, results), _text(rows.unit)
    columns = {"value": number, "unit": unit.fill_null("") if results.without_unit else unit}
    if results.text_min_persons:
        columns["text"] = read_texts(rows.value, number)
    return columns


def _as(column: ir.Column, kind: str) -> ir.Column:
    """Return the column in a type, null where a value cannot be read."""
    return column if column.type() == dt.dtype(kind) else column.try_cast(kind)


def _text(column: ir.Column) -> ir.StringColumn:
    return trim(column.cast("string")).nullif("")

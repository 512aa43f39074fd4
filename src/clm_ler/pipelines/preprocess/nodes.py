"""Raw tables to token sequences."""

from functools import reduce

import ibis
import ibis.expr.types as ir
from ibis import _

from clm_ler.pipelines.preprocess.options import PreprocessOptions
from clm_ler.tables.codes import canonical_code
from clm_ler.tables.sources import select

PATIENT = {
    "person_id": "person_id",
    "px_birth_date": "birth_date",
    "px_gender": "gender",
    "px_race": "race",
    "px_ethnicity": "ethnicity",
    "px_region": "region",
}
CODED = {
    table: {
        "person_id": "person_id",
        "date": "time",
        f"{prefix}_code_type": "system",
        f"{prefix}_code": "code",
    }
    for table, prefix in {
        "diagnosis": "dx_diagnosis",
        "prescription": "rx_prescription",
        "procedure": "pr_procedure",
    }.items()
}
LAB = {
    "person_id": "person_id",
    "date": "time",
    "lx_lab_code_type": "system",
    "lx_lab_code": "code",
    "lx_result_val": "value",
    "lx_result_unit": "unit",
}


def select_demographics(patient: ir.Table, options: PreprocessOptions) -> ir.Table:
    """Return one row per person; a placeholder for a birth date is no birth date."""
    rows = select(patient, options.tables["patient"], PATIENT, "patient").filter(_.passes)
    first, last = options.plausible_years
    birth = rows.birth_date.cast("date")
    rows = rows.select(
        person_id=rows.person_id.cast("int64"),
        birth_date=birth.year().between(first, last).ifelse(birth, ibis.null("date")),
        **{name: rows[name].cast("string") for name in ("gender", "race", "ethnicity", "region")},
    ).filter(_.person_id.notnull())
    order = ibis.window(group_by="person_id", order_by=rows.columns[1:])
    return rows.mutate(rank=ibis.row_number().over(order)).filter(_.rank == 0).drop("rank")


def _screen(
    table: ir.Table, name: str, renames: dict, demographics: ir.Table, options: PreprocessOptions
) -> ir.Table:
    """Return every raw row in the project's columns with the reason why it is lost, null if not."""
    rows = select(table, options.tables[name], renames, name)
    system = rows.system.cast("string").strip()
    rows = rows.mutate(
        person_id=rows.person_id.cast("int64"),
        time=rows.time.cast("timestamp"),
        system=system.substitute(options.code_systems),
        code=canonical_code(system, rows.code.cast("string")).nullif(""),
    )
    births = demographics.select("birth_date", known_id="person_id")
    rows = rows.left_join(births, rows.person_id == births.known_id)
    first, last = options.plausible_years
    reason = ibis.cases(
        (~rows.passes, "filter_expr"),
        (rows.person_id.isnull(), "no person_id"),
        (rows.known_id.isnull(), "person not in patient"),
        (rows.system.isnull() | rows.code.isnull(), "no code"),
        (rows.time.isnull(), "no date that can be read"),
        (~rows.time.year().between(first, last), "placeholder date"),
        (rows.time.date() < rows.birth_date, "before birth"),
    )
    return rows.mutate(table=ibis.literal(name), reason=reason)


def select_coded_events(
    diagnosis: ir.Table | None,
    prescription: ir.Table | None,
    procedure: ir.Table | None,
    demographics: ir.Table,
    options: PreprocessOptions,
) -> ir.Table:
    """Return the coded events of all persons."""
    tables = {"diagnosis": diagnosis, "prescription": prescription, "procedure": procedure}
    screened = [
        _screen(table, name, CODED[name], demographics, options)
        for name, table in tables.items()
        if table is not None
    ]
    events = reduce(lambda left, right: left.union(right), screened)
    return events.filter(_.reason.isnull()).select("person_id", "time", "system", "code")


def select_lab_events(
    lab: ir.Table, demographics: ir.Table, options: PreprocessOptions
) -> ir.Table:
    """Return the laboratory results of all persons."""
    events = _screen(lab, "lab", LAB, demographics, options).filter(_.reason.isnull())
    return events.select(
        "person_id",
        "time",
        "system",
        "code",
        value=_.value.try_cast("float64"),
        unit=_.unit.cast("string"),
    )


def select_for_pretraining(sequences: ir.Table, options: PreprocessOptions) -> ir.Table:
    """Return the sequences that are long enough, in days and in tokens."""
    dates, positions = sequences.date, sequences.day_position_tokens
    days = positions[positions.length() - 1] - 1
    return sequences.filter(
        days >= options.number_of_days_threshold, dates.length() >= options.min_history_size
    )

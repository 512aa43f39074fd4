"""The rows of each raw table under the project's names: a function a table, as a notebook may ask for its source."""

import ibis
import ibis.expr.types as ir

from clm_ler.corridor.options import PreprocessOptions
from clm_ler.corridor.reading import read_rows
from clm_ler.tables.persons import person_key, with_keys

NO_ROWS = ibis.schema({"person_id": "int64"})


def select_rows(table: ir.Table | None, options: PreprocessOptions, name: str) -> ir.Table:
    """Return the rows of a raw table under the project's names and with keys of persons.

    A table that is not listed has none.

    Args:
        table: The raw table.
        options: How it is read.
        name: What it is called in ``preprocess.tables``.

    Raises:
        ValueError: If there is nothing of a listed table, or `patient` is not listed.
    """
    if name not in options.tables and name == "patient":
        raise ValueError(
            "preprocess.tables does not list `patient`, without which nobody is known."
        )
    if name not in options.tables:
        return ibis.memtable([], schema=NO_ROWS)
    if name == "patient":
        return with_keys(read_rows(table, name, options))
    rows = read_rows(table, name, options, options.event_date_filter)
    # Own ids are listed once, of the patients: another table may have the same numbers as texts.
    return rows.mutate(person_id=person_key(rows.person_id))


def select_patient_rows(patient: ir.Table | None, options: PreprocessOptions) -> ir.Table:
    """Return the rows of ``patient``: see :func:`select_rows`."""
    return select_rows(patient, options, "patient")


def select_diagnosis_rows(diagnosis: ir.Table | None, options: PreprocessOptions) -> ir.Table:
    """Return the rows of ``diagnosis``: see :func:`select_rows`."""
    return select_rows(diagnosis, options, "diagnosis")


def select_prescription_rows(prescription: ir.Table | None, options: PreprocessOptions) -> ir.Table:
    """Return the rows of ``prescription``: see :func:`select_rows`."""
    return select_rows(prescription, options, "prescription")


def select_procedure_rows(procedure: ir.Table | None, options: PreprocessOptions) -> ir.Table:
    """Return the rows of ``procedure``: see :func:`select_rows`."""
    return select_rows(procedure, options, "procedure")


def select_lab_rows(lab: ir.Table | None, options: PreprocessOptions) -> ir.Table:
    """Return the rows of ``lab``: see :func:`select_rows`."""
    return select_rows(lab, options, "lab")

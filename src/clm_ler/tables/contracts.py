"""What each table between the pipelines has to be.

Types are compared whenever a table is saved, at no cost. Rules about values read the stored table
and are checked on request. Messages name table, column, rule and count, never a value.
"""

from dataclasses import dataclass, field

import ibis
import ibis.expr.types as ir

from clm_ler.engines.portable import counts_of, row_count
from clm_ler.tokens import SPLITS

UNIT_STATUS = ("identity", "converted", "unconvertible")


@dataclass(frozen=True)
class Contract:
    """Columns and their types (``!`` = without nulls), keys, and the values that a column may have."""

    columns: dict[str, str]
    unique: tuple[str, ...] = ()
    values: dict[str, tuple[str, ...]] = field(default_factory=dict)


PERSON = {"person_id": "!int64"}
EVENT = PERSON | {"time": "!timestamp", "system": "!string", "code": "!string"}
LAB = {"system": "!string", "code": "!string"}

CONTRACTS = {
    "demographics": Contract(
        PERSON
        | {"birth_date": "date"}
        | dict.fromkeys(("gender", "race", "ethnicity", "region"), "string"),
        unique=("person_id",),
    ),
    "coded_events": Contract(EVENT),
    "lab_events": Contract(EVENT | {"value": "float64", "unit": "string"}),
    "person_ids": Contract(PERSON | {"own_id": "!string"}, unique=("person_id",)),
    "person_splits": Contract(
        PERSON | {"split": "!string"}, unique=("person_id",), values={"split": SPLITS}
    ),
    "unit_conversions": Contract(
        LAB
        | {"unit": "!string", "base_unit": "!string", "factor": "float64", "offset": "float64"}
        | {"n": "!int64", "status": "!string"},
        unique=("system", "code", "unit"),
        values={"status": UNIT_STATUS},
    ),
    "lab_percentiles": Contract(
        LAB
        | {"base_unit": "!string", "n": "!int64", "n_distinct": "!int64"}
        | {"boundaries": "!array<float64>"},
        unique=("system", "code"),
    ),
    "sequences": Contract(
        PERSON
        | {"split": "!string", "sorted_event_tokens": "!array<string>"}
        | {"day_position_tokens": "!array<int32>", "date": "!array<timestamp>"},
        unique=("person_id",),
        values={"split": SPLITS},
    ),
    "token_counts": Contract(
        {"token": "!string", "count": "!int64", "persons": "!int64", "code_persons": "!int64"},
        unique=("token",),
    ),
    "labels": Contract(
        PERSON | {"prediction_time": "timestamp", "label": "!int64", "task": "!string"}
    ),
}


def check_columns(name: str, table: ir.Table) -> None:
    """Compare columns and types; further columns are allowed.

    Raises:
        ValueError: With every column that is missing or of another type.
    """
    wanted = {column: kind.strip("!") for column, kind in CONTRACTS[name].columns.items()}
    faults = [f"no column '{column}'" for column in wanted if column not in table.columns]
    faults += [
        f"'{column}' is {table[column].type()}, not {kind}"
        for column, kind in wanted.items()
        if column in table.columns and _plain(table[column].type()) != _plain(ibis.dtype(kind))
    ]
    if faults:
        raise ValueError(f"Table {name} breaks its contract: {'; '.join(faults)}.")


def check_values(name: str, table: ir.Table) -> None:
    """Count what breaks the rules about values, in one pass, and two where rows have a key.

    Raises:
        ValueError: With the number of rows that break each rule.
    """
    contract = CONTRACTS[name]
    rules = {
        f"'{column}' is null": table[column].isnull()
        for column, kind in contract.columns.items()
        if kind.startswith("!")
    }
    for column, values in contract.values.items():
        rules[f"'{column}' is none of {', '.join(values)}"] = table[column].notin(values)
    counted = table.aggregate(
        [rule.fill_null(False).cast("int64").sum().name(text) for text, rule in rules.items()]
    )
    found = counts_of(counted)
    if contract.unique:
        repeated = row_count(table) - row_count(table.select(contract.unique).distinct())
        found[f"{', '.join(contract.unique)} repeated"] = repeated
    faults = [f"{text} in {count} rows" for text, count in found.items() if count]
    if faults:
        raise ValueError(f"Table {name} breaks its contract: {'; '.join(faults)}.")


def _plain(kind: ibis.expr.datatypes.DataType) -> str:
    """Return the type without what engines and files spell in different ways."""
    text = str(kind).replace("!", "")
    return text.replace("timestamp(6)", "timestamp").replace("timestamp(9)", "timestamp")

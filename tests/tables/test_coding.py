import logging

import ibis
import pytest

from clm_ler.tables.coding import MANY_ROWS, name_codes

CODES = {"system": "string", "code": "string"}


@pytest.mark.parametrize(
    "system, own, said",
    [
        ("ICD-10-CM", {}, None),
        ("LOCAL", {}, f"1 code systems of {MANY_ROWS} rows have no usual name"),
        ("LOCAL", {"LOCAL": "LOCAL"}, None),
        ("http://hospital.example/codes", {}, f"1 code systems of {MANY_ROWS} rows are addresses"),
        ("http://hospital.example/codes", {"http://hospital.example/codes": "LOCAL"}, None),
    ],
)
def test_systems_with_many_rows_that_nobody_has_named_are_told_once(system, own, said, caplog):
    caplog.set_level(logging.WARNING, "clm_ler")
    rows = [(system, f"c{number % 3}") for number in range(MANY_ROWS)] + [
        ("RARE", "x"),
        (None, "x"),
    ]
    named = name_codes(ibis.memtable(rows, schema=CODES), own)
    assert named.count().to_pyarrow().as_py() == len(rows)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == (said is not None)
    assert all(message.startswith(said) for message in messages)
    assert "LOCAL" not in caplog.text and "hospital" not in caplog.text

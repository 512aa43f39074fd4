import logging

import ibis
import pytest

from clm_ler.tables.coding import MANY_ROWS, name_codes
from clm_ler.tables.screening import PLACEHOLDER_CODE, REASONS

SPELT = [
    ("ICD 10 CM", "J45901", "ICD10CM", "J45.901"),
    ("ICD_9_CM", "25000", "ICD9CM", "250.00"),
    ("ICD9 Proc", "3601", "ICD9CM", "36.01"),
    ("DX10", "J45901", "ICD10CM", "J45.901"),  # the site's name of a system
    ("OPS9", "3601", "ICD9Proc", "36.01"),
    ("ICD10", "J45901", "MINE", "J45.901"),
]
OWN = {"DX10": "ICD10CM", "OPS9": "ICD9Proc", "ICD10": "MINE"}
CODES = {"system": "string", "code": "string", "reason": "int8"}


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
    rows = [(system, f"c{number % 3}", None) for number in range(MANY_ROWS)] + [
        ("RARE", "x", None),
        (None, "x", None),
    ]
    named = name_codes(ibis.memtable(rows, schema=CODES), own)
    assert named.count().to_pyarrow().as_py() == len(rows)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == (said is not None)
    assert all(message.startswith(said) for message in messages)
    assert "LOCAL" not in caplog.text and "hospital" not in caplog.text


@pytest.mark.parametrize(("system", "code", "named", "spelt"), SPELT)
def test_a_code_is_spelt_by_the_rules_of_its_system_however_that_is_written(
    system, code, named, spelt
):
    rows = name_codes(ibis.memtable([(system, code, None)], schema=CODES), OWN)
    (row,) = rows.to_pyarrow().to_pylist()
    assert row == {"system": named, "code": spelt, "reason": None}


@pytest.mark.parametrize("system", ["ICD-10-CM", "ICD9CM", "ICD9Proc", "LOCAL"])
@pytest.mark.parametrize("code", ["0", "000", "0000", "00000", "0.0"])
def test_a_code_of_zeros_is_a_placeholder_under_any_system(system, code):
    rows = name_codes(ibis.memtable([(system, code, None)], schema=CODES), {}, ["0"])
    (row,) = rows.to_pyarrow().to_pylist()
    assert row["reason"] == REASONS.index(PLACEHOLDER_CODE)

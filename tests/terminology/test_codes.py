import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clm_ler.terminology.codes import canonical_code, ndc_alternative, ndc_product
from tests.engines import both_engines

NDC_FORMS = {
    # 4-4-2, 5-3-2, 5-4-1, 5-4-2
    "0093-7214-01": "000937214",
    "50242-040-62": "502420040",
    "60575-4112-1": "605754112",
    "00093-7214-01": "000937214",
    # labeler and product alone
    "0093-7214": "000937214",
    "50242-040": "502420040",
    # digits only: 11, 9, 10 from 0, 10 otherwise
    "00093721401": "000937214",
    "000937214": "000937214",
    "0093721401": "000937214",
    "6057541121": "605754112",
    # asterisks, blanks
    "*0093-7214-01": "000937214",
    "50242-*040-62": "502420040",
    "60575-4112-*1": "605754112",
    "0009372140*": "000937214",
    " 0093-7214-01 ": "000937214",
    # none of these is one
    "93721401": None,
    "123456789012": None,
    "12345-67-89": None,
    "00937-21401": None,
    "prescription": None,
    "": None,
    None: None,
}


def run(backend, table, **columns):
    return backend.to_pyarrow(table.mutate(**columns)).to_pylist()


@both_engines
def test_every_ndc_form_gives_the_product_code(backend, as_table):
    codes = as_table([(code,) for code in NDC_FORMS], {"code": "string"})
    rows = run(backend, codes, product=ndc_product(codes.code))
    assert {row["code"]: row["product"] for row in rows} == NDC_FORMS


@both_engines
def test_ten_digits_have_a_second_reading_unless_they_begin_with_0(backend, as_table):
    forms = {
        "5024204062": "502420040",
        "0093721401": None,
        "00093721401": None,
        "0093-7214-01": None,
    }
    codes = as_table([(code,) for code in forms], {"code": "string"})
    rows = run(backend, codes, other=ndc_alternative(codes.code))
    assert {row["code"]: row["other"] for row in rows} == forms


CANONICAL = {
    ("ICD10CM", "J45.901"): "J45.901",
    ("ICD10CM", "J45901"): "J45.901",
    ("ICD10CM", "J45901\N{NO-BREAK SPACE}"): "J45.901",
    ("ICD-10-CM", "j45.901"): "J45.901",
    ("ICD 10 CM", "J45901"): "J45.901",
    ("icd_10_gm", "E1190"): "E11.90",
    ("ICD9 Proc", "3601"): "36.01",
    ("ICD10CM", "J45"): "J45",
    ("ICD10CM", "J45."): "J45",
    ("ICD10CM", "S52501A"): "S52.501A",
    ("ICD10", "I219"): "I21.9",
    ("ICD10CM", "J45-J45.99"): "J45-J45.99",
    ("ICD9CM", "49390"): "493.90",
    ("ICD9CM", "V1254"): "V12.54",
    ("ICD-9-CM", "E8889"): "E888.9",
    ("ICD9CM", "E888"): "E888",
    ("ICD9CM", "360.1"): "360.1",
    ("ICD9CM", "36.01"): "36.01",
    ("ICD9Proc", "3601"): "36.01",
    ("ICD10PCS", "0dtj4zz"): "0DTJ4ZZ",
    ("HCPCS", "j1815"): "J1815",
    ("LOINC", "4548-4"): "4548-4",
    ("SNOMED", "195967001"): "195967001",
    ("SNOMED", "195967001.0"): "195967001",
    ("ICD9CM", "250.0"): "250.0",
    ("RXNORM", " 860975 "): "860975",
    ("NDC", "0093-7214-01"): "000937214",
    ("NDC", "00093721401.0"): "000937214",
    ("NDC", "no code"): "NO CODE",
}


@both_engines
def test_canonical_code(backend, as_table):
    codes = as_table(list(CANONICAL), {"system": "string", "code": "string"})
    rows = run(backend, codes, canonical=canonical_code(codes.system, codes.code))
    assert {(row["system"], row["code"]): row["canonical"] for row in rows} == CANONICAL


@both_engines
def test_a_canonical_code_stays_as_it_is(backend, as_table):
    rows = [(system, code) for (system, _), code in CANONICAL.items()]
    codes = as_table(rows, {"system": "string", "code": "string"})
    for row in run(backend, codes, canonical=canonical_code(codes.system, codes.code)):
        assert row["canonical"] == row["code"]


@pytest.fixture(scope="module")
def duckdb():
    import ibis

    return ibis.duckdb.connect()


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    labeler=st.integers(10_000, 99_999) | st.integers(2, 999),
    product=st.integers(0, 9999),
    package=st.integers(0, 99),
)
def test_all_layouts_of_a_package_agree(duckdb, labeler, product, package):
    """One package, written in every layout that FDA's rules allow it, is one product."""
    import ibis

    forms = [f"{labeler:05}-{product:04}-{package:02}", f"{labeler:05}{product:04}{package:02}"]
    if labeler < 1000:
        forms += [
            f"{labeler:04}-{product:04}-{package:02}",
            f"{labeler:04}{product:04}{package:02}",
        ]
    else:
        forms += [f"{labeler}-{product:03}-{package:02}"] if product < 1000 else []
        forms += [f"{labeler}-{product:04}-{package}"] if package < 10 else []
        forms += [f"{labeler}{product:04}{package}"] if package < 10 else []
    codes = ibis.memtable({"code": forms})
    found = duckdb.to_pyarrow(codes.select(product=ndc_product(codes.code)))["product"]
    assert set(found.to_pylist()) == {f"{labeler:05}{product:04}"}

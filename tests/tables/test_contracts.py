import pytest

from clm_ler.tables.contracts import check_columns, check_values

SPLITS = {"person_id": "int64", "split": "string"}


def test_a_table_that_keeps_its_contract_passes(as_table):
    table = as_table([(1, "train"), (2, "valid")], SPLITS)
    check_columns("person_splits", table)
    check_values("person_splits", table)


@pytest.mark.parametrize(
    ("schema", "row", "message"),
    [
        ({"person_id": "int64"}, (1,), "no column 'split'"),
        (
            {"person_id": "string", "split": "string"},
            ("1", "train"),
            "'person_id' is string, not int64",
        ),
    ],
)
def test_types_are_compared(as_table, schema, row, message):
    with pytest.raises(ValueError, match=f"Table person_splits .*{message}"):
        check_columns("person_splits", as_table([row], schema))


def test_values_are_counted_and_never_shown(as_table):
    table = as_table([(77, "train"), (77, "secret"), (None, None)], SPLITS)
    with pytest.raises(ValueError) as error:
        check_values("person_splits", table)
    message = str(error.value)
    assert "'person_id' is null in 1 rows" in message
    assert "'split' is none of train, valid, test in 1 rows" in message
    assert "person_id repeated in 1 rows" in message
    assert "secret" not in message and "77" not in message

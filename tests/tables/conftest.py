from datetime import datetime

import pytest

BIRTH = datetime(1980, 5, 5)


@pytest.fixture
def sequences(as_table):
    """Sequences of persons: number, split, days and dates of their events, behind two baseline tokens."""
    schema = {
        "person_id": "int64",
        "split": "string",
        "day_position_tokens": "array<int32>",
        "date": "array<timestamp>",
    }
    return lambda *people: as_table(
        [(n, split, [0, 0, *days], [BIRTH, BIRTH, *dates]) for n, split, days, dates in people],
        schema,
    )

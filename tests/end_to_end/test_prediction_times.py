"""Risks and embeddings of a user's own persons, whose ids are texts, at times of the user's own."""

import shutil
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.end_to_end.test_examples import LAX, tables  # noqa: F401

TIMES = [
    ("a-1", "2020-02-03T12:00:00+00:00"),  # between the diagnosis and the drug
    ("a-1", "2021-06-01"),
    ("b-2", "2021-06-01"),
    ("b-2", "2019-01-01"),  # before anything happened
]
SEEN = [(person, datetime.fromisoformat(time).replace(tzinfo=None)) for person, time in TIMES[:3]]


@pytest.fixture
def asked(tmp_path):
    """A storage in which the times are."""
    folder = tmp_path / "out" / "01_raw" / "prediction_times"
    folder.mkdir(parents=True)
    columns = dict(zip(["person_id", "prediction_time"], zip(*TIMES, strict=True), strict=True))
    pq.write_table(pa.table({k: list(v) for k, v in columns.items()}), folder / "0.parquet")
    (folder / "_SUCCESS").touch()
    return tmp_path / "out"


def told(table, *columns):
    rows = table.select("own_id", "prediction_time", *columns).to_pyarrow().to_pylist()
    return {(row["own_id"], row["prediction_time"]): row[columns[0]] for row in rows}


def test_predict(chain, storage, kedro_run, asked, tables):  # noqa: F811
    given = {"tables": str(tables), "trained": str(storage), "preprocess": LAX}
    catalog = kedro_run(asked, ["predict"], "examples/own_tables", **given)
    risks = told(catalog.load("predictions"), "probabilities")
    assert sorted(risks) == SEEN
    assert all(sum(values) == pytest.approx(1) for values in risks.values())
    # What comes later than the time is not seen.
    assert risks[SEEN[0]] != risks[SEEN[1]]


def test_embed_at(chain, storage, kedro_run, asked, tables):  # noqa: F811
    for part in ("04_feature/tokenizer", "06_models/pretrained_model"):
        shutil.copytree(storage / part, asked / part)
    pipelines = ["split", "preprocess", "embed_at"]
    given = {"tables": str(tables), "preprocess": LAX}
    catalog = kedro_run(asked, pipelines, "examples/own_tables", **given)
    vectors = told(catalog.load("timed_embeddings"), "embedding")
    assert sorted(vectors) == SEEN
    assert len({tuple(vector) for vector in vectors.values()}) == 3

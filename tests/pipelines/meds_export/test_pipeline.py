import json
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
from kedro.io import DataCatalog
from kedro.runner import SequentialRunner
from kedro_datasets.ibis import FileDataset
from kedro_datasets.json import JSONDataset
from meds import (
    CodeMetadataSchema,
    DataSchema,
    DatasetMetadataSchema,
    SubjectSplitSchema,
    code_metadata_filepath,
    dataset_metadata_filepath,
    subject_splits_filepath,
)

from clm_ler.datasets.meds import MedsEventsDataset
from clm_ler.datasets.person_table import PersonTableDataset
from clm_ler.engines import engine_of
from clm_ler.pipelines.meds_export import create_pipeline
from tests.engines import both_engines

BIRTH, JAN, FEB = datetime(1980, 5, 5), datetime(2020, 1, 1, 3), datetime(2020, 2, 1)
SEQUENCES = pa.schema(
    {
        "person_id": pa.int64(),
        "split": pa.string(),
        "sorted_event_tokens": pa.list_(pa.string()),
        "day_position_tokens": pa.list_(pa.int64()),
        "date": pa.list_(pa.timestamp("us")),
    }
)
ROWS = [
    (
        person,
        split,
        ["AGE:39", "GENDER:F", "ICD10CM:J45.901", "LOINC:2345-7:30-40", "RXNORM:1"],
        [0, 0, 1, 1, 32],
        [BIRTH, BIRTH, JAN, JAN, FEB],
    )
    for person, split in enumerate(["train", "valid", "test"] * 20)
]


@both_engines
def test_the_folder_is_a_meds_dataset(backend, tmp_path, monkeypatch):
    connection = {"backend": "duckdb", "database": ":memory:"}
    root = tmp_path / "meds"

    def small(path):
        return FileDataset(str(root / path), connection=connection)

    sequences = PersonTableDataset(filepath=str(tmp_path / "s"), connection=connection)
    if engine_of(backend).distributed:  # its executors work for DuckDB
        cluster = engine_of(backend)
        monkeypatch.setattr(sequences.connection, "_cluster", cluster, raising=False)
    rows = [dict(zip(SEQUENCES.names, row, strict=True)) for row in ROWS]
    raw = tmp_path / "raw.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=SEQUENCES), raw)
    sequences.save(sequences.connection.read_parquet(raw))
    catalog = DataCatalog(
        {
            "sequences": sequences,
            "meds_sequences": MedsEventsDataset(filepath=str(root), connection=connection),
            "meds_subject_splits": small(subject_splits_filepath),
            "meds_codes": small(code_metadata_filepath),
            "meds_dataset": JSONDataset(filepath=str(root / dataset_metadata_filepath)),
        }
    )
    SequentialRunner().run(create_pipeline(), catalog)

    shards = [pq.ParquetFile(file).read() for file in root.glob("data/**/*.parquet")]
    for shard in shards:
        DataSchema.validate(shard)
        rows = [(row["subject_id"], row["time"] or datetime.min) for row in shard.to_pylist()]
        assert rows == sorted(rows)
    subjects = [set(shard["subject_id"].to_pylist()) for shard in shards]
    assert sum(map(len, subjects)) == len(set().union(*subjects)) == len(ROWS)
    events = pa.concat_tables(shards).filter(pa.compute.field("subject_id") == 7).to_pylist()
    assert [(row["time"], row["code"]) for row in events] == [
        (None, "GENDER//F"),
        (BIRTH, "MEDS_BIRTH"),
        (JAN, "ICD10CM//J45.901"),
        (JAN, "LOINC//2345-7//30-40"),
        (FEB, "RXNORM//1"),
    ]
    splits = pq.read_table(root / subject_splits_filepath)
    SubjectSplitSchema.validate(splits)
    assert set(splits["split"].to_pylist()) == {"train", "tuning", "held_out"}
    codes = CodeMetadataSchema.align(pq.read_table(root / code_metadata_filepath))
    assert set(codes["code"].to_pylist()) == {row["code"] for row in events}
    described = (root / dataset_metadata_filepath).read_text()
    DatasetMetadataSchema.validate(json.loads(described))
    SequentialRunner().run(create_pipeline(), catalog)
    again = (root / dataset_metadata_filepath).read_text()
    assert again == described, "the same input gives the same dataset"

"""The files of encoded sequences: uncompressed Arrow, which training maps into memory."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from fsspec import AbstractFileSystem

from clm_ler.storage.worker import Connection

LAST_DAY = int(np.iinfo(np.uint16).max)  # 179 years: only broken dates are beyond it
ROWS_PER_BATCH = 20_000  # bounds the memory of writing
SCHEMA = pa.schema(
    {
        "person_id": pa.int64(),
        "split": pa.string(),
        "input_ids": pa.list_(pa.int32()),
        "token_type_ids": pa.list_(pa.uint8()),
        "position_ids": pa.list_(pa.uint16()),
        "birth_to_start": pa.int32(),
    }
)


def write_encoded(
    connection: Connection, sql: str, path: str, filesystem: AbstractFileSystem
) -> None:
    """Write the rows of ``encode_sequences`` in the order of ``person_id``."""
    rows = connection.execute(f"FROM ({sql}) ORDER BY person_id")
    with filesystem.open(path, "wb") as stream, pa.ipc.new_file(stream, SCHEMA) as writer:
        for batch in rows.to_arrow_reader(ROWS_PER_BATCH):
            writer.write_batch(_narrow(batch))


def _narrow(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch in the types of the file; a day beyond ``LAST_DAY`` counts as that day."""
    days = batch["position_ids"]
    clipped: Any = pc.min_element_wise(days.flatten(), pa.scalar(LAST_DAY, days.type.value_type))
    offsets = pc.subtract(days.offsets, days.offsets[0])
    place = batch.schema.get_field_index("position_ids")
    narrow = batch.set_column(place, "position_ids", pa.ListArray.from_arrays(offsets, clipped))
    return narrow.select(SCHEMA.names).cast(SCHEMA)

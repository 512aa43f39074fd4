"""Tables that are made chunk after chunk."""

from collections.abc import Callable, Iterator

import pyarrow as pa

from clm_ler.files.progress import Progress


def stream(make: Callable[[int], pa.Table], chunks: int) -> pa.RecordBatchReader:
    """Return one record batch per chunk, made when it is asked for.

    Args:
        make: Makes the table of a chunk, by its number.
        chunks: Their number, one at least.
    """
    first = make(0)

    def batches() -> Iterator[pa.RecordBatch]:
        progress = Progress("simulation", chunks, "chunks")
        for chunk in range(chunks):
            made = first if chunk == 0 else make(chunk)
            yield from made.combine_chunks().to_batches()
            progress.step()

    return pa.RecordBatchReader.from_batches(first.schema, batches())

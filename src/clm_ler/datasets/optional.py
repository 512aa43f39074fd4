"""A table that a user may not have."""

import ibis.expr.types as ir

from clm_ler.datasets.chunked_table import ChunkedTableDataset


class OptionalTableDataset(ChunkedTableDataset):
    """A directory of Parquet files; ``load`` gives ``None`` where it is not there."""

    def load(self) -> ir.Table | None:
        """Return the stored table, or ``None``."""
        return super().load() if self._exists() else None

"""A table that several nodes of one run read, and nobody afterwards."""

from typing import Any

import ibis.expr.types as ir
from kedro.io import DatasetError
from kedro_datasets.ibis import TableDataset

from clm_ler.engines import engine_of


class TransientTableDataset(TableDataset):
    """Rows that DuckDB holds for this run: in its memory, and beyond its limit in its spill folder.

    They are dropped as soon as the last node has read them. Spark evaluates what was saved at each
    use, as it does with any expression.
    """

    _EPHEMERAL = True  # Kedro's advice on where to resume a run goes by it

    def __init__(self, **kwargs: Any) -> None:
        """Describe the table; arguments as for ``ibis.TableDataset``."""
        super().__init__(**kwargs)
        self._table: ir.Table | None = None

    def save(self, data: ir.Table) -> None:
        """Evaluate the expression."""
        self._release()
        self._table = engine_of(self.connection).materialize(self._table_name, data)

    def load(self) -> ir.Table:
        """Return the table."""
        if self._table is None:
            raise DatasetError(
                f"{self._table_name} is held during a run only: start from the node that makes it."
            )
        return self._table

    def _exists(self) -> bool:
        return self._table is not None

    def _release(self) -> None:
        if self._exists():
            engine_of(self.connection).drop(self._table_name)
        self._table = None

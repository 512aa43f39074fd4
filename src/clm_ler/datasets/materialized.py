"""A table that several nodes of one run read, and nobody afterwards."""

from typing import Any

import ibis.expr.types as ir
from kedro.io import DatasetError
from kedro_datasets.ibis import TableDataset

from clm_ler.datasets.passed_on import IN_FILES
from clm_ler.engines.duckdb import DuckDB


class MaterializedDataset(TableDataset):
    """Rows that DuckDB keeps for this run: in its memory, and beyond its limit in its spill folder.

    They are dropped as soon as the last node has read them.
    """

    _EPHEMERAL = True  # Kedro's advice on where to resume a run goes by it

    def __init__(self, **kwargs: Any) -> None:
        """Describe the table; arguments as for ``ibis.TableDataset``."""
        super().__init__(**kwargs)
        self._table: ir.Table | None = None

    def save(self, data: ir.Table) -> None:
        """Evaluate the expression."""
        self._release()
        self._table = DuckDB(self.connection).materialize(self._table_name, data)

    def load(self) -> ir.Table:
        """Return the table."""
        if self._table is None:
            raise DatasetError(
                f"{self._table_name} is there only in the run that makes it: {IN_FILES}"
            )
        return self._table

    def _exists(self) -> bool:
        return self._table is not None

    def _release(self) -> None:
        if self._exists():
            DuckDB(self.connection).drop(self._table_name)
        self._table = None

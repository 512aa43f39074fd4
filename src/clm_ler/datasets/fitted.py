"""A table that another run has fitted."""

from typing import Any

import ibis.expr.types as ir
from kedro_datasets.ibis import FileDataset


class FittedTableDataset(FileDataset):
    """A table below another run's storage; ``load`` gives ``None`` where no run is named."""

    def __init__(self, *, storage: str | None, path: str, **kwargs: Any) -> None:
        """Describe the table.

        Args:
            storage: The ``storage`` of the other run, or none.
            path: The table's path below it.
            kwargs: As for ``ibis.FileDataset``.
        """
        super().__init__(filepath=f"{storage}/{path}", **kwargs)
        self._named = storage is not None

    def load(self) -> ir.Table | None:
        """Return the other run's table, or ``None``."""
        return super().load() if self._named else None

"""A table that another run has fitted."""

from typing import Any

import ibis.expr.types as ir
from kedro_datasets.ibis import FileDataset


class FittedTableDataset(FileDataset):
    """A table below another run's storage; ``load`` gives ``None`` where no run is named."""

    def __init__(self, *, storage: str | None, file: str, **kwargs: Any) -> None:
        """Describe the table.

        Args:
            storage: The ``storage`` of the other run, or none.
            file: The table's path below it; under the name `path` Kedro would make it absolute.
            kwargs: As for ``ibis.FileDataset``.
        """
        super().__init__(filepath=f"{storage}/{file}", **kwargs)
        self._named = storage is not None

    def load(self) -> ir.Table | None:
        """Return the other run's table, or ``None``."""
        return super().load() if self._named else None

"""The events of a MEDS dataset as a catalog entry."""

from typing import Any, ClassVar

import ibis.expr.types as ir

from clm_ler.datasets.person_table import PersonTableDataset
from clm_ler.storage.worker import CopyParquet, Write


class MedsEventsDataset(PersonTableDataset):
    """``data/`` of a MEDS folder: a subject in one file, its rows together, in order of time.

    Written by person bucket, like any person table. Static rows, without a time, come first.
    """

    PERSON: ClassVar[str] = "subject_id"
    ORDER: ClassVar[tuple[str, ...]] = ("subject_id", "time", "code")

    def __init__(self, *, filepath: str, **kwargs: Any) -> None:
        """Describe the folder.

        Args:
            filepath: The folder of the MEDS dataset, which holds ``data`` and ``metadata``.
            kwargs: As for ``PersonTableDataset``.
        """
        super().__init__(filepath=f"{filepath}/data", **kwargs)

    def load(self) -> ir.Table:
        """Return all events."""
        return self._engine.read_parquet(self._stored().addresses())

    def _writer(self, data: ir.Table) -> Write:
        return CopyParquet(self._engine.parquet_options(data), self.ORDER)

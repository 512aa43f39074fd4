"""A local folder to work in as a catalog entry."""

from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from clm_ler.files.location import local_folder


class WorkspaceDataset(AbstractDataset[Any, Path]):
    """Where a node keeps what it needs to go on after it was killed, such as checkpoints.

    ``load`` gives the path of a local folder, which need not be there yet: that of the entry, or one
    of its own below ``data/tmp/work`` where the entry lies in an object store. A node reads and
    writes it by itself; nothing is ever saved to it.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        """Describe the folder.

        Args:
            filepath: A local folder, or a URL that a local one is to stand for.
            metadata: Free-form; ignored here.
        """
        self._filepath = filepath
        self.metadata = metadata

    def load(self) -> Path:
        """Return the local folder."""
        return Path(local_folder(self._filepath))

    def save(self, data: Any) -> NoReturn:
        """Refuse: what a node leaves there is its own business."""
        raise DatasetError(f"{self._filepath} is a folder to work in; no node returns it.")

    def _exists(self) -> bool:
        return self.load().exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}

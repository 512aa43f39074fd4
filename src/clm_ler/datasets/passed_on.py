"""What one node of a run passes on to the next: it is never stored, and nobody copies it."""

from typing import Any

from kedro.io import DatasetError, MemoryDataset

IN_FILES = (
    "start from the node that makes it, or keep it in files with --params=keep_intermediate=true "
    "from there on."
)


class PassedOnDataset(MemoryDataset):
    """An object as it is, such as a query that is not run yet."""

    def __init__(self, metadata: dict[str, Any] | None = None) -> None:
        """Describe it; ``metadata`` is for kedro-viz."""
        super().__init__(copy_mode="assign", metadata=metadata)

    def load(self) -> Any:
        """Return the object."""
        if not self._exists():
            raise DatasetError(f"This is there only in the run that makes it: {IN_FILES}")
        return super().load()

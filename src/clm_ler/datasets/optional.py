"""A catalog entry that a user may not have."""

import logging
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from clm_ler.files.location import dataset_location

logger = logging.getLogger(__name__)


class OptionalDataset(AbstractDataset[Any, Any]):
    """Any dataset; ``load`` gives ``None`` where there is nothing, unless it is required.

    ```yaml
    omop_concept:
      type: clm_ler.datasets.optional.OptionalDataset
      required: ${given:${runtime_params:vocabulary_root, null}}
      dataset:
        type: clm_ler.datasets.folder_query.FolderQueryDataset
        ...
    ```
    """

    def __init__(
        self,
        *,
        dataset: dict[str, Any],
        required: bool = False,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Describe the entry.

        Args:
            dataset: The entry that is wrapped; with a ``filepath`` of null, none is.
            required: Stop where there is nothing, because the user has said that there is.
            metadata: Free-form; that of the wrapped entry where none is given.
        """
        named = dataset.get("filepath", "") is not None
        self.wrapped = AbstractDataset.from_config("wrapped", dataset) if named else None
        self.metadata = metadata or dataset.get("metadata")
        self._required = required

    @classmethod
    def around(cls, wrapped: AbstractDataset[Any, Any]) -> "OptionalDataset":
        """Return an entry that may be absent around one that exists already."""
        optional = cls(dataset={"filepath": None})
        optional.wrapped, optional.metadata = wrapped, getattr(wrapped, "metadata", None)
        return optional

    def load(self) -> Any:
        """Return what the wrapped dataset loads, or ``None``.

        Raises:
            DatasetError: If there is nothing although it is required.
        """
        if self.wrapped is None:
            return None
        if self.wrapped.exists():
            return self.wrapped.load()
        if self._required:
            raise DatasetError(f"There is nothing at {dataset_location(self)}.")
        logger.debug("There is nothing at %s: going on without.", dataset_location(self))
        return None

    def save(self, data: Any) -> None:
        """Save with the wrapped dataset."""
        if self.wrapped is None:
            raise DatasetError("No place is named where this could be saved.")
        self.wrapped.save(data)

    def _exists(self) -> bool:
        return self.wrapped is not None and self.wrapped.exists()

    def _release(self) -> None:
        if self.wrapped is not None:
            self.wrapped.release()

    def _describe(self) -> dict[str, Any]:
        return {"dataset": self.wrapped and str(self.wrapped), "required": self._required}

"""What other runs have made of the same entry, to be set beside this run's."""

from collections.abc import Mapping
from typing import Any

from kedro.io import AbstractDataset, DatasetError


class ElsewhereDataset(AbstractDataset[Any, dict[str, Any]]):
    """One entry of several storages; loads as a dictionary, by the name that each storage is given.

    ```yaml
    ehrshot_other_cells:
      type: clm_ler.datasets.elsewhere.ElsewhereDataset
      storages: {native: data/native}
      below: 07_model_output/ehrshot_cells
      dataset: {type: clm_ler.datasets.cells.CellsDataset}
    ```
    """

    def __init__(
        self,
        *,
        storages: Mapping[str, str] | None,
        below: str,
        dataset: dict[str, Any],
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Describe the entry.

        Args:
            storages: The storage of each run, by name; none where there is no other run.
            below: Where the entry lies below a storage.
            dataset: The entry, without its ``filepath``.
            metadata: Free-form.
        """
        self.metadata = metadata
        self._parts = {
            name: AbstractDataset.from_config(name, dataset | {"filepath": f"{storage}/{below}"})
            for name, storage in (storages or {}).items()
        }

    def load(self) -> dict[str, Any]:
        """Return what each of the storages has."""
        return {name: part.load() for name, part in self._parts.items()}

    def save(self, data: dict[str, Any]) -> None:
        """Refuse: what other runs have made is theirs."""
        raise DatasetError("The storages of other runs are only read.")

    def _exists(self) -> bool:
        return all(part.exists() for part in self._parts.values())

    def _describe(self) -> dict[str, Any]:
        return {name: str(part) for name, part in self._parts.items()}

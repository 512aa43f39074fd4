"""Several tables under one name of the catalog."""

from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError


class TablesDataset(AbstractDataset[Any, dict[str, Any]]):
    """Datasets by name; ``load`` gives what each of them loads, nothing is written.

    ```yaml
    lab:
      type: clm_ler.datasets.tables.TablesDataset
      tables:
        labevents: {type: ibis.FileDataset, filepath: extract/labevents.parquet, ...}
        chartevents: {type: ibis.FileDataset, filepath: extract/chartevents.parquet, ...}
        d_items: {type: ibis.FileDataset, filepath: extract/d_items.csv, file_format: csv, ...}
    ```
    """

    def __init__(
        self, *, tables: dict[str, dict[str, Any]], metadata: dict[str, Any] | None = None
    ) -> None:
        """Describe the entry.

        Args:
            tables: The datasets by the names that parameters call them by.
            metadata: Free-form; ignored here.
        """
        self.tables = {
            name: AbstractDataset.from_config(name, config) for name, config in tables.items()
        }
        self.metadata = metadata

    def load(self) -> dict[str, Any]:
        """Return what each dataset loads, by name."""
        return {name: dataset.load() for name, dataset in self.tables.items()}

    def save(self, data: Any) -> NoReturn:
        """Refuse: the tables are the user's."""
        raise DatasetError("These tables are read only.")

    def _exists(self) -> bool:
        return all(dataset.exists() for dataset in self.tables.values())

    def _describe(self) -> dict[str, Any]:
        return {name: str(dataset) for name, dataset in self.tables.items()}

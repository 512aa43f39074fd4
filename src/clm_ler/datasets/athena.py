"""A table of an OMOP vocabulary as a catalog entry."""

import logging
from typing import Any

import fsspec
import ibis
import ibis.expr.types as ir
from kedro.io import DatasetError
from kedro_datasets.ibis import FileDataset

from clm_ler.tables.engine import read_literal_text

logger = logging.getLogger(__name__)


class AthenaDataset(FileDataset):
    """Load a vocabulary table as Athena delivers it, or its copy in Parquet.

    A ``.csv`` file has a header, tabs between fields, and quotes that belong to the text; any
    other file is read as Parquet. Column names come in lower case.

    ```yaml
    omop_concept:
      type: clm_ler.datasets.athena.AthenaDataset
      filepath: vocabulary/CONCEPT.csv
      columns: [concept_id, vocabulary_id, concept_code, standard_concept]
      connection: ${_connection}
    ```
    """

    def __init__(
        self,
        *,
        filepath: str,
        columns: list[str],
        optional: bool = False,
        connection: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Describe the file.

        Args:
            filepath: A local path or URL.
            columns: The columns to read, in lower case.
            optional: Give an empty table where the file is not there.
            connection: The Ibis connection that reads the file.
            fs_args: Passed on to the fsspec file system.
            metadata: Free-form; ignored here.
        """
        super().__init__(filepath, connection=connection, fs_args=fs_args, metadata=metadata)
        self._files, self._path = fsspec.core.url_to_fs(filepath, **(fs_args or {}))
        self._columns = columns
        self._optional = optional

    def load(self) -> ir.Table:
        """Return the wanted columns, lazily, as strings; an empty field is null."""
        if self._optional and not self._files.exists(self._path):
            logger.info("No OMOP vocabulary at %s: going on without", self._path)
            return ibis.memtable([], schema=dict.fromkeys(self._columns, "string"))
        path = self._fs_prefix + self._path
        if self._path.lower().endswith((".csv", ".csv.gz")):
            table = read_literal_text(self.connection, path, "\t")
        else:
            table = self.connection.read_parquet(path)
        table = table.rename({name.lower(): name for name in table.columns})
        if absent := sorted(set(self._columns) - set(table.columns)):
            raise DatasetError(f"{self._path} has no column {absent}")
        return table.select(table[name].cast("string").name(name) for name in self._columns)

    def save(self, data: ir.Table) -> None:
        """Refuse: a vocabulary is only read."""
        raise DatasetError(f"{self._path} is a vocabulary that is only read")

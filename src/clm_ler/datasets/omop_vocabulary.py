"""A table of an OMOP vocabulary as a catalog entry."""

import logging
from typing import Any

import ibis
import ibis.expr.types as ir

from clm_ler.datasets.folder_query import FolderQueryDataset

logger = logging.getLogger(__name__)


class VocabularyDataset(FolderQueryDataset):
    """Load columns of a vocabulary table as strings, from a folder as Athena delivers it or a CDM.

    The files may be named and stored in any way that a ``FolderQueryDataset`` reads.

    ```yaml
    omop_concept:
      type: clm_ler.datasets.omop_vocabulary.VocabularyDataset
      folder: /somewhere/vocabulary
      table: concept
      columns: [concept_id, vocabulary_id, concept_code, standard_concept]
      connection: ${_connection}
    ```
    """

    def __init__(
        self,
        *,
        folder: str,
        table: str,
        columns: list[str],
        optional: bool = False,
        connection: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Describe the table.

        Args:
            folder: Where the vocabulary lies: a local folder or a URL.
            table: The table's name, in lower case.
            columns: The columns to read, in lower case.
            optional: Give an empty table where there is none.
            connection: The Ibis connection that reads.
            metadata: Free-form; ignored here.
        """
        texts = ", ".join(f"CAST({table}.{name} AS STRING) AS {name}" for name in columns)
        super().__init__(
            folder=folder,
            query=f"SELECT {texts} FROM {table}",
            optional=[table] if optional else [],
            connection=connection,
            metadata=metadata,
        )
        self._table_name = table
        self._columns = columns

    def load(self) -> ir.Table:
        """Return the wanted columns, lazily; an empty field is null."""
        found = super().load()
        if found is not None:
            return found
        logger.info("There is no %s in %s: going on without", self._table_name, self._folder)
        return ibis.memtable([], schema=dict.fromkeys(self._columns, "string"))

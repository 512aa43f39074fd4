"""Resources of one type out of a FHIR bulk export."""

import codecs
import json
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

import fsspec
import ibis.expr.types as ir
from kedro.io import DatasetError
from kedro_datasets.ibis import FileDataset

from clm_ler.datasets.fhir_resources import ELSEWHERE, RESOURCES
from clm_ler.engines import engine_of
from clm_ler.files.gzipped import check_ending
from clm_ler.files.location import address

_ENDINGS = (".ndjson", ".ndjson.gz", ".jsonl", ".jsonl.gz")


class FhirDataset(FileDataset):
    """The resources of one type in a folder of ndjson files, whatever these are called.

    A file holds one type, as a bulk export writes it; its first line tells which. The columns are those
    of ``datasets/fhir_resources.py``, as text.

    ```yaml
    fhir_condition:
      type: clm_ler.datasets.fhir.FhirDataset
      folder: /export
      resource: Condition
    ```
    """

    def __init__(
        self,
        *,
        folder: str,
        resource: str,
        connection: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Describe the resources.

        Args:
            folder: Where the files lie, at any depth: a local folder or a URL.
            resource: The type, such as ``Condition``.
            connection: The Ibis connection that reads.
            metadata: Free-form; ignored here.
        """
        super().__init__(folder, "json", connection=connection, metadata=metadata)
        self._folder = folder
        self._resource = resource

    def load(self) -> ir.Table:
        """Return the resources, lazily.

        Raises:
            DatasetError: If there are none, a file does not begin with a resource, or the export is
                of another version.
        """
        files = sorted(self._files())
        if not files:
            raise DatasetError(f"There is no resource {self._resource} in {self._folder}")
        # Resources of another type stay: they are counted.
        return engine_of(self.connection).read_ndjson(files, RESOURCES[self._resource])

    def save(self, data: Any) -> NoReturn:
        """Refuse: the folder is the user's."""
        raise DatasetError(f"{self._folder} is read only")

    def _exists(self) -> bool:
        return any(self._files())

    def _files(self) -> Iterator[str]:
        """Yield the addresses of the files that hold the type."""
        filesystem, root = fsspec.url_to_fs(self._folder)
        for file in filesystem.find(root):
            if file.lower().endswith(_ENDINGS):
                check_ending(file)
                with filesystem.open(file, "rb", compression="infer") as stream:
                    found = _resource_type(*_first_line(stream), file)
                if found == self._resource:
                    yield address(self._folder, file)


def _first_line(stream: Iterable[bytes]) -> tuple[bytes, int]:
    """Return the first line that is not blank, and its number; an empty one where there is none."""
    lines = enumerate(stream, 1)
    return next(((line, number) for number, line in lines if line.strip()), (b"", 1))


def _resource_type(line: bytes, number: int, file: str) -> str | None:
    """Return the type of a file's first resource, nothing for an empty file."""
    if not line:
        return None
    if line.startswith(codecs.BOM_UTF8):
        raise DatasetError(f"{file} begins with a byte order mark: write it without one.")
    try:
        resource = json.loads(line)
        found = str(resource["resourceType"])
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{file}, line {number}: this is no FHIR resource in JSON.") from error
    if found == "Bundle":
        raise DatasetError(f"{file} is a Bundle: export its resources as ndjson, one a line.")
    version = ELSEWHERE.get(found)
    if found == "MedicationRequest" and "medication" in resource:
        version = "R5"
    if version:
        raise DatasetError(f"{file}: {found} is written as in FHIR {version}; R4 is read.")
    return found

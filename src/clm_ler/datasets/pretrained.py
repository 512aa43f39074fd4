"""A Hugging Face directory (model or tokenizer) as a catalog entry."""

import importlib
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
from kedro.io import AbstractDataset, DatasetError
from kedro.io.core import get_protocol_and_path

from clm_ler.files.atomic import COMPLETE, replacing
from clm_ler.files.model_folder import UnfitModelError, check_folder, check_weights, write_sums


class PretrainedDataset(AbstractDataset[Any, Any]):
    """Save with ``save_pretrained``, load with ``from_pretrained``.

    Anything with the two methods fits: a model, a tokenizer, a configuration. A reader never sees
    half a model: in an object store, a last empty file says that it is whole.
    """

    def __init__(
        self,
        *,
        filepath: str,
        loader: str,
        load_args: dict[str, Any] | None = None,
        credentials: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Describe the directory.

        Args:
            filepath: A local folder or an fsspec URL such as ``s3://bucket/model``.
            loader: The dotted name of a class with ``from_pretrained``.
            load_args: Passed on to ``from_pretrained``.
            credentials: Passed on to the fsspec file system.
            metadata: Free-form; ignored here.
        """
        self._protocol, path = get_protocol_and_path(filepath)
        self._filepath = PurePosixPath(path)
        self._filesystem = fsspec.filesystem(self._protocol, **(credentials or {}))
        self._loader = loader
        self._load_args = load_args or {}
        self.metadata = metadata

    def load(self) -> Any:
        """Return what the loader makes of the directory.

        Raises:
            DatasetError: If it was never fully written, is not as it was saved, or of another kind.
        """
        if not self._exists():
            raise DatasetError(f"{self._filepath} was never fully written.")
        module, _, name = self._loader.rpartition(".")
        loader = getattr(importlib.import_module(module), name)
        if self._protocol == "file":
            return self._read(loader, Path(self._filepath))
        with tempfile.TemporaryDirectory() as directory:
            self._filesystem.get(f"{self._filepath}/", directory, recursive=True)
            return self._read(loader, Path(directory))

    def _read(self, loader: Any, folder: Path) -> Any:
        """Return what the loader makes of a local folder whose files are as they were saved."""
        try:
            check_folder(folder)
            loaded = loader.from_pretrained(str(folder), **self._load_args)
            check_weights(loaded, folder)
        except UnfitModelError as error:
            raise DatasetError(str(error)) from error
        except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise DatasetError(
                f"{self._filepath} is not what {self._loader} reads: {reason[0]}"
            ) from error
        return loaded

    def save(self, data: Any) -> None:
        """Write the directory, replacing an earlier one."""
        with replacing(self._filesystem, str(self._filepath)) as aside:
            if self._protocol == "file":
                data.save_pretrained(aside)
                write_sums(Path(aside))
            else:
                self._upload(data, aside)

    def _upload(self, data: Any, folder: str) -> None:
        with tempfile.TemporaryDirectory() as directory:
            data.save_pretrained(directory)
            write_sums(Path(directory))
            self._filesystem.put(f"{directory}/", folder, recursive=True)
        self._filesystem.pipe_file(f"{folder}/{COMPLETE}", b"")

    def _exists(self) -> bool:
        mark = "" if self._protocol == "file" else f"/{COMPLETE}"
        return bool(self._filesystem.exists(f"{self._filepath}{mark}"))

    def _describe(self) -> dict[str, Any]:
        return {
            "filepath": str(self._filepath),
            "protocol": self._protocol,
            "loader": self._loader,
        }

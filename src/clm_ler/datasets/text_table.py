"""A user's own table in text files, as ``ibis.FileDataset`` names it in the catalog."""

import posixpath

import fsspec
import ibis.expr.types as ir
from kedro.io import DatasetError
from kedro_datasets.ibis import FileDataset

from clm_ler.datasets.delimited import delimiter_of, read_csv
from clm_ler.files.gzipped import check_ending
from clm_ler.files.location import address

_DELIMITER_NAMES = ("sep", "delim", "delimiter")
# With one of these a user has chosen types, or who guesses them: the entry is read as Ibis does.
_CHOICES = {"types", "dtypes", "column_types", "columns", "schema", "auto_type_candidates"}
_CHOICES |= {"all_varchar", "inferSchema", "auto_detect"}


class TextTableDataset(FileDataset):
    """Load text files as columns of text; the loader of the configuration makes it of ``ibis.FileDataset``.

    An engine that guesses types takes ``03/04/2019`` for either day, ``250.00`` for 250.0, ``F`` for
    false: the user's SQL decides instead. ``load_args`` are the engine's own, and come first; where they choose
    types, nothing here has an effect.
    """

    def load(self) -> ir.Table:
        """Return the rows, lazily.

        Raises:
            DatasetError: If there is no file, or one cannot be read as the others.
        """
        if _CHOICES & {*self._load_args}:
            return super().load()
        given = {name: value for name, value in self._load_args.items() if value is not None}
        chosen = [given.pop(name) for name in _DELIMITER_NAMES if name in given]
        files = self._files()
        delimiter = chosen[0] if chosen else delimiter_of(files, given)[0]
        if self._table_name:
            given["table_name"] = self._table_name
        return read_csv(self.connection, files, delimiter, given)

    def _files(self) -> list[str]:
        place = self._fs_prefix + str(self._get_load_path())
        filesystem, path = fsspec.url_to_fs(place, **self._fs_args)
        found = filesystem.find(path) if filesystem.isdir(path) else filesystem.glob(path)
        files = [file for file in found if not posixpath.basename(file).startswith(("_", "."))]
        if not files:
            raise DatasetError(f"There is no file {place}.")
        for file in files:
            check_ending(file)
        return [address(place, file) for file in sorted(files)]

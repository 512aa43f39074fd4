"""One SQL query over a folder of tables, such as an OMOP CDM or a MEDS dataset."""

import logging
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

import fsspec
import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
from kedro.io import DatasetError
from kedro_datasets.ibis import FileDataset
from sqlglot import exp
from sqlglot.optimizer.scope import traverse_scope

from clm_ler.datasets.delimited import delimiter_of, read_csv
from clm_ler.engines import engine_of
from clm_ler.engines.dates import read_dates
from clm_ler.engines.expressions import parse_query
from clm_ler.engines.known_types import set_type
from clm_ler.engines.portable import count_repeated
from clm_ler.files.digests import unique_name
from clm_ler.files.gzipped import check_ending
from clm_ler.files.location import address

logger = logging.getLogger(__name__)

_ENDINGS = (".parquet", ".csv", ".csv.gz", ".tsv", ".tsv.gz")


class FolderQueryDataset(FileDataset):
    """Load a query in the Spark dialect over tables that lie in one folder; nothing is written.

    A table ``person`` is ``person.parquet``, ``person.csv``, ``person.tsv``, the texts also with
    ``.gz``, or a folder ``person`` of such files at any depth. Upper and lower case are alike in names of
    tables and columns; the files of a table may differ in the order and types of their columns.
    Columns of text files are strings. What separates them (a comma, semicolon, bar or tab) is told by the
    header; quotes are ordinary characters in a tab-separated file, as vocabularies are distributed, unless
    its header has some.

    ```yaml
    diagnosis:
      type: clm_ler.datasets.folder_query.FolderQueryDataset
      folder: s3://bucket/cdm
      query: SELECT c.person_id, c.condition_start_date FROM condition_occurrence c
    omop_concept:           # in place of a query: columns of one table, as strings
      folder: /somewhere/vocabulary
      table: concept
      columns: [concept_id, vocabulary_id, concept_code]
    ```
    """

    def __init__(
        self,
        *,
        folder: str,
        query: str | None = None,
        table: str | None = None,
        columns: list[str] | None = None,
        optional: list[str] | None = None,
        elsewhere: dict[str, str] | None = None,
        lookups: dict[str, str] | None = None,
        time_zone: str = "UTC",
        connection: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Describe the query.

        Args:
            folder: Where the tables lie: a local folder or a URL.
            query: Spark SQL; each column stands with its table, ``person.gender_concept_id``.
            table: In place of a query, the one table to read, in lower case.
            columns: The columns to read of it as strings, in lower case; an empty field is null.
            optional: Tables (``location``) and columns (``data.unit``) that may be absent: such a
                table has no rows, such a column only nulls.
            elsewhere: Tables of the query that are no file or folder in the folder: where each lies, a file,
                or a folder of files at any depth.
            lookups: Tables that the query looks things up in, and the column of each whose values are
                unique: where they are not, a join would multiply rows.
            time_zone: Local time, in which dates are read: see ``engines/dates.py``.
            connection: The Ibis connection that reads.
            metadata: Free-form; ignored here.
        """
        place = folder if table is None else f"{folder}/{table}"
        super().__init__(place, "parquet", connection=connection, metadata=metadata)
        if (query is None) == (table is None or columns is None):
            raise DatasetError(f"{folder}: give either a query, or a table and its columns.")
        self._folder = folder
        self._query = query or _select(table, columns)
        self._optional = set(optional or ())
        self._elsewhere = elsewhere or {}
        self._lookups = lookups or {}
        self._time_zone = time_zone

    def load(self) -> ir.Table:
        """Return the query's result, lazily.

        Raises:
            DatasetError: If the folder lacks a table, a table lacks a column, or a lookup would multiply rows.
        """
        query, engine = self._parsed(), engine_of(self.connection)
        wanted = _columns_by_table(query)
        files = {name: sorted(self._files(name)) for name in wanted}
        tables = {
            name: self._table(name, files[name], wanted[name]) for name in wanted if files[name]
        }
        self._check_lookups(tables)
        kinds_of = _kinds_of_columns(tables.values())
        tables |= {
            name: self._nothing(name, wanted[name], kinds_of) for name in wanted if not files[name]
        }
        kinds = _kinds(query, {name: table.schema() for name, table in tables.items()})
        for column in query.find_all(exp.Column):
            if id(column) in kinds:
                set_type(column, kinds[id(column)])
        views = {name: unique_name(name) for name in tables}
        for name, table in tables.items():
            self.connection.create_view(views[name], table, overwrite=True)
        for node in query.find_all(exp.Table):
            if view := views.get(node.name.lower()):
                node.replace(exp.alias_(exp.to_table(view), node.alias_or_name, table=True))
        query = read_dates(query, lambda node: kinds.get(id(node)), engine, self._time_zone)
        found = engine.as_local(self.connection.sql(engine.sql(query)))
        return engine.hold(found, [f"VIEW {view}" for view in views.values()], [*tables.values()])

    def save(self, data: Any) -> NoReturn:
        """Refuse: the folder is the user's."""
        raise DatasetError(f"{self._folder} is read only")

    def _exists(self) -> bool:
        """Return whether any of the query's tables is there, of those that it needs."""
        names = {*_columns_by_table(self._parsed())}
        return any(any(self._files(name)) for name in names - self._optional or names)

    def _parsed(self) -> exp.Expr:
        try:
            return parse_query(self._query, self._folder)
        except ValueError as error:
            raise DatasetError(str(error)) from error

    def _table(self, name: str, files: list[str], wanted: set[str]) -> ir.Table:
        """Return the wanted columns of a table, in lower case."""
        table = self._read(files)
        # personId is person_id, too.
        snake = zip(table.rename("snake_case").columns, table.columns, strict=True)
        found = dict(snake) | {column.lower(): column for column in table.columns}
        absent = wanted - set(found)
        if required := sorted(c for c in absent if f"{name}.{c}" not in self._optional):
            place = self._elsewhere.get(name, self._folder)
            raise DatasetError(f"{place}: table {name} has no column {', '.join(required)}")
        nothing = ibis.null("string")
        columns = {c: table[found[c]] if c in found else nothing for c in sorted(wanted)}
        return table.select(**columns)

    def _check_lookups(self, tables: Mapping[str, ir.Table]) -> None:
        for name, key in self._lookups.items():
            if name in tables and (repeated := count_repeated(tables[name], key)):
                raise DatasetError(
                    f"{self._folder}: {repeated} values of {key!r} are in several rows of {name}: the "
                    "join would multiply rows. Leave one row for each."
                )

    def _nothing(self, name: str, wanted: set[str], kinds: Mapping[str, dt.DataType]) -> ir.Table:
        """Return an absent table: no rows, and columns of the kinds that others of the name have."""
        if name not in self._optional and (place := self._elsewhere.get(name)):
            raise DatasetError(f"There is no Parquet or CSV file in {place}.")
        if name not in self._optional:
            raise DatasetError(
                f"There is no table {name!r} in {self._folder}: neither {name}.parquet nor "
                f"{name}.csv nor {name}.csv.gz nor a folder {name} of such files"
            )
        logger.warning("%s has no table %s: taken as empty", self._folder, name)
        schema = {column: kinds.get(column, dt.string) for column in sorted(wanted)}
        return ibis.memtable([], schema=schema)

    def _files(self, name: str) -> Iterator[str]:
        """Yield the addresses of a table's files, all of one kind."""
        filesystem, root = fsspec.url_to_fs(self._elsewhere.get(name, self._folder))
        if name in self._elsewhere:
            for file in filter(_ending, filesystem.find(root)):
                check_ending(file)
                yield address(self._elsewhere[name], file)
            return
        places: set[str] = set()
        for entry in filesystem.ls(root, detail=True) if filesystem.isdir(root) else []:
            base = posixpath.basename(entry["name"]).lower()
            if entry["type"] == "directory" and base.removesuffix(".parquet") == name:
                inside = filesystem.find(entry["name"])
            elif base in {f"{name}{ending}" for ending in _ENDINGS}:
                inside = [entry["name"]]
            else:
                continue
            places.add(base)
            if len(places) > 1:
                raise DatasetError(
                    f"{self._folder}: there are several formats of table {name}: "
                    f"{', '.join(sorted(places))}. Leave one."
                )
            for file in inside:
                if _ending(file):
                    check_ending(file)
                    yield address(self._folder, file)

    def _read(self, files: list[str]) -> ir.Table:
        endings = {_ending(file).removesuffix(".gz") for file in files}
        if len(endings) > 1:
            raise DatasetError(f"A table has files of several formats: {', '.join(files[:2])} ...")
        engine = engine_of(self.connection)
        if endings == {".parquet"}:
            return engine.read_mixed_parquet(files, self._time_zone)
        delimiter, header = delimiter_of(files)
        if delimiter != "\t" or '"' in header:
            return read_csv(self.connection, files, delimiter)
        tables = [engine.read_literal_text(file, "\t") for file in files]
        return ibis.union(*(table.select(sorted(table.columns)) for table in tables))


def _select(table: str | None, columns: list[str] | None) -> str:
    texts = (f"CAST({table}.{name} AS STRING) AS {name}" for name in columns or ())
    return f"SELECT {', '.join(texts)} FROM {table}"


def _ending(file: str) -> str:
    """Return the ending that names the file's format, nothing where it is none of ours."""
    return next((ending for ending in _ENDINGS if file.lower().endswith(ending)), "")


def _kinds_of_columns(tables: Iterable[ir.Table]) -> dict[str, dt.DataType]:
    """Return the type of each column: in a union, ids stay the numbers that they are."""
    return {name: kind for table in tables for name, kind in table.schema().items()}


def _kinds(query: exp.Expr, schemas: Mapping[str, ibis.Schema]) -> dict[int, dt.DataType]:
    """Return the type of each place in a query where a column of a table stands."""
    return {
        id(column): schemas[source.name.lower()][column.name.lower()]
        for scope in traverse_scope(query)
        for column in scope.columns
        if isinstance(source := scope.sources.get(column.table), exp.Table)
    }


def _columns_by_table(query: exp.Expr) -> dict[str, set[str]]:
    """Return the columns that a query takes from each of its tables."""
    columns: dict[str, set[str]] = {}
    for scope in traverse_scope(query):
        for alias, source in scope.sources.items():
            if isinstance(source, exp.Table):
                used = {column.name.lower() for column in scope.columns if column.table == alias}
                columns.setdefault(source.name.lower(), set()).update(used)
    return columns

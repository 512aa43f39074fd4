"""Tables in text files: what separates their fields, and which line does not fit."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

import fsspec
import ibis.expr.types as ir
from kedro.io import DatasetError

from clm_ler.engines import engine_of
from clm_ler.engines.errors import EngineError

_DELIMITERS = (",", ";", "|", "\t")
_QUOTED = re.compile(r'"[^"]*"')


def delimiter_of(files: Sequence[str], given: Mapping[str, Any] | None = None) -> tuple[str, str]:
    """Return what separates the fields of a table's files, and the first header.

    Args:
        files: Plain or gzip.
        given: ``encoding`` and ``skip`` (lines before the header), where a user has set them.

    Raises:
        DatasetError: If there is no header, or files differ.
    """
    headers = {file: line for file in files if (line := _header(file, given or {}))}
    if not headers:
        raise DatasetError(f"{files[0]} is empty: not even a header. Remove or replace it.")
    first: dict[str, str] = {}  # by separator
    for file, header in headers.items():
        bare = _QUOTED.sub("", header)
        if any(map(bare.count, _DELIMITERS)):  # of one column, nothing tells
            first.setdefault(max(_DELIMITERS, key=bare.count), file)
    if len(first) > 1:
        (one, at), (other, odd) = list(first.items())[:2]
        raise DatasetError(
            f"{odd} is separated by {other!r}, and {at} by {one!r}: write all files of a table in one way."
        )
    return next(iter(first), ","), next(iter(headers.values()))


def read_csv(
    connection: Any, files: Sequence[str], delimiter: str, given: Mapping[str, Any] | None = None
) -> ir.Table:
    """Return the rows of files with a header; ``given`` are the engine's own options.

    Raises:
        DatasetError: With the line that has more or fewer fields than the header.
    """
    try:
        return engine_of(connection).read_csv(files, delimiter, **(given or {}))
    except EngineError as error:
        uneven = (_uneven_line(file, delimiter, given or {}) for file in files)
        if told := next(filter(None, uneven), None):
            raise DatasetError(told) from error
        raise


@contextmanager
def _opened(file: str, given: Mapping[str, Any], **how: str) -> Iterator[TextIO]:
    encoding = str(given.get("encoding", "utf-8-sig"))
    with fsspec.open(file, "rt", compression="infer", encoding=encoding, newline="", **how) as text:
        for _ in range(int(given.get("skip", 0))):
            text.readline()
        yield text


def _header(file: str, given: Mapping[str, Any]) -> str:
    """Return the first line of a text file, empty where there is none."""
    try:
        with _opened(file, given) as text:
            line = text.readline().strip("\r\n")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{file} is no UTF-8: convert it (iconv -t UTF-8).") from error
    if re.fullmatch(r'"?sep=.?"?', line, re.I):
        raise DatasetError(f"{file} begins with {line!r}, as Excel writes it: remove that line.")
    return line


def _uneven_line(file: str, delimiter: str, given: Mapping[str, Any]) -> str | None:
    """Return what to mend of the first line with more or fewer fields than the header."""
    with _opened(file, given, errors="replace") as text:
        lines = csv.reader(text, delimiter=delimiter)
        begins = 1
        try:
            names = next(lines, [])
            begins = lines.line_num + 1
            for line in lines:
                if line and len(line) != len(names):
                    place = f"{file}, line {lines.line_num}"
                    return f"{place}: it has {len(line)} fields, and the header {len(names)}."
                begins = lines.line_num + 1
        except csv.Error:  # a field too long for Python, most likely to the end of the file
            return f"{file}, line {begins}: a quote that is opened there is not closed."
    return None

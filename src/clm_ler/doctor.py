"""What a run will need, looked at before it: one line each, never a value of a person."""

import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from importlib import import_module
from importlib.metadata import requires
from pathlib import Path
from platform import python_version
from typing import Any, NamedTuple

import ibis.expr.datatypes as dt
import ibis.expr.types as ir
from ibis.common.exceptions import IbisError
from kedro.io import CatalogProtocol, DatasetError
from packaging.requirements import Requirement

from clm_ler.corridor.options import PreprocessOptions
from clm_ler.corridor.reading import put_there, read_rows
from clm_ler.engines import engine
from clm_ler.engines.errors import EngineError
from clm_ler.engines.plans import size_in_bytes
from clm_ler.engines.s3 import check_bucket, s3_buckets
from clm_ler.files.location import dataset_location, is_remote, local_folder
from clm_ler.files.versions import installed

OK, LOOK, WRONG = "ok", "look", "wrong"
GB = 1e9
FEW_GB = 10  # of room on a disk
# What a column looks like, by its name in English or German; the first that fits.
_LOOKS = {
    "a date": r"date|datum|time|day$|tag$|dob|born|birth|^geb",
    "a unit": r"unit|uom|einheit",
    "a code": r"code|icd|ndc|cpt|hcpcs|loinc|rxnorm|atc|snomed|concept",
    "a value": r"value|result|val$|wert$|ergebnis|befund",
    "an id": r"person|patient|subject|member|mrn|^pat_?(id|nr|no)$|(^|_)(id|pid|key)$",
}
# What hardly any column is called, but a value may be: the first row of a file without a header.
_VALUE = re.compile(r"[\W\d]")


class Finding(NamedTuple):
    """What was found: ``ok``, ``look`` (a run may do, see to it) or ``wrong`` (it cannot)."""

    level: str
    subject: str
    text: str


def check_machine(settings: Mapping[str, Any], project: Path) -> Iterator[Finding]:
    """Look at what runs: Python, packages, engine, torch, memory, and the storage.

    Args:
        settings: The globals with the command line on top.
        project: Where a relative storage lies.
    """
    yield Finding(OK, "python", python_version())
    yield from check_packages()
    distributed = engine(str(settings["engine"])).distributed
    needs = "Spark and its Java are there" if distributed else "no Java is needed"
    yield Finding(OK, "engine", f"{settings['engine']}: {needs}")
    yield check_torch()
    yield check_memory(str(settings["memory_limit"]), _memory())
    yield check_storage(str(settings["storage"]), project)


def check_packages() -> Iterator[Finding]:
    """Compare what is installed with what the project requires."""
    required = [Requirement(text) for text in requires("clm-ler") or []]
    wanted = [one for one in required if one.marker is None or one.marker.evaluate({"extra": ""})]
    told = "pip install -c constraints.txt -e . mends it"
    unfit = 0
    for one in wanted:
        found = installed(one.name)
        if found is None or not one.specifier.contains(found, prereleases=True):
            unfit += 1
            yield Finding(
                WRONG, "packages", f"{one.name} is {found or 'missing'}, {one} is needed: {told}"
            )
    if not unfit:
        yield Finding(OK, "packages", f"all {len(wanted)} have versions that the project accepts")


def check_torch() -> Finding:
    """Look for a GPU."""
    cuda = import_module("torch").cuda
    if not cuda.is_available():
        text = f"no GPU is found: training uses {os.cpu_count()} cores (docs/nvidia.md)"
        return Finding(LOOK, "gpu", text)
    first = cuda.get_device_properties(0)
    return Finding(
        OK, "gpu", f"{cuda.device_count()} x {first.name}, {first.total_memory / GB:.0f} GB"
    )


def check_memory(limit: str, there: float) -> Finding:
    """Compare the engine's limit with the memory of the machine, in bytes."""
    told = f"memory_limit {limit} of {there / GB:.1f} GB"
    try:
        allowed = size_in_bytes(limit)
    except ValueError as error:
        return Finding(WRONG, "memory", str(error))
    if allowed > 0.8 * there:
        return Finding(
            LOOK,
            "memory",
            f"{told}: leave a fifth to other programs, with --params=memory_limit=SIZE",
        )
    return Finding(OK, "memory", told)


def check_storage(storage: str, project: Path) -> Finding:
    """See whether results can be written, and how much room there is."""
    if is_remote(storage):
        try:
            for bucket in s3_buckets([storage]):
                check_bucket(bucket)
        except RuntimeError as error:
            return Finding(WRONG, "storage", str(error))
        return Finding(OK, "storage", f"{storage} can be listed")
    folder = project / local_folder(storage)
    there = standing(folder)
    if not there.is_dir():
        text = f"{there} is a file: give another --params=storage=DIR"
        return Finding(WRONG, "storage", text)
    if not os.access(there, os.W_OK):
        text = f"{there} cannot be written: give another --params=storage=DIR"
        return Finding(WRONG, "storage", text)
    free = shutil.disk_usage(there).free / GB
    return Finding(OK if free >= FEW_GB else LOOK, "storage", f"{folder}, {free:.0f} GB are free")


def check_tables(
    catalog: CatalogProtocol, options: PreprocessOptions, made: Collection[str]
) -> Iterator[Finding]:
    """Look at each raw table that ``preprocess.tables`` lists: is it there, can it be read as it says?

    Args:
        catalog: The entries.
        options: How they are read.
        made: Entries that a plain run makes itself, such as the simulated hospital's.
    """
    for name in options.tables:
        try:
            table = catalog.load(name)
        except (DatasetError, IbisError, EngineError, ValueError, OSError) as error:
            yield Finding(WRONG, name, _first_line(error))
            continue
        place = dataset_location(catalog.get(name))
        if table is None and name in made:
            yield Finding(OK, name, "not there yet: a plain run makes it")
        elif table is None:
            yield Finding(WRONG, name, f"there is nothing at {place}. {put_there(name)}")
        else:
            yield _read(name, table, options)


def _read(name: str, table: Any, options: PreprocessOptions) -> Finding:
    """Try the selection on a table; where it fails, say what there is to select from."""
    try:
        read_rows(table, name, options, options.event_date_filter if name != "patient" else None)
    except (ValueError, IbisError, EngineError) as error:
        tables = table if isinstance(table, dict) else {name: table}
        fault, header, _rest = (
            _first_line(error).removeprefix(f"{name}: ").partition("; its columns are")
        )
        fault = fault if fault.endswith(("?", ".")) else f"{fault}."
        setting = f"set preprocess.tables.{name}.select_expr"
        if not header and not all(map(_has_header, tables.values())):
            text = f"{fault} Its columns are not named here, for they may be a person's values: {setting}"
            return Finding(WRONG, name, text)
        looks = "; ".join(describe_columns(one) for one in tables.values())
        return Finding(WRONG, name, f"{fault} It has {looks}: {setting}")
    return Finding(OK, name, "found, and the columns that are selected are there")


def _has_header(table: ir.Table) -> bool:
    """Return whether the names of the columns are names, not the values of a person, as far as one can see."""
    looks = [_look(name, kind) for name, kind in table.schema().items()]
    return any(looks) and not any(map(_VALUE.match, table.columns))


def describe_columns(table: ir.Table) -> str:
    """Return the columns and what each looks like by name and type; no value is read."""
    return ", ".join(f"{name}{_look(name, kind)}" for name, kind in table.schema().items())


def _look(name: str, kind: dt.DataType) -> str:
    if kind.is_timestamp() or kind.is_date():
        return " (a date)"
    found = (look for look, pattern in _LOOKS.items() if re.search(pattern, name, re.I))
    return f" ({look})" if (look := next(found, None)) else ""


def standing(folder: Path) -> Path:
    """Return a folder, or what there is of the way to it."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def _memory() -> float:
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]

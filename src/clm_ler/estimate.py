"""What a run will cost, told before it: time, memory and disk of the tables, time of pre-training."""

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, cast

from kedro.framework.context import KedroContext
from kedro.io import CatalogProtocol

from clm_ler.config import ConfigLoader
from clm_ler.corridor.deferred import Functions
from clm_ler.corridor.options import PreprocessOptions
from clm_ler.doctor import GB, standing
from clm_ler.engines import engine
from clm_ler.engines.plans import size_in_bytes
from clm_ler.engines.session import session_cores
from clm_ler.files.atomic import scratch_folder
from clm_ler.files.location import is_remote, local_folder

nodes = Functions("clm_ler.pipelines.pretrain.nodes")

PROBE_STEPS = 20
PROBES = 2  # the faster one counts: other work on the machine only ever slows a probe down
BACKWARD = 3  # a step of training costs so many times what the same tokens cost in an evaluation


class Line(NamedTuple):
    """A cost that does not grow with the data, and what each million raw rows adds."""

    fixed: float
    per_million: float

    def at(self, rows: int) -> float:
        """Return the cost of so many rows."""
        return self.fixed + self.per_million * rows / 1e6


# Of split, preprocess and vocab with DuckDB, measured by benchmarks/estimate.py: see docs/scaling.md.
CPU_SECONDS = Line(12.0, 3.0)
MEMORY_GB = Line(0.5, 0.055)
DISK_GB = Line(0.004, 0.018)
SPILLED = 0.54  # bytes on disk of each byte that memory has no room for
# The same with Spark, of all its processes, measured by benchmarks/spark.py.
SPARK_CPU_SECONDS = Line(46.0, 3.2)
SPARK_DISK_GB = Line(0.001, 0.037)
BUSY = 0.8  # share of the cores' time that the engine uses


class EstimateLine(NamedTuple):
    """A line of the estimate."""

    subject: str
    text: str


def estimate_run(context: KedroContext) -> Iterator[EstimateLine]:
    """Return the lines of the estimate, those that cost little first."""
    settings = cast(ConfigLoader, context.config_loader).settings
    counted = count_rows(context.catalog, context.params["preprocess"])
    yield describe_rows(counted)
    rows = sum(rows or 0 for rows in counted.values())
    if not rows:
        return
    yield from estimate_tables(rows, settings, context.project_path)
    yield estimate_training(context.catalog, context.params)
    yield EstimateLine("", "A run may take half as much again, or a third less: docs/scaling.md.")


def count_rows(catalog: CatalogProtocol, options: PreprocessOptions) -> dict[str, int | None]:
    """Return the rows of each raw table that ``preprocess.tables`` lists; ``None`` where nothing is there.

    Of Parquet the engine reads no more than the footers; text files it reads once.
    """
    counted: dict[str, int | None] = {}
    for name in options.tables:
        table = catalog.load(name)
        tables = list(table.values()) if isinstance(table, dict) else [table]
        there = [one for one in tables if one is not None]
        counted[name] = sum(int(one.count().execute()) for one in there) if there else None
    return counted


def describe_rows(counted: Mapping[str, int | None]) -> EstimateLine:
    """Return what was found."""
    there = {name: rows for name, rows in counted.items() if rows is not None}
    if not there:
        return EstimateLine("rows", "none yet: kedro doctor says where the tables are looked for")
    found = ", ".join(f"{name} {rows:,}" for name, rows in there.items())
    missing = [f"{name} is not there yet" for name in counted if name not in there]
    return EstimateLine("rows", ", ".join([f"{sum(there.values()):,}: {found}", *missing]))


def estimate_tables(
    rows: int, settings: Mapping[str, Any], project: Path
) -> Iterator[EstimateLine]:
    """Return time, memory and disk of the pipelines that work on tables.

    Args:
        rows: Of all raw tables.
        settings: The globals with the command line on top.
        project: Where a relative storage lies.
    """
    limit = settings["memory_limit"]
    cpu, disk = CPU_SECONDS, disk_gb(rows, size_in_bytes(str(limit)))
    memory = f"{memory_gb(rows, size_in_bytes(str(limit))):.1f} GB (memory_limit {limit})"
    cores = int(settings["threads"]) or os.cpu_count() or 1
    if engine(str(settings["engine"])).distributed:
        cpu, disk, cores = SPARK_CPU_SECONDS, SPARK_DISK_GB.at(rows), session_cores()
        memory = f"{limit} for each core of an executor, beside Java's (memory_limit)"
    seconds = cpu.at(rows)
    clock = _time(seconds / cores / BUSY)
    yield EstimateLine("tables", f"{clock} on {cores} cores, {_time(seconds)} of CPU")
    yield EstimateLine("memory", memory)
    yield EstimateLine("disk", f"{disk:.2g} GB{_free(str(settings['storage']), project)}")


def memory_gb(rows: int, limit: float) -> float:
    """Return the most memory of the process in GB.

    Args:
        rows: Of all raw tables.
        limit: Bytes that the engine may use: what grows with the rows ends there.
    """
    return MEMORY_GB.fixed + min(limit / GB, _wanted_gb(rows))


def disk_gb(rows: int, limit: float) -> float:
    """Return the most bytes below the storage in GB: what stays, and what memory has no room for."""
    return DISK_GB.at(rows) + SPILLED * max(0.0, _wanted_gb(rows) - limit / GB)


def _wanted_gb(rows: int) -> float:
    """Return the memory that grows with the rows, had it no limit."""
    return MEMORY_GB.per_million * rows / 1e6


def estimate_training(catalog: CatalogProtocol, parameters: Mapping[str, Any]) -> EstimateLine:
    """Train the configured model for a few steps, and return how long all of them will take."""
    inputs = ("encoded_sequences", "tokenizer")
    if not all(catalog.exists(name) for name in inputs):
        text = "not known before split, preprocess and vocab have run: ask again then"
        return EstimateLine("training", text)
    speed = probe(catalog, parameters)
    steps, seconds = training_cost(speed, parameters["pretrain"])
    text = f"{_time(seconds)} at most, {steps:,.0f} steps of {speed['seconds_per_step']:.2f} s"
    return EstimateLine("training", f"{text} ({speed['device']}, after {PROBE_STEPS} of them)")


def training_cost(speed: Mapping[str, Any], options: Any) -> tuple[float, float]:
    """Return the steps of a training, and the seconds that they and its evaluations take.

    Args:
        speed: From :func:`probe`.
        options: Of ``pretrain``.
    """
    per_epoch = speed["steps"] / speed["epochs"]
    steps = options.max_steps if options.max_steps > 0 else options.num_train_epochs * per_epoch
    evaluations = 1 / options.eval_steps if options.eval_steps < 1 else steps / options.eval_steps
    evaluated = evaluations * speed["valid_share"] * per_epoch / BACKWARD
    return steps, (steps + evaluated) * speed["seconds_per_step"]


def probe(catalog: CatalogProtocol, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the speed of a few steps, and the persons of an evaluation for each one of an epoch."""
    runs = (_train_a_little(catalog, parameters) for _ in range(PROBES))
    speed = min(runs, key=lambda run: run["seconds_per_step"])
    split = catalog.load("encoded_sequences")["split"].to_pandas().value_counts()
    valid = min(int(split.get("valid", 0)), parameters["pretrain"].eval_persons)
    return speed | {"valid_share": valid / max(int(split.get("train", 0)), 1)}


def _train_a_little(catalog: CatalogProtocol, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the speed of ``PROBE_STEPS`` steps of the configured training, which leaves nothing behind."""
    encoded, tokenizer = catalog.load("encoded_sequences"), catalog.load("tokenizer")
    with scratch_folder() as folder:
        options = replace(
            parameters["pretrain"],
            checkpoints=str(folder),
            max_steps=PROBE_STEPS,
            eval_steps=PROBE_STEPS,
            logging_steps=PROBE_STEPS,
            eval_persons=1,
        )
        _model, speed, _history = nodes.train_model(
            encoded,
            tokenizer,
            nodes.fit_targets(encoded, tokenizer, options),
            catalog.load("parent_model"),
            catalog.load("parent_tokenizer"),
            folder,
            options,
            parameters["seed"],
        )
    return speed


def _free(storage: str, project: Path) -> str:
    """Return how much room there is, where that is known."""
    if is_remote(storage):
        return ""
    free = shutil.disk_usage(standing(project / local_folder(storage))).free
    return f" below {storage}, {free / GB:.0f} GB are free"


def _time(seconds: float) -> str:
    """Return seconds in words: ``0:01:30``."""
    return str(timedelta(seconds=round(seconds)))

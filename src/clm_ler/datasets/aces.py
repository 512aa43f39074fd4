"""Labels that ACES finds in MEDS data (https://eventstreamaces.readthedocs.io)."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc
from kedro.io import AbstractDataset, DatasetError

from clm_ler.files.location import is_remote
from clm_ler.files.progress import Progress

TIME = pa.timestamp("us")
LABELS = pa.schema(
    {"task": pa.string(), "subject_id": pa.int64(), "prediction_time": TIME, "label": pa.int64()}
)
Task = Mapping[str, Any]


class AcesLabelsDataset(AbstractDataset[NoReturn, ir.Table]):
    """Load ``task, subject_id, prediction_time, label`` (0, 1) of tasks of ACES; nothing is written.

    ACES 0.7 holds a shard in memory, and changes a task as it runs it, so that a second shard would have
    other times: each gets the task anew.
    """

    def __init__(
        self,
        *,
        folder: str,
        tasks: Task | Sequence[Task] | None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Describe the labels.

        Args:
            folder: Of the MEDS data, which has a folder ``data``; local.
            tasks: A task, or several: ``name``, its file ``aces``, and ``aces_predicates``, the file of the
                predicates that stand in for those of the task. Tasks without a file have no labels here.
            metadata: Free-form; ignored here.
        """
        self._filepath = f"{folder}/data"
        given = [tasks] if isinstance(tasks, Mapping) else tasks or []
        self._tasks = [task for task in given if task.get("aces")]
        self.metadata = metadata

    def load(self) -> ir.Table:
        """Return the labels of all tasks and shards.

        Raises:
            DatasetError: In one line, if ACES is not installed or cannot read a task.
        """
        if find_spec("aces") is None:
            raise DatasetError("task.aces needs es-aces: pip install 'clm-ler[aces]'.")
        if is_remote(self._filepath):
            raise DatasetError(f"task.aces: ACES reads local files, and {self._filepath} is none.")
        shards = sorted(Path(self._filepath).rglob("*.parquet"))
        if not shards:
            raise DatasetError(f"task.aces: there is no Parquet file in {self._filepath}.")
        progress = Progress("ACES", len(shards) * len(self._tasks), "shards")
        found = [LABELS.empty_table()]
        for task in self._tasks:
            for shard in shards:
                found.append(self._labels_of(task, shard))
                progress.step()
        return ibis.memtable(pa.concat_tables(found))

    def _labels_of(self, wanted: Task, shard: Path) -> pa.Table:
        from aces.predicates import get_predicates_df
        from aces.query import query
        from omegaconf import DictConfig
        from polars.exceptions import PolarsError

        told, task = f"task {wanted['name']}, aces: {wanted['aces']}", self._read_task(wanted)
        data = DictConfig({"standard": "meds", "path": str(shard)})
        try:
            rows = query(task, get_predicates_df(task, data))
        except PolarsError as error:  # its text may hold a person's value
            raise DatasetError(
                f"{told}: ACES cannot run it on {shard.name}: {type(error).__name__}."
            ) from None
        except Exception as error:  # of ACES, of Python
            raise DatasetError(f"{told}: {_first_line(error)}") from error
        if rows.is_empty():
            return LABELS.empty_table()
        table = rows.select("subject_id", "index_timestamp", "label").to_arrow()
        seen = pc.greater(table["label"], 0).cast(pa.int64())
        names = pa.repeat(wanted["name"], len(table))
        columns = [names, table["subject_id"], table["index_timestamp"], seen]
        return pa.table(columns, names=LABELS.names).cast(LABELS)

    def _read_task(self, wanted: Task) -> Any:
        from aces.config import TaskExtractorConfig

        told = f"task {wanted['name']}, aces: {wanted['aces']}"
        try:
            task = TaskExtractorConfig.load(wanted["aces"], wanted.get("aces_predicates"))
        except Exception as error:
            raise DatasetError(f"{told}: {_first_line(error)}") from error
        if not (task.label_window and task.index_timestamp_window):
            raise DatasetError(f"{told}: one window has to name a label, one an index_timestamp.")
        return task

    def save(self, data: Any) -> NoReturn:
        """Refuse: ACES makes them."""
        raise DatasetError("The labels of ACES are read only.")

    def _exists(self) -> bool:
        return bool(self._tasks)

    def _describe(self) -> dict[str, Any]:
        return {"folder": self._filepath, "tasks": [task["name"] for task in self._tasks]}


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]

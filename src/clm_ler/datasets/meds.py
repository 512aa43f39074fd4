"""The events of a MEDS dataset as a catalog entry."""

import uuid
from typing import Any

import ibis
import ibis.expr.types as ir

from clm_ler.datasets.person_table import PersonTableDataset
from clm_ler.engines.engine import read_parquet

_ORDER = ("subject_id", "time", "code")


class MedsEventsDataset(PersonTableDataset):
    """``data/`` of a MEDS folder: a subject in one file, its rows together, in order of time.

    Written by person bucket, like any person table. Static rows, without a time, come first.
    """

    def __init__(self, *, filepath: str, **kwargs: Any) -> None:
        """Describe the folder.

        Args:
            filepath: The folder of the MEDS dataset, which holds ``data`` and ``metadata``.
            kwargs: As for ``PersonTableDataset``.
        """
        super().__init__(filepath=f"{filepath}/data", **kwargs)

    def load(self) -> ir.Table:
        """Return all events."""
        files = self._stored().files
        return read_parquet(self.connection, [file for shard in files for file in shard])

    def _write_bucket(self, data: ir.Table, path: str) -> None:
        subject, time, code = _ORDER
        ordered = data.order_by(subject, ibis.asc(time, nulls_first=True), code)
        super()._write_bucket(ordered, path)

    def _partition_on_spark(self, data: ir.Table) -> list[list[str]]:
        """Write a file per task, each with whole subjects."""
        session, target = self.connection._session, uuid.uuid4().hex
        self.connection._run_pre_execute_hooks(data)
        frame = session.sql(self.connection.compile(data))
        frame = frame.withColumn("time", frame.time.cast("timestamp_ntz"))  # MEDS has no zones
        tasks = int(session.conf.get("spark.sql.shuffle.partitions"))
        frame.repartition(tasks, "subject_id").sortWithinPartitions(*_ORDER).write.parquet(
            f"{self._path}/{target}", compression="zstd"
        )
        root = self._files._strip_protocol(self._path)
        return [
            [file.removeprefix(f"{root}/")]
            for file in sorted(self._files.glob(f"{root}/{target}/*.parquet"))
        ]

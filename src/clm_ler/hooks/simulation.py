"""Keep the simulated hospital away from anything it did not make."""

import json
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

import fsspec
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from clm_ler.datasets.location import dataset_location

SIMULATION_TAG = "simulation"


class SimulationGuard:
    """Refuse to simulate over a user's tables, whatever environment is active.

    Beside each dataset that a node tagged ``simulation`` writes lies a receipt: the files it wrote,
    with sizes and times. A file that is not on its receipt was made by somebody else.
    """

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Check every simulated dataset before the first is written."""
        names = sorted(pipeline.only_nodes_with_tags(SIMULATION_TAG).all_outputs())
        foreign = [name for name in names if _holds_foreign_files(catalog[name])]
        if foreign:
            raise RuntimeError(
                f"The simulated hospital would overwrite {', '.join(foreign)}: what lies there was "
                "not simulated. Run the other pipelines only, for example "
                "--pipelines=split,preprocess,vocab,pretrain, or give another --params=storage=DIR."
            )
        self._locations = [place for name in names if (place := dataset_location(catalog[name]))]
        self._running = {node.name for node in pipeline.only_nodes_with_tags(SIMULATION_TAG).nodes}
        for location in self._locations:
            _write_receipt(location, finished=False)

    @hook_impl
    def before_node_run(self) -> None:
        """Note what the simulation wrote once its last node, and the saving after it, is done."""
        if not self._running:
            self._finish()

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """Count the simulation nodes that are left."""
        self._running.discard(node.name)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Note what the simulation wrote where nothing ran after it."""
        self._finish()

    def _finish(self) -> None:
        for location in self._locations:
            _write_receipt(location, finished=True)
        self._locations = []


def _receipt_path(path: str) -> str:
    place = PurePosixPath(path)
    return str(place.with_name(f".{place.name}.simulated.json"))


def _files(filesystem: fsspec.AbstractFileSystem, path: str) -> dict[str, tuple[int, datetime]]:
    filesystem.invalidate_cache()
    return {
        str(PurePosixPath(file)): (info["size"], filesystem.modified(file))
        for file, info in filesystem.find(path, detail=True).items()
        if not file.endswith(".simulated.json")
    }


def _write_receipt(location: str, finished: bool) -> None:
    filesystem, path = fsspec.url_to_fs(location)
    files = _files(filesystem, path) if finished else {}
    receipt = {
        "note": "Written by the simulated hospital; it may be overwritten by it.",
        "started": None if finished else datetime.now(UTC).timestamp(),
        "files": {file: [size, time.timestamp()] for file, (size, time) in files.items()},
    }
    filesystem.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
    with filesystem.open(_receipt_path(path), "w") as stream:
        json.dump(receipt, stream)


def _holds_foreign_files(dataset: Any) -> bool:
    location = dataset_location(dataset)
    if location is None:
        return bool(dataset.exists())
    filesystem, path = fsspec.url_to_fs(location)
    files = _files(filesystem, path)
    if not files:
        return False
    if not filesystem.exists(_receipt_path(path)):
        return True
    with filesystem.open(_receipt_path(path)) as stream:
        receipt = json.load(stream)
    started = receipt["started"]
    # A run that was killed has left files that are on no list but younger than its receipt.
    return any(
        receipt["files"].get(file) != [size, time.timestamp()]
        and (started is None or time.timestamp() < started - 1)
        for file, (size, time) in files.items()
    )

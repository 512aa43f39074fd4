"""Keep the simulated hospital away from anything it did not make."""

import json
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

import fsspec
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from clm_ler.files.location import dataset_location

SIMULATION_TAG = "simulation"


class SimulationGuard:
    """Refuse to simulate over a user's tables, whatever environment is active.

    Beside each dataset that a node tagged ``simulation`` writes lies a receipt: the files it wrote,
    with sizes and times. A file that is not on its receipt was made by somebody else. What does not
    lie below ``storage`` is the user's in any case: ``umls_root``, or entries of an environment.
    """

    def __init__(self) -> None:
        self._storage: str | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Read where everything derived goes."""
        loader = context.config_loader
        storage = str((loader["globals"] | (loader.runtime_params or {}))["storage"])
        root = storage if "://" in storage else str(context.project_path / storage)
        self._storage = fsspec.url_to_fs(root)[1]

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Check every simulated dataset before the first is written."""
        names = sorted(pipeline.only_nodes_with_tags(SIMULATION_TAG).all_outputs())
        remedy = "Run the other pipelines only: --pipelines=split,preprocess,vocab,pretrain"
        foreign = [name for name in names if _holds_foreign_files(catalog[name])]
        if foreign:
            raise RuntimeError(
                f"The simulated hospital would overwrite {', '.join(foreign)}: what lies there was "
                f"not simulated. {remedy}, or give another --params=storage=DIR."
            )
        outside = [name for name in names if self._lies_outside(catalog[name])]
        if outside:
            raise RuntimeError(
                f"The simulated hospital would write {', '.join(outside)} outside of the storage. "
                f"{remedy}, or leave out the parameter or the entries that say so."
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

    def _lies_outside(self, dataset: Any) -> bool:
        location = dataset_location(dataset)
        if location is None or self._storage is None:
            return False
        return not PurePosixPath(fsspec.url_to_fs(location)[1]).is_relative_to(self._storage)

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
        return bool(dataset.exists())  # a compressed copy beside it, for one
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

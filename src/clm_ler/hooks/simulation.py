"""Keep the simulated hospital away from anything it did not make."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

import fsspec
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from clm_ler.files.atomic import write_bytes
from clm_ler.files.location import dataset_location
from clm_ler.hooks.current import Run, current_run

SIMULATION_TAG = "simulation"
_REMEDY = "Run the other pipelines only: --pipelines=split,preprocess,vocab,pretrain"


@dataclass
class Simulation:
    """What a run simulates.

    Attributes:
        locations: Of the datasets that it writes.
        nodes: Names of the nodes that are still to run.
    """

    locations: list[str]
    nodes: set[str]


class SimulationGuard:
    """Refuse to simulate over a user's tables, whatever environment is active.

    Beside each dataset that a node tagged ``simulation`` writes lies a receipt: the files that are
    there, with sizes and times. A file that is not on its receipt was made by somebody else. What does
    not lie below ``storage`` is the user's in any case: ``umls_root``, or entries of an environment.
    """

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Check every simulated dataset before the first is written."""
        simulated = pipeline.only_nodes_with_tags(SIMULATION_TAG)
        run = current_run()
        if not simulated.nodes or run is None:
            return
        datasets = {name: catalog[name] for name in sorted(simulated.all_outputs())}
        _refuse_foreign(datasets)
        _refuse_outside(datasets, _root(run))
        locations = [place for each in datasets.values() if (place := dataset_location(each))]
        run.simulation = Simulation(locations, {node.name for node in simulated.nodes})
        for location in locations:
            _write_receipt(location, finished=False)

    @hook_impl
    def before_node_run(self) -> None:
        """Note what the simulation wrote once its last node, and the saving after it, is done."""
        _finish(only_if_done=True)

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """Count the simulation nodes that are left."""
        if (run := current_run()) and run.simulation:
            run.simulation.nodes.discard(node.name)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Note what the simulation wrote where nothing ran after it."""
        _finish(only_if_done=False)


def _finish(only_if_done: bool) -> None:
    run = current_run()
    if run is None or run.simulation is None or (only_if_done and run.simulation.nodes):
        return
    for location in run.simulation.locations:
        _write_receipt(location, finished=True)
    run.simulation = None


def _refuse_foreign(datasets: dict[str, Any]) -> None:
    foreign = [name for name, dataset in datasets.items() if _holds_foreign_files(dataset)]
    if foreign:
        raise RuntimeError(
            f"The simulated hospital would overwrite {', '.join(foreign)}: what lies there was "
            f"not simulated. {_REMEDY}, or give another --params=storage=DIR."
        )


def _refuse_outside(datasets: dict[str, Any], root: str) -> None:
    places = {name: dataset_location(dataset) for name, dataset in datasets.items()}
    outside = [name for name, place in places.items() if place and not _is_below(place, root)]
    if outside:
        raise RuntimeError(
            f"The simulated hospital would write {', '.join(outside)} outside of the storage. "
            f"{_REMEDY}, or leave out the parameter or the entries that say so."
        )


def _root(run: Run) -> str:
    storage = str(run.settings["storage"])
    return storage if "://" in storage else str(run.context.project_path / storage)


def _is_below(place: str, root: str) -> bool:
    path, folder = (fsspec.url_to_fs(each)[1] for each in (place, root))
    return PurePosixPath(path).is_relative_to(folder)


def _receipt_path(path: str) -> str:
    place = PurePosixPath(path)
    return str(place.with_name(f".{place.name}.simulated.json"))


def _files(filesystem: fsspec.AbstractFileSystem, path: str) -> dict[str, list[float]]:
    """Return size and time of change of each file."""
    filesystem.invalidate_cache()
    return {
        str(PurePosixPath(file)): [info["size"], filesystem.modified(file).timestamp()]
        for file, info in filesystem.find(path, detail=True).items()
        if not file.endswith(".simulated.json")
    }


def _write_receipt(location: str, finished: bool) -> None:
    """List the files that are there, all of them simulated; ``started`` is null once no more are written."""
    filesystem, path = fsspec.url_to_fs(location)
    receipt = {
        "note": "Written by the simulated hospital; it may be overwritten by it.",
        "started": None if finished else datetime.now(UTC).timestamp(),
        "files": _files(filesystem, path),
    }
    filesystem.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
    write_bytes(filesystem, _receipt_path(path), json.dumps(receipt).encode())


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
    receipt = json.loads(filesystem.cat_file(_receipt_path(path)))
    others = [
        time for file, (size, time) in files.items() if receipt["files"].get(file) != [size, time]
    ]
    if receipt["started"] is None:
        return bool(others)
    # A run that was killed has left files that are on no list but younger than its receipt, by the clock of who
    # stores both: that of this machine may be another.
    begun = filesystem.modified(_receipt_path(path)).timestamp()
    return any(time < begun - 1 for time in others)

"""Leave ``run.json`` beside the results: what made them."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from clm_ler.files.fingerprints import fingerprint
from clm_ler.files.location import dataset_location
from clm_ler.files.versions import PACKAGES, installed
from clm_ler.hooks.current import Run, current_run
from clm_ler.hooks.steps import pipeline_of

ENTRY = "run_record"


class RecordHooks:
    """Of each pipeline the last run: parameters, versions, seed, times, and what went in and came out.

    It is written when a run begins, so that one that was killed has left it, and when it ends.
    """

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline) -> None:
        """Write down what begins, and which run it goes on from where that did not end."""
        run = current_run()
        if run is None or ENTRY not in run.catalog:
            return
        before = _read(run.catalog)
        began = {
            name: _began(run, run_params, nodes, before.get(name))
            for name, nodes in _parts(pipeline)
        }
        run.catalog.save(ENTRY, before | began)

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline) -> None:
        """Add what it took and what came out."""
        _end("done", pipeline)

    @hook_impl
    def on_pipeline_error(self, pipeline: Pipeline) -> None:
        """Say that it failed; what made it fail counts more than what keeps this from being written."""
        with suppress(Exception):
            _end("failed", pipeline)


def _parts(pipeline: Pipeline) -> list[tuple[str, list[Node]]]:
    names = dict.fromkeys(map(pipeline_of, pipeline.nodes))
    return [
        (name, [node for node in pipeline.nodes if pipeline_of(node) == name]) for name in names
    ]


def _read(catalog: CatalogProtocol) -> dict[str, Any]:
    return dict(catalog.load(ENTRY)) if catalog[ENTRY].exists() else {}


def _began(
    run: Run, run_params: dict[str, Any], nodes: list[Node], before: dict[str, Any] | None
) -> dict[str, Any]:
    """Return what is known of a pipeline when it begins."""
    inputs = {name for node in nodes for name in node.inputs}
    read = sorted(name.removeprefix("params:") for name in inputs if name.startswith("params:"))
    return {
        "run": run_params["run_id"],
        "environment": run_params["env"],
        "state": "running",
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "goes_on_from": before["run"] if before and before["state"] != "done" else None,
        "versions": {name: installed(name) for name in PACKAGES},
        "seed": run.parameters["seed"],
        "parameters": {name: run.parameters.get(name) for name in read},
    }


def _end(state: str, pipeline: Pipeline) -> None:
    run = current_run()
    if run is None or ENTRY not in run.catalog:
        return
    record = _read(run.catalog)
    for name, nodes in _parts(pipeline):
        made = {output for node in nodes for output in node.outputs}
        taken = {dataset for node in nodes for dataset in node.inputs} - made
        over = run.steps is not None and not run.steps.left[name]  # before another one failed
        record[name] |= {
            "state": "done" if over else state,
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(run.steps.seconds[name], 1) if run.steps else None,
            "inputs": _fingerprints(taken, run.catalog),
            "outputs": _fingerprints(made, run.catalog),
        }
    run.catalog.save(ENTRY, record)


def _fingerprints(names: Iterable[str], catalog: CatalogProtocol) -> dict[str, Any]:
    places = {
        name: dataset_location(catalog[name])
        for name in sorted(names)
        if name in catalog and name != ENTRY
    }
    found = {name: fingerprint(place) for name, place in places.items() if place}
    return {name: one for name, one in found.items() if one is not None}

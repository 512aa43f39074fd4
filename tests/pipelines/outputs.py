"""Run a part of a pipeline in memory."""

from typing import Any

from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner


def outputs_of(pipeline: Pipeline, inputs: dict[str, Any], *wanted: str) -> dict[str, Any]:
    """Return the wanted datasets, made of nothing but the inputs."""
    found = {}
    for name in wanted:
        part = pipeline.to_outputs(name)
        entries = {
            entry: MemoryDataset(inputs[entry], copy_mode="assign") for entry in part.inputs()
        }
        catalog = DataCatalog(entries | {name: MemoryDataset(copy_mode="assign")})
        SequentialRunner().run(part, catalog)
        found[name] = catalog[name].load()
    return found

"""Tell kedro-viz how the nodes went: their seconds, the sizes of what they wrote, and which one failed.

kedro-viz's own hook does so too, but keeps the texts of errors, which may quote data, and full runs only.
"""

import logging
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline

from clm_ler.files.atomic import read_json, write_json
from clm_ler.files.digests import viz_id
from clm_ler.files.fingerprints import size_of
from clm_ler.files.location import dataset_location, is_remote, local_folder
from clm_ler.hooks.current import Run, current_run
from clm_ler.hooks.steps import Steps

logger = logging.getLogger(__name__)
FILE = ".viz/kedro_pipeline_events.json"  # where kedro-viz looks for it, in the project's folder

Event = dict[str, Any]


class StatusHooks:
    """Write the file that kedro-viz reads, of runs whose storage is in the project's folder.

    Nodes and datasets of earlier runs stay in it: each is shown as it went last.
    """

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline) -> None:
        """Write how it went; the results are there, whatever keeps this from being written."""
        try:
            _write(pipeline)
        except Exception as error:  # the file is damaged, or another run writes it at this moment
            told = FILE, type(error).__name__
            logger.warning("%s is not written (%s): kedro-viz shows earlier runs.", *told)

    @hook_impl
    def on_pipeline_error(self, error: Exception, pipeline: Pipeline) -> None:
        """Write which node failed; what made it fail counts more than what keeps this from being written."""
        with suppress(Exception):
            _write(pipeline, error)


def _write(pipeline: Pipeline, error: Exception | None = None) -> None:
    run = current_run()
    if run is None or run.steps is None or not _inside(run):
        return
    path = Path(run.context.project_path, FILE)
    told = list(_events(run, run.steps, pipeline, error))
    anew = {event["node_id"] for event in told}
    earlier = [
        event for event in read_json(path) or [] if event.get("node_id", "") not in {"", *anew}
    ]
    now = datetime.now(UTC)
    began = now - timedelta(seconds=sum(run.steps.nodes.values()))
    first = {"event": "before_pipeline_run", "timestamp": began.isoformat()}
    last = {"event": "after_pipeline_run", "timestamp": now.isoformat()}
    if error is not None:
        last |= {"event": "on_pipeline_error", "error": _named(error)}
    path.parent.mkdir(exist_ok=True)
    write_json(path, [first, *earlier, *told, last])


def _inside(run: Run) -> bool:
    """Return whether a run's storage is in the folder of a project."""
    storage, project = str(run.settings["storage"]), Path(run.context.project_path).resolve()
    if is_remote(storage) or not (project / "pyproject.toml").exists():
        return False
    return (project / local_folder(storage)).resolve().is_relative_to(project)


def _events(run: Run, steps: Steps, pipeline: Pipeline, error: Exception | None) -> Iterator[Event]:
    """Return what is told of each node that has ended, of what it wrote, and of the one that failed."""
    for node in pipeline.nodes:
        if node.name not in steps.nodes:
            continue
        yield _event("after_node_run", str(node), status="success", duration=steps.nodes[node.name])
        for name in node.outputs:
            place = dataset_location(run.catalog[name]) if name in run.catalog else None
            if place is not None:
                size = size_of(place)
                yield _event("after_dataset_saved", name, status="success", dataset=name, size=size)
    if error is not None and steps.running is not None:
        yield _event("on_node_error", str(steps.running[0]), error=_named(error))


def _event(event: str, of: str, **told: Any) -> Event:
    """Return an event of a node or a dataset."""
    return {"event": event, "node_id": viz_id(of), **told}


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: the log of the run says more"

"""Write docs/artifacts.md from the catalog, the contracts and the pipelines.

python docs/make_artifacts.py          writes the page
python docs/make_artifacts.py --check  fails where the page is not what the catalog says
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

PROJECT = Path(__file__).parents[1]
PAGE = Path(__file__).with_name("artifacts.md")
INTRODUCTION = """# Artifacts

Made by `python docs/make_artifacts.py` from the catalog, the contracts (`tables/contracts.py`) and the
pipelines; do not edit. Each name is one for `catalog.load("NAME")`; the place is below `storage`.
*No preview* marks what is about single persons, is under somebody's licence, or has no rows to show.
A dash marks what no pipeline makes: you bring it, another run has made it, or every run keeps it (`run_record`, working folders).
Layers are folders of `storage`, in the order of the chain.
"""
LAYERS = {
    "raw": "01_raw",
    "intermediate": "02_intermediate",
    "primary": "03_primary",
    "feature": "04_feature",
    "model_input": "05_model_input",
    "models": "06_models",
    "model_output": "07_model_output",
    "reporting": "08_reporting",
}
KINDS = {
    "aces.AcesLabelsDataset": "labels made by ACES",
    "passed_on.PassedOnDataset": "in memory, not kept",
    "cells.CellsDataset": "folder of Parquet files, one per cell",
    "chunked_table.ChunkedTableDataset": "table, a file per chunk",
    "elsewhere.ElsewhereDataset": "the same entry of other storages, by name",
    "encoded.EncodedSequencesDataset": "Arrow files, memory-mapped",
    "whole.TableDataset": "Parquet table",
    "folder_query.FolderQueryDataset": "query over a folder",
    "whole.JSONDataset": "JSON",
    "materialized.MaterializedDataset": "table of one run, not kept",
    "meds.MedsEventsDataset": "MEDS shards",
    "partitions.PartitionedDataset": "folder of files or tables",
    "person_table.PersonTableDataset": "table by person bucket",
    "whole.FigureDataset": "plotly figure",
    "pretrained.PretrainedDataset": "Hugging Face directory",
    "pushed.PushedDataset": "folder for another site",
    "text.TextDataset": "HTML page",
    "rrf.RRFDataset": "UMLS file",
    "workspace.WorkspaceDataset": "local working folder",
}


def main() -> None:
    """Write or check the page."""
    bootstrap_project(PROJECT)
    text = "\n".join([INTRODUCTION, *sections()])
    if "--check" in sys.argv:
        sys.exit(
            0
            if PAGE.read_text(encoding="utf-8") == text
            else "docs/artifacts.md: run docs/make_artifacts.py"
        )
    PAGE.write_text(text, encoding="utf-8")


def sections() -> Iterator[str]:
    """Yield one section a layer, then the columns of the tables that have a contract."""
    from clm_ler.tables.contracts import CONTRACTS

    entries = catalog_entries()
    for layer, folder in LAYERS.items():
        inside = {
            n: entry
            for n, entry in entries.items()
            if viz(entry).get("layer", "intermediate") == layer
        }
        yield f"## `{folder}`\n"
        yield "| name | kind | made by | read by |\n|---|---|---|---|"
        yield "\n".join(row(name, entry) for name, entry in sorted(inside.items())) + "\n"
    yield "## Columns\n\nChecked when a table is saved. `!` marks columns that are never null.\n"
    for name, contract in CONTRACTS.items():
        columns = ", ".join(f"`{column}` {kind}" for column, kind in contract.columns.items())
        key = f"; one row per {', '.join(contract.unique)}" if contract.unique else ""
        yield f"- **{name}**: {columns}{key}"
    yield ""


def catalog_entries() -> dict[str, dict[str, Any]]:
    """Return the entries of `conf/base` by name."""
    with KedroSession.create(PROJECT) as session:
        entries: dict[str, dict[str, Any]] = session.load_context().config_loader["catalog"]
    return {name: entry for name, entry in entries.items() if not name.startswith("_")}


def viz(entry: dict[str, Any]) -> dict[str, Any]:
    """Return what kedro-viz is told of an entry."""
    found: dict[str, Any] = entry["metadata"]["kedro-viz"]
    return found


def row(name: str, entry: dict[str, Any]) -> str:
    """Return the table row of an entry."""
    kind = kind_of(entry)
    if viz(entry).get("preview") is False:
        kind += "; no preview"
    nodes = [(pipeline, node) for pipeline in named() for node in pipelines[pipeline].nodes]
    makers = sorted({pipeline for pipeline, node in nodes if name in node.outputs})
    readers = sorted({pipeline for pipeline, node in nodes if name in node.inputs})
    return f"| `{name}` | {kind} | {', '.join(makers) or '-'} | {', '.join(readers)} |"


def kind_of(entry: dict[str, Any]) -> str:
    """Return what an entry is on disk."""
    name = entry["type"].removeprefix("clm_ler.datasets.")
    if name == "optional.OptionalDataset":
        return f"{kind_of(entry['dataset'])}; may be absent"
    return KINDS[name]


def named() -> list[str]:
    """Return the pipelines that have a folder of their own."""
    return sorted(name for name in pipelines if name != "__default__")


if __name__ == "__main__":
    main()

"""The notebooks run from the first cell to the last, and lie in git without outputs."""

import nbformat
import pytest
from nbclient import NotebookClient

from tests.end_to_end.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
START = "%load_ext kedro.ipython"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_figures(path, chain, storage):
    notebook = nbformat.read(path, as_version=4)
    start = next(
        number
        for number, cell in enumerate(notebook.cells)
        if cell.cell_type == "code" and START in cell.source
    )
    elsewhere = nbformat.v4.new_code_cell(f"%reload_kedro --params=storage={storage}")
    notebook.cells.insert(start + 1, elsewhere)
    NotebookClient(notebook, timeout=None, resources={"metadata": {"path": path.parent}}).execute()
    shown = [kind for cell in notebook.cells for kind in _kinds(cell)]
    assert shown.count("application/vnd.plotly.v1+json") >= 3
    assert "text/html" in shown  # a table


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_carries_no_outputs(path):
    cells = nbformat.read(path, as_version=4).cells
    assert [number for number, cell in enumerate(cells) if cell.get("outputs")] == []
    assert [number for number, cell in enumerate(cells) if cell.get("execution_count")] == []


def _kinds(cell):
    return [kind for output in cell.get("outputs", []) for kind in output.get("data", {})]

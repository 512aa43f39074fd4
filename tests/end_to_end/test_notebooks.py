"""The notebooks run from the first cell to the last, and lie in git without outputs."""

import shutil

import nbformat
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

from tests.end_to_end.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
START = "%load_ext kedro.ipython"
WRITES = {"5_own_task"}  # these run on a copy


@pytest.fixture(scope="module")
def kernel():
    """One for all: what they import takes longer than what they do."""
    manager = KernelManager()
    manager.start_kernel(cwd=ROOT / "notebooks")
    yield manager
    manager.shutdown_kernel(now=True)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_figures(path, kernel, chain, storage, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    start = next(
        number
        for number, cell in enumerate(notebook.cells)
        if cell.cell_type == "code" and START in cell.source
    )
    where = shutil.copytree(storage, tmp_path / "data") if path.stem in WRITES else storage
    elsewhere = nbformat.v4.new_code_cell(f"%reload_kedro --params=storage={where}")
    notebook.cells.insert(start + 1, elsewhere)
    NotebookClient(notebook, timeout=None, km=kernel).execute(cleanup_kc=False)
    shown = [kind for cell in notebook.cells for kind in _kinds(cell)]
    assert shown.count("application/vnd.plotly.v1+json") >= 3
    assert "text/html" in shown  # a table


def test_a_table_shows_its_rows_at_once(kernel, chain, storage):
    lines = (START, f"%reload_kedro --params=storage={storage}", 'catalog.load("cutflow")')
    cells = [nbformat.v4.new_code_cell(line) for line in lines]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=None, km=kernel).execute(cleanup_kc=False)
    outputs = cells[-1]["outputs"]
    (shown,) = [output for output in outputs if output["output_type"] == "execute_result"]
    assert "prescription" in shown["data"]["text/plain"]


def test_there_are_five():
    assert [path.stem[0] for path in NOTEBOOKS] == list("12345")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_carries_no_outputs(path):
    cells = nbformat.read(path, as_version=4).cells
    assert [number for number, cell in enumerate(cells) if cell.get("outputs")] == []
    assert [number for number, cell in enumerate(cells) if cell.get("execution_count")] == []


def _kinds(cell):
    return [kind for output in cell.get("outputs", []) for kind in output.get("data", {})]

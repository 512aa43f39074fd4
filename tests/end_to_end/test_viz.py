"""The lineage page: figures are shown, persons never are, and a browser draws it."""

import json
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files

import fsspec
import pytest
from kedro_viz.api.rest.responses.save_responses import save_api_responses_to_fs
from kedro_viz.data_access import data_access_manager
from kedro_viz.server import load_and_populate_data
from kedro_viz.services.layers import sort_layers

from clm_ler.corridor.figures import PALETTE
from tests.end_to_end.conftest import ROOT, SMALL

BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
TABLES = {
    "cutflow",
    "ehrshot_summary",
    "ehrshot_verdict",
    "loss_ledger",
    "rows_by_year",
    "token_counts",
}
FIGURES = ["pretrain_curves", "loss_figure", "finetune_roc", "ehrshot_figure_groups"]


@pytest.fixture(scope="module")
def page(chain, storage, tmp_path_factory):
    """What `kedro viz build --include-previews` writes for the small hospital."""
    folder = tmp_path_factory.mktemp("viz") / "page"
    load_and_populate_data(ROOT, extra_params=SMALL | {"storage": str(storage)})
    shutil.copytree(str(files("kedro_viz") / "html"), folder)
    save_api_responses_to_fs(str(folder), fsspec.filesystem("file"), True)
    return folder


@pytest.fixture(scope="module")
def entries(page):
    """The data nodes of the page by name: what is told of each."""
    nodes = json.loads((page / "api" / "main").read_text())["nodes"]
    data = {node["name"]: node for node in nodes if node["type"] == "data"}
    return {
        name: node | json.loads((page / "api" / "nodes" / node["id"]).read_text())
        for name, node in data.items()
    }


def test_every_pipeline_has_its_layers(page):
    """Where they are in a circle, kedro-viz shows none."""
    for pipeline in data_access_manager.registered_pipelines.as_list():
        nodes = data_access_manager.get_nodes_for_registered_pipeline(pipeline.id)
        edges = data_access_manager.get_node_dependencies_for_registered_pipeline(pipeline.id)
        assert sort_layers({node.id: node for node in nodes}, edges), pipeline.id


def test_tables_of_many_persons_are_on_the_page(entries):
    made = {name: entry for name, entry in entries.items() if name in TABLES}
    assert {*made} == TABLES
    assert {entry["preview_type"] for entry in made.values()} == {"TablePreview"}
    assert all(entry["preview"]["data"] for entry in made.values())


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_on_the_page(entries, name):
    assert entries[name]["preview_type"] == "PlotlyPreview"
    assert entries[name]["preview"]["data"]


def test_every_figure_says_what_was_found_in_the_look_of_all(entries):
    figures = [
        one["preview"] for one in entries.values() if one.get("preview_type") == "PlotlyPreview"
    ]
    assert len(figures) >= 13
    for layout in (figure["layout"] for figure in figures):
        assert layout["title"]["text"].startswith("<b>") and layout["title"]["subtitle"]["text"]
        assert tuple(layout["template"]["layout"]["colorway"]) == PALETTE


def test_no_persons_are_on_the_page(entries):
    shown = {name for name, entry in entries.items() if entry.get("preview")}
    assert [name for name in shown if '"person_id"' in json.dumps(entries[name]["preview"])] == []
    assert not {"patient", "sequences", "labels", "finetune_predictions"} & shown


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on the PATH")
def test_a_browser_draws_the_lineage_and_a_figure(page, entries):
    assert ">sequences<" in rendered(page, "/?pid=__default__")
    assert "js-plotly-plot" in rendered(
        page, f"/?pid=__default__&sid={entries['loss_figure']['id']}"
    )


def rendered(page, address):
    """The document after the page's scripts have run in a browser without a window."""
    handler = partial(QuietHandler, directory=str(page))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        options = "--headless=new --no-sandbox --disable-gpu --virtual-time-budget=60000"
        command = [BROWSER, *options.split(), f"--user-data-dir={page.parent / 'profile'}"]
        command += ["--dump-dom", f"http://127.0.0.1:{server.server_port}{address}"]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        server.shutdown()
    return shown


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass

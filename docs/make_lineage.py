"""Take the pictures of the project in kedro-viz: python docs/make_lineage.py

The first page, a box for each pipeline, without its layers, which would make the letters too small, and the box
of one pipeline opened. Needs the extra `viz` and a Chromium or Chrome on the PATH. Nothing is previewed in the pictures.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PROJECT = Path(__file__).parents[1]
DOCS = Path(__file__).parent
PICTURES = {  # what is shown, in a window of which size, and whether with layers
    "lineage.png": ("pid=__default__&expandAllPipelines=false", "1500,900", False),
    "lineage_preprocess.png": ("pid=preprocess&expandAllPipelines=true", "1100,1400", True),
}
SETTINGS = {
    "showFeatureHints": False,
    "theme": "light",
    "visible": {"sidebar": False, "miniMap": False, "miniMapBtn": True},
}
START = """<script>
localStorage.setItem("KedroViz", JSON.stringify({settings}));
location = "/?{query}";
</script>"""


def main(folder: Path = DOCS) -> None:
    """Build the page, open it in a browser without a window, and keep what it shows."""
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
    if browser is None:
        sys.exit("No Chromium or Chrome on the PATH.")
    subprocess.run([sys.executable, "-m", "kedro", "viz", "build"], cwd=PROJECT, check=True)
    page = PROJECT / "build"
    handler = partial(SimpleHTTPRequestHandler, directory=str(page))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/start.html"
        for name, (query, size, layers) in PICTURES.items():
            settings = json.dumps(SETTINGS | {"layer": {"visible": layers}})
            start = START.replace("{settings}", settings).replace("{query}", query)
            (page / "start.html").write_text(start, encoding="utf-8")
            take_picture(browser, address, size, folder / name)
        server.shutdown()


def take_picture(browser: str, address: str, size: str, picture: Path) -> None:
    """Write what the browser shows after its scripts have come to rest."""
    with tempfile.TemporaryDirectory() as profile:
        options = f"--headless=new --no-sandbox --disable-gpu --hide-scrollbars \
            --user-data-dir={profile} --window-size={size} --force-device-scale-factor=1.5 --virtual-time-budget=30000"
        command = [browser, *options.split(), f"--screenshot={picture}", address]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()

"""Take the picture of the project in kedro-viz: python docs/make_lineage.py

Needs the extra `viz` and a Chromium or Chrome on the PATH. Nothing is previewed in the picture.
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
PICTURE = Path(__file__).with_name("lineage.png")
SHOWN = "preprocess"  # of the whole chain no name could be read
SETTINGS = {
    "showFeatureHints": False,
    "theme": "light",
    "pipeline": {"active": SHOWN},
    "visible": {"sidebar": False, "miniMap": False, "miniMapBtn": True},
}
START = """<script>
localStorage.setItem("KedroViz", JSON.stringify({settings}));
location = "/?pid={shown}";
</script>"""


def main(picture: Path = PICTURE) -> None:
    """Build the page, open it in a browser without a window, and keep what it shows."""
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
    if browser is None:
        sys.exit("No Chromium or Chrome on the PATH.")
    subprocess.run([sys.executable, "-m", "kedro", "viz", "build"], cwd=PROJECT, check=True)
    page = PROJECT / "build"
    start = START.replace("{settings}", json.dumps(SETTINGS)).replace("{shown}", SHOWN)
    (page / "start.html").write_text(start)
    handler = partial(SimpleHTTPRequestHandler, directory=str(page))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        take_picture(browser, f"http://127.0.0.1:{server.server_port}/start.html", picture)
        server.shutdown()


def take_picture(browser: str, address: str, picture: Path) -> None:
    """Write what the browser shows after its scripts have come to rest."""
    with tempfile.TemporaryDirectory() as profile:
        options = f"--headless=new --no-sandbox --disable-gpu --hide-scrollbars \
            --user-data-dir={profile} --window-size=1300,1400 --virtual-time-budget=30000"
        command = [browser, *options.split(), f"--screenshot={picture}", address]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()

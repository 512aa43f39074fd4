"""Kill a run, or let its disk fail, at any moment: the same command then ends as if nothing had been.

    python -m tests.attack.crash SECONDS [PIPELINES]

prints a line for each attempt and a table at the end. Each attempt is a fork of one process that has everything imported. An audit hook counts
what a run does to files of its storage (open for writing, rename, remove, make a folder) and kills the
process at the n-th, or raises ENOSPC, EIO or EMFILE there; DuckDB's own writes are met by kills at a
random time. Afterwards the same run goes to its end, and every artifact is compared, row by row.
"""

import errno
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parents[2]
PIPELINES = ("split", "preprocess", "vocab")
RAW = ("patient", "diagnosis", "prescription", "procedure", "lab")  # what they read
SMALL = {
    "cohort": {"persons": 60, "ehrshot": {"persons": 40}},
    "vocab": {"min_persons": 1},
    "preprocess": {"min_loinc_counts": 5, "min_loinc_value_counts": 2},
}
FAULTS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EMFILE": errno.EMFILE}
_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree"}
_NAMES = re.compile(r"rows_[0-9a-f]{32}|/[0-9a-f]{32}(?=\.)")
_IGNORED = re.compile(r"(^|/)(tmp/|\.lock|08_reporting/run\.json$|\.[^/]*simulated\.json$)")
_LEFT = re.compile(r"\.(part|old)(/|$)|(^|/)tmp_|_temporary")


class Counting:
    """An audit hook: what a run does to the files below a folder, and what happens at one of them."""

    def __init__(self, folder, at=None, happens=None):
        self.folder, self.at, self.happens, self.seen = str(folder), at, happens, 0
        sys.addaudithook(self)

    def __call__(self, event, args):
        if event == "open":
            writes = isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
        else:
            writes = event in _CHANGES
        if not writes or not isinstance(args[0], str | os.PathLike):
            return
        if os.path.abspath(os.fspath(args[0])).startswith(self.folder):
            self.seen += 1
            if self.seen == self.at:
                self.happens()


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def fail(number):
    def happens():
        raise OSError(number, os.strerror(number))

    return happens


def run(storage, pipelines, **part):
    """Run pipelines, or a part of them, as `kedro run` does."""
    from kedro.framework.session import KedroSession

    options = SMALL | {"storage": str(storage), "threads": 1}
    with KedroSession.create(ROOT, runtime_params=options) as session:
        session.run(pipeline_names=list(pipelines), **part)


def attempt(storage, pipelines, at=None, happens=None, after=None, **part):
    """Fork, run, and return how the child ended and how many changes of files it has made.

    Args:
        storage: Where the run writes.
        pipelines: What runs.
        at: At which change something happens.
        happens: What.
        after: Seconds after which the child is killed.
        part: Of the pipelines, as Kedro's ``to_outputs``.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        told, code = "", 0
        counting = Counting(storage, at, happens)
        try:
            run(storage, pipelines, **part)
        except BaseException as error:
            told, code = f"{error}\n{traceback.format_exc()}", 1
        os.write(write, json.dumps([counting.seen, told[-4000:]]).encode())
        os._exit(code)
    os.close(write)
    if after is not None:
        timer = threading.Timer(after, os.kill, (child, signal.SIGKILL))
        timer.start()
    with os.fdopen(read) as stream:
        told = stream.read()
    status = os.waitpid(child, 0)[1]
    if after is not None:
        timer.cancel()
    changes, error = json.loads(told) if told else (None, "")
    return os.waitstatus_to_exitcode(status), changes, error


def rows_of(path):
    """The content of a file, whatever order its rows are in."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix == ".parquet":
        table = pq.read_table(path, partitioning=None)
    elif path.suffix == ".arrow":
        table = pa.ipc.open_file(path).read_all()
    elif path.name == "_manifest.json":
        return _NAMES.sub("*", path.read_text())
    else:
        return path.read_bytes()
    return "\n".join(sorted(map(str, table.to_pylist())))


def artifacts(storage):
    """The digest of every file of a storage, by a name without what differs from run to run."""
    found = {}
    for path in sorted(path for path in Path(storage).rglob("*") if path.is_file()):
        name = path.relative_to(storage).as_posix()
        if not _IGNORED.search(name):
            content = rows_of(path)
            content = content if isinstance(content, bytes) else content.encode()
            found.setdefault(_NAMES.sub("*", name), []).append(sha256(content).hexdigest())
    return {name: sorted(digests) for name, digests in found.items()}


def left_over(storage):
    """What nobody will ever read."""
    names = (path.relative_to(storage).as_posix() for path in Path(storage).rglob("*"))
    return sorted(name for name in names if _LEFT.search(name))


def attack(raw, pipelines, expected, changes, seconds, dice):
    """One run that is disturbed, and the same again; returns what was done and what went wrong."""
    storage = copy_of(raw)
    kinds = ["SIGKILL at a change", "SIGKILL at a time", *FAULTS]
    kind, at = dice.choice(kinds), dice.randint(1, changes)
    if kind == "SIGKILL at a time":
        attempt(storage, pipelines, after=dice.uniform(0.2, 1.0) * seconds)
    else:
        happens = fail(FAULTS[kind]) if kind in FAULTS else die
        attempt(storage, pipelines, at, happens)
    code, _changes, error = attempt(storage, pipelines)
    if code:
        return kind, at, f"refused: {error}"
    found = artifacts(storage)
    if found != expected:
        differing = sorted(
            name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)
        )
        return kind, at, f"differ: {', '.join(differing[:5])}"
    if left := left_over(storage):
        return kind, at, f"left: {', '.join(left[:5])}"
    return kind, at, None


def copy_of(raw):
    """A fresh storage with the raw tables, where there are any."""
    storage = raw.with_name("data")
    shutil.rmtree(storage, ignore_errors=True)
    if raw.exists():
        shutil.copytree(raw, storage)
    return storage


def main(seconds, pipelines=PIPELINES, seed=None):
    """Attack for some seconds, and at least twice; returns attempts and failures by kind."""
    from kedro.framework.startup import bootstrap_project

    import clm_ler.hooks
    import clm_ler.pipelines.preprocess.nodes
    import clm_ler.pipelines.vocab.nodes  # noqa: F401

    bootstrap_project(ROOT)
    dice, done, failures = random.Random(seed), Counter(), []
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder, "raw")
        if "cohort" not in pipelines:
            code, _changes, error = attempt(raw, ["cohort"], to_outputs=RAW)
            assert code == 0, error
        storage, began = copy_of(raw), time.monotonic()
        code, changes, error = attempt(storage, pipelines)
        undisturbed = time.monotonic() - began
        assert code == 0, error
        expected = artifacts(storage)
        while sum(done.values()) < 2 or time.monotonic() - began < seconds:
            kind, at, wrong = attack(raw, pipelines, expected, changes, undisturbed, dice)
            done[kind] += 1
            print(kind, at, wrong or "as if nothing had been", file=sys.stderr, flush=True)
            if wrong:
                failures.append((kind, at, wrong))
    return done, failures


if __name__ == "__main__":
    words = sys.argv[1:]
    given = tuple(words[1].split(",")) if len(words) > 1 else PIPELINES
    done, failures = main(float(words[0]), given)
    print("| disturbed by | runs | refused, different or left over |\n|---|---|---|")
    for kind, runs in sorted(done.items()):
        print(f"| {kind} | {runs} | {sum(failure[0] == kind for failure in failures)} |")
    for failure in failures:
        print(*failure)
    sys.exit(bool(failures))

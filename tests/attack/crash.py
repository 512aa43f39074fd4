"""Kill a run, or let its disk fail, at any moment: the same command then ends as if nothing had been.

    python -m tests.attack.crash SECONDS [STAGE ...]

A stage is one command, its pipelines with commas between them; each goes on from what those before it in
``STAGES`` have made, one that is not there from the raw tables. A line is printed for each attempt, and a
table at the end. An attempt is one to three forks of a process that has everything imported, each disturbed, and a last one that is not. An audit hook counts what a
run does to files of its storage (open for writing, rename, remove, make a folder), and at the n-th kills the
process or raises ENOSPC, EIO or EMFILE. What native code writes (DuckDB, safetensors) is met by signals at a
random time, and by the kernel's limit to the size of a file (EFBIG), which is a disk that is full.
Afterwards every artifact is compared, row by row, with an undisturbed run's.
"""

import errno
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import yaml

from clm_ler.cli import explanation, is_interruption
from clm_ler.files.interrupts import INTERRUPTED, prompt_interrupts
from tests.parsed_once import keep_what_was_parsed

ROOT = Path(__file__).parents[2]
PIPELINES = ("split", "preprocess", "vocab")
RAW = ("patient", "diagnosis", "prescription", "procedure", "lab")  # what they read
STAGES = ("cohort", ",".join(PIPELINES), "ehrshot_read,umls_mapping", "pretrain", "finetune")
STAGES += ("predict", "embed", "meds_export", "package", "report")
STAGES += ("explain", "ehrshot_eval", "label", "meds_labels", "embed_at", "transfer", "site")
STAGES += ("ehrshot_read,ehrshot_native", "fhir_read", "cohort_omop")
SMALL = {
    "cohort": {"persons": 60, "ehrshot": {"persons": 40}},
    "vocab": {"min_persons": 1},
    "preprocess": {"min_loinc_counts": 5, "min_loinc_value_counts": 2},
    "pretrain": {
        "hidden_size": 16,
        "max_steps": 4,
        "override_maxlen": 32,
        "tokens_per_batch": 256,
        "eval_steps": 2,
    },
    "finetune": {"num_train_epochs": 1, "override_maxlen": 32},
    "package": {"min_persons": 1},
    "explain": {"samples": 8, "checked": 2, "occluded": 1, "labs": 1, "min_persons": 1},
    "ehrshot_eval": {
        "tasks": ["guo_los"],
        "shots": [-1],
        "bootstraps": 10,
        "models": {"clm_ler": ["lr_lbfgs"], "count": ["lr_lbfgs"]}
        | dict.fromkeys(("untrained", "demographics", "count_bins"), ())
        | dict.fromkeys(("windowed", "clm_ler_windowed"), ()),
    },
    "site": {"min_persons": 1},
}
TASK = yaml.safe_load((ROOT / "conf" / "tasks" / "long_stay.yml").read_text())
# What else a stage is given; {0} is the storage, and `env` the environment.
GIVEN = {
    "label": {"task": TASK | {"min_events": 5}},
    "transfer": {"trained": "{0}"},
    "site": {"kit": "{0}/08_reporting/kit"},
    "ehrshot_read,ehrshot_native": {
        "env": "ehrshot",
        "ehrshot_root": "{0}/01_raw/EHRSHOT_ASSETS",
        "storage": "{0}/native",
    },
    "fhir_read": {"env": "fhir", "fhir_root": "{0}/export", "storage": "{0}/fhir"},
    "cohort_omop": {"storage": "{0}/omop"},
}
FAULTS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EMFILE": errno.EMFILE}
SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT", "SIGSTOP")
KINDS = ("SIGKILL at a change", *(f"{name} at a time" for name in SIGNALS))
KINDS += (*FAULTS, "EFBIG", "a second run")
_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree"}
_NAMES = re.compile(r"rows_[0-9a-f]{32}|/[0-9a-f]{32}(?=\.)")
_IGNORED = re.compile(r"(^|/)(tmp/|\.lock|08_reporting/run\.json$|\.[^/]*simulated\.json$)")
# How quick this machine was.
_TIMES = re.compile(rb'"(tokens_per_second|seconds_per_step|model_flops_utilisation)": [^,}]*')
_LEFT = re.compile(r"\.(part|old)(/|$)|(^|/)tmp_|_temporary")


@dataclass
class Stage:
    """A command, and what it makes where nothing disturbs it.

    Attributes:
        pipelines: What runs.
        before: A copy of the storage before it.
        expected: The digests of what is there after it.
        changes: How often it changes files.
        seconds: How long it takes.
        largest: Bytes of its largest file.
    """

    pipelines: list[str]
    before: Path
    expected: dict[str, list[str]]
    changes: int
    seconds: float
    largest: int


@dataclass
class Ended:
    """How a run ended: its exit code, how often it changed files, what the command line says, the traceback."""

    code: int
    changes: int | None = None
    said: str | None = None
    trace: str = ""


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
    raise OSError(number, os.strerror(number))


def run(storage, pipelines, **part):
    """Run pipelines, or a part of them, as `kedro run` does."""
    from kedro.framework.session import KedroSession

    given = GIVEN.get(",".join(pipelines), {})
    options = SMALL | {"storage": "{0}", "threads": 1} | given
    options = {n: v.format(storage) if isinstance(v, str) else v for n, v in options.items()}
    env = options.pop("env", None)
    with KedroSession.create(ROOT, runtime_params=options, env=env) as session:
        session.run(pipeline_names=list(pipelines), **part)


def start(storage, pipelines, at=None, happens=None, largest_file=None, **part):
    """Fork a child that runs; return its number and the stream on which it tells how it ended.

    Args:
        storage: Where the run writes.
        pipelines: What runs.
        at: At which change of a file something happens.
        happens: What.
        largest_file: Bytes beyond which the kernel lets no file grow.
        part: Of the pipelines, as Kedro's ``to_outputs``.
    """
    read, write = os.pipe()
    if number := os.fork():
        os.close(write)
        return number, os.fdopen(read)
    os.close(read)
    code, said, trace = 0, None, ""
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))
    counting = Counting(storage, at, happens)
    try:
        with prompt_interrupts():
            run(storage, pipelines, **part)
    except BaseException as error:
        if is_interruption(error):
            code = INTERRUPTED
        else:
            code, said, trace = 1, explanation(error), traceback.format_exc()
    os.write(write, json.dumps([counting.seen, said, trace[-4000:]]).encode())
    os._exit(code)


def end(number, stream):
    """Wait for a child; return how it ended."""
    with stream:
        told = stream.read()
    code = os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
    return Ended(code, *(json.loads(told) if told else ()))


def attempt(storage, pipelines, **how):
    """Run in a child, see :func:`start`, and wait for it."""
    return end(*start(storage, pipelines, **how))


def signalled(storage, pipelines, name, seconds):
    """Run in a child that gets a signal after some seconds; one that is stopped goes on after a while."""
    number, stream = start(storage, pipelines)
    timers = [threading.Timer(seconds, os.kill, (number, getattr(signal, name)))]
    if name == "SIGSTOP":
        timers.append(threading.Timer(seconds + 0.3, os.kill, (number, signal.SIGCONT)))
    for timer in timers:
        timer.start()
    ended = end(number, stream)
    for timer in timers:
        timer.cancel()
    return ended


def beside(storage, pipelines, seconds):
    """Start a run, and another one on the same storage after some seconds; return how the two ended."""
    first = start(storage, pipelines)
    time.sleep(seconds)
    second = start(storage, pipelines)
    return end(*first), end(*second)


def disturb(stage, storage, dice):
    """Disturb one run; return how, and what was wrong with the way it ended."""
    kind = dice.choice(KINDS)
    at, seconds = dice.randint(1, stage.changes), dice.uniform(0, 1.1) * stage.seconds
    name, _, when = kind.partition(" at a ")
    if when == "time":
        ended = signalled(storage, stage.pipelines, name, seconds)
        expected = {"SIGINT": INTERRUPTED, "SIGSTOP": 0}.get(name, -getattr(signal, name))
        wrong = ended.code not in (expected, 0)
        return f"{kind}: {seconds:.2f} s", f"ended with {ended}" if wrong else None
    if kind == "a second run":
        ends = beside(storage, stage.pipelines, seconds * dice.choice((0, 1)))
        refused = [ended for ended in ends if ended.code]
        wrong = len(refused) > 1 or any("is in use" not in (e.said or "") for e in refused)
        return f"{kind}: {seconds:.2f} s", f"ended with {ends}" if wrong else None
    if kind == "SIGKILL at a change":
        attempt(storage, stage.pipelines, at=at, happens=die)
        return f"{kind}: {at}", None
    if kind == "EFBIG":
        at = dice.randint(0, stage.largest)
        ended = attempt(storage, stage.pipelines, largest_file=at)
    else:
        ended = attempt(storage, stage.pipelines, at=at, happens=partial(fail, FAULTS[kind]))
    wrong = ended.code and ended.said is None
    return f"{kind}: {at}", f"not told in a line: {ended.trace}" if wrong else None


def attack(stage, dice):
    """Disturb a stage one to three times, run it again, and return what was done and what went wrong."""
    storage = copy_of(stage.before)
    told = [disturb(stage, storage, dice) for _ in range(dice.choice((1, 1, 2, 3)))]
    done, wrong = [how for how, _ in told], [fault for _, fault in told if fault]
    ended = attempt(storage, stage.pipelines)
    if ended.code:
        return done, [*wrong, f"refused: {ended.said or ended.trace}"]
    if differing := differences(artifacts(storage), stage.expected):
        wrong.append(f"differ: {differing}")
    if left := left_over(storage):
        wrong.append(f"left: {', '.join(left[:5])}")
    return done, wrong


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
    elif path.suffix == ".json":
        return _TIMES.sub(b"", path.read_bytes())
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


def differences(found, expected):
    """The names of files that are not as they should be, in words."""
    names = sorted(found.keys() | expected.keys())
    return ", ".join([name for name in names if found.get(name) != expected.get(name)][:5])


def left_over(storage):
    """What nobody will ever read."""
    names = (path.relative_to(storage).as_posix() for path in Path(storage).rglob("*"))
    return sorted(name for name in names if _LEFT.search(name))


def copy_of(before):
    """The storage as it was."""
    storage = before.with_name("data")
    shutil.rmtree(storage, ignore_errors=True)
    shutil.copytree(before, storage)
    return storage


def undisturbed(before, pipelines):
    """Run a stage twice, compare, and return it; what it has made is left in the storage."""
    ends, found = [], []
    for _ in range(2):
        storage, began = copy_of(before), time.monotonic()
        ends.append(whole(storage, pipelines))
        seconds = time.monotonic() - began
        found.append(artifacts(storage))
    assert not (differing := differences(*found)), f"{pipelines} twice, and differ: {differing}"
    largest = max(path.stat().st_size for path in storage.rglob("*") if path.is_file())
    return Stage(pipelines, before, found[0], ends[0].changes, seconds, largest)


def write_times(storage):
    """Write the times that ``embed_at`` is asked for: those of some labels."""
    import pyarrow.parquet as pq

    key = ["person_id", "prediction_time"]
    labels = pq.read_table(storage / "01_raw" / "raw_labels", columns=key)
    folder = storage / "01_raw" / "prediction_times"
    folder.mkdir()
    pq.write_table(labels.drop_null().group_by(key).aggregate([])[:20], folder / "0.parquet")
    (folder / "_SUCCESS").touch()


def write_export(storage):
    """Write the bulk export that ``fhir_read`` reads."""
    from tests.end_to_end.doors import facts, write

    (storage / "export").mkdir()
    write.write_fhir(storage / "export", facts.persons(), facts.facts())


WRITTEN_BEFORE = {"embed_at": write_times, "fhir_read": write_export}


def whole(storage, pipelines, **part):
    """Run pipelines in a child, without any disturbance; return how it ended."""
    ended = attempt(storage, pipelines, **part)
    assert ended.code == 0, ended.said or ended.trace
    return ended


def prepare(folder, stages):
    """Run the stages one after the other, undisturbed, with those that they go on from; return those asked for."""
    before = folder / "0"
    before.mkdir()
    last = max((STAGES.index(one) for one in stages if one in STAGES), default=-1)
    if last < 0:
        whole(before, ["cohort"], to_outputs=RAW)
    made = []
    for number, stage in enumerate(STAGES[: last + 1] or stages, 1):
        if stage in WRITTEN_BEFORE:
            WRITTEN_BEFORE[stage](before)
        if stage in stages:
            made.append(undisturbed(before, stage.split(",")))
        else:
            whole(copy_of(before), stage.split(","))
        before = folder / str(number)
        shutil.copytree(folder / "data", before)
    return made


def main(seconds, stages=STAGES, seed=None):
    """Attack for some seconds, and at least twice; returns how often by kind, and the failures."""
    from kedro.framework.project import settings
    from kedro.framework.startup import bootstrap_project

    import clm_ler.hooks
    import clm_ler.modeling
    import clm_ler.pipelines.preprocess.nodes
    import clm_ler.pipelines.vocab.nodes  # noqa: F401

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background has none
    bootstrap_project(ROOT)
    keep_what_was_parsed()
    settings.CONFIG_LOADER_CLASS(str(ROOT / "conf"), **settings.CONFIG_LOADER_ARGS)["catalog"]
    dice, done, failures = random.Random(seed), Counter(), []
    with (
        tempfile.TemporaryDirectory() as folder,
        suppress(KeyboardInterrupt),
    ):  # tells what was done
        made, began = prepare(Path(folder), stages), time.monotonic()
        while done.total() < 2 or time.monotonic() - began < seconds:
            # As long with each: quick ones more often.
            stage = dice.choices(made, [1 / one.seconds for one in made])[0]
            disturbed, wrong = attack(stage, dice)
            what = f"{','.join(stage.pipelines)}: {'; '.join(disturbed)}"
            print(what, *(wrong or ["as if nothing had been"]), file=sys.stderr, flush=True)
            done.update(how.partition(":")[0] for how in disturbed)
            failures += [(what, fault) for fault in wrong]
    return done, failures


if __name__ == "__main__":
    words = sys.argv[1:]
    done, failures = main(float(words[0]), tuple(words[1:]) or STAGES)
    print("| disturbed by | runs |\n|---|---|")
    for kind, runs in sorted(done.items()):
        print(f"| {kind} | {runs} |")
    print(
        f"| all; refused, different, left over or told without a line: {len(failures)} | {done.total()} |"
    )
    for failure in failures:
        print(*failure)
    sys.exit(bool(failures))

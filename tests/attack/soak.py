"""Many runs in one process, as a notebook makes them: memory and open files level off.

    python -m tests.attack.soak RUNS [PIPELINES]

prints a line for each run, and fails where the last third of the runs needs more open files than the middle
third, or over a tenth more memory.
"""

import gc
import os
import statistics
import sys
import tempfile
from pathlib import Path

from tests.attack.crash import PIPELINES, RAW, ROOT, run

LARGEST_GROWTH = 1.1


def needed():
    """Resident memory in MiB, open files and threads of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    counts = (len(os.listdir(f"/proc/self/{folder}")) for folder in ("fd", "task"))
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20, *counts


def main(runs, pipelines=PIPELINES):
    """Run the pipelines so often on one storage; returns what was needed after each run."""
    from kedro.framework.startup import bootstrap_project

    bootstrap_project(ROOT)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        run(folder, ["cohort"], to_outputs=RAW)
        for number in range(runs):
            run(folder, pipelines)
            gc.collect()
            found.append(needed())
            print("| {} | {:.0f} | {} | {} |".format(number + 1, *found[-1]), file=sys.stderr)
    return found


def grown(found):
    """What has grown from the middle third of the runs to the last, in words."""
    third = max(len(found) // 3, 1)
    parts = found[third : 2 * third] or found, found[-third:]
    (memory, files, _), (more, later, _) = (
        [statistics.median(values) for values in zip(*part, strict=True)] for part in parts
    )
    told = (
        [f"memory, from {memory:.0f} to {more:.0f} MiB"] if more > LARGEST_GROWTH * memory else []
    )
    return told + ([f"open files, from {files:.0f} to {later:.0f}"] if later > files else [])


if __name__ == "__main__":
    words = sys.argv[1:]
    found = main(int(words[0]), tuple(words[1].split(",")) if len(words) > 1 else PIPELINES)
    print("| runs | MiB after the first | MiB after the last | files, first and last | threads |")
    print("|---|---|---|---|---|")
    (first, files, _), (last, later, threads) = found[0], found[-1]
    print(f"| {len(found)} | {first:.0f} | {last:.0f} | {files}, {later} | {threads} |")
    if told := grown(found):
        sys.exit(f"Has grown: {'; '.join(told)}")

"""How long the report of what a storage has takes, and how large it is.

python benchmarks/report.py --storage DIR [--rounds 3]
"""

import argparse
import statistics
import time
from pathlib import Path

from kedro.framework.startup import bootstrap_project
from timing import PROJECT, timed_run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--storage", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    bootstrap_project(PROJECT)
    rounds = []
    for _ in range(arguments.rounds):
        cpu = time.process_time()
        seconds = timed_run(["report"], storage=str(arguments.storage))
        rounds.append((seconds, time.process_time() - cpu))
    clock, busy = (statistics.median(row[number] for row in rounds) for number in (0, 1))
    size = (arguments.storage / "08_reporting" / "report.html").stat().st_size
    print(f"report: {clock:.1f} s, CPU {busy:.1f} s, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

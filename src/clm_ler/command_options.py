"""The options of our commands: those of Kedro's, each given once, and values as they were written."""

import os
import re
from collections import Counter
from copy import copy
from typing import Any, cast

import click
from kedro.framework.cli.project import run as kedro_run

# 0012 is the number 10 in YAML, and may be the id of a person.
_ZERO_IN_FRONT = re.compile(r"((?:^|,)[^=,]+=)(-?0\d+)(?=\s*(?:,|$))")

RUNNERS = ("SequentialRunner", "ThreadRunner")


class GivenOnce(click.Command):
    """A command that refuses an option given twice where only the last one would count."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Count the options, and read them."""
        given = Counter(arg.partition("=")[0] for arg in args)
        for option in self.params:
            twice = sum(given[name] for name in option.opts) > 1
            if twice and isinstance(option, click.Option) and not option.multiple:
                raise click.UsageError(
                    f"{option.opts[0]} is given twice, and only the last one would count: put all into "
                    "one, separated by commas.",
                    ctx,
                )
        return super().parse_args(ctx, args)


def check_runner(name: str | None) -> None:
    """Refuse Kedro's runner of several processes, and one that is none.

    Raises:
        ValueError: With those that there are.
    """
    if name and "." not in name and name not in RUNNERS:
        raise ValueError(
            f"--runner must be {' or '.join(RUNNERS)}, not {name}: a run's tables are in one process, which "
            "uses all cores."
        )


def in_home(value: Any) -> Any:
    """Return a value with ``~`` as the home folder: shells leave it alone in ``--params=storage=~/results``."""
    if isinstance(value, dict):
        return {name: in_home(part) for name, part in value.items()}
    return os.path.expanduser(value) if isinstance(value, str) and value.startswith("~/") else value


def _as_written(option: click.Parameter) -> click.Parameter:
    """Return the option ``--params`` with values as they were written, any other as it is."""
    if option.name != "params":
        return option
    changed, read = copy(option), cast(Any, option.callback)

    def callback(ctx: click.Context, param: click.Parameter, given: Any) -> Any:
        text = _ZERO_IN_FRONT.sub(r"\1'\2'", given) if isinstance(given, str) else given
        return in_home(read(ctx, param, text))

    changed.callback = callback
    return changed


RUN_OPTIONS = [_as_written(option) for option in kedro_run.params]
PROJECT_OPTIONS = [one for one in RUN_OPTIONS if one.name in ("env", "conf_source", "params")]

"""``kedro run`` as Kedro has it, but an error that explains itself ends in its own words."""

import logging
import re
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import click
import duckdb
from kedro.config import MissingConfigException
from kedro.framework.cli.project import run as kedro_run
from kedro.io import DatasetError
from kedro.validation.exceptions import ParameterValidationError
from omegaconf.errors import OmegaConfBaseException

logger = logging.getLogger(__name__)

_TELLING = (
    DatasetError,
    MissingConfigException,
    OmegaConfBaseException,
    OSError,
    ParameterValidationError,
    duckdb.Error,
)
# What OmegaConf and Pydantic add for programmers.
_ADDED = re.compile(r"\n +(full_key|object_type|For further information).*")


class ClearRun(click.Command):
    """The run command; ``--traceback`` shows where an error came from, as does the log's DEBUG."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run, and turn an error that explains itself into its message and exit code 1."""
        show_traceback = ctx.params.pop("traceback")
        try:
            return super().invoke(ctx)
        except Exception as error:
            text = explanation(error)
            if show_traceback or text is None:
                raise
            logger.debug("The run has failed.", exc_info=True)
            raise click.ClickException(f"{text}\n(kedro run --traceback shows more.)") from error


def explanation(error: BaseException) -> str | None:
    """Return the message that was written for the reader; None where a library just gave up."""
    causes = list(_causes(error))
    first = causes[-1]
    asked = re.search(r"clm_ler\.pipelines\.(\w+)' module", str(first))
    if asked and find_spec(f"clm_ler.pipelines.{asked[1]}") is None:
        return f"There is no pipeline '{asked[1]}': see kedro registry list."
    telling = next((cause for cause in reversed(causes) if _raised_by(cause) == "clm_ler"), first)
    deliberate = _raised_by(telling) in ("clm_ler", "kedro")
    if not isinstance(telling, _TELLING) and not (
        isinstance(telling, ValueError | RuntimeError) and deliberate
    ):
        return None
    # Kedro puts the name of a dataset that could not be loaded in front.
    named = str(error).endswith(f": {telling}") and "\n" not in str(error)
    return _ADDED.sub("", str(error) if named else str(telling))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _raised_by(error: BaseException) -> str | None:
    """Return the top-level package of the line that raised it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_globals["__name__"].split(".")[0] if trace is not None else None


run = ClearRun(
    name="run",
    callback=kedro_run.callback,
    params=[
        *kedro_run.params,
        click.Option(["--traceback"], is_flag=True, help="Show where an error came from."),
    ],
    help=kedro_run.help,
)


@click.group(commands={"run": run})
def cli() -> None:
    """Commands of this project."""

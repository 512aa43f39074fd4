"""``kedro run`` as Kedro has it, in the environment's chain and with errors in their own words."""

import errno
import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import click
import pyarrow as pa
from kedro.config import MissingConfigException
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.context import KedroContext
from kedro.framework.project import pipelines, settings
from kedro.framework.session import KedroSession
from kedro.io import DatasetError
from kedro.utils import find_kedro_project
from kedro.validation.exceptions import ParameterValidationError
from omegaconf.errors import OmegaConfBaseException
from tqdm.contrib.logging import logging_redirect_tqdm

from clm_ler import estimate
from clm_ler.command_options import PROJECT_OPTIONS, RUN_OPTIONS, GivenOnce, check_runner
from clm_ler.config import ConfigLoader
from clm_ler.corridor.deferred import Functions
from clm_ler.doctor import WRONG, Finding, check_machine, check_tables
from clm_ler.engines.errors import EngineError
from clm_ler.files.interrupts import INTERRUPTED, MESSAGE, prompt_interrupts
from clm_ler.files.locks import LockedFolderError
from clm_ler.pipeline_registry import CHAIN

logger = logging.getLogger(__name__)
torchrun = Functions("clm_ler.modeling.training.torchrun")

IN_USE = 75  # "try again later", as in sysexits.h
_NODE_OPTIONS = ("node_names", "from_nodes", "to_nodes")

_TELLING = (
    DatasetError,
    MissingConfigException,
    OmegaConfBaseException,
    OSError,
    ParameterValidationError,
    EngineError,
    LockedFolderError,
)
# What a full disk and its like are called, and what helps.
_ROOM = "free some, or give another --params=storage=DIR; the same command goes on from here"
_ADVICE = {
    errno.ENOSPC: f"There is no room left on the disk: {_ROOM}",
    errno.EDQUOT: f"Your quota of the disk is used up: {_ROOM}",
    errno.EROFS: "The file system is read-only: give another --params=storage=DIR",
    errno.EACCES: "You may not write or read there: check its rights, or give another "
    "--params=storage=DIR",
    errno.EMFILE: "Too many files are open: raise the limit, ulimit -n 4096",
    errno.ENFILE: "Too many files are open on this machine",
    errno.EIO: "The disk cannot be read or written there: check it",
    errno.EFBIG: "A file may not become that large there, see ulimit -f",
}
# How libraries in Rust tell what the operating system said, such as that of safetensors.
_OF_THE_SYSTEM = re.compile(r"\(os error (\d+)\)")
_NO_ROOM = re.compile(r"No space left|could not write all bytes|max_temp_directory_size", re.I)
# What OmegaConf and Pydantic add for programmers.
_ADDED = re.compile(
    r"\n +(full_key|object_type|For further information).*| \[type=\w+, input_value=.*\]|Value error, "
    r"|Failed to instantiate \w+ for parameter '\w+': \d+ validation errors? for \w+\s+"
    r"|Parameter validation failed:\n- |ValueError raised while resolving interpolation: ",
)


# What readers of JSON, Arrow and text say of a file that was cut or overwritten.
_DAMAGE = (json.JSONDecodeError, pa.ArrowInvalid, UnicodeDecodeError)
_UNREAD = re.compile(
    r"(\w+: )?Failed while loading data from dataset .*?filepath=(?:\w+\()?'([^']+)'", re.DOTALL
)


class StorageInUse(click.ClickException):
    """Another run holds the storage."""

    exit_code = IN_USE


class ClearRun(GivenOnce):
    """The run command, with few lines and clear errors: ``--verbose`` and ``--traceback`` show more."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run, and turn an error that explains itself into its message and exit code 1."""
        show_traceback = ctx.params.pop("traceback")
        choose_lines(ctx.params.pop("verbose") or show_traceback)
        with prompt_interrupts(), logging_redirect_tqdm():
            try:
                complete(ctx.params)
                run = partial(super().invoke, ctx)
                return run_as_rank(run, ctx.params) if by_torchrun() else run()
            except (Exception, KeyboardInterrupt) as error:
                if is_interruption(error):
                    click.echo(MESSAGE, err=True)
                    ctx.exit(INTERRUPTED)
                text = explanation(error)
                if show_traceback or text is None:
                    raise
                logger.debug("The run has failed.", exc_info=True)
                in_use = isinstance(list(_causes(error))[-1], LockedFolderError)
                refuse = StorageInUse if in_use else click.ClickException
                raise refuse(f"{text}\n(kedro run --traceback shows more.)") from error


def by_torchrun() -> bool:
    """Return whether ``torchrun`` has started this process; torch knows it, too, but takes seconds to import."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def run_as_rank(run: Callable[[], Any], options: Mapping[str, Any]) -> None:
    """Run, where this is the first of the ranks; else train with it.

    Args:
        run: The run itself.
        options: Of the run command.

    Raises:
        ValueError: If anything is asked for but ``pretrain``: only its training knows of ranks.
    """
    if options["pipelines"] != ["pretrain"]:
        raise ValueError("torchrun is for --pipelines=pretrain: run all others without it.")
    with torchrun.joined() as is_first:
        if is_first:
            run()
            return
        pipelines.set_requested(options["pipelines"])
        context = _context(*(options[name] for name in ("env", "conf_source", "params")))
        torchrun.follow(partial(context.catalog.load, "encoded_sequences"))


def choose_lines(verbose: bool) -> None:
    """Let through what a reader waits for: pipelines, tables, results; or every node and detail, too."""
    logging.getLogger("kedro").setLevel(logging.INFO if verbose else logging.WARNING)
    # Of a failed run: Kedro's advice to begin elsewhere (the same command goes on), and the error, which we tell.
    logging.getLogger("kedro.runner").setLevel(logging.INFO if verbose else logging.ERROR)
    logging.getLogger("kedro.pipeline").setLevel(logging.INFO if verbose else logging.CRITICAL)
    # That a training which goes on has its steps as shares in its arguments, and counted in its state.
    logging.getLogger("transformers.trainer_utils").setLevel(
        logging.INFO if verbose else logging.ERROR
    )
    logging.getLogger("clm_ler").setLevel(logging.DEBUG if verbose else logging.INFO)
    # Of wrong parameters, whose error we tell, too.
    logging.getLogger("kedro.validation").setLevel(logging.INFO if verbose else logging.CRITICAL)
    # Those of libraries. What hides them, Python's filters, breaks where threads change it at a time.
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").setLevel(logging.WARNING if verbose else logging.ERROR)


def complete(options: dict[str, Any]) -> None:
    """Name the environment's chain where no pipeline is named, and each node with its namespace.

    Args:
        options: Of the run command; changed in place.
    """
    check_runner(options.get("runner"))
    if options["pipeline"]:  # Kedro 2 will have it no more
        names = [options["pipeline"]]
    else:
        names = options["pipelines"] = options["pipelines"] or chain_of(
            options["env"], options["conf_source"], options["params"]
        )
    if any(options[option] for option in _NODE_OPTIONS):
        pipelines.set_requested(names)
        full = [node.name for name in names for node in pipelines[name].nodes]
        for option in _NODE_OPTIONS:
            options[option] = [
                name for given in options[option] for name in _with_namespace(given, full)
            ]


def chain_of(env: str | None, conf_source: str | None, params: dict[str, Any]) -> list[str]:
    """Return the pipelines that a plain run means in an environment.

    ``chain: [split, preprocess, ...]`` in its ``globals.yml`` says so: environments that read a user's
    own tables leave out the simulated hospital this way. Where there are several chains,
    ``chain: {NAME: [...], ...}``, ``--params=chain=NAME`` takes one, by default the first. With a kit of
    another site (``--params=kit=DIR``) it is ``kit_chain``.

    Raises:
        ValueError: If there is no chain of that name.
    """
    project = find_kedro_project(Path.cwd()) or Path.cwd()
    loader = settings.CONFIG_LOADER_CLASS(
        conf_source or str(project / settings.CONF_SOURCE),
        env=env or os.getenv("KEDRO_ENV"),
        **settings.CONFIG_LOADER_ARGS,
    )
    if params.get("kit"):
        return list(loader["globals"]["kit_chain"])
    found = loader["globals"].get("chain", CHAIN)
    if not isinstance(found, Mapping):
        return list(found)
    name = params.get("chain", next(iter(found)))
    if name not in found:
        raise ValueError(f"chain must be one of {', '.join(found)}, not {name!r}.")
    return list(found[name])


def _with_namespace(given: str, full: list[str]) -> list[str]:
    """Return the full names that a node's name may mean; itself where it means none."""
    return [name for name in full if given in (name, name.rpartition(".")[2])] or [given]


def explanation(error: BaseException) -> str | None:
    """Return the message that was written for the reader; None where a library just gave up."""
    causes = list(_causes(error))
    first = _of_the_system(causes[-1])
    asked = re.search(r"clm_ler\.pipelines\.(\w+)' module", str(first))
    if asked and find_spec(f"clm_ler.pipelines.{asked[1]}") is None:
        return f"There is no pipeline '{asked[1]}': see kedro registry list."
    if (unread := _UNREAD.match(str(error))) and isinstance(first, _DAMAGE):
        name, path = unread.groups(default="")
        return f"{name}{path} is cut or damaged: run what makes it again, or copy it anew."
    telling = next((cause for cause in reversed(causes) if _raised_by(cause) == "clm_ler"), first)
    deliberate = _raised_by(telling) in ("clm_ler", "kedro")
    if not isinstance(telling, _TELLING) and not (
        isinstance(telling, ValueError | RuntimeError) and deliberate
    ):
        return None
    if advice := _advice(first):
        return advice
    # Kedro puts the name of a dataset that could not be loaded in front.
    named = str(error).endswith(f": {telling}") and "\n" not in str(error)
    text = _ADDED.sub("", str(error) if named else str(telling))
    # A line for each: the place in the parameter, and what is wrong with it.
    return re.sub(r"\n +", ": ", text) if isinstance(telling, ParameterValidationError) else text


def _of_the_system(error: BaseException) -> BaseException:
    """Return the operating system's error that a message quotes; without one, the error itself."""
    quoted = _OF_THE_SYSTEM.search(str(error))
    return OSError(int(quoted[1]), os.strerror(int(quoted[1]))) if quoted else error


def _advice(error: BaseException) -> str | None:
    """Return what helps where the machine is at its limits."""
    if isinstance(error, EngineError) and _NO_ROOM.search(str(error)):
        return f"{_ADVICE[errno.ENOSPC]}."
    if isinstance(error, OSError) and error.errno in _ADVICE:
        place = f" ({error.filename})" if error.filename else ""
        return f"{_ADVICE[error.errno]}{place}."
    return None


def is_interruption(error: BaseException | None) -> bool:
    """Return whether Ctrl-C is behind an error, even one that a library has put in its place."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


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
        *RUN_OPTIONS,
        click.Option(["--verbose"], is_flag=True, help="Log every node and detail."),
        click.Option(["--traceback"], is_flag=True, help="Show where an error came from."),
    ],
    help=kedro_run.help,
)


def run_doctor(env: str | None, conf_source: str | None, params: dict[str, Any]) -> None:
    """Check the machine, the storage and your tables before a run.

    Prints a line for each: ok, look (a run may work), or wrong (it cannot, and what to do). The exit
    code is 1 if something is wrong. Only names and types of columns are read.
    """
    choose_lines(False)
    try:
        findings = list(_findings(env, conf_source, params))
    except Exception as error:
        if (text := explanation(error)) is None:
            raise
        findings = [Finding(WRONG, "configuration", text)]
    for finding in findings:
        click.echo(f"{finding.level:<6}{finding.subject}: {finding.text}")
    if any(finding.level == WRONG for finding in findings):
        raise click.exceptions.Exit(1)


def _findings(
    env: str | None, conf_source: str | None, params: dict[str, Any]
) -> Iterator[Finding]:
    chain = chain_of(env, conf_source, params)
    pipelines.set_requested(chain)
    made = {output for name in chain for output in pipelines[name].all_outputs()}
    context = _context(env, conf_source, params)
    settings = cast(ConfigLoader, context.config_loader).settings
    yield from check_machine(settings, context.project_path)
    yield from check_tables(context.catalog, context.params["preprocess"], made)


def run_estimate(env: str | None, conf_source: str | None, params: dict[str, Any]) -> None:
    """Say what a run will cost before it: time, memory and disk.

    Counts the rows of your tables. If they have become sequences already, it also trains the
    configured model twice for twenty steps, in a temporary folder. Nothing is written to the storage.
    """
    choose_lines(False)
    pipelines.set_requested(["preprocess", "pretrain"])  # whose parameters are read
    try:
        context = _context(env, conf_source, params)
        for subject, text in estimate.estimate_run(context):
            click.echo(f"{subject:<10}{text}")
    except Exception as error:
        if (told := explanation(error)) is None:
            raise
        raise click.ClickException(told) from error


def _context(env: str | None, conf_source: str | None, params: dict[str, Any]) -> KedroContext:
    project = find_kedro_project(Path.cwd()) or Path.cwd()
    session = KedroSession.create(project, env=env, conf_source=conf_source, runtime_params=params)
    return session.load_context()


def _command(name: str, callback: Callable[..., None]) -> click.Command:
    return GivenOnce(name, callback=callback, params=PROJECT_OPTIONS, help=callback.__doc__)


@click.group(commands=[run, _command("doctor", run_doctor), _command("estimate", run_estimate)])
def cli() -> None:
    """Commands of this project."""

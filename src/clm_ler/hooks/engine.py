"""Open what a run reads and writes with: the table engine, the store, and the storage for itself."""

import logging
import os
import re
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import fsspec
from kedro.config import MissingConfigException
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro_datasets.ibis import FileDataset

from clm_ler.engines import Engine, engine, engine_of
from clm_ler.engines.duckdb import DuckDB
from clm_ler.engines.s3 import check_bucket, s3_buckets
from clm_ler.engines.session import start_session
from clm_ler.files.atomic import sweep
from clm_ler.files.location import dataset_location, is_remote, local_folder
from clm_ler.files.locks import lock_folder
from clm_ler.hooks.current import Run, current_run
from clm_ler.storage.gather import let_work

logger = logging.getLogger(__name__)
_PREFIX = "CLM_AWS_"
_OF_A_STORE = re.compile(r"(?!file:)\w\w+:/")  # gs://, or s3:/ with a slash forgotten
MOST_THREADS = 1024  # DuckDB starts as many as it is told, until the machine has no more


class EngineHooks:
    """Start the engine with the context, open the store with the catalog, lock the storage with the run.

    Credentials for ``s3://`` are in the ``s3`` block of ``credentials.yml``, or where AWS tools look
    for them: ``AWS_*`` variables, ``AWS_PROFILE``, ``~/.aws``, a machine's role. ``CLM_AWS_*``
    variables stand in for ``AWS_*`` ones.
    """

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Take the credentials, start Spark where it is the engine, set the limits."""
        _take_credentials(_optional(context, "credentials").get("s3", {}))
        if run := current_run():
            _check_name(run.settings["storage"])
            if engine(run.settings["engine"]).distributed:
                start_session(_optional(context, "spark"))
            limits = str(run.settings["memory_limit"]), _threads(run.settings["threads"])
            for shared in _shared_engines(run):
                shared.configure(*limits, str(run.settings["storage"]))

    @hook_impl
    def after_catalog_created(self, conf_catalog: dict[str, Any]) -> None:
        """Open the store to the engine where an entry lies in one; nothing is asked of it yet."""
        if s3_buckets(_texts(conf_catalog)):
            _open_store()

    @hook_impl(wrapper=True)
    def before_pipeline_run(
        self, pipeline: Pipeline, catalog: CatalogProtocol
    ) -> Generator[None, Any, Any]:
        """Look at the buckets and lock the storage before any other hook does something."""
        for bucket in sorted(s3_buckets(_places(pipeline.datasets(), catalog))):
            check_bucket(bucket)
        _lock_storage()
        try:
            return (yield)
        except BaseException:  # a hook refuses the run, which then neither ends nor fails for Kedro
            _unlock_storage()
            raise

    @hook_impl
    def before_node_run(self, node: Node, catalog: CatalogProtocol) -> None:
        """Renew what may have expired: a role's credentials live for an hour or so."""
        if s3_buckets(_places([*node.inputs, *node.outputs], catalog)):
            _open_store()

    @hook_impl(trylast=True)
    def after_pipeline_run(self) -> None:
        """Unlock the storage."""
        _unlock_storage()

    @hook_impl(trylast=True)
    def on_pipeline_error(self) -> None:
        """Unlock the storage."""
        _unlock_storage()


def _check_name(storage: Any) -> None:
    """Refuse a storage that is none, and a name that engines would take for a pattern, or for the end of one."""
    if not isinstance(storage, str) or not storage:
        # A variable of the shell that is not set; or 2024_01, which is a number in YAML.
        raise ValueError(
            f"The storage must be a folder or s3://BUCKET/PREFIX, not {storage!r}: give another "
            "--params=storage=DIR, a name of digits as ./NAME."
        )
    if _OF_A_STORE.match(storage) and not s3_buckets([storage]):
        raise ValueError(f"The storage must be a folder or s3://BUCKET/PREFIX, not {storage}.")
    if storage.startswith("~"):
        raise ValueError(
            f"The storage {storage} begins with '~': write the whole path of the folder."
        )
    if found := set("'*?[") & set(storage):
        raise ValueError(
            f"The storage {storage} has a {min(found)!r} in its name, which engines do not take: give "
            "another --params=storage=DIR."
        )


def _threads(given: Any) -> int:
    if not str(given).isdecimal() or int(given) > MOST_THREADS:
        raise ValueError(
            f"threads must be a whole number up to {MOST_THREADS}, or 0 for all cores, not {given!r}."
        )
    return int(given)


def _optional(context: KedroContext, kind: str) -> dict[str, Any]:
    """Return a kind of configuration, empty where there is none."""
    try:
        return dict(context.config_loader[kind])
    except MissingConfigException:
        return {}


def _take_credentials(s3: dict[str, Any]) -> None:
    """Make the credentials those of every file system, and the project's variables AWS's own."""
    if s3:
        fsspec.config.conf["s3"] = s3
    for name, value in list(os.environ.items()):
        if name.startswith(_PREFIX):
            os.environ[name.removeprefix("CLM_")] = value


def _shared_engines(run: Run) -> list[Engine]:
    """Return the engines on the connections that the entries share: of stored tables, of raw ones."""
    chosen = engine(run.settings["engine"])
    tables = DuckDB(FileDataset(filepath="any", connection=DuckDB.connection).connection)
    if not chosen.distributed:
        let_work(tables, None)
        return [tables]
    raw = engine_of(FileDataset(filepath="any", connection=chosen.connection).connection)
    let_work(tables, raw)
    return [tables, raw]


def _open_store() -> None:
    if run := current_run():
        for shared in _shared_engines(run):
            shared.open_store(fsspec.config.conf.get("s3", {}))


def _texts(conf: Any) -> Iterator[str]:
    """Yield every text in a configuration."""
    if isinstance(conf, str):
        yield conf
    elif isinstance(conf, dict | list):
        for part in conf.values() if isinstance(conf, dict) else conf:
            yield from _texts(part)


def _places(names: Iterable[str], catalog: CatalogProtocol) -> Iterator[str]:
    """Yield the paths and URLs of entries that have one."""
    return filter(None, (dataset_location(catalog.get(name)) for name in names))


def _lock_storage() -> None:
    run = current_run()
    if run and not is_remote(storage := str(run.settings["storage"])):
        folder = Path(run.context.project_path, local_folder(storage))
        run.lock = lock_folder(folder)
        # Its layers only: it may be a home or a project, whose hidden files are not ours.
        left = [file for layer in folder.glob("[0-9][0-9]_*") for file in sweep(layer)]
        if left:
            logger.info("%d files of a run that was killed are removed.", len(left))


def _unlock_storage() -> None:
    run = current_run()
    if run and run.lock:
        run.lock.release()
        run.lock = None

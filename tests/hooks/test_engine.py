"""The engine is open with the context, the store with the catalog; a run has the storage to itself."""

import socket

import fsspec
import pytest
from kedro.config import MissingConfigException
from kedro.framework.hooks import hook_impl
from kedro.framework.hooks.manager import _create_hook_manager, _register_hooks
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro_datasets.ibis import FileDataset

from clm_ler.engines import engine_of
from clm_ler.engines.duckdb import DuckDB
from clm_ler.engines.s3 import check_bucket
from clm_ler.files.locks import LockedFolderError, lock_folder
from clm_ler.hooks.current import RunHooks
from clm_ler.hooks.engine import EngineHooks
from tests.hooks.context import Loader, context

PIPELINE = Pipeline([Node(lambda rows: rows, "rows", "copy", name="copy")])
REMOTE = {
    "type": "ibis.FileDataset",
    "filepath": "s3://records/rows.parquet",
    "connection": DuckDB.connection,
}


class Configuration(Loader):
    """Files that are not there are said to be missing, as Kedro's loader does."""

    def __missing__(self, kind):
        raise MissingConfigException(kind)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """What a run leaves in the process is put back."""
    monkeypatch.setattr(fsspec.config, "conf", {})
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def shared():
    """The connection that all entries share."""
    return FileDataset(filepath="any", connection=DuckDB.connection).connection


@pytest.fixture
def begin(tmp_path):
    """Kedro's hooks after the context is there; parts of the configuration as keywords."""

    def begin(*others, **configuration):
        hooks = _create_hook_manager()
        _register_hooks(hooks, (*others, EngineHooks(), RunHooks()))
        project = context(tmp_path, **configuration)
        settings = {"engine": "duckdb", "memory_limit": "1GB", "threads": 1}
        settings |= {"storage": str(tmp_path / "data")}
        found = Configuration(project.config_loader | {"globals": settings})
        found.runtime_params = project.config_loader.runtime_params
        project.config_loader = found
        hooks.hook.after_context_created(context=project)
        return hooks.hook

    return begin


def run(hook, catalog=None):
    """Return what Kedro tells the hooks of a run, after its beginning."""
    catalog = catalog or DataCatalog({})
    told = {"run_params": {}, "pipeline": PIPELINE, "catalog": catalog}
    hook.before_pipeline_run(**told)
    return told


def secret_of(backend):
    """What DuckDB knows of the store, its keys hidden."""
    return backend.raw_sql("SELECT secret_string FROM duckdb_secrets()").fetchone()[0]


def offline(*args, **kwargs):
    raise AssertionError("a connection was opened")


def test_the_command_line_comes_before_the_globals(begin, shared):
    begin(command_line={"memory_limit": "2GB", "threads": "3"})
    settings = "SELECT current_setting('threads'), current_setting('memory_limit')"
    assert shared.raw_sql(settings).fetchone() == (3, "1.8 GiB")


@pytest.mark.parametrize("threads", ["x", "1.5", -1, 1_000_000])
def test_threads_that_are_no_number_of_threads_are_named(threads, begin):
    with pytest.raises(ValueError, match="threads must be a whole number up to 1024, or 0 for all"):
        begin(command_line={"threads": threads})


@pytest.mark.parametrize("storage", ["it's", "a*b", "what?", "a[b]"])
def test_a_storage_whose_name_engines_do_not_take_is_refused(storage, begin):
    with pytest.raises(ValueError, match="in its name, which engines do not take"):
        begin(command_line={"storage": storage})


@pytest.mark.parametrize(
    ("storage", "told"),
    [
        (None, "must be a folder or s3://BUCKET/PREFIX, not None"),
        ("", "must be a folder or s3://BUCKET/PREFIX, not ''"),
        (202401, "not 202401: .* a name of digits as ./NAME"),  # 2024_01 in YAML
        ("gs://bucket/site", "must be a folder or s3://BUCKET/PREFIX, not gs://bucket/site"),
        ("s3:/bucket/site", "must be a folder or s3://BUCKET/PREFIX, not s3:/bucket/site"),
        ("~/results", "begins with '~': write the whole path"),
    ],
)
def test_a_storage_that_is_none_is_refused(storage, told, begin):
    with pytest.raises(ValueError, match=told):
        begin(command_line={"storage": storage})


def test_the_embedded_engine_needs_no_java(begin, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    begin(spark={"spark.master": "local[2]"})


def test_spark_starts_in_any_environment_whose_engine_it_is(begin, monkeypatch):
    started = []
    monkeypatch.setattr("clm_ler.hooks.engine.start_session", started.append)
    monkeypatch.setattr("clm_ler.hooks.engine._shared_engines", lambda run: [])
    begin(command_line={"engine": "pyspark"}, spark={"spark.master": "local[2]"})
    assert started == [{"spark.master": "local[2]"}]


def test_credentials_reach_duckdb_and_fsspec(begin, shared):
    block = {"key": "MINE", "secret": "hidden", "endpoint_url": "http://127.0.0.1:9"}
    block |= {"client_kwargs": {"region_name": "eu-west-1"}}
    hook = begin(credentials={"s3": block})
    catalog = DataCatalog.from_config({"rows": REMOTE})
    told = {"conf_creds": {}, "parameters": {}, "save_version": "", "load_versions": {}}
    hook.after_catalog_created(catalog=catalog, conf_catalog={"rows": REMOTE}, **told)
    found = secret_of(shared)
    for part in ("key_id=MINE", "endpoint=127.0.0.1:9", "region=eu-west-1", "use_ssl=false"):
        assert part in found
    filesystem = fsspec.filesystem("s3", skip_instance_cache=True)
    assert (filesystem.key, filesystem.secret) == ("MINE", "hidden")
    assert filesystem.endpoint_url == "http://127.0.0.1:9"


def test_the_projects_own_variables_stand_in_for_those_of_aws(begin, shared, monkeypatch):
    for name, value in (("ACCESS_KEY_ID", "OURS"), ("SECRET_ACCESS_KEY", "hidden")):
        monkeypatch.setenv(f"CLM_AWS_{name}", value)
        monkeypatch.setenv(f"AWS_{name}", "somebody else's")
    begin()
    engine_of(shared).open_store({})
    assert "key_id=OURS" in secret_of(shared)


@pytest.mark.parametrize("entry", [REMOTE, {"type": "Optional", "dataset": REMOTE}])
def test_a_catalog_with_buckets_opens_the_store_and_asks_it_nothing(
    entry, begin, shared, monkeypatch
):
    hook = begin(credentials={"s3": {"key": "MINE", "secret": "hidden"}})
    shared.raw_sql("DROP SECRET IF EXISTS clm_s3")
    monkeypatch.setattr(socket, "getaddrinfo", offline)
    monkeypatch.setattr(socket.socket, "connect", offline)
    catalog = DataCatalog.from_config({"rows": REMOTE})
    told = {"conf_creds": {}, "parameters": {}, "save_version": "", "load_versions": {}}
    hook.after_catalog_created(catalog=catalog, conf_catalog={"rows": entry}, **told)
    assert "key_id=MINE" in secret_of(shared)


def test_only_the_buckets_of_the_run_are_looked_at(begin, monkeypatch):
    looked_at = []
    monkeypatch.setattr("clm_ler.hooks.engine.check_bucket", looked_at.append)
    other = REMOTE | {"filepath": "s3://elsewhere/rows.parquet"}
    copy = REMOTE | {"filepath": "s3a://results/rows.parquet"}
    entries = {"rows": REMOTE, "copy": copy, "other": other}
    run(begin(), DataCatalog.from_config(entries))
    assert looked_at == ["records", "results"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (FileNotFoundError(), "There is no bucket s3://records."),
        (PermissionError(), "may not list s3://records: check the s3 block of credentials.yml"),
        (ConnectionError("no route"), "s3://records cannot be reached: no route"),
    ],
)
def test_what_is_wrong_with_a_bucket_is_one_line(error, message, monkeypatch):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr("s3fs.S3FileSystem.ls", fail)
    with pytest.raises(RuntimeError) as raised:
        check_bucket("records")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_run_has_the_storage_to_itself_until_its_end(begin, tmp_path):
    hook = begin()
    told = run(hook)
    with pytest.raises(LockedFolderError, match=r"data is in use since"):
        lock_folder(tmp_path / "data")
    hook.after_pipeline_run(run_result={}, **told)
    lock_folder(tmp_path / "data").release()


def test_only_what_a_killed_run_left_is_removed_from_a_storage(begin, tmp_path):
    """A home may be the storage: its hidden files, whatever their names end in, are the user's."""
    storage = tmp_path / "data"
    left = storage / "04_feature" / ".units.parquet.part"
    own = [storage / ".profile.old", storage / ".download.part", storage / "mail" / ".box.old"]
    for file in (left, *own):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    run(begin())
    assert [file.exists() for file in (left, *own)] == [False, True, True, True]


def test_a_run_that_fails_gives_the_storage_free(begin, tmp_path):
    hook = begin()
    told = run(hook)
    hook.on_pipeline_error(error=ValueError(), **told)
    lock_folder(tmp_path / "data").release()


def test_a_run_that_another_hook_refuses_gives_the_storage_free(begin, tmp_path):
    class Refusal:
        @hook_impl
        def before_pipeline_run(self):
            raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        run(begin(Refusal()))
    lock_folder(tmp_path / "data").release()


def test_after_an_interrupted_run_the_same_process_can_run_again(begin):
    run(begin())  # Kedro tells nobody of a KeyboardInterrupt
    run(begin())


def test_a_run_is_refused_before_any_hook_has_done_something(begin, tmp_path):
    seen = []

    class Other:
        @hook_impl
        def before_pipeline_run(self):
            seen.append("run")

    lock = lock_folder(tmp_path / "data")
    with pytest.raises(LockedFolderError):
        run(begin(Other()))
    assert seen == []
    lock.release()


def test_looking_at_the_catalog_locks_nothing(begin, tmp_path):
    begin()
    assert not (tmp_path / "data").exists()


def test_a_remote_storage_is_not_locked(begin, monkeypatch):
    monkeypatch.setattr("clm_ler.hooks.engine.lock_folder", offline)
    run(begin(command_line={"storage": "s3://records/site"}))

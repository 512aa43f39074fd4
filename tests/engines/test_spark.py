"""Spark starts where it can; what is missing is said in one line."""

from unittest.mock import Mock

import pytest

from clm_ler.engines.session import _ignored, require_java, require_package, require_spark
from clm_ler.engines.spark import _even_keys, _murmur3, _of_tasks


@pytest.fixture
def java(tmp_path, monkeypatch):
    """A Java that says it is of some version."""

    def install(version):
        program = tmp_path / "bin" / "java"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
        program.chmod(0o755)
        monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    return install


def test_without_java_it_says_so_in_one_line(tmp_path, monkeypatch):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        RuntimeError, match=r"^Spark needs Java 17 or newer, and no 'java'.*PATH\.$"
    ):
        require_java()


@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.22"])
def test_an_old_java_is_named(version, java):
    java(version)
    with pytest.raises(RuntimeError, match=f"Java 17 or newer, not .*{version}"):
        require_java()


@pytest.mark.parametrize("version", ["17.0.2", "21"])
def test_a_newer_java_will_do(version, java):
    java(version)
    require_java()


def test_an_older_spark_is_refused_with_the_version_wanted(monkeypatch):
    pyspark = pytest.importorskip("pyspark")
    require_spark()
    monkeypatch.setattr(pyspark, "__version__", "3.5.1")
    with pytest.raises(RuntimeError, match=r"^Spark 4\.0 or newer is needed, and this is 3\.5\.1"):
        require_spark()


def test_settings_that_a_session_does_not_take_are_known():
    session = Mock()
    has = {"spark.master": "local[2]", "spark.ui.enabled": "false", "spark.local.dir": "file:/a/b"}
    session.conf.get = has.get
    options = {"spark.master": "local[*]", "spark.ui.enabled": False, "spark.local.dir": "b"}
    assert _ignored(session, options | {"spark.driver.memory": "4g"}) == [
        "spark.driver.memory",
        "spark.master",
    ]


def test_executors_without_the_package_are_refused_in_one_line():
    session = Mock()
    session.sparkContext.master = "spark://host:7077"
    job = session.sparkContext.parallelize.return_value.map.return_value
    job.collect.side_effect = RuntimeError("...\nModuleNotFoundError: No module named 'clm_ler'\n")
    with pytest.raises(RuntimeError, match=r"^The executors' Python has no module clm_ler: .*make"):
        require_package(session)
    session.sparkContext.master = "local[2]"
    require_package(session)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("at org...\nclm_ler.storage.worker.BucketError: bucket 3: IOException gone\n\tat", "gone"),
        ("ModuleNotFoundError: No module named 'duckdb'\n", "'duckdb'"),
        ("Lost task 0: ExecutorLostFailure (executor 1 exited) Reason: 137\n", "137"),
        ("CANARY", "their logs say why."),
    ],
)
def test_why_tasks_have_failed_is_one_line(text, said):
    assert _of_tasks(text).endswith(said)
    assert "\n" not in _of_tasks(text)


@pytest.mark.parametrize("parts", [1, 8, 256])
def test_every_part_has_a_task_of_its_own(parts):
    keys = _even_keys(parts)
    assert sorted(_murmur3(key) % parts for key in keys) == list(range(parts))


@pytest.mark.spark
def test_the_hash_is_the_one_of_spark(spark):
    (row,) = spark._session.sql("SELECT hash(0) AS a, hash(77) AS b").collect()
    assert [value % 2**32 for value in row] == [_murmur3(0), _murmur3(77)]

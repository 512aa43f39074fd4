"""Spark starts where it can; what is missing is said in one line."""

import pytest

from clm_ler.engines.session import require_java, require_spark
from clm_ler.engines.spark import _even_keys, _murmur3


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


@pytest.mark.parametrize("parts", [1, 8, 256])
def test_every_part_has_a_task_of_its_own(parts):
    keys = _even_keys(parts)
    assert sorted(_murmur3(key) % parts for key in keys) == list(range(parts))


@pytest.mark.spark
def test_the_hash_is_the_one_of_spark(spark):
    (row,) = spark._session.sql("SELECT hash(0) AS a, hash(77) AS b").collect()
    assert [value % 2**32 for value in row] == [_murmur3(0), _murmur3(77)]

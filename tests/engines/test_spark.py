"""Spark starts where it can; what is missing is said in one line."""

import pytest

from clm_ler.engines.spark import require_java


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

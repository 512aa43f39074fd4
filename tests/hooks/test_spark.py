"""Spark is opened by the environment that configures it; what is missing is said in one line."""

from types import SimpleNamespace

from kedro.config import MissingConfigException

from clm_ler.hooks.spark import SparkHooks


def test_an_environment_without_spark_options_needs_no_java(tmp_path, monkeypatch):
    class Loader(dict):
        def __missing__(self, key):
            raise MissingConfigException(key)

    monkeypatch.setenv("PATH", str(tmp_path))
    SparkHooks().after_context_created(SimpleNamespace(config_loader=Loader()))

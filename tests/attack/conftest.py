"""The attacks run pipelines as the tests of whole runs do."""

from tests.end_to_end.conftest import kedro_run

__all__ = ["kedro_run"]

"""Open the Spark session of an environment that configures one."""

import os
import shutil
import sys

from kedro.config import MissingConfigException
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl


class SparkHooks:
    """Start Spark before the catalog asks for it, because its master and memory are fixed at start."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Open a session with ``spark*.yml`` where the environment has one."""
        try:
            options = context.config_loader["spark"]
        except MissingConfigException:
            return
        try:
            from pyspark.sql import SparkSession
        except ImportError as error:
            raise RuntimeError(
                "This environment runs on Spark: pip install 'clm-ler[spark]'"
            ) from error
        if shutil.which("java") is None:
            raise RuntimeError("Spark needs Java 17 or newer, and no 'java' is on the PATH.")
        if str(options.get("spark.master", "")).startswith("local"):
            # Python functions run in this environment too, not in the first one on the PATH.
            os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        SparkSession.builder.appName("clm-ler").config(map=options).getOrCreate()

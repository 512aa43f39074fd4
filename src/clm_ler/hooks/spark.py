"""Open the Spark session of an environment that configures one."""

import os
import re
import shutil
import subprocess
import sys

from kedro.config import MissingConfigException
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl

OLDEST_JAVA = 17


class SparkHooks:
    """Start Spark before the catalog asks for it, because its master and memory are fixed at start."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Open a session with ``spark*.yml`` where the environment has one."""
        try:
            options = dict(context.config_loader["spark"])
        except MissingConfigException:
            return
        try:
            from pyspark import SparkConf
            from pyspark.sql import SparkSession
        except ImportError as error:
            raise RuntimeError(
                "This environment runs on Spark: pip install 'clm-ler[spark]'"
            ) from error
        require_java()
        # What spark-submit was told stands; elsewhere nothing is set yet.
        told = SparkConf() if "PYSPARK_GATEWAY_PORT" in os.environ else SparkConf(False)
        options = {name: value for name, value in options.items() if not told.contains(name)}
        if str(options.get("spark.master", "")).startswith("local"):
            # Python functions run in this environment too, not in the first one on the PATH.
            os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
            options |= dict.fromkeys(("spark.driver.bindAddress", "spark.driver.host"), "127.0.0.1")
        SparkSession.builder.appName("clm-ler").config(map=options).getOrCreate()


def require_java() -> None:
    """Look at the Java that Spark would start.

    Raises:
        RuntimeError: If there is none, or an older one than Spark 4 runs on.
    """
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    if java is None:
        place = f"in JAVA_HOME ({home})" if home else "on the PATH"
        raise RuntimeError(f"Spark needs Java {OLDEST_JAVA} or newer, and no 'java' is {place}.")
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', told)
    if version is None or int(version[1]) < OLDEST_JAVA:
        raise RuntimeError(f"Spark needs Java {OLDEST_JAVA} or newer, not {told.splitlines()[:1]}.")

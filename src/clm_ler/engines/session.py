"""The Spark session of a process: started where it can be, refused in one line where it cannot."""

import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

JVM = "spark.driver.extraJavaOptions"
OLDEST_JAVA = 17
OLDEST_SPARK = 4


def start_session(options: Mapping[str, Any]) -> None:
    """Open the Spark session that every connection of this process will use.

    Its master and memory are fixed at the start, so it comes before the first connection.

    Args:
        options: Spark's settings. Those given to ``spark-submit`` come first.

    Raises:
        RuntimeError: If pyspark or a Java that it runs on is missing or too old.
    """
    try:
        from pyspark import SparkConf
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise RuntimeError(
            "This environment runs on Spark: pip install 'clm-ler[spark]'"
        ) from error
    require_spark()
    require_java()
    # Those of spark-submit come first; elsewhere nothing is set yet.
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    given = SparkConf() if submitted else SparkConf(False)
    options = {name: value for name, value in options.items() if not given.contains(name)}
    if not submitted:
        # Java starts here, and logs as we say unless an option of the user's says otherwise.
        log = Path(str(files("clm_ler.engines") / "log4j2.properties")).as_uri()
        options[JVM] = f"-Dlog4j2.configurationFile={log} {options.get(JVM, '')}".strip()
    if str(options.get("spark.master", "")).startswith("local"):
        # Python functions run in this environment too, not in the first one on the PATH.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        options |= dict.fromkeys(("spark.driver.bindAddress", "spark.driver.host"), "127.0.0.1")
    session = SparkSession.builder.appName("clm-ler").config(map=options).getOrCreate()
    if ignored := _ignored(session, options):
        logger.warning(
            "This process already has a Spark session, on which these settings of spark.yml have no "
            "effect: %s. To apply them, stop it first (spark.stop()).",
            ", ".join(ignored),
        )
    require_package(session)


def session_cores() -> int:
    """Return how many tasks the open session does at a time."""
    from pyspark.sql import SparkSession

    return int(SparkSession.active().sparkContext.defaultParallelism)


def _ignored(session: Any, options: Mapping[str, Any]) -> list[str]:
    """Return the options that a session does not have: only a new one takes them all."""
    has = {name: str(session.conf.get(name, None)).lower() for name in options}
    # Spark has made addresses of folders.
    return sorted(n for n, value in options.items() if not has[n].endswith(str(value).lower()))


def require_package(session: Any) -> None:
    """Look whether the executors can import this package, unless they are this process's own.

    Raises:
        RuntimeError: If they cannot.
    """
    context = session.sparkContext
    if context.master.startswith("local"):
        return
    log = context._jvm.org.apache.logging.log4j.LogManager.getRootLogger()
    level = log.getLevel().toString()
    context.setLogLevel("OFF")  # Spark would print the same four times, with where in Java it was
    try:
        context.parallelize([0], 1).map(_import_package).collect()
    except Exception as error:  # py4j's, of whatever the executor has raised
        found = re.search(r"No module named '?([\w.]+)", str(error))
        why = f"no module {found[1]}" if found else f"a first task failed ({type(error).__name__})"
        raise RuntimeError(
            f"The executors' Python has {why}: ship an environment, made by 'make executors' "
            "(docs/spark_submit.md)."
        ) from None
    finally:
        context.setLogLevel(level)


def _import_package(_number: int) -> None:
    import clm_ler.engines.duckdb  # noqa: F401


def require_spark() -> None:
    """Look at the version of pyspark.

    Raises:
        RuntimeError: If it is older than what the project runs on.
    """
    from pyspark import __version__ as version

    if int(version.partition(".")[0]) < OLDEST_SPARK:
        raise RuntimeError(
            f"Spark {OLDEST_SPARK}.0 or newer is needed, and this is {version}: pip install "
            "'clm-ler[spark]', or take a release of your platform that has it (docs/emr.md, "
            "docs/databricks.md)."
        )


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
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', answer)
    if version is None or int(version[1]) < OLDEST_JAVA:
        raise RuntimeError(
            f"Spark needs Java {OLDEST_JAVA} or newer, not {answer.splitlines()[:1]}."
        )

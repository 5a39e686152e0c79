"""The one place that makes a Spark session."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pyspark.sql import SparkSession

from shoal.conf.addresses import is_uri, local_path
from shoal.conf.home import home
from shoal.errors import UsageError
from shoal.spark.class_archive import archive_options
from shoal.spark.java import java_home
from shoal.spark.text_encoding import utf8_locale_for_children


def spark_properties(path: Path) -> dict[str, str]:
    """The settings of a Spark properties file, name to value; without comments and blank lines."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    pairs = [line.split(None, 1) for line in lines if line and not line.startswith("#")]
    return {pair[0]: pair[1] if len(pair) > 1 else "" for pair in pairs}


def session_settings(env: str, overrides: Mapping[str, str] | None = None) -> dict[str, str]:
    """conf/spark/<env>.conf (none for an environment without one: a cluster brings its own), overridden by `spark.*` keys."""
    path = home() / "conf" / "spark" / f"{env}.conf"
    settings = spark_properties(path) if path.is_file() else {}
    return settings | dict(overrides or {})


def spark_session(app: str, env: str = "local", overrides: Mapping[str, str] | None = None) -> SparkSession:
    """The running session, or a new one with conf/spark/<env>.conf and `overrides` (`spark.*` keys).

    Options of the driver's Java (memory, jars) act only where no session runs yet; what that Java prints goes to standard error.
    From then on this process and its children are in UTC: pyspark turns the lake's times into Python's by the process's time zone.
    Raises UsageError for a key that is no Spark setting, and on a cluster without the archive that its workers' Python lies in.
    """
    settings = session_settings(env, overrides)
    refuse_missing_archives(settings)
    for key in settings:
        if not key.startswith("spark."):
            raise UsageError(f"{key}: a Spark setting starts with `spark.`")
    os.environ["TZ"] = "UTC"
    time.tzset()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(app)
    is_new = SparkSession.getActiveSession() is None
    if is_new and env != "databricks":
        os.environ["JAVA_HOME"] = java_home()
        log4j = home() / "conf" / "spark" / "log4j2.properties"
        given = settings.get("spark.driver.extraJavaOptions", "")
        own = f"-Dlog4j2.configurationFile={log4j.resolve().as_uri()} {archive_options() if env == 'local' else ''}"
        settings["spark.driver.extraJavaOptions"] = f"{own} {given}".strip()
    for key, value in settings.items():
        builder = builder.config(key, value)
    with ExitStack() as while_it_starts:
        if is_new:
            while_it_starts.enter_context(output_as_errors())
            while_it_starts.enter_context(utf8_locale_for_children())
        session = builder.getOrCreate()
    require_worker_python(session)
    return session


def refuse_missing_archives(settings: Mapping[str, str]) -> None:
    """Raise UsageError for a local file of spark.archives that is not there."""
    for given in filter(None, settings.get("spark.archives", "").split(",")):
        file = local_path(given.split("#")[0].strip())
        if not is_uri(file) and not Path(file).is_file():
            raise UsageError(f"spark.archives={given}: no such file; `make dist` writes dist/shoal-workers.tar.gz")


def require_worker_python(spark: SparkSession) -> None:
    """Raise UsageError where workers are to use a Python that comes in an archive and none is sent under that name."""
    conf = spark.sparkContext.getConf()
    python = conf.get("spark.pyspark.python") or os.environ.get("PYSPARK_PYTHON") or ""
    sent = f"{conf.get('spark.archives', '')},{conf.get('spark.yarn.dist.archives', '')},"
    if python.startswith("./") and not str(conf.get("spark.master")).startswith("local"):
        name = python.split("/")[1]
        if f"#{name}," not in sent:
            raise UsageError(
                f"workers would run {python}, which no archive brings: "
                f"--set spark.archives=dist/shoal-workers.tar.gz#{name} (`make dist` writes it)"
            )


@contextmanager
def own_session(spark: SparkSession) -> Iterator[SparkSession]:
    """Yield a session with the settings, temporary views and functions that `spark` has now, and nothing shared but the context,
    its tables and what is cached. It is this thread's active session in the block; afterwards that is again the one from before.
    """
    jvm = spark._jvm
    before = jvm.SparkSession.getActiveSession()
    session = SparkSession(spark.sparkContext, spark._jsparkSession.cloneSession())
    jvm.SparkSession.setActiveSession(session._jsparkSession)
    try:
        yield session
    finally:
        if before.isDefined():
            jvm.SparkSession.setActiveSession(before.get())
        else:
            jvm.SparkSession.clearActiveSession()


@contextmanager
def output_as_errors() -> Iterator[None]:
    """Processes that begin meanwhile have our standard error for their standard output.

    Delta prints from Java what VACUUM deleted, and standard output is for a command's one JSON.
    """
    sys.stdout.flush()
    output = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(output, 1)
        os.close(output)

"""Spark's Thrift server (HiveThriftServer2) over the tables of a lake, behind the login and the rules of Gate.java."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JError
from pyspark.sql import SparkSession

from shoal.errors import TransientError, UsageError, one_line
from shoal.lake.contract import contract_names
from shoal.lake.lake import Lake
from shoal.publish.api.tokens import SQL, VARIABLE, Token, parse_tokens
from shoal.publish.sql.compiled import compiled_class, new_instance

SOURCE = Path(__file__).resolve().parent / "Gate.java"
# Settings of the server's sessions, whatever --set says.
SETTINGS = {
    # Rows leave partition by partition: a long answer is not held whole.
    "spark.sql.thriftServer.incrementalCollect": "true",
    # `${env:NAME}` in a statement would be replaced by the environment's value.
    "spark.sql.variable.substitute": "false",
    # A path is not the name of a table.
    "spark.sql.runSQLOnFiles": "false",
}
# Seconds in which statements that run may end after SIGTERM.
STOP_SECONDS = 10
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class SqlServer:
    """A server that listens: the session, Java's two services, and the port."""

    spark: SparkSession
    service: Any
    gate: Any
    port: int


def sql_tokens() -> list[Token]:
    """The tokens of SHOAL_TOKENS with the scope `sql`; the variable is taken out of the environment, which Spark's Java would get.

    Raises UsageError where there is none.
    """
    text = os.environ.pop(VARIABLE, "")
    found = [token for token in parse_tokens(text) if SQL in token.scopes]
    if not found:
        raise UsageError(f"{VARIABLE} has no token with the scope {SQL}; expected name:token:{SQL}: user, password, scope")
    return found


def start(lake: Lake, tokens: Sequence[Token], host: str, port: int) -> SqlServer:
    """Register every table of the lake that exists, and listen on host and port (0: a free one).

    The session must have SETTINGS. Raises TransientError where the address is taken or not this machine's. Cost: two statements a
    table, some 20 s in all; a client's session is a session of Spark of its own.
    """
    spark = lake.spark
    lake.register(contract_names())
    jvm: Any = spark._jvm
    context = spark.sparkContext._jsc.sc()
    # Its database would write a log into the working folder.
    jvm.java.lang.System.setProperty("derby.stream.error.file", os.devnull)
    # Hive's settings with a metastore in memory, which has none of the lake's tables. `HiveUtils$.MODULE$`: a Scala object in Java.
    hive = getattr(getattr(jvm.org.apache.spark.sql.hive, "HiveUtils$"), "MODULE$")
    conf = hive.newClientForExecution(context.conf(), spark.sparkContext._jsc.hadoopConfiguration()).conf()
    for key, value in _hive_settings(host, port).items():
        conf.set(key, value)
    thrift = jvm.org.apache.spark.sql.hive.thriftserver
    sessions = spark._jsparkSession.sqlContext()
    # Java's name of the setter of `eventManager`: py4j calls a method by an attribute.
    set_events = getattr(thrift.HiveThriftServer2, "eventManager_$eq")
    set_events(thrift.ui.HiveThriftServer2EventManager(context))
    service = thrift.SparkSQLCLIService(thrift.HiveThriftServer2(sessions), sessions)
    gate = new_instance(
        spark, compiled_class(spark, SOURCE, "shoal.publish.sql.Gate"), service, spark._jsparkSession.sessionState().sqlParser(),
        _java_map(spark, {token.name: token.digest.hex() for token in tokens}),
        _java_map(spark, {token.name: (token.last_day - _EPOCH).days for token in tokens if token.last_day is not None}),
    )
    try:
        for part in (service, gate):
            part.init(conf)
        for part in (service, gate):
            part.start()
    except Py4JError as error:
        raise TransientError(f"{host}:{port}: the server does not start: {_cause(error)}; --port takes another port") from None
    return SqlServer(spark, service, gate, gate.getPortNumber())


def stop(server: SqlServer) -> None:
    """Take no new connection, give statements that run STOP_SECONDS, cancel those that still do, close all sessions."""
    server.gate.stop()
    deadline = time.monotonic() + STOP_SECONDS
    tracker = server.spark.sparkContext.statusTracker()
    while tracker.getActiveJobsIds() and time.monotonic() < deadline:
        time.sleep(0.1)
    server.spark.sparkContext.cancelAllJobs()
    server.service.stop()


def wait_for_signal() -> None:
    """Return at the first SIGTERM or SIGINT."""
    asked = threading.Event()
    before = {each: signal.signal(each, lambda *_: asked.set()) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        while not asked.wait(0.5):
            continue
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _hive_settings(host: str, port: int) -> dict[str, str]:
    return {
        "hive.server2.transport.mode": "binary",
        "hive.server2.thrift.bind.host": host,
        "hive.server2.thrift.port": str(port),
        # Nothing in Spark is done as the client's user, and no client may name another.
        "hive.server2.enable.doAs": "false",
        # A log of each statement in a file of its own.
        "hive.server2.logging.operation.enabled": "false",
    }


def _java_map(spark: SparkSession, values: dict[str, Any]) -> Any:
    jvm: Any = spark._jvm
    made = jvm.java.util.HashMap()
    for key, value in values.items():
        made.put(key, value)
    return made


def _cause(error: Py4JError) -> str:
    """The innermost message of a Java exception."""
    java = getattr(error, "java_exception", None)
    while java is not None and java.getCause() is not None:
        java = java.getCause()
    return one_line(error) if java is None else str(java.getMessage())

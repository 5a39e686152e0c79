"""`shoal sql-server` as a process, asked by PyHive: who gets in, what is answered, that tables stay as they were, SIGTERM."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from shoal.conf.loading import load
from shoal.lake.lake import Lake, Run

from tests.publish.stores.test_publication import frame

pytestmark = pytest.mark.slow
PASSWORD = "0123456789abcdefA"
TOKENS = f"bi:{PASSWORD}:sql,web:0123456789abcdefB:read,old:0123456789abcdefC:sql:2020-01-01"


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    made = Lake(spark, str(tmp_path_factory.mktemp("lake")), load("local", []), Run("r", "test"))
    seen = [{"event_id": f"e{n}", "user_id": f"u{n % 2}", "item_id": f"i{n}", "event": "like", "source": "t"} for n in range(5)]
    made.append("silver.interactions", frame(made, "silver.interactions", seen))
    return made


@pytest.fixture(scope="module")
def server(lake: Lake) -> Iterator[tuple[int, subprocess.Popen[str], list[str]]]:
    """A running server: its port, its process, the lines of its log."""
    command = [sys.executable, "-m", "shoal", "sql-server", "--lake", str(lake.root), "--port", "0"]
    given = {**os.environ, "SHOAL_TOKENS": TOKENS}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=given) as process:
        try:
            lines: list[str] = []
            for line in process.stdout or ():
                lines.append(line)
                found = re.search(r"jdbc:hive2://127\.0\.0\.1:(\d+)/", line)
                if found:
                    break
            else:
                pytest.fail(f"the server did not come up: {lines[-3:]}")
            reading = threading.Thread(target=lambda: lines.extend(process.stdout or ()), daemon=True)
            reading.start()
            yield int(found.group(1)), process, lines
        finally:
            if process.poll() is None:
                process.kill()


def connect(port: int, user: str, password: str, **more: Any) -> Any:
    from pyhive import hive

    return hive.connect(host="127.0.0.1", port=port, username=user, password=password, auth="CUSTOM", **more)


def asking(connection: Any) -> Callable[[str], Any]:
    """A function that returns a statement's rows, or the message of its refusal."""
    from pyhive.exc import OperationalError

    def ask(statement: str) -> Any:
        cursor = connection.cursor()
        try:
            cursor.execute(statement)
            return cursor.fetchall()
        except OperationalError as error:
            return error.args[0].status.errorMessage

    return ask


@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("bi", "wrong"),
        ("bi", PASSWORD + "A"),
        ("bi", " "),
        ("x", PASSWORD),
        # A token without the scope, and one that has expired.
        ("web", "0123456789abcdefB"),
        ("old", "0123456789abcdefC"),
    ],
)
def test_others_are_refused(server: tuple[int, Any, Any], user: str, password: str) -> None:
    from thrift.transport.TTransport import TTransportException

    with pytest.raises(TTransportException, match="Error validating the login"):
        connect(server[0], user, password)


def test_without_a_login_nothing_is_answered(server: tuple[int, Any, Any]) -> None:
    from pyhive import hive
    from thrift.transport.TTransport import TTransportException

    with pytest.raises((TTransportException, EOFError, OSError)):
        hive.connect(host="127.0.0.1", port=server[0], username="bi", auth="NOSASL")


def test_queries_by_name_and_nothing_is_written(server: tuple[int, Any, Any], lake: Lake) -> None:
    version, files = lake.version("silver.interactions"), sorted(str(p) for p in lake.root.rglob("*.parquet"))
    # A client's own settings would let paths and the environment in.
    settings = {"spark.sql.runSQLOnFiles": "true", "set:hiveconf:spark.sql.variable.substitute": "true", "set:system:shoal.x": "1"}
    ask = asking(connect(server[0], "bi", PASSWORD, database="silver", configuration=settings))
    by_user = "select user_id, count(*) from {} group by user_id order by user_id"
    assert ask(by_user.format("silver.interactions")) == [("u0", 3), ("u1", 2)]
    assert ask(by_user.format("interactions")) == [("u0", 3), ("u1", 2)]
    assert ask("show tables in silver") == [("silver", "interactions", False)]
    assert ask("select '${env:PATH}', '${system:shoal.x}'") == [("${env:PATH}", "${system:shoal.x}")]
    for statement in (
        "delete from silver.interactions", "insert into silver.interactions select * from silver.interactions",
        "drop table silver.interactions", "create table silver.x as select 1",
        "restore table silver.interactions to version as of 0",
    ):  # fmt: skip
        assert re.fullmatch(r"only queries, SHOW, .* are answered here, not \w+; tables are written by jobs", ask(statement))
    for path in ("text.`/etc/hostname`", f"delta.`{lake.root}/silver/interactions`"):
        assert "TABLE_OR_VIEW_NOT_FOUND" in ask(f"select * from {path}")
    assert ask("select count(*) from silver.interactions") == [(5,)]
    assert lake.version("silver.interactions") == version
    assert sorted(str(p) for p in lake.root.rglob("*.parquet")) == files


def test_no_process_has_a_password_in_its_command_environment_or_log_and_sigterm_ends_with_0(
    server: tuple[int, subprocess.Popen[str], list[str]],
) -> None:
    _, process, lines = server
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,command="], capture_output=True, text=True, check=True).stdout
    java = [int(line.split()[0]) for line in listed.splitlines() if line.split()[1] == str(process.pid)]
    assert java and PASSWORD not in listed
    for pid in java:
        environment = Path(f"/proc/{pid}/environ")
        assert not environment.exists() or PASSWORD.encode() not in environment.read_bytes()
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert PASSWORD not in "".join(lines) and "Traceback" not in "".join(lines)

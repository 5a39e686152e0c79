"""An S3 on this machine, for tests: moto's server, in a virtual environment of its own, and the jars of Hadoop's client s3a.

Not for production: it keeps everything in memory and checks no signature. It listens on a free loopback port and is ended by the
id of the process that was started. `make test-s3` installs it and runs tests/lake/test_s3.py; the jars are 280 MB, so CI does not.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

from shoal.errors import TransientError
from shoal.spark.jars import bring_into
from shoal.testing.node import answers, comes_up, end, free_ports, log_end, runs

# The version of pyspark's Hadoop, whose classes Spark has.
S3A = (("org.apache.hadoop", "hadoop-aws", "3.3.4"),)
NOT_AGAIN = (("org.apache.hadoop", "hadoop-common"),)
_START_SECONDS = 60


@dataclass(frozen=True)
class S3:
    """A running server: its process, its program, and its port."""

    pid: int
    program: Path
    port: int

    @property
    def address(self) -> str:
        """Its address for clients."""
        return f"http://127.0.0.1:{self.port}"


def s3a_jars() -> Path:
    """The folder of the client's jars in this virtual environment."""
    return Path(sys.prefix) / "share" / "shoal" / f"s3a-{S3A[0][2]}"


def bring() -> list[str]:
    """Fetch the jars where they are not there yet; returns their names. Raises as `shoal.spark.jars.bring`."""
    return bring_into(s3a_jars(), S3A, NOT_AGAIN)


def spark_settings(server: S3) -> list[str]:
    """`--set` pairs by which a session reads and writes that server as s3a://."""
    return [f"spark.driver.extraClassPath={s3a_jars()}/*", f"spark.hadoop.fs.s3a.endpoint={server.address}",
            "spark.hadoop.fs.s3a.path.style.access=true", "spark.hadoop.fs.s3a.connection.ssl.enabled=false"]  # fmt: skip


def start(program: Path, log: Path) -> S3:
    """Start `program`, a moto_server, and return when it answers. Raises TransientError, with the end of its log, where it does
    not."""
    port = free_ports(1)[0]
    with log.open("ab") as out:
        command = [str(program), "-H", "127.0.0.1", "-p", str(port)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    started = S3(process.pid, program, port)
    if comes_up(started.pid, (program.name,), lambda: answers(port), _START_SECONDS):
        return started
    stop(started)
    raise TransientError(f"{program}: the S3 did not come up; its log ends: {log_end(log)}")


def make_bucket(server: S3, name: str) -> None:
    """Make a bucket."""
    with urlopen(Request(f"http://127.0.0.1:{server.port}/{name}", method="PUT"), timeout=30):
        pass


def stop(server: S3) -> None:
    """End the server, and return when it is gone."""
    if runs(server.pid, server.program.name):
        end(server.pid, server.program.name)

"""An HDFS of a name node and a data node in one process on this machine, for tests: `python -m shoal.testing.hdfs start FOLDER`.

Not for production. Its jars are fetched once, at set-up, beside the virtual environment's other shared files; Hadoop's own classes
are those of pyspark's wheel. It listens on free loopback ports, keeps everything in the folder it is given, and is stopped by the
id of the process that was started, never by name.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from shoal.errors import TransientError, UsageError
from shoal.spark.jars import bring_into, spark_jars_folder
from shoal.spark.java import java
from shoal.testing.node import (
    Commands,
    answers,
    comes_up,
    end_noted,
    free_ports,
    launch,
    log_end,
    noted,
    write_log_settings,
)

# The version of pyspark's Hadoop. The mini cluster's class refers to the three test libraries.
HDFS = (("org.apache.hadoop", "hadoop-client-minicluster", "3.3.4"), ("junit", "junit", "4.13.2"),
        ("org.hamcrest", "hamcrest-core", "1.3"), ("org.mockito", "mockito-core", "3.12.4"))  # fmt: skip
FROM_PYSPARK = (("org.apache.hadoop", "hadoop-client-api"), ("org.apache.hadoop", "hadoop-client-runtime"))
_MAIN = "org.apache.hadoop.mapreduce.MiniHadoopClusterManager"
_START_SECONDS = 120


@dataclass(frozen=True)
class Hdfs:
    """A running HDFS: its process, its folder, the URI of its root, and that of its root by WebHDFS."""

    pid: int
    folder: Path
    uri: str
    web_uri: str


def hdfs_jars() -> Path:
    """The folder of the mini cluster's jars in this virtual environment."""
    return Path(sys.prefix) / "share" / "shoal" / f"hdfs-{HDFS[0][2]}"


def bring() -> list[str]:
    """Fetch the jars, some 45 MB, where they are not there yet; returns their names. Raises as `shoal.spark.jars.bring`."""
    return bring_into(hdfs_jars(), HDFS, FROM_PYSPARK)


def start(folder: str | Path) -> Hdfs:
    """Format an HDFS in `folder`, start it, and return when a file can be written.

    Raises UsageError where one runs in the folder already, TransientError with the last lines of its log where it does not come up.
    """
    root = Path(folder).resolve()
    if running_in(root) is not None:
        raise UsageError(f"{root}: an HDFS runs in this folder already; `python -m shoal.testing.hdfs stop {root}` ends it")
    bring()
    root.mkdir(parents=True, exist_ok=True)
    port, web_port = free_ports(2)
    details = root / "details.properties"
    details.unlink(missing_ok=True)
    command = [
        # WebHDFS' server (Jersey 1) defines classes by reflection, which Java 17 permits only where it is opened.
        java(), "-Xmx512m", "--add-opens=java.base/java.lang=ALL-UNNAMED", f"-Dtest.build.data={root / 'data'}",
        f"-Dlog4j2.configurationFile={write_log_settings(root)}",
        "-cp", f"{hdfs_jars() / '*'}:{spark_jars_folder() / '*'}", _MAIN, "-nomr", "-format",
        "-nnport", str(port), "-nnhttpport", str(web_port), "-datanodes", "1",
        "-D", "dfs.replication=1", "-D", "dfs.permissions.enabled=true", "-writeDetails", str(details),
    ]  # fmt: skip
    pid = launch(command, root / "hdfs.pid", root / "hdfs.log", [port, web_port])
    # The details are written when the data node has registered.
    if comes_up(pid, _words(root), lambda: details.is_file() and answers(port), _START_SECONDS):
        return _hdfs(pid, root, port, web_port)
    stop(root)
    raise TransientError(f"{root}: the HDFS did not come up; {root / 'hdfs.log'} ends: {log_end(root / 'hdfs.log')}")


def running_in(folder: str | Path) -> Hdfs | None:
    """The HDFS that `start` started in that folder, where it still runs."""
    root = Path(folder).resolve()
    found = noted(root / "hdfs.pid", _words(root))
    return _hdfs(found[0], root, *map(int, found[1])) if found else None


def stop(folder: str | Path) -> bool:
    """End the HDFS of that folder; returns whether one ran. Its data is formatted at the next start."""
    root = Path(folder).resolve()
    return end_noted(root / "hdfs.pid", _words(root))


def _hdfs(pid: int, root: Path, port: int, web_port: int) -> Hdfs:
    return Hdfs(pid, root, f"hdfs://127.0.0.1:{port}", f"webhdfs://127.0.0.1:{web_port}")


def _words(root: Path) -> tuple[str, str]:
    """What the command of that folder's process has in it."""
    return _MAIN, str(root / "details.properties")


def main(argv: list[str]) -> int:
    """`bring`, `start FOLDER` (prints the URI), `stop FOLDER`; returns the exit code."""
    return Commands("shoal.testing.hdfs", "HDFS", hdfs_jars(), bring, lambda folder: start(folder).uri, stop).run(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

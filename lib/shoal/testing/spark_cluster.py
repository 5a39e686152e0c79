"""A standalone Spark cluster of a master and two workers on this machine, for tests: processes with folders of their own.

Not for production. Spark's classes are those of pyspark's wheel; nothing else is shared: each worker has its own folder, and its
Python is the archive that the driver sends. Root starts the processes as the user `nobody`, who cannot read what a driver keeps for
itself; their time zone is not UTC, and they have no locale. It listens on free loopback ports and is ended by the ids of the
processes that were started, never by name.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from shoal.errors import TransientError
from shoal.spark.jars import spark_jars_folder
from shoal.spark.java import java, java_home
from shoal.testing.node import answers, end, free_ports, log_end, runs

_MASTER, _WORKER = "org.apache.spark.deploy.master.Master", "org.apache.spark.deploy.worker.Worker"
_EXECUTOR = "org.apache.spark.executor.CoarseGrainedExecutorBackend"
_START_SECONDS = 240


@dataclass(frozen=True)
class Node:
    """A process of the cluster: its id, its class, and its folder, which is in its command."""

    pid: int
    main: str
    folder: Path

    @property
    def words(self) -> tuple[str, str]:
        """What the command of the process has in it."""
        return self.main, str(self.folder)


@dataclass(frozen=True)
class Cluster:
    """A running cluster: `master`, the address for drivers, and its processes, the master first."""

    master: str
    nodes: tuple[Node, ...]


def start(folder: Path, workers: int = 2, memory: str = "2g") -> Cluster:
    """Start a master and workers of one core each; returns when every worker is registered. Started by root, `folder` must
    be one that other users can reach.

    Raises TransientError with the end of a log where one does not come up; none of them runs then.
    """
    ports = free_ports(2 + 2 * workers)
    master = f"spark://127.0.0.1:{ports[0]}"
    nodes = [_process(folder / "master", _MASTER, "--port", str(ports[0]), "--webui-port", str(ports[1]))]
    deadline = time.monotonic() + _START_SECONDS
    try:
        _wait(lambda: answers(ports[0]), nodes, deadline)
        for n in range(workers):
            own = ("--cores", "1", "--memory", memory, "--port", str(ports[2 + 2 * n]), "--webui-port", str(ports[3 + 2 * n]))
            home = folder / f"worker-{n}"
            nodes.append(_process(home, _WORKER, *own, "--work-dir", str(home / "work"), master))
        _wait(lambda: _alive_workers(ports[1]) >= workers, nodes, deadline)
    except TransientError:
        stop(Cluster(master, tuple(nodes)))
        raise
    return Cluster(master, tuple(nodes))


def stop(cluster: Cluster) -> None:
    """End the workers and the master; executors end with their worker."""
    for node in reversed(cluster.nodes):
        if runs(node.pid, *node.words):
            end(node.pid, *node.words)


def executors(cluster: Cluster) -> list[int]:
    """The ids of the executors that run now, children of the workers."""
    found = []
    for node in cluster.nodes[1:]:
        command = ["ps", "-ww", "-o", "pid=,command=", "--ppid", str(node.pid)]
        listed = subprocess.run(command, capture_output=True, text=True, check=False)
        found += [int(line.split(None, 1)[0]) for line in listed.stdout.splitlines() if _EXECUTOR in line]
    return found


def kill_executor(cluster: Cluster, seconds: float = 60) -> int:
    """Kill the first executor that there is with SIGKILL, as a machine that is lost would be; returns its id. Waits for one.

    Raises TransientError where none runs within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for pid in executors(cluster):
            os.kill(pid, signal.SIGKILL)
            return pid
        time.sleep(0.1)
    raise TransientError(f"{cluster.master}: no executor within {seconds:g} s")


def kill_worker(cluster: Cluster) -> int:
    """Kill the first worker that runs and its executors with SIGKILL, as a machine that is lost would be; returns its id.

    Raises TransientError where none runs.
    """
    for node in cluster.nodes[1:]:
        if runs(node.pid, *node.words):
            for pid in [*executors(Cluster(cluster.master, (cluster.nodes[0], node))), node.pid]:
                os.kill(pid, signal.SIGKILL)
            return node.pid
    raise TransientError(f"{cluster.master}: no worker runs")


def _process(folder: Path, main: str, *arguments: str) -> Node:
    """Start one process with a folder of its own for everything, temporary files too."""
    (folder / "tmp").mkdir(parents=True)
    (folder / "log4j2.properties").write_text("rootLogger.level = info\nrootLogger.appenderRef.out.ref = out\n"
        "appender.out.type = Console\nappender.out.name = out\nappender.out.layout.type = PatternLayout\n"
        "appender.out.layout.pattern = %d %p %c{1} %m%n\n")  # fmt: skip
    logging = f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}"
    command = [java(), "-Xmx256m", f"-Djava.io.tmpdir={folder / 'tmp'}", logging, "-cp", str(spark_jars_folder() / "*"), main,
               "--host", "127.0.0.1", *arguments]  # fmt: skip
    temporary = str(folder / "tmp")
    # Nothing of this process's environment: no virtual environment, no path to this project, no credentials, no locale.
    environment = {
        # The machine's own Python stands first: a version manager's shim asks a home that is another one here.
        "PATH": f"{Path(sys.base_prefix) / 'bin'}:{os.environ.get('PATH', '')}",
        "JAVA_HOME": java_home(), "SPARK_HOME": str(spark_jars_folder().parent), "HOME": str(folder), "TZ": "America/St_Johns",
        "TMPDIR": temporary, "SPARK_LOCAL_DIRS": temporary, "SPARK_LOCAL_IP": "127.0.0.1",
        # The launcher of executors asks for Scala's version, which Spark's own scripts set.
        "SPARK_SCALA_VERSION": "2.12",
    }  # fmt: skip
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        for place in (folder, folder / "tmp"):
            shutil.chown(place, nobody.pw_uid, nobody.pw_gid)
    with (folder / "node.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **user
        )
    return Node(process.pid, main, folder)


def _wait(is_up: Callable[[], bool], nodes: list[Node], deadline: float) -> None:
    while not is_up():
        down = next((node for node in nodes if not runs(node.pid, *node.words)), None)
        if down is not None or time.monotonic() > deadline:
            shown = down or nodes[-1]
            raise TransientError(f"{shown.folder}: {shown.main} did not come up: {log_end(shown.folder / 'node.log')}")
        time.sleep(0.2)


def _alive_workers(port: int) -> int:
    """How many workers the master has registered, by its page for programs."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/json/", timeout=5) as answer:
            return sum(each["state"] == "ALIVE" for each in json.load(answer)["workers"])
    except (OSError, ValueError):
        return 0

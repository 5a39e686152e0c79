"""A Kafka of one node on this machine, for tests and benchmarks: `python -m shoal.testing.kafka_broker start FOLDER`.

Not for production. Its jars are fetched once, at set-up, beside the virtual environment's other shared files and not among
Spark's own, which have another Scala. It listens on free loopback ports, keeps everything in the folder it is given, and is
stopped by the id of the process that was started, never by name.
"""

from __future__ import annotations

import base64
import secrets
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shoal.errors import TransientError, UsageError
from shoal.spark.jars import bring_into
from shoal.spark.java import java
from shoal.testing.kafka_security import LISTENERS, Security, scram_arguments, secured_properties
from shoal.testing.node import Commands, comes_up, end_noted, free_ports, launch, log_end, noted

# The second is what Kafka logs through; without it a node that does not come up says nothing.
KAFKA = (("org.apache.kafka", "kafka_2.13", "3.9.2"), ("org.slf4j", "slf4j-reload4j", "1.7.36"))
# Partitions of a topic that somebody writes to without having made it.
PARTITIONS = 4
_START_SECONDS = 90


@dataclass(frozen=True)
class Broker:
    """A running node: its process, its folder, and `host:port` for clients; of a secured one also where it takes a login over TLS
    (`sasl_ssl`), and a client's certificate (`ssl`)."""

    pid: int
    folder: Path
    bootstrap_servers: str
    sasl_ssl: str = ""
    ssl: str = ""


def kafka_jars() -> Path:
    """The folder of Kafka's jars in this virtual environment."""
    return Path(sys.prefix) / "share" / "shoal" / f"kafka-{KAFKA[0][2]}"


def bring() -> list[str]:
    """Fetch Kafka's jars, some 46 MB, where they are not there yet; returns their names. Raises as `shoal.spark.jars.bring`."""
    return bring_into(kafka_jars(), KAFKA)


def properties(folder: Path, addresses: Mapping[str, str], controller: str) -> dict[str, str]:
    """The node's settings: broker and controller in one, one copy of everything, no waiting for others. `addresses` has the
    listener names of clients, and where they listen."""
    listeners = ",".join(f"{name}://{address}" for name, address in addresses.items())
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"{listeners},CONTROLLER://{controller}",
        "advertised.listeners": listeners,
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(folder / "data"),
        "num.partitions": str(PARTITIONS),
        "auto.create.topics.enable": "true",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "1",
        "group.initial.rebalance.delay.ms": "0",
    }


def cluster_id() -> str:
    """A new random id of a cluster, 22 letters; none that begins with a hyphen, which Kafka's command takes for an option."""
    while True:
        drawn = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        if not drawn.startswith("-"):
            return drawn


def start(folder: str | Path, security: Security | None = None) -> Broker:
    """Format `folder` where it is new, start a node that keeps its data there, and return when it answers.

    A folder that was used before keeps its topics, and its SCRAM users, and gets new ports. With `security` the node listens twice
    more, as shoal.testing.kafka_security says. Raises UsageError where a node runs in it already,
    TransientError with the last lines of its log where it does not come up.
    """
    root = Path(folder).resolve()
    if running_in(root) is not None:
        stop = f"python -m shoal.testing.kafka_broker stop {root}"
        raise UsageError(f"{root}: a broker runs in this folder already; `{stop}` ends it")
    bring()
    root.mkdir(parents=True, exist_ok=True)
    for attempt in (1, 2, 3):
        names = ("PLAINTEXT", *(LISTENERS if security else ()))
        *ports, controller_port = free_ports(len(names) + 1)
        addresses = {name: f"127.0.0.1:{port}" for name, port in zip(names, ports, strict=True)}
        given = properties(root, addresses, f"127.0.0.1:{controller_port}")
        if security:
            given |= secured_properties(root, security)
        settings = root / "server.properties"
        settings.touch(mode=0o600)
        settings.write_text("".join(f"{k}={v}\n" for k, v in given.items()))
        if not (root / "data" / "meta.properties").is_file():
            _format(root, settings, cluster_id(), scram_arguments(security) if security else [])
        given_addresses = list(addresses.values())
        pid = launch(_java(root, "kafka.Kafka", str(settings)), root / "broker.pid", root / "broker.log", given_addresses)
        if comes_up(pid, _words(root), lambda port=ports[0]: answers(port), _START_SECONDS):  # type: ignore[misc]
            return Broker(pid, root, *given_addresses)
        stop(root)
        # Another process may have taken a port between our look and Kafka's: with others it goes.
        if attempt == 3 or "already in use" not in log_end(root / 'broker.log'):
            raise TransientError(f"{root}: the broker did not come up; {root / 'broker.log'} ends: {log_end(root / 'broker.log')}")
    raise AssertionError("unreachable")


def _java(root: Path, *arguments: str) -> list[str]:
    log4j = root / "log4j.properties"
    log4j.write_text(
        "log4j.rootLogger=WARN, out\nlog4j.appender.out=org.apache.log4j.ConsoleAppender\n"
        "log4j.appender.out.layout=org.apache.log4j.PatternLayout\nlog4j.appender.out.layout.ConversionPattern=%d %p %c %m%n\n"
    )
    return [java(), "-Xmx512m", f"-Dlog4j.configuration={log4j.as_uri()}", "-cp", str(kafka_jars() / "*"), *arguments]


def _format(root: Path, settings: Path, cluster: str, users: list[str]) -> None:
    command = _java(root, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(settings), *users)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TransientError(f"{root}: Kafka cannot use this folder: {(done.stderr or done.stdout).strip()[-300:]}")


def answers(port: int) -> bool:
    """Whether a Kafka node on that loopback port answers the protocol's first question (ApiVersions, version 0)."""
    question = struct.pack(">hhih", 18, 0, 7, -1)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as line:
            line.sendall(struct.pack(">i", len(question)) + question)
            head = line.recv(8, socket.MSG_WAITALL)
    except OSError:
        return False
    return len(head) == 8 and struct.unpack(">ii", head)[1] == 7


def running_in(folder: str | Path) -> Broker | None:
    """The node that `start` started in that folder, where it still runs."""
    root = Path(folder).resolve()
    found = noted(root / "broker.pid", _words(root))
    return Broker(found[0], root, *found[1]) if found else None


def _words(root: Path) -> tuple[str, str]:
    """What the command of that folder's process has in it."""
    return "kafka.Kafka", str(root / "server.properties")


def stop(folder: str | Path) -> bool:
    """End the node of that folder; returns whether one ran. Its data stays."""
    root = Path(folder).resolve()
    return end_noted(root / "broker.pid", _words(root))


@contextmanager
def running(folder: str | Path | None = None) -> Iterator[Broker]:
    """A node for as long as the `with` lasts, in `folder` or in a temporary one."""
    with tempfile.TemporaryDirectory(prefix="shoal-kafka-", ignore_cleanup_errors=True) as scratch:
        broker = start(folder or scratch)
        try:
            yield broker
        finally:
            stop(broker.folder)


def main(argv: list[str]) -> int:
    """`bring`, `start FOLDER` (prints host:port), `stop FOLDER`; returns the exit code."""
    started = lambda folder: start(folder).bootstrap_servers  # noqa: E731
    return Commands("shoal.testing.kafka_broker", "broker", kafka_jars(), bring, started, stop).run(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

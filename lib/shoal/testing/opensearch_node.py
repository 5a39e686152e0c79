"""An OpenSearch of one node on this machine, for tests: `python -m shoal.testing.opensearch_node start FOLDER`.

Not for production: no login, no TLS. Its jars are fetched once, at set-up, beside the virtual environment's other shared files. The
one class of ours is compiled at the start by the Janino in Spark's jars, so that a Java without a compiler is enough. It listens on
free loopback ports, keeps everything in the folder it is given, and is stopped by the id of the process that was started, never by
name.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shoal.errors import TransientError, UsageError
from shoal.spark.jars import bring_into, spark_jars_folder
from shoal.spark.java import java
from shoal.testing.node import Commands, comes_up, end_noted, free_ports, launch, log_end, noted, write_log_settings

# log4j-core must be of the version of the log4j-api that OpenSearch asks for.
OPENSEARCH = (("org.opensearch", "opensearch", "2.19.6"), ("org.opensearch.plugin", "transport-netty4-client", "2.19.6"),
              ("org.apache.logging.log4j", "log4j-core", "2.25.4"))  # fmt: skip
SOURCE = Path(__file__).resolve().parent / "OpenSearchNode.java"
_MAIN = "shoal.testing.OpenSearchNode"
_START_SECONDS = 120


@dataclass(frozen=True)
class OpenSearch:
    """A running node: its process, its folder and the URL of its REST interface."""

    pid: int
    folder: Path
    url: str


def opensearch_jars() -> Path:
    """The folder of OpenSearch's jars in this virtual environment."""
    return Path(sys.prefix) / "share" / "shoal" / f"opensearch-{OPENSEARCH[0][2]}"


def bring() -> list[str]:
    """Fetch the jars, some 45 MB, where they are not there yet; returns their names. Raises as `shoal.spark.jars.bring`."""
    return bring_into(opensearch_jars(), OPENSEARCH)


def start(folder: str | Path) -> OpenSearch:
    """Start a node that keeps its data in `folder`, and return when it takes documents.

    Raises UsageError where one runs in the folder already, TransientError with the last lines of its log where it does not come up.
    """
    root = Path(folder).resolve()
    if running_in(root) is not None:
        again = f"`python -m shoal.testing.opensearch_node stop {root}` ends it"
        raise UsageError(f"{root}: an OpenSearch runs in this folder already; {again}")
    bring()
    root.mkdir(parents=True, exist_ok=True)
    port, transport = free_ports(2)
    settings = {
        "path.home": root, "path.data": root / "data", "path.logs": root / "logs", "node.name": "shoal", "cluster.name": "shoal",
        "network.host": "127.0.0.1", "http.port": port, "http.type": "netty4", "transport.port": transport,
        "transport.type": "netty4", "discovery.type": "single-node", "action.auto_create_index": "false",
        # A test's disk may be fuller than an index should find it.
        "cluster.routing.allocation.disk.threshold_enabled": "false",
    }  # fmt: skip
    janino = ":".join(str(each) for name in ("janino", "commons-compiler") for each in spark_jars_folder().glob(f"{name}-*.jar"))
    command = [
        java(), "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", f"-Dlog4j2.configurationFile={write_log_settings(root)}",
        "-Dopensearch.networkaddress.cache.ttl=60", "-cp", f"{opensearch_jars() / '*'}:{janino}",
        # Janino's main: a source file, the class in it, its arguments.
        "org.codehaus.janino.SimpleCompiler", str(SOURCE), _MAIN, *[f"{name}={value}" for name, value in settings.items()],
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    pid = launch(command, root / "opensearch.pid", root / "opensearch.log", [port])
    if comes_up(pid, _words(root), lambda: _is_ready(url), _START_SECONDS):
        return OpenSearch(pid, root, url)
    stop(root)
    raise TransientError(f"{root}: OpenSearch did not come up; {root / 'opensearch.log'} ends: {log_end(root / 'opensearch.log')}")


def _is_ready(url: str) -> bool:
    """Whether every index that the node has can be read: right after a start they cannot."""
    try:
        with urllib.request.urlopen(f"{url}/_cluster/health?wait_for_status=yellow&timeout=5s", timeout=10) as answer:  # noqa: S310
            return not json.loads(answer.read())["timed_out"]
    except (urllib.error.URLError, OSError):
        return False


def running_in(folder: str | Path) -> OpenSearch | None:
    """The node that `start` started in that folder, where it still runs."""
    root = Path(folder).resolve()
    found = noted(root / "opensearch.pid", _words(root))
    return OpenSearch(found[0], root, f"http://127.0.0.1:{found[1][0]}") if found else None


def stop(folder: str | Path) -> bool:
    """End the node of that folder; returns whether one ran. Its data stays."""
    root = Path(folder).resolve()
    return end_noted(root / "opensearch.pid", _words(root))


@contextmanager
def running(folder: Path) -> Iterator[OpenSearch]:
    """A node for this block."""
    try:
        yield start(folder)
    finally:
        stop(folder)


def _words(root: Path) -> tuple[str, str]:
    """What the command of that folder's process has in it."""
    return _MAIN, f"path.home={root}"


def main(argv: list[str]) -> int:
    """`bring`, `start FOLDER` (prints the URL), `stop FOLDER`; returns the exit code."""
    return Commands(
        "shoal.testing.opensearch_node", "OpenSearch", opensearch_jars(), bring, lambda folder: start(folder).url, stop
    ).run(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

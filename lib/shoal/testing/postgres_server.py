"""A PostgreSQL on this machine, for tests and benchmarks: a process on a free loopback port with a password of its own.

Not for production. The program is that of the machine (`postgres` and `initdb` of the PATH or of Debian's folders). It refuses to
run as root: root starts it as the user `postgres` or `nobody`, whose folder it then must be. Ended by the id of the process that
was started.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shoal.errors import TransientError
from shoal.testing.node import end, free_ports, log_end

_START_SECONDS = 60


@dataclass(frozen=True)
class PostgresServer:
    """A running server: its process, folder and port, and the password of the user `shoal`."""

    pid: int
    folder: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        """The address for clients, without the password."""
        return f"postgresql://shoal@127.0.0.1:{self.port}/postgres"


def program(name: str) -> str:
    """The path of one of PostgreSQL's programs. Raises TransientError where there is none, with what to do."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    found = str(debian[-1]) if debian else shutil.which(name)
    if found is None:
        raise TransientError(f"no {name}: install PostgreSQL (Debian's package postgresql)")
    return found


def start(folder: Path | None = None) -> PostgresServer:
    """Make a database in a new folder, or use that of an earlier server, start it, and return when it answers. Raises
    TransientError with the end of its log where it does not come up."""
    root = folder or Path(tempfile.mkdtemp(prefix="shoal-postgres-"))
    data, secret, log = root / "data", secrets.token_hex(16), root / "postgres.log"
    root.mkdir(parents=True, exist_ok=True)
    password = root / "password"
    if password.is_file():
        secret = password.read_text()
    else:
        password.touch(mode=0o600)
        password.write_text(secret)
    user = _user()
    if user is not None:
        for path in (root, password):
            shutil.chown(path, user.pw_uid, user.pw_gid)
    if not data.is_dir():
        given = ["-D", str(data), "-U", "shoal", "-A", "scram-sha-256", f"--pwfile={password}", "-E", "UTF8", "--locale=C", "-N"]
        done = subprocess.run([program("initdb"), *given], capture_output=True, text=True, check=False, cwd="/", **_as(user))
        if done.returncode:
            raise TransientError(f"{root}: PostgreSQL cannot use this folder: {done.stderr.strip()[-300:]}")
    port = free_ports(1)[0]
    options = ["-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", "", "-c", "fsync=off"]
    with log.open("ab") as out:
        process = subprocess.Popen([program("postgres"), *options], stdout=out, stderr=out, cwd="/", **_as(user))
    ready = [program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if subprocess.run(ready, check=False).returncode == 0:
            return PostgresServer(process.pid, root, port, secret)
        time.sleep(0.1)
    raise TransientError(f"{root}: PostgreSQL did not come up; its log ends: {log_end(log)}")


def stop(server: PostgresServer) -> None:
    """End the server, and return when it is gone."""
    end(server.pid, "postgres", str(server.port))


@contextmanager
def running() -> Iterator[PostgresServer]:
    """A server for this block, in a folder of its own that goes with it."""
    server = start()
    try:
        yield server
    finally:
        stop(server)
        shutil.rmtree(server.folder, ignore_errors=True)


def _user() -> pwd.struct_passwd | None:
    """Whom root starts the server as; None for another user, who is it."""
    if os.geteuid() != 0:
        return None
    names = {each.pw_name: each for each in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


def _as(user: pwd.struct_passwd | None) -> dict[str, Any]:
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid}

"""A server that a test starts as a process of its own: whether it still runs, how it is ended, what its log says at the end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from shoal.errors import ShoalError, UsageError

_STOP_SECONDS = 20


def runs(pid: int, *words: str) -> bool:
    """Whether that process runs and its command has all the words: the id may be another process's by now."""
    command = ["ps", "-ww", "-o", "state=,command=", "-p", str(pid)]
    given = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    # A child that has ended and has not been asked yet is a zombie (Z): its command is gone or in brackets.
    return not given.startswith("Z") and all(word in given for word in words)


def answers(port: int) -> bool:
    """Whether something takes connections on that loopback port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2):
            return True
    except OSError:
        return False


def end(pid: int, *words: str) -> None:
    """End the process, by SIGKILL where it has not gone after 20 seconds, and return when it is gone."""
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while runs(pid, *words):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            deadline += _STOP_SECONDS
        time.sleep(0.1)


def log_end(log: Path) -> str:
    """The last three lines of a log, 400 characters at most; empty without one."""
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    return " / ".join(lines[-3:])[-400:]


@dataclass(frozen=True)
class Commands:
    """What `python -m <module>` does. `kind`: what the server is called; `jars`: their folder; `start`: of a folder, gives the
    address to print; `stop`: of a folder, whether one ran."""

    module: str
    kind: str
    jars: Path
    bring: Callable[[], Sequence[str]]
    start: Callable[[str], str]
    stop: Callable[[str], bool]

    def run(self, argv: list[str]) -> int:
        """`bring`, `start FOLDER` (prints the address), `stop FOLDER`; return the exit code."""
        try:
            if argv == ["bring"]:
                sys.stderr.write(f"shoal: {len(self.bring())} jars in {self.jars}\n")
            elif len(argv) == 2 and argv[0] == "start":
                sys.stdout.write(self.start(argv[1]) + "\n")
            elif len(argv) == 2 and argv[0] == "stop":
                sys.stderr.write(f"shoal: {argv[1]}: {'stopped' if self.stop(argv[1]) else f'no {self.kind} runs in it'}\n")
            else:
                raise UsageError(f"python -m {self.module} takes `bring`, `start FOLDER` or `stop FOLDER`")
        except ShoalError as error:
            sys.stderr.write(f"shoal: {error}\n")
            return error.exit_code
        return 0

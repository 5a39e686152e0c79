"""A server that a test starts as a process of its own: free ports, its start, whether it still runs, its end, its log."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shoal.errors import ShoalError, TransientError, UsageError

_STOP_SECONDS = 20


def free_ports(count: int) -> list[int]:
    """Return loopback ports that are free at this moment."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in held]
    finally:
        for one in held:
            one.close()


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


@contextmanager
def paused(pid: int) -> Iterator[None]:
    """Stop every thread of a process (SIGSTOP), and let it go on when the block ends. A thread that waits for a core may still run
    for a moment after the signal, so the block begins when the kernel says of each thread that it has stopped. Raises
    TransientError where one has not within 20 seconds."""
    os.kill(pid, signal.SIGSTOP)
    try:
        deadline = time.monotonic() + _STOP_SECONDS
        while not _is_stopped(pid):
            if time.monotonic() > deadline:
                raise TransientError(f"process {pid} has not stopped within {_STOP_SECONDS} seconds of SIGSTOP")
            time.sleep(0.01)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _is_stopped(pid: int) -> bool:
    states = subprocess.run(["ps", "-L", "-o", "state=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return set(states.split()) == {"T"}


def launch(command: Sequence[str], note: Path, log: Path, addresses: Sequence[object]) -> int:
    """Start a server in its log's folder, note its process and addresses in the file `note`; return the process' id."""
    with log.open("ab") as lines:
        process = subprocess.Popen(
            command, cwd=log.parent, stdin=subprocess.DEVNULL, stdout=lines, stderr=lines, start_new_session=True
        )
    note.write_text(" ".join(str(each) for each in (process.pid, *addresses)) + "\n")
    return process.pid


def comes_up(pid: int, words: Sequence[str], is_ready: Callable[[], bool], seconds: float) -> bool:
    """Whether a process that was launched is ready within so many seconds; False at once where it has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if is_ready():
            return True
        if not runs(pid, *words):
            return False
        time.sleep(0.2)
    return False


def noted(note: Path, words: Sequence[str]) -> tuple[int, list[str]] | None:
    """(process, addresses) of a server that `launch` noted, where it still runs: its command has the words."""
    if not note.is_file():
        return None
    pid, *addresses = note.read_text().split()
    return (int(pid), addresses) if runs(int(pid), *words) else None


def end_noted(note: Path, words: Sequence[str]) -> bool:
    """End the server of that note and remove the note; return whether one ran."""
    found = noted(note, words)
    if found is None:
        return False
    end(found[0], *words)
    note.unlink(missing_ok=True)
    return True


def write_log_settings(folder: Path) -> Path:
    """Write Log4j 2's settings for a server that prints warnings and errors only; return their file."""
    file = folder / "log4j2.properties"
    file.write_text("rootLogger.level = warn\nrootLogger.appenderRef.out.ref = out\n"
        "appender.out.type = Console\nappender.out.name = out\nappender.out.layout.type = PatternLayout\n"
        "appender.out.layout.pattern = %d %p %c %m%n\n")  # fmt: skip
    return file


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

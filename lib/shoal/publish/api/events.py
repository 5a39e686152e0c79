"""New events: files for the stream to read, and the newest of each user in memory, so that lists follow at once.

A file is written under a name that begins with a point and renamed when it is whole (docs/stream.md). One that a killed server
left is renamed by the next: every event that was answered with 202 is in a file.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import orjson

from shoal.errors import InputError, one_line

# A file is closed after so many events, or when the server's clock says.
EVENTS_A_FILE = 10_000
# Users and their newest events in memory: 100 bytes an event.
MAX_USERS, EVENTS_A_USER = 100_000, 50
# Bytes of earlier files that are read at the start.
MAX_READ_BYTES = 64_000_000


class EventsAwayError(Exception):
    """Events could not be taken: the reason, in some words."""


class Sink(Protocol):
    """What takes new events for the stream."""

    async def take(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Take events, and return when they cannot be lost any more. Raises EventsAwayError where that failed."""

    def known(self) -> Iterable[dict[str, Any]]:
        """The newest events that were taken before, the oldest first."""

    def close_file(self) -> None:
        """Give the events so far to the stream."""

    def close(self) -> None:
        """Take no more."""


class Inbox:
    """The folder that the stream reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: BinaryIO | None = None
        self._events = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._rename_left()
        except OSError as error:
            raise InputError(f"{folder}: events cannot be written there: {one_line(error)}") from None

    async def take(self, events: Sequence[Mapping[str, Any]]) -> None:
        """`append`. Raises EventsAwayError for what the disk refuses."""
        try:
            self.append(events)
        except OSError as error:
            raise EventsAwayError(str(error.strerror)) from None

    def close(self) -> None:
        """`close_file`."""
        self.close_file()

    def append(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Write events, and return when they are on the disk. Raises OSError, as of a full disk, with nothing half written."""
        if self._file is None:
            path = self.folder / f".events-{uuid.uuid4().hex}.jsonl"
            self._file = path.open("ab")
            fcntl.flock(self._file, fcntl.LOCK_EX)
        place = self._file.tell()
        try:
            self._file.write(b"".join(orjson.dumps(event) + b"\n" for event in events))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(place)
            raise
        self._events += len(events)
        if self._events >= EVENTS_A_FILE:
            self.close_file()

    def close_file(self) -> None:
        """Give the events so far to the stream; nothing where there are none."""
        if self._file is None:
            return
        path = Path(str(self._file.name))
        path.rename(path.with_name(path.name[1:]))
        self._file.close()
        self._file, self._events = None, 0

    def known(self) -> Iterable[dict[str, Any]]:
        """The events of the newest files, the oldest first, MAX_READ_BYTES of them at most. A line that is no event is passed by:
        the stream reports it."""
        newest, size = [], 0
        for path in sorted(self.folder.glob("events-*.jsonl"), key=lambda p: p.stat().st_mtime, reverse=True):
            size += path.stat().st_size
            if size > MAX_READ_BYTES:
                break
            newest.append(path)
        for path in reversed(newest):
            for line in path.read_bytes().splitlines():
                found = parsed_event(line)
                if found is not None:
                    yield found

    def _rename_left(self) -> None:
        """Rename the files that no living server writes: the lock of a dead one is free."""
        for path in self.folder.glob(".events-*.jsonl"):
            with path.open("ab") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                path.rename(path.with_name(path.name[1:]))


class RecentEvents:
    """The newest events of the users who had some last, MAX_USERS of them."""

    def __init__(self) -> None:
        self._users: OrderedDict[str, deque[tuple[str, str]]] = OrderedDict()

    def add(self, user_id: str, item_id: str, event: str) -> None:
        """Note an event."""
        mine = self._users.setdefault(user_id, deque(maxlen=EVENTS_A_USER))
        mine.append((item_id, event))
        self._users.move_to_end(user_id)
        if len(self._users) > MAX_USERS:
            self._users.popitem(last=False)

    def of(self, user_id: str) -> list[tuple[str, str]]:
        """(item, event) of a user, the newest first."""
        return list(reversed(self._users.get(user_id, ())))


def parsed_event(line: bytes) -> dict[str, Any] | None:
    """The event of a line of JSON; None for anything else."""
    try:
        found = orjson.loads(line)
    except ValueError:
        return None
    wanted = ("user_id", "item_id", "event")
    return found if isinstance(found, dict) and all(isinstance(found.get(name), str) for name in wanted) else None

"""The embedded store: LMDB, an environment a version, and a file that names the current one. No server, no Spark.

<folder>/versions/<version>/data.mdb and manifest.json; <folder>/current holds the version's name and is replaced by a rename, so
that a reader sees the old version or the new one. A version is never changed once it is whole: readers map it without locks. One
that is being written has a name that begins with a point; what a killed writer left is removed by the next.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import lmdb

from shoal.errors import InputError, UsageError, one_line
from shoal.publish.stores.exports import store_key
from shoal.publish.stores.manifest import Manifest, read_manifest, versions_beyond

NAME = "lmdb"
# Pairs of a transaction: some 50 MB of lists, and what is written again where the map has to grow.
BATCH_PAIRS = 20_000
_FIRST_MAP_BYTES = 256 << 20
_MAX_EXPORTS = 64
Pair = tuple[bytes, bytes]


class LmdbTarget:
    """The versions under a folder, as a publisher writes them."""

    name = NAME

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = f"{folder}"

    def current(self) -> Manifest | None:
        """The manifest of the version that serves; None where nothing was published."""
        name = current_version(self.folder)
        return None if name is None else self.manifest(name)

    def manifest(self, version: str) -> Manifest:
        """The manifest of a version. Raises UsageError where the store does not have it."""
        path = self._version(version) / "manifest.json"
        try:
            return read_manifest(path.read_text(encoding="utf-8"), str(path))
        except OSError:
            raise UsageError(f"{self.folder}: there is no version {version}") from None

    def versions(self) -> list[str]:
        """The names of the whole versions, the oldest first."""
        return sorted(p.name for p in (self.folder / "versions").glob("[!.]*") if (p / "manifest.json").is_file())

    def clean(self) -> list[str]:
        """Remove what killed writers left, and return its names."""
        left = sorted((self.folder / "versions").glob(".*"))
        for each in left:
            shutil.rmtree(each, ignore_errors=True)
        return [each.name for each in left]

    @contextmanager
    def building(self, version: str, previous: Manifest | None) -> Iterator[LmdbBuilding]:
        """Write a new version in this block; one that was not finished is removed."""
        made = self.folder / "versions" / f".{version}"
        try:
            made.mkdir(parents=True)
            building = LmdbBuilding(made, None if previous is None else self._version(previous.version))
            try:
                yield building
            finally:
                building.close()
        except (OSError, lmdb.Error) as error:
            raise InputError(f"{self.folder}: the version could not be written: {one_line(error)}") from error
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def switch(self, manifest: Manifest) -> None:
        """Make a whole version the current one: one rename."""
        beside = self.folder / f".current.{os.getpid()}"
        with beside.open("w", encoding="utf-8") as file:
            file.write(manifest.version + "\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.folder / "current")
        _sync_folder(self.folder)

    def retire(self, keep: int, serving: Manifest) -> list[str]:
        """Remove the oldest versions, so that `keep` besides the current one stay, and return their names. A reader that has a
        version open reads on: its file is gone when it closes it."""
        gone, _ = versions_beyond(self.versions(), serving.version, keep)
        for name in gone:
            shutil.rmtree(self._version(name), ignore_errors=True)
        return gone

    def _version(self, name: str) -> Path:
        return self.folder / "versions" / name


class LmdbBuilding:
    """A version that is being written: one database an export."""

    def __init__(self, folder: Path, previous: Path | None) -> None:
        self.folder, self.previous = folder, previous
        self._env = lmdb.open(
            str(folder), map_size=_FIRST_MAP_BYTES, max_dbs=_MAX_EXPORTS, subdir=True, metasync=False, sync=False, lock=False,
        )  # fmt: skip

    def load(self, name: str, pairs: Iterable[Pair]) -> int:
        """Write an export from pairs in the order of their keys, and return how many they are. Memory: BATCH_PAIRS pairs."""
        database = self._env.open_db(name.encode())
        rows, waiting = 0, iter(pairs)
        while batch := list(islice(waiting, BATCH_PAIRS)):
            self._write(database, batch)
            rows += len(batch)
        return rows

    def keep(self, name: str, since: str) -> None:
        """Copy an export from the version before; `since` is where other stores have it."""
        if self.previous is None:
            raise UsageError(f"{name}: there is no version before to take it over from, {since}")
        with _opened(self.previous) as before, before.begin(db=before.open_db(name.encode(), create=False)) as reading:
            self.load(name, iter(reading.cursor()))

    def finish(self, manifest: Manifest) -> int:
        """Put the version in its place, whole and on the disk; returns its bytes."""
        self._env.sync(True)
        self.close()
        text = self.folder / "manifest.json"
        with text.open("w", encoding="utf-8") as file:
            file.write(manifest.text())
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(self.folder)
        target = self.folder.with_name(manifest.version)
        self.folder.rename(target)
        _sync_folder(target.parent)
        return sum(each.stat().st_size for each in target.iterdir())

    def close(self) -> None:
        """Let the file go."""
        self._env.close()

    def _write(self, database: Any, batch: Sequence[Pair]) -> None:
        while True:
            try:
                with self._env.begin(write=True, db=database) as writing:
                    writing.cursor().putmulti(batch, append=True)
                return
            except lmdb.MapFullError:
                self._env.set_mapsize(self._env.info()["map_size"] * 2)


class LmdbReader:
    """A version that is open for look-ups, some microseconds each. One thread uses it; it is closed when nothing refers to it."""

    def __init__(self, folder: Path, version: str) -> None:
        place = folder / "versions" / version
        path = place / "manifest.json"
        try:
            self.manifest = read_manifest(path.read_text(encoding="utf-8"), str(path))
            self._env = lmdb.open(
                str(place), readonly=True, lock=False, max_dbs=_MAX_EXPORTS, readahead=False, subdir=True, create=False
            )
            self._databases = {name: self._env.open_db(name.encode(), create=False) for name in self.manifest.exports}
            self._reading = self._env.begin()
        except (OSError, lmdb.Error) as error:
            raise InputError(f"{place}: the published version cannot be opened: {one_line(error)}") from None

    def get(self, export: str, key: str) -> bytes | None:
        """The JSON under a key; None for an unknown key or export."""
        database, wanted = self._databases.get(export), store_key(key)
        return None if database is None or wanted is None else self._reading.get(wanted, db=database)

    def close(self) -> None:
        """Unmap the file."""
        self._reading.abort()
        self._env.close()


def current_version(folder: Path) -> str | None:
    """The name of the version that serves; None where nothing was published. Raises InputError where the pointer is damaged."""
    try:
        name = (folder / "current").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{folder / 'current'}: cannot be read: {one_line(error)}") from None
    if not name or "/" in name or name.startswith("."):
        raise InputError(f"{folder / 'current'}: no name of a version in it; run `shoal publish` again")
    return name


@contextmanager
def _opened(place: Path) -> Iterator[lmdb.Environment]:
    env = lmdb.open(str(place), readonly=True, lock=False, max_dbs=_MAX_EXPORTS, create=False)
    try:
        yield env
    finally:
        env.close()


def _sync_folder(folder: Path) -> None:
    """Make renames within a folder last through a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

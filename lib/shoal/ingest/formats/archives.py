"""A .zip as a folder: its files unpacked below the lake, safely.

An archive comes from strangers: nothing in it may land outside its folder, be a link, or fill the disk. The folder is
<lake>/.landing/<SHA-256 of the archive>; it holds people's raw data and must be removed where a person is erased.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, cast

from shoal.conf.sections import IngestConf
from shoal.errors import InputError, TransientError, UsageError
from shoal.ingest.formats.listing import is_hidden
from shoal.ingest.formats.storage import files_below, is_file, is_folder, open_binary, sha256_of

_BLOCK = 1 << 20
# A hidden file that says what the archive was called: its name may name the person whose it is.
LABEL = ".archive.json"
# Below this a ratio says nothing: a few kilobytes of blanks fill no disk.
_RATIO_FROM_BYTES = 1 << 20


def is_archive(given: str) -> bool:
    """Whether the input is a .zip file, by its name."""
    return given.lower().endswith(".zip") and is_file(given)


def archives_of(given: str) -> list[str]:
    """The .zip files that an input is or holds, sorted: the file itself, or those below the folder, without hidden ones."""
    if is_archive(given):
        return [given]
    found = files_below(given) if is_folder(given) else ()
    return [file for file, inside in found if inside.suffix.lower() == ".zip" and not is_hidden(inside)]


def landing(root: Path) -> Path:
    """The folder below a lake that unpacked archives lie in, one folder an archive."""
    return root / ".landing"


def unpack(given: str, root: Path, conf: IngestConf) -> Path:
    """The folder with the files of the archive `given`, unpacked below the lake `root`.

    An archive that was unpacked before, by its content, is not unpacked again. The files are written beside their place and
    moved there when whole: a run that was killed in between is repaired by the next. Streams; holds one block and the
    archive's listing (zip_max_members names). Raises InputError, naming the member, for an absolute name or one with `..`, a
    link, an encrypted or damaged or repeated member, and beyond zip_max_members, zip_max_bytes or zip_max_ratio; nothing is
    left unpacked then.
    """
    folder = landing(root) / sha256_of(given)
    if folder.is_dir():
        return folder
    # Of this process alone: two runs of the same archive do not write into one another's.
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    _drop_partials(folder)
    try:
        with open_binary(given) as stream, zipfile.ZipFile(cast(IO[bytes], stream)) as archive:
            members = _sound_members(given, archive, conf)
            partial.mkdir(parents=True)
            _unpack_members(given, archive, members, partial, conf)
            (partial / LABEL).write_text(json.dumps({"archive": Path(given).name}), encoding="utf-8")
    except (zipfile.BadZipFile, struct.error, EOFError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise InputError(f"{given}: not a sound .zip file: {error}; get it once more") from None
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise TransientError(f"{given}: cannot be unpacked into {partial.parent}: {error.strerror or error}") from error
    except InputError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if folder.is_dir():
        # Another run was faster.
        shutil.rmtree(partial)
    else:
        partial.rename(folder)
    return folder


def label_of(folder: Path) -> str:
    """What the .zip was called that a folder was unpacked from; nothing for another folder."""
    try:
        label = json.loads((folder / LABEL).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return ""
    return str(label.get("archive", "")) if isinstance(label, dict) else ""


def owner_in(called: str) -> str | None:
    """The username in the name of a folder or .zip, where that is called as Instagram calls a person's archive.

    >>> owner_in("instagram-ann.b-2024-01-31-xY12-part2.zip"), owner_in("photos-2024-01-31.zip")
    ('ann.b', None)
    """
    found = re.match(r"instagram-([\w.]+)-\d{4}-\d{2}-\d{2}", called)
    return found.group(1) if found else None


@contextmanager
def unpacked_aside(given: Sequence[str], root: str, conf: IngestConf) -> Iterator[list[Path]]:
    """The folders with the files of the archives `given`, outside the lake at `root`, a path or URI, for as long as the context
    lasts.

    For a lake that is to hold no raw copy, or has no local folder. The folder is below the machine's temporary folder (TMPDIR), the
    user's alone, and the same for the same archives and lake; what a killed run left of it is removed first. On a cluster every
    worker must see that folder. Raises as `unpack` does, and UsageError where another user made a folder of that name.
    """
    lake = hashlib.sha256(root.encode()).hexdigest()[:16]
    aside = Path(tempfile.gettempdir()) / f"shoal-{os.getuid()}-{lake}"
    try:
        if aside.is_dir() and not aside.is_symlink() and aside.stat().st_uid == os.getuid():
            shutil.rmtree(aside)
        aside.mkdir(mode=0o700)
    except OSError as error:
        raise UsageError(f"{aside}: {error.strerror or error}; expected to make this folder for {given[0]}: set TMPDIR") from None
    try:
        yield [unpack(each, aside, conf) for each in given]
    finally:
        shutil.rmtree(aside)


def _drop_partials(folder: Path) -> None:
    """Remove what runs that were killed left of this archive; that of a process that lives stays."""
    for old in folder.parent.glob(f"{folder.name}.*.partial"):
        number = old.name.split(".")[-2]
        if number == str(os.getpid()) or not Path(f"/proc/{number}").exists():
            shutil.rmtree(old)


def _sound_members(given: str, archive: zipfile.ZipFile, conf: IngestConf) -> list[zipfile.ZipInfo]:
    """The archive's files, after a look at each one's entry; its folders are made as they are needed."""
    members = archive.infolist()
    if len(members) > conf.zip_max_members:
        raise InputError(f"{given}: {len(members):,} members, more than zip_max_members={conf.zip_max_members:,}")
    total, seen = 0, set()
    for member in members:
        fault = _fault(member, conf)
        name = str(PurePosixPath(member.filename))
        if fault is None and not member.is_dir() and name in seen:
            fault = "the name is there twice"
        total += member.file_size
        if fault is None and total > conf.zip_max_bytes:
            fault = f"with it the archive unpacks to {total:,} bytes, more than zip_max_bytes={conf.zip_max_bytes:,}"
        if fault:
            raise InputError(f"{given}: member {member.filename[:200]!r}: {fault}; nothing of the archive is read")
        seen.add(name)
    return [member for member in members if not member.is_dir()]


def _fault(member: zipfile.ZipInfo, conf: IngestConf) -> str | None:
    """What is wrong with a member's entry; None where nothing is."""
    name = member.orig_filename
    if name.startswith(("/", "\\")) or name[1:2] == ":":
        return "an absolute name"
    if ".." in name.replace("\\", "/").split("/"):
        return "a name with '..' in it"
    if "\\" in name or any(ord(letter) < 32 or ord(letter) == 127 for letter in name):
        return "a name with a backslash or control character in it"
    if not PurePosixPath(name).parts:
        return "no name"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "a symbolic link"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "neither a file nor a folder"
    if member.flag_bits & 1:
        return "encrypted; unpack it with its password first"
    if member.file_size > max(_RATIO_FROM_BYTES, conf.zip_max_ratio * member.compress_size):
        return (
            f"{member.compress_size:,} bytes unpack to {member.file_size:,}, more than zip_max_ratio={conf.zip_max_ratio:g} times"
        )
    return None


def _unpack_members(given: str, archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], folder: Path, conf: IngestConf) -> None:
    """Write the files of the archive below `folder`. What an entry says of its size is not believed: written bytes count."""
    total = 0
    for member in members:
        path = folder.joinpath(*PurePosixPath(member.filename).parts)
        member_of = f"{given}: member {member.filename[:200]!r}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as stream, path.open("xb") as file:
                while block := stream.read(_BLOCK):
                    total += len(block)
                    if total > conf.zip_max_bytes:
                        raise InputError(f"{member_of}: unpacks to more than zip_max_bytes={conf.zip_max_bytes:,}; nothing is read")
                    file.write(block)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, struct.error) as error:
            raise InputError(f"{member_of}: damaged: {error}; get the archive once more") from None
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise InputError(f"{member_of}: a file and a folder of one name; nothing of the archive is read") from None

"""The files of an input, wherever they lie: on this machine, or at a URI that fsspec opens, by driver and workers alike.

webhdfs:// needs no more packages; s3:// (and s3a://), abfs:// (abfss://) and gs:// need an extra of this project, `pip install
'shoal[s3]'`, `[azure]`, `[gcs]`; hdfs:// needs Hadoop's native library. Credentials come from where each package looks for them
(environment, profiles, instance roles), never from the URI.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase, BufferedReader
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import fsspec

from shoal.conf.addresses import is_uri, local_path
from shoal.errors import InputError, UsageError

_BLOCK = 1 << 20
# Hadoop's name for a store -> fsspec's. Spark reads Parquet by the first, everything else goes by the second.
_FSSPEC = {"s3a": "s3", "s3n": "s3"}
_HADOOP = {"s3": "s3a"}
_EXTRAS = {"s3": "s3", "abfs": "azure", "abfss": "azure", "gs": "gcs", "gcs": "gcs"}
# Packages whose errors are no OSError: a store that refuses, or is not there.
_CLIENTS = ("botocore", "aiobotocore", "azure", "gcsfs", "google", "aiohttp", "requests")


def absolute(given: str) -> str:
    """The address of a file or folder in one spelling: an absolute local path, or the URI without a trailing slash. Raises
    UsageError for a URI that holds a password."""
    if not is_uri(given):
        return str(Path(local_path(given)).resolve())
    if urlsplit(given).password is not None:
        raise UsageError(f"{urlsplit(given).scheme}://: the URI holds a password; give credentials by the environment")
    return given.rstrip("/")


def hadoop_uri(path: str) -> str:
    """The URI by which Spark reads what fsspec calls `path`."""
    scheme, _, rest = path.partition("://")
    return f"{_HADOOP.get(scheme, scheme)}://{rest}"


def is_file(path: str) -> bool:
    """Whether a file is there."""
    return _kind(path) == "file" if is_uri(path) else Path(local_path(path)).is_file()


def is_folder(path: str) -> bool:
    """Whether a folder is there."""
    return _kind(path) == "directory" if is_uri(path) else Path(local_path(path)).is_dir()


def _kind(uri: str) -> str | None:
    """file or directory; None where nothing is there. fsspec's own isfile() says no where the store cannot be asked."""
    try:
        with _opened(uri) as (system, place):
            return str(system.info(place)["type"])
    except FileNotFoundError:
        return None


def files_below(folder: str) -> Iterator[tuple[str, Path]]:
    """(address, path inside the folder) of each file below a folder, at any depth, sorted."""
    if not is_uri(folder):
        root = Path(local_path(folder))
        for file in sorted(root.rglob("*")):
            if file.is_file():
                yield str(file.resolve()), file.relative_to(root)
        return
    with _opened(folder) as (system, place):
        found = sorted(system.find(place))
    for path in found:
        inside = path[len(place) :].lstrip("/") if path.startswith(place) else path.lstrip("/")
        yield f"{absolute(folder)}/{inside}", Path(inside)


def file_size(path: str) -> int:
    """The bytes of a file. Raises OSError where it is not there."""
    if not is_uri(path):
        return Path(path).stat().st_size
    with _opened(path) as (system, place):
        return int(system.size(place))


def open_binary(path: str) -> BufferedIOBase:
    """The bytes of a file, to be read from any place. Raises OSError where it cannot be opened."""
    if not is_uri(path):
        return Path(path).open("rb")
    with _opened(path) as (system, place):
        # fsspec's files lack parts of Python's own, such as read1.
        return BufferedReader(system.open(place, "rb"))


def sha256_of(path: str) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal; reads it once, a block at a time."""
    digest = hashlib.sha256()
    with open_binary(path) as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def _opened(path: str) -> Iterator[tuple[Any, str]]:
    """fsspec's file system of a URI and the path in it. Raises InputError, one line, for a scheme that is not known, a package
    that is not there, and whatever the store answers but that a file is missing."""
    scheme, _, rest = path.partition("://")
    uri = f"{_FSSPEC.get(scheme, scheme)}://{rest}"
    try:
        yield fsspec.core.url_to_fs(uri)
    except FileNotFoundError:
        raise
    except ImportError as error:
        extra = _EXTRAS.get(_FSSPEC.get(scheme, scheme))
        what = f"pip install 'shoal[{extra}]'" if extra else f"install what fsspec needs for it ({error})"
        raise InputError(f"{path}: reading {scheme}:// needs one more package: {what}") from None
    except Exception as error:
        is_store = isinstance(error, (OSError, ValueError)) or type(error).__module__.split(".")[0] in _CLIENTS
        if not is_store:
            raise
        cause = " ".join(str(error).split())[:300] or type(error).__name__
        if scheme == "hdfs":
            cause += "; without Hadoop's native library HDFS is read by WebHDFS: webhdfs://NAMENODE:9870/..."
        raise InputError(f"{path}: cannot be read: {cause}; check the address, the network and the credentials") from None

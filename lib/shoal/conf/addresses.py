"""Addresses of lakes and inputs: a local path, or the URI of another file system."""

from __future__ import annotations

import re
from pathlib import Path

# hdfs://, s3a://, abfss://, gs://, dbfs:/; a scheme of one letter is a drive of Windows.
_URI = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+):/")


def is_uri(address: str | Path) -> bool:
    """Whether the address is the URI of a file system other than the local one."""
    found = _URI.match(str(address))
    return found is not None and found.group(1).lower() != "file"


def local_path(address: str | Path) -> str:
    """The path of a local address, without `file:/` or `file://` before it."""
    return re.sub(r"^file:(//)?(?=/)", "", str(address))

"""Names of files with letters outside ASCII, whatever the locale is.

Java takes the encoding of file names from the locale when it starts; under LC_ALL=C it is ASCII, and an accent in a path fails. So
the Java that we start gets a UTF-8 locale. Python reads file names as UTF-8 there by itself (PEP 540), unless PYTHONUTF8=0.
"""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from shoal.errors import UsageError

UTF8_LOCALE = "C.UTF-8"


def names_utf8(environment: Mapping[str, str]) -> bool:
    """Whether the locale that these variables give has UTF-8 as its encoding."""
    named = next((environment[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environment.get(name)), "C")
    return named.partition(".")[2].partition("@")[0].lower().replace("-", "") == "utf8"


@contextmanager
def utf8_locale_for_children() -> Iterator[None]:
    """Processes that begin meanwhile have a UTF-8 locale, where this process has none."""
    before = os.environ.get("LC_ALL")
    if names_utf8(os.environ):
        yield
        return
    os.environ["LC_ALL"] = UTF8_LOCALE
    try:
        yield
    finally:
        if before is None:
            del os.environ["LC_ALL"]
        else:
            os.environ["LC_ALL"] = before


def check_text_encoding() -> None:
    """Raise UsageError, naming the locale, where Python does not read file names as UTF-8."""
    encoding = sys.getfilesystemencoding()
    if codecs.lookup(encoding).name != "utf-8":
        named = next((f"{n}={os.environ[n]}" for n in ("LC_ALL", "LC_CTYPE", "LANG") if os.environ.get(n)), "no locale")
        forbidden = ", PYTHONUTF8=0" if os.environ.get("PYTHONUTF8") == "0" else ""
        raise UsageError(f"file names are read as {encoding} here ({named}{forbidden}); set LC_ALL={UTF8_LOCALE}, or PYTHONUTF8=1")

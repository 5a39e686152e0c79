"""Names of columns, read as people spell them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache


@cache
def plain(name: str) -> str:
    """A column name without case, underscores, blanks and hyphens: userId, user_id and USER-ID are one."""
    return re.sub(r"[\s_\-]+", "", name).lower()


def by_plain(names: Iterable[str]) -> dict[str, str]:
    """The names by their `plain` form; of several that have the same, the first."""
    found: dict[str, str] = {}
    for name in names:
        found.setdefault(plain(name), name)
    return found

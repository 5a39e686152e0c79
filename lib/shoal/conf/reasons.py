"""The effective settings one by one: value, where it comes from, and the reason that conf/base.yaml gives for it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from shoal.conf.home import home
from shoal.conf.loading import ADVANCED, SEED, layers, sections_with_seed
from shoal.conf.sections import Settings

_KEY = re.compile(r"^( *)\"?([A-Za-z_][A-Za-z0-9_.]*)\"?:")


@dataclass(frozen=True)
class Setting:
    """One effective setting. `origin`: base.yaml, the environment's file, or --set."""

    key: str
    value: Any
    origin: str
    reason: str
    is_advanced: bool = False


def effective_settings(
    env: str = "local", sets: Iterable[str] = (), job_section: str | None = None, sections: Iterable[str] | None = None
) -> list[Setting]:
    """The settings in the order of conf/base.yaml; with `sections` only these, and the seed where one of them has it.

    Raises UsageError as `shoal.conf.loading.load` does.
    """
    given = layers(env, sets, job_section)
    settings, written = given.settings(), reasons(home().joinpath("conf", "base.yaml").read_text(encoding="utf-8"))
    wanted = set(Settings.model_fields) if sections is None else set(sections)
    if SEED not in wanted and wanted & set(sections_with_seed()):
        wanted.add(SEED)
    found: list[Setting] = []
    for section in (name for name in Settings.model_fields if name in wanted):
        value = getattr(settings, section)
        of_section = written.get((section,), ("", False))[0]
        if section == SEED:
            found.append(Setting(SEED, value, given.origin(SEED), of_section))
            continue
        plain = value if isinstance(value, dict) else value.model_dump(mode="json", exclude={SEED})
        for key, shown in plain.items():
            reason, is_advanced = written.get((section, key), ("", False))
            name = key if section == "spark" else f"{section}.{key}"
            found.append(Setting(name, shown, given.origin(section, key), reason or of_section, is_advanced))
    return found


def reasons(text: str) -> dict[tuple[str, ...], tuple[str, bool]]:
    """Of each key of a settings file, by its path without `advanced`, the comment above it, and whether it is an advanced one.

    A key without a comment of its own shares that of the key above it in its section.
    """
    found: dict[tuple[str, ...], tuple[str, bool]] = {}
    path: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            comment.append(stripped.lstrip("# "))
            continue
        match = _KEY.match(line)
        if match:
            indent, key = len(match.group(1)), match.group(2)
            above = path[-1] if path and path[-1][0] == indent else None
            while path and path[-1][0] >= indent:
                path.pop()
            parents = tuple(name for _, name in path)
            inside = tuple(name for name in parents if name != ADVANCED)
            here = (*inside, key)
            sibling = (*inside, above[1]) if above and indent else ()
            shared = found.get(sibling, ("", False))[0]
            if key != ADVANCED:
                found[here] = (" ".join(comment) or shared, ADVANCED in parents)
            path.append((indent, key))
        comment = []
    return found

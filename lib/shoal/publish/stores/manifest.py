"""What a published version is made of, as JSON beside its values. No Spark."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from shoal.errors import InputError

FORMAT = "shoal publication 1"


@dataclass(frozen=True)
class Loaded:
    """One export of a version. `tables`: the versions of the tables that it was made of; `as_of`: the day, where the table has
    days; `since`: the version in which the values were written, which a later version of equal input shares; `definition`: the
    hash of the export's contract."""

    tables: Mapping[str, int]
    rows: int
    as_of: str | None
    since: str
    definition: str


@dataclass(frozen=True)
class Manifest:
    """A version: its exports, those that were skipped with the reason, the models that were published with it (task to folder
    under <lake>/published/models), and whether people's ids are pseudonyms."""

    version: str
    target: str
    started_at: str
    exports: Mapping[str, Loaded]
    skipped: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    is_pseudonymised: bool = False
    previous: str | None = None

    def text(self) -> str:
        """The manifest as JSON."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1, ensure_ascii=False) + "\n"

    def has_input_of(self, other: Manifest) -> bool:
        """Whether both are made of the same versions of the same tables and models, by the same definitions."""
        def facts(one: Manifest) -> Any:
            made = {name: (dict(e.tables), e.as_of, e.definition) for name, e in one.exports.items()}
            return made, dict(one.models), one.is_pseudonymised

        return bool(facts(self) == facts(other))


def versions_beyond(versions: Sequence[str], serving: str, keep: int) -> tuple[list[str], list[str]]:
    """The oldest of `versions` (oldest first), so that `keep` besides the one that serves stay; and those that stay, the
    serving one last."""
    others = [name for name in versions if name != serving]
    count = max(0, len(others) - keep)
    return others[:count], [*others[count:], serving]


def read_manifest(text: str, place: str) -> Manifest:
    """The manifest of a version. Raises InputError, one line, for another file or a damaged one."""
    try:
        found = json.loads(text)
        if found.pop("format") != FORMAT:
            raise InputError(f"{place}: a publication of another format; expected {FORMAT!r}: run `shoal publish` again")
        loaded = {name: Loaded(**each) for name, each in found.pop("exports").items()}
        return Manifest(exports=loaded, **found)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{place}: not the manifest of a publication: {type(error).__name__}") from None

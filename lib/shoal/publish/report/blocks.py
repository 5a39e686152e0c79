"""The elements of a part of the report. Blocks hold plain text; the page escapes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Union

from markupsafe import Markup

Tone = Literal["plain", "good", "warning", "critical", "muted"]


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, a smaller second line, and how both look.

    kind: `text`, `number` (aligned right), `code`, `chip` (a status: shown in its tone, always with its word).
    swatch: a colour shown before the text, the same as in a drawing. share: 0..1, drawn as a bar under the text.
    """

    text: str
    under: str = ""
    kind: Literal["text", "number", "code", "chip"] = "text"
    tone: Tone = "plain"
    swatch: str = ""
    share: float | None = None


@dataclass(frozen=True)
class Table:
    """Rows under headings, as many cells as headings. The first column names the row."""

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Figure:
    """A drawing, what it shows for those who cannot see it, and its caption.

    narrow: of a drawing that takes the page's whole width, the one for a phone.
    """

    svg: Markup
    alt: str
    caption: str
    narrow: Markup | None = None
    kind: ClassVar[str] = "figure"


@dataclass(frozen=True)
class Bar:
    """One bar: label, length 0..1, the number as text; is_main: the one that the others are compared with."""

    label: str
    share: float
    text: str
    is_main: bool = False
    under: str = ""


@dataclass(frozen=True)
class Bars:
    """Horizontal bars that are compared with each other. size: how much of the page's width they take."""

    title: str
    bars: Sequence[Bar]
    note: str = ""
    size: Literal["half", "third"] = "half"
    kind: ClassVar[str] = "bars"


@dataclass(frozen=True)
class Tile:
    """One number in large type."""

    label: str
    number: str
    under: str = ""


@dataclass(frozen=True)
class Tiles:
    """Numbers side by side."""

    tiles: Sequence[Tile]
    kind: ClassVar[str] = "tiles"


@dataclass(frozen=True)
class Prose:
    """A paragraph."""

    text: str
    kind: ClassVar[str] = "prose"


@dataclass(frozen=True)
class Missing:
    """What the page cannot show: why, and the command that makes it (empty where none does)."""

    what: str
    why: str
    command: str = ""
    kind: ClassVar[str] = "missing"


@dataclass(frozen=True)
class Terms:
    """Terms and their meanings: (term, meaning, source of the definition)."""

    terms: Sequence[tuple[str, str, str]]
    kind: ClassVar[str] = "terms"


Block = Union[Table, Figure, Bars, Tiles, Prose, Missing, Terms]


@dataclass(frozen=True)
class Part:
    """A section of the page. finding: the one sentence that the summary at the top repeats; empty for none.

    terms: keys of `glossary.TERMS` that the part uses.
    """

    name: str
    title: str
    lead: str
    blocks: Sequence[Block]
    finding: str = ""
    terms: frozenset[str] = field(default_factory=frozenset)

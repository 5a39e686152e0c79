"""People named in texts: found as whole words, then removed or replaced. Plain Python over Arrow batches."""

from __future__ import annotations

import gzip
import html
import json
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ERASED = "[erased]"
_CHUNK = 16 << 20


def is_loud(name: str, shortest: int) -> bool:
    """Whether a name can be looked for by itself: long enough, and not of digits only."""
    return len(name) >= shortest and not name.isdigit()


@dataclass(frozen=True)
class Names:
    """What to look for: name to what stands in its place. `loud` ones are looked for by themselves, the others after an @."""

    stand_ins: Mapping[str, str]
    loud: frozenset[str]

    def in_words(self) -> re.Pattern[str]:
        """@names, and loud ones alone, as whole words: `ann` is not in `ann_b`, `ann-b` or `joann`, but in `ann.` and `(ann)`.
        What is all of a JSON string is a name too, unless it is a number."""
        bare, whole = _any(self.loud), _any(name for name in self.stand_ins if not name.isdigit())
        named = rf"@(?:{_any(self.stand_ins)})" + (f"|(?:{bare})" if bare else "")
        quoted = rf'|(?<=")(?:{whole})(?=")' if whole else ""
        return re.compile(rf"(?<!\w)(?<!\w[-.])(?:{named})(?!\w|[-.]\w){quoted}", re.IGNORECASE)

    def in_paths(self) -> re.Pattern[str]:
        """Loud names between anything that is no letter and no digit: `ann` is in `/in/ann_2024.zip`."""
        return re.compile(rf"(?<![^\W_])(?:{_any(self.loud) or '(?!)'})(?![^\W_])", re.IGNORECASE)

    def anywhere(self) -> re.Pattern[str]:
        """Every name, loud or not, between anything that is no letter and no digit."""
        return re.compile(rf"(?<![^\W_])(?:{_any(self.stand_ins)})(?![^\W_])")

    def in_terms(self) -> Names:
        """These names and what a text model's tokens make of loud ones: all in lower case, without signs, and those parts that
        are no plain words (`zq7741` of `person-zq7741`; not `ann` of `ann-lee`)."""
        more: dict[str, str] = {}
        for name in self.loud:
            parts = _WORD.findall(name.lower())
            odd = [p for p in parts if len(p) >= 5 and any(c.isdigit() for c in p) and not p.isdigit()]
            more |= dict.fromkeys([name.lower(), "".join(parts), *odd], self.stand_ins[name])
        return Names({**more, **self.stand_ins}, self.loud)

    def sieve(self) -> Callable[[str], bool]:
        """A quick look: False where none of the names can stand in a text. Thousands of names cost what one does."""
        firsts = {(_WORD.findall(name.lower()) or [""])[0] for name in self.stand_ins}
        return lambda text: "" in firsts or not firsts.isdisjoint(_WORD.findall(text.lower()))


_WORD = re.compile(r"[^\W_]+")


def _any(names: Iterable[str]) -> str:
    return "|".join(re.escape(name) for name in sorted(names, key=lambda n: (-len(n), n)))


def replaced(value: Any, change: Callable[[str], str]) -> Any:
    """A value of any nesting with its strings changed; keys of maps, which Arrow gives as pairs, too."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, (list, tuple)):
        return type(value)(replaced(part, change) for part in value)
    if isinstance(value, dict):
        return {key: replaced(part, change) for key, part in value.items()}
    return value


def masked(words: re.Pattern[str]) -> Callable[[str], str]:
    """Return a function that replaces names by ERASED; an @ before a name stays."""
    return lambda text: words.sub(lambda found: "@" * found[0].startswith("@") + ERASED, text)


def renamed(paths: re.Pattern[str], stand_ins: Mapping[str, str]) -> Callable[[str], str]:
    """Return a function that replaces each person's name by their stand-in."""
    by_lower = {name.lower(): stand_in for name, stand_in in stand_ins.items()}
    return lambda text: paths.sub(lambda found: by_lower[found[0].lower()], text)


def rewriter(
    names: Names, key: list[str], words: list[str], paths: list[str], ids: list[str]
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """What `mapInArrow` runs over a table's key, its columns of `words`, of `paths` and of `ids` (an id, or a list of them) and
    `_erase_when`: the rows in which a name was found, as `_old_<key>`, the changed columns, and `_erase` (the row is to go).
    """
    in_words, in_paths, anywhere = names.in_words(), names.in_paths(), names.anywhere()
    maybe = names.sieve()
    mask, rename = masked(in_words), renamed(in_paths, names.stand_ins)

    def by_words(text: str) -> str:
        return mask(text) if maybe(text) else text

    def by_paths(text: str) -> str:
        return rename(text) if maybe(text) else text

    def by_id(value: Any) -> Any:
        if isinstance(value, list):
            return [one for one in value if one not in names.stand_ins]
        return names.stand_ins.get(value, value)

    def changed(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            erase: list[bool] = []
            touched = [False] * batch.num_rows
            new: dict[str, list[Any]] = {}
            for name in [*words, *paths, *ids]:
                column = batch.column(name).to_pylist()
                if name in ids:
                    new[name] = [by_id(value) for value in column]
                else:
                    change = by_words if name in words else by_paths
                    new[name] = [replaced(value, change) for value in column]
                touched = [t or a != b for t, a, b in zip(touched, column, new[name], strict=True)]
            for texts in zip(*[batch.column(n).to_pylist() for n in ("_erase_when", *words)], strict=True):
                erase.append(any(flag and isinstance(t, str) and maybe(t) and bool(anywhere.search(t))
                                 for flag, t in zip(texts[0], texts[1:], strict=True)))  # fmt: skip
            kept = [i for i, (t, e) in enumerate(zip(touched, erase, strict=True)) if t or e]
            if not kept:
                continue
            places = pa.array(kept)
            arrays = [batch.column(k).take(places) for k in key]
            arrays += [pa.array([new[n][i] for i in kept], batch.column(n).type) for n in new]
            arrays.append(pa.array([erase[i] for i in kept]))
            yield pa.RecordBatch.from_arrays(arrays, names=[*[f"_old_{k}" for k in key], *new, "_erase"])

    return changed


def file_names(path: Path, names: Names) -> bool:
    """Whether any of the names, loud or not, stands in a file as a whole word: as it is, as JSON or HTML escapes it, or as
    UTF-8 that was taken for Latin-1. Looks into .gz, .zip and Parquet. Holds 16 MiB, or a row group of Parquet, at a time."""
    spelled = {s for name in names.stand_ins for s in spellings(name)}
    pattern = re.compile(rf"(?<![^\W_])(?:{_any(spelled)})(?![^\W_])")
    if pattern.search(path.name):
        return True
    lower = path.name.lower()
    if lower.endswith(".parquet"):
        return any(_in_batch(batch, pattern) for batch in pq.ParquetFile(path).iter_batches(10_000))
    if lower.endswith(".zip") and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return any(_member_names(archive, member, pattern) for member in archive.infolist())
    with gzip.open(path, "rb") if lower.endswith(".gz") else path.open("rb") as stream:
        return _in_stream(stream, pattern)


def spellings(name: str) -> set[str]:
    """How a name may stand in a file."""
    found = {name, json.dumps(name)[1:-1], html.escape(name)}
    taken = name.encode().decode("latin-1")
    return found | {taken, json.dumps(taken)[1:-1]}


def _member_names(archive: zipfile.ZipFile, member: zipfile.ZipInfo, pattern: re.Pattern[str]) -> bool:
    if pattern.search(member.filename):
        return True
    with archive.open(member) as stream:
        return _in_stream(stream, pattern)


def _in_stream(stream: Any, pattern: re.Pattern[str]) -> bool:
    """Whether the pattern is in the bytes; pieces overlap by more than any name's length."""
    held = b""
    while piece := stream.read(_CHUNK):
        data = held + piece
        if pattern.search(data.decode("utf-8", "replace")):
            return True
        held = data[-4096:]
    return False


def _in_batch(batch: pa.RecordBatch, pattern: re.Pattern[str]) -> bool:
    return any(_in_value(value, pattern) for column in batch.columns if _has_text(column.type) for value in column.to_pylist())


def _has_text(kind: pa.DataType) -> bool:
    if pa.types.is_map(kind):
        return _has_text(kind.key_type) or _has_text(kind.item_type)
    if pa.types.is_struct(kind):
        return any(_has_text(kind.field(i).type) for i in range(kind.num_fields))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _has_text(kind.value_type)
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind)


def _in_value(value: Any, pattern: re.Pattern[str]) -> bool:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return pattern.search(value) is not None
    if isinstance(value, dict):
        return any(_in_value(v, pattern) for pair in value.items() for v in pair)
    return any(_in_value(v, pattern) for v in value) if isinstance(value, (list, tuple)) else False

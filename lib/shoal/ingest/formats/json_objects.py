"""Texts of JSON objects to records: their values as text under our names, and what is wrong with the form. No Spark."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shoal.ingest.formats.names import by_plain, plain

# Numbers stay the text that they are. Made once: json.loads makes one a call when it is given these.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
# `shaped(object)` gives a JSON object with values that lie deeper under the names of our fields.
Shaped = Callable[[dict[str, Any]], dict[str, Any]]
# What a function that takes JSON apart meets where it has another shape than expected.
WRONG_SHAPE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
# Sets of names that are remembered: each of a hostile file's objects may have others.
_PLANS = 1000
# How many unused names of objects are reported, and how much of each.
MOST_NAMES, NAME_LENGTH = 50, 60
# Fewer objects of the same names are read one by one: columns of their own would cost more.
_FEW_ALIKE = 20
_NOTHING = pa.scalar(None, pa.string())

# The end of a pair `theirs=ours` whose value must be plain: an object is no text.
PLAIN = "!"

# Raw text, rule, reason, fields.
Row = tuple[str, "str | None", "str | None", "dict[str, str | None] | None"]
# Our column, and those of an object's names that may hold it, the first choice first.
Plan = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Left:
    """What happens to names of JSON objects that no field uses: the record is rejected, or they are noted in `names`, at most
    MOST_NAMES of them, and the record is as sound as without them."""

    is_refused: bool = False
    names: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Alike:
    """Objects of the same names: their places among the texts, and a column each of rule, reason and the fields."""

    places: list[int]
    columns: list[pa.Array]


def json_record(raw: str, columns: Sequence[str | None], left: Left, shaped: Shaped | None = None) -> Row:
    """A JSON object: its values as text, arrays and objects as JSON. `columns` are pairs `theirs=ours`, the first choice of a
    column first, theirs as `plain` makes it; a pair that ends in PLAIN takes no object."""
    try:
        value = _DECODER.decode(raw)
    except (ValueError, RecursionError) as error:
        return raw, "bad_json", f"not JSON ({getattr(error, 'msg', 'nested too deeply')}); expected one object a line", None
    if not isinstance(value, dict):
        return raw, "bad_json", f"found a JSON {type(value).__name__}; expected an object", None
    return object_record(raw, value, columns, left, shaped)


def object_record(raw: str, value: dict[str, Any], columns: Sequence[str | None], left: Left, shaped: Shaped | None = None) -> Row:
    """The record of a JSON object whose text is `raw`, as `json_record` makes it.

    Of two of the object's names that are one to `plain`, the first counts; of a column's names, the first with a value.
    """
    if shaped is not None:
        try:
            value = shaped(value)
        except WRONG_SHAPE as error:
            cause = " ".join(str(error).split())[:200]
            return raw, "bad_json", f"not an object as expected: {type(error).__name__} {cause}", None
    plan, unknown = _plan_of(tuple(value), columns)
    refused = _refusal(plan, unknown, left)
    if refused is not None:
        return raw, *refused, None
    found: dict[str, str | None] = {}
    for ours, theirs in plan:
        for name in theirs:
            if isinstance(value[name], dict) and _is_plain(ours, columns):
                return raw, "type", f"{ours}: found an object under {name[:NAME_LENGTH]!r}, expected a text", None
            text = _json_text(value[name])
            if text is not None:
                found[ours] = text
                break
    return raw, None, None, found


def read_alike(
    texts: pa.StringArray, columns: Sequence[str | None], names: Sequence[str], left: Left, shaped: Shaped | None = None
) -> tuple[list[Alike], list[int]]:
    """What `json_record` makes of each of the `texts` (none of them null), column by column for objects of the same names, with
    `names` as the fields; and the places of the texts that it must be asked about: no JSON, no object, one of few of its names.

    Nearly all objects of a file have the same few names. A third of the time of one by one.
    """
    groups: dict[tuple[str, ...], tuple[list[str], list[int], list[tuple[Any, ...]]]] = {}
    singly: list[int] = []
    # `decode` without its looks for blanks at both ends, half its time.
    scan: Callable[[str, int], tuple[Any, int]] = _DECODER.scan_once  # type: ignore[attr-defined]
    for place, text in enumerate(texts.to_numpy(zero_copy_only=False).tolist()):
        try:
            value, end = scan(text, 0)
            if end != len(text) or type(value) is not dict:
                singly.append(place)
                continue
            if shaped is not None:
                value = shaped(value)
        except (*WRONG_SHAPE, StopIteration):
            singly.append(place)
            continue
        spelled = tuple(value)
        group = groups.get(spelled)
        if group is None:
            group = groups[spelled] = (_plain_names(spelled, columns), [], [])
        if any(type(value[name]) is dict for name in group[0]):
            singly.append(place)
            continue
        group[1].append(place)
        group[2].append(tuple(value.values()))
    alike = []
    for spelled, (_, places, rows) in groups.items():
        if len(places) < _FEW_ALIKE:
            singly += places
        else:
            alike.append(Alike(places, _columns_of(spelled, rows, columns, names, left)))
    return alike, sorted(singly)


def _columns_of(
    spelled: tuple[str, ...], rows: Sequence[tuple[Any, ...]], columns: Sequence[str | None], names: Sequence[str], left: Left
) -> list[pa.Array]:
    """Rule, reason and fields of objects of the names `spelled`, whose values are the `rows`."""
    plan, unknown = _plan_of(spelled, columns)
    refused, nothing = _refusal(plan, unknown, left), pa.nulls(len(rows), pa.string())
    if refused is not None:
        reasons = [pa.repeat(pa.scalar(text), len(rows)) for text in refused]
        return [*reasons, *[nothing] * len(names)]
    values = dict(zip(spelled, zip(*rows, strict=True), strict=True))
    fields = {ours: reduce(pc.coalesce, [_texts_of(values[name]) for name in theirs]) for ours, theirs in plan}
    return [nothing, nothing, *(fields.get(name, nothing) for name in names)]


def _texts_of(values: Sequence[Any]) -> pa.Array:
    """`_json_text` of each of the values."""
    try:
        found = pa.array(values, pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError):
        return pa.array([_json_text(value) for value in values], pa.string())
    return pc.if_else(pc.equal(found, ""), _NOTHING, found)


def _refusal(plan: Plan, unknown: Sequence[str], left: Left) -> tuple[str, str] | None:
    """(rule, reason) of an object that is rejected for its names; None where it is not, and then `left` notes the unknown ones."""
    if not unknown and plan:
        return None
    shown = [name[:NAME_LENGTH].encode("utf-8", "replace").decode("utf-8") for name in unknown[:MOST_NAMES]]
    if unknown and left.is_refused:
        reason = f"unknown column {', '.join(shown)[:300]}; its table takes none (unknown_columns: refuse in the contract)"
        return "unknown_column", reason
    if not plan:
        return "no_known_name", f"found an object with {', '.join(shown)[:300] or 'no name'}; expected at least one known name"
    if len(left.names) < MOST_NAMES:
        left.names.update(shown[: MOST_NAMES - len(left.names)])
    return None


def _plain_names(spelled: tuple[str, ...], columns: Sequence[str | None]) -> list[str]:
    """Those of an object's names whose value may be no object."""
    return [name for ours, theirs in _plan_of(spelled, columns)[0] if _is_plain(ours, columns) for name in theirs]


def _is_plain(ours: str, columns: Sequence[str | None]) -> bool:
    """Whether a column takes texts, numbers and lists only."""
    return any(pair is not None and pair.endswith(f"={ours}{PLAIN}") for pair in columns)


def _plan_of(names: tuple[str, ...], columns: Sequence[str | None]) -> tuple[Plan, tuple[str, ...]]:
    """The plan of fields for an object of these names, and the names that no field uses."""
    plans = _plans(tuple(columns))
    found = plans.get(names)
    if found is None:
        if len(plans) >= _PLANS:
            plans.clear()
        known = {(pair or "=").rpartition("=")[0] for pair in columns}
        found = plans[names] = _plan(names, columns), tuple(name for name in names if plain(name) not in known)
    return found


@cache
def _plans(columns: tuple[str | None, ...]) -> dict[tuple[str, ...], tuple[Plan, tuple[str, ...]]]:
    """The plans that were made for objects of these columns, by the objects' names: most objects have the same few."""
    return {}


def _plan(names: tuple[str, ...], columns: Sequence[str | None]) -> Plan:
    """The plan of fields for an object of these names."""
    spelled = by_plain(names)
    plan: dict[str, list[str]] = {}
    for pair in columns:
        theirs, _, ours = (pair or "=").removesuffix(PLAIN).rpartition("=")
        if theirs in spelled:
            plan.setdefault(ours, []).append(spelled[theirs])
    return tuple((ours, tuple(theirs)) for ours, theirs in plan.items())


def _json_text(value: object) -> str | None:
    """The text of a JSON value; null for null and the empty text."""
    if value is None or value == "":
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    # An escaped half of a surrogate pair is no character; UTF-8 cannot hold it.
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")

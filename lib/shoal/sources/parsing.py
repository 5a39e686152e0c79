"""A stretch of a file to Arrow batches of records: line, raw text, fields by name, and what is wrong with the form.

No Spark: this is what a task runs. Fields are strings or null (an empty field); typing them is the next step's affair.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoal.sources.splitting import Cut, Limits, cut, fields

CHUNK_BYTES = 4 << 20
# The raw text that is kept of a record beyond the size limit; its reason tells the rest.
KEPT_BYTES = 1 << 20
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Stretch:
    """Part of a file: bytes `start` to `end` (-1: its end), whose first line is number `line` (from 1).

    `columns` are the file's columns in order, under our names (None: not wanted); `form` is csv or jsonl.
    """

    path: str
    form: str
    delimiter: str
    start: int
    end: int
    line: int
    columns: tuple[str | None, ...]


def batch_schema(names: Sequence[str]) -> pa.Schema:
    """The schema of `records`: _file, _line, raw, _rule, _reason (null where the form is sound), then `names` as strings."""
    said = [(name, pa.string()) for name in ("raw", "_rule", "_reason", *names)]
    return pa.schema([("_file", pa.string()), ("_line", pa.int64()), *said])


@cache
def plain(name: str) -> str:
    """A column name without case, underscores, blanks and hyphens: userId, user_id and USER-ID are one."""
    return re.sub(r"[\s_\-]+", "", name).lower()


def open_bytes(path: str) -> BinaryIO:
    """The bytes of a file, unzipped where its name ends in .gz."""
    return cast(BinaryIO, gzip.open(path, "rb")) if path.lower().endswith(".gz") else Path(path).open("rb")


def chunks(stretch: Stretch, limits: Limits) -> Iterator[tuple[bytes, Cut, int]]:
    """(bytes, their records, line of the chunk's start counted from 0) of a stretch.

    Holds one chunk and at most one record beyond it. A line longer than the limit comes as a record of its own, cut to
    KEPT_BYTES, with ends[0] - starts[0] negative: minus its length.
    """
    delimiter = stretch.delimiter.encode() if stretch.form == "csv" else None
    left = None if stretch.end < 0 else stretch.end - stretch.start
    held, lines, skipping = b"", 0, 0
    with open_bytes(stretch.path) as stream:
        stream.seek(stretch.start)
        while True:
            piece = stream.read(CHUNK_BYTES if left is None else min(CHUNK_BYTES, left))
            left = None if left is None else left - len(piece)
            final = len(piece) == 0 or left == 0
            data = held + piece
            found = cut(data, delimiter, final, limits)
            if found.lines or final:
                yield data, found, lines
                lines += found.lines
                held = data[found.consumed :]
            else:
                held = data
            if len(held) > limits.max_bytes and b"\n" not in held:
                skipping = len(held)
                head = held[:KEPT_BYTES]
                while not final:
                    piece = stream.read(CHUNK_BYTES if left is None else min(CHUNK_BYTES, left))
                    left = None if left is None else left - len(piece)
                    final = len(piece) == 0 or left == 0
                    stop = piece.find(b"\n")
                    if stop >= 0:
                        skipping += stop
                        held = piece[stop + 1 :]
                        break
                    skipping += len(piece)
                    held = b""
                long = np.array([0], np.int64)
                one = np.ones(1, np.bool_)
                yield head, Cut(long, np.array([-skipping], np.int64), long, ~one, ~one, len(head), 1), lines
                lines += 1
                if final and held:
                    yield held, cut(held, delimiter, True, limits), lines
            if final:
                return


def records(stretch: Stretch, names: Sequence[str], limits: Limits) -> Iterator[pa.RecordBatch]:
    """Every record of a stretch, in batches of about CHUNK_BYTES, with `batch_schema(names)`. Blank lines are no records.

    Sound lines without a quote come first within a batch; `_line` tells the order in the file.
    """
    schema = batch_schema(names)
    for data, found, line in chunks(stretch, limits):
        numbers = found.line + (line + stretch.line)
        if len(found.ends) and found.ends[0] < 0:
            reason = f"a line of {-found.ends[0]:,} bytes; expected at most {limits.max_bytes:,}; the first {len(data):,} are kept"
            rows = [(int(numbers[0]), data.decode("utf-8", "backslashreplace"), "record_too_long", reason, None)]
            yield _slow_batch(stretch, rows, names, schema)
            continue
        bom = data.startswith(_BOM) and stretch.start == 0 and line == 0
        slow = found.quoted.copy() if stretch.form == "csv" else np.ones(len(found.ends), np.bool_)
        if bom and len(slow):
            slow[0] = True
        if not _is_utf8(data):
            spans = zip(found.starts, found.ends, strict=True)
            slow |= np.fromiter((not _is_utf8(data[s:e]) for s, e in spans), np.bool_, len(slow))
        quick = np.flatnonzero(~slow)
        if len(quick):
            yield from _quick_batches(stretch, data, found, quick, numbers, names, schema)
        rows = []
        for i in np.flatnonzero(slow):
            row = _slow_record(stretch, data[found.starts[i] : found.ends[i]], bool(found.unclosed[i]))
            if row is not None:
                rows.append((int(numbers[i]), *row))
        if rows:
            yield _slow_batch(stretch, rows, names, schema)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _quick_batches(
    stretch: Stretch, data: bytes, found: Cut, quick: Any, numbers: Any, names: Sequence[str], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """Lines without quotes: split at the delimiter, all at once."""
    offsets = np.empty(len(found.starts) + 1, np.int64)
    offsets[:-1], offsets[-1] = found.starts, found.consumed
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    whole = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(found.starts), buffers)
    lines = whole.take(pa.array(quick)) if len(quick) < len(whole) else whole
    raw = pc.ascii_rtrim(lines.cast(pa.large_string()), characters="\r\n").cast(pa.string())
    filled = pc.not_equal(raw, "")
    if not pc.all(filled).as_py():
        kept = np.flatnonzero(filled.to_numpy(zero_copy_only=False))
        raw, quick = raw.take(pa.array(kept)), quick[kept]
    if not len(raw):
        return
    split = pc.split_pattern(raw, pattern=stretch.delimiter)
    width = len(stretch.columns)
    counts = pc.list_value_length(split).to_numpy(zero_copy_only=False)
    sound = counts == width
    line = numbers[quick]
    if not sound.all():
        wrong = np.flatnonzero(~sound)
        texts = raw.take(pa.array(wrong)).to_pylist()
        rows = [
            (int(line[i]), text, "field_count", _field_count(int(counts[i]), width), None)
            for i, text in zip(wrong, texts, strict=True)
        ]
        yield _slow_batch(stretch, rows, names, schema)
        good = pa.array(np.flatnonzero(sound))
        raw, split, line = raw.take(good), split.take(good), line[sound]
        if not len(raw):
            return
    flat, count = split.flatten(), len(raw)
    by_name: dict[str, pa.Array] = {}
    for position, name in enumerate(stretch.columns):
        if name is not None:
            values = flat.take(pa.array(np.arange(position, count * width, width)))
            by_name[name] = pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values)
    nothing = pa.nulls(count, pa.string())
    file = pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([stretch.path])).cast(pa.string())
    columns = [file, pa.array(line), raw, nothing, nothing, *(by_name.get(name, nothing) for name in names)]
    yield pa.RecordBatch.from_arrays(columns, schema=schema)


Row = tuple[str, "str | None", "str | None", "dict[str, str | None] | None"]


def _slow_record(stretch: Stretch, data: bytes, unclosed: bool) -> Row | None:
    """One record by itself: (raw, rule, reason, fields); None for a blank line."""
    data = data.removesuffix(b"\r").removeprefix(_BOM if stretch.start == 0 else b"")
    if not data.strip():
        return None
    try:
        raw = data.decode("utf-8")
    except UnicodeDecodeError as error:
        bad = data[error.start : error.end].hex()
        return data.decode("utf-8", "backslashreplace"), "bad_encoding", f"byte 0x{bad} at {error.start}; expected UTF-8", None
    if unclosed:
        return raw, "unclosed_quote", 'a quote opens and is never closed; expected a closing "', None
    if stretch.form == "jsonl":
        return _json_record(raw, stretch.columns)
    values = fields(raw, stretch.delimiter)
    if values is None:
        return raw, "bad_quote", "text follows a closing quote; expected the delimiter, or the quote doubled", None
    if len(values) != len(stretch.columns):
        return raw, "field_count", _field_count(len(values), len(stretch.columns)), None
    return raw, None, None, {n: v or None for n, v in zip(stretch.columns, values, strict=True) if n is not None}


def _json_record(raw: str, columns: Sequence[str | None]) -> Row:
    """A JSON object: its values as text, arrays and objects as JSON. `columns` are pairs `theirs=ours`, the first choice of a
    column first, theirs as `plain` makes it."""
    try:
        value = json.loads(raw, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError) as error:
        return raw, "bad_json", f"not JSON ({getattr(error, 'msg', 'nested too deeply')}); expected one object a line", None
    if not isinstance(value, dict):
        return raw, "bad_json", f"found a JSON {type(value).__name__}; expected an object", None
    found: dict[str, str | None] = {}
    by_plain = {plain(name): content for name, content in reversed(value.items())}
    for pair in columns:
        theirs, _, ours = (pair or "=").partition("=")
        if theirs in by_plain and found.get(ours) is None:
            found[ours] = _json_text(by_plain[theirs])
    return raw, None, None, found


def _json_text(value: object) -> str | None:
    if value is None or value == "":
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    # An escaped half of a surrogate pair is no character; UTF-8 cannot hold it.
    return text.encode("utf-8", "replace").decode("utf-8")


def _field_count(found: int, expected: int) -> str:
    return f"found {found} field{'s' * (found != 1)}, expected {expected} as in the header"


def _slow_batch(stretch: Stretch, rows: Sequence[tuple[Any, ...]], names: Sequence[str], schema: pa.Schema) -> pa.RecordBatch:
    """Rows (line, raw, rule, reason, fields) as a batch."""
    columns = [
        pa.array([stretch.path] * len(rows), pa.string()),
        pa.array([r[0] for r in rows], pa.int64()),
        pa.array([r[1] for r in rows], pa.string()),
        pa.array([r[2] for r in rows], pa.string()),
        pa.array([r[3] for r in rows], pa.string()),
        *(pa.array([None if r[4] is None else r[4].get(name) for r in rows], pa.string()) for name in names),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)

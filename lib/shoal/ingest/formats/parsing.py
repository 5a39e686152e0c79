"""A stretch of a file to Arrow batches of records: line, raw text, fields by name, and what is wrong with the form.

No Spark: this is what a task runs. Fields are strings or null (an empty field); typing them is the next step's affair.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BufferedIOBase
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from shoal.conf.addresses import is_uri
from shoal.ingest.formats.json_objects import Left, Row, Shaped, json_record, read_alike
from shoal.ingest.formats.splitting import Cut, Limits, Marks, Positions, can_quote, cut, fields
from shoal.ingest.formats.storage import open_binary

CHUNK_BYTES = 4 << 20
# The raw text that is kept of a record beyond the size limit; its reason tells the rest.
KEPT_BYTES = 1 << 20
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Stretch:
    """Part of a file: bytes `start` to `end` (-1: its end), whose first line is number `line` (from 1).

    `columns` are the file's columns in order, under our names (None: not wanted); `form` is csv or jsonl. `left` says what
    becomes of other names of JSON objects, `shaped` is applied to these objects first. In an `encoding` other than UTF-8, each
    byte is a character. A line that starts with `comment` is no record. `null` is a text of a delimited field without a value,
    besides the empty one.
    """

    path: str
    form: str
    delimiter: str
    start: int
    end: int
    line: int
    columns: tuple[str | None, ...]
    left: Left = field(default_factory=Left)
    shaped: Shaped | None = None
    encoding: str = "utf-8"
    comment: str | None = None
    null: str | None = None


def batch_schema(names: Sequence[str]) -> pa.Schema:
    """The schema of `records`: _line, raw, _rule, _reason (null where the form is sound), then `names` as strings."""
    return pa.schema([("_line", pa.int64()), *((name, pa.string()) for name in ("raw", "_rule", "_reason", *names))])


def open_bytes(path: str) -> BufferedIOBase:
    """The bytes of a file, unzipped where its name ends in .gz."""
    if not path.lower().endswith(".gz"):
        return open_binary(path)
    # A name is closed with the zipped file; a stream is closed when nothing refers to it.
    return cast(BufferedIOBase, gzip.open(open_binary(path) if is_uri(path) else path))


def _as_it_stands(error: UnicodeError) -> tuple[str, int]:
    """The five bytes that Windows-1252 gives no character are the control characters of that number, as web browsers read them
    (https://encoding.spec.whatwg.org/#windows-1252)."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error("shoal.as-it-stands", _as_it_stands)


def as_utf8(data: bytes, encoding: str) -> bytes:
    """The bytes of a text as UTF-8. Of `utf-8` as they are: they are validated record by record."""
    return data if encoding == "utf-8" else data.decode(encoding, "shoal.as-it-stands").encode()


def chunks(stretch: Stretch, limits: Limits) -> Iterator[tuple[bytes, Cut, int]]:
    """(bytes as UTF-8, their records, line of the chunk's start counted from 0) of a stretch.

    Holds one chunk and at most one record beyond it. Of a line longer than the limit that does not end within what is held,
    the head comes as a chunk of its own, with `skipped` its length. Raises CutOffError after the last chunk where a zipped
    file ends before its end.
    """
    delimiter = stretch.delimiter.encode() if stretch.form == "csv" else None
    left = None if stretch.end < 0 else stretch.end - stretch.start
    held, lines = b"", 0
    broken: Exception | None = None
    with open_bytes(stretch.path) as stream:
        stream.seek(stretch.start)

        def read() -> tuple[bytes, bool]:
            nonlocal left, broken
            wanted, pieces = CHUNK_BYTES if left is None else min(CHUNK_BYTES, left), []
            while wanted > 0 and broken is None:
                try:
                    # read() of a broken zipped file would raise and give nothing; read1() first gives what there is.
                    piece = stream.read1(wanted)
                except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                    broken, piece = error, b""
                if not piece:
                    break
                pieces.append(piece)
                wanted -= len(piece)
            piece = b"".join(pieces)
            left = None if left is None else left - len(piece)
            return as_utf8(piece, stretch.encoding), wanted > 0 or left == 0

        final = False
        while not final:
            piece, final = read()
            data = held + piece
            found = cut(data, delimiter, final, limits)
            held = data[found.consumed :]
            if found.lines or final:
                yield data, found, lines
                lines += found.lines
            if len(held) <= limits.max_bytes or b"\n" in held:
                continue
            head, length, stop = held[: _kept(limits)], len(held), -1
            while stop < 0 and not final:
                piece, final = read()
                stop = piece.find(b"\n")
                length += len(piece) if stop < 0 else stop
            held = piece[stop + 1 :] if stop >= 0 else b""
            yield head, _one_record(len(head), length), lines
            lines += 1
            if final and held:
                rest = cut(held, delimiter, True, limits)
                yield held, rest, lines
                lines += rest.lines
    if broken is not None:
        raise CutOffError(lines, str(broken))


class CutOffError(Exception):
    """A zipped file that breaks off after so many lines of the stretch."""

    def __init__(self, lines: int, reason: str) -> None:
        super().__init__(reason)
        self.lines = lines


def _kept(limits: Limits) -> int:
    """How many bytes are kept of a record beyond the limit."""
    return min(KEPT_BYTES, limits.max_bytes)


def _one_record(size: int, length: int) -> Cut:
    """The head of a line beyond the limit, as one record."""
    zero, no = np.zeros(1, np.int64), np.zeros(1, np.bool_)
    return Cut(zero, np.array([size], np.int64), zero, ~no, no, size, 1, length)


def records(stretch: Stretch, names: Sequence[str], limits: Limits) -> Iterator[pa.RecordBatch]:
    """Every record of a stretch, in batches of about CHUNK_BYTES, with `batch_schema(names)`. Blank lines and comments are no
    records; a comment that must be read singly (see Cut) is one: its quote may enclose lines that are none.

    Records that can be read together come first within a batch; `_line` tells the order in the file.
    """
    schema = batch_schema(names)
    try:
        for data, found, line in chunks(stretch, limits):
            yield from _read_chunk(stretch, data, found, line, names, limits, schema)
    except CutOffError as error:
        reason = f"the zipped file breaks off here: {error}; what came before is read"
        yield slow_batch([(stretch.line + error.lines, "", "cut_off", reason, None)], names)


def _read_chunk(
    stretch: Stretch, data: bytes, found: Cut, line: int, names: Sequence[str], limits: Limits, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """The records of one chunk."""
    numbers = found.line + (line + stretch.line)
    odd = found.odd.copy()
    if len(odd) and (data.startswith(_BOM) and stretch.start == 0 and line == 0):
        odd[0] = True
    if not _is_utf8(data[: found.consumed]):
        spans = zip(found.starts, found.ends, strict=True)
        odd |= np.fromiter((not _is_utf8(data[s:e]) for s, e in spans), np.bool_, len(odd))
    separator = _separator(stretch, data) if stretch.form == "csv" else None
    # Of a JSON object's line one carriage return is its end's, another the text's.
    if b"\r\r" in data if stretch.form == "jsonl" else separator is None:
        odd[:] = True
    even = np.flatnonzero(~odd & ~_is_comment(stretch, data, found.starts))
    if len(even) and separator is not None:
        yield from _read_together(stretch, data, found, even, numbers[even], names, schema, limits.quote, separator)
    elif len(even):
        raw = _texts_at(data, found, even)
        alike, singly = read_alike(raw, stretch.columns, names, stretch.left, stretch.shaped)
        for each in alike:
            placed = [pa.array(numbers[even[each.places]]), raw.take(pa.array(each.places))]
            yield pa.RecordBatch.from_arrays([*placed, *each.columns], schema=schema)
        odd[even[singly]] = True
    rows: list[tuple[Any, ...]] = []
    for i in np.flatnonzero(odd):
        first = line == 0 and i == 0
        length = found.skipped or int(found.ends[i] - found.starts[i])
        if length > limits.max_bytes:
            head = data[found.starts[i] :][: _kept(limits)].decode("utf-8", "backslashreplace")
            reason = f"a record of {length:,} bytes; expected at most {limits.max_bytes:,}; the first {_kept(limits):,} are kept"
            rows.append((int(numbers[i]), head, "record_too_long", reason, None))
            continue
        row = _slow_record(stretch, data[found.starts[i] : found.ends[i]], bool(found.unclosed[i]), first, limits)
        if row is not None:
            rows.append((int(numbers[i]), *row))
    if rows:
        yield slow_batch(rows, names)


def _separator(stretch: Stretch, data: bytes) -> str | None:
    """The delimiter given to Arrow's reader, which takes one byte only: that itself, else one of the bytes made for it
    that is not in the `data`; None where they all are."""
    if can_quote(stretch.delimiter):
        return stretch.delimiter
    return next((mark for mark in "\x1f\x1e\x1d\x1c" if mark.encode() not in data), None)


def _is_comment(stretch: Stretch, data: bytes, starts: Positions) -> Marks:
    """Which records start with the mark of a comment."""
    if stretch.comment is None or stretch.form != "csv":
        return np.zeros(len(starts), np.bool_)
    # The mark of an empty last line would lie behind the data.
    return np.frombuffer(data + b"\n", np.uint8)[starts] == ord(stretch.comment)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _read_together(
    stretch: Stretch, data: bytes, found: Cut, even: Any, numbers: Any, names: Sequence[str], schema: pa.Schema,
    quote: str | None, separator: str,
) -> Iterator[pa.RecordBatch]:  # fmt: skip
    """Lines whose quotes, if any, pair up within the line: all at once, by Arrow's reader. `numbers` are those of `even`;
    `separator`: see `_separator`."""
    raw = _texts_at(data, found, even)
    filled = pc.not_equal(raw, "").to_numpy(zero_copy_only=False)
    if not filled.all():
        kept = np.flatnonzero(filled)
        raw, numbers = raw.take(pa.array(kept)), numbers[kept]
    if not len(raw):
        return
    width, wrong = len(stretch.columns), {}

    def is_wrong(row: pacsv.InvalidRow) -> str:
        wrong[row.number - 1] = row.actual_columns
        return "skip"

    joined = _joined(data, found, even)
    if separator != stretch.delimiter:
        joined = joined.replace(stretch.delimiter.encode(), separator.encode())
    table = pacsv.read_csv(
        pa.BufferReader(joined),
        pacsv.ReadOptions(use_threads=False, block_size=len(data) + 2, column_names=[str(i) for i in range(width)]),
        pacsv.ParseOptions(
            delimiter=separator, quote_char=quote or False, newlines_in_values=False,
            invalid_row_handler=is_wrong,
        ),
        pacsv.ConvertOptions(
            check_utf8=False, strings_can_be_null=True, quoted_strings_can_be_null=True, null_values=_nothing(stretch),
            column_types={str(i): pa.string() for i in range(width)},
        ),
    ).combine_chunks()  # fmt: skip
    if wrong:
        places = sorted(wrong)
        texts = raw.take(pa.array(places)).to_pylist()
        faults = [
            (int(numbers[i]), text, "field_count", _field_count(wrong[i], width), None)
            for i, text in zip(places, texts, strict=True)
        ]
        yield slow_batch(faults, names)
        sound = np.setdiff1d(np.arange(len(raw)), places)
        raw, numbers = raw.take(pa.array(sound)), numbers[sound]
    if not len(raw):
        return
    by_name = {name: table.column(i).chunk(0) for i, name in enumerate(stretch.columns) if name is not None}
    nothing = pa.nulls(len(raw), pa.string())
    columns = [pa.array(numbers), raw, nothing, nothing, *(by_name.get(name, nothing) for name in names)]
    yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _texts_at(data: bytes, found: Cut, places: Positions) -> pa.StringArray:
    """The texts of those records, without the ends of their lines."""
    offsets = np.empty(len(found.starts) + 1, np.int64)
    offsets[:-1], offsets[-1] = found.starts, found.consumed
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    whole = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(found.starts), buffers)
    lines = whole.take(pa.array(places)) if len(places) < len(whole) else whole
    return pc.ascii_rtrim(lines.cast(pa.large_string()), characters="\r\n").cast(pa.string())


def _joined(data: bytes, found: Cut, even: Any) -> bytes:
    """The bytes of the lines `even`, their line breaks included; a first line break keeps Arrow from taking a mark for the
    byte order's."""
    if len(even) == len(found.starts):
        return b"\n" + data[: found.consumed]
    wanted = np.zeros(len(found.starts), np.bool_)
    wanted[even] = True
    begins = np.append(found.starts, found.consumed)
    mask = np.repeat(wanted, np.diff(begins))
    return b"\n" + np.frombuffer(data, np.uint8)[int(begins[0]) : found.consumed][mask].tobytes()


def _nothing(stretch: Stretch) -> list[str]:
    """The texts of a field without a value."""
    return ["", *([stretch.null] if stretch.null else [])]


def _slow_record(stretch: Stretch, data: bytes, unclosed: bool, first: bool, limits: Limits) -> Row | None:
    """One record by itself: (raw, rule, reason, fields); None for a blank line. `first`: of the stretch."""
    data = data.removesuffix(b"\r").removeprefix(_BOM if stretch.start == 0 and first else b"")
    if not (data.strip(b"\r") if stretch.form == "csv" else data.strip()):
        return None
    try:
        raw = data.decode("utf-8")
    except UnicodeDecodeError as error:
        bad = data[error.start : error.end].hex()
        return data.decode("utf-8", "backslashreplace"), "bad_encoding", f"byte 0x{bad} at {error.start}; expected UTF-8", None
    if stretch.form == "jsonl":
        return json_record(raw, stretch.columns, stretch.left, stretch.shaped)
    values = None if unclosed else _values(raw, stretch, limits)
    if values is None and limits.escape is not None:
        # A field may end in the escape as a letter: "C:\"; where the record then has its fields, that is how it was written.
        literal = fields(raw, stretch.delimiter, limits.quote or "")
        values = literal if literal is not None and len(literal) == len(stretch.columns) else None
    if values is None and unclosed:
        return raw, "unclosed_quote", f"a quote opens and is never closed; expected a closing {limits.quote}", None
    if values is None:
        return raw, "bad_quote", "text follows a closing quote; expected the delimiter, or the quote doubled", None
    if len(values) != len(stretch.columns):
        return raw, "field_count", _field_count(len(values), len(stretch.columns)), None
    empty = _nothing(stretch)
    pairs = zip(stretch.columns, values, strict=True)
    return raw, None, None, {name: None if value in empty else value for name, value in pairs if name is not None}


def _values(raw: str, stretch: Stretch, limits: Limits) -> list[str] | None:
    """The values of a delimited record; None where its quotes do not match."""
    if limits.quote is None:
        return raw.split(stretch.delimiter)
    return fields(raw, stretch.delimiter, limits.quote, limits.escape)


def _field_count(found: int, expected: int) -> str:
    return f"found {found} field{'s' * (found != 1)}, expected {expected} as in the header"


def slow_batch(rows: Sequence[tuple[Any, ...]], names: Sequence[str]) -> pa.RecordBatch:
    """Rows (line, raw, rule, reason, fields) as a batch with `batch_schema(names)`."""
    columns = [
        pa.array([r[0] for r in rows], pa.int64()),
        pa.array([r[1] for r in rows], pa.string()),
        pa.array([r[2] for r in rows], pa.string()),
        pa.array([r[3] for r in rows], pa.string()),
        *(pa.array([None if r[4] is None else r[4].get(name) for r in rows], pa.string()) for name in names),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=batch_schema(names))

"""The records of CSV, TSV and JSON lines files, with the line each fault is on; no Spark.

`survey` looks through a file once: its columns, its rows, its first fault, and the offsets at which it can be cut between
two records. `read_part` then gives the rows between two such cuts. A fault is never repaired silently: a record with
a field too few is a fault, not a row of nulls.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

DELIMITERS = {"csv": ",", "tsv": "\t"}
# A quoted record beyond this is an unclosed quote that swallows the file, not a record.
MAX_RECORD_BYTES = 64 << 20
# Names of columns that files may have together: objects whose names are ids, millions of them, are no table.
MAX_COLUMNS = 10_000
# One Arrow batch: short rows by number, long ones by size.
BATCH_ROWS, BATCH_BYTES = 5_000, 16 << 20


@dataclass(frozen=True)
class Survey:
    """What one look through a file found.

    header: column names, in order. rows: records below the header. cuts: byte offsets (of the unzipped file) between
    records, from the first row's begin to the last one's end. bad_bytes: bytes that are no UTF-8. error: the first fault, a
    line for the user; the other fields are not to be trusted then.
    """

    header: list[str]
    rows: int
    cuts: list[int]
    bad_bytes: int
    error: str | None


class FaultError(Exception):
    """A record that breaks the form of its file; the message says how, without file and line."""


def survey(path: str, shown: str, form: str, part_bytes: int) -> Survey:
    """The survey of the file at `path`, called `shown` in messages; `form` is csv, tsv or jsonl.

    Cuts are at least `part_bytes` apart; a gzipped file cannot be entered in the middle and has no inner cut. Reads the file
    once, one record in memory at a time.
    """
    header: list[str] = []
    names: dict[str, None] = {}
    rows, cuts, end = 0, [0], 0
    lines = _Lines()
    error: str | None = None
    try:
        with open_bytes(path) as stream:
            lines.stream = stream
            if form == "jsonl":
                for value in _json_records(lines):
                    names.update(dict.fromkeys(value))
                    if len(names) > MAX_COLUMNS:
                        raise FaultError(f"more than {MAX_COLUMNS:,} names so far; expected objects of the same few")
                    rows, end = rows + 1, lines.offset
                    if end - cuts[-1] >= part_bytes:
                        cuts.append(end)
                header = _column_names(list(names))
            else:
                for record in _delimited_records(lines, DELIMITERS[form]):
                    end = lines.offset
                    if not header:
                        header, cuts = _column_names(record), [end]
                        continue
                    if len(record) != len(header):
                        found = f"{len(record)} field{'' if len(record) == 1 else 's'}"
                        raise FaultError(f"found {found}, expected {len(header)} as in the header")
                    rows += 1
                    if end - cuts[-1] >= part_bytes:
                        cuts.append(end)
        if not header and not rows:
            error = f"{shown}: the file is empty; expected {'objects' if form == 'jsonl' else 'a header line and rows'}"
    except (csv.Error, FaultError) as fault:
        error = f"{shown}, line {lines.record_line}: {_plain(fault)}"
    except (gzip.BadGzipFile, EOFError) as fault:
        error = f"{shown}: not a whole gzip file: {fault}"
    except OSError as fault:
        error = f"{shown}: cannot be read: {fault.strerror or fault}"
    if _is_gzip(path):
        cuts = cuts[:1]
    return Survey(header, rows, cuts if cuts[-1] == end else [*cuts, end], lines.bad_bytes, error)


def read_part(path: str, form: str, start: int, end: int, header: Sequence[str], names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows between two cuts of a surveyed file, as Arrow batches of string columns `names`.

    Null where the file lacks the column, where a CSV or TSV field is empty and where a JSON object lacks the name.
    """
    schema = pa.schema([(name, pa.string()) for name in names])
    places = [header.index(name) if name in header else None for name in names]
    rows: list[list[str | None]] = []
    begun = 0
    with open_bytes(path) as stream:
        stream.seek(start)
        # Only the file's very first line can begin with a byte order mark.
        lines = _Lines(stream, limit=end - start, line=0 if start == 0 else 1)
        if form == "jsonl":
            found: Iterator[list[str | None]] = ([r.get(name) for name in names] for r in _json_records(lines))
        else:
            records = _delimited_records(lines, DELIMITERS[form])
            found = ([None if place is None else r[place] or None for place in places] for r in records)
        for row in found:
            rows.append(row)
            if len(rows) >= BATCH_ROWS or lines.offset - begun >= BATCH_BYTES:
                yield _arrow(rows, schema)
                rows, begun = [], lines.offset
    if rows:
        yield _arrow(rows, schema)


def open_bytes(path: str) -> BinaryIO:
    """The bytes of a file, unzipped where its name ends in .gz."""
    return cast(BinaryIO, gzip.open(path, "rb")) if _is_gzip(path) else Path(path).open("rb")


class _Lines:
    """The decoded lines of a stream; knows where it is and where the record it is in began."""

    def __init__(self, stream: BinaryIO | None = None, limit: int | None = None, line: int = 0) -> None:
        self.stream = stream
        self.limit = limit
        self.line = line
        self.offset = 0
        self.record_line = line + 1
        self.record_offset = 0
        self.bad_bytes = 0
        codecs.register_error("shoal.windows-1252", self._as_windows_1252)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.stream is None or (self.limit is not None and self.offset >= self.limit):
            raise StopIteration
        raw = self.stream.readline(MAX_RECORD_BYTES + 1)
        if not raw:
            raise StopIteration
        self.offset += len(raw)
        self.line += 1
        if self.offset - self.record_offset > MAX_RECORD_BYTES:
            raise FaultError(f"a record of more than {MAX_RECORD_BYTES >> 20} MiB; is a quote never closed?")
        if self.line == 1:
            if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise FaultError("the file is UTF-16; expected UTF-8, save it as UTF-8")
            raw = raw.removeprefix(codecs.BOM_UTF8)
        text = raw.decode("utf-8", errors="shoal.windows-1252")
        return text.replace("\0", "\ufffd") if "\0" in text else text

    def end_record(self) -> None:
        """The next line begins a record."""
        self.record_line, self.record_offset = self.line + 1, self.offset

    def _as_windows_1252(self, error: UnicodeError) -> tuple[str, int]:
        """A decoding error handler: the bytes that are no UTF-8, counted, as Windows-1252."""
        if not isinstance(error, UnicodeDecodeError):
            raise error
        bad = error.object[error.start : error.end]
        self.bad_bytes += len(bad)
        return bad.decode("cp1252", errors="replace"), error.end


def _delimited_records(lines: _Lines, delimiter: str) -> Iterator[list[str]]:
    """The records of a CSV or TSV file, the header's first; blank lines are none."""
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    for record in csv.reader(lines, delimiter=delimiter, strict=True):
        if record:
            yield record
        lines.end_record()


def _json_records(lines: _Lines) -> Iterator[dict[str, str | None]]:
    """The objects of a JSON lines file, every value as text; blank lines are none."""
    for text in lines:
        if text.strip():
            try:
                value = json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
            except (json.JSONDecodeError, RecursionError) as error:
                reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply"
                raise FaultError(f"not JSON ({reason}); expected one object a line (JSON lines)") from None
            if not isinstance(value, dict):
                kind = {"list": "array", "str": "string"}.get(type(value).__name__, "value")
                raise FaultError(f"found a JSON {kind}; expected one object a line (JSON lines)")
            yield {_plain_text(name): None if v is None else _json_text(v) for name, v in value.items()}
        lines.end_record()


def _json_text(value: object) -> str:
    """A JSON value as text: strings and numbers as they are written, the rest as JSON."""
    return _plain_text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _plain_text(text: str) -> str:
    """Text that UTF-8 can hold: escaped NUL and lone surrogates as U+FFFD."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _column_names(record: Sequence[str]) -> list[str]:
    """The names of a header: blanks around them cut, `_c<position>` for a column without one; refused where two are equal."""
    names = [name.strip() or f"_c{position}" for position, name in enumerate(record)]
    seen: set[str] = set()
    for name in names:
        if name.casefold() in seen:
            raise FaultError(f"two columns are called {name!r} (upper and lower case count as one); rename one")
        seen.add(name.casefold())
    return names


def _plain(fault: Exception) -> str:
    """A fault in terms of the file; the csv module's own words where they are clear."""
    text = str(fault)
    if "unexpected end of data" in text:
        return 'the quote that opens here is never closed; expected a closing " before the end of the file'
    if "expected after" in text:
        return "text follows a closing quote; expected the delimiter, and quotes inside a field doubled"
    if "new-line character" in text:
        return "a lone carriage return outside quotes; expected lines that end in LF or CRLF"
    return text


def _is_gzip(path: str) -> bool:
    return path.lower().endswith(".gz")


def _arrow(rows: list[list[str | None]], schema: pa.Schema) -> pa.RecordBatch:
    """The rows as a batch."""
    columns = [pa.array(values, pa.string()) for values in zip(*rows, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)

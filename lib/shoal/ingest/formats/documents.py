"""A JSON file that is one document, not one object a line, to Arrow batches of records. No Spark: this is what a task runs.

A document is held in memory whole, by one task; its size is bounded by ingest.max_document_bytes.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import pyarrow as pa

from shoal.ingest.formats.json_objects import WRONG_SHAPE, Row, object_record
from shoal.ingest.formats.parsing import KEPT_BYTES, Stretch, open_bytes, slow_batch

# `records_of(document, path)` gives a document's records: flat objects, whose values become fields as those of a line do.
RecordsOf = Callable[[object, str], Iterator[object]]
_BOM = b"\xef\xbb\xbf"
# What stands before the JSON in a file of an archive of X.
ASSIGNMENT = re.compile(rb"(?:\xef\xbb\xbf)?\s*window\.YTD\.[\w.$-]+\s*=\s*")
# A record's own key for what it came from, an object or array: that is kept as the record's raw text, and no field.
ORIGINAL = "_original"
# Records a batch: those of a document of any size go to the JVM in pieces.
_BATCH_RECORDS = 4096


def is_document(path: str, max_bytes: int) -> bool:
    """Whether a .json file is one document: not where its first line is a whole JSON object and more lines follow. A .js file is.

    Other endings are none. Reads one line, and of that at most `max_bytes`; a file that cannot be unzipped is a document, and
    is reported as damaged when it is read.
    """
    if path.lower().removesuffix(".gz").endswith(".js"):
        return True
    if not path.lower().removesuffix(".gz").endswith(".json"):
        return False
    try:
        with open_bytes(path) as stream:
            first, following = _next_line(stream, max_bytes), _next_line(stream, max_bytes)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return True
    if not following or first.lstrip().startswith(b"["):
        return True
    try:
        return not isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        # A broken first line of a file of lines, or a document over several lines: the second line decides.
        return not _is_object(following)


def listed_in(document: object, names: Sequence[str], ids: frozenset[str]) -> Iterator[object]:
    """The elements of an array, of the first array that an object holds under one of `names`, or the object itself; always itself
    where it has an id, by a name of `ids`. TypeError for what is neither array nor object."""
    if isinstance(document, dict):
        held = [document[name] for name in names if isinstance(document.get(name), list)]
        yield from held[0] if held and ids.isdisjoint(document) else [document]
    elif isinstance(document, list):
        yield from document
    else:
        raise TypeError(f"found a JSON {type(document).__name__}, expected an array or an object")


def holds_pages(path: str, max_bytes: int, pages: frozenset[str]) -> bool:
    """Whether each line of a file of JSON lines is a document of its own: where its first one is an object with a name of `pages`.

    Reads to the first line that is not blank, and of that at most `max_bytes`.
    """
    try:
        with open_bytes(path) as stream:
            found = json.loads(_next_line(stream, max_bytes))
    except (EOFError, zlib.error, gzip.BadGzipFile, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and not pages.isdisjoint(found)


def _next_line(stream: BufferedIOBase, max_bytes: int) -> bytes:
    """The next line that is not blank, of it at most `max_bytes`, without a byte order mark; empty at the end."""
    while line := stream.readline(max_bytes):
        if (found := line.removeprefix(_BOM)).strip():
            return found
    return b""


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def document_records(stretch: Stretch, names: Sequence[str], records_of: RecordsOf, max_bytes: int) -> Iterator[pa.RecordBatch]:
    """The records of a document, with `batch_schema(names)`: raw is the JSON of the record, or of its ORIGINAL, _line its
    number in the file, from 1. Of a file of form pages each line is a document; one of them is held at a time.

    A document that is larger than `max_bytes`, cannot be unzipped, is not UTF-8, no JSON or of another shape than `records_of`
    expects is one rejected record (rule record_too_long, cut_off, bad_encoding or bad_json); none of it lands.
    """
    rows: list[tuple[Any, ...]] = []
    found = _rows_of_pages if stretch.form == "pages" else _rows
    for number, row in enumerate(found(stretch, records_of, max_bytes), 1):
        rows.append((number, *row))
        if len(rows) == _BATCH_RECORDS:
            yield slow_batch(rows, names)
            rows = []
    if rows:
        yield slow_batch(rows, names)


def _rows(stretch: Stretch, records_of: RecordsOf, max_bytes: int) -> Iterator[Row]:
    """(raw, rule, reason, fields) a record."""
    try:
        with open_bytes(stretch.path) as stream:
            data = stream.read(max_bytes + 1).removeprefix(_BOM)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        yield "", "cut_off", f"the zipped file is broken: {error}; none of it is read", None
        return
    yield from _rows_in(data, stretch, records_of, max_bytes)


def _rows_of_pages(stretch: Stretch, records_of: RecordsOf, max_bytes: int) -> Iterator[Row]:
    """(raw, rule, reason, fields) a record of the documents that the lines of a file are."""
    try:
        with open_bytes(stretch.path) as stream:
            while line := stream.readline(max_bytes + 1):
                if line.removeprefix(_BOM).strip():
                    yield from _rows_in(line.removeprefix(_BOM), stretch, records_of, max_bytes)
                while len(line) > max_bytes and not line.endswith(b"\n"):
                    line = stream.readline(max_bytes + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        yield "", "cut_off", f"the zipped file breaks off here: {error}; what came before is read", None


def document_of(data: bytes) -> Any:
    """The JSON document in the bytes of a file. Raises ValueError where they are none."""
    return json.loads(_json_of(data.removeprefix(_BOM)).decode("utf-8"), parse_constant=str)


def _json_of(data: bytes) -> bytes:
    """The JSON of a document, without the assignment that stands before it in a file of an archive of X."""
    found = ASSIGNMENT.match(data)
    return data[found.end() :].rstrip().removesuffix(b";") if found else data


def _rows_in(data: bytes, stretch: Stretch, records_of: RecordsOf, max_bytes: int) -> Iterator[Row]:
    """(raw, rule, reason, fields) a record of one document."""
    head = data[:KEPT_BYTES].decode("utf-8", "backslashreplace")
    if len(data) > max_bytes:
        size = f"a document of more than {max_bytes:,} bytes (max_document_bytes)"
        yield head, "record_too_long", f"{size}; split it, or give one object a line in a .jsonl file", None
        return
    try:
        document = document_of(data)
        # All of it first: a document of a wrong shape lands whole or not at all.
        found = list(records_of(document, stretch.path))
    except UnicodeDecodeError as error:
        yield head, "bad_encoding", f"byte 0x{data[error.start : error.end].hex()} at {error.start}; expected UTF-8", None
        return
    except json.JSONDecodeError as error:
        yield head, "bad_json", f"not JSON ({error.msg} at line {error.lineno}); expected a JSON document", None
        return
    except WRONG_SHAPE as error:
        cause = " ".join(str(error).split())[:200]
        yield head, "bad_json", f"not a document as expected of {Path(stretch.path).name}: {type(error).__name__} {cause}", None
        return
    for record in found:
        original = record.pop(ORIGINAL, record) if isinstance(record, dict) else record
        # Half a surrogate pair is no character; UTF-8 cannot hold it.
        raw = json.dumps(original, ensure_ascii=False).encode("utf-8", "replace").decode("utf-8")
        if isinstance(record, dict):
            yield object_record(raw, record, stretch.columns, stretch.left, stretch.shaped)
        else:
            yield raw, "bad_json", f"found a JSON {type(record).__name__}; expected an object", None

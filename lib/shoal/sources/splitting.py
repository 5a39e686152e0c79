"""Bytes to records: where each record of a delimited text begins and ends, and its fields. No Spark.

The rules are RFC 4180's, read so that no fault spreads: a quote opens only at the start of a field; a quoted field may span
lines; a quote that is never closed costs its own line and nothing more, whatever follows it. Lines end in LF or CRLF; a lone
carriage return is data. Chunks without a quote, nearly all of them in most files, are cut with numpy alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NEWLINE, QUOTE = 10, 34
Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Cut:
    """The records of a chunk: where each starts and ends (its line break left out), and the line it starts on (from 0).

    `quoted` marks those that hold a quote, `unclosed` those whose quote is never closed. `consumed` bytes and `lines` lines
    belong to these records; the rest of the chunk is the start of the next one.
    """

    starts: Positions
    ends: Positions
    line: Positions
    quoted: npt.NDArray[np.bool_]
    unclosed: npt.NDArray[np.bool_]
    consumed: int
    lines: int


@dataclass(frozen=True)
class Limits:
    """What a record may be: at most so many bytes, and over so many lines; `width` fields where it spans lines (0: any)."""

    max_bytes: int
    max_lines: int
    width: int = 0


def cut(data: bytes, delimiter: bytes | None, final: bool, limits: Limits) -> Cut:
    """The records that lie wholly in `data`; with `final`, what follows the last line break is one too.

    Without a delimiter (JSON lines) each line is a record. A quoted record that would be larger than the limits, that would
    not have the right number of fields, or that is still open at the end of the last chunk, is unclosed: its first line
    alone is the record. Every byte belongs to exactly one record or line break.
    """
    view = np.frombuffer(data, dtype=np.uint8)
    breaks = np.flatnonzero(view == NEWLINE)
    if final and len(data) and (len(breaks) == 0 or breaks[-1] != len(data) - 1):
        breaks = np.append(breaks, len(data))
    starts = np.concatenate(([0], breaks[:-1] + 1)).astype(np.int64) if len(breaks) else np.zeros(0, np.int64)
    ends = breaks.astype(np.int64)
    kept = np.ones(len(ends), dtype=np.bool_)
    quoted = np.zeros(len(ends), dtype=np.bool_)
    unclosed = np.zeros(len(ends), dtype=np.bool_)
    whole = len(ends)
    if delimiter is not None and len(ends) and data.find(b'"') >= 0:
        found = np.searchsorted(ends, np.flatnonzero(view == QUOTE), side="left")
        with_quote = np.unique(found[found < len(ends)])
        whole = _join_quoted(data, delimiter, starts, ends, with_quote, (kept, quoted, unclosed), final, limits)
    kept[whole:] = False
    chosen = np.flatnonzero(kept)
    consumed = len(data) if final else int(ends[whole - 1]) + 1 if whole else 0
    return Cut(starts[chosen], ends[chosen], chosen.astype(np.int64), quoted[chosen], unclosed[chosen], consumed, whole)


def _join_quoted(
    data: bytes, delimiter: bytes, starts: Positions, ends: Positions, with_quote: Positions,
    marks: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.bool_]], final: bool, limits: Limits,
) -> int:  # fmt: skip
    """Join lines that one quoted field spans: the first line's end moves, the others go. Returns how many lines are decided.

    Only lines with a quote are looked at: no other can open or close a field.
    """
    kept, quoted, unclosed = marks
    at, after = 0, 0
    while at < len(with_quote):
        first = int(with_quote[at])
        at += 1
        if first < after:
            continue
        if not stays_open(data[starts[first] : ends[first]], delimiter, False):
            quoted[first] = True
            after = first + 1
            continue
        closes, beyond = -1, False
        for later in range(at, len(with_quote)):
            line = int(with_quote[later])
            if line - first >= limits.max_lines or ends[line] - starts[first] > limits.max_bytes:
                beyond = True
                break
            if not stays_open(data[starts[line] : ends[line]], delimiter, True):
                closes = line
                # Quotes of two broken records look like one record: it would have the wrong fields.
                joined = data[starts[first] : ends[line]].removesuffix(b"\r").decode("latin-1")
                values = fields(joined, delimiter.decode())
                if values is None or (limits.width and len(values) != limits.width):
                    closes, beyond = -1, True
                break
        if closes >= 0:
            quoted[first] = True
            kept[first + 1 : closes + 1] = False
            ends[first] = ends[closes]
            after = closes + 1
        elif final or beyond or len(data) - starts[first] > limits.max_bytes or len(ends) - first > limits.max_lines:
            quoted[first] = unclosed[first] = True
            after = first + 1
        else:
            return first
    return len(ends)


def stays_open(line: bytes, delimiter: bytes, inside: bool) -> bool:
    """Whether a quoted field is open at the end of `line`; `inside` says whether one was open at its start."""
    at = 0
    while True:
        if inside:
            quote = line.find(b'"', at)
            if quote < 0:
                return True
            if line[quote + 1 : quote + 2] == b'"':
                at = quote + 2
                continue
            inside, at = False, quote + 1
        elif line[at : at + 1] == b'"':
            inside, at = True, at + 1
            continue
        found = line.find(delimiter, at)
        if found < 0:
            return False
        at = found + 1


def fields(record: str, delimiter: str) -> list[str] | None:
    """The fields of one record, doubled quotes made one; None where text follows a closing quote or a quote is left open."""
    found: list[str] = []
    at = 0
    while True:
        if record[at : at + 1] == '"':
            at += 1
            parts = []
            while True:
                quote = record.find('"', at)
                if quote < 0:
                    return None
                parts.append(record[at:quote])
                if record[quote + 1 : quote + 2] != '"':
                    break
                parts.append('"')
                at = quote + 2
            at = quote + 1
            if at < len(record) and record[at] != delimiter:
                return None
            found.append("".join(parts))
            if at >= len(record):
                return found
            at += 1
        else:
            end = record.find(delimiter, at)
            if end < 0:
                found.append(record[at:])
                return found
            found.append(record[at:end])
            at = end + 1

"""Bytes to records: where each record of a delimited text begins and ends, and its fields. No Spark.

The rules are RFC 4180's, read so that no fault spreads: a quote opens only at the start of a field; a quoted field may span
lines; a quote that is never closed costs its own line and nothing more, whatever follows it. A quote inside a quoted field is
doubled, or, where an escape is set, stands behind the escape. Lines end in LF or CRLF; a lone carriage return is data. Lines whose
quotes pair up within the line, nearly all in most files, are found by numpy at once; only the others are walked through one by one,
each a bounded number of times.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import AnyStr

import numpy as np
import numpy.typing as npt

NEWLINE, RETURN = 10, 13
Positions = npt.NDArray[np.int64]
Marks = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Cut:
    """The records of a chunk: where each starts and ends (without its line break), and the line it starts on (from 0).

    `odd` marks those that must be read singly: quotes that do not pair up within one line, a carriage return that is data, too
    many bytes. `unclosed` are those whose quote is never closed. `consumed` bytes and `lines` lines belong to these records;
    the rest of the chunk is the start of the next one. `skipped`: the length of a line beyond the limit, of which the chunk
    holds the head alone; 0 for every other chunk.
    """

    starts: Positions
    ends: Positions
    line: Positions
    odd: Marks
    unclosed: Marks
    consumed: int
    lines: int
    skipped: int = 0


@dataclass(frozen=True)
class Limits:
    """What a record may be: at most so many bytes, and over so many lines; `width` fields where it spans lines (0: any).

    quote: what encloses fields, one ASCII character; None: quotes are letters like others, and each line is a record. escape: what
    makes a quote, or itself, a letter of a quoted field, one ASCII character; None: only the doubled quote does.
    """

    max_bytes: int
    max_lines: int
    width: int = 0
    quote: str | None = '"'
    escape: str | None = None

    @property
    def marks(self) -> tuple[bytes, bytes]:
        """Quote and escape as bytes; an escape that is not set is empty."""
        return (self.quote or "").encode(), (self.escape or "").encode()


def can_quote(delimiter: str) -> bool:
    """Whether quotes can enclose fields between such delimiters: where these are one byte, as RFC 4180 has it."""
    return len(delimiter.encode()) == 1


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
    ends = breaks.astype(np.int64)
    starts = np.concatenate(([0], ends[:-1] + 1)).astype(np.int64) if len(ends) else np.zeros(0, np.int64)
    kept = np.ones(len(ends), dtype=np.bool_)
    odd = ends - starts > limits.max_bytes
    unclosed = np.zeros(len(ends), dtype=np.bool_)
    whole = len(ends)
    if delimiter is not None and whole:
        if data.find(b"\r") >= 0:
            odd[_lines_of(_data_returns(view), ends)] = True
        quote, escape = limits.marks
        if quote and data.find(quote) >= 0:
            at = np.flatnonzero(view == quote[0])
            at = at[: np.searchsorted(at, ends[-1])]
            line = np.searchsorted(ends, at)
            unpaired = _unpaired(view, at, line, starts, ends, (delimiter[0], quote[0]))
            if escape and data.find(escape) >= 0:
                # Which quotes of these lines count is known only by walking through them.
                escaped = _lines_of(np.flatnonzero(view == escape[0]).astype(np.int64), ends)
                unpaired = np.union1d(unpaired, np.intersect1d(escaped, line)).astype(np.int64)
            odd[unpaired] = True
            whole = _join_quoted(data, delimiter, (starts, ends), np.unique(line), unpaired, (kept, unclosed), final, limits)
    kept[whole:] = False
    chosen = np.flatnonzero(kept)
    consumed = len(data) if final else int(breaks[whole - 1]) + 1 if whole else 0
    return Cut(starts[chosen], ends[chosen], chosen.astype(np.int64), odd[chosen], unclosed[chosen], consumed, whole)


def _data_returns(view: npt.NDArray[np.uint8]) -> Positions:
    """Where carriage returns are that end no line."""
    at = np.flatnonzero(view == RETURN)
    following = np.append(view, NEWLINE)[at + 1]
    return at[following != NEWLINE].astype(np.int64)


def _lines_of(at: Positions, ends: Positions) -> Positions:
    """The lines that the positions are on; those behind the last line break are dropped."""
    lines = np.searchsorted(ends, at)
    return np.unique(lines[lines < len(ends)]).astype(np.int64)


def _unpaired(
    view: npt.NDArray[np.uint8], at: Positions, line: Positions, starts: Positions, ends: Positions, marks: tuple[int, int]
) -> Positions:
    """The lines whose quotes do not pair up to whole fields, of the quotes `at` on `line`; `marks` are delimiter and quote.

    They pair up where the 1st, 3rd... quote of the line stands at the start of a field or right behind another quote (a doubled
    one), and the 2nd, 4th... at the end of a field or right before another.
    """
    delimiter, quote = marks
    first = np.concatenate(([True], line[1:] != line[:-1]))
    order = np.arange(len(at)) - np.maximum.accumulate(np.where(first, np.arange(len(at)), 0))
    last = np.append(first[1:], True)
    opens = order % 2 == 0
    before, behind = view[np.maximum(at - 1, 0)], np.append(view, NEWLINE)[at + 1]
    starting = (at == starts[line]) | (before == delimiter) | ((before == quote) & (order > 0))
    # A return is an end of line here: lines where it is data are odd already.
    ending = (at + 1 == ends[line]) | (behind == delimiter) | (behind == RETURN) | ((behind == quote) & ~last)
    sound = np.where(opens, starting & ~last, ending)
    return np.unique(line[~sound]).astype(np.int64)


def _join_quoted(
    data: bytes, delimiter: bytes, lines: tuple[Positions, Positions], with_quote: Positions, unpaired: Positions,
    marks: tuple[Marks, Marks], final: bool, limits: Limits,
) -> int:  # fmt: skip
    """Join lines that one quoted field spans: the first line's end moves, the others go. Returns how many lines are decided.

    Only an unpaired line can begin such a record, and only a line with a quote can end it. A search ends where a quote is
    neither an end of a field nor doubled, and where the record has too many fields: a line is walked through at most
    `limits.width` times.
    """
    starts, ends = lines
    kept, unclosed = marks
    after = 0
    for first in unpaired.tolist():
        if first < after or ends[first] - starts[first] > limits.max_bytes:
            continue
        later = with_quote[np.searchsorted(with_quote, first) + 1 :]
        end = _end_of(data, delimiter, lines, first, later, limits)
        if end is None and not final:
            return first
        if end is None or end < 0:
            unclosed[first] = True
        else:
            kept[first + 1 : end + 1] = False
            ends[first] = ends[end]
            after = end + 1
    return len(ends)


def _end_of(
    data: bytes, delimiter: bytes, lines: tuple[Positions, Positions], first: int, later: Positions, limits: Limits
) -> int | None:
    """The line that the record starting on line `first` ends on, going through the `later` lines with a quote; -1 where its
    quote is never closed, None where `data` ends before that is known."""
    starts, ends = lines
    begin = int(starts[first])
    state, count = walk(data[begin : ends[first]], delimiter, False, *limits.marks)
    if state != "open":
        # Text behind a closing quote is reported when the record is read.
        return first
    for line in later:
        if limits.width and count >= limits.width:
            return -1
        if line - first >= limits.max_lines or ends[line] - begin > limits.max_bytes:
            return -1
        state, more = walk(data[starts[line] : ends[line]], delimiter, True, *limits.marks)
        count += more
        if state != "open":
            sound = state == "closed" and limits.width in (0, count + 1)
            return int(line) if sound else -1
    beyond = len(data) - begin > limits.max_bytes or len(ends) - first > limits.max_lines
    return -1 if beyond or (limits.width and count >= limits.width) else None


def walk(line: bytes, delimiter: bytes, inside: bool, quote: bytes = b'"', escape: bytes = b"") -> tuple[str, int]:
    """How a line ends, and how many delimiters between fields it has; `inside`: whether it starts in a quoted field.

    "open": in a quoted field; "bad": text follows a closing quote; else "closed".
    """
    line = line.removesuffix(b"\r")
    at, count = 0, 0
    while True:
        if not inside and line[at : at + 1] == quote:
            inside, at = True, at + 1
        if inside:
            end = _closing(line, at, quote, escape)
            if end < 0:
                return "open", count
            inside, at = False, end + 1
            if at == len(line):
                return "closed", count
            if line[at : at + 1] != delimiter:
                return "bad", count
        else:
            at = line.find(delimiter, at)
            if at < 0:
                return "closed", count
        at, count = at + 1, count + 1


def _closing(text: AnyStr, at: int, quote: AnyStr, escape: AnyStr) -> int:
    """Where the quoted field ends whose content begins `at`: the first quote that is neither doubled nor escaped; -1 for none."""
    begin, found = at, text.find(quote, at)
    while found >= 0:
        if escape and (found - len(text[begin:found].rstrip(escape)) - begin) % 2:
            begin = found + 1
        elif text[found + 1 : found + 2] == quote:
            begin = found + 2
        else:
            return found
        found = text.find(quote, begin)
    return -1


def fields(record: str, delimiter: str, quote: str = '"', escape: str | None = None) -> list[str] | None:
    """The fields of one record, without the marks of quoting; None where text follows a closing quote or a quote is left open.

    An escape before another character than a quote or itself is a letter, and so is each escape outside of quotes.
    """
    found: list[str] = []
    at = 0
    while True:
        if record[at : at + 1] == quote:
            end = _closing(record, at + 1, quote, escape or "")
            if end < 0 or (end + 1 < len(record) and record[end + 1] != delimiter):
                return None
            found.append(_unquoted(record[at + 1 : end], quote, escape))
            at = end + 1
        else:
            end = record.find(delimiter, at)
            end = len(record) if end < 0 else end
            found.append(record[at:end])
            at = end
        if at >= len(record):
            return found
        at += 1


def _unquoted(text: str, quote: str, escape: str | None) -> str:
    """The content of a quoted field without doublings and escapes."""
    if escape is None or escape not in text:
        return text.replace(quote * 2, quote)
    return re.sub(f"{re.escape(escape)}([{re.escape(quote + escape)}])|({re.escape(quote)}){{2}}", r"\1\2", text)

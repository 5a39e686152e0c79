"""Records from bytes: hand-made cases, and for any bytes at all: no crash, every byte in its place, the same records
whatever the size of a chunk."""

from __future__ import annotations

import gzip
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shoal.conf.loading import load
from shoal.ingest.formats import parsing
from shoal.ingest.formats.listing import survey_row
from shoal.ingest.formats.parsing import Stretch, records
from shoal.ingest.formats.splitting import Cut, Limits, cut, fields

LIMITS = Limits(max_bytes=1000, max_lines=50, width=2)


def read(
    path: Path, data: bytes, form: str = "csv", chunk: int = 4 << 20, limits: Limits = LIMITS, delimiter: str = ",",
    encoding: str = "utf-8", comment: str | None = None, null: str | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """The records of `data` with columns a and b, in the order of the file."""
    path.write_bytes(data)
    columns = ("a", "b") if form == "csv" else ("a=a", "b=b")
    with patch.object(parsing, "CHUNK_BYTES", chunk):
        stretch = Stretch(str(path), form, delimiter, 0, -1, 1, columns, encoding=encoding, comment=comment, null=null)
        batches = list(records(stretch, ["a", "b"], limits))
    return sorted((row for batch in batches for row in batch.to_pylist()), key=lambda row: row["_line"])


def short(rows: list[dict[str, Any]]) -> list[tuple[int, str | None, str | None, str | None]]:
    return [(r["_line"], r["_rule"], r["a"], r["b"]) for r in rows]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"1,2\n3,4\n", [(1, None, "1", "2"), (2, None, "3", "4")]),
        (b"1,2\r\n3,4", [(1, None, "1", "2"), (2, None, "3", "4")]),  # CRLF, no last line break
        (b"\xef\xbb\xbf1,2\n", [(1, None, "1", "2")]),  # byte order mark
        (b"1,\n,2\n", [(1, None, "1", None), (2, None, None, "2")]),  # empty is null
        (b"1,2\n\n\n3,4\n", [(1, None, "1", "2"), (4, None, "3", "4")]),  # blank lines are none, but count
        (b'"x,y",2\n', [(1, None, "x,y", "2")]),
        (b'"say ""hi""",2\n', [(1, None, 'say "hi"', "2")]),
        (b'"two\nlines",2\n3,4\n', [(1, None, "two\nlines", "2"), (3, None, "3", "4")]),
        (b'5" screen,2\n3,4" screen\n', [(1, None, '5" screen', "2"), (2, None, "3", '4" screen')]),  # no quoted field
        (b"1,a\rb\n", [(1, None, "1", "a\rb")]),  # a lone carriage return is data
        (b"1\n1,2,3\n1,2\n", [(1, "field_count", None, None), (2, "field_count", None, None), (3, None, "1", "2")]),
        (b'"x"y,2\n3,4\n', [(1, "bad_quote", None, None), (2, None, "3", "4")]),
        # an unclosed quote costs its own line, whether or not another quote follows
        (b'"open,2\n3,4\n5,6\n', [(1, "unclosed_quote", None, None), (2, None, "3", "4"), (3, None, "5", "6")]),
        (b'"open,2\n3,4\n"x"y,6\n', [(1, "unclosed_quote", None, None), (2, None, "3", "4"), (3, "bad_quote", None, None)]),
        (b'"open,2\n3,4\n"5",6\n', [(1, "unclosed_quote", None, None), (2, None, "3", "4"), (3, None, "5", "6")]),
        (b"1,\xff\n3,4\n", [(1, "bad_encoding", None, None), (2, None, "3", "4")]),
        ("\u0645\u0631\u062d\u0628\u0627,\U0001f600\n".encode(), [(1, None, "\u0645\u0631\u062d\u0628\u0627", "\U0001f600")]),
        (b"1,a\x00b\n", [(1, None, "1", "a\x00b")]),
        (b"", []),
    ],
)
def test_delimited_records(tmp_path: Path, data: bytes, expected: list[Any]) -> None:
    for chunk in (1, 3, 4 << 20):
        assert short(read(tmp_path / "f.csv", data, chunk=chunk)) == expected, chunk


def test_the_raw_text_of_a_rejected_record_is_kept(tmp_path: Path) -> None:
    rows = read(tmp_path / "f.csv", b'1,2,3\n"open,\xff\n')
    assert [(r["raw"], r["_reason"]) for r in rows] == [
        ("1,2,3", "found 3 fields, expected 2 as in the header"),
        ('"open,\\xff', "byte 0xff at 6; expected UTF-8"),
    ]


def test_a_line_beyond_the_limit_is_one_record_and_the_next_is_found(tmp_path: Path) -> None:
    data = b"1,2\n" + b"x" * 5000 + b"\n3,4\n"
    for chunk in (7, 1500, 4 << 20):
        rows = read(tmp_path / "f.csv", data, chunk=chunk)
        kept = [(r["_line"], r["_rule"], r["a"]) for r in rows]
        assert kept == [(1, None, "1"), (2, "record_too_long", None), (3, None, "3")], chunk
        assert rows[1]["_reason"] == "a record of 5,000 bytes; expected at most 1,000; the first 1,000 are kept"
        assert rows[1]["raw"] == "x" * 1000


def test_a_zipped_file_that_breaks_off_gives_what_came_before_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "f.csv.gz"
    lines = [f"{i},{i * 7919 % 1000}" for i in range(20_000)]
    path.write_bytes(gzip.compress("\n".join(lines).encode())[:30_000])
    rows = [r for b in records(Stretch(str(path), "csv", ",", 0, -1, 1, ("a", "b")), ["a", "b"], LIMITS) for r in b.to_pylist()]
    rows.sort(key=lambda r: r["_line"])
    sound = [r["raw"] for r in rows if r["_rule"] is None]
    assert len(sound) > 5000 and lines[: len(sound) - 1] == sound[:-1]
    assert rows[-1]["_rule"] == "cut_off" and rows[-1]["_line"] == len(rows)


def test_lines_that_each_open_a_quote_are_read_in_linear_time(tmp_path: Path) -> None:
    """Each looks like the start of a record of many lines; walking on from every one of them to the limit would take hours."""
    clock = time.process_time()
    rows = read(tmp_path / "f.csv", b'a"b,"c\n' * 50_000 + b'x","y\n' * 50_000, limits=Limits(64 << 20, 10_000, 2))
    assert {r["_rule"] for r in rows} == {"unclosed_quote"} and len(rows) == 100_000
    assert time.process_time() - clock < 30


def test_json_lines(tmp_path: Path) -> None:
    data = b'{"a": 1, "B": [1, 2]}\n{"a": "x"\n[1]\n\n{"a": null, "b": 1.50}\n'
    rows = read(tmp_path / "f.jsonl", data, "jsonl")
    broken = [(2, "bad_json", None, None), (3, "bad_json", None, None)]
    assert short(rows) == [(1, None, "1", '["1", "2"]'), *broken, (5, None, None, "1.50")]


@pytest.mark.parametrize("also", [b"", b"\x1f", b"\x1f\x1e\x1d\x1c"])
def test_a_delimiter_of_several_letters(tmp_path: Path, also: bytes) -> None:
    """As MovieLens' older sets have it. Whatever bytes are in the data, none becomes a delimiter."""
    data = b'1::Star Wars: "A" (1977)' + also + b"\n2::\n3::a::b\n4:::c\r\n"
    expected = [(1, None, "1", 'Star Wars: "A" (1977)' + also.decode()), (2, None, "2", None), (3, "field_count", None, None),
                (4, None, "4", ":c")]  # fmt: skip
    for chunk in (4, 4 << 20):
        rows = read(tmp_path / "f.dat", data, chunk=chunk, limits=replace(LIMITS, quote=None), delimiter="::")
        assert short(rows) == expected
        assert "".join(row["raw"] for row in rows[:2]) == '1::Star Wars: "A" (1977)' + also.decode() + "2::"


@pytest.mark.parametrize("chunk", [1, 3, 4 << 20])
def test_each_byte_of_windows_1252_is_a_character(tmp_path: Path, chunk: int) -> None:
    rows = read(tmp_path / "f.csv", b'1,Caf\xe9 \x80\n2,"\xabx,\x81\xbb"\n', chunk=chunk, encoding="windows-1252")
    assert short(rows) == [(1, None, "1", "Caf\u00e9 \u20ac"), (2, None, "2", "\u00abx,\x81\u00bb")]
    assert rows[0]["raw"] == "1,Caf\u00e9 \u20ac"


@pytest.mark.parametrize("chunk", [1, 4 << 20])
def test_lines_that_start_with_the_mark_are_no_records(tmp_path: Path, chunk: int) -> None:
    data = b'# a, b, c\n1,2\n#\n#,"open\n3,#4\n\n#'
    rows = read(tmp_path / "f.csv", data, chunk=chunk, comment="#")
    assert short(rows) == [(2, None, "1", "2"), (4, "unclosed_quote", None, None), (5, None, "3", "#4")]
    assert len(read(tmp_path / "f.csv", data, chunk=chunk)) == 6


def test_fields_of_a_record() -> None:
    assert fields('a,"b,""c""",', ",") == ["a", 'b,"c"', ""]
    assert fields("", ",") == [""]
    assert fields('"a', ",") is None
    assert fields('"a"b', ",") is None


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.lists(st.sampled_from([b",", b'"', b"\n", b"\r", b"a", b"\xff", b"\x00", "é".encode(), b'""', b'",']), max_size=60))
def test_any_bytes_are_read_the_same_in_chunks_of_any_size(tmp_path: Path, data: list[bytes]) -> None:
    whole = read(tmp_path / "f.csv", b"".join(data))
    for chunk in (1, 2, 5, 17):
        assert read(tmp_path / "f.csv", b"".join(data), chunk=chunk) == whole


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.lists(st.sampled_from([b",", b'"', b"\n", b"\r", b"a", b"\xff", b"\xef\xbb\xbf", b'""', b'",', b',"']), max_size=60))
def test_lines_read_together_are_what_they_are_when_read_singly(tmp_path: Path, data: list[bytes]) -> None:
    whole = read(tmp_path / "f.csv", b"".join(data))

    def all_odd(*arguments: Any) -> Cut:
        found = cut(*arguments)
        return replace(found, odd=np.ones(len(found.odd), np.bool_))

    with patch.object(parsing, "cut", all_odd):
        assert read(tmp_path / "f.csv", b"".join(data)) == whole


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200))
def test_every_byte_belongs_to_one_record_or_line_break(data: bytes) -> None:
    found = cut(data, b",", True, Limits(50, 5))
    at = 0
    for start, end in zip(found.starts, found.ends, strict=True):
        assert start == at, "a gap between records"
        assert end == len(data) or data[end : end + 1] == b"\n"
        at = end + 1
    assert found.consumed == len(data)


def test_stretches_of_a_large_file_give_the_records_of_the_whole(tmp_path: Path) -> None:
    """Cuts fall between records, never inside a quoted one, and know their line."""
    path = tmp_path / "f.csv"
    lines = [f'{i},"text {i}\nmore, {i}"' if i % 3 == 0 else f"{i},plain" for i in range(500)]
    path.write_bytes(("a,b\n" + "\n".join(lines) + "\n").encode())
    with patch.object(parsing, "CHUNK_BYTES", 64):
        # Smaller than conf lets them be.
        small = load().ingest.model_copy(update={"max_record_bytes": 1000, "max_record_lines": 50, "split_bytes": 700})
        row = survey_row(str(path), small)
        spans = list(zip(row[6], row[7], row[8], strict=True))  # type: ignore[call-overload]
        assert len(spans) > 5
        parts = [Stretch(str(path), "csv", ",", *span, ("a", "b")) for span in spans]
        rows = [r for part in parts for batch in records(part, ["a", "b"], LIMITS) for r in batch.to_pylist()]
    found = [(r["_line"], r["a"], r["b"]) for r in sorted(rows, key=lambda r: r["_line"])]
    line, expected = 2, []
    for i in range(500):
        expected.append((line, str(i), f"text {i}\nmore, {i}" if i % 3 == 0 else "plain"))
        line += 2 if i % 3 == 0 else 1
    assert found == expected


BACKSLASH = Limits(1000, 50, 2, escape="\\")


@pytest.mark.parametrize(
    ("data", "limits", "null", "expected"),
    [
        # Quotes escaped by a backslash, as Book-Crossing and MySQL write them; the doubled quote stays one.
        (b'"say \\"hi\\"",2\n3,4\n', BACKSLASH, None, [(1, None, 'say "hi"', "2"), (2, None, "3", "4")]),
        (b'"a ""b"" \\\\",2\n', BACKSLASH, None, [(1, None, 'a "b" \\', "2")]),
        (b'"\\"a\\", b",2\n', BACKSLASH, None, [(1, None, '"a", b', "2")]),
        (b'"a\\"\nb",2\n3,4\n', BACKSLASH, None, [(1, None, 'a"\nb', "2"), (3, None, "3", "4")]),
        # A field that ends in the escape: the record has its fields when the escape is read as a letter.
        (b'"C:\\","2"\n3,4\n', BACKSLASH, None, [(1, None, "C:\\", "2"), (2, None, "3", "4")]),
        (b'1,"C:\\"\n3,4\n', BACKSLASH, None, [(1, None, "1", "C:\\"), (2, None, "3", "4")]),
        (b'C:\\new,"\\n"\n', BACKSLASH, None, [(1, None, "C:\\new", "\\n")]),
        (b'"x\\"y,2\n3,4\n', BACKSLASH, None, [(1, "unclosed_quote", None, None), (2, None, "3", "4")]),
        # Without the setting a backslash is a letter.
        (b'"say \\"hi\\"",2\n', LIMITS, None, [(1, "bad_quote", None, None)]),
        # Quotes that are letters.
        (b'"Weird Al" Y,2\n"Heroes,"(q)"\n', Limits(1000, 50, 2, None), None, [
            (1, None, '"Weird Al" Y', "2"), (2, None, '"Heroes', '"(q)"')]),
        (b"'a,b',2\n'it''s',\"x\n", Limits(1000, 50, 2, "'"), None, [(1, None, "a,b", "2"), (2, None, "it's", '"x')]),
        # A text for nothing, quoted or not, also in a record that is read by itself.
        (b'\\N,2\n"\\N",""\n1,"x\ny"\n', LIMITS, "\\N", [(1, None, None, "2"), (2, None, None, None), (3, None, "1", "x\ny")]),
    ],
)  # fmt: skip
def test_quotes_escapes_and_nothing_as_they_are_set(
    tmp_path: Path, data: bytes, limits: Limits, null: str | None, expected: list[tuple[int, str | None, str | None, str | None]]
) -> None:
    for chunk in (3, 7, 1 << 20):
        assert short(read(tmp_path / "f.csv", data, chunk=chunk, limits=limits, null=null)) == expected, chunk


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(values=st.lists(st.tuples(*[st.text(st.sampled_from('a,"\\\n'), max_size=5)] * 2), min_size=1, max_size=5))
def test_what_is_escaped_is_read_back(tmp_path: Path, values: list[tuple[str, str]]) -> None:
    def written(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    data = "".join(",".join(map(written, row)) + "\n" for row in values).encode()
    rows = read(tmp_path / "f.csv", data, chunk=5, limits=BACKSLASH)
    assert [(row["_rule"], row["a"], row["b"]) for row in rows] == [(None, a or None, b or None) for a, b in values]

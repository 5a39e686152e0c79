"""JSON files that are one document: records of it, or one rejected record."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shoal.ingest.formats.documents import document_records, holds_pages, is_document, listed_in
from shoal.ingest.formats.json_objects import Left, json_record
from shoal.ingest.formats.parsing import Stretch


def read(path: Path, max_bytes: int = 1000) -> list[tuple[int, str, str | None, str | None, str | None]]:
    """(line, raw, rule, reason, id) of each record."""
    stretch = Stretch(str(path), "document", "", 0, -1, 1, ("postid=id",))
    batches = document_records(stretch, ["id"], _posts, max_bytes)
    return [tuple(row.values()) for batch in batches for row in batch.to_pylist()]


def _posts(document: object, path: str) -> Iterator[object]:
    if not isinstance(document, dict):
        raise TypeError(f"found a JSON {type(document).__name__}, expected an object")
    yield from document["posts"]


def test_a_document_is_its_records(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('\ufeff{"posts": [{"postId": 12345678901234567890}, {"post_id": "é\\ud800"}, 7]}', encoding="utf-8")
    assert read(path) == [
        (1, '{"postId": 12345678901234567890}', None, None, "12345678901234567890"),
        (2, '{"post_id": "é?"}', None, None, "é?"),
        (3, "7", "bad_json", "found a JSON int; expected an object", None),
    ]


@pytest.mark.parametrize(
    ("content", "rule", "says"),
    [
        (b"", "bad_json", "not JSON (Expecting value at line 1)"),
        (b'{"posts": [', "bad_json", "not JSON"),
        (b"[]", "bad_json", "not a document as expected of a.json: TypeError found a JSON list, expected an object"),
        (b'{"post": []}', "bad_json", "KeyError 'posts'"),
        (b'{"posts": 5}', "bad_json", "TypeError"),
        (b'{"posts": "\xff"}', "bad_encoding", "byte 0xff at 11"),
        (b"[" * 900, "bad_json", "not"),
        (b'{"posts": [' + b" " * 1000 + b"]}", "record_too_long", "more than 1,000 bytes (max_document_bytes)"),
    ],
)
def test_a_broken_document_is_one_rejected_record(tmp_path: Path, content: bytes, rule: str, says: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    ((line, _, found, reason, _),) = read(path)
    assert (line, found) == (1, rule)
    assert says in (reason or "")


def test_a_document_that_is_zipped_and_cut_off_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "a.json.gz"
    whole = gzip.compress(b'{"posts": [{"post_id": 1}]}')
    path.write_bytes(whole)
    assert [row[4] for row in read(path)] == ["1"]
    path.write_bytes(whole[:-9])
    assert [row[2] for row in read(path)] == ["cut_off"]


@pytest.mark.parametrize(
    ("content", "is_one"),
    [
        (b'{"a": 1}\n{"a": 2}\n', False),
        (b'\n{"a": 1}\n\n{"a": 2}', False),
        (b'{"a": \n{"a": 2}\n', False),  # a broken first line
        (b'{"a": 1}\n', True),  # lines or a document: the same
        (b'[\n{"a": 1},\n{"a": 2}\n]', True),
        (b'[\n{"a": 1}\n]', True),
        (b'{\n "a": 1\n}', True),
        (b"", True),
        (b"\xff\xfe", True),
    ],
)
def test_lines_and_documents_are_told_apart(tmp_path: Path, content: bytes, is_one: bool) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    assert is_document(str(path), 1000) is is_one
    assert not is_document(str(tmp_path / "a.jsonl"), 1000)


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda t: f'{{"posts": [{t}]}}'.encode()))
def test_any_bytes_are_records_and_never_a_crash(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(content)
    is_document(str(path), 1000)
    assert all(row[2] is not None or row[1].startswith("{") for row in read(path))


def test_each_line_of_a_file_of_pages_is_a_document_and_its_records_are_numbered_on(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    long = '{"posts": [{"postId": "' + "x" * 2000 + '"}]}'
    lines = ['{"posts": [{"postId": 1}, {"postId": 2}]}', "", "broken", long, '{"other": 1}', '{"posts": [{"postId": 3}]}']
    path.write_text("\ufeff" + "\r\n".join(lines))
    stretch = Stretch(str(path), "pages", "", 0, -1, 1, ("postid=id",))
    rows = [row for batch in document_records(stretch, ["id"], _posts, 1000) for row in batch.to_pylist()]
    assert [(row["_line"], row["_rule"], row["id"]) for row in rows] == [
        (1, None, "1"), (2, None, "2"), (3, "bad_json", None), (4, "record_too_long", None), (5, "bad_json", None), (6, None, "3"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "is_so"),
    [
        (b'\n{"posts": []}\n{"id": 1}', True),
        (b'{"id": 1}\n{"posts": []}', False),
        (b"[1]\n", False),
        (b"broken", False),
        (b"", False),
    ],
)
def test_a_file_holds_pages_where_its_first_line_is_one(tmp_path: Path, content: bytes, is_so: bool) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    assert holds_pages(str(tmp_path / "a.jsonl"), 1000, frozenset({"posts"})) is is_so


def test_an_object_is_shaped_before_its_names_are_matched_and_one_that_cannot_be_is_rejected() -> None:
    def shaped(value: dict[str, object]) -> dict[str, object]:
        return {"id": value["deep"]["id"]}  # type: ignore[index]

    assert json_record('{"deep": {"id": 7}}', ["id=id"], Left(), shaped) == ('{"deep": {"id": 7}}', None, None, {"id": "7"})
    assert json_record("{}", ["id=id"], Left(), shaped)[1:] == ("bad_json", "not an object as expected: KeyError 'deep'", None)


def test_an_object_that_holds_a_list_is_its_elements_unless_it_has_an_id() -> None:
    ids = frozenset({"id"})
    assert list(listed_in({"data": [1, 2], "more": 3}, ("items", "data"), ids)) == [1, 2]
    assert list(listed_in({"data": [1, 2], "id": 3}, ("items", "data"), ids)) == [{"data": [1, 2], "id": 3}]
    assert list(listed_in([4], (), ids)) == [4]
    with pytest.raises(TypeError, match="found a JSON int"):
        list(listed_in(7, (), ids))

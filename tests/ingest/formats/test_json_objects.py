"""JSON objects that are read together, column by column, are what they are when read one by one: hand-made values and any mix of
sound and broken texts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shoal.ingest.formats import json_objects
from shoal.ingest.formats.json_objects import Left, Shaped, json_record, read_alike
from shoal.ingest.formats.messages import message_batches, message_record
from shoal.ingest.formats.parsing import Stretch, records
from shoal.ingest.formats.splitting import Limits

# The value is a text: an object is none.
PAIRS, NAMES = ("userid=user", "id=user", "value=value!"), ("user", "value", "absent")
# What a value may be: numbers as they are written, escapes, half a surrogate pair, values with values in them.
VALUES = ["1", "-0", "1.50", "1e400", "NaN", "true", "null", '""', '" x"', r'"\u00e9"', r'"\ud800"', '"\U0001f600"', '[1, "a"]',
          '{"b": 1.0}', str(10**30)]  # fmt: skip
TEXTS = [
    *(f'{{"user_id": {value}, "value": {value}}}' for value in VALUES),
    *(f'{{"id": {value}, "userId": null, "extra": 1}}' for value in VALUES),
    '{"id": "b", "userId": "a"}', '{"value": 1, "value": 2}', "{}", ' {"id": 1}', '{"id": 1} ', '{"id": 1}\r', '{"id": 1}{}', "[1]",
    "7", "broken", "", " ", '{"id": ', "[" * 2000,
]  # fmt: skip
LINES = [text.encode() for text in TEXTS]


@pytest.fixture(autouse=True)
def few_are_enough() -> Iterator[None]:
    with patch.object(json_objects, "_FEW_ALIKE", 2):
        yield


def moved(value: dict[str, Any]) -> dict[str, Any]:
    """The value of `id` under `value`; an object without one cannot be shaped."""
    return {"value": value["id"], **value}


def one_by_one(texts: Sequence[str], left: Left, shaped: Shaped | None) -> list[list[str | None]]:
    """Rule, reason and fields of each text."""
    rows = [json_record(text, PAIRS, left, shaped) for text in texts]
    return [[rule, reason, *((found or {}).get(name) for name in NAMES)] for _, rule, reason, found in rows]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(TEXTS), max_size=30), st.booleans(), st.sampled_from([None, moved]))
def test_texts_read_together_are_what_they_are_one_by_one(texts: list[str], refuse: bool, shaped: Shaped | None) -> None:
    lefts = Left(refuse), Left(refuse)
    alike, singly = read_alike(pa.array(texts, pa.string()), PAIRS, NAMES, lefts[0], shaped)
    found: dict[int, list[str | None]] = {}
    for group in alike:
        found.update(zip(group.places, map(list, zip(*(c.to_pylist() for c in group.columns), strict=True)), strict=True))
    expected = one_by_one(texts, lefts[1], shaped)
    assert set(found).isdisjoint(singly) and sorted([*found, *singly]) == list(range(len(texts)))
    assert found == {place: row for place, row in enumerate(expected) if place in found}
    # Sound objects of names that two have are read together.
    spelled = [tuple(json.loads(text)) if row[0] is None and text == text.strip() else None
               for text, row in zip(texts, expected, strict=True)]  # fmt: skip
    assert {place for place, names in enumerate(spelled) if names is not None and spelled.count(names) > 1} <= set(found)
    one_by_one([texts[place] for place in singly], lefts[0], shaped)
    assert lefts[0].names == lefts[1].names


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([*LINES, b'{"id": "\xff"}', b"\xef\xbb\xbf{}", b'{"id": 1}\r\r']), max_size=30))
def test_lines_of_a_file_are_what_they_are_one_by_one(tmp_path: Path, lines: list[bytes]) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(b"\n".join(lines))
    stretch = Stretch(str(path), "jsonl", "", 0, -1, 1, PAIRS)

    def read() -> list[dict[str, Any]]:
        rows = [row for batch in records(stretch, NAMES, Limits(1000, 50)) for row in batch.to_pylist()]
        return sorted(rows, key=lambda row: row["_line"])

    together = read()
    with patch.object(json_objects, "_FEW_ALIKE", 1000):
        assert together == read()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([*LINES, None, b"\xff", b'{"id": "' + b"x" * 100 + b'"}']), max_size=30))
def test_messages_are_what_they_are_one_by_one(values: list[bytes | None]) -> None:
    batch = pa.RecordBatch.from_arrays(
        [pa.array(["topic/0"] * len(values)), pa.array(range(len(values)), pa.int64()), pa.array(values, pa.binary())],
        names=["_file", "_line", "value"],
    )
    lefts = Left(), Left()
    rows = [row for found in message_batches(batch, PAIRS, NAMES, 100, lefts[0]) for row in found.to_pylist()]
    for line, value in enumerate(values):
        raw, rule, reason, fields = message_record(value, PAIRS, 100, lefts[1])
        expected = {"_file": "topic/0", "_line": line, "raw": raw, "_rule": rule, "_reason": reason}
        assert [row for row in rows if row["_line"] == line] == [expected | {name: (fields or {}).get(name) for name in NAMES}]
    assert len(rows) == len(values) and lefts[0].names == lefts[1].names


def test_columns_of_objects_that_are_alike() -> None:
    texts = ['{"userId": 7, "value": 1.50}', '{"userId": "", "value": [1]}', '{"value": true}', '{"value": null}', "broken"]
    left = Left()
    alike, singly = read_alike(pa.array(texts), PAIRS, NAMES, left)
    assert [(group.places, [column.to_pylist() for column in group.columns[2:]]) for group in alike] == [
        ([0, 1], [["7", None], ["1.50", '["1"]'], [None, None]]),
        ([2, 3], [[None, None], ["true", None], [None, None]]),
    ]
    assert (singly, left.names) == ([4], set())


@pytest.mark.parametrize(
    ("text", "refuse", "rule", "reason"),
    [
        (
            '{"tweet": {"id": 1}, "note": 2}',
            False,
            "no_known_name",
            "found an object with tweet, note; expected at least one known name",
        ),
        ("{}", False, "no_known_name", "found an object with no name; expected at least one known name"),
        (
            '{"tweet": 1}',
            True,
            "unknown_column",
            "unknown column tweet; its table takes none (unknown_columns: refuse in the contract)",
        ),
        ('{"id": 1, "Value": {"a": 1}}', False, "type", "value: found an object under 'Value', expected a text"),
        ('{"id": {"a": 1}, "value": [1]}', False, None, None),
    ],
)
def test_an_object_that_is_not_understood_is_never_a_text(text: str, refuse: bool, rule: str | None, reason: str | None) -> None:
    assert json_record(text, PAIRS, Left(refuse))[1:3] == (rule, reason)
    alike, singly = read_alike(pa.array([text] * 3), PAIRS, NAMES, Left(refuse))
    assert [[column.to_pylist() for column in group.columns[:2]] for group in alike] == (
        [] if rule == "type" else [[[rule] * 3, [reason] * 3]]
    )
    assert singly == ([0, 1, 2] if rule == "type" else [])

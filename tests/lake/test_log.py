"""What the JSON of a Delta log tells without Spark: files of a version, their rows, which may hold a value."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from shoal.lake import log
from shoal.lake.log import DataFile, added_files, data_files, is_without_past, may_hold, rows_of
from shoal.lake.store import Store

NAME = "ops.runs"


def add(path: str, rows: int | None = 1, day: str = "2024-01-01", **more: Any) -> dict[str, Any]:
    stats = (
        {} if rows is None else {"stats": json.dumps({"numRecords": rows, "minValues": {"job": "b"}, "maxValues": {"job": "d"}})}
    )
    return {"add": {"path": path, "partitionValues": {"as_of": day}, "size": 10, "dataChange": True, **stats, **more}}


def remove(path: str) -> dict[str, Any]:
    return {"remove": {"path": path, "dataChange": True}}


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Store]:
    """A function that writes a log of these commits, a list of actions each, beside a session that is never asked."""

    def write(*commits: list[dict[str, Any]], first: int = 0) -> Store:
        store = Store(None, tmp_path)  # type: ignore[arg-type]
        store.log_folder(NAME).mkdir(parents=True)
        for number, actions in enumerate(commits, first):
            # Delta writes no blanks.
            lines = [json.dumps(action, separators=(",", ":")) for action in [{"commitInfo": {"operation": "WRITE"}}, *actions]]
            (store.log_folder(NAME) / f"{number:020d}.json").write_text("\n".join(lines) + "\n")
        return store

    return write


def paths(files: list[DataFile] | None) -> list[str] | None:
    return None if files is None else [json.loads(file.action)["add"]["path"] for file in files]


def test_files_of_a_version_are_those_added_and_not_removed(written: Callable[..., Store]) -> None:
    store = written([add("a"), add("b")], [remove("a"), add("c")], [remove("c"), add("a")])
    assert [paths(data_files(store, NAME, at)) for at in (0, 1, 2)] == [["a", "b"], ["b", "c"], ["b", "a"]]
    assert data_files(store, NAME, 3) is None
    assert data_files(store, NAME, -1) is None


def test_a_log_that_is_cut_long_large_or_has_deletion_vectors_is_left_to_delta(
    written: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = written([add("a")], [add("b")], [add("c", deletionVector={"storageType": "u"})])
    assert paths(data_files(store, NAME, 1)) == ["a", "b"]
    assert data_files(store, NAME, 2) is None
    monkeypatch.setattr(log, "REPLAYED_COMMITS", 1)
    assert (paths(data_files(store, NAME, 0)), data_files(store, NAME, 1)) == (["a"], None)
    monkeypatch.setattr(log, "REPLAYED_COMMITS", 200)
    monkeypatch.setattr(log, "REPLAYED_BYTES", 100)
    assert data_files(store, NAME, 0) is None
    monkeypatch.setattr(log, "REPLAYED_BYTES", 10_000)
    (store.log_folder(NAME) / f"{0:020d}.json").unlink()
    assert data_files(store, NAME, 1) is None


def test_a_table_that_only_grew_has_no_past(written: Callable[..., Store]) -> None:
    store = written([add("as_of=2024-01-01/a%20b.parquet")], [add("c.parquet")], [remove("c.parquet"), add("d.parquet")])
    table = store.log_folder(NAME).parent
    (table / "as_of=2024-01-01").mkdir()
    for path in ("as_of=2024-01-01/a b.parquet", "as_of=2024-01-01/.a b.parquet.crc", "c.parquet"):
        (table / path).write_text("rows")
    assert is_without_past(store, NAME, 1)
    assert not is_without_past(store, NAME, 2)  # c was removed
    assert not is_without_past(store, NAME, -1)
    # A file of a write that was cut off, change data, a deletion vector, a log that is cut.
    (table / "e.parquet").write_text("rows")
    assert not is_without_past(store, NAME, 1)
    (table / "e.parquet").unlink()
    for action in ({"cdc": {"path": "_change_data/x"}}, add("c.parquet", deletionVector={"storageType": "u"})):
        (store.log_folder(NAME) / f"{2:020d}.json").write_text(json.dumps(action) + "\n")
        assert not is_without_past(store, NAME, 2)
    (store.log_folder(NAME) / f"{0:020d}.json").unlink()
    assert not is_without_past(store, NAME, 1)


def test_rows_are_summed_by_day_and_unknown_where_a_file_was_not_counted(written: Callable[..., Store]) -> None:
    store = written([add("a", 2), add("b", 3, "2024-01-02")], [add("c", None, "2024-01-02")])
    two, three = data_files(store, NAME, 0), data_files(store, NAME, 1)
    assert two is not None
    assert three is not None
    assert [rows_of(two, on) for on in (None, date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3))] == [5, 2, 3, 0]
    assert [rows_of(three, on) for on in (None, date(2024, 1, 1), date(2024, 1, 2))] == [None, 2, None]
    plain = [DataFile("", {}, 1, 4, {}, {})]
    assert (rows_of(plain), rows_of(plain, date(2024, 1, 1)), rows_of([])) == (4, None, 0)


def test_a_file_is_ruled_out_by_partition_and_by_least_and_greatest_value(written: Callable[..., Store]) -> None:
    (file,) = data_files(written([add("a")]), NAME, 0) or []
    day = {"as_of": ["2024-01-01"]}
    assert [may_hold(file, {**day, "job": [job]}) for job in ("a", "b", "c", "d", "e")] == [False, True, True, True, False]
    assert may_hold(file, {"job": ["a", "e"]}) is False
    assert may_hold(file, {"job": ["a", "c"]}) is True
    assert may_hold(file, {"as_of": ["2024-01-02"], "job": ["c"]}) is False
    # No statistics of the column: it may.
    assert may_hold(file, {**day, "stage": ["x"]}) is True
    assert may_hold(file, {}) is True


def test_a_commit_is_an_append_of_its_files_or_none(written: Callable[..., Store]) -> None:
    store = written([add("a"), add("b")], [remove("a"), add("c")], [add(str(n)) for n in range(101)])
    found = added_files(store, NAME, 0)
    assert found is not None
    assert [json.loads(action)["add"]["path"] for action in found] == ["a", "b"]
    assert [added_files(store, NAME, at) for at in (1, 2, 3)] == [None, None, None]

"""Which files a run has begun and not finished, by the notes of a local lake."""

from __future__ import annotations

from collections.abc import Callable

from shoal.ingest.unfinished import note_unfinished, strike_finished, unfinished_ids, unfinished_runs
from shoal.lake.lake import Lake


def test_files_are_noted_until_they_are_finished_by_whichever_run(make_lake: Callable[..., Lake]) -> None:
    first, second = make_lake(run_id="r1"), make_lake(run_id="r2")
    assert (unfinished_ids(first), unfinished_runs(first)) == (set(), set())
    note_unfinished(first, ["a", "b"])
    note_unfinished(second, ["b", "c"])
    assert (unfinished_ids(second), unfinished_runs(second)) == ({"a", "b", "c"}, {"r1"})
    strike_finished(second, ["b", "c"])
    assert (unfinished_ids(first), unfinished_runs(second), unfinished_runs(first)) == ({"a"}, {"r1"}, set())
    strike_finished(second, ["a"])
    assert (unfinished_ids(first), list((first.root / ".unfinished").iterdir())) == (set(), [])


def test_nothing_is_noted_for_no_file(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    note_unfinished(lake, [])
    assert not (lake.root / ".unfinished").exists()

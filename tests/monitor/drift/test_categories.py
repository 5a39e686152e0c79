"""Categories in bounded memory: which are kept, what is counted before the rest is folded, which are too rare to compare."""

from __future__ import annotations

from shoal.monitor.drift.categories import OTHER, CategoryCounts
from shoal.monitor.drift.profiles import profile_category


def counted(rows: dict[str, tuple[int, ...]], keep: int = 100, nulls: int = 0) -> CategoryCounts:
    windows = len(next(iter(rows.values())))
    counts = CategoryCounts(windows, keep)
    for window in range(windows):
        counts.count(window, sum(seen[window] for seen in rows.values()) + nulls, nulls)
    for name in sorted(rows):
        counts.add(name, rows[name])
    return counts


def test_the_largest_share_of_any_window_is_kept() -> None:
    # b is small in the large window but half of the small one: shares decide, not rows.
    counts = counted({"a": (5, 900), "b": (5, 10), "c": (0, 90)}, keep=2)
    assert counts.kept() == {"a": (5, 900), "b": (5, 10)}
    assert counts.distinct == [2, 3]


def test_of_equal_shares_the_smaller_name_is_kept() -> None:
    assert set(counted({"a": (5, 5), "b": (5, 5), "c": (5, 5)}, keep=2).kept()) == {"a", "b"}


def test_what_is_not_kept_is_one_category() -> None:
    counts = counted({"a": (50, 500), "b": (30, 100), "c": (20, 400)}, keep=1)
    old, new = counts.table(1)
    assert (old.tolist(), new.tolist()) == ([500, 500], [50, 50])


def test_rare_categories_are_compared_with_the_rest() -> None:
    # 5 rows are expected of c in the smaller window only if it has 55 rows of both: (4 + 40) x 100 / 1100 = 4
    counts = counted({"a": (60, 600), "b": (36, 360), "c": (4, 40)})
    old, new = counts.table(1)
    assert (old.tolist(), new.tolist()) == ([600, 360, 40], [60, 36, 4])
    assert profile_category(counts, 0)["category_counts"] == [("a", 60), ("b", 36), ("c", 4)]


def test_new_categories_are_counted_before_anything_is_folded() -> None:
    counts = counted({f"c{i}": (1, 0) for i in range(9)} | {"old": (91, 97), "once": (0, 1), "twice": (0, 2)}, keep=1)
    new = counts.new[1]
    assert (new.rows, new.count, new.once, new.twice) == (9, 9, 1, 1)
    assert new.examples == ["c0", "c1", "c2", "c3", "c4"]


def test_profile_names_the_rest_and_counts_nulls() -> None:
    profile = profile_category(counted({"a": (50, 1), "b": (30, 1), "c": (20, 1)}, keep=1, nulls=100), 0)
    assert profile["category_counts"] == [("a", 50), (OTHER, 50)]
    assert (profile["row_count"], profile["null_share"], profile["distinct_count"]) == (200, 0.5, 3)


def test_a_category_with_the_name_of_the_rest_is_part_of_it() -> None:
    profile = profile_category(counted({"a": (50, 1), OTHER: (30, 1)}), 0)
    assert profile["category_counts"] == [("a", 50), (OTHER, 30)]

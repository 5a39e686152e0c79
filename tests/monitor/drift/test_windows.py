"""Which days are compared with which."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from shoal.monitor.drift.windows import Span, event_spans, snapshot_spans


def day(number: int) -> date:
    return date(2024, 1, 1) + timedelta(days=number)


def spans(first: int, as_of: int, window_days: int, baseline: int | None = None) -> dict[str, tuple[int, int]]:
    """Name to first and last day, all as days since 2024-01-01."""
    found = event_spans(day(first), day(as_of), window_days, None if baseline is None else day(baseline))
    zero = day(0)
    return {name: ((s.start - zero).days, (s.end - zero).days) for s in found for name in s.names}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        # a long history: three windows of ten days
        ((0, 99, 10), {"current": (90, 99), "previous": (80, 89), "baseline": (0, 9)}),
        # two and a half windows: baseline and previous overlap
        ((0, 24, 10), {"current": (15, 24), "previous": (5, 14), "baseline": (0, 9)}),
        # two windows: both references are the same one
        ((0, 19, 10), {"current": (10, 19), "previous": (0, 9), "baseline": (0, 9)}),
        # one and a half: what there is before the current window
        ((0, 14, 10), {"current": (5, 14), "previous": (0, 4), "baseline": (0, 4)}),
        # nothing before it
        ((5, 14, 10), {"current": (5, 14)}),
        # a fixed baseline ends with its day; where that reaches into the current window it is cut
        ((0, 99, 10, 50), {"current": (90, 99), "previous": (80, 89), "baseline": (41, 50)}),
        ((0, 99, 10, 95), {"current": (90, 99), "previous": (80, 89), "baseline": (86, 89)}),
        # a fixed baseline before the history began
        ((30, 99, 10, 20), {"current": (90, 99), "previous": (80, 89)}),
    ],
)
def test_windows_of_events(arguments: tuple[int, ...], expected: dict[str, tuple[int, int]]) -> None:
    assert spans(*arguments) == expected


def test_one_window_with_both_names_is_read_once() -> None:
    assert [span.names for span in event_spans(day(0), day(19), 10, None)] == [("current",), ("previous", "baseline")]


def test_windows_of_snapshots() -> None:
    now, old, older = day(9), day(8), day(1)
    current = Span(("current",), now, now)
    assert snapshot_spans(None, None, None, now) == [current]
    assert snapshot_spans(old, old, None, now) == [current, Span(("previous", "baseline"), old, old)]
    apart = [current, Span(("previous",), old, old), Span(("baseline",), older, older)]
    assert snapshot_spans(older, old, None, now) == apart
    fixed = [current, Span(("previous",), old, old), Span(("baseline",), day(5), day(5))]
    assert snapshot_spans(older, old, day(5), now) == fixed

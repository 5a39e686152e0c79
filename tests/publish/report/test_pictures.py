"""Figures: text stays text, ids do not meet, the same numbers give the same bytes."""

from __future__ import annotations

import re
from datetime import date, timedelta
from xml.etree import ElementTree

import pytest
from markupsafe import Markup
from shoal.publish.report import pictures

MARK = (2.0, "mean 2.00")


def every_figure(suffix: str = "") -> dict[str, Markup]:
    days = [date(2024, 1, 1) + timedelta(n) for n in range(40)]
    shares = [("baseline", [0.5, 0.5]), ("current", [0.25, 0.75])]
    curve = [("baseline", [(1.0, 0.1), (2.0, 0.9)]), ("current", [(1.0, 0.2), (4.0, 1.0)])]
    return {
        "histogram": pictures.histogram(f"h{suffix}", [1, 2, 3], [4.0, 5.0], "rating", "ratings", MARK),
        "steps": pictures.steps(f"s{suffix}", [0, 1, 2], shares, "x", "share"),
        "cumulative": pictures.cumulative(f"c{suffix}", curve, "x", "share"),
        "paired_bars": pictures.paired_bars(f"p{suffix}", ["view", "like"], shares, "share"),
        "curves": pictures.curves(f"k{suffix}", [5, 10], [(f"m{n}", [0.1, None if n else n]) for n in range(9)], "k", "NDCG"),
        "log_log": pictures.log_log(f"l{suffix}", [(1, 1000), (10, 10), (100, 1)], "rank", "events"),
        "area": pictures.area(f"a{suffix}", days, [float(n) for n in range(40)], "events a day"),
    }


def test_the_same_numbers_give_the_same_bytes() -> None:
    assert every_figure() == every_figure()


@pytest.mark.parametrize("name", list(every_figure()))
def test_a_figure_is_one_element_without_anything_from_outside(name: str) -> None:
    svg = every_figure()[name]
    root = ElementTree.fromstring(svg)
    assert root.tag == "svg"
    assert "metadata" not in svg
    links = re.findall(r'(?:href|src)="([^"]*)"', svg)
    assert all(link.startswith("#") for link in links)
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    targets = {link[1:] for link in links} | set(re.findall(r"url\(#([^)]*)\)", svg))
    assert targets <= set(ids)


def test_ids_of_two_figures_do_not_meet() -> None:
    first, second = (set(re.findall(r' id="([^"]*)"', svg)) for svg in (every_figure()["steps"], every_figure("2")["steps"]))
    assert first
    assert first & second == set()


def test_words_stay_words_and_are_escaped() -> None:
    hostile = "<script>alert('$x$ & y')</script>"
    svg = pictures.paired_bars("p", [hostile, "$\\frac$", "日本語 👍"], [("now", [0.2, 0.3, 0.5])], "share")
    words = [t.text for t in ElementTree.fromstring(svg).iter("text")]
    assert hostile in words
    assert "$\\frac$" in words  # no mathematics is made of a dollar
    assert "日本語 👍" in words
    assert "<script" not in svg


def test_a_single_point_has_axes() -> None:
    assert "<path" in pictures.log_log("one", [(1.0, 1.0)], "rank", "events")
    assert "<path" in pictures.area("one", [date(2024, 1, 1)], [3.0], "events")


def test_numbers_on_axes_are_short() -> None:
    shown = [pictures.short_number(v) for v in (0, 0.5, 1500, 25_000, 3_000_000, 2.5e9)]
    assert shown == ["0", "0.5", "1,500", "25k", "3M", "2.5B"]

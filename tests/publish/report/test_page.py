"""The page: whole, escaped, sufficient to itself."""

from __future__ import annotations

import re
from datetime import date
from html.parser import HTMLParser

import pytest
from markupsafe import Markup
from shoal.publish.report.blocks import Bar, Bars, Cell, Figure, Missing, Part, Prose, Table, Tile, Tiles
from shoal.publish.report.page import Heading, lake_heading, page

HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=y>"
VOID = {"meta", "link", "br", "hr", "img", "input", "path"}


class Reader(HTMLParser):
    """Every tag with its attributes, the text, and whether tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.faults: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and (not self.open or self.open.pop() != tag):
            self.faults.append(tag)

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text += data


def assert_sufficient_to_itself(text: str) -> Reader:
    """No script, no handler, nothing loaded: every link leads into the page, and every id is there once."""
    read = Reader(text)
    assert read.faults == []
    assert read.open == []
    names = {tag for tag, _ in read.tags}
    assert not names & {"script", "link", "iframe", "object", "embed", "form", "img", "base", "foreignobject"}
    ids = [attrs["id"] for _, attrs in read.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in read.tags:
        assert not [name for name in attrs if name.startswith("on")]
        for name in ("href", "src", "xlink:href", "srcset", "action"):
            if attrs.get(name) is not None:
                assert str(attrs[name])[:1] == "#"
                assert str(attrs[name])[1:] in ids
    assert not re.search(r"@import|url\((?!#)", text)
    assert "default-src 'none'" in text
    return read


@pytest.fixture
def heading() -> Heading:
    return lake_heading(HOSTILE, date(2024, 3, 31), "run-1", "abc+", Tiles([Tile("Users", "1,500")]))


@pytest.fixture
def parts() -> list[Part]:
    svg = Markup('<svg viewBox="0 0 1 1" aria-hidden="true"><path d="M0 0"></path></svg>')
    chip = Cell("critical", HOSTILE, "chip", "critical")
    rows = [[Cell(HOSTILE, kind="code"), chip], [Cell("b", swatch="#0072b2"), Cell("", share=0.5)]]
    table = Table(HOSTILE, ["Column", HOSTILE], rows)
    bars = Bars(HOSTILE, [Bar(HOSTILE, 0.25, HOSTILE, True, HOSTILE)], HOSTILE)
    return [
        Part("first", "First", HOSTILE, [table, Figure(svg, HOSTILE, HOSTILE, svg), Prose(HOSTILE)], "1 < 2 " + HOSTILE),
        Part("second", "Second", "", [bars], "", frozenset({"psi"})),
        Part("third", "Third", "", [Missing(HOSTILE, HOSTILE, HOSTILE)]),
    ]


def test_data_is_escaped_wherever_it_stands(heading: Heading, parts: list[Part]) -> None:
    text = page(heading, parts)
    read = assert_sufficient_to_itself(text)
    assert "<script" not in text
    assert "onerror" not in {name for _, attrs in read.tags for name in attrs}
    # Once in the heading, and once for every place above; alternative texts and labels of narrow tables are attributes.
    assert read.text.count(HOSTILE) == 17
    assert [attrs["aria-label"] for tag, attrs in read.tags if attrs.get("role") == "img"] == [HOSTILE, HOSTILE]


def test_the_page_has_an_order_that_can_be_heard(heading: Heading, parts: list[Part]) -> None:
    read = Reader(page(heading, parts))
    tags = [tag for tag, _ in read.tags]
    assert tags.count("h1") == 1
    assert [attrs.get("lang") for tag, attrs in read.tags if tag == "html"] == ["en"]
    assert [attrs["href"] for tag, attrs in read.tags if tag == "a"][1:5] == ["#first", "#second", "#third", "#glossary"]
    assert all(attrs.get("scope") for tag, attrs in read.tags if tag == "th")
    assert "width=device-width" in page(heading, parts)
    assert "Population stability index" in read.text


def test_widths_are_numbers(heading: Heading, parts: list[Part]) -> None:
    styles = {attrs["style"] for _, attrs in Reader(page(heading, parts)).tags if "style" in attrs}
    assert styles == {"width:50.0%", "width:25.0%", "background:#0072b2"}


def test_the_same_parts_give_the_same_page(heading: Heading, parts: list[Part]) -> None:
    assert page(heading, parts) == page(heading, parts)


def test_a_page_without_findings_or_terms(heading: Heading) -> None:
    text = page(heading, [Part("only", "Only", "Nothing.", [])])
    assert_sufficient_to_itself(text)
    assert "Glossary" not in text


def contrast(one: str, other: str) -> float:
    """WCAG 2.1 contrast ratio of two #rrggbb colours."""

    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_can_be_read() -> None:
    """WCAG AA: 4.5 to 1 for text; the pairs that the style uses."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    pairs = [
        ("#1c2733", "#ffffff"), ("#56636f", "#ffffff"), ("#56636f", "#f5f7f9"), ("#005a8d", "#ffffff"), ("#00694d", "#e6f4ef"),
        ("#8a5200", "#fdf2de"), ("#a83200", "#fce8df"), ("#a84a00", "#ffffff"),
    ]  # fmt: skip
    assert {pair: round(contrast(*pair), 2) for pair in pairs if contrast(*pair) < 4.5} == {}

"""Numbers as people read them."""

from __future__ import annotations

from datetime import date

import pytest
from shoal.publish.report import wording


@pytest.mark.parametrize(
    ("function", "value", "shown"),
    [
        (wording.count, 1234567, "1,234,567"),
        (wording.count, 0, "0"),
        (wording.count, None, "–"),
        (wording.share, 0.4567, "45.7%"),
        (wording.share, 0.0, "0.0%"),
        (wording.share, 1.0, "100.0%"),
        (wording.share, 0.0004, "<0.1%"),  # not 0.0%: it is there
        (wording.share, 0.9996, ">99.9%"),  # not 100.0%: not all
        (wording.decimal, 3.14159, "3.142"),
        (wording.decimal, 0.0, "0"),
        (wording.decimal, 0.000012, "1.2e-05"),
        (wording.decimal, 12345.6, "12,346"),
        (wording.decimal, -0.5, "-0.5"),
        (wording.decimal, 3e300, "3.000e+300"),
        (wording.metric, 0.25, "0.2500"),
        (wording.metric, 1869.2, "1869"),
        (wording.metric, None, "–"),
        (wording.p_value, 0.0004, "<0.001"),
        (wording.p_value, 0.05, "0.050"),
        (wording.seconds, 0.04, "0.0 s"),
        (wording.seconds, 61.4, "61 s"),
        (wording.seconds, 200, "3 min 20 s"),
        (wording.seconds, 7501, "2 h 05 min"),
        (wording.seconds, None, "–"),
        (wording.day, date(2025, 6, 3), "3 June 2025"),
        (wording.day, None, "–"),
    ],
)
def test_numbers_are_written_for_people(function: object, value: object, shown: str) -> None:
    assert function(value) == shown  # type: ignore[operator]


def test_nouns_follow_their_number() -> None:
    assert [wording.plural(n, "run") for n in (0, 1, 1200)] == ["0 runs", "1 run", "1,200 runs"]
    assert wording.plural(2, "community", "communities") == "2 communities"


def test_texts_are_one_line_of_bounded_length() -> None:
    assert wording.shortened("a\n b\x00\tc") == "a b c"
    assert wording.shortened(None) == ""
    assert wording.shortened("x" * 200, 10) == "x" * 9 + "…"
    assert wording.shortened("abc\u202edef") == "abc def"  # a mark that turns the writing's direction
    assert wording.shortened("👩\u200d👩\u200d👧") == "👩\u200d👩\u200d👧"  # one family, held by joiners
    assert wording.shortened("مرحبا") == "مرحبا"

"""SHOAL_TOKENS: its form, and one line for every mistake, without the token."""

from __future__ import annotations

from datetime import date

import pytest
from shoal.errors import UsageError
from shoal.publish.api.tokens import parse_tokens


def test_the_form() -> None:
    found = parse_tokens(" web:0123456789abcdef:read+write,\njobs:fedcba9876543210:score:2027-01-31,")
    assert [(each.name, sorted(each.scopes), each.last_day) for each in found] == [
        ("web", ["read", "write"], None), ("jobs", ["score"], date(2027, 1, 31)),
    ]  # fmt: skip
    assert b"0123456789abcdef" not in found[0].digest


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("web", "entry 1 has another form"),
        ("a:0123456789abcdef:read,b:short:read", "the token of b has 5 characters; expected at least 16"),
        ("a:0123456789abcdef:admin", "the scopes of a are admin; expected some of read+score+write"),
        ("a:0123456789abcdef:read:soon", "the expiry of a is soon; expected a day as YYYY-MM-DD"),
        ("a:0123456789abcdef:read,a:0123456789abcdeg:read", "two tokens are called a"),
        ("a b:0123456789abcdef:read", "entry 1 has another form"),
    ],
)
def test_mistakes(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says.replace("+", r"\+")) as caught:
        parse_tokens(text)
    assert "0123456789abcdef" not in str(caught.value)

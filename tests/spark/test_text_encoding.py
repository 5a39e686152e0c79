"""Which locales have UTF-8, and what a process that begins meanwhile sees."""

from __future__ import annotations

import os

import pytest
from shoal.spark.text_encoding import names_utf8, utf8_locale_for_children


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"LANG": "en_US.UTF-8"}, True),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "C"}, False),
        ({"LANG": "C", "LC_CTYPE": "de_DE.utf8@euro"}, True),
        ({"LC_ALL": "", "LANG": "fr_FR.ISO-8859-1"}, False),
    ],
)
def test_the_first_variable_that_is_set_counts(environment: dict[str, str], expected: bool) -> None:
    assert names_utf8(environment) == expected


def test_children_have_a_utf8_locale_and_this_process_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    with utf8_locale_for_children():
        assert os.environ["LC_ALL"] == "C.UTF-8"
    assert os.environ["LC_ALL"] == "C"
    monkeypatch.delenv("LC_ALL")
    monkeypatch.delenv("LC_CTYPE", raising=False)
    monkeypatch.setenv("LANG", "C")
    with utf8_locale_for_children():
        assert os.environ["LC_ALL"] == "C.UTF-8"
    assert "LC_ALL" not in os.environ
    monkeypatch.setenv("LANG", "sv_SE.UTF-8")
    with utf8_locale_for_children():
        assert "LC_ALL" not in os.environ

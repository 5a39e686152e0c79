"""Prometheus' text format, read back by a parser of its grammar."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from shoal.errors import UsageError
from shoal.monitor.alerts.exposition import Gauge, exposition, write_whole

LINE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (\S+)$')
UNESCAPED = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"')


def parse(text: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Family to labels to value. Fails where a line is none, a family comes without its type before it, or in two places."""
    assert text == "" or text.endswith("\n")
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    family = ""
    for line in text.splitlines():
        if line.startswith("# HELP "):
            assert line.split(" ")[2] not in found
            continue
        if line.startswith("# TYPE "):
            _, _, family, kind = line.split(" ")
            assert kind == "gauge"
            found[family] = {}
            continue
        match = LINE.match(line)
        assert match, line
        name, labels, value = match.groups()
        assert name == family
        read = tuple((n, re.sub(r"\\.", lambda m: UNESCAPED[m[0]], v)) for n, v in LABEL.findall(labels or ""))
        assert read not in found[family]
        found[family][read] = float(value)
    return found


def test_what_is_written_is_read_back() -> None:
    odd = 'a"b\\c\nd, e=1} ä'
    values = {(("table", odd), ("rule", "x")): 0.1 + 0.2, (("table", "t"), ("rule", "y")): -3.0, (): 1e300}
    text = exposition([Gauge("shoal_a", "A \\ and\na line.", values), Gauge("shoal_none", "Without values."),
                       Gauge("shoal_b", "B.", {(): math.inf})])  # fmt: skip
    assert parse(text) == {"shoal_a": values, "shoal_b": {(): math.inf}}
    assert "# HELP shoal_a A \\\\ and\\na line.\n# TYPE shoal_a gauge\n" in text
    assert 'shoal_a{table="t",rule="y"} -3\n' in text
    assert math.isnan(parse(exposition([Gauge("x", "X.", {(): math.nan})]))["x"][()])
    assert exposition([]) == ""


@pytest.mark.parametrize("gauge", [Gauge("1a", "x"), Gauge("a-b", "x"), Gauge("a", "x", {(("__b", "c"),): 1.0})])
def test_a_name_that_prometheus_does_not_take_is_refused(gauge: Gauge) -> None:
    with pytest.raises(ValueError, match="no name of"):
        exposition([gauge])


def test_a_family_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="there twice"):
        exposition([Gauge("a", "x"), Gauge("a", "x")])


def test_a_file_is_put_in_place_whole(tmp_path: Path) -> None:
    path = tmp_path / "shoal.prom"
    write_whole(path, "a 1\n")
    before = path.stat().st_ino
    write_whole(path, "a 2\n")
    assert path.read_text() == "a 2\n"
    assert path.stat().st_ino != before  # another file took its place: nobody reads half of it
    assert [each.name for each in tmp_path.iterdir()] == ["shoal.prom"]
    (tmp_path / "folder.prom").mkdir()
    with pytest.raises(UsageError, match=r"--output .*folder\.prom: "):
        write_whole(tmp_path / "folder.prom", "a 1\n")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder.prom", "shoal.prom"]

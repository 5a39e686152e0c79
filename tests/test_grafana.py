"""deploy/grafana: the committed dashboard is the generated one, over metrics that are written, in PromQL that Prometheus parses."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
from pathlib import Path
from typing import Any

import pytest
from shoal.monitor.alerts.values import job_figures
from shoal.publish.api.telemetry import Metrics
from shoal.testing.debian import program

from tests.test_prometheus import GAUGES

FOLDER = Path(__file__).resolve().parents[1] / "deploy" / "grafana"
TEXT = (FOLDER / "shoal.json").read_text(encoding="utf-8")
DASHBOARD: dict[str, Any] = json.loads(TEXT)
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]


def test_the_committed_file_is_what_the_generator_makes() -> None:
    """`python deploy/grafana/dashboard.py` writes it anew."""
    assert runpy.run_path(str(FOLDER / "dashboard.py"))["text"]() == TEXT


def test_every_panel_asks_for_metrics_that_are_written() -> None:
    metrics = Metrics()
    metrics.observe("/x", "GET", 200, 0.001)
    written = set(re.findall(r"^(shoal_\w+)", metrics.text("v", 1.0), re.MULTILINE))
    written |= set(re.findall(r'Gauge\(\s*"(shoal_\w+)"', GAUGES.read_text(encoding="utf-8")))
    written |= {f"shoal_job_{name}" for name in job_figures() if name != "seconds"}
    assert len(PANELS) == 23 and len(EXPRESSIONS) == 27
    for expression in EXPRESSIONS:
        used = set(re.findall(r"\bshoal_\w+", expression))
        assert used and used <= written, expression


def test_promtool_parses_every_expression(tmp_path: Path) -> None:
    promtool = program("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")

    def checked(expressions: list[str]) -> subprocess.CompletedProcess[str]:
        rules = []
        for place, expression in enumerate(expressions):
            asked = expression.replace("$job", ".*").replace("$__rate_interval", "5m")
            assert "$" not in asked
            rules.append({"record": f"panel:{place}", "expr": asked})
        # JSON is YAML.
        (tmp_path / "rules.yaml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
        return subprocess.run([promtool, "check", "rules", "rules.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False)

    done = checked(EXPRESSIONS)
    assert done.returncode == 0 and f"{len(EXPRESSIONS)} rules found" in done.stdout, done.stdout + done.stderr
    assert checked([*EXPRESSIONS, "sum by (job (shoal_run_success)"]).returncode == 1


def test_panels_lie_beside_each_other_and_name_the_data_source_that_is_chosen() -> None:
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in PANELS]
    assert len(set(places)) == len(PANELS) and all(p["gridPos"]["x"] + p["gridPos"]["w"] <= 24 for p in PANELS)
    assert {p["datasource"]["uid"] for p in PANELS} == {"${datasource}"}
    assert [v["name"] for v in DASHBOARD["templating"]["list"]] == ["datasource", "job"] and DASHBOARD["uid"] == "shoal"

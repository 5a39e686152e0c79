"""deploy/prometheus against what `shoal metrics` writes, and against promtool where there is one."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from shoal.monitor.alerts.values import job_figures
from shoal.testing.debian import program

FOLDER = Path(__file__).resolve().parents[1] / "deploy" / "prometheus"
RULES: dict[str, Any] = yaml.safe_load((FOLDER / "rules.yaml").read_text(encoding="utf-8"))
GAUGES = Path(__file__).resolve().parents[1] / "lib" / "shoal" / "monitor" / "alerts" / "gauges.py"


def test_a_rule_speaks_of_gauges_that_are_written() -> None:
    written = set(re.findall(r'Gauge\(\s*"(shoal_\w+)"', GAUGES.read_text(encoding="utf-8")))
    written |= {f"shoal_job_{name}" for name in job_figures() if name != "seconds"}
    assert len(written) > 20
    for rule in RULES["groups"][0]["rules"]:
        used = set(re.findall(r"\bshoal_\w+", rule["expr"]))
        assert used, rule["alert"]
        assert used <= written, rule["alert"]
        assert rule["annotations"]["summary"]


COMMANDS = {
    "check": ["check", "rules", "rules.yaml"],
    "test": ["test", "rules", "rules_test.yaml"],
    "config": ["check", "config", "--syntax-only", "prometheus.yaml"],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_promtool_agrees(command: list[str]) -> None:
    promtool = program("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    done = subprocess.run([promtool, *command], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

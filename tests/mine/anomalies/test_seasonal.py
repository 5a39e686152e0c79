"""A series against its own past."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from shoal.mine.anomalies.seasonal import DAY, AlarmRule, score_series

RULE = AlarmRule(0.001, 5)


def test_planted_days_are_found_and_ordinary_ones_are_not_raised() -> None:
    """Twelve series of two years of days with a weekly season and a trend; four days each are three times what they would be."""
    draw = np.random.default_rng(0)
    found = wrong = 0
    for _ in range(12):
        days = np.arange(730)
        values = draw.poisson(50 + 20 * np.sin(days / 7 * 2 * np.pi) + days * 0.1).astype(float)
        planted = set(draw.choice(np.arange(60, 730), 4, replace=False).tolist())
        values[list(planted)] *= 3
        raised = set(np.flatnonzero(score_series(days * DAY, values, RULE).is_anomaly).tolist())
        found, wrong = found + len(raised & planted), wrong + len(raised - planted)
    assert found >= 44 and wrong <= 8


def test_the_future_changes_no_score() -> None:
    draw = np.random.default_rng(1)
    hours = np.arange(24 * 30) * (DAY // 24)
    values = draw.poisson(20, len(hours)).astype(float)
    whole, half = score_series(hours, values, RULE), score_series(hours[:400], values[:400], RULE)
    assert np.array_equal(whole.score[24:400], half.score[24:400])
    assert np.array_equal(whole.expected[24:400], half.expected[24:400])


@pytest.mark.parametrize(
    "values",
    [[], [5.0], [3.0] * 50, [float("nan")] * 5, [0.0] * 30, [-1.0] * 30],
    ids=["none", "one", "constant", "nothing measured", "zeros", "negative constant"],
)
def test_series_without_anything_odd_have_scores_of_zero(values: list[float]) -> None:
    found = score_series(np.arange(len(values)) * DAY, np.array(values), RULE)
    assert found.score.tolist() == [0.0] * len(values)
    assert not found.is_anomaly.any()
    assert np.isfinite(found.expected).all() and np.isfinite(found.low).all()


def test_gaps_and_moments_that_come_twice() -> None:
    """A jump after a gap of ten years is found; two values of one moment share what is expected."""
    times = np.concatenate([np.arange(40), [3_700, 3_700, 3_701]]) * DAY
    values = np.array([10.0, 11.0] * 20 + [10.0, 11.0, 500.0])
    found = score_series(times, values, RULE)
    assert np.flatnonzero(found.is_anomaly).tolist() == [42]
    assert found.expected[40] == found.expected[41]
    assert found.expected[42] == pytest.approx(10.5, abs=0.6)
    assert found.low[42] <= found.expected[42] <= found.high[42] < 500


def test_the_budget_and_the_quiet_period_bound_what_is_raised() -> None:
    minutes = np.arange(2880) * (DAY // 288)
    values = np.random.default_rng(2).poisson(50, 2880).astype(float)
    values[2000:2012] = 5_000  # one event of an hour
    found = score_series(minutes, values, RULE)
    assert np.flatnonzero(found.is_anomaly & (values == 5_000)).size == 1
    assert found.is_anomaly.sum() <= AlarmRule(0.001, 5).budget(2880) == 5
    assert [AlarmRule(0.001, 5).budget(n) for n in (0, 1, 100, 730, 20_000)] == [0, 1, 1, 5, 20]


def test_the_five_series_of_the_numenta_benchmark(data: Path, tmp_path: Path) -> None:
    """Numenta's standard score of what is raised by the shipped settings; the largest .25% of values alone score 41."""
    folder = data / "nab"
    rows = []
    for name in json.loads((folder / "windows.json").read_text()):
        series = pd.read_csv(folder / name)
        moments = pd.to_datetime(series["timestamp"]).to_numpy().astype("datetime64[us]").astype(np.int64)
        found = score_series(moments, series["value"].to_numpy(float), RULE)
        rows += [(name, when) for when in series["timestamp"][found.is_anomaly]]
    file = tmp_path / "raised.csv"
    pd.DataFrame(rows, columns=["series", "timestamp"]).to_csv(file, index=False)
    said = subprocess.run([sys.executable, folder / "score.py", folder, file], capture_output=True, text=True, check=True)
    scored = json.loads(said.stdout)
    assert scored["nab_standard"] >= 60
    assert scored["raised_share"] <= 0.0025

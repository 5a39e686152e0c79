"""The rows that an evaluation leaves in a lake."""

from __future__ import annotations

from typing import Any

from shoal.models.evaluations import evaluation_rows, result_from
from shoal.models.metrics_table import EVALUATION

SAID: dict[str, Any] = {
    "models": {"als": {"users": 4, "ndcg@10": 0.25, "coverage@10": 0.5, "rmse": 0.9}, "random": {"users": 4, "ndcg@10": None}},
    "slices": {"als": {"no_history": {"users": 1, "ndcg@10": 0.0}}, "random": {}},
    "curves": {"als": {"ndcg@10": 0.25, "ndcg@20": 0.375}, "random": {}},
    "ratings": {"als": {"rmse": 0.9, "mae": 0.7, "ratings": 12}, "mean": {"rmse": 1.0, "mae": 0.8, "ratings": 12}},
    "new_items": {"content": {"users": 2, "ndcg@10": 1.0}},
    "settings": {"als": {"rank": 8}},
}


def test_one_row_a_model_slice_and_metric() -> None:
    rows = evaluation_rows(result_from(SAID))
    assert {(row[0], row[-1]) for row in rows} == {(EVALUATION, False)}
    assert [row[1:-1] for row in rows] == [
        ("als", "evaluation", "all", "ndcg@10", 0.25, 4), ("als", "evaluation", "all", "coverage@10", 0.5, 4),
        ("als", "evaluation", "all", "ndcg@20", 0.375, 4), ("als", "evaluation", "no_history", "ndcg@10", 0.0, 1),
        ("als", "evaluation", "ratings", "rmse", 0.9, 12), ("als", "evaluation", "ratings", "mae", 0.7, 12),
        ("random", "baseline", "all", "ndcg@10", None, 4), ("content", "evaluation", "new_items", "ndcg@10", 1.0, 2),
        ("mean", "baseline", "ratings", "rmse", 1.0, 12), ("mean", "baseline", "ratings", "mae", 0.8, 12),
    ]  # fmt: skip

"""Metrics beside their baselines."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest
from pyspark.sql import DataFrame, SparkSession
from shoal.publish.report.blocks import Bars, Figure, Missing, Prose
from shoal.publish.report.glossary import TERMS, glossary_part, shown_name
from shoal.publish.report.models import evaluation_blocks, metric_bars, models_part

ROWS = (
    "task string, model string, model_version string, slice string, metric string, value double, units bigint, is_champion boolean"
)


@pytest.fixture(scope="module")
def metrics(spark: SparkSession) -> DataFrame:
    rows = [
        ("recommender", "als", "7", "all", "ndcg@10", 0.2, 50, True),
        ("recommender", "popularity", "baseline", "all", "ndcg@10", 0.1, 50, False),
        ("recommender", "random", "baseline", "all", "ndcg@10", None, 50, False),
        ("recommender", "als", "7", "short history", "ndcg@10", 0.9, 5, True),  # another slice
        ("recommender", "als", "7", "all", "coverage@10", 0.5, 50, True),
        ("sentiment", "logistic_regression", "1", "all", "macro_f1", 0.3, 1, True),
        ("sentiment", "majority", "baseline", "all", "macro_f1", 0.4, 1, False),
    ]
    return spark.createDataFrame(rows, ROWS)


def test_the_part_shows_models_before_baselines(metrics: DataFrame, day: date, absent: Callable[[str], Missing]) -> None:
    part = models_part(metrics, day, day, absent)
    bars = [b for b in part.blocks if isinstance(b, Bars)]
    assert [b.title for b in bars] == ["NDCG@10", "Coverage@10", "Macro-F1"]  # the most important first
    shown = [(b.label, b.text, b.share, b.is_main) for b in bars[0].bars]
    assert shown == [("als", "0.2000", 1.0, True), ("popularity", "0.1000", 0.5, False), ("random", "–", 0.0, False)]
    assert part.finding == (
        "Recommender: als beats popularity, the best baseline, on NDCG@10 (0.2000 against 0.1000). "
        "Sentiment: logistic_regression falls short of majority, the best baseline, on Macro-F1 (0.3000 against 0.4000)."
    )
    assert part.terms == {"ndcg", "coverage", "macro_f1"}


def test_the_last_evaluation_is_bars_over_models_and_curves_over_lengths() -> None:
    found = {
        "als": {"ndcg@5": 0.1, "ndcg@10": 0.2, "recall@5": 0.1, "recall@10": 0.3, "coverage@10": 0.5,
                "intra_list_diversity@10": 0.8},
        "random": {"ndcg@5": None, "ndcg@10": 0.05, "recall@5": 0.0, "recall@10": 0.0, "coverage@10": 1.0},
    }  # fmt: skip
    rows = [{"model": m, "metric": n, "value": v, "units": 7} for m, metrics in found.items() for n, v in metrics.items()]
    said, ndcg, ndcg_curve, varied, recall_curve = evaluation_blocks(rows, date(2024, 3, 1))
    assert isinstance(said, Prose)
    assert said.text == "The last evaluation, of 1 March 2024: 2 models by 7 users with held-out events."
    assert isinstance(ndcg, Bars)
    assert [(b.label, b.text, b.share, b.is_main, b.under) for b in ndcg.bars] == [
        ("als", "0.2000", 1.0, True, ""), ("random", "0.0500", 0.25, False, "baseline"),
    ]  # fmt: skip
    assert isinstance(varied, Bars)
    assert [(b.label, b.text) for b in varied.bars] == [("als", "0.8000"), ("random", "–")]
    assert isinstance(ndcg_curve, Figure)
    assert "als reaches 0.2000 at 10" in ndcg_curve.alt
    assert isinstance(recall_curve, Figure)
    assert {">als<" in recall_curve.svg, ">random<" in recall_curve.svg, ">Recall<" in recall_curve.svg} == {True}
    assert evaluation_blocks([{"model": "als", "metric": "ndcg@10", "value": 0.1, "units": 1}], date(2024, 3, 1)) == []


def test_where_lower_is_better_the_lowest_comes_first() -> None:
    rows = [{"model": m, "model_version": "1", "value": v, "is_champion": False} for m, v in (("a", 0.9), ("b", 0.8))]
    bars = metric_bars("rmse", rows)
    assert [b.label for b in bars.bars] == ["b", "a"]
    assert bars.note == "lower is better"


def test_an_earlier_day_is_named(metrics: DataFrame, day: date, absent: Callable[[str], Missing]) -> None:
    assert (
        "They are of 1 March 2024: nothing was trained on 31 March 2024."
        in models_part(metrics, date(2024, 3, 1), day, absent).lead
    )


def test_without_metrics_the_part_says_so(metrics: DataFrame, day: date, absent: Callable[[str], Missing]) -> None:
    for nothing in (None, metrics.limit(0)):
        assert [b.what for b in models_part(nothing, None, day, absent).blocks if isinstance(b, Missing)] == ["ops.model_metrics"]


def test_the_glossary_explains_what_is_shown_and_no_more() -> None:
    part = glossary_part({"ndcg@10", "psi", "unheard_of"})
    assert [term[0] for term in part.blocks[0].terms] == ["NDCG@k", "PSI"]  # type: ignore[union-attr]
    assert shown_name("ndcg@20") == "NDCG@20"
    assert shown_name("something@3") == "something@3"
    assert all(name and meaning.endswith(".") for name, meaning, _ in TERMS.values())


def test_every_metric_of_the_product_has_a_term() -> None:
    from shoal.monitor.drift import severity as judge
    from shoal.recommend.protocol.metrics import USER_METRICS

    assert set(USER_METRICS) <= set(TERMS)
    assert {*judge.NUMBER_METRICS, *judge.CATEGORY_METRICS, judge.MISSING_COLUMN} <= set(TERMS)

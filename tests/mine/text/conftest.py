"""One trained classifier for the tests of this folder: training is what costs."""

from __future__ import annotations

import random

import pytest
from pyspark.sql import DataFrame, SparkSession
from shoal.mine.text.classifier import Training, train_classifier
from shoal.mine.text.parts import Plan

GOOD, BAD = ("lovely", "great", "warm", "funny"), ("dull", "awful", "cold", "boring")
PLAN = Plan(0.2, 0.2, 10_000, 1, 1000, [0.3, 1.0], [0.0, 0.5], 1000, 42, word_ngrams=2, char_ngrams=(2, 3))


def make_texts() -> list[tuple[str | None, str | None, str | None]]:
    """150 reviews of three labels, 90 good, 45 bad and 15 mixed ("not good"), and four rows that cannot be learned from."""
    draw = random.Random(7)
    rows: list[tuple[str | None, str | None, str | None]] = []
    for i in range(150):
        filler = " ".join(draw.choice(("film", "plot", "cast", "scene", "sound")) for _ in range(4))
        if i % 10 == 9:
            rows.append((f"{filler} not good #{i}", "mixed", None))
        elif i % 10 in (1, 4, 7) or i % 20 == 8:
            rows.append((f"{filler} {draw.choice(BAD)} {i}", "bad", None))
        else:
            rows.append((f"{filler} {draw.choice(GOOD)} good {i}", "good", None))
    return [*rows, (None, "good", None), ("  \n", "bad", None), ("no label", None, None), ("blank label", " ", None)]


@pytest.fixture(scope="session")
def texts(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(make_texts(), "text string, label string, group string").coalesce(1)


@pytest.fixture(scope="session")
def training(texts: DataFrame) -> Training:
    return train_classifier(texts, PLAN)

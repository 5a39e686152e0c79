"""Federated training beside the pooled one: macro-F1 on people whose texts neither has seen, by how much noise.

Real texts, simulated people: texts of equal words are one, each person wrote TEXTS of them at random and belongs to one of SOURCES
sources, of which the first has half of the people and each further one half of the rest. A fifth of the people are held out. The
pooled training is `train_classifier` as `shoal run train_sentiment` has it: all terms, no noise, settings by search.
"""

from __future__ import annotations

import csv
import random
import sys
import time
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from shoal.conf.loading import load
from shoal.mine.text.classifier import train_classifier
from shoal.mine.text.federated import train_federated
from shoal.models.federated_texts import federated_plan, federation_of
from shoal.models.text_classifiers import plan_of

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data"
SOURCES, TEXTS, SEED = 4, 3, 11
# Without noise nothing need be bounded, and rounds are free.
WAYS: dict[str, tuple[str, ...]] = {
    "no noise": ("epsilon=none", "rounds=100", "clip_norm=3"),
    "epsilon 4": ("epsilon=4",),
    "epsilon 1": ("epsilon=1",),
    "epsilon 4, noise at the merge": ("epsilon=4", "noise_at=merge"),
    "epsilon 1, noise at the merge": ("epsilon=1", "noise_at=merge"),
}


def run(spark: SparkSession) -> list[dict[str, Any]]:
    """A row a set of texts and way; ours is the federated macro-F1, peer the pooled one."""
    return [row for name, texts in SETS.items() for row in measure(spark, name, texts())]


def measure(spark: SparkSession, name: str, texts: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """Train once on all rows, then once a way without pooling them."""
    frame = as_people(spark, texts).persist()
    pooled = train_classifier(frame, plan_of(load().train_sentiment)).quality
    rows = []
    for way, sets in WAYS.items():
        settings = load(sets=[f"train_federated.{pair}" for pair in sets])
        conf = settings.train_federated
        start = time.perf_counter()
        found = train_federated(frame, federated_plan(conf, settings.train_sentiment), federation_of(conf))
        seconds = time.perf_counter() - start
        ours, people = found.training.quality, sum(found.sources.values())
        assert ours.rows == pooled.rows
        rows.append({
            "what": f"{name}, {way}", "ours": ours.macro_f1, "peer": pooled.macro_f1,
            "ratio": ours.macro_f1 - pooled.macro_f1,
            "unit": "macro-F1 (ratio: the difference)", "target": "-.02",
            "note": f"{people} people of {len(found.sources)} sources, {found.training.fitted_rows} texts; {ours.rows} held out; "
            f"noise multiplier {found.multiplier:.2f}; majority {found.training.baseline.macro_f1:.3f}; {seconds:.0f} s",
        })  # fmt: skip
        sys.stderr.write(f"{rows[-1]}\n")
    frame.unpersist()
    return rows


def as_people(spark: SparkSession, texts: list[tuple[str, str]]) -> DataFrame:
    """Columns text, label, group, source and unit."""
    drawn, known = random.Random(SEED), {}
    for text, label in texts:
        known.setdefault(text.strip().lower(), (text, label))
    mixed = sorted(known.values())
    drawn.shuffle(mixed)
    rows = []
    for i, (text, label) in enumerate(mixed):
        person = i // TEXTS
        # The number of halvings until a person's own draw.
        own = random.Random(f"{SEED} {person}").random()
        source = next((n for n in range(SOURCES - 1) if own >= 0.5 ** (n + 1)), SOURCES - 1)
        rows.append((text, label, f"p{person}", f"s{source}", f"p{person}"))
    return spark.createDataFrame(rows, "text string, label string, group string, source string, unit string")


def messages() -> list[tuple[str, str]]:
    """Ham and spam."""
    with (FOLDER / "sms_spam" / "spam.csv").open(encoding="utf-8", errors="replace", newline="") as file:
        return [(row[1], row[0]) for row in csv.reader(file) if row[0] in ("ham", "spam")]


def tweets() -> list[tuple[str, str]]:
    """Hate, offensive, neither."""
    with (FOLDER / "davidson_hate_offensive" / "data" / "labeled_data.csv").open(encoding="utf-8", newline="") as file:
        return [(row["tweet"], ("hate", "offensive", "neither")[int(row["class"])]) for row in csv.DictReader(file)]


SETS = {"SMS": messages, "tweets": tweets}

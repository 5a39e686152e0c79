"""What a representation of texts has learned, as features.text_terms has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pyspark.sql import functions as F

from shoal.lake.lake import Lake
from shoal.mine.text.representation import Terms


def terms_of(representation: str, rows: Sequence[Mapping[str, Any]]) -> Terms:
    """The terms of rows of features.text_terms. Where one was erased its number stays free, and no word has it."""
    size, first = max(row["number"] for row in rows) + 1, rows[0]
    names, texts, weights = [""] * size, [0] * size, np.zeros(size)
    vectors = None if first["vector"] is None else np.zeros((size, len(first["vector"])), np.float32)
    for row in rows:
        at = row["number"]
        names[at], texts[at], weights[at] = row["term"], row["texts"], row["weight"]
        if vectors is not None:
            vectors[at] = row["vector"]
    return Terms(representation, tuple(names), tuple(texts), weights, vectors)


def terms_of_version(lake: Lake, version: str) -> Terms | None:
    """The terms of a model_version of features.texts; None where it learned none, as a network. Collects texts.max_terms rows."""
    held = lake.read_if_exists("features.text_terms")
    if held is None:
        return None
    rows = [row.asDict() for row in held.where(F.col("model_version") == version).collect()]
    return terms_of(version.partition("-")[0], rows) if rows else None

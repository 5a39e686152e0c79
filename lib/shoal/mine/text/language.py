"""The languages of a frame's texts; see language_rules."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.mine.text.language_rules import MAX_LENGTH, detect
from shoal.mine.text.terms import shortened


def with_language(rows: DataFrame, text: Column) -> DataFrame:
    """The rows with `language` (ISO 639-1, or 639-3 where there is none; `unknown`) and `confidence` (0..1, of the best guess, 0
    without a letter) after their columns. Columns of these names are replaced.

    Links, @mentions, #hashtags, digits and punctuation do not count. Unknown: null, blank, fewer than MIN_LETTER_BYTES bytes of
    letters, a confidence below MIN_CONFIDENCE. Lazy; Arrow batches, no shuffle.
    """
    kind = "language string, confidence double"
    detected = F.pandas_udf(_languages, kind)(shortened(text, MAX_LENGTH))  # type: ignore[call-overload]
    packed = rows.drop("language", "confidence").select(F.struct("*").alias("row"), detected.alias("detected"))
    return packed.select("row.*", "detected.language", "detected.confidence")


def _languages(batches: Iterator[pd.Series]) -> Iterator[pd.DataFrame]:
    for batch in batches:
        yield pd.DataFrame([detect(text) for text in batch], columns=["language", "confidence"])

"""Sentiment of a text without training: the VADER lexicon and rules (Hutto and Gilbert, ICWSM 2014; package vaderSentiment, MIT).

English words; emoji, emoticons, negation, intensifiers, capitals and punctuation count. Of a text that is surely in another
language only what is no word counts: to the lexicon the German "die" is death, and "hell" is no light.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.mine.text.lexicon_rules import (
    NEGATIVE,
    NEUTRAL,
    NEUTRAL_BELOW,
    POSITIVE,
    lexicon_scores,
)
from shoal.mine.text.terms import shortened


def with_lexicon_sentiment(rows: DataFrame, text: Column, max_text_length: int) -> DataFrame:
    """The rows with `polarity` (-1..1, negative to positive) and `subjectivity` (0..1, the share of the text that is opinion) after
    their columns; both 0 for a null or blank text and one without a word of the lexicon. Of a text that `is_foreign` emoji and
    emoticons count, words do not. Columns of these names are replaced.

    Lazy; Arrow batches, no shuffle; only the first `max_text_length` code points are read.
    """
    kind = "polarity double, subjectivity double"
    scored = F.pandas_udf(_scores, kind)(shortened(text, max_text_length))  # type: ignore[call-overload]
    packed = rows.drop("polarity", "subjectivity").select(F.struct("*").alias("row"), scored.alias("scored"))
    return packed.select("row.*", "scored.polarity", "scored.subjectivity")


def sentiment_label(polarity: Column) -> Column:
    """`positive` from NEUTRAL_BELOW on, `negative` from minus that down, else `neutral`."""
    named = F.when(polarity >= NEUTRAL_BELOW, POSITIVE).when(polarity <= -NEUTRAL_BELOW, NEGATIVE)
    return named.otherwise(NEUTRAL)


def _scores(batches: Iterator[pd.Series]) -> Iterator[pd.DataFrame]:
    for batch in batches:
        scores = [lexicon_scores(text) for text in batch]
        yield pd.DataFrame(
            {"polarity": [score["compound"] for score in scores], "subjectivity": [score["pos"] + score["neg"] for score in
            scores]}, dtype="float64",
        )

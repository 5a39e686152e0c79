"""Find what every text known by as_of names and is about: hashtags, mentions, links, names; its language and keywords.

Only texts that are new or changed are read; the run's tags say how many (scored_entities, unchanged_entities, and of keywords).

Reads:  silver.texts    one row per text; those known by as_of
Writes: gold.entities   one row per text and version of the patterns
        gold.keywords   one row per text and version of the method
"""

from __future__ import annotations

import sys
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from shoal.conf.sections import TrainSentimentConf
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.mine.text.entities import PATTERNS_VERSION, with_entities
from shoal.mine.text.keywords import keywords_version, with_keywords
from shoal.mine.text.language import with_language
from shoal.models.rescoring import upsert_scores
from shoal.runner.command import run_job

READS = ("silver.texts",)
WRITES = ("gold.entities", "gold.keywords")


def find_entities(texts: DataFrame) -> DataFrame:
    """The columns of gold.entities that depend on the text."""
    return with_entities(texts, F.col("text")).drop("text")


def find_keywords(texts: DataFrame) -> DataFrame:
    """The columns of gold.keywords that depend on the text."""
    described = with_keywords(with_language(texts, F.col("text")), F.col("text"))
    return described.drop("text").withColumnRenamed("confidence", "language_confidence")


def run(lake: Lake, conf: TrainSentimentConf, as_of: date) -> None:
    """Describe what was not described yet, in one commit a table."""
    texts = lake.read("silver.texts", before=as_of).select("text_id", "text")
    if texts.isEmpty():
        raise SkippedError(f"no text in silver.texts up to {as_of}")
    upsert_scores(lake, "gold.entities", texts, "text_id", PATTERNS_VERSION, as_of, find_entities)
    upsert_scores(lake, "gold.keywords", texts, "text_id", keywords_version(), as_of, find_keywords)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, TrainSentimentConf, argv)


if __name__ == "__main__":
    sys.exit(main())

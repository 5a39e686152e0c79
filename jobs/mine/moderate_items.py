"""Judge the words of every item known by as_of with the champion of moderation: allow, review or remove.

Only items whose words are new, changed, or were not judged by this model are judged; where there is none, no model is run, and the
run's tags say so (scored_moderation, unchanged_moderation).

Reads:  silver.items      title and text of the items known by as_of
        and the champion of the registered model `shoal_moderation`
Writes: gold.moderation   one row per item, category and model version; rows of earlier models of the same items stop being current
"""

from __future__ import annotations

import sys
from datetime import date

from pyspark.sql import DataFrame
from shoal.conf.sections import ModerationConf
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.mine.text.moderation import moderate, words_of_item
from shoal.models.rescoring import upsert_scores
from shoal.models.text_classifiers import MODERATION, champion_thresholds
from shoal.runner.command import run_job

READS = ("silver.items", "models:/shoal_moderation")
WRITES = ("gold.moderation",)


def run(lake: Lake, conf: ModerationConf, as_of: date) -> None:
    """Judge what was not judged yet, in one commit with the rows that it retires."""
    items = lake.read("silver.items", before=as_of)
    if items.isEmpty():
        raise SkippedError(f"no item in silver.items up to {as_of}")
    found = champion_thresholds(lake, MODERATION)
    if found is None:
        raise SkippedError("there is no champion of moderation in this lake; train_moderation makes one from silver.moderation")
    classifier, thresholds, version = found

    def judge(new: DataFrame) -> DataFrame:
        return moderate(new, classifier, thresholds, conf.allowed_labels)

    words = items.select("item_id", words_of_item().alias("text"))
    upsert_scores(lake, "gold.moderation", words, "item_id", version, as_of, judge)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, ModerationConf, argv)


if __name__ == "__main__":
    sys.exit(main())

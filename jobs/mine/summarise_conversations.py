"""Summarise conversations of messages and of replies: participants, turns, reply times, initiative, the course of sentiment, who is
answered.

Reads:  silver.texts                      texts of a conversation known by as_of
        gold.sentiments                   their polarities, where the table exists
Writes: gold.conversations                one row per conversation of two texts and more; replaces as_of
        gold.conversation_participants    one row per conversation and participant; replaces as_of
"""

from __future__ import annotations

import sys
from datetime import date

from pyspark.sql import functions as F
from shoal.conf.sections import ConversationsConf
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.mine.text.conversations import order_texts, summarise_conversations, summarise_participants
from shoal.runner.command import run_job

READS = ("silver.texts", "gold.sentiments")
WRITES = ("gold.conversations", "gold.conversation_participants")


def run(lake: Lake, conf: ConversationsConf, as_of: date) -> None:
    """Order the texts once and replace the day's rows of both tables."""
    texts = lake.read("silver.texts", before=as_of).where("conversation_id IS NOT NULL")
    if texts.isEmpty():
        raise SkippedError(f"no text of a conversation in silver.texts up to {as_of}")
    scored = lake.read_if_exists("gold.sentiments")
    polarity = None if scored is None else scored.where("is_current").select("text_id", "polarity")
    ordered = order_texts(texts, polarity, conf.gap_hours).persist()
    try:
        day = F.lit(as_of)
        lake.replace("gold.conversations", summarise_conversations(ordered).withColumn("as_of", day), on=as_of, unique=True)
        rows = summarise_participants(ordered).withColumn("as_of", day)
        lake.replace("gold.conversation_participants", rows, on=as_of, unique=True)
    finally:
        ordered.unpersist()


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, ConversationsConf, argv)


if __name__ == "__main__":
    sys.exit(main())

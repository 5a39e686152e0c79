"""Conversations: who takes part, how long, in which turns, how fast they answer, who begins, how the mood goes, who is answered.

A conversation is all texts of one conversation_id in the order of their times (equal times by id). A turn is a run of texts of one
author. After a pause of more than the gap a new session begins; whoever begins one has the initiative. A reply is the first text of
a turn that is not the first of its session: its time is measured from the text before it, and the author of that text is answered.
"""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F


def order_texts(texts: DataFrame, polarity: DataFrame | None, gap_hours: float) -> DataFrame:
    """One row per text with a conversation, an author and a time: conversation_id, text_id, kind, author_id, created_at, polarity,
    place (0 to 1 from the first to the last text), is_turn, is_session (whether one begins with it), reply_seconds (null for no
    reply), replied_to (the author whose text a reply follows), is_answered (whether the next text is a reply).

    `texts`: rows of silver.texts; `polarity`: text_id, polarity, or None. Texts without author or time are skipped. One shuffle
    by conversation, one join.
    """
    known = texts.where("conversation_id IS NOT NULL AND author_id IS NOT NULL AND created_at IS NOT NULL").select(
        "conversation_id", "text_id", "kind", "author_id", "created_at"
    )
    unknown = F.lit(None).cast("double")
    scored = known.withColumn("polarity", unknown) if polarity is None else known.join(polarity, "text_id", "left")
    order = Window.partitionBy("conversation_id").orderBy("created_at", "text_id")
    before, at = F.lag("author_id").over(order), F.col("created_at").cast("double")
    pause = at - F.lag(at).over(order)
    marked = scored.withColumns(
        {
            "place": F.percent_rank().over(order),
            "_before": before,
            "is_turn": before.isNull() | (before != F.col("author_id")),
            "_pause": pause,
            "is_session": pause.isNull() | (pause > gap_hours * 3600),
        }
    )
    is_reply = F.col("is_turn") & ~F.col("is_session")
    replies = marked.withColumns(
        {"reply_seconds": F.when(is_reply, F.col("_pause")), "replied_to": F.when(is_reply, F.col("_before"))}
    ).drop("_before", "_pause")
    return replies.withColumn("is_answered", F.coalesce(F.lead("replied_to").over(order).isNotNull(), F.lit(False)))


def summarise_conversations(ordered: DataFrame) -> DataFrame:
    """One row per conversation of two texts and more: the columns of gold.conversations but as_of and run_id. `ordered`:
    `order_texts`.

    The course is the mean polarity of the first, middle and last third by place; null where no text of that third has one. Its
    slope is the regression of polarity on place, the change from the first to the last text; null for fewer than two. Medians are
    exact to 1 in 10,000. One shuffle, none where `ordered` lies by conversation.
    """
    third = F.least(F.floor(F.col("place") * 3), F.lit(2))
    parts = ("start", "middle", "end")
    course = [F.avg(F.when(third == n, F.col("polarity"))).alias(f"polarity_{part}") for n, part in enumerate(parts)]
    said = ordered.groupBy("conversation_id").agg(
        F.min("kind").alias("kind"), F.min("created_at").alias("started_at"), F.max("created_at").alias("ended_at"),
        F.count(F.lit(1)).alias("text_count"), F.count_distinct("author_id").alias("participant_count"),
        F.count_if("is_turn").alias("turn_count"), F.count_if("is_session").alias("session_count"),
        F.count("reply_seconds").alias("reply_count"), F.percentile_approx("reply_seconds", 0.5).alias("median_reply_seconds"),
        *course,
        F.when(F.count("polarity") > 1, F.regr_slope("polarity", "place")).alias("polarity_slope"),
    )  # fmt: skip
    return said.where("text_count > 1").withColumn(
        "duration_seconds", F.col("ended_at").cast("double") - F.col("started_at").cast("double")
    )


def summarise_participants(ordered: DataFrame) -> DataFrame:
    """One row per conversation of two texts and more, and participant: the columns of gold.conversation_participants but as_of and
    run_id.

    answered_share: of the participant's turns, those that another one's reply follows. Initiative: the sessions that they began, of
    all of the conversation. `main_partner_id`: whom they reply to most, ties to the smaller id. Two shuffles.
    """
    who = ["conversation_id", "author_id"]
    said = ordered.groupBy(*who).agg(
        F.count(F.lit(1)).alias("text_count"), F.count_if("is_turn").alias("turn_count"),
        F.count_if("is_session").alias("begun_session_count"), F.count("reply_seconds").alias("reply_count"),
        F.percentile_approx("reply_seconds", 0.5).alias("median_reply_seconds"), F.avg("polarity").alias("mean_polarity"),
        F.count_if("is_answered").alias("answered_count"),
    )  # fmt: skip
    replied = ordered.where("replied_to IS NOT NULL").groupBy(*who, "replied_to").count()
    partner = replied.groupBy(*who).agg(F.min(F.struct(-F.col("count"), "replied_to"))["replied_to"].alias("main_partner_id"))
    whole = Window.partitionBy("conversation_id")
    counted = said.withColumns({"_texts": F.sum("text_count").over(whole), "_sessions": F.sum("begun_session_count").over(whole)})
    shares = counted.where("_texts > 1").withColumns(
        {
            "initiative": F.col("begun_session_count") / F.col("_sessions"),
            "answered_share": F.least(F.col("answered_count") / F.col("turn_count"), F.lit(1.0)),
        }
    )
    return shares.drop("_texts", "_sessions").join(partner, who, "left").withColumnRenamed("author_id", "participant_id")

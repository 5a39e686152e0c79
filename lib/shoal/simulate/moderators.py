"""What a world's moderators decide about posts, and when. They are never wrong for long; their labels of texts are in `tables`."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from shoal.simulate import tables
from shoal.simulate.draws import uniform_column
from shoal.simulate.spoil import utc_text
from shoal.simulate.world import WorldConf


def decisions(spark: SparkSession, conf: WorldConf, share: float = 1.0) -> DataFrame:
    """One row per decision of the world's moderators up to the end of its last day: item_id, verdict, decided_at. Each spam post is
    removed two hours after it was made; one in fifteen of the other posts too, by mistake, and restored a day later.

    `share`: of these posts, those that the moderators have met.
    """
    posts = tables.items_with_truth(spark, conf).where("kind = 'post'")
    return decisions_about(posts, conf, share)


def decisions_about(posts: DataFrame, conf: WorldConf, share: float) -> DataFrame:
    """`decisions` of the posts given, rows of `tables.items_with_truth`."""
    key = F.crc32("item_id")
    met = F.lit(True) if share >= 1 else uniform_column(conf.seed, "moderated-item", key) < share
    decided = posts.where((F.col("is_spam") | (key % 15 == 0)) & met)
    removal = F.struct(F.lit("removed").alias("verdict"), F.expr("created_at + interval 2 hours").alias("decided_at"))
    unsaid = F.struct(F.lit("restored").alias("verdict"), F.expr("created_at + interval 26 hours").alias("decided_at"))
    each = F.when(F.col("is_spam"), F.array(removal)).otherwise(F.array(removal, unsaid))
    rows = decided.select("item_id", F.explode(each).alias("_one")).select("item_id", "_one.*")
    return rows.where(F.to_date("decided_at") <= F.lit(conf.as_of))


def decisions_as_text(decided: DataFrame) -> DataFrame:
    """The decisions as they stand in a file, times in ISO 8601."""
    return decided.select("item_id", "verdict", utc_text(F.unix_seconds("decided_at")).alias("decided_at"))

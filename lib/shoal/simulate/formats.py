"""The forms of foreign sources that a simulated world can be written in besides its own: `shoal simulate --format SOURCE`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from shoal.simulate.foreign import write_films, write_impressions, write_moderation, write_shop, write_twitter
from shoal.simulate.instagram import influencer_posts, person_archives, write_archives
from shoal.simulate.tables import users
from shoal.simulate.world import WorldConf
from shoal.simulate.write import write_folder

# Whose archives are written: a handful of folders is what a person looks at.
ARCHIVES = 20


def _influencers(spark: SparkSession, conf: WorldConf, folder: Path) -> int:
    """CSV files of posts; returns the posts."""
    return write_folder(influencer_posts(spark, conf), folder, "csv", F.count(F.lit(None)))[0]


def _exports(spark: SparkSession, conf: WorldConf, folder: Path) -> int:
    """The archives of the first users, a folder each; returns the files."""
    people = users(spark, conf).select("user_id").orderBy("user_id").limit(ARCHIVES).collect()
    return write_archives(person_archives(spark, conf, [row["user_id"] for row in people]), folder)


# Source -> what writes its folder and returns how many records or files that has.
FORMATS: dict[str, Callable[[SparkSession, WorldConf, Path], int]] = {
    "instagram_influencers": _influencers,
    "instagram_export": _exports,
    "twitter_activity": write_twitter,
    "media_reviews": write_films,
    "fashion_catalog": write_shop,
    "impressions": write_impressions,
    "moderation": write_moderation,
}

"""Find texts and pictures that are nearly the same: campaigns, copied reviews, pictures posted again.

Reads:  silver.texts           texts known by as_of, of five words and more
        features.images        hashes of pictures, where the table exists
Writes: gold.near_duplicates   one row per pair of texts (Jaccard similarity of their runs of three words) or of pictures (bits of
their
                               perceptual hashes), with the smallest id of all that pairs lead to; replaces as_of
"""

from __future__ import annotations

import sys
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from shoal.conf.sections import NearDuplicatesConf
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.mine.duplicates.pairs import pairs_of_members
from shoal.mine.duplicates.pictures import hash_as_key, similar_hashes
from shoal.mine.duplicates.texts import shingle_sets, similar_sets
from shoal.mine.graph.algorithms import connected_components, engine_for
from shoal.runner.command import run_job

READS = ("silver.texts", "features.images")
WRITES = ("gold.near_duplicates",)
SETTINGS = ("graph",)


def text_pairs(texts: DataFrame, conf: NearDuplicatesConf) -> DataFrame:
    """The pairs of texts: id, other_id, similarity."""
    sets = shingle_sets(texts.select(F.col("text_id").alias("id"), "text")).persist()
    distinct = sets.select("key", "shingles").dropDuplicates(["key"])
    alike = similar_sets(distinct, conf.text_similarity, conf.max_bucket, conf.seed)
    return pairs_of_members(sets.select("id", "key"), alike, conf.max_copies)


def picture_pairs(pictures: DataFrame, conf: NearDuplicatesConf) -> DataFrame:
    """The pairs of pictures: id, other_id, similarity. A picture of one plain colour has no hash to speak of."""
    seen = pictures.where(F.col("is_current") & (F.col("status") == "ok") & (F.col("contrast") >= conf.min_contrast))
    hashed = seen.select(F.col("image_id").alias("id"), F.expr(hash_as_key("perceptual_hash")).alias("key"))
    alike = similar_hashes(hashed.select("key").distinct(), conf.picture_distance, conf.max_bucket)
    return pairs_of_members(hashed, alike, conf.max_copies)


def run(lake: Lake, conf: NearDuplicatesConf, as_of: date) -> None:
    """Find the pairs, then the groups that they make, and replace the day's rows."""
    texts = lake.read_if_exists("silver.texts", before=as_of)
    pictures = lake.read_if_exists("features.images")
    if texts is None and pictures is None:
        raise SkippedError("there are no silver.texts and no features.images")
    kinds = [] if texts is None else [text_pairs(texts, conf).withColumn("kind", F.lit("text"))]
    kinds += [] if pictures is None else [picture_pairs(pictures, conf).withColumn("kind", F.lit("image"))]
    pairs = kinds[0] if len(kinds) == 1 else kinds[0].unionByName(kinds[1])
    pairs = pairs.persist()
    try:
        node, other = (F.concat_ws(":", "kind", name) for name in ("id", "other_id"))
        edges = pairs.select(node.alias("src"), other.alias("dst"))
        engine = engine_for(edges, lake.settings.graph)
        lake.run.note(engine=engine)
        if engine is None:
            grouped = pairs.withColumn("group_id", F.col("id"))
        else:
            groups = connected_components(edges, lake.settings.graph, engine)
            group = F.regexp_replace("component_id", "^[a-z]+:", "").alias("group_id")
            grouped = pairs.join(groups.select(F.col("node_id").alias("_node"), group), node == F.col("_node")).drop("_node")
        lake.replace("gold.near_duplicates", grouped.withColumn("as_of", F.lit(as_of)), on=as_of, unique=True)
    finally:
        pairs.unpersist()


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, NearDuplicatesConf, argv)


if __name__ == "__main__":
    sys.exit(main())

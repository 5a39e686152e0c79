"""Write one vector an item at the end of a day: of its texts, of its picture and of the graph around it.

Reads:  silver.items            items known by as_of
        silver.interactions     events up to as_of: who has met what
        silver.texts            what is written about items up to as_of, with
        features.texts          its vectors and
        features.text_terms     the terms of these, by which the items' own words have a vector too
        features.images         vectors of their pictures
Writes: features.item_vectors   one row per item; replaces as_of

All but silver.items may be missing. Without a text about an item in features.texts, or for a day before its vectors were made, the
text part is of the items' own words.
"""

from __future__ import annotations

import hashlib
import json
import sys
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from shoal.conf.sections import ItemVectorsConf
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.mine.image.picture_vectors import picture_vectors
from shoal.models.item_texts import item_text_parts
from shoal.models.text_terms import terms_of_version
from shoal.recommend.candidates.configured import content_settings
from shoal.recommend.candidates.content import as_content, content_terms, kept_terms
from shoal.recommend.candidates.graph_vectors import GraphVectorSettings, graph_vectors
from shoal.recommend.candidates.item_vectors import GRAPH, IMAGE, TEXT, item_vectors
from shoal.recommend.candidates.preferences import preferences
from shoal.recommend.candidates.projection import mean_by, projected
from shoal.recommend.candidates.vector_neighbours import directions
from shoal.recommend.ranking.caching import Keep, caching
from shoal.runner.command import run_job

READS = ("silver.items", "silver.interactions", "silver.texts", "features.texts", "features.text_terms", "features.images")
WRITES = ("features.item_vectors",)
SETTINGS = ("content", "texts")
# In place of a version of features.texts: terms of the items themselves.
OWN_WORDS = "content"


def text_part(lake: Lake, items: DataFrame, conf: ItemVectorsConf, as_of: date, keep: Keep) -> tuple[str, DataFrame]:
    """The version of the texts' vectors, and item_id, features: the mean of what is written in and about an item, projected.
    Collects the terms, texts.max_terms rows, or content.max_terms."""
    found = item_text_parts(lake, items, as_of, made_until=as_of)
    if found is not None:
        version, parts = found
        terms = terms_of_version(lake, version)
        names = None if terms is None else terms.names
    else:
        version, settings = OWN_WORDS, content_settings(lake.settings.content)
        own = keep(content_terms(items.select("item_id", "title", "text", "categories", "hashtags")))
        names = tuple(kept_terms(own, settings))
        weights = as_content(own, settings, list(names))
        parts = weights.select("item_id", F.col("terms").alias("indices"), F.col("weights").alias("values"))
    return version, mean_by(projected(parts, names, conf.size, conf.seed), "item_id")


def image_part(lake: Lake, items: DataFrame, conf: ItemVectorsConf) -> tuple[str, DataFrame] | None:
    """The version that most current embeddings of items' pictures have, and item_id, features: those of this version, projected;
    None without any."""
    images = lake.read_if_exists("features.images")
    if images is None:
        return None
    ours = images.where("is_current AND status = 'ok'").join(items.select("item_id"), "item_id", "left_semi")
    most = ours.groupBy("model_version").count().orderBy(F.desc("count"), "model_version").first()
    if most is None:
        return None
    first = picture_vectors(ours.where(F.col("model_version") == most["model_version"]))
    parts = first.select("item_id", F.lit(None).cast("array<int>").alias("indices"), F.col("features").alias("values"))
    return str(most["model_version"]), projected(parts, None, conf.size, conf.seed)


def run(lake: Lake, conf: ItemVectorsConf, as_of: date) -> None:
    """Make the parts of the day and put them together."""
    with caching() as keep:
        items = keep(lake.read("silver.items", before=as_of))
        if items.isEmpty():
            raise SkippedError(f"silver.items has no item up to {as_of}")
        text_version, texts = text_part(lake, items, conf, as_of, keep)
        parts = {TEXT: directions(keep(texts), keep)}
        image_version = None
        images = image_part(lake, items, conf)
        if images is not None:
            image_version, parts[IMAGE] = images[0], directions(keep(images[1]), keep)
        around = None
        events = lake.read_if_exists("silver.interactions", before=as_of)
        if events is not None:
            settings = GraphVectorSettings(conf.size, conf.graph_rounds, conf.max_history, conf.seed)
            graph, around = (directions(keep(r), keep) for r in graph_vectors(preferences(events), items, settings, keep))
            parts[GRAPH] = graph
        weights = {TEXT: conf.text_weight, IMAGE: conf.image_weight, GRAPH: conf.graph_weight}
        digest = hashlib.sha256(json.dumps(conf.model_dump(mode="json")).encode()).hexdigest()[:8]
        marks = {"text_version": text_version, "image_version": image_version, "model_version": digest}
        lake.run.note(**{name: value for name, value in marks.items() if value is not None})
        rows = item_vectors(items, parts, weights, conf.size, around)
        rows = rows.withColumns({name: F.lit(value).cast("string") for name, value in marks.items()})
        # A row an item, whose id is the key of silver.items; each part is a group by item.
        lake.replace("features.item_vectors", rows, on=as_of, unique=True)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, ItemVectorsConf, argv)


if __name__ == "__main__":
    sys.exit(main())

"""PageRank of users and items in the engagement graph of events; PageRank and other measures of users in the graph of follows.

The engagement graph joins a user and an item by the summed worth of the user's events with it, in both directions, so that
an item ranks high by the engagement of users who rank high, and they by it.
"""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from shoal.conf.sections import GraphConf
from shoal.mine.graph.algorithms import engine_for, page_rank
from shoal.mine.graph.edges import follow_edges, with_reverse
from shoal.mine.graph.measures import as_kinds, measure_nodes
from shoal.mine.graph.node_index import number_rows

# Users and items may share an id: a prefix of one letter keeps them apart in one graph.
USER, ITEM = "u", "i"


def event_worth(conf: GraphConf) -> Column:
    """What an event adds to an edge: its kind's weight, times the value for a rating; null for a kind without a weight."""
    weights = [F.when(F.col("event") == kind, F.lit(float(worth))) for kind, worth in conf.event_weights.items()]
    value = F.greatest(F.coalesce("value", F.lit(1.0)), F.lit(0.0))
    return F.coalesce(*weights, F.lit(None).cast("double")) * F.when(F.col("event") == "rating", value).otherwise(1.0)


def engagement_edges(events: DataFrame, conf: GraphConf) -> DataFrame:
    """`src`, `dst`, `weight`: a user and an item that events join, in both directions; no edge of weight 0."""
    pairs = events.withColumn("worth", event_worth(conf)).groupBy("user_id", "item_id").agg(F.sum("worth").alias("weight"))
    return with_reverse(
        pairs.where("weight > 0").select(
            F.concat(F.lit(USER), "user_id").alias("src"), F.concat(F.lit(ITEM), "item_id").alias("dst"), "weight"
        )
    )


def engagement_scores(scores: DataFrame) -> DataFrame:
    """`kind`, `node_id`, `score` from the scores of the engagement graph: its users and its items are two kinds."""
    kind = F.when(F.col("node_id").startswith(USER), "engagement_user").otherwise("engagement_item")
    return scores.select(kind.alias("kind"), F.expr("substring(node_id, 2)").alias("node_id"), "score")


def rank_by_score(scores: DataFrame, engine: str) -> DataFrame:
    """`kind`, `node_id`, `score`, `rank` (from 1 within the kind, ties by id), `percentile` of `kind`, `node_id`, `score`.

    percentile: the share of the kind's nodes whose score is at most this one's, above 0 to 1; ties have the same. A graph that fits
    the driver is ranked by windows, a task a kind, within the job that writes; of another engine's each kind is sorted by all
    tasks (shoal.mine.graph.node_index.number_rows), and scores are counted in one shuffle more.
    """
    if engine == "local":
        of_kind = Window.partitionBy("kind")
        rank = F.row_number().over(of_kind.orderBy(F.desc("score"), F.asc("node_id"))).cast("bigint").alias("rank")
        return scores.select("kind", "node_id", "score", rank, F.cume_dist().over(of_kind.orderBy("score")).alias("percentile"))
    order_columns = [F.asc("kind"), F.desc("score"), F.asc("node_id")]
    numbered = number_rows(scores, order_columns, "place")
    tied = numbered.groupBy("kind", "score").agg(F.min("place").alias("best"))
    kinds = numbered.groupBy("kind").agg(F.min("place").alias("first"), F.count("*").alias("nodes"))
    percentile = 1 - (F.col("best") - F.col("first")) / F.col("nodes")
    return numbered.join(F.broadcast(kinds), "kind").join(tied, ["kind", "score"]).select(
        "kind", "node_id", "score", (F.col("place") - F.col("first") + 1).alias("rank"), percentile.alias("percentile")
    )  # fmt: skip


def rank_graphs(events: DataFrame | None, follows: DataFrame | None, conf: GraphConf) -> tuple[DataFrame | None, dict[str, str]]:
    """`kind`, `node_id`, `score`, `rank`, `percentile` of all kinds, and what the run should say: the engine that each graph ran
    on, and how good, or missing, a measure is. None where no graph has an edge."""
    ranked: list[DataFrame] = []
    notes: dict[str, str] = {}
    for name, given in (
        ("engagement", None if events is None else engagement_edges(events, conf)),
        ("follows", None if follows is None else follow_edges(follows)),
    ):
        if given is None:
            continue
        edges = given.persist()
        engine = engine_for(edges, conf)
        if engine is not None:
            notes[f"engine_{name}"] = engine
            scores = page_rank(edges, conf, engine)
            if name == "follows":
                of_kinds = scores.select(F.lit(name).alias("kind"), "node_id", "score")
                if conf.seeds:
                    near = page_rank(edges, conf, engine, conf.seeds)
                    kind = F.lit("follows_personalised").alias("kind")
                    of_kinds = of_kinds.unionByName(near.select(kind, "node_id", "score"))
                if conf.measures:
                    measured, said = measure_nodes(edges, conf, engine, list(conf.measures))
                    of_kinds = of_kinds.unionByName(as_kinds(measured, name))
                    notes |= said
            else:
                of_kinds = engagement_scores(scores)
            ranked.append(rank_by_score(of_kinds, engine))
        edges.unpersist()
    return (reduce(DataFrame.unionByName, ranked) if ranked else None), notes

"""`shoal graph rank` and `shoal graph communities`: an edge list in, a value a node out; no lake."""

from __future__ import annotations

import json
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.cli.options import EnvOption, SetOption, with_file_settings
from shoal.conf.loading import load, section_name
from shoal.conf.sections import GraphConf
from shoal.errors import InputError, UsageError
from shoal.ingest.formats.files import check_output, read_rows, write_rows
from shoal.ingest.sources.general import EDGES
from shoal.mine.graph.algorithms import choose_engine, connected_components, label_propagation, leiden, louvain, page_rank
from shoal.mine.graph.degrees import degrees
from shoal.mine.graph.edges import clean_edges, refuse_faults, with_reverse
from shoal.mine.graph.measures import MEASURES, measure_nodes
from shoal.mine.graph.modularity import summarise_communities
from shoal.spark.session import spark_session

graph_app = typer.Typer(help="Rank the nodes of a graph, or find its communities.", rich_markup_mode=None)

# How public edge lists name their columns.
_NAMES = {field.name: field.aliases for field in EDGES.fields}
ALIASES = {"src": ("src_id", *_NAMES["src_id"]), "dst": ("dst_id", *_NAMES["dst_id"]), "weight": _NAMES["weight"]}

EdgesOption = Annotated[
    Path, typer.Option(help="Edges: src, dst, optionally weight; CSV, TSV, text, JSON or Parquet.", metavar="FILE")
]
OutputOption = Annotated[str, typer.Option(help="One row a node: .csv, .tsv, .jsonl or .parquet.", metavar="FILE")]


class RankMethod(str, Enum):
    """How nodes are ranked."""

    pagerank = "pagerank"
    degree = "degree"
    coreness = "coreness"
    hub = "hub"
    authority = "authority"
    triangles = "triangles"
    clustering = "clustering"
    betweenness = "betweenness"
    closeness = "closeness"
    component_size = "component_size"


class CommunityMethod(str, Enum):
    """How communities are found."""

    label_propagation = "label_propagation"
    labels = "labels"
    leiden = "leiden"
    louvain = "louvain"
    connected_components = "connected_components"


class Engine(str, Enum):
    """Where an algorithm runs."""

    local = "local"
    spark = "spark"


@graph_app.callback()
def graph() -> None:
    """Rank the nodes of a graph, or find its communities."""


@graph_app.command("rank")
def rank(
    edges: EdgesOption,
    output: OutputOption,
    method: Annotated[
        RankMethod,
        typer.Option(
            help="degree: the summed weight of a node's edges, in and out. coreness, triangles, clustering, betweenness, "
            "closeness and component_size know neither directions nor weights; hub and authority (HITS) do."
        ),
    ] = RankMethod.pagerank,
    seeds: Annotated[
        Optional[str],
        typer.Option(help="With pagerank: ids of nodes, with commas between, that the walk starts from (personalised PageRank).",
                     metavar="A,B,C"),
    ] = None,
    undirected: Annotated[bool, typer.Option("--undirected", help="Each edge leads both ways; the file has it once.")] = False,
    engine_name: Annotated[
        Optional[Engine], typer.Option("--engine", help="Default: local up to graph.local_max_edges edges, else spark.")
    ] = None,
    env: EnvOption = "local",
    sets: SetOption = None,
) -> None:
    """Write node,score, best first, ties by node.

    Edges lead from src to dst unless --undirected; weights of parallel edges add up. PageRank, hubs and authorities sum to 1.
    Betweenness and closeness are estimated from graph.pivots nodes; the summary says how good they are.
    Columns may also be called source/target, from/to, node_1/node_2, id_1/id_2. A file in another form is described by the
    settings of ingest: --set comment="#" --set header="[src, dst]" for the graphs of SNAP.

    Example: shoal graph rank --edges follows.csv --output ranks.csv
    """
    check_output(output)
    named = None if seeds is None else [seed for seed in seeds.split(",") if seed]
    if named is not None and method is not RankMethod.pagerank:
        raise UsageError(f"--seeds: goes with --method pagerank, not {method.value}")
    conf, frame = _start(edges, env, sets)
    conf = conf if engine_name is None else conf.model_copy(update={"engine": engine_name.value})
    walked = with_reverse(frame) if undirected else frame
    engine, said = "spark", dict[str, str]()
    if method is RankMethod.degree:
        scores = degrees(frame).select("node_id", (F.col("in_strength") + F.col("out_strength")).alias("score")).persist()
    elif method is RankMethod.pagerank:
        engine = choose_engine(walked, conf)
        scores = page_rank(walked, conf, engine, named)
    else:
        engine = choose_engine(walked, conf)
        name = next(name for name, columns in MEASURES.items() if method.value in columns)
        measured, said = measure_nodes(walked, conf, engine, [name])
        if name in said:
            raise UsageError(said[name])
        scores = measured.select("node_id", F.col(method.value).alias("score"))
    write_rows(scores.orderBy(F.desc("score"), "node_id").withColumnRenamed("node_id", "node"), output)
    _say(command="rank", method=method.value, engine=engine, nodes=scores.count(), output=str(output), **said)


@graph_app.command("communities")
def communities(
    edges: EdgesOption,
    output: OutputOption,
    method: Annotated[
        CommunityMethod, typer.Option(help="labels is label_propagation; leiden runs on the driver only.")
    ] = CommunityMethod.label_propagation,
    engine_name: Annotated[
        Optional[Engine], typer.Option("--engine", help="Default: local up to graph.local_max_edges edges, else spark.")
    ] = None,
    env: EnvOption = "local",
    sets: SetOption = None,
) -> None:
    """Write node,community, by node; a community's name is the id of a node. Prints how many there are and their modularity.

    Edges count as undirected; weights of parallel edges add up. Label propagation and louvain scale to any size; leiden
    finds partitions of the highest modularity in graphs up to graph.local_max_edges edges.

    Example: shoal graph communities --edges friends.csv --method leiden --output communities.csv
    """
    check_output(output)
    if method is CommunityMethod.leiden and engine_name is Engine.spark:
        raise UsageError("--engine spark: leiden runs on the driver only; use --method louvain, or leave --engine out")
    conf, frame = _start(edges, env, sets)
    if engine_name is not None:
        conf = conf.model_copy(update={"engine": engine_name.value})
    engine = "local" if method is CommunityMethod.leiden else choose_engine(frame, conf)
    if method is CommunityMethod.leiden:
        found = leiden(frame, conf)
    elif method is CommunityMethod.louvain:
        found = louvain(frame, conf, engine)
    elif method is CommunityMethod.connected_components:
        found = connected_components(frame, conf, engine).withColumnRenamed("component_id", "community_id")
    else:
        found = label_propagation(frame, conf, engine)
    summary = summarise_communities(frame, found)
    facts = summary.agg(F.count("*").alias("n"), F.sum("nodes").alias("nodes"), F.max("total_modularity").alias("q")).collect()[0]
    write_rows(found.orderBy("node_id").select(F.col("node_id").alias("node"), F.col("community_id").alias("community")), output)
    _say(
        command="communities", method=method.value, engine=engine, nodes=int(facts["nodes"] or 0), communities=facts["n"],
        modularity=facts["q"], output=str(output),
    )  # fmt: skip


def _start(edges: Path, env: str, sets: list[str] | None) -> tuple[GraphConf, DataFrame]:
    """The settings, and the edges of the file: src, dst, weight."""
    settings = load(env, with_file_settings(sets), section_name(GraphConf))
    spark = spark_session("shoal-graph", env, settings.spark)
    rows = read_rows(spark, edges, ["src", "dst"], ["weight"], ALIASES, settings.ingest).select("src", "dst", "weight")
    number = F.col("weight").cast("double")
    # A text that is no number becomes NaN, which is refused below; an empty field is an edge of weight 1.
    weight = F.when(F.col("weight").isNull(), F.lit(1.0)).otherwise(F.coalesce(number, F.lit(float("nan"))))
    frame = rows.withColumn("weight", weight).persist()
    try:
        refuse_faults(clean_edges(frame))
    except InputError as error:
        raise InputError(str(error).replace("edges:", f"{edges}:", 1)) from None
    return settings.section(GraphConf), frame


def _say(**facts: Any) -> None:
    """One JSON summary on stdout."""
    sys.stdout.write(json.dumps(facts) + "\n")

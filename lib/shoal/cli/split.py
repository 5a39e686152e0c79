"""`shoal evaluate split`: a file of events as a training and a test file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Literal, Optional

import typer
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.cli.evaluate import checked_rows
from shoal.cli.options import EnvOption, SetOption, with_file_settings
from shoal.conf.addresses import is_uri
from shoal.conf.loading import load
from shoal.errors import InputError, UsageError
from shoal.ingest.formats.files import check_output, write_rows
from shoal.recommend.protocol.split import (
    has_times,
    test_part,
    training_part,
    with_global_time_split,
    with_last_out,
    with_random_split,
    with_time_split,
)
from shoal.recommend.protocol.strong import PARTS, with_strong_parts
from shoal.spark.session import spark_session


def split(
    source: Annotated[str, typer.Option("--input", help="Events: user_id, item_id[, rating, timestamp].", metavar="FILE")],
    output: Annotated[str, typer.Option(help="Folder of the files; made where it is not.", metavar="DIR")],
    strategy: Annotated[
        Literal["random", "temporal_user", "global_time", "strong"],
        typer.Option(
            help="random: drawn within each item; temporal_user: each user's last; global_time: all after one moment; "
            "strong: of users who are held out whole, drawn."
        ),
    ] = "random",
    ratio: Annotated[float, typer.Option(help="Share of the events that is test.", min=0, max=1)] = 0.2,
    last: Annotated[
        Optional[int],
        typer.Option(help="With --strategy temporal_user: so many of each user's events, whatever the ratio.", min=1, metavar="N"),
    ] = None,
    held_out_users: Annotated[
        float, typer.Option(help="With --strategy strong: share of the users who are not in train.csv.", min=0, max=1)
    ] = 0.1,
    seed: Annotated[int, typer.Option(help="Of the drawing.")] = 42,
    env: EnvOption = "local",
    sets: SetOption = None,
) -> None:
    """Cut a file of events into a training and a test file, the same way every time.

    random takes floor(n x ratio) of the n events of each item, temporal_user the last floor(n x ratio) of each user's n events (or
    --last of them, of users who have more), global_time all events after the moment before which 1 - ratio of them lie. strong
    holds out users: train.csv has all events of the others, fold_in.csv what is known of the held-out users, test.csv the share
    --ratio of each one's events, drawn at random; items that no training user has are dropped (Liang et al., WWW 2018). All columns
    are kept, under the names user_id, item_id, rating, timestamp where they have these meanings; rows are sorted by user and time.

    Example: shoal evaluate split --input ratings.csv --strategy temporal_user --last 1 --output parts
    """
    if last is not None and strategy != "temporal_user":
        raise UsageError(f"--last {last}: goes with --strategy temporal_user, found --strategy {strategy}")
    settings = load(env, with_file_settings(sets))
    if not is_uri(output):
        try:
            Path(output).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--output {output}: {error.strerror}; name a folder") from None
    files = {name: f"{output.rstrip('/')}/{name}.csv" for name in (PARTS if strategy == "strong" else ("train", "test"))}
    for file in files.values():
        check_output(file)
    spark = spark_session("shoal-evaluate-split", env, settings.spark)
    rows = checked_rows(spark, source, settings.ingest)
    events = rows.withColumn("occurred_at", F.col("_occurred_at"))
    if strategy in ("temporal_user", "global_time") and not has_times(events):
        raise InputError(
            f"{source}: no time in any row; --strategy {strategy} needs a column timestamp, --strategy random does not"
        )
    marked = (
        with_strong_parts(events, held_out_users, ratio, seed) if strategy == "strong" else cut(events, strategy, ratio, last, seed)
    ).persist()
    ties = [name for name, kind in rows.dtypes if name in ("item_id", "rating") or kind == "string"]
    kept = [name for name in rows.columns if name not in ("_value", "_occurred_at")]
    if strategy == "strong":
        parts = {name: marked.where(F.col("part") == name) for name in PARTS}
    else:
        parts = {"train": training_part(marked), "test": test_part(marked)}
    for name, part in parts.items():
        ordered = part.orderBy("user_id", F.col("occurred_at").asc_nulls_first(), "item_id", *ties)
        write_rows(ordered.select(*kept), files[name])
    written = {name: {"file": files[name], "rows": parts[name].count()} for name in files}
    marked.unpersist()
    sys.stdout.write(json.dumps(written) + "\n")


def cut(events: DataFrame, strategy: str, ratio: float, last: int | None, seed: int) -> DataFrame:
    """`events` with is_test. Raises UsageError for a ratio outside ]0, 1[ where it counts."""
    if strategy == "temporal_user":
        return with_last_out(events, last) if last is not None else with_time_split(events, ratio)
    if strategy == "global_time":
        return with_global_time_split(events, ratio)
    return with_random_split(events, ratio, seed, "evaluate split", within="item_id")

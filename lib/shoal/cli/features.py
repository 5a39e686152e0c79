"""`shoal features`: a file of events with the features that were known at each."""

from __future__ import annotations

from typing import Annotated, Optional

import typer
from pyspark.sql import functions as F

from shoal.cli.options import DEFAULT_LAKE, EnvOption, LakeOption, SetOption, with_file_settings
from shoal.cli.posts import InputOption, say
from shoal.cli.query import open_lake
from shoal.errors import InputError, UsageError
from shoal.features.point_in_time import SNAPSHOT_DAY, join_as_of
from shoal.ingest.fields import Field
from shoal.ingest.formats.files import check_output, quoted, write_rows
from shoal.ingest.sources.post_files import read_table
from shoal.ingest.sources.twitter_activity import TIME_FORMS
from shoal.lake.contract import contract

_TABLES = {"features.users": "user_id", "features.items": "item_id", "features.user_graph": "node_id"}


def features(
    input_path: InputOption,
    output: Annotated[str, typer.Option(help="The rows with features: .csv, .tsv, .jsonl or .parquet.", metavar="FILE")],
    table: Annotated[str, typer.Option("--table", help=f"One of {', '.join(_TABLES)}.")] = "features.users",
    id_column: Annotated[str, typer.Option(help="Column with the user or item.", metavar="C")] = "user_id",
    time_column: Annotated[str, typer.Option(help="Column with the time of the event.", metavar="T")] = "occurred_at",
    max_age_days: Annotated[
        Optional[float], typer.Option("--max-age-days", min=0, help="An older snapshot counts as none.")
    ] = None,
    lake: LakeOption = DEFAULT_LAKE,
    env: EnvOption = "local",
    sets: SetOption = None,
) -> None:
    """Add to each event the features of the newest snapshot that was known at its time, and features_as_of; never of a later one.

    A snapshot of a day is known from the next midnight (UTC) on. The columns of the input and the order of its rows stay.

    Example: shoal features --input events.csv --table features.users --lake lake --output with-features.csv
    """
    check_output(output)
    if table not in _TABLES:
        raise UsageError(f"--table {table}: expected one of {', '.join(_TABLES)}")
    opened = open_lake(lake, env, with_file_settings(sets), "shoal-features")
    if not opened.exists(table):
        raise InputError(f"{table} has not been made in this lake yet; `shoal pipeline` makes it")
    named = {"event_key": id_column, "event_at": time_column}
    conf = opened.settings.ingest.model_copy(update={"column_mapping": named})
    fields = (Field("event_key", "id"), Field("event_at", "time", True, (), TIME_FORMS))
    rows = read_table(opened.spark, input_path, fields, conf, ("event_key", "event_at"))
    key = _TABLES[table]
    columns = [name for name in contract(table).columns if name not in ("as_of", key, "run_id")]
    snapshots = opened.read(table).withColumnRenamed(key, "event_key")
    events = rows.select("row", "position", "event_key", "event_at")
    found = join_as_of(events, snapshots, "event_key", "event_at", columns, max_age_days)
    made = [SNAPSHOT_DAY, *columns]
    folded = {name.casefold() for name in made}
    kept = [name for name in rows.select("row.*").columns if name.casefold() not in folded]
    theirs = [F.col(f"row.{quoted(name)}").alias(name) for name in kept]
    write_rows(found.orderBy("position").select(*theirs, *made), output)
    say(task="features", table=table, columns=len(columns), output=str(output))

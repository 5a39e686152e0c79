"""`shoal ingest`: files into the lake."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from shoal.cli.jobs import progress
from shoal.cli.options import DEFAULT_LAKE, AsOfOption, EnvOption, LakeOption, SetOption
from shoal.conf.loading import load
from shoal.ingest.sources.catalogue import SOURCES, parts_of
from shoal.runner.command import parse_as_of
from shoal.runner.execute import execute
from shoal.runner.interrupt import interruptible
from shoal.runner.job import find_job
from shoal.spark.session import spark_session


def ingest(
    source: Annotated[str, typer.Option(help=f"One of {', '.join(SOURCES)}.")],
    path: Annotated[str, typer.Option("--input", metavar="PATH", help="A file, a folder with all below it, or a .zip of one.")],
    lake: LakeOption = DEFAULT_LAKE,
    env: EnvOption = "local",
    as_of: AsOfOption = None,
    sets: SetOption = None,
) -> int:
    """Ingest files. Example: shoal ingest --source ratings --input ratings.csv --set column_mapping.user_id=uid --lake lake"""
    parts_of(source)
    settings, day = load(env, sets or [], "ingest"), parse_as_of(as_of)
    job = find_job("ingest_files")
    spark = spark_session("shoal-ingest", env, settings.spark)
    with progress(1) as show:
        show.describe("ingest", f"{source} from {path}")
        result = interruptible(spark, lambda: execute(spark, job, settings, lake, day, {"source": source, "input": path}))
        show.ended(result)
    sys.stdout.write(json.dumps(result.summary()) + "\n")
    return result.exit_code

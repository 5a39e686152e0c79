"""`shoal segment`: the rows of a file with the segment that each belongs to; no lake."""

from __future__ import annotations

from typing import Annotated, Optional

import typer
from pyspark.sql import functions as F

from shoal.cli.options import EnvOption, SetOption, with_file_settings
from shoal.cli.posts import InputOption, OutputOption, say
from shoal.conf.loading import load, section_name
from shoal.conf.sections import PostsConf
from shoal.errors import InputError, UsageError
from shoal.ingest.formats.files import check_output, quoted, write_rows
from shoal.ingest.sources.number_files import read_numbers
from shoal.mine.people.segments import find_segments, with_segment
from shoal.spark.session import spark_session

# Columns of a file that are looked at: with more, no name of a segment could be read.
MAX_COLUMNS = 100


def segment(
    input_path: InputOption,
    id_column: Annotated[str, typer.Option(help="Name of the column with the ids.", metavar="C")],
    output: OutputOption,
    k: Annotated[
        Optional[int], typer.Option("--k", help="So many segments. Default: chosen by silhouette and stability.", min=2, max=100)
    ] = None,
    env: EnvOption = "local",
    sets: SetOption = None,
) -> None:
    """Add segment_id (0 is the largest) and segment_name to the rows of a file, by all of its columns of numbers but the id.

    A column counts as one of numbers where every value is one or empty. Prints the number of segments, their sizes, the silhouette
    and the stability under bootstrap. The columns of the input and the order of its rows stay.

    Example: shoal segment --input shoppers.csv --id-column user_id --output segments.csv
    """
    check_output(output)
    settings = load(env, with_file_settings(sets), section_name(PostsConf))
    spark = spark_session("shoal-segment", env, settings.spark)
    table = read_numbers(spark, input_path, [id_column], settings.ingest)
    made = ("segment_id", "segment_name")
    if id_column.casefold() in made:
        raise UsageError(f"--id-column {id_column}: the command writes a column of this name; rename it in {input_path}")
    kept = [name for name in table.columns if name.casefold() not in made]
    usable = {key: name for key, name in table.numbers.items() if name in kept}
    if not usable:
        raise InputError(f"{input_path}: no column of numbers besides {id_column}; found {', '.join(kept[:20])}")
    if len(usable) > MAX_COLUMNS:
        raise InputError(f"{input_path}: {len(usable)} columns of numbers; expected at most {MAX_COLUMNS}")
    # The segments' names are read by people: under the file's own names for the columns.
    named = table.rows.select("row", "position", *[F.col(key).alias(_inner(name)) for key, name in usable.items()])
    try:
        segments = find_segments(named, [_inner(name) for name in usable.values()], k, settings.section(PostsConf).seed)
    except InputError as error:
        raise InputError(f"{input_path}: {error}") from None
    found = with_segment(named, segments).orderBy("position")
    columns = [F.col(f"row.{quoted(name)}").alias(name) for name in kept]
    write_rows(found.select(*columns, *made), output)
    sizes = {row["segment_name"]: row["count"] for row in found.groupBy(*made).count().orderBy("segment_id").collect()}
    say(task="segment", rows=sum(sizes.values()), columns=list(usable.values()), segments=sizes, silhouette=segments.silhouette,
        stability=segments.stability, output=str(output))  # fmt: skip


def _inner(name: str) -> str:
    """A file's name for a column as one of ours: no dots or back quotes, and none of `row` and `position`."""
    plain = "".join(letter if letter.isalnum() else "_" for letter in name)
    return f"{plain}_" if plain.casefold() in ("row", "position") else plain

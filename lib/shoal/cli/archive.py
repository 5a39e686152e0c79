"""`shoal archive`: a person's own archive in, one page about it out; no lake needed."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Annotated, Optional
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from pyspark.sql import functions as F

from shoal.cli.jobs import progress
from shoal.cli.options import EnvOption, SetOption
from shoal.conf.loading import load
from shoal.errors import InputError, ShoalError, UsageError
from shoal.ingest.formats.listing import shown_path
from shoal.lake.lake import Lake, Run
from shoal.mine.text.conversations import order_texts
from shoal.mine.text.lexicon import with_lexicon_sentiment
from shoal.publish.report.archive import Archive, archive_parts
from shoal.publish.report.page import Heading, page
from shoal.runner.clock import utc_now
from shoal.runner.execute import Result, execute
from shoal.runner.interrupt import interruptible
from shoal.runner.job import find_job
from shoal.spark.session import own_session, spark_session

# Of these records of an archive the archive's owner is always the one who did it; messages and follows are others' too.
OWNERS_KINDS = ("user", "like", "save", "comment", "post", "story", "reel", "profile_photo")
MOST_OWNERS = 100


def archive(
    input_path: Annotated[str, typer.Option("--input", help="The archive: its folder or .zip, asked for as JSON.", metavar="PATH")],
    output: Annotated[Path, typer.Option(help="The page to write: NAME.html.", metavar="FILE")],
    person: Annotated[
        Optional[str], typer.Option(help="Whose page, where the folder holds archives of several people.", metavar="ID")
    ] = None,
    time_zone: Annotated[str, typer.Option(help="Zone of the hours that are shown, as Europe/Paris.", metavar="ZONE")] = "UTC",
    lake: Annotated[
        Optional[str],
        typer.Option("--lake", help="Keep the tables in this lake. Default: they are removed.", metavar="DIR"),
    ] = None,
    env: EnvOption = "local",
    sets: SetOption = None,
) -> None:
    """Write one page about a person's Instagram archive: activity, people, words, mood in time.

    The page loads nothing and runs no script. Records that cannot be read are counted in what is printed and left out; with --lake
    they are in ops.quarantine.

    Example: shoal archive --input instagram-ann-2024-05-01.zip --output ann.html --time-zone Europe/Lisbon
    """
    _check(output, time_zone)
    settings = load(env, sets or [], "ingest")
    if settings.privacy.pseudonymise:
        raise UsageError("privacy.pseudonymise is on: a page about people shows their names; run it without")
    with _lake_folder(lake) as root:
        spark = spark_session("shoal-archive", env, settings.spark)
        job, today = find_job("ingest_files"), utc_now().date()
        with progress(2) as show:
            show.describe("archive", f"reading {input_path}")
            extras = {"source": "instagram_export", "input": input_path}
            result = interruptible(spark, lambda: execute(spark, job, settings, root, today, extras))
            show.ended(result)
            if result.exit_code:
                raise _as_error(result)
            show.describe("archive", f"writing {output}")

            def written() -> str:
                with own_session(spark) as session:
                    opened = Lake(session, root, settings, Run("archive", "shoal-archive"), tunes_session=True)
                    return write_page(opened, person, time_zone, output, shown_path(input_path), today)

            owner = interruptible(spark, written)
    said = {"person": owner, "output": str(output), "rows": result.rows_out, "rejected": int(result.tags.get("rejected", 0))}
    sys.stdout.write(json.dumps(said, ensure_ascii=False) + "\n")


def write_page(lake: Lake, person: str | None, zone: str, output: Path, source: str, today: date) -> str:
    """Write the page of the archive that was read into the lake, whole or not at all, and return its owner.

    Raises InputError where no owner, or more than one and no `person`, is known. Some twenty small Spark jobs.
    """
    settings, owner = lake.settings, owner_of(lake, person)
    written = lake.read("silver.texts", missing_ok=True)
    texts = with_lexicon_sentiment(written, F.col("text"), settings.train_sentiment.max_text_length).persist()
    ordered = order_texts(texts, texts.select("text_id", "polarity"), settings.conversations.gap_hours).persist()
    try:
        tables = [lake.read_if_exists(name) for name in ("silver.interactions", "silver.items", "silver.follows")]
        messages = lake.read("bronze.instagram_export").where("conversation_id IS NOT NULL")
        members = messages.groupBy("conversation_id").agg(F.first("people", ignorenulls=True).alias("people"))
        sizes, parts = archive_parts(Archive(owner, zone, texts, ordered, members, *tables))
    finally:
        ordered.unpersist()
        texts.unpersist()
    about = (("Archive", source), ("Person", owner), ("Hours and months", zone), ("Written", today.isoformat()))
    closing = "Made from the archive alone, on this machine. Times of the archive are UTC; they are shown in the zone named above."
    lake.store.write_text(str(output), page(Heading(f"The archive of {owner}", about, sizes, closing), parts))
    return owner


def owner_of(lake: Lake, person: str | None) -> str:
    """The one whose archive is in the lake, or `person`, who must be one of them. At most MOST_OWNERS ids are collected.

    Raises InputError for no record by an owner, for several owners and no `person`, and for a `person` who is none.
    """
    records = lake.read("bronze.instagram_export").where(F.col("_rule").isNull() & F.col("kind").isin(*OWNERS_KINDS))
    owners = [row[0] for row in records.select("user_id").distinct().orderBy("user_id").limit(MOST_OWNERS).collect() if row[0]]
    if not owners:
        raise InputError("the archive has no profile, like, comment or post: nothing says whose it is")
    if person is None and len(owners) > 1:
        shown = ", ".join(owners[:5]) + (" ..." if len(owners) > 5 else "")
        raise InputError(f"archives of {len(owners)} people: {shown}; name one with --person")
    if person is not None and person not in owners:
        raise InputError(f"--person {person}: no such archive; there is {', '.join(owners[:5])}")
    return person or owners[0]


@contextmanager
def _lake_folder(lake: str | None) -> Iterator[str]:
    """The named lake, or a folder that only this user can read and that is gone afterwards."""
    if lake is not None:
        yield lake
        return
    with tempfile.TemporaryDirectory(prefix="shoal-archive-") as made:
        yield made


def _check(output: Path, zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"--time-zone {zone}: no such zone; expected one as Europe/Paris or UTC") from None
    if output.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--output {output}: expected a name that ends in .html")
    if output.is_dir() or not output.parent.is_dir() or not os.access(output.parent, os.W_OK):
        raise UsageError(f"--output {output}: expected the name of a file in a folder that exists and can be written to")


def _as_error(result: Result) -> ShoalError:
    error = InputError(result.message or "the archive could not be read")
    error.exit_code = result.exit_code
    return error

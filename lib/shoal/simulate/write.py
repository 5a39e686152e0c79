"""A simulated world as raw files, the way the field hands data over, and its truth in a folder beside it.

    <output>/events/*.csv        event_id,user_id,item_id,event,value,occurred_at
    <output>/items/*.jsonl       item_id,kind,owner_id,title,text,hashtags,categories,price_usd,location,created_at
    <output>/texts/*.jsonl       text_id,kind,author_id,item_id,text,label,created_at
    <output>/edges/*.csv         src,dst,weight,followed_at
    <output>/assignments/*.csv   experiment,user_id,variant,assigned_at
    <output>/moderation/*.csv    item_id,verdict,decided_at, of a world with moderators
    <output>/pictures/*.png      named after their items, of a world with pictures
    <truth>/users, items, texts, likes, communities, pictures (Parquet) and world.json

Only this module and those of the other forms (`formats`) write. No job reads the truth.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from shoal.simulate import tables
from shoal.simulate.activity import KINDS, RATING_MEAN
from shoal.simulate.moderators import decisions_about, decisions_as_text
from shoal.simulate.pictures import pictures, write_pictures
from shoal.simulate.roles import role_counts
from shoal.simulate.spoil import mark_spoiled, spoiled_key, spoiled_number, spoiled_time
from shoal.simulate.words import TOPICS
from shoal.simulate.world import WorldConf

FOLDERS = ("items", "texts", "edges", "assignments", "events")
# Folders of worlds that have moderators or pictures.
MORE_FOLDERS = ("moderation", "pictures")
_SUFFIX = {"csv": ".csv", "tsv": ".tsv", "json": ".jsonl", "parquet": ".parquet"}


def write_world(
    spark: SparkSession,
    conf: WorldConf,
    output: Path,
    truth: Path,
    partitions: int | None = None,
    report: Callable[[str, int], None] = lambda folder, rows: None,
) -> dict[str, Any]:
    """Write a world's raw files and its truth; returns what <truth>/world.json says: planted parameters and row counts.

    Each folder is written beside its place and moved there when whole; an old folder of the same name is replaced, so the same
    command again gives the same rows. A raw folder without rows is not written. Rows go from the tasks to the files; the driver
    holds the file names and at most 20,000 communities. `report` is called with folder and rows as each one is done.
    Raises OSError where a folder cannot be written. `output` and `truth` must be on a disk that driver and tasks share.
    """
    truths = {
        "users": tables.users(spark, conf, partitions),
        "items": tables.items_with_truth(spark, conf, partitions),
        "texts": tables.texts_with_truth(spark, conf, partitions),
        "communities": tables.communities(spark, conf),
        "likes": tables.likes(spark, conf, partitions),
    }
    if conf.pictures:
        truths["pictures"] = pictures(spark, conf, partitions)
    spread_rows = 0
    for name, rows in truths.items():
        generation = F.col("generation") if name == "likes" else F.lit(0)
        count, spread = write_folder(rows, truth / name, "parquet", F.count_if(generation > 0))
        spread_rows += spread
        report(f"truth/{name}", count)

    # What the truth already holds is read back: making the likes again would double a large world's dearest step.
    made = {name: spark.read.parquet(str(truth / name)) for name in truths}
    files = {}
    for name in (*FOLDERS, *(["moderation"] if conf.moderated_share else [])):
        rows, form = _raw_rows(spark, conf, name, made, partitions)
        count, spoiled = write_folder(rows, output / name, form, F.count("spoiled"))
        files[name] = {"rows": count, "spoiled": spoiled}
        report(name, count)
    if conf.pictures:
        count = write_pictures(made["pictures"], output / "pictures")
        files["pictures"] = {"rows": count, "spoiled": 0}
        report("pictures", count)

    facts = planted_facts(conf) | {"files": files, "likes_that_spread": spread_rows}
    _replace_text(truth / "world.json", json.dumps(facts, indent=2) + "\n")
    return facts


def planted_facts(conf: WorldConf) -> dict[str, Any]:
    """The parameters of a world, with the dates that follow from them, as plain values."""
    start, end = conf.experiment_window
    campaigns, conversations = role_counts(conf)
    return {
        "parameters": conf.model_dump(mode="json"),
        "window": {"first_day": str(conf.day(conf.starts_at)), "day_after": str(conf.day(conf.ends_at))},
        "communities": conf.community_count,
        "mu": conf.mu,
        "transmission_rate": conf.transmission_rate,
        "topics": [topic.name for topic in TOPICS],
        "campaigns": campaigns,
        "conversations": conversations,
        "event_kinds": list(KINDS),
        "rating_mean_before_taste": RATING_MEAN,
        "shift": {
            "first_day": str(conf.day(conf.shift_at)),
            "stars_added_to_ratings": conf.rating_shift,
            "share_of_views_and_clicks_that_become_saves": conf.mix_shift,
            "hours_later": conf.hour_shift,
        },
        "experiment": {
            "name": tables.EXPERIMENT,
            "first_day": str(conf.day(start)),
            "day_after": str(conf.day(end)),
            "control_click_rate": conf.click_rate,
            "treatment_click_rate": conf.click_rate * (1 + conf.lift),
            "lift": conf.lift,
        },
    }


def _raw_rows(
    spark: SparkSession, conf: WorldConf, folder: str, made: dict[str, DataFrame], partitions: int | None
) -> tuple[DataFrame, str]:
    """A folder's rows as they stand in its files (times as text), with `spoiled` beside them, and the files' form.

    `made`: the truth's tables as they were written.
    """
    if folder == "events":
        rows = tables.other_events(spark, conf, partitions).unionByName(tables.as_events(made["likes"]))
        marked = mark_spoiled(rows, conf, folder, ["event_id"], has_number=True)
        key, value, at = spoiled_key("event_id"), spoiled_number("value"), spoiled_time("occurred_at")
        return marked.select(key, "user_id", "item_id", "event", value, at, "spoiled"), "csv"
    if folder == "edges":
        marked = mark_spoiled(tables.follows(spark, conf, partitions), conf, folder, ["src", "dst"], has_number=True)
        key, weight, at = spoiled_key("src"), spoiled_number("weight"), spoiled_time("followed_at")
        return marked.select(key, "dst", weight, at, "spoiled"), "csv"
    if folder == "assignments":
        rows = tables.assignments(conf, made["users"]).withColumn("spoiled", F.lit(None).cast("string"))
        return rows.withColumn("assigned_at", spoiled_time("assigned_at")), "csv"
    if folder == "moderation":
        decided = decisions_about(made["items"].where("kind = 'post'"), conf, conf.moderated_share)
        return decisions_as_text(decided).withColumn("spoiled", F.lit(None).cast("string")), "csv"
    names = {"items": tables.ITEM_COLUMNS, "texts": tables.text_columns(conf)}[folder]
    marked = mark_spoiled(made[folder], conf, folder, [names[0]], has_number=False)
    return marked.select(spoiled_key(names[0]), *names[1:-1], spoiled_time(names[-1]), "spoiled"), "json"


def write_folder(rows: DataFrame, folder: Path, form: str, extra: Column) -> tuple[int, int]:
    """Write `rows` (without `spoiled`) to files part-00000.csv ... in `folder`; how many, and the aggregate `extra` of them.

    The counts are taken while writing, no second pass is made.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    seen = Observation()
    observed = rows.observe(seen, F.count(F.lit(1)).alias("rows"), extra.alias("extra")).drop("spoiled")
    writer = observed.write.mode("overwrite")
    if form == "csv":
        writer.option("header", True).option("emptyValue", "").csv(str(partial))
    elif form == "tsv":
        # As IMDb writes it: a quote is a letter, \\N is nothing.
        writer.option("header", True).option("sep", "\t").option("quote", "").option("nullValue", "\\N").csv(str(partial))
    elif form == "json":
        writer.option("ignoreNullFields", False).json(str(partial))
    else:
        writer.parquet(str(partial))
    count, second = seen.get["rows"], seen.get["extra"]
    for old in [path for path in partial.iterdir() if not path.name.startswith("part-")]:
        old.unlink()
    for place, path in enumerate(sorted(partial.iterdir())):
        path.rename(partial / f"part-{place:05d}{_SUFFIX[form]}")
    shutil.rmtree(folder, ignore_errors=True)
    if count or form == "parquet":
        partial.rename(folder)
    else:
        shutil.rmtree(partial)
    return count, second


def _replace_text(path: Path, text: str) -> None:
    """Write a file beside its place, then move it there."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)

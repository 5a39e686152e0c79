"""Bring files of one source into the lake: every record into bronze, sound ones into silver, the rest into quarantine.

Reads:  the files at --input, and ops.ingest_files: a file whose content was ingested before is passed over
Writes: bronze.ratings, bronze.events, bronze.items, bronze.texts, bronze.edges, bronze.links: one row per record, sound or not
        silver.interactions, silver.items, silver.item_links, silver.texts, silver.follows: one row per new or newer record
        ops.quarantine     one row per rejected record, with rule, reason, file, line and the raw text
        ops.ingest_files   one row per file and part, last of all: what is not in it is ingested again, without a double

A record is parsed once, into bronze; silver and quarantine are columnar reads of that. Every record ends in exactly one of
silver, duplicates, quarantine; the run fails rather than lose one. Cost of a first load: one pass over the bytes for hash
and cuts, one for parsing, one shuffle of 8-byte key hashes, three commits.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from shoal.conf import IngestConf
from shoal.contract import Contract, contract
from shoal.errors import ContractError, InputError
from shoal.lake import Lake
from shoal.quality import fault_of
from shoal.runs import run_job
from shoal.sources.catalogue import parts_of
from shoal.sources.fields import fault, match_columns, typed
from shoal.sources.listing import Survey, list_files, survey_files
from shoal.sources.parsing import plain
from shoal.sources.parts import Part
from shoal.sources.reading import read_records


@dataclass(frozen=True)
class Batch:
    """The new files of one part and, once bronze holds them, their counts: records by (file, rule); the rule of sound ones
    is None."""

    part: Part
    surveys: Sequence[Survey]
    batch_id: str
    counts: dict[tuple[str, str | None], int]


def silver_columns(part: Part) -> list[str]:
    """The silver columns that a record gives, `source` and `run_id` left out."""
    return [name for name in contract(part.silver).columns if name not in ("source", "run_id")]


def with_fields(records: DataFrame, part: Part, conf: IngestConf, as_of: date) -> DataFrame:
    """`records` with typed fields in place of their texts, and `_fault`: what is wrong with a record's form or first bad field."""
    form = F.when(F.col("_rule").isNotNull(), F.struct(F.col("_rule").alias("rule"), F.col("_reason").alias("reason")))
    values = {field.name: typed(field, conf) for field in part.fields}
    faults = [fault(field, values[field.name], conf, as_of) for field in part.fields]
    return records.select("_file", "_line", "raw", F.coalesce(form, *faults).alias("_fault"), *_named(values))


def with_verdict(fielded: DataFrame, part: Part, conf: IngestConf) -> DataFrame:
    """`fielded` as silver's columns with `_rule` and `_reason`: the first rule a record breaks, null where it is sound."""
    made: Contract = contract(part.silver)
    columns = silver_columns(part)
    silver = fielded.select("_file", "_line", "raw", "_fault", *_named(part.made(conf)))
    checks = [fault_of(made, columns), *([part.checked(conf)] if part.checked else [])]
    judged = silver.withColumn("_fault", F.coalesce("_fault", *checks))
    kept = [F.col(name).cast(made.columns[name].type).alias(name) for name in columns]
    return judged.select(
        "_file", "_line", "raw", F.col("_fault.rule").alias("_rule"), F.col("_fault.reason").alias("_reason"), *kept
    )


def _named(values: dict[str, Column]) -> list[Column]:
    """The columns under their names."""
    return [value.alias(name) for name, value in values.items()]


def as_bronze(judged: DataFrame, batch_id: str, source: str, lake: Lake) -> DataFrame:
    """`judged` with its provenance."""
    return judged.withColumns(
        {"_batch_id": F.lit(batch_id), "_source": F.lit(source), "_ingested_at": F.lit(lake.run.started_at)}
    )


def left_out(sound: DataFrame, made: Contract, silver: DataFrame | None, keeps_newest: bool) -> DataFrame:
    """The sound records that do not go into silver: _file, _line, verdict (duplicate or conflict), reason.

    Within the batch the first record of a key, by file and line, stays; an equal one is a duplicate, a different one a
    conflict. Against silver an equal row makes a duplicate; a different one a conflict, or, where the newest is kept,
    nothing: it goes over the old. Only records whose 8-byte key hash occurs twice are sorted; of `silver` only rows with a
    key of the batch are compared.
    """
    content = [name for name in made.columns if name not in ("source", "run_id")]
    hashed = F.xxhash64(*made.key)
    marked = sound.withColumn("_content", F.xxhash64(*content))
    twice = marked.groupBy(hashed.alias("_h")).agg(F.count(F.lit(1)).alias("_n")).where("_n > 1").select("_h")
    order = Window.partitionBy(*made.key).orderBy("_file", "_line")
    first = F.first(F.struct("_content", "_file", "_line")).over(order).alias("_first")
    groups = marked.withColumn("_h", hashed).join(twice, "_h", "left_semi").select("_file", "_line", "_content", first)
    later = groups.where((F.col("_file") != F.col("_first._file")) | (F.col("_line") != F.col("_first._line")))
    same = F.col("_content") == F.col("_first._content")
    where = F.concat(F.col("_first._file"), F.lit(":"), F.col("_first._line"))
    reason = F.concat(F.lit(f"{', '.join(made.key)}: the same key with other values is at "), where)
    verdict = F.when(same, "duplicate").otherwise("conflict").alias("verdict")
    within = later.select("_file", "_line", verdict, reason.alias("reason"))
    if silver is None:
        return within
    known = silver.select(*made.key, F.xxhash64(*content).alias("_known"))
    keys = marked.select("_file", "_line", "_content", *made.key)
    # The batch is the small side: it goes to silver's rows, not they to it.
    near = known.join(F.broadcast(keys.select(*made.key).distinct()), made.key, "left_semi")
    met = keys.join(near, made.key)
    equal = F.col("_content") == F.col("_known")
    old = F.lit(f"{', '.join(made.key)}: {made.name} has this key with other values")
    against = met.select("_file", "_line", F.when(equal, "duplicate").otherwise("conflict").alias("verdict"), old.alias("reason"))
    if keeps_newest:
        against = against.where("verdict = 'duplicate'")
    fresh = against.join(within, ["_file", "_line"], "left_anti")
    return within.unionByName(fresh)


def file_rows(batch: Batch, source: str, excluded: dict[tuple[str, str], int], settings_hash: str) -> list[tuple[object, ...]]:
    """A row of ops.ingest_files per file, but for ingested_at and run_id; `excluded` counts by (file, verdict)."""
    rows: list[tuple[object, ...]] = []
    for survey in batch.surveys:
        counts = {rule: n for (file, rule), n in batch.counts.items() if file == survey.path}
        duplicates, conflicts = (excluded.get((survey.path, verdict), 0) for verdict in ("duplicate", "conflict"))
        sound = counts.pop(None, 0)
        rejected = sum(counts.values()) + conflicts
        rows.append((
            batch.batch_id, source, batch.part.name, survey.path, survey.sha256, settings_hash, survey.bytes,
            sound + sum(counts.values()), sound - duplicates - conflicts, duplicates, rejected,
        ))  # fmt: skip
    return rows


def find_batches(lake: Lake, conf: IngestConf, source: str, given: str, settings_hash: str) -> tuple[list[Batch], int]:
    """The parts of the source that `given` holds new files of, and how many files were ingested before.

    Raises InputError where a file that the source cannot do without is not there or has no content at all.
    """
    known: set[tuple[str, str]] = set()
    if lake.exists("ops.ingest_files"):
        rows = lake.written("ops.ingest_files").where(F.col("settings_hash") == settings_hash)
        # Two short strings a file that was ever ingested with these settings.
        known = {(row["part"], row["sha256"]) for row in rows.select("part", "sha256").distinct().collect()}
    batches, passed = [], 0
    for part in parts_of(source):
        alone = Path(given).is_file()
        if part.file and alone and Path(given).name.lower().removesuffix(".gz") != part.file:
            continue
        paths = list_files(given, conf.max_files, None if alone else part.file)
        if not paths:
            if part is parts_of(source)[0]:
                raise InputError(f"{given}: no {part.file} in it; expected the folder of a {source} data set")
            continue
        surveys = survey_files(lake.spark, paths, conf)
        filled = [s for s in surveys if s.bytes and (s.form != "csv" or s.header)]
        if not filled:
            raise InputError(f"{surveys[0].path}: the file is empty; expected a header line and rows")
        fresh: dict[str, Survey] = {s.sha256: s for s in reversed(filled) if (part.name, s.sha256) not in known}
        passed += len(filled) - len(fresh)
        chosen = sorted(fresh.values(), key=lambda s: s.path)
        if chosen:
            content = json.dumps([source, part.name, settings_hash, [(s.path, s.sha256) for s in chosen]])
            batches.append(Batch(part, chosen, hashlib.sha256(content.encode()).hexdigest()[:32], {}))
    if not batches and not passed:
        names = ", ".join(part.file for part in parts_of(source) if part.file)
        raise InputError(f"{given}: not a file of a {source} data set; expected {names}")
    return batches, passed


def columns_of(lake: Lake, part: Part, survey: Survey, conf: IngestConf) -> tuple[tuple[str | None, ...], list[str]]:
    """A file's columns under our names, as read_records wants them, and those that nothing is made of."""
    if survey.form == "jsonl":
        pairs = []
        for field in part.fields:
            names = [conf.column[field.name]] if field.name in conf.column else [field.name, *field.aliases]
            pairs += [f"{plain(name)}={field.name}" for name in names]
        match_columns(survey, list(conf.column.values()), [f for f in part.fields if f.name in conf.column], conf)
        return tuple(dict.fromkeys(pairs)), []
    found = list(survey.header) if survey.form == "csv" else lake.spark.read.parquet(survey.path).columns
    matched = match_columns(survey, found, part.fields, conf)
    ours = {theirs: name for name, theirs in matched.items()}
    unknown = [name for name in found if name not in ours]
    if survey.form == "csv":
        return tuple(ours.get(name) for name in found), unknown
    return tuple(f"{theirs}={name}" for theirs, name in ours.items()), unknown


def load_bronze(lake: Lake, conf: IngestConf, as_of: date, source: str, batch: Batch) -> Batch:
    """Parse the batch's files into bronze, and return the batch with its counts."""
    described = {s.path: columns_of(lake, batch.part, s, conf) for s in batch.surveys}
    unknown = sorted({name for _, names in described.values() for name in names})
    if unknown:
        lake.run.note(**{f"{batch.part.name}_columns_left_raw": ", ".join(unknown)})
    names = [field.name for field in batch.part.fields]
    records = read_records(lake.spark, batch.surveys, {path: c for path, (c, _) in described.items()}, names, conf)
    judged = with_verdict(with_fields(records, batch.part, conf, as_of), batch.part, conf)
    lake.replace_where(batch.part.bronze, as_bronze(judged, batch.batch_id, source, lake), "_batch_id", batch.batch_id, unique=True)
    # One row a file and rule.
    counted = bronze_of(lake, batch).groupBy("_file", "_rule").count().collect()
    counts = {(row["_file"], row["_rule"]): row["count"] for row in counted}
    return Batch(batch.part, batch.surveys, batch.batch_id, counts)


def bronze_of(lake: Lake, batch: Batch) -> DataFrame:
    """The bronze rows of a batch."""
    return lake.written(batch.part.bronze).where(F.col("_batch_id") == batch.batch_id)


def refuse_bad_batch(lake: Lake, conf: IngestConf, given: str, batches: Sequence[Batch]) -> None:
    """Raise InputError where more than ingest.max_reject_ratio of the records are rejected; names the rule that most break."""
    total = sum(n for batch in batches for n in batch.counts.values())
    rules: dict[tuple[str, int], int] = {}
    for at, batch in enumerate(batches):
        for (_, rule), n in batch.counts.items():
            if rule is not None:
                rules[rule, at] = rules.get((rule, at), 0) + n
    rejected = sum(rules.values())
    if not total or rejected <= conf.max_reject_ratio * total:
        return
    rule, worst = max(rules, key=lambda key: rules[key])
    example = bronze_of(lake, batches[worst]).where(F.col("_rule") == rule).orderBy("_file", "_line").limit(1).collect()[0]
    raise InputError(
        f"{given}: {rejected:,} of {total:,} records rejected, more than max_reject_ratio={conf.max_reject_ratio:g}; "
        f"silver is as it was; most break {rule!r}, as {example['_file']}:{example['_line']}: {example['_reason']}"
    )


def quarantine(lake: Lake, source: str, batch: Batch, conflicts: DataFrame | None) -> None:
    """Make the batch's rejected records, and the `conflicts` among its sound ones, its rows of ops.quarantine."""
    rejected = bronze_of(lake, batch).where("_rule is not null")
    if conflicts is not None:
        told = conflicts.select("_file", "_line", F.lit("duplicate_key").alias("_rule"), F.col("reason").alias("_reason"))
        kept = bronze_of(lake, batch).drop("_rule", "_reason").join(told, ["_file", "_line"])
        rejected = rejected.unionByName(kept)
    rows = rejected.select(
        F.col("_batch_id").alias("batch_id"), F.lit(source).alias("source"), F.lit(batch.part.name).alias("part"),
        F.col("_file").alias("file"), F.col("_line").alias("line"), F.col("_rule").alias("rule"),
        F.coalesce("_reason", F.lit("")).alias("reason"), "raw", F.col("_ingested_at").alias("ingested_at"),
    )  # fmt: skip
    lake.replace_where("ops.quarantine", rows, "batch_id", batch.batch_id, unique=True)


def load_silver(lake: Lake, source: str, batch: Batch) -> dict[tuple[str, str], int]:
    """Bring the batch's sound records into silver and the others into quarantine; returns what was left out, counted by
    (file, verdict). Raises ContractError where the counts do not add up."""
    made = contract(batch.part.silver)
    lake.create(made.name)
    sound = bronze_of(lake, batch).where("_rule is null").select("_file", "_line", *silver_columns(batch.part))
    grown = lake.written(made.name).limit(1).count() > 0
    excluded = left_out(sound, made, lake.written(made.name) if grown else None, batch.part.keeps_newest)
    excluded = excluded.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        counted = {(row["_file"], row["verdict"]): row["count"] for row in excluded.groupBy("_file", "verdict").count().collect()}
        rows = sound.join(excluded, ["_file", "_line"], "left_anti") if counted else sound
        rows = rows.drop("_file", "_line").withColumn("source", F.lit(source))
        conflicts = sum(n for (_, verdict), n in counted.items() if verdict == "conflict")
        if conflicts or any(rule is not None for _, rule in batch.counts):
            quarantine(lake, source, batch, excluded.where("verdict = 'conflict'") if conflicts else None)
        expected = sum(n for (_, rule), n in batch.counts.items() if rule is None) - sum(counted.values())
        wrote = 0
        if expected:
            if not grown:
                wrote = lake.append(made.name, rows, unique=True)
            elif batch.part.keeps_newest:
                wrote = lake.merge(made.name, rows, unique=True)
            else:
                wrote = lake.insert_new(made.name, rows, unique=True)
    finally:
        excluded.unpersist()
    if wrote != expected:
        raise ContractError(f"{made.name}: {expected:,} sound records of the batch, {wrote:,} rows written")
    return counted


def run(lake: Lake, conf: IngestConf, as_of: date, *, source: str, input: str) -> None:
    """Bring what is new at `input` into the lake."""
    settings_hash = hashlib.sha256(json.dumps([source, conf.model_dump(mode="json")], sort_keys=True).encode()).hexdigest()
    batches, passed = find_batches(lake, conf, source, input, settings_hash)
    lake.run.note(source=source, files=sum(len(b.surveys) for b in batches), files_ingested_before=passed)
    loaded = [load_bronze(lake, conf, as_of, source, batch) for batch in batches]
    lake.run.rows_in["files"] = sum(n for batch in loaded for n in batch.counts.values())
    try:
        refuse_bad_batch(lake, conf, input, loaded)
    except InputError:
        for batch in loaded:
            quarantine(lake, source, batch, None)
        raise
    rows: list[tuple[object, ...]] = []
    for batch in loaded:
        rows += file_rows(batch, source, load_silver(lake, source, batch), settings_hash)
    if rows:
        names = [name for name in contract("ops.ingest_files").columns if name not in ("ingested_at", "run_id")]
        types = ", ".join(f"{name} {contract('ops.ingest_files').columns[name].type}" for name in names)
        frame = lake.spark.createDataFrame(rows, types).withColumn("ingested_at", F.lit(lake.run.started_at))
        lake.append("ops.ingest_files", frame)
        totals = [sum(int(str(row[i])) for row in rows) for i in (8, 9, 10)]
        lake.run.note(ingested=totals[0], duplicates=totals[1], rejected=totals[2])


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runs for arguments and exit codes."""
    return run_job(__doc__, run, IngestConf, argv)


if __name__ == "__main__":
    sys.exit(main())

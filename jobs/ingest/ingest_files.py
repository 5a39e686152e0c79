"""Bring files of one source into the lake: every record into bronze, sound ones into silver, the rest into quarantine.

Reads:  the files at --input (a .zip is unpacked below the lake first), and ops.ingest_files: a file whose content was
        ingested before is passed over
Writes: bronze.ratings, bronze.events, bronze.items, bronze.texts, bronze.edges, bronze.links ...: one row per record, sound or
        not, in the tables that the source's parts name
        silver.interactions, silver.items, silver.item_external_ids, silver.texts, silver.follows: one row per new or newer record
        silver.impressions and the others too, silver.users, silver.item_engagement, silver.images: rows that the same records
        give besides
        ops.quarantine     one row per rejected record, with rule, reason, file, line and the raw text
        ops.ingest_files   one row per file and part, last of all: what is not in it is ingested again, without a double

A record is parsed once, into bronze; silver and quarantine are columnar reads of that. Every record ends in exactly one of
silver, duplicates, quarantine, by the first silver table of its part; the run fails rather than lose one. Cost of a first
load: one pass over the bytes for hash and cuts, one for parsing, one shuffle of 8-byte key hashes, three commits, and one
shuffle and commit for each further silver table.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from shoal.conf.sections import IngestConf
from shoal.errors import ContractError, InputError, TransientError, UsageError
from shoal.ingest.attempts import Attempts, batch_mark, earlier_attempts, file_mark, others_files
from shoal.ingest.columns import columns_of, refuse_unknown, takes_unknown
from shoal.ingest.duplicates import duplicates_in_silver, duplicates_within, is_any_in, repeated, where_keys_may_be, with_hashes
from shoal.ingest.fields import Hide, refuse_unknown_pattern
from shoal.ingest.formats.archives import archives_of, unpack, unpacked_aside
from shoal.ingest.formats.listing import Survey, list_files, survey_files
from shoal.ingest.formats.reading import read_records, seen_names
from shoal.ingest.pseudonymise import hide_people, withheld
from shoal.ingest.record_type import DerivedTable, RecordType
from shoal.ingest.sources import fashion_catalog
from shoal.ingest.sources.catalogue import parts_of
from shoal.ingest.sources.fashion_catalog import nobodys_pictures, seen_pictures
from shoal.ingest.sources.films import CATALOGUES, enriched, moved, same_films
from shoal.ingest.validation import as_bronze, as_quarantine, rows_of, silver_of, with_fields, with_verdict
from shoal.lake.contract import contract
from shoal.lake.lake import Lake, Mark
from shoal.privacy.guard import check_pseudonymisation
from shoal.privacy.pseudonyms import pseudonymiser
from shoal.runner.command import run_job

READS = ("ops.ingest_files",)
WRITES = (
    "bronze.blocks", "bronze.edges", "bronze.events", "bronze.imdb_titles", "bronze.impressions", "bronze.instagram_export",
    "bronze.instagram_posts", "bronze.item_external_ratings", "bronze.items", "bronze.links", "bronze.moderation",
    "bronze.pictures", "bronze.products", "bronze.profiles", "bronze.ratings", "bronze.reviews", "bronze.shop_events",
    "bronze.texts", "bronze.tmdb_films", "bronze.tweets", "bronze.twitter_archive", "silver.blocks", "silver.follows",
    "silver.images",
    "silver.impressions", "silver.interactions", "silver.item_engagement", "silver.item_external_ids",
    "silver.item_external_ratings", "silver.items", "silver.moderation", "silver.profiles", "silver.texts", "silver.users",
    "ops.quarantine", "ops.ingest_files",
)  # fmt: skip
SETTINGS = ("privacy",)

# Settings that do not change what a record becomes: a file read with others of these is the same file.
NOT_PARSING = {"max_reject_ratio", "max_files", "split_bytes", "zip_max_bytes", "zip_max_members", "zip_max_ratio"}
# Sources that bring films under several ids, and the tables whose rows name an item.
FILM_SOURCES = ("movielens", CATALOGUES)
# So many hashes stand in the query itself, which spares Spark a table of them.
FEW_FILES = 100
NAME_ITEMS = ("silver.interactions", "silver.texts", "silver.item_external_ratings")


@dataclass(frozen=True)
class Batch:
    """The new files of one part. files: mark -> name, see `file_mark`."""

    part: RecordType
    surveys: Sequence[Survey]
    batch_id: str
    files: dict[str, str]


@dataclass(frozen=True)
class TriagedBatch:
    """A batch in bronze, and where its records go.

    counts: records by (file, rule); the rule of sound ones is None. left_out: the sound ones that silver does not get; their
    numbers by (file, verdict). is_known: whether silver has a key of theirs. earlier: what was done before with these files.
    bronze_version: the commit that holds all of the batch, None where that is not known. silver_version: the one in which keys were
    looked for, -1 where there was no table.
    """

    batch: Batch
    counts: dict[tuple[str, str | None], int]
    left_out: DataFrame
    verdicts: dict[tuple[str, str], int]
    is_known: bool
    earlier: Attempts
    bronze_version: int | None
    silver_version: int

    def sound(self) -> int:
        """Records that break no rule of their own."""
        return sum(n for (_, rule), n in self.counts.items() if rule is None)

    def verdict(self, name: str) -> int:
        """Sound records of that verdict."""
        return sum(n for (_, verdict), n in self.verdicts.items() if verdict == name)


def file_rows(sorted_: TriagedBatch, source: str, settings_hash: str) -> list[tuple[object, ...]]:
    """A row of ops.ingest_files per file, but for ingested_at and run_id."""
    rows: list[tuple[object, ...]] = []
    batch = sorted_.batch
    # By file once: a look through all counts for each of 20,000 files takes minutes.
    rules: dict[str, dict[str | None, int]] = {}
    for (file, rule), n in sorted_.counts.items():
        rules.setdefault(file, {})[rule] = n
    for survey in batch.surveys:
        counts = rules.get(survey.shown, {})
        duplicates, conflicts = (sorted_.verdicts.get((survey.shown, name), 0) for name in ("duplicate", "conflict"))
        records, sound = sum(counts.values()), counts.get(None, 0)
        rows.append((
            batch.batch_id, source, batch.part.name, survey.shown, survey.sha256, settings_hash, survey.bytes,
            records, sound - duplicates - conflicts, duplicates, records - sound + conflicts,
        ))  # fmt: skip
    return rows


def find_batches(
    lake: Lake, conf: IngestConf, source: str, given: str, unpacked: Sequence[str], settings_hash: str
) -> tuple[list[Batch], int]:
    """The parts of the source that `given`, or a folder that its archives were `unpacked` into, holds new files of, and how many
    files were ingested before. The number of files that are of no part is a fact of the run.

    Raises InputError where a file that the source cannot do without is not there or has no content at all.
    """
    batches, passed = [], 0
    hide = pseudonymiser(lake.settings.privacy)
    parts, alone = parts_of(source), Path(given).is_file() and not unpacked
    files = list_files(given, conf.max_files, any(part.of_pictures for part in parts), unpacked)
    claimed = {part.name: [path for path in files if part.claims(path)] for part in parts}
    unread = len(files) - len({path for paths in claimed.values() for path in paths})
    if unread:
        lake.run.note(files_of_no_part=unread)
    if not claimed[parts[0].name] and not parts[0].is_optional and not alone:
        names = " or ".join(parts[0].patterns)
        raise InputError(f"{given}: no {names} in it; expected the folder of a {source} data set")
    surveyed: dict[tuple[bool, str], Survey] = {}
    for documents in (False, True):
        # All parts at once: a pass of Spark costs more than a look at some small files.
        paths = sorted({p for part in parts if (part.records_of is not None) == documents for p in claimed[part.name]})
        pages = frozenset[str]().union(*(part.pages for part in parts)) if documents else frozenset[str]()
        found = survey_files(lake.spark, paths, conf, documents, pages) if paths else []
        surveyed.update({(documents, survey.path): survey for survey in found})
    of_parts = {
        part.name: [for_part(part, surveyed[part.records_of is not None, path], hide) for path in claimed[part.name]]
        for part in parts
    }
    before = ingested_before(lake, settings_hash, {survey.sha256 for surveys in of_parts.values() for survey in surveys})
    for part in parts:
        surveys = of_parts[part.name]
        if not surveys:
            continue
        # A document without a byte is a broken one, not a table without rows.
        filled = [s for s in surveys if s.form in ("document", "picture") or (s.bytes and (s.form != "csv" or s.header))]
        if not filled:
            raise InputError(f"{surveys[0].path}: the file is empty; expected a header line and rows")
        if len(filled) < len(surveys):
            lake.run.note(empty_files=len(surveys) - len(filled))
        fresh: dict[str, Survey] = {s.sha256: s for s in reversed(filled) if (part.name, s.sha256) not in before}
        passed += len(filled) - len(fresh)
        chosen = sorted(fresh.values(), key=lambda s: s.path)
        if chosen:
            content = json.dumps([source, part.name, settings_hash, [(s.shown, s.sha256) for s in chosen]])
            marks = {file_mark(source, part.name, settings_hash, s.shown, s.sha256): s.shown for s in chosen}
            batches.append(Batch(part, chosen, hashlib.sha256(content.encode()).hexdigest()[:32], marks))
    if not batches and not passed:
        names = ", ".join(pattern for part in parts for pattern in part.patterns)
        raise InputError(f"{given}: not a file of a {source} data set; expected {names}")
    return batches, passed


def for_part(part: RecordType, survey: Survey, hide: Hide | None) -> Survey:
    """The survey of a file of the part, its hash told apart by what its records depend on besides its bytes. With `hide`, which
    makes pseudonyms, the lake's path of a file of people is without them."""
    if part.hidden_path and hide:
        survey = replace(survey, hidden=part.hidden_path(survey.path, hide))
    if part.depends_on is None:
        return survey
    # A name hashed with a file that everybody has, as one without data, could be found out by trying.
    whose = hide(part.depends_on(survey.path)) if hide else part.depends_on(survey.path)
    return replace(survey, sha256=hashlib.sha256(f"{survey.sha256} {whose}".encode()).hexdigest())


def ingested_before(lake: Lake, settings_hash: str, hashes: set[str]) -> set[tuple[str, str]]:
    """(part, content hash) of what ops.ingest_files has of these hashes with these settings; at most a row a part and file."""
    if not lake.exists("ops.ingest_files"):
        return set()
    rows = lake.read_current("ops.ingest_files").where(F.col("settings_hash") == settings_hash)
    if len(hashes) <= FEW_FILES:
        same = rows.where(F.col("sha256").isin(sorted(hashes)))
    else:
        same = rows.join(F.broadcast(lake.spark.createDataFrame([(h,) for h in hashes], "sha256 string")), "sha256")
    return {(row["part"], row["sha256"]) for row in same.select("part", "sha256").distinct().collect()}


def load_bronze(lake: Lake, conf: IngestConf, as_of: date, source: str, batch: Batch) -> TriagedBatch:
    """Parse the batch's files into bronze, and find where each record goes. Silver is read, not written. Collects a row a file and
    rule: at most ingest.max_files times the rules, which code and contracts fix."""
    described = {s.path: columns_of(batch.part, s, conf) for s in batch.surveys}
    for path, (_, names) in described.items():
        refuse_unknown(batch.part, path, names)
    seen = seen_names(lake.spark)
    earlier = attempts_at(lake, batch)
    names = [field.name for field in batch.part.fields]
    columns = {path: found for path, (found, _) in described.items()}
    records = read_records(
        lake.spark, batch.surveys, columns, names, conf, batch.part.records_of, batch.part.has_quotes, seen,
        not takes_unknown(batch.part), batch.part.shaped,
    )  # fmt: skip
    privacy = lake.settings.privacy
    # At most one a file; as many as there are people whose files these are.
    names_in = batch.part.names_in if privacy.pseudonymise else None
    others = {name: of for s in batch.surveys for name, of in names_in(s.path).items()} if names_in else {}
    fielded = with_fields(hide_people(records, batch.part, privacy, others), batch.part, conf, as_of)
    judged = withheld(with_verdict(fielded, batch.part, conf), batch.part, privacy)
    rows = as_bronze(judged, batch.batch_id, source, lake.run.started_at)
    at, mark = None, batch_mark(batch.batch_id, batch.files)
    if earlier.runs:
        replace_batch_rows(lake, batch.part.bronze, rows, batch, earlier, ("_batch_id", "_file"), mark)
    # Else nothing of this batch to take out: no look at the table's files.
    elif lake.append(batch.part.bronze, rows, unique=True, mark=mark):
        at = lake.last_commit(batch.part.bronze)
    # JSON's names are known once the records were read.
    unknown = sorted({name for _, names in described.values() for name in names} | seen.value)
    if unknown:
        lake.run.note(**{f"{batch.part.name}_columns_left_raw": ", ".join(unknown)})
    counted = bronze_of(lake, batch, at).groupBy("_file", "_rule").count().collect()
    counts = {(row["_file"], row["_rule"]): row["count"] for row in counted}
    version = lake.version(batch.part.silver)
    sound = sound_of(lake, conf, batch, at)
    number = sum(n for (_, rule), n in counts.items() if rule is None)
    return TriagedBatch(batch, counts, *left_out(lake, source, batch, sound, number, earlier.runs), earlier, at, version)


def attempts_at(lake: Lake, batch: Batch) -> Attempts:
    """The earlier attempts at the batch's files, by the marks of bronze's commits, and by its rows for what the log does not tell
    any more. Cost: the first lines of at most 1,000 files of the log, and a look for the batch's rows."""
    if not lake.exists(batch.part.bronze):
        return Attempts()
    marked = earlier_attempts(lake.marks(batch.part.bronze), batch.batch_id, batch.files)
    # One value: the last attempt at this very batch.
    last = {row["run_id"] for row in bronze_of(lake, batch, None).select("run_id").distinct().collect()}
    return replace(marked, runs=marked.runs | last)


def replace_batch_rows(
    lake: Lake, table: str, rows: DataFrame, batch: Batch, earlier: Attempts, by: tuple[str, str], mark: Mark | None = None
) -> None:
    """Make `rows` the batch's in a table with the columns `by` of batches and files, in the place of all that earlier attempts have
    there of its files."""
    if earlier.is_partly:
        lake.create(table)
        rows = rows.unionByName(others_files(lake.read_current(table), earlier, *by).drop("run_id"))
    lake.replace_where(table, rows, by[0], [batch.batch_id, *sorted(earlier.shared)], unique=True, mark=mark)


def bronze_of(lake: Lake, batch: Batch, at: int | None) -> DataFrame:
    """The bronze rows of a batch, all of them in the commit `at` where that is known."""
    rows = lake.read_current(batch.part.bronze) if at is None else lake.read_commit(batch.part.bronze, at)
    return rows.where(F.col("_batch_id") == batch.batch_id)


def sound_of(lake: Lake, conf: IngestConf, batch: Batch, at: int | None) -> DataFrame:
    """The batch's records that break no rule: _file, _line and silver's columns."""
    return silver_of(bronze_of(lake, batch, at).where("_rule is null"), batch.part, conf)


def left_out(
    lake: Lake, source: str, batch: Batch, sound: DataFrame, rows: int, earlier: Collection[str]
) -> tuple[DataFrame, dict[tuple[str, str], int], bool]:
    """The `sound` records of the batch (`rows` of them) that do not go into silver: _file, _line, verdict, reason, persisted; their
    numbers by (file, verdict); and whether silver has a key of the batch.

    Within the batch the first record of a key stays; of a later one, and of one that silver has, see `duplicates_within` and
    `duplicates_in_silver`. Collects a row a file and verdict, of which there are three.
    """
    made = contract(batch.part.silver)
    nothing = lake.spark.createDataFrame([], "_file string, _line bigint, verdict string, reason string")
    if not rows:
        return nothing, {}, False
    hashed = with_hashes(sound, made)
    twice = repeated(hashed.select("_h"), rows).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        # Nearly always none of either kind: then no record is looked at again.
        is_twice = not twice.isEmpty()
        silver = lake.read_current(made.name) if lake.exists(made.name) else None
        if silver is not None and batch.part.key_from:
            silver = where_keys_may_be(silver, sound, source, batch.part.key_from)
        is_known = silver is not None and is_any_in(silver, hashed, made, rows)
        if not is_twice and not is_known:
            return nothing, {}, False
        left = within = duplicates_within(hashed, made, twice) if is_twice else nothing
        if silver is not None and is_known:
            against = duplicates_in_silver(hashed, made, silver, earlier, batch.part.keeps_newest, rows)
            left = within.unionByName(against.join(within, ["_file", "_line"], "left_anti"))
        left = left.persist(StorageLevel.MEMORY_AND_DISK)
        counted = left.groupBy("_file", "verdict").count().collect()
    finally:
        twice.unpersist()
    return left, {(row["_file"], row["verdict"]): row["count"] for row in counted}, is_known


def refuse_bad_batch(lake: Lake, conf: IngestConf, given: str, loaded: Sequence[TriagedBatch]) -> None:
    """Raise InputError where more than ingest.max_reject_ratio of the records are rejected; names the rule that most break."""
    total = sum(n for each in loaded for n in each.counts.values())
    rules: dict[tuple[str, int], int] = {}
    for i, each in enumerate(loaded):
        for (_, rule), n in [*each.counts.items(), ((None, "duplicate_key"), each.verdict("conflict"))]:
            if rule is not None and n:
                rules[rule, i] = rules.get((rule, i), 0) + n
    rejected = sum(rules.values())
    if not total or rejected <= conf.max_reject_ratio * total:
        return
    rule, worst = max(rules, key=lambda key: rules[key])
    rejects = rejected_of(lake, loaded[worst]).where(F.col("_rule") == rule)
    example = rejects.select("_file", "_line", "_reason").orderBy("_file", "_line").limit(1).collect()[0]
    raise InputError(
        f"{given}: {rejected:,} of {total:,} records rejected, more than max_reject_ratio={conf.max_reject_ratio:g}; "
        f"silver is as it was; most break {rule!r}, as {example['_file']}:{example['_line']}: {example['_reason']}"
    )


def refuse_new_names(lake: Lake, loaded: Sequence[TriagedBatch]) -> None:
    """Raise InputError where JSON records have names that nothing is made of and bronze's contract takes none, as for a column of
    other files; but a record's names are known only once it was read, so they are in bronze and quarantine."""
    for each in loaded:
        if not any(rule == "unknown_column" for _, rule in each.counts):
            continue
        rows = bronze_of(lake, each.batch, each.bronze_version).where("_rule = 'unknown_column'")
        first = rows.select("_file", "_line", "_reason").orderBy("_file", "_line").limit(1).collect()[0]
        records = sum(n for (_, rule), n in each.counts.items() if rule == "unknown_column")
        raise InputError(
            f"{first['_file']}:{first['_line']}: {first['_reason']}, and {records - 1:,} more such records; silver is as it was; "
            f"leave it out, or name what it is with --set column.OURS=THEIRS ({each.batch.part.bronze})"
        )


def rejected_of(lake: Lake, loaded: TriagedBatch) -> DataFrame:
    """The batch's rejected records: bronze's rows, those that contradict another record with rule duplicate_key."""
    rows = bronze_of(lake, loaded.batch, loaded.bronze_version)
    rejected = rows.where("_rule is not null")
    if not loaded.verdict("conflict"):
        return rejected
    told = loaded.left_out.where("verdict = 'conflict'")
    told = told.select("_file", "_line", F.lit("duplicate_key").alias("_rule"), F.col("reason").alias("_reason"))
    return rejected.unionByName(rows.drop("_rule", "_reason").join(told, ["_file", "_line"]))


def quarantine(lake: Lake, source: str, loaded: TriagedBatch, again: bool = False) -> None:
    """Make the batch's rejected records its rows of ops.quarantine. `again`: this run has done so before."""
    again = again or bool(loaded.earlier.runs)
    if not again and not loaded.verdict("conflict") and all(rule is None for _, rule in loaded.counts):
        return
    rows = as_quarantine(rejected_of(lake, loaded), source, loaded.batch.part)
    if again:
        replace_batch_rows(lake, "ops.quarantine", rows, loaded.batch, loaded.earlier, ("batch_id", "file"))
    else:
        lake.append("ops.quarantine", rows, unique=True)


def load_silver(lake: Lake, conf: IngestConf, source: str, loaded: TriagedBatch) -> TriagedBatch:
    """Bring the batch's sound records into the part's silver table; returns where they went, which is not where they were to go
    where others have written meanwhile, as a stream does. Raises ContractError where other than the expected number of rows
    arrive; with a catalog, which keeps nobody out, TransientError."""
    batch = loaded.batch
    if batch.part.keeps_newest:
        write_silver(lake, conf, source, loaded)
        return loaded
    with lake.sole_writer(batch.part.silver):
        now = lake.version(batch.part.silver)
        if now != loaded.silver_version:
            sound = sound_of(lake, conf, batch, loaded.bronze_version)
            left, verdicts, is_known = left_out(lake, source, batch, sound, loaded.sound(), loaded.earlier.runs)
            loaded.left_out.unpersist()
            before = loaded.verdict("conflict")
            loaded = replace(loaded, left_out=left, verdicts=verdicts, is_known=is_known, silver_version=now)
            if loaded.verdict("conflict") != before:
                quarantine(lake, source, loaded, again=True)
        write_silver(lake, conf, source, loaded)
    return loaded


def write_silver(lake: Lake, conf: IngestConf, source: str, loaded: TriagedBatch) -> None:
    """The commit of `load_silver`."""
    batch = loaded.batch
    made = lake.create(batch.part.silver)
    left = sum(loaded.verdicts.values())
    expected = loaded.sound() - left
    if not expected:
        return
    sound = sound_of(lake, conf, batch, loaded.bronze_version)
    rows = sound.join(loaded.left_out, ["_file", "_line"], "left_anti") if left else sound
    rows = rows.drop("_file", "_line").withColumn("source", F.lit(source))
    if batch.part.keeps_newest and loaded.is_known:
        wrote = lake.upsert(made.name, rows, unique=True)
    else:
        wrote = lake.append_known_new(made.name, rows, loaded.silver_version, renew=batch.part.keeps_newest)
    if wrote != expected:
        if lake.settings.lake.catalog:
            raise TransientError(f"{made.name}: others have written some of the batch's keys meanwhile; run the command again")
        raise ContractError(f"{made.name}: {expected:,} sound records of the batch, {wrote:,} rows written")


def write_derived_tables(lake: Lake, conf: IngestConf, source: str, loaded: Sequence[TriagedBatch]) -> None:
    """Bring the rows that the batches' sound records give besides into their tables: one commit a table. A rerun writes the
    same rows again. Of a table with rows of both kinds, those that keep the newest come first: the others only fill gaps."""
    outputs: dict[tuple[str, bool], list[tuple[DataFrame, DerivedTable]]] = {}
    for each in loaded:
        sound = bronze_of(lake, each.batch, each.bronze_version).where("_rule is null")
        if each.verdict("conflict"):
            sound = sound.join(each.left_out.where("verdict = 'conflict'"), ["_file", "_line"], "left_anti")
        for also in each.batch.part.also if each.sound() else ():
            outputs.setdefault((also.silver, also.keeps_newest), []).append((sound, also))
    for silver, newest in sorted(outputs, key=lambda key: not key[1]):
        rows = rows_of(outputs[silver, newest], conf).withColumn("source", F.lit(source))
        (lake.upsert if newest else lake.insert_if_absent)(silver, rows, unique=True)


def resolve_film_entities(lake: Lake, conf: IngestConf) -> None:
    """Make items that silver.item_external_ids says are one film one item: what the catalogues know fills it, and what names it by
    their ids names it by its own. Safe to repeat: where nothing is left to do, nothing is written.
    """
    if not lake.exists("silver.item_external_ids"):
        return
    links = lake.read_current("silver.item_external_ids")
    if not links.where(F.col("source") == CATALOGUES).limit(1).count():
        return
    aliases = same_films(links).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        if not aliases.limit(1).count():
            return
        # From bronze: a later batch of the other source may have gone over what was filled in before.
        known = [(each.bronze, also) for each in parts_of(CATALOGUES) for also in each.also if also.silver == "silver.items"]
        sources = [(lake.read_current(name).where("_rule is null"), also) for name, also in known if lake.exists(name)]
        lake.create("silver.items")
        better = enriched(lake.read_current("silver.items"), rows_of(sources, conf), aliases).persist(StorageLevel.MEMORY_AND_DISK)
        if better.limit(1).count():
            lake.upsert("silver.items", better, unique=True)
        better.unpersist()
        for name in NAME_ITEMS:
            if lake.exists(name):
                key = list(contract(name).key)
                rows = moved(lake.read_current(name), aliases, key).persist(StorageLevel.MEMORY_AND_DISK)
                if rows.limit(1).count():
                    lake.upsert(name, rows, unique=True)
                rows.unpersist()
        for name in ("silver.items", "silver.item_external_ratings"):
            old = lake.read_current(name).join(aliases, "item_id") if lake.exists(name) else None
            if old is not None and old.limit(1).count():
                lake.delete_duplicates(
                    name, old.select("item_id", F.lit("").alias("source")).distinct(), ["item_id"], "source", "true"
                )
    finally:
        aliases.unpersist()


def link_images_to_products(lake: Lake) -> None:
    """Make files of pictures that products name by their records the pictures of these. Safe to repeat, also after a kill between
    the two commits: what goes is told by what the first left."""
    if not lake.exists("silver.images"):
        return
    better = seen_pictures(lake.read_current("silver.images"))
    if better.limit(1).count():
        lake.upsert("silver.images", better, unique=True)
    # Not persisted: a commit makes Spark fill what is cached of a table anew, from the table as it is then.
    lake.create("silver.items")
    gone = nobodys_pictures(lake.read_current("silver.images"), lake.read_current("silver.items"))
    if gone.limit(1).count():
        lake.delete("silver.images", gone)


def run(lake: Lake, conf: IngestConf, as_of: date, *, source: str, input: str) -> None:
    """Bring what is new at `input` into the lake."""
    privacy, parts = lake.settings.privacy, parts_of(source)
    # Before anything can fail.
    lake.run.withholds_message = privacy.pseudonymise and any(part.hidden_path for part in parts)
    check_pseudonymisation(lake)
    refuse_unknown_pattern(lake.spark, conf)
    archives = archives_of(input)
    if len(archives) > conf.max_files:
        raise InputError(f"{input}: {len(archives):,} archives, more than max_files={conf.max_files:,}")
    if archives != [input] and not any(part.depends_on for part in parts):
        # In other folders a .zip is most often what the files beside it came from.
        lake.run.note(**({"zip_files_unread": len(archives)} if archives else {}))
        archives = []
    if not archives:
        bring(lake, conf, as_of, source, input, [])
    elif not privacy.pseudonymise:
        bring(lake, conf, as_of, source, input, [unpack(each, lake.root, conf) for each in archives])
    elif any(part.of_pictures for part in parts):
        raise UsageError(f"{input}: a pseudonymised lake keeps no pictures of an archive; unpack it elsewhere and name the folder")
    else:
        with unpacked_aside(archives, lake.root, conf) as folders:
            bring(lake, conf, as_of, source, input, folders)


def bring(lake: Lake, conf: IngestConf, as_of: date, source: str, input: str, unpacked: Sequence[Path]) -> None:
    """Bring what is new at `input`, whose archives lie `unpacked` in these folders, into the lake."""
    parsing = conf.model_dump(mode="json", exclude=NOT_PARSING)
    settings_hash = hashlib.sha256(json.dumps([source, parsing], sort_keys=True).encode()).hexdigest()
    batches, passed = find_batches(lake, conf, source, input, [str(folder) for folder in unpacked], settings_hash)
    lake.run.note(source=source, files=sum(len(b.surveys) for b in batches), files_ingested_before=passed)
    loaded = [load_bronze(lake, conf, as_of, source, batch) for batch in batches]
    lake.run.rows_in["files"] = sum(n for each in loaded for n in each.counts.values())
    try:
        for each in loaded:
            quarantine(lake, source, each)
        refuse_new_names(lake, loaded)
        refuse_bad_batch(lake, conf, input, loaded)
        for place, each in enumerate(loaded):
            loaded[place] = load_silver(lake, conf, source, each)
        # After all of them: a derived row must not take the key of a record that was judged before it was there.
        write_derived_tables(lake, conf, source, loaded)
        if source in FILM_SOURCES and batches:
            resolve_film_entities(lake, conf)
        if source == fashion_catalog.SOURCE and batches:
            link_images_to_products(lake)
    finally:
        for each in loaded:
            each.left_out.unpersist()
    rows = [row for each in loaded for row in file_rows(each, source, settings_hash)]
    if rows:
        names = [name for name in contract("ops.ingest_files").columns if name not in ("ingested_at", "run_id")]
        types = ", ".join(f"{name} {contract('ops.ingest_files').columns[name].type}" for name in names)
        frame = lake.spark.createDataFrame(rows, types).withColumn("ingested_at", F.lit(lake.run.started_at))
        lake.append("ops.ingest_files", frame, unique=True)
        totals = [sum(int(str(row[i])) for row in rows) for i in (8, 9, 10)]
        lake.run.note(ingested=totals[0], duplicates=totals[1], rejected=totals[2])


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, IngestConf, argv)


if __name__ == "__main__":
    sys.exit(main())

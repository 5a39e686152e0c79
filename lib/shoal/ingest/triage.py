"""Where the records of a batch go: silver, duplicates or quarantine. Ingest and stream share it.

A batch's bronze rows carry the verdict on each record by itself. Here each sound record is compared with the others of the batch
and with silver; the rejected ones go to quarantine. `shoal.ingest.silver` writes the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.conf.sections import IngestConf
from shoal.ingest.duplicates import (
    duplicates_in_silver,
    duplicates_within,
    is_any_in,
    repeated,
    where_keys_may_be,
    with_hashes,
)
from shoal.ingest.record_type import RecordType
from shoal.ingest.small_triage import Key, KeyRow, Lookup, SilverKeys, SilverRow, look_up, times_of, verdicts_of
from shoal.ingest.unfinished import unfinished_runs
from shoal.ingest.validation import as_quarantine, silver_of
from shoal.lake.contract import contract
from shoal.lake.lake import Lake, Txn

_VERDICTS = "_file string, _line bigint, verdict string, reason string"


@dataclass(frozen=True)
class Batch:
    """Records of one type that are in bronze.

    rows: bronze's columns but run_id. counts: records by (file, rule); the rule of sound ones is None. ids: the values of _batch_id
    that the rows have. is_repeated: whether an earlier attempt may have left rows of these ids in quarantine and silver. keys: the
    key rows where the batch is small, else None. txn: the Delta transaction of a stream's batch.
    """

    record_type: RecordType
    source: str
    rows: DataFrame
    counts: Mapping[tuple[str, str | None], int]
    ids: Collection[str]
    is_repeated: bool = False
    keys: Sequence[KeyRow] | None = None
    txn: Txn | None = None

    def records(self) -> int:
        """All records."""
        return sum(self.counts.values())

    def sound(self) -> int:
        """Records that break no rule of their own."""
        return sum(n for (_, rule), n in self.counts.items() if rule is None)


@dataclass(frozen=True)
class TriagedBatch:
    """A batch and where its sound records go.

    excluded: the sound records that silver does not get: _file, _line, verdict, reason; None where there are none. verdicts: their
    numbers by (file, verdict). meets_silver: whether silver has a key of a record that is written. silver_version: the version in
    which keys were looked for, -1 where there was no table.
    """

    batch: Batch
    excluded: DataFrame | None
    verdicts: Mapping[tuple[str, str], int]
    meets_silver: bool
    silver_version: int

    def verdict(self, name: str) -> int:
        """Sound records of that verdict: duplicate or conflict."""
        return sum(n for (_, verdict), n in self.verdicts.items() if verdict == name)

    def rejected(self) -> int:
        """Records for quarantine."""
        return self.batch.records() - self.batch.sound() + self.verdict("conflict")

    def written(self) -> int:
        """Records for silver."""
        return self.batch.sound() - sum(self.verdicts.values())

    def rejected_rows(self) -> DataFrame:
        """Bronze's rows of rejected records; conflicts with rule duplicate_key."""
        rows = self.batch.rows
        rejected = rows.where("_rule is not null")
        if self.excluded is None or not self.verdict("conflict"):
            return rejected
        conflicts = self.excluded.where("verdict = 'conflict'")
        conflicts = conflicts.select("_file", "_line", F.lit("duplicate_key").alias("_rule"), F.col("reason").alias("_reason"))
        return rejected.unionByName(rows.drop("_rule", "_reason").join(F.broadcast(conflicts), ["_file", "_line"]))

    def sound_rows(self) -> DataFrame:
        """Bronze's rows of the sound records that are no conflict."""
        rows = self.batch.rows.where("_rule is null")
        if self.excluded is None or not self.verdict("conflict"):
            return rows
        return rows.join(self._sent(self.excluded.where("verdict = 'conflict'")), ["_file", "_line"], "left_anti")

    def silver_rows(self, conf: IngestConf) -> DataFrame:
        """The rows for silver, with their source."""
        rows = silver_of(self.batch.rows.where("_rule is null"), self.batch.record_type, conf)
        if self.excluded is not None:
            rows = rows.join(self._sent(self.excluded), ["_file", "_line"], "left_anti")
        return rows.drop("_file", "_line").withColumn("source", F.lit(self.batch.source))

    def _sent(self, excluded: DataFrame) -> DataFrame:
        """Of a small batch to where its records are, without a shuffle."""
        return excluded if self.batch.keys is None else F.broadcast(excluded)

    def release(self) -> None:
        """Free what is cached of the excluded records."""
        if self.excluded is not None:
            self.excluded.unpersist()


def find_duplicates_and_conflicts(
    lake: Lake,
    conf: IngestConf,
    batches: Sequence[Batch],
    known: dict[str, SilverKeys] | None = None,
    others: Mapping[str, Collection[Key]] | None = None,
) -> list[TriagedBatch]:
    """Compare each batch's sound records with each other and with silver, which is read, not written.

    Small batches are compared on the driver, in their order, each with silver as it will be after those before it: one scan of the
    key columns of each silver table, in one Spark job for all. `known` takes what they learn of silver, also of the keys `others`
    by table. Others are compared in Spark, see `_in_spark`.
    """
    known = {} if known is None else known
    wanted: dict[str, set[Key]] = {name: set(keys) for name, keys in (others or {}).items()}
    times = {}
    for batch in batches:
        if batch.keys is not None:
            name, is_alone = batch.record_type.silver, batch.record_type.silver not in wanted
            wanted.setdefault(name, set()).update(row.key for row in batch.keys if row.rule is None)
            times[name] = times_of(batch.keys, batch.record_type.key_from, batch.source) if is_alone else None
    look_up_tables(lake, wanted, times, known)
    found = []
    for batch in batches:
        if batch.keys is None:
            found.append(_in_spark(lake, conf, batch))
        else:
            found.append(_on_driver(lake, batch, batch.keys, known[batch.record_type.silver]))
    return found


def look_up_tables(
    lake: Lake,
    wanted: Mapping[str, Collection[Key]],
    times: Mapping[str, tuple[str, str, int, int] | None],
    known: dict[str, SilverKeys],
) -> None:
    """Learn the rows of the silver tables that have one of the `wanted` keys, with the version that was looked at. `times`: within
    which the keys of a table can be, see `Lookup`. One Spark job for all, and one a table in which Delta lists its files."""
    lookups = []
    for name, keys in wanted.items():
        known[name] = SilverKeys(lake.version(name))
        if known[name].version >= 0 and keys:
            lookups.append((name, Lookup(lake.read_current(name), contract(name), keys, times.get(name))))
    for (name, _), rows in zip(lookups, look_up([lookup for _, lookup in lookups]), strict=True):
        known[name].rows.update(rows)


def _on_driver(lake: Lake, batch: Batch, keys: Sequence[KeyRow], silver: SilverKeys) -> TriagedBatch:
    """The triage of a small batch; `silver` becomes what it is once the batch is written."""
    made = contract(batch.record_type.silver)
    equal = {(row.source, row.run_id) for key in keys if (row := silver.rows.get(key.key)) and row.content == key.content}
    adopted = _unfinished(lake, batch, equal)
    verdicts = verdicts_of(keys, made, silver.rows, batch.record_type.keeps_newest, adopted)
    excluded = {(each.file, each.line) for each in verdicts}
    written = [row for row in keys if row.rule is None and (row.file, row.line) not in excluded]
    meets = any(row.key in silver.rows for row in written)
    version = silver.version
    silver.rows.update({row.key: SilverRow(row.content, batch.source, lake.run.run_id) for row in written})
    counts: dict[tuple[str, str], int] = {}
    for each in verdicts:
        counts[each.file, each.verdict] = counts.get((each.file, each.verdict), 0) + 1
    frame = lake.spark.createDataFrame([tuple(each) for each in verdicts], _VERDICTS).coalesce(1) if verdicts else None
    return TriagedBatch(batch, frame, counts, meets, version)


def _unfinished(lake: Lake, batch: Batch, writers: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of the `writers`, (source, run), that wrote rows of the batch's source and did not finish their files. A stream knows
    its attempts by their transactions."""
    runs = {run for source, run in writers if source == batch.source}
    noted = unfinished_runs(lake)
    if batch.txn is not None or not runs:
        return set()
    if noted is None:
        ended = _finished_runs(lake).where(F.col("run_id").isin(sorted(runs))).select("run_id").collect()
        noted = runs - {row["run_id"] for row in ended}
    return {(batch.source, run) for run in runs & noted}


def _with_open(lake: Lake, batch: Batch, known: DataFrame) -> DataFrame:
    """`known` rows of silver (_source, _run, ...) with `_is_open`: whether a run of the batch's source wrote them that did not
    finish."""
    ours, noted = F.col("_source") == batch.source, unfinished_runs(lake)
    if batch.txn is not None:
        return known.withColumn("_is_open", F.lit(False))
    if noted is not None:
        return known.withColumn("_is_open", ours & F.col("_run").isin(sorted(noted)))
    ended = _finished_runs(lake).distinct().select(F.col("run_id").alias("_run"), F.lit(True).alias("_ended"))
    return known.join(F.broadcast(ended), "_run", "left").withColumn("_is_open", ours & F.col("_ended").isNull()).drop("_ended")


def _finished_runs(lake: Lake) -> DataFrame:
    """With a catalog, where no run is noted: run_id of the runs that are in ops.ingest_files, that ops.runs has as succeeded or of
    another job, and of this run; a run may occur several times."""
    frames = [lake.spark.range(1).select(F.lit(lake.run.run_id).alias("run_id"))]
    if lake.exists("ops.ingest_files"):
        frames.append(lake.read_current("ops.ingest_files").select("run_id"))
    if lake.exists("ops.runs"):
        ended = lake.read_current("ops.runs").where("job <> 'ingest_files' or status = 'succeeded'")
        frames.append(ended.select("run_id"))
    return reduce(DataFrame.unionByName, frames)


def _in_spark(lake: Lake, conf: IngestConf, batch: Batch) -> TriagedBatch:
    """The triage of a batch of any size. Cost: a shuffle of 8 bytes a record and a scan of silver's key columns; where one of them
    finds equal hashes, the records of these are sorted or joined. Collects a row a file and verdict, of which there are two."""
    record_type = batch.record_type
    made, rows = contract(record_type.silver), batch.sound()
    version = lake.version(made.name)
    if not rows:
        return TriagedBatch(batch, None, {}, False, version)
    sound = silver_of(batch.rows.where("_rule is null"), record_type, conf)
    hashed = with_hashes(sound, made)
    twice = repeated(hashed.select("_h"), rows).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        # Nearly always none of either kind: then no record is looked at again.
        is_twice = not twice.isEmpty()
        silver = lake.read_current(made.name) if version >= 0 else None
        if silver is not None and record_type.key_from:
            silver = where_keys_may_be(silver, sound, batch.source, record_type.key_from)
        is_known = silver is not None and is_any_in(silver, hashed, made, rows)
        if not is_twice and not is_known:
            return TriagedBatch(batch, None, {}, False, version)
        excluded = duplicates_within(hashed, made, twice) if is_twice else lake.spark.createDataFrame([], _VERDICTS)
        if silver is not None and is_known:
            with_open = partial(_with_open, lake, batch)
            against = duplicates_in_silver(hashed, made, silver, with_open, record_type.keeps_newest, rows)
            excluded = excluded.unionByName(against.join(excluded, ["_file", "_line"], "left_anti"))
        excluded = excluded.persist(StorageLevel.MEMORY_AND_DISK)
        counts = {(r["_file"], r["verdict"]): r["count"] for r in excluded.groupBy("_file", "verdict").count().collect()}
    finally:
        twice.unpersist()
    is_adopting = any(verdict == "adopted" for _, verdict in counts)
    verdicts = {place: n for place, n in counts.items() if place[1] != "adopted"}
    meets = is_known if record_type.keeps_newest else is_adopting
    return TriagedBatch(batch, excluded.where("verdict <> 'adopted'") if is_adopting else excluded, verdicts, meets, version)


def quarantine(lake: Lake, triaged: Sequence[TriagedBatch], is_repeated: bool = False) -> int:
    """Make the rejected records the rows that ops.quarantine has of the batches, in one commit, and return their number.

    Rows of an earlier attempt at the same ids are replaced, also where this run has written them before (`is_repeated`).
    """
    rejected = [each for each in triaged if each.rejected()]
    frames = [as_quarantine(each.rejected_rows(), each.batch.source, each.batch.record_type) for each in rejected]
    if not is_repeated and not any(each.batch.is_repeated for each in triaged):
        if not frames:
            return 0
        return lake.append("ops.quarantine", _few_files(reduce(DataFrame.unionByName, frames), rejected), unique=True)
    if not frames and not lake.exists("ops.quarantine"):
        return 0
    lake.create("ops.quarantine")
    nothing = lake.read_current("ops.quarantine").drop("run_id").limit(0)
    ids = sorted({batch_id for each in triaged for batch_id in each.batch.ids})
    rows = _few_files(reduce(DataFrame.unionByName, frames), rejected) if frames else nothing
    return lake.replace_where("ops.quarantine", rows, "batch_id", ids, unique=True)


def _few_files(rows: DataFrame, triaged: Sequence[TriagedBatch]) -> DataFrame:
    """Small batches as one task and file."""
    return rows.coalesce(1) if all(each.batch.keys is not None for each in triaged) else rows


def triaged_again(lake: Lake, conf: IngestConf, triaged: TriagedBatch) -> TriagedBatch:
    """The triage of the same batch with silver as it is now; quarantine follows where the conflicts are others."""
    again = find_duplicates_and_conflicts(lake, conf, [triaged.batch])[0]
    # Where the number of conflicts is the same, the records may be others.
    if again.verdict("conflict") or triaged.verdict("conflict"):
        quarantine(lake, [again], is_repeated=True)
    triaged.release()
    return again

"""The lake: one commit a write, contracts enforced, reruns idempotent, the run in the history."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
import shoal.lake.lake
import shoal.lake.log
from delta.tables import DeltaTable
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from shoal.conf.loading import load
from shoal.errors import ContractError, InputError, SkippedError, TransientError, UsageError
from shoal.lake.contract import contract
from shoal.lake.lake import Lake, Run
from shoal.lake.maintenance import compact

TABLE, DAY, NEXT = "features.users", date(2024, 1, 1), date(2024, 1, 2)


def users(spark: SparkSession, *ids: str, **changed: Any) -> DataFrame:
    """One sound row of features.users per id, without as_of and run_id, with some columns changed."""
    made = contract(TABLE)
    row: dict[str, Any] = {n: 1 if c.type == "bigint" else 1.0 if c.type == "double" else None for n, c in made.columns.items()}
    row |= {"first_event_at": datetime(2024, 1, 1), "last_event_at": datetime(2024, 1, 1)} | changed
    names = [n for n in made.columns if n not in ("as_of", "run_id")]
    fields = ", ".join(f"{n} {made.columns[n].type}" for n in names)
    return spark.createDataFrame([tuple({**row, "user_id": i}[n] for n in names) for i in ids], fields)


def ids(lake: Lake, on: date = DAY) -> list[str]:
    return sorted(row["user_id"] for row in lake.read(TABLE, on=on).select("user_id").collect())


def test_replace_writes_one_day_and_leaves_the_others(spark: SparkSession, make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    assert lake.replace(TABLE, users(spark, "a", "b"), on=DAY) == 2
    assert lake.replace(TABLE, users(spark, "c"), on=NEXT) == 1
    assert lake.replace(TABLE, users(spark, "b"), on=DAY) == 1
    assert lake.run.rows_out == {TABLE: 4}
    later = make_lake(run_id="run-2")
    assert (ids(later), ids(later, NEXT)) == (["b"], ["c"])


def test_the_table_is_made_from_its_contract(spark: SparkSession, lake: Lake) -> None:
    lake.replace(TABLE, users(spark, "a"), on=DAY)
    table = DeltaTable.forPath(spark, lake.path(TABLE))
    detail = table.detail().collect()[0]
    assert detail["partitionColumns"] == ["as_of"]
    assert detail["properties"]["delta.constraints.distinct_items_check"] == "distinct_items between 1 and event_count"
    fields = {f.name: f for f in table.toDF().schema.fields}
    assert fields["user_id"].metadata["comment"] == "the user"
    assert detail["description"] == contract(TABLE).grain


def test_every_commit_carries_the_run(spark: SparkSession, make_lake: Callable[..., Lake]) -> None:
    first = make_lake(run_id="run-1")
    first.replace(TABLE, users(spark, "a"), on=DAY)
    make_lake(run_id="run-2").upsert(TABLE, users(spark, "a", "b").withColumn("as_of", F.lit(DAY)))
    history = DeltaTable.forPath(spark, first.path(TABLE)).history().orderBy("version").collect()
    assert [json.loads(row["userMetadata"])["run_id"] for row in history] == ["run-1", "run-1", "run-2"]


def test_merge_updates_and_insert_new_does_not(spark: SparkSession, make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    lake.replace(TABLE, users(spark, "a", event_count=5), on=DAY)
    rows = users(spark, "a", "b", event_count=7).withColumn("as_of", F.lit(DAY))
    assert lake.insert_if_absent(TABLE, rows) == 1
    seen = {r["user_id"]: r["event_count"] for r in make_lake(run_id="r2").read(TABLE).collect()}
    assert seen == {"a": 5, "b": 7}
    assert make_lake(run_id="r3").upsert(TABLE, rows) == 2
    seen = {r["user_id"]: r["event_count"] for r in make_lake(run_id="r4").read(TABLE).collect()}
    assert seen == {"a": 7, "b": 7}


def test_rows_known_to_be_absent_are_appended_where_nobody_wrote_since(spark: SparkSession, make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    lake.replace(TABLE, users(spark, "a", event_count=5), on=DAY)
    rows = users(spark, "a", "b", event_count=7).withColumn("as_of", F.lit(DAY))
    # Another writer came in between: the keys are looked for again.
    assert lake.append_known_new(TABLE, rows, at=lake.version(TABLE) - 1) == 1
    assert lake.append_known_new(TABLE, rows.where("user_id = 'b'").withColumn("user_id", F.lit("c")), at=lake.version(TABLE)) == 1
    operations = DeltaTable.forPath(spark, lake.path(TABLE)).history(2).orderBy("version").collect()
    assert [row["operation"] for row in operations] == ["WRITE", "WRITE"]
    seen = {r["user_id"]: r["event_count"] for r in make_lake(run_id="r2").read(TABLE).collect()}
    assert seen == {"a": 5, "b": 7, "c": 7}
    # Of rows that renew what there is, one that another writer has brought meanwhile is put over.
    assert lake.append_known_new(TABLE, rows.where("user_id = 'a'"), at=lake.version(TABLE) - 1, renew=True) == 1
    assert make_lake(run_id="r3").read(TABLE).where("user_id = 'a'").collect()[0]["event_count"] == 7


def test_who_adds_by_keys_waits_for_the_tables_other_writer(
    spark: SparkSession, make_lake: Callable[..., Lake], monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, other = make_lake(), make_lake(run_id="other")
    rows = users(spark, "a").withColumn("as_of", F.lit(DAY))
    monkeypatch.setattr(shoal.lake.lake, "LOCK_SECONDS", 0.1)
    with other.sole_writer(TABLE):
        with pytest.raises(TransientError, match="features.users: another run has been writing it"):
            lake.insert_if_absent(TABLE, rows)
        assert other.append_known_new(TABLE, rows, at=other.version(TABLE)) == 1
    assert lake.insert_if_absent(TABLE, rows) == 0


@pytest.fixture(scope="module")
def kept(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake whose table has one row, which no refused write changes: one for all of them."""
    root = tmp_path_factory.mktemp("kept") / "lake"
    Lake(spark, root, load(), Run("run-1", "test")).replace(TABLE, users(spark, "a"), on=DAY)
    return root


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.withColumn("event_count", F.lit(float("nan"))), "event_count is double, not bigint"),
        (lambda f: f.drop("rating_sum"), "missing rating_sum"),
        (lambda f: f.withColumn("userId", F.lit("x")), "unknown userId"),
        (lambda f: f.unionByName(f), r"the key \(as_of, user_id\) is not unique: 2 rows"),
        (lambda f: f.withColumn("rating_sum", F.lit(float("nan"))), "CHECK constraint rating_sum_check"),
        (lambda f: f.withColumn("rating_sum", F.lit(float("inf"))), "CHECK constraint rating_sum_check"),
        (lambda f: f.withColumn("event_count", F.lit(-1).cast("bigint")), "CHECK constraint"),
        (lambda f: f.withColumn("user_id", F.lit(None).cast("string")), "user_id"),
    ],
)
def test_a_frame_that_breaks_the_contract_is_refused_and_the_table_stays(
    spark: SparkSession, make_lake: Callable[..., Lake], kept: Path, change: Callable[[DataFrame], DataFrame], says: str
) -> None:
    lake = make_lake(root=kept)
    with pytest.raises(ContractError, match=says) as caught:
        lake.replace(TABLE, change(users(spark, "b")), on=DAY)
    assert "\n" not in str(caught.value)
    after = make_lake(run_id="after", root=kept)
    assert (ids(after), after.version(TABLE)) == (["a"], 1)


def test_a_run_keeps_seeing_the_version_it_first_read(spark: SparkSession, make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    lake.replace(TABLE, users(spark, "a"), on=DAY)
    reader = make_lake(run_id="reader")
    assert ids(reader) == ["a"]
    make_lake(run_id="writer").replace(TABLE, users(spark, "b"), on=DAY)
    assert ids(reader) == ["a"]
    assert reader.run.input_versions == {TABLE: 1}
    assert reader.run.rows_in == {TABLE: 1}


def test_a_table_that_was_not_made_is_a_reason_to_skip(lake: Lake) -> None:
    with pytest.raises(SkippedError, match="features.users does not exist"):
        lake.read(TABLE)
    assert lake.read(TABLE, missing_ok=True).columns == list(contract(TABLE).columns)
    assert lake.version(TABLE) == -1


def test_a_table_of_another_contract_is_named_with_its_columns(spark: SparkSession, lake: Lake) -> None:
    spark.range(1).write.format("delta").save(lake.path(TABLE))
    says = r"features.users was made by another version of its contract \(one without a version.*column active_days is new"
    with pytest.raises(ContractError, match=says):
        lake.replace(TABLE, users(spark, "a"), on=DAY)


def test_names_never_become_paths(lake: Lake) -> None:
    for name in ("../../etc", "gold.`/etc/hostname`", "text./etc/hostname"):
        with pytest.raises(UsageError):
            lake.read(name)


def test_files_cannot_be_named_in_sql(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    with pytest.raises(Exception, match="TABLE_OR_VIEW_NOT_FOUND|not found|UNSUPPORTED"):
        spark.sql(f"select * from text.`{tmp_path / 'secret'}`").collect()


def test_before_keeps_the_day_itself_and_rows_without_a_time(spark: SparkSession, lake: Lake) -> None:
    made = contract("silver.follows")
    rows = [("a", "b", datetime(2024, 1, 1, 23, 59, 59)), ("a", "c", datetime(2024, 1, 2)), ("a", "d", None)]
    frame = spark.createDataFrame(rows, "src_id string, dst_id string, followed_at timestamp")
    for name, column in made.columns.items():
        if name not in (*frame.columns, "run_id"):
            value = F.lit(1.0) if column.type == "double" else F.lit("x")
            frame = frame.withColumn(name, value.cast(column.type))
    lake.append("silver.follows", frame)
    assert sorted(r["dst_id"] for r in lake.read("silver.follows", before=DAY).collect()) == ["b", "d"]


def test_no_rows_in_place_of_no_rows_is_no_commit_and_no_fault(lake: Lake, spark: SparkSession) -> None:
    rows = spark.createDataFrame([], lake.create("ops.quarantine").struct()).drop("run_id")
    assert lake.replace_where("ops.quarantine", rows, "batch_id", ["a"], unique=True) == 0
    assert Lake(spark, lake.root, lake.settings, Run("later", "test")).replace_where(
        "ops.quarantine", rows, "batch_id", ["b"], unique=True
    ) == 0  # fmt: skip


def test_to_add_no_rows_is_no_commit_and_no_fault(lake: Lake, spark: SparkSession) -> None:
    rows = spark.createDataFrame([], lake.create("ops.quarantine").struct()).drop("run_id")
    later = Lake(spark, lake.root, lake.settings, Run("later", "test"))
    assert later.append("ops.quarantine", rows, unique=True) == 0
    assert (later.run.rows_out, later.version("ops.quarantine")) == ({"ops.quarantine": 0}, lake.version("ops.quarantine"))


def test_a_transaction_is_done_once_and_tells_what_its_first_attempt_did(
    spark: SparkSession, make_lake: Callable[..., Lake]
) -> None:
    """Into an empty table, which takes no MERGE, and into one with rows; new rows and renewed ones."""

    def pairs(*rows: tuple[str, str, float]) -> DataFrame:
        return spark.createDataFrame([(*row, None, "t") for row in rows], "src_id string, dst_id string, weight double, "
                                     "followed_at timestamp, source string")  # fmt: skip

    def held() -> list[tuple[Any, ...]]:
        return sorted(map(tuple, make_lake().read("silver.follows").select("src_id", "weight").collect()))

    first = pairs(("a", "x", 1.0), ("b", "x", 1.0), ("c", "x", 1.0))
    assert make_lake("run-1").insert_if_absent("silver.follows", first, unique=True, txn=("app", 0)) == 3
    # Killed after it: the next run does the same batch again, and finds other rows to bring.
    assert make_lake("run-2").insert_if_absent("silver.follows", pairs(("d", "x", 1.0)), unique=True, txn=("app", 0)) == 3
    assert held() == [("a", 1.0), ("b", 1.0), ("c", 1.0)]
    renewed = pairs(("a", "x", 2.0), ("d", "x", 2.0))
    assert make_lake("run-2").upsert("silver.follows", renewed, unique=True, txn=("app", 1)) == 2
    assert make_lake("run-3").upsert("silver.follows", pairs(), unique=True, txn=("app", 1)) == 2
    assert held() == [("a", 2.0), ("b", 1.0), ("c", 1.0), ("d", 2.0)]


def test_rows_known_to_be_absent_are_added_once_a_transaction(spark: SparkSession, make_lake: Callable[..., Lake]) -> None:
    rows = [("a", "x", 1.0, None, "t"), ("b", "x", 1.0, None, "t")]
    pairs = spark.createDataFrame(rows, "src_id string, dst_id string, weight double, followed_at timestamp, source string")
    name, first = "silver.follows", make_lake("run-1")
    first.create(name)
    assert first.append_known_new(name, pairs, first.version(name), txn=("app", 0)) == 2
    # Killed after it. The version is that of today, so no key is looked for: the transaction alone says that it is done.
    again = make_lake("run-2")
    assert again.append_known_new(name, pairs.limit(1), again.version(name), txn=("app", 0)) == 2
    assert make_lake().read(name).count() == 2
    # Another writer came in between.
    assert again.append_known_new(name, pairs, again.version(name) - 1, txn=("app", 1)) == 0


def test_an_append_of_a_transaction_tells_its_own_version(spark: SparkSession, make_lake: Callable[..., Lake]) -> None:
    lake, rows = make_lake("run-1"), users(spark, "a").withColumn("as_of", F.lit(DAY))
    assert lake.append_once(TABLE, rows, ("app", 0)) == 1
    assert make_lake("run-2").append_once(TABLE, rows, ("app", 0)) is None
    assert make_lake("run-2").append_once(TABLE, rows, ("app", 1)) == 2


def test_the_rows_of_one_append_are_found_without_a_look_at_the_log(spark: SparkSession, make_lake: Callable[..., Lake]) -> None:
    def append(lake: Lake, *ids: str) -> None:
        lake.append(TABLE, users(spark, *ids).withColumn("as_of", F.lit(DAY)))

    first, second = make_lake("run-1"), make_lake("run-2")
    append(first, "a", "b")
    append(second, "c")
    append(second, "d", "e")
    assert (first.last_commit(TABLE), second.last_commit(TABLE), make_lake("run-3").last_commit(TABLE)) == (1, 3, None)

    def ids_of(version: int) -> list[str]:
        return sorted(row["user_id"] for row in second.read_commit(TABLE, version).select("user_id").collect())

    spark.sparkContext.setJobGroup("added", "the rows of one append")
    found = ids_of(3)
    jobs = spark.sparkContext.statusTracker().getJobIdsForGroup("added")
    assert (found, len(jobs)) == (["d", "e"], 1)
    assert (ids_of(1), ids_of(2)) == (["a", "b"], ["c"])
    # A commit that moves rows is no append: all rows of the table.
    compact(second, TABLE)
    assert ids_of(4) == ["a", "b", "c", "d", "e"]


def test_what_a_table_has_gained_in_many_commits_is_not_looked_for(
    spark: SparkSession, make_lake: Callable[..., Lake], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "silver.interactions"
    row = ("e", "u", "i", "like", None, datetime(2024, 1, 1), "test")
    for n in range(3):
        fields = "event_id string, user_id string, item_id string, event string, value double, occurred_at timestamp, source string"
        make_lake(run_id=f"run-{n}").append(name, spark.createDataFrame([(f"e{n}", *row[1:])], fields))
    last = make_lake().version(name)
    monkeypatch.setattr(shoal.lake.log, "FEW_COMMITS", 2)
    gained = make_lake(run_id="few").inserts_since(name, last - 2)
    assert gained is not None
    assert sorted(r["event_id"] for r in gained.collect()) == ["e1", "e2"]
    assert make_lake(run_id="many").inserts_since(name, last - 3) is None


def test_more_than_the_driver_takes_is_told_with_the_setting() -> None:
    spark_says = "Total size of serialized results of 2 tasks (1.1 GiB) is bigger than spark.driver.maxResultSize (1024.0 MiB)"
    reported = shoal.lake.lake.storage_error("train_recommender", f"Job aborted due to stage failure: {spark_says}")
    assert isinstance(reported, InputError)
    assert "--set spark.driver.maxResultSize=3g" in str(reported)


def test_a_new_table_takes_no_spark_job(spark: SparkSession, lake: Lake) -> None:
    spark.sparkContext.setJobGroup("made", "a new table")
    lake.create(TABLE)
    assert list(spark.sparkContext.statusTracker().getJobIdsForGroup("made")) == []


def test_a_missing_table_is_one_line_at_once(lake: Lake) -> None:
    """No wait for a writer that is making it: none is. Delta has two errors for it, by statement."""
    began = time.monotonic()
    for statement in (
        lambda: compact(lake, TABLE),
        lambda: lake.delete(TABLE, lake.spark.createDataFrame([(DAY, "a")], "as_of date, user_id string")),
        lambda: lake.commits.alter(TABLE, "ALTER TABLE {table} SET TBLPROPERTIES ('a' = 'b')"),
    ):
        with pytest.raises(InputError, match=rf"^{TABLE} does not exist in this lake \({lake.path(TABLE)}\)$"):
            statement()
    # One wait of the fifth try alone takes four seconds.
    assert time.monotonic() - began < 60
    assert not Path(lake.path(TABLE)).exists()


def test_conflicts_without_an_end_are_named_with_their_number(make_lake: Callable[..., Lake]) -> None:
    tries = []

    def conflict() -> None:
        tries.append(1)
        raise AnalysisException("io.delta.exceptions.ConcurrentAppendException: files were added")

    commits = replace(make_lake().commits, retries=2, backoff_seconds=0.001)
    with pytest.raises(TransientError, match=f"^{TABLE}: commit failed after 3 conflicting writes; run the command again$"):
        commits.commit(TABLE, conflict)
    assert len(tries) == 3


def test_a_frame_shows_the_table_as_it_was_and_a_join_of_two_reads_is_no_join_with_itself(
    spark: SparkSession, make_lake: Callable[..., Lake]
) -> None:
    lake = make_lake()
    lake.replace(TABLE, users(spark, "a", "b"), on=DAY)
    reader = make_lake(run_id="reader")
    one, other = reader.read(TABLE), reader.read(TABLE)
    lake.replace(TABLE, users(spark, "c"), on=DAY)
    pairs = one.join(other, one["user_id"] < other["user_id"]).select(one["user_id"], other["user_id"].alias("other"))
    assert [tuple(row) for row in pairs.collect()] == [("a", "b")]


def test_a_row_of_another_day_does_not_come_in_with_an_append(spark: SparkSession, lake: Lake) -> None:
    rows = users(spark, "a").withColumn("as_of", F.lit(NEXT))
    with pytest.raises(Exception, match="a row whose as_of is not one of those that are replaced"):
        lake.replace(TABLE, rows, on=DAY)
    assert lake.read_current(TABLE).isEmpty()

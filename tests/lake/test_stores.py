"""The lake's guarantees where its tables lie elsewhere: below a URI of a Hadoop file system, and in a catalog.

The URI is of Hadoop's own view of other file systems (viewfs), which is a file system with a scheme like any other and needs no
server; the catalog is Spark's session catalog. The tests are those of the local lake, with another fixture.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.conf.addresses import is_uri
from shoal.conf.sections import Settings
from shoal.errors import InputError, TransientError, UsageError
from shoal.lake.contract import VERSION
from shoal.lake.lake import Lake, Run
from shoal.lake.leases import Lease, holders, release, take
from shoal.lake.maintenance import compact, purge_history, sizes, vacuum
from shoal.lake.store import refuse_missing_folder, resolved_root
from shoal.runner.job_lock import alone, job_lock

from tests.lake import test_lake as local
from tests.lake.test_lake import DAY, NEXT, TABLE, ids, users
from tests.support.viewfs import mounted

MakeLake = Callable[..., Lake]


@pytest.fixture(params=["uri", "catalog"])
def make_lake(request: pytest.FixtureRequest, spark: SparkSession, settings: Settings, tmp_path: Path) -> MakeLake:
    """A function that opens the test's lake at a URI, or in the session catalog."""
    root, catalog = str(tmp_path / "lake"), None
    if request.param == "uri":
        root = mounted(spark, tmp_path / "lake")
    else:
        catalog = "spark_catalog"
    lakes = settings.model_copy(update={"lake": settings.lake.model_copy(update={"catalog": catalog})})

    def opened(run_id: str = "run-1") -> Lake:
        return Lake(spark, root, lakes, Run(run_id, "test"))

    if catalog:
        drop_layers(spark)
    return opened


def drop_layers(spark: SparkSession) -> None:
    for layer in ("features", "ops", "silver"):
        spark.sql(f"DROP DATABASE IF EXISTS {layer} CASCADE")


@pytest.fixture(autouse=True, scope="module")
def no_tables_stay(spark: SparkSession) -> None:
    yield
    drop_layers(spark)


@pytest.fixture
def lake(make_lake: MakeLake) -> Lake:
    return make_lake()


test_replace = local.test_replace_writes_one_day_and_leaves_the_others
test_merge = local.test_merge_updates_and_insert_new_does_not
test_a_transaction = local.test_a_transaction_is_done_once_and_tells_what_its_first_attempt_did
test_a_run_keeps_its_version = local.test_a_run_keeps_seeing_the_version_it_first_read


def test_the_table_is_that_of_its_contract(lake: Lake) -> None:
    made = lake.create(TABLE)
    detail = lake.store.delta_table(TABLE).detail().collect()[0]
    assert detail["partitionColumns"] == ["as_of"]
    assert detail["properties"]["delta.constraints.distinct_items_check"] == "distinct_items between 1 and event_count"
    fields = lake.store.load(TABLE).schema.fields
    assert [(f.name, f.dataType.simpleString(), f.nullable, f.metadata["comment"]) for f in fields] == [
        (name, made.data_type(name).simpleString(), column.null, column.comment) for name, column in made.columns.items()
    ]
    assert (lake.exists(TABLE), lake.version(TABLE), lake.properties(TABLE)[VERSION]) == (True, 0, made.version())
    lake.drop(TABLE)
    assert (lake.exists(TABLE), lake.version(TABLE)) == (False, -1)


@pytest.mark.parametrize("place", ["folder", "uri"])
def test_a_table_whose_maker_was_killed_is_made_anew(place: str, spark: SparkSession, settings: Settings, tmp_path: Path) -> None:
    """A log without a version, an unfinished commit in it: Delta says for ever that the table does not exist."""
    quick = settings.model_copy(update={"lake": settings.lake.model_copy(update={"retries": 1, "backoff_seconds": 0.01})})
    folder = tmp_path / "lake"
    log = folder / TABLE.replace(".", "/") / "_delta_log"
    log.mkdir(parents=True)
    (log / ".00000000000000000000.json.0f3a.tmp").write_text("{}")
    lake = Lake(spark, mounted(spark, folder) if place == "uri" else folder, quick, Run("run-1", "test"))
    assert not lake.exists(TABLE)
    lake.replace(TABLE, users(spark, "a"), on=DAY)
    assert ids(lake) == ["a"]
    # A table that has a version is never touched by it.
    lake.store.remove_empty_log(TABLE)
    assert ids(Lake(spark, lake.store.root, quick, Run("run-2", "test"))) == ["a"]


def test_compaction_vacuum_and_a_purge_leave_the_rows(spark: SparkSession, make_lake: MakeLake) -> None:
    lake = make_lake()
    lake.replace(TABLE, users(spark, "a"), on=DAY)
    lake.upsert(TABLE, users(spark, "b").withColumn("as_of", F.lit(DAY)))
    lake.replace(TABLE, users(spark, "c"), on=NEXT)
    assert sizes(lake, TABLE)[0] == 3
    compact(lake, TABLE)
    assert sizes(lake, TABLE)[0] == 2
    vacuum(lake, TABLE, 0)
    purge_history(lake, TABLE)
    later = make_lake("run-2")
    assert (ids(later), ids(later, NEXT)) == (["a", "b"], ["c"])


def test_a_name_is_leased_once_and_free_when_its_holder_died(make_lake: MakeLake) -> None:
    commits, noon = make_lake().commits, datetime(2024, 3, 1, 12)
    first, second = Lease(["build", "rank"], "run-1", "{}", 900), Lease(["build"], "run-2", None, 900)
    take(commits, first, noon)
    take(commits, second, noon + timedelta(minutes=14))
    assert {n: h.owner for n, h in holders(commits, ["build", "rank"]).items()} == {"build": "run-1", "rank": "run-1"}
    take(commits, first, noon + timedelta(minutes=14))  # renewed
    take(commits, second, noon + timedelta(minutes=16))
    assert holders(commits, ["build"])["build"].owner == "run-1"
    take(commits, second, noon + timedelta(minutes=30))  # not renewed again
    found = holders(commits, ["build", "rank"])
    assert (found["build"].owner, found["build"].expires_at) == ("run-2", noon + timedelta(minutes=45))
    release(commits, first, noon)  # no longer its own
    assert holders(commits, ["build", "rank"])["build"].owner == "run-2"
    assert holders(commits, ["rank"])["rank"].owner is None


def test_a_job_runs_once_at_a_time_and_a_killed_run_is_named(make_lake: MakeLake) -> None:
    lake, other = make_lake(), make_lake("run-2")
    with job_lock(lake, "build_users", {"run_id": "run-1"}) as killed:
        assert killed is None
        refused = pytest.raises(TransientError, match=r"^build_users is running in this lake already \(run run-1\); wait")
        with refused, job_lock(other, "build_users", {"run_id": "run-2"}):
            pass
        with pytest.raises(TransientError, match="^build_users is running"), alone(other):
            pass
        with job_lock(other, "build_items", {"run_id": "run-2"}) as nothing:
            assert nothing is None
    # Killed: neither renewed nor released, and expired.
    died = Lease(["build_users"], "run-0", json.dumps({"run_id": "run-0"}), 1)
    take(lake.commits, died, datetime(2024, 3, 1, 12))
    with job_lock(other, "build_users", {"run_id": "run-2"}) as killed:
        assert killed == {"run_id": "run-0"}
    with alone(lake):
        pass


@pytest.mark.parametrize(
    ("root", "expected"),
    [("hdfs://n:1/lake/", "hdfs://n:1/lake"), ("s3a://b/x", "s3a://b/x"), ("dbfs:/lake", "dbfs:/lake"), ("file:///a/b", "/a/b"),
     ("file:/a/b", "/a/b"), ("/a/../b", "/b")],
)  # fmt: skip
def test_roots(root: str, expected: str) -> None:
    assert (resolved_root(root), is_uri(root)) == (expected, ":/" in expected)


def test_a_place_that_is_not_there_is_one_line(spark: SparkSession, settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        refuse_missing_folder(tmp_path / "none", None)
    refuse_missing_folder("hdfs://n/none", None)
    for uri, said in (("ftpx://h/lake", 'No FileSystem for scheme "ftpx"'), ("hdfs://127.0.0.1:1/lake", "Connection refused")):
        with pytest.raises(InputError, match=said) as refused:
            Lake(spark, uri, settings, Run("run-1", "test")).store.require_root()
        assert "\n" not in str(refused.value) and str(refused.value).startswith(f"--lake {uri}: ")

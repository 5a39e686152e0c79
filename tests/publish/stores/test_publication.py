"""Publishing a lake of literal rows into LMDB: what is read back, what is not written again, what a killed publisher leaves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from pyspark.sql import SparkSession
from shoal.conf.loading import load
from shoal.errors import InputError, SkippedError, UsageError
from shoal.lake.contract import contract
from shoal.lake.lake import Lake, Run
from shoal.lake.locks import lock_path
from shoal.publish.stores.exports import MAX_KEY_BYTES, Export, exports, store_key
from shoal.publish.stores.frames import key_and_value
from shoal.publish.stores.lmdb_files import LmdbReader, LmdbTarget, current_version
from shoal.publish.stores.manifest import Loaded, Manifest, read_manifest
from shoal.publish.stores.publication import PUBLICATIONS, publish, roll_back
from shoal.runner.execute import execute
from shoal.runner.job import find_job

OLD, DAY = date(2024, 3, 1), date(2024, 3, 2)
NOW = datetime(2024, 3, 3, 12, tzinfo=timezone.utc)


def frame(lake: Lake, name: str, rows: list[dict[str, Any]]) -> Any:
    """Rows of a table; a column that a row does not name is null."""
    kept = [field for field in contract(name).struct() if field.name != "run_id"]
    made = type(contract(name).struct())(kept)
    return lake.spark.createDataFrame([tuple(row.get(field.name) for field in kept) for row in rows], made)


def listed(user: str, rank: int, item: str, day: date = DAY) -> dict[str, Any]:
    return {"as_of": day, "user_id": user, "rank": rank, "item_id": item, "score": 1.0 / rank, "parts": {"als": 1.0},
            "reason_code": "popular", "source": "als", "variant": "champion", "propensity": 1.0,
            "model_version": "m/1"}  # fmt: skip


def item(name: str, title: str, **more: Any) -> dict[str, Any]:
    return {"item_id": name, "kind": "post", "title": title, "source": "test", **more}


def event(name: str, user: str, item_id: str, at: datetime | None) -> dict[str, Any]:
    return {"event_id": name, "user_id": user, "item_id": item_id, "event": "like", "occurred_at": at, "source": "test"}


@pytest.fixture(scope="module")
def template(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with two days of lists, three items, four events; each test takes a copy."""
    lake = Lake(spark, tmp_path_factory.mktemp("template") / "lake", load(), Run("run-0", "test"))
    lists = [listed("u2", 2, "b"), listed("u1", 1, "a"), listed("u2", 1, "c")]
    lake.replace("gold.recommendations", frame(lake, "gold.recommendations", lists), on=DAY)
    lake.replace("gold.recommendations", frame(lake, "gold.recommendations", [listed("u1", 1, "old", OLD)]), on=OLD)
    items = [item("a", "Red Boat", hashtags=["sea"]), item("b", "red cat", categories=["Pets"]), item("c", "Čaj, tea!")]
    lake.overwrite("silver.items", frame(lake, "silver.items", items))
    first, second = datetime(2024, 1, 1), datetime(2024, 1, 2)
    events = [event("e1", "u1", "b", first), event("e2", "u1", "c", second), event("e3", "u1", "b", second)]
    events.append(event("e4", "u3", "a", None))
    lake.overwrite("silver.interactions", frame(lake, "silver.interactions", events))
    return lake.root


@pytest.fixture
def filled(make_lake: Callable[..., Lake], template: Path, tmp_path: Path) -> Lake:
    """The test's own copy of `template`."""
    shutil.copytree(template, tmp_path / "lake")
    return make_lake()


def published(lake: Lake, folder: Path, **more: Any) -> Any:
    return publish(lake, LmdbTarget(folder / "lmdb"), folder, 2, lambda: NOW, **more)


def reader(folder: Path) -> LmdbReader:
    version = current_version(folder / "lmdb")
    assert version is not None
    return LmdbReader(folder / "lmdb", version)


def test_the_newest_rows_are_read_back_by_key(filled: Lake, tmp_path: Path) -> None:
    outcome = published(filled, tmp_path / "p")
    opened = reader(tmp_path / "p")

    def value(export: str, key: str) -> Any:
        found = opened.get(export, key)
        return None if found is None else json.loads(found)

    assert [(row["rank"], row["item_id"], row["score"]) for row in value("recommendations", "u2")] == [(1, "c", 1.0), (2, "b", 0.5)]
    assert [row["item_id"] for row in value("recommendations", "u1")] == ["a"]
    assert [value("recommendations", key) for key in ("u9", "", "\0")] == [None, None, None]
    assert value("items", "b") == {"kind": "post", "title": "red cat", "owner_id": None, "categories": ["Pets"], "hashtags": None,
                                   "price_usd": None, "created_at": None}  # fmt: skip
    assert value("seen", "u1") == ["b", "c"] and value("seen", "u3") == ["a"]
    assert value("words", "red") == ["a", "b"] and value("words", "čaj") == ["c"] and value("words", "kind:post") == ["a", "b", "c"]
    assert value("words", "hashtag:sea") == ["a"] and value("words", "category:pets") == ["b"] and value("words", "pets") == ["b"]
    assert "gold.similar_items does not exist" in outcome.manifest.skipped["similar"]
    loaded = outcome.manifest.exports["recommendations"]
    assert (loaded.rows, loaded.as_of) == (2, "2024-03-02")
    row = filled.read_current(PUBLICATIONS).collect()[0]
    assert (row["version"], row["target"], row["status"], row["exported_keys"]["seen"]) == ("run-1", "lmdb", "published", 2)
    assert row["table_versions"]["gold.recommendations"] == filled.version("gold.recommendations")
    assert row["previous_version"] is None and row["size_bytes"] > 0


def test_what_has_not_changed_is_not_written_again(make_lake: Callable[..., Lake], filled: Lake, tmp_path: Path) -> None:
    published(filled, tmp_path / "p")
    again = published(make_lake("run-2"), tmp_path / "p")
    assert (again.is_new, again.manifest.version) == (False, "run-1")
    writer = make_lake("run-3")
    writer.replace("gold.recommendations", frame(writer, "gold.recommendations", [listed("u1", 1, "b")]), on=DAY)
    third = published(make_lake("run-4"), tmp_path / "p")
    assert third.is_new and third.loaded == ("recommendations",) and set(third.kept) == {"items", "seen", "words"}
    opened = reader(tmp_path / "p")
    assert [row["item_id"] for row in json.loads(opened.get("recommendations", "u1") or b"")] == ["b"]
    assert opened.get("recommendations", "u2") is None and json.loads(opened.get("seen", "u1") or b"") == ["b", "c"]
    assert opened.manifest.exports["seen"].since == "run-1" and opened.manifest.previous == "run-1"
    # Back, and the version that is returned to is recorded.
    back = make_lake("run-5")
    assert roll_back(back, LmdbTarget(tmp_path / "p" / "lmdb"), lambda: NOW).version == "run-1"
    assert current_version(tmp_path / "p" / "lmdb") == "run-1"
    rows = {row["run_id"]: row for row in back.read_current(PUBLICATIONS).collect()}
    assert [rows["run-5"][name] for name in ("status", "version", "previous_version")] == ["rolled_back", "run-1", "run-4"]
    with pytest.raises(UsageError, match="the version before run-1 is not there"):
        roll_back(make_lake("run-6"), LmdbTarget(tmp_path / "p" / "lmdb"), lambda: NOW)


def test_a_killed_publisher_leaves_the_old_version_and_the_next_one_cleans_up(
    make_lake: Callable[..., Lake], filled: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "p"
    published(filled, folder)
    killed = LmdbTarget(folder / "lmdb")
    with killed.building("killed", None) as building:
        building.load("items", iter([(b"x", b"{}")]))
    monkeypatch.setattr(LmdbTarget, "switch", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        published(make_lake("run-2"), folder, force=True)
    assert current_version(folder / "lmdb") == "run-1" and reader(folder).get("items", "a") is not None
    monkeypatch.undo()
    # What a SIGKILL leaves: the folder, half written.
    (folder / "lmdb" / "versions" / ".left").mkdir()
    third = published(make_lake("run-3"), folder, force=True)
    assert ".left" in third.removed and current_version(folder / "lmdb") == "run-3"
    assert not list((folder / "lmdb" / "versions").glob(".*")) and not (folder / ".staging").exists()


def test_a_switch_that_was_not_recorded_is_recorded_by_the_next(
    make_lake: Callable[..., Lake], filled: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("shoal.publish.stores.publication._record", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            published(filled, tmp_path / "p")
    assert current_version(tmp_path / "p" / "lmdb") == "run-1"
    again = make_lake("run-2")
    assert not published(again, tmp_path / "p").is_new
    assert [row["version"] for row in again.read_current(PUBLICATIONS).collect()] == ["run-1"]


def test_a_version_that_a_reader_still_has_is_read_to_the_end(make_lake: Callable[..., Lake], filled: Lake, tmp_path: Path) -> None:
    published(filled, tmp_path / "p")
    opened = reader(tmp_path / "p")
    for number in range(2, 6):
        published(make_lake(f"run-{number}"), tmp_path / "p", force=True)
    assert LmdbTarget(tmp_path / "p" / "lmdb").versions() == ["run-3", "run-4", "run-5"]
    assert opened.get("items", "a") is not None


def test_after_an_erasure_no_earlier_version_stays(make_lake: Callable[..., Lake], filled: Lake, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    published(filled, folder)
    published(make_lake("run-2"), folder, force=True)
    (folder / "models" / "old-1").mkdir(parents=True)
    later = make_lake("run-3")
    erased = {"request_id": "r", "person_hash": "h", "status": "finished", "rows_removed": {}, "rows_changed": {},
              "requested_at": datetime(2024, 3, 3)}  # fmt: skip
    later.append("ops.erasures", frame(later, "ops.erasures", [erased]))
    outcome = published(later, folder)
    assert outcome.is_new and set(outcome.removed) == {"run-1", "run-2", "old-1"}
    assert LmdbTarget(folder / "lmdb").versions() == ["run-3"]


def test_two_publishers_at_once_are_one_and_a_clear_refusal(filled: Lake, spark: SparkSession) -> None:
    path = lock_path(filled.root, "publish_tables")
    path.parent.mkdir(parents=True, exist_ok=True)
    settings = load(sets=["lake.retries=0"])
    with FileLock(path):
        refused = execute(spark, find_job("publish_tables"), settings, filled.root, DAY)
    assert refused.exit_code == 4 and "publish_tables is running in this lake already" in str(refused.message)
    done = execute(spark, find_job("publish_tables"), settings, filled.root, DAY)
    assert (done.status, done.tags["outcome"], done.tags["target"]) == ("succeeded", "published", "lmdb")
    assert done.tags["loaded"].split(",")[0] == "recommendations" and "similar" in done.tags["skipped"]


def test_an_empty_lake_is_skipped(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(SkippedError, match="no table to publish"):
        published(lake, tmp_path / "p")
    with pytest.raises(UsageError, match="nothing was published there"):
        roll_back(lake, LmdbTarget(tmp_path / "p" / "lmdb"), lambda: NOW)


def test_keys_of_any_length_and_letters(spark: SparkSession) -> None:
    long = "ü" * 400
    rows = spark.createDataFrame([("a", 1), ("", 2), (None, 3), ("x\0y", 4), (long, 5), ("naïve 🎉", 6)], "k string, v int")
    made = key_and_value(rows, Export(table="t", key="k", form="row", columns={"v": "v"}, personal=False)).collect()
    assert {row["key"].encode(): json.loads(row["value"])["v"] for row in made} == {
        b"a": 1, store_key(long): 5, "naïve 🎉".encode(): 6,
    }  # fmt: skip
    assert len(store_key(long) or b"") < MAX_KEY_BYTES and store_key("\ud800") is None


def test_lists_are_cut_and_ordered(spark: SparkSession) -> None:
    pairs = [("u", "c", 1.0), ("u", "b", 2.0), ("u", "a", 1.0), ("u", "d", None)]
    rows = spark.createDataFrame(pairs, "k string, i string, p double")
    export = Export(table="t", key="k", form="list", columns={"value": "i"}, personal=False, order_by=["p desc", "i"], limit=3)
    assert json.loads(key_and_value(rows, export).collect()[0]["value"]) == ["b", "a", "c"]


def test_every_export_names_tables_and_columns_that_exist() -> None:
    for name, export in exports().items():
        for table in export.tables:
            assert contract(table), name
        if export.newest:
            assert "as_of" in contract(export.table).columns, name
        if any(column.pii for column in contract(export.table).columns.values()) and export.form == "row":
            assert export.personal, name


def test_damaged_pointers_and_manifests_are_named(tmp_path: Path) -> None:
    (tmp_path / "current").write_text("../x")
    with pytest.raises(InputError, match="no name of a version"):
        current_version(tmp_path)
    (tmp_path / "current").write_text("gone\n")
    with pytest.raises(InputError, match="cannot be opened"):
        LmdbReader(tmp_path, "gone")
    with pytest.raises(InputError, match="not the manifest"):
        read_manifest("{", "place")
    whole = Manifest("v", "lmdb", "2024-01-01T00:00:00+00:00", {"a": Loaded({"t": 1}, 2, None, "v", "d")})
    assert read_manifest(whole.text(), "place") == whole

"""A person is in every layer, in models, reports and raw copies; after `shoal erase` no byte of the lake holds them."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import shoal.erasure
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.cli.app import run as shoal_command
from shoal.conf import Settings, load
from shoal.contract import contract, contract_names
from shoal.erasure import ask_for, open_request, take_out_names
from shoal.lake import Lake, Run
from shoal.mentions import Names, file_names, masked, renamed
from shoal.models import champion
from shoal.pipeline import jobs_between, run_pipeline
from shoal.runs import Result, execute, find_job, job_lock
from shoal.simulate.world import DEMO_AS_OF, WorldConf
from shoal.simulate.write import write_world

from tests.support.bytes_of_a_lake import places

DAY = DEMO_AS_OF
NEEDLE = "zq7741"
WHO = f"person-{NEEDLE}"
# A person's records, and those of others that name them. Every id of the person's own making carries the needle.
FILES = {
    ("events", f"{WHO}.csv"): "event_id,user_id,item_id,event,value,occurred_at\n"
    + "".join(f"ev-{NEEDLE}-{n},{WHO},post-{n},like,,2025-06-{n:02d}T10:00:00Z\n" for n in range(1, 6))
    + f"ev-{NEEDLE}-9,{WHO},post-1,stare,,2025-06-09T10:00:00Z\n"  # rejected: no such event
    + f"ev-8,{WHO}\n"  # rejected: cut off
    + "ev-other,u-other,post-own,like,,2025-06-10T10:00:00Z\n",
    ("items", "items.csv"): "item_id,owner_id,title,text\n"
    + f"post-own,{WHO},My own post {NEEDLE},by me\npost-1,u-other,Another,with @{WHO} in the sun\n",
    ("texts", "texts.csv"): "text_id,author_id,item_id,text,label,created_at\n"
    + f"tx-{NEEDLE},{WHO},post-1,wonderful and good,positive,2025-06-09T10:00:00Z\n"
    + f"tx-thanks,u-other,post-1,thanks @{WHO} and {WHO}!,positive,2025-06-09T10:00:00Z\n",
    # Three by themselves: the community's label is the smallest id. (Two would swap labels for ever.)
    ("edges", "edges.csv"): f"src,dst\n{WHO},person-zz\nperson-zy,{WHO}\nperson-zz,person-zy\n",
}


@dataclass
class Built:
    root: Path
    settings: Settings
    events: int

    def lake(self, spark: SparkSession, run_id: str = "reader") -> Lake:
        return Lake(spark, self.root, self.settings, Run(run_id, "test"))

    def rows(self, spark: SparkSession, table: str, *columns: str) -> list[tuple[Any, ...]]:
        return sorted(tuple(r) for r in self.lake(spark).written(table).select(*columns).collect())


@pytest.fixture(scope="module")
def built(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A small world with the person in it, taken through every stage but the last, whose report is any file that names them."""
    root = tmp_path_factory.mktemp("lake")
    world = WorldConf(users=40, items=30, events=900, texts=150, days=60)
    write_world(spark, world, root / "landing", root / "raw-truth", partitions=1)
    smallest = ["ranks=[4]", "reg_params=[0.1]", "alphas=[0.5]", "search_iter=1", "max_iter=1", "experts=[]"]
    settings = load(sets=[*(f"train_recommender.{pair}" for pair in smallest), "train_sentiment.inverse_penalties=[3]"])
    for (source, name), text in FILES.items():
        (root / "landing" / source / name).write_text(text, encoding="utf-8")
        given = {"source": source, "input": str(root / "landing" / source)}
        result = execute(spark, find_job("ingest_files"), settings, root, DAY, given)
        assert result.status == "succeeded", result.message
    steps = run_pipeline(spark, settings, root, DAY, jobs_between(settings, last="monitor"))
    assert [s.message for s in steps if isinstance(s, Result) and s.status == "failed"] == []
    (root / "reports").mkdir()
    (root / "reports" / "report.html").write_text(f"<td>{WHO}</td>", encoding="utf-8")
    events = Lake(spark, root, settings, Run("r")).written("silver.interactions").count()
    return Built(root, settings, events)


def areas(found: list[str]) -> set[str]:
    return {Path(name).parts[0] for name in found}


@pytest.mark.slow
def test_after_an_erasure_no_byte_of_the_lake_holds_the_person(
    spark: SparkSession, built: Built, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = places(built.root, NEEDLE)
    assert areas(before) >= {"bronze", "silver", "features", "gold", "ops", "mlruns", "reports", "landing"}
    # Nobody in this small world is near enough to anybody for the tables of neighbours to name the person.
    unnamed = {"sentiments", "similar_items", "similar_users"}
    # The world has no impressions; the person's item is out of its window, has no topic, and nobody is left to be followed.
    unnamed |= {"bandit_arms", "trending", "user_interests", "follow_recommendations"}
    # No part of the pipeline.
    unnamed |= {"item_audiences"}
    assert {t.split(".")[1] for t in contract_names() if t.startswith("gold.")} - unnamed <= {
        Path(name).parts[1] for name in before if name.startswith("gold/")
    }
    old_model = champion(built.lake(spark), "shoal_recommender")
    assert old_model is not None

    # What the person is given on asking.
    assert shoal_command(["export", "--user", WHO, "--lake", str(built.root)]) == 0
    exported = json.loads(capsys.readouterr().out)
    tables = exported["tables"]
    assert [row["event_id"] for row in tables["silver.interactions"]] == [f"ev-{NEEDLE}-{n}" for n in range(1, 6)]
    assert list(tables["silver.interactions"][0]) == list(contract("silver.interactions").columns)
    assert [row["text_id"] for row in tables["gold.sentiments"]] == [f"tx-{NEEDLE}"]
    assert [(row["src_id"], row["dst_id"]) for row in tables["silver.follows"]] == [(WHO, "person-zz"), ("person-zy", WHO)]
    assert len(tables["features.users"]) == 1

    # Killed in the middle: gold.node_ranks and what comes before it is gone, bronze and silver are as they were.
    with monkeypatch.context() as patched:
        def killed(lake: Lake, name: str, names: Names) -> int:
            if name == "gold.node_ranks":
                raise KeyboardInterrupt
            return take_out_names(lake, name, names)

        patched.setattr(shoal.erasure, "take_out_names", killed)
        ask_for(built.lake(spark, "ask"), [WHO])
        with pytest.raises(KeyboardInterrupt):
            execute(spark, find_job("erase_people"), built.settings, built.root, DAY)
    assert open_request(built.lake(spark)) is not None
    running = built.rows(spark, "ops.erasures", "status")
    assert running == [("running",)]
    assert built.lake(spark).written("gold.node_ranks").where(F.col("node_id") == WHO).count() == 0
    assert places(built.root, NEEDLE)

    # Without an id: what was left is taken up.
    assert shoal_command(["erase", "--lake", str(built.root)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert places(built.root, NEEDLE) == []

    row = built.lake(spark).written("ops.erasures").collect()[0]
    assert row["person_hash"] == hmac.new(bytes.fromhex(told["receipt"]), WHO.encode(), hashlib.sha256).hexdigest()
    assert (row["status"], row["request_id"]) == ("finished", told["request_id"])
    removed = row["rows_removed"]
    assert {t: removed[t] for t in ("silver.interactions", "silver.texts", "silver.items", "silver.follows")} == {
        "silver.interactions": 5, "silver.texts": 1, "silver.items": 1, "silver.follows": 2,
    }  # fmt: skip
    assert removed["gold.sentiments"] == 1
    assert removed["features.items"] == 1
    assert row["models_retired"] >= 1
    assert champion(built.lake(spark), "shoal_recommender") is None
    assert open_request(built.lake(spark)) is None
    # The others are where they were.
    assert built.lake(spark).written("silver.interactions").count() == built.events - 5
    texts = built.rows(spark, "silver.texts", "text_id", "author_id", "text")
    assert ("tx-thanks", "u-other", "thanks @[erased] and [erased]!") in texts
    assert ("post-1", "with @[erased] in the sun") in built.rows(spark, "silver.items", "item_id", "text")
    other = dict(built.rows(spark, "gold.communities", "node_id", "community_id"))["person-zz"]
    assert other.startswith("erased-")
    assert dict(built.rows(spark, "gold.community_summary", "community_id", "nodes"))[other] == 3
    raw = built.lake(spark).written("bronze.events").where(F.col("event_id") == "ev-other").select("_file", "raw").collect()[0]
    assert Path(raw["_file"]).name.startswith("erased-")
    assert raw["raw"] == "ev-other,u-other,post-own,like,,2025-06-10T10:00:00Z"


def test_erasing_waits_for_no_running_job(
    spark: SparkSession, settings: Settings, make_lake: Callable[..., Lake]
) -> None:
    lake = make_lake()
    ask_for(lake, ["u1"])
    with job_lock(lake, "build_users", {}):
        result = execute(spark, find_job("erase_people"), settings, lake.root, DAY)
    assert (result.exit_code, result.message) == (
        4, "build_users is running in this lake; wait for it or stop it, then run this again"
    )  # fmt: skip


def test_a_number_is_a_person_in_columns_and_rejected_records_but_not_in_words(
    spark: SparkSession, settings: Settings, make_lake: Callable[..., Lake], tmp_path: Path
) -> None:
    """User 4 goes; "4 stars", item 4 and user 44 stay; a record that could not be read goes where it may be theirs."""
    files = {
        "ratings": "user_id,item_id,rating,timestamp\n4,9,3,1700000000\n44,4,5,1700000001\n4,cut\n45,cut\n",
        "texts": "text_id,author_id,text\nt1,44,4 stars for @4\nt2,4,mine\n",
    }
    root = make_lake().root
    for source, text in files.items():
        path = tmp_path / f"{source}.csv"
        path.write_text(text, encoding="utf-8")
        given = {"source": source, "input": str(path)}
        assert execute(spark, find_job("ingest_files"), settings, root, DAY, given).status == "succeeded"
    ask_for(make_lake(run_id="ask"), ["4"])
    result = execute(spark, find_job("erase_people"), settings, root, DAY)
    assert result.status == "succeeded", result.message
    after = make_lake(run_id="after")
    assert [tuple(r) for r in after.written("silver.interactions").select("user_id", "item_id").collect()] == [("44", "4")]
    texts = [tuple(r) for r in after.written("silver.texts").select("author_id", "text").collect()]
    assert texts == [("44", "4 stars for @[erased]")]
    assert [r["raw"] for r in after.written("ops.quarantine").collect()] == ["45,cut"]
    assert sorted(r["raw"] for r in after.written("bronze.ratings").collect()) == ["44,4,5,1700000001", "45,cut"]


NAMES = Names({"ann": "erased-1", "r.lee": "erased-2", "7": "erased-3"}, frozenset({"ann", "r.lee"}))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("ann", "[erased]"),
        ("Hi @Ann!", "Hi @[erased]!"),
        ("(ann), ann.", "([erased]), [erased]."),
        ("joann ann_b ann-b ann.b banana", "joann ann_b ann-b ann.b banana"),
        ("r.lee and rxlee", "[erased] and rxlee"),
        ("7 of @7, @77", "7 of @[erased], @77"),
        ("Ännchen ann\u00e9", "Ännchen ann\u00e9"),
    ],
)
def test_names_in_words_are_whole_words(text: str, left: str) -> None:
    assert masked(NAMES.in_words())(text) == left
    assert NAMES.sieve()(text) or left == text


def test_a_models_terms_may_be_parts_of_a_name() -> None:
    terms = Names({"Person-zq7741": "e", "ann-lee": "f", "7": "g"}, frozenset({"Person-zq7741", "ann-lee"})).in_terms()
    assert set(terms.stand_ins) == {"Person-zq7741", "person-zq7741", "personzq7741", "zq7741", "ann-lee", "annlee", "7"}


def test_names_in_paths_stand_between_signs() -> None:
    change = renamed(NAMES.in_paths(), NAMES.stand_ins)
    assert change("/in/ann_2024/r.lee.zip:7") == "/in/erased-1_2024/erased-2.zip:7"
    assert change("/in/joann/7.csv") == "/in/joann/7.csv"


def test_files_are_looked_into_whatever_they_are(tmp_path: Path) -> None:
    import gzip
    import zipfile

    import pyarrow as pa
    import pyarrow.parquet as pq

    names = Names({"zoë": "e"}, frozenset({"zoë"}))
    (tmp_path / "a.json").write_text(json.dumps({"sender": "zoë"}))
    (tmp_path / "b.html").write_text("<p>zoë</p>", encoding="utf-8")
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress("1,zoë".encode()))
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.writestr("messages/1.json", json.dumps({"sender": "zoë".encode().decode("latin-1")}))
    pq.write_table(pa.table({"tags": [["x", "zoë"]], "n": [1]}), tmp_path / "e.parquet")
    (tmp_path / "f.txt").write_text("zoët", encoding="utf-8")
    found = [path.name for path in sorted(tmp_path.iterdir()) if file_names(path, names)]
    assert found == ["a.json", "b.html", "c.csv.gz", "d.zip", "e.parquet"]


def test_a_table_that_goes_with_another_names_its_key() -> None:
    for name in contract_names():
        for each in contract(name).erased_with:
            for parent in [n for n in contract_names() if n == each.table or each.table == f"{contract(n).layer}.*"]:
                assert set(each.by.values()) <= set(contract(parent).key), (name, parent)


def test_ids_of_people_are_declared_as_such() -> None:
    people = {"user_id", "owner_id", "author_id", "src_id", "dst_id"}
    odd = [(n, c) for n in contract_names() for c in people & set(contract(n).columns) if contract(n).columns[c].pii != "id"]
    assert odd == []


def test_nothing_of_a_request_is_left_that_leads_back(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    request = ask_for(lake, ["u1"])
    again = ask_for(make_lake(run_id="two"), ["u1", "u2"])
    assert (again.request_id, again.receipt, again.people) == (request.request_id, request.receipt, ("u1", "u2"))
    assert request.requested_at == datetime(1970, 1, 1)
    lake.drop("ops.erasure_requests")
    assert open_request(make_lake(run_id="three")) is None
    assert not Path(lake.path("ops.erasure_requests")).exists()

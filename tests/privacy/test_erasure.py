"""What `shoal erase` takes for a person's, and what it leaves; that nothing is left of a person is in test_pipeline.py."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from shoal.conf.sections import Settings
from shoal.errors import TransientError, UsageError
from shoal.ingest.formats.archives import LABEL, landing
from shoal.lake.contract import contract, contract_names
from shoal.lake.lake import Lake, Run
from shoal.privacy.erasure import ask_for, open_request, remove_files
from shoal.privacy.mentions import Names, file_names, masked, renamed
from shoal.runner.execute import execute, job_lock
from shoal.runner.job import find_job

DAY = date(2025, 6, 30)


def test_erasing_waits_for_no_running_job(spark: SparkSession, settings: Settings, make_lake: Callable[..., Lake]) -> None:
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
    assert [tuple(r) for r in after.read_current("silver.interactions").select("user_id", "item_id").collect()] == [("44", "4")]
    texts = [tuple(r) for r in after.read_current("silver.texts").select("author_id", "text").collect()]
    assert texts == [("44", "4 stars for @[erased]")]
    assert [r["raw"] for r in after.read_current("ops.quarantine").collect()] == ["45,cut"]
    assert sorted(r["raw"] for r in after.read_current("bronze.ratings").collect()) == ["44,4,5,1700000001", "45,cut"]


def test_an_erasure_clears_because_items_and_is_not_finished_while_models_lie_elsewhere(
    spark: SparkSession, settings: Settings, make_lake: Callable[..., Lake], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ann's item is why x is listed for bob; another person's is why y is. The models lie on a server that is never asked."""
    lake = make_lake()

    def rows(table: str, *given: dict[str, Any]) -> DataFrame:
        columns = {n: c.type for n, c in contract(table).columns.items() if n not in ("run_id", "as_of")}
        made = [tuple({"source": "test", **row}.get(n) for n in columns) for row in given]
        return spark.createDataFrame(made, ", ".join(f"{n} {t}" for n, t in columns.items()))

    owned = [{"item_id": "a1", "kind": "post", "owner_id": "ann"}, {"item_id": "c1", "kind": "post", "owner_id": "cid"}]
    lake.append("silver.items", rows("silver.items", *owned))
    same = {"user_id": "bob", "score": 1.0, "parts": {"als": 1.0}, "source": "als", "variant": "champion", "model_version": "m/1"}
    places = ((1, "x", "a1"), (2, "y", "c1"), (3, "a1", "c1"))
    listed = [
        {**same, "rank": n, "item_id": item, "reason_code": "because_like", "because_item_id": why} for n, item, why in places
    ]
    lake.replace("gold.recommendations", rows("gold.recommendations", *listed), on=DAY)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://models.invalid")
    ask_for(make_lake(run_id="ask"), ["ann"])
    result = execute(spark, find_job("erase_people"), settings, lake.root, DAY)
    assert (result.status, result.exit_code) == ("failed", 4)
    assert result.message is not None
    assert (
        "is not finished: nothing is left in the lake, but the models in http://models.invalid were not searched" in result.message
    )
    assert result.message.endswith("then run `shoal erase --models-cleared`")
    after = make_lake(run_id="after")
    columns = ("rank", "item_id", "reason_code", "because_item_id")
    left = after.read_current("gold.recommendations").select(*columns).orderBy("rank").collect()
    assert [tuple(row) for row in left] == [(1, "x", "because_like", None), (2, "y", "because_like", "c1")]
    outcome = ("status", "models_retired", "finished_at")
    assert [tuple(r) for r in after.read_current("ops.erasures").select(*outcome).collect()] == [("models_left", None, None)]
    assert open_request(after) is not None

    again = execute(spark, find_job("erase_people"), settings, lake.root, DAY, {"models_cleared": True})
    assert again.status == "succeeded", again.message
    done = make_lake(run_id="done")
    assert [tuple(r) for r in done.read_current("ops.erasures").select("status", "models_retired").collect()] == [
        ("finished", None)
    ]
    assert open_request(done) is None


def test_a_part_of_an_archive_without_the_profile_goes_with_the_person_that_the_archive_is_called_after(
    make_lake: Callable[..., Lake],
) -> None:
    lake = make_lake()
    parts = {"a": "instagram-ann-2024-01-07-part2.zip", "b": "instagram-bob-2024-01-07-part2.zip"}
    for name, called in parts.items():
        (landing(lake.root) / name / "media").mkdir(parents=True)
        (landing(lake.root) / name / "media" / "1.jpg").write_bytes(b"a picture names nobody")
        (landing(lake.root) / name / LABEL).write_text(json.dumps({"archive": called}))
    assert remove_files(lake, Names({"ann": "erased-1", "2024": "erased-2"}, frozenset({"ann"}))) == 3
    left = [str(file.relative_to(landing(lake.root))) for file in landing(lake.root).rglob("*") if file.is_file()]
    # The number in the other's label is somebody's id: the label goes, the pictures stay.
    assert left == ["b/media/1.jpg"]


NAMES = Names({"ann": "erased-1", "r.lee": "erased-2", "7": "erased-3"}, frozenset({"ann", "r.lee"}))


def test_events_that_wait_lose_the_persons_lines_only(make_lake: Callable[..., Lake]) -> None:
    """A number is a name where it is a whole value, not inside a time; a line that is no JSON goes with a name that is loud."""
    lake = make_lake()
    waiting = lake.root / "inbox" / "events" / "events-1.jsonl"
    waiting.parent.mkdir(parents=True)
    others = ['{"user_id":"joann","item_id":"i1","occurred_at":"2024-03-01T00:00:00Z"}', "no json"]
    theirs = ['{"user_id":"ann","item_id":"i1"}', '{"user_id":2024,"item_id":"i1"}', '{"user_id":"u","tags":[{"by":"ann"}]}',
              '{"user_id":"u","event_id":"of ann"}', "cut off, ann"]  # fmt: skip
    waiting.write_text("\n".join([theirs[0], others[0], *theirs[1:], others[1]]) + "\n")
    names = Names({"ann": "erased-1", "2024": "erased-2"}, frozenset({"ann"}))
    written = waiting.with_name(".events-2.jsonl")
    written.write_text(theirs[0] + "\n")
    with written.open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(TransientError, match="a server writes to it"):
            remove_files(lake, names)
    assert remove_files(lake, names) in (1, 2)  # the first may have been done before the refusal
    assert waiting.read_text().splitlines() == others
    assert written.read_text() == ""
    assert sorted(path.name for path in waiting.parent.iterdir()) == [".events-2.jsonl", "events-1.jsonl"]
    assert remove_files(lake, names) == 0


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
    again_lake = make_lake(run_id="two")
    again = ask_for(again_lake, ["u1", "u2"])
    assert (again.request_id, again.receipt, again.people) == (request.request_id, request.receipt, ("u1", "u2"))
    assert request.requested_at == datetime(1970, 1, 1)
    settings = again_lake.settings
    few = settings.model_copy(update={"privacy": settings.privacy.model_copy(update={"max_people": 2})})
    with pytest.raises(UsageError, match=r"3 ids, 2 of them of a request that is not finished.*expected at most 2"):
        ask_for(Lake(again_lake.spark, again_lake.root, few, Run("more")), ["u3"])
    assert open_request(again_lake) == again
    lake.drop("ops.erasure_requests")
    assert open_request(make_lake(run_id="three")) is None
    assert not Path(lake.path("ops.erasure_requests")).exists()

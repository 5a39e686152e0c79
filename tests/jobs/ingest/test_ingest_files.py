"""Ingest: every record ends in silver, duplicates or quarantine, and every bad input has its defined end."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.conf.loading import load
from shoal.ingest import batches, ingestion
from shoal.ingest.record_type import RecordType
from shoal.ingest.sources.general import BLOCKS, MODERATION, PROFILES
from shoal.lake.contract import contract
from shoal.lake.lake import Lake, Run
from shoal.runner.execute import Result, execute
from shoal.runner.job import find_job

DAY = date(2024, 1, 1)
PROVENANCE = ("_batch_id", "_source", "_file", "_line", "_ingested_at", "raw", "_rule", "_reason")
HEAD = "user_id,item_id,rating,timestamp\n"


class World:
    """A lake and a folder of files."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark, self.folder, self.root = spark, folder, folder / "lake"

    def file(self, content: str | bytes, name: str = "ratings.csv") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def ingest(self, path: Path | str, source: str = "ratings", *sets: str) -> Result:
        settings = load("local", ["max_reject_ratio=1", *sets], "ingest")
        return execute(self.spark, find_job("ingest_files"), settings, self.root, DAY, {"source": source, "input": str(path)})

    def rows(self, table: str, *columns: str) -> list[tuple[Any, ...]]:
        found = Lake(self.spark, self.root, load(), Run("reader")).read(table, missing_ok=True)
        return sorted((tuple(row) for row in found.select(*columns).collect()), key=repr)

    def quarantined(self) -> list[tuple[int, str, str]]:
        """(line, rule, raw) of every rejected record."""
        return sorted((row[0], row[1], row[2]) for row in self.rows("ops.quarantine", "line", "rule", "raw"))

    def counts(self) -> list[tuple[str, int, int, int, int]]:
        """(file, records, ingested, duplicates, rejected); the sum always holds."""
        rows = self.rows("ops.ingest_files", "path", "records", "ingested", "duplicates", "rejected")
        assert all(r[1] == r[2] + r[3] + r[4] for r in rows)
        return [(Path(r[0]).name, *r[1:]) for r in rows]


@pytest.fixture
def world(spark: SparkSession, tmp_path: Path) -> World:
    return World(spark, tmp_path)


def test_sound_rows_reach_silver_with_their_provenance_in_bronze(world: World) -> None:
    result = world.ingest(world.file(HEAD + "u1,i1,4.0,1700000000\nu2,i1,0.5,2023-11-14T22:13:20+01:00\n"))
    assert result.tags["ingested"] == "2"
    assert world.rows("silver.interactions", "user_id", "item_id", "event", "value", "occurred_at", "source") == [
        ("u1", "i1", "rating", 4.0, datetime(2023, 11, 14, 22, 13, 20), "ratings"),
        ("u2", "i1", "rating", 0.5, datetime(2023, 11, 14, 21, 13, 20), "ratings"),
    ]
    assert world.rows("bronze.ratings", "_line", "raw", "_rule") == [
        (2, "u1,i1,4.0,1700000000", None),
        (3, "u2,i1,0.5,2023-11-14T22:13:20+01:00", None),
    ]
    assert world.counts() == [("ratings.csv", 2, 2, 0, 0)]


BAD_ROWS = [
    ("u,i,four,1700000000", "type"),  # text in a number
    ("u,i,1d,1700000000", "type"),  # Java's own idea of a number
    ("u,i,NaN,1700000000", "check"),
    ("u,i,Infinity,1700000000", "check"),
    ("u,i,-1,1700000000", "range"),
    ("u,i,10.5,1700000000", "range"),
    ("u,i,,1700000000", "required"),
    ("u,i,4,1700000000000", "timestamp_milliseconds"),
    ("u,i,4,yesterday", "type"),
    ("u,i,4,1893456000", "future"),  # 2030
    ("u,i,4,-5", "check"),  # before 1970
    ("u,i,4,", "required"),
    (",i,4,1700000000", "required"),
    ("  ,i,4,1700000000", "required"),
    ("u,,4,1700000000", "required"),
    ("u\0,i,4,1700000000", "control_character"),
    ("u,i,4", "field_count"),  # cut mid-line
    ("u,i,4,1700000000,extra", "field_count"),
    ('"u,i,4,1700000000', "unclosed_quote"),
]


def test_every_bad_row_is_quarantined_with_its_rule_and_nothing_else_is_lost(world: World) -> None:
    lines = [row for row, _ in BAD_ROWS]
    result = world.ingest(world.file(HEAD + "good,i,4,1700000000\n" + "\n".join(lines) + "\nlast,i,4,1700000000\n"))
    assert result.status == "succeeded", result.message
    assert world.quarantined() == sorted((i + 3, rule, row) for i, (row, rule) in enumerate(BAD_ROWS))
    assert world.rows("silver.interactions", "user_id") == [("good",), ("last",)]
    assert world.counts() == [("ratings.csv", len(BAD_ROWS) + 2, 2, 0, len(BAD_ROWS))]
    reasons = dict(world.rows("ops.quarantine", "line", "reason"))
    assert reasons[3] == "rating: found 'four', expected a number"
    late = "occurred_at: found '1700000000000', expected unix seconds; it looks like milliseconds: --set timestamp_unit=ms"
    assert reasons[10] == late


NO_TABLES: list[tuple[str | bytes, str, list[str], str]] = [
    ("", "ratings.csv", [], "the file is empty; expected a header line and rows"),
    ("user_id,item_id,timestamp\nu,i,1\n", "ratings.csv", [], "no column rating; found user_id, item_id, timestamp"),
    ("user_id;item_id;rating;timestamp\n1;2;3;4\n", "ratings.csv", [], "the delimiter looks like ';': --set delimiter=';'"),
    (HEAD, "ratings.csv", ["column_mapping.user_id=uid"], "no column uid (set as column_mapping.user_id); found user_id"),
    (HEAD, "ratings.csv", ["column_mapping.usr_id=uid"], "--set column_mapping.usr_id: this source has no such column"),
    ("user_id,user_id,rating,timestamp\n", "ratings.csv", [], "the header names 'user_id' twice"),
    (b"\xff\xfeu\x00s\x00", "ratings.csv", [], "the file is UTF-16; save it as UTF-8"),
    ("x", "ratings.xlsx", [], "unknown ending; expected one of"),
]


def test_a_file_that_is_not_what_it_was_taken_for_is_one_line(world: World) -> None:
    for number, (content, name, sets, says) in enumerate(NO_TABLES):
        result = world.ingest(world.file(content, f"{number}/{name}"), "ratings", *sets)
        assert (result.exit_code, says) == (2 if "column_mapping.usr_id" in says else 3, says), result.message
        assert says in (result.message or "")
        assert "\n" not in (result.message or "")
    assert world.rows("silver.interactions", "user_id") == []


def test_a_missing_file_and_an_unknown_source(world: World) -> None:
    missing = world.ingest(world.folder / "nowhere.csv")
    assert (missing.exit_code, missing.message) == (3, f"{world.folder}/nowhere.csv: no such file or folder")
    unknown = world.ingest(world.file(HEAD), "rating")
    assert (unknown.exit_code, "no such source; there are ratings, events" in (unknown.message or "")) == (2, True)


def test_a_header_without_rows_is_no_rows_and_no_fault(world: World) -> None:
    assert world.ingest(world.file(HEAD)).status == "succeeded"
    assert world.counts() == [("ratings.csv", 0, 0, 0, 0)]


def test_columns_are_matched_by_name_whatever_their_order_and_case(world: World) -> None:
    world.ingest(world.file("Timestamp,movieId,userId,rating\r\n1700000000,i1,u1,4.0\r\n", "a.csv"))
    second = world.file("\ufeffuid,item_id,rating,timestamp,note\nu2,i1,1,1700000000,hello\n", "b.csv")
    world.ingest(second, "ratings", "column_mapping.user_id=uid")
    assert world.rows("silver.interactions", "user_id", "item_id", "value") == [("u1", "i1", 4.0), ("u2", "i1", 1.0)]
    tags = dict(world.rows("ops.runs", "run_id", "tags"))
    assert "note" in [f.get("ratings_unmapped_columns") for f in tags.values()]


def test_a_file_of_milliseconds_or_far_years_is_refused_in_one_line(world: World) -> None:
    milliseconds = world.ingest(world.file(HEAD + "u,i,4,1700000000500\n", "a.csv"), "ratings", "max_reject_ratio=0.5")
    assert (milliseconds.exit_code, "--set timestamp_unit=ms" in (milliseconds.message or "")) == (3, True)
    far = world.ingest(world.file(HEAD + "u,i,4,200000-01-01T00:00:00Z\n", "b.csv"), "ratings", "max_reject_ratio=0.5")
    assert (far.exit_code, "expected unix seconds or an ISO 8601 time" in (far.message or "")) == (3, True)
    # What was rejected can be looked at.
    assert world.rows("bronze.ratings", "user_id", "occurred_at") == [("u", None), ("u", None)]


def test_milliseconds_can_be_said(world: World) -> None:
    world.ingest(world.file(HEAD + "u,i,4,1700000000500\n"), "ratings", "timestamp_unit=ms")
    assert world.rows("silver.interactions", "occurred_at") == [(datetime(2023, 11, 14, 22, 13, 20, 500000),)]


def test_duplicates_in_a_file_and_across_files(world: World) -> None:
    """Equal records are one; a contradiction is quarantined, and the first stays."""
    first = world.file(HEAD + "u,i,4,1700000000\nu,i,4,1700000000\nu,i,3,1700000000\nu,j,1,1700000000\n", "a.csv")
    world.ingest(first)
    world.ingest(world.file(HEAD + "u,i,4,1700000000\nu,j,2,1700000000\nv,i,5,1700000000\n", "b.csv"))
    assert world.rows("silver.interactions", "user_id", "item_id", "value") == [("u", "i", 4.0), ("u", "j", 1.0), ("v", "i", 5.0)]
    assert world.quarantined() == [(3, "duplicate_key", "u,j,2,1700000000"), (4, "duplicate_key", "u,i,3,1700000000")]
    assert world.counts() == [("a.csv", 4, 2, 1, 1), ("b.csv", 3, 1, 1, 1)]


def test_a_file_of_the_same_content_is_passed_over(world: World) -> None:
    world.ingest(world.file(HEAD + "u,i,4,1700000000\n", "a.csv"))
    again = world.ingest(world.file(HEAD + "u,i,4,1700000000\n", "copy/b.csv"))
    assert (again.status, again.tags["files"], again.tags["files_ingested_before"]) == ("succeeded", "0", "1")
    assert len(world.rows("bronze.ratings", "raw")) == 1


def test_too_many_rejects_fail_the_run_and_leave_silver(world: World) -> None:
    world.ingest(world.file(HEAD + "u,i,4,1700000000\n", "a.csv"))
    bad = world.file(HEAD + "v,i,x,1700000000\nw,i,4,1700000000\n", "b.csv")
    result = world.ingest(bad, "ratings", "max_reject_ratio=0.1")
    assert result.exit_code == 3
    said = "1 of 2 records rejected, more than max_reject_ratio=0.1; silver is as it was; most break 'type'"
    assert said in (result.message or "")
    assert f"{bad}:2: rating: found 'x', expected a number" in (result.message or "")
    assert world.rows("silver.interactions", "user_id") == [("u",)]
    assert world.quarantined() == [(2, "type", "v,i,x,1700000000")]
    assert world.ingest(bad).status == "succeeded"  # the same file, with a ratio that bears it
    assert world.rows("silver.interactions", "user_id") == [("u",), ("w",)]
    assert world.quarantined() == [(2, "type", "v,i,x,1700000000")]


def test_a_run_that_died_before_its_marker_is_finished_by_the_next(world: World) -> None:
    path = world.file(HEAD + "u,i,4,1700000000\nv,i,x,1\n")
    broken_off(world, path, "ops.ingest_files")
    world.ingest(path)
    assert world.rows("silver.interactions", "user_id") == [("u",)]
    assert len(world.rows("bronze.ratings", "raw")) == 2
    assert world.quarantined() == [(3, "type", "v,i,x,1")]
    assert world.counts() == [("ratings.csv", 2, 1, 0, 1)]  # the dead run's row is this batch's, no duplicate


def test_folders_gzip_tsv_json_lines_and_parquet_are_one_input(world: World) -> None:
    world.file(HEAD + "u1,i,1,1700000000\n", "in/a.csv")
    (world.folder / "in" / "deep").mkdir()
    with gzip.open(world.folder / "in" / "deep" / "b.csv.gz", "wb") as zipped:
        zipped.write((HEAD + "u2,i,2,1700000000\n").encode())
    world.file(HEAD.replace(",", "\t") + "u3\ti\t3\t1700000000\n", "in/c.tsv")
    world.file('{"userId": "u4", "movieId": 7, "rating": 4, "timestamp": 1700000000}\n', "in/d.jsonl")
    types = "user_id string, item_id string, rating double, timestamp long"
    frame = world.spark.createDataFrame([("u5", "i", 5.0, 1700000000)], types)
    frame.coalesce(1).write.parquet(str(world.folder / "parquet"))
    next((world.folder / "parquet").glob("*.parquet")).rename(world.folder / "in" / "e.parquet")
    world.file("ignored", "in/_SUCCESS.csv")
    assert world.ingest(world.folder / "in").status == "succeeded"
    assert world.rows("silver.interactions", "user_id", "item_id", "value") == [
        ("u1", "i", 1.0), ("u2", "i", 2.0), ("u3", "i", 3.0), ("u4", "7", 4.0), ("u5", "i", 5.0),
    ]  # fmt: skip
    assert [c[1:] for c in world.counts()] == [(1, 1, 0, 0)] * 5


def test_a_zipped_file_that_breaks_off_gives_what_came_before_and_a_reject(world: World) -> None:
    body = HEAD + "".join(f"u{i},i{i * 7919 % 1000},1,1700000000\n" for i in range(5000))
    result = world.ingest(world.file(gzip.compress(body.encode())[:-2000], "a.csv.gz"))
    assert result.status == "succeeded", result.message
    rejected = world.quarantined()
    assert rejected[-1][1] == "cut_off" and len(rejected) <= 2  # a line cut in its middle, and the end that is missing
    assert 1000 < int(result.tags["ingested"]) < 5000


def test_texts_of_every_script_and_size_come_through(world: World) -> None:
    big = "long " * 2_000_000
    arabic = "\u0645\u0631\u062d\u0628\u0627 #\u0634\u0643\u0631"
    texts = ["\U0001f600 emoji #Fun", arabic, "nul\0here", big, 'multi\nline "quoted"']
    body = "".join('{},"{}"\n'.format(i, text.replace('"', '""')) for i, text in enumerate(texts))
    result = world.ingest(world.file("text_id,text\n" + body, "texts.csv"), "texts")
    assert result.status == "succeeded", result.message
    found = dict(world.rows("silver.texts", "text_id", "text"))
    assert found == {"0": texts[0], "1": texts[1], "2": "nulhere", "3": big, "4": texts[4]}


def test_texts_have_a_label_for_each_task(world: World) -> None:
    labels = ("label", "emotion_label", "moderation_label")
    world.ingest(world.file("text_id,text,label,emotion,label.moderation\na,x,good,joy,\nb,y,,,hate\n", "a.csv"), "texts")
    named = ("column_mapping.label=v1", "column_mapping.emotion_label=feels", "column_mapping.moderation_label=is.bad")
    # b again, labelled further: a newer record of it.
    world.ingest(world.file("text_id,text,feels,is.bad,v1\nb,y,fear,hate,bad\n", "b.csv"), "texts", *named)
    assert world.rows("silver.texts", "text_id", *labels) == [("a", "good", "joy", None), ("b", "bad", "fear", "hate")]
    assert world.rows("bronze.texts", "text_id", *labels) == [
        ("a", "good", "joy", None), ("b", "bad", "fear", "hate"), ("b", None, None, "hate"),
    ]  # fmt: skip


def test_items_are_renewed_and_their_hashtags_found(world: World) -> None:
    world.ingest(world.file("item_id,title,categories,price\ni1,Old #Shoe #\u0634\u0643\u0631,a|b,3\n", "a.csv"), "items")
    world.ingest(world.file("item_id,title,categories,price\ni1,New,c,4\ni2,Other,,-1\n", "b.csv"), "items")
    columns = ("item_id", "title", "hashtags", "categories", "price_usd")
    assert world.rows("silver.items", *columns) == [("i1", "New", [], ["c"], 4.0)]
    assert world.quarantined() == [(3, "check", "i2,Other,,-1")]
    old = [row for row in world.rows("bronze.items", "title", "hashtags") if row[0].startswith("Old")]
    assert old == [("Old #Shoe #\u0634\u0643\u0631", ["shoe", "\u0634\u0643\u0631"])]


def test_events_and_edges_take_the_names_people_give_them(world: World) -> None:
    rows = ["1,u,i,LIKE,,1700000000", "2,u,i,poke,,1700000000", "3,u,i,purchase,-2,1700000000"]
    world.ingest(world.file("id,user,item,type,value,ts\n" + "\n".join(rows)), "events")
    world.ingest(world.file("node_1,node_2\n0,747\n747,0\n5,\n", "edges.csv"), "edges")
    world.ingest(world.file("blocker,blocked,blocked_at\nann,bob,1700000000\nann,cat,\n", "blocks.csv"), "blocks")
    assert world.rows("silver.blocks", "user_id", "blocked_id", "occurred_at") == [
        ("ann", "bob", datetime(2023, 11, 14, 22, 13, 20)), ("ann", "cat", None),
    ]  # fmt: skip
    assert world.rows("silver.interactions", "event_id", "event", "value") == [("1", "like", None)]
    assert world.rows("silver.follows", "src_id", "dst_id", "weight") == [("0", "747", 1.0), ("747", "0", 1.0)]
    assert [(line, rule) for line, rule, _ in world.quarantined()] == [(3, "check"), (4, "range"), (4, "required")]


@pytest.mark.parametrize("part", [BLOCKS, PROFILES, MODERATION], ids=lambda part: part.name)
def test_fields_of_blocks_profiles_and_moderation_are_the_columns_of_their_tables(part: RecordType) -> None:
    columns = [field.name for field in part.fields]
    for table, own in ((part.silver, {"source", "run_id"}), (part.bronze, {"run_id"})):
        assert [n for n in contract(table).columns if n not in own and n not in PROVENANCE] == columns
    assert [f.name for f in part.fields if f.required] == [n for n in columns if not contract(part.silver).columns[n].null]


def test_moderators_decisions_are_read_in_their_words(world: World) -> None:
    rows = ["p1,Taken down,1700000000", "p1,restored,1700000060", "p2,REJECTED,1700000000", "p3,flagged,1700000000", "p4,hidden,"]
    world.ingest(world.file("post_id,status,reviewed_at\n" + "\n".join(rows)), "moderation")
    assert world.rows("silver.moderation", "item_id", "decided_at", "verdict") == [
        ("p1", datetime(2023, 11, 14, 22, 13, 20), "removed"), ("p1", datetime(2023, 11, 14, 22, 14, 20), "allowed"),
        ("p2", datetime(2023, 11, 14, 22, 13, 20), "removed"),
    ]  # fmt: skip
    assert [(line, rule) for line, rule, _ in world.quarantined()] == [(5, "check"), (6, "required")]


def test_a_file_without_a_header_can_be_named(world: World) -> None:
    world.ingest(world.file("u,i,4,1700000000\n"), "ratings", "header=[user_id, item_id, rating, timestamp]")
    assert world.rows("silver.interactions", "user_id", "value") == [("u", 4.0)]


def test_files_of_another_age_are_read_where_their_form_is_named(world: World) -> None:
    world.ingest(world.file("1::5::4::15/11/2023\n1::6::5::16.11.2023\n", "ratings.dat"), "ratings", "delimiter=::",
                 "header=[user_id, item_id, rating, timestamp]", "timestamp_format=dd/MM/yyyy")  # fmt: skip
    assert world.rows("silver.interactions", "item_id", "occurred_at") == [("5", datetime(2023, 11, 15))]
    assert [rule for _, rule, _ in world.quarantined()] == ["type"]
    # Larger than a part: cut between records as any other file is.
    text = "v1,v2\n" + "".join(f"ham,caf\u00e9 \u00a3{n}\n" for n in range(20))
    sms = world.file(text.encode("latin-1"), "spam.csv")
    result = world.ingest(sms, "texts", "encoding=windows-1252", "split_bytes=40",
                          "column_mapping.text=v2", "column_mapping.label=v1")  # fmt: skip
    assert result.tags["ingested"] == "20"
    assert world.rows("silver.texts", "text") == sorted((f"caf\u00e9 \u00a3{n}",) for n in range(20))
    snap = world.file("# Directed graph\n# 2 nodes\nFromNodeId\tToNodeId\n0\t1\n# more\n1\t2\n", "graph.txt")
    names = ("column_mapping.src_id=FromNodeId", "column_mapping.dst_id=ToNodeId")
    world.ingest(snap, "edges", "delimiter=\t", "comment=#", *names)
    assert world.rows("silver.follows", "src_id", "dst_id") == [("0", "1"), ("1", "2")]
    assert world.rows("bronze.edges", "_line", "raw") == [(4, "0\t1"), (6, "1\t2")]
    bad = world.ingest(sms, "texts", "timestamp_format=DD.YYYY")
    assert (bad.exit_code, "not a pattern of Spark's" in (bad.message or "")) == (2, True)


@pytest.mark.slow
def test_movielens_lands_whole(world: World, data: Path) -> None:
    result = world.ingest(data / "movielens_latest_small", "movielens")
    assert (result.tags["ingested"], result.tags["duplicates"], result.tags["rejected"]) == ("124003", "0", "0")
    lake = Lake(world.spark, world.root, load(), Run("reader"))
    ratings = lake.read("silver.interactions").agg(F.count("*"), F.countDistinct("user_id"), F.sum("value")).collect()
    assert [tuple(row) for row in ratings] == [(100836, 610, 353083.0)]
    film = lake.read("silver.items").where("item_id = '1'").select("title", "kind", "categories").collect()[0]
    assert (film["title"], film["kind"]) == ("Toy Story (1995)", "film")
    assert film["categories"] == ["Adventure", "Animation", "Children", "Comedy", "Fantasy"]
    assert lake.read("silver.item_external_ids").where("item_id = '1'").select("imdb_id", "tmdb_id").collect()[0] == (
        "tt0114709",
        "862",
    )
    assert lake.read("silver.texts").where("kind = 'tag'").count() == 3683


def test_an_event_that_brings_the_id_of_a_rating_keeps_it_whenever_it_was(world: World) -> None:
    """Ids of ratings are made of their times, so only silver's ratings of these times are looked at; others' ids may be any."""
    rating = world.file(HEAD + "u,i,3,1700000000\n")
    world.ingest(rating)
    made = world.rows("silver.interactions", "event_id")[0][0]
    world.root = world.folder / "other"
    event = f"event_id,user_id,item_id,event,value,occurred_at\n{made},u,i,rating,3,1600000000\n"
    world.ingest(world.file(event, "events.csv"), "events")
    world.ingest(rating)
    assert world.quarantined() == [(2, "duplicate_key", "u,i,3,1700000000")]
    assert world.rows("silver.interactions", "event_id", "source") == [(made, "events")]


def broken_off(world: World, path: Path | str, at: str, *given: str) -> None:
    """An ingest that dies before it writes the table."""
    with pytest.MonkeyPatch.context() as patched:
        for how in ("append", "append_known_new"):
            whole = getattr(Lake, how)

            def dies(lake: Lake, name: str, *others: Any, whole: Callable[..., Any] = whole, **named: Any) -> Any:
                if name == at:
                    raise RuntimeError("broken off")
                return whole(lake, name, *others, **named)

            patched.setattr(Lake, how, dies)
        assert world.ingest(path, *given).status == "failed"


def test_what_was_ingested_is_counted_however_often_the_run_was_killed(world: World) -> None:
    """Twice after silver: the second attempt replaces the rows of bronze and adopts those of silver; then a copy of the file under
    another name, which is no attempt, and others with one of its rows."""
    path = world.file(HEAD + "u1,i1,4.0,1700000000\nu2,i1,0.5,1700000001\n", "in/ratings.csv")
    for _ in range(2):
        broken_off(world, world.folder / "in", "ops.ingest_files")
    # A copy under another name is not read, and a file with one of the rows has a duplicate.
    world.file(path.read_bytes(), "in/0.csv")
    world.file(path.read_bytes().partition(b"u2")[0], "in/z.csv")
    result = world.ingest(world.folder / "in")
    assert (result.tags["ingested"], result.tags["duplicates"], result.tags["files_ingested_before"]) == ("2", "1", "1")
    assert world.counts() == [("ratings.csv", 2, 2, 0, 0), ("z.csv", 1, 0, 1, 0)]
    assert len(world.rows("bronze.ratings", "raw")) == 3
    assert not list((world.root / ".unfinished").iterdir())
    assert len(world.rows("silver.interactions", "event_id")) == 2


@pytest.mark.parametrize(("at", "small_files"), [("silver.interactions", 100), ("ops.ingest_files", 0)])
def test_a_folder_that_has_new_files_after_a_kill_is_counted_as_if_there_was_none(
    world: World, at: str, small_files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of the files that were begun are replaced, those of new ones added; triaged on the driver and in Spark."""
    monkeypatch.setattr(batches, "SMALL_FILES", small_files)
    world.file(HEAD + "u1,i1,4.0,1700000000\nu2,i1,x,1700000001\n", "in/a.csv")
    broken_off(world, world.folder / "in", at)
    world.file(HEAD + "u3,i1,4.0,1700000000\n", "in/b.csv")
    broken_off(world, world.folder / "in", at)
    world.file(HEAD + "u4,i1,y,1700000000\n", "in/c.csv")
    world.ingest(world.folder / "in")
    assert world.counts() == [("a.csv", 2, 1, 0, 1), ("b.csv", 1, 1, 0, 0), ("c.csv", 1, 0, 0, 1)]
    assert world.rows("bronze.ratings", "raw") == [
        ("u1,i1,4.0,1700000000",), ("u2,i1,x,1700000001",), ("u3,i1,4.0,1700000000",), ("u4,i1,y,1700000000",),
    ]  # fmt: skip
    assert world.quarantined() == [(2, "type", "u4,i1,y,1700000000"), (3, "type", "u2,i1,x,1700000001")]
    assert world.rows("silver.interactions", "user_id") == [("u1",), ("u3",)]


def test_one_file_of_a_killed_batch_takes_its_own_rows_only(world: World) -> None:
    first = world.file(HEAD + "u1,i1,4.0,1700000000\nu2,i1,x,1700000001\n", "in/a.csv")
    world.file(HEAD + "u3,i1,4.0,1700000000\nu4,i1,y,1700000000\n", "in/b.csv")
    broken_off(world, world.folder / "in", "ops.ingest_files")
    world.ingest(first)
    assert world.counts() == [("a.csv", 2, 1, 0, 1)]
    everything = [("u1,i1,4.0,1700000000",), ("u2,i1,x,1700000001",), ("u3,i1,4.0,1700000000",), ("u4,i1,y,1700000000",)]
    reported = [(3, "type", "u2,i1,x,1700000001"), (3, "type", "u4,i1,y,1700000000")]
    assert (world.rows("bronze.ratings", "raw"), world.quarantined()) == (everything, reported)
    world.ingest(world.folder / "in")
    assert world.counts() == [("a.csv", 2, 1, 0, 1), ("b.csv", 2, 1, 0, 1)]
    assert (world.rows("bronze.ratings", "raw"), world.quarantined()) == (everything, reported)
    batches = {row[0] for row in world.rows("ops.ingest_files", "batch_id")}
    assert {row[0] for row in world.rows("bronze.ratings", "_batch_id")} == batches
    assert {row[0] for row in world.rows("ops.quarantine", "batch_id")} == batches


def test_a_file_that_was_mended_after_it_was_refused_leaves_what_was_found_in_it_before(world: World) -> None:
    """Other content under the same name is another file."""
    path = world.file(HEAD + "u1,i1,x,1700000000\n")
    assert world.ingest(path, "ratings", "max_reject_ratio=0.5").status == "failed"
    world.file(HEAD + "u1,i1,4,1700000000\n")
    assert world.ingest(path).status == "succeeded"
    assert world.rows("bronze.ratings", "raw") == [("u1,i1,4,1700000000",), ("u1,i1,x,1700000000",)]
    assert world.quarantined() == [(2, "type", "u1,i1,x,1700000000")]


def test_what_another_writes_meanwhile_is_a_duplicate_or_a_contradiction(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream may bring the same events while a batch is being sorted: between the look for its keys and the write."""
    names = "event_id,user_id,item_id,event,occurred_at\n"
    path = world.file(names + "".join(f"e{n},u,i,like,2023-01-0{n}T00:00:00Z\n" for n in (1, 2, 3)) + "e4,u\n", "events.csv")
    whole = ingestion.refuse_new_names

    def others_write(batches: Any) -> None:
        fields = "event_id string, user_id string, item_id string, event string, value double, occurred_at timestamp, source string"
        pairs = [("e1", "i", datetime(2023, 1, 1)), ("e2", "j", datetime(2023, 1, 2))]
        rows = world.spark.createDataFrame([(e, "u", i, "like", None, at, "s") for e, i, at in pairs], fields)
        Lake(world.spark, world.root, load(), Run("stream")).append("silver.interactions", rows)
        whole(batches)

    monkeypatch.setattr(ingestion, "refuse_new_names", others_write)
    world.ingest(path, "events")
    assert world.counts() == [("events.csv", 4, 1, 1, 2)]
    assert world.rows("silver.interactions", "event_id", "item_id", "source") == [
        ("e1", "i", "s"), ("e2", "j", "s"), ("e3", "i", "events"),
    ]  # fmt: skip
    assert [(line, rule) for line, rule, _ in world.quarantined()] == [(3, "duplicate_key"), (5, "field_count")]

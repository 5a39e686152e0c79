"""The stream: every message in silver, duplicates or quarantine, once, whatever is killed, sent twice, lost or spoiled."""

from __future__ import annotations

import json
import os
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.cli.jobs import job_arguments
from shoal.conf.loading import load
from shoal.errors import TransientError, UsageError
from shoal.ingest.formats.reading import seen_names
from shoal.ingest.sources.general import EVENTS as PART
from shoal.ingest.streaming.batches import read_files
from shoal.lake.lake import Lake, Run
from shoal.runner.command import job_parser
from shoal.runner.execute import Result, execute
from shoal.runner.job import find_job

from tests.runner.test_kill import kill_when, start
from tests.support.viewfs import mounted

DAY = date(2024, 1, 1)
JOB = find_job("stream_events")
POISON = [b"\xffnot text", None, b"", b"[1]", b'{"user_id": "u"', b'{"event_id": "x", "user_id": "u", "event": "like"}']
RULES = ["bad_encoding", "bad_json", "bad_json", "bad_json", "bad_json", "required"]


def event(number: int, **changed: object) -> str:
    made: dict[str, object] = {"event_id": f"e{number}", "user_id": f"u{number % 7}", "item_id": "i", "event": "like"}
    return json.dumps(made | {"occurred_at": 1_700_000_000 + number} | changed)


class Flow:
    """A lake, a folder that grows, and a topic, where there is one."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark, self.root, self.input = spark, folder / "lake", folder / "in"
        self.input.mkdir()
        self.sets = [f"input={self.input}"]
        self.uri: str | None = None

    @property
    def address(self) -> str:
        """The lake: the folder, or the URI that it is mounted at."""
        return self.uri or str(self.root)

    def file(self, name: str, *lines: str) -> Path:
        """A file that is put there whole."""
        (self.input / f".{name}").write_text("\n".join(lines) + "\n")
        return (self.input / f".{name}").rename(self.input / name)

    def topic(self, servers: str, name: str, partitions: int = 2) -> None:
        self.sets = ["source=kafka", f"topic={name}", f"bootstrap_servers={servers}"]
        self.producer, self.name = Producer({"bootstrap.servers": servers, "enable.idempotence": True}), name
        admin = AdminClient({"bootstrap.servers": servers})
        admin.create_topics([NewTopic(name, partitions)])[name].result(30)

    def send(self, partition: int, *values: str | bytes | None) -> None:
        for value in values:
            self.producer.produce(self.name, value, partition=partition)
        assert self.producer.flush(30) == 0

    def run(self, *sets: str, replay: bool = False) -> Result:
        settings = load("local", [*self.sets, *sets], "stream_events")
        return execute(self.spark, JOB, settings, self.address, DAY, {"replay": True} if replay else {})

    def lake(self) -> Lake:
        return Lake(self.spark, self.address, load(), Run("reader"))

    def rows(self, table: str, *columns: str) -> list[tuple[Any, ...]]:
        found = self.lake().read(table, missing_ok=True).select(*columns).collect()
        return sorted((tuple(row) for row in found), key=repr)

    def ids(self) -> list[str]:
        """The event ids in silver; one that is there twice is here twice."""
        return sorted(row[0] for row in self.rows("silver.interactions", "event_id"))

    def quarantined(self) -> list[tuple[str, int, str]]:
        """(file name or topic/partition, line or offset, rule); one that is there twice is here twice."""
        rows = self.rows("ops.quarantine", "file", "line", "rule")
        return [(file.removeprefix(f"{self.input}/"), line, rule) for file, line, rule in rows]

    def places(self) -> list[tuple[str, int]]:
        """Where bronze's rows come from."""
        return [(file.removeprefix(f"{self.input}/"), line) for file, line in self.rows("bronze.events", "_file", "_line")]

    def totals(self, generation: int = 1) -> tuple[int, ...]:
        """(records, ingested, duplicates, rejected) of all batches; a batch that has two rows counts twice."""
        rows = self.lake().read("ops.stream_batches").where(F.col("checkpoint_generation") == generation)
        sums = rows.agg(*[F.sum(name) for name in ("records", "ingested", "duplicates", "rejected")]).collect()[0]
        return tuple(sums)

    def checkpoint(self, generation: int = 1) -> Path:
        return next((self.root / ".checkpoints" / "stream_events").iterdir()) / f"g{generation}"


@pytest.fixture
def flow(spark: SparkSession, tmp_path: Path) -> Flow:
    return Flow(spark, tmp_path)


@pytest.mark.slow
def test_a_folder_that_grows(flow: Flow) -> None:
    """Sound, poison, equal and contradicting records; a restart; a copy; a file with an old date; a file that is none."""
    lines = [event(3), event(1), "broken", event(1), event(2, mood=1), event(2, item_id="other")]
    lines.append(event(4, occurred_at="yesterday"))
    flow.file("a.jsonl", *lines)
    rows = "e9,u,i,purchase,5,1700000009,dry", "e8,u,i,purchase,-1,1700000009,"
    flow.file("b.csv", "event_id,user_id,item_id,event,value,ts,weather", *rows)
    (flow.input / "_being_written.jsonl").write_text(event(77))
    first = flow.run()
    assert (first.status, first.message) == ("succeeded", None)
    wanted = {"batches": "1", "files": "2", "records": "9", "ingested": "4", "duplicates": "1", "rejected": "4"}
    assert {name: first.tags[name] for name in wanted} == wanted
    assert first.tags["events_unmapped_columns"] == "mood, weather"
    assert {"batch_seconds", "longest_batch_seconds", "rows_per_second"} < set(first.tags)
    assert flow.ids() == ["e1", "e2", "e3", "e9"]
    faults = [("a.jsonl", 3, "bad_json"), ("a.jsonl", 6, "duplicate_key"), ("a.jsonl", 7, "type"), ("b.csv", 3, "range")]
    assert flow.quarantined() == faults
    assert flow.rows("silver.interactions", "item_id", "event", "source")[0] == ("i", "like", "events_stream")

    nothing = flow.run()
    assert (nothing.status, nothing.tags["batches"], nothing.tags["records"]) == ("succeeded", "0", "0")

    shutil.copy(flow.input / "a.jsonl", flow.input / "copy.jsonl")
    os.utime(flow.file("late.jsonl", event(5), event(0)), (1_600_000_000, 1_600_000_000))
    (flow.input / "no_table.csv").write_bytes(b"\xff\xfeu\x00s\x00")
    flow.file("other.csv", "title,price", "a,1")
    assert flow.run().status == "succeeded"
    assert flow.ids() == ["e0", "e1", "e2", "e3", "e5", "e9"]
    again = [("copy.jsonl", 3, "bad_json"), ("copy.jsonl", 6, "duplicate_key"), ("copy.jsonl", 7, "type")]
    files = [("no_table.csv", 1, "bad_file"), ("other.csv", 1, "bad_file")]
    assert flow.quarantined() == sorted([*faults, *again, *files], key=repr)
    assert flow.totals() == (20, 6, 5, 9)
    reasons = dict(flow.rows("ops.quarantine", "file", "reason"))
    assert reasons[f"{flow.input}/no_table.csv"].endswith("the file is UTF-16; save it as UTF-8")


def act(kind: str, user: str, at: int, **more: object) -> str:
    return json.dumps({"type": kind, "user_id": user, "created_at": 1_700_000_000 + at} | more)


ACTIVITY = [
    act("like", "7", 1, id="a1", tweet_id="11"), act("retweet", "7", 2, tweet_id="11"), act("reply", "8", 3, tweet_id="11"),
    act("click", "8", 4, tweet_id="12"), act("view", "8", 5, tweet_id="12"), act("follow", "7", 6, target_user_id="8"),
    act("follow", "7", 6, target_user_id="8"),  # twice
    act("follow", "7", 9, target_user_id="8"),  # contradicts the first
    act("follow", "9", 6), act("poke", "9", 6, tweet_id="12"), "broken",
]  # fmt: skip
LATER = [act("follow", "7", 20, target_user_id="8"), act("follow", "8", 21, target_user_id="7"), ACTIVITY[0]]


def test_activity_lands_as_from_files_and_a_batch_that_is_done_again_changes_nothing(flow: Flow, spark: SparkSession) -> None:
    flow.sets.append("record_type=twitter_activity")
    file = flow.file("1.activity.jsonl", *ACTIVITY)
    first = flow.run()
    assert (first.status, first.message) == ("succeeded", None)
    settings, root = load(sets=["ingest.max_reject_ratio=1"]), flow.root.parent / "batch"
    extras = {"source": "twitter_activity", "input": str(file)}
    assert execute(spark, find_job("ingest_files"), settings, root, DAY, extras).status == "succeeded"

    def reported(lake: Lake) -> list[list[tuple[Any, ...]]]:
        events = lake.read("silver.interactions").select("event_id", "user_id", "item_id", "event", "occurred_at")
        follows = lake.read("silver.follows").select("src_id", "dst_id", F.unix_timestamp("followed_at") - 1_700_000_000)
        rejected = lake.read("ops.quarantine").select("record_type", "line", "rule")
        return [sorted(map(tuple, frame.collect()), key=repr) for frame in (events, follows, rejected)]

    found = reported(flow.lake())
    assert found == reported(Lake(spark, root, load(), Run("reader")))
    assert sorted(row[3] for row in found[0]) == ["click", "comment", "like", "share", "view"]
    assert found[1] == [("7", "8", 6)]
    faults = [("activity", 10, "check"), ("activity", 11, "bad_json"), ("follows", 8, "duplicate_key"), ("follows", 9, "required")]
    assert found[2] == sorted(faults, key=repr)

    flow.file("2.activity.jsonl", *LATER)
    assert flow.run().status == "succeeded"
    found[1] = [("7", "8", 20), ("8", "7", 21)]
    assert (reported(flow.lake()), flow.totals()) == (found, (14, 8, 2, 4))
    # Killed before Spark's own commit: the last batch is done again.
    (flow.checkpoint() / "commits" / "1").unlink()
    (flow.checkpoint() / "commits" / ".1.crc").unlink()
    assert flow.run().tags["batches"] == "1"
    assert (reported(flow.lake()), flow.totals()) == (found, (14, 8, 2, 4))


def test_a_stream_that_began_with_poison_goes_on(flow: Flow) -> None:
    flow.file("a.jsonl", "broken")
    assert flow.run().tags["rejected"] == "1"
    flow.file("b.jsonl", event(1))
    second = flow.run()
    assert (second.status, second.message, flow.ids()) == ("succeeded", None, ["e1"])


@pytest.mark.slow
def test_a_lost_checkpoint_is_refused_and_a_replay_leaves_no_doubles(flow: Flow) -> None:
    flow.file("a.jsonl", event(1), "broken", event(2), event(2))
    assert flow.run().status == "succeeded"
    places = flow.places()
    shutil.rmtree(flow.checkpoint())
    refused = flow.run()
    assert (refused.status, refused.exit_code) == ("failed", 3)
    assert "cannot resume from checkpoint of files:" in (refused.message or "")
    assert "it is not there; put it back as it was, or run again with --replay" in (refused.message or "")
    flow.file("b.jsonl", event(3))
    assert flow.run(replay=True).status == "succeeded"
    assert flow.ids() == ["e1", "e2", "e3"]
    assert flow.places() == [*places, ("b.jsonl", 1)]
    assert flow.quarantined() == [("a.jsonl", 2, "bad_json")]
    assert flow.totals(2) == (5, 1, 3, 1)
    last = max((flow.checkpoint(2) / "offsets").iterdir(), key=lambda p: p.name)
    last.write_text("")
    assert "its file offsets/0 is empty" in (flow.run().message or "")
    shutil.rmtree(flow.root / "ops" / "streams")
    assert "ops.streams of this lake does not have" in (flow.run().message or "")
    shutil.rmtree(flow.root / ".checkpoints")
    assert "ops.streams of this lake does not have" in (flow.run().message or "")


@pytest.mark.slow
def test_on_a_lake_at_a_uri_the_checkpoint_lies_there_too(flow: Flow, spark: SparkSession) -> None:
    flow.uri = mounted(spark, flow.root)
    flow.file("a.jsonl", event(1))
    assert flow.run().status == "succeeded"
    flow.file("b.jsonl", event(2), event(1))
    assert flow.run().tags["records"] == "2"
    assert flow.ids() == ["e1", "e2"]
    assert sorted(p.name for p in (flow.checkpoint() / "offsets").iterdir() if p.name.isdigit()) == ["0", "1"]
    for name in ("offsets/1", "offsets/.1.crc"):
        (flow.checkpoint() / name).unlink()
    assert "it ends with batch 0, the lake has batch 1: it is an older copy" in (flow.run().message or "")
    missing = flow.run(f"input={flow.address}/nowhere")
    assert missing.exit_code == 3
    assert missing.message == f"{flow.address}/nowhere: no such folder; the stream reads the files that are put there"


@pytest.mark.slow
def test_a_topic(flow: Flow, kafka: str) -> None:
    """Out of order, late, sent twice, poison; an older copy of the checkpoint; a replay; a topic that was made anew."""
    flow.topic(kafka, "whole")
    flow.send(0, event(5), event(1), *POISON)
    flow.send(1, event(3), event(5), event(3, user_id="another"))
    first = flow.run("max_offsets_per_trigger=6")
    assert (first.status, first.message, first.tags["lag_offsets"]) == ("succeeded", None, "0")
    assert int(first.tags["batches"]) >= 2
    assert flow.ids() == ["e1", "e3", "e5"]
    poison = [("whole/0", 2 + i, rule) for i, rule in enumerate(RULES)]
    assert flow.quarantined() == [*poison, ("whole/1", 2, "duplicate_key")]
    assert flow.totals() == (11, 3, 1, 7)
    ends = flow.rows("ops.stream_batches", "end_offsets")
    last = {place: max(each[0].get(place, 0) for each in ends) for place in ("whole/0", "whole/1")}
    assert last == {"whole/0": 7, "whole/1": 2}

    older = flow.root / "older"
    shutil.copytree(flow.checkpoint(), older)
    flow.send(0, event(0), event(5))
    assert flow.run().tags["ingested"] == "1"
    newest = flow.checkpoint()
    newest.rename(flow.root / "newest")
    older.rename(newest)
    assert "it is an older copy" in (flow.run().message or "")
    shutil.rmtree(newest)
    (flow.root / "newest").rename(newest)
    assert flow.run().tags["batches"] == "0"

    assert flow.run(replay=True).status == "succeeded"
    assert flow.ids() == ["e0", "e1", "e3", "e5"]
    assert flow.places() == [("whole/0", i) for i in range(10)] + [("whole/1", i) for i in range(3)]
    assert flow.quarantined() == [*poison, ("whole/1", 2, "duplicate_key")]
    assert flow.totals(2) == (13, 0, 6, 7)


@pytest.mark.slow
def test_mistakes_of_the_one_who_starts_it_are_one_line(flow: Flow, kafka: str) -> None:
    sets, flow.sets = flow.sets, []
    for given, code, says in (
        ([], 2, "source=files needs a folder: --set input=FOLDER"),
        (["input=/nowhere"], 3, "/nowhere: no such folder"),
        (["source=kafka"], 2, "source=kafka needs a topic: --set topic=NAME"),
        (["source=kafka", "topic=missing", f"bootstrap_servers={kafka}"], 3, f"topic missing: {kafka} has no such topic"),
        ([*sets, "ingest.column_mapping.usr_id=uid"], 2, "--set column_mapping.usr_id: this source has no such column; did you"),
    ):
        result = flow.run(*given)
        assert (result.exit_code, says in (result.message or "")) == (code, True), result.message


def test_a_file_that_grows_while_it_is_read_is_not_taken_for_whole(flow: Flow) -> None:
    path = flow.file("a.jsonl", event(1))
    listed = flow.spark.createDataFrame([(f"file:{path}", 10)], "path string, length long")
    with pytest.raises(TransientError, match="the file grows while it is read, from 10 to "):
        read_files(flow.lake(), listed, PART, load().ingest, seen_names(flow.spark))


def test_replay_is_a_flag_of_the_command_and_of_the_file() -> None:
    assert job_arguments(JOB, ["--replay"]) == {"replay": True}
    assert job_arguments(JOB, []) == {}
    with pytest.raises(UsageError, match=r"stream_events takes \[--replay\], found --repaly"):
        job_arguments(JOB, ["--repaly"])
    assert job_parser(JOB).parse_args(["--lake", "l"]).replay is False
    assert job_parser(JOB).parse_args(["--lake", "l", "--replay"]).replay is True
    assert job_arguments(find_job("ingest_files"), ["--source", "a", "--input", "b"]) == {"source": "a", "input": "b"}


@pytest.mark.slow
def test_a_stream_without_an_end_looks_again_and_ends_when_it_is_told(flow: Flow) -> None:
    flow.file("a.jsonl", event(1))
    result = flow.run("trigger=1", "max_run_seconds=6")
    assert (result.status, result.tags["ingested"]) == ("succeeded", "1")
    flow.file("b.jsonl", event(2))
    assert flow.run("trigger=1", "max_run_seconds=6").tags["ingested"] == "1"
    assert flow.ids() == ["e1", "e2"]


@pytest.mark.slow
def test_three_kills_in_mid_batch_lose_and_double_nothing(flow: Flow, kafka: str) -> None:
    """A batch is killed after bronze, after quarantine, and after silver; each time the next run does the same batch again."""
    flow.topic(kafka, "killed")
    sound = [event(i) for i in range(900)]
    flow.send(0, *sound[::2], *POISON)
    flow.send(1, *reversed(sound[1::2]), *sound[:50])
    command = ["-m", "shoal", "run", "stream_events", "--lake", str(flow.root), "--as-of", DAY.isoformat()]
    command += ["--set", "spark.driver.memory=1g", *(part for each in flow.sets for part in ("--set", each))]

    def commit(table: str, number: int) -> Path:
        return flow.root / table / "_delta_log" / f"{number:020d}.json"

    for table in ("bronze/events", "ops/quarantine", "silver/interactions"):
        # Commit 0 makes a table, commit 1 is the first batch's.
        kill_when(start(*command), lambda table=table: commit(table, 1).exists())
        assert not commit("ops/stream_batches", 1).exists(), "the batch was killed too late to be in its middle"
    finished = flow.run("max_offsets_per_trigger=300")
    assert finished.status == "succeeded", finished.message
    assert flow.ids() == sorted(f"e{i}" for i in range(900))
    assert flow.places() == sorted([("killed/0", i) for i in range(456)] + [("killed/1", i) for i in range(500)], key=repr)
    assert flow.quarantined() == [("killed/0", 450 + i, rule) for i, rule in enumerate(RULES)]
    assert flow.totals() == (956, 900, 50, 6)
    # A killed run is reported by the next one that comes to its end: of three in a row, the last.
    assert [row[0] for row in flow.rows("ops.runs", "status")] == ["killed", "succeeded"]

"""Random kills of ingest and stream, then every event is counted: `python -m tests.soak --minutes 30` (make soak).

Events are made all the time and sent to a Kafka of one node, some twice, and a part of them is put into files for `shoal ingest`
as well. `shoal run stream_events` and `shoal ingest` run at the same time on one lake, each in a process group of its own that
is killed with SIGKILL after a random time; some are let come to their end. At the end both run to their end, and what is in the
lake is held against what was made. Exit code 0: nothing lost, nothing doubled; 1: something was; 2: a run failed by itself.

With `--hdfs` the lake lies on an HDFS of one node that the soak starts. A run that was killed leaves its lease behind there; the
next one waits until it has expired.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from shoal.conf.addresses import is_uri
from shoal.conf.loading import load
from shoal.lake.lake import Lake, Run
from shoal.spark.session import spark_session
from shoal.testing import hdfs
from shoal.testing import kafka_broker as broker

ROOT = Path(__file__).resolve().parents[1]
DAY = "2024-01-01"
INCOMPLETE = '{"event_id": "bad", "user_id": "u"}'
# A lease's length in seconds on HDFS, in the place of the default of 15 minutes.
LEASE = 15
POISON = [b"\xff", b"", b"[]", INCOMPLETE.encode()]


class World:
    """What was made: sound event ids, and how many messages and file records went out, sound or not."""

    def __init__(self, folder: Path, servers: str, seed: int) -> None:
        self.inbox, self.draw = folder / "inbox", random.Random(seed)
        self.inbox.mkdir()
        self.producer, self.servers = Producer({"bootstrap.servers": servers, "enable.idempotence": True}), servers
        self.made = self.messages = self.poison = self.files = self.records = 0

    def more(self, events: int) -> None:
        """Send `events` new events, a twentieth of them twice, a hundredth poison; a third of them go into a file too, with a bad
        line at its end."""
        new = range(self.made, self.made + events)
        self.made += events
        sent = [*new, *self.draw.sample(new, events // 20)]
        self.draw.shuffle(sent)
        values = [event(number).encode() for number in sent] + self.draw.choices(POISON, k=events // 100)
        for value in values:
            self.producer.produce("soak", value, partition=self.draw.randrange(3))
        if self.producer.flush(60):
            raise RuntimeError("Kafka did not take all messages")
        self.messages, self.poison = self.messages + len(values), self.poison + events // 100
        part = self.draw.sample(new, events // 3)
        whole = self.inbox / f"part-{self.files}.jsonl"
        whole.with_name(f".{whole.name}").write_text("".join(event(number) + "\n" for number in part) + f"{INCOMPLETE}\n")
        whole.with_name(f".{whole.name}").rename(whole)
        self.files, self.records = self.files + 1, self.records + len(part) + 1


def event(number: int) -> str:
    """One event, determined by its number."""
    at = {"user_id": f"u{number % 997}", "item_id": f"i{number % 89}", "event": "like", "occurred_at": 1_600_000_000 + number}
    return json.dumps({"event_id": f"e{number}"} | at)


def begin(log: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """A run of the command line in a process group of its own, its words in `log`."""
    sets = [part for pair in ("spark.driver.memory=1g", f"lake.lease_seconds={LEASE}") for part in ("--set", pair)]
    command = [sys.executable, "-m", "shoal", *arguments, "--as-of", DAY, *sets]
    with log.open("ab") as lines:
        return subprocess.Popen(command, cwd=ROOT, stdout=lines, stderr=lines, start_new_session=True)


def end(process: subprocess.Popen[bytes], seconds: float | None) -> int | None:
    """Let the process come to its end for so long (None: as long as it takes), then kill it; its exit code, None if killed."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None


def commands(lake: str, world: World) -> dict[str, list[str]]:
    """The two commands that are killed."""
    stream = ["source=kafka", "topic=soak", f"bootstrap_servers={world.servers}", "max_offsets_per_trigger=5000"]
    return {
        "stream": ["run", "stream_events", "--lake", lake, *(p for s in stream for p in ("--set", s))],
        "ingest": ["ingest", "--source", "events", "--input", str(world.inbox), "--lake", lake],
    }


def shake(folder: Path, lake: str, world: World, minutes: float) -> Counter[str]:
    """Kill at random for so many minutes; counts of killed and ended runs. Raises RuntimeError for a run that fails by itself."""
    seen: Counter[str] = Counter()
    asked = commands(lake, world)
    # Locally a lock goes with its process; elsewhere a lease lives on.
    wait = LEASE + 1 if is_uri(lake) else 0
    free_at = dict.fromkeys(asked, 0.0)
    deadline = time.monotonic() + 60 * minutes
    running: dict[str, tuple[subprocess.Popen[bytes], float]] = {}
    while time.monotonic() < deadline:
        for name, arguments in asked.items():
            if name not in running and time.monotonic() >= free_at[name]:
                # A start takes some seconds; a third of the runs is let come to its end.
                life = 120.0 if world.draw.random() < 0.33 else world.draw.uniform(4, 40)
                running[name] = begin(folder / f"{name}.log", *arguments), time.monotonic() + life
        # As much as a small machine keeps up with while it is being killed: some 100 events a second.
        world.more(world.draw.randrange(100, 300))
        time.sleep(world.draw.uniform(1, 3))
        for name, (process, dies_at) in list(running.items()):
            if process.poll() is None and time.monotonic() < dies_at:
                continue
            code = end(process, 0)
            seen[f"{name} {'killed' if code is None else 'ended'}"] += 1
            free_at[name] = time.monotonic() + (wait if code is None else 0)
            if code:
                raise RuntimeError(f"{name} failed with exit code {code}: {(folder / f'{name}.log').read_text()[-600:]}")
            del running[name]
    for name, (process, _) in running.items():
        seen[f"{name} {'killed' if end(process, 0) is None else 'ended'}"] += 1
    time.sleep(wait)
    for name, arguments in asked.items():
        code = end(begin(folder / f"{name}.log", *arguments), None)
        if code:
            raise RuntimeError(f"{name}, the last run, failed with {code}: {(folder / f'{name}.log').read_text()[-600:]}")
    return seen


def doubled(rows: DataFrame, columns: Iterable[str]) -> int:
    """How many rows there are beyond the first of each value of the columns."""
    return rows.count() - rows.select(*columns).distinct().count()


def judge(lake: Lake, world: World) -> tuple[dict[str, Any], list[str]]:
    """(what is in the lake, what is wrong with it)."""
    silver, bronze, quarantine = (lake.read(name) for name in ("silver.interactions", "bronze.events", "ops.quarantine"))
    messages, lines = (bronze.where(F.col("_source") == source) for source in ("events_stream", "events"))
    poison, bad = (quarantine.where(F.col("source") == source) for source in ("events_stream", "events"))
    wanted = lake.spark.range(world.made).select(F.concat(F.lit("e"), "id").alias("event_id"))
    batches, files = lake.read("ops.stream_batches"), lake.read("ops.ingest_files")
    streamed, filed = (t.agg(F.sum("records"), F.sum("ingested")).collect()[0] for t in (batches, files))
    place, shown = ["_file", "_line"], ["file", "line"]
    facts = {
        "events made": world.made, "messages sent": world.messages, "poison sent": world.poison, "files": world.files,
        "lines of files": world.records,
        "lost": wanted.join(silver, "event_id", "left_anti").count(), "doubled": doubled(silver, ["event_id"]),
        "not made here": silver.join(wanted, "event_id", "left_anti").count(),
        "messages lost": world.messages - messages.select(*place).distinct().count(), "messages doubled": doubled(messages, place),
        "poison lost": world.poison - poison.select(*shown).distinct().count(), "poison doubled": doubled(poison, shown),
        "lines lost": world.records - lines.select(*place).distinct().count(), "lines doubled": doubled(lines, place),
        "bad lines lost": world.files - bad.select(*shown).distinct().count(), "bad lines doubled": doubled(bad, shown),
        "messages that no batch has": world.messages - streamed[0], "lines that no file has": world.records - filed[0],
        "files doubled": doubled(files, ["path"]), "events that no run ingested": world.made - streamed[1] - filed[1],
    }  # fmt: skip
    zero = list(facts)[5:]
    return facts, [name for name in zero if facts[name]]


@contextmanager
def place(folder: Path, on_hdfs: bool) -> Iterator[str]:
    """Where the lake goes: a folder of this machine, or one on an HDFS that runs in the block."""
    if not on_hdfs:
        yield str(folder / "lake")
        return
    node = hdfs.start(folder / "hdfs")
    try:
        yield f"{node.uri}/lake"
    finally:
        hdfs.stop(folder / "hdfs")


def main(argv: list[str] | None = None) -> int:
    """The command; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hdfs", action="store_true", help="the lake lies on an HDFS of one node")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="shoal-soak-") as name, ExitStack() as servers:
        folder = Path(name)
        kafka = servers.enter_context(broker.running())
        lake = servers.enter_context(place(folder, given.hdfs))
        world = World(folder, kafka.bootstrap_servers, given.seed)
        world.more(1000)
        try:
            seen = shake(folder, lake, world, given.minutes)
        except RuntimeError as error:
            sys.stderr.write(f"soak: {error}\n")
            return 2
        facts, wrong = judge(Lake(spark_session("shoal-soak"), lake, load(), Run("soak")), world)
        sys.stdout.write(json.dumps({"minutes": given.minutes, "seed": given.seed, "runs": dict(seen)} | facts, indent=1) + "\n")
        sys.stderr.write(f"soak: {'WRONG: ' + ', '.join(wrong) if wrong else 'nothing lost, nothing doubled'}\n")
        return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

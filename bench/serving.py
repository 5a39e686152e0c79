"""Serving: a million users' lists from Delta into each store, and 500 requests a second for a minute over LMDB.

The server is `shoal serve` as a process. The load is an open loop: a request is sent when it is due, whether or not the one
before was answered, over a few connections that stay open; a latency counts from when the request was due. Its own processor time
is not ours.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.conf.loading import load
from shoal.errors import TransientError
from shoal.lake.lake import Lake, Run
from shoal.publish.stores.lmdb_files import LmdbTarget
from shoal.publish.stores.postgres_store import PASSWORD as POSTGRES_PASSWORD
from shoal.publish.stores.postgres_store import PostgresTarget
from shoal.publish.stores.publication import publish
from shoal.publish.stores.redis_store import PASSWORD as REDIS_PASSWORD
from shoal.publish.stores.redis_store import RedisTarget
from shoal.runner.clock import utc_now
from shoal.testing import postgres_server, redis_server
from shoal.testing.kafka_broker import free_ports

USERS, ITEMS, DAY = int(os.environ.get("BENCH_USERS", "1000000")), 3, date(2024, 3, 1)
RATE, SECONDS, CONNECTIONS = 500, 60, 4


def run(spark: SparkSession) -> list[dict[str, Any]]:
    """The rows of this part."""
    with tempfile.TemporaryDirectory(prefix="shoal-bench-") as name:
        root = Path(name)
        fill(Lake(spark, root / "lake", load(), Run("bench", "bench", utc_now())))
        rows = [*stores(spark, root), requests(root / "lake")]
    return rows


def fill(lake: Lake) -> None:
    """gold.recommendations of USERS users, ITEMS rows each."""
    rows = lake.spark.range(USERS * ITEMS).select(
        F.concat(F.lit("u"), F.floor(F.col("id") / ITEMS)).alias("user_id"), (F.col("id") % ITEMS + 1).cast("int").alias("rank"),
        F.concat(F.lit("i"), F.pmod(F.xxhash64("id"), F.lit(100_000))).alias("item_id"), F.rand(1).alias("score"),
        F.create_map(F.lit("als"), F.lit(0.5)).alias("parts"), F.lit("similar_users").alias("reason_code"),
        F.lit(None).cast("string").alias("because_item_id"), F.lit("als").alias("source"), F.lit("champion").alias("variant"),
        F.lit(1.0).alias("propensity"), F.lit("m/1").alias("model_version"), F.lit(DAY).alias("as_of"),
    )  # fmt: skip
    lake.replace("gold.recommendations", rows, on=DAY, unique=True)


def stores(spark: SparkSession, root: Path) -> list[dict[str, Any]]:
    """Seconds of a publication into each store that this machine has."""
    rows = []

    def timed(what: str, target: Any, most: int) -> None:
        lake = Lake(spark, root / "lake", load(), Run(f"bench-{what}", "bench", utc_now()))
        clock = time.monotonic()
        publish(lake, target, root / "lake" / "published", 0, utc_now)
        seconds = time.monotonic() - clock
        rows.append({"what": f"publish {USERS:,} users' lists of {ITEMS} to {what}, from Delta", "ours": seconds, "unit": "s",
                     "target": f"<= {most}"})  # fmt: skip

    timed("lmdb", LmdbTarget(root / "lake" / "published" / "lmdb"), 30)
    with redis_server.running(root / "redis") as server:
        os.environ[REDIS_PASSWORD] = server.password
        timed("redis", RedisTarget(server.url, 0), 30)
    try:
        postgres_server.program("initdb")
    except TransientError as error:
        return [*rows, {"what": "publish to postgres", "note": str(error)}]
    with postgres_server.running() as database:
        os.environ[POSTGRES_PASSWORD] = database.password
        timed("postgres", PostgresTarget(database.url, 0), 60)
    return rows


def requests(lake: Path) -> dict[str, Any]:
    """Latency and processor time of GET /recommendations at RATE a second."""
    port = free_ports(1)[0]
    command = [sys.executable, "-m", "shoal", "serve", "--lake", str(lake), "--open", "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            while '"event":"serving"' not in server.stderr.readline():
                assert server.poll() is None
            log = subprocess.Popen(["cat"], stdin=server.stderr, stdout=subprocess.DEVNULL)
            before = processor_seconds(server.pid)
            late = asyncio.run(load_of(port))
            spent = processor_seconds(server.pid) - before
            log.terminate()
        finally:
            server.terminate()
    p50, p99 = np.percentile(late, [50, 99])
    note = f"p50 {p50:.2f} ms, processor time a request {spent / len(late) * 1e3:.3f} ms, load {os.getloadavg()[0]:.1f}"
    return {"what": f"GET /recommendations over LMDB, {RATE}/s for {SECONDS} s: p99", "ours": float(p99), "unit": "ms",
            "target": "<= 10 (idle)", "note": note}  # fmt: skip


def processor_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def load_of(port: int) -> list[float]:
    """Milliseconds from when each request was due to its answer."""
    late: list[float] = []
    drawn = Random(7)

    async def connection(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        due: asyncio.Queue[float] = asyncio.Queue()
        start, step = time.perf_counter() + 0.5 + number / RATE, CONNECTIONS / RATE

        async def answers() -> None:
            for _ in range(RATE * SECONDS // CONNECTIONS):
                sent = await due.get()
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200"), head
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                late.append((time.perf_counter() - sent) * 1e3)

        reading = asyncio.create_task(answers())
        for n in range(RATE * SECONDS // CONNECTIONS):
            at = start + n * step
            await asyncio.sleep(max(0.0, at - time.perf_counter()))
            writer.write(b"GET /recommendations?user_id=u%d&k=3 HTTP/1.1\r\nhost: x\r\n\r\n" % drawn.randrange(USERS))
            due.put_nowait(at)
        await reading
        writer.close()

    await asyncio.gather(*[connection(number) for number in range(CONNECTIONS)])
    return late


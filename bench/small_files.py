"""Small files: 20,000 files of 20 events each through `shoal ingest`, its seconds and the most memory that its driver held.

The command runs in a process of its own, with the settings as they are shipped (driver memory 2 GB). The peer is plain Spark on the
same folder: one read with a schema, one Delta write.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

FILES, LINES = 20_000, 20
SCHEMA = "event_id string, user_id string, item_id string, event string, occurred_at long"


def write_files(folder: Path, files: int, lines: int) -> None:
    """CSV files of events, no two with one id."""
    for number in range(files):
        rows = [f"e{number}-{i},u{(number + i) % 997},i{(number * i) % 89},like,{1_600_000_000 + number}\n" for i in range(lines)]
        (folder / f"part-{number:05d}.csv").write_text("event_id,user_id,item_id,event,occurred_at\n" + "".join(rows))


def peak_mib(pid: int) -> dict[int, float]:
    """The most memory that a process and each of its descendants that live now held so far, by process id."""
    found, left = {}, [pid]
    while left:
        one = left.pop()
        try:
            status = Path(f"/proc/{one}/status").read_text()
            for task in Path(f"/proc/{one}/task").iterdir():
                left += map(int, (task / "children").read_text().split())
        except OSError:
            continue  # it ended meanwhile
        held = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
        if held:
            found[one] = int(held[0]) / 1024
    return found


def ingest(folder: Path, lake: Path) -> tuple[float, float]:
    """(seconds, MiB of the driver: the Python that was started and its Java) of the command."""
    command = [sys.executable, "-m", "shoal", "ingest", "--source", "events", "--input", str(folder), "--lake", str(lake)]
    clock, held = time.monotonic(), dict[int, float]()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        held.update(peak_mib(process.pid))
        time.sleep(0.2)
    seconds = time.monotonic() - clock
    assert process.returncode == 0, process.returncode
    # Of the descendants the Java is by far the largest; the others are workers of some 150 MiB.
    own = held.pop(process.pid, 0.0)
    return seconds, own + max(held.values(), default=0.0)


def run(spark: SparkSession) -> list[dict[str, Any]]:
    """Two rows: seconds beside plain Spark, and the driver's memory."""
    with tempfile.TemporaryDirectory() as name:
        folder, lake = Path(name) / "in", Path(name) / "lake"
        folder.mkdir()
        write_files(folder, FILES, LINES)
        seconds, mib = ingest(folder, lake)
        rows = spark.read.format("delta").load(str(lake / "silver" / "interactions")).count()
        assert rows == FILES * LINES, rows
        clock = time.monotonic()
        spark.read.schema(SCHEMA).option("header", True).csv(str(folder)).write.format("delta").save(str(Path(name) / "plain"))
        peer = time.monotonic() - clock
    what = f"{FILES:,} files of {LINES} events"
    return [
        {"what": what, "ours": seconds, "peer": peer, "ratio": seconds / peer, "unit": "s", "target": "<= 300 s",
         "note": "ours with the start of the program; peer: plain Spark, one read and one Delta write, in a warm session"},
        {"what": f"{what}, the driver's memory", "ours": mib, "peer": None, "ratio": None, "unit": "MiB", "target": "bounded",
         "note": "largest resident size of Python and Java together, driver memory 2 GB"},
    ]  # fmt: skip

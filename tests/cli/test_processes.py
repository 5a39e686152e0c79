"""Commands as processes of their own: an interrupt, a locale without UTF-8, a time zone that is not UTC."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SHOAL = [sys.executable, "-m", "shoal"]
EVENTS = (
    "event_id,user_id,item_id,event,value,occurred_at\n"
    # An hour that New York's clocks leave out, and one that they have twice.
    "e1,u1,i1,like,,2024-03-10T02:30:00Z\ne2,u1,i2,view,,2024-11-03T01:30:00Z\n"
)


@pytest.mark.slow
def test_an_interrupted_ingest_is_one_line_and_exit_code_130(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(EVENTS)
    lock = tmp_path / "lake" / ".locks" / "ingest_files.lock"
    command = [*SHOAL, "ingest", "--source", "events", "--input", str(tmp_path / "events.csv"), "--lake", str(tmp_path / "lake")]
    # A session of its own, as a terminal gives one: the signal goes to the whole group, Java and its workers too.
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, cwd=tmp_path
    ) as process:
        ends = time.monotonic() + 200
        while not (lock.is_file() and lock.read_text()):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < ends
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (130, "")
    assert [line for line in errors.splitlines() if line.startswith("shoal:")] == ["shoal: stopped"]
    assert "Traceback" not in errors
    assert "internal error" not in errors
    # The next run finds what it was.
    assert json.loads(lock.read_text())["job"] == "ingest_files"


SCRIPT = """
import sys
from shoal.cli.app import run
lake, source, query = sys.argv[1:4]
codes = [run(["ingest", "--source", "events", "--input", source, "--lake", lake, "--as-of", "2024-12-01"])]
for output in ("csv", "json", "table"):
    print("--")
    codes.append(run(["sql", query, "--format", output, "--lake", lake]))
print("--")
codes.append(run(["describe", "silver.interactions", "--lake", lake]))
print("--")
codes.append(run(["export", "--user", "u1", "--lake", lake]))
print("--", codes)
"""


@pytest.mark.slow
def test_accents_under_the_locale_c_and_utc_in_every_time_zone(tmp_path: Path) -> None:
    lake, source = tmp_path / "lac é 日本", tmp_path / "événements.csv"
    source.write_text(EVENTS)
    query = "select event_id, occurred_at, 1234567.891D as x, ':fire: [b]' as t from silver.interactions order by event_id"
    environment = {n: v for n, v in os.environ.items() if n not in ("LANG", "LC_CTYPE", "PYTHONUTF8", "PYTHONIOENCODING")}
    environment |= {"LC_ALL": "C", "TZ": "America/New_York"}
    command = [sys.executable, "-c", SCRIPT, str(lake), str(source), query]
    done = subprocess.run(command, capture_output=True, env=environment, cwd=tmp_path, check=False, timeout=280)
    errors = done.stderr.decode()
    assert done.returncode == 0, errors[-2000:]
    ingested, as_csv, as_json, as_table, described, exported, codes = done.stdout.decode().split("--")
    assert codes.strip() == "[0, 0, 0, 0, 0, 0]", errors[-2000:]
    assert json.loads(ingested)["status"] == "succeeded"
    assert list(csv.reader(io.StringIO(as_csv.strip())))[1:] == [
        ["e1", "2024-03-10T02:30:00Z", "1234567.891", ":fire: [b]"],
        ["e2", "2024-11-03T01:30:00Z", "1234567.891", ":fire: [b]"],
    ]
    assert [json.loads(line)["occurred_at"] for line in as_json.strip().splitlines()] == [
        "2024-03-10T02:30:00Z",
        "2024-11-03T01:30:00Z",
    ]
    assert as_table.strip().splitlines()[1].split() == ["e1", "2024-03-10T02:30:00Z", "1.23457e+06", ":fire:", "[b]"]
    (last_run,) = [line for line in described.splitlines() if line.startswith("last run:")]
    assert last_run.endswith("Z")
    rows = json.loads(exported)["tables"]["silver.interactions"]
    assert [row["occurred_at"] for row in rows] == ["2024-03-10T02:30:00Z", "2024-11-03T01:30:00Z"]


def test_file_names_that_python_cannot_read_are_one_line_that_names_the_locale(tmp_path: Path) -> None:
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [*SHOAL, "tables", "--lake", str(tmp_path / "é")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "shoal: file names are read as ascii here (LC_ALL=C, PYTHONUTF8=0); set LC_ALL=C.UTF-8, or PYTHONUTF8=1\n"

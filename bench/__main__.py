"""Run the benchmarks and write docs/benchmarks.md: `python -m bench [part ...]`.

Each part is a module of this package with `run(spark) -> list[dict]`: what, ours, peer (numbers), unit, ratio (ours to peer,
or what the claim is about), target, note. A part runs in a process of its own, so that none warms another up.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from shoal.runner.fingerprint import code_version
from shoal.spark.session import spark_session

PARTS = ("ingest", "sources", "small_files", "stream", "features", "ranking", "seeds", "recommend", "recommend_large",
         "blend_large", "neighbours", "vectors", "graph", "mining", "multimodal", "sentiment", "texts", "pictures", "planted",
         "transfer", "federated", "drift", "spark_jobs", "cluster", "serving")  # fmt: skip
PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
KEPT = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.json"


def measure(part: str, into: Path) -> None:
    """Run one part here and write its rows as JSON."""
    import importlib

    spark = spark_session(f"shoal-bench-{part}", overrides={"spark.driver.memory": "6g"})
    rows = importlib.import_module(f"bench.{part}").run(spark)
    into.write_text(json.dumps(rows))
    spark.stop()


def shown(value: Any) -> str:
    """A number with four significant digits, anything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)


def page(results: dict[str, Any]) -> str:
    """The page of all parts' rows."""
    lines = ["# Benchmarks", "", "Made by `make bench`; each row is ours beside a named peer, run in turn on one machine.", ""]
    for part, result in results.items():
        lines += [f"## {part}", "", f"{result['machine']}, code {result['code']}.", ""]
        lines += ["| what | ours | peer | ratio | unit | target | note |", "|---|---|---|---|---|---|---|"]
        for row in result["rows"]:
            cells = [shown(row.get(key)) for key in ("what", "ours", "peer", "ratio", "unit", "target", "note")]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines)


def machine() -> str:
    """What the numbers were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}, {platform.system()}"


def main(argv: list[str]) -> int:
    """Run the named parts, all by default, and put their rows into the page; other parts' rows stay."""
    if argv[:1] == ["--measure"]:
        measure(argv[1], Path(argv[2]))
        return 0
    results = json.loads(KEPT.read_text()) if KEPT.is_file() else {}
    for part in argv or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "rows.json"
            done = subprocess.run([sys.executable, "-m", "bench", "--measure", part, str(out)], check=False)
            if done.returncode:
                sys.stderr.write(f"bench: {part} failed\n")
                return done.returncode
            results[part] = {"machine": machine(), "code": code_version(), "rows": json.loads(out.read_text())}
        ordered = {name: results[name] for name in PARTS if name in results}
        KEPT.write_text(json.dumps(ordered, indent=1) + "\n")
        PAGE.write_text(page(ordered), encoding="utf-8")
        for row in results[part]["rows"]:
            cells = (f"{key} {shown(row[key])}" for key in ("ours", "peer", "ratio", "unit") if row.get(key) is not None)
            sys.stdout.write(f"{part}: {row['what']}: {', '.join(cells)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

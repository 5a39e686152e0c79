"""Seeds: the blend on five random splits of MovieLens latest-small, each by the command that users have.

A quarter of each item's events is held out, drawn anew for every seed; every rating is one event, k = 10.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import SparkSession

from bench.ranking import RATINGS

SEEDS = (42, 43, 44, 45, 46)
# Model -> what it has to reach, of NDCG@10.
TARGETS = {"popularity": "", "blend": "at least .442"}
SHOWN = ("ndcg@10", "map@10")


def shoal(*arguments: str) -> str:
    """What the command prints. Raises CalledProcessError, with its errors shown, where it fails."""
    return subprocess.run([sys.executable, "-m", "shoal", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def measured(folder: Path, seed: int, model: str) -> dict[str, float]:
    """The model's metrics on the split of that seed."""
    parts = folder / str(seed)
    if not parts.exists():
        shoal("evaluate", "split", "--input", str(RATINGS), "--strategy", "random", "--ratio", "0.25", "--seed", str(seed),
              "--output", str(parts))  # fmt: skip
    files = ("--train", str(parts / "train.csv"), "--test", str(parts / "test.csv"))
    printed = shoal("evaluate", "recommender", *files, "--model", model)
    found: dict[str, float] = json.loads(printed)["models"][model]
    return found


def run(spark: SparkSession) -> list[dict[str, Any]]:
    """A row a model and metric: the mean over the seeds, beside popularity's."""
    # The commands have the machine to themselves.
    spark.stop()
    with tempfile.TemporaryDirectory() as name:
        found = {model: [measured(Path(name), seed, model) for seed in SEEDS] for model in TARGETS}
    rows: list[dict[str, Any]] = []
    for model, target in TARGETS.items():
        for metric in SHOWN:
            values = np.array([one[metric] for one in found[model]])
            peer = float(np.mean([one[metric] for one in found["popularity"]]))
            rows.append({
                "what": f"{metric}: {model}, mean of {len(SEEDS)} seeds", "ours": float(values.mean()), "peer": peer,
                "ratio": float(values.mean()) / peer, "unit": "0..1", "target": target if metric == "ndcg@10" else "",
                "note": f"{values.min():.4f} to {values.max():.4f}, deviation {values.std(ddof=1):.4f}; peer: popularity",
            })  # fmt: skip
    return rows

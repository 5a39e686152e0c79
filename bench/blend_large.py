"""The blend over large catalogues: fit and lists of 50,000 users x 20,000 items, and of 1,000,000 x 100,000.

Events are drawn, seeded: an item is of one of GROUPS, a user of two of them, from which four fifths of the user's events are. Our
scores (`candidates.sparse_scores`) are timed beside the scores of every item (`parts.scores_of`) on the same users in one process,
one thread, and the lists of both are compared. Memory is the proportional set size of this process, of Java and of all Python
workers together, sampled every two seconds.

BENCH_BLEND=small or large runs one of the two alone.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from shoal.arrays import Ints
from shoal.conf.loading import load
from shoal.recommend.candidates.als import AlsSettings
from shoal.recommend.candidates.blend import Blend, BlendSettings, history_rows, list_blend, nominated, shares_of, union_of
from shoal.recommend.candidates.configured import blend_settings
from shoal.recommend.candidates.experts import fit_experts
from shoal.recommend.candidates.fitted_parts import blend_of, fit_parts
from shoal.recommend.candidates.parts import context_of, features_of, logits_of, scores_of
from shoal.recommend.ranking.history_top_k import History, rows_of
from threadpoolctl import threadpool_limits

from bench.recommend import consumed

K, GROUPS, SAMPLE, DAYS = 20, 100, 200, 200
START = 1_700_000_000


@dataclass(frozen=True)
class Case:
    """Users, items, events, and what ALS fits."""

    name: str
    users: int
    items: int
    events: int
    als: AlsSettings


CASES = (
    Case("small", 50_000, 20_000, 5_000_000, AlsSettings("implicit", 64, 0.1, 0.5, 10, 7)),
    Case("large", 1_000_000, 100_000, 30_000_000, AlsSettings("implicit", 32, 0.1, 0.5, 5, 7)),
)


def drawn_events(spark: SparkSession, folder: Path, case: Case) -> DataFrame:
    """The events of a case as preferences, from files: some users at a time, each item once a user."""
    rng = np.random.default_rng(17)
    each, step, size = case.events // case.users, 50_000, case.items // GROUPS
    for first in range(0, case.users, step):
        users = np.repeat(np.arange(first, min(first + step, case.users)), each)
        own = rng.integers(0, GROUPS, (step, 2))[users - first, rng.integers(0, 2, len(users))]
        within = (rng.random(len(users)) ** 2 * size).astype(np.int64)
        anywhere = (rng.random(len(users)) ** 2 * case.items).astype(np.int64)
        items = np.where(rng.random(len(users)) < 0.8, within * GROUPS + own, anywhere)
        pairs = np.unique(users * case.items + items)
        at = (START + rng.integers(0, DAYS * 86_400, len(pairs))) * 1_000_000
        user, item = (pa.array(np.char.add(*part)) for part in (("u", (pairs // case.items).astype("U7")),
                                                                ("i", (pairs % case.items).astype("U7"))))  # fmt: skip
        table = pa.table({
            "user_id": user, "item_id": item, "weight": np.ones(len(pairs)), "value": pa.nulls(len(pairs), pa.float64()),
            "occurred_at": pa.array(at, pa.timestamp("us", "UTC")),
        })  # fmt: skip
        pq.write_table(table, folder / f"{first:09}.parquet")
    return spark.read.parquet(str(folder))


def settings_of(case: Case) -> BlendSettings:
    """Those of conf/base.yaml, with the ALS of the case."""
    conf = load()
    return blend_settings(conf.blend, conf.content, case.als, ("random_holdout", "next_item"))


def dense_list(blend: Blend, one: History, k: int) -> Ints:
    """The list of a history from the scores of every item, for the moment that the blend lists for."""
    one = replace(one, asked=blend.asked)
    coefficients = np.array([expert.coefficients for expert in blend.experts])
    intercepts = np.array([expert.intercept for expert in blend.experts])
    scores = scores_of(blend.parts, one)
    chosen = union_of(nominated(scores, one.items, max(k, blend.candidates)))
    features = features_of(scores, context_of(blend.parts, one, chosen), one.items, chosen)
    logits = logits_of(features, coefficients, intercepts)
    found = (shares_of(blend.experts, blend.random_holdout_share) @ (1 / (1 + np.exp(-logits)))).astype(np.float32)
    return chosen[np.lexsort((chosen, -found))[:k]]


def beside_dense(blend: Blend, histories: Sequence[History]) -> tuple[float, float, float]:
    """Milliseconds of processor time a user, of ours and of the scores of every item, one thread, and the share of the places that
    are the same."""
    rank = blend.ranker(K)
    with threadpool_limits(1, "blas"):
        list(rank(histories[:2]))
        start = time.process_time()
        ours = [best.items for best in rank(histories)]
        mine = time.process_time() - start
        dense_list(blend, histories[0], K)
        start = time.process_time()
        theirs = [dense_list(blend, one, K) for one in histories]
        dense = time.process_time() - start
    same = float(np.mean([np.mean(a == b) if len(a) == len(b) else 0.0 for a, b in zip(ours, theirs, strict=True)]))
    return 1e3 * mine / len(histories), 1e3 * dense / len(histories), same


def tree_memory() -> float:
    """GiB that this process and all below it hold; what several share counts once."""
    parents, total = {}, 0.0
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(status.parent.name)] = int(status.read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError, ValueError):
            continue
    for process in parents:
        above: int | None = process
        while above not in (None, os.getpid()):
            above = parents.get(above)
        if above is None:
            continue
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 2**20


@contextmanager
def watched(peak: dict[str, float]) -> Iterator[None]:
    """`peak["GiB"]` is the most memory while the block lasts."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(2.0):
            peak["GiB"] = max(peak.get("GiB", 0.0), tree_memory())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def case_rows(spark: SparkSession, folder: Path, case: Case) -> list[dict[str, Any]]:
    """Fit, lists of all users, and the sample."""
    events, settings, peak = drawn_events(spark, folder, case), settings_of(case), dict[str, float]()
    taken: dict[str, float] = {}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        taken[name] = time.perf_counter() - start
        sys.stderr.write(f"blend_large: {case.name}: {name} {taken[name]:.0f} s, peak {peak.get('GiB', 0):.1f} GiB\n")

    with watched(peak):
        with timed("fit"):
            fitted = fit_parts(events, settings)
            assert fitted is not None
        with timed("experts"):
            experts = fit_experts(events, settings)
        blend = blend_of(fitted, experts, settings)
        rows = history_rows(events, fitted.catalogue, fitted.als.user_factors, settings.ease.max_history)
        with timed("lists"):
            consumed(list_blend(blend, rows, K))
    some = events.select("user_id").distinct().orderBy(F.xxhash64("user_id")).limit(SAMPLE)
    asked = history_rows(events, fitted.catalogue, fitted.als.user_factors, settings.ease.max_history, some)
    mine, dense, same = beside_dense(blend, [one for batch in asked._collect_as_arrow() for one in rows_of(batch)])
    what = f"{case.users:,} users x {len(fitted.catalogue):,} items, {case.events:,} draws"
    cores = os.cpu_count() or 1
    whole = sum(taken.values())
    return [
        {"what": f"blend: lists of {K}, {what}, a user and core", "ours": mine, "peer": dense, "ratio": dense / mine, "unit": "ms",
         "target": ">= 2",
         "note": f"peer: the scores of every item; ratio: times as fast; {SAMPLE} users, one thread; {same:.4f} of places alike"},
        {"what": f"blend: lists of {K}, {what}, all", "ours": taken["lists"], "peer": dense * case.users / cores / 1e3,
         "ratio": dense * case.users / cores / 1e3 / taken["lists"], "unit": "s", "target": "",
         "note": f"peer: extrapolated from the sample to {cores} cores; histories are made in this time"},
        {"what": f"blend: fit, {what}", "ours": taken["fit"], "unit": "s", "target": "",
         "note": f"ALS rank {case.als.rank}, {case.als.max_iter} rounds"},
        {"what": f"blend: what experts learn, {what}", "ours": taken["experts"], "unit": "s", "target": "",
         "note": f"two experts, by parts of {settings.max_events:,} events at the most"},
        {"what": f"blend: fit, experts and lists, {what}", "ours": whole, "unit": "s", "target": "<= 3600",
         "note": f"all processes {peak['GiB']:.1f} GiB at the most"},
    ]  # fmt: skip


def run(spark: SparkSession) -> list[dict[str, Any]]:
    """The rows of both cases."""
    rows: list[dict[str, Any]] = []
    for case in CASES:
        if os.environ.get("BENCH_BLEND", case.name) == case.name:
            with tempfile.TemporaryDirectory(prefix="shoal-bench-") as name:
                rows += case_rows(spark, Path(name), case)
    return rows

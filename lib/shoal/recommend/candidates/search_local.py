"""One trial of the search for ALS' settings without a Spark job, for data that fits the driver.

The same model (`als_numpy`), lists and metrics as by Spark: a trial there is a fit, a top-k and an evaluation, a dozen jobs whose
planning costs more than the sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from threadpoolctl import threadpool_limits

from shoal.arrays import Doubles, Ints
from shoal.errors import InputError
from shoal.recommend.candidates.als import LOCAL_RANK, LOCAL_RATINGS, AlsSettings
from shoal.recommend.candidates.als_numpy import solve_als
from shoal.recommend.candidates.collected import collect_up_to
from shoal.recommend.ranking.history_top_k import best_unseen

KNOWN = pa.schema([("user_id", pa.string()), ("item_id", pa.string()), ("weight", pa.float64()), ("value", pa.float64())])
SOUGHT = pa.schema([("user_id", pa.string()), ("item_id", pa.string())])


@dataclass(frozen=True)
class LocalSplit:
    """A split on the driver. `users`, `items`: numbers of the known pairs by the string order of ids; `weights`, `values` (NaN
    without one); `sought`: user's number (-1: not known) -> numbers of the items held out (-1: not known), a row a user."""

    users: Ints
    items: Ints
    weights: Doubles
    values: Doubles
    sought: list[tuple[int, Ints]]

    def can_fit(self, settings: AlsSettings) -> bool:
        """Whether `als_numpy` is meant for these settings."""
        return settings.rank <= LOCAL_RANK


def collect_split(known: DataFrame, held_out: DataFrame) -> LocalSplit | None:
    """The parts on the driver; None where one has more than LOCAL_RATINGS rows. Cost: two collects."""
    first = collect_up_to(known.select(*[known[f.name].cast(_spark(f)).alias(f.name) for f in KNOWN]), LOCAL_RATINGS, KNOWN)
    second = collect_up_to(held_out.select("user_id", "item_id").distinct(), LOCAL_RATINGS, SOUGHT)
    if first is None or second is None:
        return None
    numbers, ids = {}, {}
    for column in ("user_id", "item_id"):
        names = first.column(column).to_numpy(zero_copy_only=False).astype(str)
        ids[column], numbers[column] = np.unique(names, return_inverse=True)
    places = {column: {name: n for n, name in enumerate(ids[column].tolist())} for column in ids}
    wanted: dict[str, list[int]] = {}
    for user, item in zip(second.column("user_id").to_pylist(), second.column("item_id").to_pylist(), strict=True):
        wanted.setdefault(user, []).append(places["item_id"].get(item, -1))
    sought = [(places["user_id"].get(user, -1), np.array(wanted[user], np.int64)) for user in sorted(wanted)]
    values = first.column("value").to_numpy(zero_copy_only=False).astype(np.float64)
    return LocalSplit(numbers["user_id"], numbers["item_id"], first.column("weight").to_numpy(), values, sought)


def validate_here(split: LocalSplit, settings: AlsSettings, k: int) -> dict[str, float | None]:
    """What `evaluate_split` says of the lists of ALS with these settings, without its Spark jobs. Raises InputError where there is
    nothing to fit."""
    target = split.weights if settings.is_implicit else split.values
    chosen = np.flatnonzero(split.weights > 0 if settings.is_implicit else np.isfinite(split.values))
    if not len(chosen):
        raise InputError(f"nothing to fit {settings.feedback} ALS on")
    users, user = np.unique(split.users[chosen], return_inverse=True)
    items, item = np.unique(split.items[chosen], return_inverse=True)
    alpha = settings.alpha if settings.is_implicit else None
    ratings = target[chosen].astype(np.float32).astype(np.float64)
    own, theirs = solve_als(user, item, ratings, settings.rank, settings.reg_param, alpha, settings.max_iter, settings.seed)
    place = {int(number): n for n, number in enumerate(users)}
    met: dict[int, list[int]] = {}
    column = {int(number): n for n, number in enumerate(items)}
    for number, one in zip(split.users.tolist(), split.items.tolist(), strict=True):
        if one in column:
            met.setdefault(number, []).append(column[one])
    rows = []
    with threadpool_limits(1, "blas"):
        for number, wanted in split.sought:
            hits = np.empty(0, np.int64)
            if number in place:
                scores = theirs @ own[place[number]]
                listed = items[best_unseen(scores, np.array(met.get(number, []), np.int64), k)]
                hits = np.flatnonzero(np.isin(listed, wanted)) + 1
            rows.append(metrics_of(hits, len(wanted), k))
    return {f"{name}@{k}": float(np.mean([row[name] for row in rows])) if rows else None for name in rows[0]} if rows else {}


def metrics_of(hits: Ints, relevant: int, k: int) -> dict[str, float]:
    """The metrics of one list (protocol.metrics.USER_METRICS) from the ranks of its hits within k."""
    count = len(hits)
    ideal = min(relevant, k)
    precisions = float((np.arange(1, count + 1) / hits).sum()) if count else 0.0
    return {
        "ndcg": float((1 / np.log2(hits + 1)).sum() / (1 / np.log2(np.arange(2, ideal + 2))).sum()),
        "map": precisions / ideal, "recall": count / relevant, "precision": count / k, "mrr": 1 / float(hits[0]) if count else 0.0,
        "hit_rate": float(count > 0), "map_full": precisions / relevant,
    }  # fmt: skip


def _spark(field: pa.Field) -> str:
    return "string" if pa.types.is_string(field.type) else "double"

"""How the experts of a blend learn: from events that are held out inside the training data.

Negatives are the candidates that were not held out, all of them, so probabilities need no correction for sampling; events of
a user together weigh the square root of their number, so that long histories do not dominate.

A regression is not always better than what it is made of. So each is fitted on either half of its users too and judged on the
other one, beside the parts alone: where one of these ranks the held-out events higher, it is the expert.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.arrays import Doubles, Floats, Ints
from shoal.errors import UsageError
from shoal.recommend.candidates.blend import (
    NOMINATING,
    SPARSE_NOMINATING,
    BlendSettings,
    Expert,
    candidate_features,
    history_rows,
    is_sparse,
    nominated,
    scored_histories,
    union_of,
)
from shoal.recommend.candidates.demographics import UserGroups
from shoal.recommend.candidates.fitted_parts import fit_parts
from shoal.recommend.candidates.logistic import fit_logistic
from shoal.recommend.candidates.parts import (
    FEATURES,
    Parts,
    with_products,
)
from shoal.recommend.candidates.preferences import liked
from shoal.recommend.candidates.sparse_scores import SparseParts, SparseScores
from shoal.recommend.protocol.split import has_times, is_drawn_user, test_part, training_part, with_random_split, with_time_split
from shoal.recommend.ranking.history_top_k import History, rows_of

# All of these together, where candidates are counted.
UNION = "candidates"
# Whole and recent history in equal shares: the weights where there is nothing to learn from.
FIXED = tuple(float(feature in ("whole", "recent_5")) for feature in FEATURES)
# Ridge penalty of a regression, beside the sum of the examples' losses: C = 0.01 as scikit-learn has it.
PENALTY = 100.0
# Users that decide whether a part is better than the regression: fewer say nothing.
MIN_JUDGES = 50
# Examples that an expert learns from, on the driver.
MAX_EXAMPLE_BYTES = 2 << 30


def fit_expert(
    name: str, known: DataFrame, held_out: DataFrame, settings: BlendSettings, content: DataFrame | None = None,
    follows: DataFrame | None = None, groups: UserGroups | None = None,
) -> Expert:
    """The logistic regression that tells held-out events that were liked from other candidates by parts fitted on `known`, or one
    part, where that does it better (see `better_part`); parts that it does not look at weigh 0. `follows`: as for `history_rows`;
    `groups`: as for `fit_parts`.

    Fixed weights where nothing was held out, or no candidate was. Raises UsageError for settings that make more than
    MAX_EXAMPLE_BYTES of examples. Cost: `fit_parts`, a pass over the candidates of `max_users` users, which are collected.
    """
    size = settings.max_users * settings.candidates * len(NOMINATING) * len(FEATURES) * 8
    if size > MAX_EXAMPLE_BYTES:
        raise UsageError(
            f"blend.learning_users {settings.max_users} x blend.candidates {settings.candidates}: {size >> 20} MiB of examples; at "
            f"most {MAX_EXAMPLE_BYTES >> 20}: lower one of them"
        )
    fitted = fit_parts(known, settings, content=content, groups=groups)
    if fitted is None:
        return Expert(name, FIXED, 0.0, False)
    numbers = F.broadcast(fitted.catalogue.numbers)
    sought = liked(held_out).select("user_id", "item_id").join(numbers, "item_id")
    wanted = sought.groupBy("user_id").agg(F.collect_set("item").alias("wanted"))
    chosen = wanted.orderBy(F.xxhash64(F.lit(settings.seed), "user_id"), "user_id").limit(settings.max_users)
    context = known.sparkSession.sparkContext
    shared = context.broadcast(fitted.parts)
    count, unseen = settings.candidates, settings.unseen(name)

    def labelled(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        parts = shared.value
        known = SparseParts(parts) if is_sparse(parts) else parts
        for batch in batches:
            scored = scored_histories(known, rows_of(batch))
            for user, (one, scores), held in zip(batch.column("user_id"), scored, batch.column("wanted"), strict=True):
                yield examples(parts, one, scores, user.as_py(), np.asarray(held.values), unseen, count)

    asked, factors = None if follows is None else chosen, fitted.als.user_factors
    members = None if groups is None else groups.members
    rows = history_rows(known, fitted.catalogue, factors, settings.ease.max_history, asked, follows, members)
    rows = rows.join(chosen, "user_id")
    made = rows.repartition(context.defaultParallelism, "user_id").mapInArrow(labelled, EXAMPLE)
    batches = made._collect_as_arrow()
    shared.unpersist()
    everything = pa.Table.from_batches(batches).combine_chunks() if batches else None
    recall = recall_of(everything) if everything is not None else {}
    table = everything.filter(pc.greater(everything.column("weight"), 0)) if everything is not None else None
    labels = table.column("label").to_numpy() if table is not None else np.empty(0)
    if table is None or not 0 < labels.sum() < len(labels):
        return Expert(name, FIXED, 0.0, False, recall)
    # In one order, whatever task was first: a sum depends on it.
    features = np.frombuffer(b"".join(table.column("features").to_pylist()), np.float32).reshape(len(labels), -1)
    users = np.unique(table.column("user_id").to_numpy(zero_copy_only=False).astype(str), return_inverse=True)[1]
    order = np.lexsort((table.column("item").to_numpy(), users))
    known_examples = Examples(features[order], labels[order], table.column("weight").to_numpy()[order], users[order])
    coefficients, intercept = known_examples.regression(np.ones(len(labels), np.bool_))
    alone = better_part(known_examples)
    if alone is not None:
        coefficients = np.array([float(feature == alone) for feature in FEATURES])
    return Expert(name, tuple(float(c) for c in coefficients), intercept if alone is None else 0.0, True, recall)


@dataclass(frozen=True)
class Examples:
    """What an expert learns from, a row each, sorted by user: features without products, whether it was held out, weight, number
    of the user."""

    features: Floats
    labels: Doubles
    weights: Doubles
    users: Ints

    def regression(self, chosen: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> tuple[Doubles, float]:
        """The coefficients of FEATURES and the intercept, of the chosen rows."""
        weights = self.weights[chosen]
        design = with_products(self.features[chosen].astype(np.float64))
        return fit_logistic(design, self.labels[chosen], weights, PENALTY / max(float(weights.sum()), 1e-12))


def better_part(known: Examples) -> str | None:
    """The part of NOMINATING that ranks the held-out events of users higher than the regression that did not see these users
    does, by mean NDCG@10 over the candidates; None where there is none beyond chance (a paired t of 2), or fewer than MIN_JUDGES
    users."""
    starts = np.flatnonzero(np.diff(known.users, prepend=-1))
    if len(starts) < MIN_JUDGES:
        return None
    is_even = known.users % 2 == 0
    scores = np.empty(len(known.labels))
    for half in (is_even, ~is_even):
        coefficients, intercept = known.regression(~half)
        scores[half] = with_products(known.features[half].astype(np.float64)) @ coefficients + intercept
    own = ndcg_of(scores, known.labels, known.users, starts)
    ways = {part: ndcg_of(known.features[:, FEATURES.index(part)], known.labels, known.users, starts) for part in NOMINATING}
    best = max(ways, key=lambda part: float(ways[part].mean()))
    ahead = ways[best] - own
    return best if ahead.mean() > 2 * ahead.std() / len(ahead) ** 0.5 else None


def ndcg_of(scores: Doubles | Floats, labels: Doubles, users: Ints, starts: Ints) -> Doubles:
    """NDCG@10 of each user's rows by score; `starts`: each user's first row. Ties by row."""
    order = np.lexsort((np.arange(len(scores)), -scores, users))
    rank = np.arange(len(scores)) - np.repeat(starts, np.diff(np.append(starts, len(scores))))
    gain = np.where(rank < 10, labels[order] / np.log2(rank + 2), 0.0)
    ideal = np.cumsum(1 / np.log2(np.arange(2, 12)))
    held = np.add.reduceat(labels, starts).astype(np.int64)
    return np.asarray(np.add.reduceat(gain, starts) / ideal[np.clip(held, 1, 10) - 1])


# `named`: a bit for each part of NOMINATING that has the item among its best.
EXAMPLE = "user_id string, item int, features binary, label double, weight double, named int, held int"


def examples(
    known: Parts, one: History, scores: Floats | SparseScores, user_id: str, held: Ints, unseen: Sequence[str], count: int
) -> pa.RecordBatch:
    """The candidates of one user with these scores as examples: packed features, whether `held` out, weight, which parts named it,
    and how many were held out. Without a held-out one among them they teach nothing: one row of weight 0 then says how many there
    were."""
    nominees = nominated(scores, one.items, count)
    best = union_of(nominees)
    label = np.isin(best, held).astype(np.float64)
    if not label.sum():
        best, label, weight = best[:0], np.zeros(1), 0.0
        rows, items, named = [b""], np.array([-1]), np.zeros(1, np.int64)
    else:
        found = candidate_features(known, scores, one, best)
        found[[FEATURES.index(part) for part in unseen]] = 0
        rows, items, weight = [row.tobytes() for row in np.ascontiguousarray(found.T, np.float32)], best, float(label.sum() ** -0.5)
        named = sum((np.isin(best, some).astype(np.int64) << n for n, some in enumerate(nominees)), np.zeros(len(best), np.int64))
    arrays = [
        pa.array([user_id] * len(items), pa.string()), pa.array(items, pa.int32()), pa.array(rows, pa.binary()), pa.array(label),
        pa.array(np.full(len(items), weight)), pa.array(named, pa.int32()), pa.array(np.full(len(items), len(held)), pa.int32()),
    ]  # fmt: skip
    return pa.RecordBatch.from_arrays(arrays, names=[part.split()[0] for part in EXAMPLE.split(", ")])


def recall_of(table: pa.Table) -> dict[str, float]:
    """The share of held-out events among the candidates, of each part and of UNION, the mean over `users`, and their number: of
    all rows of `examples`. A part of SPARSE_NOMINATING without a candidate has no entry."""
    users = np.unique(table.column("user_id").to_numpy(zero_copy_only=False).astype(str), return_inverse=True)[1]
    label, named = table.column("label").to_numpy(), table.column("named").to_numpy()
    silent = [part for part in SPARSE_NOMINATING if not (named >> NOMINATING.index(part) & 1).any()]
    held = np.zeros(users.max() + 1)
    held[users] = table.column("held").to_numpy()
    hits = {part: label * (named >> n & 1) for n, part in enumerate(NOMINATING) if part not in silent}
    hits[UNION] = label
    means = {name: round(float((np.bincount(users, found) / held).mean()), 4) for name, found in hits.items()}
    return {**means, "users": float(len(held))}


def candidate_recall(experts: Sequence[Expert], count: int) -> dict[str, dict[str, float | None]]:
    """Slice `candidates_<expert>` -> metric `recall@<count>:<part>` and `users`, as `recall_of` has them; no slice where it is not
    known. `count`: the candidates of a part."""
    return {
        f"candidates_{one.name}": {name if name == "users" else f"recall@{count}:{name}": v for name, v in one.recall.items()}
        for one in experts if one.recall
    }  # fmt: skip


def sample_users(preferences: DataFrame, most: int, seed: int) -> DataFrame:
    """All preferences of so many users, drawn by a hash, that some `most` are left; as they are where there are no more. Cost: one
    count."""
    count = preferences.count()
    if count <= most:
        return preferences
    return preferences.where(is_drawn_user(most / count, seed, "experts"))


def fit_experts(
    preferences: DataFrame, settings: BlendSettings, content: DataFrame | None = None, follows: DataFrame | None = None,
    groups: UserGroups | None = None,
) -> list[Expert]:
    """The experts of the settings: `next_item` only where preferences have times; `random_holdout` alone where none is left.
    `content` of the items: see `as_content`; `follows` and `groups` that were known then: see `with_followed`, `user_groups`.

    Of more than `max_events` preferences they learn from those of some users: see `sample_users`. Cost: a count, and that of
    `fit_expert` for each."""
    splits = {}
    some = sample_users(preferences, settings.max_events, settings.seed)
    asks_next = "next_item" in settings.experts and has_times(some)
    if "random_holdout" in settings.experts or not asks_next:
        splits["random_holdout"] = with_random_split(some, settings.holdout, settings.seed, "blend")
    if asks_next:
        splits["next_item"] = with_time_split(some, settings.holdout)
    experts = []
    for name, marked in splits.items():
        split = marked.persist()
        try:
            experts.append(fit_expert(name, training_part(split), test_part(split), settings, content, follows, groups))
        finally:
            split.unpersist()
    return experts

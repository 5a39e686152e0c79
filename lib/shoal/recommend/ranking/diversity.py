"""Choose a list of k from a longer one so that it is varied, not all well known, and not all from one owner or category.

Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998): places are filled one after the other, each by the item with
the largest (1 - diversity) x (relevance + novelty x surprise) - diversity x (likeness to the most alike item chosen before).
Relevance falls from 1 to 0 in equal steps along the candidates' ranks. Scores are not used: candidates come from several sources
whose scores have no common scale (docs/adr/0047). Surprise is the self-information of the share of users who have the item, over
the largest among the candidates; likeness is the Jaccard index of owners and categories.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.arrays import Doubles


@dataclass(frozen=True)
class RerankSettings:
    """`max_per_owner`, `max_per_category`: of a list, None for any number; `diversity`, `novelty`: 0 to 1."""

    max_per_owner: int | None
    max_per_category: int | None
    diversity: float
    novelty: float

    @property
    def is_needed(self) -> bool:
        """Whether anything but the rank counts."""
        return bool(self.max_per_owner or self.max_per_category or self.diversity or self.novelty)


def rerank(lists: DataFrame, about: DataFrame, k: int, settings: RerankSettings) -> DataFrame:
    """`lists` (user_id, rank, item_id, score ...) with at most k rows a user and new ranks; all other columns as they are.

    `about`: item_id, owner_id, categories (array), share (of the users who have the item, 0..1; null counts as 0); an item that
    is missing there has no owner and no category. Old ranks may have gaps. Where limits leave fewer than k, the list is shorter.
    Ties: the better old rank. With limits only, the order stays. Cost: a join by item, two shuffles by user; a task holds one batch
    of users' candidates; k x candidates steps a user.
    """
    owner = F.when(F.col("owner_id").isNotNull(), F.array(F.concat(F.lit("o:"), "owner_id")))
    categories = F.transform(F.array_distinct("categories"), lambda name: F.concat(F.lit("c:"), name))
    nothing = F.array().cast("array<string>")
    marks = F.concat(F.coalesce(owner, nothing), F.coalesce(categories, nothing))
    described = about.select("item_id", marks.alias("_marks"), F.coalesce("share", F.lit(0.0)).alias("_share"))
    joined = lists.join(described, "item_id", "left").select("user_id", "rank", "item_id", "_marks", "_share")
    entry = F.struct("rank", "item_id", F.coalesce("_marks", nothing).alias("marks"),
                     F.coalesce("_share", F.lit(0.0)).alias("share"))  # fmt: skip
    candidates = joined.groupBy("user_id").agg(F.array_sort(F.collect_list(entry)).alias("rows"))

    def chosen(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            users: list[str] = []
            old: list[int] = []
            new: list[int] = []
            for user, rows in zip(batch.column("user_id").to_pylist(), batch.column("rows").to_pylist(), strict=True):
                shares = np.array([row["share"] for row in rows])
                picked = choose([frozenset(row["marks"]) for row in rows], shares, k, settings)
                users += [user] * len(picked)
                old += [rows[place]["rank"] for place in picked]
                new += range(1, len(picked) + 1)
            columns = [pa.array(users, pa.string()), pa.array(old, pa.int32()), pa.array(new, pa.int32())]
            yield pa.RecordBatch.from_arrays(columns, names=["user_id", "rank", "_rank"])

    places = candidates.mapInArrow(chosen, "user_id string, rank int, _rank int")
    return lists.join(places, ["user_id", "rank"]).withColumn("rank", F.col("_rank")).select(*lists.columns)


def choose(marks: list[frozenset[str]], shares: Doubles, k: int, settings: RerankSettings) -> list[int]:
    """The places of the items chosen, in their new order, from candidates in order of rank. `marks`: `o:<owner>` and `c:<category>`
    of each item."""
    value = (1 - settings.diversity) * (_relevance(len(marks)) + settings.novelty * _surprise(shares))
    nearest: Doubles = np.zeros(len(marks))
    free = np.ones(len(marks), np.bool_)
    used: dict[str, int] = {}
    picked: list[int] = []
    while len(picked) < k and free.any():
        left = np.where(free, value - settings.diversity * nearest, -np.inf)
        # argmax takes the first of equals, which is the better old rank.
        best = int(left.argmax())
        picked.append(best)
        free[best] = False
        for mark in marks[best]:
            used[mark] = used.get(mark, 0) + 1
        for place in np.flatnonzero(free):
            if any(used.get(mark, 0) >= (_limit(mark, settings) or k) for mark in marks[place]):
                free[place] = False
            elif settings.diversity:
                nearest[place] = max(nearest[place], _likeness(marks[place], marks[best]))
    return picked


def _limit(mark: str, settings: RerankSettings) -> int | None:
    return settings.max_per_owner if mark.startswith("o:") else settings.max_per_category


def _likeness(one: frozenset[str], other: frozenset[str]) -> float:
    together = len(one | other)
    return len(one & other) / together if together else 0.0


def _relevance(count: int) -> Doubles:
    """1 for the first candidate, 0 for the last, equal steps between; 1 for a single one."""
    return np.linspace(1.0, 0.0, count) if count > 1 else np.ones(count)


def _surprise(shares: Doubles) -> Doubles:
    """-log2 of the share over the largest; an item without users is as surprising as one with half the smallest share."""
    known = shares[shares > 0]
    if not len(known):
        return np.zeros(len(shares))
    bits = -np.log2(np.where(shares > 0, shares, known.min() / 2))
    return np.asarray(bits / bits.max()) if bits.max() > 0 else np.zeros(len(shares))

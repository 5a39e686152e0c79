"""The recommender as files: everything that scores a user, made once at training, read by lists and by serving.

A folder with `recommender.json` (format, specification with the experts' coefficients, settings that scoring needs), ALS' factors
as Parquet (`als/user_factors`, `als/item_factors`), and, where the blend serves, `catalogue.parquet` (ids in string order) and
`parts.npz` (EASE's weights, transitions, walks, terms, factors and statistics of items by the catalogue's order). It needs no
lake and, for the lists of one user, no Spark. Size: the factors, and 4 bytes times the square of the catalogue, which
`blend.max_items` bounds: 12,000 items are 576 MB; a larger catalogue has 8 bytes an item and neighbour.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from scipy.sparse import csr_matrix

from shoal.arrays import Floats
from shoal.errors import InputError
from shoal.recommend.candidates.als import AlsModel, list_als
from shoal.recommend.candidates.blend import Blend, history_rows, list_blend
from shoal.recommend.candidates.demographics import members_of
from shoal.recommend.candidates.histories import MICROS_A_DAY
from shoal.recommend.candidates.parts import Parts
from shoal.recommend.candidates.trained import RecommenderSpec, spec_from
from shoal.recommend.ranking.history_top_k import History
from shoal.recommend.ranking.lists import users_below_k
from shoal.recommend.ranking.top_k import Items
from shoal.spark.driver_files import read_parquet_folder, written_by_tasks

FORMAT = 2
# Of each part, in a file that does not say how many: every item was ranked then.
CANDIDATES = 100
SPARSE = ("transitions", "walk", "terms")
DENSE = ("weights", "item_factors", "log_popularity", "item_history", "item_rating", "first_day", "last_day")
# Parts that a model of an earlier version may lack.
ADDED = ("trend", "daily_days")
SPARSE_ADDED = ("daily", "group_counts")


class Met(NamedTuple):
    """One row of a user's preferences: an item, what it weighs (0: met, not liked), when it was first met, its rating."""

    item_id: str
    weight: float
    occurred_at: datetime | None
    value: float | None = None


class Listed(NamedTuple):
    """One place of a list."""

    rank: int
    item_id: str
    score: float
    source: str


@dataclass(frozen=True)
class Recommender:
    """A saved recommender. `blend` is None where ALS serves alone."""

    spec: RecommenderSpec
    blend: Blend | None
    folder: Path

    def als(self, spark: SparkSession) -> AlsModel:
        """The factors as frames. They stay files where tasks see the driver's disk; on a cluster they go through the driver's
        memory, some 12 bytes a user or item and factor."""
        users, items = (read_parquet_folder(spark, self.folder / "als" / name) for name in ("user_factors", "item_factors"))
        return AlsModel(self.spec.als, users, items)

    @cached_property
    def items(self) -> Items:
        """ALS' items in memory, ids in string order."""
        table = pq.read_table(self.folder / "als" / "item_factors").sort_by("item_id").combine_chunks()
        factors = _matrix(table)
        return Items(table.column("item_id").combine_chunks(), factors, np.linalg.norm(factors.astype(np.float64), axis=1))

    @cached_property
    def users(self) -> dict[str, Floats]:
        """ALS' users in memory."""
        table = pq.read_table(self.folder / "als" / "user_factors").combine_chunks()
        return dict(zip(table.column("user_id").to_pylist(), _matrix(table), strict=True))

    @cached_property
    def places(self) -> dict[str, int]:
        """Each id of the blend's catalogue with its place."""
        return {} if self.blend is None else {name: n for n, name in enumerate(self.blend.ids.to_pylist())}

    def recommend(self, user_id: str, met: Sequence[Met], k: int) -> list[Listed]:
        """The user's k best items that are not `met` (one row an item), best first; fewer where there are no more. The lists that
        `list_recommender` makes for many users. A user that neither has events nor was known has none."""
        found = self._blended(user_id, met, k) if self.blend is not None else []
        if len(found) < k and user_id in self.users:
            left_out = {row.item_id for row in met} | {name for name, _ in found}
            # The top-k engine's product, in its order of summation.
            scores = (self.items.factors.astype(np.float64) * self.users[user_id].astype(np.float64)).sum(axis=1)
            ids = self.items.ids.to_pylist()
            order = np.lexsort((np.arange(len(ids)), -scores))
            als = [(ids[n], float(scores[n])) for n in order if ids[n] not in left_out][: k - len(found)]
        else:
            als = []
        together = [(*pair, "blend") for pair in found] + [(*pair, "als") for pair in als]
        return [Listed(rank, *place) for rank, place in enumerate(together[:k], 1)]

    def _blended(self, user_id: str, met: Sequence[Met], k: int) -> list[tuple[str, float]]:
        blend = self.blend
        if blend is None:
            return []
        newest = sorted(met, key=lambda row: row.item_id, reverse=True)
        newest.sort(key=lambda row: _micros(row.occurred_at), reverse=True)
        places = [(self.places[row.item_id], back, row) for back, row in enumerate(newest) if row.item_id in self.places]
        places = sorted((place for place in places if place[1] < blend.max_history), key=lambda place: place[0])
        if not places:
            return []
        items, backs = (np.array([place[n] for place in places], np.int64) for n in (0, 1))
        weights = np.array([row.weight for *_, row in places], np.float64)
        ratings = np.array([np.nan if row.value is None else row.value for *_, row in places], np.float32)
        days = [np.nan if row.occurred_at is None else _micros(row.occurred_at) / MICROS_A_DAY for *_, row in places]
        strengths = np.log2(1 + weights).astype(np.float32)
        one = History(items, strengths, backs, self.users.get(user_id), ratings, np.array(days, np.float64))
        best = next(blend.ranker(k)([one]))
        return [(blend.ids[int(n)].as_py(), float(score)) for n, score in zip(best.items, best.scores, strict=True)]


def save_recommender(folder: Path, spec: RecommenderSpec, als: AlsModel, blend: Blend | None) -> None:
    """Write the files into `folder`, which is made and holds no factors yet. Cost: two Spark jobs, one a frame of factors; the rest
    is in memory."""
    (folder / "als").mkdir(parents=True, exist_ok=True)
    for name, rows in (("user_factors", als.user_factors), ("item_factors", als.item_factors)):
        with written_by_tasks(rows.sparkSession, folder / "als" / name) as place:
            rows.write.mode("overwrite").parquet(place)
    document: dict[str, Any] = {"format": FORMAT, **spec.document()}
    if blend is not None:
        document["blend"] = {"random_holdout_share": blend.random_holdout_share, "max_history": blend.max_history,
                             "max_rating": blend.parts.max_rating, "candidates": blend.candidates,
                             "asked": blend.asked, "groups": blend.parts.group_names}  # fmt: skip
        pq.write_table(pa.table({"item_id": blend.ids}), folder / "catalogue.parquet")
        known = tuple(name for name in SPARSE_ADDED if getattr(blend.parts, name) is not None)
        sparse = (*SPARSE, *known, "weights") if isinstance(blend.parts.weights, csr_matrix) else (*SPARSE, *known)
        dense = [*(name for name in DENSE if name not in sparse), *(n for n in ADDED if getattr(blend.parts, n) is not None)]
        arrays = {name: getattr(blend.parts, name) for name in dense}
        for name in sparse:
            matrix: csr_matrix = getattr(blend.parts, name)
            arrays |= {f"{name}_{field}": getattr(matrix, field) for field in ("data", "indices", "indptr")}
            arrays[f"{name}_shape"] = np.array(matrix.shape)
        np.savez(folder / "parts.npz", **arrays)
    (folder / "recommender.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def load_recommender(folder: Path) -> Recommender:
    """What `save_recommender` wrote. Raises InputError where files are missing or are of another format. Cost: the blend's parts
    come into memory; the factors stay files."""
    file = folder / "recommender.json"
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: no recommender that can be read ({error}); run train_recommender again") from None
    if document.get("format") != FORMAT:
        raise InputError(f"{file}: format {document.get('format')!r}, expected {FORMAT}; run train_recommender again")
    spec = spec_from(document)
    if "blend" not in document:
        return Recommender(spec, None, folder)
    ids = pq.read_table(folder / "catalogue.parquet").column("item_id").combine_chunks()
    with np.load(folder / "parts.npz", allow_pickle=False) as arrays:
        sparse = (*SPARSE, *(name for name in (*SPARSE_ADDED, "weights") if f"{name}_shape" in arrays))
        made = {name: arrays[name] for name in (*DENSE, *ADDED) if name not in sparse and (name in DENSE or name in arrays)}
        for name in sparse:
            fields = (arrays[f"{name}_{field}"] for field in ("data", "indices", "indptr"))
            made[name] = csr_matrix(tuple(fields), shape=tuple(arrays[f"{name}_shape"]))
    settings = document["blend"]
    parts = Parts(**made, max_rating=settings["max_rating"], group_names=tuple(settings.get("groups", ())))
    share, length, count = settings["random_holdout_share"], settings["max_history"], settings.get("candidates", CANDIDATES)
    blend = Blend(ids, parts, spec.experts, share, length, count, settings.get("asked"))
    return Recommender(spec, blend, folder)


@dataclass(frozen=True)
class ListSettings:
    """`k`: rows a user; `user_batch_size`: users a block of the top-k engine; `with_reason`: because_item_id and parts too."""

    k: int
    user_batch_size: int
    with_reason: bool = False


def list_recommender(
    recommender: Recommender,
    als: AlsModel,
    preferences: DataFrame,
    users: DataFrame,
    allowed: DataFrame | None,
    settings: ListSettings,
    follows: DataFrame | None = None,
    profiles: DataFrame | None = None,
) -> DataFrame:
    """One row per user and rank 1..k of what serves alone: the blend's lists, else ALS'. Nothing is fitted.

    `preferences`: user_id, item_id, weight, value, occurred_at as the specification makes them (`preferences` with its ratings and
    event_weights); `als`: that of the recommender; `follows`: as for `history_rows`;
    `profiles`: as for `user_groups`, of which the groups that the blend knows count; `allowed`: item_id, of which alone is listed.
    ALS' item factors must be of allowed items already. Cost: that of `list_blend` or `list_als`. See `fill_with_als`.
    """
    blend = recommender.blend
    if blend is None:
        return list_als(als, preferences, users, settings.k, settings.user_batch_size, settings.with_reason)
    names = blend.parts.group_names
    members = members_of(profiles, names) if profiles is not None and names else None
    catalogue = blend.catalogue(users.sparkSession)
    rows = history_rows(preferences, catalogue, als.user_factors, blend.max_history, users, follows, members)
    return list_blend(blend, rows, settings.k, allowed, settings.with_reason)


def fill_with_als(
    recommender: Recommender, als: AlsModel, preferences: DataFrame, users: DataFrame, listed: DataFrame, settings: ListSettings
) -> DataFrame | None:
    """ALS' lists for the users whose list by the blend (`listed`) is shorter than k, to be put after it; None where ALS serves."""
    if recommender.blend is None:
        return None
    short = users_below_k(users, listed, settings.k)
    return list_als(als, preferences, short, settings.k, settings.user_batch_size, settings.with_reason)


def _matrix(table: pa.Table) -> Floats:
    column = table.column("features").combine_chunks()
    if not len(column):
        return np.empty((0, 0), np.float32)
    return np.asarray(column.flatten().to_numpy().reshape(len(column), -1), np.float32)


def _micros(at: datetime | None) -> int:
    """Microseconds since 1970; below all of them without a time."""
    if at is None:
        return -(2**62)
    known = at if at.tzinfo is not None else at.replace(tzinfo=timezone.utc)
    return round((known - datetime(1970, 1, 1, tzinfo=timezone.utc)).total_seconds() * 1_000_000)

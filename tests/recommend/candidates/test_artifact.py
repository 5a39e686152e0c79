"""The saved recommender: equal lists from its files, by Spark and without it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix
from shoal.errors import InputError
from shoal.recommend.candidates.als import AlsModel, fit_als, list_als
from shoal.recommend.candidates.artifact import (
    ListSettings,
    Met,
    Recommender,
    fill_with_als,
    list_recommender,
    load_recommender,
    save_recommender,
)
from shoal.recommend.candidates.blend import Blend, Expert, history_rows, list_blend
from shoal.recommend.candidates.demographics import members_of, user_groups
from shoal.recommend.candidates.experts import FIXED
from shoal.recommend.candidates.fitted_parts import blend_of, fit_parts
from shoal.recommend.candidates.parts import FEATURES
from shoal.recommend.candidates.trained import RecommenderSpec
from shoal.recommend.ranking.lists import backfill_lists

from tests.recommend.candidates.test_blend import SETTINGS, world

K = 12
EXPERTS = (
    Expert("random_holdout", FIXED, -0.5, True),
    # Every feature counts, products and ranks too.
    Expert("next_item", tuple(0.3 if name == "transitions" else 0.01 * (n % 7 - 3) for n, name in enumerate(FEATURES)), -1.0, True),
)
Lists = dict[str, list[tuple[str, float]]]


@pytest.fixture(scope="module")
def met(spark: SparkSession) -> DataFrame:
    """The world, with one item that u00 does not like, and one item of one user, which EASE's catalogue does not have."""
    lone = spark.createDataFrame([("u01", "lone", 1.0)], "user_id string, item_id string, weight double")
    lone = lone.withColumns({"value": F.lit(None).cast("double"), "occurred_at": F.timestamp_seconds(F.lit(3))})
    first = world(spark).where("user_id = 'u00'").agg(F.min("item_id")).collect()[0][0]
    weight = F.when((F.col("user_id") == "u00") & (F.col("item_id") == first), 0.0).otherwise(F.col("weight"))
    # Ratings of 1 to 5, and some rows without one.
    rating = F.expr("nullif(pmod(xxhash64(user_id, item_id), 6), 0)").cast("double")
    return world(spark).withColumns({"weight": weight, "value": rating}).unionByName(lone).persist()


@pytest.fixture(scope="module")
def fitted(met: DataFrame) -> tuple[AlsModel, Blend]:
    parts = fit_parts(met, SETTINGS, groups=user_groups(profiles(met.sparkSession)))
    assert parts is not None
    return parts.als, blend_of(parts, EXPERTS, SETTINGS)


def profiles(spark: SparkSession) -> DataFrame:
    """Of two thirds of the users a country."""
    rows = [(f"u{n:02d}", ("pt", "de", None)[n % 3]) for n in range(60)]
    return spark.createDataFrame(rows, "user_id string, country string")


def as_lists(rows: DataFrame) -> Lists:
    found: Lists = {}
    for row in rows.orderBy("user_id", "rank").collect():
        found.setdefault(row["user_id"], []).append((row["item_id"], row["score"]))
    return found


def by_spark(recommender: Recommender, met: DataFrame, users: DataFrame, known: DataFrame | None = None) -> Lists:
    wanted, als = ListSettings(K, 64), recommender.als(met.sparkSession)
    first = list_recommender(recommender, als, met, users, None, wanted, None, known)
    rest = fill_with_als(recommender, als, met, users, first, wanted)
    return as_lists(first if rest is None else backfill_lists([first, rest], K))


def by_hand(recommender: Recommender, met: DataFrame) -> Lists:
    """Without Spark: from rows and files."""
    rows: dict[str, list[Met]] = {}
    for row in met.collect():
        rows.setdefault(row["user_id"], []).append(Met(*(row[name] for name in Met._fields)))
    lists = {user: recommender.recommend(user, own, K) for user, own in rows.items()}
    assert all([place.rank for place in one] == list(range(1, len(one) + 1)) for one in lists.values())
    return {user: [(place.item_id, place.score) for place in one] for user, one in lists.items() if one}


def test_lists_from_the_files_are_those_of_the_fit(met: DataFrame, fitted: tuple[AlsModel, Blend], tmp_path: Path) -> None:
    als, blend = fitted
    spec = RecommenderSpec(SETTINGS.als, EXPERTS, "blend")
    save_recommender(tmp_path / "model", spec, als, blend)
    loaded = load_recommender(tmp_path / "model")
    assert loaded.spec == spec
    users = met.select("user_id").distinct().persist()
    described = profiles(met.sparkSession)
    members = members_of(described, blend.parts.group_names)
    rows = history_rows(met, blend.catalogue(met.sparkSession), als.user_factors, blend.max_history, users, members=members)
    before = as_lists(list_blend(blend, rows, K))
    grouped = by_spark(loaded, met, users, described)
    # Where the blend has fewer than K, ALS' come after it.
    assert {user: one[: len(before[user])] for user, one in grouped.items()} == before
    after = by_spark(loaded, met, users)
    assert len(after) == 60
    # A country moves scores of those who have one.
    assert {int(user[1:]) % 3 for user, one in grouped.items() if one != after[user]} == {0, 1}
    # Without Spark there are no profiles.
    here = by_hand(loaded, met)
    assert {user: [item for item, _ in one] for user, one in here.items()} == {
        user: [item for item, _ in one] for user, one in after.items()
    }
    for user, one in here.items():
        assert [score for _, score in one] == pytest.approx([score for _, score in after[user]], rel=1e-5)
    assert loaded.recommend("nobody", [], 5) == []
    assert [p.source for p in loaded.recommend("u00", [], 3)] == ["als"] * 3  # known, without a history


def test_a_model_of_before_lists_as_it_did(met: DataFrame, fitted: tuple[AlsModel, Blend], tmp_path: Path) -> None:
    """It has one trend an item, and neither days nor groups, and its experts have no weight for them."""
    als, blend = fitted
    old = ("trend_60", "demographic")
    known = [name.split("*")[0] not in old for name in FEATURES]
    experts = tuple(replace(e, coefficients=tuple(np.where(known, e.coefficients, 0.0).tolist())) for e in EXPERTS)
    trend = np.linspace(0, 3, len(blend.ids)).astype(np.float32)
    parts = replace(blend.parts, trend=trend, daily=None, daily_days=None, group_counts=None, group_names=())
    before = replace(blend, parts=parts, experts=experts, asked=None)
    save_recommender(tmp_path / "model", RecommenderSpec(SETTINGS.als, experts, "blend"), als, before)
    file = tmp_path / "model" / "recommender.json"
    document = json.loads(file.read_text())
    del document["blend"]["asked"], document["blend"]["groups"]
    for expert in document["experts"]:
        expert["coefficients"] = {name: c for name, c in expert["coefficients"].items() if name.split("*")[0] not in old}
    file.write_text(json.dumps(document))
    loaded = load_recommender(tmp_path / "model")
    assert loaded.blend is not None and loaded.blend.parts.daily is None and loaded.blend.asked is None
    np.testing.assert_array_equal(loaded.blend.parts.trend, trend)
    one = [Met(*(row[name] for name in Met._fields)) for row in met.where("user_id = 'u07'").collect()]
    assert loaded.recommend("u07", one, 4) == replace(loaded, blend=before).recommend("u07", one, 4) != []


def test_sparse_weights_come_back_as_they_were(met: DataFrame, fitted: tuple[AlsModel, Blend], tmp_path: Path) -> None:
    als, blend = fitted
    sparse = replace(blend, parts=replace(blend.parts, weights=csr_matrix(blend.parts.weights)), candidates=7)
    save_recommender(tmp_path / "model", RecommenderSpec(SETTINGS.als, EXPERTS, "blend"), als, sparse)
    loaded = load_recommender(tmp_path / "model")
    assert loaded.blend is not None and loaded.blend.candidates == 7 and isinstance(loaded.blend.parts.weights, csr_matrix)
    np.testing.assert_array_equal(loaded.blend.parts.weights.toarray(), blend.parts.weights)
    one = [Met(*(row[name] for name in Met._fields)) for row in met.where("user_id = 'u07'").collect()]
    dense = replace(loaded, blend=blend).recommend("u07", one, 4)
    assert [place.item_id for place in loaded.recommend("u07", one, 4)] == [place.item_id for place in dense]


def test_where_als_serves_the_files_hold_als_alone(met: DataFrame, fitted: tuple[AlsModel, Blend], tmp_path: Path) -> None:
    save_recommender(tmp_path / "model", RecommenderSpec(SETTINGS.als, EXPERTS, "als"), fitted[0], None)
    assert not (tmp_path / "model" / "parts.npz").exists()
    loaded = load_recommender(tmp_path / "model")
    users = met.select("user_id").distinct()
    expected = as_lists(list_als(fitted[0], met, users, K, 64))
    assert by_spark(loaded, met, users) == expected
    assert by_hand(loaded, met) == expected


def test_files_that_cannot_be_read_are_named(met: DataFrame, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"recommender\.json: no recommender .* run train_recommender again"):
        load_recommender(tmp_path)
    als = fit_als(met, replace(SETTINGS.als, max_iter=1))
    save_recommender(tmp_path, RecommenderSpec(SETTINGS.als, (), "als"), als, None)
    file = tmp_path / "recommender.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 99}))
    with pytest.raises(InputError, match="format 99, expected 2"):
        load_recommender(tmp_path)

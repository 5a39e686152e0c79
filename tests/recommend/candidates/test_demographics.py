"""What a user's groups like: counts and likings by hand, what was known at a moment, and an expert that learns whom they help."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from scipy.sparse import csr_matrix
from shoal.recommend.candidates import demographics
from shoal.recommend.candidates.blend import Expert, history_rows, list_blend
from shoal.recommend.candidates.demographics import UserGroups, group_counts, liking_of, profiles_before, user_groups
from shoal.recommend.candidates.experts import fit_experts
from shoal.recommend.candidates.fitted_parts import blend_of, fit_parts
from shoal.recommend.candidates.histories import catalogue_of
from shoal.recommend.candidates.parts import FEATURES, HISTORY_CENTRE

from tests.recommend.candidates.test_blend import SETTINGS

PROFILES = "user_id string, country string, language string, age_group string, described_at timestamp"
PREFERENCES = "user_id string, item_id string, weight double, value double, occurred_at timestamp"


def described(spark: SparkSession) -> DataFrame:
    first, third = datetime(2024, 1, 1), datetime(2024, 1, 3)
    rows = [("a", "PT", "pt ", None, first), ("b", " pt", None, "", None), ("c", "de", None, None, third), ("d", *[None] * 4)]
    return spark.createDataFrame(rows, PROFILES)


def names_of(groups: UserGroups | None) -> tuple[tuple[str, ...], dict[str, list[int]]]:
    assert groups is not None
    return groups.names, {row["user_id"]: row["groups"] for row in groups.members.collect()}


def test_groups_are_values_of_attributes_the_largest_first(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    profiles = described(spark)
    assert user_groups(profiles) is None and user_groups(None) is None  # fewer than MIN_USERS of any
    monkeypatch.setattr(demographics, "MIN_USERS", 1)
    everything = ("country=pt", "country=de", "language=pt"), {"a": [0, 2], "b": [0], "c": [1]}
    assert names_of(user_groups(profiles)) == everything
    # c described itself on 3 January; when b did is not known, and does not matter.
    known = profiles_before(profiles, int(datetime(2024, 1, 2).timestamp() * 1_000_000))
    assert names_of(user_groups(known)) == (("country=pt", "language=pt"), {"a": [0, 1], "b": [0]})
    assert profiles_before(profiles, None) is profiles and profiles_before(None, 0) is None
    monkeypatch.setattr(demographics, "MAX_GROUPS", 2)
    assert names_of(user_groups(profiles.drop("described_at"))) == (everything[0][:2], {"a": [0], "b": [0], "c": [1]})


def test_counts_are_preferences_of_a_groups_users(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demographics, "MIN_USERS", 1)
    groups = user_groups(described(spark))
    # a likes x and y and met z without liking it; c and d like z.
    rows = [("a", "x", 3.0, 1), ("a", "y", 1.0, 2), ("a", "z", 0.0, 3), ("b", "x", 1.0, 1), ("c", "z", 1.0, 1), ("d", "z", 1.0, 1)]
    met = spark.createDataFrame([(u, i, w, None, datetime(2024, 1, day)) for u, i, w, day in rows], PREFERENCES)
    catalogue = catalogue_of(met, 10)
    counts = group_counts(met, catalogue, groups, 10)
    assert counts is not None and groups is not None
    np.testing.assert_array_equal(counts.toarray(), [[2, 1, 0], [0, 0, 1], [1, 1, 0]])
    assert group_counts(met, catalogue, None, 10) is None
    # One group of three fits.
    monkeypatch.setattr(demographics, "MAX_PAIRS", 5)
    few = group_counts(met, catalogue, groups, 10)
    assert few is not None
    np.testing.assert_array_equal(few.toarray(), [[2, 1, 0], [0, 0, 0], [0, 0, 0]])


def test_a_liking_is_the_log_of_observed_over_expected_both_damped_by_five() -> None:
    counts = csr_matrix(np.array([[30, 10, 0], [0, 0, 0], [1, 0, 0]], np.float32))
    shares = np.array([0.5, 0.25, 0.25], np.float32)
    large = np.log([35 / 25, 15 / 15, 5 / 15])
    small = np.log([6 / 5.5, 5 / 5.25, 5 / 5.25])
    np.testing.assert_allclose(liking_of(counts, shares, np.array([0])), large, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(liking_of(counts, shares, np.array([0, 1, 2])), large + small, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(liking_of(counts, shares, np.array([], np.int64)), 0)


def auc(likings: np.ndarray, held: np.ndarray) -> float:
    """How probable it is that a held-out item is liked more than another one."""
    above = (likings[held][:, None] > likings[~held][None, :]).mean()
    return float(above + 0.5 * (likings[held][:, None] == likings[~held][None, :]).mean())


def test_shuffled_groups_say_nothing_of_what_was_held_out() -> None:
    """Users of four countries meet 10 of 100 items, those of their country five times as often; two of each are held out."""
    rng = np.random.default_rng(7)
    country = np.arange(200) % 4
    chances = np.where(np.arange(100)[None, :] % 4 == np.arange(4)[:, None], 5.0, 1.0)
    met = np.array([rng.choice(100, 10, replace=False, p=chances[c] / chances[c].sum()) for c in country])
    found = {}
    for name, labels in (("true", country), ("shuffled", rng.permutation(country))):
        counts = np.zeros((4, 100), np.float32)
        np.add.at(counts, (np.repeat(labels, 8), met[:, 2:].ravel()), 1)
        shares = (counts.sum(axis=0) / counts.sum()).astype(np.float32)
        likings = [liking_of(csr_matrix(counts), shares, np.array([c])) for c in range(4)]
        found[name] = np.mean([auc(likings[c], np.isin(np.arange(100), items[:2])) for c, items in zip(labels, met, strict=True)])
    assert found["true"] > 0.65
    # 200 users of two items: a standard deviation of .29 / 20.
    assert found["shuffled"] == pytest.approx(0.5, abs=3 * 0.29 / 20)


def test_an_expert_learns_whom_a_country_tells_of(spark: SparkSession) -> None:
    """Everybody meets four of ten hits. Of 60 other items each of three countries has 20: most met four of their own country's,
    some twelve of all; newcomers, who met hits alone, are asked about. So an item says nothing without the country, what was met
    before says nothing of a newcomer, and the country nothing of who met much."""
    rng = np.random.default_rng(5)
    others = [f"c{c}n{n:02d}" for c in range(3) for n in range(20)]
    rows, profiles = [], []
    for n in range(210):
        name, country = f"{('much', 'some', 'some', 'some', 'new')[n % 5]}{n:03d}", n % 3
        own = {"m": others, "s": others[20 * country :][:20], "n": []}[name[0]]
        met = [*rng.permutation([f"hit{h}" for h in range(10)])[:4], *rng.permutation(own)[: 12 if name[0] == "m" else 4]]
        rows += [(name, str(item), 1.0, None, None) for item in met]
        profiles.append((name, "abc"[country]))
    preferences = spark.createDataFrame(rows, PREFERENCES).persist()
    groups = user_groups(spark.createDataFrame(profiles, "user_id string, country string"))
    assert groups is not None and len(groups.names) == 3
    settings = replace(SETTINGS, experts=("random_holdout",))
    expert, blind = (fit_experts(preferences, settings, groups=known)[0] for known in (groups, None))
    weights = dict(zip(FEATURES, expert.coefficients, strict=True))
    assert weights["demographic"] + (np.log1p(7) - HISTORY_CENTRE) * weights["demographic*log_history"] > 0
    assert weights["demographic*log_history"] < 0
    assert "demographic" not in blind.recall and 0 < expert.recall["demographic"] < 1
    assert dict(zip(FEATURES, blind.coefficients, strict=True))["demographic"] == 0
    fitted = fit_parts(preferences, settings, groups=groups)
    assert fitted is not None
    users = preferences.where("user_id like 'new%'").select("user_id").distinct()
    factors, length = fitted.als.user_factors, settings.ease.max_history
    histories = history_rows(preferences, fitted.catalogue, factors, length, users, members=groups.members).persist()
    allowed = spark.createDataFrame([(item,) for item in others], "item_id string")

    def share_of_country(one: Expert) -> float:
        shown = list_blend(blend_of(fitted, [one], settings), histories, 3, allowed).collect()
        return float(np.mean([int(row["item_id"][1]) == int(row["user_id"][3:]) % 3 for row in shown]))

    found = {"with": share_of_country(expert), "without": share_of_country(blind)}
    for frame in (preferences, histories):
        frame.unpersist()
    assert found["with"] > 0.95, found
    assert found["without"] == pytest.approx(1 / 3, abs=0.15)

"""What follows what: by hand, against brute force, and however rows lie."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from shoal.recommend.candidates import transitions as of_transitions
from shoal.recommend.candidates.histories import catalogue_here, catalogue_of, collect_met, with_places
from shoal.recommend.candidates.transitions import TransitionSettings, ends_of, followed, transitions, transitions_here


def preferences(spark: SparkSession, rows: list[tuple[str, str, int | None]]) -> DataFrame:
    frame = spark.createDataFrame(rows, "user_id string, item_id string, at int")
    return frame.withColumn("occurred_at", F.timestamp_seconds("at")).withColumn("weight", F.lit(1.0)).drop("at")


def test_pairs_by_hand(spark: SparkSession) -> None:
    # One user goes a, b, c; another a, c. Where there is no time nothing follows.
    rows = [("u", "a", 1), ("u", "b", 2), ("u", "c", 9), ("v", "a", 5), ("v", "c", 6), ("w", "a", None), ("w", "b", None)]
    frame = preferences(spark, rows)
    found = transitions(with_places(frame, 100), catalogue_of(frame, 10), TransitionSettings(2.0, 10)).toarray()
    near, far = 0.607, 0.368  # exp(-1/2), exp(-1), in thousandths
    users = {"a": 3, "b": 2, "c": 2}

    def share(total: float, before: str, after: str) -> float:
        return total / (users[before] + 5) / (users[after] + 5) ** 0.5

    expected = [[0, share(near, "a", "b"), share(far + near, "a", "c")], [0, 0, share(near, "b", "c")], [0, 0, 0]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_as_brute_force_and_however_rows_lie(spark: SparkSession) -> None:
    rng = np.random.default_rng(4)
    walks = {f"u{u:02d}": rng.permutation(30)[: rng.integers(1, 25)] for u in range(40)}
    frame = preferences(spark, [(user, f"i{i:02d}", n) for user, walk in walks.items() for n, i in enumerate(walk)])
    catalogue = catalogue_of(frame, 100)
    names = [int(name[1:]) for name in catalogue.ids.to_pylist()]
    place = {name: n for n, name in enumerate(names)}
    sums = np.zeros((len(names), len(names)))
    for walk in walks.values():
        for at, before in enumerate(walk):
            for ahead, after in enumerate(walk[at + 1 : at + 10], 1):
                sums[place[before], place[after]] += round(1000 * np.exp(-ahead / 3)) / 1000
    n = np.array([sum(name in walk for walk in walks.values()) for name in names]) + 5.0
    weights = sums / n[:, None] / np.sqrt(n)
    for row in weights:
        row[row < np.sort(row)[-4]] = 0  # no ties at the fourth place in these data
    settings = TransitionSettings(3.0, 4)
    first = transitions(with_places(frame, 100), catalogue, settings)
    np.testing.assert_allclose(first.toarray(), weights, rtol=1e-6)
    again = transitions(with_places(frame.repartition(5), 100), catalogue, settings)
    assert (first != again).nnz == 0
    # The same sums on the driver.
    collected = collect_met(frame, 100)
    assert collected is not None
    own, met = catalogue_here(spark, *collected, 100)
    assert (transitions_here(met, own, settings) != first).nnz == 0


def test_without_a_time_there_is_no_transition(spark: SparkSession) -> None:
    frame = preferences(spark, [("u", "a", None), ("u", "b", None)])
    assert transitions(with_places(frame, 10), catalogue_of(frame, 10), TransitionSettings(2.0, 5)).nnz == 0


def test_many_items_and_small_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(8)
    users = np.sort(rng.integers(0, 20, 900))
    items = rng.integers(0, 600, 900)  # more than one block
    kernel = np.array([4.0, 2.0, 1.0])
    expected = np.zeros((600, 600))
    for at, before in enumerate(items):
        for ahead in (1, 2, 3):
            if at + ahead < 900 and users[at + ahead] == users[at]:
                expected[before, items[at + ahead]] += kernel[ahead - 1]
    for chunk, most in ((4, 1 << 22), (1 << 20, 1 << 22), (4, 0), (1 << 20, 0)):
        monkeypatch.setattr(of_transitions, "BLOCK_SUMS", most)
        found = np.zeros((600, 600))
        for block, sums in followed(items, ends_of(users), kernel, 600, chunk):
            found[block] += sums.toarray()
        np.testing.assert_array_equal(found, expected)

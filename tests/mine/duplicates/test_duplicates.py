"""Near-duplicates against brute force, on literal rows, drawn texts and hashes, and real tweets."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.mine.duplicates.pairs import keys_that_meet, pairs_of_members
from shoal.mine.duplicates.pictures import hash_as_key, similar_hashes
from shoal.mine.duplicates.texts import BANDS, ROWS, minima, shingle_sets, similar_sets, tokens

Pairs = dict[tuple[str, str], float]


def find(spark: SparkSession, texts: list[tuple[str, str]], copies: int = 1000) -> tuple[Pairs, dict[str, frozenset[int]]]:
    """The pairs that are found, and the sets of all texts that have one."""
    sets = shingle_sets(spark.createDataFrame(texts, "id string, text string")).persist()
    alike = similar_sets(sets.select("key", "shingles").dropDuplicates(["key"]), 0.8, 1000, 42)
    found = pairs_of_members(sets.select("id", "key"), alike, copies).collect()
    assert len({(row["id"], row["other_id"]) for row in found}) == len(found)
    return {(r["id"], r["other_id"]): r["similarity"] for r in found}, {r["id"]: frozenset(r["shingles"]) for r in sets.collect()}


def brute(sets: dict[str, frozenset[int]]) -> Pairs:
    """All pairs of Jaccard similarity .8 and more, by the sets that a run of three has."""
    at: dict[int, list[str]] = {}
    for name in sorted(sets):
        for shingle in sets[name]:
            at.setdefault(shingle, []).append(name)
    common: dict[tuple[str, str], int] = {}
    for names in at.values():
        for pair in combinations(names, 2):
            common[pair] = common.get(pair, 0) + 1
    every = {(a, b): n / (len(sets[a]) + len(sets[b]) - n) for (a, b), n in common.items()}
    return {pair: found for pair, found in every.items() if found >= 0.8 - 1e-9}


def test_pairs_by_hand(spark: SparkSession) -> None:
    words = [f"w{n}" for n in range(22)]
    base = " ".join(words)
    rows = [
        ("a", base), ("b", base.upper() + "!!"), ("c", base + " more"),
        # The last of 20 runs changed: 19 of 21. One in the middle: 17 of 23, which is too little.
        ("d", " ".join([*words[:-1], "x"])), ("e", " ".join([*words[:10], "x", *words[11:]])),
        # Four words are too few to say anything; five are enough.
        ("f", "thank you so much"), ("g", "thank you so much"), ("h", "thank you so very much"), ("i", "Thank you, so VERY much"),
        ("j", "look at this now https://a.org/1"), ("k", "look at this now https://b.org/2"), ("n", None),
    ]  # fmt: skip
    found, sets = find(spark, rows)
    assert {pair: round(similarity, 4) for pair, similarity in found.items()} == {
        ("a", "b"): 1.0, ("a", "c"): round(20 / 21, 4), ("b", "c"): round(20 / 21, 4), ("a", "d"): round(19 / 21, 4),
        ("b", "d"): round(19 / 21, 4), ("c", "d"): round(19 / 22, 4), ("h", "i"): 1.0, ("j", "k"): 1.0,
    }  # fmt: skip
    assert set(sets) == set("abcdehijk")


def test_words_of_any_script(spark: SparkSession) -> None:
    frame = spark.createDataFrame([("#Tag @Ann it's über\u200b ПРИВЕТ 😀😀 a-b",)], "t string").select(tokens(F.col("t")))
    assert frame.collect()[0][0] == ["#tag", "@ann", "it's", "über", "привет", "😀", "😀", "a", "b"]


def test_drawn_texts_against_brute_force(spark: SparkSession) -> None:
    rng = np.random.default_rng(1)
    rows = []
    for n in range(150):
        words = [f"v{i}" for i in rng.integers(0, 400, 30)]
        for copy in range(4):
            changed = [word if rng.random() > 0.01 * copy else "x" for word in words]
            rows.append((f"t{n:03}-{copy}", " ".join(changed)))
    found, sets = find(spark, rows)
    true = brute(sets)
    assert len(true) > 300 and found.keys() <= true.keys()
    assert len(found) >= 0.99 * len(true)
    assert all(found[pair] == pytest.approx(true[pair]) for pair in found)


def test_minima_agree_as_often_as_sets_are_alike() -> None:
    rng = np.random.default_rng(5)
    common, mine, others = np.split(rng.integers(0, 2**63, 2000, dtype=np.uint64), [1200, 1600])
    flat = np.concatenate([common, mine, common, others])
    shares = [float(np.diff(minima(flat, np.array([0, 1600]), seed), axis=0).astype(bool).mean()) for seed in range(20)]
    # J = 1200 / 2000; 20 x 100 minima, so the mean has a standard error of .011.
    assert np.mean(shares) == pytest.approx(0.4, abs=0.04)
    assert minima(flat, np.array([0, 1600]), 1).shape == (2, BANDS * ROWS)


def test_many_copies_are_paired_with_the_first_only(spark: SparkSession) -> None:
    members = spark.createDataFrame([(f"i{n}", 7) for n in range(5)] + [("j", 8)], "id string, key bigint")
    alike = spark.createDataFrame([(7, 8, 0.9)], "key bigint, other_key bigint, similarity double")
    found = {(r["id"], r["other_id"]): r["similarity"] for r in pairs_of_members(members, alike, 2).collect()}
    assert found == {("i0", "i1"): 1.0, ("i0", "i2"): 1.0, ("i0", "i3"): 1.0, ("i0", "i4"): 1.0, ("i0", "j"): 0.9, ("i1", "j"): 0.9}


def test_a_hot_bucket_is_cut(spark: SparkSession) -> None:
    banded = spark.createDataFrame([(n, 1) for n in range(10)] + [(3, 1), (20, 2), (21, 2)], "key bigint, bucket bigint")
    found = {tuple(row) for row in keys_that_meet(banded, 3).collect()}
    assert len(found) == 4 and (20, 21) in found and all(a < b for a, b in found)


def test_hashes_against_brute_force(spark: SparkSession) -> None:
    rng = np.random.default_rng(2)
    base = rng.integers(0, 2**64, 60, dtype=np.uint64)
    some = []
    for one in base:
        for bits in (0, 3, 10, 11, 14):
            flips = rng.choice(64, bits, replace=False).astype(np.uint64)
            some.append(int(one) ^ int(sum(1 << int(flip) for flip in flips)))
    keys = sorted(set(some))
    frame = spark.createDataFrame([(f"{key:016x}",) for key in keys], "h string").select(F.expr(hash_as_key("h")).alias("key"))
    found = {}
    for row in similar_hashes(frame, 10, 1000).collect():
        pair = tuple(sorted((row["key"] % 2**64, row["other_key"] % 2**64)))
        assert pair not in found
        found[pair] = row["similarity"]
    true = {(a, b): 1 - (a ^ b).bit_count() / 64 for a, b in combinations(keys, 2) if (a ^ b).bit_count() <= 10}
    assert found == true and len(true) > 120
    with pytest.raises(ValueError, match="up to 11"):
        similar_hashes(frame, 12, 1000)


def test_tweets_against_brute_force(spark: SparkSession, data: Path) -> None:
    file = data / "fivethirtyeight_maymac_tweets" / "tweets.csv"
    if not file.is_file():
        pytest.skip(f"no tweets at {file}")
    import pandas as pd

    table = pd.read_csv(file, dtype=str)[["id", "text"]].dropna().drop_duplicates("id").head(6000)
    found, sets = find(spark, list(table.itertuples(index=False, name=None)))
    true = brute(sets)
    assert len(true) > 1000 and found.keys() <= true.keys()
    assert len(found) >= 0.99 * len(true)

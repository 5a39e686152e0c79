"""Topics of planted texts, and their ids from run to run."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime, timedelta
from itertools import combinations

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.mine.text.topics import Topic, matched_ids, npmi, relevant_terms, topic_terms
from shoal.runner.job import find_job

from tests.jobs.mine.test_score_texts import put_texts

DAY, OLD = date(2024, 3, 1), datetime(2024, 1, 1)
PLANTED = {
    "ships": ["sail", "mast", "keel", "anchor", "harbour", "captain", "deck", "rudder"],
    "bread": ["flour", "oven", "dough", "yeast", "crust", "loaf", "bakery", "rye"],
    "stars": ["planet", "comet", "orbit", "galaxy", "nebula", "telescope", "moon", "eclipse"],
}


def coherence(texts: list[set[str]], terms: list[str]) -> float:
    """Mean normalised pointwise mutual information of all pairs, counted text by text."""
    found = []
    for one, other in combinations(terms, 2):
        shares = [sum(wanted <= text for text in texts) / len(texts) for wanted in ({one}, {other}, {one, other})]
        found.append(-1.0 if not shares[2] else math.log(shares[2] / shares[0] / shares[1]) / -math.log(shares[2]))
    return sum(found) / len(found)


def test_planted_topics_are_found_and_keep_their_ids(make_lake: Callable[..., Lake]) -> None:
    lake, job = make_lake(), find_job("find_topics")
    conf = lake.settings.topics.model_copy(update={"topics": 3, "max_text_share": 0.6})
    rng = np.random.default_rng(3)
    rows = []
    for n in range(240):
        # Ships in January, bread in February, stars always.
        name = ["ships" if n < 120 else "bread", "stars"][n % 2]
        words = rng.choice(PLANTED[name], 5, replace=False)
        said = f"The {' and '.join(words)} https://x.org @you"
        rows.append((f"t{n:03}", "tweet", said, None, OLD + timedelta(days=n / 4), "test"))
    put_texts(lake, [("few", "tweet", "only these words here", None, OLD, "test")])
    with pytest.raises(SkippedError, match="too few texts"):
        job.run(lake, conf, DAY)
    # A run reads one version of each table.
    lake = make_lake("run-2")
    put_texts(lake, rows)
    job.run(lake, conf, DAY)
    first = {row["topic_id"]: row for row in lake.read("gold.topics", on=DAY).collect()}
    kinds = {}
    for name, row in first.items():
        (kinds[name],) = {kind for kind, words in PLANTED.items() if set(row["terms"][:8]) == set(words)}
        assert row["name"] == ", ".join(row["terms"][:3]) and row["is_new"]
        assert row["coherence"] == pytest.approx(coherence([set(text.split()) for _, _, text, *_ in rows], row["terms"][:10]))
    assert sorted(kinds.values()) == ["bread", "ships", "stars"]
    by_kind = {kinds[name]: row for name, row in first.items()}
    assert {kind: row["text_count"] for kind, row in by_kind.items()} == {"bread": 60, "ships": 60, "stars": 120}
    assert sum(row["share"] for row in first.values()) == pytest.approx(1)
    weeks = [(one["week"], one["share"]) for one in by_kind["ships"]["weekly_shares"]]
    assert weeks[0][0] == date(2024, 1, 1) and weeks[0][1] > 0.3 and weeks[-1][1] < 0.2

    # The next day learns from other texts too, in another order of topics perhaps; a rerun writes the same.
    lake = make_lake("run-3")
    put_texts(lake, [(f"u{n}", "tweet", " ".join(PLANTED["bread"][:5]), None, datetime(2024, 3, 1, 12), "test") for n in range(20)])
    for run_id in ("run-4", "run-5"):
        lake = make_lake(run_id)
        job.run(lake, conf.model_copy(update={"seed": 7}), date(2024, 3, 2))
        second = {row["topic_id"]: row for row in make_lake("look").read("gold.topics", on=date(2024, 3, 2)).collect()}
        assert {name: kinds[name] for name in second} == kinds
        assert not any(row["is_new"] for row in second.values())
        assert all(set(row["terms"][:8]) == set(PLANTED[kinds[name]]) for name, row in second.items())


def test_terms_tell_topics(spark: SparkSession) -> None:
    text = "The #Sea and https://x.org/sea @sea Segel-Schiff it's 3d 42 &amp; und with a b sailing sailing"
    frame = spark.createDataFrame([(text,)], "t string").select(topic_terms(F.col("t")))
    assert frame.collect()[0][0] == ["#sea", "segel", "schiff", "sailing"]


def test_relevance_and_coherence_by_hand() -> None:
    by_topic = np.array([[0.5, 0.4, 0.1], [0.5, 0.1, 0.4]])
    # The first term is as probable in both: what the others are to their topic goes before it.
    found = [terms for terms, _ in relevant_terms(by_topic, ["same", "one", "two"])]
    assert found == [["one", "same", "two"], ["two", "same", "one"]]
    assert npmi(10, 10, 10, 10) == 1.0 and npmi(0, 5, 5, 10) == -1.0
    assert npmi(25, 50, 50, 100) == pytest.approx(0.0)
    assert npmi(10, 10, 10, 100) == pytest.approx(1.0)


def test_ids_go_to_the_most_like() -> None:
    topics = [Topic(n, (one, "x"), (0.9, 0.1), 0.0) for n, one in enumerate("abc")]
    before = {"old-a": {"b": 1.0, "a": 0.9}, "old-b": {"b": 1.0}, "gone": {"z": 1.0}}
    assert matched_ids(topics, before, 0.3) == {0: "old-a", 1: "old-b", 2: None}
    assert matched_ids(topics, {}, 0.3) == {0: None, 1: None, 2: None}

"""features.texts: a vector a text, equal to scikit-learn's, made once a content and version."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pytest
from shoal.conf.loading import load
from shoal.errors import SkippedError, UsageError
from shoal.lake.lake import Lake
from shoal.models.text_terms import terms_of
from shoal.runner.job import find_job
from sklearn.feature_extraction.text import TfidfVectorizer

from tests.jobs.mine.test_score_texts import put_texts
from tests.mine.text.test_sentence_network import network_folder

DAY, OLD = date(2024, 3, 1), datetime(2024, 1, 1)
TEXTS = {"t1": "red cat red dog", "t2": "a red fish", "t3": "the dog and the cat", "t4": "unknown words only", "t5": " "}


def put(lake: Lake, texts: dict[str, str]) -> None:
    put_texts(lake, [(k, "tweet", text, None, OLD, "test") for k, text in texts.items()])


def test_vectors_are_those_of_scikit_learn_and_are_made_once(make_lake: Callable[..., Lake], tmp_path: Path) -> None:
    build, lake, conf = find_job("build_texts"), make_lake(), load(sets=["texts.max_terms=10"]).texts
    put(lake, TEXTS)
    with pytest.raises(SkippedError, match="no text in silver.texts up to 2023-01-01"):
        build.run(lake, conf, date(2023, 1, 1))
    build.run(lake, conf, DAY)
    terms = lake.read_current("features.text_terms").orderBy("number").collect()
    # Words of two texts: "the" is in one, twice.
    assert [(r["term"], r["number"], r["texts"], r["learned_texts"]) for r in terms] == [
        ("cat", 0, 2, 5), ("dog", 1, 2, 5), ("red", 2, 2, 5),
    ]  # fmt: skip
    oracle = TfidfVectorizer(vocabulary=["cat", "dog", "red"], token_pattern=r"\S+").fit_transform(TEXTS.values()).toarray()
    rows = {r["text_id"]: r for r in lake.read_current("features.texts").collect()}
    dense = np.zeros((5, 3))
    for n, text_id in enumerate(TEXTS):
        dense[n, rows[text_id]["indices"]] = rows[text_id]["values"]
    np.testing.assert_allclose(dense, oracle, atol=1e-6)
    assert {r["size"] for r in rows.values()} == {3}
    version = terms[0]["model_version"]
    assert (version[:6], version[-11:]) == ("tfidf-", "/2024-03-01")

    put(make_lake("in"), {"t1": "cat", "t6": "dog cat"})
    again = make_lake("run-2")
    build.run(again, conf, date(2024, 3, 2))
    assert (again.run.tags["scored_texts"], again.run.tags["unchanged_texts"]) == ("2", "4")
    now = {r["text_id"]: r for r in again.read_current("features.texts").collect()}
    assert (now["t1"]["indices"], now["t1"]["values"], len(now)) == ([0], [1.0], 6)
    assert {r["model_version"] for r in now.values()} == {version}

    # A network takes the place of what was learned: its rows are current, the others stay.
    onnx = load(sets=["texts.representation=onnx", f"texts.model={network_folder(tmp_path)}"]).texts
    with pytest.raises(UsageError, match="texts.representation=onnx needs the network's folder"):
        build.run(again, onnx.model_copy(update={"model": None}), DAY)
    third = make_lake("run-3")
    build.run(third, onnx, DAY)
    found = third.read_current("features.texts").collect()
    assert {(r["model_version"][:5], r["is_current"]) for r in found} == {("onnx/", True), ("tfidf", False)}
    assert {r["text_id"]: [round(v, 4) for v in r["values"]] for r in found if r["is_current"]}["t5"] == [0.0, 0.0]
    assert len(found) == 12


def test_more_texts_are_learned_from_again(make_lake: Callable[..., Lake]) -> None:
    build, lake = find_job("build_texts"), make_lake()
    conf = load(sets=["texts.representation=sif", "texts.vector_size=2", "texts.relearn_growth=1.5"]).texts
    put(lake, {"a": "one two", "b": "one two"})
    build.run(lake, conf, DAY)
    assert {len(r["vector"]) for r in lake.read_current("features.text_terms").collect()} == {2}
    put(make_lake("in"), {"c": "three one"})
    again = make_lake("run-2")
    build.run(again, conf, date(2024, 3, 2))
    assert again.run.tags["scored_texts"] == "3"
    days = {(r["model_version"][-10:], r["learned_texts"]) for r in again.read_current("features.text_terms").collect()}
    assert days == {("2024-03-01", 2), ("2024-03-02", 3)}


def test_an_erased_term_leaves_the_places_of_the_others() -> None:
    rows = [{"term": "dog", "number": 2, "texts": 3, "weight": 1.5, "vector": None},
            {"term": "cat", "number": 0, "texts": 4, "weight": 1.25, "vector": None}]  # fmt: skip
    found = terms_of("tfidf", rows)
    assert (found.names, found.texts, found.weights.tolist(), found.size) == (("cat", "", "dog"), (4, 0, 3), [1.25, 0.0, 1.5], 3)
    dense = terms_of("sif", [{**row, "vector": [1.0, row["number"]]} for row in rows])
    assert dense.vectors is not None and dense.vectors.tolist() == [[1, 0], [0, 0], [1, 2]]

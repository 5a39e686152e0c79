"""Entities, languages and keywords of a lake's texts, once a text and content."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime

import pytest
from shoal.conf.sections import Settings
from shoal.errors import SkippedError
from shoal.lake.lake import Lake
from shoal.runner.job import find_job

from tests.jobs.mine.test_score_texts import put_texts

DAY, OLD = date(2024, 3, 1), datetime(2024, 1, 1)


def test_texts_are_described_once(make_lake: Callable[..., Lake], settings: Settings) -> None:
    describe, lake = find_job("describe_texts"), make_lake()
    put_texts(lake, [("t1", "tweet", "Machine learning with @Ann #AI https://x.org/a", None, OLD, "test"),
                     ("t2", "tweet", "Bonjour tout le monde, comment allez-vous", None, OLD, "test"),
                     ("t3", "tweet", " ", None, OLD, "test")])  # fmt: skip
    with pytest.raises(SkippedError, match="no text in"):
        describe.run(lake, settings.train_sentiment, date(2023, 1, 1))
    describe.run(lake, settings.train_sentiment, DAY)
    entities = {r["text_id"]: r for r in lake.read_current("gold.entities").collect()}
    assert (entities["t1"]["hashtags"], entities["t1"]["mentions"], entities["t1"]["urls"]) == (["ai"], ["ann"], ["https://x.org/a"])
    assert [entities[k]["hashtags"] for k in ("t2", "t3")] == [[], []]
    words = {r["text_id"]: r for r in lake.read_current("gold.keywords").collect()}
    assert {k: r["language"] for k, r in words.items()} == {"t1": "en", "t2": "fr", "t3": "unknown"}
    assert "machine learning" in words["t1"]["keywords"]
    assert (words["t3"]["keywords"], words["t3"]["language_confidence"]) == ([], 0.0)

    again = make_lake("run-2")
    put_texts(make_lake("in"), [("t1", "tweet", "Deep water", None, OLD, "test")])
    describe.run(again, settings.train_sentiment, DAY)
    assert {k: v for k, v in again.run.tags.items() if k != "model_version"} == {
        "scored_entities": "1", "unchanged_entities": "2", "scored_keywords": "1", "unchanged_keywords": "2",
    }  # fmt: skip
    changed = {r["text_id"]: r for r in again.read_current("gold.entities").collect()}
    assert len(changed) == 3
    assert (changed["t1"]["hashtags"], changed["t1"]["run_id"], changed["t2"]["run_id"]) == ([], "run-2", "run-1")

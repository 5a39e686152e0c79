"""Engagement without Spark: equal to what `shoal score engagement` gives, from the same folder."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.errors import InputError
from shoal.mine.posts.design import FEATURES, Design, numbers
from shoal.mine.posts.engagement import CountModel, EngagementTraining, past_columns, score_engagement
from shoal.mine.posts.features import POSTS
from shoal.mine.posts.levels import LevelModel
from shoal.mine.posts.plain_engagement import PlainEngagement, Post, compiled_once, load_plain_engagement
from shoal.mine.posts.rules import POST_FEATURES
from shoal.mine.probability.forests import Growth, grow
from shoal.mine.probability.linear_models import as_linear
from shoal.models.posts import load_engagement, save_engagement

TYPES = (
    "author_id string, created_at timestamp, position bigint, text string, likes bigint, comments bigint, is_video boolean,"
    "has_location boolean, is_verified boolean, followers bigint, following bigint, author_created_at timestamp"
)
TEXTS = [
    "Giveaway today!!! #sun #tea_2 @anna http://x.example HTTPS://Y.example www.z.example WWW.Q. ☀️🎉🇫🇷",
    'RT @bob: "so it is"', "“@carl said it’s ÄÖÜ ΣΑΣ İstanbul ǅ", "sun tea", "tea sun rain ?", "", "   ",
    "naïve cafe\u0301 привет 你好 ½ ² Ⅳ",
    "tab\tnew\nline\u00a0nbsp ① ⓐ ♥ ✈ ©", "x" * 6_000 + " sun",
]  # fmt: skip
START = datetime(2024, 2, 27, 21, 7, 31, 250_000, timezone.utc)


def posts() -> list[Post]:
    """Three authors, one with more than a hundred posts, hidden counts, posts of one moment, unknown facts."""
    draw = np.random.default_rng(5)
    made = []
    for i in range(260):
        author = "a" if i % 2 else ("b" if i % 4 else "c")
        made.append(
            Post(
                author, START + timedelta(hours=7.3 * (i - i % 3)), TEXTS[i % len(TEXTS)],
                None if i % 11 == 0 else int(draw.integers(0, 5_000)), None if i % 3 == 0 else int(draw.integers(0, 50)),
                (True, False, None)[i % 3], (False, None)[i % 2], None, (None, 0, 12_345)[i % 3], 77 if i % 5 else None,
                (None, START - timedelta(days=400), START + timedelta(days=2))[i % 3],
            )
        )  # fmt: skip
    return made[200:] + made[:200]


def level_model(spark: SparkSession, count: str) -> LevelModel:
    """A model of drawn weights over the words of the texts and every number."""
    draw = np.random.default_rng(len(count))
    words = (" ", "sun", "tea", "sun tea", "tea sun", "it’s", "istanbul", "☀", "ⓐ", "привет", "#tea_2 @anna", "giveaway")
    names = list(numbers(count, F.lit(0.0)))
    assert set(POST_FEATURES) < set(names)
    scales = {name: (float(draw.normal()), float(draw.uniform(0.2, 4))) for name in names} | {"is_verified_author": (0.0, 0.0)}
    width = len(words) + len(scales)
    linear = as_linear(spark, draw.normal(0, 0.3, width), 0.1, FEATURES)
    inputs = draw.normal(0, 0.5, (400, len(scales)))
    forest = grow(inputs, inputs[:, 0] * inputs[:, 3] + inputs[:, -1], Growth(12, 5, 3, 1), is_class=False)
    return LevelModel(count, 3.0, Design(words, draw.uniform(0.5, 5, len(words)), scales, (3.0, 1.0)), linear, forest, 0.25)


def saved(spark: SparkSession, folder: Path, counts: tuple[str, ...]) -> Path:
    models = {count: CountModel(level_model(spark, count), np.linspace(0.0, 2.0, 201)) for count in counts}
    nothing = ", ".join(f"{name} string" for name in past_columns(counts) if name != "position")
    past = spark.createDataFrame([], f"position bigint, {nothing}")
    save_engagement(EngagementTraining(models, past, {}), folder)
    return folder


def test_predictions_are_those_of_spark(spark: SparkSession, tmp_path: Path) -> None:
    given, counts = posts(), ("likes", "comments")
    folder = saved(spark, tmp_path / "model", counts)
    models, past, _ = load_engagement(spark, folder)
    rows = [(p.author_id, p.created_at, i, p.text, *(getattr(p, name) for name in POSTS[4:])) for i, p in enumerate(given)]
    frame = spark.createDataFrame(rows, TYPES)
    typed = [F.col(c).cast(dict(frame.dtypes).get(c, "double")).alias(c) for c in past.columns]
    wanted = {row["position"]: row.asDict() for row in score_engagement(frame, past.select(typed), models, 0.8).collect()}
    found = load_plain_engagement(folder).predictions(given, 0.8)
    assert len(found) == len(wanted) == len(given)
    for i, row in enumerate(found):
        assert {name for name, value in row.items() if value is None} == {n for n, v in wanted[i].items() if v is None}
        for name, value in wanted[i].items():
            if name != "position" and value is not None:
                assert row[name] == pytest.approx(value, rel=1e-9, abs=1e-9), (i, name)
    assert max(float(row["posts_known"] or 0) for row in found) > 100


def test_a_post_knows_what_came_before_it_and_nothing_else(spark: SparkSession, tmp_path: Path) -> None:
    model = load_plain_engagement(saved(spark, tmp_path / "model", ("likes",)))
    old, new = Post("a", START, "sun", 400), Post("a", START + timedelta(days=1), "tea")
    alone, other = model.predictions([new], 0.8)[0], model.predictions([new, Post("b", START, "sun", 9_000)], 0.8)[0]
    assert alone == other and alone["posts_known"] == 0
    after = model.predictions([Post("a", START + timedelta(days=2), "rain", 1), new], 0.8)[1]
    assert after == alone
    known = model.predictions([new, old], 0.8)
    assert known[0]["posts_known"] == 1 and known[0]["predicted_likes"] != alone["predicted_likes"]
    # Its own likes are in nothing of it.
    assert known[1]["predicted_likes"] == model.predictions([Post("a", START, "sun", 1)], 0.8)[0]["predicted_likes"]
    assert known[1]["predicted_comments"] is None


def test_damaged_folders_and_those_of_other_tasks_are_named(spark: SparkSession, tmp_path: Path) -> None:
    folder = saved(spark, tmp_path / "model", ("likes",))
    with pytest.raises(InputError, match="nowhere: the model's files are damaged: .*No such file"):
        load_plain_engagement(tmp_path / "nowhere")
    words = (folder / "words.json").read_text(encoding="utf-8")
    (folder / "words.json").write_text(json.dumps({"likes_vocabulary": ["a"]}))
    with pytest.raises(InputError, match="1 terms, 12 and "):
        load_plain_engagement(folder)
    (folder / "words.json").write_text(words, "utf-8")
    assert isinstance(load_plain_engagement(folder), PlainEngagement)
    (folder / "model.json").write_text((folder / "model.json").read_text().replace('"engagement"', '"viral"'))
    with pytest.raises(InputError, match="a model of viral, shoal-parts-1; expected engagement"):
        load_plain_engagement(folder)


def test_scoring_posts_imports_no_spark() -> None:
    """Nor scipy and scikit-learn, which requirements/serve.txt does not have."""
    code = "import sys, shoal.publish.api.server; assert not {'pyspark', 'scipy', 'sklearn', 'mlflow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_numbers_of_characters_in_patterns() -> None:
    assert compiled_once(r"[\x{1F300}-\x{1FAFF}]").findall("a🎉b") == ["🎉"]

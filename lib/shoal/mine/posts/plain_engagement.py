"""A saved model of engagement in numpy: the folder of `shoal.models.posts.save_engagement`, scored without Spark, equal to Spark's
within 1e-9. For posts that are given with what is known of their authors; the model's own past of a file is not read."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from shoal.arrays import Doubles
from shoal.errors import InputError, one_line
from shoal.mine.posts.online import follow_author
from shoal.mine.posts.rules import (
    EMOJI,
    HASHTAG,
    HISTORY_FEATURES,
    LEAST_DEVIATION,
    LETTERLESS,
    LEVEL_POSTS,
    LINK,
    MAX_DEVIATIONS,
    MAX_TEXT_LENGTH,
    MENTION,
    NOT_UPPER,
    NUMBER_SCALE,
    POST_FEATURES,
    QUOTE,
    RELATIVE,
    SPANS,
    TERM,
    WORD,
)
from shoal.mine.probability.plain_forest import Forest, predict, unpacked
from shoal.mine.text.plain_terms import compiled

# As shoal.models.saved_parts writes it.
FORMAT, TASK = "shoal-parts-1", "engagement"
COUNTS = ("likes", "comments")
Numbers = dict[str, float | None]
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Post:
    """A post as it appears. `created_at` has a time zone; None is a number that is not known, of likes and comments a hidden one.
    A post whose likes are known is part of the past of its author's later ones."""

    author_id: str
    created_at: datetime
    text: str = ""
    likes: int | None = None
    comments: int | None = None
    is_video: bool | None = None
    has_location: bool | None = None
    is_verified: bool | None = None
    followers: int | None = None
    following: int | None = None
    author_created_at: datetime | None = None


@dataclass(frozen=True)
class PlainCount:
    """The model of one count: see shoal.mine.posts.levels.LevelModel and shoal.mine.posts.engagement.CountModel; `place`: term to
    column."""

    prior: float
    linear_share: float
    scales: Mapping[str, tuple[float, float]]
    place: Mapping[str, int]
    idf: Doubles
    coefficients: Doubles
    intercept: float
    forest: Forest
    spread: Doubles


@dataclass(frozen=True)
class PlainEngagement:
    """A model a count."""

    counts: Mapping[str, PlainCount]

    def predictions(self, posts: Sequence[Post], coverage: float) -> list[dict[str, float | int | None]]:
        """Of each post, in order: predicted_<count>, <count>_low, <count>_high (counts, from 0), `confidence` of likes, 0 to 1, and
        `posts_known`: how many of the posts are earlier ones of the author whose likes are known.

        Equal to shoal.mine.posts.engagement.score_engagement of these posts without a past: what a post is predicted from appeared
        strictly before it. Values of a count without a model are None. Cost: 1 ms a post.
        """
        rows = _prepared(posts)
        found: list[dict[str, float | int | None]] = [{} for _ in posts]
        for count in COUNTS:
            names = (f"predicted_{count}", f"{count}_low", f"{count}_high")
            if count not in self.counts:
                for row in found:
                    row.update(dict.fromkeys(names))
                continue
            model = self.counts[count]
            expected = _expected(rows, count, model)
            for places in _by_author(posts):
                truth = np.array([_log(getattr(posts[i], count)) for i in places], np.float64)
                recent = np.array([_or(rows[i].numbers[f"{count}_mean_5"], model.prior) for i in places], np.float64)
                moments = np.array([_micros(posts[i].created_at) for i in places], np.int64)
                author = follow_author(moments, truth, expected[places], recent, model.spread, coverage)
                columns = (author.predicted, author.low, author.high, author.confidence)
                for i, *values, confidence in zip(places, *columns, strict=True):
                    found[i].update(zip(names, (math.expm1(value) for value in values), strict=True))
                    if count == "likes":
                        found[i]["confidence"] = float(confidence)
        for row, prepared in zip(found, rows, strict=True):
            row["posts_known"] = prepared.known["likes"]
        return found


def load_plain_engagement(folder: Path) -> PlainEngagement:
    """The model of a folder. Raises InputError, one line, for a folder that does not exist, is damaged, or holds another task's."""
    try:
        about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        if (about["format"], about["task"]) != (FORMAT, TASK):
            raise InputError(f"{folder}: a model of {about['task']}, {about['format']}; expected {TASK}, {FORMAT}: train it again")
        words = json.loads((folder / "words.json").read_text(encoding="utf-8"))
        with np.load(folder / "numbers.npz") as arrays:
            made = {count: _count_model(count, facts, words, arrays) for count, facts in about["counts"].items()}
    except (OSError, ValueError, KeyError, TypeError, IndexError, BadZipFile) as error:
        raise InputError(f"{folder}: the model's files are damaged: {one_line(error)}; train it again") from None
    return PlainEngagement(made)


def _count_model(count: str, facts: Mapping[str, Any], words: Mapping[str, Sequence[str]], arrays: Mapping[str, Any]) -> PlainCount:
    linear = np.asarray(arrays[f"{count}_linear"], np.float64)
    scales = {str(name): (float(mean), float(deviation)) for name, (mean, deviation) in facts["scales"].items()}
    vocabulary = [str(word) for word in words[f"{count}_vocabulary"]]
    idf = np.asarray(arrays[f"{count}_idf"], np.float64)
    if not len(vocabulary) == len(idf) == len(linear) - 1 - len(scales):
        raise ValueError(f"{len(vocabulary)} terms, {len(idf)} and {len(linear)} numbers do not fit together")
    return PlainCount(
        float(facts["prior"]), float(facts["linear_share"]), scales, {word: i for i, word in enumerate(vocabulary)}, idf,
        linear[1:], float(linear[0]), unpacked(np.asarray(arrays[f"{count}_forest"], np.float64)),
        np.asarray(facts["spread"], np.float64),
    )  # fmt: skip


@dataclass
class _Prepared:
    """What models read of a post."""

    terms: frozenset[str]
    numbers: Numbers
    known: dict[str, int] = field(default_factory=dict)


def _prepared(posts: Sequence[Post]) -> list[_Prepared]:
    """Features, the author's past, and terms of each post: shoal.mine.posts.levels.prepare_posts."""
    rows = [_Prepared(_terms(post.text), _post_features(post)) for post in posts]
    for places in _by_author(posts):
        logs: dict[str, list[float]] = {count: [] for count in COUNTS}
        last: datetime | None = None
        for moment, group in groupby(places, key=lambda i: posts[i].created_at):
            here = list(group)
            past = {f"{count}_{name}": value for count in COUNTS for name, value in _history(logs[count]).items()}
            past["days_since_last"] = None if last is None else (_seconds(moment) - _seconds(last)) / 86_400.0
            for i in here:
                rows[i].numbers |= past
                rows[i].known = {count: len(logs[count]) for count in COUNTS}
            for count in COUNTS:
                logs[count] += [math.log1p(value) for i in here if (value := getattr(posts[i], count)) is not None]
            last = moment
    return rows


def _by_author(posts: Sequence[Post]) -> Iterable[list[int]]:
    """The places of each author's posts, in the order of time, then of the posts."""
    found: dict[str, list[int]] = {}
    for i in sorted(range(len(posts)), key=lambda i: (posts[i].created_at, i)):
        found.setdefault(posts[i].author_id, []).append(i)
    return found.values()


def _history(logs: list[float]) -> Numbers:
    """HISTORY_FEATURES of log1p counts in the order of time, and their mean."""
    if not logs:
        return dict.fromkeys(HISTORY_FEATURES)
    twenty = np.asarray(logs[-20:])
    return {
        "last": logs[-1], **{f"mean_{span}": float(np.mean(logs[-span:])) for span in SPANS}, "mean_all": float(np.mean(logs)),
        "deviation_20": float(twenty.std(ddof=1)) if len(twenty) > 1 else None, "maximum_20": float(twenty.max()),
    }  # fmt: skip


def _expected(rows: Sequence[_Prepared], count: str, model: PlainCount) -> Doubles:
    """log1p of the count that the model expects of each post: shoal.mine.posts.levels.with_expected."""
    levels = np.array([_level(row, count, model.prior) for row in rows])
    scaled = np.array([_scaled(row, count, level, model) for row, level in zip(rows, levels, strict=True)])
    words = len(model.idf)
    # Row by row: a product of matrices rounds by how many rows it has.
    linear = (scaled * model.coefficients[words:]).sum(axis=1) + model.intercept
    for i, row in enumerate(rows):
        columns = np.asarray(sorted(model.place[term] for term in row.terms if term in model.place), np.int64)
        weights = model.idf[columns]
        length = float(np.sqrt(weights @ weights))
        if length:
            linear[i] += model.coefficients[columns] @ weights / length
    grown = predict(model.forest, scaled)
    return np.asarray(levels + model.linear_share * linear + (1.0 - model.linear_share) * grown)


def _level(row: _Prepared, count: str, prior: float) -> float:
    """shoal.mine.posts.design.author_level."""
    known = row.known[count]
    if not known:
        return prior
    if known < LEVEL_POSTS:
        return (known * _number(row.numbers[f"{count}_mean_all"]) + (LEVEL_POSTS - known) * prior) / LEVEL_POSTS
    return _number(row.numbers[f"{count}_mean_20"])


def _scaled(row: _Prepared, count: str, level: float, model: PlainCount) -> list[float]:
    """The numbers of a post, scaled and cut, in the order of the model: shoal.mine.posts.design.numbers and with_vectors."""
    numbers = {name: row.numbers[name] for name in POST_FEATURES}
    for name in RELATIVE:
        value = row.numbers[f"{count}_{name}"]
        numbers[name] = None if value is None else value - level
    unseen = max(0.0, (LEVEL_POSTS - row.known[count]) / LEVEL_POSTS)
    days, followers = row.numbers["days_since_last"], row.numbers["followers_log"]
    numbers |= {
        "deviation_20": row.numbers[f"{count}_deviation_20"], "days_since_last_log": None if days is None else math.log1p(days),
        "unseen_share": unseen, "followers_unseen": None if followers is None else unseen * followers,
    }  # fmt: skip
    found = []
    for name, (mean, deviation) in model.scales.items():
        value = numbers[name]
        if deviation <= LEAST_DEVIATION or value is None or math.isnan(value):
            cut = 0.0
        else:
            cut = max(-MAX_DEVIATIONS, min(MAX_DEVIATIONS, (value - mean) / deviation))
        found.append(cut * NUMBER_SCALE)
    return found


def _post_features(post: Post) -> Numbers:
    """POST_FEATURES: shoal.mine.posts.features.with_post_features."""
    text, moment = post.text, post.created_at.astimezone(timezone.utc)
    letters = len(compiled_once(LETTERLESS).sub("", text))
    age = None if post.author_created_at is None else (_seconds(moment) - _seconds(post.author_created_at)) / 86_400.0
    return {
        **_circle("hour", moment.hour + moment.minute / 60.0, 24.0), **_circle("weekday", moment.weekday(), 7.0),
        "is_weekend": float(moment.weekday() >= 5), **_circle("season", moment.timetuple().tm_yday, 365.25),
        "text_length": float(len(text)), "word_count": _matches(text, WORD), "hashtag_count": _matches(text, HASHTAG),
        "mention_count": _matches(text, MENTION), "emoji_count": _matches(text, EMOJI), "link_count": _matches(text, LINK),
        "exclamation_count": float(text.count("!")), "has_question": float("?" in text),
        "is_quote": float(compiled_once(QUOTE).search(text) is not None),
        "upper_share": len(compiled_once(NOT_UPPER).sub("", text)) / max(letters, 1),
        "is_video_post": _flag(post.is_video), "has_place": _flag(post.has_location), "is_verified_author": _flag(post.is_verified),
        "followers_log": _log1p(post.followers), "following_log": _log1p(post.following),
        "account_age_log": math.log1p(age) if age is not None and age >= 0 else None,
    }  # fmt: skip


def _terms(text: str) -> frozenset[str]:
    """Words, pairs of neighbours, and a blank: shoal.mine.posts.design.with_terms."""
    words = compiled_once(TERM).findall(text[:MAX_TEXT_LENGTH].lower())
    return frozenset([" ", *words, *(" ".join(words[i : i + 2]) for i in range(len(words) - 1))])


@cache
def compiled_once(pattern: str) -> Any:
    """A pattern of Java's syntax as Python's, with \\x{...} too."""
    return compiled("".join(part if i % 2 == 0 else chr(int(part, 16)) for i, part in enumerate(_split_numbers(pattern))))


def _split_numbers(pattern: str) -> list[str]:
    """The pattern around its \\x{...}, whose hexadecimal digits stand at odd places."""
    parts = pattern.split("\\x{")
    return [parts[0], *(piece for part in parts[1:] for piece in part.split("}", 1))]


def _matches(text: str, pattern: str) -> float:
    return float(sum(1 for _ in compiled_once(pattern).finditer(text)))


def _circle(name: str, value: float, period: float) -> Numbers:
    angle = value * (2 * 3.141592653589793 / period)
    return {f"{name}_sin": math.sin(angle), f"{name}_cos": math.cos(angle)}


def _flag(value: bool | None) -> float | None:
    return None if value is None else float(value)


def _log1p(value: int | None) -> float | None:
    return None if value is None else math.log1p(value)


def _log(value: int | None) -> float:
    return math.nan if value is None else math.log1p(value)


def _or(value: float | None, instead: float) -> float:
    return instead if value is None else value


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _micros(moment: datetime) -> int:
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _seconds(moment: datetime) -> int:
    return _micros(moment) // 1_000_000

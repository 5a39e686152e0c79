"""What a world states about itself, measured back from the tables that the field would see."""

from __future__ import annotations

import hashlib
import json
import re

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from scipy import optimize, stats
from shoal.simulate import tables
from shoal.simulate.words import ADJECTIVES, TOPICS
from shoal.simulate.world import WorldConf
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from tests.simulate.conftest import World

ROUNDED = {"taste", "quality", "expected_share"}
SMALL = WorldConf(users=300, items=100, events=4_000, texts=200, days=40, seed=11)


def day_after(world: World) -> pd.Timestamp:
    return pd.Timestamp(world.conf.as_of)


def as_set(rows: DataFrame) -> set[str]:
    """The rows, in no order, each as JSON; a doubled row would be lost, so their number is checked."""
    lines = [row[0] for row in rows.selectExpr("to_json(struct(*))").collect()]
    assert len(set(lines)) == len(lines)
    return set(lines)


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("users", "70a9cf2a4a311703"),
        ("items_with_truth", "9935f91bead20aee"),
        ("texts_with_truth", "4bf551bbacdc62bd"),
        ("follows", "31cda4f88c6f4ac5"),
        ("likes", "c2021c926a191972"),
        ("other_events", "c24436c25198e16a"),
    ],
)
def test_the_number_of_partitions_changes_nothing_nor_do_releases(spark: SparkSession, name: str, digest: str) -> None:
    make = getattr(tables, name)
    one, many = as_set(make(spark, SMALL, 1)), as_set(make(spark, SMALL, 7))
    assert one
    assert one == many
    # Worlds of before emotions, moderators, campaigns, conversations and pictures; another digest is another world (CHANGELOG).
    # Without what a processor may round its own way.
    kept = [{key: value for key, value in json.loads(line).items() if key not in ROUNDED} for line in sorted(one)]
    assert hashlib.sha256(json.dumps(kept).encode()).hexdigest()[:16] == digest


def test_another_seed_is_another_world(spark: SparkSession) -> None:
    other = SMALL.model_copy(update={"seed": 12})
    assert not as_set(tables.other_events(spark, SMALL)) & as_set(tables.other_events(spark, other))


def test_a_world_without_events_or_texts(spark: SparkSession) -> None:
    conf = SMALL.model_copy(update={"events": 0, "texts": 0})
    assert tables.events(spark, conf).isEmpty()
    assert tables.texts_with_truth(spark, conf).isEmpty()


def test_the_number_of_events_is_met_to_a_few_percent(world: World) -> None:
    assert len(world.events) == pytest.approx(world.conf.events, rel=0.04)


def test_ids_are_unique_and_refer_to_what_is_there(world: World) -> None:
    users, items = set(world.users.user_id), set(world.items.item_id)
    assert (len(users), len(items)) == (3_000, 1_500)
    assert world.events.event_id.is_unique
    assert world.texts.text_id.is_unique
    assert not world.follows.duplicated(["src", "dst"]).any()
    assert not world.likes.duplicated(["user_id", "item_id"]).any()
    assert set(world.events.user_id) <= users
    assert set(world.follows.src) | set(world.follows.dst) | set(world.texts.author_id) | set(world.items.owner_id) <= users
    assert set(world.events.item_id) | set(world.texts.item_id) <= items
    assert world.assignments.user_id.tolist() == world.users.user_id.tolist()


def test_times_lie_within_the_window_and_after_what_they_need(world: World) -> None:
    start, end = pd.Timestamp("2025-03-02"), day_after(world)
    born = world.items.set_index("item_id").created_at
    for frame, column in ((world.events, "occurred_at"), (world.texts, "created_at")):
        assert frame[column].min() >= start
        assert frame[column].max() < end
        assert (frame[column] >= frame.item_id.map(born)).all()
    assert world.follows.followed_at.max() < end
    assert born.max() < end


def test_every_day_has_as_many_events_as_the_next(world: World) -> None:
    # Young items are passed over, events do not wait for them: a wait would empty the window's beginning.
    days = (world.events[world.events.event != "like"].occurred_at - pd.Timestamp("2025-03-02")).dt.days
    thirds = np.bincount(days // 40)
    assert len(thirds) == 3
    assert thirds / thirds.sum() == pytest.approx([1 / 3] * 3, abs=0.01)  # 102,000 events: a standard error of 0.0015


def test_a_rating_comes_once_and_values_are_in_range(world: World) -> None:
    ratings = world.events[world.events.event == "rating"]
    assert not ratings.duplicated(["user_id", "item_id"]).any()
    assert set(ratings.value) == set(np.arange(0.5, 5.1, 0.5))
    purchases = world.events[world.events.event == "purchase"]
    price = world.items.set_index("item_id").price_usd
    assert (purchases.value == purchases.item_id.map(price)).all()
    assert world.events[~world.events.event.isin(["rating", "purchase"])].value.isna().all()
    assert (world.items.price_usd.notna() == (world.items.kind == "product")).all()


def fitted_tail(values: pd.Series) -> float:
    """Oracle: the maximum likelihood tail of scipy's truncated Pareto, scale and bound from the sample's ends."""
    scaled = (values / values.min()).to_numpy()
    law = stats.truncpareto
    return optimize.minimize_scalar(
        lambda tail: -law.logpdf(scaled, tail, scaled.max() * 1.001).mean(), bounds=(0.5, 4), method="bounded"
    ).x


def test_activity_has_the_planted_tail(world: World) -> None:
    # Own events per user; users with few events are too coarse for a continuous law and left out.
    own = world.likes[world.likes.generation == 0]
    counts = pd.concat([world.events[world.events.event != "like"], own]).user_id.value_counts()
    assert fitted_tail(counts[counts >= 20]) == pytest.approx(world.conf.activity_tail, abs=0.12)


def test_popularity_has_the_planted_tail(world: World) -> None:
    # Items that were there all the time and are no spam: the others have less of what is planted.
    items = world.items[(world.items.created_at < pd.Timestamp("2025-03-02")) & ~world.items.is_spam]
    counts = world.events.item_id.value_counts().reindex(items.item_id, fill_value=0)
    assert fitted_tail(counts[counts >= counts.median()]) == pytest.approx(world.conf.popularity_tail, abs=0.2)
    assert world.items.expected_share.sum() == pytest.approx(1)
    assert stats.spearmanr(counts, items.expected_share).statistic > 0.75


def test_mu_is_found_in_the_follows(world: World) -> None:
    home = world.users.set_index("user_id").community_id
    crosses = world.follows.src.map(home).to_numpy() != world.follows.dst.map(home).to_numpy()
    assert crosses.mean() == pytest.approx(world.conf.mu, abs=0.02)


def test_people_prefer_items_near_their_taste(world: World) -> None:
    tastes, items = world.users.set_index("user_id").taste, world.items.set_index("item_id").taste
    events = world.events[world.events.event != "like"].sample(20_000, random_state=0)
    affinity = np.einsum("ni,ni->n", np.stack(events.user_id.map(tastes)), np.stack(events.item_id.map(items)))
    shuffled = events.item_id.sample(frac=1, random_state=1)
    by_chance = np.einsum("ni,ni->n", np.stack(events.user_id.map(tastes)), np.stack(shuffled.map(items)))
    assert affinity.mean() > by_chance.mean() + 0.3
    rated = (events.event == "rating").to_numpy()
    assert np.corrcoef(affinity[rated], events.value[rated])[0, 1] > 0.15


def test_the_shift_has_the_planted_date_and_size(world: World) -> None:
    after = world.events.occurred_at >= day_after(world) - pd.Timedelta(days=30)
    rated = world.events.event == "rating"
    before_mean, after_mean = (world.events.value[rated & when].mean() for when in (~after, after))
    # Stars end at 0.5 and 5, which takes a little off the difference.
    assert after_mean - before_mean == pytest.approx(world.conf.rating_shift, abs=0.07)

    seen = world.events.event.isin(["view", "click"])
    saved = world.events.event == "save"
    other = world.events.event.isin(["comment", "share"])
    # Comments and shares keep their chance, so they are the yardstick for what was lost.
    ratio = (seen[after].sum() / other[after].sum()) / (seen[~after].sum() / other[~after].sum())
    assert 1 - ratio == pytest.approx(world.conf.mix_shift, abs=0.05)
    assert saved[after].mean() > 2 * saved[~after].mean()

    hours = [world.events.occurred_at[when].dt.hour.value_counts(normalize=True).sort_index() for when in (~after, after)]
    turned = {shift: np.abs(np.roll(hours[0], shift) - hours[1]).sum() for shift in range(24)}
    assert min(turned, key=turned.__getitem__) == world.conf.hour_shift
    day_before = (world.events.occurred_at >= day_after(world) - pd.Timedelta(days=60)) & ~after
    assert world.events.value[rated & day_before].mean() == pytest.approx(before_mean, abs=0.05)


def test_the_experiment_has_the_planted_lift(world: World) -> None:
    variant = world.assignments.set_index("user_id").variant
    assert variant.value_counts(normalize=True)["treatment"] == pytest.approx(0.5, abs=0.03)
    seen = world.events[world.events.event.isin(["view", "click"])]
    end = day_after(world) - pd.Timedelta(days=30)
    runs = (seen.occurred_at >= end - pd.Timedelta(days=30)) & (seen.occurred_at < end)
    treated = seen.user_id.map(variant) == "treatment"
    clicked = seen.event == "click"

    def rate(chosen: pd.Series) -> tuple[float, float]:
        """Click rate and its standard error."""
        p = clicked[chosen].mean()
        return p, float(np.sqrt(p * (1 - p) / chosen.sum()))

    (control, control_error), (treatment, treatment_error) = rate(runs & ~treated), rate(runs & treated)
    error = np.hypot(control_error, treatment_error)
    planted = world.conf.click_rate * world.conf.lift
    assert treatment - control == pytest.approx(planted, abs=2.6 * error)
    assert treatment - control > 2.6 * error
    (outside_control, e1), (outside_treatment, e2) = rate(~runs & ~treated), rate(~runs & treated)
    assert outside_treatment - outside_control == pytest.approx(0, abs=2.6 * np.hypot(e1, e2))
    assert outside_control == pytest.approx(world.conf.click_rate, abs=2.6 * e1)


def test_likes_follow_the_likes_of_those_one_follows(world: World) -> None:
    # For each like of a followee: does the follower like the same item within five days after it, and before it? Taste is
    # the same in both directions, so the difference is what spread.
    end, horizon = day_after(world), pd.Timedelta(days=5)
    old = world.follows[world.follows.followed_at < pd.Timestamp("2025-03-02")]
    likes = world.likes[["user_id", "item_id", "occurred_at"]]
    exposed = old.merge(likes[likes.occurred_at < end - horizon], left_on="dst", right_on="user_id")
    both = exposed.merge(likes.rename(columns={"user_id": "src", "occurred_at": "liked_at"}), on=["src", "item_id"], how="left")
    gap = both.liked_at - both.occurred_at
    after = ((gap > pd.Timedelta(0)) & (gap <= horizon)).mean()
    before = ((gap < pd.Timedelta(0)) & (gap >= -horizon)).mean()
    error = np.sqrt((after + before) / len(both))
    assert after - before == pytest.approx(world.conf.transmission_rate, abs=4 * error + 0.004)


def test_a_spread_like_comes_after_the_parents_like_along_a_follow(world: World) -> None:
    spread = world.likes[world.likes.generation > 0]
    assert len(spread) > 1_000
    parents = spread.merge(world.likes, left_on=["parent_id", "item_id"], right_on=["user_id", "item_id"], suffixes=("", "_p"))
    assert len(parents) == len(spread)
    assert (parents.occurred_at > parents.occurred_at_p).all()
    pairs = set(zip(world.follows.src, world.follows.dst, strict=True))
    assert set(zip(spread.user_id, spread.parent_id, strict=True)) <= pairs
    assert world.likes[world.likes.generation == 0].parent_id.isna().all()


def test_texts_carry_a_sentiment_that_can_be_learned_but_not_perfectly(world: World) -> None:
    genuine = world.texts[~world.texts.is_spam]
    labelled = genuine[genuine.label.notna()]
    assert len(labelled) / len(genuine) == pytest.approx(world.conf.label_share, abs=0.03)
    assert (labelled.label != labelled.sentiment).mean() == pytest.approx(world.conf.label_noise, abs=0.015)
    # Oracle: scikit-learn's bag of words; one label in twenty is wrong and words mislead.
    words = CountVectorizer(min_df=2).fit_transform(labelled.text)
    accuracy = cross_val_score(LogisticRegression(max_iter=500), words, labelled.label, cv=3).mean()
    assert 0.75 < accuracy < 0.95


def test_sentiment_words_mislead_as_often_as_planted(world: World) -> None:
    sentiment_of = {word: name for name, words in ADJECTIVES.items() for word in words}
    genuine = world.texts[~world.texts.is_spam]
    said = genuine.text.str.extractall(r"seemed (?P<strength>not at all|\w+) (?P<word>\w+)\.").reset_index(level=1)
    said = said[said.strength != "not at all"].join(genuine.sentiment)
    assert len(said) > 5_000
    assert (said.word.map(sentiment_of) != said.sentiment).mean() == pytest.approx(world.conf.word_noise, abs=0.015)
    # The true sentiments: three of ten negative, a quarter neutral.
    assert genuine.sentiment.value_counts(normalize=True).to_dict() == pytest.approx(
        {"positive": 0.45, "negative": 0.30, "neutral": 0.25}, abs=0.025
    )


def test_spam_reads_like_spam_and_has_no_label(world: World) -> None:
    assert world.texts.is_spam.mean() == pytest.approx(world.conf.spam_share, abs=0.015)
    assert world.texts.label[world.texts.is_spam].isna().all()
    assert world.texts.text[world.texts.is_spam].str.contains("!!!").all()
    assert not world.texts.text[~world.texts.is_spam].str.contains("!!!").any()
    posts = world.items[world.items.kind == "post"]
    assert posts.is_spam.mean() == pytest.approx(world.conf.spam_share, abs=0.02)
    seen = world.events.item_id.value_counts().reindex(posts.item_id, fill_value=0).to_numpy() / posts.expected_share
    assert seen[posts.is_spam.to_numpy()].mean() < 0.7 * seen[~posts.is_spam.to_numpy()].mean()


def test_items_talk_about_their_topic_with_its_hashtags(world: World) -> None:
    topics = {topic.name: topic for topic in TOPICS}
    genuine = world.items[~world.items.is_spam]
    for topic, text, hashtags, title, categories in zip(
        genuine.topic, genuine.text, genuine.hashtags, genuine.title, genuine.categories, strict=True
    ):
        assert set(hashtags) <= set(topics[topic].hashtags)
        assert 1 <= len(hashtags) <= 3
        assert re.findall(r"#(\w+)", text) == list(hashtags)
        assert any(noun in text for noun in topics[topic].nouns)
        assert title.split()[0].lower() in ADJECTIVES["neutral"]
        assert list(categories) == [topic]


@pytest.mark.parametrize("kind", ["nouns", "actions", "hashtags"])
def test_topics_have_equally_many_words_of_a_kind(kind: str) -> None:
    assert len({len(getattr(topic, kind)) for topic in TOPICS}) == 1
    words = [word for topic in TOPICS for word in getattr(topic, kind)]
    assert all(words)

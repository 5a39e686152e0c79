"""Emotions, moderators, campaigns, conversations and pictures of a world that asks for them, measured back from its tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pyspark.sql import SparkSession
from shoal.simulate import tables
from shoal.simulate.moderators import decisions_about
from shoal.simulate.pictures import picture, pictures
from shoal.simulate.words import EMOTIONS, EMOTIONS_BY_SENTIMENT, FEELINGS, SPAM_FAREWELLS, TOPICS
from shoal.simulate.world import WorldConf
from shoal.simulate.write import FOLDERS, write_world

PLANTED = {
    "emotion_share": 0.6, "quiet_spam_share": 0.4, "moderated_share": 0.5, "verdict_noise": 0.1, "campaign_share": 0.04,
    "conversation_share": 0.2, "pictures": 12, "copied_pictures": 2, "broken_pictures": 1,
}  # fmt: skip
CONF = WorldConf(users=300, items=100, events=0, texts=4_000, seed=9, **PLANTED)


@pytest.fixture(scope="module")
def texts(spark: SparkSession) -> pd.DataFrame:
    """4,000 texts of one world, in 3 partitions."""
    return tables.texts_with_truth(spark, CONF, 3).toPandas()


def test_partitions_change_nothing(spark: SparkSession, texts: pd.DataFrame) -> None:
    again = tables.texts_with_truth(spark, CONF, 1).toPandas()
    both = [rows.sort_values("text_id", ignore_index=True) for rows in (texts, again)]
    pd.testing.assert_frame_equal(*both)
    assert tuple(texts.columns[:10]) == tables.text_columns(CONF) == (
        "text_id", "kind", "author_id", "item_id", "text", "label", "emotion_label", "moderation_label", "conversation_id",
        "created_at",
    )  # fmt: skip


def test_emotions_go_with_sentiments_and_are_labelled_with_the_planted_noise(texts: pd.DataFrame) -> None:
    genuine = texts[~texts.is_spam]
    assert texts.emotion[texts.is_spam].isna().all()
    assert texts.emotion_label[texts.is_spam].isna().all()
    assert set(genuine.emotion) == set(EMOTIONS)
    assert (genuine.emotion != "neutral").mean() == pytest.approx(0.6, abs=0.03)
    felt = genuine[genuine.emotion != "neutral"]
    assert {name: set(part) for name, part in felt.groupby("sentiment").emotion} == {
        name: set(emotions) for name, emotions in EMOTIONS_BY_SENTIMENT.items()
    }
    labelled = genuine[genuine.emotion_label.notna()]
    assert len(labelled) / len(genuine) == pytest.approx(CONF.label_share, abs=0.03)
    assert (labelled.emotion_label != labelled.emotion).mean() == pytest.approx(CONF.label_noise, abs=0.015)
    # Who labels an emotion says nothing of who labels a sentiment.
    assert pd.crosstab(genuine.label.isna(), genuine.emotion_label.isna(), normalize=True).min().min() > 0.06


def test_words_of_emotions_mislead_as_often_as_planted(texts: pd.DataFrame) -> None:
    emotion_of = {word: name for name, words in FEELINGS.items() for word in words}
    said = texts.text.str.extract(r"I felt \w+ (\w+)\.")[0]
    shown = said.notna()
    assert (shown == ~texts.emotion.isin(["neutral", None])).all()
    assert (said[shown].map(emotion_of) != texts.emotion[shown]).mean() == pytest.approx(CONF.word_noise, abs=0.02)


def test_moderators_are_right_about_nine_in_ten_of_the_half_that_they_met(texts: pd.DataFrame) -> None:
    met = texts[texts.moderation_label.notna()]
    assert len(met) / len(texts) == pytest.approx(0.5, abs=0.025)
    assert set(met.moderation_label) == {"allowed", "removed"}
    assert ((met.moderation_label == "removed") != met.is_spam).mean() == pytest.approx(0.1, abs=0.02)


def test_quiet_spam_reads_like_a_text_with_a_call(texts: pd.DataFrame) -> None:
    spam = texts[texts.is_spam & texts.campaign_id.isna()]
    quiet = ~spam.text.str.endswith("!!!")
    assert quiet.mean() == pytest.approx(0.4, abs=0.1)  # some 200 spam texts
    assert spam.text[quiet].str.contains(" seemed ").all()
    assert not texts.text[~texts.is_spam].str.contains("easy-cash|free-prizes|DM me|link in bio").any()


def test_a_campaign_is_one_text_but_for_its_last_word(texts: pd.DataFrame) -> None:
    campaign = texts[texts.campaign_id.notna()]
    assert campaign.is_spam.all()
    assert campaign.groupby("campaign_id").size().tolist() == [8] * 20
    said = campaign.text.str.rsplit(" ", n=1)
    assert campaign.assign(stem=said.str[0]).groupby("campaign_id").stem.nunique().tolist() == [1] * 20
    assert set(said.str[1].str.removesuffix("!!!")) == set(SPAM_FAREWELLS)
    assert (campaign.groupby("campaign_id").author_id.nunique() >= 5).all()


def test_a_conversation_is_about_one_item_in_the_order_of_its_places(texts: pd.DataFrame) -> None:
    talk = texts[texts.conversation_id.notna()].sort_values(["conversation_id", "place"])
    assert talk.conversation_id.nunique() == 200  # 4,000 * .2 * 2 / (2 + 6)
    assert (talk.groupby("conversation_id").item_id.nunique() == 1).all()
    step = talk.groupby("conversation_id").created_at.diff().dropna().dt.total_seconds()
    assert (step >= 1).all()
    assert step.mean() == pytest.approx(CONF.reply_minutes * 60, rel=0.15)
    assert (talk.created_at < pd.Timestamp(CONF.as_of)).all()
    replies = talk[talk.place > 0].merge(talk, left_on="reply_to", right_on="text_id", suffixes=("", "_of"))
    assert len(replies) == (talk.place > 0).sum() > 400
    assert (replies.conversation_id == replies.conversation_id_of).all()
    assert (replies.place > replies.place_of).all()
    assert (replies.kind == "comment").all()
    assert texts.reply_to[(texts.place == 0)].isna().all()


def test_moderators_decide_about_their_share_of_posts(spark: SparkSession) -> None:
    posts = tables.items_with_truth(spark, CONF.model_copy(update={"items": 2_000})).where("kind = 'post'").persist()
    every = {tuple(row) for row in decisions_about(posts, CONF, 1.0).collect()}
    half = {tuple(row) for row in decisions_about(posts, CONF, 0.5).collect()}
    spam = {row["item_id"] for row in posts.where("is_spam").select("item_id").collect()}
    posts.unpersist()
    assert half < every
    assert len({item for item, *_ in half}) / len({item for item, *_ in every}) == pytest.approx(0.5, abs=0.12)  # 190 posts
    # What is no spam was removed by mistake, and is back.
    assert {item for item, verdict, _ in every if verdict == "restored"} == {item for item, *_ in every} - spam


@pytest.fixture(scope="module")
def everything(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, WorldConf, dict[str, Any]]:
    """A tiny world with everything on disk, in the folders raw and truth, and what write_world said."""
    folder = tmp_path_factory.mktemp("everything")
    (folder / "raw" / "pictures").mkdir(parents=True)
    (folder / "raw" / "pictures" / "old.png").write_bytes(b"of an earlier world")
    conf = WorldConf(users=40, items=60, events=0, texts=60, follows_per_user=1.0, days=20, seed=9, **PLANTED)
    return folder, conf, write_world(spark, conf, folder / "raw", folder / "truth", partitions=1)


def test_moderators_and_pictures_have_folders(everything: tuple[Path, WorldConf, dict[str, Any]]) -> None:
    folder, conf, facts = everything
    assert sorted(p.name for p in (folder / "raw").iterdir()) == sorted({*FOLDERS, "moderation", "pictures"} - {"events"})
    assert facts["files"]["pictures"] == {"rows": 12, "spoiled": 0}
    assert (facts["campaigns"], facts["conversations"]) == (0, 3)
    decided = (folder / "raw" / "moderation" / "part-00000.csv").read_text(encoding="utf-8").splitlines()
    assert decided[0] == "item_id,verdict,decided_at"
    assert len(decided) == 1 + facts["files"]["moderation"]["rows"] > 1
    assert decided[1][-1] == "Z"
    lines = (folder / "raw" / "texts" / "part-00000.jsonl").read_text(encoding="utf-8").splitlines()
    assert list(json.loads(lines[0])) == list(tables.text_columns(conf))


def test_pictures_show_their_topic_a_copy_is_lighter_and_a_broken_one_ends_early(
    spark: SparkSession, everything: tuple[Path, WorldConf, dict[str, Any]]
) -> None:
    folder, conf, _ = everything
    held = {row["item_id"]: row for row in pictures(spark, conf, 2).collect()}
    written = spark.read.parquet(str(folder / "truth" / "pictures")).collect()
    assert set(map(tuple, written)) == set(map(tuple, held.values()))
    files = {path.stem: path for path in (folder / "raw" / "pictures").iterdir()}
    assert set(files) == set(held)
    assert sum(row["copied_from"] is not None for row in held.values()) == 2
    topics, broken = [topic.name for topic in TOPICS], []
    for name, row in held.items():
        if row["is_broken"]:
            broken.append(files[name])
            continue
        wanted = np.asarray(picture(topics.index(row["topic"]), row["shown"])).astype(int)
        if row["copied_from"] is not None:
            source = held[row["copied_from"]]
            assert (source["shown"], source["topic"], source["copied_from"]) == (row["shown"], row["topic"], None)
            wanted = np.minimum(wanted + 10, 255)
        with Image.open(files[name]) as shown:
            assert (np.asarray(shown) == wanted).all()
    assert len(broken) == 1
    with pytest.raises(OSError, match="truncated"), Image.open(broken[0]) as cut:
        cut.load()

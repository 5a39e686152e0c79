"""What is planted in the demo's world, and how much of it the demo's jobs find again.

The world of `shoal demo` is written and ingested, and the jobs that are asked run on it as they do there, with their usual settings
and no others tried; then their tables are compared with the truth, which no job reads. Each score is of what no model has
learned from: texts whose label was withheld, posts that no moderator has met.
"""

from __future__ import annotations

import itertools
import math
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import SparkSession
from shoal.cli.jobs import DEMO_SETS, DEMO_SOURCES
from shoal.conf.loading import load
from shoal.lake.lake import Lake, Run
from shoal.runner.execute import execute
from shoal.runner.job import find_job
from shoal.simulate.world import DEMO_AS_OF, demo_world
from shoal.simulate.write import write_world
from sklearn.metrics import f1_score, normalized_mutual_info_score

JOBS = ("build_images", "train_sentiment", "train_emotion", "train_moderation", "score_texts", "moderate_items",
        "summarise_conversations", "find_near_duplicates", "find_topics")  # fmt: skip
Pairs = set[tuple[str, str]]


def run(spark: SparkSession) -> list[dict[str, Any]]:
    """Rows of each planted thing. Collects tables of the demo's size."""
    settings = load(sets=list(DEMO_SETS))
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_world(spark, demo_world(), root / "raw", root / "raw-truth")
        given = [{"source": source, "input": str(root / "raw" / folder)} for source, folder in DEMO_SOURCES.items()]
        for job, extras in [*(("ingest_files", one) for one in given), *((job, {}) for job in JOBS)]:
            result = execute(spark, find_job(job), settings, root, DEMO_AS_OF, extras)
            assert result.status == "succeeded", (job, result.message)
        return scores(Lake(spark, root, settings, Run("bench", "bench")), root / "raw-truth")


def scores(lake: Lake, truth: Path) -> list[dict[str, Any]]:
    """The rows, of the lake that the demo left and the truth of its world."""
    texts, items, pictures = (
        lake.spark.read.parquet(str(truth / name)).toPandas() for name in ("texts", "items", "pictures")
    )
    pairs = table(lake, "gold.near_duplicates")
    words, alike = (pairs[pairs["kind"] == kind] for kind in ("text", "image"))
    images = table(lake, "features.images")
    item_of = images.set_index("image_id")["item_id"]
    found_copies = {ordered(item_of[a], item_of[b]) for a, b in zip(alike["id"], alike["other_id"], strict=True)}
    copies = pictures.dropna(subset="copied_from")
    planted_copies = {ordered(a, b) for a, b in zip(copies["item_id"], copies["copied_from"], strict=True)}
    return [
        *label_rows(table(lake, "gold.sentiments"), texts),
        *spam_rows(table(lake, "gold.moderation"), table(lake, "silver.moderation"), items),
        held_out_row(lake),
        conversation_row(table(lake, "gold.conversations"), texts),
        *pair_rows("campaigns: pairs of texts of one campaign", pairs_within(texts, "campaign_id"),
                   {ordered(a, b) for a, b in zip(words["id"], words["other_id"], strict=True)}),
        *pair_rows("copied pictures: pairs", planted_copies, found_copies),
        broken_row(images, pictures),
        topic_row(table(lake, "gold.topics"), texts),
    ]  # fmt: skip


def table(lake: Lake, name: str) -> pd.DataFrame:
    """The newest rows of a table; of one with versions the current ones."""
    rows = lake.read_current(name)
    return (rows.where("is_current") if "is_current" in rows.columns else rows).toPandas()


def row(what: str, ours: float, note: str, peer: float | None = None, unit: str = "") -> dict[str, Any]:
    """A row of the page; the peer is what a guess without any model reaches."""
    ratio = ours / peer if peer else None
    return {"what": what, "ours": ours, "peer": peer, "ratio": ratio, "unit": unit, "target": "", "note": note}


def label_rows(scored: pd.DataFrame, texts: pd.DataFrame) -> list[dict[str, Any]]:
    """Sentiment and emotion of genuine texts without a label: macro-F1 against what the author meant."""
    both = texts[~texts["is_spam"]].merge(scored, on="text_id", suffixes=("", "_scored"))
    rows = []
    for truth, given, guess in (("sentiment", "label", "label_scored"), ("emotion", "emotion_label", "emotion_scored")):
        unseen = both[both[given].isna()]
        commonest = unseen[truth].mode()[0]
        ours = f1_score(unseen[truth], unseen[guess], average="macro")
        peer = f1_score(unseen[truth], [commonest] * len(unseen), average="macro")
        note = f"{len(unseen):,} texts whose label was withheld; peer: always {commonest}"
        rows.append(row(f"{truth} of texts without a label", ours, note, peer, "macro-F1"))
    return rows


def spam_rows(judged: pd.DataFrame, decided: pd.DataFrame, items: pd.DataFrame) -> list[dict[str, Any]]:
    """Spam among the posts that no moderator has met: what is removed, and what is removed or put before a person."""
    unmet = items[(items["kind"] == "post") & ~items["item_id"].isin(decided["item_id"])]
    spam, rows = set(unmet.loc[unmet["is_spam"], "item_id"]), []
    for what, actions in (("removed", ["remove"]), ("removed or in the queue", ["remove", "review"])):
        caught = set(judged.loc[judged["action"].isin(actions), "item_id"]) & set(unmet["item_id"])
        right = len(caught & spam)
        note = f"of {len(unmet)} posts that no moderator has met"
        rows.append(row(f"spam posts {what}: precision", share(right, len(caught)), f"{right} of {len(caught)}, {note}",
                        len(spam) / len(unmet), "share"))  # fmt: skip
        rows.append(row(f"spam posts {what}: recall", share(right, len(spam)), f"{right} of {len(spam)}, {note}", None, "share"))
    return rows


def held_out_row(lake: Lake) -> dict[str, Any]:
    """The F1 of `removed` on texts and items that the training of moderation held out."""
    found = table(lake, "ops.model_metrics")
    of_task = found[(found["task"] == "moderation") & (found["slice"] == "label=removed") & (found["metric"] == "f1")]
    ours = of_task.loc[of_task["model"] == "linear", "value"].iloc[0]
    rows = int(of_task["units"].iloc[0])
    return row("spam texts and posts held out in training", ours, f"{rows} held-out texts and posts with a verdict", None, "F1")


def conversation_row(found: pd.DataFrame, texts: pd.DataFrame) -> dict[str, Any]:
    """The share of the planted conversations whose row says what the truth says: texts, people, turns, replies, both times, and the
    median time to a reply."""
    planted = {name: summary(part) for name, part in texts.dropna(subset="conversation_id").groupby("conversation_id")}
    names = ["text_count", "participant_count", "turn_count", "reply_count", "started_at", "ended_at"]
    made = {}
    for one in found.to_dict("records"):
        median = None if pd.isna(one["median_reply_seconds"]) else one["median_reply_seconds"]
        made[one["conversation_id"]] = (*(one[name] for name in names), median)
    right = sum(made.get(name) == facts for name, facts in planted.items())
    others = len(set(made) - set(planted))
    note = f"{right} of {len(planted)}: texts, people, turns, replies, times, median reply; {others} others found"
    return row("conversations found exactly", share(right, len(planted)), note, None, "share")


def summary(part: pd.DataFrame) -> tuple[Any, ...]:
    """What a conversation's row is to say, from its texts in the order in which they were planted."""
    part = part.sort_values("place")
    authors, times = part["author_id"].tolist(), part["created_at"].tolist()
    steps = zip(authors, authors[1:], times, times[1:], strict=False)
    replies = sorted((after - before).total_seconds() for one, other, before, after in steps if one != other)
    median = replies[math.ceil(len(replies) / 2) - 1] if replies else None
    return len(part), len(set(authors)), 1 + len(replies), len(replies), times[0], times[-1], median


def pairs_within(rows: pd.DataFrame, group: str) -> Pairs:
    """All pairs of text_id of one group."""
    parts = rows.dropna(subset=group).groupby(group)["text_id"]
    return {ordered(a, b) for _, part in parts for a, b in itertools.combinations(part, 2)}


def ordered(a: str, b: str) -> tuple[str, str]:
    """The pair, the smaller id first."""
    return (a, b) if a < b else (b, a)


def pair_rows(what: str, planted: Pairs, found: Pairs) -> list[dict[str, Any]]:
    """Recall and precision of found pairs."""
    right = len(planted & found)
    return [
        row(f"{what}: recall", share(right, len(planted)), f"{right} of {len(planted)} planted pairs", None, "share"),
        row(f"{what}: precision", share(right, len(found)), f"{right} of {len(found)} found pairs", None, "share"),
    ]


def broken_row(images: pd.DataFrame, pictures: pd.DataFrame) -> dict[str, Any]:
    """The share of pictures whose status says rightly whether their file is broken."""
    broken = pictures.set_index("item_id")["is_broken"]
    said = images.set_index("item_id")["status"] != "ok"
    right = int((said.reindex(broken.index) == broken).sum())
    note = f"{right} of {len(broken)} pictures, {int(broken.sum())} of them broken: " + ", ".join(
        f"{count} {status}" for status, count in sorted(Counter(images["status"]).items())
    )
    return row("broken pictures told from sound ones", share(right, len(broken)), note, None, "share")


def topic_row(topics: pd.DataFrame, texts: pd.DataFrame) -> dict[str, Any]:
    """Normalised mutual information of the planted topics of genuine texts and the found topic whose terms, with their weights,
    make their words most probable; a text without any term is left out."""
    genuine = texts[~texts["is_spam"]]
    names = sorted({term for terms in topics["terms"] for term in terms})
    place = {name: n for n, name in enumerate(names)}
    weights = np.full((len(topics), len(names)), 1e-4)
    for n, (terms, values) in enumerate(zip(topics["terms"], topics["weights"], strict=True)):
        weights[n, [place[term] for term in terms]] += values
    log = np.log(weights)
    planted, guessed = [], []
    for text, topic in zip(genuine["text"], genuine["topic"], strict=True):
        known = [place[word] for word in words_of(text) if word in place]
        if known:
            planted.append(topic)
            guessed.append(int(log[:, known].sum(axis=1).argmax()))
    counts: dict[int, Counter[str]] = {n: Counter() for n in range(len(topics))}
    for topic, guess in zip(planted, guessed, strict=True):
        counts[guess][topic] += 1
    pure = sum(max(found.values(), default=0) for found in counts.values())
    purity = share(pure, len(planted))
    note = f"{len(topics)} topics found, {len(set(planted))} planted; purity {purity:.3f}; {len(planted):,} texts"
    return row("topics of texts", normalized_mutual_info_score(planted, guessed), note, None, "NMI")


def words_of(text: str) -> Iterable[str]:
    """Words in lower case, without what stands around them."""
    return (word.strip(".,!?-#") for word in text.lower().split())


def share(part: int, whole: int) -> float:
    """A share; 0 of nothing."""
    return part / whole if whole else 0.0

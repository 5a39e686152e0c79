"""Sentiment: the text classifier beside the vader lexicon, macro-F1 on vader's human-rated sentences.

A sentence is positive where its mean rating is above 0. A fifth is held out by the review part of the id (what stands before
`_`; each of the movie snippets has an id of its own, so there it is the row). The peer reads the lexicon with the rules of
Hutto and Gilbert (ICWSM 2014, section 3.3): negation, intensifiers, capitals, exclamation marks, the clause after "but".
It gets what a lexicon can be given: the cut between positive and negative is the best one on the training part.
"""

from __future__ import annotations

import math
import re
import time
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from shoal.conf.loading import load
from shoal.mine.text.classifier import train_classifier
from shoal.mine.text.parts import Plan
from shoal.mine.text.split import is_held_out
from shoal.models.text_classifiers import plan_of

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "vader"
SETS = {"movie snippets": "movieReviewSnippets_GroundTruth.txt", "Amazon snippets": "amazonReviewSnippets_GroundTruth.txt"}
_NEGATIONS = """aint arent cannot cant couldnt darent didnt doesnt dont hadnt hasnt havent isnt mightnt mustnt neither never
none nope nor not nothing nowhere oughtnt shant shouldnt uhuh wasnt werent without wont wouldnt rarely seldom despite"""
_STRONGER = """absolutely amazingly awfully completely considerably decidedly deeply enormously entirely especially exceptionally
extremely fabulously fully greatly highly hugely incredibly intensely majorly more most particularly purely quite really
remarkably so substantially thoroughly totally tremendously unbelievably unusually utterly very"""
_WEAKER = "almost barely hardly kinda less little marginally occasionally partly scarcely slightly somewhat sorta"
NEGATIONS, STRONGER, WEAKER = (frozenset(words.split()) for words in (_NEGATIONS, _STRONGER, _WEAKER))
BOOST, CAPITALS, NEGATED = 0.293, 0.733, -0.74


def run(spark: SparkSession) -> list[dict[str, Any]]:
    """One row a set: macro-F1 of both on the same held-out sentences."""
    plan = plan_of(load().train_sentiment)
    lexicon = read_lexicon(FOLDER / "vader_lexicon.txt")
    return [measure(spark, name, FOLDER / file, lexicon, plan) for name, file in SETS.items()]


def measure(spark: SparkSession, name: str, path: Path, lexicon: dict[str, float], plan: Plan) -> dict[str, Any]:
    """Train on four fifths, judge both on the rest."""
    sentences = read_sentences(spark, path).persist()
    start = time.perf_counter()
    training = train_classifier(sentences, plan)
    seconds = time.perf_counter() - start
    held_out = is_held_out(F.col("group"), plan.test_ratio, plan.seed, "test")
    rows = sentences.select("text", "label", held_out.alias("is_test")).collect()
    sentences.unpersist()
    scored = [(score(row["text"], lexicon), row["label"], row["is_test"]) for row in rows]
    train = [(value, label) for value, label, is_test in scored if not is_test]
    test = [(value, label) for value, label, is_test in scored if is_test]
    assert len(test) == training.quality.rows
    cut = max([0.0, *(i / 50 for i in range(-25, 26))], key=lambda at: macro_f1(train, at))
    ours, peer = training.quality.macro_f1, macro_f1(test, cut)
    note = f"{len(test)} sentences held out; cut at 0: {macro_f1(test, 0.0):.4f}, majority: {training.baseline.macro_f1:.4f}"
    return {
        "what": f"{name}: macro-F1 of held-out sentences", "ours": ours, "peer": peer, "ratio": ours / peer, "unit": "macro-F1",
        "target": "> the vader lexicon", "note": f"{note}; trained on {training.train_rows} in {seconds:.1f} s",
    }  # fmt: skip


def read_sentences(spark: SparkSession, path: Path) -> DataFrame:
    """Columns text, label and group of a file of id, mean rating and text, divided by tabs."""
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        if line.strip():
            number, rating, text = line.rstrip("\r").split("\t", 2)
            rows.append((text, "positive" if float(rating) > 0 else "negative", number.split("_")[0]))
    return spark.createDataFrame(rows, "text string, label string, group string")


def read_lexicon(path: Path) -> dict[str, float]:
    """Mean rating of each word."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return {word: float(rating) for word, rating, *_ in (line.split("\t") for line in lines if line.strip())}


def score(text: str, lexicon: dict[str, float]) -> float:
    """The compound score of a text, -1..1."""
    words = [re.sub(r"^\W+|\W+$", "", word) or word for word in text.replace("’", "'").split()]
    lower = [word.lower() for word in words]
    shouts = any(w.isupper() and len(w) > 1 for w in words) and not all(w.isupper() for w in words)
    values = [_value(words, lower, i, lexicon, shouts) for i in range(len(words))]
    if "but" in lower:
        at = lower.index("but")
        values = [v * (0.5 if i < at else 1.5 if i > at else 1.0) for i, v in enumerate(values)]
    total = sum(values)
    emphasis = min(text.count("!"), 4) * 0.292 + (min(text.count("?") * 0.18, 0.96) if text.count("?") > 1 else 0.0)
    total += math.copysign(emphasis, total) if total else 0.0
    return total / math.sqrt(total * total + 15)


def _value(words: list[str], lower: list[str], i: int, lexicon: dict[str, float], shouts: bool) -> float:
    value = lexicon.get(lower[i], 0.0)
    if not value or lower[i] in STRONGER | WEAKER:
        return 0.0
    if shouts and words[i].isupper():
        value += math.copysign(CAPITALS, value)
    for back, damp in ((1, 1.0), (2, 0.95), (3, 0.9)):
        if i - back < 0 or lower[i - back] in lexicon:
            continue
        before = lower[i - back]
        if before in STRONGER | WEAKER:
            value += math.copysign(BOOST, value if before in STRONGER else -value) * damp
        plain = before.replace("'", "")
        if plain in NEGATIONS or before.endswith("n't"):
            value *= NEGATED
    return value


def macro_f1(scored: list[tuple[float, str]], cut: float) -> float:
    """Macro-F1 of calling a score above the cut positive."""
    pairs = [(label, "positive" if value > cut else "negative") for value, label in scored]
    each = []
    for name in ("positive", "negative"):
        hit = sum(truth == guess == name for truth, guess in pairs)
        seen = sum((truth == name) + (guess == name) for truth, guess in pairs)
        each.append(2 * hit / seen if seen else 0.0)
    return sum(each) / 2

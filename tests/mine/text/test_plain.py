"""Terms and scores without Spark: equal to Spark's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pyspark.ml import PipelineModel
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from shoal.errors import InputError
from shoal.mine.text.classifier import Classifier, score_texts, vector_stages
from shoal.mine.text.linear import Weights, as_model
from shoal.mine.text.moderation import moderate
from shoal.mine.text.plain_classifier import load_plain_classifier
from shoal.mine.text.plain_terms import hashed, terms_of
from shoal.mine.text.rules import Preprocessing
from shoal.mine.text.saved import save_classifier
from shoal.mine.text.spans import SpanFinder
from shoal.mine.text.terms import bucket_numbers, with_terms

PREPROCESSING = Preprocessing(word_ngrams=2, char_ngrams=(2, 5), stemmer="none", stop_words="none")
TEXTS = [
    "I love this place, soooo good!!! :) <3 @anna_b https://x.example/a?b=1, www.site.org.",
    "NOT good... don't buy; 100% 'waste' of $20 &amp; time &#128514; &#55555; &#65279;x",
    "<p>Hello <br/>world</p> it’s ÄÖÜ ΣΑΣ İstanbul ſilk K9 <a href='x'>ſ</a>",
    "#win #2024 🎉🎉 привет мир مرحبا 你好 नमस्ते e\u0301tude ½ ² Ⅳ ١٢٣",
    "a\u200bb\u00adc \u00a0nbsp\u2003em\u0085nel\u2028ls\x0bvt\x1ffs tab\tnew\nline\r",
    "xhttp://no http://yes éhttp://no2 _www.no ²www.maybe e\u0301www.x (www.q.com) HTTPS://UP.ORG! mail@x.org a.@b",
    ":-( :'( =] 8) xD XD :/ ;) :))) x) [:] <3<3 ::",
    "''quoted'' it's' 'tis # #tag #'x ##y !? ?! 12 007 1.5 a1b2",
    "𝒳𝒴𝒵 𐍈𐍈𐍈𐍈 ǅǅǅ ᾳᾳᾳ ﬃ ẞ ŉ ZZZZzz",
    "", "   ", "\u00a0", "!!!", "x" * 300,
]  # fmt: skip


@pytest.mark.parametrize("sizes", [(2, 5), (0, 0), (3, 3)])
def test_terms_are_those_of_spark(spark: SparkSession, sizes: tuple[int, int]) -> None:
    preprocessing = Preprocessing(word_ngrams=3, char_ngrams=sizes, stemmer="none", stop_words="none")
    rows = spark.createDataFrame([(i, text) for i, text in enumerate(TEXTS)], "i int, text string")
    found = {row["i"]: set(row["terms"]) for row in with_terms(rows, preprocessing).collect()}
    assert {i: terms_of(text, preprocessing) for i, text in enumerate(TEXTS)} == found


def test_hashed_terms_are_those_of_spark(spark: SparkSession) -> None:
    preprocessing = Preprocessing(word_ngrams=2, char_ngrams=(2, 3), stemmer="none", stop_words="none", hash_bits=12)
    rows = spark.createDataFrame([(i, text) for i, text in enumerate(TEXTS)], "i int, text string")
    made = with_terms(rows, preprocessing).select("i", "terms", bucket_numbers(F.col("terms")).alias("numbers")).collect()
    assert {i: terms_of(text, preprocessing) for i, text in enumerate(TEXTS)} == {row["i"]: set(row["terms"]) for row in made}
    assert all(len(set(row["terms"])) == len(row["terms"]) for row in made)
    assert all(row["terms"] == [f"h:{number}" for number in row["numbers"]] for row in made)
    names = preprocessing.buckets()
    assert (len(names), names[0], names[4095]) == (4096, "h:0", "h:4095")


def test_a_bucket_is_the_crc_32_of_a_term() -> None:
    """0xCBF43926 is the check value of CRC-32 for these digits."""
    assert hashed("123456789", 4) == "h:6"
    assert hashed("123456789", 8) == f"h:{0x26}"
    assert terms_of("123456789", Preprocessing(1, (0, 0), "none", "none", 8)) == {f"h:{0x26}", hashed("000000000", 8)}


def test_spans_of_a_hashed_model_are_words_of_the_text() -> None:
    place = {hashed(word, 10): i for i, word in enumerate(("awful", "film"))}
    finder = SpanFinder(place, {"bad": np.array([2.0, -1.0])}, (0, 0), 10)
    assert [span["text"] for span in finder.spans("An awful film", "bad")] == ["awful"]


def test_any_character_alone_and_between_letters_gives_sparks_terms(spark: SparkSession) -> None:
    """Every assigned character of the first three planes that Java 17 knows, 1,000 a text."""
    import unicodedata

    known = [chr(n) for n in range(1, 0x20000) if unicodedata.category(chr(n)) not in ("Cn", "Cs", "Co")]
    # Unicode 14 is newer than Java's 13.
    texts = ["".join(f" a{c}b {c} " for c in known[i : i + 1000]) for i in range(0, len(known), 1000)]
    preprocessing = Preprocessing(word_ngrams=1, char_ngrams=(0, 0), stemmer="none", stop_words="none")
    rows = spark.createDataFrame([(i, text) for i, text in enumerate(texts)], "i int, text string")
    found = {row["i"]: set(row["terms"]) for row in with_terms(rows, preprocessing).collect()}
    different = set().union(*[terms_of(text, preprocessing) ^ found[i] for i, text in enumerate(texts)])
    # 838 characters are new in Unicode 14: words, marks or nothing in one of them.
    assert len(different) < 4 * 838
    latin = {word for word in different if all(ord(c) < 0x250 for c in word)}
    assert latin <= {"a", "b"}


@pytest.mark.parametrize("labels", [("no", "yes"), ("allowed", "spam", "toxic")])
def test_probabilities_are_those_of_spark(spark: SparkSession, tmp_path: Path, labels: tuple[str, ...]) -> None:
    drawn = np.random.default_rng(7)
    vocabulary = sorted(set().union(*[terms_of(text, PREPROCESSING) for text in TEXTS]))[::2]
    rows = 1 if len(labels) == 2 else len(labels)
    weights = Weights(drawn.normal(size=(rows, len(vocabulary))), drawn.normal(size=rows))
    stages = vector_stages(vocabulary, drawn.uniform(0.5, 6, len(vocabulary)), as_model(spark, weights))
    priors = tuple(np.full(len(labels), 1 / len(labels)))
    classifier = Classifier(PipelineModel(stages), labels, priors, 250, PREPROCESSING)
    save_classifier(classifier, tmp_path / "model", "v1", {})
    plain = load_plain_classifier(tmp_path / "model")
    frame = spark.createDataFrame([(i, text) for i, text in enumerate(TEXTS)] + [(99, None)], "i int, text string")
    scored = {row["i"]: row["probabilities"] for row in score_texts(frame, F.col("text"), classifier).collect()}
    for i, text in [*enumerate(TEXTS), (99, None)]:
        assert np.abs(plain.probabilities(text) - np.asarray(scored[i])).max() < 1e-9
    items = frame.select(F.col("i").cast("string").alias("item_id"), "text", F.lit("h").alias("content_hash"))
    moderated = moderate(items, classifier, {name: [0.0, 0.0] for name in labels}, ["allowed"]).collect()
    finder = SpanFinder(plain.place, plain.term_weights(), PREPROCESSING.char_ngrams)
    for row in moderated:
        text = dict([*enumerate(TEXTS), (99, None)])[int(row["item_id"])]
        expected = [] if row["action"] == "allow" else finder.spans(text, row["category"])
        assert [span.asDict() for span in row["spans"]] == expected


def test_a_model_with_stems_is_refused_by_name(spark: SparkSession, tmp_path: Path) -> None:
    weights = Weights(np.ones((1, 1)), np.zeros(1))
    stemmed = Preprocessing(1, (0, 0), "porter", "none")
    stages = vector_stages(["a"], np.ones(1), as_model(spark, weights))
    save_classifier(Classifier(PipelineModel(stages), ("a", "b"), (0.5, 0.5), 10, stemmed), tmp_path / "m", "v", {})
    with pytest.raises(InputError, match="stems or stop words are made by Spark"):
        load_plain_classifier(tmp_path / "m")
    about = json.loads((tmp_path / "m" / "model.json").read_text())
    (tmp_path / "m" / "model.json").write_text(json.dumps({**about, "format": "other"}))
    with pytest.raises(InputError, match="train it again"):
        load_plain_classifier(tmp_path / "m")


def test_scoring_one_text_imports_no_spark() -> None:
    code = (
        "import sys; import shoal.mine.text.plain_classifier, shoal.mine.text.lexicon_rules as l;"
        "assert l.analyzer().polarity_scores('good')['compound'] > 0; assert 'pyspark' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

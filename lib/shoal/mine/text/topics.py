"""Topics of texts with names, coherence, their share in time, and ids that stay from run to run.

Latent Dirichlet allocation (Blei, Ng and Jordan, JMLR 3, 2003) by MLlib's online optimiser (Hoffman, Blei and Bach, NIPS 2010).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from pyspark.ml.clustering import LDA, LDAModel
from pyspark.ml.feature import CountVectorizer, CountVectorizerModel, StopWordsRemover
from pyspark.ml.functions import vector_to_array
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from scipy.optimize import linear_sum_assignment

from shoal.arrays import Doubles

# Terms that describe a topic, those of its name, and those that coherence is measured on.
DESCRIBING, NAMING, COHERENT = 20, 3, 10
# A term's place in a topic: its probability there, and how much more probable it is there than anywhere (Sievert and Shirley,
# 2014).
RELEVANCE = 0.6
MIN_TERMS = 3
ROUNDS = 20
# Texts of a step of the optimiser, in the mean; up to so many texts in all they lie in one partition.
BATCH, ONE_PARTITION = 1000, 5000
_LANGUAGES = ("english", "german", "french", "spanish", "italian", "portuguese", "dutch")


@dataclass(frozen=True)
class Topic:
    """A topic of one run. `terms`: the DESCRIBING most relevant ones, the best first, with their probabilities in the topic.
    `coherence`: mean normalised pointwise mutual information of the first COHERENT terms in one text, -1 to 1 (Bouma, 2009)."""

    number: int
    terms: tuple[str, ...]
    weights: tuple[float, ...]
    coherence: float

    @property
    def name(self) -> str:
        """The first NAMING terms."""
        return ", ".join(self.terms[:NAMING])


@dataclass(frozen=True)
class TopicSettings:
    """How many topics, of how many terms, learned from how many texts; a term is in `min_texts` texts and in a share of
    `max_text_share` at most."""

    topics: int
    max_terms: int
    min_texts: int
    max_text_share: float
    max_learning_texts: int
    seed: int


def topic_terms(text: Column) -> Column:
    """The words of a text that can tell a topic: three letters and more, in lower case, and hashtags; no links, mentions, stop
    words of seven languages, and none that starts with a digit."""
    plain = F.regexp_replace(F.lower(F.substring(text, 1, 20_000)), r"(https?://|www\.)\S+|@[\w.]+|&\w+;", " ")
    words = F.regexp_extract_all(plain, F.lit(r"(#?[\p{L}\p{M}][\p{L}\p{M}\p{N}_]{2,})"), F.lit(1))
    return F.array_except(words, F.array(*map(F.lit, _stop_words())))


def find_topics(texts: DataFrame, settings: TopicSettings) -> tuple[list[Topic], DataFrame] | None:
    """The topics, and one row per text with MIN_TERMS known terms: text_id, created_at, shares (array in the order of the topics,
    sum 1). None where there are fewer such texts than topics.

    `texts`: text_id, text, created_at. A term counts once a text. Topics are learned from `max_learning_texts` texts drawn by a
    hash of their id. The second frame is lazy over a cached one, which the caller's session holds. Cost: the terms once, ROUNDS
    steps of BATCH texts, one pass for coherence. Collects DESCRIBING terms a topic, and the pairs of COHERENT terms of each:
    bounded by the settings.
    """
    terms = texts.select("text_id", "created_at", topic_terms(F.col("text")).alias("words"))
    words = terms.where(F.size("words") >= MIN_TERMS).persist()
    count = words.count()
    if count <= settings.topics:
        return None
    drawn = words.where(F.pmod(F.xxhash64("text_id", F.lit(settings.seed)), F.lit(count)) < settings.max_learning_texts)
    vectors = CountVectorizer(
        inputCol="words", outputCol="features", vocabSize=settings.max_terms, minDF=settings.min_texts,
        maxDF=settings.max_text_share, binary=True,
    ).fit(drawn)  # fmt: skip
    if len(vectors.vocabulary) < settings.topics:
        return None
    # The optimiser draws by partition: few texts in many partitions would make other topics each time.
    ordered = vectors.transform(drawn).orderBy("text_id").select("features")
    learning = ordered.coalesce(1 if count <= ONE_PARTITION else 64).persist()
    try:
        model = LDA(
            k=settings.topics, maxIter=ROUNDS, seed=settings.seed, optimizer="online", subsamplingRate=min(1.0, BATCH / count),
            learningOffset=10.0, optimizeDocConcentration=True,
        ).fit(learning)  # fmt: skip
    finally:
        learning.unpersist()
    topics = _describe(words, vectors, model)
    shares = model.transform(vectors.transform(words)).select(
        "text_id", "created_at", vector_to_array(F.col("topicDistribution")).alias("shares")
    )
    return topics, shares


def shares_in_time(shares: DataFrame, topics: int) -> tuple[list[float], list[list[tuple[str, float]]]]:
    """Of each topic its share of all texts, and (week, share) by week (its Monday as ISO date) of those with a time, in order.
    Collects a row a week."""
    sums = [F.avg(F.col("shares")[n]).alias(f"s{n}") for n in range(topics)]
    week = F.date_format(F.date_trunc("week", "created_at"), "yyyy-MM-dd")
    rows = shares.groupBy(F.coalesce(week, F.lit("")).alias("week")).agg(F.count(F.lit(1)).alias("texts"), *sums).collect()
    total = sum(row["texts"] for row in rows)
    whole = [sum(row["texts"] * row[f"s{n}"] for row in rows) / total for n in range(topics)]
    known = sorted((row for row in rows if row["week"]), key=lambda row: str(row["week"]))
    return whole, [[(row["week"], row[f"s{n}"]) for row in known] for n in range(topics)]


def matched_ids(topics: Sequence[Topic], before: Mapping[str, Mapping[str, float]], min_similarity: float) -> dict[int, str | None]:
    """The id of each topic by its number: that of the earlier topic (id -> term -> weight) it is most like, None for a new one.

    The pairs with the largest sum of cosines of the terms' weights (Kuhn, 1955), of which those below `min_similarity` are none.
    """
    names = sorted(before)
    found: dict[int, str | None] = dict.fromkeys((topic.number for topic in topics), None)
    if not names or not topics:
        return found
    alike = np.array([[_cosine(dict(zip(t.terms, t.weights, strict=True)), before[name]) for name in names] for t in topics])
    for row, column in zip(*linear_sum_assignment(-alike), strict=True):
        if alike[row, column] >= min_similarity:
            found[topics[row].number] = names[column]
    return found


def npmi(together: int, one: int, other: int, texts: int) -> float:
    """Normalised pointwise mutual information of two terms from the number of texts with both and each: -1 never together, 0 by
    chance, 1 always."""
    if not together:
        return -1.0
    if together == texts:
        return 1.0
    share = together / texts
    return float(np.log(share * texts * texts / (one * other)) / -np.log(share))


def relevant_terms(by_topic: Doubles, vocabulary: Sequence[str]) -> list[tuple[list[str], list[float]]]:
    """The DESCRIBING most relevant terms of each topic with their probabilities; `by_topic`: a row of probabilities a topic. Ties
    by term."""
    overall = by_topic.mean(axis=0)
    found = []
    for row in by_topic:
        relevance = RELEVANCE * np.log(row) + (1 - RELEVANCE) * np.log(row / overall)
        best = sorted(range(len(vocabulary)), key=lambda n: (-round(float(relevance[n]), 9), vocabulary[n]))[:DESCRIBING]
        found.append(([vocabulary[n] for n in best], [float(row[n]) for n in best]))
    return found


def _describe(words: DataFrame, vectors: CountVectorizerModel, model: LDAModel) -> list[Topic]:
    weights = model.topicsMatrix().toArray().T
    described = relevant_terms(weights / weights.sum(axis=1, keepdims=True), vectors.vocabulary)
    wanted = sorted({term for terms, _ in described for term in terms[:COHERENT]})
    met = words.select(F.array_intersect("words", F.array(*map(F.lit, wanted))).alias("met")).where(F.size("met") > 0)
    pairs = met.select(F.explode("met").alias("one"), "met").select("one", F.explode("met").alias("other"))
    # At most the square of `wanted`, COHERENT terms a topic.
    both = pairs.where("one <= other").groupBy("one", "other").count().collect()
    counts = {(row["one"], row["other"]): row["count"] for row in both}
    texts = words.count()
    return [Topic(n, tuple(terms), tuple(given), _coherence(terms, counts, texts)) for n, (terms, given) in enumerate(described)]


def _coherence(terms: Sequence[str], counts: Mapping[tuple[str, str], int], texts: int) -> float:
    found = [
        npmi(counts.get((one, other), 0), counts.get((one, one), 0), counts.get((other, other), 0), texts)
        for one, other in combinations(sorted(terms[:COHERENT]), 2)
    ]
    return float(np.mean(found)) if found else 0.0


def _cosine(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    product = sum(weight * other.get(term, 0.0) for term, weight in one.items())
    lengths = [np.sqrt(sum(weight**2 for weight in each.values())) for each in (one, other)]
    return float(product / (lengths[0] * lengths[1])) if all(lengths) else 0.0


@lru_cache(maxsize=1)
def _stop_words() -> tuple[str, ...]:
    found = {word.lower() for language in _LANGUAGES for word in StopWordsRemover.loadDefaultStopWords(language)}
    return tuple(sorted(word for word in found if len(word) > 2))

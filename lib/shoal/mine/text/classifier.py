"""Train a linear classifier of texts into any labels, and score texts with it.

Terms (shoal.mine.text.terms) are weighted by presence x inverse document frequency and scaled to length 1; multinomial logistic
regression with an L2 penalty decides (Wang and Manning, "Baselines and Bigrams", ACL 2012, for presence and pairs of words).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import LogisticRegression, LogisticRegressionModel
from pyspark.ml.feature import IDF, CountVectorizer, Normalizer
from pyspark.ml.functions import vector_to_array
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix

from shoal.arrays import Ints
from shoal.errors import InputError
from shoal.mine.text.logistic import TermVectors, Weights, as_model, collect_vectors, fit
from shoal.mine.text.metrics import FLOOR, Quality, label_index, quality, quality_of_pairs
from shoal.mine.text.split import is_held_out
from shoal.mine.text.terms import TERMS, TEXT, is_blank, shortened, term_stages

MIN_ROWS = 10
# A model has a weight for every label and term; a column with more values than this is hardly one of labels.
MAX_LABELS = 200
# A label with fewer rows stays in the training part whole: drawing could leave none there.
RARE_ROWS = 10
# Labels whose counts differ by less than this factor need no weights.
IMBALANCE = 1.5
# Up to so many terms in the training texts (60 MB of vectors) and weights (20 of them in the solver's memory) the driver fits.
MAX_LOCAL_TERMS = 5_000_000
MAX_LOCAL_WEIGHTS = 1_000_000


@dataclass(frozen=True)
class Plan:
    """How to train: the settings of conf's `train_sentiment`."""

    test_ratio: float
    validation_ratio: float
    max_features: int
    min_document_count: int
    max_text_length: int
    inverse_penalties: Sequence[float]
    class_weight_powers: Sequence[float]
    max_iter: int
    seed: int


@dataclass(frozen=True)
class Classifier:
    """A trained classifier; `priors` are the shares of the labels in the training rows, in the order of `labels`."""

    pipeline: PipelineModel
    labels: tuple[str, ...]
    priors: tuple[float, ...]
    max_text_length: int


@dataclass(frozen=True)
class Training:
    """A classifier with what its training found: quality on held-out rows, beside always naming the most frequent label."""

    classifier: Classifier
    quality: Quality
    baseline: Quality
    settings: dict[str, float]
    rows: int
    dropped: int
    train_rows: int


def train_classifier(texts: DataFrame, plan: Plan) -> Training:
    """A classifier trained on columns text, label and group (strings; group may be null).

    Rows without a text or label are dropped and counted. Rows of one group, or of equal text where the group is null, are
    held out together or not at all; rows of labels with fewer than RARE_ROWS rows are all for training. The penalty and
    then the weights of labels are chosen by macro-F1 on a validation part of the training rows, which the vocabulary and the
    document frequencies of that search have not seen; ties go to the earlier setting. The chosen one is fitted again on all
    training rows.

    Raises InputError for fewer than MIN_ROWS rows, one label only, more than MAX_LABELS, labels that differ in case only,
    texts without a word, and a held-out or training part that has no row or one label. Cost: texts are tokenised once. Up to
    MAX_LOCAL_TERMS terms and MAX_LOCAL_WEIGHTS weights the term vectors are collected once for the search and once for the
    final fit; above, a fit takes about 40 passes over the cached vectors. Collects counts per label.
    """
    known = _known(texts, plan)
    stages = term_stages(known)
    # Words are kept for the search, the texts themselves are not.
    terms = stages.transform(known).select("label", "key", "is_blank", TERMS).persist()
    try:
        parts = _count_parts(terms, plan)
        shares, labels = parts.train, tuple(sorted(parts.train))
        train_rows = sum(shares.values())
        if len(labels) < 2 or train_rows == parts.rows:
            raise InputError(
                f"{parts.rows} labelled texts give {len(labels)} labels to learn and {parts.rows - train_rows} texts to test on; "
                "expected at least 2 labels and 1 text: give more rows, or groups that are smaller"
            )
        is_test = _is_drawn(plan.test_ratio, plan.seed, "test", parts.counts)
        is_valid = _is_drawn(plan.validation_ratio, plan.seed, "validation", parts.counts)
        train = _usable(terms).where(~is_test).select("label", TERMS, is_valid.alias("is_valid"))
        is_local = parts.is_small(plan)
        settings = _search(train, parts, labels, plan, is_local)
        vectors = _fit_vectors(train, plan, parts.most_terms)
        features = vectors.transform(train)
        if is_local:
            data = collect_vectors(_targets(features, labels), _size(vectors))
            fitted: Any = as_model(texts.sparkSession, _fit_local(data.features, data.target, labels, shares, settings, plan))
        else:
            fitted = _fit(features.persist(), labels, shares, settings, plan)
            features.unpersist()
        priors = tuple(shares[name] / train_rows for name in labels)
        classifier = Classifier(PipelineModel([*stages.stages, *vectors.stages, fitted]), labels, priors, plan.max_text_length)
        test = fitted.transform(vectors.transform(_usable(terms).where(is_test)))
        found = quality(_predicted(test, labels, _probabilities()), labels)
        return Training(classifier, found, _majority(found, shares), settings, parts.rows, parts.dropped, train_rows)
    finally:
        terms.unpersist()


@dataclass(frozen=True)
class _Parts:
    """Rows by label of all usable rows, of the training part, and of its two parts for the search; rows that were dropped; terms
    of all training rows, and the most that a row of the training part and of the search's has."""

    counts: dict[str, int]
    train: dict[str, int]
    search: dict[str, int]
    valid: dict[str, int]
    dropped: int
    terms: int
    most_terms: int
    most_search_terms: int

    @property
    def rows(self) -> int:
        """The usable rows."""
        return sum(self.counts.values())

    def is_small(self, plan: Plan) -> bool:
        """Whether the driver fits: the terms bound the vectors' entries, and with the labels the weights."""
        return self.terms <= MAX_LOCAL_TERMS and len(self.train) * min(self.terms, plan.max_features) <= MAX_LOCAL_WEIGHTS


def _count_parts(terms: DataFrame, plan: Plan) -> _Parts:
    """The sizes of all parts in one pass. Raises InputError for labels that cannot be learned from. Collects at most four rows a
    label."""
    usable = ~F.col("is_blank") & F.col("label").isNotNull()
    groups = terms.groupBy(
        F.when(usable, F.col("label")).alias("label"),
        F.when(usable, is_held_out(F.col("key"), plan.test_ratio, plan.seed, "test")).alias("test"),
        F.when(usable, is_held_out(F.col("key"), plan.validation_ratio, plan.seed, "validation")).alias("valid"),
    )
    sizes = (F.count(F.lit(1)).alias("rows"), F.sum(F.size(TERMS)).alias("terms"), F.max(F.size(TERMS)).alias("most"))
    found = groups.agg(*sizes).limit(4 * (MAX_LABELS + 1) + 1).collect()
    used = [row for row in found if row["label"] is not None]

    def by_label(rows: Sequence[Row]) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for row in rows:
            counts[row["label"]] += row["rows"]
        return dict(sorted(counts.items()))

    counts = _checked_counts(by_label(used))
    rare = {name for name, rows in counts.items() if rows < RARE_ROWS}
    train = [row for row in used if not row["test"] or row["label"] in rare]
    search = [row for row in train if not row["valid"] or row["label"] in rare]
    return _Parts(
        counts, by_label(train), by_label(search), by_label([row for row in train if row not in search]),
        sum(row["rows"] for row in found) - sum(counts.values()), sum(row["terms"] for row in train),
        max((row["most"] for row in train), default=0), max((row["most"] for row in search), default=0),
    )  # fmt: skip


def score_texts(rows: DataFrame, text: Column, classifier: Classifier) -> DataFrame:
    """The rows with predicted_label and probabilities (array of doubles in the order of the labels, sum 1) after their columns.

    The label is the one of the largest probability, the first of equal ones. A null or blank text gets the labels' shares
    in the training rows. Columns of these two names are replaced. Lazy; one pass, no shuffle.
    """
    # The row travels as one value, so that none of its names can meet those of the stages.
    packed = rows.drop("predicted_label", "probabilities").select(
        F.struct("*").alias("row"), shortened(text, classifier.max_text_length).alias(TEXT), is_blank(text).alias("is_blank")
    )
    scored = classifier.pipeline.transform(packed)
    given = F.when(F.col("is_blank"), _doubles(classifier.priors)).otherwise(_probabilities())
    return _predicted(scored, classifier.labels, given).select("row.*", "predicted_label", "probabilities")


def evaluate_classifier(texts: DataFrame, classifier: Classifier, plan: Plan) -> Quality:
    """The quality of any classifier on the rows that `train_classifier(texts, plan)` holds out.

    A classifier trained with the same ratio and seed on an earlier state of the texts has not seen them either, because the
    draw depends on a row's key alone; only a label that was rare then is an exception.
    """
    known = _known(texts, plan)
    is_test = _is_drawn(plan.test_ratio, plan.seed, "test", _label_counts(known))
    scored = score_texts(_usable(known).where(is_test).select("label", TEXT), F.col(TEXT), classifier)
    return quality(scored, classifier.labels)


def _known(texts: DataFrame, plan: Plan) -> DataFrame:
    """Columns text (shortened, never null), label (null where blank), key (what is held out together), is_blank."""
    label = F.trim("label")
    return texts.select(
        shortened(F.col("text"), plan.max_text_length).alias(TEXT),
        F.when(label != "", label).alias("label"),
        F.coalesce("group", F.lower(F.trim("text"))).alias("key"),
        is_blank(F.col("text")).alias("is_blank"),
    )


def _usable(known: DataFrame) -> DataFrame:
    """The rows with words to learn from and a label."""
    return known.where(~F.col("is_blank") & F.col("label").isNotNull())


def _is_drawn(ratio: float, seed: int, purpose: str, counts: Mapping[str, int]) -> Column:
    """Whether a row belongs to the part drawn for `purpose`; rows of rare labels never do."""
    rare = [name for name, count in counts.items() if count < RARE_ROWS]
    return is_held_out(F.col("key"), ratio, seed, purpose) & ~F.col("label").isin(rare)


def _probabilities() -> Column:
    return vector_to_array(F.col("probability"))


def _doubles(values: Sequence[float]) -> Column:
    return F.array(*[F.lit(float(value)) for value in values])


def _predicted(scored: DataFrame, labels: Sequence[str], probabilities: Column) -> DataFrame:
    """The frame with probabilities and the first label of the largest one."""
    names = F.array(*map(F.lit, labels))
    best = F.expr("cast(array_position(probabilities, array_max(probabilities)) AS int)")
    return scored.withColumn("probabilities", probabilities).withColumn("predicted_label", F.element_at(names, best))


def _label_counts(known: DataFrame) -> dict[str, int]:
    """Rows of each label; refuses what cannot be learned from. Collects at most MAX_LABELS + 1 rows."""
    counted = _usable(known).groupBy("label").count().limit(MAX_LABELS + 1)
    return _checked_counts({row["label"]: row["count"] for row in counted.collect()})


def _checked_counts(counts: Mapping[str, int]) -> dict[str, int]:
    """The counts by label in its order. Raises InputError for labels that cannot be learned from."""
    if len(counts) > MAX_LABELS:
        raise InputError(f"the label column has more than {MAX_LABELS} different values; expected a few labels")
    if len(counts) == 1:
        raise InputError(f"all labelled texts have the label {next(iter(counts))!r}; expected at least two labels")
    if sum(counts.values()) < MIN_ROWS:
        raise InputError(f"found {sum(counts.values())} texts with a label; expected at least {MIN_ROWS}")
    folded: dict[str, str] = {}
    for name in sorted(counts):
        other = folded.setdefault(name.casefold(), name)
        if other != name:
            raise InputError(f"the labels {other!r} and {name!r} differ in case only; make them one")
    return dict(sorted(counts.items()))


def _majority(found: Quality, shares: Mapping[str, int]) -> Quality:
    """The quality, on the rows of `found`, of always naming the most frequent label of `shares` with their probabilities."""
    rows = sum(shares.values())
    most_frequent = max(sorted(shares), key=lambda name: shares[name])

    def loss(name: str) -> float:
        return -math.log(max(shares.get(name, 0) / rows, FLOOR))

    return quality_of_pairs([(name, most_frequent, n, n * loss(name)) for name, n in found.truths.items()])


def _fit_vectors(train: DataFrame, plan: Plan, most_terms: int) -> PipelineModel:
    """Stages from terms to vectors of length 1 (all zero without a known term), learned from `train`.

    Term counts become presence: in short texts a word hardly occurs twice, and 1 + log(count) measures the same. Raises InputError
    where no row has a term (`most_terms`).
    """
    if not most_terms:
        raise InputError("no text has a word; expected letters or digits in the text column")
    # A rare term is kept while there is room: in a few thousand texts most of what tells is rare.
    present = CountVectorizer(inputCol=TERMS, outputCol="present", binary=True, minDF=plan.min_document_count,
                              vocabSize=plan.max_features)  # fmt: skip
    weighted = IDF(inputCol="present", outputCol="weighted")
    return Pipeline(stages=[present, weighted, Normalizer(inputCol="weighted", outputCol="features")]).fit(train)


def _size(vectors: PipelineModel) -> int:
    """The length of the vectors."""
    counter: Any = vectors.stages[0]
    return len(counter.vocabulary)


def _targets(features: DataFrame, labels: Sequence[str]) -> DataFrame:
    """Columns features, target (the place of the label), is_valid."""
    return features.select("features", label_index(labels).alias("target"), "is_valid")


def _penalty(rows: int, settings: Mapping[str, float]) -> float:
    """1 / (C x rows), C being scikit-learn's: one C fits small and large data alike."""
    return 1.0 / (settings["inverse_penalty"] * rows)


def _label_weights(labels: Sequence[str], counts: Mapping[str, int], settings: Mapping[str, float]) -> list[float]:
    """A label weighs (mean count / its count) ** power: 0 is every row alike, 1 every label alike."""
    rows, power = sum(counts.values()), settings["class_weight_power"]
    return [(rows / (len(labels) * counts[name])) ** power if counts.get(name) else 1.0 for name in labels]


def _fit_local(
    features: csr_matrix, target: Ints, labels: Sequence[str], counts: Mapping[str, int], settings: Mapping[str, float], plan: Plan
) -> Weights:
    """Logistic regression on the driver."""
    weights = _label_weights(labels, counts, settings)
    return fit(features, target, weights, _penalty(len(target), settings), plan.max_iter)


def _fit(
    features: DataFrame, labels: Sequence[str], counts: Mapping[str, int], settings: Mapping[str, float], plan: Plan
) -> LogisticRegressionModel:
    """Logistic regression on columns features and label, by Spark."""
    index = label_index(labels)
    weight = F.element_at(_doubles(_label_weights(labels, counts, settings)), index + 1).alias("weight")
    return LogisticRegression(
        labelCol="target", weightCol="weight", regParam=_penalty(sum(counts.values()), settings), maxIter=plan.max_iter,
        standardization=False, tol=1e-5,
    ).fit(features.select("features", index.cast("double").alias("target"), weight))  # fmt: skip


def _search(train: DataFrame, parts: _Parts, labels: Sequence[str], plan: Plan, is_local: bool) -> dict[str, float]:
    """The settings with the best macro-F1 on the validation rows: the penalty first, then the weights with that penalty."""
    first = {"inverse_penalty": float(plan.inverse_penalties[0]), "class_weight_power": float(plan.class_weight_powers[0])}
    # MLlib counts labels by the largest index it sees, so every label must have a row here.
    if set(parts.search) != set(labels) or not parts.valid:
        return first
    vectors = _fit_vectors(train.where("NOT is_valid"), plan, parts.most_search_terms)
    features = vectors.transform(train)
    if is_local:
        data = collect_vectors(_targets(features, labels), _size(vectors))
        return _best_settings(lambda settings: _local_f1(data, labels, parts.search, settings, plan), parts.search, plan)
    features.persist()
    try:

        def judge(settings: dict[str, float]) -> float:
            fitted = _fit(features.where("NOT is_valid"), labels, parts.search, settings, plan)
            scored = fitted.transform(features.where("is_valid"))
            return quality(_predicted(scored, labels, _probabilities()), labels).macro_f1

        return _best_settings(judge, parts.search, plan)
    finally:
        features.unpersist()


def _best_settings(judge: Callable[[dict[str, float]], float], counts: Mapping[str, int], plan: Plan) -> dict[str, float]:
    """The settings of largest `judge`, ties to the earlier; weights other than the first are tried for unequal `counts` only."""
    first = {"inverse_penalty": float(plan.inverse_penalties[0]), "class_weight_power": float(plan.class_weight_powers[0])}
    trials = {value: judge({**first, "inverse_penalty": value}) for value in map(float, plan.inverse_penalties)}
    best = max(trials, key=lambda value: trials[value])
    chosen = {**first, "inverse_penalty": best}
    if max(counts.values()) < IMBALANCE * min(counts.values()):
        return chosen
    powers = {first["class_weight_power"]: trials[best]}
    for power in map(float, plan.class_weight_powers[1:]):
        powers[power] = judge({**chosen, "class_weight_power": power})
    return {**chosen, "class_weight_power": max(powers, key=lambda power: powers[power])}


def _local_f1(
    data: TermVectors, labels: Sequence[str], counts: Mapping[str, int], settings: Mapping[str, float], plan: Plan
) -> float:
    """Macro-F1 on the validation rows of a fit to the others."""
    rest = ~data.is_valid
    weights = _fit_local(data.features[rest], data.target[rest], labels, counts, settings, plan)
    guesses = weights.log_probabilities(data.features[data.is_valid]).argmax(axis=1)
    pairs = Counter(zip(data.target[data.is_valid].tolist(), guesses.tolist(), strict=True))
    return quality_of_pairs([(labels[truth], labels[guess], rows, 0.0) for (truth, guess), rows in pairs.items()]).macro_f1

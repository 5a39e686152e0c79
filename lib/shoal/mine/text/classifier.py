"""Train a linear classifier of texts into any labels, and score texts with it.

Terms (shoal.mine.text.terms) are weighted by presence x inverse document frequency and scaled to length 1; multinomial logistic
regression with an L2 penalty decides (Wang and Manning, "Baselines and Bigrams", ACL 2012, for presence and pairs of words).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import IDF, CountVectorizer, Normalizer
from pyspark.ml.functions import vector_to_array
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shoal.errors import InputError
from shoal.mine.text.metrics import Quality, label_index, quality
from shoal.mine.text.split import is_held_out
from shoal.mine.text.terms import TERMS, TEXT, is_blank, shortened, term_stages

MIN_ROWS = 10
# A model has a weight for every label and term; a column with more values than this is hardly one of labels.
MAX_LABELS = 200
# A label with fewer rows stays in the training part whole: drawing could leave none there.
RARE_ROWS = 10
# Labels whose counts differ by less than this factor need no weights.
IMBALANCE = 1.5


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
    texts without a word, and a held-out or training part that has no row or one label. Cost: texts are tokenised once; about
    30 passes over the cached training rows a setting. Collects counts per label.
    """
    known = _known(texts, plan)
    stages = term_stages(known)
    # Words are kept for the search, the texts themselves are not.
    terms = stages.transform(known).select("label", "key", "is_blank", TERMS).persist()
    try:
        counts = _label_counts(terms)
        rows = sum(counts.values())
        is_test = _is_drawn(plan.test_ratio, plan.seed, "test", counts)
        is_valid = _is_drawn(plan.validation_ratio, plan.seed, "validation", counts)
        train, test = _usable(terms).where(~is_test), _usable(terms).where(is_test)
        shares = _label_counts(train)
        labels = tuple(sorted(shares))
        train_rows = sum(shares.values())
        if len(labels) < 2 or train_rows == rows:
            raise InputError(
                f"{rows} labelled texts give {len(labels)} labels to learn and {rows - train_rows} texts to test on; "
                "expected at least 2 labels and 1 text: give more rows, or groups that are smaller"
            )
        settings = _search(train.where(~is_valid), train.where(is_valid), labels, plan)
        vectors = _fit_vectors(train, plan)
        features = vectors.transform(train).persist()
        try:
            fitted = _fit(features, labels, shares, settings, plan)
        finally:
            features.unpersist()
        priors = tuple(shares[name] / train_rows for name in labels)
        classifier = Classifier(PipelineModel([*stages.stages, *vectors.stages, fitted]), labels, priors, plan.max_text_length)
        scored = _predicted(fitted.transform(vectors.transform(test)), labels, _probabilities())
        most_frequent = max(labels, key=lambda name: shares[name])
        always = test.select("label", F.lit(most_frequent).alias("predicted_label"), _doubles(priors).alias("probabilities"))
        dropped = terms.count() - rows
        return Training(classifier, quality(scored, labels), quality(always, labels), settings, rows, dropped, train_rows)
    finally:
        terms.unpersist()


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
    counts = {row["label"]: row["count"] for row in counted.collect()}
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


def _fit_vectors(train: DataFrame, plan: Plan) -> PipelineModel:
    """Stages from terms to vectors of length 1 (all zero without a known term), learned from `train`.

    Term counts become presence: in short texts a word hardly occurs twice, and 1 + log(count) measures the same.
    """
    if train.select(F.max(F.size(TERMS))).first()[0] == 0:  # type: ignore[index]
        raise InputError("no text has a word; expected letters or digits in the text column")
    # A rare term is kept while there is room: in a few thousand texts most of what tells is rare.
    present = CountVectorizer(inputCol=TERMS, outputCol="present", binary=True, minDF=plan.min_document_count,
                              vocabSize=plan.max_features)  # fmt: skip
    weighted = IDF(inputCol="present", outputCol="weighted")
    return Pipeline(stages=[present, weighted, Normalizer(inputCol="weighted", outputCol="features")]).fit(train)


def _fit(
    features: DataFrame, labels: Sequence[str], counts: Mapping[str, int], settings: Mapping[str, float], plan: Plan
) -> PipelineModel:
    """Logistic regression on columns features and label.

    The penalty is 1 / (C x rows), C being scikit-learn's: one C fits small and large data alike. A label weighs
    (mean count / its count) ** power: 0 is every row alike, 1 every label alike.
    """
    rows, power = sum(counts.values()), settings["class_weight_power"]
    weights = [(rows / (len(labels) * counts[name])) ** power if counts.get(name) else 1.0 for name in labels]
    index = label_index(labels)
    frame = features.select("features", index.cast("double").alias("target"),
                            F.element_at(_doubles(weights), index + 1).alias("weight"))  # fmt: skip
    return LogisticRegression(
        labelCol="target", weightCol="weight", regParam=1.0 / (settings["inverse_penalty"] * rows), maxIter=plan.max_iter,
        standardization=False, tol=1e-5,
    ).fit(frame)  # fmt: skip


def _search(train: DataFrame, valid: DataFrame, labels: Sequence[str], plan: Plan) -> dict[str, float]:
    """The settings with the best macro-F1 on `valid`: the penalty first, then the weights with that penalty."""
    first = {"inverse_penalty": float(plan.inverse_penalties[0]), "class_weight_power": float(plan.class_weight_powers[0])}
    counts = {row["label"]: row["count"] for row in train.groupBy("label").count().collect()}
    # MLlib counts labels by the largest index it sees, so every label must have a row here.
    if set(counts) != set(labels) or valid.isEmpty():
        return first
    vectors = _fit_vectors(train, plan)
    features, judged = vectors.transform(train).persist(), vectors.transform(valid).persist()
    try:

        def found(settings: dict[str, float]) -> float:
            scored = _fit(features, labels, counts, settings, plan).transform(judged)
            return quality(_predicted(scored, labels, _probabilities()), labels).macro_f1

        trials = {value: found({**first, "inverse_penalty": value}) for value in map(float, plan.inverse_penalties)}
        best = max(trials, key=lambda value: trials[value])
        chosen = {**first, "inverse_penalty": best}
        if max(counts.values()) < IMBALANCE * min(counts.values()):
            return chosen
        powers = {first["class_weight_power"]: trials[best]}
        for power in map(float, plan.class_weight_powers[1:]):
            powers[power] = found({**chosen, "class_weight_power": power})
        return {**chosen, "class_weight_power": max(powers, key=lambda power: powers[power])}
    finally:
        features.unpersist()
        judged.unpersist()

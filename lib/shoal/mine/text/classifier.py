"""Train a linear classifier of texts into any labels, and score texts with it.

Terms (shoal.mine.text.terms) are weighted by presence x inverse document frequency and scaled to length 1 (Wang and Manning,
"Baselines and Bigrams", ACL 2012, for presence and pairs of words). A linear support vector classifier decides where the driver can
hold the terms, MLlib's logistic regression above (docs/adr/0051).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import LogisticRegression, LogisticRegressionModel
from pyspark.ml.feature import IDF, CountVectorizer, CountVectorizerModel, ElementwiseProduct, Normalizer
from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import Vectors
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from scipy.special import softmax

from shoal.arrays import Doubles
from shoal.errors import InputError
from shoal.mine.text.linear import Weights, as_model, fit, temperature, temperature_of
from shoal.mine.text.metrics import BINS, FLOOR, Outcome, Quality, label_index, quality, quality_of_arrays, summarise
from shoal.mine.text.parts import Parts, Plan, count_parts, is_drawn, known_texts, label_counts, usable
from shoal.mine.text.search import best_settings, label_weights, trials
from shoal.mine.text.term_matrix import TermMatrix, collect_terms, weight_terms
from shoal.mine.text.terms import TERMS, TEXT, Preprocessing, is_blank, shortened, with_terms
from shoal.mine.text.thresholds import Threshold, judged_thresholds, thresholds_for_precisions
from shoal.mine.text.transfer import Prior, Space, search_and_fit, space_of
from shoal.mine.text.transfer import prior_of as prior_from


@dataclass(frozen=True)
class Classifier:
    """A trained classifier: the stages from terms to probabilities, and how texts become terms. `priors` are the shares of the
    labels in the training rows, in the order of `labels`."""

    pipeline: PipelineModel
    labels: tuple[str, ...]
    priors: tuple[float, ...]
    max_text_length: int
    preprocessing: Preprocessing


@dataclass(frozen=True)
class Training:
    """A classifier with what its training found: quality on held-out rows, beside always naming the most frequent label.

    `train_rows` are those that the judged classifier learned from, `fitted_rows` those of `classifier`. `thresholds`: of each
    label, one for each of the plan's precisions; empty where Spark fitted.
    """

    classifier: Classifier
    quality: Quality
    baseline: Quality
    settings: dict[str, float]
    rows: int
    dropped: int
    train_rows: int
    fitted_rows: int
    thresholds: dict[str, list[Threshold]]


@dataclass(frozen=True)
class Fitted:
    """The stages from terms to probabilities, the settings that were chosen, the quality on held-out rows, and the rows learned
    from by label."""

    stages: list[Any]
    settings: dict[str, float]
    quality: Quality
    counts: dict[str, int]
    thresholds: dict[str, list[Threshold]]


def train_classifier(texts: DataFrame, plan: Plan, refit: bool = False, init: Classifier | None = None) -> Training:
    """A classifier trained on columns text, label and group (strings; group may be null).

    Rows without a text or label are dropped and counted. Rows of one group, or of equal text where the group is null, are
    held out together or not at all; rows of labels with fewer than RARE_ROWS rows are all for training. The penalty and
    the weights of labels are chosen by macro-F1 on a validation part of the training rows, which the vocabulary and the
    document frequencies of that search have not seen; ties go to the earlier setting. The same part calibrates the probabilities.
    The chosen one is fitted again on all training rows and judged on the rows held out; with `refit` the classifier that is
    returned then learns from these too, and the quality is still that of the one before (a champion is compared on the rows held
    out, so it must not be refitted).

    `init`: a classifier of other texts, which becomes the prior of this one (shoal.mine.text.transfer): its terms, preprocessing
    and length of texts are taken over, settings are chosen by cross-validation on the training rows, no part of which is spared for
    validation.

    Raises InputError for fewer than MIN_ROWS rows, one label only, more than MAX_LABELS, labels that differ in case only,
    texts without a word, a held-out or training part that has no row or one label, and more texts than the driver fits, with
    `init`. Cost: texts are tokenised once. Up to
    MAX_LOCAL_TERMS terms and MAX_LOCAL_WEIGHTS weights all terms are collected once; above, MLlib fits, some 40 passes over the
    cached vectors a setting, and neither calibrates nor refits. Collects counts per label.
    """
    max_length, preprocessing = plan.max_text_length, plan.preprocessing
    if init is not None:
        max_length, preprocessing = init.max_text_length, init.preprocessing
    known = known_texts(texts, max_length)
    # Terms are kept for the search, the texts themselves are not.
    terms = with_terms(known, preprocessing).select("label", "key", "is_blank", TERMS).persist()
    try:
        parts = count_parts(terms, plan)
        labels = tuple(sorted(parts.train))
        is_test = is_drawn(plan.test_ratio, plan.seed, "test", parts.counts)
        is_valid = is_drawn(plan.validation_ratio, plan.seed, "validation", parts.counts)
        rows = usable(terms).select("label", TERMS, is_test.alias("is_test"), (is_valid & ~is_test).alias("is_valid"))
        if init is not None:
            if not parts.is_small(plan):
                raise InputError("too many texts to refit a model on; train without --init-from")
            matrix = collect_terms(rows, label_index(labels))
            found = transfer_on_driver(matrix, texts.sparkSession, parts, plan, prior_of(init), refit)
        elif parts.is_small(plan):
            found = train_on_driver(collect_terms(rows, label_index(labels)), texts.sparkSession, parts, plan, refit)
        else:
            found = _train_in_spark(rows, parts, plan)
    finally:
        terms.unpersist()
    fitted_rows = sum(found.counts.values())
    priors = tuple(found.counts[name] / fitted_rows for name in labels)
    classifier = Classifier(PipelineModel(found.stages), labels, priors, max_length, preprocessing)
    return Training(
        classifier, found.quality, majority(found.quality, parts.train), found.settings, parts.rows, parts.dropped,
        sum(parts.train.values()), fitted_rows, found.thresholds,
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
    scored = classifier.pipeline.transform(with_terms(packed, classifier.preprocessing))
    given = F.when(F.col("is_blank"), _doubles(classifier.priors)).otherwise(_probabilities())
    return _predicted(scored, classifier.labels, given).select("row.*", "predicted_label", "probabilities")


def evaluate_classifier(texts: DataFrame, classifier: Classifier, plan: Plan) -> Quality:
    """The quality of any classifier on the rows that `train_classifier(texts, plan)` holds out.

    A classifier trained with the same ratio and seed on an earlier state of the texts has not seen them either, because the
    draw depends on a row's key alone; only a label that was rare then is an exception.
    """
    known = known_texts(texts, plan.max_text_length)
    is_test = is_drawn(plan.test_ratio, plan.seed, "test", label_counts(known))
    scored = score_texts(usable(known).where(is_test).select("label", TEXT), F.col(TEXT), classifier)
    return quality(scored, classifier.labels)


def vector_stages(vocabulary: Sequence[str], idf: Doubles, model: LogisticRegressionModel) -> list[Any]:
    """The stages from terms to probabilities: presence, x idf, length 1 (all zero without a known term), model."""
    present = CountVectorizerModel.from_vocabulary(list(vocabulary), inputCol=TERMS, outputCol="present").setBinary(True)
    weighted = ElementwiseProduct(scalingVec=Vectors.dense(idf), inputCol="present", outputCol="weighted")
    return [present, weighted, Normalizer(inputCol="weighted", outputCol="features"), model]


def _probabilities() -> Column:
    return vector_to_array(F.col("probability"))


def _doubles(values: Sequence[float]) -> Column:
    return F.array(*[F.lit(float(value)) for value in values])


def _predicted(scored: DataFrame, labels: Sequence[str], probabilities: Column) -> DataFrame:
    """The frame with probabilities and the first label of the largest one."""
    names = F.array(*map(F.lit, labels))
    best = F.expr("cast(array_position(probabilities, array_max(probabilities)) AS int)")
    return scored.withColumn("probabilities", probabilities).withColumn("predicted_label", F.element_at(names, best))


def majority(found: Quality, shares: Mapping[str, int]) -> Quality:
    """The quality, on the rows of `found`, of always naming the most frequent label of `shares` with their probabilities."""
    rows = sum(shares.values())
    most_frequent = max(sorted(shares), key=lambda name: shares[name])
    sure = shares[most_frequent] / rows

    def loss(name: str) -> float:
        return -math.log(max(shares.get(name, 0) / rows, FLOOR))

    at = min(int(sure * BINS), BINS - 1)
    return summarise([Outcome(name, most_frequent, at, n, n * loss(name), n * sure) for name, n in found.truths.items()])


def prior_of(classifier: Classifier) -> Prior:
    """A trained classifier as the prior of another."""
    stages: list[Any] = classifier.pipeline.stages
    present, weighted, _, model = stages
    coefficients, intercepts = model.coefficientMatrix.toArray(), model.interceptVector.toArray()
    return prior_from(classifier.labels, present.vocabulary, weighted.getScalingVec().toArray(), coefficients, intercepts)


def transfer_on_driver(matrix: TermMatrix, spark: SparkSession, parts: Parts, plan: Plan, prior: Prior, refit: bool) -> Fitted:
    """Refit `prior` on the collected terms: search, calibrate and choose thresholds out of folds of the training rows, judge on the
    test rows, and perhaps fit again on all."""
    labels, is_train = tuple(sorted(parts.train)), ~matrix.is_test

    def fitted(rows: Any) -> tuple[Space, Weights, dict[str, float], Any, Any]:
        space = space_of(matrix, rows, prior, plan.min_document_count)
        found = search_and_fit(
            space, matrix.target, rows, labels, prior, plan.class_weight_powers, plan.seed,
            lambda given, truth: quality_of_arrays(given, truth, labels).macro_f1,
        )  # fmt: skip
        return space, *found

    space, weights, settings, given, truth = fitted(is_train)
    factor = temperature_of(np.log(np.maximum(given, FLOOR)), truth)
    given = softmax(factor * np.log(np.maximum(given, FLOOR)), axis=1)
    weights = weights.scaled(factor)
    judged, tested = weights.probabilities(space.vectors[matrix.is_test]), matrix.target[matrix.is_test]
    chosen = [thresholds_for_precisions(given[:, n], truth == n, plan.precisions) for n in range(len(labels))]
    thresholds = {label: judged_thresholds(chosen[n], judged[:, n], tested == n) for n, label in enumerate(labels)}
    found, counts = quality_of_arrays(judged, tested, labels), parts.train
    if refit:
        space, weights, settings, _, _ = fitted(is_train | matrix.is_test)
        weights, counts = weights.scaled(factor), parts.counts
    stages = vector_stages(space.vocabulary, space.idf, as_model(spark, weights))
    return Fitted(stages, {**settings, "temperature": factor}, found, counts, thresholds)


def train_on_driver(matrix: TermMatrix, spark: SparkSession, parts: Parts, plan: Plan, refit: bool) -> Fitted:
    """Search, calibrate, judge and perhaps fit again, all on the collected terms."""
    labels, is_train = sorted(parts.train), ~matrix.is_test

    def fitted(rows: Any, counts: Mapping[str, int], settings: Mapping[str, float]) -> tuple[Weights, Any, Any]:
        weighting = weight_terms(matrix, rows, plan.min_document_count, plan.max_features)
        vectors = weighting.vectors(matrix.presence)
        weights = label_weights(labels, counts, settings)
        found = fit(vectors[rows], matrix.target[rows], weights, settings["inverse_penalty"], plan.max_iter, plan.seed)
        return found, vectors, weighting

    settings, factor, chosen = _search_on_driver(matrix, labels, parts, plan)
    found, vectors, weighting = fitted(is_train, parts.train, settings)
    found = found.scaled(factor)
    given, truth = found.probabilities(vectors[matrix.is_test]), matrix.target[matrix.is_test]
    judged = quality_of_arrays(given, truth, labels)
    thresholds = {label: judged_thresholds(chosen.get(label, []), given[:, i], truth == i) for i, label in enumerate(labels)}
    counts = parts.train
    if refit:
        counts = parts.counts
        found, _, weighting = fitted(is_train | matrix.is_test, counts, settings)
        found = found.scaled(factor)
    vocabulary = matrix.vocabulary[weighting.kept].tolist()
    stages = vector_stages(vocabulary, weighting.idf, as_model(spark, found))
    return Fitted(stages, {**settings, "temperature": factor}, judged, counts, thresholds)


def _search_on_driver(
    matrix: TermMatrix, labels: Sequence[str], parts: Parts, plan: Plan
) -> tuple[dict[str, float], float, dict[str, list[tuple[float, float | None]]]]:
    """The settings with the best macro-F1 on the validation rows, the temperature that calibrates them there, and each label's
    (precision, threshold) there; the first settings, 1 and no thresholds where a label has no row to search with."""
    if set(parts.search) != set(labels) or not parts.valid:
        return trials(parts.train, plan)[0], 1.0, {}
    rows = ~matrix.is_test & ~matrix.is_valid
    vectors = weight_terms(matrix, rows, plan.min_document_count, plan.max_features).vectors(matrix.presence)
    train, valid = vectors[rows], vectors[matrix.is_valid]
    target, truth = matrix.target[rows], matrix.target[matrix.is_valid]

    def fitted(settings: Mapping[str, float]) -> Weights:
        weights = label_weights(labels, parts.search, settings)
        return fit(train, target, weights, settings["inverse_penalty"], plan.max_iter, plan.seed)

    settings = best_settings(
        lambda tried: quality_of_arrays(fitted(tried).probabilities(valid), truth, labels).macro_f1, parts.search, plan
    )
    best = fitted(settings)
    factor = temperature(best, valid, truth)
    given = best.scaled(factor).probabilities(valid)
    chosen = {label: thresholds_for_precisions(given[:, i], truth == i, plan.precisions) for i, label in enumerate(labels)}
    return settings, factor, chosen


def _train_in_spark(rows: DataFrame, parts: Parts, plan: Plan) -> Fitted:
    """The same by MLlib's logistic regression, at any size."""
    labels, train = sorted(parts.train), rows.where("NOT is_test")
    settings = _search_in_spark(train, labels, parts, plan)
    vectors = _fit_vectors(train, plan)
    features = vectors.transform(train).persist()
    try:
        model = _fit_logistic(features, labels, parts.train, settings, plan)
    finally:
        features.unpersist()
    test = model.transform(vectors.transform(rows.where("is_test")))
    stages: list[Any] = vectors.stages
    idf = stages[1].idf.toArray()
    judged = quality(_predicted(test, labels, _probabilities()), labels)
    return Fitted(vector_stages(stages[0].vocabulary, idf, model), settings, judged, parts.train, {})


def _search_in_spark(train: DataFrame, labels: Sequence[str], parts: Parts, plan: Plan) -> dict[str, float]:
    """The settings with the best macro-F1 on the validation rows."""
    # MLlib counts labels by the largest index it sees, so every label must have a row here.
    if set(parts.search) != set(labels) or not parts.valid:
        return trials(parts.train, plan)[0]
    features = _fit_vectors(train.where("NOT is_valid"), plan).transform(train).persist()

    def judge(settings: dict[str, float]) -> float:
        fitted = _fit_logistic(features.where("NOT is_valid"), labels, parts.search, settings, plan)
        scored = fitted.transform(features.where("is_valid"))
        return quality(_predicted(scored, labels, _probabilities()), labels).macro_f1

    try:
        return best_settings(judge, parts.search, plan)
    finally:
        features.unpersist()


def _fit_vectors(train: DataFrame, plan: Plan) -> PipelineModel:
    """Stages from terms to vectors of length 1, learned from `train`."""
    present = CountVectorizer(inputCol=TERMS, outputCol="present", binary=True, minDF=plan.min_document_count,
                              vocabSize=plan.max_features)  # fmt: skip
    weighted = IDF(inputCol="present", outputCol="weighted")
    return Pipeline(stages=[present, weighted, Normalizer(inputCol="weighted", outputCol="features")]).fit(train)


def _fit_logistic(
    features: DataFrame, labels: Sequence[str], counts: Mapping[str, int], settings: Mapping[str, float], plan: Plan
) -> LogisticRegressionModel:
    """Logistic regression on columns features and label. The penalty is 1 / (C x rows), C being scikit-learn's: one C fits small
    and large data alike; it wants some 30 times the support vector classifier's."""
    index = label_index(labels)
    weight = F.element_at(_doubles(label_weights(labels, counts, settings)), index + 1).alias("weight")
    penalty = 1.0 / (_LOGISTIC_FACTOR * settings["inverse_penalty"] * sum(counts.values()))
    return LogisticRegression(
        labelCol="target", weightCol="weight", regParam=penalty, maxIter=_LOGISTIC_ROUNDS, standardization=False, tol=1e-5,
    ).fit(features.select("features", index.cast("double").alias("target"), weight))  # fmt: skip


# The best penalties of the two models on the same vectors: .1 to 1 and 3 to 30 (docs/adr/0050 and 0051).
_LOGISTIC_FACTOR, _LOGISTIC_ROUNDS = 30.0, 50

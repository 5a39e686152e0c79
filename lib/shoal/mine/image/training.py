"""Train a classifier of pictures and score pictures: embedded in Arrow batches, fitted on the driver where it can hold the
numbers."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.arrays import Floats, Ints
from shoal.errors import InputError
from shoal.mine.image.classifier import FOLDS, MAX_NUMBERS, Chosen, PictureClassifier, choose_penalty, fit_classifier, fit_in_spark
from shoal.mine.image.features import BATCH, Describing, embed_files, open_and_embed
from shoal.mine.image.opening import OK
from shoal.mine.text.metrics import Quality, quality_of_arrays

# Of fewer different pictures of a label none is held out.
RARE_PICTURES = 5


@dataclass(frozen=True)
class PictureTraining:
    """A classifier with what its training found. `quality`: on the pictures held out, by a classifier that has not seen them; None
    where there were too few to hold out. `classifier` was fitted on all `rows`. `statuses`: pictures by what a look at them
    said."""

    classifier: PictureClassifier
    chosen: Chosen
    quality: Quality | None
    baseline: float | None
    rows: int
    train_rows: int
    statuses: dict[str, int]


@dataclass(frozen=True)
class _Embedded:
    """Vectors, their labels' places and their contents, a row a picture."""

    labels: tuple[str, ...]
    vectors: Floats
    target: Ints
    contents: list[str]


def train_pictures(pictures: DataFrame, describing: Describing, test_ratio: float, seed: int) -> PictureTraining:
    """A classifier of columns path and label.

    Pictures that cannot be read are dropped and counted. Of each label a share of `test_ratio` of its different pictures is held
    out, drawn by a hash of their bytes; equal pictures are on one side. Penalty and calibration are chosen over folds of the
    rest. The classifier that is returned learned from all.

    Raises InputError for fewer than two labels with a readable picture. Cost: each picture is opened once; up to MAX_NUMBERS
    numbers are collected, above MLlib fits and nothing is held out.
    """
    embedded = embed_files(pictures, describing).persist()
    try:
        counts = embedded.groupBy("status", "label").count().collect()
        statuses: dict[str, int] = defaultdict(int)
        for row in counts:
            statuses[row["status"]] += row["count"]
        labels = tuple(sorted(row["label"] for row in counts if row["status"] == OK))
        if len(labels) < 2:
            raise InputError(f"{len(labels)} labels have a picture that can be read; expected two or more: {_said(statuses)}")
        readable = embedded.where(F.col("status") == OK)
        size = readable.select((F.octet_length("embedding") / 4).cast("int")).limit(1).collect()[0][0]
        if statuses[OK] * size > MAX_NUMBERS:
            return _train_in_spark(readable, labels, size, dict(statuses))
        table: Any = readable.select("path", "label", "content_hash", "embedding").toPandas()
        table = table.sort_values("path")
        target = np.searchsorted(labels, table["label"]).astype(np.int64)
        vectors = np.frombuffer(b"".join(table["embedding"]), np.float32).reshape(len(table), size)
        return _train_on_driver(_Embedded(labels, vectors, target, list(table["content_hash"])), test_ratio, seed, dict(statuses))
    finally:
        embedded.unpersist()


def score_pictures(pictures: DataFrame, classifier: PictureClassifier, describing: Describing) -> DataFrame:
    """One row per row of `pictures` (path): path, predicted_label, probabilities (array in the order of the labels, sum 1), status.

    The label is the one of the largest probability, the first of equal ones. A picture that cannot be read has null for both. Lazy;
    a task holds one picture and BATCH rows.
    """

    def scored(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            paths = batch.column(0).to_pylist()
            for start in range(0, len(paths), BATCH):
                part = paths[start : start + BATCH]
                found = [open_and_embed(path, describing) for path in part]
                given = _probabilities([vector for _, vector in found], classifier)
                names = [None if one is None else classifier.labels[int(np.argmax(one))] for one in given]
                columns = [part, names, given, [opened.status for opened, _ in found]]
                types = (pa.string(), pa.string(), pa.list_(pa.float64()), pa.string())
                arrays = [pa.array(values, kind) for values, kind in zip(columns, types, strict=True)]
                yield pa.RecordBatch.from_arrays(arrays, names=["path", "predicted_label", "probabilities", "status"])

    schema = "path string, predicted_label string, probabilities array<double>, status string"
    return pictures.select("path").mapInArrow(scored, schema)


def held_out(contents: Sequence[str], target: Ints, ratio: float, seed: int) -> tuple[Ints, Ints]:
    """Of each row 1 where it is held out, else 0, and its fold from 0 to FOLDS - 1.

    A label's different contents are ordered by a hash of content and `seed`; the first share is held out, and the others go round
    the folds. A content that has two labels goes where its first label puts it.
    """
    place: dict[str, tuple[int, int]] = {}
    for label in range(int(target.max()) + 1):
        mine = {content for content, one in zip(contents, target, strict=True) if one == label} - place.keys()
        ordered = sorted(mine, key=lambda content: hashlib.blake2b(f"{seed}:{content}".encode(), digest_size=8).digest())
        tested = round(ratio * len(ordered)) if len(ordered) >= RARE_PICTURES else 0
        for n, content in enumerate(ordered):
            place[content] = (int(n < tested), n % FOLDS)
    found = np.array([place[content] for content in contents], np.int64)
    return found[:, 0], found[:, 1]


def _train_on_driver(data: _Embedded, test_ratio: float, seed: int, statuses: dict[str, int]) -> PictureTraining:
    is_test, fold = held_out(data.contents, data.target, test_ratio, seed)
    train, test = is_test == 0, is_test == 1
    if len(np.unique(data.target[train])) < len(data.labels):
        train, test = np.ones(len(train), bool), np.zeros(len(test), bool)
    chosen = choose_penalty(data.vectors[train], data.target[train], fold[train])
    judged, baseline = None, None
    if test.any():
        fitted = fit_classifier(data.vectors[train], data.target[train], data.labels, chosen)
        judged = quality_of_arrays(fitted.probabilities(data.vectors[test]), data.target[test], data.labels)
        baseline = float((data.target[test] == np.bincount(data.target[train]).argmax()).mean())
    whole = fit_classifier(data.vectors, data.target, data.labels, chosen)
    return PictureTraining(whole, chosen, judged, baseline, len(data.target), int(train.sum()), statuses)


def _train_in_spark(readable: DataFrame, labels: tuple[str, ...], size: int, statuses: dict[str, int]) -> PictureTraining:
    """The same by MLlib, without a search: more pictures than the driver holds."""

    def unpacked(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            numbers = np.frombuffer(b"".join(batch.column(1).to_pylist()), np.float32)
            vectors = pa.ListArray.from_arrays(pa.array(np.arange(batch.num_rows + 1) * size, pa.int32()), pa.array(numbers))
            yield pa.RecordBatch.from_arrays([batch.column(0), vectors], names=["label", "features"])

    place = F.array_position(F.array(*map(F.lit, labels)), F.col("label")) - 1
    rows = readable.select("label", "embedding").mapInArrow(unpacked, "label string, features array<float>")
    kept = rows.select("features", place.cast("double").alias("target")).persist()
    try:
        model = fit_in_spark(kept, labels, size)
    finally:
        kept.unpersist()
    return PictureTraining(model, Chosen(0.0, 1.0), None, None, statuses[OK], statuses[OK], statuses)


def _probabilities(vectors: Sequence[bytes | None], classifier: PictureClassifier) -> list[list[float] | None]:
    """The probabilities of each embedding; None for None."""
    known = [vector for vector in vectors if vector is not None]
    given = (
        iter(classifier.probabilities(np.frombuffer(b"".join(known), np.float32).reshape(len(known), -1)).tolist())
        if known
        else iter(())
    )
    return [None if vector is None else next(given) for vector in vectors]


def _said(statuses: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))

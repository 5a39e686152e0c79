"""Train a classifier of pictures and score pictures: embedded in Arrow batches, fitted on the driver where it can hold the
numbers."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.special import log_softmax

from shoal.arrays import Floats, Ints
from shoal.errors import InputError
from shoal.mine.image.classifier import (
    FOLDS,
    MAX_NUMBERS,
    Chosen,
    PictureClassifier,
    calibrate,
    choose_penalty,
    fit_classifier,
    fit_in_spark,
)
from shoal.mine.image.convolution import EMBEDDING, MAX_PICTURES, MEAN, SPREAD, as_onnx, check_installed, train_network
from shoal.mine.image.convolution import NAME as CNN
from shoal.mine.image.embedding import PIXELS, Embedding, network_embedding
from shoal.mine.image.features import BATCH, Describing, embed_files, open_and_embed
from shoal.mine.image.network import network_of_bytes
from shoal.mine.image.opening import OK, Limits
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


@dataclass(frozen=True)
class ReadPictures:
    """Pictures that were opened and embedded: `readable` rows (path, label, content_hash, embedding), which are kept; the labels
    that have one, sorted; the numbers of a vector; how many pictures have which status."""

    readable: DataFrame
    labels: tuple[str, ...]
    size: int
    statuses: dict[str, int]

    def collected(self) -> _Embedded:
        """The rows on the driver, in the order of their paths: callers check MAX_NUMBERS or MAX_PICTURES first."""
        table: Any = self.readable.select("path", "label", "content_hash", "embedding").toPandas()
        table = table.sort_values("path")
        target = np.searchsorted(self.labels, table["label"]).astype(np.int64)
        vectors = np.frombuffer(b"".join(table["embedding"]), np.float32).reshape(len(table), self.size)
        return _Embedded(self.labels, vectors, target, list(table["content_hash"]))


@contextmanager
def read_pictures(pictures: DataFrame, describing: Describing) -> Iterator[ReadPictures]:
    """Open and embed columns path and label once, kept while the block lasts. Raises InputError for fewer than two labels with a
    readable picture. Collects a row a label and status."""
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
        yield ReadPictures(readable, labels, size, dict(statuses))
    finally:
        embedded.unpersist()


def train_pictures(pictures: DataFrame, describing: Describing, test_ratio: float, seed: int) -> PictureTraining:
    """A classifier of columns path and label.

    Pictures that cannot be read are dropped and counted. Of each label a share of `test_ratio` of its different pictures is held
    out, drawn by a hash of their bytes; equal pictures are on one side. Penalty and calibration are chosen over folds of the
    rest. The classifier that is returned learned from all.

    Raises InputError for fewer than two labels with a readable picture. Cost: each picture is opened once; up to MAX_NUMBERS
    numbers are collected, above MLlib fits and nothing is held out.
    """
    with read_pictures(pictures, describing) as read:
        if read.statuses[OK] * read.size > MAX_NUMBERS:
            return _train_in_spark(read.readable, read.labels, read.size, read.statuses)
        return _train_on_driver(read.collected(), test_ratio, seed, read.statuses)


def train_network_of_pictures(
    pictures: DataFrame, limits: Limits, test_ratio: float, seed: int
) -> tuple[PictureTraining, Embedding]:
    """A classifier of columns path and label with an embedding of its own: a convolutional network trained on the driver (see
    shoal.mine.image.convolution), and the linear classifier that its last layer is.

    Pictures are held out as by `train_pictures`; a fold of the rest calibrates. The network that is judged learned from the other
    folds, the one that is returned from all pictures. Raises UsageError without the extra shoal[cnn], InputError for fewer
    than two labels with a readable picture, for a label with too few of them to learn from, and for more than MAX_PICTURES
    pictures. Cost: two trainings on the driver; it holds 12 kB a picture.
    """
    check_installed()
    with read_pictures(pictures, Describing(limits, Embedding(PIXELS))) as read:
        if read.statuses[OK] > MAX_PICTURES:
            raise InputError(f"{read.statuses[OK]:,} pictures; a network learns from {MAX_PICTURES:,} at most on the driver: "
                             "images.embedding descriptor, efficientnet-lite0 and onnx take any number")  # fmt: skip
        data, statuses = read.collected(), read.statuses
    is_test, fold = held_out(data.contents, data.target, test_ratio, seed)
    learns, calibrates, test = (is_test == 0) & (fold > 0), (is_test == 0) & (fold == 0), is_test == 1
    if len(np.unique(data.target[learns])) < len(data.labels):
        raise InputError(f"a network needs two different pictures of each label or more; there are {_said(statuses)} in all")
    trial = train_network(data.vectors[learns], data.target[learns], len(data.labels), seed)
    factor = calibrate(trial.margins(data.vectors[calibrates]), data.target[calibrates])[0] if calibrates.any() else 1.0
    judged, baseline = None, None
    if test.any():
        judged = quality_of_arrays(
            np.exp(log_softmax(trial.margins(data.vectors[test]) * factor, axis=1)), data.target[test], data.labels
        )
        baseline = float((data.target[test] == np.bincount(data.target[is_test == 0]).argmax()).mean())
    whole = train_network(data.vectors, data.target, len(data.labels), seed)
    kernel, shift = whole.weights[-1]
    classifier = PictureClassifier(
        data.labels, np.zeros(EMBEDDING), 1.0, kernel.T.astype(np.float64) * factor, shift.astype(np.float64) * factor
    )
    embedding = network_embedding(network_of_bytes(as_onnx(whole), [MEAN] * 3, [SPREAD] * 3), "onnx", CNN)
    training = PictureTraining(classifier, Chosen(0.0, factor), judged, baseline, len(data.target), int(learns.sum()), statuses)
    return training, embedding


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

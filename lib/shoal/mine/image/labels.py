"""The class of pictures by a classifier, from the vectors that are known of them: no file is opened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from shoal.errors import InputError
from shoal.mine.image.classifier import PictureClassifier

LABELLED = "image_id string, predicted_label string, label_probability double"


def picture_labels(rows: DataFrame, classifier: PictureClassifier) -> DataFrame:
    """One row per row of `rows` (image_id, embedding: array of floats without a null): image_id, predicted_label (the most probable
    class, the first by name of equal ones), label_probability (0..1).

    Lazy, one pass, no shuffle; the classifier goes to every task. A vector of another length than the classifier's fails the Spark
    job with an InputError.
    """

    def labelled(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        names, size = np.asarray(classifier.labels, object), len(classifier.mean)
        for batch in batches:
            if not batch.num_rows:
                continue
            column = batch.column("embedding")
            if pc.min(pc.list_value_length(column)).as_py() != size or pc.max(pc.list_value_length(column)).as_py() != size:
                raise InputError(f"features.images.embedding: not {size} numbers, which the classifier of pictures reads")
            vectors = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, size)
            given = classifier.probabilities(vectors.astype(np.float32))
            best = given.argmax(axis=1)
            yield pa.RecordBatch.from_pydict({
                "image_id": batch.column("image_id"), "predicted_label": pa.array(names[best].tolist(), pa.string()),
                "label_probability": pa.array(given[np.arange(len(best)), best]),
            })  # fmt: skip

    return rows.select("image_id", "embedding").mapInArrow(labelled, LABELLED)

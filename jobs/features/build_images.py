"""Describe every picture of an item that is a file here: colours, light, texture, edges, hashes, a vector, or why it cannot be
read.

Only pictures whose file is new or changed, or that were not described by this embedding, are opened; the run's tags say how many
(described_images, unchanged_images). Pictures by URL are fetched with images.fetch=true, from hosts of images.fetch_hosts alone.

With images.classifier, the folder of a model by `shoal train images`, every picture has its class; what another classifier has
labelled, or none, is labelled from its vector (labelled_images in the run's tags).

Reads:  silver.images     pictures of items; those that were looked at on these disks
Writes: features.images   one row per picture and version of the embedding; rows of pictures that are as they were stay
"""

from __future__ import annotations

import sys
from datetime import date

from pyspark.sql import functions as F
from shoal.conf.sections import ImagesConf
from shoal.errors import SkippedError, UsageError
from shoal.lake.lake import Lake
from shoal.mine.image.changed import pictures_to_open, with_file_state
from shoal.mine.image.embedding import embedding_of
from shoal.mine.image.features import Describing, describe_files
from shoal.mine.image.fetching import FetchRules
from shoal.mine.image.labels import picture_labels
from shoal.mine.image.opening import OK, Limits
from shoal.mine.image.saved import load_picture_classifier
from shoal.models.rescoring import retired_rows
from shoal.runner.command import run_job

READS = ("silver.images",)
WRITES = ("features.images",)
UNLABELLED = {"predicted_label": "string", "label_probability": "double", "classifier_version": "string"}


def fetch_rules(conf: ImagesConf) -> FetchRules | None:
    """How URLs are fetched; None where they are not."""
    if not conf.fetch:
        return None
    if not conf.fetch_hosts:
        raise UsageError("images.fetch=true needs the hosts that may be asked: --set images.fetch_hosts=[pictures.example]")
    pace = conf.fetch_seconds, conf.fetch_retries, conf.fetch_pause_seconds
    return FetchRules(tuple(conf.fetch_hosts), *pace, conf.max_file_bytes, conf.fetch_private)


def label_pictures(lake: Lake, folder: str, embedding: str) -> None:
    """Give the current pictures that the classifier of `folder` has not labelled their class."""
    classifier, about = load_picture_classifier(folder)
    if about["embedding_version"] != embedding:
        raise UsageError(
            f"images.classifier={folder}: reads vectors of {about['embedding_version']}, and images.embedding gives {embedding}; "
            "train it with the same embedding"
        )
    version = str(about["version"])
    named = F.col("classifier_version").eqNullSafe(F.lit(version))
    rows = lake.read_current("features.images").where(F.col("is_current") & (F.col("status") == OK) & ~named).persist()
    try:
        count = rows.count()
        lake.run.note(labelled_images=count, classifier_version=version)
        if count:
            made = rows.drop("run_id", "predicted_label", "label_probability").join(picture_labels(rows, classifier), "image_id")
            lake.upsert("features.images", made.withColumn("classifier_version", F.lit(version)), unique=True)
    finally:
        rows.unpersist()


def run(lake: Lake, conf: ImagesConf, as_of: date) -> None:
    """Open what is new or changed, and merge it."""
    files = with_file_state(lake.read("silver.images"), conf.fetch).persist()
    known = files.count()
    if not known:
        remote = "and no picture by URL" if conf.fetch else "those by URL are fetched with images.fetch=true"
        raise SkippedError(f"silver.images has no picture that is a file here; {remote}")
    embedding = embedding_of(conf.embedding, conf.model, conf.pixel_mean, conf.pixel_spread)
    held = lake.read_if_exists("features.images")
    new = pictures_to_open(files, held, embedding.version).persist()
    try:
        count = new.count()
        lake.run.note(described_images=count, unchanged_images=known - count, model_version=embedding.version)
        if count:
            # Decoding is the work: adaptive execution would give few paths to one task.
            spread = new.repartition(lake.spark.sparkContext.defaultParallelism, "image_id")
            limits = Limits(conf.max_pixels, conf.max_file_bytes)
            made = describe_files(spread, "path", Describing(limits, embedding, fetch_rules(conf)))
            marks = {"as_of": F.lit(as_of), "model_version": F.lit(embedding.version), "is_current": F.lit(True)}
            nothing = {name: F.lit(None).cast(kind) for name, kind in UNLABELLED.items()}
            rows = made.withColumns(marks | nothing)
            rows = rows if held is None else rows.unionByName(retired_rows(held, new, "image_id", embedding.version))
            lake.upsert("features.images", rows, unique=True)
    finally:
        new.unpersist()
        files.unpersist()
    if conf.classifier is not None:
        label_pictures(lake, conf.classifier, embedding.version)


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, ImagesConf, argv)


if __name__ == "__main__":
    sys.exit(main())

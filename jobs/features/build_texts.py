"""Make the vector of every text known by as_of, by the representation of `texts.representation`.

Only texts that are new, changed, or have no vector of this version are read; the run's tags say how many (scored_texts,
unchanged_texts). What a representation has learned stays until there are texts.relearn_growth times the texts, or its settings
change.

Reads:  silver.texts           one row per text; those known by as_of
        features.text_terms    what was learned up to as_of, where there is any
Writes: features.texts         one row per text and version; rows of earlier versions of the same texts stop being current
        features.text_terms    one row per version and term, where the representation was learned
"""

from __future__ import annotations

import hashlib
import json
import sys
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from shoal.conf.sections import TextsConf
from shoal.errors import SkippedError, UsageError
from shoal.lake.lake import Lake
from shoal.mine.text.representation import RepresentationSettings, Terms, learn_terms, with_vectors, words_of
from shoal.mine.text.sentence_network import read_sentence_network, with_sentence_vectors
from shoal.models.rescoring import upsert_scores
from shoal.models.text_terms import terms_of
from shoal.runner.command import run_job

READS = ("silver.texts",)
WRITES = ("features.texts", "features.text_terms")
TERMS = "term string, number int, texts bigint, weight double, vector array<float>"


def settings_of(conf: TextsConf) -> RepresentationSettings:
    """The settings as the representation takes them."""
    return RepresentationSettings(**conf.model_dump(exclude={"model", "relearn_growth"}))


def known_terms(lake: Lake, kind: str, as_of: date, texts: int, growth: float) -> tuple[str, Terms] | None:
    """The newest terms of `kind` learned up to as_of and their version; None without any, or where there are `growth` times the
    texts now. Collects a version's terms, texts.max_terms rows."""
    held = lake.read_if_exists("features.text_terms")
    if held is None:
        return None
    ours = held.where(F.col("model_version").startswith(f"{kind}/") & (F.col("as_of") <= F.lit(as_of)))
    last = ours.agg(F.max("as_of")).collect()[0][0]
    if last is None:
        return None
    rows = [row.asDict() for row in ours.where(F.col("as_of") == F.lit(last)).collect()]
    if texts >= growth * rows[0]["learned_texts"]:
        return None
    return rows[0]["model_version"], terms_of(kind.partition("-")[0], rows)


def learned_terms(lake: Lake, texts: DataFrame, count: int, conf: TextsConf, as_of: date) -> tuple[str, Terms]:
    """The version and terms of the representation: those that are known, else learned now and kept."""
    settings = settings_of(conf)
    digest = hashlib.sha256(json.dumps(conf.model_dump(mode="json", exclude={"model", "relearn_growth"})).encode()).hexdigest()[:8]
    kind = f"{conf.representation}-{digest}"
    known = known_terms(lake, kind, as_of, count, conf.relearn_growth)
    if known is not None:
        return known
    terms = learn_terms(texts, count, settings)
    if terms is None:
        raise SkippedError(f"no word is in {conf.min_texts} texts of silver.texts up to {as_of} (texts.min_texts)")
    vectors = [None] * len(terms.names) if terms.vectors is None else terms.vectors.tolist()
    rows = zip(terms.names, range(len(terms.names)), terms.texts, terms.weights.tolist(), vectors, strict=True)
    version = f"{kind}/{as_of}"
    marks = {"as_of": F.lit(as_of), "learned_texts": F.lit(count).cast("bigint"), "model_version": F.lit(version)}
    frame = lake.spark.createDataFrame(list(rows), TERMS).withColumns(marks)
    lake.upsert("features.text_terms", frame.coalesce(1), unique=True)
    lake.run.note(learned_terms=len(terms.names))
    return version, terms


def run(lake: Lake, conf: TextsConf, as_of: date) -> None:
    """Make the vectors that are missing, in one commit with the rows that they retire."""
    texts = lake.read("silver.texts", before=as_of).select("text_id", "text")
    if conf.representation == "onnx":
        if conf.model is None:
            raise UsageError("texts.representation=onnx needs the network's folder: --set texts.model=DIR")
        network = read_sentence_network(conf.model)

        def score(new: DataFrame) -> DataFrame:
            # A network is the work: adaptive execution would give few texts to one task.
            return with_sentence_vectors(new.repartition(lake.spark.sparkContext.defaultParallelism, "text_id"), network)

        upsert_scores(lake, "features.texts", texts, "text_id", network.version, as_of, score)
        return
    count = texts.count()
    if not count:
        raise SkippedError(f"no text in silver.texts up to {as_of}")
    version, terms = learned_terms(lake, texts, count, conf, as_of)
    upsert_scores(
        lake, "features.texts", texts, "text_id", version, as_of,
        lambda new: with_vectors(words_of(new, conf.max_text_length), terms),
    )  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """The command; see shoal.runner.execute for arguments and exit codes."""
    return run_job(__doc__, run, TextsConf, argv)


if __name__ == "__main__":
    sys.exit(main())

"""The features of one picture, and of many in Arrow batches. No model is learned here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image
from pyspark.sql import DataFrame

from shoal.mine.image.colours import brightness, colourfulness, contrast, dominant_colours, histogram, saturation
from shoal.mine.image.embedding import Embedding
from shoal.mine.image.fetching import FetchRules, fetch, is_url
from shoal.mine.image.hashes import difference_hash, perceptual_hash
from shoal.mine.image.opening import UNREADABLE, Limits, Opened, open_bytes, open_file
from shoal.mine.image.texture import co_occurrence, edge_orientations, local_patterns, sharpness

# Side of the picture that light, colour and texture are measured on: measures of edges depend on it. Smaller pictures stay as they
# are.
MEASURED_SIDE, COLOUR_SIDE = 256, 64
EDGE_ORIENTATIONS = 9
# Rows of a batch that a task writes: its memory is some pictures' numbers and one picture.
BATCH = 32
FEATURES = pa.schema(
    [
        ("colours", pa.list_(pa.struct([("colour", pa.string()), ("share", pa.float64())]))),
        *[(name, pa.float64()) for name in ("brightness", "contrast", "saturation", "colourfulness", "sharpness")],
        ("colour_histogram", pa.list_(pa.float32())),
        ("local_patterns", pa.list_(pa.float32())),
        *[(f"glcm_{name}", pa.float64()) for name in ("contrast", "homogeneity", "energy", "correlation", "entropy")],
        ("edge_orientations", pa.list_(pa.float32())),
        ("difference_hash", pa.string()),
        ("perceptual_hash", pa.string()),
        ("embedding", pa.list_(pa.float32())),
    ]
)  # fmt: skip
HEADER = pa.schema(
    [
        ("status", pa.string()),
        ("content_hash", pa.string()),
        ("width_px", pa.int32()),
        ("height_px", pa.int32()),
        ("format", pa.string()),
    ]
)
_EMBEDDED = ("status", "content_hash", "embedding")
_DDL = {pa.string(): "string", pa.int32(): "int", pa.float64(): "double", pa.list_(pa.float32()): "array<float>"}


@dataclass(frozen=True)
class Describing:
    """What is opened, what embeds it, and by which rules URLs are fetched: None for not at all."""

    limits: Limits
    embedding: Embedding
    fetch: FetchRules | None = None


def open_picture(path: str, describing: Describing) -> Opened:
    """The picture of a file, or of a URL where URLs are fetched, with the statuses of shoal.mine.image.opening and fetching."""
    if describing.fetch is None or not is_url(path):
        return open_file(path, describing.limits)
    fetched = fetch(path, describing.fetch)
    return Opened(fetched.status or UNREADABLE) if fetched.data is None else open_bytes(fetched.data, describing.limits)


def features_of(picture: Image.Image) -> dict[str, Any]:
    """The columns FEATURES of an upright RGB picture, without its embedding. Units: shoal.mine.image.colours, texture, hashes.

    Hashes are of the whole picture; light, colours and texture of one scaled to MEASURED_SIDE at most, never enlarged; dominant
    colours of COLOUR_SIDE at most.
    """
    grey = picture.convert("L")
    small = _at_most(picture, MEASURED_SIDE)
    luma = np.asarray(small.convert("L")).astype(np.float64)
    return {
        "colours": [one._asdict() for one in dominant_colours(_at_most(small, COLOUR_SIDE))],
        "brightness": brightness(luma), "contrast": contrast(luma), "saturation": saturation(small),
        "colourfulness": colourfulness(small), "sharpness": sharpness(luma),
        "colour_histogram": histogram(small), "local_patterns": local_patterns(luma),
        **{f"glcm_{name}": value for name, value in co_occurrence(luma)._asdict().items()},
        "edge_orientations": edge_orientations(luma, EDGE_ORIENTATIONS),
        "difference_hash": difference_hash(grey), "perceptual_hash": perceptual_hash(grey),
    }  # fmt: skip


def describe_files(rows: DataFrame, path: str, describing: Describing) -> DataFrame:
    """The rows with the columns HEADER and FEATURES, read from the file that column `path` names.

    FEATURES are null but for status ok. Lazy: some 20 ms a picture; a task holds one picture and BATCH rows of numbers. The caller
    spreads the rows over tasks.
    """
    kept = [(field.name, field.dataType.simpleString()) for field in rows.schema.fields]
    names = [name for name, _ in kept]

    def described(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for start in range(0, batch.num_rows, BATCH):
                part = batch.slice(start, BATCH)
                made = [_described(one, describing) for one in part.column(names.index(path)).to_pylist()]
                columns = [pa.array([row.get(f.name) for row in made], f.type) for f in [*HEADER, *FEATURES]]
                yield pa.RecordBatch.from_arrays([*part.columns, *columns], names=[*names, *HEADER.names, *FEATURES.names])

    return rows.mapInArrow(described, ", ".join([*(f"`{n}` {t}" for n, t in kept), ddl_of(HEADER), ddl_of(FEATURES)]))


def embed_files(rows: DataFrame, describing: Describing) -> DataFrame:
    """One row per row of `rows` (path, label; strings): both, status, content_hash, embedding (bytes of float32; null but for
    status ok). Lazy; a task holds one picture and BATCH vectors."""

    def embedded(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for start in range(0, batch.num_rows, BATCH):
                part = batch.slice(start, BATCH)
                found = [open_and_embed(one, describing) for one in part.column(0).to_pylist()]
                made = [
                    pa.array([opened.status for opened, _ in found], pa.string()),
                    pa.array([opened.content_hash for opened, _ in found], pa.string()),
                    pa.array([vector for _, vector in found], pa.binary()),
                ]
                yield pa.RecordBatch.from_arrays([*part.columns, *made], names=[*part.schema.names, *_EMBEDDED])

    schema = "path string, label string, status string, content_hash string, embedding binary"
    return rows.select("path", "label").mapInArrow(embedded, schema)


def open_and_embed(path: str, describing: Describing) -> tuple[Opened, bytes | None]:
    """What a look at the file said, and the bytes of its embedding; None but for status ok."""
    opened = open_file(path, describing.limits)
    return opened, None if opened.picture is None else describing.embedding.of(opened.picture).tobytes()


def ddl_of(schema: pa.Schema) -> str:
    """The columns as Spark's DDL."""
    nested = "array<struct<colour:string,share:double>>"
    return ", ".join(f"{field.name} {_DDL.get(field.type, nested)}" for field in schema)


def _described(path: str, describing: Describing) -> dict[str, Any]:
    opened = open_picture(path, describing)
    found: dict[str, Any] = {
        "status": opened.status, "content_hash": opened.content_hash, "width_px": opened.width, "height_px": opened.height,
        "format": opened.format,
    }  # fmt: skip
    if opened.picture is None:
        return found
    return {**found, **features_of(opened.picture), "embedding": describing.embedding.of(opened.picture)}


def _at_most(picture: Image.Image, side: int) -> Image.Image:
    """The picture scaled so that its longer side has `side` pixels at most."""
    factor = max(picture.size) / side
    if factor <= 1:
        return picture
    size: Sequence[int] = [max(1, round(length / factor)) for length in picture.size]
    return picture.resize((size[0], size[1]), Image.Resampling.BOX)

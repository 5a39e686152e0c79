"""A picture's file to one record: what its header says. No Spark: this is what a task runs."""

from __future__ import annotations

import json
import struct
import warnings
from collections.abc import Iterator, Sequence
from typing import IO, cast

import pyarrow as pa
from PIL import Image, UnidentifiedImageError

from shoal.ingest.formats.parsing import Stretch, slow_batch
from shoal.ingest.formats.storage import open_binary

# What Pillow's readers of headers meet in bytes that are no picture, or too large a one.
BROKEN = (UnidentifiedImageError, OSError, SyntaxError, ValueError, ArithmeticError, LookupError, TypeError, struct.error,
           EOFError, MemoryError, Image.DecompressionBombError)  # fmt: skip
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP")


def look(path: str) -> tuple[int | None, int | None, str]:
    """(width, height, status) of a picture's file, by its header: found, damaged where that cannot be read, missing.

    Nothing is decoded: a picture that is cut off behind its header is found.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with open_binary(path) as stream, Image.open(cast(IO[bytes], stream), formats=FORMATS) as picture:
                width, height = picture.size
    except FileNotFoundError:
        return None, None, "missing"
    except BROKEN:
        return None, None, "damaged"
    return (width, height, "found") if width > 0 and height > 0 else (None, None, "damaged")


def picture_records(stretch: Stretch, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The one record of a picture's file, with `batch_schema(names)`: path, width_px, height_px and status; raw is their JSON."""
    width, height, status = look(stretch.path)
    found = {"path": stretch.path, "width_px": width, "height_px": height, "status": status}
    fields = {name: None if value is None else str(value) for name, value in found.items()}
    yield slow_batch([(1, json.dumps(found, ensure_ascii=False), None, None, fields)], names)

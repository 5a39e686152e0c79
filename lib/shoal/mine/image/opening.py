"""A picture's file to one RGB picture, upright, or the status that says why not. No Spark: this is what a task runs.

The first frame counts of a picture that moves. Where a picture is transparent, white lies below. 16 bits a channel become 8. CMYK
is converted without a colour profile.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from shoal.ingest.formats.pictures import BROKEN, FORMATS

OK, UNREADABLE, TOO_LARGE, BOMB, MISSING = STATUSES = ("ok", "unreadable", "too_large", "bomb", "missing")
# A photograph has some ten pixels a byte, a drawing a hundred; a file of one colour reaches 1,000.
BOMB_PIXELS_PER_BYTE = 200


@dataclass(frozen=True)
class Limits:
    """What is opened at all: `max_pixels` of width times height, `max_file_bytes` of the file."""

    max_pixels: int
    max_file_bytes: int


@dataclass(frozen=True)
class Opened:
    """A picture, or the status that says why it was not opened.

    `width` and `height` are those of the upright picture, known for `ok`, `too_large` by pixels, and `bomb`. `content_hash`: 32 hex
    digits of the bytes (BLAKE2b), None where they were not read.
    """

    status: str
    picture: Image.Image | None = None
    width: int | None = None
    height: int | None = None
    format: str | None = None
    content_hash: str | None = None


def open_file(path: str, limits: Limits) -> Opened:
    """The picture of a file. Status: ok; missing: no file there; too_large: more bytes or pixels than `limits`; bomb: too many
    pixels, and more than BOMB_PIXELS_PER_BYTE for each byte; unreadable: no picture of a known format, no bytes, or cut short.

    Nothing of a picture with too many pixels is decoded. A file may be gone or replaced at any time: no error is raised for it.
    """
    try:
        file = Path(path)
        if not file.is_file():
            return Opened(UNREADABLE if file.exists() else MISSING)
        if file.stat().st_size > limits.max_file_bytes:
            return Opened(TOO_LARGE)
        data = file.read_bytes()
    except FileNotFoundError:
        return Opened(MISSING)
    except (OSError, ValueError):
        return Opened(UNREADABLE)
    return open_bytes(data, limits)


def open_bytes(data: bytes, limits: Limits) -> Opened:
    """The picture of a file's bytes, with the statuses of `open_file` but missing."""
    content = hashlib.blake2b(data, digest_size=16).hexdigest()
    if len(data) > limits.max_file_bytes:
        return Opened(TOO_LARGE, content_hash=content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
                width, height = _upright_size(picture)
                if width * height > limits.max_pixels:
                    status = BOMB if width * height > BOMB_PIXELS_PER_BYTE * len(data) else TOO_LARGE
                    return Opened(status, None, width, height, picture.format, content)
                upright = _on_white(_eight_bits(ImageOps.exif_transpose(picture)))
                return Opened(OK, upright, width, height, picture.format, content)
    except Image.DecompressionBombError:
        return Opened(BOMB, content_hash=content)
    except BROKEN:
        return Opened(UNREADABLE, content_hash=content)


def _upright_size(picture: Image.Image) -> tuple[int, int]:
    """Width and height once the picture is turned as its EXIF orientation says: 5 to 8 lie on a side."""
    width, height = picture.size
    return (height, width) if picture.getexif().get(0x0112, 1) in (5, 6, 7, 8) else (width, height)


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Grey of 16 bits as grey of 8: Pillow would cut all above 255."""
    if not picture.mode.startswith("I"):
        return picture
    return Image.fromarray((np.asarray(picture).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))


def _on_white(picture: Image.Image) -> Image.Image:
    """The picture in RGB, on white where it is transparent."""
    if picture.mode not in ("RGBA", "LA", "PA", "La", "RGBa") and "transparency" not in picture.info:
        return picture.convert("RGB")
    above = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", above.size, "white"), above).convert("RGB")

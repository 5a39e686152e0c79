"""A picture as 200 numbers: which colours it has, and which way the edges run where. No Spark: this is what a task runs.

Colour: how often each of 8 x 3 x 3 cells of hue, saturation and value occurs (Swain and Ballard, Color Indexing, IJCV 7(1),
1991). Shape: in each cell of a 4 x 4 grid the gradients by 8 orientations, light to dark and dark to light alike, weighed by their
strength (Freeman and Roth, Orientation Histograms, 1995; Dalal and Triggs, CVPR 2005). The root of each histogram is taken, so that
a product is Bhattacharyya's coefficient and one large plane does not drown the rest; shape has length 1, colour COLOUR_WEIGHT,
chosen on pictures of clothes (docs/adr/0045). Size, format and transparency (white lies below) do not count.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from shoal.arrays import Floats, Ints
from shoal.ingest.formats.pictures import BROKEN, FORMATS

SIDE, GRID, ORIENTATIONS, HUES, SATURATIONS, VALUES = 64, 4, 8, 8, 3, 3
COLOUR_WEIGHT = 0.3
LENGTH = HUES * SATURATIONS * VALUES + GRID * GRID * ORIENTATIONS
# Bytes of a file that are read at all.
MAX_FILE_BYTES = 64 << 20


def descriptor(path: str, max_pixels: int) -> Floats | None:
    """LENGTH numbers from 0 to 1; None for a picture that is missing, damaged, cut off, or of more than `max_pixels` pixels.

    Nothing of a picture that is too large is decoded. A picture of one colour has no shape: those numbers are 0. Of one that moves
    the first frame counts.
    """
    try:
        if Path(path).stat().st_size > MAX_FILE_BYTES:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as picture:
                width, height = picture.size
                if not 0 < width * height <= max_pixels:
                    return None
                # JPEG is then decoded at a fraction of its size.
                picture.draft("RGB", (2 * SIDE, 2 * SIDE))
                small = _flat(ImageOps.exif_transpose(picture)).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    except BROKEN:
        return None
    return np.concatenate([np.float32(COLOUR_WEIGHT) * colours(small), shapes(small)])


def _flat(picture: Image.Image) -> Image.Image:
    """The picture in RGB, on white where it is transparent."""
    if picture.mode not in ("RGBA", "LA", "PA") and "transparency" not in picture.info:
        return picture.convert("RGB")
    above = picture.convert("RGBA")
    below = Image.new("RGBA", above.size, "white")
    return Image.alpha_composite(below, above).convert("RGB")


def colours(picture: Image.Image) -> Floats:
    """The roots of the shares of HUES x SATURATIONS x VALUES cells, hue slowest; their squares sum to 1."""
    hue, saturation, value = np.moveaxis(np.asarray(picture.convert("HSV")).astype(np.int64), 2, 0)
    cell: Ints = hue * HUES // 256 * SATURATIONS + saturation * SATURATIONS // 256
    cell = cell * VALUES + value * VALUES // 256
    counts = np.bincount(cell.ravel(), minlength=HUES * SATURATIONS * VALUES)
    return np.sqrt(counts / cell.size).astype(np.float32)


def shapes(picture: Image.Image) -> Floats:
    """The roots of the summed gradients of GRID x GRID places (row by row) and ORIENTATIONS; of length 1, or all 0.

    Orientation 0 is a gradient along a row, an edge that stands upright; one between two orientations counts for both in parts.
    """
    grey = np.asarray(picture.convert("L")).astype(np.float64)
    down, along = np.gradient(grey)
    strength = np.hypot(down, along)
    turn = np.arctan2(down, along) % np.pi / np.pi * ORIENTATIONS
    first = np.floor(turn).astype(np.int64)
    beyond = turn - first
    side = np.arange(SIDE) * GRID // SIDE
    place = (side[:, None] * GRID + side[None, :]) * ORIENTATIONS
    total = np.zeros(GRID * GRID * ORIENTATIONS)
    for orientation, share in ((first, 1 - beyond), (first + 1, beyond)):
        total += np.bincount((place + orientation % ORIENTATIONS).ravel(), (strength * share).ravel(), len(total))
    length = np.sqrt(total.sum())
    return np.asarray(np.sqrt(total) / (length or 1.0), np.float32)

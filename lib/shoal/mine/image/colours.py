"""The colours of a picture: which dominate, how bright, contrasting, saturated and colourful it is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

from shoal.arrays import Doubles, Floats, Ints

HUES, SATURATIONS, VALUES = 8, 3, 3
HISTOGRAM = HUES * SATURATIONS * VALUES
# Dominant colours of a picture at most, and the rounds of k-means.
DOMINANT, ROUNDS = 5, 20
# IEC 61966-2-1: linear sRGB to XYZ, and the white of D65.
_TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])
_WHITE = np.array([0.95047, 1.0, 1.08883])
_EDGE = 6 / 29


class Dominant(NamedTuple):
    """A colour as #rrggbb and its share of the pixels, 0 to 1."""

    colour: str
    share: float


def lab(rgb: Doubles) -> Doubles:
    """CIELAB (L 0..100, a, b) of sRGB values 0..255 in the last axis (CIE 15:2004; white D65)."""
    scaled = rgb / 255.0
    linear = np.where(scaled <= 0.04045, scaled / 12.92, ((scaled + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _TO_XYZ.T / _WHITE
    bent = np.where(xyz > _EDGE**3, np.cbrt(xyz), xyz / (3 * _EDGE**2) + 4 / 29)
    x, y, z = np.moveaxis(bent, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def dominant_colours(picture: Image.Image) -> list[Dominant]:
    """At most DOMINANT colours by k-means (Lloyd, 1982) in CIELAB, the largest share first, equal shares by colour.

    Begins with the most frequent colour, then each time the one with the largest count times squared distance from those before:
    nothing is drawn, so the same pixels give the same colours in any order. A group's colour is its mean in sRGB, rounded.
    """
    pixels = np.asarray(picture).reshape(-1, 3).astype(np.int64)
    packed, counts = np.unique(pixels @ np.array([1 << 16, 1 << 8, 1]), return_counts=True)
    colours = packed[:, None] >> np.array([16, 8, 0]) & 255
    points, weights = lab(colours.astype(np.float64)), counts.astype(np.float64)
    group = _groups(points, weights)
    found = []
    for n in range(group.max() + 1):
        mine = group == n
        if mine.any():
            mean = np.average(colours[mine], axis=0, weights=weights[mine])
            found.append(
                Dominant("#{:02x}{:02x}{:02x}".format(*np.rint(mean).astype(int)), float(weights[mine].sum() / weights.sum()))
            )
    return sorted(found, key=lambda one: (-one.share, one.colour))


def _groups(points: Doubles, weights: Doubles) -> Ints:
    """The group of each weighted point, at most DOMINANT of them."""
    centres = points[[weights.argmax()]]
    while len(centres) < DOMINANT:
        far = weights * _squares(points, centres).min(axis=1)
        if far.max() <= 1e-9:
            break
        centres = np.vstack([centres, points[far.argmax()]])
    group = _squares(points, centres).argmin(axis=1)
    for _ in range(ROUNDS):
        totals = np.bincount(group, weights, len(centres))
        sums = np.stack([np.bincount(group, weights * points[:, axis], len(centres)) for axis in range(3)], axis=1)
        centres = np.where(totals[:, None] > 0, sums / np.maximum(totals, 1)[:, None], centres)
        moved = _squares(points, centres).argmin(axis=1)
        if np.array_equal(moved, group):
            break
        group = moved
    return np.asarray(group, np.int64)


def _squares(points: Doubles, centres: Doubles) -> Doubles:
    """Squared distances, a row a point, a column a centre."""
    return np.asarray(((points**2).sum(axis=1)[:, None] - 2 * points @ centres.T + (centres**2).sum(axis=1)).clip(0))


def histogram(picture: Image.Image) -> Floats:
    """The shares of HUES x SATURATIONS x VALUES cells of HSV, hue slowest (Swain and Ballard, Color Indexing, IJCV 7(1), 1991)."""
    hue, saturation, value = np.moveaxis(np.asarray(picture.convert("HSV")).astype(np.int64), 2, 0)
    cell = (hue * HUES // 256 * SATURATIONS + saturation * SATURATIONS // 256) * VALUES + value * VALUES // 256
    return (np.bincount(cell.ravel(), minlength=HISTOGRAM) / cell.size).astype(np.float32)


def brightness(grey: Doubles) -> float:
    """Mean luma, 0 black to 1 white."""
    return float(grey.mean() / 255)


def contrast(grey: Doubles) -> float:
    """Standard deviation of luma, 0 to .5 (RMS contrast; Peli, JOSA A 7(10), 1990)."""
    return float(grey.std() / 255)


def saturation(picture: Image.Image) -> float:
    """Mean saturation of HSV, 0 grey to 1."""
    return float(np.asarray(picture.convert("HSV"))[:, :, 1].mean() / 255)


def colourfulness(picture: Image.Image) -> float:
    """0 for grey, some 100 and more for vivid (Hasler and Süsstrunk, Measuring colourfulness in natural images, SPIE 5007,
    2003)."""
    red, green, blue = np.moveaxis(np.asarray(picture).astype(np.float64), 2, 0)
    one, two = red - green, (red + green) / 2 - blue
    return float(np.hypot(one.std(), two.std()) + 0.3 * np.hypot(one.mean(), two.mean()))

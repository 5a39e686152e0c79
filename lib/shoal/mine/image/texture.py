"""The texture and the edges of a grey picture: sharpness, local binary patterns, co-occurrence, gradients by orientation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from shoal.arrays import Doubles, Floats, Ints

# Uniform patterns of eight neighbours, and one for all others.
PATTERNS = 59
GREY_LEVELS = 16
_RING = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
# Right, right and up, up, left and up: 0, 45, 90 and 135 degrees.
_ANGLES = ((0, 1), (-1, 1), (-1, 0), (-1, -1))


class CoOccurrence(NamedTuple):
    """Haralick's properties of the grey levels of neighbours: contrast in squared levels, 0 for one colour; homogeneity 0..1;
    energy 0..1, 1 for one colour; correlation -1..1, 1 for one colour; entropy in bits."""

    contrast: float
    homogeneity: float
    energy: float
    correlation: float
    entropy: float


def sharpness(grey: Doubles) -> float:
    """Variance of the Laplacian (4 neighbours) of luma 0..255, inside the border: low for a blurred picture (Pech-Pacheco et al.,
    ICPR 2000). 0 for a picture narrower than 3 pixels."""
    if min(grey.shape) < 3:
        return 0.0
    middle = grey[1:-1, 1:-1]
    return float((grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * middle).var())


def _uniform_numbers() -> Ints:
    """Of each of 256 codes its bin: those of at most two changes round the ring in order, PATTERNS - 1 for all others."""
    codes = np.arange(256)
    bits = codes[:, None] >> np.arange(8) & 1
    changes = (bits != np.roll(bits, 1, axis=1)).sum(axis=1)
    numbers = np.full(256, PATTERNS - 1)
    numbers[changes <= 2] = np.arange(PATTERNS - 1)
    return numbers


_NUMBERS = _uniform_numbers()


def local_patterns(grey: Doubles, grid: int = 1) -> Floats:
    """The shares of PATTERNS uniform local binary patterns in each cell of a `grid` x `grid` (row by row); radius 1, 8 neighbours
    (Ojala, Pietikäinen and Mäenpää, PAMI 24(7), 2002). All 0 in a cell without a pixel inside the border."""
    if min(grey.shape) < 3:
        return np.zeros(grid * grid * PATTERNS, np.float32)
    middle = grey[1:-1, 1:-1]
    height, width = middle.shape
    code = np.zeros(middle.shape, np.int64)
    for place, (down, right) in enumerate(_RING):
        code |= (grey[1 + down : 1 + down + height, 1 + right : 1 + right + width] >= middle).astype(np.int64) << place
    row, column = np.arange(height) * grid // height, np.arange(width) * grid // width
    cell = row[:, None] * grid + column[None, :]
    counts = np.bincount((cell * PATTERNS + _NUMBERS[code]).ravel(), minlength=grid * grid * PATTERNS).reshape(-1, PATTERNS)
    return (counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)).ravel().astype(np.float32)


def co_occurrence(grey: Doubles) -> CoOccurrence:
    """The properties of the co-occurrence matrix of GREY_LEVELS levels: neighbours at distance 1 in four directions, counted both
    ways (Haralick, Shanmugam and Dinstein, IEEE SMC-3(6), 1973). A picture of one pixel has those of one colour."""
    levels = (grey * GREY_LEVELS // 256).astype(np.int64)
    counts = np.zeros(GREY_LEVELS * GREY_LEVELS)
    for down, right in _ANGLES:
        first = levels[max(0, -down) :, max(0, -right) : levels.shape[1] - max(0, right)]
        second = levels[: levels.shape[0] + down, max(0, right) : levels.shape[1] - max(0, -right)]
        pairs = first[: second.shape[0]] * GREY_LEVELS + second
        counts += np.bincount(pairs.ravel(), minlength=len(counts))
    matrix = counts.reshape(GREY_LEVELS, GREY_LEVELS)
    matrix = matrix + matrix.T
    if not matrix.sum():
        return CoOccurrence(0.0, 1.0, 1.0, 1.0, 0.0)
    share = matrix / matrix.sum()
    level = np.arange(GREY_LEVELS)
    apart = (level[:, None] - level[None, :]) ** 2
    mean = share.sum(axis=1) @ level
    spread = share.sum(axis=1) @ (level - mean) ** 2
    together = ((level[:, None] - mean) * (level[None, :] - mean) * share).sum()
    present = share[share > 0]
    return CoOccurrence(
        float((share * apart).sum()), float((share / (1 + apart)).sum()), float(np.sqrt((share**2).sum())),
        float(together / spread) if spread > 1e-12 else 1.0, float(max(0.0, -(present * np.log2(present)).sum())),
    )  # fmt: skip


def gradients(grey: Doubles, cells: int, orientations: int) -> Doubles:
    """Summed gradients by orientation, light to dark and dark to light alike, in `cells` x `cells` (row by row): an array of
    (cells, cells, orientations).

    Orientation 0 is a gradient along a row, an edge that stands upright. A gradient counts for the two nearest orientations and for
    the four nearest cells, in parts (Dalal and Triggs, Histograms of Oriented Gradients, CVPR 2005). The root of the grey values is
    taken first, which evens out light.
    """
    strength, (before, after) = _turns(grey, orientations)
    wide = cells + 2
    rows, row_beyond = _cells(grey.shape[0], cells)
    columns, column_beyond = _cells(grey.shape[1], cells)
    total = np.zeros(wide * wide * orientations)
    for row, row_share in ((rows, 1 - row_beyond), (rows + 1, row_beyond)):
        for column, column_share in ((columns, 1 - column_beyond), (columns + 1, column_beyond)):
            place = (row[:, None] * wide + column[None, :]) * orientations
            weight = strength * row_share[:, None] * column_share[None, :]
            for orientation, share in (before, after):
                total += np.bincount((place + orientation).ravel(), (weight * share).ravel(), len(total))
    return total.reshape(wide, wide, orientations)[1:-1, 1:-1]


def edge_orientations(grey: Doubles, orientations: int) -> Floats:
    """The shares of the orientations among all gradients, as `gradients` has them; all 0 for a picture of one colour."""
    strength, turns = _turns(grey, orientations)
    total = sum(np.bincount(turn.ravel(), (strength * share).ravel(), orientations) for turn, share in turns)
    return np.asarray(total / (np.sum(total) or 1.0), np.float32)


def _turns(grey: Doubles, orientations: int) -> tuple[Doubles, tuple[tuple[Ints, Doubles], tuple[Ints, Doubles]]]:
    """The strength of each pixel's gradient, and the orientations before and after it with their shares."""
    down, along = _slopes(grey)
    turn = np.arctan2(down, along) % np.pi / np.pi * orientations
    first = np.floor(turn).astype(np.int64)
    beyond = turn - first
    return np.hypot(down, along), ((first % orientations, 1 - beyond), ((first + 1) % orientations, beyond))


def _slopes(grey: Doubles) -> tuple[Doubles, Doubles]:
    """The differences down and along; 0 on an axis of one pixel."""
    root = np.sqrt(grey)
    down, along = (np.gradient(root, axis=axis) if grey.shape[axis] > 1 else np.zeros(grey.shape) for axis in (0, 1))
    return down, along


def _cells(size: int, cells: int) -> tuple[Ints, Doubles]:
    """Of each pixel the cell before it, counted from 1 with a border of one cell, and how far it lies towards the next."""
    place = (np.arange(size) + 0.5) * cells / size - 0.5
    before = np.floor(place).astype(np.int64)
    return before + 1, place - before

"""A picture as LENGTH numbers without any training: edges, texture and light by place. The default embedding.

The picture is stretched to a square. Edges: the roots of the gradients of 8 x 8 cells and 9 orientations, at 64 pixels, of length
1. Texture: the roots of the shares of local binary patterns in 4 x 4 cells, at 128 pixels, of length TEXTURE_WEIGHT. Light: CIELAB
of 4 x 4 places, of length LIGHT_WEIGHT. With a root a product of two histograms is Bhattacharyya's coefficient, and one large plane
does not drown the rest. The weights and sizes were chosen on pictures of clothes (docs/adr/0120).
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from shoal.arrays import Doubles, Floats
from shoal.mine.image.colours import lab
from shoal.mine.image.texture import PATTERNS, gradients, local_patterns

EDGE_SIDE, EDGE_CELLS, ORIENTATIONS = 64, 8, 9
TEXTURE_SIDE, TEXTURE_CELLS, TEXTURE_WEIGHT = 128, 4, 0.5
LIGHT_CELLS, LIGHT_WEIGHT = 4, 0.2
LENGTH = EDGE_CELLS**2 * ORIENTATIONS + TEXTURE_CELLS**2 * PATTERNS + 3 * LIGHT_CELLS**2
DESCRIPTOR = "descriptor/1"


def descriptor(picture: Image.Image) -> Floats:
    """LENGTH numbers of an RGB picture of any size. Of one colour: no edges, those numbers are 0."""
    square = picture.resize((TEXTURE_SIDE, TEXTURE_SIDE), Image.Resampling.BILINEAR)
    small = square.resize((EDGE_SIDE, EDGE_SIDE), Image.Resampling.BILINEAR)
    edges = np.sqrt(gradients(_grey(small), EDGE_CELLS, ORIENTATIONS).ravel())
    texture = np.sqrt(local_patterns(_grey(square), TEXTURE_CELLS).astype(np.float64))
    places = np.asarray(square.resize((LIGHT_CELLS, LIGHT_CELLS), Image.Resampling.BOX)).astype(np.float64)
    parts = (edges, 1.0), (texture, TEXTURE_WEIGHT), (lab(places).ravel(), LIGHT_WEIGHT)
    return np.concatenate([_of_length(values, weight) for values, weight in parts]).astype(np.float32)


def _grey(picture: Image.Image) -> Doubles:
    return np.asarray(picture.convert("L")).astype(np.float64)


def _of_length(values: Doubles, length: float) -> Doubles:
    return np.asarray(values * (length / (np.linalg.norm(values) or 1.0)))

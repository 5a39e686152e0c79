"""Two hashes of 64 bits that hardly change where a picture is scaled, compressed or made brighter; 16 hex digits each.

Equal bit for bit to `dhash` and `phash` of the package imagehash.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy.fft import dct

SIDE, FINE = 8, 32


def difference_hash(grey: Image.Image) -> str:
    """Whether each of 8 x 8 places is lighter than the one left of it (Krawetz, 2013). `grey`: mode L, at full size."""
    small = np.asarray(grey.resize((SIDE + 1, SIDE), Image.Resampling.LANCZOS))
    return _hex(small[:, 1:] > small[:, :-1])


def perceptual_hash(grey: Image.Image) -> str:
    """Whether each of the 8 x 8 lowest frequencies of the cosine transform of 32 x 32 places is above their median (Zauner,
    Implementation and Benchmarking of Perceptual Image Hash Functions, 2010). `grey`: mode L, at full size."""
    small = np.asarray(grey.resize((FINE, FINE), Image.Resampling.LANCZOS)).astype(np.float64)
    low = dct(dct(small, axis=0), axis=1)[:SIDE, :SIDE]
    return _hex(low > np.median(low))


def _hex(bits: np.ndarray) -> str:
    """The bits row by row, the first one highest."""
    return np.packbits(bits.ravel()).tobytes().hex()

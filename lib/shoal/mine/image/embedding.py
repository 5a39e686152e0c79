"""What turns a picture into a vector, by name."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from shoal.arrays import Floats
from shoal.errors import UsageError
from shoal.mine.image.descriptor import DESCRIPTOR, descriptor

NAMES = ("descriptor",)


@dataclass(frozen=True)
class Embedding:
    """A named way from a picture to a vector. `version` stands beside every vector that it made."""

    version: str

    def of(self, picture: Image.Image) -> Floats:
        """The vector of an upright RGB picture."""
        return descriptor(picture)


def embedding_of(name: str) -> Embedding:
    """The embedding of a setting's name. Raises UsageError for an unknown name."""
    if name not in NAMES:
        raise UsageError(f"images.embedding {name}: no such embedding; there is {', '.join(NAMES)}")
    return Embedding(DESCRIPTOR)

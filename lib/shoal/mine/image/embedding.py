"""What turns a picture into a vector: the descriptor that needs no training, or a model of ONNX by its path."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from shoal.arrays import Floats
from shoal.mine.image.descriptor import DESCRIPTOR, descriptor


@dataclass(frozen=True)
class Embedding:
    """A named model of pictures. `version` stands beside every vector that it made."""

    version: str

    def of(self, picture: Image.Image) -> Floats:
        """The vector of an upright RGB picture."""
        return descriptor(picture)


def embedding_of(name: str) -> Embedding:
    """The embedding of a setting's name."""
    return Embedding(DESCRIPTOR)

"""What turns a picture into a vector, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from shoal.arrays import Floats
from shoal.errors import UsageError
from shoal.mine.image import efficientnet
from shoal.mine.image.convolution import NAME as CNN
from shoal.mine.image.convolution import SIDE, small_pixels
from shoal.mine.image.descriptor import DESCRIPTOR, descriptor
from shoal.mine.image.network import Network, check_network, network_of_bytes, read_network

# The pixels themselves, from which a network is trained.
PIXELS = f"pixels/{SIDE}"


@dataclass(frozen=True)
class Embedding:
    """A named way from a picture to a vector: the descriptor, PIXELS, or `network`. `version` stands beside every vector that it
    made."""

    version: str
    network: Network | None = None

    def of(self, picture: Image.Image) -> Floats:
        """The vector of an upright RGB picture."""
        if self.network is not None:
            return self.network.vector(picture)
        return small_pixels(picture) if self.version == PIXELS else descriptor(picture)


def embedding_of(name: str, model: str | None, mean: Sequence[float], spread: Sequence[float]) -> Embedding:
    """The embedding of the settings images.embedding, model, pixel_mean and pixel_spread.

    descriptor: learned nowhere, by itself. efficientnet-lite0: the weights of the extra shoal[images]. onnx: the network in the
    file `model`; `mean` and `spread` are those of its training's pixels of 0 to 1. Raises UsageError for an unknown name, for onnx
    without a file, for a network's missing package, and for cnn, which is only there once it is trained; InputError for a file
    that is no network of pictures.
    """
    if name == "descriptor":
        return Embedding(DESCRIPTOR)
    if name == efficientnet.NAME:
        channels = [efficientnet.MEAN] * 3, [efficientnet.SPREAD] * 3
        return network_embedding(network_of_bytes(efficientnet.efficientnet_lite0(), *channels), name, name)
    if name == "onnx":
        if model is None:
            raise UsageError("images.embedding onnx needs a network; name its file with --set images.model=FILE")
        return network_embedding(read_network(model, mean, spread), name, model)
    if name == CNN:
        raise UsageError(f"images.embedding {CNN}: `shoal train images` trains that network; to use a trained one, "
                         "--set images.embedding=onnx --set images.model=DIR/network.onnx")  # fmt: skip
    raise UsageError(f"images.embedding {name}: no such embedding; there is descriptor, {efficientnet.NAME}, onnx, {CNN}")


def network_embedding(network: Network, name: str, source: str) -> Embedding:
    """The embedding of a network, tried on one picture; `<name>/<digest>` is its version. Raises InputError that names `source`
    where the network fails."""
    check_network(network, source)
    return Embedding(f"{name}/{network.digest}", network)

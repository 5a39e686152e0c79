"""Vectors of pictures by a trained network in a file of ONNX, run where the pictures are (onnxruntime, extra shoal[images]).

The network's one input is a batch of RGB pictures, channels first (n, 3, height, width) or last (n, height, width, 3), of floats. A
picture is stretched to its height and width, DEFAULT_SIDE where the file leaves them open; pixels of 0 to 1 less a mean, over a
spread, each by channel. Its first output is the vector; of one a place or a patch of the picture, their mean is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from shoal.arrays import Floats
from shoal.errors import InputError, UsageError, one_line

DEFAULT_SIDE = 224
# The file goes to every task inside the function that it runs.
MAX_BYTES = 500_000_000
# Sessions that one Python process keeps: a job has one network, tests have some.
_SESSIONS = 2


@dataclass(frozen=True)
class Network:
    """An ONNX network: its file's bytes, and mean and spread of a pixel's three channels. `digest`: 12 hex digits of all three."""

    data: bytes = field(repr=False, compare=False)
    mean: tuple[float, ...]
    spread: tuple[float, ...]
    digest: str

    def vector(self, picture: Image.Image) -> Floats:
        """The vector of an upright RGB picture of any size."""
        session, name, (height, width), last = _session(self)
        pixels = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR), np.float32) / 255
        scaled = ((pixels - np.array(self.mean, np.float32)) / np.array(self.spread, np.float32)).astype(np.float32)
        found = session.run(None, {name: (scaled if last else scaled.transpose(2, 0, 1))[np.newaxis]})[0][0]
        if found.ndim == 3:
            found = found.mean(axis=(0, 1) if last else (1, 2))
        return np.asarray(found.mean(axis=0) if found.ndim == 2 else found.ravel(), np.float32)


def network_of_bytes(data: bytes, mean: Sequence[float], spread: Sequence[float]) -> Network:
    """The network of a file's bytes, not tried yet."""
    digest = hashlib.sha256(data + repr((tuple(mean), tuple(spread))).encode()).hexdigest()[:12]
    return Network(data, tuple(mean), tuple(spread), digest)


def read_network(path: str | Path, mean: Sequence[float], spread: Sequence[float]) -> Network:
    """The network of a file, not tried yet. Raises InputError, one line, for no such file and one above MAX_BYTES."""
    file = Path(path)
    if not file.is_file():
        raise InputError(f"{path}: no such file; images.model names an ONNX network")
    if file.stat().st_size > MAX_BYTES:
        raise InputError(f"{path}: {file.stat().st_size:,} bytes; expected a network of {MAX_BYTES:,} at most")
    return network_of_bytes(file.read_bytes(), mean, spread)


def check_network(network: Network, name: str) -> None:
    """Try the network on one black picture. Raises UsageError without onnxruntime, and InputError, one line that begins with
    `name`, for no ONNX, another input than pictures, and an output that is no finite vector."""
    _runtime()
    try:
        found = network.vector(Image.new("RGB", (8, 8)))
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    except Exception as error:  # noqa: BLE001 - onnxruntime's errors share no class; each is the file's fault
        raise InputError(f"{name}: not a network that onnxruntime runs: {one_line(error)}") from None
    if found.size < 2 or not np.isfinite(found).all():
        raise InputError(f"{name}: gives {found.size} numbers for a picture; expected a vector of finite ones")


@lru_cache(maxsize=_SESSIONS)
def _session(network: Network) -> tuple[Any, str, tuple[int, int], bool]:
    """The network ready to run, its input's name, height and width, and whether channels come last."""
    runtime = _runtime()
    options = runtime.SessionOptions()
    # Each of Spark's tasks has a core of its own.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = runtime.InferenceSession(network.data, options, providers=["CPUExecutionProvider"])
    inputs = session.get_inputs()
    shape = inputs[0].shape
    if len(inputs) != 1 or len(shape) != 4 or inputs[0].type != "tensor(float)" or 3 not in (shape[1], shape[3]):
        said = ", ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)
        raise InputError(f"takes {said}; expected one input of float pictures, (n, 3, height, width) or (n, height, width, 3)")
    last = shape[1] != 3
    sides = shape[1:3] if last else shape[2:4]
    height, width = (side if isinstance(side, int) else DEFAULT_SIDE for side in sides)
    return session, inputs[0].name, (height, width), last


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise UsageError("images.embedding: onnxruntime is not installed; pip install 'shoal[images]'") from None
    return onnxruntime

"""Arrays of a PyTorch file of weights without PyTorch: the stacked pickles that torch.save wrote before version 1.6.

Pickle can run code: only the names that such a file needs are known here, any other one is refused before it is called.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shoal.arrays import Floats
from shoal.errors import InputError

MAGIC = 0x1950A86A20F9469CFC6C
_TYPES = {"FloatStorage": np.float32, "LongStorage": np.int64}


class _Tensor(NamedTuple):
    """Where the numbers of a tensor lie: key of its storage, first number, lengths and steps of its axes."""

    key: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_weights(path: str | Path) -> dict[str, Floats]:
    """The arrays of a saved state by name; float32, numbers of steps as int64.

    Raises InputError for a file in another form, is cut short, or asks for a name that no file of weights needs. Cost:
    the file once in memory, and its arrays.
    """
    data = Path(path).read_bytes()
    try:
        return _arrays(io.BytesIO(data), data)
    except (pickle.UnpicklingError, EOFError, IndexError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: no file of PyTorch weights in the form before PyTorch 1.6: {error}") from None


def _arrays(stream: io.BytesIO, data: bytes) -> dict[str, Floats]:
    if _Weights(stream).load() != MAGIC:
        raise ValueError("another first number")
    _Weights(stream).load()  # protocol
    _Weights(stream).load()  # sizes of the machine that wrote it
    reader = _Weights(stream)
    state: dict[str, _Tensor] = reader.load()
    keys: list[str] = _Weights(stream).load()
    storages: dict[str, Any] = {}
    position = stream.tell()
    for key in keys:
        numbers, kind = int(np.frombuffer(data, "<i8", 1, position)[0]), np.dtype(reader.storages[key])
        storages[key] = np.frombuffer(data, kind, numbers, position + 8)
        position += 8 + numbers * kind.itemsize
    return {name: _array(storages[tensor.key], tensor) for name, tensor in state.items()}


def _array(storage: Any, tensor: _Tensor) -> Any:
    last = tensor.offset + sum((length - 1) * step for length, step in zip(tensor.shape, tensor.strides, strict=True))
    if tensor.offset < 0 or min(tensor.strides, default=0) < 0 or (0 not in tensor.shape and last >= len(storage)):
        raise ValueError("a tensor lies outside of its numbers")
    steps = [step * storage.itemsize for step in tensor.strides]
    return np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, steps).copy()


class _Weights(pickle.Unpickler):
    """Reads one pickle of a file of weights. `storages`: type of each storage's numbers by its key."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)
        self.storages: dict[str, Any] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        raise pickle.UnpicklingError(f"asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> str:
        _, kind, key, *_ = pid
        self.storages[str(key)] = kind
        return str(key)


def _tensor(key: str, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> _Tensor:
    return _Tensor(key, offset, tuple(shape), tuple(strides))

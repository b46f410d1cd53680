"""Plain features as the front of a graph: float64 numbers in, scaled float32 ones out."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tenfold.core.contract import FeaturesInput
from tenfold.core.onnx_builder import Builder, Front
from tenfold.inputs.tables.encoder import FARTHEST

Scale = Callable[[NDArray[np.float64]], NDArray[np.float32]]


def scaler(mean: NDArray[np.float64], deviation: NDArray[np.float64]) -> Scale:
    """What `features_front` does, in NumPy: equal to the last bit."""

    def scale(x: NDArray[np.float64]) -> NDArray[np.float32]:
        return np.clip((x - mean) / deviation, -FARTHEST, FARTHEST).astype(np.float32)

    return scale


def features_front(
    accepted: FeaturesInput, mean: NDArray[np.float64], deviation: NDArray[np.float64]
) -> Front:
    """The nodes that centre and scale each column, and cut it at `FARTHEST` deviations.

    In float64 up to the cast, so that 1e9 + 0.5 keeps its half.

    Args:
      accepted: The graph's input.
      mean, deviation: Of the training rows (n_features,).
    """
    shape: list[str | int] = ["n", *accepted.shape]
    given = helper.make_tensor_value_info(accepted.name, TensorProto.DOUBLE, shape)
    builder = Builder(accepted.name)
    builder.add("Sub", builder.weight("mean", mean, np.float64), name="centred")
    builder.add("Div", builder.weight("deviation", deviation, np.float64), name="units")
    low = builder.weight("lowest", -FARTHEST, np.float64)
    builder.add("Clip", low, builder.weight("highest", FARTHEST, np.float64), name="near")
    builder.add("Cast", name="scaled", to=TensorProto.FLOAT)
    return Front((given,), tuple(builder.nodes), tuple(builder.weights), builder.last)

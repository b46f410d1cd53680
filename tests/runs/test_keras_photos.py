"""The network for photos in Keras: each operator, on a network of few channels."""

from typing import Any, Literal

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tenfold.core.contract import ImageInput
from tenfold.learners import backbone
from tenfold.learners.backbone import Convolution, photo_front
from tenfold.learners.keras_layers import import_keras
from tenfold.runs.export.keras_photos import photo_network

N_LABELS = 3


def weights(rng: np.random.Generator) -> tuple[tuple[Convolution, ...], dict[str, NDArray[Any]]]:
    """Few channels, with all that the real layers have: strides, groups, skips, and no limit."""
    layers = (
        Convolution("stem", (3, 3), (2, 2), 1, 4, "relu6"),
        Convolution("block0.depthwise", (5, 5), (2, 2), 4, 4, "relu6"),
        Convolution("block0.project", (1, 1), (1, 1), 1, 4, "linear"),
        Convolution("block1.expand", (1, 1), (1, 1), 1, 6, "relu6"),
        Convolution("block1.depthwise", (3, 3), (1, 1), 6, 6, "relu6"),
        Convolution("block1.project", (1, 1), (1, 1), 1, 4, "linear", skip=True),
    )
    arrays, before = dict[str, NDArray[Any]](), 3
    for layer in layers:
        shape = (layer.out, before // layer.groups, *layer.kernel)
        arrays[f"{layer.name}.weight"] = (2 * rng.normal(size=shape)).astype(np.float16)
        arrays[f"{layer.name}.bias"] = rng.normal(size=layer.out).astype(np.float32)
        before = layer.out
    return layers, arrays


@pytest.mark.parametrize(("shape", "channels"), [((224, 224), 3), ((30, 45), 3), ((61, 40), 1)])
def test_it_computes_what_the_graph_computes(
    shape: tuple[int, int], channels: Literal[1, 3], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    own = weights(rng)
    monkeypatch.setattr(backbone, "read_weights", lambda: own)
    accepted = ImageInput(height=shape[0], width=shape[1], channels=channels)
    front = photo_front(accepted)
    kernel, bias = rng.normal(size=(4, N_LABELS)), rng.normal(size=N_LABELS)
    given = [
        numpy_helper.from_array(array.astype(np.float32), name)
        for name, array in (("linear.kernel", kernel), ("linear.bias", bias))
    ]
    head = helper.make_node(
        "Gemm", [front.output, "linear.kernel", "linear.bias"], ["linear"], name="linear"
    )
    end = helper.make_tensor_value_info("linear", TensorProto.FLOAT, ["n", N_LABELS])
    graph = helper.make_graph(
        [*front.nodes, head], "photos", front.inputs, [end], [*front.initializers, *given]
    )
    opset = [helper.make_opsetid("", 17)]
    content = helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    images = rng.integers(0, 256, (2, *accepted.shape), np.uint8)
    (expected,) = onnxruntime.InferenceSession(content).run(None, {accepted.name: images})
    keras = import_keras()
    network = photo_network(content, keras.Input(accepted.shape, dtype="float32"))
    found = np.asarray(network(images.astype(np.float32)))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert np.abs(np.diff(expected, axis=0)).max() > 1e-3

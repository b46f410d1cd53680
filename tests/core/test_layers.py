"""One list of layers: what JAX, ONNX Runtime and Keras compute from it is the same."""

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from tenfold.core.layers import (
    Architecture,
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPooling2D,
    Parameters,
    Permute,
    ReLU,
    Rescaling,
    Softmax,
    same_padding,
    trained,
    without_normalization,
)
from tenfold.core.onnx_builder import WRITE, Builder, add_layers
from tenfold.core.onnx_layers import read_layers
from tenfold.learners.architectures import convolutional_network, dense_network, first_parameters
from tenfold.learners.forward import COMPUTE
from tenfold.learners.network import Network
from tests.support.networks import keras_network

COLOUR = Architecture(
    (7, 6, 3),
    (
        Rescaling("scale", 1 / 255),
        Conv2D("first", 5, (3, 2), (2, 3)),
        ReLU("relu"),
        Conv2D("second", 4, (2, 5), use_bias=False),
        MaxPooling2D("pool"),
        BatchNormalization("normal", epsilon=0.01),
        Permute("channels_first", (3, 1, 2)),
        Flatten("flatten"),
        Dropout("dropout", 0.5),
        Dense("hidden", 6, "relu"),
        Dense("output", 3),
        Softmax("probabilities"),
    ),
)
"""Every kind of layer but `Reshape`, windows and strides that differ each way."""

ALL = {
    "every kind": COLOUR,
    "grey convolutions": convolutional_network((9, 8), 3, width=4, dropout=0.2),
    "dense": dense_network((5, 4), (6, 3), 4, dropout=0.1),
    "regression": dense_network((5,), (6,), None),
}


def numbers(architecture: Architecture) -> Parameters:
    """Parameters none of which is 0 or 1."""
    rng = np.random.default_rng(0)
    first = first_parameters(architecture, 1)
    return {
        layer: {
            name: array if name == "kernel" else rng.uniform(0.5, 1.5, array.shape).astype("f4")
            for name, array in own.items()
        }
        for layer, own in first.items()
    }


def graph_of(architecture: Architecture, parameters: Parameters) -> onnx.ModelProto:
    builder = Builder("input", {"probabilities", "value"})
    add_layers(builder, architecture, parameters)
    builder.output("value" if isinstance(architecture.layers[-1], Dense) else "probabilities")
    shape: list[str | int] = ["n", *architecture.input_shape]
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)
    made = helper.make_tensor_value_info(builder.last, TensorProto.FLOAT, None)
    graph = helper.make_graph(builder.nodes, "layers", [given], [made], builder.weights)
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, ir_version=8, opset_imports=opset)


@pytest.mark.parametrize("name", ALL)
def test_jax_onnx_and_keras_compute_the_same(name: str) -> None:
    architecture = ALL[name]
    parameters = numbers(architecture)
    x = np.random.default_rng(1).uniform(0, 255, (6, *architecture.input_shape)).astype("f4")
    answers = Network(architecture, parameters).answers(x).reshape(6, -1)
    assert np.ptp(answers, axis=0).max() > 0.01  # so that agreement says something
    session = onnxruntime.InferenceSession(graph_of(architecture, parameters).SerializeToString())
    np.testing.assert_allclose(session.run(None, {"input": x})[0], answers, rtol=1e-4, atol=1e-5)
    network = keras_network(architecture, parameters)
    np.testing.assert_allclose(network(x), answers, rtol=1e-4, atol=1e-5)
    for place, layer in zip(architecture.places(), network.layers, strict=True):
        assert layer.output.shape == (None, *place.gives)
        assert layer.count_params() == sum(
            np.prod(shape) for shape in place.layer.parameter_shapes(place.takes).values()
        )
    assert network.count_params() == architecture.n_parameters()


@pytest.mark.parametrize("kind", ALL)
def test_a_graph_is_read_as_the_layers_it_was_written_from(kind: str) -> None:
    architecture, parameters = ALL[kind], numbers(ALL[kind])
    read, arrays = read_layers(graph_of(architecture, parameters).graph)
    written, expected = without_normalization(architecture, parameters)
    assert read.input_shape == written.input_shape
    for found, layer in zip(read.layers, written.layers, strict=True):
        if isinstance(layer, Rescaling):  # a graph holds float32
            layer = replace(layer, scale=float(np.float32(layer.scale)))
        # Layers whose names are those of the graph's outputs get a "_" more.
        assert replace(found, name=found.name.removesuffix("_")) == layer
    for own, values in zip(arrays.values(), expected.values(), strict=True):
        for name, value in values.items():
            np.testing.assert_array_equal(own[name], np.asarray(value, np.float32))


def test_every_kind_is_computed_and_written() -> None:
    kinds = set(Layer.__subclasses__())
    special = {BatchNormalization, Dropout}  # what depends on whether it is trained
    assert COMPUTE.keys() == kinds - special == WRITE.keys()


def test_what_is_measured_is_not_trained() -> None:
    parameters = numbers(COLOUR)
    assert list(trained(parameters)["normal"]) == ["beta"]
    assert trained(parameters)["first"] == parameters["first"]


@pytest.mark.parametrize(
    ("side", "window", "stride"), [(28, 5, 2), (7, 3, 1), (6, 2, 3), (5, 1, 4)]
)
def test_padding_leaves_the_odd_pixel_behind(side: int, window: int, stride: int) -> None:
    before, behind = same_padding(side, window, stride)
    assert 0 <= behind - before <= 1
    assert (side + before + behind - window) // stride + 1 >= -(-side // stride)


def test_names_are_parts_of_a_network() -> None:
    assert COLOUR.output.name == "output"
    assert COLOUR.to_logits == COLOUR.layers[:-1] and COLOUR.to_hidden == COLOUR.layers[:-2]

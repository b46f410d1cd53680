"""The layers of the learners, their table, and what they begin with."""

import numpy as np
import pytest

from tenfold.learners.architectures import (
    convolutional_network,
    dense_network,
    first_parameters,
    layer_table,
)
from tests.support.networks import untrained


def test_the_tutorial_network_has_101770_parameters() -> None:
    architecture = dense_network((28, 28), [128], 10)
    counts = [layer.parameters for layer in layer_table(architecture) if layer.parameters]
    assert counts == [100_480, 1_290]
    assert architecture.n_parameters() == 101_770


def test_the_table_names_each_layer_with_its_shape() -> None:
    table = layer_table(dense_network((8, 6), [16, 4], 3))
    assert [(layer.name, layer.kind, layer.output_shape) for layer in table] == [
        ("scale", "Rescaling", (None, 8, 6)),
        ("flatten", "Flatten", (None, 48)),
        ("hidden_1", "Dense (relu)", (None, 16)),
        ("hidden_2", "Dense (relu)", (None, 4)),
        ("output", "Dense", (None, 3)),
        ("probabilities", "Softmax", (None, 3)),
    ]


def test_the_table_of_convolutions() -> None:
    table = layer_table(convolutional_network((9, 8), 3, width=4, dropout=0.1))
    assert [(layer.kind, layer.output_shape, layer.parameters) for layer in table] == [
        ("Rescaling", (None, 9, 8), 0),
        ("Reshape", (None, 9, 8, 1), 0),
        ("Conv2D", (None, 9, 8, 4), 36),
        ("BatchNormalization", (None, 9, 8, 4), 12),
        ("ReLU", (None, 9, 8, 4), 0),
        ("Conv2D", (None, 9, 8, 4), 144),
        ("MaxPooling2D", (None, 5, 4, 4), 0),
        ("BatchNormalization", (None, 5, 4, 4), 12),
        ("ReLU", (None, 5, 4, 4), 0),
        ("Conv2D", (None, 5, 4, 8), 288),
        ("BatchNormalization", (None, 5, 4, 8), 24),
        ("ReLU", (None, 5, 4, 8), 0),
        ("Conv2D", (None, 5, 4, 8), 576),
        ("MaxPooling2D", (None, 3, 2, 8), 0),
        ("BatchNormalization", (None, 3, 2, 8), 24),
        ("ReLU", (None, 3, 2, 8), 0),
        ("Conv2D", (None, 3, 2, 12), 864),
        ("BatchNormalization", (None, 3, 2, 12), 36),
        ("ReLU", (None, 3, 2, 12), 0),
        ("Permute", (None, 12, 3, 2), 0),
        ("Flatten", (None, 72), 0),
        ("Dropout", (None, 72), 0),
        ("Dense", (None, 3), 219),
        ("Softmax", (None, 3), 0),
    ]


def test_no_hidden_layer_is_softmax_regression() -> None:
    assert dense_network((2, 2), [], 3).n_parameters() == 4 * 3 + 3


def test_the_seed_decides_the_first_weights() -> None:
    def first_kernel(seed: int) -> np.ndarray:
        return np.asarray(untrained(dense_network((4, 4), [8], 2), seed).hidden(np.eye(4)[None]))

    assert (first_kernel(1) == first_kernel(1)).all()
    assert (first_kernel(1) != first_kernel(2)).any()


@pytest.mark.parametrize("shape", [(20, 20), (8, 9, 3)])
def test_a_training_begins_with_kernels_of_chance_and_plain_numbers(shape: tuple[int, ...]) -> None:
    architecture = convolutional_network(shape, 3, width=16)
    parameters = first_parameters(architecture, 0)
    for layer, takes, _ in architecture.places():
        own = parameters.get(layer.name, {})
        assert {name: a.shape for name, a in own.items()} == layer.parameter_shapes(takes)
        for name, array in own.items():
            assert array.dtype == np.float32
            if name != "kernel":
                assert (array == (name == "moving_variance")).all()
    kernel = parameters["convolution_2"]["kernel"]
    assert kernel.std() == pytest.approx((2 / (9 * 16)) ** 0.5, rel=0.05)
    assert np.abs(parameters["output"]["kernel"]).max() <= (6 / 195) ** 0.5


def test_drawing_leaves_the_global_random_state_alone() -> None:
    np.random.seed(5)
    expected = np.random.random()
    np.random.seed(5)
    first_parameters(dense_network((4, 4), [8], 2), 1)
    assert np.random.random() == expected


def test_answers_are_the_formula() -> None:
    network = untrained(dense_network((2, 3), [5], 4), 3)
    x = np.random.default_rng(0).integers(0, 256, (7, 2, 3), np.uint8)
    (w1, b1), (w2, b2) = (
        (own["kernel"].astype(np.float64), own["bias"]) for own in network.parameters.values()
    )
    hidden = np.maximum(x.reshape(7, 6) / 255 @ w1 + b1, 0)
    odds = np.exp(hidden @ w2 + b2)
    np.testing.assert_allclose(network.answers(x), odds / odds.sum(1, keepdims=True), atol=1e-6)
    np.testing.assert_allclose(network.hidden(x), hidden, atol=1e-6)


def test_features_are_not_scaled_and_regression_has_one_value() -> None:
    table = layer_table(dense_network((7,), [4, 3], None, dropout=0.2))
    assert [(layer.name, layer.output_shape) for layer in table] == [
        ("hidden_1", (None, 4)),
        ("dropout_1", (None, 4)),
        ("hidden_2", (None, 3)),
        ("dropout_2", (None, 3)),
        ("value", (None, 1)),
    ]
    network = untrained(dense_network((7,), [4], None))
    x = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    assert network.answers(x).shape == (5,)

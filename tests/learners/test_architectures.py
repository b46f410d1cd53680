"""The layers and their table."""

import subprocess
import sys

import numpy as np
import pytest

from tenfold.learners.architectures import build_network, layer_table


def test_the_tutorial_network_has_101770_parameters() -> None:
    network = build_network((28, 28), [128], 10, seed=0)
    counts = [layer.parameters for layer in layer_table(network) if layer.parameters]
    assert counts == [100_480, 1_290]
    assert network.count_params() == 101_770


def test_the_table_names_each_layer_with_its_shape() -> None:
    table = layer_table(build_network((8, 6), [16, 4], 3, seed=0))
    assert [(layer.name, layer.kind, layer.output_shape) for layer in table] == [
        ("scale", "Rescaling", (None, 8, 6)),
        ("flatten", "Flatten", (None, 48)),
        ("hidden_1", "Dense (relu)", (None, 16)),
        ("hidden_2", "Dense (relu)", (None, 4)),
        ("output", "Dense", (None, 3)),
        ("probabilities", "Softmax", (None, 3)),
    ]


def test_no_hidden_layer_is_softmax_regression() -> None:
    assert build_network((2, 2), [], 3, seed=0).count_params() == 4 * 3 + 3


def test_the_seed_decides_the_first_weights() -> None:
    def first_kernel(seed: int) -> np.ndarray:
        return np.asarray(build_network((4, 4), [8], 2, seed=seed).layers[2].kernel.value)

    assert (first_kernel(1) == first_kernel(1)).all()
    assert (first_kernel(1) != first_kernel(2)).any()


def test_building_leaves_the_global_random_state_alone() -> None:
    np.random.seed(5)
    expected = np.random.random()
    np.random.seed(5)
    build_network((4, 4), [8], 2, seed=1)
    assert np.random.random() == expected


def test_answers_are_the_formula() -> None:
    network = build_network((2, 3), [5], 4, seed=3)
    x = np.random.default_rng(0).integers(0, 256, (7, 2, 3)).astype(np.float32)
    w1, b1, w2, b2 = (np.asarray(v.value, np.float64) for v in network.trainable_variables)
    logits = np.maximum(x.reshape(7, 6) / 255 @ w1 + b1, 0) @ w2 + b2
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.asarray(network(x)), expected, atol=1e-6)


def test_keras_on_another_backend_is_a_clear_error() -> None:
    program = (
        "import os; os.environ['KERAS_BACKEND'] = 'numpy'\n"
        "import keras, tenfold\n"
        "from tenfold.core.errors import BackendError\n"
        "from tenfold.learners.architectures import build_network\n"
        "try: build_network((2, 2), [3], 2, seed=0)\n"
        "except BackendError as error: print(error)\n"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert printed == (
        "Keras already runs on another backend: backend='numpy'. Expected jax. "
        "Set KERAS_BACKEND=jax before Keras is imported.\n"
    )


@pytest.mark.slow
def test_the_environment_does_not_choose_the_backend() -> None:
    program = (
        "import os; os.environ['KERAS_BACKEND'] = 'numpy'\n"
        "from tenfold.learners.architectures import import_keras\n"
        "print(import_keras().backend.backend())\n"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert printed == "jax\n"


def test_features_are_not_scaled_and_regression_has_one_value() -> None:
    table = layer_table(build_network((7,), [4, 3], None, seed=0, dropout=0.2))
    assert [(layer.name, layer.output_shape) for layer in table] == [
        ("hidden_1", (None, 4)),
        ("dropout_1", (None, 4)),
        ("hidden_2", (None, 3)),
        ("dropout_2", (None, 3)),
        ("value", (None, 1)),
    ]
    network = build_network((7,), [4], None, seed=0)
    x = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    assert np.asarray(network(x)).shape == (5, 1)

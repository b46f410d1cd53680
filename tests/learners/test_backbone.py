from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from PIL import Image

from tenfold.core.contract import ImageInput
from tenfold.learners import backbone
from tests.support.errors import refused

REFERENCE = Path(__file__).parent / "efficientnet_lite0_reference.npz"
"""Features of scikit-learn's two sample pictures, computed by the network as it was published, with
its own weights and with these."""


def features_of(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    height, width, *colour = images.shape[1:]
    front = backbone.photo_front(
        ImageInput(height=height, width=width, channels=3 if colour else 1)
    )
    end = helper.make_tensor_value_info(front.output, TensorProto.FLOAT, ["n", 1280])
    graph = helper.make_graph(front.nodes, "photos", front.inputs, [end], front.initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    features: NDArray[np.float32] = session.run(None, {"image": images})[0]
    return features


def sample_squares(side: int) -> NDArray[np.uint8]:
    """The middle squares of scikit-learn's two photos."""
    from sklearn.datasets import load_sample_images

    squares = []
    for pixels in load_sample_images().images:
        image = Image.fromarray(pixels)
        short = min(image.size)
        left, top = ((length - short) // 2 for length in image.size)
        square = image.crop((left, top, left + short, top + short))
        squares.append(np.asarray(square.resize((side, side), Image.Resampling.BICUBIC)))
    return np.stack(squares)


def test_the_features_are_those_of_the_published_network() -> None:
    found = features_of(sample_squares(224))
    reference = np.load(REFERENCE)
    np.testing.assert_allclose(found, reference["features_float16_weights"], atol=2e-5)
    np.testing.assert_allclose(found, reference["features"], atol=0.014)


def test_the_middle_of_a_picture_is_seen_at_any_size() -> None:
    squares = sample_squares(112)
    wide = np.pad(squares, ((0, 0), (0, 0), (30, 31), (0, 0)), constant_values=200)
    np.testing.assert_array_equal(features_of(wide), features_of(squares))
    whole = features_of(sample_squares(224))
    likeness = [np.corrcoef(*pair)[0, 1] for pair in zip(features_of(squares), whole, strict=True)]
    assert min(likeness) > 0.6


def test_every_side_becomes_224_exactly() -> None:
    sides = np.arange(1, 4097)
    factors = np.array([backbone._factor(side) for side in sides.tolist()])
    assert (np.floor(factors * sides) == 224).all()
    assert (np.floor(factors.astype(np.float32) * sides.astype(np.float32)) == 224).all()


def test_grey_pictures_are_seen_as_colour() -> None:
    grey = sample_squares(64)[..., 0]
    colour = np.repeat(grey[..., None], 3, axis=3)
    np.testing.assert_array_equal(features_of(grey), features_of(colour))


def test_a_changed_file_of_weights_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(backbone.WEIGHTS.read_bytes()[:-1] + b"x")
    monkeypatch.setattr(backbone, "WEIGHTS", path)
    backbone.read_weights.cache_clear()
    with refused("E325", "sha256="):
        backbone.read_weights()
    backbone.read_weights.cache_clear()

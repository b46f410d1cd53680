"""A model answers one and many alike, and opens nothing it should not."""

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import tenfold
from tenfold import Dataset, Model, Prediction, Predictions, Run
from tenfold.core.contract import METADATA_KEY, Contract, ImageInput
from tenfold.core.errors import DataError, ModelError
from tenfold.inputs.idx import write_idx
from tenfold.inputs.pictures.decode import PictureOptions
from tenfold.model.answer_forms import NO_NUMBER, answer_files, as_json
from tenfold.model.readers import CHUNK_BYTES
from tests.support.errors import refused

Damage = Callable[[onnx.ModelProto], None]


@pytest.fixture(scope="module")
def model(small_run: Run) -> Model:
    return small_run.model


def test_one_image_is_a_prediction(model: Model, mnist: Dataset) -> None:
    answer = model.predict_one(mnist.x[0])
    assert isinstance(answer, Prediction)
    probabilities = answer.as_dict()
    assert answer.label == max(probabilities, key=lambda label: probabilities[label])
    assert answer.confidence == probabilities[answer.label] == answer.probabilities.max()
    assert list(probabilities) == list(answer.classes) == list("0123456789")
    assert (answer.image == mnist.x[0]).all()
    assert (answer.unsure, answer.reason) == (False, None)
    assert repr(answer) == f"Prediction({answer.label!r}, confidence={answer.confidence:.4f})"


def test_one_and_many_answer_alike(model: Model, mnist: Dataset) -> None:
    many = model.predict(mnist.x[:50])
    assert isinstance(many, Predictions)
    for i, one in enumerate(many):
        alone = model.predict_one(mnist.x[i])
        assert isinstance(alone, Prediction)
        np.testing.assert_allclose(one.probabilities, alone.probabilities, atol=1e-6)
        assert (one.label, many.labels[i]) == (alone.label, alone.label)
        assert many.confidence[i] == one.confidence
    assert len(many) == 50
    assert len(many[10:20]) == 10
    assert many[10:20][0].label == many[10].label
    assert repr(many) == "Predictions(50)"


def test_one_and_many_follow_the_threshold_alike() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 400)
    x = np.clip(rng.normal(100 + 25 * y[:, None, None], 60, (400, 6, 6)), 0, 255).astype(np.uint8)
    data = Dataset.from_arrays(x, y, labels=["no", "yes"])
    model = tenfold.train(data, learner="logistic", cost={"false_negative": 20.0}).model
    many = model.predict(x)
    assert isinstance(many, Predictions) and model.contract.decision is not None
    assert many.labels != [many.classes[code] for code in many.probabilities.argmax(axis=1)]
    for image, answer in zip(x, many, strict=True):
        one = model.predict_one(image)
        assert isinstance(one, Prediction)
        assert one.label == answer.label
        assert one.confidence == pytest.approx(answer.confidence)


def test_more_than_a_chunk_answers_like_its_parts(model: Model, mnist: Dataset) -> None:
    x = mnist.x[: CHUNK_BYTES // 784 + 500]
    whole = model.answer(x).outputs[0]
    parts = np.concatenate([model.answer(x[i : i + 999]).outputs[0] for i in range(0, len(x), 999)])
    np.testing.assert_allclose(whole, parts, atol=1e-6)


def test_no_images_are_no_answers(model: Model) -> None:
    answers = model.predict(np.empty((0, 28, 28), np.uint8))
    assert isinstance(answers, Predictions)
    assert (len(answers), answers.labels) == (0, [])


def test_views_in_any_memory_order_are_read_right(model: Model, mnist: Dataset) -> None:
    turned = np.asfortranarray(mnist.x[:5])
    np.testing.assert_array_equal(
        model.answer(turned).outputs[0], model.answer(mnist.x[:5]).outputs[0]
    )
    assert model.answer(mnist.x[:10:2]).outputs[0].shape == (5, 10)


def test_memory_stays_bounded_however_many_images(model: Model) -> None:
    n = 200_000  # 157 MB of pixels, of which no copy may be made; the answers take 8 MB
    images = np.broadcast_to(np.zeros((1, 28, 28), np.uint8), (n, 28, 28))
    tracemalloc.start()
    model.answer(images).outputs[0]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6 + 3 * 8.4e6


def test_idx_files_are_read_as_they_are(model: Model, mnist: Dataset, tmp_path: Path) -> None:
    write_idx(tmp_path / "one.idx", mnist.x[3])
    write_idx(tmp_path / "many.idx.gz", mnist.x[:4])
    one, many = (
        model.predict_one(tmp_path / "one.idx"),
        model.predict(str(tmp_path / "many.idx.gz")),
    )
    assert isinstance(one, Prediction) and isinstance(many, Predictions)
    assert many[3].label == one.label


@pytest.mark.parametrize(
    ("x", "facts"),
    [
        (np.zeros((28, 28), np.float32), ("dtype='float32'", "(x * 255).round()")),
        (np.full((28, 28), 254.7), ("Its values fit as x.round().astype('uint8')",)),
        (np.full((28, 28), True), ("Its values fit as (x * 255).round().astype('uint8')",)),
        (np.zeros((2, 784), np.uint8), ("shape=(2, 784)", "x.reshape(-1, 28, 28)")),
        (np.zeros((2, 8, 8), np.uint8), ("shape=(2, 8, 8)", "(28, 28) or (n, 28, 28)")),
        (np.zeros((1, 1, 28, 28), np.uint8), ("shape=(1, 1, 28, 28)", "x.reshape")),
        (np.zeros((), np.uint8), ("shape=()",)),
        (np.array(["a"]), ("dtype='<U1'",)),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    model: Model, x: np.ndarray, facts: tuple[str, ...]
) -> None:
    with pytest.raises(DataError, match="The input does not fit the model") as error:
        model.predict(x, PictureOptions(fit_to_box=False))
    for fact in facts:
        assert fact in str(error.value)


def test_arrays_of_another_scale_or_polarity_answer_alike_and_it_is_said(
    model: Model, mnist: Dataset
) -> None:
    x = mnist.images[60_000:60_100]
    plain = model.predict(x)
    assert isinstance(plain, Predictions) and plain.notes == ()
    forms = (x / 255, x[..., None], 255 - x, x.astype(np.uint16) * 257, (x / 255).astype("f4"))
    for form in forms:
        answers = model.predict(form)
        assert isinstance(answers, Predictions)
        np.testing.assert_allclose(answers.probabilities, plain.probabilities, atol=1e-6)
        assert len(answers.notes) == (form.ndim == 3)
    with refused("E432", "place="):
        model.predict((x - x.mean()) / x.std())
    # A dark picture is answered, and what is asked to be taken as it is stays so.
    dark = model.predict_one(x[0] // 16)
    assert isinstance(dark, Prediction) and dark.label == plain.labels[0]
    as_it_is = model.predict(x // 16, PictureOptions(fit_to_box=False))
    assert isinstance(as_it_is, Predictions) and as_it_is.images is not None
    assert as_it_is.images.max() == 15 and as_it_is.notes == ()


def test_a_picture_is_fitted_to_the_box_and_can_be_taken_as_it_is(
    model: Model, mnist: Dataset, tmp_path: Path
) -> None:
    digit = mnist.images[60_000]
    large = np.kron(255 - digit, np.ones((9, 9), np.uint8))  # dark on light, nine times the size
    path = tmp_path / "photo.png"
    Image.fromarray(large).save(path)
    answer = model.predict_one(path)
    assert isinstance(answer, Prediction) and answer.image is not None
    assert answer.image.shape == (28, 28)
    assert np.corrcoef(answer.image.ravel(), digit.ravel())[0, 1] > 0.9

    Image.fromarray(digit).save(path)
    as_it_is = model.predict_one(path, PictureOptions(fit_to_box=False))
    assert isinstance(as_it_is, Prediction) and as_it_is.image is not None
    np.testing.assert_array_equal(as_it_is.image, digit)
    Image.fromarray(np.full((60, 60), 255, np.uint8)).save(path)
    blank = model.predict_one(path)
    assert isinstance(blank, Prediction)
    assert (blank.unsure, blank.reason) == (True, "nothing is drawn on it")


def test_the_same_file_opens_from_its_folder_and_by_name(small_run: Run) -> None:
    by_folder, by_name = Model.open(small_run.path), Model.open(small_run.path / "model.onnx")
    assert by_folder.sha256 == by_name.sha256 == small_run.record.files["model.onnx"]
    assert by_name.n_bytes == (small_run.path / "model.onnx").stat().st_size
    assert repr(by_name) == "Model(network, 28x28, 10 labels)"


def test_no_file_is_said(tmp_path: Path) -> None:
    with refused("E902", r"reason='No such file.*none\.onnx"):
        Model.open(tmp_path / "none.onnx")


def add_foreign_operator(proto: onnx.ModelProto) -> None:
    proto.graph.node[1].op_type = "Loop"


def add_foreign_domain(proto: onnx.ModelProto) -> None:
    proto.graph.node[1].domain = "com.example"


def add_function(proto: onnx.ModelProto) -> None:
    proto.functions.add().name = "f"


def move_weights_outside(proto: onnx.ModelProto) -> None:
    weight = proto.graph.initializer[0]
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="/etc/passwd")


def drop_contract(proto: onnx.ModelProto) -> None:
    del proto.metadata_props[:]


def break_contract(proto: onnx.ModelProto) -> None:
    proto.metadata_props[0].value = '{"format": 2}'


def one_label_less(proto: onnx.ModelProto) -> None:
    promise = Contract.model_validate_json(proto.metadata_props[0].value)
    update = {"labels": promise.labels[:-1], "prediction_sets": None}
    changed = promise.model_copy(update=update)
    helper.set_model_props(proto, {METADATA_KEY: changed.model_dump_json()})


def other_size(proto: onnx.ModelProto) -> None:
    promise = Contract.model_validate_json(proto.metadata_props[0].value)
    changed = promise.model_copy(update={"input": ImageInput(height=27, width=28)})
    helper.set_model_props(proto, {METADATA_KEY: changed.model_dump_json()})


def second_output(proto: onnx.ModelProto) -> None:
    proto.graph.output.append(helper.make_tensor_value_info("relu", TensorProto.FLOAT, ["n", 3]))


def unknown_input(proto: onnx.ModelProto) -> None:
    proto.graph.node[3].input[1] = "nowhere"


@pytest.mark.parametrize(
    ("damage", "fact"),
    [
        (
            add_foreign_operator,
            r"The model uses operators that are not allowed: operators=\['Loop'\]",
        ),
        (
            add_foreign_domain,
            r"The model uses operators that are not allowed: operators=\['com.example.Mul'\]",
        ),
        (add_function, "The model uses operators that are not allowed: operators='functions'"),
        (
            move_weights_outside,
            r"The model stores weights outside its file: weights=\['scale.factor'\]",
        ),
        (drop_contract, "The model was not made by Tenfold.*a model.onnx from a run folder"),
        (break_contract, "The contract inside the model cannot be read: entry='format'"),
        (one_label_less, "The graph contradicts its contract"),
        (other_size, "The graph contradicts its contract"),
        (second_output, "The graph contradicts its contract"),
        (unknown_input, "ONNX Runtime cannot load the model: reason="),
    ],
)
def test_a_foreign_or_damaged_model_is_refused(
    small_run: Run, tmp_path: Path, damage: Damage, fact: str
) -> None:
    proto = onnx.load(small_run.path / "model.onnx")
    damage(proto)
    (tmp_path / "bad.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match=fact) as error:
        Model.open(tmp_path / "bad.onnx")
    assert "bad.onnx" in str(error.value)
    assert "\n" not in str(error.value)


def with_one_more_step(run: Run, operator: str, value: Any, **attributes: Any) -> bytes:
    """The run's model with a step behind its probabilities, whose second input is this value."""
    proto = onnx.load(run.path / "model.onnx")
    for node in proto.graph.node:
        names = ["before" if name == "probabilities" else name for name in node.output]
        node.output[:] = names
    proto.graph.initializer.append(numpy_helper.from_array(np.asarray(value), "value"))
    step = helper.make_node(operator, ["before", "value"], ["probabilities"], **attributes)
    proto.graph.node.append(step)
    content: bytes = proto.SerializeToString()
    return content


@pytest.mark.parametrize(
    ("operator", "value", "axis", "code"),
    [("Gather", [99], 1, "E519"), ("Gather", [0, 1], 1, "E520"), ("Gather", [0], 0, "E520")],
    ids=["fails", "other labels", "other rows"],
)
def test_a_model_that_fails_or_breaks_its_contract_is_one_error(
    small_run: Run,
    mnist: Dataset,
    operator: str,
    value: Any,
    axis: int,
    code: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    model = Model(with_one_more_step(small_run, operator, value, axis=axis), where="own.onnx")
    with refused(code, "own.onnx"):
        model.predict(mnist.x[:3])
    assert capfd.readouterr().err == ""


def test_an_answer_that_is_no_number_is_said_in_its_place(small_run: Run, tmp_path: Path) -> None:
    write_idx(tmp_path / "two.idx", np.zeros((2, 28, 28), np.uint8))
    model = Model(with_one_more_step(small_run, "Mul", np.float32(np.nan)))
    first, second = answer_files(model, [tmp_path / "two.idx"])
    assert first.answer is None and not second.complete
    assert as_json(first)["error"] == NO_NUMBER


def test_a_pipe_is_no_model(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.onnx")  # to read it is to wait for ever
    for path in (tmp_path, "/dev/zero"):
        with refused("E518"):
            Model.open(path)


def test_repeated_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="labels repeat"):
        Contract(
            input=ImageInput(height=2, width=2), labels=("a", "a"), learner="network", tenfold="0"
        )


@pytest.mark.parametrize("content", [b"<html>not found</html>", b"\x80\x04K\x01."])
def test_other_files_are_no_models(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    with refused("E509", r".*model\.onnx\)"):
        Model.open(tmp_path)


def test_an_empty_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"")
    with refused("E505"):
        Model.open(tmp_path)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "model.onnx").open("wb") as file:
        file.truncate((1 << 30) + 1)  # sparse: takes no space
    with refused("E511", "n_bytes=1073741825"):
        Model.open(tmp_path)

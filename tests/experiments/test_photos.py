"""The learner `transfer`: photos of a folder, from a few of each label to a model file."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageOps

import tenfold
from tenfold import Model
from tenfold.build import photos
from tenfold.build.build import fit_model
from tenfold.build.photos import PhotoFeatures
from tenfold.build.problem import Problem
from tenfold.core.progress import Listener
from tenfold.core.settings import resolve
from tenfold.data import disk_images
from tenfold.data.split import Split
from tenfold.experiments import photo_checks, run_data
from tenfold.experiments.evaluate import evaluate
from tenfold.experiments.make_run import Interrupted
from tenfold.inputs.pictures.preprocess import preprocess
from tenfold.learners.keras_layers import import_keras
from tenfold.learners.views import VIEWS
from tenfold.model.regions import Activations, open_regions
from tenfold.report.drawings import GAP_PX, PANEL_PX, REGION_PX, heated
from tenfold.report.network_page.network import OF_PHOTOS
from tenfold.runs.export.keras import write_keras
from tests.conftest import Once
from tests.support.photos import SHAPES, noise, photo, photo_folder, photo_run
from tests.support.program import call


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photo_folder(tmp_path_factory.mktemp("data") / "shapes")


@pytest.fixture(scope="module")
def run(folder: Path, once: Once) -> Any:
    return photo_run(once, folder)


def test_a_few_photos_make_a_model(run: Any) -> None:
    assert run.evaluation.accuracy.value > 0.8
    assert run.model.n_bytes < 16e6
    assert run.model.contract.input.shape == (120, 120, 3)
    assert run.record.config.learner == "transfer"
    assert " log loss of held-out rows: none " in run.record.note
    assert not (run.path / "checkpoints").exists()


def test_the_report_says_how_to_answer_a_photo(run: Any) -> None:
    page = (run.path / "report.html").read_text("utf-8")
    assert '<a href="#living">' in page and OF_PHOTOS.reason in page
    assert "the trained network, alive" not in page


def test_plain_onnx_runtime_gives_the_same_answers(run: Any, folder: Path) -> None:
    answer = run.model.predict_one(folder / "disc" / "0.jpg")
    session = onnxruntime.InferenceSession((run.path / "model.onnx").read_bytes())
    image = run.model.predict(folder / "disc" / "0.jpg").images
    probabilities, *_ = session.run(None, {"image": image})
    np.testing.assert_allclose(probabilities[0], answer.probabilities, atol=1e-6)


def test_a_file_is_answered_as_it_was_measured(run: Any, folder: Path) -> None:
    lines = (run.path / "predictions.csv").read_text().splitlines()
    key, *_, predicted = (cell for cell in lines[1].split(",")[:3])
    assert run.model.predict_one(folder / key).label == predicted


def test_pictures_of_other_things_are_unsure(run: Any) -> None:
    answers = run.model.answer(np.stack([noise(seed) for seed in range(5)]))
    assert answers.unsure.all()


def test_own_data_are_measured_again_and_other_folders_too(run: Any, tmp_path: Path) -> None:
    assert evaluate(run) == run.evaluation
    other = photo_folder(tmp_path / "other", 2, first=500)
    assert evaluate(run, other).n == 6


def test_more_photos_than_fit_are_measured_a_few_at_a_time(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_images, "AT_ONCE", 100_000)
    assert evaluate(run) == run.evaluation


def test_a_large_picture_is_drawn_as_wide_as_a_terminal(run: Any, folder: Path) -> None:
    said = call("predict", run.path, folder / "disc" / "0.jpg", "--show", "--out", run.path.parent)
    assert "disc" in said.stdout
    assert max(map(len, said.stdout.splitlines())) <= 120


def test_shares_of_regions_add_up_to_the_logit(run: Any, folder: Path) -> None:
    regions = open_regions(run.path)
    assert isinstance(regions, Activations)
    image = preprocess(folder / "disc" / "0.jpg", run.model.contract.input).image
    proto = onnx.load(run.path / "model.onnx")
    logits = helper.make_tensor_value_info("linear", TensorProto.FLOAT, None)
    proto.graph.output.append(logits)
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    (found,) = session.run(["linear"], {"image": image[None]})[0]
    (bias,) = (
        numpy_helper.to_array(one) for one in proto.graph.initializer if one.name == "linear.bias"
    )
    weighted = found - bias
    sums = [regions.of(image, code).sum() for code in range(len(SHAPES))]
    np.testing.assert_allclose(sums, weighted - weighted.mean(), atol=1e-3)


def test_what_spoke_for_an_answer_is_drawn(run: Any, folder: Path, tmp_path: Path) -> None:
    call("predict", run.path, folder / "disc" / "0.jpg", "--show", "--out", tmp_path)
    with Image.open(tmp_path / "0.steps.png") as drawn:
        assert drawn.width == GAP_PX + 4 * (PANEL_PX + GAP_PX)
    with Image.open(run.path / "regions.jpg") as sheet:
        assert sheet.width == 4 * (REGION_PX + GAP_PX)
    assert "data:image/jpeg;base64," in (run.path / "report.html").read_text("utf-8")


def test_regions_are_of_the_middle_square() -> None:
    image = np.full((40, 60, 3), 100, np.uint8)
    shares = np.zeros((7, 7), np.float32)
    shares[3, 3] = 2
    drawn = heated(image, shares)
    assert (drawn[:, :10] == 100).all() and (drawn[:, 50:] == 100).all()
    assert (drawn[20, 30] != 100).all()
    assert (heated(image, -shares) == 100).all()


def test_regions_of_a_whole_picture_reach_its_edges() -> None:
    image = np.full((40, 60, 3), 100, np.uint8)
    shares = np.zeros((7, 7), np.float32)
    shares[:, 0] = 1
    drawn = heated(image, shares, in_middle=False)
    assert (drawn[:, :4] != 100).any(axis=2).all() and (drawn[:, 30:] == 100).all()


def test_other_models_have_no_regions(tmp_path: Path, few: Any) -> None:
    run = tenfold.train(few(40, 5), learner="logistic", out=tmp_path)
    assert open_regions(run.path / "model.onnx") is None
    assert not (run.path / "regions.jpg").exists()


@pytest.mark.slow
def test_a_model_of_photos_is_exported_to_keras(run: Any, folder: Path, tmp_path: Path) -> None:
    said = write_keras(run.path, tmp_path / "model.keras")
    assert said == "(n, 120, 120, 3), values 0 to 255, to calibrated probabilities (n, 3)"
    network = import_keras().saving.load_model(tmp_path / "model.keras", compile=False)
    answer = run.model.predict(folder / "disc" / "0.jpg")
    given = answer.images.astype(np.float32)
    predicted = network.predict(given, verbose=0)
    np.testing.assert_allclose(predicted, answer.probabilities, atol=1e-4)


def test_features_are_computed_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tenfold.load(folder).as_photos()
    rows = np.arange(0, len(data), 7)
    told: list[Any] = []

    class Told(Listener):
        def progress(self, done: int, total: int) -> None:
            told.append((done, total))

    accepted: Any = data.input
    first = PhotoFeatures(tmp_path / "kept", Told()).of(data.images, rows, accepted)
    assert told[-1] == (len(rows), len(rows))
    monkeypatch.setattr(photos, "open_session", None)
    again = PhotoFeatures(tmp_path / "kept").of(data.images, rows[::-1], accepted)
    np.testing.assert_array_equal(first, again[::-1])


def test_features_do_not_depend_on_the_number_of_threads(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tenfold.load(folder).as_photos()
    accepted: Any = data.input
    found = []
    for n_cores in (1, 3):
        monkeypatch.setattr(photos, "usable_cores", lambda n_cores=n_cores: n_cores)
        features, rows = PhotoFeatures(), np.arange(6)
        views = features.of_views(data.images, rows, accepted)
        found.append(np.concatenate([features.of(data.images, rows, accepted)[:, None], views], 1))
    assert found[0].shape == (6, 1 + len(VIEWS), 1280)
    np.testing.assert_array_equal(found[0], found[1])


def test_learners_are_compared_on_the_same_photos(folder: Path, tmp_path: Path) -> None:
    done = tenfold.compare(
        folder, learners=["transfer", "logistic"], test_size=0.2, out=tmp_path, workers=1
    )
    assert {entry.learner for entry in done.leaderboard} == {"transfer", "logistic"}
    assert done.leaderboard[0].learner == "transfer"
    model: Any = Model.open(done.best.path)
    assert model.contract.input.shape == (120, 120, 3)


def test_folds_reuse_the_features(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed, real = list[int](), photos._computed

    def counted(features: Any, images: Any, rows: Any) -> Any:
        computed.append(len(rows))
        return real(features, images, rows)

    monkeypatch.setattr(photos, "_computed", counted)
    run = tenfold.train(folder, learner="transfer", folds=2, test_size=0.5, out=tmp_path)
    assert (run.path / "folds.csv").is_file()
    # The 36 photos outside of the test part and their views, and the test photos for a check.
    assert sum(computed) == 3 * 36


def test_photos_are_read_a_few_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, asked = tenfold.load(folder).as_photos(), list[int]()

    class Counted:
        def __getitem__(self, rows: Any) -> Any:
            asked.append(len(rows))
            return data.images[rows]

    monkeypatch.setattr(photos, "AT_ONCE", 4)
    images: Any = Counted()
    accepted: Any = data.input
    assert PhotoFeatures().of(images, np.arange(10), accepted).shape == (10, 1280)
    assert asked == [4, 4, 2]


def test_an_interrupted_training_goes_on_with_the_features_that_it_has(
    run: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed, real = list[int](), photos._computed

    def counted(*arguments: Any) -> Any:
        for done, part in real(*arguments):
            computed.extend(part)
            yield done, part

    class Stopped(Listener):
        def progress(self, done: int, total: int) -> None:
            if done >= 20:
                raise KeyboardInterrupt

    monkeypatch.setattr(photos, "_computed", counted)
    monkeypatch.setattr(photos, "AT_ONCE", 20)
    settings: Any = {"learner": "transfer", "test_size": 0.2, "out": tmp_path}
    with pytest.raises(Interrupted) as stopped:
        tenfold.train(folder, listener=Stopped(), **settings)
    assert len(computed) == 20
    resumed: Any = tenfold.resume(stopped.value.run)
    split = resumed.record.data
    n_fitted = split.n_train + split.n_validation
    # Each photo outside of the test part and its views once, and the test photos.
    assert len(computed) == 2 * n_fitted + split.n_test
    assert (resumed.path / "model.onnx").read_bytes() == (run.path / "model.onnx").read_bytes()


@pytest.mark.slow
def test_trials_of_a_sweep_share_the_features(folder: Path, tmp_path: Path) -> None:
    done = tenfold.sweep(
        folder, learner="transfer", penalty=[0.1, 1000.0], test_size=0.2, out=tmp_path, workers=1
    )
    assert sorted(result.point["penalty"] for result in done.points) == [0.1, 1000.0]
    assert done.best.model.contract.learner == "transfer"


def test_arrays_of_any_size_are_taken_too(tmp_path: Path) -> None:
    x = np.stack(
        [
            np.asarray(photo(label, seed, (40, 40)))
            for seed in range(20)
            for label in ("disc", "stripes")
        ]
    )
    data = tenfold.Dataset.from_arrays(x, np.arange(40) % 2, labels=["disc", "stripes"])
    run: Any = tenfold.train(data, learner="transfer", out=tmp_path)
    assert run.model.contract.input.shape == (40, 40, 3)
    assert run.model.answer(x[:1]).labels[0] == "disc"


def with_near_copies(folder: Path) -> Path:
    """Photos in parts: two of the 20 test photos are mirrored training photos, saved anew."""
    train = photo_folder(folder / "train", 24)
    photo_folder(folder / "test", 6, first=500)
    for i in range(2):  # no copies by their pixels
        copy = ImageOps.mirror(Image.open(train / "squares" / f"{i}.jpg"))
        copy.save(folder / "test" / "squares" / f"copy-{i}.jpg", quality=80)
    return folder


@pytest.mark.parametrize("learner", ["transfer", "network"])
def test_near_copies_across_the_split_are_said(tmp_path: Path, learner: str) -> None:
    settings: dict[str, Any] = {} if learner == "transfer" else {"epochs": 1}
    folder = with_near_copies(tmp_path / "data")
    run = tenfold.train(folder, learner=learner, out=tmp_path, **settings)
    (found,) = (one.text for one in run.checks if one.code == "C01")
    assert found.startswith("2 of 20 test photos (10.0%) are nearly a training photo: ")
    assert "test/squares/copy-0.jpg is nearly train/squares/0.jpg" in found
    assert " The accuracy on the other 18 photos is " in found


def test_only_compared_photos_are_counted(
    tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tenfold.load(with_near_copies(tmp_path / "data"))
    problem = run_data.problem_of(data, resolve({"learner": "transfer"}))
    model = Model(fit_model(problem).content)
    rows = problem.split.test
    answers: Any = model.answer(problem.data.x[rows])
    predicted = answers.outputs[0].argmax(axis=1)
    predicted[0] = (data.y[rows[0]] + 1) % 3  # wrong, and not compared below
    stored = SimpleNamespace(predicted=predicted, true=data.y[rows])
    of_run: Any = SimpleNamespace(model=model)
    monkeypatch.setattr(photo_checks, "read_predictions", lambda run: stored)
    monkeypatch.setattr(photo_checks, "AT_ONCE", 7)
    monkeypatch.setattr(photo_checks, "_spread", lambda n, at_most: np.arange(n)[-15:])
    (found,) = photo_checks.near_photos(of_run, problem)
    assert found.text.startswith("2 of 15 compared test photos (13.3%) are nearly a training")
    n_right = int((predicted == data.y[rows])[-15:].sum())
    assert " The accuracy on the other 13 compared photos is " in found.text
    assert n_right == 15 and "100" in found.text.split(" photos is ")[1]


def test_photos_of_other_learners_are_compared_where_that_is_cheap(
    folder: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = run_data.problem_of(tenfold.load(folder), resolve({"learner": "network"}))
    of_network: Any = SimpleNamespace(
        model=SimpleNamespace(contract=SimpleNamespace(learners=("network",)))
    )
    seen = photo_checks.photos_of(of_network, problem)
    assert seen is not None and seen.x.shape[1:] == (120, 120, 3)
    monkeypatch.setattr(photo_checks, "MAX_OF_OTHERS", len(problem.data) - 1)
    assert photo_checks.photos_of(of_network, problem) is None
    monkeypatch.setattr(problem.features, "are_known", lambda rows: True)
    assert photo_checks.photos_of(of_network, problem) is not None
    monkeypatch.setattr(photo_checks, "LEAST_PX", 121)
    assert photo_checks.photos_of(of_network, problem) is None


def test_a_label_with_one_photo_is_named_where_it_does_not_calibrate(tmp_path: Path) -> None:
    x = np.stack([noise(seed, 24) // (1 + seed % 2) for seed in range(31)])
    y = np.append(np.arange(30) % 2, 2)
    data = tenfold.Dataset.from_arrays(x, y, labels=["bright", "dark", "rare"])
    none = np.empty(0, np.int64)
    parts = Split(np.r_[0:26, 30], np.arange(26, 30), none, none)
    built = fit_model(Problem(data.as_photos(), parts, resolve({"learner": "transfer"})))
    assert (built.note or "").endswith(
        "; calibrated without 'rare': with a single training photo, every fit needs it"
    )
    assert built.contract.novelty_threshold is not None
    assert built.contract.prediction_sets is not None
    assert built.contract.prediction_sets.calibration_rows == (13, 13, 0)

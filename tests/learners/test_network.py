"""The learner `network`: class weights, and the regression it can do too."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tenfold
from tenfold.core.errors import SettingsError
from tenfold.core.onnx_layers import layers_in, votes_in
from tenfold.core.progress import Listener
from tenfold.core.records import Epoch
from tenfold.core.settings import Settings
from tenfold.learners import LEARNERS, Checkpoints, Examples, Fitted, TrainingJob, checkpoints
from tenfold.learners.network import Network, Vote
from tenfold.learners.network_fit import member_seed
from tenfold.report.network_page import read_network
from tests.conftest import Few

LINEAR = Settings(
    hidden=(), optimizer="sgd", schedule="constant", learning_rate=0.5, epochs=200, average=0.0
)


def two_heaps(n_left: int, n_right: int) -> Examples:
    """One feature; label 0 around 0, label 1 around 1, overlapping."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1, n_left), rng.normal(1, 1, n_right)])
    return Examples(x[:, None].astype(np.float32), np.repeat([0, 1], [n_left, n_right]))


def share_of_rare(settings: Settings) -> float:
    """How often the rare label is answered halfway between the heaps' centres."""
    fitted = LEARNERS["network"].fit(
        TrainingJob(two_heaps(900, 100), None, n_labels=2, settings=settings, listener=Listener())
    )
    return float(fitted.answers(np.full((1, 1), 0.5, np.float32))[0, 1])


def test_class_weights_make_a_rare_label_count() -> None:
    assert share_of_rare(LINEAR) < 0.2
    balanced = share_of_rare(LINEAR.model_copy(update={"class_weights": "balanced"}))
    assert 0.4 < balanced < 0.6
    # Balanced is 1,000 / (2 * 900) and 1,000 / (2 * 100).
    spelled = LINEAR.model_copy(update={"class_weights": (1000 / 1800, 1000 / 200)})
    assert share_of_rare(spelled) == pytest.approx(balanced, abs=1e-5)


def test_class_weights_multiply_the_weights_of_rows() -> None:
    rows = two_heaps(900, 100)
    once = rows._replace(weight=np.where(np.arange(1000) < 900, 1, 9).astype(np.float32))
    balanced = LINEAR.model_copy(update={"class_weights": "balanced"})
    fits = [
        LEARNERS["network"].fit(
            TrainingJob(examples, None, n_labels=2, settings=settings, listener=Listener())
        )
        for examples, settings in ((once, LINEAR), (once, balanced))
    ]
    x = np.array([[0.5]], np.float32)
    assert fits[0].answers(x) == pytest.approx(fits[1].answers(x), abs=1e-4)


@pytest.mark.parametrize(("n_labels", "expected"), [(3, "3 numbers"), (None, "none for regress")])
def test_class_weights_that_do_not_fit_are_refused(n_labels: int | None, expected: str) -> None:
    settings = LINEAR.model_copy(update={"class_weights": (1.0, 2.0)})
    with pytest.raises(SettingsError, match=rf"class_weights=\(1.0, 2.0\).*Expected {expected}"):
        LEARNERS["network"].fit(
            TrainingJob(
                two_heaps(5, 5), None, n_labels=n_labels, settings=settings, listener=Listener()
            )
        )


def test_regression_returns_values() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2)).astype(np.float32)
    y = np.abs(x[:, 0]).astype(np.float32)
    settings = Settings(hidden=(16,), epochs=60, batch_size=32)
    fitted = LEARNERS["network"].fit(
        TrainingJob(
            Examples(x, y), Examples(x, y), n_labels=None, settings=settings, listener=Listener()
        )
    )
    values = fitted.answers(x)
    assert values.shape == (300,)
    assert float(np.square(values - y).mean()) < 0.1 * float(y.var())
    assert fitted.history[-1].accuracy is None


VOTE = Settings(hidden=(4,), epochs=2, batch_size=32, members=3, patience=2)


def job_of(settings: Settings, listener: Listener | None = None) -> TrainingJob:
    return TrainingJob(
        two_heaps(90, 60), two_heaps(20, 20), 2, settings, listener or Listener(), None
    )


def arrays_of(fitted: Fitted) -> list[Any]:
    body = fitted.body
    networks = body.members if isinstance(body, Vote) else (body,)
    found = list[Any]()
    for network in networks:
        assert isinstance(network, Network)
        for _, own in sorted(network.parameters.items()):
            found += [np.asarray(own[name]) for name in sorted(own)]
    return found


def same_arrays(some: list[Any], others: list[Any]) -> bool:
    return len(some) == len(others) and all(map(np.array_equal, some, others))


def test_a_vote_is_the_networks_that_its_seeds_give_alone() -> None:
    together = LEARNERS["network"].fit(job_of(VOTE))
    alone = [
        LEARNERS["network"].fit(job_of(VOTE.model_copy(update={"seed": seed, "members": 1})))
        for seed in (0, member_seed(0, 1), member_seed(0, 2))
    ]
    assert isinstance(together.body, Vote) and together.parameters == 3 * alone[0].parameters
    assert same_arrays(arrays_of(together), sum(map(arrays_of, alone), []))
    assert [epoch.epoch for epoch in together.history] == [1, 2, 3, 4, 5, 6]
    x = two_heaps(5, 5).x
    logs = np.mean([np.log(one.answers(x)) for one in alone], axis=0)
    expected = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(together.answers(x), expected, atol=1e-6)
    assert together.judged is not None and together.judged.shape == (40, 2)


def test_each_network_of_a_vote_leaves_other_rows_out() -> None:
    job = job_of(VOTE)._replace(refit=True)
    fitted = LEARNERS["network"].fit(job)
    cross, validation = fitted.cross, job.validation
    assert cross is not None and validation is not None
    # The first leaves the validation rows out, as a network that is alone.
    alone = LEARNERS["network"].fit(job_of(VOTE.model_copy(update={"members": 1})))
    assert same_arrays(arrays_of(fitted)[:4], arrays_of(alone))
    assert fitted.judged is not None and alone.judged is not None
    np.testing.assert_array_equal(fitted.judged, alone.judged)
    np.testing.assert_array_equal(cross.answers[150:], fitted.judged)
    np.testing.assert_array_equal(cross.rows.y, np.r_[job.train.y, validation.y])
    assert np.bincount(cross.part_of).tolist() == [40, 75, 75]
    # The second was fitted to the others of the training rows and to the validation rows.
    own = cross.part_of == 1
    rows = job._replace(train=cross.rows.take(~own), validation=cross.rows.take(own), refit=False)
    settings = VOTE.model_copy(update={"seed": member_seed(0, 1), "members": 1})
    second = LEARNERS["network"].fit(rows._replace(settings=settings))
    assert same_arrays(arrays_of(fitted)[4:8], arrays_of(second))
    np.testing.assert_array_equal(cross.answers[own], second.judged)


def test_rows_of_a_group_are_left_out_together() -> None:
    job, groups = job_of(VOTE)._replace(refit=True), np.arange(190) // 10
    assert job.validation is not None
    train = job.train._replace(group=groups[:150])
    validation = job.validation._replace(group=groups[150:])
    cross = LEARNERS["network"].fit(job._replace(train=train, validation=validation)).cross
    assert cross is not None and len(np.unique(cross.part_of)) == 3
    assert all(len(np.unique(cross.part_of[groups == group])) == 1 for group in range(19))


@pytest.mark.parametrize("change", [{"patience": None}, {"members": 1}])
def test_networks_have_the_same_rows_where_none_choose_or_vote(change: dict[str, Any]) -> None:
    job = job_of(VOTE.model_copy(update=change))._replace(refit=True)
    assert LEARNERS["network"].fit(job).cross is None


def test_a_vote_that_is_interrupted_answers_the_rows_of_its_finished_networks() -> None:
    class Stops(Listener):
        def epoch(self, epoch: Epoch, n_epochs: int) -> None:
            if epoch.epoch == 3:
                os.kill(os.getpid(), signal.SIGINT)

    fitted = LEARNERS["network"].fit(job_of(VOTE, Stops())._replace(refit=True))
    assert fitted.interrupted and isinstance(fitted.body, Network) and fitted.cross is not None
    assert set(fitted.cross.part_of) == {0} and len(fitted.cross.answers) == 40


@pytest.mark.parametrize("refit", [False, True])
@pytest.mark.parametrize("last", [1, 2, 3, 5])
def test_a_vote_goes_on_within_and_between_its_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: int, refit: bool
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY_SECONDS", 0.0)

    class Stops(Listener):
        def epoch(self, epoch: Epoch, n_epochs: int) -> None:
            assert n_epochs == 6
            if epoch.epoch > last:
                raise RuntimeError("the computer is switched off")

    straight = LEARNERS["network"].fit(job_of(VOTE)._replace(refit=refit))
    with pytest.raises(RuntimeError):
        LEARNERS["network"].fit(
            job_of(VOTE, Stops())._replace(checkpoints=Checkpoints(tmp_path / "c"), refit=refit)
        )
    resumed = LEARNERS["network"].fit(
        job_of(VOTE)._replace(checkpoints=Checkpoints(tmp_path / "c"), refit=refit)
    )
    assert same_arrays(arrays_of(resumed), arrays_of(straight))
    assert len(resumed.history) == 6
    assert resumed.judged is not None and straight.judged is not None
    np.testing.assert_array_equal(resumed.judged, straight.judged)


@pytest.mark.parametrize("learner", ["network", "cnn"])
def test_a_vote_is_one_file_and_the_page_shows_its_first_network(
    few: Few, tmp_path: Path, learner: str
) -> None:
    run = tenfold.train(few(200, 50), learner=learner, epochs=1, members=2, out=tmp_path)
    content = (run.path / "model.onnx").read_bytes()
    assert votes_in(content) == 2
    _, parameters = layers_in(content)
    assert parameters and all(name.startswith("network_1.") for name in parameters)
    found = read_network(content, run.model.contract)
    assert isinstance(found, dict)
    assert [node["operator"] for node in found["nodes"]].count("Mean") == 1
    assert "averages the answers of 2 networks" in (run.path / "report.html").read_text("utf-8")

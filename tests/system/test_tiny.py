"""The whole path on a few hundred images in a few seconds."""

from pathlib import Path

import numpy as np

import tenfold
from tenfold import Dataset, Evaluation, Predictions
from tenfold.inputs.idx import write_idx


def test_from_digits_to_a_verified_model_that_answers(mnist: Dataset, tmp_path: Path) -> None:
    data = mnist.take(np.r_[:800, 60_000:60_300])
    run = tenfold.train(data, epochs=5, out=tmp_path / "runs")

    assert run.record.state == "finished"
    assert run.evaluation.n == 300
    assert isinstance(run.evaluation, Evaluation)
    assert run.evaluation.beats_baseline
    assert run.evaluation.accuracy.low > run.evaluation.baseline.accuracy.high

    write_idx(tmp_path / "one.idx", data.x[900])
    answers = tenfold.predict(run.path, tmp_path / "one.idx")
    assert isinstance(answers, Predictions) and len(answers) == 1
    assert answers[0].confidence == answers.probabilities.max()
    assert abs(answers.probabilities.sum() - 1) < 1e-5

    again = tenfold.open(run.path)
    assert tenfold.evaluate(again, data) == run.evaluation
    assert tenfold.verify(run.path) == {"files": 13, "examples": 10}

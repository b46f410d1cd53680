"""The learner `network`: class weights, and the regression it can do too."""

import numpy as np
import pytest

from tenfold.core.errors import SettingsError
from tenfold.core.progress import Listener
from tenfold.core.settings import Settings
from tenfold.learners import LEARNERS, Examples, TrainingJob

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

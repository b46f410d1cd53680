"""Arrays in, numbers with intervals out. Every interval covers 95%."""

from statistics import NormalDist
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import AfterValidator

from tenfold.contract import Frozen
from tenfold.errors import DataError, message

Z = NormalDist().inv_cdf(0.975)
N_RESAMPLES = 1000
N_BINS = 15
MIN_PROBABILITY = 1e-7
"""Probabilities are raised to this before a logarithm: one sure mistake must not be infinite."""

Floats = NDArray[np.floating[Any]]


def _finite(value: float) -> float:
    if not np.isfinite(value):
        raise ValueError("not a finite number")
    return value


Finite = Annotated[float, AfterValidator(_finite)]


class Score(Frozen):
    """A number with its 95% interval."""

    value: Finite
    low: Finite
    high: Finite

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"

    __repr__ = __str__


class LabelScores(Frozen):
    """One label's scores: of those predicted (precision) and of those true (recall).

    `precision` is None where the label was never predicted, `recall` where it never occurs, `f1`
    where neither happens.
    """

    label: str
    n: int
    precision: Score | None
    recall: Score | None
    f1: Score | None


class Baseline(Frozen):
    """What always answering the most frequent label would score."""

    label: str
    accuracy: Score


class Answered(Frozen):
    """The share of rows answered without `unsure`, and the accuracy among them."""

    share: Score
    accuracy: Score | None


class Evaluation(Frozen):
    """Every number about one model on one set of rows.

    Attributes:
      part: Which rows: `test`, `validation` or `all`.
      confusion: Counts, one row per true label, one column per predicted label.
      calibration_error: Expected calibration error.
    """

    task: Literal["classification"] = "classification"
    data: str
    part: str
    n: int
    labels: tuple[str, ...]
    baseline: Baseline
    accuracy: Score
    log_loss: Score
    macro_f1: Score
    calibration_error: Score
    answered: Answered
    per_class: tuple[LabelScores, ...]
    confusion: tuple[tuple[int, ...], ...]

    @property
    def most_confused(self) -> list[tuple[str, str, int]]:
        """Pairs (true, predicted, count) of different labels, most frequent first."""
        pairs = [
            (self.labels[i], self.labels[j], count)
            for i, row in enumerate(self.confusion)
            for j, count in enumerate(row)
            if i != j and count
        ]
        return sorted(pairs, key=lambda pair: -pair[2])

    @classmethod
    def of(
        cls,
        true: ArrayLike,
        probabilities: ArrayLike,
        labels: tuple[str, ...],
        *,
        unsure: ArrayLike | None = None,
        data: str = "arrays",
        part: str = "all",
        seed: int = 0,
    ) -> Self:
        """Measure answers against the truth.

        Args:
          true: Label codes (n,), in [0, n_labels).
          probabilities: Answers (n, n_labels), each row summing to 1.
          labels: Name of each code.
          unsure: Rows (n,) the model would rather not answer; none when absent.
          data: Name of the dataset, for the record.
          part: Which of its rows.
          seed: Decides the bootstrap resamples.

        Raises:
          DataError: No rows, shapes that disagree, codes without a label, or a row that is not a
            distribution.
        """
        y, p = np.asarray(true), np.asarray(probabilities, np.float64)
        doubtful = np.zeros(y.shape, bool) if unsure is None else np.asarray(unsure, bool)
        _check(y, p, doubtful, labels)
        y = y.astype(np.int64)
        predicted = p.argmax(axis=1)
        right = predicted == y
        answered = ~doubtful
        confusion = confusion_matrix(y, predicted, len(labels))
        rng = np.random.default_rng(seed)
        per_class, macro = _f1_scores(confusion, labels, rng)
        majority = int(confusion.sum(axis=1).argmax())
        return cls(
            data=data,
            part=part,
            n=len(y),
            labels=labels,
            baseline=Baseline(
                label=labels[majority], accuracy=wilson(int((y == majority).sum()), len(y))
            ),
            accuracy=wilson(int(right.sum()), len(y)),
            log_loss=_mean_score(log_losses(y, p), rng),
            macro_f1=macro,
            calibration_error=_calibration_score(p.max(axis=1), right, rng),
            answered=Answered(
                share=wilson(int(answered.sum()), len(y)),
                accuracy=_rate(int(right[answered].sum()), int(answered.sum())),
            ),
            per_class=per_class,
            confusion=tuple(tuple(row) for row in confusion.tolist()),
        )


def wilson(successes: int, n: int) -> Score:
    """A share with its Wilson score interval, which stays inside 0 to 1 and holds at both ends.

    Example:
      >>> wilson(9881, 10_000)
      0.9881 [0.9858, 0.9900]

    Source: E. B. Wilson 1927, JASA 22 (158), 209-212.
    """
    p = successes / n
    centre = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * np.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    return Score(value=p, low=min(p, max(0.0, centre - half)), high=max(p, min(1.0, centre + half)))


def confusion_matrix(
    true: NDArray[np.integer[Any]], predicted: NDArray[np.integer[Any]], n_labels: int
) -> NDArray[np.int64]:
    """Counts (n_labels, n_labels): rows are the true labels, columns the predicted ones."""
    cells = np.bincount(true * n_labels + predicted, minlength=n_labels**2)
    return cells.reshape(n_labels, n_labels)


def log_losses(true: NDArray[np.integer[Any]], probabilities: Floats) -> Floats:
    """-log of the probability each true label was given (n,), in nats; 0 is perfect."""
    given = probabilities[np.arange(len(true)), true]
    losses: Floats = -np.log(np.clip(given, MIN_PROBABILITY, 1.0))
    return losses


def f1_scores(confusion: NDArray[Any]) -> Floats:
    """F1 of each label (k,), the harmonic mean of precision and recall; NaN where it has no rows.

    Example:
      >>> f1_scores(np.array([[8, 2], [0, 10]])).round(4).tolist()
      [0.8889, 0.9091]
    """
    either = confusion.sum(axis=1) + confusion.sum(axis=0)
    f1: Floats = np.where(either > 0, 2 * np.diagonal(confusion) / np.maximum(either, 1), np.nan)
    return f1


def expected_calibration_error(confidence: Floats, right: ArrayLike) -> float:
    """How far stated confidence is from observed accuracy, averaged over 15 equal-width bins.

    Args:
      confidence: Probability given to each answer (n,).
      right: Whether the answer was right (n,).

    Returns:
      Weighted mean |confidence - accuracy|, in [0, 1]; 0 is perfect.

    Source: Guo et al. 2017, arXiv:1706.04599, section 2.
    """
    gaps = np.asarray(right, float) - confidence
    sums = np.bincount(_bins(confidence), weights=gaps, minlength=N_BINS)
    return float(np.abs(sums).sum() / len(confidence))


def _bins(confidence: Floats) -> NDArray[np.int64]:
    return np.minimum((confidence * N_BINS).astype(np.int64), N_BINS - 1)


def _mean_score(values: Floats, rng: np.random.Generator) -> Score:
    means = np.array(
        [values[rng.integers(len(values), size=len(values))].mean() for _ in range(N_RESAMPLES)]
    )
    return _interval(float(values.mean()), means)


def _f1_scores(
    confusion: NDArray[np.int64], labels: tuple[str, ...], rng: np.random.Generator
) -> tuple[tuple[LabelScores, ...], Score]:
    """The scores of each label, and the mean F1 over the labels that occur or are predicted."""
    # Resampling rows is a multinomial draw over the cells of the matrix: no row is touched.
    n, shares = int(confusion.sum()), confusion.ravel() / confusion.sum()
    draws = (rng.multinomial(n, shares).reshape(confusion.shape) for _ in range(N_RESAMPLES))
    resampled = np.array([f1_scores(draw) for draw in draws])
    f1 = f1_scores(confusion)
    right = np.diagonal(confusion).tolist()
    predicted, true = confusion.sum(axis=0).tolist(), confusion.sum(axis=1).tolist()
    per_class = tuple(
        LabelScores(
            label=label,
            n=true[i],
            precision=_rate(right[i], predicted[i]),
            recall=_rate(right[i], true[i]),
            f1=None if np.isnan(f1[i]) else _interval(float(f1[i]), resampled[:, i]),
        )
        for i, label in enumerate(labels)
    )
    return per_class, _interval(float(np.nanmean(f1)), np.nanmean(resampled, axis=1))


def _calibration_score(
    confidence: Floats, right: NDArray[np.bool], rng: np.random.Generator
) -> Score:
    n = len(right)
    resamples = (rng.integers(n, size=n) for _ in range(N_RESAMPLES))
    errors = [expected_calibration_error(confidence[rows], right[rows]) for rows in resamples]
    return _interval(expected_calibration_error(confidence, right), np.array(errors))


def _interval(value: float, resampled: Floats) -> Score:
    """The bootstrap percentile interval, widened to the value where a biased score leaves it."""
    low, high = np.nanpercentile(resampled, [2.5, 97.5])
    return Score(value=value, low=min(value, float(low)), high=max(value, float(high)))


def _rate(successes: int, n: int) -> Score | None:
    return wilson(successes, n) if n else None


def _check(y: NDArray[Any], p: Floats, unsure: NDArray[np.bool], labels: tuple[str, ...]) -> None:
    fitting = y.ndim == 1 and p.shape == (len(y), len(labels)) and unsure.shape == y.shape
    if not fitting or not len(y):
        raise DataError(
            message(
                "Answers and truth do not belong together",
                expected=f"true (n,), probabilities (n, {len(labels)}), unsure (n,), n at least 1",
                true=y.shape,
                probabilities=p.shape,
                unsure=unsure.shape,
            )
        )
    whole = np.issubdtype(y.dtype, np.integer)
    if not whole or y.min() < 0 or y.max() >= len(labels):
        raise DataError(
            message(
                "Truth without a label",
                expected=f"whole numbers from 0 to {len(labels) - 1}",
                dtype=str(y.dtype),
                lowest=y.min().item() if whole else None,
                highest=y.max().item() if whole else None,
            )
        )
    wrong = ~(np.abs(p.sum(axis=1) - 1) <= 1e-4) | (p < 0).any(axis=1)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            message(
                "Not probabilities",
                expected="rows >= 0 that sum to 1 within 1e-4",
                row=row,
                sum=float(p[row].sum()),
            )
        )

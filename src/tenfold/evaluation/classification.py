"""Evaluation of classification: accuracy, calibration, and which labels are confused."""

import math
from collections.abc import Iterator
from html import escape
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import model_validator

from tenfold.core import html_repr
from tenfold.core.contract import Frozen
from tenfold.core.errors import DataError, did_you_mean
from tenfold.core.task import positive_of
from tenfold.core.text import percent
from tenfold.evaluation.intervals import (
    ARRAYS,
    Doubted,
    Finite,
    Floats,
    Score,
    Subset,
    Verdict,
    mcnemar,
    percentile_interval,
    ratios,
    resampled_cells,
    resampled_means,
    share_of,
    sign_verdict,
    unseen,
)
from tenfold.evaluation.prediction_sets import SetScores
from tenfold.evaluation.ranking import RECALL, PrecisionAtRecall, Ranking
from tenfold.model.predictions import Predictions

N_BINS = 15
MAX_MATRIX_LABELS = 20
"""Maximum number of labels for which the confusion matrix is printed. More do not fit on a
terminal."""

MIN_PROBABILITY = 1e-7
"""Probabilities are raised to at least this before their logarithm is taken, so that the loss of a
row is finite."""


class LabelScores(Frozen):
    """The scores of one label: precision of its predictions, and recall of its rows.

    `precision` is None if the label was never predicted, `recall` if it never occurs, and `f1` if
    neither happens.
    """

    label: str
    n: int
    precision: Score | None
    recall: Score | None
    f1: Score | None


class Baseline(Frozen):
    """The score of always predicting the most frequent label."""

    label: str
    accuracy: Score


class Answered(Frozen):
    """The share of rows that are predicted without `unsure`, and the accuracy among them."""

    share: Score
    accuracy: Score | None


class Evaluation(Doubted):
    """All scores of one model on one set of rows.

    Attributes:
      part: The name of the rows: `test`, `validation` or `all`.
      confusion: Counts, with one row per true label and one column per predicted label.
      calibration_error: The expected calibration error.
      calibration_error_before: The calibration error before calibration. None if the model was not
        calibrated.
      better_than_baseline: Exact McNemar test of the correct rows against the baseline's.
      beats_baseline: Whether the result is `better`.
      positive: The one of two labels that is searched for. With more than two labels, this and the
        next three are None. `average_precision` and `precision_at_recall` are also None if no row
        is positive.
      average_precision: Average precision of the ranking by the positive label's probability. For a
        random ranking it is the share of positive rows.
      threshold: The positive label is predicted if its probability is at least this. None: 1/2.
      prediction_sets: The coverage of prediction sets. It is None if the model has none, because it
        was made by an earlier version or without validation rows.
    """

    task: Literal["classification"] = "classification"
    data: str
    part: str
    n: int
    labels: tuple[str, ...]
    baseline: Baseline
    better_than_baseline: Verdict
    beats_baseline: bool
    accuracy: Score
    log_loss: Score
    macro_f1: Score
    calibration_error: Score
    calibration_error_before: Score | None = None
    answered: Answered
    per_class: tuple[LabelScores, ...]
    confusion: tuple[tuple[int, ...], ...]
    positive: str | None
    average_precision: Score | None
    precision_at_recall: PrecisionAtRecall | None
    threshold: Finite | None
    prediction_sets: SetScores | None = None

    score_name: ClassVar[str] = "accuracy"
    fold_scores: ClassVar[tuple[str, ...]] = ("accuracy", "log_loss", "macro_f1")

    @model_validator(mode="after")
    def _counts_fit_the_labels(self) -> Self:
        """Check conditions that only a damaged file violates."""
        n_labels, shape = len(self.labels), {len(row) for row in self.confusion}
        if self.n < 1 or len(self.confusion) != n_labels or shape != {n_labels}:
            raise ValueError(f"expected rows, and {n_labels} x {n_labels} counts of them")
        if (self.average_precision is None) != (self.precision_at_recall is None):
            raise ValueError("expected both numbers of the ranking, or neither")
        return self

    @property
    def score(self) -> Score:
        """The score that ranks models: the accuracy."""
        return self.accuracy

    @property
    def headline(self) -> str:
        """This score with its name and interval, for people."""
        return f"accuracy {self.accuracy.in_percent}"

    @property
    def of_positive(self) -> LabelScores | None:
        """Rows, precision, recall and F1 of the positive label. None for more than two labels."""
        return next((scores for scores in self.per_class if scores.label == self.positive), None)

    @property
    def beside_baseline(self) -> str:
        """In words, whether the model is better than its baseline."""
        rival = f"always answering {self.baseline.label!r}"
        if self.better_than_baseline == "better":
            return f"Better than {rival}."
        if self.better_than_baseline == "worse":
            text = f"Right less often than {rival}."
        else:
            text = f"Not shown to be right more often than {rival}: within chance on these rows."
        positive, ranked = self.of_positive, self.average_precision
        if positive and ranked:
            knows = "knows" if ranked.low > positive.n / self.n else "is not shown to know"
            text += f" Its ranking {knows} more about {positive.label!r} than chance."
        return text

    def lines(self) -> Iterator[str]:
        """The scores for people, beginning with the one that ranks models. Empty lines separate
        blocks."""
        base = self.baseline
        yield f"accuracy           {self.accuracy.in_percent}"
        yield f"baseline           {base.accuracy.in_percent} (always {base.label!r})"
        if self.doubts or not self.beats_baseline:
            yield f"verdict            {self.verdict}"
        yield ""
        yield f"log loss           {self.log_loss}"
        yield f"macro F1           {self.macro_f1.in_percent}"
        before = self.calibration_error_before
        was = f", before calibration {percent(before.value)}" if before else ""
        yield f"calibration error  {self.calibration_error.in_percent}{was}"
        if self.answered.share.value < 1:
            share = self.answered.share.in_percent
            yield f"answered           {share} of the rows, the others are unsure"
            yield f"accuracy of these  {_shown(self.answered.accuracy, 'no rows')}"
        if self.prediction_sets:
            yield from self.prediction_sets.lines()
        yield from self._positive_lines()
        yield ""
        pairs = [f"{true} predicted as {read}: {n}" for true, read, n in self.most_confused[:3]]
        yield f"most confused      {', '.join(pairs) or 'none'}"
        if len(self.labels) <= MAX_MATRIX_LABELS:
            yield from self._matrix_lines()

    def _positive_lines(self) -> Iterator[str]:
        """For two labels, the scores of the positive one."""
        positive = self.of_positive
        if positive is None:
            return
        yield f"positive label     {positive.label!r}, {positive.n:,} of {self.n:,} rows"
        yield f"F1 of it           {_shown(positive.f1, 'no rows')}"
        yield f"precision          {_shown(positive.precision, 'never predicted')}"
        yield f"recall             {_shown(positive.recall, 'no rows')}"
        if self.average_precision and self.precision_at_recall:
            at = self.precision_at_recall
            chance = f"(chance {percent(positive.n / self.n)})"
            yield f"average precision  {self.average_precision.in_percent} {chance}"
            where = f"at recall {at.recall:.0%}, at the threshold {at.threshold:.4g}"
            yield f"precision          {at.precision.in_percent} {where}"
        if self.threshold is not None:
            rule = f"if its probability is at least {self.threshold:.4g}"
            yield f"threshold          {positive.label!r} {rule}"

    def _matrix_lines(self) -> Iterator[str]:
        cells = [[str(count or "·") for count in row] for row in self.confusion]
        width = 1 + max(len(text) for text in (*self.labels, *sum(cells, [])))
        margin = max(len("true"), *(len(label) for label in self.labels))
        header = "".join(f"{label:>{width}}" for label in self.labels)
        yield f"{'true':<{margin}} {header}  predicted"
        for label, row in zip(self.labels, cells, strict=True):
            yield f"{label:>{margin}} {''.join(f'{text:>{width}}' for text in row)}"

    def _repr_html_(self) -> str:
        scores = [
            ("accuracy", self.accuracy),
            ("log loss", self.log_loss),
            ("macro F1", self.macro_f1),
            ("calibration error", self.calibration_error),
            (f"baseline: always {self.baseline.label}", self.baseline.accuracy),
        ]
        confused = (f"{true} predicted as {read}: {n}" for true, read, n in self.most_confused[:5])
        parts = [
            html_repr.table(("score", "value [95% interval]"), scores),
            f"<p>{escape(self.verdict)}</p>",
        ]
        if self.most_confused:
            parts.append(f"<p>Most confused: {escape(', '.join(confused))}</p>")
        return html_repr.card(f"{self.data}: {self.n:,} {self.part} rows", *parts)

    @property
    def most_confused(self) -> list[tuple[str, str, int]]:
        """Pairs of different labels (true, predicted, count), most frequent first."""
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
        answers: Predictions,
        *,
        positive: str | None = None,
        recall: float = RECALL,
        temperature: float = 1.0,
        subset: Subset = ARRAYS,
        seed: int = 0,
    ) -> Self:
        """Compare predictions with the truth.

        Args:
          true: Label codes (n,), in [0, n_labels).
          answers: The predictions (n). Each row of probabilities sums to 1.
          positive: The one of two labels that is searched for. By default, the rarer one in `true`,
            or the second if both are equally frequent.
          recall: The share of the positive rows, in (0, 1], at which precision is computed.
          temperature: The number by which calibration divided the logarithms of the probabilities.
          subset: The name of the rows, for the record, and the groups in which they were drawn.
          seed: Seed of the bootstrap.

        Raises:
          DataError: There are no rows, shapes disagree, a code has no label, a row is not a
            distribution, or a positive label, threshold or recall is not valid.
        """
        y, p = np.asarray(true), np.asarray(answers.probabilities, np.float64)
        labels, decision, groups = answers.classes, answers.decision, subset.groups
        _check(y, p, answers.unsure, labels)
        _check_choice(positive, decision is not None, recall, labels)
        y = y.astype(np.int64)
        sure, right = ~answers.unsure, answers.codes == y
        confusion = confusion_matrix(y, answers.codes, len(labels))
        rng = np.random.default_rng(seed)
        per_class, macro = _f1_scores(y, answers.codes, labels, rng, groups)
        majority = int(confusion.sum(axis=1).argmax())
        verdict = _beside(right, y == majority, groups, seed)
        positive = positive_of(labels, confusion.sum(axis=1).tolist(), positive)
        sought = None if positive is None else labels.index(positive)
        ranked = None
        if sought is not None:
            ranked = Ranking.of(y == sought, p[:, sought], groups).scores(rng, recall)
        calibration = _calibration_scores(p, answers.codes, right, temperature, rng, groups)
        promise = answers.prediction_sets
        sets = None
        if promise is not None:
            sets = SetScores.of(y, answers.in_set, promise, labels, groups)
        return cls(
            data=subset.data,
            part=subset.part,
            n=len(y),
            labels=labels,
            baseline=Baseline(label=labels[majority], accuracy=_share(y == majority, groups)),
            better_than_baseline=verdict,
            beats_baseline=verdict == "better",
            accuracy=_share(right, groups),
            log_loss=_log_loss(y, p, rng, groups),
            macro_f1=macro,
            calibration_error=calibration[0],
            calibration_error_before=None if temperature == 1 else calibration[1],
            answered=Answered(
                share=_share(sure, groups),
                accuracy=share_of(right[sure], None if groups is None else groups[sure]),
            ),
            per_class=per_class,
            confusion=tuple(tuple(row) for row in confusion.tolist()),
            positive=positive,
            average_precision=ranked and ranked[0],
            precision_at_recall=ranked and ranked[1],
            threshold=decision.threshold if decision else None,
            prediction_sets=sets,
        )


def confusion_matrix(
    true: NDArray[np.integer[Any]], predicted: NDArray[np.integer[Any]], n_labels: int
) -> NDArray[np.int64]:
    """Counts (n_labels, n_labels). Rows are the true labels, columns the predicted ones."""
    cells = np.bincount(true * n_labels + predicted, minlength=n_labels**2)
    return cells.reshape(n_labels, n_labels)


def log_losses(true: NDArray[np.integer[Any]], probabilities: Floats) -> Floats:
    """-log of the probability of each true label (n,), in nats; 0 is perfect."""
    given = probabilities[np.arange(len(true)), true]
    losses: Floats = -np.log(np.clip(given, MIN_PROBABILITY, 1.0))
    return losses


def _share(hits: NDArray[np.bool], groups: NDArray[np.int64] | None) -> Score:
    found = share_of(hits, groups)
    assert found is not None  # there are rows
    return found


def _beside(
    right: NDArray[np.bool],
    baseline_right: NDArray[np.bool],
    groups: NDArray[np.int64] | None,
    seed: int,
) -> Verdict:
    if groups is None:
        return mcnemar(right, baseline_right)
    gains = right.astype(np.float64) - baseline_right
    return sign_verdict(gains, groups, np.random.default_rng(seed))


def _log_loss(
    y: NDArray[np.int64], p: Floats, rng: np.random.Generator, groups: NDArray[np.int64] | None
) -> Score:
    """The mean log loss with its interval. If there are no errors, all resamples are equal. The
    interval then assumes that predictions for unseen rows may be as bad as those of a model that
    only knows the frequency of each label (or not even that, if there is only one label)."""
    score = ratios([(log_losses(y, p), None)], rng, groups=groups)[0].score()
    frequent = np.unique(y, return_counts=True)[1] / len(y)
    n = len(y) if groups is None else len(np.unique(groups))
    otherwise, guessing = unseen(n), -float(frequent @ np.log(frequent))
    high = score.value + otherwise * max((guessing or math.log(p.shape[1])) - score.value, 0.0)
    return score.model_copy(update={"high": max(score.high, high)})


def uncalibrated(probabilities: Floats, temperature: float) -> Floats:
    """The probabilities (n, k) before calibration, which divided their logarithms by a
    temperature."""
    logs = temperature * np.log(np.clip(probabilities, MIN_PROBABILITY, 1.0))
    odds = np.exp(logs - logs.max(axis=1, keepdims=True))
    before: Floats = odds / odds.sum(axis=1, keepdims=True)
    return before


def f1_scores(confusion: NDArray[Any]) -> Floats:
    """The F1 of each label (..., k), the harmonic mean of precision and recall. NaN without rows.

    `confusion` contains counts (..., k, k), with true rows and predicted columns.

    Example:
      >>> f1_scores(np.array([[8, 2], [0, 10]])).round(4).tolist()
      [0.8889, 0.9091]
    """
    either = confusion.sum(axis=-1) + confusion.sum(axis=-2)
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    f1: Floats = np.where(either > 0, 2 * right / np.maximum(either, 1), np.nan)
    return f1


def expected_calibration_error(confidence: Floats, right: ArrayLike) -> float:
    """The expected calibration error: the difference between confidence and observed accuracy,
    averaged over 15 bins of equal width.

    It is the weighted mean of |confidence - accuracy| of predictions (n,), in [0, 1]. The best
    value is 0.

    Source: Guo et al. 2017, arXiv:1706.04599, section 2.
    """
    gaps = np.asarray(right, float) - confidence
    sums = np.bincount(_bins(confidence), weights=gaps, minlength=N_BINS)
    return float(np.abs(sums).sum() / len(confidence))


def _bins(confidence: Floats) -> NDArray[np.int64]:
    return np.minimum((confidence * N_BINS).astype(np.int64), N_BINS - 1)


def _f1_scores(
    true: NDArray[np.int64],
    predicted: NDArray[np.int64],
    labels: tuple[str, ...],
    rng: np.random.Generator,
    groups: NDArray[np.int64] | None,
) -> tuple[tuple[LabelScores, ...], Score]:
    """The scores of each label, and the mean F1 over the labels that occur or are predicted."""

    def of_rows(rows: NDArray[np.bool]) -> Score | None:
        return share_of(true[rows] == predicted[rows], None if groups is None else groups[rows])

    per_class = tuple(
        LabelScores(
            label=label,
            n=int((true == i).sum()),
            precision=of_rows(predicted == i),
            recall=of_rows(true == i),
            f1=_f1(of_rows((true == i) | (predicted == i))),
        )
        for i, label in enumerate(labels)
    )
    confusion = confusion_matrix(true, predicted, len(labels))
    macro = float(np.nanmean(f1_scores(confusion)))
    if macro in (0, 1):  # all rows are wrong, or all are correct, so that all resamples are equal
        return per_class, _share(true == predicted, groups)
    cells = true * len(labels) + predicted
    draws = resampled_cells(cells, confusion.size, rng, groups)
    resampled = [
        np.nanmean(f1_scores(draw.reshape(-1, *confusion.shape)), axis=1) for draw in draws
    ]
    return per_class, percentile_interval(macro, np.concatenate(resampled))


def _f1(both: Score | None) -> Score | None:
    """The F1 score of a label, with an interval that also exists for an F1 of 0 or 1.

    It is computed from the share j (the Jaccard index) of rows that have the label and are
    predicted with it, among those with one or the other. F1 is 2 j / (1 + j), and the ends of its
    interval follow from Wilson's interval of j.
    """
    if both is None:
        return None
    value, low, high = (2 * j / (1 + j) for j in (both.value, both.low, both.high))
    return Score(value=value, low=low, high=high)


def _calibration_scores(
    p: Floats,
    answers: NDArray[np.int64],
    right: NDArray[np.bool],
    temperature: float,
    rng: np.random.Generator,
    groups: NDArray[np.int64] | None,
) -> list[Score]:
    """The calibration error, and the one before calibration, on the same resampled rows."""
    stated = [p] if temperature == 1 else [p, uncalibrated(p, temperature)]
    # The predicted label need not be the most probable one.
    confidences = [probabilities[np.arange(len(p)), answers] for probabilities in stated]
    # There is one column of differences for each bin, so that a resampled error is a sum of
    # absolute means.
    gaps = [
        np.where(_bins(given)[:, None] == np.arange(N_BINS), (right - given)[:, None], 0)
        for given in confidences
    ]
    means = np.abs(resampled_means(np.concatenate(gaps, axis=1), rng, groups))
    scores = [
        percentile_interval(expected_calibration_error(given, right), errors.sum(axis=1))
        for given, errors in zip(confidences, np.split(means, len(gaps), axis=1), strict=True)
    ]
    if right.min() < right.max():
        return scores
    # If all rows are equal, this share of the unseen rows may differ from them.
    otherwise = unseen(len(p) if groups is None else len(np.unique(groups)))
    return [
        score.model_copy(
            update={
                "low": min(score.low, max(score.value - otherwise, 0.0)),
                "high": max(score.high, otherwise),
            }
        )
        for score in scores
    ]


def _shown(score: Score | None, why: str) -> str:
    """A share as a percentage, or the reason why there is none."""
    return score.in_percent if score else f"none: {why}"


def _check(y: NDArray[Any], p: Floats, unsure: NDArray[np.bool], labels: tuple[str, ...]) -> None:
    fitting = y.ndim == 1 and p.shape == (len(y), len(labels)) and unsure.shape == y.shape
    if not fitting or not len(y):
        raise DataError(
            "E613",
            "The shapes of predictions and true labels do not match",
            expected=f"true (n,), probabilities (n, {len(labels)}), unsure (n,), n at least 1",
            true=y.shape,
            probabilities=p.shape,
            unsure=unsure.shape,
        )
    _check_codes(y, labels)
    wrong = ~(np.abs(p.sum(axis=1) - 1) <= 1e-4) | (p < 0).any(axis=1)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            "E614",
            "The array does not contain probabilities",
            expected="rows >= 0 that sum to 1 within 1e-4",
            row=row,
            sum=float(p[row].sum()),
        )


def _check_codes(codes: NDArray[Any], labels: tuple[str, ...]) -> None:
    whole = np.issubdtype(codes.dtype, np.integer)
    if not whole or codes.min() < 0 or codes.max() >= len(labels):
        raise DataError(
            "E616",
            "A true code has no label",
            expected=f"whole numbers from 0 to {len(labels) - 1}",
            dtype=str(codes.dtype),
            lowest=codes.min().item() if whole else None,
            highest=codes.max().item() if whole else None,
        )


def _check_choice(
    positive: str | None, by_threshold: bool, recall: float, labels: tuple[str, ...]
) -> None:
    two = len(labels) == 2
    if positive is not None and not (two and positive in labels):
        expected = f"one of {', '.join(labels)}" if two else "two labels, of which one is positive"
        fix = did_you_mean(positive, labels)
        raise DataError(
            "E617", "There is no such positive label", expected=expected, fix=fix, positive=positive
        )
    if by_threshold and not two:
        raise DataError(
            "E618",
            "A threshold needs two labels",
            expected="a model of two labels",
            n_labels=len(labels),
        )
    if not 0 < recall <= 1:
        raise DataError(
            "E619", "The recall is out of range", expected="a share in (0, 1]", recall=recall
        )

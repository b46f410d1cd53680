"""The result of a run in words: the question, the answer, and how far to trust it.

The report, its one-page summary and the model card all take their words from here.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tenfold.core.conformal import FEWEST_FOR_WIDTHS, fewest_rows
from tenfold.core.contract import PredictionIntervals
from tenfold.core.records import UNTRUSTWORTHY, Check
from tenfold.core.task import TaskKind
from tenfold.core.text import in_unit, percent
from tenfold.evaluation import AnyEvaluation, Evaluation, RegressionEvaluation, Score
from tenfold.learners import is_used
from tenfold.runs.csv_files import StoredAnswers
from tenfold.runs.record import Run

MAX_NAMED = 6
"""Maximum number of labels that a question names."""

GRAVE = (*UNTRUSTWORTHY, "in both parts")
"""Kinds of findings after which a score is not what it seems."""

Grade = Literal["good", "unclear", "bad"]
"""The verdict on a model: better than the baseline (good), not distinguishable from it, or worse or
not to be trusted."""


@dataclass(frozen=True)
class Interval:
    """A score with its interval, and the baseline's score, as positions on a scale from 0 to 1.

    `ends` are the texts at both ends of the scale.
    """

    value: float
    low: float
    high: float
    base: float | None = None
    ends: tuple[str, str] = ("0%", "100%")


@dataclass(frozen=True)
class RunSummary:
    """A run in words.

    Attributes:
      question: The question that the model answers.
      subject: What it was made from.
      headline: The answer as one number, which `unit` explains.
      answer: The answer in a sentence or two.
      about: The interval of the headline, and the rows from which it comes.
      verdict: Whether the model is better than its baseline.
    """

    question: str
    subject: str
    headline: str
    unit: str
    answer: str
    about: str
    interval: Interval
    verdict: str
    grade: Grade


@dataclass(frozen=True)
class ScoreCard:
    """One score for people: its value, its interval as text and as a bar, and its meaning.

    Attributes:
      meaning: One line.
      more: How it is measured, as further information.
    """

    name: str
    value: str
    spread: str
    meaning: str
    more: str
    interval: Interval | None = None


def summarise(run: Run, stored: StoredAnswers) -> RunSummary:
    """Describe a run in words. `stored` are the predictions for its test rows."""
    return SUMMARIES[run.evaluation.task](run, run.evaluation, stored)


def score_cards(evaluation: AnyEvaluation) -> list[ScoreCard]:
    """The scores of an evaluation, most important first."""
    return CARDS[evaluation.task](evaluation)


def noun(run: Run, n: int = 2) -> str:
    """The name of the rows of a run: images or rows."""
    word = "image" if run.model.contract.input.kind == "image" else "row"
    return word if n == 1 else f"{word}s"


def listed(names: tuple[str, ...]) -> str:
    """List names as in a sentence.

    Example:
      >>> listed(("a", "b", "c"))
      'a, b or c'
    """
    return " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def question(run: Run) -> str:
    """The question that the model answers."""
    contract = run.model.contract
    accepted, labels = contract.input, contract.labels
    if not labels:
        order = getattr(accepted, "order", None)
        verb = "What will" if order else "What is"
        target = getattr(run.evaluation, "target", "the value")
        return f"{verb} “{target}”{' be' if order else ''}?"
    if accepted.kind == "table":
        if len(labels) > MAX_NAMED:
            return f"Which of {len(labels)} values is “{accepted.target}”?"
        return f"What is “{accepted.target}”: {listed(labels)}?"
    if set(labels) == set("0123456789"):
        return "Which digit is this?"
    if len(labels) > MAX_NAMED:
        return f"Which of {len(labels)} classes is this?"
    return f"Is this {listed(labels)}?" if len(labels) == 2 else f"Which is this: {listed(labels)}?"


def _subject(run: Run) -> str:
    data, labels = run.record.data, run.model.contract.labels
    classes = f"{len(labels)} classes. " if labels else ""
    checked = f", {data.n_validation:,} to check progress" if data.n_validation else ""
    return (
        f"{classes}{data.name}: {data.n_train:,} {noun(run)} to learn from{checked} and "
        f"{data.n_test:,} to test."
    )


def _grade(evaluation: AnyEvaluation) -> Grade:
    if evaluation.doubts or evaluation.better_than_baseline == "worse":
        return "bad"
    return "good" if evaluation.beats_baseline else "unclear"


def _of_labels(run: Run, evaluation: Evaluation, stored: StoredAnswers) -> RunSummary:
    n, right = evaluation.n, sum(row[i] for i, row in enumerate(evaluation.confusion))
    rows = f"{evaluation.part} {noun(run)}"
    answer = f"All {n:,} {rows} were predicted correctly."
    if right < n:
        true, predicted, _ = evaluation.most_confused[0]
        pair = f"{true} predicted as {predicted}"
        answer = f"{n - right:,} of {n:,} {rows} are wrong, most often {pair}."
        if n - right == 1:
            answer = f"1 of {n:,} {rows} is wrong: {pair}."
    score, base = evaluation.accuracy, evaluation.baseline
    verdict = evaluation.beside_baseline
    if evaluation.beats_baseline:
        wrong = n - round(base.accuracy.value * n)
        verdict = (
            f"Better than the baseline: always answering “{base.label}” would get {wrong:,} of "
            f"{n:,} wrong."
        )
    return RunSummary(
        question(run), _subject(run), percent(score.value), "right", answer,
        f"{score.in_words(percent, 1)[1]}. "
        "The model never saw these " + noun(run) + " during training.",
        Interval(score.value, score.low, score.high, base.accuracy.value),
        verdict, _grade(evaluation),
    )  # fmt: skip


def _of_values(run: Run, evaluation: RegressionEvaluation, stored: StoredAnswers) -> RunSummary:
    errors = np.abs(np.asarray(stored.true) - np.asarray(stored.predicted))
    most, rmse, base = float(np.quantile(errors, 0.9)), evaluation.rmse, evaluation.baseline.rmse
    top = 1.15 * max(base.high, rmse.high) or 1.0
    kinds = {"mean": "always answering the mean", "last value": "repeating the last value"}
    verdict = evaluation.beside_baseline
    if evaluation.beats_baseline:
        verdict = (
            f"Better than {kinds[evaluation.baseline.kind]}: the root mean squared error is "
            f"{percent(1 - rmse.value / base.value, 0)} lower."
        )
    return RunSummary(
        question(run), _subject(run), in_unit(evaluation.mae.value), "typical error",
        f"On {evaluation.n:,} {evaluation.part} rows predictions are off by "
        f"{in_unit(evaluation.mae.value)} on average; 9 of 10 are within {in_unit(most)}.",
        f"Root mean squared error (RMSE): {', '.join(rmse.unit_in_words)}. "
        "The model never saw these rows during training.",
        Interval(
            rmse.value / top, rmse.low / top, rmse.high / top, base.value / top,
            ("RMSE 0: no error", in_unit(top)),
        ),
        verdict, _grade(evaluation),
    )  # fmt: skip


SUMMARIES: Mapping[TaskKind, Callable[..., RunSummary]] = {
    "classification": _of_labels,
    "regression": _of_values,
}


def _share_card(name: str, score: Score | None, meaning: str, more: str) -> ScoreCard:
    """A card of a share, 0 to 1. Without a score, it says that no row determines it."""
    if score is None:
        return ScoreCard(name, "none", "No row decides it.", meaning, more)
    value, spread = score.in_words(percent, 1)
    interval = Interval(score.value, score.low, score.high)
    return ScoreCard(name, value, spread, meaning, more, interval)


def _number_card(name: str, score: Score, meaning: str, more: str) -> ScoreCard:
    """A card of a quantity in some unit."""
    return ScoreCard(name, *score.unit_in_words, meaning, more)


def _label_cards(evaluation: Evaluation) -> list[ScoreCard]:
    n_labels, before = len(evaluation.labels), evaluation.calibration_error_before
    was = f" Before calibration it was {percent(before.value)}." if before else ""
    cards = [
        _share_card(
            "Accuracy", evaluation.accuracy, "The share of rows predicted correctly.",
            "Its interval is Wilson's: if the rows were drawn again, 95 of 100 such intervals "
            "would contain the true accuracy.",
        ),
        _share_card(
            "Macro F1", evaluation.macro_f1,
            "Like accuracy, but rare labels count as much as frequent ones.",
            "F1 is the harmonic mean of precision (of the rows predicted so, how many are) and "
            "recall (of the rows that are so, how many were found). Macro F1 is its mean over all "
            "labels.",
        ),
        _share_card(
            "Calibration error", evaluation.calibration_error,
            "The average difference between stated confidence and the share that is correct.",
            f"Expected calibration error over 15 bins of confidence (Guo et al. 2017).{was}",
        ),
        ScoreCard(
            "Log loss", *evaluation.log_loss.in_words(lambda end, digits: f"{end:.{digits}f}", 3),
            "How surprised the model is by the true label; 0 is perfect.",
            "The mean of -log(probability given to the true label), in nats. Giving each of the "
            f"{n_labels} labels the same probability scores {np.log(n_labels):.2f}.",
        ),
    ]  # fmt: skip
    if evaluation.answered.share.value < 1:
        cards.append(
            _share_card(
                "Accuracy without “unsure”", evaluation.answered.accuracy,
                f"{percent(evaluation.answered.share.value)} of the rows are predicted without "
                "“unsure”; this share of them is correct.",
                "A prediction is marked unsure if the input is unlike everything in training, or "
                "if two labels are nearly as probable.",
            )
        )  # fmt: skip
    return [*cards, *_set_cards(evaluation), *_positive_cards(evaluation)]


def _set_cards(evaluation: Evaluation) -> list[ScoreCard]:
    """The coverage of prediction sets, and how many contain a single label."""
    sets = evaluation.prediction_sets
    if sets is None or sets.coverage is None:
        return []
    share = percent(sets.nominal_coverage, 0)
    empty = percent(sets.empty.value) if sets.empty else "none"
    return [
        _share_card(
            "True label in the set", sets.coverage,
            "The share of rows whose prediction set contains the true label.",
            f"The sets are made to hold {share} of the rows of each label (label-conditional split "
            f"conformal prediction, Vovk 2012); the table of labels has the share of each.",
        ),
        _share_card(
            "Sets of one label", sets.single,
            "The share of rows whose prediction set is a single label.",
            f"A set has {sets.mean_size or 0:.2f} labels on average. {empty} of them are empty, "
            "and such an answer says “less sure than usual”: of the rows of each label, "
            f"{100 * sets.nominal_coverage:.0f} in 100 get a higher probability of it.",
        ),
    ]  # fmt: skip


def _positive_cards(evaluation: Evaluation) -> list[ScoreCard]:
    """For two labels, the scores of the positive one."""
    positive = evaluation.of_positive
    if positive is None:
        return []
    label, share = f"“{positive.label}”", percent(positive.n / evaluation.n)
    how = "it is the more probable label"
    if evaluation.threshold is not None:
        how = f"its probability is {percent(evaluation.threshold)} or more"
    cards = [
        _share_card(
            f"Precision of {label}", positive.precision,
            f"Of the rows predicted {label}, the share that really is.",
            f"{label} is predicted where {how}.",
        ),
        _share_card(
            f"Recall of {label}", positive.recall,
            f"Of the rows that really are {label}, the share that was found.",
            f"{positive.n:,} of {evaluation.n:,} rows ({share}) are {label}.",
        ),
    ]  # fmt: skip
    at = evaluation.precision_at_recall
    if evaluation.average_precision and at:
        cards += [
            _share_card(
                "Average precision", evaluation.average_precision,
                f"How well rows are ranked by the probability of {label}.",
                f"The area under the curve of precision against recall. Chance scores {share}.",
            ),
            _share_card(
                f"Precision where {at.recall:.0%} are found", at.precision,
                f"If {at.recall:.0%} of {label} are to be found, the share of true alarms.",
                f"Reached when {label} is predicted from a probability of "
                f"{percent(at.threshold)} on.",
            ),
        ]  # fmt: skip
    return cards


def _value_cards(evaluation: RegressionEvaluation) -> list[ScoreCard]:
    base = evaluation.baseline
    kind = {"mean": "the mean of the training rows", "last value": "the last value"}[base.kind]
    cards = [
        _number_card(
            "Mean absolute error (MAE)", evaluation.mae,
            "How far a prediction is off, on average.",
            f"In the unit of “{evaluation.target}”. Answering {kind} is off by "
            f"{base.mae.in_unit}.",
        ),
        _number_card(
            "Root mean squared error (RMSE)", evaluation.rmse,
            "Like MAE, but large errors count more.",
            "The root of the mean of the squared errors, in the unit of "
            f"“{evaluation.target}”. Answering {kind} scores {base.rmse.in_unit}.",
        ),
    ]  # fmt: skip
    if evaluation.r2:
        cards.append(
            _number_card(
                "R²", evaluation.r2, "The share of the variation that is explained; 1 is perfect.",
                "One minus the squared error divided by the squared deviation from the mean of "
                "these rows. 0 is as good as that mean, below 0 is worse.",
            )
        )  # fmt: skip
    if evaluation.coverage:
        width = in_unit(evaluation.interval_width or 0.0)
        spread = ""
        if evaluation.interval_widths:
            ends = " and ".join(in_unit(end) for end in evaluation.interval_widths)
            spread = f" Their width follows the row: 8 of 10 are between {ends} wide."
        cards.append(
            _share_card(
                "Inside the interval", evaluation.coverage,
                "The share of rows whose true value is inside the interval of its prediction.",
                f"The intervals are made to hold 9 of 10 values; they are {width} wide on average."
                f"{spread}",
            )
        )  # fmt: skip
    return cards


CARDS: Mapping[TaskKind, Callable[[Any], list[ScoreCard]]] = {
    "classification": _label_cards,
    "regression": _value_cards,
}


def coverage_limits(run: Run) -> Iterator[str]:
    """The reasons why the coverage of sets and intervals is not guaranteed, one sentence each:
    labels with too few rows, and rows that are not exchangeable with the calibration rows."""
    sets = run.evaluation.prediction_sets
    if sets is not None and sets.limit:
        yield sets.limit
    if run.model.contract.prediction_intervals is not None:
        yield from _width_limits(run, run.model.contract.prediction_intervals)
    made = "Prediction sets" if run.model.labels else "Intervals"
    if run.model.contract.input.order is not None:
        yield (
            f"{made} are calibrated on the newest rows before the test rows. They keep their "
            "coverage as long as future rows are like these."
        )
    elif run.record.data.reading is not None and run.record.data.reading.group:
        yield (
            f"{made} are calibrated on single rows, but rows of a group resemble each other. With "
            "few groups, the coverage of new groups may be higher or lower than stated."
        )


def _width_limits(run: Run, intervals: PredictionIntervals) -> Iterator[str]:
    """The reason why all intervals have the same width, if they do."""
    n_rows, reading = intervals.calibration_rows, run.record.data.reading
    if intervals.adaptive:
        return
    if n_rows < fewest_rows(intervals.coverage):
        share, needed = percent(intervals.coverage, 0), fewest_rows(intervals.coverage)
        why = f"{share} coverage needs {needed} calibration rows, and there are {n_rows}"
        yield f"All intervals are infinite, because {why}."
        return
    why = "variable widths would not be narrower, or there are too many features"
    if run.model.contract.input.order is not None:
        why = "errors of neighbouring times are similar"
    elif reading is not None and reading.group:
        why = "errors of the rows of a group are similar"
    elif n_rows < FEWEST_FOR_WIDTHS:
        why = f"variable width needs {FEWEST_FOR_WIDTHS} calibration rows, and there are {n_rows}"
    yield f"All intervals have the same width, because {why}."


def scale_floor(evaluation: AnyEvaluation) -> float:
    """The beginning of the scale for the intervals of labels: the lowest end, rounded down to a
    tenth."""
    rows = evaluation.per_class if isinstance(evaluation, Evaluation) else ()
    lows = [score.low for row in rows for score in (row.precision, row.recall, row.f1) if score]
    sets = evaluation.prediction_sets
    lows += [row.coverage.low for row in sets.per_class if row.coverage] if sets else []
    return math.floor(10 * min(lows, default=0.0)) / 10


def settings_of(run: Run) -> Iterator[tuple[str, Any]]:
    """The settings that the user gave, and those of the learner that are switched on."""
    learners = run.model.contract.learners
    for name, value in run.record.known_settings().items():
        is_used_here = any(is_used(name, learner) for learner in learners)
        is_on = value not in (None, False, 0, [], {}) and is_used_here
        if name in run.record.asked or is_on:
            yield name, value


def other_checks(run: Run) -> list[Check]:
    """The findings of the checks that are not already findings of the audit."""
    said = {finding.text for finding in run.audit.findings} if run.audit else set()
    return [check for check in run.checks if check.text not in said]

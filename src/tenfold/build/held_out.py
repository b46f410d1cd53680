"""Compute from held-out rows: calibration, the threshold of costs, and novelty.

A row must not both choose a candidate and calibrate it. If a learner chose an epoch or a penalty by
the validation rows, each of these rows calibrates with the prediction of a candidate that was
chosen without it (`learners.choice`). Test rows never come here.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tenfold.build.calibration import Constants, choose_threshold, fit_temperature, left_out
from tenfold.build.novelty import (
    STRANGE,
    UNSURE_PHOTOS,
    UNSURE_PICTURES,
    UNSURE_SHARE,
    Angle,
    Measured,
    Novelty,
    are_enough,
    distances_to_others,
    fit_distance,
    fit_novelty,
)
from tenfold.build.problem import Prepared
from tenfold.build.widths import RowWidths, fit_widths
from tenfold.core.conformal import conformal_half_width, set_thresholds
from tenfold.core.contract import Decision, PredictionIntervals, PredictionSets
from tenfold.core.errors import SettingsError
from tenfold.core.settings import Settings
from tenfold.core.task import Regression
from tenfold.learners import LEARNERS, Examples, Fitted

CENTRES = 20
"""Maximum number of centres of each label among the hidden activations."""

MAX_JUDGED = 5_000
"""Maximum number of validation rows from which the threshold of novelty is determined. With so
many, 100 rows exceed it."""


@dataclass(frozen=True, eq=False)
class OwnAnswers:
    """A learner's predictions for held-out rows or, without such rows, for training rows.

    The first of the rows are `Prepared.compared`. Predictions are probabilities (n, n_labels) or
    standardised values (n,), before calibration. Hidden values (n, h) are those of a network.
    Calibration uses the `judged` predictions, each of which comes from a candidate that was chosen
    without the row. If training rows were predicted by cross-validation, `part_of` is the fold of
    each row.
    """

    rows: Examples
    answers: NDArray[np.float32]
    judged: NDArray[np.float32]
    hidden: NDArray[np.float32] | None
    is_held_out: bool
    part_of: NDArray[np.int64] | None = None

    @classmethod
    def by(cls, fitted: Fitted, prepared: Prepared) -> "OwnAnswers":
        """The predictions of a learner for the validation rows or, if there are none, for training
        rows."""
        rows = prepared.validation
        if rows is not None:
            answers, hidden = fitted.answers(rows.x), fitted.hidden(rows.x)
            judged = answers if fitted.judged is None else fitted.judged
            return cls(rows, answers, judged, hidden, True)
        # The training rows, encoded in the same way as rows to predict.
        few = prepared.encoding.encode(prepared.compared)
        rows = Examples(few, prepared.train.y[: len(few)])
        answers = fitted.answers(rows.x)
        return cls(rows, answers, answers, None, False)

    @classmethod
    def that_judge(cls, fitted: Fitted, seen: "OwnAnswers") -> "OwnAnswers":
        """The predictions that decide: the usual ones, or those by fits without the row."""
        if fitted.cross is None:
            return seen
        cross = fitted.cross
        return cls(cross.rows, cross.answers, cross.answers, None, True, cross.part_of)


def calibrate(prepared: Prepared, seen: OwnAnswers, settings: Settings) -> Constants:
    """The constants at the end of the graph. Without validation rows nothing is calibrated."""
    if isinstance(prepared.task, Regression):
        mean, scale = prepared.task.mean, prepared.task.scale
        assert mean is not None and scale is not None  # of the training rows
        constants = Constants(target_mean=mean, target_scale=scale)
        if seen.is_held_out:
            width = conformal_half_width(seen.rows.y, seen.judged) * constants.target_scale
            widths = _row_widths(prepared, seen, settings)
            constants = replace(constants, half_width=width, widths=widths)
        return constants
    constants = Constants(label_factors=label_factors(prepared, settings))
    if seen.is_held_out:
        corrected = constants.apply(seen.judged)
        temperature = fit_temperature(corrected, seen.rows.y, seen.rows.weight)
        constants = replace(constants, temperature=temperature)
    sets = promise_sets(prepared, seen)
    if sets is not None and sets.are_given:
        found = set_thresholds(constants.apply(seen.judged), seen.rows.y, sets.coverage)
        constants = replace(constants, set_thresholds=tuple(found.tolist()))
    return constants


def _row_widths(prepared: Prepared, seen: OwnAnswers, settings: Settings) -> RowWidths | None:
    """Fit widths of intervals that depend on the row. They need independent rows: the errors of
    rows of one group, or of neighbours in time, are correlated, and a forest that was fitted to
    some of them would underestimate the errors of the others."""
    accepted, x = prepared.encoding.accepted, seen.rows.x
    if accepted.kind == "image" or accepted.order is not None or seen.rows.group is not None:
        return None
    return fit_widths(x, seen.rows.y, seen.judged, settings.seed)


def promise_intervals(
    prepared: Prepared, seen: OwnAnswers, constants: Constants
) -> PredictionIntervals | None:
    """The nominal coverage of the intervals of values, and the calibration rows behind it."""
    if prepared.task.labels:
        return None
    n_rows = len(seen.rows.y) if seen.is_held_out else 0
    return PredictionIntervals(calibration_rows=n_rows, adaptive=constants.widths is not None)


def promise_sets(prepared: Prepared, seen: OwnAnswers) -> PredictionSets | None:
    """The coverage of prediction sets, and the number of calibration rows of each label."""
    labels = prepared.task.labels
    if not (labels and seen.is_held_out):
        return None
    counts = np.bincount(seen.rows.y.astype(np.int64), minlength=len(labels))
    return PredictionSets(calibration_rows=tuple(counts.tolist()))


def without_calibration(fitted: Fitted, prepared: Prepared) -> str | None:
    """Which labels no calibration row has, because every fit needed their only photo."""
    if fitted.cross is None or not prepared.task.labels:
        return None
    return left_out(prepared.task.labels, prepared.train.y, fitted.cross.rows.y)


def label_factors(prepared: Prepared, settings: Settings) -> tuple[float, ...]:
    """Factors that correct probabilities for class weights, which make labels look more frequent
    than they are."""
    if settings.class_weights is None:
        return ()
    if settings.class_weights == "balanced":
        counts = np.bincount(prepared.train.y, minlength=len(prepared.task.labels))
        return tuple((counts / counts.sum()).tolist())
    return tuple(1 / weight for weight in settings.class_weights)


def decide(
    prepared: Prepared,
    seen: OwnAnswers,
    constants: Constants,
    settings: Settings,
    positive: str | None,
) -> Decision:
    """The threshold with the lowest cost on the validation rows."""
    if positive is None or not seen.is_held_out:
        raise SettingsError(
            "E604",
            "Costs cannot be used here",
            where=prepared.name,
            expected="two labels and validation rows",
            n_labels=len(prepared.task.labels),
            n_validation=len(seen.answers) if seen.is_held_out else 0,
        )
    code = prepared.task.labels.index(positive)
    threshold = choose_threshold(
        constants.apply(seen.judged)[:, code],
        seen.rows.y == code,
        settings.cost.get("false_negative", 1.0),
        settings.cost.get("false_positive", 1.0),
    )
    return Decision(positive=positive, threshold=threshold)


def judge_novelty(
    fitted: Fitted, prepared: Prepared, seen: OwnAnswers, constants: Constants
) -> Novelty | None:
    """Fit the novelty to the training rows, and its threshold to the validation rows.

    The result is None without validation rows and for regression. It is also None for the baseline,
    which ignores its input, for arrays of features, whose scale only the caller knows, and for
    trees on a table, whose columns have no common scale (values up to 1e37).
    """
    kind, learners = prepared.encoding.accepted.kind, [LEARNERS[one] for one in fitted.learners]
    is_scaled = any(learner.scaled for learner in learners)
    is_comparable = kind == "image" or (kind == "table" and is_scaled)
    if not (prepared.task.labels and seen.is_held_out and is_comparable):
        return None
    if not any(learner.looks for learner in learners) or prepared.distance is None:
        return None
    n = len(seen.answers)
    few = np.linspace(0, n - 1, min(n, MAX_JUDGED)).astype(np.int64)
    is_photo = isinstance(prepared.distance, Angle)
    share = UNSURE_PICTURES if kind == "image" else UNSURE_SHARE
    share = UNSURE_PHOTOS if is_photo else share
    distances, probabilities = _distances(prepared, seen, few), constants.apply(seen.judged[few])
    if distances is None or not are_enough(len(few), share):
        return None
    features = Measured(prepared.distance, distances)
    if is_photo:
        return fit_novelty(features, None, None, probabilities, share)
    weight = learners[0].hidden_weight if kind == "image" else 1.0
    activations, hidden = fitted.hidden(prepared.train.x[prepared.sample]), None
    if activations is not None and seen.hidden is not None:
        found = fit_distance(activations, prepared.train.y[prepared.sample], per_label=CENTRES)
        if found is not None:
            hidden = Measured(found, found.of(seen.hidden[few]), weight)
    strange = _strange(fitted, prepared, seen, few) if kind == "image" else None
    return fit_novelty(features, hidden, strange, probabilities, share)


def _strange(
    fitted: Fitted, prepared: Prepared, seen: OwnAnswers, few: NDArray[np.int64]
) -> Measured:
    """The strangeness of some of the pictures (n,): by hidden values if these show shapes,
    otherwise by pixels."""
    learner = LEARNERS[fitted.learners[0]]
    if seen.hidden is None or not learner.sees_shapes:
        strangeness = prepared.strangeness
        return Measured(strangeness, strangeness.of(seen.rows.x[few]), STRANGE)
    strangeness = prepared.strangeness_by(fitted, seen.hidden.shape[1])
    odds = strangeness.of(seen.hidden[few])
    return Measured(strangeness, odds, STRANGE * learner.hidden_weight)


def _distances(
    prepared: Prepared, seen: OwnAnswers, few: NDArray[np.int64]
) -> NDArray[np.float64] | None:
    """The distance of some of the rows (n,) from training rows, in their parts from those of the
    other parts, because a row is near to itself. None if some of these do not vary."""
    x, y = prepared.near(seen.rows.x[few]), seen.rows.y[few]
    if seen.part_of is not None:
        return distances_to_others(prepared.distance_from, x, y, seen.part_of[few])
    return None if prepared.distance is None else prepared.distance.of(x)

"""The learner `bayes`: naive Bayes, whose variant follows from the columns.

Naive Bayes adds up one log-likelihood per column, so columns of different kinds can each have the
distribution that suits them: a Bernoulli block and a Gaussian block, added, are one model.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.progress import Listener
from tenfold.core.settings import Settings
from tenfold.inputs.features import features
from tenfold.learners.classical import spread
from tenfold.learners.fitted import Fitted
from tenfold.learners.training import Examples

BERNOULLI_SMOOTHING = 0.1
"""Rows added to each count. 1, the usual, costs 2 points of F1 on SMS spam."""

PIXEL_SMOOTHING = 0.1
COLUMN_SMOOTHING = 1e-3
"""Share of the largest variance added to all: pixels at the border of a picture hardly vary."""

REASONS = {
    "Bernoulli": "columns with two values or mostly one",
    "multinomial": "columns of weighted words",
    "Gaussian": "columns of varying numbers",
}


@dataclass(frozen=True, eq=False)
class Block:
    """Some columns and their distribution.

    Attributes:
      kind: `Bernoulli`, `multinomial` or `Gaussian`.
      columns: Their positions.
      thresholds: Bernoulli: a value above it counts as present, float32 (n_columns,).
      estimator: The fitted naive Bayes of scikit-learn.
    """

    kind: str
    columns: NDArray[np.int64]
    thresholds: NDArray[np.float32]
    estimator: Any

    def seen(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """What the estimator sees of rows (n, d)."""
        return look(x, self.kind, self.columns, self.thresholds)


@dataclass(frozen=True, eq=False)
class Bayes:
    """The blocks of a fitted naive Bayes.

    Attributes:
      blocks: At least one.
      classes: The labels that had training rows.
      n_labels: Number of all labels.
    """

    blocks: tuple[Block, ...]
    classes: NDArray[np.int64]
    n_labels: int

    def answers(self, x: NDArray[Any]) -> NDArray[np.float32]:
        x = features(x)
        joint = np.sum(
            [block.estimator.predict_joint_log_proba(block.seen(x)) for block in self.blocks],
            axis=0,
        )
        joint -= (len(self.blocks) - 1) * self.log_prior  # each block brought it once
        odds = np.exp(joint - joint.max(axis=1, keepdims=True))
        return spread(odds / odds.sum(axis=1, keepdims=True), self.classes, self.n_labels)

    @property
    def log_prior(self) -> NDArray[np.float64]:
        """Log share of each of `classes` among the training rows."""
        estimator = self.blocks[0].estimator
        if self.blocks[0].kind == "Gaussian":
            return np.asarray(np.log(estimator.class_prior_))
        return np.asarray(estimator.class_log_prior_)


def look(
    x: NDArray[np.float32],
    kind: str,
    columns: NDArray[np.int64],
    thresholds: NDArray[np.float32],
) -> NDArray[np.float64]:
    """The columns of a block; for Bernoulli 1 where a value is above its threshold, else 0."""
    chosen = x[:, columns]
    return (chosen > thresholds if kind == "Bernoulli" else chosen).astype(np.float64)


def fit_bayes(
    train: Examples,
    validation: Examples | None,
    *,
    n_labels: int,
    settings: Settings,
    listener: Listener,
) -> Fitted:
    """Fit naive Bayes of the variant that suits the columns; the note says which and why.

    Pictures: Bernoulli where nearly every pixel is black or white, else Gaussian. Tables: Bernoulli
    for columns that mostly hold their smallest value, or just two values, Gaussian for the others;
    or one of the two kinds alone. Rows of weighted words: Bernoulli or multinomial (McCallum and
    Nigam 1998, AAAI WS-98-05, pages 41-48: it depends on the size of the vocabulary). Where several
    may suit, the one that errs least on the validation rows; of equals the first.
    """
    x = features(train.x)
    if train.x.dtype == np.uint8:
        body = _fit(x, train, n_labels, *_picture(x), smoothing=PIXEL_SMOOTHING)
        return Fitted("bayes", body, _n_parameters(body), note=_picture_note(x))
    kinds, thresholds = _columns(x)
    variants = [kinds, *_alternatives(x, kinds)]
    if validation is None:
        variants = variants[:1]
    bodies = [
        _fit(x, train, n_labels, variant, thresholds, smoothing=COLUMN_SMOOTHING)
        for variant in variants
    ]
    if validation is None or len(bodies) == 1:
        return Fitted("bayes", bodies[0], _n_parameters(bodies[0]), note=_table_note(kinds))
    errors = [_errors(body, validation) for body in bodies]
    best = int(np.argmin(errors))
    others = " and ".join(f"{error:.4f}" for i, error in enumerate(errors) if i != best)
    note = f"{_table_note(variants[best])}; error on the validation rows {errors[best]:.4f} against"
    return Fitted("bayes", bodies[best], _n_parameters(bodies[best]), note=f"{note} {others}")


def _alternatives(x: NDArray[np.float32], kinds: NDArray[Any]) -> list[NDArray[Any]]:
    """Kinds that may suit better than `_columns`': multinomial for words, one kind alone else."""
    if _is_text(x):
        return [np.where(kinds == "", "", "multinomial")]
    if len(set(kinds) - {""}) < 2:
        return []
    return [np.where(kinds == kind, kind, "") for kind in ("Bernoulli", "Gaussian")]


def _picture(x: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[np.float32]]:
    kind = "Bernoulli" if _share_of_grey(x) <= 0.2 else "Gaussian"
    return np.full(x.shape[1], kind), np.full(x.shape[1], 0.5, np.float32)


def _picture_note(x: NDArray[np.float32]) -> str:
    grey = _share_of_grey(x)
    kind = "Bernoulli" if grey <= 0.2 else "Gaussian"
    return f"{kind} naive Bayes: {grey:.0%} of the pixel values are grey (from 0.1 to 0.9)"


def _share_of_grey(x: NDArray[np.float32]) -> float:
    """Share of pixel values that are neither near 0 nor near 1."""
    return float(((x > 0.1) & (x < 0.9)).mean())


def _columns(x: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Kind of each column, "" for constant ones, and its threshold, between two values that occur.

    Between, because a front that computes the column with another last bit must not turn it over.
    """
    low, high = x.min(axis=0), x.max(axis=0)
    at_low = (x == low).mean(axis=0)
    two_valued = ((x == low) | (x == high)).all(axis=0)
    second = np.where(x > low, x, np.inf).min(axis=0)
    kinds = np.where(two_valued | (at_low >= 0.5), "Bernoulli", "Gaussian")
    kinds[low == high] = ""
    second[low == high] = high[low == high]
    return kinds, ((low.astype(np.float64) + second) / 2).astype(np.float32)


def _table_note(kinds: NDArray[Any]) -> str:
    reasons = [
        f"{kind} naive Bayes for {count} {reason}"
        for kind, reason in REASONS.items()
        if (count := int((kinds == kind).sum()))
    ]
    if not reasons:
        return "No column varies: the share of each label is the answer"
    if ignored := int((kinds == "").sum()):
        reasons.append(f"{ignored} columns ignored")
    return "; ".join(reasons)


def _is_text(x: NDArray[np.float32]) -> bool:
    """Rows of weighted words: not negative, mostly 0, each of length 1 or empty."""
    if x.min() < 0 or (x == 0).mean() < 0.5:
        return False
    length = np.sqrt(np.einsum("ij,ij->i", x, x))
    return bool(((length == 0) | (np.abs(length - 1) < 1e-3)).all())


def _fit(
    x: NDArray[np.float32],
    train: Examples,
    n_labels: int,
    kinds: NDArray[Any],
    thresholds: NDArray[np.float32],
    *,
    smoothing: float,
) -> Bayes:
    from sklearn.naive_bayes import BernoulliNB, GaussianNB, MultinomialNB

    estimators = {
        "Bernoulli": BernoulliNB(alpha=BERNOULLI_SMOOTHING, binarize=None),
        "multinomial": MultinomialNB(alpha=BERNOULLI_SMOOTHING),
        "Gaussian": GaussianNB(var_smoothing=smoothing),
    }
    if not (kinds != "").any():
        kinds = np.where(np.arange(len(kinds)) == 0, "Bernoulli", kinds)
    blocks = []
    for kind, estimator in estimators.items():
        columns = np.flatnonzero(kinds == kind)
        if len(columns):
            chosen = thresholds[columns]
            estimator.fit(look(x, kind, columns, chosen), train.y, train.weight)
            blocks.append(Block(kind, columns, chosen, estimator))
    return Bayes(tuple(blocks), blocks[0].estimator.classes_, n_labels)


def _errors(body: Bayes, rows: Examples) -> float:
    wrong = body.answers(rows.x).argmax(axis=1) != rows.y
    return float(np.average(wrong, weights=rows.weight))


def _n_parameters(body: Bayes) -> int:
    per_column = sum(
        len(block.columns) * (2 if block.kind == "Gaussian" else 1) for block in body.blocks
    )
    return len(body.classes) * (per_column + 1)

"""The learner `bayes`: naive Bayes, which adds up one log-likelihood for each column.

Columns of different kinds can therefore have different distributions. The sum of a Bernoulli block
and a Gaussian block is one model.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.inputs.features import features
from tenfold.learners.classical import spread
from tenfold.learners.job import Examples, Fitted, TrainingJob

BERNOULLI_SMOOTHING = 0.1
"""Number that is added to each count. With the usual number, 1, the F1 score on SMS spam is 2
points lower."""

PIXEL_SMOOTHING = 0.1
COLUMN_SMOOTHING = 1e-3
"""Share of the largest variance that is added to all, because pixels at the border hardly vary."""

REASONS = {
    "Bernoulli": "columns with two values or mostly one",
    "multinomial": "columns of weighted words",
    "Gaussian": "columns of varying numbers",
}


@dataclass(frozen=True, eq=False)
class Block:
    """Some columns, by position, and their distribution: `Bernoulli`, `multinomial` or `Gaussian`.

    For Bernoulli, a value above its threshold, float32 (n_columns,), counts as present. The
    estimator is a fitted naive Bayes of scikit-learn.
    """

    kind: str
    columns: NDArray[np.int64]
    thresholds: NDArray[np.float32]
    estimator: Any

    def seen(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """The columns of rows (n, d). For Bernoulli, 1 if a value is above its threshold, else
        0."""
        chosen = x[:, self.columns]
        return (chosen > self.thresholds if self.kind == "Bernoulli" else chosen).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Bayes:
    """The blocks of a fitted naive Bayes, at least one. `classes` are the labels that have training
    rows."""

    blocks: tuple[Block, ...]
    classes: NDArray[np.int64]
    n_labels: int

    def answers(self, x: NDArray[Any]) -> NDArray[np.float32]:
        x = features(x)
        joint = np.sum(
            [block.estimator.predict_joint_log_proba(block.seen(x)) for block in self.blocks],
            axis=0,
        )
        joint -= (len(self.blocks) - 1) * self.log_prior  # each block has added the prior once
        odds = np.exp(joint - joint.max(axis=1, keepdims=True))
        return spread(odds / odds.sum(axis=1, keepdims=True), self.classes, self.n_labels)

    @property
    def log_prior(self) -> NDArray[np.float64]:
        """The logarithm of the share of each of `classes` among the training rows."""
        estimator = self.blocks[0].estimator
        if self.blocks[0].kind == "Gaussian":
            return np.asarray(np.log(estimator.class_prior_))
        return np.asarray(estimator.class_log_prior_)


def fit_bayes(job: TrainingJob) -> Fitted:
    """Fit naive Bayes in the variant that suits the columns. The note says which and why.

    For pictures, this is Bernoulli if nearly every pixel is black or white, and otherwise Gaussian.
    For tables, it is Bernoulli for columns that mostly contain their smallest value, or only two
    values, and Gaussian for the others, or one of the two kinds alone. For rows of weighted words,
    it is Bernoulli or multinomial (McCallum and Nigam 1998, AAAI WS-98-05, pages 41-48: it depends
    on the size of the vocabulary). If several variants are possible, the one with the fewest errors
    on the validation rows is chosen, or the first of several with the same number of errors.
    """
    train, validation, n_labels = job.train, job.validation, job.n_labels
    assert n_labels is not None  # naive Bayes only learns labels
    x = features(train.x)
    if train.x.dtype == np.uint8:
        grey = float(((x > 0.1) & (x < 0.9)).mean())
        kind = "Bernoulli" if grey <= 0.2 else "Gaussian"
        kinds, thresholds = np.full(x.shape[1], kind), np.full(x.shape[1], 0.5, np.float32)
        body = _fit(x, train, n_labels, kinds, thresholds, smoothing=PIXEL_SMOOTHING)
        note = f"{kind} naive Bayes: {grey:.0%} of the pixel values are grey (from 0.1 to 0.9)"
        return Fitted("bayes", body, _n_parameters(body), note=note)
    kinds, thresholds = _columns(x)
    variants = [kinds] if validation is None else [kinds, *_alternatives(x, kinds)]
    bodies = [
        _fit(x, train, n_labels, variant, thresholds, smoothing=COLUMN_SMOOTHING)
        for variant in variants
    ]
    best, against = 0, ""
    if validation is not None and len(bodies) > 1:
        wrong = [body.answers(validation.x).argmax(axis=1) != validation.y for body in bodies]
        errors = [float(np.average(rows, weights=validation.weight)) for rows in wrong]
        best = int(np.argmin(errors))
        others = " and ".join(f"{error:.4f}" for i, error in enumerate(errors) if i != best)
        against = f"; error on the validation rows {errors[best]:.4f} against {others}"
    note = f"{_table_note(variants[best])}{against}"
    return Fitted("bayes", bodies[best], _n_parameters(bodies[best]), note=note)


def _alternatives(x: NDArray[np.float32], kinds: NDArray[Any]) -> list[NDArray[Any]]:
    """Other distributions to be tried: multinomial for words, and otherwise a single distribution
    for all columns."""
    if _is_text(x):
        return [np.where(kinds == "", "", "multinomial")]
    if len(set(kinds) - {""}) < 2:
        return []
    return [np.where(kinds == kind, kind, "") for kind in ("Bernoulli", "Gaussian")]


def _columns(x: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """The distribution of each column ("" for constant columns), and its threshold.

    The threshold lies between two values that occur, so that a difference in the last bit of a
    feature does not change the result.
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
    """Whether rows are of weighted words: not negative, mostly 0, and each of length 1 or empty."""
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
            block = Block(kind, columns, thresholds[columns], estimator)
            estimator.fit(block.seen(x), train.y, train.weight)
            blocks.append(block)
    return Bayes(tuple(blocks), blocks[0].estimator.classes_, n_labels)


def _n_parameters(body: Bayes) -> int:
    per_column = sum(
        len(block.columns) * (2 if block.kind == "Gaussian" else 1) for block in body.blocks
    )
    return len(body.classes) * (per_column + 1)

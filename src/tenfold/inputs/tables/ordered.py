"""Encode a table for boosted trees: missing numbers stay missing, and categories become numbers.

A tree only splits numbers, so that each value of a category is replaced by the mean target of its
rows (target encoding). In this order the best split of the values is a threshold (Fisher 1958). The
mean of a rare value is shrunk towards the mean of all rows. A training row is encoded with the
means of other rows, because the trees would otherwise see its target (Micci-Barreca 2001,
doi:10.1145/507533.507538; with cross-fitting as in scikit-learn's TargetEncoder).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.contract import TableInput
from tenfold.inputs.tables.columns import levels
from tenfold.inputs.tables.encoder import Encoder, Floats, Inputs, fit_encoder
from tenfold.inputs.tables.texts import Strings

PRIOR_ROWS = 10
"""Number of rows with the overall mean that are added to those of each value, which shrinks its
mean."""

FOLDS = 5
"""Number of folds of the training rows. Each fold is encoded with the means of the others."""

MAX_CODED = 10
"""Maximum number of labels for which each category gets a column of means. The most frequent labels
are used."""

FEW_LEVELS = 10
"""Categories with at most this many values also get one column for each value, so that a split can
separate any of them."""


@dataclass(frozen=True, eq=False)
class Codes:
    """The means of a category's values, each float32 (k,), and those of all rows, which are used
    for unseen values."""

    of_level: Mapping[str, Floats]
    of_others: Floats

    def __call__(self, values: Strings) -> Floats:
        """The codes of cells (n, 1), float32 (n, k)."""
        known, which = np.unique(values[:, 0].astype(str), return_inverse=True)
        codes = np.stack([self.of_level.get(value, self.of_others) for value in known.tolist()])
        return codes[which]


@dataclass(frozen=True, eq=False)
class OrderedEncoder:
    """Numbers unchanged, codes of categories, and the other features of `Encoder`.

    Attributes:
      numbers: The graph inputs that are numbers, in order.
      codes: For each category with more than two levels, by input.
      others: One-hot columns of categories with few levels, and texts.
    """

    numbers: tuple[str, ...]
    codes: Mapping[str, Codes]
    others: Encoder

    def __call__(self, inputs: Inputs) -> Floats:
        """Compute the features float32 (n, n_features), NaN where a number is missing."""
        return self._features(
            inputs, {name: code(inputs[name]) for name, code in self.codes.items()}
        )

    def of_training(self, inputs: Inputs, y: NDArray[Any]) -> Floats:
        """The features of the training rows, which are encoded with the means of other rows."""
        answers, fold_of = coded_answers(y), _folds(len(y))
        codes = {name: np.empty((len(y), answers.shape[1]), np.float32) for name in self.codes}
        for fold in range(FOLDS):
            own = fold_of == fold
            for name, found in codes.items():
                values = inputs[name]
                found[own] = fit_codes(values[~own], answers[~own])(values[own])
        return self._features(inputs, codes)

    def _features(self, inputs: Inputs, codes: Mapping[str, Floats]) -> Floats:
        parts = [inputs[name] for name in self.numbers]
        parts += codes.values()
        if self.others.categories or self.others.texts:
            parts.append(self.others(inputs))
        return np.concatenate(parts, axis=1) if parts else np.empty((0, 0), np.float32)


def fit_ordered(inputs: Inputs, contract: TableInput, y: NDArray[Any]) -> OrderedEncoder:
    """Fit the encoder to the graph inputs of training rows and their codes or targets (n,)."""
    answers = coded_answers(y)
    plain = fit_encoder(inputs, contract, scaled=False, answers=answers)
    n_levels = {name: len(levels(inputs[name][:, 0])) for name in plain.categories}
    few = {name: known for name, known in plain.categories.items() if n_levels[name] <= FEW_LEVELS}
    return OrderedEncoder(
        numbers=() if plain.numbers is None else plain.numbers.names,
        codes={name: fit_codes(inputs[name], answers) for name, n in n_levels.items() if n > 2},
        others=Encoder(None, few, plain.texts, scaled=False),
    )


def coded_answers(y: NDArray[Any]) -> NDArray[np.float64]:
    """The values that order the levels (n, k): the target, or an indicator for each label."""
    if not np.issubdtype(y.dtype, np.integer):
        return y.astype(np.float64)[:, None]
    counts = np.bincount(y)
    seen = np.argsort(-counts, kind="stable")[: (counts > 0).sum()]
    coded = seen[:1] if len(seen) == 2 else seen[:MAX_CODED]
    return np.asarray(y[:, None] == coded, np.float64)


def fit_codes(values: Strings, answers: NDArray[np.float64]) -> Codes:
    """Fit the means of a category's cells (n, 1) to their answers (n, k)."""
    known, which, counts = np.unique(
        values[:, 0].astype(str), return_inverse=True, return_counts=True
    )
    prior = answers.mean(axis=0)
    sums = np.stack([np.bincount(which, column, len(known)) for column in answers.T], axis=1)
    means = (sums + PRIOR_ROWS * prior) / (counts[:, None] + PRIOR_ROWS)
    codes = dict(zip(known.tolist(), means.astype(np.float32), strict=True))
    return Codes(codes, prior.astype(np.float32))


def _folds(n: int) -> NDArray[np.int64]:
    return np.random.default_rng(0).permutation(n) % FOLDS

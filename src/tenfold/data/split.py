"""`Split` and `split`: which rows of a dataset train, choose and test."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tenfold.core.errors import DataError
from tenfold.data.dataset import Dataset, RowNumbers

DEFAULT_TEST_SIZE = 0.25
"""Share held out for testing where a dataset has no official test part."""

DRAWS = 50
"""Draws of groups, of which the most like all rows is taken."""

SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")


@dataclass(frozen=True, eq=False)
class Split:
    """Three disjoint sets of row numbers, each sorted. The test rows are for `evaluate` alone.

    Attributes:
      train: Rows to fit to.
      validation: Rows to watch the fit with.
      test: Rows that no fit may see.
      dropped: Training rows left out because the same image stands in an official part.
    """

    train: RowNumbers
    validation: RowNumbers
    test: RowNumbers
    dropped: RowNumbers


def split(
    data: Dataset,
    *,
    seed: int = 0,
    test_size: float | None = None,
    validation_size: float = 0.0,
) -> Split:
    """Cut a dataset into train, validation and test rows, stratified by answer.

    Identical examples stay on one side, so nothing is tested on what it was fitted to.

    Args:
      data: The dataset.
      seed: Decides which rows go where.
      test_size: Share of the training part to hold out; the official test rows are then unused.
        None takes the official test part, or a quarter where there is none.
      validation_size: Share of the remaining training rows to hold out for validation. Where the
        dataset has an official validation part, that part is taken instead, unless this is 0.

    Raises:
      DataError: A size that is no share, or a part that is asked for would be empty.
    """
    if not ((test_size is None or 0 < test_size < 1) and 0 <= validation_size < 1):
        raise DataError(
            "E444",
            "A share of the rows is out of range",
            where=data.name,
            expected="test_size above 0, validation_size from 0, both below 1",
            test_size=test_size,
            validation_size=validation_size,
        )
    rng = np.random.default_rng(seed)
    # Rows in the order of time are split by it alone, equal ones too.
    group_of = np.arange(len(data)) if _follow_in_time(data) else data.group_of
    official = np.union1d(data.test_rows, data.validation_rows)
    train = unofficial = np.setdiff1d(np.arange(len(data)), official)
    if test_size is None and data.test_rows.size:
        test = np.sort(data.test_rows)
    else:
        train, test = hold_out(data, train, test_size or DEFAULT_TEST_SIZE, rng)
    validation = np.empty(0, np.int64)
    if validation_size and data.validation_rows.size:
        copied = np.isin(group_of[data.validation_rows], group_of[test])
        validation = np.sort(data.validation_rows[~copied])
    seen = np.isin(group_of[train], group_of[np.concatenate([test, validation])])
    train = train[~seen]
    if validation_size and not data.validation_rows.size:
        train, validation = hold_out(data, train, validation_size, rng)
    dropped = np.setdiff1d(unofficial, np.concatenate([train, validation, test]))
    for part, rows in (("train", train), ("test", test), ("validation", validation)):
        if not rows.size and (validation_size or part != "validation"):
            expected = f"rows left for {part}"
            raise DataError(
                "E445",
                "There are too few examples",
                where=data.name,
                expected=expected,
                n=len(data),
            )
    return Split(train, validation, test, dropped)


def _follow_in_time(data: Dataset) -> bool:
    return data.info is not None and data.info.timeline is not None


def cut_in_time(data: Dataset, rows: RowNumbers, cuts: Sequence[int]) -> list[RowNumbers]:
    """Rows in the order of time, cut near these positions so that no time is on two sides."""
    assert data.info is not None and data.info.timeline is not None
    times = data.info.timeline.times[rows]
    at = []
    for cut in cuts:
        if 0 < cut < len(rows):
            before, after = (int(np.searchsorted(times, times[cut], side)) for side in SIDES)
            at_ends = {0, len(rows)}
            cut = min({before, after} - at_ends or {before}, key=lambda n: abs(n - cut))
        at.append(cut)
    return np.split(rows, at)


def hold_out(
    data: Dataset, rows: RowNumbers, size: float, seed: int | np.random.Generator
) -> tuple[RowNumbers, RowNumbers]:
    """(kept, held out): a share of the rows, the last ones where rows follow in time.

    Others are stratified: of each label as near to the share as whole rows allow. Copies form a
    group that stays together and counts for the label of its first one. Nothing is held out for a
    `size` of 0, or where so few rows leave no whole one.
    """
    if _follow_in_time(data):
        kept, held_out = cut_in_time(data, rows, [len(rows) - round(len(rows) * size)])
        return kept, held_out
    rng = np.random.default_rng(seed)
    if data.groups is not None:
        return _hold_out_groups(data, rows, size, rng)
    _, first, group_of, n_copies = np.unique(
        data.group_of[rows], return_index=True, return_inverse=True, return_counts=True
    )
    answers = _strata(data)[rows[first]]
    counts = np.bincount(answers, weights=n_copies)
    is_held_out = np.zeros(len(first), bool)
    for code, left in enumerate(_quotas(counts, size).tolist()):
        for group in rng.permutation(np.flatnonzero(answers == code)).tolist():
            if n_copies[group] <= left:
                is_held_out[group] = True
                left -= int(n_copies[group])
    return rows[~is_held_out[group_of]], rows[is_held_out[group_of]]


def _hold_out_groups(
    data: Dataset, rows: RowNumbers, size: float, rng: np.random.Generator
) -> tuple[RowNumbers, RowNumbers]:
    """(kept, held out) whole groups: of several draws the one whose held-out rows are nearest to
    the share of all rows and of each answer. One group at least stays on either side."""
    _, group_of = np.unique(data.group_of[rows], return_inverse=True)
    n_groups, strata = int(group_of.max(initial=-1)) + 1, _strata(data)[rows]
    if not size or n_groups < 2:
        return rows, rows[:0]
    counts = np.zeros((n_groups, int(strata.max()) + 1))
    np.add.at(counts, (group_of, strata), 1)
    aim, best, least = counts.sum(axis=0) * size, np.zeros(n_groups, bool), np.inf
    for _ in range(DRAWS):
        order = rng.permutation(n_groups)
        n_rows = np.cumsum(counts[order].sum(axis=1))[:-1]
        held = order[: int(np.abs(n_rows - len(rows) * size).argmin()) + 1]
        missed = float(np.abs(counts[held].sum(axis=0) - aim).sum())
        if missed < least:
            least, best = missed, np.isin(np.arange(n_groups), held)
    is_held_out = best[group_of]
    return rows[~is_held_out], rows[is_held_out]


def assign_folds(data: Dataset, rows: RowNumbers, folds: int, seed: int) -> RowNumbers:
    """A fold from 0 for each row (n,): stratified by answer, copies in one fold.

    Rows in the order of time that are of one time are in one fold too.

    Raises:
      DataError: Fewer distinct rows than folds.
    """
    groups, group_of = np.unique(_fold_groups(data)[rows], return_inverse=True)
    if not 2 <= folds <= len(groups):
        expected = f"2 to {len(groups)}, the number of distinct training rows"
        raise DataError(
            "E443",
            "This number of folds is not possible",
            where=data.name,
            expected=expected,
            folds=folds,
        )
    # Dealt out in the order of their answers, the groups give each fold its share of each.
    shuffled = np.random.default_rng(seed).permutation(len(groups))
    by_answer = shuffled[np.argsort(data.y[groups[shuffled]], kind="stable")]
    fold_of = np.empty(len(groups), np.int64)
    fold_of[by_answer] = np.arange(len(groups)) % folds
    return fold_of[group_of]


def _fold_groups(data: Dataset) -> RowNumbers:
    if data.info is None or data.info.timeline is None:
        return data.group_of
    _, first, group_of = np.unique(data.info.timeline.times, return_index=True, return_inverse=True)
    return first[group_of]


def _strata(data: Dataset) -> NDArray[np.int64]:
    """What the parts have alike shares of (n,): labels, or tenths of a regression's target."""
    if data.task.kind == "classification":
        return data.y.astype(np.int64)
    edges = np.quantile(data.y, np.linspace(0.1, 0.9, 9))
    return np.searchsorted(edges, data.y)


def _quotas(counts: NDArray[Any], size: float) -> NDArray[np.int64]:
    """Whole rows per label that sum to `size` of all: the largest fractions are rounded up."""
    exact = counts * size
    quotas: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    missing = round(float(counts.sum()) * size) - int(quotas.sum())
    quotas[np.argsort(quotas - exact, kind="stable")[:missing]] += 1
    return quotas

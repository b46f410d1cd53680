"""`Split` and `split`: divide the rows of a dataset into training, validation and test rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tenfold.core.errors import DataError
from tenfold.data.dataset import Dataset, RowNumbers

DEFAULT_TEST_SIZE = 0.25
"""The share of rows that is held out for testing if a dataset has no official test set."""

DRAWS = 50
"""Number of random draws of groups, of which the one whose rows are most similar to all rows is
used."""

SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")


@dataclass(frozen=True, eq=False)
class Split:
    """Three disjoint sets of row numbers, each sorted. The test rows are only for `evaluate`.

    Attributes:
      train: Rows that the model is fitted to.
      validation: Rows that monitor the fit.
      test: Rows that no fit may use.
      dropped: Training rows that are left out because an official set contains the same image.
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
    """Split a dataset into training, validation and test rows, stratified by answer.

    Identical examples stay on one side, so that no model is tested on rows that it was fitted to.

    Args:
      data: The dataset.
      seed: Determines the assignment of the rows.
      test_size: Share of the training set to hold out instead of the official test rows. None: the
        official test set, or a quarter if there is none.
      validation_size: Share of the remaining training rows to hold out for validation. If the
        dataset has an official validation set, that is used, unless the share is 0.

    Raises:
      DataError: A size is not between 0 and 1, or a requested part would be empty.
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
    # Rows in the order of time are split by time only, even if some are equal.
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
    for part, rows, own in (
        ("train", train, unofficial),
        ("test", test, data.test_rows),
        ("validation", validation, data.validation_rows),
    ):
        if not rows.size and (validation_size or part != "validation"):
            raise DataError(
                "E445",
                "There are too few examples",
                where=data.name,
                expected=f"rows left for {part}",
                fix=_more_for(part, own, unofficial),
                n=len(data),
            )
    return Split(train, validation, test, dropped)


def _more_for(part: str, official: RowNumbers, unofficial: RowNumbers) -> str:
    """What to do if a part has no rows, whose official rows are these."""
    if part == "train" and not unofficial.size:
        return "Add training examples: all that there are belong to the test or validation set"
    if part == "train":
        return "Add examples, or take a smaller --test-size or --validation-size"
    if official.size:
        return f"Add {part} examples that are not in the other sets"
    return f"Add examples that differ from each other, or take a larger --{part}-size"


def _follow_in_time(data: Dataset) -> bool:
    return data.info is not None and data.info.timeline is not None


def cut_in_time(data: Dataset, rows: RowNumbers, cuts: Sequence[int]) -> list[RowNumbers]:
    """Split rows in the order of time near these positions, keeping each time on one side."""
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
    """Hold out a share of the rows, and return the rows that are kept and those that are held out.

    The last rows are held out if rows are in the order of time. Otherwise the rows are stratified:
    for each label, the share is as exact as whole rows allow. Copies form a group that stays
    together and counts for the label of its first row. Nothing is held out for a `size` of 0, or if
    there are too few rows to hold out one.
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
    """Hold out whole groups, and return the rows that are kept and those that are held out. Of
    several random draws, the one whose held-out rows are nearest to the share of all rows and of
    each answer is used. Each side has at least one group."""
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
    """A fold from 0 for each row (n,), stratified by answer, with copies in the same fold.

    Rows of the same time are also in the same fold, if rows are in the order of time.

    Raises:
      DataError: There are fewer distinct rows than folds.
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
    # The groups are assigned to the folds in turn, in the order of their answers, so that each fold
    # gets its share.
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
    """The stratum of each row (n,), of which all parts should have equal shares: its label, or for
    regression the decile of its target."""
    if data.task.kind == "classification":
        return data.y.astype(np.int64)
    edges = np.quantile(data.y, np.linspace(0.1, 0.9, 9))
    return np.searchsorted(edges, data.y)


def _quotas(counts: NDArray[Any], size: float) -> NDArray[np.int64]:
    """The number of rows for each label, which add up to the share `size` of all rows. The largest
    fractions are rounded up."""
    exact = counts * size
    quotas: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    missing = round(float(counts.sum()) * size) - int(quotas.sum())
    quotas[np.argsort(quotas - exact, kind="stable")[:missing]] += 1
    return quotas

"""Scores and their 95% intervals: Wilson's interval, the bootstrap, McNemar's test."""

import math
from collections.abc import Callable, Iterator, Sequence
from statistics import NormalDist
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from tenfold.core.contract import Frozen
from tenfold.core.text import in_unit, percent

Z = NormalDist().inv_cdf(0.975)
MAX_REACH = 3.2
"""Maximum width of an interval of a logarithm, in standard errors. If a few rows contribute most of
a mean, resampled values of t grow without limit: a log loss of 0.14 had an interval up to 108. In
simulations of seven kinds of skewed rows, limits of 12.7, 4.3 and 3.2 gave the same coverage,
within one in 200."""

TINY = 1e-12
"""Numbers whose relative variance is below this only differ by rounding."""

MAX_DIGITS = 15
"""Number of significant digits of a float64."""

NO_INTERVAL = "no interval: the rows do not vary"
"""Printed if there are no errors, or all rows are equal, so that the rows do not show how much
unseen rows may differ."""

N_RESAMPLES = 1000
MAX_RESAMPLED = 50_000
"""Up to this number of rows, they are drawn one by one, which takes a second."""

MAX_COUNTS = 2**21
"""Number of counts in memory at once. They take 16 MB, independent of the number of rows."""

Floats = NDArray[np.floating[Any]]
Verdict = Literal["better", "worse", "not distinguishable"]
"""The result of a paired test of a model against its baseline, at 95%."""


Finite = Annotated[float, Field(allow_inf_nan=False)]


class Score(Frozen):
    """A number with its 95% interval."""

    value: Finite
    low: Finite
    high: Finite

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        return self._written(lambda end, digits: f"{end:.{digits}f}", 4)

    __repr__ = __str__

    @property
    def in_percent(self) -> str:
        """The value and its interval as percentages, for people.

        Example:
          >>> Score(value=0.9877, low=0.9853, high=1.0).in_percent
          '98.8% [98.5%, 100%]'
        """
        return self._written(percent, 1)

    @property
    def in_unit(self) -> str:
        """The value and its interval in the unit of a quantity, with five digits of the larger end.

        Example:
          >>> Score(value=48231.55, low=47100.4, high=49390.2).in_unit
          '48,232 [47,100, 49,390]'
        """
        return self._written(self._number, 5)

    def _number(self, end: float, digits: int) -> str:
        return in_unit(end, max(map(abs, (self.value, self.low, self.high))), digits)

    @property
    def unit_in_words(self) -> tuple[str, str]:
        """The value and its interval for people, with five digits of the larger end."""
        return self.in_words(self._number, 5)

    def _written(self, number: Callable[[float, int], str], digits: int) -> str:
        value, low, high = self.ends(number, digits)
        return f"{value} [{NO_INTERVAL if self.low == self.high else f'{low}, {high}'}]"

    def in_words(self, number: Callable[[float, int], str], digits: int) -> tuple[str, str]:
        """The value and its interval for people. `number` formats one of them, with the given
        number of digits or as many as distinguish the ends.

        Example:
          >>> Score(value=0.999996, low=0.9999952, high=0.999997).in_words(percent, 1)
          ('99.9996%', '95% interval 99.9995% to 99.9997%')
          >>> Score(value=0, low=0, high=0).in_unit
          '0.0000 [no interval: the rows do not vary]'
        """
        value, low, high = self.ends(number, digits)
        return value, NO_INTERVAL if self.low == self.high else f"95% interval {low} to {high}"

    def ends(self, number: Callable[[float, int], str], digits: int) -> tuple[str, str, str]:
        """The value and the ends of its interval, with as many digits as distinguish the ends."""
        if self.low < self.high:
            while digits < MAX_DIGITS and number(self.low, digits) == number(self.high, digits):
                digits += 1
        return number(self.value, digits), number(self.low, digits), number(self.high, digits)


class Doubted(Frozen):
    """The part of both kinds of evaluation that comes before the scores.

    Attributes:
      doubts: Findings about the data that make the scores untrustworthy, one sentence each. The
        JSON omits this field if there are none.
    """

    doubts: tuple[str, ...] = ()

    @model_serializer(mode="wrap")
    def _without_no_doubts(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        stored: dict[str, Any] = write(self)
        if not self.doubts:
            del stored["doubts"]
        return stored

    @property
    def beside_baseline(self) -> str:
        """In words, whether the model is better than its baseline."""
        raise NotImplementedError

    @property
    def verdict(self) -> str:
        """In words, the reasons not to trust the score, if there are any, and the result of
        `beside_baseline`."""
        doubts = [f"Do not trust this score: {doubt}." for doubt in self.doubts]
        return " ".join([*doubts, self.beside_baseline])


class Subset(NamedTuple):
    """The measured rows: the name of their dataset, and `test`, `validation` or `all`.

    `groups` (n,) tells which of them were drawn together, such as those of one patient. Intervals
    then refer to new groups.
    """

    data: str = "arrays"
    part: str = "all"
    groups: NDArray[np.int64] | None = None


ARRAYS = Subset()
"""Rows without a dataset."""


def percentile_interval(value: float, resampled: Floats) -> Score:
    """The percentile interval of the bootstrap, extended if necessary so that it contains the
    value, which a biased score may lie outside of. Resampled scores (n_resamples,) are NaN if they
    are undefined."""
    low, high = np.nanpercentile(resampled, [2.5, 97.5])
    return Score(value=value, low=min(value, float(low)), high=max(value, float(high)))


def verdict_of(change: Score, *, equal: float, more_is_better: bool) -> Verdict:
    """The verdict that follows from the interval of a change: whether `equal` (0 for a difference,
    1 for a ratio) lies below, above or inside it."""
    if change.low <= equal <= change.high:
        return "not distinguishable"
    return "better" if (change.low > equal) is more_is_better else "worse"


def wilson(successes: float, n: float) -> Score:
    """A share with its Wilson score interval, which stays within 0 to 1 and is valid at both ends.

    The number of successes need not be an integer: a row that only some of several models predict
    correctly counts as a fraction. Such fractions vary less than the results of one model, so that
    the interval is slightly too wide.

    Example:
      >>> wilson(9881, 10_000)
      0.9881 [0.9858, 0.9900]

    Source: E. B. Wilson 1927, JASA 22 (158), 209-212.
    """
    p = successes / n
    centre = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * np.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    return Score(value=p, low=min(p, max(0.0, centre - half)), high=max(p, min(1.0, centre + half)))


def unseen(n: float) -> float:
    """The largest share that a kind of rows may have if none of n rows is of the kind: about 4 in
    n.

    Resamples of equal rows are equal, so that the bootstrap has no spread. This limit then takes
    its place.
    """
    return wilson(0, n).high


def unseen_odds(n: int) -> float:
    """The largest odds that the better one of two models is worse on an unseen row, after it was
    better in all n rows in which the two differ.

    With fewer than six rows the odds reach 1, and the rows cannot distinguish the models, as in
    McNemar's exact test.
    """
    return 0.025 ** (-1 / n) - 1 if n else math.inf


def effective_size(values: Floats, groups: NDArray[np.int64] | None) -> float:
    """The number of independent rows that determine the mean of values (n,) as precisely as these
    rows, which were drawn in whole groups (n,). It is n without groups, and the number of groups if
    all values are equal.

    The variance of the mean is that of the sums of the groups (Kish 1965, Survey Sampling, 8.2),
    and few groups use Student's t instead of z.
    """
    n = len(values)
    if groups is None:
        return n
    own = np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(own)
    n_groups = len(sizes)
    spread = values - values.mean()
    variance = float((spread**2).sum()) / n**2
    if n_groups < 2 or not variance:
        return n_groups
    of_groups = np.bincount(own, spread)
    clustered = float((of_groups**2).sum()) / n**2 * n_groups / (n_groups - 1)
    effect = max(1.0, clustered / variance) * (_student(n_groups - 1) / Z) ** 2
    return max(1.0, n / effect)


def _student(freedom: int) -> float:
    """The 97.5% quantile of Student's t (Abramowitz and Stegun 1964, 26.7.5)."""
    z, v = Z, freedom
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    fourth = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + (z**3 + z) / (4 * v) + second / v**2 + third / v**3 + fourth / v**4


def share_of(hits: NDArray[Any], groups: NDArray[np.int64] | None = None) -> Score | None:
    """The share of rows (n,) that are hits, if they were drawn in groups (n,). None without
    rows."""
    if not len(hits):
        return None
    size = effective_size(hits.astype(np.float64), groups)
    if size == len(hits):
        return wilson(int(hits.sum()), len(hits))
    return wilson(float(hits.mean()) * size, size)


def sign_verdict(gains: Floats, groups: NDArray[np.int64], rng: np.random.Generator) -> Verdict:
    """Test whether the mean gain of rows (n,) in groups is not 0, by randomly changing the signs of
    the sums of groups 10,000 times. The test is two-sided at 5% (Fisher 1935, The Design of
    Experiments, 21)."""
    sums = np.bincount(np.unique(groups, return_inverse=True)[1], gains)
    sums = sums[sums != 0]
    signs = rng.choice([-1.0, 1.0], (10_000, len(sums)))
    as_far = np.abs(signs @ sums) >= abs(sums.sum()) * (1 - 1e-9)
    if (as_far.sum() + 1) / (len(as_far) + 1) > 0.05:
        return "not distinguishable"
    return "better" if sums.sum() > 0 else "worse"


def resampled_cells(
    cells: NDArray[np.int64],
    n_cells: int,
    rng: np.random.Generator,
    groups: NDArray[np.int64] | None = None,
) -> Iterator[Floats]:
    """Like `resampled_counts`, for rows (n,) with the numbers of their cells. If rows are in
    groups, whole groups are drawn, so that the sums of the lines differ."""
    if groups is None:
        yield from resampled_counts(np.bincount(cells, minlength=n_cells), rng)
        return
    own = np.unique(groups, return_inverse=True)[1]
    order = np.argsort(cells, kind="stable")
    present, starts = np.unique(cells[order], return_index=True)
    step = max(1, MAX_COUNTS // len(cells))
    for counts in resampled_counts(np.ones(own.max() + 1), rng):
        for start in range(0, len(counts), step):
            drawn = counts[start : start + step][:, own[order]]
            found = np.zeros((len(drawn), n_cells))
            found[:, present] = np.add.reduceat(drawn, starts, axis=1)
            yield found


def resampled_counts(sizes: ArrayLike, rng: np.random.Generator) -> Iterator[Floats]:
    """The bootstrap: draw n of n rows with replacement, 1000 times, and count how often each cell
    is drawn.

    `sizes` are the numbers of rows in each cell (k,), all 1 if each row is its own cell.

    Yields:
      Counts (some, k), float64, each line summing to the number of rows; 1000 lines in all.
    """
    sizes = np.asarray(sizes, np.int64)
    n, k = int(sizes.sum()), len(sizes)
    few = 10 * k < n  # a binomial draw per cell costs about as much as ten rows
    owner = None if few or k == n else np.repeat(np.arange(k), sizes)
    step = max(1, MAX_COUNTS // max(n, k))
    for start in range(0, N_RESAMPLES, step):
        lines = min(step, N_RESAMPLES - start)
        if few:
            yield rng.multinomial(n, sizes / n, size=lines).astype(np.float64)
            continue
        drawn = rng.integers(n, size=(lines, n), dtype=np.int32 if n < 2**31 else np.int64)
        cells = (drawn if owner is None else owner[drawn]) + k * np.arange(lines)[:, None]
        counts = np.bincount(cells.ravel(), minlength=lines * k)
        yield counts.reshape(lines, k).astype(np.float64)


def resampled_means(
    columns: Floats, rng: np.random.Generator, groups: NDArray[np.int64] | None = None
) -> Floats:
    """The mean of each column (n, c) over resampled rows, or over resampled groups (n,): (1000, c).

    If there are many rows, the means are drawn from their normal distribution instead, because
    resampling 1,000,000 rows would take half a minute.
    """
    if groups is not None:
        own = np.unique(groups, return_inverse=True)[1]
        sums = np.zeros((own.max() + 1, columns.shape[1] + 1))
        np.add.at(sums, own, np.column_stack([columns, np.ones(len(columns))]))
        totals = resampled_means(sums, rng)
        return np.asarray(totals[:, :-1] / totals[:, -1:])
    n = len(columns)
    if n > MAX_RESAMPLED:
        spread = np.atleast_2d(np.cov(columns, rowvar=False)) / n
        return rng.multivariate_normal(columns.mean(axis=0), spread, N_RESAMPLES)
    return np.concatenate([counts @ columns / n for counts in resampled_counts(np.ones(n), rng)])


class Ratio(NamedTuple):
    """A ratio of two means, and the factor by which the ends of its 95% interval differ from it."""

    value: float
    factor: float

    def score(self, power: float = 1.0) -> Score:
        """The ratio, or a power of it, as a score."""
        ends = (self.value / self.factor, self.value, self.value * self.factor)
        low, value, high = (end**power for end in ends)
        return Score(value=value, low=low, high=high)


def ratios(
    pairs: Sequence[tuple[Floats, Floats | None]],
    rng: np.random.Generator,
    tiny: ArrayLike = TINY,
    groups: NDArray[np.int64] | None = None,
) -> list[Ratio]:
    """Ratios of means over the same rows, each with the symmetric bootstrap-t interval of its log.

    Errors have long tails, so that the percentiles of resampled means give intervals that are too
    narrow. In the simulations of the tests, the coverage of this interval is never further from 95%
    than theirs, and usually nearer (docs/guide/evidence.md). Pairs are the numerator and the
    denominator of each row, (n,), not negative. A missing denominator is 1. The mean of a
    denominator must not be 0.

    If rows were drawn in groups (n,), the sums of the groups are used as rows.

    If all rows are equal, up to a relative variance of `tiny` (one number, or one for each pair),
    the interval comes from the share of `unseen` rows that may differ.
    """
    values, columns = [], []
    for above, below in pairs:
        v = np.ones_like(above) if below is None else below
        if groups is not None:
            own = np.unique(groups, return_inverse=True)[1]
            above, v = (np.asarray(np.bincount(own, rows), np.float64) for rows in (above, v))
        values.append(float(above.mean() / v.mean()))
        a, b = above / (above.mean() or 1.0), v / v.mean()
        columns += [a, b, a * a, b * b, a * b]
    matrix = np.stack(columns, axis=1)
    _, errors = _log_ratios(matrix.mean(axis=0), len(matrix), tiny)
    logs, resampled = _log_ratios(resampled_means(matrix, rng), len(matrix), tiny)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(logs) / resampled
    alike = 1 / (1 - unseen(len(matrix)))
    return [
        Ratio(value, math.exp(_reach(t[:, i]) * error) if error else alike)
        for i, (value, error) in enumerate(zip(values, errors.tolist(), strict=True))
    ]


def _log_ratios(means: Floats, n: int, tiny: ArrayLike) -> tuple[Floats, Floats]:
    """The log of each ratio (..., c) of means over n rows, and its standard error (delta
    method)."""
    a, b, aa, bb, ab = np.moveaxis(means.reshape(*means.shape[:-1], -1, 5), -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = aa / a**2 + bb / b**2 - 2 * ab / (a * b)
        return np.log(a / b), np.sqrt(np.where(variance > tiny, variance, 0) / n)


def _reach(t: Floats) -> float:
    """Half the width of the interval in standard errors: 95% of the resampled |t| are smaller."""
    finite = t[np.isfinite(t)]  # a resample of a single row has no spread, and is ignored
    reach = float(np.percentile(finite, 95)) if finite.size else 0.0
    # For two rows, every resample with a spread is the rows themselves, except for rounding.
    return min(reach, MAX_REACH) if reach > TINY**0.5 else MAX_REACH


def share_interval(value: float, resampled: Floats, n: int, n_rows: int) -> Score:
    """The interval of a share in (0, 1] from its resampled values, which assumes normally
    distributed log odds.

    Resampled values are (1000,), and NaN if undefined. If a share differs from 1 by less than 0.25
    / n, where n is the number of rows that could be missed, resampled values hardly vary, and the
    lower end is Wilson's. Odds below 0.25 / `n_rows` are ignored.
    """
    least, most = 1 / (4 * n_rows), 1 - 1 / (4 * n)
    if value > most:
        return Score(value=value, low=min(value, wilson(n, n).low), high=1)
    odds = np.clip(np.append(resampled[np.isfinite(resampled)], value), least, most)
    logs = np.log(odds / (1 - odds))
    ends = logs[-1] + Z * logs[:-1].std() * np.array([-1, 1])
    low, high = (1 / (1 + np.exp(-ends))).tolist()
    return Score(value=value, low=min(value, low), high=max(value, high))


def mcnemar(right: NDArray[np.bool], baseline_right: NDArray[np.bool]) -> Verdict:
    """Whether predictions are correct more often than a baseline's on the same rows.

    The test uses the rows that only one of the two predicts correctly. Under the null hypothesis
    both are equally likely to be that one. This is McNemar's test of 1947 in its exact binomial
    form, two-sided, at 5%.
    """
    won, lost = int((right & ~baseline_right).sum()), int((~right & baseline_right).sum())
    if won == lost or mcnemar_p(won, lost) > 0.05:
        return "not distinguishable"
    return "better" if won > lost else "worse"


def mcnemar_p(won: int, lost: int) -> float:
    """The two-sided p value of McNemar's exact test, for rows that only one of two models predicts
    correctly.

    Example:
      >>> round(mcnemar_p(10, 2), 5)
      0.03857
    """
    n, fewer = won + lost, min(won, lost)
    k = np.arange(1, fewer + 1)
    # log of n choose k, for k from 0 to `fewer`, from the ratios of neighbours
    logs = np.concatenate([[0.0], np.cumsum(np.log((n - k + 1) / k))]) - n * math.log(2)
    return min(1.0, float(2 * np.exp(logs).sum()))

"""Scores, and where their 95% intervals come from: Wilson, the bootstrap, McNemar's test."""

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
"""Standard errors that an interval of a log reaches at most. Where a few rows decide everything,
resampled t run away: a log loss of 0.14 had an interval up to 108. Simulated on seven kinds of
skewed rows, 12.7, 4.3 and 3.2 hold equally often, within one in 200."""

TINY = 1e-12
"""Relative variance below which equal numbers differ by rounding alone."""

MAX_DIGITS = 15
"""Digits of a float64 that mean something."""

NO_INTERVAL = "no interval: the rows do not vary"
"""Said where no row errs or varies: nothing tells what a row might that was not seen."""

N_RESAMPLES = 1000
MAX_RESAMPLED = 50_000
"""Up to this many rows are drawn one by one, which takes a second."""

MAX_COUNTS = 2**21
"""Counts of resampled rows held at once, 16 MB: time grows with the rows, memory does not."""

Floats = NDArray[np.floating[Any]]
Verdict = Literal["better", "worse", "not distinguishable"]
"""A paired test of a model against its baseline, at 95%."""


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
        """The score of a share, in percent.

        Example:
          >>> Score(value=0.9877, low=0.9853, high=1.0).in_percent
          '98.8% [98.5%, 100%]'
        """
        return self._written(percent, 1)

    @property
    def in_unit(self) -> str:
        """The score of a quantity of any size, to five digits of its larger end.

        Example:
          >>> Score(value=48231.55, low=47100.4, high=49390.2).in_unit
          '48,232 [47,100, 49,390]'
        """
        return self._written(self._number, 5)

    def _number(self, end: float, digits: int) -> str:
        return in_unit(end, max(map(abs, (self.value, self.low, self.high))), digits)

    @property
    def unit_in_words(self) -> tuple[str, str]:
        """The value and its interval for people, to five digits of its larger end."""
        return self.in_words(self._number, 5)

    def _written(self, number: Callable[[float, int], str], digits: int) -> str:
        value, low, high = self.ends(number, digits)
        return f"{value} [{NO_INTERVAL if self.low == self.high else f'{low}, {high}'}]"

    def in_words(self, number: Callable[[float, int], str], digits: int) -> tuple[str, str]:
        """The value and its interval for people; `number` writes one of them, with so many digits
        or as many as tell the ends apart.

        Example:
          >>> Score(value=0.999996, low=0.9999952, high=0.999997).in_words(percent, 1)
          ('99.9996%', '95% interval 99.9995% to 99.9997%')
          >>> Score(value=0, low=0, high=0).in_unit
          '0.0000 [no interval: the rows do not vary]'
        """
        value, low, high = self.ends(number, digits)
        return value, NO_INTERVAL if self.low == self.high else f"95% interval {low} to {high}"

    def ends(self, number: Callable[[float, int], str], digits: int) -> tuple[str, str, str]:
        """The value and the ends of its interval, with as many digits as tell the ends apart."""
        if self.low < self.high:
            while digits < MAX_DIGITS and number(self.low, digits) == number(self.high, digits):
                digits += 1
        return number(self.value, digits), number(self.low, digits), number(self.high, digits)


class Doubted(Frozen):
    """What is said of both kinds of answers before their scores.

    Attributes:
      doubts: Findings about the data after which the scores are not to be trusted, a sentence each;
        left out of JSON where there are none.
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
        """In plain words: whether the model is worth anything beside its baseline."""
        raise NotImplementedError

    @property
    def verdict(self) -> str:
        """The reasons not to trust the score, if there are any, and what it says `beside_baseline`,
        in plain words."""
        doubts = [f"Do not trust this score: {doubt}." for doubt in self.doubts]
        return " ".join([*doubts, self.beside_baseline])


class Subset(NamedTuple):
    """Which rows were measured: the name of their dataset, and `test`, `validation` or `all`.

    `groups` says which of them were drawn together, such as those of one patient (n,): intervals
    are then about further groups.
    """

    data: str = "arrays"
    part: str = "all"
    groups: NDArray[np.int64] | None = None


ARRAYS = Subset()
"""Rows that are of no dataset."""


def percentile_interval(value: float, resampled: Floats) -> Score:
    """The bootstrap percentile interval, widened to the value where a biased score leaves it; the
    score of resampled rows (n_resamples,) is NaN where they have none."""
    low, high = np.nanpercentile(resampled, [2.5, 97.5])
    return Score(value=value, low=min(value, float(low)), high=max(value, float(high)))


def verdict_of(change: Score, *, equal: float, more_is_better: bool) -> Verdict:
    """What the interval of a change says: `equal`, 0 of a difference and 1 of a ratio, lies below
    it, above it, or inside."""
    if change.low <= equal <= change.high:
        return "not distinguishable"
    return "better" if (change.low > equal) is more_is_better else "worse"


def wilson(successes: float, n: float) -> Score:
    """A share with its Wilson score interval, which stays inside 0 to 1 and holds at both ends.

    Successes need not be whole: a row that some of several models have right counts for their
    share. Such rows vary less than those of one model, so that the interval is rather too wide.

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
    """The share, at most, of rows of a kind that none of n rows is of: about 4 in n.

    Resamples of equal rows are equal. Where nothing varies, this is how far the rows can tell.
    """
    return wilson(0, n).high


def unseen_odds(n: int) -> float:
    """How often, beside those of n rows, it may be the other one of two models that errs more.

    In all n rows where they differ it was the same one. Below six the odds reach 1, and the rows
    cannot tell: McNemar's exact test says the same.
    """
    return 0.025 ** (-1 / n) - 1 if n else math.inf


def effective_size(values: Floats, groups: NDArray[np.int64] | None) -> float:
    """How many rows drawn one by one say as much of the mean of values (n,) as these do, which were
    drawn in whole groups (n,); n without groups, and of equal values the number of groups.

    The variance of the mean is that of the groups' sums (Kish 1965, Survey Sampling, 8.2), and few
    groups have Student's t instead of z.
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
    """The share of rows (n,) that are hits, which were drawn in groups (n,); None without rows."""
    if not len(hits):
        return None
    size = effective_size(hits.astype(np.float64), groups)
    if size == len(hits):
        return wilson(int(hits.sum()), len(hits))
    return wilson(float(hits.mean()) * size, size)


def sign_verdict(gains: Floats, groups: NDArray[np.int64], rng: np.random.Generator) -> Verdict:
    """Whether rows (n,) gain something: the signs of their groups' sums are exchanged at random,
    10,000 times, two-sided at 5% (Fisher 1935, The Design of Experiments, 21)."""
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
    """`resampled_counts` of rows (n,) by their cells; of rows in groups whole groups are drawn, so
    that the lines have other sums."""
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
    """The bootstrap: as many rows drawn with replacement as there are, 1000 times, counted by cell.

    `sizes` are the rows in each cell (k,), ones where each row is its own cell.

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
    """The mean of each column (n, c) over resampled rows, or whole groups (n,) of them: (1000, c).

    Of many rows they are drawn from the normal distribution that they then have: 1,000,000 rows
    would take half a minute.
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
    """A ratio of two means, and the factor either way to the ends of its 95% interval."""

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

    Errors have long tails, of which percentiles of resampled means see too little: simulated in the
    tests, this interval is never further from 95% than they are, and mostly nearer
    (docs/guide/evidence.md). Pairs are the numerator and the denominator of each row, (n,), not
    negative; no denominator: 1. The mean of a denominator must not be 0.

    Rows that were drawn in groups (n,) are added up in each: these are the rows then.

    Where all rows say the same, up to a relative variance of `tiny`, which may be one for each
    pair, those that are `unseen` may say otherwise.
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
    """Log of each ratio (..., c) of means over n rows, and its standard error (delta method)."""
    a, b, aa, bb, ab = np.moveaxis(means.reshape(*means.shape[:-1], -1, 5), -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = aa / a**2 + bb / b**2 - 2 * ab / (a * b)
        return np.log(a / b), np.sqrt(np.where(variance > tiny, variance, 0) / n)


def _reach(t: Floats) -> float:
    """How many standard errors the interval reaches: what 95% of the resampled |t| stay within."""
    finite = t[np.isfinite(t)]  # one row drawn again and again has no spread, and says nothing
    reach = float(np.percentile(finite, 95)) if finite.size else 0.0
    # Of two rows every resample that has a spread is the rows themselves, but for rounding.
    return min(reach, MAX_REACH) if reach > TINY**0.5 else MAX_REACH


def share_interval(value: float, resampled: Floats, n: int, n_rows: int) -> Score:
    """The interval of a share in (0, 1] from its resampled values: normal on the log odds.

    Resampled are (1000,), NaN where they have none. Of the `n` rows that could be missed, a share
    within a quarter of one of 1 is one that resampling hardly leaves: its lower end is Wilson's. Of
    all `n_rows`, odds below those of a quarter of one are not looked at.
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
    """Whether answers are right more often than a baseline's to the same rows, by the exact test.

    Only rows that one of the two has right count: under the null hypothesis as many of either.
    McNemar's test of 1947 in its exact binomial form, two-sided, at 5%.
    """
    won, lost = int((right & ~baseline_right).sum()), int((~right & baseline_right).sum())
    if won == lost or mcnemar_p(won, lost) > 0.05:
        return "not distinguishable"
    return "better" if won > lost else "worse"


def mcnemar_p(won: int, lost: int) -> float:
    """The p value of McNemar's exact test: rows only one of two models has right, two-sided.

    Example:
      >>> round(mcnemar_p(10, 2), 5)
      0.03857
    """
    n, fewer = won + lost, min(won, lost)
    k = np.arange(1, fewer + 1)
    # log of n choose k, for k from 0 to `fewer`, from the ratios of neighbours
    logs = np.concatenate([[0.0], np.cumsum(np.log((n - k + 1) / k))]) - n * math.log(2)
    return min(1.0, float(2 * np.exp(logs).sum()))

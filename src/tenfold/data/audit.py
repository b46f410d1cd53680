"""The audit of a dataset before anything is fitted. It searches for duplicates, leaks and rare
labels."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.contract import UNUSED, TableInput
from tenfold.core.records import Audit, Finding, LabelCount
from tenfold.core.task import Task
from tenfold.core.text import and_more, percent, shorten
from tenfold.data.dataset import Dataset, RowNumbers
from tenfold.data.duplicates import nearly_same
from tenfold.inputs.tables.columns import Table

FEW_EXAMPLES = 20
"""A label with fewer training examples is reported. One of 20 is already 5% of them."""

MUCH = 0.25
"""If at least this share of the test set is affected, the finding is about the whole test set."""

MAX_NAMED = 5

MAX_TRIED, MIN_TRIED, MIN_RARE = 5_000, 50, 20
"""Maximum and minimum number of rows on which single columns are tried, and the minimum number of
rows with other labels than the most frequent one."""

TELLING = 0.98
"""A column that explains at least this share of the target by itself is reported as a leak."""

MIN_GROUPS, MIN_OF_GROUP, OF_GROUP = 10, 3, 0.9
"""A column with this many values, each in this many rows on average, looks like a group if its
values explain this share of the target. The values of a meaningful category explain less."""

EQUAL = 0.9999
"""The same share for numbers, if the target is a number. It is higher, because only the target in
another form is a leak: the area of flats may explain their price with an R2 of 0.9995, but the
price in another currency explains it with 1."""


def audit_data(data: Dataset, *, near: bool = False) -> Audit:
    """Search for anything that would make scores on this dataset wrong or weak.

    With `near`, also search for test images that nearly equal a training image, which takes 0.3 s
    on MNIST.

    Images are identical if all pixels are equal. Picture files are also identical if they encode
    the same picture. Only the official test set is compared here, because `split` never puts copies
    on both sides.
    """
    test, validation = np.sort(data.test_rows), np.sort(data.validation_rows)
    known = np.setdiff1d(np.arange(len(data)), test)
    train = np.setdiff1d(known, validation)
    labels = _counts(data, train, validation, test)
    findings = [
        *_leaks(data, known, test),
        *_copied_to_validation(data, train, validation),
        *(_nearly(data, known, test) if near else ()),
        *_repeats(data, train, validation, test),
        *(_contradictions(data) if data.task.kind == "classification" else ()),
        *_thin_labels(labels, bool(len(train))),
        *_columns(data, train),
        *(_finding(kind, text) for kind, text in (data.pictures.remarks if data.pictures else ())),
        *(_finding("read as", note) for note in data.notes),
    ]
    return Audit(
        data=data.name,
        fingerprint=data.fingerprint,
        n_train=len(train),
        n_test=len(test),
        labels=labels,
        findings=tuple(findings),
        n_validation=len(validation),
    )


def _counts(
    data: Dataset, train: RowNumbers, validation: RowNumbers, test: RowNumbers
) -> tuple[LabelCount, ...]:
    """The examples of each label in the parts."""
    counts = [
        [int((data.y[rows] == code).sum()) for code in range(len(data.labels))]
        for rows in (train, validation, test)
    ]
    return tuple(
        LabelCount(label=label, train=a, validation=b, test=c, share=(a + b + c) / len(data))
        for label, a, b, c in zip(data.labels, *counts, strict=True)
    )


def _leaks(data: Dataset, known: RowNumbers, test: RowNumbers) -> Iterator[Finding]:
    """Test examples that are also training or validation examples."""
    twins = test[np.isin(data.duplicate_of[test], data.duplicate_of[known])]
    if not len(twins):
        return
    share = f"{len(twins):,} of {len(test):,} test examples ({percent(len(twins) / len(test))})"
    others = "training or validation set" if data.validation_rows.size else "training set"
    if len(twins) >= MUCH * len(test):
        whole = "" if len(twins) == len(test) else "mostly "
        text = f"the test set is {whole}part of the {others}: {share} are in both"
        kind = "test set inside training set"
    else:
        text, kind = f"{share} are in the {others}, too", "in both parts"
    yield _finding(kind, f"{text}: {_partners(data, twins, known)}", twins)


def _copied_to_validation(
    data: Dataset, train: RowNumbers, validation: RowNumbers
) -> Iterator[Finding]:
    """Official validation examples that are also training examples, which are not fitted to."""
    twins = validation[np.isin(data.duplicate_of[validation], data.duplicate_of[train])]
    if len(twins):
        share = f"{len(twins):,} of {len(validation):,} validation examples"
        text = f"{share} are in the training set, too, and are left out there"
        yield _finding("in both parts", f"{text}: {_partners(data, twins, train)}", twins)


def _partners(data: Dataset, twins: RowNumbers, others: RowNumbers) -> str:
    """Which of the other rows equals each of the first ones."""
    partners = []
    for row in twins[:MAX_NAMED]:
        same = others[data.duplicate_of[others] == data.duplicate_of[row]]
        partners.append(f"{data.keys[row]} is {data.keys[same[0]]}")
    return ", ".join(partners) + and_more(MAX_NAMED, len(twins))


def _nearly(data: Dataset, known: RowNumbers, test: RowNumbers) -> Iterator[Finding]:
    """Test images that nearly equal a training or validation image, but are not copies of one."""
    if data.table is not None:
        return
    fresh = test[~np.isin(data.duplicate_of[test], data.duplicate_of[known])]
    pairs = nearly_same(data.x, known, fresh)
    if not len(pairs):
        return
    share = f"{len(pairs):,} of {len(test):,} test examples ({percent(len(pairs) / len(test))})"
    n_other = int((data.y[pairs[:, 0]] != data.y[pairs[:, 1]]).sum())
    answers = f", {n_other:,} of them with another answer" if n_other else ""
    named = (f"{data.keys[a]} is nearly {data.keys[b]}" for a, b in pairs[:MAX_NAMED].tolist())
    known_one = "training or validation" if data.validation_rows.size else "training"
    text = f"{share} look nearly like a {known_one} example{answers}: {', '.join(named)}"
    yield _finding("nearly in both parts", text + and_more(MAX_NAMED, len(pairs)), pairs[:, 0])


def _repeats(
    data: Dataset, train: RowNumbers, validation: RowNumbers, test: RowNumbers
) -> Iterator[Finding]:
    """Examples that occur more than once in the same part."""
    for part, rows in (("test", test), ("validation", validation), ("training", train)):
        _, first = np.unique(data.duplicate_of[rows], return_index=True)
        copies = np.delete(rows, first)
        if not len(copies):
            continue
        n_distinct = len(rows) - len(copies)
        text = f"{len(copies):,} of {len(rows):,} {part} examples are duplicates of another one"
        kind = "repeated"
        if part == "test" and len(copies) >= MUCH * len(rows):
            kind = "test set repeats itself"
            text = f"the test set repeats itself: only {n_distinct:,} of {len(rows):,} are distinct"
        yield _finding(kind, f"{text}: {_named(data, copies)}", copies)


def _contradictions(data: Dataset) -> Iterator[Finding]:
    """Identical examples with different answers."""
    differs = data.y != data.y[data.duplicate_of]
    groups = np.unique(data.duplicate_of[differs])
    if len(groups):
        rows = np.flatnonzero(np.isin(data.duplicate_of, groups))
        pairs = []
        for row in np.flatnonzero(differs)[:MAX_NAMED]:
            first = data.duplicate_of[row]
            answers = [data.labels[data.y[i]] for i in (first, row)]
            pairs.append(f"{data.keys[first]} is {answers[0]!r}, {data.keys[row]} {answers[1]!r}")
        text = f"{len(groups):,} examples occur with different answers: {'; '.join(pairs)}"
        yield _finding("different answers", text + and_more(MAX_NAMED, int(differs.sum())), rows)


def _thin_labels(labels: tuple[LabelCount, ...], trained: bool) -> Iterator[Finding]:
    """Labels with few or no training examples."""
    if not trained:
        return
    missing = [
        f"{count.label!r} ({validation}test {count.test:,})"
        for count in labels
        if not count.train
        for validation in (f"validation {count.validation:,}, " if count.validation else "",)
    ]
    few = [f"{c.label!r} ({c.train:,})" for c in labels if 0 < c.train < FEW_EXAMPLES]
    if missing:
        yield _finding("missing label", f"labels without training examples: {shorten(missing)}")
    if few:
        text = f"labels with fewer than {FEW_EXAMPLES} training examples: {shorten(few)}"
        yield _finding("few examples", text)


def _columns(data: Dataset, rows: RowNumbers) -> Iterator[Finding]:
    """Findings about the columns of a table and its file."""
    if data.info is None or data.table is None:
        return
    profiles, asked = data.info.profiles, data.info.reading.columns
    for name in _giveaways(data, data.info.input, data.table, rows):
        fix = "if you will not know it when you predict, leave it out with --drop"
        yield _finding("gives the answer away", f"{name} alone gives the answer away; {fix} {name}")
    for name, n_groups in _group_like(data, data.table, rows):
        text = f"{name} looks like a group: {n_groups:,} values, each with nearly one answer"
        fix = "if its rows belong together, as those of a patient do, keep them so with --group"
        yield _finding("looks like a group", f"{text}; {fix} {name}")
    for kind, advice in (
        ("identifier", "has another value in every row, not used"),
        ("constant", "has the same value in every row, not used"),
    ):
        names = [column.name for column in profiles if column.kind == kind]
        if found := [name for name in names if name not in asked]:
            yield _finding(kind, f"{shorten(found)}: {advice}")
    if left_out := [c.name for c in profiles if c.kind in UNUSED and c.name in asked]:
        yield _finding("read as", f"left out, as you asked: {shorten(left_out)}")
    wrong = [
        f"{column.name} ({column.n_unreadable:,} are not a {column.kind}: {column.unreadable})"
        for column in profiles
        if column.n_unreadable
    ]
    if wrong:
        yield _finding("unreadable cells", f"cells read as missing: {shorten(wrong)}")
    gone = [
        f"{column.name} ({column.n_missing:,})"
        for column in profiles
        if column.n_missing and column.kind not in UNUSED
    ]
    if gone:
        yield _finding("missing cells", f"missing cells, filled in: {shorten(gone)}")
    kinds: dict[str, list[str]] = {}
    for column in data.info.input.columns:
        kinds.setdefault(column.kind, []).append(column.name)
    columns = (f"{kind}: {shorten(names)}" for kind, names in kinds.items())
    yield _finding("read as", f"columns used: {'; '.join(columns)}")
    if data.info.notes:
        yield _finding("read as", "; ".join(data.info.notes))


def _giveaways(data: Dataset, accepted: TableInput, table: Table, rows: RowNumbers) -> list[str]:
    """Columns that alone predict the target of rows that were not used to find them.

    They are scored on half of at most 5,000 rows. Explained is (accuracy - majority) / (1 -
    majority), or R2. For numbers and dates, a small tree predicts labels, and lines between the
    rows predict numbers. For a category, each level predicts its most frequent answer, and unseen
    levels predict nothing, because the alphabet is not the order of a category. Earlier values, the
    time and the series of ordered rows are excluded, because they may legitimately determine the
    answer. The only column of a table is excluded, too, because without it there would be nothing
    to learn from.
    """
    if len(table.columns) < 2:
        return []
    order = accepted.order
    untried = {column.name for column in accepted.columns if column.kind == "text"}
    if order is not None:
        untried |= {order.time, *order.series_columns, *order.lag_columns(accepted.target)}
    rows = np.random.default_rng(0).permutation(rows)[:MAX_TRIED]
    y = data.y[rows]
    n_most = np.unique(y, return_counts=True)[1].max(initial=0)
    is_rare = data.task.kind == "classification" and len(y) - n_most < MIN_RARE
    if len(rows) < MIN_TRIED or is_rare:
        return []
    return [
        name
        for name, values in table.columns.items()
        if name not in untried and _tells(values[rows], y, data.task)
    ]


def _group_like(data: Dataset, table: Table, rows: RowNumbers) -> Iterator[tuple[str, int]]:
    """Columns with few values, each of which occurs in several rows with nearly the same answer,
    and the number of these values."""
    if data.info is None or data.groups is not None or data.info.timeline is not None:
        return
    rows = np.random.default_rng(0).permutation(rows)[:MAX_TRIED]
    y = data.y[rows]
    for name, values in table.columns.items():
        some = values[rows]
        is_whole = some.dtype.kind == "f" and bool((some == np.round(some)).all())
        if len(rows) < MIN_TRIED or not (some.dtype == object or is_whole):
            continue
        levels = some.astype(object)
        n_groups = len(set(levels.tolist()))
        if not MIN_GROUPS <= n_groups <= len(rows) / MIN_OF_GROUP:
            continue
        if _explained(levels, y, data.task) >= OF_GROUP:
            yield name, n_groups


def _tells(values: NDArray[Any], y: NDArray[Any], task: Task) -> bool:
    """Whether a column alone predicts the answers of the second half of its rows."""
    if task.kind == "classification" or values.dtype == object:
        return _explained(values, y, task) >= TELLING
    return _follows(_as_numbers(values), y) >= EQUAL


def _follows(x: NDArray[np.float64], y: NDArray[Any]) -> float:
    """The R2, on the second half of the rows, of linear interpolation between the rows of the first
    half."""
    half = len(y) // 2
    known, at = np.unique(x[:half], return_inverse=True)
    mean = np.bincount(at, y[:half]) / np.bincount(at)
    is_between = (x[half:] >= known[0]) & (x[half:] <= known[-1])
    inside, true = x[half:][is_between], y[half:][is_between]
    if len(true) < 2:
        return 0.0
    errors = true - np.interp(inside, known, mean)
    return float(1 - (errors**2).sum() / max(((true - true.mean()) ** 2).sum(), 1e-300))


def _explained(values: NDArray[Any], y: NDArray[Any], task: Task) -> float:
    """The share of the answers of the second half that a column explains with what was learned from
    the first half."""
    half = len(y) // 2
    if values.dtype == object:
        answers = _by_level(values, y, half, task)
    else:
        answers = _by_tree(_as_numbers(values)[:, None], y, half, task)
    true = y[half:]
    if task.kind == "classification":
        base = np.bincount(true).max() / len(true)
        return float(((answers == true).mean() - base) / max(1 - base, 1e-9))
    return float(1 - ((true - answers) ** 2).sum() / max(((true - true.mean()) ** 2).sum(), 1e-300))


def _by_level(values: NDArray[Any], y: NDArray[Any], half: int, task: Task) -> NDArray[Any]:
    """Predict the rows of the second half by the most frequent answer of their category in the
    first half."""
    answers: dict[str, list[Any]] = {}
    for value, answer in zip(values[:half].tolist(), y[:half].tolist(), strict=True):
        answers.setdefault(value, []).append(answer)

    def usual(given: Any) -> Any:
        return np.bincount(given).argmax() if task.kind == "classification" else np.mean(given)

    usual_of = {value: usual(given) for value, given in answers.items()}
    other = usual(y[:half])
    return np.array([usual_of.get(value, other) for value in values[half:].tolist()])


def _by_tree(x: NDArray[Any], y: NDArray[Any], half: int, task: Task) -> NDArray[Any]:
    """Predict the labels of the second half with a small tree that is fitted to the first half."""
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(max_leaf_nodes=2 * len(task.labels), random_state=0)
    answers: NDArray[Any] = tree.fit(x[:half], y[:half]).predict(x[half:])
    return answers


def _as_numbers(values: NDArray[Any]) -> NDArray[np.float64]:
    """Numbers or dates as numbers for a tree. Missing ones become a very small number."""
    gone = np.isnat(values) if values.dtype.kind == "M" else np.isnan(values)
    numbers = values.view(np.int64) if values.dtype.kind == "M" else values
    return np.clip(np.where(gone, -1e30, numbers), -1e30, 1e30)


def _finding(kind: str, text: str, rows: RowNumbers | None = None) -> Finding:
    numbers = () if rows is None else tuple(rows.tolist())
    return Finding.model_validate({"kind": kind, "text": text, "rows": numbers})


def _named(data: Dataset, rows: RowNumbers) -> str:
    named = ", ".join(data.keys[row] for row in rows[:MAX_NAMED])
    return named + and_more(MAX_NAMED, len(rows))

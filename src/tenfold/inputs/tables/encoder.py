"""Convert a table's arrays to float32 features. The encoder is fitted to training rows, and NumPy
and ONNX compute the same.

Numbers: missing ones are filled with the median and flagged, long tails are compressed, and all are
  scaled. Categories: one-hot for the 40 most frequent values, and one column for all others. Text:
  tf-idf of words and pairs of words.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.contract import TableInput
from tenfold.inputs.tables.columns import levels
from tenfold.inputs.tables.texts import Strings

MAX_ONE_HOT = 40
MAX_WORDS = 5_000
"""Maximum number of columns for a text: 5,000 texts then take 100 MB as float32."""

MAX_SPLIT_WORDS = 30
"""Maximum number of terms of a text for trees, which look at every column for every split: 100
make a tree of `boosting` five times as slow. In a table of texts, two numbers and a category its
log loss is 0.307 with 30 terms and 0.308 with 100, and that of `logistic` with all 5,000 is
0.638."""

SKEWED = 2.0
"""Numbers with a skewness beyond this, in either direction, are compressed."""

FARTHEST = 10.0
"""Scaled numbers are clipped here, so that a single outlier does not decide a prediction."""

SMALLEST = 1e-30
"""Smaller units are treated as 0, because dividing by them would exceed the range of float32."""

Inputs = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Numbers:
    """Constants of the columns of numbers, each float32 (n_columns,).

    Attributes:
      names: The graph inputs, in order.
      fill: Median of the training rows, which replaces missing cells.
      flagged: Positions of the columns with missing cells. Each gets a column that flags them.
      unit: Typical size of a skewed column, 0 for the others. A skewed x becomes sign(x) log(1 +
        |x| / unit).
      mean, deviation: Mean and standard deviation of the filled, compressed values.
    """

    names: tuple[str, ...]
    fill: Floats
    flagged: NDArray[np.int64]
    unit: Floats
    mean: Floats
    deviation: Floats


@dataclass(frozen=True, eq=False)
class Words:
    """The vocabulary of a text: words and pairs of neighbours ("a b"), and their idf weights
    (n,)."""

    terms: tuple[str, ...]
    idf: Floats


@dataclass(frozen=True, eq=False)
class Encoder:
    """Turns graph inputs into features.

    Attributes:
      numbers: None if no column is a number or a date.
      categories: The values that have a column, by input.
      texts: The vocabulary, by input.
      scaled: False leaves numbers unscaled for trees, to avoid rounding near a threshold.
    """

    numbers: Numbers | None
    categories: Mapping[str, tuple[str, ...]]
    texts: Mapping[str, Words]
    scaled: bool

    def __call__(self, inputs: Inputs) -> Floats:
        """Compute the features float32 (n, n_features) of graph inputs (see
        `columns.graph_inputs`)."""
        parts: list[Floats] = []
        if self.numbers is not None:
            parts += _encode_numbers(inputs, self.numbers, self.scaled)
        parts += [_one_hot(inputs[name], values) for name, values in self.categories.items()]
        parts += [_tf_idf(inputs[name], words) for name, words in self.texts.items()]
        return np.concatenate(parts, axis=1)


def fit_encoder(
    inputs: Inputs,
    contract: TableInput,
    *,
    scaled: bool = True,
    answers: NDArray[np.float64] | None = None,
) -> Encoder:
    """Fit the encoder of a table's columns to the graph inputs of its training rows.

    If their answers (n, k) are given, a text has only the `MAX_SPLIT_WORDS` terms whose tf-idf
    correlates most with one of them.
    """
    kinds = {name: column.kind for column in contract.columns for name in column.inputs}
    numbers = tuple(name for name, kind in kinds.items() if kind in ("number", "date"))
    return Encoder(
        numbers=_fit_numbers(inputs, numbers) if numbers else None,
        categories={
            name: levels(inputs[name][:, 0])[:MAX_ONE_HOT]
            for name, kind in kinds.items()
            if kind in ("category", "yes/no")
        },
        texts={
            name: _strongest(_fit_words(inputs[name]), inputs[name], answers)
            for name, kind in kinds.items()
            if kind == "text"
        },
        scaled=scaled,
    )


def _fit_numbers(inputs: Inputs, names: tuple[str, ...]) -> Numbers:
    raw = np.concatenate([inputs[name] for name in names], axis=1).astype(np.float64)
    gone = np.isnan(raw)
    present = np.where(gone.all(axis=0), 0.0, raw)  # 0 for a column without any value
    fill = np.nanmedian(present, axis=0)
    filled = np.where(gone, fill, raw)
    unit = np.where(np.abs(_skewness(filled)) > SKEWED, _typical_size(filled), 0.0)
    squeezed = np.where(unit > 0, _compress(filled, np.maximum(unit, SMALLEST)), filled)
    deviation = squeezed.std(axis=0)
    return Numbers(
        names=names,
        fill=fill.astype(np.float32),
        flagged=np.flatnonzero(gone.any(axis=0)),
        unit=unit.astype(np.float32),
        mean=squeezed.mean(axis=0).astype(np.float32),
        deviation=np.where(deviation > SMALLEST, deviation, 1.0).astype(np.float32),
    )


def _skewness(values: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = values - values.mean(axis=0)
    deviation = centred.std(axis=0)
    safe = np.where(deviation > 0, deviation, 1.0)
    skewness: NDArray[np.float64] = ((centred / safe) ** 3).mean(axis=0)
    return skewness


def _typical_size(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median of the absolute values that are not 0. 0 if there are none, or all are tiny."""
    sizes = np.abs(values)
    typical = np.nanmedian(np.where(sizes.any(axis=0) & (sizes == 0), np.nan, sizes), axis=0)
    return np.where(typical > SMALLEST, typical, 0.0)


def _compress(values: Any, unit: Any) -> Any:
    # This does not use log1p, which the graph does not have, because both must give the same
    # result.
    return np.sign(values) * np.log(1 + np.abs(values) / unit)


def _encode_numbers(inputs: Inputs, numbers: Numbers, scaled: bool) -> list[Floats]:
    raw = np.concatenate([inputs[name] for name in numbers.names], axis=1)
    gone = np.isnan(raw)
    values = np.where(gone, numbers.fill, raw)
    if scaled:
        unit = np.where(numbers.unit > 0, numbers.unit, np.float32(1))
        with np.errstate(over="ignore"):  # infinite values are clipped like large ones
            values = np.where(numbers.unit > 0, _compress(values, unit), values)
            values = np.clip((values - numbers.mean) / numbers.deviation, -FARTHEST, FARTHEST)
    parts = [values.astype(np.float32)]
    return parts + ([gone[:, numbers.flagged].astype(np.float32)] if numbers.flagged.size else [])


def _one_hot(values: Strings, levels: tuple[str, ...]) -> Floats:
    """One-hot encoding (n, n_levels + 1): one column for each known value, and the last one for all
    others."""
    codes = {level: i for i, level in enumerate(levels)}
    rows = np.array([codes.get(value, len(levels)) for value in values[:, 0]], np.int64)
    return np.eye(len(levels) + 1, dtype=np.float32)[rows]


def _fit_words(texts: Strings) -> Words:
    from sklearn.feature_extraction.text import TfidfVectorizer

    min_count = 2 if len(texts) >= 50 else 1
    vectorizer = TfidfVectorizer(analyzer=_terms, min_df=min_count, max_features=MAX_WORDS)
    try:
        vectorizer.fit(texts)
    except ValueError:  # no term occurs often enough
        return Words((), np.empty(0, np.float32))
    return Words(tuple(vectorizer.get_feature_names_out()), vectorizer.idf_.astype(np.float32))


def _strongest(words: Words, texts: Strings, answers: NDArray[np.float64] | None) -> Words:
    if answers is None or len(words.terms) <= MAX_SPLIT_WORDS:
        return words
    x, centred = _tf_idf(texts, words), (answers - answers.mean(axis=0)).astype(np.float32)
    spread = np.outer(x.std(axis=0), centred.std(axis=0))
    correlations = np.abs(x.T @ centred) / len(x) / np.maximum(spread, SMALLEST)
    order = np.argsort(-correlations.max(axis=1), kind="stable")
    kept = np.sort(order[:MAX_SPLIT_WORDS])
    return Words(tuple(words.terms[i] for i in kept), words.idf[kept])


def _terms(row: Strings) -> list[str]:
    """The words of a row, and each pair of neighbours."""
    words = [word for word in row if word]
    return words + [f"{a} {b}" for a, b in zip(words, words[1:], strict=False)]


def _tf_idf(texts: Strings, words: Words) -> Floats:
    """The tf-idf of each term, (1 + log count) times idf, rows scaled to length 1 (n, n_terms).

    This is computed in float64 and rounded once, so that a graph gives the same float32 although it
    adds in another order: a tree may have its threshold between two texts whose values differ by
    one step of float32.
    """
    positions = {term: i for i, term in enumerate(words.terms)}
    scaled = np.zeros((len(texts), len(words.terms)), np.float32)
    for row, text in zip(scaled, texts, strict=True):
        found = [positions[term] for term in _terms(text) if term in positions]
        columns, counts = np.unique(np.array(found, np.int64), return_counts=True)
        weighted = (1 + np.log(counts.astype(np.float64))) * words.idf[columns]
        row[columns] = weighted / max(np.sqrt((weighted**2).sum()), SMALLEST)
    return scaled

"""Explain the prediction of a row of a table by the contribution of each column.

Contributions are Shapley values of the learner's own score, before its softmax and calibration. For
trees they are computed from the paths, and for linear and Bayes models from the term of each
column. For networks and neighbours they are sampled, with a standard error. For a vote they are the
weighted sum of the contributions of its learners, in probabilities or values. They are exact for
trees and linear models whose own scores are probabilities or values, and all other learners of a
vote are sampled together.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from tenfold.core.contract import TableInput
from tenfold.core.errors import ModelError
from tenfold.core.onnx_file import ModelProto, ValueInfoProto
from tenfold.inputs.tables.columns import Table, concatenate, graph_inputs
from tenfold.model.predictions import Answers
from tenfold.model.raw_score import RawScore, ScorePart, raw_score
from tenfold.model.tree_paths import Trees, read_trees

Doubles = NDArray[np.float64]

ORDERS = 2
"""Number of random orders of the columns for each background row. Two are needed to estimate the
standard error."""

ROWS_AT_ONCE = 2_000


@dataclass(frozen=True, eq=False)
class Explanation:
    """The contributions of the columns to one prediction.

    Attributes:
      of: The explained score, such as the log-odds of a label.
      columns: The names of the columns, in the order of the contributions.
      contributions: float64 (n_columns,). With `base` they add up to `score`.
      base: The mean score of the training rows for trees, and otherwise of the background rows.
      score: The learner's own score, before calibration.
      errors: The standard errors of sampled contributions. None: they are exact.
      uncalibrated, calibrated: The probability of the predicted label, before and after
        calibration. None for a value.
    """

    of: str
    columns: tuple[str, ...]
    contributions: Doubles
    base: float
    score: float
    errors: Doubles | None = None
    uncalibrated: float | None = None
    calibrated: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The JSON form of `predict --explain --json`."""

        def named(values: Doubles) -> dict[str, float]:
            return dict(zip(self.columns, values.tolist(), strict=True))

        written: dict[str, Any] = {
            "of": self.of,
            "base": self.base,
            "contributions": named(self.contributions),
            "score": self.score,
        }
        if self.errors is not None:
            written["standard_errors"] = named(self.errors)
        if self.uncalibrated is not None:
            written |= {"uncalibrated": self.uncalibrated, "calibrated": self.calibrated}
        return written

    def lines(self, n: int = 10) -> Iterator[str]:
        """For people: the `n` largest contributions, their sum, and the step of calibration."""
        order = np.argsort(-np.abs(self.contributions), kind="stable")
        shown, others = order[:n], order[n:]
        names = [self.columns[place] for place in shown]
        width = max(map(len, ["average row", "other columns", *names]))
        yield f"{self.of}:"
        yield f"{'average row':<{width}} {self.base:>+11.4f}"
        for name, place in zip(names, shown.tolist(), strict=True):
            error = "" if self.errors is None else f"  (standard error {self.errors[place]:.4f})"
            yield f"{name:<{width}} {self.contributions[place]:>+11.4f}{error}"
        if len(others):
            yield f"{'other columns':<{width}} {self.contributions[others].sum():>+11.4f}"
        yield f"{'together':<{width}} {self.score:>+11.4f}"
        if self.uncalibrated is not None:
            yield f"probability {self.uncalibrated:.4f}, calibrated {self.calibrated:.4f}"


@dataclass(frozen=True, eq=False)
class Explanations(Sequence[Explanation]):
    """The contributions of the columns to the predictions of many rows.

    Attributes:
      answers: The predictions.
      columns: The names of the columns.
      contributions: float64 (n, n_columns, n_scores), with one score for each label, or one for a
        value.
      base: The mean scores (n_scores,), as in `Explanation`.
      scores: The learner's own scores (n, n_scores): `base` plus the sum of the contributions.
      errors: The standard errors of the contributions to the explained score (n, n_columns). None:
        they are exact.
      is_log_odds: Whether a softmax of the scores gives probabilities; otherwise they are
        probabilities or values. For two labels, the second score minus the first is the log-odds of
        the second.
    """

    answers: Answers
    columns: tuple[str, ...]
    contributions: Doubles
    base: Doubles
    scores: Doubles
    errors: Doubles | None
    is_log_odds: bool
    target: str

    @cached_property
    def _directions(self) -> Doubles:
        return _directions(self.answers, self.scores, self.is_log_odds)

    def __len__(self) -> int:
        return len(self.contributions)

    @overload
    def __getitem__(self, index: int) -> Explanation: ...
    @overload
    def __getitem__(self, index: slice) -> "Sequence[Explanation]": ...
    def __getitem__(self, index: int | slice) -> "Explanation | Sequence[Explanation]":
        if isinstance(index, slice):
            return [self[row] for row in range(len(self))[index]]
        direction = self._directions[index]
        contributions = self.contributions[index] @ direction
        base = float(self.base @ direction)
        of, before, after = f"value of {self.target}", None, None
        if self.answers.classes:
            code = self.answers.codes[index]
            label = self.answers.classes[code]
            of = f"probability of {label}"
            before = float(self.scores[index, code])
            after = float(self.answers.outputs[0][index, code])
            if self.is_log_odds:
                other = self.answers.classes[int(np.argmin(direction))]
                of = f"log-odds of {label} against {other}"
                odds = np.exp(self.scores[index] - self.scores[index].max())
                before = float(odds[code] / odds.sum())
        return Explanation(
            of=of,
            columns=self.columns,
            contributions=contributions,
            base=base,
            score=float(base + contributions.sum()),
            errors=None if self.errors is None else self.errors[index],
            uncalibrated=before,
            calibrated=after,
        )

    def __repr__(self) -> str:
        return f"Explanations({len(self)})"


class Explainer:
    """Explains the predictions of a model for tables. It is made from the bytes of the model
    file."""

    def __init__(self, content: bytes, accepted: TableInput, where: object) -> None:
        proto = ModelProto.FromString(content)
        self.accepted = accepted
        self.found: RawScore = raw_score(proto.graph)
        self.where = where
        self.trees = {part: self._trees(part) for part in self.found.parts if _is_of_trees(part)}
        names = [name for part in self.found.parts for name in (part.features, part.tensor)]
        names.append(self.found.tensor)
        taken = {value.name for value in proto.graph.input}
        new = [name for name in dict.fromkeys(names) if name not in taken]
        proto.graph.output.extend(ValueInfoProto(name=name) for name in new)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        self.session = onnxruntime.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    @property
    def needs_background(self) -> bool:
        """Whether background rows are needed. Trees contain everything that is needed."""
        return len(self.trees) < len(self.found.parts)

    def _trees(self, part: ScorePart) -> Trees:
        trees = read_trees(part.maker)
        if trees is None:
            raise ModelError(
                "E521",
                "The model does not contain the number of training rows of each branch",
                where=self.where,
                expected="a model of trees that was made by a later version of Tenfold",
                fix="Train it again, to explain its predictions",
            )
        return trees

    def explain(self, rows: Table, answers: Answers, background: Table | None) -> Explanations:
        """Explain the predictions for rows, with background rows if those are needed."""
        n, errors = len(rows), None
        both = rows if background is None else concatenate([rows, background])
        inputs = graph_inputs(both, self.accepted)
        shares, sampled = list[tuple[Doubles, Doubles]](), list[ScorePart]()
        for part in self.found.parts:
            of_part = self._exact(part, inputs, n)
            if of_part is None:
                sampled.append(part)
            else:
                shares.append((part.weight * of_part[0], part.weight * of_part[1]))
        if sampled:
            *share, errors = self._of_samples(sampled, inputs, n, answers)
            shares.append((share[0], share[1]))
        bases, contributions = zip(*shares, strict=True)
        base: Doubles = np.sum(bases, axis=0) * self.found.scale + self.found.mean
        found: Doubles = np.sum(contributions, axis=0) * self.found.scale
        return Explanations(
            answers=answers,
            columns=self.accepted.names,
            contributions=found,
            base=base,
            scores=base + found.sum(axis=1),
            errors=None if errors is None else errors * self.found.scale,
            is_log_odds=self.found.is_log_odds,
            target=self.accepted.target,
        )

    def _exact(
        self, part: ScorePart, inputs: Mapping[str, NDArray[Any]], n: int
    ) -> tuple[Doubles, Doubles] | None:
        """The base and the contributions for the first n rows, for models that need no sampling."""
        if part in self.trees:
            return self._of_trees(part, inputs, n)
        if part.kernel is not None:
            return self._of_weights(part, inputs, n, *part.kernel)
        return self._of_separate(part, inputs, n) if part.is_separate else None

    def _of_trees(
        self, part: ScorePart, inputs: Mapping[str, NDArray[Any]], n: int
    ) -> tuple[Doubles, Doubles]:
        trees, x, column_of = (
            self.trees[part],
            self._run(part.features, inputs),
            self.column_of(part),
        )
        return trees.base, trees.contributions(x[:n], column_of, len(self.accepted.columns))

    def _of_weights(
        self,
        part: ScorePart,
        inputs: Mapping[str, NDArray[Any]],
        n: int,
        kernel: Doubles,
        bias: Doubles,
    ) -> tuple[Doubles, Doubles]:
        """The contributions of a linear model: the difference of each feature from its mean in the
        background, times its weight, added up by column."""
        x = self._run(part.features, inputs).astype(np.float64)
        mean = x[n:].mean(axis=0)
        terms = (x[:n] - mean)[:, :, None] * kernel
        found = np.zeros((n, len(self.accepted.columns), kernel.shape[1]))
        for place, column in enumerate(self.column_of(part).tolist()):
            found[:, column] += terms[:, place]
        return mean @ kernel + bias, found

    def _of_separate(
        self, part: ScorePart, inputs: Mapping[str, NDArray[Any]], n: int
    ) -> tuple[Doubles, Doubles]:
        """The contributions of a model that adds up a term for each column: how much each column
        changes the score of the first background row, minus the mean of this change in the
        background."""
        n_all, n_columns = len(next(iter(inputs.values()))), len(self.accepted.columns)
        first = np.full((n_all, n_columns), n)
        plain = self._scores([part], inputs, first[:1])[0]
        found = []
        for place in range(n_columns):
            sources = first.copy()
            sources[:, place] = np.arange(n_all)
            change = self._scores([part], inputs, sources) - plain
            found.append(change[:n] - change[n:].mean(axis=0))
        background = np.repeat(np.arange(n, n_all)[:, None], n_columns, axis=1)
        return self._scores([part], inputs, background).mean(axis=0), np.stack(found, axis=1)

    def _of_samples(
        self,
        parts: Sequence[ScorePart],
        inputs: Mapping[str, NDArray[Any]],
        n: int,
        answers: Answers,
    ) -> tuple[Doubles, Doubles, Doubles]:
        """Shapley values from random orders of the columns. In each order, the cells of a
        background row are replaced one by one by those of the explained row (Castro et al. 2009,
        doi:10.1016/j.cor.2008.04.004). All background rows have the same number of orders, so that
        the contributions add up exactly."""
        rng = np.random.default_rng(0)
        n_all, n_columns = len(next(iter(inputs.values()))), len(self.accepted.columns)
        n_background = n_all - n
        own = self._scores(parts, inputs, np.repeat(np.arange(n_all)[:, None], n_columns, axis=1))
        directions = _directions(answers, own[:n], self.found.is_log_odds)
        found = np.empty((n, n_columns, own.shape[1]))
        errors = np.empty((n, n_columns))
        for row in range(n):
            steps = np.concatenate(
                [self._steps(parts, inputs, (row, other), rng) for other in range(n, n_all)]
            )
            found[row] = steps.mean(axis=0)
            pairs = (steps @ directions[row]).reshape(n_background, ORDERS, n_columns)
            variance = pairs.var(axis=1, ddof=1).sum(axis=0) / ORDERS
            errors[row] = np.sqrt(variance) / n_background
        return own[n:].mean(axis=0), found, errors

    def _steps(
        self,
        parts: Sequence[ScorePart],
        inputs: Mapping[str, NDArray[Any]],
        pair: tuple[int, int],
        rng: np.random.Generator,
    ) -> Doubles:
        """How much each column changes the scores if the second row of a pair is changed into the
        first, column by column, in `ORDERS` random orders (orders, n_columns, n_scores)."""
        (row, other), n_columns = pair, len(self.accepted.columns)
        turn = rng.permuted(np.tile(np.arange(n_columns), (ORDERS, 1)), axis=1)
        is_changed = turn[:, None, :] < np.arange(n_columns + 1)[None, :, None]
        sources = np.where(is_changed, row, other).reshape(-1, n_columns)
        scores = self._scores(parts, inputs, sources).reshape(ORDERS, n_columns + 1, -1)
        return np.take_along_axis(np.diff(scores, axis=1), turn[:, :, None], axis=1)

    def column_of(self, part: ScorePart) -> NDArray[np.int64]:
        """The index of the column from which each feature is made."""
        columns = enumerate(self.accepted.columns)
        number = {name: place for place, column in columns for name in column.inputs}
        return np.array([number[name] for name in part.columns], np.int64)

    def expected_beside(self, reference: Table, background: Table) -> Doubles:
        """The mean score of a row if the cells of one column are replaced by those of the
        background, for each column (n_columns, n_scores), in the target's unit. If no two columns
        interact in the model, `score - expected` are the contributions."""
        n, names = len(background), self.accepted.names
        rows = graph_inputs(concatenate([reference, background]), self.accepted)
        means = []
        for place in range(len(names)):
            sources = np.zeros((n, len(names)), np.int64)
            sources[:, place] = np.arange(1, n + 1)
            means.append(self._scores(self.found.parts, rows, sources).mean(axis=0))
        return np.stack(means) * self.found.scale + self.found.mean

    def _scores(
        self,
        parts: Sequence[ScorePart],
        inputs: Mapping[str, NDArray[Any]],
        sources: NDArray[np.int64],
    ) -> Doubles:
        """The sum of the parts' scores for rows whose column j is taken from row `sources[:, j]` of
        the inputs."""
        scores = []
        for start in range(0, len(sources), ROWS_AT_ONCE):
            rows = sources[start : start + ROWS_AT_ONCE]
            given = {
                name: inputs[name][rows[:, place]]
                for place, column in enumerate(self.accepted.columns)
                for name in column.inputs
            }
            found = (part.weight * self._run(part.tensor, given).astype(float) for part in parts)
            scores.append(np.sum([one.reshape(len(rows), -1) for one in found], axis=0))
        return np.concatenate(scores)

    def _run(self, tensor: str, inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        if tensor in inputs:
            return inputs[tensor]
        try:
            (found,) = self.session.run([tensor], dict(inputs))
        except Exception as error:  # onnxruntime's errors have no other common base
            reason = str(error).splitlines()[0]
            raise ModelError(
                "E522", "The model cannot be explained", where=self.where, reason=reason
            ) from error
        return np.asarray(found)


def _is_of_trees(part: ScorePart) -> bool:
    return part.maker.op_type == "TreeEnsembleRegressor"


def _directions(answers: Answers, scores: Doubles, is_log_odds: bool) -> Doubles:
    """The weights (n, k) with which scores (n, k) are added up to the explained score: that of the
    predicted label, or its difference from the second best."""
    directions = np.zeros_like(scores)
    rows = np.arange(len(scores))
    directions[rows, answers.codes] = 1.0
    if is_log_odds:
        rest = np.where(directions > 0, -np.inf, scores)
        directions[rows, rest.argmax(axis=1)] = -1.0
    return directions

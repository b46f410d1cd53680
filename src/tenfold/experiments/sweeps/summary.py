"""A sweep in plain words: what the neurons bought, what the layers cost, and why."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from tenfold.core.text import in_unit
from tenfold.experiments.sweeps.results import PointResult


class Summary:
    """What a reader is told of the points of a sweep that have all trials finished.

    `n_seen` are the rows that a training looks at, those of all epochs.
    """

    def __init__(
        self,
        points: Sequence[PointResult],
        n_outputs: int,
        n_seen: int,
        score: str,
        *,
        least_is_best: bool,
    ) -> None:
        self.points = points
        self.n_outputs, self.n_seen = n_outputs, n_seen
        self.score, self.least_is_best = score, least_is_best

    def lines(self) -> list[str]:
        return [*self._of_neurons(), *self._of_layers(), *self._why()]

    def operations(self, result: PointResult) -> int:
        """Multiplications of the network for one row, forwards: its weights without the biases."""
        n_neurons = result.point["hidden"] * result.point.get("layers", 1)
        return int(result.parameters - n_neurons - self.n_outputs)

    def _lines_of(self, axis: str) -> Iterator[list[PointResult]]:
        """Lines of points that differ in `axis` alone, smallest first, each of two or more."""
        lines: dict[tuple[Any, ...], list[PointResult]] = {}
        for result in self.points:
            if axis in result.point:
                others = tuple(value for name, value in result.point.items() if name != axis)
                lines.setdefault(others, []).append(result)
        for others in sorted(lines):
            if len(lines[others]) > 1:
                yield sorted(lines[others], key=lambda result: result.point[axis])

    def _of_neurons(self) -> Iterator[str]:
        for line in self._lines_of("hidden"):
            first, last = line[0], line[-1]
            depth = first.point.get("layers", 1)
            text = (
                f"Neurons, with {depth} hidden layer{'s' * (depth != 1)}: from "
                f"{first.point['hidden']} to {last.point['hidden']} neurons "
                f"{self._gain(first, last)}, for {self._times(first, last)}."
            )
            if len(line) > 2:
                last_step = self._gain(line[-2], last)
                text += f" The last step, from {line[-2].point['hidden']}, {last_step}."
            yield text

    def _of_layers(self) -> Iterator[str]:
        for line in self._lines_of("layers"):
            first, last = line[0], line[-1]
            yield (
                f"Layers, of {first.point['hidden']} neurons: from {first.point['layers']} to "
                f"{last.point['layers']} {self._gain(first, last)}, for {self._times(first, last)}."
            )

    def _gain(self, first: PointResult, last: PointResult) -> str:
        """What the score did, beside what seeds alone do to it."""
        change = last.mean - first.mean
        better = change < 0 if self.least_is_best else change > 0
        text = f"{self.score} {'went' if change else 'stayed'} from {_value(first.mean)} to "
        text += f"{_value(last.mean)} ({change:+.4g})"
        noise = self._noise(first, last)
        if noise is not None and abs(change) <= 2 * noise:
            return text + ", no more than seeds alone do"
        return text + (", better" if better else ", worse" if change else "")

    @staticmethod
    def _noise(first: PointResult, last: PointResult) -> float | None:
        """The standard error of a difference of two means over seeds; None of single seeds."""
        if first.deviation is None or last.deviation is None:
            return None
        n = len(first.trials), len(last.trials)
        return math.sqrt(first.deviation**2 / n[0] + last.deviation**2 / n[1])

    def _times(self, first: PointResult, last: PointResult) -> str:
        seconds = last.training_seconds / max(first.training_seconds, 1e-9)
        count = self.operations(last) / self.operations(first)
        return (
            f"{seconds:.1f} times the training time ({first.training_seconds:.2f} to "
            f"{last.training_seconds:.2f} s) and "
            f"{count:.1f} times the multiplications ({self.operations(first):,} to "
            f"{self.operations(last):,} for each row)"
        )

    def _why(self) -> Iterator[str]:
        """Why a layer costs what it costs: counts, and how fast they were worked through."""
        deep = [line[-1] for line in self._lines_of("layers")]
        if not deep:
            return
        result = max(deep, key=self.operations)
        width, depth = result.point["hidden"], result.point["layers"]
        first = self.operations(result) - (depth - 1) * width**2 - width * self.n_outputs
        yield (
            f"Why: the first layer multiplies {first // width:,} inputs for each of {width} "
            f"neurons, {first:,} times; each further layer {width} x {width} = {width**2:,} times."
        )
        least, most = sorted(self.points, key=self.operations)[:: max(1, len(self.points) - 1)][:2]
        text = (
            "Training goes through a network forwards and backwards, about three times as many: "
            f"{self._rate(least) / 1e9:.1f} billion a second with {_network(least)}, "
            f"{self._rate(most) / 1e9:.1f} with {_network(most)}."
        )
        if self._rate(most) > 1.2 * self._rate(least):
            text += (
                " The rest of a step, reading rows and starting each product, weighs more where "
                "layers are narrow: so time grows less than the count."
            )
        yield text

    def _rate(self, result: PointResult) -> float:
        return 3 * self.operations(result) * self.n_seen / max(result.training_seconds, 1e-9)


def _network(result: PointResult) -> str:
    return " x ".join([str(result.point["hidden"])] * result.point["layers"])


def comparable(points: Sequence[PointResult]) -> list[PointResult]:
    """Points that differ from the best one, which stands first, in neurons and layers alone."""

    def others(result: PointResult) -> dict[str, Any]:
        return {n: v for n, v in result.point.items() if n not in ("hidden", "layers")}

    return [result for result in points if others(result) == others(points[0])]


def chosen_line(result: PointResult, score: str, n_groups: int) -> str:
    values = [f"{name} {value}" for name, value in result.point.items()]
    spread = "" if result.deviation is None else f" (sd {result.deviation:.4f} over the seeds)"
    return (
        f"Best of {n_groups} on the validation rows: "
        f"{', '.join([*values, score])} {_value(result.mean)}{spread}."
    )


def _value(value: float) -> str:
    return f"{value:.4f}" if abs(value) <= 1 else in_unit(value)

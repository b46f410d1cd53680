"""A sweep in plain words: what the neurons bought, what the layers cost, and why."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from tenfold.core.text import in_unit
from tenfold.experiments.sweeps.table import Group


class Facts:
    """What a reader is told of the groups of a sweep.

    Attributes:
      groups: Points with all trials finished.
      n_outputs: Of the networks.
      n_seen: Rows that a training looks at, those of all epochs.
      score: What the score is called.
      least_is_best: Whether less of it is better.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        n_outputs: int,
        n_seen: int,
        score: str,
        *,
        least_is_best: bool,
    ) -> None:
        self.groups = groups
        self.n_outputs, self.n_seen = n_outputs, n_seen
        self.score, self.least_is_best = score, least_is_best

    def lines(self) -> list[str]:
        """The findings, a paragraph each."""
        return [*self._of_neurons(), *self._of_layers(), *self._why()]

    def operations(self, group: Group) -> int:
        """Multiplications of the network for one row, forwards: its weights without the biases."""
        n_neurons = group.point["hidden"] * group.point.get("layers", 1)
        return int(group.parameters - n_neurons - self.n_outputs)

    def _lines_of(self, axis: str) -> Iterator[list[Group]]:
        """Groups that differ in `axis` alone, smallest first; of each, those with two or more."""
        found: dict[tuple[Any, ...], list[Group]] = {}
        for group in self.groups:
            if axis in group.point:
                rest = tuple(value for name, value in group.point.items() if name != axis)
                found.setdefault(rest, []).append(group)
        for rest in sorted(found):
            if len(found[rest]) > 1:
                yield sorted(found[rest], key=lambda group: group.point[axis])

    def _of_neurons(self) -> Iterator[str]:
        for line in self._lines_of("hidden"):
            first, last = line[0], line[-1]
            depth = first.point.get("layers", 1)
            yield (
                f"Neurons, with {_many(depth, 'hidden layer')}: from {first.point['hidden']} to "
                f"{last.point['hidden']} neurons {self._gain(first, last)}, for "
                f"{self._times(first, last)}."
                + (f" The last step, from {line[-2].point['hidden']}, {self._gain(line[-2], last)}."
                   if len(line) > 2 else "")
            )  # fmt: skip

    def _of_layers(self) -> Iterator[str]:
        for line in self._lines_of("layers"):
            first, last = line[0], line[-1]
            yield (
                f"Layers, of {first.point['hidden']} neurons: from {first.point['layers']} to "
                f"{last.point['layers']} {self._gain(first, last)}, for {self._times(first, last)}."
            )

    def _gain(self, first: Group, last: Group) -> str:
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
    def _noise(first: Group, last: Group) -> float | None:
        """The standard error of a difference of two means over seeds; None of single seeds."""
        if first.deviation is None or last.deviation is None:
            return None
        n = len(first.rows), len(last.rows)
        return math.sqrt(first.deviation**2 / n[0] + last.deviation**2 / n[1])

    def _times(self, first: Group, last: Group) -> str:
        seconds = last.training_seconds / max(first.training_seconds, 1e-9)
        count = self.operations(last) / self.operations(first)
        return (
            f"{seconds:.1f} times the training time ({_seconds(first)} to {_seconds(last)} s) and "
            f"{count:.1f} times the multiplications ({self.operations(first):,} to "
            f"{self.operations(last):,} for each row)"
        )

    def _why(self) -> Iterator[str]:
        """Why a layer costs what it costs: counts, and how fast they were worked through."""
        deep = [line[-1] for line in self._lines_of("layers")]
        if not deep:
            return
        group = max(deep, key=self.operations)
        width, depth = group.point["hidden"], group.point["layers"]
        first = self.operations(group) - (depth - 1) * width**2 - width * self.n_outputs
        yield (
            f"Why: the first layer multiplies {first // width:,} inputs for each of {width} "
            f"neurons, {first:,} times; each further layer {width} x {width} = {width**2:,} times."
        )
        least, most = sorted(self.groups, key=self.operations)[:: max(1, len(self.groups) - 1)][:2]
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

    def _rate(self, group: Group) -> float:
        """Multiplications a second of training."""
        return 3 * self.operations(group) * self.n_seen / max(group.training_seconds, 1e-9)


def _network(group: Group) -> str:
    return " x ".join([str(group.point["hidden"])] * group.point["layers"])


def beside(groups: Sequence[Group]) -> list[Group]:
    """Groups that differ from the best one, which stands first, in neurons and layers alone."""

    def others(group: Group) -> dict[str, Any]:
        return {n: v for n, v in group.point.items() if n not in ("hidden", "layers")}

    return [group for group in groups if others(group) == others(groups[0])]


def chosen_line(group: Group, score: str, n_groups: int) -> str:
    """Which point is best by the validation rows."""
    what = ", ".join(f"{name} {value}" for name, value in group.point.items())
    spread = "" if group.deviation is None else f" (sd {group.deviation:.4f} over the seeds)"
    return (
        f"Best of {n_groups} on the validation rows: {what}, {score} {_value(group.mean)}{spread}."
    )


def _value(value: float) -> str:
    return f"{value:.4f}" if abs(value) <= 1 else in_unit(value)


def _seconds(group: Group) -> str:
    return f"{group.training_seconds:.2f}"


def _many(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"

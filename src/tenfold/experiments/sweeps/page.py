"""`report.html` of a sweep or a comparison: the results in words, tables and charts."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np

from tenfold import report
from tenfold.core.text import ordinal
from tenfold.evaluation import MEASURES, Measure
from tenfold.experiments.sweeps.results import PointResult, sort_results
from tenfold.experiments.sweeps.sweep_run import SweepRun
from tenfold.report.charts import (
    Axis,
    Chart,
    Curve,
    Dots,
    Floats,
    Mark,
    Panel,
    TextMarks,
    Tone,
    Whiskers,
    log_axis,
    number_axis,
    share_axis,
)  # fmt: skip
from tenfold.report.svg import chart_html
from tenfold.runs.record import Run

STYLES: tuple[tuple[Tone, bool], ...] = (
    ("accent", False), ("against", False), ("ink", False), ("grey", False), ("accent", True),
    ("against", True),
)  # fmt: skip
"""Colour of each line, and whether it is dashed."""

MAX_NAMED = 12
"""Maximum number of points that are labelled in the chart of score against time."""

ABOUT = "Error bars are standard deviations over the seeds; those of times are half their range."

MAX_LISTED = 200
"""Number of settings listed in the page, best first. The CSV file contains all."""


class Summary:
    """The sentences of the page about the points whose trials have all finished.

    `n_seen` is the number of rows that a training processes, over all epochs.
    """

    def __init__(self, run: SweepRun, points: Sequence[PointResult], n_epochs: int) -> None:
        data = run.problem.data
        self.points = comparable(points)
        self.n_outputs = max(1, len(data.labels))
        self.n_seen = len(run.problem.split.train) * n_epochs
        measure = MEASURES[data.task.kind]
        self.score, self.shown = f"validation {measure.score}", measure.number
        self.is_share = measure.largest is not None
        self.least_is_best = run.least_is_best
        self.n_validation = len(run.problem.split.validation)
        self.differs = run.differs

    def lines(self) -> list[str]:
        return [*self._of_neurons(), *self._of_layers(), *self._why()]

    def operations(self, result: PointResult) -> int:
        """Multiplications of a forward pass for one row: the number of weights without biases."""
        n_neurons = result.point["hidden"] * result.point.get("layers", 1)
        return int(result.parameters - n_neurons - self.n_outputs)

    def _lines_of(self, axis: str) -> Iterator[list[PointResult]]:
        """Lines of points that differ only in `axis`, smallest value first, with at least two
        points."""
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
                f"Neurons, with {depth} hidden layer{'s' * (depth != 1)}: "
                f"{last.point['hidden']} neurons instead of {first.point['hidden']} "
                f"{self._gain(first, last)}, for {self._times(first, last)}."
            )
            if len(line) > 2:
                last_step = self._gain(line[-2], last)
                text += f" The last step, from {line[-2].point['hidden']} neurons, {last_step}."
            yield text

    def _of_layers(self) -> Iterator[str]:
        for line in self._lines_of("layers"):
            first, last = line[0], line[-1]
            yield (
                f"Layers of {first.point['hidden']} neurons: {last.point['layers']} instead of "
                f"{first.point['layers']} {self._gain(first, last)}, "
                f"for {self._times(first, last)}."
            )

    def _gain(self, first: PointResult, last: PointResult) -> str:
        """Describe how the score changed, compared with the effect of rows and seeds alone."""
        change = last.mean - first.mean
        if not change:
            return f"leave {self.score} at {self.shown(first.mean)}"
        better = change < 0 if self.least_is_best else change > 0
        text = f"{'raise' if change > 0 else 'lower'} {self.score} from {self.shown(first.mean)} "
        size = f"{100 * change:+.2f} points" if self.is_share else f"{change:+.4g}"
        text += f"to {self.shown(last.mean)} ({size})"
        if not self.differs(first, last):
            return text + f", which is within chance on these {self.n_validation:,} rows"
        verdict = ", which is better" if better else ", which is worse"
        noise = self._noise(first, last)
        if noise is None:
            return (
                text + verdict + " on these rows, but one seed does not say what another would do"
            )
        return text + (
            ", which is no more than other seeds change it" if abs(change) <= 2 * noise else verdict
        )

    @staticmethod
    def _noise(first: PointResult, last: PointResult) -> float | None:
        """The standard error of the difference of two means over seeds. None for single seeds."""
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
        """Explain the cost of a layer by the number of multiplications and their speed."""
        deep = [line[-1] for line in self._lines_of("layers")]
        if not deep:
            return
        result = max(deep, key=self.operations)
        width, depth = result.point["hidden"], result.point["layers"]
        first = self.operations(result) - (depth - 1) * width**2 - width * self.n_outputs
        yield (
            f"Why: the first layer multiplies {first // width:,} inputs for each of {width} "
            f"neurons, {first:,} times. Each further layer needs only {width} x {width} = "
            f"{width**2:,} multiplications."
        )
        least, most = sorted(self.points, key=self.operations)[:: max(1, len(self.points) - 1)][:2]
        text = (
            "A training step needs about three times as many, forwards and backwards. This machine "
            f"does {self._rate(least) / 1e9:.1f} billion a second with {_network(least)} and "
            f"{self._rate(most) / 1e9:.1f} billion with {_network(most)}."
        )
        if self._rate(most) > 1.2 * self._rate(least):
            text += (
                " With narrow layers, reading rows and starting each product takes a larger share "
                "of a step, so the time grows less than the number of multiplications."
            )
        yield text

    def _rate(self, result: PointResult) -> float:
        return 3 * self.operations(result) * self.n_seen / max(result.training_seconds, 1e-9)


def _network(result: PointResult) -> str:
    return " x ".join([str(result.point["hidden"])] * result.point["layers"])


def comparable(points: Sequence[PointResult]) -> list[PointResult]:
    """Points that differ from the best one, which is first, only in neurons and layers."""

    def others(result: PointResult) -> dict[str, Any]:
        return {n: v for n, v in result.point.items() if n not in ("hidden", "layers")}

    return [result for result in points if others(result) == others(points[0])]


def chosen_line(run: SweepRun, points: Sequence[PointResult]) -> str:
    """Name the best point, and say whether the next one may be as good."""
    result = points[0]
    values = [f"{name} {value}" for name, value in result.point.items()]
    measure = MEASURES[run.problem.data.task.kind]
    spread = (
        ""
        if result.deviation is None
        else f" (sd {measure.number(result.deviation)} over the seeds)"
    )
    text = (
        f"Best of {len(points)} on the validation set: "
        f"{', '.join([*values, f'validation {measure.score}'])} {measure.number(result.mean)}"
        f"{spread}."
    )
    if len(points) > 1 and not run.differs(result, points[1]):
        text += f" The second, {points[1].words}, may be as good: the difference is within chance."
    return text


def write_sweep_page(
    run: SweepRun,
    points: Sequence[PointResult],
    best: Run | None = None,
    summary: Summary | None = None,
) -> None:
    """Write the report of a sweep with its best run, or of a comparison."""
    measure = MEASURES[run.record.data.kind]
    score = f"validation {measure.score}"
    trials = sort_results(run.results.values())
    report.write_html(
        run.path / "report.html",
        "tenfold.experiments.sweeps",
        f"{run.plan.kind}.html.j2",
        title=run.path.resolve().name,
        record=run.record,
        points=points[:MAX_LISTED],
        n_points=len(points),
        without_model=[trial for trial in trials if trial.state != "finished"],
        charts=[chart_html(chart) for chart in _charts(points, measure)],
        score=score,
        value=measure.number,
        shown=measure.shown,
        ordinal=ordinal,
        columns=run.plan.columns,
        best=best,
        evaluation=best and best.evaluation,
        summary=summary,
    )


def _charts(points: Sequence[PointResult], measure: Measure) -> Iterator[Chart]:
    """Charts of score against time and, if they were varied, against neurons and layers."""
    yield _against_time(points, measure)
    compared = comparable(points)
    for axis, other in (("hidden", "layers"), ("layers", "hidden")):
        values = {result.point.get(axis) for result in compared}
        if None not in values and len(values) > 1:
            yield _against(axis, other, compared, f"validation {measure.score}")


def _against_time(points: Sequence[PointResult], measure: Measure) -> Chart:
    score = f"validation {measure.score}"
    seconds = [max(result.training_seconds, 1e-3) for result in points]
    means, spread = _means(points), np.array(_deviations(points))
    names = [" x ".join(map(str, result.point.values())) for result in points]
    titles = [
        f"{name}: {score} {measure.number(mean)} in {time:.3g} s"
        for name, mean, time in zip(names, means, seconds, strict=True)
    ]
    n, x = MAX_NAMED, log_axis("seconds of training", seconds)
    marks: list[Mark] = [
        Whiskers(seconds, means - spread, means + spread, "accent"),
        Dots(seconds, means, titles=titles, radius=4.5),
        *_names(x, seconds[:n], means[:n], names[:n]),
    ]
    panel = Panel(x, _scale(score, means, spread), marks, width=860)
    return Chart(f"{_begun(score)} against training time", [panel], about=ABOUT, is_wide=True)


def _begun(sentence: str) -> str:
    """A sentence with a capital letter."""
    return sentence[0].upper() + sentence[1:]


def _names(
    x: Axis, seconds: Sequence[float], means: Floats, names: Sequence[str]
) -> Iterator[Mark]:
    """The names of points, in turn above and below them from left to right, inside the chart."""
    for turn, place in enumerate(np.argsort(seconds, kind="stable").tolist()):
        above = 8.0 if turn % 2 == 0 else -14.0
        anchor: Literal["start", "end"] = "end" if x.at(seconds[place]) > 0.6 else "start"
        one = slice(place, place + 1)
        yield TextMarks(seconds[one], means[one], names[one], anchor, above)


def _against(axis: str, other: str, points: Sequence[PointResult], score: str) -> Chart:
    times = np.array([result.training_seconds for result in points])
    scales = (
        _scale(score, _means(points), np.array(_deviations(points))),
        number_axis("seconds of training", times, np.array(_spread(points)), zero=True),
    )
    parts: tuple[Callable[[Sequence[PointResult]], Any], ...] = (_means, _seconds)
    errors = (_deviations, _spread)
    x = _places(axis, points)
    panels = [
        Panel(x, scale, [*_lines(axis, other, points, part, error)])
        for scale, part, error in zip(scales, parts, errors, strict=True)
    ]
    title = f"{score} and training time against {_word(axis)}"
    return Chart(_begun(title), panels, about=ABOUT, is_wide=True)


def _lines(
    axis: str,
    other: str,
    points: Sequence[PointResult],
    measure: Callable[[Sequence[PointResult]], Any],
    error: Callable[[Sequence[PointResult]], list[float]],
) -> Iterator[Mark]:
    """A line for each value of the other axis, with error bars."""
    values = sorted({result.point.get(other, 1) for result in points})
    for (tone, dashed), value in zip(STYLES, values, strict=False):
        line = [result for result in points if result.point.get(other, 1) == value]
        line.sort(key=lambda result: result.point[axis])
        at, y, spread = [r.point[axis] for r in line], measure(line), np.array(error(line))
        titles = [result.words for result in line]
        yield Whiskers(at, y - spread, y + spread, tone)
        yield Curve(at, y, tone, f"{value} {_word(other)}", dashed=dashed)
        yield Dots(at, y, tone, titles=titles)


def _places(axis: str, points: Sequence[PointResult]) -> Axis:
    values = sorted({result.point[axis] for result in points})
    ticks = [(float(value), str(value)) for value in values]
    if axis == "hidden":  # doublings are steps of equal width
        return Axis(_word(axis), values[0] / 1.2, values[-1] * 1.2, ticks, is_log=True)
    return Axis(_word(axis), values[0] - 0.2, values[-1] + 0.2, ticks)


def _scale(score: str, means: Any, spread: Any) -> Axis:
    low, high = means - spread, means + spread
    if score.endswith("accuracy"):
        return share_axis(score, float(low.min()), float(high.max()), spare=0.1)
    return number_axis(score, low, high)


def _means(points: Sequence[PointResult]) -> Any:
    return np.array([result.mean for result in points])


def _seconds(points: Sequence[PointResult]) -> Any:
    return np.array([result.training_seconds for result in points])


def _deviations(points: Sequence[PointResult]) -> list[float]:
    """Error bars of the scores: the standard deviation over the seeds. None for a single seed."""
    return [result.deviation or 0.0 for result in points]


def _spread(points: Sequence[PointResult]) -> list[float]:
    spreads = []
    for result in points:
        seconds = [trial.epoch_seconds or trial.seconds or 0.0 for trial in result.trials]
        spreads.append((max(seconds) - min(seconds)) / 2)
    return spreads


def _word(axis: str) -> str:
    return {"hidden": "neurons in a layer", "layers": "hidden layers"}[axis]

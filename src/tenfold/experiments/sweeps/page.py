"""`report.html` of a sweep or a comparison: one self-contained file, its tables and plots."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tenfold import report
from tenfold.core.colours import AGAINST, INK
from tenfold.core.text import in_unit, ordinal
from tenfold.experiments.sweeps.results import PointResult, sort_results
from tenfold.experiments.sweeps.summary import Summary, comparable
from tenfold.experiments.sweeps.sweep_run import SweepRun
from tenfold.report.plots import TRAIN, VALIDATION, as_svg, literal, new_figure, plain
from tenfold.runs.record import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLES = (
    (VALIDATION, "o"),
    (AGAINST, "s"),
    (INK, "^"),
    (TRAIN, "D"),
    (VALIDATION, "v"),
    (AGAINST, "P"),
)
"""Colour and mark of each line; a picture without colours is told apart by the marks."""

MAX_NAMED = 12
"""Points that are named in the plot of score against time, at most."""

MAX_LISTED = 200
"""Settings listed in the page, best first; the CSV has all."""


def write_sweep_page(
    run: SweepRun,
    points: Sequence[PointResult],
    best: Run | None = None,
    summary: Summary | None = None,
) -> None:
    """Write the report of a sweep with its best run, or of a comparison."""
    score = run.score_name.replace("val_", "validation ").replace("rmse", "RMSE")
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
        plots=_plots(points, score),
        score=score,
        value=lambda number: f"{number:.4f}" if abs(number) <= 1 else in_unit(number),
        ordinal=ordinal,
        columns=run.plan.columns,
        best=best,
        evaluation=best and best.evaluation,
        summary=summary,
    )


def _plots(points: Sequence[PointResult], score: str) -> list[str]:
    """Score against time; score and time against neurons and layers where they were varied."""
    plots = [as_svg(_against_time(points, score), f"{score} against training time")]
    compared = comparable(points)
    for axis, other in (("hidden", "layers"), ("layers", "hidden")):
        values = {result.point.get(axis) for result in compared}
        if None in values or len(values) < 2:
            continue
        figure = _against(axis, other, compared, score)
        plots.append(as_svg(figure, f"{score} and training time against {_word(axis)}"))
    return plots


def _against_time(points: Sequence[PointResult], score: str) -> "Figure":
    figure = new_figure(8.6, 4.4)
    axes = figure.subplots()
    seconds = [max(result.training_seconds, 1e-3) for result in points]
    axes.errorbar(
        seconds,
        [result.mean for result in points],
        yerr=_deviations(points),
        fmt="o",
        ms=5,
        color=VALIDATION,
        capsize=3,
        lw=1,
    )
    for result, x in list(zip(points, seconds, strict=True))[:MAX_NAMED]:
        name = " x ".join(str(value) for value in result.point.values())
        axes.annotate(
            literal(name),
            (x, result.mean),
            xytext=(6, 4),
            textcoords="offset points",
            fontsize=8,
            color=INK,
        )
    axes.set_xscale("log")
    axes.set(xlabel="seconds of training", ylabel=score)
    plain(axes)
    return figure


def _against(axis: str, other: str, points: Sequence[PointResult], score: str) -> "Figure":
    figure = new_figure(9.4, 4.2)
    left, right = figure.subplots(1, 2)
    measures: tuple[tuple[Axes, str, Callable[[PointResult], float]], ...] = (
        (left, score, lambda result: result.mean),
        (right, "seconds of training", lambda result: result.training_seconds),
    )
    for axes, name, measure in measures:
        for (colour, mark), value in zip(
            STYLES, sorted({result.point.get(other, 1) for result in points}), strict=False
        ):
            line = sorted(
                (result for result in points if result.point.get(other, 1) == value),
                key=lambda result: result.point[axis],
            )
            error = _deviations(line) if axes is left else _spread(line)
            axes.errorbar(
                [result.point[axis] for result in line],
                [measure(result) for result in line],
                yerr=error,
                color=colour,
                marker=mark,
                ms=5,
                lw=1.4,
                capsize=3,
                label=f"{value} {_word(other)}",
            )
        axes.set(xlabel=_word(axis), ylabel=name)
        if axis == "hidden":
            axes.set_xscale("log", base=2)
            axes.set_xticks(ticks := sorted({result.point[axis] for result in points}), ticks)
            axes.minorticks_off()
        else:
            axes.set_xticks(sorted({result.point[axis] for result in points}))
        plain(axes)
    left.legend(frameon=False)
    return figure


def _deviations(points: Sequence[PointResult]) -> list[float]:
    """Error bars of the scores: the standard deviation over the seeds; none of a single seed."""
    return [result.deviation or 0.0 for result in points]


def _spread(points: Sequence[PointResult]) -> list[float]:
    spreads = []
    for result in points:
        seconds = [trial.epoch_seconds or trial.seconds or 0.0 for trial in result.trials]
        spreads.append((max(seconds) - min(seconds)) / 2)
    return spreads


def _word(axis: str) -> str:
    return {"hidden": "neurons in a layer", "layers": "hidden layers"}[axis]

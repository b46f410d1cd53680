"""`report.html` of a sweep or a comparison: one self-contained file, its tables and plots."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tenfold.core import files
from tenfold.core.colours import AGAINST, INK
from tenfold.core.text import in_unit, ordinal
from tenfold.experiments.sweeps.findings import Facts, beside
from tenfold.experiments.sweeps.table import Group, sort_rows
from tenfold.experiments.sweeps.work import Work
from tenfold.report.network_page import read_text, render
from tenfold.report.plots import TRAIN, VALIDATION, as_svg, literal, new_figure, plain
from tenfold.runs.record import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLES = (
    (VALIDATION, "o"), (AGAINST, "s"), (INK, "^"), (TRAIN, "D"), (VALIDATION, "v"),
    (AGAINST, "P"),
)  # fmt: skip
"""Colour and mark of each line; a picture without colours is told apart by the marks."""

MAX_NAMED = 12
"""Points that are named in the plot of score against time, at most."""

MAX_LISTED = 200
"""Settings listed in the page, best first; the CSV has all."""


def write_sweep_page(work: Work, groups: Sequence[Group], best: Run, facts: Facts | None) -> None:
    """Write the report of a sweep.

    Raises:
      FileError: It cannot be written.
    """
    _write(
        work,
        groups,
        kind="sweep",
        best=best,
        evaluation=best.evaluation,
        facts=facts,
        columns=work.plan.columns,
    )


def write_comparison_page(work: Work, groups: Sequence[Group]) -> None:
    """Write the report of a comparison.

    Raises:
      FileError: It cannot be written.
    """
    _write(work, groups, kind="comparison", best=None, evaluation=None, facts=None, columns=())


def _write(work: Work, groups: Sequence[Group], *, kind: str, **values: Any) -> None:
    score = work.score_name.replace("val_", "validation ").replace("rmse", "RMSE")
    text = render(
        "tenfold.experiments.sweeps",
        f"{kind}.html.j2",
        css=read_text("tenfold.report.network_page", "page.css")
        + read_text("tenfold.report", "report.css"),
        title=work.path.resolve().name,
        record=work.record,
        groups=groups[:MAX_LISTED],
        n_groups=len(groups),
        bad=[row for row in sort_rows(work.rows.values()) if row.state != "finished"],
        plots=_plots(groups, score),
        score=score,
        value=lambda number: f"{number:.4f}" if abs(number) <= 1 else in_unit(number),
        ordinal=ordinal,
        **values,
    )
    files.write_text(work.path / "report.html", text)


def _plots(groups: Sequence[Group], score: str) -> list[str]:
    """Score against time; score and time against neurons and layers where they were varied."""
    found = [as_svg(_against_time(groups, score), f"{score} against training time")]
    alike = beside(groups)
    for axis, other in (("hidden", "layers"), ("layers", "hidden")):
        values = {group.point.get(axis) for group in alike}
        if None in values or len(values) < 2:
            continue
        figure = _against(axis, other, alike, score)
        found.append(as_svg(figure, f"{score} and training time against {_word(axis)}"))
    return found


def _against_time(groups: Sequence[Group], score: str) -> "Figure":
    figure = new_figure(8.6, 4.4)
    axes = figure.subplots()
    seconds = [max(group.training_seconds, 1e-3) for group in groups]
    axes.errorbar(
        seconds, [group.mean for group in groups], yerr=_deviations(groups), fmt="o", ms=5,
        color=VALIDATION, capsize=3, lw=1,
    )  # fmt: skip
    for group, x in list(zip(groups, seconds, strict=True))[:MAX_NAMED]:
        name = " x ".join(str(value) for value in group.point.values())
        axes.annotate(literal(name), (x, group.mean), xytext=(6, 4), textcoords="offset points",
                      fontsize=8, color=INK)  # fmt: skip
    axes.set_xscale("log")
    axes.set(xlabel="seconds of training", ylabel=score)
    plain(axes)
    return figure


def _against(axis: str, other: str, groups: Sequence[Group], score: str) -> "Figure":
    figure = new_figure(9.4, 4.2)
    left, right = figure.subplots(1, 2)
    measures: tuple[tuple[Axes, str, Callable[[Group], float]], ...] = (
        (left, score, lambda group: group.mean),
        (right, "seconds of training", lambda group: group.training_seconds),
    )
    for axes, name, measure in measures:
        for (colour, mark), value in zip(
            STYLES, sorted({group.point.get(other, 1) for group in groups}), strict=False
        ):
            line = sorted(
                (group for group in groups if group.point.get(other, 1) == value),
                key=lambda group: group.point[axis],
            )
            error = _deviations(line) if axes is left else _spread(line)
            axes.errorbar(
                [group.point[axis] for group in line], [measure(group) for group in line],
                yerr=error, color=colour, marker=mark, ms=5, lw=1.4, capsize=3,
                label=f"{value} {_word(other)}",
            )  # fmt: skip
        axes.set(xlabel=_word(axis), ylabel=name)
        if axis == "hidden":
            axes.set_xscale("log", base=2)
            axes.set_xticks(ticks := sorted({group.point[axis] for group in groups}), ticks)
            axes.minorticks_off()
        else:
            axes.set_xticks(sorted({group.point[axis] for group in groups}))
        plain(axes)
    left.legend(frameon=False)
    return figure


def _deviations(groups: Sequence[Group]) -> list[float]:
    """Error bars of the scores: the standard deviation over the seeds; none of a single seed."""
    return [group.deviation or 0.0 for group in groups]


def _spread(groups: Sequence[Group]) -> list[float]:
    """Error bars of the times: half of the range over the seeds."""
    spreads = []
    for group in groups:
        seconds = [row.epoch_seconds or row.seconds or 0.0 for row in group.rows]
        spreads.append((max(seconds) - min(seconds)) / 2)
    return spreads


def _word(axis: str) -> str:
    return {"hidden": "neurons in a layer", "layers": "hidden layers"}[axis]

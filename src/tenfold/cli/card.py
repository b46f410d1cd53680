"""Print the result of a training or an evaluation on a terminal, beginning with the score."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.text import Text

from tenfold.cli.terminal import WARNING, SafeConsole, program_name
from tenfold.core.systems import quoted
from tenfold.evaluation import AnyEvaluation
from tenfold.experiments.cross_validation import fold_spread
from tenfold.report import PICTURES, coverage_limits
from tenfold.runs.csv_files import EXAMPLE_INPUTS, EXAMPLE_ROWS, read_folds
from tenfold.runs.record import Run

WIDTH = 19
"""Width of the names at the beginning of lines."""


def print_card(run: Run, warnings: Sequence[str] = ()) -> None:
    """Print the scores of a run, its cost, its folder, and the next commands.

    `warnings` were printed while it was made, and have scrolled away since.
    """
    print_scores(run.evaluation)
    codes = {one.text: f"{one.code} {one.title}: " for one in run.checks}
    doubts = [
        f"{codes.get(doubt, '')}do not trust the scores: {doubt}" for doubt in run.evaluation.doubts
    ]
    for block in (_about(run), _files(run)):
        print_lines(["", *block])
    checks = [one for one in run.checks if one.text not in run.evaluation.doubts]
    if checks:
        texts = [f"{one.code} {one.title}: {one.text}" for one in checks]
        print_lines(["", *_named("check", texts)], WARNING)
    if doubts or warnings:
        print_lines(["", *_named("warning", [*doubts, *warnings])], WARNING)
    print_lines(["", *_named("next", _commands(run))])


def print_scores(evaluation: AnyEvaluation) -> None:
    """Print the scores of an evaluation. The score that ranks models is first, and bold."""
    score, *others = evaluation.lines()
    is_trusted = evaluation.beats_baseline and not evaluation.doubts
    print_lines([score], "bold")
    rows = f"{_rows(evaluation)} of {evaluation.data}, 95% intervals"
    print_lines(_named("measured on", [rows]))
    for line in others:
        is_warning = line.startswith("verdict") and not is_trusted
        print_lines([line], WARNING if is_warning else "")


def print_own(run: Run, evaluation: AnyEvaluation) -> None:
    """Print the scores of the run's own test rows below an evaluation on other rows."""
    if not (run.path / "evaluation.json").is_file() or evaluation == run.evaluation:
        return
    own = run.evaluation
    print(f"\nthe run's own      {own.data}, {_rows(own)}: {own.headline}")


def print_lines(lines: Sequence[str], style: str = "") -> None:
    """Print lines on standard output. The style is visible only on a terminal."""
    console = SafeConsole(highlight=False)
    for line in lines:
        console.print(Text(line, style), soft_wrap=True)


def _rows(evaluation: AnyEvaluation) -> str:
    part = "" if evaluation.part == "all" else f"{evaluation.part} "
    return f"{evaluation.n:,} {part}rows"


def _named(name: str, texts: Sequence[str]) -> list[str]:
    """Lines of which the first begins with the name."""
    return [f"{'' if i else name:<{WIDTH}}{text}" for i, text in enumerate(texts)]


def _about(run: Run) -> Iterator[str]:
    """What the run learned from, and its cost."""
    record = run.record
    if question := run.model.contract.question:
        yield f"question           {question}"
    if record.data.n_dropped:
        yield f"dropped            {record.data.n_dropped} training rows that are test rows too"
    if record.data.repeats:
        yield f"repeats            {record.data.repeats.partition('. ')[0]}"
    for name, (mean, deviation) in fold_spread(read_folds(run.path / "folds.csv")).items():
        yield f"folds              {name} {mean:.6g} (sd {deviation:.2g})"
    if (robustness := run.robustness) is not None:
        yield f"robustness         {robustness.score} at worst: {robustness.worst}"
    if (curve := run.learning_curve) is not None:
        yield f"more data          {curve.headline}"
    yield from _named("coverage", list(coverage_limits(run)))
    seconds = [f"{stage} {value:.1f}" for stage, value in record.seconds.items()]
    yield f"seconds            {', '.join(seconds)}"
    if record.peak_mb is not None:
        yield f"memory             {record.peak_mb:,.0f} MB at most"
    yield f"test rows          {uses_of_test_rows(record.test_opened, run.path.parent)}"
    if record.note:
        yield f"note               {record.note}"


def uses_of_test_rows(number: int, folder: Path) -> str:
    """How many models of a folder were measured on the same test rows, in words."""
    return f"used by {number} {'model' if number == 1 else 'models'} in {folder} so far"


def _files(run: Run) -> list[str]:
    """The folder of a run, and the files that the user may open."""
    names = [name for name in (*PICTURES, "report.html") if (run.path / name).is_file()]
    return _named("run", [str(run.path), *(str(run.path / name) for name in names)])


def _commands(run: Run) -> list[str]:
    """The next commands: open the report, then predict."""
    rows, images = run.path / EXAMPLE_ROWS, run.path / EXAMPLE_INPUTS
    inputs = [str(rows)] if rows.exists() else [str(images), "--show"]
    path, program = str(run.path), program_name()
    words = (["report", path, "--open"], ["predict", path, *inputs])
    return [f"{program} {quoted(command)}" for command in words]

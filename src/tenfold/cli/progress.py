"""Show the progress of trainings on the terminal, on lines that do not scroll."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from tenfold.cli.terminal import WARNING, SafeConsole
from tenfold.core.progress import STAGES, Listener
from tenfold.core.records import Audit, Epoch, LayerRow, TrialResult
from tenfold.experiments.sweeps import SweepInterrupted


class _WhereCounted(ProgressColumn):
    """A column that is empty while the number of parts is unknown."""

    def __init__(self, column: MofNCompleteColumn | TimeRemainingColumn) -> None:
        super().__init__()
        self._column = column

    def render(self, task: Task) -> Text:
        return Text() if task.total is None else self._column.render(task)


class _Bars(Listener, AbstractContextManager["_Bars"]):
    """Shows bars on a terminal with lines above them. Elsewhere it only prints the lines."""

    def __init__(self, *columns: ProgressColumn) -> None:
        self.warnings: list[str] = []
        self._console = SafeConsole(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            _WhereCounted(MofNCompleteColumn()),
            *columns,
            console=self._console,
            transient=True,
            # Rich's proxies would replace the streams and hide which of them are terminals.
            redirect_stdout=False,
            redirect_stderr=False,
            disable=not self._console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        self._console.print(f"tenfold: {text}", soft_wrap=True, markup=False)

    def warn(self, text: str) -> None:
        self.warnings.append(text)
        self._console.print(f"tenfold: {text}", style=WARNING, soft_wrap=True, markup=False)


class PartsListener(_Bars):
    """Shows one bar for all parts of a stage."""

    def __init__(self, title: str) -> None:
        super().__init__(_WhereCounted(TimeRemainingColumn()), TextColumn("{task.fields[scores]}"))
        self._begin(title)

    def _begin(self, title: str) -> None:
        """Show the name of the current work, with nothing counted yet."""
        for task in self._progress.task_ids:
            self._progress.remove_task(task)
        self._task = self._progress.add_task(title, total=None, scores="")

    def progress(self, done: int, total: int) -> None:
        self._progress.update(self._task, completed=done, total=total)


class TerminalListener(PartsListener):
    """Shows stages and epochs on one live line of a terminal, below the findings about the data and
    the table of layers. Elsewhere it only prints these."""

    def __init__(self) -> None:
        super().__init__("")

    def stage(self, name: str) -> None:
        self._begin(STAGES[name])

    def audit(self, audit: Audit) -> None:
        summary, *findings = audit.lines()
        self._console.print(summary, soft_wrap=True, markup=False)
        for line in findings:
            style = WARNING if line.removeprefix("audit: ") in audit.doubts else None
            self._console.print(line, style=style, soft_wrap=True, markup=False)
        self._space()

    def layers(self, layers: Sequence[LayerRow]) -> None:
        for line in layer_lines(layers):
            self._console.print(line)
        self._space()
        self._begin("Compiling the network")

    def resumed(self, history: Sequence[Epoch], n_epochs: int) -> None:
        self._console.print(f"continuing after epoch {len(history)} of {n_epochs}")

    def epoch(self, epoch: Epoch, n_epochs: int) -> None:
        self._progress.update(
            self._task,
            description="Training",
            total=n_epochs,
            completed=epoch.epoch,
            scores=epoch.scores,
        )

    def _space(self) -> None:
        """Print an empty line between blocks, on a terminal."""
        if self._console.is_terminal:
            self._console.print()


def layer_lines(layers: Sequence[LayerRow]) -> Iterator[str]:
    """The table of layers as lines of text, with the total number of parameters."""
    for layer in layers:
        shape = "x".join(str(size) for size in layer.output_shape[1:])
        yield f"{layer.name:<16}{layer.kind:<16}{shape:>10}{layer.parameters:>14,}"
    counts = [f"{layer.parameters:,}" for layer in layers if layer.parameters]
    total = sum(layer.parameters for layer in layers)
    yield f"parameters: {' + '.join(counts)} = {total:,}"


class TerminalSweepListener(_Bars):
    """Shows each running trial as a bar, and each trial that has ended as a line. Elsewhere it only
    prints failures."""

    STAGES = {"test": "Measuring on the test rows", "report": "Drawing the report"}

    def __init__(self) -> None:
        super().__init__(TextColumn("{task.fields[score]}"))
        self._all: TaskID | None = None
        self._running: dict[str, TaskID] = {}

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        super().__exit__(kind, error, trace)
        if isinstance(error, SweepInterrupted):
            done = f"{error.n_ended} of {error.n_trials} trials have ended in {error.path}"
            self.warn(f"interrupted: {done}; the same command continues")

    def trials(self, folder: Path, n_trials: int, n_ended: int) -> None:
        if self._all is None:
            self._all = self._progress.add_task(str(folder), total=n_trials, score="")
            if n_ended:
                self._console.print(f"{folder}: {n_ended} of {n_trials} trials are done already")
        self._progress.update(self._all, total=n_trials, completed=n_ended)

    def trial_started(self, name: str) -> None:
        self._forget(name)
        self._running[name] = self._progress.add_task(f"  {name}", total=None, score="")

    def trial_epoch(self, name: str, epoch: Epoch, n_epochs: int) -> None:
        score = epoch.val_loss if epoch.accuracy is None else epoch.val_accuracy
        text = "" if score is None else f"{score:.4f}"
        self._progress.update(
            self._running[name], total=n_epochs, completed=epoch.epoch, score=text
        )

    def trial_ended(self, name: str, result: TrialResult) -> None:
        self._forget(name)
        if self._all is not None:
            self._progress.advance(self._all)
        if self._console.is_terminal:
            score = result.state if result.score is None else f"{result.score:.4f}"
            seconds = "" if result.seconds is None else f"{result.seconds:.1f} s"
            self._console.print(f"{name}  {score}  {seconds}", markup=False)

    def stage(self, name: str) -> None:
        if self._all is not None:
            self._progress.update(self._all, description=self.STAGES[name])

    def _forget(self, name: str) -> None:
        if name in self._running:
            self._progress.remove_task(self._running.pop(name))

"""Progress bars of trainings on the terminal."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tenfold.cli.output import layer_lines
from tenfold.core.progress import Watcher
from tenfold.core.records import Audit, Epoch, LayerRow


class TerminalWatcher(Watcher, AbstractContextManager["TerminalWatcher"]):
    """Stages and epochs as a live bar and lines on a terminal; elsewhere the layer table alone."""

    TITLES = {
        "load": "Reading the data",
        "train": "Starting JAX",
        "export": "Writing the model",
        "folds": "Cross-validating",
        "evaluate": "Measuring on the test rows",
        "report": "Drawing the report",
    }

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._progress.add_task("", total=None)

    def __enter__(self) -> "TerminalWatcher":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def stage(self, name: str) -> None:
        self._progress.update(self._task, description=self.TITLES[name], total=None, completed=0)

    def audit(self, audit: Audit) -> None:
        for line in audit.lines():
            self._console.print(line, soft_wrap=True, markup=False)

    def layers(self, layers: Sequence[LayerRow]) -> None:
        for line in layer_lines(layers):
            self._console.print(line)
        self._progress.update(self._task, description="Compiling")

    def resumed(self, history: Sequence[Epoch], n_epochs: int) -> None:
        self._progress.reset(self._task, total=n_epochs, completed=len(history))
        self._console.print(f"going on after epoch {len(history)} of {n_epochs}")

    def warn(self, text: str) -> None:
        self._console.print(f"tenfold: {text}", soft_wrap=True, markup=False)

    def progress(self, done: int, total: int) -> None:
        self._progress.update(self._task, total=total, completed=done)

    def epoch(self, epoch: Epoch, n_epochs: int) -> None:
        self._progress.update(
            self._task, description="Training", total=n_epochs, completed=epoch.epoch
        )
        if self._console.is_terminal:
            line = f"epoch {epoch.epoch:>{len(str(n_epochs))}}/{n_epochs}"
            line += f"  loss {epoch.loss:.4f}"
            if epoch.accuracy is not None:
                line += f"  accuracy {epoch.accuracy:.4f}"
            validation = epoch.val_loss if epoch.accuracy is None else epoch.val_accuracy
            if validation is not None:
                line += f"  validation {validation:.4f}"
            self._console.print(f"{line}  {epoch.seconds:.2f} s")

"""Training rows whose labels look wrong, as `tenfold data check --labels` prints them."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tenfold.core.progress import Listener
from tenfold.data.dataset import Dataset
from tenfold.evaluation.label_errors import find_label_errors


class _Epochs(Listener):
    """Shows how many epochs of all folds are done."""

    def __init__(self, bar: Progress) -> None:
        self._bar, self._task = bar, bar.add_task("", total=None)

    def progress(self, done: int, total: int) -> None:
        self._bar.update(self._task, completed=done, total=total)


def print_suspects(data: Dataset, seed: int, top: int) -> None:
    """Look for wrong labels with a bar, and print the most suspect ones."""
    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("Looking for wrong labels: fold, epoch"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        suspects = find_label_errors(data, seed=seed, listener=_Epochs(bar))
    print(
        f"labels: {len(suspects):,} training rows are answered otherwise by models that did not "
        "see them, most suspect first"
    )
    for suspect in suspects[:top]:
        print(
            f"{data.keys[suspect.row]}  labelled {suspect.label!r}, answered {suspect.likely!r}, "
            f"its own label with {suspect.confidence:.4f}"
        )
    if len(suspects) > top:
        print(f"{len(suspects) - top:,} more: --top {len(suspects)}")

"""`Watcher`: who wants to see a run being made."""

import sys
from collections.abc import Sequence

from tenfold.core.records import Audit, Epoch, LayerRow


class Watcher:
    """What a caller may want to see while a run is made; silent by itself but for warnings."""

    def stage(self, name: str) -> None:
        """A stage begins: load, train, export, folds, evaluate or report."""

    def audit(self, audit: Audit) -> None:
        """The data were looked at; nothing is fitted yet."""

    def layers(self, layers: Sequence[LayerRow]) -> None:
        """The network stands; training is about to start."""

    def resumed(self, history: Sequence[Epoch], n_epochs: int) -> None:
        """Training goes on after these epochs, done by a process before this one."""

    def epoch(self, epoch: Epoch, n_epochs: int) -> None:
        """An epoch ended."""

    def fold(self, done: int, total: int) -> None:
        """So many folds of a cross-validation are done."""

    def warn(self, text: str) -> None:
        """Something the user should know, though the run goes on: one line."""
        print(f"tenfold: {text}", file=sys.stderr)

"""Watch a training: a listener that shows it as a page that grows, and can be replayed."""

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from markupsafe import escape
from numpy.typing import NDArray

from tenfold.core import files
from tenfold.core.layers import Parameters
from tenfold.core.progress import STAGES, Listener
from tenfold.core.records import Audit, Epoch, LayerRow
from tenfold.report.html import write_html
from tenfold.report.network_page import page_style, read_text, render
from tenfold.report.plots import history_chart
from tenfold.report.svg import chart_html
from tenfold.report.weights import png_address, tile_of, weights_picture

MAX_FRAMES = 200
"""Maximum number of epochs in the replay. Of a longer training, every second, fourth, ... epoch is
kept."""

TEMPLATE = "watching.html.j2"


class Moment(NamedTuple):
    """What the page shows after an epoch. `weights` is a PNG as a data address, or empty."""

    epoch: int
    text: str
    weights: str


class Watching(Listener):
    """A listener that shows a training: curves, the weights of the first layer, remaining time.

    In a notebook, `tenfold.train(data, listener=tenfold.Watching())` shows it below the cell.
    """

    def __init__(self, title: str = "A training") -> None:
        self.title = title
        self._lock = threading.Lock()
        self._stage = "load"
        self._about = self._samples = ""
        self._shape: tuple[int, ...] | None = None
        self._layer: str | None = None
        self._epochs: list[Epoch] = []
        self._frames: list[Moment] = []
        self._step, self._n_epochs = 1, 0
        self._display: Any = _notebook_display()

    def stage(self, name: str) -> None:
        with self._lock:
            self._stage = name
        self._show()

    def audit(self, audit: Audit) -> None:
        summary, *_ = audit.lines()
        self._about = summary.removeprefix("audit: ")

    def samples(self, images: NDArray[np.uint8], labels: Sequence[str]) -> None:
        self._shape = images.shape[1:]
        pictures = (png_address(tile_of(image)) for image in images)
        self._samples = "".join(
            f'<figure><img src="{picture}" alt="{escape(label)}"><figcaption>{escape(label)}'
            "</figcaption></figure>"
            for picture, label in zip(pictures, labels, strict=True)
        )

    def layers(self, layers: Sequence[LayerRow]) -> None:
        self._layer = next((layer.name for layer in layers if layer.parameters), None)

    def resumed(self, history: Sequence[Epoch], n_epochs: int) -> None:
        with self._lock:
            self._epochs, self._n_epochs = list(history), n_epochs

    def epoch(self, epoch: Epoch, n_epochs: int) -> None:
        with self._lock:
            self._epochs.append(epoch)
            self._n_epochs = n_epochs

    def weights(self, read: Callable[[], Parameters]) -> None:
        epoch = self._epochs[-1]
        if (epoch.epoch - 1) % self._step == 0 or epoch.epoch == self._n_epochs:
            kernel = _kernel(read(), self._layer)
            picture = "" if kernel is None else png_address(weights_picture(kernel, self._shape))
            with self._lock:
                self._frames.append(Moment(epoch.epoch, epoch.scores, picture))
                if len(self._frames) > MAX_FRAMES:
                    self._frames, self._step = self._frames[::2], 2 * self._step
        self._show()

    def warn(self, text: str) -> None:
        """Print the warning in a notebook. Elsewhere do nothing, because other listeners print
        it."""
        if self._display is not None:
            super().warn(text)

    def end(self) -> None:
        """The training is over, successfully or not."""
        self.stage("done")

    def state(self, after: int = 0) -> dict[str, Any]:
        """The content of the page. Of the frames, only those of epochs after `after` are
        included."""
        with self._lock:
            epochs, frames = list(self._epochs), list(self._frames)
        chart = chart_html(history_chart([asdict(epoch) for epoch in epochs])) if epochs else ""
        return {
            "status": self._status(epochs),
            "about": self._about,
            "done": self._stage == "done",
            "share": len(epochs) / self._n_epochs if self._n_epochs else 0,
            "chart": chart,
            "samples": self._samples,
            "frames": [frame._asdict() for frame in frames if frame.epoch > after],
        }

    def page(self, *, is_live: bool) -> str:
        """The page: one that asks for updates, or one that replays the training."""
        return render("tenfold.report", TEMPLATE, css=page_style(), **self._values(is_live))

    @files.os_errors()
    def write(self, path: Path) -> None:
        """Write the page that replays the training."""
        write_html(path, "tenfold.report", TEMPLATE, **self._values(is_live=False))

    def _values(self, is_live: bool) -> dict[str, Any]:
        script = read_text("tenfold.report", "watching.js")
        return {"title": self.title, "state": self.state(), "is_live": is_live, "script": script}

    def _status(self, epochs: Sequence[Epoch]) -> str:
        text = STAGES.get(self._stage, "Finished")
        if not epochs:
            return text
        text += f": epoch {len(epochs)} of {self._n_epochs}, {epochs[-1].scores}"
        left = self._n_epochs - len(epochs)
        if self._stage != "train" or not left:
            return text
        seconds = left * float(np.median([epoch.seconds for epoch in epochs[-10:]]))
        return f"{text}, about {_duration(seconds)} left"

    def _show(self) -> None:
        """Draw the current state again below the cell of a notebook."""
        if self._display is not None:
            self._display.update(self)

    def _repr_html_(self) -> str:
        state = self.state()
        weights = [frame["weights"] for frame in state["frames"] if frame["weights"]]
        picture = f'<p><img src="{weights[-1]}" alt="Weights of the first layer"></p>'
        chart = f"<style>{page_style()}</style>{state['chart']}" if state["chart"] else ""
        return f"<p>{escape(state['status'])}</p>{chart}{picture if weights else ''}"


def _kernel(parameters: Parameters, layer: str | None) -> NDArray[np.float32] | None:
    found = parameters.get(layer or "", {}).get("kernel")
    return None if found is None else np.asarray(found, np.float32)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min"


def _notebook_display() -> Any:
    """A place below the cell of a notebook. None elsewhere."""
    shell = sys.modules.get("IPython")
    if shell is None or type(shell.get_ipython()).__name__ != "ZMQInteractiveShell":
        return None
    from IPython.display import display

    return display(display_id=True)  # type: ignore[no-untyped-call]

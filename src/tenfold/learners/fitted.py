"""`Fitted`: what a learner leaves."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tenfold.core.records import Epoch


class Body(Protocol):
    """The fitted numbers of one kind of learner; `tenfold.build.onnx` translates each kind."""

    def answers(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Probabilities (n, n_labels), or values (n,) in the unit it was fitted in."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted learner.

    Attributes:
      learner: Its name in `LEARNERS`.
      body: What was fitted.
      parameters: Numbers fitted.
      history: A record per finished epoch; empty where there are no epochs.
      interrupted: Ctrl-C came; this is the state after the last finished epoch.
      note: What a reader should know of this fit.
      rows_at_once: Rows whose answers fit into 128 MiB; None: no limit of its own.
    """

    learner: str
    body: Body
    parameters: int
    history: tuple[Epoch, ...] = ()
    interrupted: bool = False
    note: str | None = None
    rows_at_once: int | None = None

    def answers(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """The learner's own answers, without its graph: what the graph is checked against.

        Args:
          x: Rows as in `Examples.x`.

        Returns:
          Probabilities (n, n_labels); for regression values (n,), in the unit of `Examples.y`.
        """
        return self.body.answers(x)

    def hidden(self, x: NDArray[Any]) -> NDArray[np.float32] | None:
        """The last hidden activations of a network (n, d); None for other learners.

        Args:
          x: Rows as in `Examples.x`.
        """
        of_body = getattr(self.body, "hidden", None)
        return None if of_body is None else of_body(x)

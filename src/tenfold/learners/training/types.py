"""What is handed to a training."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Examples(NamedTuple):
    """Rows handed to a learner. The dtype of `y` is the task: whole numbers are label codes.

    Attributes:
      x: Pictures uint8 (n, height, width) or (n, height, width, 3), or features float32 (n, d).
      y: Label codes int64 (n,) for classification, or targets float32 (n,) for regression.
      weight: What each row counts in losses and in accuracies, float32 (n,); None: all alike.
    """

    x: NDArray[np.uint8] | NDArray[np.float32]
    y: NDArray[np.int64] | NDArray[np.float32]
    weight: NDArray[np.float32] | None = None

    @property
    def total_weight(self) -> float:
        """What all rows count together: their number when none has a weight."""
        return float(len(self.y) if self.weight is None else self.weight.sum(dtype=np.float64))

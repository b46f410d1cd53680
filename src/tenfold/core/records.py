"""What is told of a training while it runs, and stored of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LayerRow:
    """One line of the layer table."""

    name: str
    kind: str
    output_shape: tuple[int | None, ...]
    parameters: int


@dataclass(frozen=True)
class Epoch:
    """What one epoch did; `seconds` is its training alone, without compilation or validation.

    Losses are mean cross-entropies, or mean squared errors; then there is no accuracy.
    """

    epoch: int
    seconds: float
    loss: float
    accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    learning_rate: float

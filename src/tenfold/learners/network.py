"""The result of the learners `network` and `cnn`: one network of layers, or several that vote."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.layers import Architecture, Layer, Parameters, Softmax
from tenfold.learners.choice import softmax
from tenfold.learners.jax_runtime import compile_program, configure

AT_ONCE = 1024
"""Maximum number of rows predicted at once: convolutions need 26 kB for each picture of 28x28."""

VALUES = 1 << 22
"""Maximum number of values in the rows that are predicted at once: large pictures are processed a
few at a time, because convolutions compute up to 32 numbers for each of their values."""


@dataclass(frozen=True, eq=False)
class Network:
    """Layers and their fitted parameters."""

    architecture: Architecture
    parameters: Parameters

    def answers(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Probabilities (n, n_labels), or values (n,)."""
        answers = self._computed(self.architecture.layers, x)
        return answers[:, 0] if answers.shape[1] == 1 else answers

    def hidden(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """The inputs of the output layer (n, d), float32."""
        return self._computed(self.architecture.to_hidden, x)

    def outputs(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """The outputs of the output layer (n, k): logits, or one value."""
        return self._computed(self.architecture.to_logits, x)

    def _computed(self, layers: Sequence[Layer], x: NDArray[Any]) -> NDArray[np.float32]:
        configure()
        import jax

        from tenfold.learners.forward import forward

        # Highest precision: on a GPU the default products keep only 10 bits of the
        # mantissa.
        with jax.default_matmul_precision("highest"):
            call = jax.jit(lambda parameters, x: forward(layers, parameters, x)[0])
            first, _ = next(_parts(x))
            run = compile_program(call.lower(self.parameters, first.astype(np.float32)))
            parts = [
                np.asarray(run(self.parameters, part.astype(np.float32)))[-n_new:]
                for part, n_new in _parts(x)
            ]
        return np.concatenate(parts)


@dataclass(frozen=True, eq=False)
class Vote:
    """Networks of the same layers that vote.

    The mean of their logits is, up to a constant that a softmax ignores, the mean of the logarithms
    of their probabilities (Hansen and Salamon 1990, "Neural network ensembles").
    """

    members: tuple[Network, ...]

    def answers(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Probabilities (n, n_labels), or values (n,)."""
        of_all = np.stack([member.outputs(x) for member in self.members])
        outputs: NDArray[np.float32] = of_all.mean(axis=0, dtype=np.float32)
        if not isinstance(self.members[0].architecture.layers[-1], Softmax):
            return outputs[:, 0]
        return softmax(outputs).astype(np.float32)

    def hidden(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """The inputs of the output layer of the first network (n, d). With them, unusual pictures
        are recognised as well as with those of all networks, which would be more numbers."""
        return self.members[0].hidden(x)


def _parts(x: NDArray[Any]) -> Iterator[tuple[NDArray[Any], int]]:
    """Yield rows in parts of the same length, for which one compiled program is enough, with the
    number of rows at the end of each part that were not in the part before."""
    n = max(1, min(AT_ONCE, VALUES // max(1, x[0].size), len(x)))
    for i in range(0, len(x), n):
        start = min(i, len(x) - n)
        yield x[start : start + n], start + n - i

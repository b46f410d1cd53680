"""One process of a group: `python -m tenfold.learners.rank FOLDER RANK N PORT`. See `group`.

Rank 0 says each epoch as a line of JSON, when the state after it stands in the folder. The process
ends when its input does: with the one that started it, however that ended.
"""

import dataclasses
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from tenfold.core import files
from tenfold.core.errors import TenfoldError
from tenfold.core.settings import Settings
from tenfold.learners.architectures import build_cnn, build_network, prepare
from tenfold.learners.checkpoints import Checkpoint, decode, encode
from tenfold.learners.group import SETTINGS, START, read_examples, state_path
from tenfold.learners.training import Training
from tenfold.learners.training.distributed import DistributedConvolution, DistributedDense, join


def main() -> None:
    """Train with the others until the last epoch."""
    folder, rank, n, port = Path(sys.argv[1]), *map(int, sys.argv[2:])
    # What a library prints must not stand between our lines.
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    threading.Thread(target=_wait_for_the_end, daemon=True).start()

    def say(facts: dict[str, Any]) -> None:
        if rank == 0:
            out.write(json.dumps(facts) + "\n")

    try:
        prepare()
        join(rank, n, port)
        training = _training(folder)
        for epoch in training:
            state = training.state()
            if rank == 0:
                files.write_bytes(state_path(folder, epoch.epoch), encode(Checkpoint(state, ())))
            say(dataclasses.asdict(epoch))
    except TenfoldError as error:
        say({"error": type(error).__name__, "text": str(error)})
        raise
    threading.Event().wait()  # to end before the others are heard would look like a death


def _training(folder: Path) -> Training:
    """The training of this process, as the folder says."""
    asked = json.loads((folder / SETTINGS).read_bytes())
    settings, n_labels = Settings.model_validate(asked["settings"]), asked["n_labels"]
    train, validation = (read_examples(folder, name) for name in ("train", "validation"))
    assert train is not None
    shape, seed, dropout = train.x.shape[1:], settings.seed, settings.dropout
    training: Training
    if settings.learner == "cnn":
        network = build_cnn(shape, n_labels, seed=seed, width=settings.width, dropout=dropout)
        training = DistributedConvolution(network, train, validation, settings)
    else:
        network = build_network(shape, settings.hidden, n_labels, seed=seed, dropout=dropout)
        training = DistributedDense(network, train, validation, settings)
    training.restore(decode(folder / START).arrays)
    return training


def _wait_for_the_end() -> None:
    while os.read(0, 1):  # not through `sys.stdin`: its lock would abort the end of the interpreter
        pass
    os._exit(0)


if __name__ == "__main__":
    main()

"""One process of a group: `python -m tenfold.learners.rank FOLDER RANK N PORT`. See `group`.

Rank 0 reports each epoch once it has written the state after it to the folder.
"""

import dataclasses
import json
import sys
import threading
from pathlib import Path

from tenfold.core import files
from tenfold.core.errors import TenfoldError
from tenfold.core.processes import Parent
from tenfold.core.settings import Settings
from tenfold.learners.architectures import architecture_of
from tenfold.learners.checkpoints import Checkpoint, encode, read_checkpoint
from tenfold.learners.group import SETTINGS, START, read_examples, state_path
from tenfold.learners.jax_runtime import configure
from tenfold.learners.training import Training, training_of
from tenfold.learners.training.ranks import Ranks, join


def main() -> None:
    """Train with the others until the last epoch."""
    parent = Parent()
    folder, rank, n, port = Path(sys.argv[1]), *map(int, sys.argv[2:])
    try:
        configure()
        join(rank, n, port)
        training = _training(folder)
        for epoch in training:
            state = training.state()
            if rank == 0:
                files.write_bytes(state_path(folder, epoch.epoch), encode(Checkpoint(state, ())))
                parent.send(dataclasses.asdict(epoch))
    except TenfoldError as error:
        if rank == 0:
            parent.send_error(error)
        raise
    # A process that ends before the others have reported would look like a crash.
    threading.Event().wait()


def _training(folder: Path) -> Training:
    """The training of this process, according to the folder."""
    plain = json.loads((folder / SETTINGS).read_bytes())
    settings, n_labels = Settings.model_validate(plain["settings"]), plain["n_labels"]
    train, validation = (read_examples(folder, name) for name in ("train", "validation"))
    assert train is not None
    architecture = architecture_of(settings, train.x.shape[1:], n_labels)
    training = training_of(architecture, train, validation, settings, Ranks())
    training.restore(read_checkpoint(folder / START).arrays)
    return training


if __name__ == "__main__":
    main()

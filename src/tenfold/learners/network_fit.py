"""Fit the learners `network` and `cnn`, one network after the other."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tenfold.core.layers import Architecture, Parameters
from tenfold.core.records import Epoch
from tenfold.learners.architectures import architecture_of, layer_table, rows_at_once
from tenfold.learners.checkpoints import Checkpoint
from tenfold.learners.choice import parts_by_answer, softmax
from tenfold.learners.group import group_epochs
from tenfold.learners.job import CrossAnswers, Examples, Fitted, TrainingJob
from tenfold.learners.network import Network, Vote

if TYPE_CHECKING:
    from tenfold.learners.training import Training

Arrays = dict[str, NDArray[Any]]
"""The arrays of a checkpoint by name."""


def fit_network(job: TrainingJob) -> Fitted:
    """Fit a dense or a convolutional network, or several that vote, according to the settings.
    Resumes from the newest checkpoint.

    If the fit may use the validation rows (`TrainingJob.refit`), each network of a vote on a table
    is fitted to all rows except a part of its own, on which its epoch is chosen (`_parts_of`).

    After Ctrl-C the fit ends with the current epoch. A vote is then left without the network that
    was being trained, unless it was the first one.

    Raises:
      SettingsError: The pictures have a size that a `cnn` does not accept.
      FileError: A checkpoint cannot be written.
    """
    architecture = architecture_of(job.settings, job.train.x.shape[1:], job.n_labels)
    job.listener.layers(layer_table(architecture))
    fit = _Fit(job, architecture, _parts_of(job))
    fit.resume()
    with _stopping() as stop:
        while len(fit.members) < job.settings.members and not stop:
            fit.train_next(stop)
    networks = tuple(Network(architecture, member.parameters) for member in fit.members)
    cross = fit.cross()
    return Fitted(
        job.settings.learner,
        networks[0] if len(networks) == 1 else Vote(networks),
        architecture.n_parameters() * len(networks),
        tuple(fit.history),
        interrupted=bool(stop),
        note=None if cross is None else f"{len(networks)} networks, {PARTED}",
        judged=fit.judged(),
        rows_at_once=rows_at_once(architecture),
        cross=cross,
    )


PARTED = "each fitted to all training and validation rows but a part that chose its epoch"


def _parts_of(job: TrainingJob) -> NDArray[np.int64] | None:
    """For each training row and then each validation row, the number of the network of a vote that
    is fitted without it (n,). None: all networks are fitted to the training rows only.

    The first network is fitted without the validation rows, like a single network, so that their
    novelty can be measured with it. The training rows are divided among the other networks.
    """
    members, held = job.settings.members, job.validation
    if held is None or not job.refit or members < 2:
        return None
    if job.settings.patience is None or job.train.x.ndim > 2:
        return None
    parts = 1 + parts_by_answer(job.settings, job.train.y, members - 1, job.train.group)
    if len(np.unique(parts)) < max(2, members - 1):
        return None
    return np.concatenate([parts, np.zeros(len(held.y), np.int64)])


class _Member(NamedTuple):
    """A fitted network, and its predictions for the rows that chose its epoch, as in
    `Fitted.judged`."""

    parameters: Parameters
    judged: NDArray[np.float32] | None


@dataclass
class _Fit:
    """A fit in progress.

    Attributes:
      members: The finished networks.
      state: The state from which the next network resumes. If it is empty, the network starts anew.
      history: The epochs of all networks, numbered consecutively.
      part_of: The number of the network that is fitted without each row. None: all networks have
        the same rows.
    """

    job: TrainingJob
    architecture: Architecture
    part_of: NDArray[np.int64] | None
    members: list[_Member] = field(default_factory=list)
    state: Arrays = field(default_factory=dict)
    history: list[Epoch] = field(default_factory=list)

    @property
    def n_epochs(self) -> int:
        """Maximum number of epochs of all networks."""
        return self.job.settings.epochs * self.job.settings.members

    def resume(self) -> None:
        """Resume from the newest checkpoint. Damaged ones are skipped with a warning."""
        checkpoints, listener = self.job.checkpoints, self.job.listener
        if checkpoints is None:
            return
        found = checkpoints.newest()
        place = "the beginning" if found is None else f"epoch {len(found.history)}"
        for error in checkpoints.damaged:
            listener.warn(f"{error} Going on from {place}.")
        if found is not None:
            self.members, self.state = _members_of(found.arrays)
            self.history = list(found.history)
            listener.resumed(self.history, self.n_epochs)

    def train_next(self, stop: list[int]) -> None:
        """Train one network, to its end or until a stop is requested."""
        seed = member_seed(self.job.settings.seed, len(self.members))
        job = self.job._replace(settings=self.job.settings.model_copy(update={"seed": seed}))
        if self.part_of is not None:
            own = self.part_of == len(self.members)
            job = job._replace(train=self._rows.take(~own), validation=self._rows.take(own))
        training = self._training(job)
        for epoch in group_epochs(training, job) if job.settings.processes > 1 else training:
            self.history.append(replace(epoch, epoch=len(self.history) + 1))
            job.listener.epoch(self.history[-1], self.n_epochs)
            job.listener.weights(training.weights)
            self._save(training, bool(stop))
            if stop:
                break
        if training.is_done or not self.members:
            self.members.append(_Member(training.fitted(), training.judged()))

    @cached_property
    def _rows(self) -> Examples:
        """The training and the validation rows."""
        assert self.job.validation is not None  # rows only have parts if there are validation rows
        return self.job.train.joined(self.job.validation)

    def cross(self) -> CrossAnswers | None:
        """The prediction for each row by the network that was fitted without it. None if rows have
        no parts."""
        if self.part_of is None:
            return None
        is_answered = self.part_of < len(self.members)
        rows, part_of = self._rows.take(is_answered), self.part_of[is_answered]
        first = self.members[0].judged
        assert first is not None  # the epoch was chosen on the network's part
        answers = np.empty((len(part_of), *first.shape[1:]), np.float32)
        for part, member in enumerate(self.members):
            answers[part_of == part] = member.judged
        return CrossAnswers(rows, part_of, answers)

    def judged(self) -> NDArray[np.float32] | None:
        """The joint prediction of the networks for the validation rows that they were not fitted
        to. None if these rows chose nothing."""
        if self.part_of is not None:
            return self.members[0].judged
        found = [member.judged for member in self.members if member.judged is not None]
        if len(found) < 2:
            return found[0] if found else None
        if self.job.n_labels is None:
            values: NDArray[np.float32] = np.stack(found).mean(axis=0, dtype=np.float32)
            return values
        smallest = np.finfo(np.float32).tiny
        logs = np.mean([np.log(np.maximum(own, smallest)) for own in found], axis=0)
        return softmax(logs).astype(np.float32)

    def _training(self, job: TrainingJob) -> "Training":
        """The training of the next network, from its current state."""
        from tenfold.learners.training import training_of

        training = training_of(self.architecture, job.train, job.validation, job.settings)
        if self.state:
            training.restore(self.state)
            self.state = {}
        return training

    def _save(self, training: "Training", is_stopping: bool) -> None:
        """Write a checkpoint if one is due. After the very last epoch none is needed."""
        checkpoints = self.job.checkpoints
        is_last = training.is_done and len(self.members) + 1 == self.job.settings.members
        if checkpoints is None or not (is_stopping or (checkpoints.are_due and not is_last)):
            return
        arrays = training.state() | _arrays_of(self.members)
        checkpoints.save(Checkpoint(arrays, tuple(self.history)))


def member_seed(seed: int, i: int) -> int:
    """The seed of network i of a vote. The first has the seed of a single network."""
    return seed if i == 0 else int(np.random.SeedSequence((seed, i)).generate_state(1)[0])


FINISHED = "finished"
"""Prefix of the arrays of finished networks in a checkpoint. Others belong to the current
training."""


def _arrays_of(members: list[_Member]) -> Arrays:
    """The arrays of finished networks: `finished.0.parameters.LAYER.NAME`, `finished.0.judged`."""
    arrays = Arrays()
    for i, member in enumerate(members):
        for layer, own in member.parameters.items():
            for name, array in own.items():
                arrays[f"{FINISHED}.{i}.parameters.{layer}.{name}"] = np.asarray(array)
        if member.judged is not None:
            arrays[f"{FINISHED}.{i}.judged"] = member.judged
    return arrays


def _members_of(arrays: Arrays) -> tuple[list[_Member], Arrays]:
    """The finished networks of a checkpoint, and the state of the training in progress."""
    parameters, judged, state = dict[int, dict[str, Arrays]](), Arrays(), Arrays()
    for name, array in arrays.items():
        match name.split("."):
            case [first, i, "parameters", layer, own] if first == FINISHED:
                parameters.setdefault(int(i), {}).setdefault(layer, {})[own] = array
            case [first, i, "judged"] if first == FINISHED:
                judged[i] = array
            case _:
                state[name] = array
    members = [_Member(parameters[i], judged.get(str(i))) for i in sorted(parameters)]
    return members, state


@contextmanager
def _stopping() -> Iterator[list[int]]:
    """Make Ctrl-C, and SIGTERM if it has the same effect, request a stop. A second signal ends the
    process.

    The yielded list contains the number of the signal."""
    stop = list[int]()

    def ask(number: int, _: object) -> None:
        stop.append(number)
        signal.signal(number, signal.SIG_DFL)

    in_main = threading.current_thread() is threading.main_thread()
    ours = [
        number
        for number in (signal.SIGINT, signal.SIGTERM)
        if in_main and signal.getsignal(number) is signal.default_int_handler
    ]
    for number in ours:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number in ours:
            signal.signal(number, signal.default_int_handler)

"""A learning problem, and its rows in the form for a learner. Test rows never come here."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.build.novelty import (
    MAX_VALUES,
    Angle,
    Distance,
    Strangeness,
    fit_angle,
    fit_distance,
    fit_strangeness,
    known_and_strange,
)
from tenfold.build.onnx.fronts import (
    Encoding,
    encode_ordered,
    encode_photos,
    encode_pictures,
    encode_table,
)
from tenfold.build.photos import PhotoFeatures
from tenfold.core.errors import DataError, SettingsError
from tenfold.core.settings import Settings
from tenfold.core.task import Regression, Task, positive_of
from tenfold.data.dataset import Dataset, RowNumbers
from tenfold.data.disk_images import StoredImages, in_memory_bytes
from tenfold.data.split import Split
from tenfold.learners import LEARNERS, Examples, Fitted

MAX_COMPARED = 10_000
"""Maximum number of rows on which the graph is compared with the learner. More rows take time and
show nothing new."""

MAX_COMPARED_PHOTOS = 32
"""The same number for photos. A few are enough, because the same nodes computed their features."""

MAX_NOVELTY = 8_000
"""Maximum number of training rows from which the spread is estimated. 64 axes need no more."""

CENTRES_OF_PICTURES = 50
"""Number of centres of each label for pictures, because a digit is written in several shapes. 20,
30, 50 and 200 were tried: 200 take 0.5 MB and detect no more."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """Rows in the form for a learner, and the same rows in the form for the model.

    Attributes:
      name: The name of the data, for messages.
      task: For regression it has the mean and scale by which targets are standardised.
      train, validation: Pictures or features, with codes or standardised targets.
      compared: Rows on which the model is compared with its learner, as the model takes them: the
        first validation rows, or training rows where there are none. `keys` are their names.
      n_near: Number of leading features that are used for distances between rows. None: all are.
    """

    name: str
    task: Task
    train: Examples
    validation: Examples | None
    encoding: Encoding
    compared: Any
    keys: tuple[str, ...]
    n_near: int | None = None

    def near(self, x: Any) -> Any:
        """The part of the rows (n, ...) from which distances between them are computed."""
        return x if self.n_near is None else x[:, : self.n_near]

    def check(self, settings: Settings) -> None:
        """Refuse before the fit what would otherwise be refused after it."""
        x: Any = self.train.x
        if not self.task.labels and self.validation is None:
            raise DataError(
                "E603",
                "Regression needs validation rows",
                where=self.name,
                expected="validation_size above 0, to measure the interval",
                validation_size=settings.validation_size,
            )
        if isinstance(x, StoredImages) and not LEARNERS[settings.learner].streams:
            able = " or ".join(name for name, known in LEARNERS.items() if known.streams)
            raise DataError(
                "E602",
                "The images would need too much memory",
                where=self.name,
                expected=f"at most {in_memory_bytes()} bytes, or a learner that streams images",
                fix=f"--learner {able}",
                n_bytes=x.size,
                learner=settings.learner,
            )

    @cached_property
    def sample(self) -> RowNumbers:
        """The training rows from which the spread is estimated. They are evenly spaced, because
        rows may be sorted by label."""
        n = len(self.train.y)
        few = min(n, MAX_NOVELTY, max(1_000, MAX_VALUES // self.train.x[0].size))
        return np.linspace(0, n - 1, few).astype(np.int64)

    @cached_property
    def distance(self) -> Distance | Angle | None:
        """The spread of the features of labelled rows, which is the same for every fit to them."""
        return self.distance_from(self.near(self.train.x[self.sample]), self.train.y[self.sample])

    def distance_from(self, x: Any, y: Any) -> Distance | Angle | None:
        """The distance from such rows (n, ...) with their label codes (n,), as `near` gives
        them."""
        if self.encoding.photos:
            return fit_angle(x, y)
        if self.encoding.accepted.kind == "image":
            return fit_distance(x, y, per_label=CENTRES_OF_PICTURES, whitened=False)
        return fit_distance(x, y)

    @cached_property
    def known_and_strange(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Training pictures and strangers, from which strangeness is learned."""
        accepted = self.encoding.accepted
        assert accepted.kind == "image"  # as strangers are drawn
        y = self.train.y.astype(np.int64)
        return known_and_strange(self.train.x, y, accepted, self.task.labels)

    @cached_property
    def strangeness(self) -> Strangeness:
        """What tells strangers by their pixels, which is the same for every fit."""
        return fit_strangeness(*self.known_and_strange)

    def strangeness_by(self, fitted: Fitted, width: int) -> Strangeness:
        """What tells strangers by the hidden values (n, width) of a fitted network."""
        few = max(1_000, MAX_VALUES // width)
        known, strange = (fitted.hidden(images[:few]) for images in self.known_and_strange)
        assert known is not None and strange is not None  # as there is a width
        return fit_strangeness(known, strange, of_hidden=True)


@dataclass(frozen=True, eq=False)
class Problem:
    """A dataset with its split and settings: what is to be learned, from which rows, and how.

    `encoded` contains the rows that another problem with the same data, split and scaling has
    prepared. `features` are the features of the data's photos, which several problems may share.
    With `refit`, a learner may finally be fitted to the validation rows, too, because the model is
    not evaluated on them afterwards.
    """

    data: Dataset
    split: Split
    settings: Settings
    encoded: Prepared | None = None
    features: PhotoFeatures = field(default_factory=PhotoFeatures)
    refit: bool = False

    @cached_property
    def prepared(self) -> Prepared:
        """The rows in the form for the settings' learner."""
        learner = LEARNERS[self.settings.learner]
        if self.encoded is not None:
            return self.encoded
        if learner.photos:
            return prepare_photos(self.data, self.split, self.features)
        return prepare(self.data, self.split, **learner.encoding)

    @property
    def may_join(self) -> bool:
        """Whether the learner may be fitted to the validation rows, too.

        In the order of time the validation rows are the newest ones, and the widths of intervals
        come from their forecasts. Class weights come from the training rows only. An official
        validation set is for validation.
        """
        is_ordered = self.data.info is not None and self.data.info.timeline is not None
        is_official = bool(self.data.validation_rows.size)
        is_bound = is_ordered or is_official or bool(self.settings.class_weights)
        return self.refit and not is_bound

    @cached_property
    def positive(self) -> str | None:
        """The one of two labels that is searched for: the requested one, or else the rarer in
        training."""
        labels, asked = self.data.task.labels, self.settings.positive
        if len(labels) != 2:
            return None
        if asked not in (None, *labels):
            raise SettingsError(
                "E605",
                "There is no such label",
                where=self.data.name,
                expected=" or ".join(labels),
                positive=asked,
            )
        counts = np.bincount(self.data.y[self.split.train], minlength=2)
        return positive_of(labels, counts.tolist(), asked)


def as_seen(data: Dataset, settings: Settings) -> Dataset:
    """The same rows, with pictures in the form for the settings' learner."""
    learner = LEARNERS.get(settings.learner)  # there is none while `auto` chooses, for tables only
    return data.as_photos() if learner is not None and learner.photos else data


def prepare(data: Dataset, split: Split, *, scaled: bool, ordered: bool = False) -> Prepared:
    """Encode the training and validation rows. The encoding is fitted to the training rows only.

    The columns of a table are scaled if `scaled`, and prepared for boosted trees if `ordered`, as
    in `Learner`.
    """
    task, y = data.task, data.y
    if isinstance(task, Regression):
        known = y[split.train]
        mean, scale = float(known.mean()), float(known.std()) or 1.0
        task, y = replace(task, mean=mean, scale=scale), ((y - mean) / scale).astype(np.float32)
    x, held = data.x[split.train], data.x[split.validation]
    assert len(x)  # a split without training rows is refused
    accepted = data.input
    if accepted.kind == "table" and ordered:
        encoding = encode_ordered(x, accepted, y[split.train], data.name)
    elif accepted.kind == "table":
        encoding = encode_table(x, accepted, y[split.train], data.name, scaled=scaled)
    else:
        encoding = encode_pictures(x, accepted)
    compared, rows = (held, split.validation) if len(held) else (x, split.train)

    def groups(some: RowNumbers) -> RowNumbers | None:
        return None if data.groups is None else data.groups[some]

    return Prepared(
        name=data.name,
        task=task,
        train=Examples(encoding.encode_training(x), y[split.train], group=groups(split.train)),
        validation=Examples(
            encoding.encode(held), y[split.validation], group=groups(split.validation)
        )
        if len(held)
        else None,
        encoding=encoding,
        compared=compared[:MAX_COMPARED],
        keys=tuple(data.keys[row] for row in rows[:MAX_COMPARED]),
    )


def prepare_photos(data: Dataset, split: Split, features: PhotoFeatures) -> Prepared:
    """The training and validation pictures as features of a network that was trained on photos."""
    accepted, images = data.input, data.images
    assert accepted.kind == "image"  # these are read by all learners of photos
    parts = (split.train, split.validation)
    (found, views), (found_held, held_views) = features.of_parts(images, parts, accepted)
    held = split.validation if len(split.validation) else split.train
    few = held[:MAX_COMPARED_PHOTOS]
    # Copies of a photo must stay in the same part when the training rows are divided.
    has_copies = len(np.unique(data.group_of)) < len(data)
    groups = [data.group_of[rows] if has_copies else None for rows in parts]
    return Prepared(
        name=data.name,
        task=data.task,
        train=Examples(found, data.y[split.train], group=groups[0], views=views),
        validation=Examples(found_held, data.y[split.validation], group=groups[1], views=held_views)
        if len(found_held)
        else None,
        encoding=encode_photos(accepted),
        compared=np.asarray(images[few]),
        keys=tuple(data.keys[row] for row in few),
    )

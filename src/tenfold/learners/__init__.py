"""The learners: `fit(job) -> Fitted`, which returns a value, so that no half-fitted object exists.

scikit-learn, like JAX, is imported inside functions, so that predicting never imports it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tenfold.core.errors import SettingsError
from tenfold.core.settings import AUTO, RECIPES, Settings
from tenfold.learners.bayes import fit_bayes
from tenfold.learners.boosting import fit_boosting
from tenfold.learners.classical import (
    fit_baseline,
    fit_forest,
    fit_last_value,
    fit_linear,
    fit_logistic,
)
from tenfold.learners.job import Checkpoints, Examples, Fitted, TrainingJob, is_classification
from tenfold.learners.learner import EPOCHS, Accepted, Learner, TaskKind, multiplications
from tenfold.learners.neighbors import fit_neighbors
from tenfold.learners.network_fit import fit_network
from tenfold.learners.transfer import fit_transfer

__all__ = [
    "LEARNERS",
    "Checkpoints",
    "Examples",
    "Fitted",
    "Learner",
    "TrainingJob",
    "check_learner",
    "check_used",
    "default_learner",
    "fit_last_value",
    "is_classification",
    "is_used",
    "multiplications",
]

LEARNERS: dict[str, Learner] = {
    learner.name: learner
    for learner in (
        Learner(
            name="network",
            description="a neural network of dense layers",
            run=fit_network,
            settings=("hidden", *EPOCHS),
            epochs=True,
            divides_batches=True,
            hidden_weight=0.25,
            cost=lambda settings, n_inputs, n_outputs: (
                3.0
                * multiplications(n_inputs, settings.hidden, n_outputs)
                * settings.epochs
                * settings.members
            ),
        ),
        Learner(
            name="cnn",
            description="a convolutional network for pictures",
            run=fit_network,
            tasks=("classification",),
            instead="network",
            settings=("width", *EPOCHS),
            sides=(8, 256),
            epochs=True,
            streams=True,
            hidden_weight=2.0,
            sees_shapes=True,
            cost=lambda settings, n_inputs, n_outputs: math.inf,
        ),
        Learner(
            name="transfer",
            description="a softmax layer on the features of a network trained on other photos",
            run=fit_transfer,
            remembers=True,  # with 1,280 features it can memorise a few hundred photos
            tasks=("classification",),
            instead="network",
            settings=("penalty", "max_steps", "flip"),
            sides=(1, 4096),
            photos=True,
        ),
        Learner(
            name="boosting",
            description="gradient boosting: small trees, each fitted to the remaining errors",
            run=fit_boosting,
            settings=(
                "learning_rate",
                "patience",
                "rounds",
                "max_leaves",
                "min_leaf",
                "leaf_penalty",
                "column_share",
            ),
            scaled=False,
            ordered=True,
            quick_on_pictures=False,
        ),
        Learner(
            name="forest",
            description="a random forest: the mean of many decision trees",
            run=fit_forest,
            remembers=True,
            settings=("n_trees", "min_leaf"),
            scaled=False,
        ),
        Learner(
            name="bayes",
            description="naive Bayes: each column has its own distribution for each label",
            run=fit_bayes,
            is_simple=True,
            tasks=("classification",),
            instead="linear",
        ),
        Learner(
            name="logistic",
            description="softmax regression: a weighted sum of the columns for each label",
            run=fit_logistic,
            is_simple=True,
            tasks=("classification",),
            instead="linear",
            settings=("penalty", "max_steps"),
        ),
        Learner(
            name="linear",
            description="ridge regression: a weighted sum of the columns",
            run=fit_linear,
            is_simple=True,
            tasks=("regression",),
            instead="logistic",
            settings=("penalty",),
        ),
        Learner(
            name="neighbors",
            description="nearest neighbours: the vote of the most similar training rows",
            run=fit_neighbors,
            remembers=True,
            settings=("n_neighbors",),
        ),
        Learner(
            name="baseline",
            description="the same prediction for every row, which others must beat",
            run=fit_baseline,
            is_simple=True,
            scaled=False,
            looks=False,
        ),
    )
}
"""Every learner by name."""


def default_learner(accepted: Accepted, asked: Mapping[str, Any], *, in_files: bool) -> str:
    """The default learner: `auto` for tables and colour picture files, unless a setting is given
    that only networks use; otherwise `network`."""
    is_photos = in_files and accepted.kind == "image" and accepted.channels == 3
    is_for_network = any(name in LEARNERS["network"].settings for name in asked)
    if is_for_network or not (is_photos or accepted.kind == "table"):
        return "network"
    in_recipe = RECIPES[asked["recipe"]]
    names = (AUTO, "transfer", "network") if is_photos else (AUTO, "network")
    return next(name for name in names if name in in_recipe)


def check_learner(settings: Settings, task: TaskKind, accepted: Accepted) -> None:
    """Refuse a learner that does not support the task, the kind of rows, or the number of
    processes.

    Raises:
    """
    if settings.learner == AUTO:
        _check_choice(accepted)
        return
    learner = LEARNERS[settings.learner]
    able = [
        other.name for other in LEARNERS.values() if task in other.tasks and other.accepts(accepted)
    ]
    fix = f"Did you mean {learner.instead!r}?" if learner.instead in able else None
    if task not in learner.tasks:
        expected = f"one of {', '.join(able)}"
        raise SettingsError(
            "E626",
            f"This learner is not for {task}",
            expected=expected,
            fix=fix,
            learner=learner.name,
        )
    if learner.sides and accepted.kind != "image":
        raise SettingsError(
            "E632",
            "The learner works with pictures only",
            expected="pictures, or another learner for a table",
            fix=fix,
            learner=learner.name,
        )
    if learner.divides_batches and settings.batch_size % settings.processes:
        raise SettingsError(
            "E634",
            "The processes cannot share a batch equally",
            expected=f"a divisor of the batch size, {settings.batch_size}",
            processes=settings.processes,
        )


def _check_choice(accepted: Accepted) -> None:
    if accepted.kind == "image" and accepted.channels != 3:
        raise SettingsError(
            "E636",
            "The learner auto works with tables and colour pictures only",
            expected="a table, colour pictures, or a learner by name",
            fix="Use --learner network",
            learner=AUTO,
        )


def check_used(asked: Iterable[str], learners: Sequence[str]) -> None:
    """Refuse settings that none of the learners uses. Unknown learners are ignored.

    Raises:
      SettingsError: A setting is unused. The message names the learners that use it.
    """
    known = [name for name in learners if name in LEARNERS]
    for setting in asked:
        if known and not any(is_used(setting, name) for name in known):
            users = [name for name in LEARNERS if is_used(setting, name)]
            raise SettingsError(
                "E105",
                "The learner does not use this setting",
                expected=f"{setting} for {' or '.join(users)} only",
                fix=f"Leave out {setting}",
                setting=setting,
                learner=", ".join(known),
            )


def is_used(setting: str, learner: str) -> bool:
    """Whether a learner uses a setting. Settings that belong to no learner are used by all."""
    own = LEARNERS[learner].settings
    return setting in own or not any(setting in other.settings for other in LEARNERS.values())

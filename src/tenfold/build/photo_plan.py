"""The candidates of `auto` for a folder of colour pictures.

The plan depends only on the number of pictures, never on the clock.
"""

from dataclasses import replace
from typing import Any

from tenfold.build.problem import Problem, as_seen
from tenfold.core.settings import FEW_PICTURES, RECIPES, TRIED_ON_FEW
from tenfold.data.disk_images import StoredImages
from tenfold.learners import LEARNERS

MANY = 500
"""With at least this number of training pictures, networks that learn from these pictures alone are
tried, too. For five flowers with 203 training pictures, `cnn` predicts 47% of the test pictures
correctly and `transfer` 91%; for coloured digits with 675, it is 96 and 89%."""

MOST_STEPS, EPOCHS = 20_000, (8, 30)
"""Number of pictures that a `cnn` processes in all its epochs together, and limits for the number
of epochs. Two epochs take about as long as computing the features of the pictures. With 675
pictures, 30 epochs are no more accurate than 15."""

SMALL: dict[str, Any] = FEW_PICTURES | TRIED_ON_FEW["cnn"]
"""The settings with which `auto` tries a `cnn`: a small network with few epochs."""


def problems_of_pictures(problem: Problem) -> list[Problem]:
    """The same problem for each candidate of `auto`, with the pictures in the form that it takes.

    The candidate on features of photos always comes first. With fewer than 500 training pictures,
    or without validation rows, it is the only one.
    """
    n_rows, settings = len(problem.split.train), problem.settings
    names = ["transfer"]
    if n_rows >= MANY and len(problem.split.validation):
        names += [name for name in ("cnn", "network") if _is_able(name, problem)]
    low, high = EPOCHS
    of_plan = {"cnn": SMALL | {"epochs": min(high, max(low, MOST_STEPS // n_rows))}}
    problems = []
    for name in names:
        own = {**RECIPES["default"][name], **of_plan.get(name, {}), "learner": name}
        tried = settings.model_copy(update=own)
        problems.append(replace(problem, data=as_seen(problem.data, tried), settings=tried))
    return problems


def _is_able(name: str, problem: Problem) -> bool:
    learner, data = LEARNERS[name], problem.data
    is_streamed = isinstance(data.images, StoredImages)
    return learner.accepts(data.input) and (learner.streams or not is_streamed)

"""Which learners a folder of colour pictures is tried with where `auto` is asked for.

The plan follows from the number of pictures alone, never from the clock.
"""

from dataclasses import replace
from typing import Any

from tenfold.build.problem import Problem, as_seen
from tenfold.core.settings import FEW_PICTURES, RECIPES, TRIED_ON_FEW
from tenfold.data.disk_images import StoredImages
from tenfold.learners import LEARNERS

MANY = 500
"""From so many training pictures on, networks that learn from these alone are tried too. Of five
flowers with 203 training pictures `cnn` gets 47% of the test pictures right and `transfer` 91%; of
coloured digits 96 and 89% with 675."""

MOST_STEPS, EPOCHS = 20_000, (8, 30)
"""A `cnn` sees so many pictures in all its epochs, whose number stays between these two: two of
them take about as long as the features of one. 30 epochs of 675 pictures find no more than 15."""

SMALL: dict[str, Any] = FEW_PICTURES | TRIED_ON_FEW["cnn"]
"""How a `cnn` is tried: in the epochs of few pictures, and small."""


def problems_of_pictures(problem: Problem) -> list[Problem]:
    """The same problem for each learner that `auto` tries, each with the pictures as it sees them.

    Features of photos are tried first, whatever they take. Fewer than 500 training pictures, or
    none to choose by, leave it at these.
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

"""What is asked of a training: how a table is read, settings, recipes, how they are resolved."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from tenfold.core.contract import ColumnKind, Frozen
from tenfold.core.errors import SettingsError, did_you_mean


class Reading(Frozen):
    """How a table is read, as asked; None leaves it to what the file shows.

    Attributes:
      target: Column that is predicted, by name, or by position where there is no header.
      task: Overrules what the target's values suggest.
      columns: Kind of a column, overruling what its cells suggest.
      header: Whether the first row holds names.
      separator: Character between cells.
      time: Column that orders the rows: train on the past, test on the future.
      lags: How many earlier values of the target become columns; 7 when None and `time` is given.
    """

    target: str | None = None
    task: Literal["classification", "regression"] | None = None
    columns: dict[str, ColumnKind] = {}
    header: bool | None = None
    separator: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    time: str | None = None
    lags: Annotated[int, Field(ge=0, le=10_000)] | None = None

    @field_validator("lags")
    @classmethod
    def _lags_need_time(cls, lags: int | None, before: ValidationInfo) -> int | None:
        if lags and before.data.get("time") is None:
            raise ValueError("a column of time that orders the rows: --time")
        return lags


class Settings(Frozen):
    """Everything that decides a fit, resolved: what was asked, over its recipe, over the defaults.

    Attributes:
      split_seed: Decides which rows are for what, where runs of several seeds share them; None:
        `seed` does.
      hidden: Neurons of each hidden layer, first to last.
      learning_rate: Step size at the start, or at the top of a cycle. The default is for one layer
        of 128 and is scaled to other layers by `resolve`.
      schedule: `linear` lets the step size fall to 0 along a straight line; `cycle` lets it rise
        along one for the first fifth, and then fall.
      label_smoothing: Share of each answer that is spread over all labels.
      average: The fitted weights are a running average over the steps, which keeps this share of
        itself at each step. 0: the last weights.
      learner: How to fit.
      recipe: The named set of settings that stands between what was asked and the defaults.
      seed: Decides everything that is random: split, first weights, order of the rows, bends.
      epochs: Times each training row is seen.
      batch_size: Rows per step.
      optimizer: The rule of a step: plain gradient descent, or Adam.
      dropout: Share of each hidden layer's outputs that is silenced while training.
      weight_decay: Pull of the kernels towards 0: in each step by this share of the step size.
      class_weights: What the rows of each label count in training, in the order of the labels;
        `balanced`: every label as much as every other one, however many rows it has.
      cost: What mistakes cost, `false_negative` and `false_positive` (1 where not given): the
        threshold that costs least on the validation rows then decides between two labels.
      positive: Of two labels the one that is looked for; None: the rarer one.
      recall: Share of the positive rows that is to be found, for the precision it leaves.
      shift_px: Pixels by which each image may be moved, anew each epoch, up, down and sideways.
      rotate_degrees, zoom, shear: How far pictures may be turned, made larger or smaller (0.1: by a
        tenth), and slanted, anew each epoch; a few neighbours in a batch alike.
      elastic_px: Deviation of a smooth random field that waves them.
      thicken: How far strokes may grow or shrink, as a share of a pixel each way.
      contrast: By how much they may become fainter.
      clean_epochs: The last epochs see the pictures as they are.
      width: Channels of the first convolution of a `cnn`; the later ones have a multiple.
      n_trees: Trees of a forest.
      min_leaf: Training rows in each leaf of a tree, at least; None: 1, for regression 2.
      n_neighbors: Neighbours that vote; None: chosen on the validation rows, 5 without any.
      penalty: Weight of the sum of squared weights of `logistic` and `linear` beside the summed
        loss; None: chosen on the validation rows, 1 without any.
      max_steps: Steps of `logistic` for each penalty, at most.
      test_size: Share of the training part held out for testing; None: the official test part.
      validation_size: Share of the training rows left that is held out to watch training.
      folds: Also cross-validate with so many models, for the spread of the scores.
      robustness: Also measure on changed test rows: moved, turned, noisy, or without a column.
      patience: Epochs without a lower validation loss after which training stops; the weights of
        the lowest one are kept. None: all epochs are trained and the last weights are kept.
      processes: Processes that train one network together; sums of gradients have other last bits.
    """

    learner: Literal[
        "network", "cnn", "forest", "bayes", "logistic", "linear", "neighbors", "baseline"
    ] = "network"
    recipe: str = "default"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    split_seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    hidden: Annotated[tuple[Annotated[int, Field(ge=1, le=65_536)], ...], Field(max_length=64)] = (
        128,
    )
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 20
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 128
    optimizer: Literal["sgd", "adam"] = "adam"
    learning_rate: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] = 0.01
    schedule: Literal["constant", "linear", "cycle"] = "cycle"
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.05
    average: Annotated[float, Field(ge=0, lt=1)] = 0.999
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    weight_decay: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    class_weights: (
        Literal["balanced"]
        | Annotated[
            tuple[Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)], ...],
            Field(min_length=2),
        ]
        | None
    ) = None
    cost: dict[
        Literal["false_negative", "false_positive"],
        Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)],
    ] = {}
    positive: str | None = None
    recall: Annotated[float, Field(gt=0, le=1)] = 0.8
    shift_px: Annotated[int, Field(ge=0, le=64)] = 1
    rotate_degrees: Annotated[float, Field(ge=0, le=180)] = 0.0
    zoom: Annotated[float, Field(ge=0, lt=1)] = 0.0
    shear: Annotated[float, Field(ge=0, le=1)] = 0.0
    elastic_px: Annotated[float, Field(ge=0, le=10)] = 0.0
    thicken: Annotated[float, Field(ge=0, le=1)] = 0.0
    contrast: Annotated[float, Field(ge=0, lt=1)] = 0.0
    clean_epochs: Annotated[int, Field(ge=0)] = 0
    width: Annotated[int, Field(ge=1, le=1024)] = 32
    n_trees: Annotated[int, Field(ge=1, le=10_000)] = 100
    min_leaf: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    n_neighbors: Annotated[int, Field(ge=1, le=1_000)] | None = None
    penalty: Annotated[float, Field(ge=1e-9, le=1e9)] | None = None
    max_steps: Annotated[int, Field(ge=1, le=100_000)] = 200
    test_size: Annotated[float, Field(gt=0, lt=1)] | None = None
    validation_size: Annotated[float, Field(ge=0, lt=1)] = 0.1
    folds: Annotated[int, Field(ge=2, le=1_000)] | None = None
    robustness: bool = False
    patience: Annotated[int, Field(ge=1, le=100_000)] | None = None
    processes: Annotated[int, Field(ge=1, le=64)] = 1

    @field_validator("processes")
    @classmethod
    def _processes_share_a_network(cls, processes: int, before: ValidationInfo) -> int:
        learner, batch_size = before.data.get("learner"), before.data.get("batch_size")
        if processes > 1 and learner not in ("network", "cnn"):
            raise ValueError(f"1 for the learner {learner!r}: a network or a cnn is shared alone")
        if learner == "network" and batch_size and batch_size % processes:
            raise ValueError(f"a divisor of the batch size, {batch_size}")
        return processes

    @field_validator("patience")
    @classmethod
    def _patience_needs_validation_rows(
        cls, patience: int | None, before: ValidationInfo
    ) -> int | None:
        if patience is not None and before.data.get("validation_size") == 0:
            raise ValueError("validation rows to watch: validation_size above 0")
        return patience


BENDS: dict[str, Any] = {
    "shift_px": 2,
    "rotate_degrees": 12.0,
    "zoom": 0.1,
    "shear": 0.1,
    "elastic_px": 0.5,
    "clean_epochs": 2,
}
"""How pictures are bent where there are epochs enough to learn from it."""


CNN: dict[str, Any] = BENDS | {
    "epochs": 30,
    "learning_rate": 0.004,
    "average": 0.998,
    "weight_decay": 0.05,
}


RECIPES: dict[str, dict[str, dict[str, Any]]] = {
    "default": {
        learner: CNN if learner == "cnn" else {}
        for learner in (
            "network", "cnn", "forest", "bayes", "logistic", "linear", "neighbors", "baseline",
        )
    },
    "tutorial": {
        "network": {
            "epochs": 20,
            "optimizer": "sgd",
            "learning_rate": 0.01,
            "schedule": "constant",
            "label_smoothing": 0.0,
            "average": 0.0,
            "shift_px": 0,
            "test_size": 0.25,
            "validation_size": 0.0,
        },
    },
    "fast": {
        "network": {"epochs": 5},
        "cnn": CNN | {"epochs": 8, "clean_epochs": 1, "weight_decay": 0.2},
        "forest": {"n_trees": 30},
        "bayes": {},
        "logistic": {"penalty": 10.0, "max_steps": 30},
        "linear": {"penalty": 1.0},
        "neighbors": {"n_neighbors": 5},
        "baseline": {},
    },
    "long": {
        "network": {
            "epochs": 80,
            "rotate_degrees": 8.0,
            "zoom": 0.08,
            "shear": 0.08,
            "elastic_px": 0.3,
            "clean_epochs": 3,
        },
    },
    "accurate": {
        "network": BENDS | {"hidden": (1024, 1024), "epochs": 100},
        "cnn": CNN | {"width": 48, "epochs": 60},
    },
}  # fmt: skip
"""Recipe to learner to settings; each says only where it differs from `Settings`."""


TABLE: dict[str, Any] = {
    "hidden": (256, 128),
    "epochs": 60,
    "learning_rate": 0.002,
    "schedule": "linear",
    "average": 0.998,
    "weight_decay": 0.05,
    "patience": 15,
    "shift_px": 0,
    "validation_size": 0.15,
}
"""Where the default for tables differs: they have fewer rows, and nothing to shift."""


def check_reading(**asked: Any) -> Reading:
    """How a table is to be read, checked.

    Raises:
      SettingsError: Values outside their rule, all of them in one message.
    """
    try:
        return Reading.model_validate(asked)
    except ValidationError as error:
        raise _refusal(_problems(error)) from error


def check_settings(asked: dict[str, Any], names: Mapping[str, str]) -> Settings:
    """Settings that a caller knows by other names.

    Args:
      asked: Settings by name; the others keep their defaults.
      names: What the caller calls a setting, where it is another name; for messages.

    Raises:
      SettingsError: Values outside their rule, all of them in one message.
    """
    try:
        return Settings.model_validate(asked)
    except ValidationError as error:
        raise _refusal(_problems(error, names)) from error


def resolve(asked: dict[str, Any], *, table: bool = False) -> Settings:
    """Complete what was asked by its recipe and the defaults.

    Args:
      asked: Settings by name.
      table: Whether they are for a table, whose defaults are others.

    Raises:
      SettingsError: Unknown names or values outside their rule, all of them in one message.
    """
    recipe, learner = str(asked.get("recipe", "default")), str(asked.get("learner", "network"))
    problems = []
    if recipe not in RECIPES:
        problems.append(_problem("recipe", recipe, f"one of {', '.join(RECIPES)}", RECIPES))
    elif learner in RECIPES["default"] and learner not in RECIPES[recipe]:
        able = ", ".join(RECIPES[recipe])
        problems.append(_problem("learner", learner, f"{able} with recipe {recipe!r}", ()))
    for name in asked.keys() - Settings.model_fields.keys():
        problems.append(_problem(name, asked[name], "a known setting", Settings.model_fields))
    known = {name: value for name, value in asked.items() if name in Settings.model_fields}
    known = {**(TABLE if table else {}), **RECIPES.get(recipe, {}).get(learner, {}), **known}
    if known.get("validation_size") == 0 and "patience" not in asked:
        known["patience"] = None  # nothing to watch
    if table and learner == "cnn":
        problems.append(_problem("learner", learner, "another one for a table: 'network'", ()))
    elif table and known.get("shift_px"):
        problems.append(_problem("shift_px", known["shift_px"], "0: a table has no pixels", ()))
    try:
        settings = Settings.model_validate(known)
        if "learning_rate" not in known and learner != "cnn":
            rate = scaled_learning_rate(settings.learning_rate, settings.hidden)
            settings = settings.model_copy(update={"learning_rate": rate})
    except ValidationError as error:
        problems += _problems(error)
    if problems:
        raise _refusal(problems)
    return settings


def scaled_learning_rate(rate: float, hidden: tuple[int, ...]) -> float:
    """Adam's learning rate for other layers than the one of 128 that `rate` was chosen for.

    Less for wide layers, by the root of the width or, with a single one, its fourth root; and less
    by the root of the number of layers. Fitted to the best of five rates for each of twelve
    networks, from 32 to 2,048 neurons and one to four layers (docs/guide/training.md).
    """
    if not hidden:
        return rate
    power = 0.25 if len(hidden) == 1 else 0.5
    scaled = rate * (128 / max(hidden)) ** power / len(hidden) ** 0.5
    return float(f"{scaled:.3g}")


def _refusal(problems: Sequence[str]) -> SettingsError:
    return SettingsError("E100", f"Unusable settings: {'; '.join(sorted(problems))}")


def _problems(error: ValidationError, names: Mapping[str, str] | None = None) -> list[str]:
    """What pydantic found, a line for each value."""
    problems = []
    for detail in error.errors():
        first, *rest = map(str, detail["loc"])
        name = ".".join([(names or {}).get(first, first), *rest])
        choices = re.findall(r"'([^']+)'", detail.get("ctx", {}).get("expected", ""))
        problems.append(_problem(name, detail["input"], _rule(detail["msg"]), choices))
    return problems


def _rule(pydantic_says: str) -> str:
    return pydantic_says.removeprefix("Input should be ").removeprefix("Value error, ")


def _problem(name: str, value: object, rule: str, known: Any) -> str:
    hint = did_you_mean(name if known is Settings.model_fields else str(value), known)
    return f"{name}={value!r}, expected {rule}" + (f" ({hint})" if hint else "")

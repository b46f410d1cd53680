"""The options of a training: how a table is read, settings, recipes, and how they are resolved.

A setting is defined once, as a field with its type, bounds, default and description. The flags of
the command line, the reference and the report's "Train the same again" are made from the fields.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from tenfold.core.contract import DATE_FORMATS, KINDS, ColumnKind, Frozen
from tenfold.core.errors import SettingsError, did_you_mean
from tenfold.core.task import TaskKind

T = TypeVar("T")
M = TypeVar("M", bound=Frozen)


@dataclass(frozen=True)
class Flag:
    """Marks a field for which the command line has a flag, optionally with another name.

    `metavar` is shown for the value in the help. None: its type.
    """

    metavar: str | None = None
    name: str = ""

    @property
    def word(self) -> str:
        """The flag: `--batch-size`."""
        return f"--{self.name}"

    @property
    def parameter(self) -> str:
        """The name of the parameter in a program: `batch_size`."""
        return self.name.replace("-", "_")


Flagged = Annotated[T, Flag()]
"""A field whose flag has its own name."""

LearnerName = Literal[
    "network",
    "cnn",
    "transfer",
    "auto",
    "boosting",
    "forest",
    "bayes",
    "logistic",
    "linear",
    "neighbors",
    "baseline",
]
AUTO = "auto"
"""The name of the learner for which `tenfold.build.choose` chooses one by the data."""

RecipeName = Literal["default", "tutorial", "fast", "long", "accurate"]
Mistake = Literal["false_negative", "false_positive"]

Width = Annotated[int, Field(ge=1, le=65_536)]
Weight = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Cost = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]


def split_kind(kind: str) -> tuple[ColumnKind, str]:
    """Split a column's kind from the notation of its cells after a colon. Raises a `ValueError` if
    there is no such kind or notation."""
    name, _, written = kind.partition(":")
    ways = {"number": (",", "."), "date": DATE_FORMATS}.get(name, ())
    if name not in KINDS or (written and written not in ways):
        raise ValueError(
            f"expected one of {', '.join(KINDS)}; number:, or number:. for the decimal mark; "
            f"or date:FORMAT with one of {', '.join(DATE_FORMATS)}"
        )
    return name, written


def _check_kind(kind: str) -> str:
    split_kind(kind)
    return kind


KindText = Annotated[str, AfterValidator(_check_kind)]
"""A requested kind of column: `number`, `number:,`, `date:%d/%m/%Y`."""


class Reading(Frozen):
    """The options for reading a table. Options that are None are determined from the content of the
    file."""

    target: Annotated[str | None, Flag("COLUMN")] = Field(
        default=None,
        description="The column to predict: its name, or its number if there is no header (0 is "
        "the first, -1 the last).",
    )
    task: Flagged[TaskKind | None] = Field(
        default=None,
        description="Predict labels or numbers; without it, the values of the target decide.",
    )
    columns: Annotated[dict[str, KindText], Flag("NAME=KIND", "column")] = Field(
        default={},
        description=f"How to read a column: {', '.join(KINDS)}. number:, means that its numbers "
        "have a decimal comma; date:%d/%m/%Y is the format of its dates.",
    )
    drop: Annotated[tuple[str, ...], Flag("COLUMN")] = Field(
        default=(),
        description="A column that the model must not use, such as one that will not be known.",
    )
    id: Annotated[str | None, Flag("COLUMN")] = Field(
        default=None,
        description="A column that names each row. The model does not learn from it; it is "
        "shown beside the predictions.",
    )
    na_values: Annotated[tuple[str, ...] | None, Flag("TEXT")] = Field(
        default=None,
        description="A text that means a missing cell, instead of the usual ones (NA, N/A, NaN, "
        "null, None, ?, - and similar). Empty cells are always missing; '' alone "
        "means only those.",
    )
    group: Annotated[str | None, Flag("COLUMN")] = Field(
        default=None,
        description="A column that says which rows belong together, such as those of one "
        "patient. The rows of a group stay in the same part of the split and in the "
        "same fold, and intervals refer to new groups. The model does not learn from "
        "it.",
    )
    equal_rows: Flagged[Literal["spread", "together"] | None] = Field(
        default="spread",
        description="What to do with rows that are equal in every column: `spread` them over "
        "training, validation and test set as they occur, or keep them `together` "
        "in one, if they are copies made by mistake.",
    )
    white: Flagged[float | None] = Field(
        default=None,
        gt=0,
        le=65_535,
        allow_inf_nan=False,
        description="The pixel value of white in pictures stored as numbers, or with more than "
        "8 bits, such as 1 or 255, if the pictures do not show it.",
    )
    header: Flagged[bool | None] = Field(
        default=None, description="Whether the first row contains the names of the columns."
    )
    separator: Flagged[str | None] = Field(
        default=None,
        min_length=1,
        max_length=1,
        description="The character between cells, or 'tab'.",
    )
    encoding: Flagged[str | None] = Field(
        default=None,
        min_length=1,
        max_length=40,
        description="The encoding of a text file, such as cp1252, gbk or shift_jis.",
    )
    time: Annotated[str | None, Flag("COLUMN")] = Field(
        default=None,
        description="The column by which the rows are ordered; the model is trained on the past "
        "and tested on the future.",
    )
    lags: Flagged[int | None] = Field(
        default=None,
        ge=0,
        le=10_000,
        description="The number of earlier values of the target that are added as columns, 7 by "
        "default with --time.",
    )
    series: Annotated[str | tuple[str, ...] | None, Flag("COLUMN")] = Field(
        default=None,
        description="The column that names the series if a table contains several, such as one "
        "for each shop; or several columns, as in shop,item. Earlier values and "
        "forecasts stay within a series.",
    )

    @property
    def unread(self) -> tuple[str, ...]:
        """The columns that the user excluded from learning."""
        return tuple(name for name, kind in self.columns.items() if kind == "identifier")

    @model_validator(mode="before")
    @classmethod
    def _dropped_columns_identify_their_row(cls, given: Any) -> Any:
        named = [given[name] for name in ("id", "group") if given.get(name)] if given else []
        if isinstance(given, dict) and (given.get("drop") or named):
            unused = [*given.get("drop", ()), *named]
            kinds = dict.fromkeys(unused, "identifier") | given.get("columns", {})
            return given | {"columns": kinds}
        return given

    @field_validator("separator", mode="before")
    @classmethod
    def _tab_has_a_name(cls, separator: Any) -> Any:
        return "\t" if separator in ("tab", "\\t") else separator

    @field_validator("lags")
    @classmethod
    def _lags_need_time(cls, lags: int | None, before: ValidationInfo) -> int | None:
        if lags and before.data.get("time") is None:
            raise ValueError("a column of time that orders the rows: --time")
        return lags

    @field_validator("time", "equal_rows")
    @classmethod
    def _groups_are_the_one_rule(cls, value: str | None, before: ValidationInfo) -> str | None:
        if before.data.get("group") is not None and value not in (None, "spread"):
            why = "none beside --group, which alone says what stays together; leave one of them out"
            raise ValueError(why)
        return value

    @field_validator("series")
    @classmethod
    def _series_need_time(
        cls, series: str | tuple[str, ...] | None, before: ValidationInfo
    ) -> str | tuple[str, ...] | None:
        if isinstance(series, tuple) and len(series) < 2:
            series = series[0] if series else None
        columns = (series,) if isinstance(series, str) else series or ()
        if columns and before.data.get("time") in (None, *columns):
            raise ValueError("a column of time beside it that orders the rows: --time")
        return series


class Settings(Frozen):
    """All settings of a fit. Given settings have precedence over the recipe, and the recipe over
    the defaults."""

    learner: Flagged[LearnerName] = Field(
        default="network",
        description="The kind of model. By default auto for tables and for folders of colour "
        "pictures, network for everything else.",
    )
    recipe: Flagged[RecipeName] = Field(
        default="default",
        description="A named set of settings; settings that you give yourself take precedence.",
    )
    seed: Flagged[int] = Field(
        default=0,
        ge=0,
        lt=2**32,
        description="The seed of everything random: the split, the initial weights and the "
        "order of the rows.",
    )
    split_seed: int | None = Field(
        default=None,
        ge=0,
        lt=2**32,
        description="The seed of the split alone, so that runs with several seeds can share it; "
        "none: the same as `seed`.",
    )
    hidden: Flagged[tuple[Width, ...]] = Field(
        default=(128,),
        max_length=64,
        description="The number of neurons in each hidden layer, from the first to the last.",
        examples=["128,64"],
    )
    epochs: Flagged[int] = Field(
        default=20, ge=1, le=100_000, description="How many times the training set is used."
    )
    batch_size: Flagged[int] = Field(
        default=128, ge=1, le=1_000_000, description="The number of rows in each training step."
    )
    optimizer: Literal["sgd", "adam"] = Field(
        default="adam",
        description="The optimisation algorithm: stochastic gradient descent or Adam.",
    )
    learning_rate: Flagged[float] = Field(
        default=0.01,
        gt=0,
        le=100,
        allow_inf_nan=False,
        description="The learning rate at the start, or at the top of a cycle. The default is "
        "meant for one hidden layer of 128 neurons, and is adapted to other layers.",
    )
    schedule: Literal["constant", "linear", "cycle"] = Field(
        default="cycle",
        description="How the learning rate changes: with `linear` it falls linearly to 0; with "
        "`cycle` it rises linearly during the first fifth and then falls.",
    )
    label_smoothing: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="The share of each true label that is spread evenly over all labels.",
    )
    average: float = Field(
        default=0.999,
        ge=0,
        lt=1,
        description="Keep a moving average of the weights, which retains this share of itself "
        "at each step; 0: use the last weights.",
    )
    dropout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="The share of each hidden layer's outputs that is set to 0 at random while "
        "training.",
    )
    weight_decay: float = Field(
        default=0.0,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Shrink the weights in each step by this share of the step size.",
    )
    class_weights: Flagged[
        Literal["balanced"] | Annotated[tuple[Weight, ...], Field(min_length=2)] | None
    ] = Field(
        default=None,
        description="`balanced` gives every label the same total weight; otherwise the weight "
        "of the rows of each label, in the order of the labels.",
        examples=["1,20"],
    )
    cost: Annotated[dict[Mistake, Cost], Flag("NAME=N")] = Field(
        default={},
        description="The cost of a false_negative or a false_positive, 1 by default. The model "
        "then decides between two labels by the threshold with the lowest cost on "
        "the validation set.",
    )
    positive: Flagged[str | None] = Field(
        default=None,
        description="The label to look for if there are two; by default the rarer one.",
    )
    recall: Flagged[float] = Field(
        default=0.8,
        gt=0,
        le=1,
        description="The share of the positive rows to find; the report gives the precision at "
        "this recall.",
    )
    shift_px: int = Field(
        default=1,
        ge=0,
        le=64,
        description="Augmentation: shift each picture by at most this many pixels in each "
        "direction.",
    )
    rotate_degrees: float = Field(
        default=0.0,
        ge=0,
        le=180,
        description="Augmentation: rotate each picture by at most this many degrees.",
    )
    zoom: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Augmentation: enlarge or shrink each picture by at most this share (0.1: a "
        "tenth).",
    )
    shear: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Augmentation: shear each picture by at most this much.",
    )
    elastic_px: float = Field(
        default=0.0,
        ge=0,
        le=10,
        description="Augmentation: the standard deviation of the elastic distortion, in pixels.",
    )
    thicken: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Augmentation: make strokes thicker or thinner by at most this share of a "
        "pixel.",
    )
    contrast: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Augmentation: reduce the contrast of each picture by at most this share.",
    )
    clean_epochs: int = Field(
        default=0, ge=0, description="The number of final epochs without augmentation."
    )
    members: Annotated[int, Flag("N")] = Field(
        default=1,
        ge=1,
        le=64,
        description="The number of networks that vote. They are trained one after the other with "
        "different seeds, and the model averages their predictions.",
    )
    width: int = Field(
        default=32,
        ge=1,
        le=1024,
        description="The number of channels of the first convolution; later ones have a "
        "multiple of it.",
    )
    n_trees: int = Field(
        default=100, ge=1, le=10_000, description="The number of trees in a random forest."
    )
    min_leaf: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="The minimum number of training rows in a leaf of a tree; none: 1 in a "
        "forest, or 2 for regression, and 10 in boosted trees, or 5 with fewer than 2,000 rows.",
    )
    rounds: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="The maximum number of boosting rounds; each adds a tree, or one for each "
        "of several labels. None: 300 for the few rows that end them by folds, 1,000 if 50 or more "
        "validation rows can stop them, or fewer with more than five labels; otherwise 200.",
    )
    max_leaves: int = Field(
        default=31, ge=2, le=4096, description="The maximum number of leaves of a boosted tree."
    )
    leaf_penalty: float = Field(
        default=0.0,
        ge=0,
        le=1e9,
        allow_inf_nan=False,
        description="L2 regularisation of boosted trees: pulls the values in the leaves towards "
        "0, as this many rows that need no change would.",
    )
    column_share: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="The share of the columns, drawn again for each split, that a boosted tree "
        "considers.",
    )
    n_neighbors: int | None = Field(
        default=None,
        ge=1,
        le=1_000,
        description="The number of neighbours that vote. By default it is chosen on the "
        "validation set, or 5 without one.",
    )
    penalty: float | None = Field(
        default=None,
        ge=1e-9,
        le=1e9,
        description="The weight of the L2 penalty (the sum of the squared weights) relative to "
        "the summed loss. By default it is chosen on the validation set (by `transfer` in "
        "cross-validation), or 1 without one.",
    )
    flip: Flagged[bool | None] = Field(
        default=None,
        description="Also train on mirrored copies of photos. Do not use it for things whose "
        "left and right matter, such as letters and signs. By default it is used if "
        "it improves predictions of held-out rows.",
    )
    minutes: Flagged[float] = Field(
        default=1.0,
        gt=0,
        le=10_000,
        description="The estimated time for `auto`, in minutes on two cores. It determines which "
        "learners are tried, by a table of costs and not by the clock.",
    )
    max_steps: int = Field(
        default=200,
        ge=1,
        le=100_000,
        description="The maximum number of optimisation steps for each penalty.",
    )
    test_size: Flagged[float | None] = Field(
        default=None,
        gt=0,
        lt=1,
        description="The share of the data to hold out for testing, instead of the official "
        "test set.",
    )
    validation_size: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="The share of the remaining rows that is held out as the validation set.",
    )
    folds: Annotated[int | None, Flag("K")] = Field(
        default=None,
        ge=2,
        le=1_000,
        description="Also cross-validate with this many folds, to show how much the scores vary.",
    )
    robustness: Flagged[bool] = Field(
        default=False,
        description="Also measure the model on changed test rows: shifted, rotated and noisy "
        "images, or a table without one of its columns.",
    )
    learning_curve: Flagged[bool] = Field(
        default=False,
        description="Also train on five numbers of rows, three times each, to estimate how much "
        "more rows would help. This takes about six times as long as one training, "
        "and longer if there are few rows.",
    )
    patience: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="Early stopping: the number of epochs, or boosting rounds, without a lower "
        "validation loss before training stops and the best model is restored. None: "
        "there is no early stopping.",
    )
    processes: Annotated[int, Flag("N")] = Field(
        default=1,
        ge=1,
        le=64,
        description="The number of processes that train one network together. The last bits of "
        "the result differ from those of a single process.",
    )

    @field_validator("patience")
    @classmethod
    def _patience_needs_validation_rows(
        cls, patience: int | None, before: ValidationInfo
    ) -> int | None:
        if patience is not None and before.data.get("validation_size") == 0:
            raise ValueError("validation rows to watch: validation_size above 0")
        return patience


AUGMENTED: dict[str, Any] = {
    "shift_px": 2,
    "rotate_degrees": 12.0,
    "zoom": 0.1,
    "shear": 0.1,
    "elastic_px": 0.5,
    "clean_epochs": 2,
}
"""How pictures are augmented if there are enough epochs for this to help."""


CNN: dict[str, Any] = AUGMENTED | {
    "epochs": 8,
    "clean_epochs": 1,
    "learning_rate": 0.004,
    "average": 0.998,
    "weight_decay": 0.2,
}


BOOSTING: dict[str, Any] = {
    "learning_rate": 0.05,
    "patience": 30,
    "leaf_penalty": 1.0,
    "column_share": 0.3,
}


RECIPES: dict[str, dict[str, dict[str, Any]]] = {
    "default": {learner: {} for learner in get_args(LearnerName)}
    | {"cnn": CNN | {"members": 3}, "boosting": BOOSTING},
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
        "network": {"epochs": 5, "members": 1},
        "cnn": CNN,
        "transfer": {},
        "boosting": BOOSTING | {"learning_rate": 0.1, "rounds": 100},
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
        "transfer": {},
        "network": AUGMENTED | {"hidden": (1024, 1024), "epochs": 100},
        "cnn": CNN | {"members": 10, "epochs": 12, "clean_epochs": 2, "weight_decay": 0.1},
    },
}
"""Recipe to learner to settings. Each entry contains only differences from `Settings`."""


TABLE: dict[str, Any] = {
    "hidden": (256, 128),
    "epochs": 60,
    "learning_rate": 0.002,
    "schedule": "linear",
    "average": 0.998,
    "weight_decay": 0.05,
    "patience": 15,
    "members": 5,
    "shift_px": 0,
    "validation_size": 0.15,
}
"""Differences of the defaults for tables, which have fewer rows and no pixels to shift. The loss of
five networks that are fitted without different rows is 3% lower than that of one
(docs/design/decisions.md)."""


MANY, MANY_ROWS = 20_000, {"members": 1}
"""For a table with at least this many rows one network is trained, because five would take minutes,
and a fifth more rows hardly improve it."""


SMALL, SMALL_TABLE = 2_000, {"batch_size": 32, "epochs": 200, "patience": 40}
"""Networks on tables with fewer rows than this are trained in smaller batches and more epochs. With
128 rows per step, iris had 60 steps in all, and the accuracy was 76 to 100%, depending on the
seed."""


TRIED_ON_FEW: dict[str, dict[str, Any]] = {"cnn": {"width": 16, "batch_size": 32}}
"""Settings of a learner that is compared with others on few pictures: a `cnn` half as wide as by
default, which takes a quarter of the time, and small batches."""


FEW, FEW_PICTURES = 20_000, {"members": 1, "epochs": 30, "clean_epochs": 2, "weight_decay": 0.05}
"""With fewer pictures, a `cnn` is a single network that trains for more epochs, because eight
epochs have too few steps."""


OF_FEW: dict[tuple[str, str, bool], dict[str, Any]] = {
    ("cnn", "default", False): FEW_PICTURES,
    ("network", "fast", True): SMALL_TABLE,
}
"""Differences from a recipe if there are few rows: by learner, recipe, and whether the rows are
those of a table. In five epochs of a small table, as in `fast`, a network learns nothing."""


def flags_of(model: type[Frozen]) -> dict[str, Flag]:
    """The fields of a model that have a flag, by name."""
    return {
        name: replace(mark, name=mark.name or name.replace("_", "-"))
        for name, field in model.model_fields.items()
        for mark in field.metadata
        if isinstance(mark, Flag)
    }


def checked(model: type[M], asked: Mapping[str, Any], names: Mapping[str, str] | None = None) -> M:
    """Make settings, or options for reading a table, from values by name. The others keep their
    defaults.

    `names` contains the names of fields in messages, if the caller uses others.

    Raises:
      SettingsError: Values are not valid; one message lists all of them.
    """
    try:
        return model.model_validate(asked)
    except ValidationError as error:
        raise _refusal(_problems(error, names)) from error


def resolve(asked: dict[str, Any], *, table: bool = False, n_rows: int | None = None) -> Settings:
    """Complete the given settings by the recipe and the defaults. Tables have other defaults, and
    so do few rows, if their number is given.

    Raises:
      SettingsError: Names are unknown or values not valid; one message lists all of them.
    """
    recipe, learner = str(asked.get("recipe", "default")), str(asked.get("learner", "network"))
    problems = []
    if recipe in RECIPES and learner in RECIPES["default"] and learner not in RECIPES[recipe]:
        able = ", ".join(RECIPES[recipe])
        problems.append(_problem("learner", learner, f"{able} with recipe {recipe!r}"))
    problems += [_unknown(name) for name in asked.keys() - Settings.model_fields.keys()]
    known = {name: value for name, value in asked.items() if name in Settings.model_fields}
    is_small = n_rows is not None and n_rows < (SMALL if table else FEW)
    of_size = SMALL_TABLE if is_small else MANY_ROWS if (n_rows or 0) >= MANY else {}
    of_table = {**TABLE, **of_size} if table else {}
    of_few = OF_FEW.get((learner, recipe, table), {}) if is_small else {}
    known = {**of_table, **RECIPES.get(recipe, {}).get(learner, {}), **of_few, **known}
    if known.get("validation_size") == 0 and "patience" not in asked:
        known["patience"] = None  # there is no validation loss to monitor
    if table and known.get("shift_px"):
        problems.append(_problem("shift_px", known["shift_px"], "0: a table has no pixels"))
    try:
        settings = Settings.model_validate(known)
    except ValidationError as error:
        problems += _problems(error)
    if problems:
        raise _refusal(problems)
    resolved = dict(settings)
    if "learning_rate" not in known:
        rate = scaled_learning_rate(settings.learning_rate, settings.hidden)
        resolved["learning_rate"] = rate
    return settings.model_copy(update=resolved)  # all count as given, as in the record of a run


def scaled_learning_rate(rate: float, hidden: tuple[int, ...]) -> float:
    """Adjust the learning rate of Adam, given for one layer of 128 neurons, to other layers.

    It is lower for wide layers, by the root of the width or, with a single layer, its fourth root,
    and lower by the root of the number of layers. This was fitted to the best of five rates for
    each of twelve networks, from 32 to 2,048 neurons and one to four layers
    (docs/guide/defaults.md).
    """
    if not hidden:
        return rate
    power = 0.25 if len(hidden) == 1 else 0.5
    scaled = rate * (128 / max(hidden)) ** power / len(hidden) ** 0.5
    return float(f"{scaled:.3g}")


def _refusal(problems: Sequence[str]) -> SettingsError:
    return SettingsError("E100", f"The settings are not valid: {'; '.join(sorted(problems))}")


PLAIN_RULES = {
    r"greater than or equal to (\S+)": r"\1 or more",
    r"less than or equal to (\S+)": r"\1 or less",
    r"a valid integer.*": "a whole number",
    r"a valid number.*": "a number",
    r"a valid boolean.*": "true or false",
}
"""Rules in pydantic's wording, and in plain words."""


def plain_rule(rule: str) -> str:
    """The rule for a value, in plain words instead of pydantic's."""
    rule = rule.removeprefix("Input should be ")
    for theirs, ours in PLAIN_RULES.items():
        rule = re.sub(f"^{theirs}$", ours, rule)
    return rule


def _problems(error: ValidationError, names: Mapping[str, str] | None = None) -> list[str]:
    """The problems that pydantic found, one line for each value."""
    problems = []
    for detail in error.errors():
        first, *rest = map(str, detail["loc"])
        keys = [key for key in rest if not key.isdigit()]
        if "[key]" in keys:  # the key itself is wrong, and is the input
            keys = keys[: keys.index("[key]") - 1]
        name = ".".join([(names or {}).get(first, first), *keys])
        choices = re.findall(r"'([^']+)'", detail.get("ctx", {}).get("expected", ""))
        begin, is_plain, rule = detail["msg"].partition("Input should be ")
        if detail["type"] == "extra_forbidden":
            problems.append(_unknown(name))
        elif is_plain and not begin:
            hint = did_you_mean(str(detail["input"]), choices)
            text = f"{name} must be {plain_rule(rule)}, not {detail['input']!r}"
            problems.append(text + (f" ({hint})" if hint else ""))
        else:
            rule = detail["msg"].removeprefix("Value error, ").removeprefix("expected ")
            problems.append(_problem(name, detail["input"], rule))
    return problems


def _problem(name: str, value: object, rule: str) -> str:
    return f"{name}={value!r}, expected {rule}"


def _unknown(name: str) -> str:
    hint = did_you_mean(name, Settings.model_fields)
    return f"there is no setting {name!r}" + (f" ({hint})" if hint else "")

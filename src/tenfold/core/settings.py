"""What is asked of a training: how a table is read, settings, recipes, how they are resolved.

A setting is written once, as a field with its type, bounds, default and description. The flags of
the command line, the reference and the report's "train the same again" are made from the fields.
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
    """Marks a field that the command line has a flag for, of another name than the field's if
    given.

    `metavar` stands for the value in the help; None: its type.
    """

    metavar: str | None = None
    name: str = ""

    @property
    def word(self) -> str:
        """How the flag is written: `--batch-size`."""
        return f"--{self.name}"

    @property
    def parameter(self) -> str:
        """Its name in a program: `batch_size`."""
        return self.name.replace("-", "_")


Flagged = Annotated[T, Flag()]
"""A field with a flag of its own name."""

LearnerName = Literal[
    "network",
    "cnn",
    "transfer",
    "boosting",
    "forest",
    "bayes",
    "logistic",
    "linear",
    "neighbors",
    "baseline",
]
RecipeName = Literal["default", "tutorial", "fast", "long", "accurate"]
Mistake = Literal["false_negative", "false_positive"]

Width = Annotated[int, Field(ge=1, le=65_536)]
Weight = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Cost = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]


def split_kind(kind: str) -> tuple[ColumnKind, str]:
    """A column's kind, and how its cells are written where that is said behind a colon; a
    `ValueError` where there is no such kind or way."""
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
"""A kind of column as it is asked for: `number`, `number:,`, `date:%d/%m/%Y`."""


class Reading(Frozen):
    """How a table is read, as asked; None leaves it to what the file shows."""

    target: Annotated[str | None, Flag("COLUMN")] = Field(
        default=None,
        description="The column to predict, by name, or by position where there is no header "
        "(0 is the first, -1 the last).",
    )
    task: Flagged[TaskKind | None] = Field(
        default=None, description="Overrules what the values of the target suggest."
    )
    columns: Annotated[dict[str, KindText], Flag("NAME=KIND", "column")] = Field(
        default={},
        description=f"The kind of a column: {', '.join(KINDS)}. "
        "number:, says that its numbers have a decimal comma, date:%d/%m/%Y how its dates are "
        "written.",
    )
    drop: Annotated[tuple[str, ...], Flag("COLUMN")] = Field(
        default=(), description="A column that is not learned from, such as a row number or a name."
    )
    id: Annotated[str | None, Flag("COLUMN")] = Field(
        default=None,
        description="A column that names each row: not learned from, it stands beside the answers.",
    )
    na_values: Annotated[tuple[str, ...] | None, Flag("TEXT")] = Field(
        default=None,
        description="A text that means a missing cell, beside an empty one, in place of the usual "
        "ones (NA, N/A, NaN, null, None, ?, - and their like); '' alone keeps them all.",
    )
    equal_rows: Flagged[Literal["spread", "together"] | None] = Field(
        default="spread",
        description="Rows of a table that are equal in every column: `spread` over the parts as "
        "often as they occur, since fresh rows repeat as often; or `together` on one side, where "
        "they are copies by mistake.",
    )
    white: Flagged[float | None] = Field(
        default=None,
        gt=0,
        le=65_535,
        allow_inf_nan=False,
        description="Of pictures stored as numbers, or of more than 8 bits, the value of white, "
        "such as 1 or 255, where they do not show it.",
    )
    header: Flagged[bool | None] = Field(
        default=None, description="Whether the first row holds the names of the columns."
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
        description="The column that orders the rows: train on the past, test on the future.",
    )
    lags: Flagged[int | None] = Field(
        default=None,
        ge=0,
        le=10_000,
        description="How many earlier values of the target become columns; 7 with --time.",
    )
    series: Annotated[str | tuple[str, ...] | None, Flag("COLUMN")] = Field(
        default=None,
        description="The column that tells several series of one table apart, such as a shop: "
        "earlier values and forecasts are made within each. Several columns, such as shop,item, "
        "do so together.",
    )

    @property
    def unread(self) -> tuple[str, ...]:
        """The columns that are asked not to be learned from."""
        return tuple(name for name, kind in self.columns.items() if kind == "identifier")

    @model_validator(mode="before")
    @classmethod
    def _dropped_columns_identify_their_row(cls, given: Any) -> Any:
        if isinstance(given, dict) and (given.get("drop") or given.get("id")):
            unused = [*given.get("drop", ()), *([given["id"]] if given.get("id") else [])]
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
    """Everything that decides a fit: what was asked, over its recipe, over the defaults."""

    learner: Flagged[LearnerName] = Field(default="network", description="The kind of model.")
    recipe: Flagged[RecipeName] = Field(
        default="default",
        description="A named set of settings; others that are given go before it.",
    )
    seed: Flagged[int] = Field(
        default=0,
        ge=0,
        lt=2**32,
        description="Decides everything random: the split, the first weights, the order of rows.",
    )
    split_seed: int | None = Field(
        default=None,
        ge=0,
        lt=2**32,
        description="Decides which rows are for what, where runs of several seeds share them; "
        "none: `seed` does.",
    )
    hidden: Flagged[tuple[Width, ...]] = Field(
        default=(128,),
        max_length=64,
        description="Neurons of each hidden layer, first to last.",
        examples=["128,64"],
    )
    epochs: Flagged[int] = Field(
        default=20, ge=1, le=100_000, description="How many times each training row is seen."
    )
    batch_size: Flagged[int] = Field(
        default=128, ge=1, le=1_000_000, description="Rows in each step."
    )
    optimizer: Literal["sgd", "adam"] = Field(
        default="adam", description="The rule of a step: plain gradient descent, or Adam."
    )
    learning_rate: Flagged[float] = Field(
        default=0.01,
        gt=0,
        le=100,
        allow_inf_nan=False,
        description="Step size at the start, or at the top of a cycle. The default is for one "
        "layer of 128 and is scaled to other layers.",
    )
    schedule: Literal["constant", "linear", "cycle"] = Field(
        default="cycle",
        description="How the step size changes: `linear` lets it fall to 0 along a straight line; "
        "`cycle` lets it rise along one for the first fifth, and then fall.",
    )
    label_smoothing: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="Share of each true answer that is spread over all labels.",
    )
    average: float = Field(
        default=0.999,
        ge=0,
        lt=1,
        description="The fitted weights are a running average over the steps, which keeps this "
        "share of itself at each step; 0: the last weights.",
    )
    dropout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of each hidden layer's outputs that is set to 0 while training.",
    )
    weight_decay: float = Field(
        default=0.0,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Shrinks the weights in each step by this share of the step size.",
    )
    class_weights: Flagged[
        Literal["balanced"] | Annotated[tuple[Weight, ...], Field(min_length=2)] | None
    ] = Field(
        default=None,
        description="`balanced`: every label counts the same, however many rows it has; or what "
        "the rows of each label count in training, in the order of the labels.",
        examples=["1,20"],
    )
    cost: Annotated[dict[Mistake, Cost], Flag("NAME=N")] = Field(
        default={},
        description="What a false_negative and a false_positive cost (1 where not given): the "
        "threshold that costs least on the validation rows decides between two labels.",
    )
    positive: Flagged[str | None] = Field(
        default=None,
        description="Of two labels the one that is looked for; by default the rarer one.",
    )
    recall: Flagged[float] = Field(
        default=0.8,
        gt=0,
        le=1,
        description="Share of the positive rows to find; the precision at it is reported.",
    )
    shift_px: int = Field(
        default=1,
        ge=0,
        le=64,
        description="Pixels by which each picture may be moved, anew each epoch, up, down and "
        "sideways.",
    )
    rotate_degrees: float = Field(
        default=0.0, ge=0, le=180, description="How far pictures may be turned, anew each epoch."
    )
    zoom: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="By how much pictures may be enlarged or reduced, anew each epoch (0.1: by a "
        "tenth).",
    )
    shear: float = Field(
        default=0.0, ge=0, le=1, description="How far pictures may be slanted, anew each epoch."
    )
    elastic_px: float = Field(
        default=0.0,
        ge=0,
        le=10,
        description="Strength of the elastic distortion in pixels (standard deviation).",
    )
    thicken: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="How far strokes may become thicker or thinner, as a share of a pixel.",
    )
    contrast: float = Field(
        default=0.0, ge=0, lt=1, description="By how much pictures may become fainter."
    )
    clean_epochs: int = Field(
        default=0, ge=0, description="How many of the last epochs see the pictures as they are."
    )
    width: int = Field(
        default=32,
        ge=1,
        le=1024,
        description="Channels of the first convolution; the later ones have a multiple.",
    )
    n_trees: int = Field(default=100, ge=1, le=10_000, description="Trees of a forest.")
    min_leaf: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Fewest training rows in a leaf of a tree; none: of a forest 1, for regression "
        "2, of boosted trees 20.",
    )
    rounds: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="Rounds of boosting at most; each adds a tree, of several labels one for each. "
        "None: 1,000 where 50 or more validation rows end them, else 200.",
    )
    max_leaves: int = Field(
        default=31, ge=2, le=4096, description="Leaves of a boosted tree at most."
    )
    leaf_penalty: float = Field(
        default=0.0,
        ge=0,
        le=1e9,
        allow_inf_nan=False,
        description="Draws the values in the leaves of boosted trees towards 0, as so many rows "
        "would that need no change.",
    )
    column_share: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Share of the columns, drawn anew for each split, that a boosted tree looks "
        "at.",
    )
    n_neighbors: int | None = Field(
        default=None,
        ge=1,
        le=1_000,
        description="Neighbours that vote; none: chosen on the validation rows, 5 without any.",
    )
    penalty: float | None = Field(
        default=None,
        ge=1e-9,
        le=1e9,
        description="Weight of the sum of squared weights beside the summed loss; none: chosen on "
        "the validation rows, 1 without any.",
    )
    max_steps: int = Field(
        default=200, ge=1, le=100_000, description="Most steps of the fit for each penalty."
    )
    test_size: Flagged[float | None] = Field(
        default=None,
        gt=0,
        lt=1,
        description="Share of the training part that is held out for testing, in place of the "
        "official test part.",
    )
    validation_size: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="Share of the remaining training rows that is held out to watch training.",
    )
    folds: Annotated[int | None, Flag("K")] = Field(
        default=None,
        ge=2,
        le=1_000,
        description="Also cross-validate with this many models, for the spread of the scores.",
    )
    robustness: Flagged[bool] = Field(
        default=False,
        description="Also measure on changed test rows: moved, turned, noisy, without a column.",
    )
    patience: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="Epochs, or rounds of boosting, without a lower validation loss after which "
        "training stops, and what had the lowest one is kept; none: all are made and the last is "
        "kept.",
    )
    processes: Annotated[int, Flag("N")] = Field(
        default=1,
        ge=1,
        le=64,
        description="Processes that train one network together; sums of gradients then differ in "
        "their last bits.",
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
"""How pictures are augmented where there are epochs enough to learn from it."""


CNN: dict[str, Any] = AUGMENTED | {
    "epochs": 30,
    "learning_rate": 0.004,
    "average": 0.998,
    "weight_decay": 0.05,
}


BOOSTING: dict[str, Any] = {"learning_rate": 0.05, "patience": 30}


RECIPES: dict[str, dict[str, dict[str, Any]]] = {
    "default": {learner: {} for learner in get_args(LearnerName)}
    | {"cnn": CNN, "boosting": BOOSTING},
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
        "network": AUGMENTED | {"hidden": (1024, 1024), "epochs": 100},
        "cnn": CNN | {"width": 48, "epochs": 60},
    },
}
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


def flags_of(model: type[Frozen]) -> dict[str, Flag]:
    """The fields of a model that have a flag, by name."""
    return {
        name: replace(mark, name=mark.name or name.replace("_", "-"))
        for name, field in model.model_fields.items()
        for mark in field.metadata
        if isinstance(mark, Flag)
    }


def checked(model: type[M], asked: Mapping[str, Any], names: Mapping[str, str] | None = None) -> M:
    """Settings, or how a table is read, from values by name; the others keep their defaults.

    Messages call a field what `names` says, where the caller calls it otherwise.

    Raises:
      SettingsError: Values outside their rule, all of them in one message.
    """
    try:
        return model.model_validate(asked)
    except ValidationError as error:
        raise _refusal(_problems(error, names)) from error


def resolve(asked: dict[str, Any], *, table: bool = False) -> Settings:
    """Complete what was asked by its recipe and the defaults; those of a table are others.

    Raises:
      SettingsError: Unknown names or values outside their rule, all of them in one message.
    """
    recipe, learner = str(asked.get("recipe", "default")), str(asked.get("learner", "network"))
    problems = []
    if recipe in RECIPES and learner in RECIPES["default"] and learner not in RECIPES[recipe]:
        able = ", ".join(RECIPES[recipe])
        problems.append(_problem("learner", learner, f"{able} with recipe {recipe!r}", ()))
    for name in asked.keys() - Settings.model_fields.keys():
        problems.append(_problem(name, asked[name], "a known setting", Settings.model_fields))
    known = {name: value for name, value in asked.items() if name in Settings.model_fields}
    known = {**(TABLE if table else {}), **RECIPES.get(recipe, {}).get(learner, {}), **known}
    if known.get("validation_size") == 0 and "patience" not in asked:
        known["patience"] = None  # nothing to watch
    if table and known.get("shift_px"):
        problems.append(_problem("shift_px", known["shift_px"], "0: a table has no pixels", ()))
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
    return settings.model_copy(update=resolved)  # all are set, as a record of a run has them


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
        rule = detail["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
        problems.append(_problem(name, detail["input"], rule, choices))
    return problems


def _problem(name: str, value: object, rule: str, known: Any) -> str:
    hint = did_you_mean(name if known is Settings.model_fields else str(value), known)
    return f"{name}={value!r}, expected {rule}" + (f" ({hint})" if hint else "")

"""What a model accepts and returns, and the settings of a run: plain, frozen, checked data."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tenfold.errors import SettingsError, did_you_mean

METADATA_KEY = "tenfold"
"""Name of the metadata entry of `model.onnx` that holds the contract as JSON."""


class Frozen(BaseModel):
    """Base of what is written down: no unknown keys, no change after creation."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ImageInput(Frozen):
    """Pictures as uint8 arrays (n, height, width), or (n, height, width, 3) in colour."""

    kind: Literal["image"] = "image"
    name: Literal["image"] = "image"
    height: Annotated[int, Field(ge=1, le=16_384)]
    width: Annotated[int, Field(ge=1, le=16_384)]
    channels: Literal[1, 3] = 1
    polarity: Literal["light on dark", "dark on light"] = "light on dark"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one picture's array."""
        size = (self.height, self.width)
        return size if self.channels == 1 else (*size, self.channels)


class Reader(Frozen):
    """How an input becomes the graph's array. `array`: it is one already, taken as it is."""

    name: Literal["array"] = "array"
    version: Literal[1] = 1


class Contract(Frozen):
    """The promise a model file carries in its metadata.

    Attributes:
      rows_at_once: Rows to be answered in one call at most, so that memory stays bounded.
    """

    format: Literal[1] = 1
    task: Literal["classification", "regression"] = "classification"
    input: ImageInput
    reader: Reader = Reader()
    labels: tuple[str, ...]
    learner: str
    tenfold: str
    rows_at_once: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _labels_are_unique(self) -> Self:
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("labels repeat")
        if (len(self.labels) < 2) != (self.task == "regression"):
            raise ValueError("labels are for classification, two at least")
        return self


class Settings(Frozen):
    """Everything that decides a fit, resolved: what was asked, over its recipe, over the defaults.

    Attributes:
      hidden: Neurons of each hidden layer, first to last.
      learning_rate: Step size at the start.
      schedule: `linear` lets the step size fall to 0 along a straight line.
      label_smoothing: Share of each answer that is spread over all labels.
      shift_px: Pixels by which each image may be moved, anew each epoch, up, down and sideways.
      n_trees: Trees of a forest.
      min_leaf: Training rows in each leaf of a tree, at least; None: 1, for regression 2.
      n_neighbors: Neighbours that vote; None: chosen on the validation rows, 5 without any.
      penalty: Weight of the sum of squared weights of `logistic` and `linear` beside the summed
        loss; None: chosen on the validation rows, 1 without any.
      max_steps: Steps of `logistic` for each penalty, at most.
      test_size: Share of the training part held out for testing; None: the official test part.
      validation_size: Share of the training rows left that is held out to watch training.
    """

    learner: Literal[
        "network", "forest", "bayes", "logistic", "linear", "neighbors", "baseline"
    ] = "network"
    recipe: str = "default"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    hidden: Annotated[tuple[Annotated[int, Field(ge=1, le=65_536)], ...], Field(max_length=64)] = (
        128,
    )
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 15
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 128
    optimizer: Literal["sgd", "adam"] = "adam"
    learning_rate: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] = 0.006
    schedule: Literal["constant", "linear"] = "linear"
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.05
    shift_px: Annotated[int, Field(ge=0, le=64)] = 1
    n_trees: Annotated[int, Field(ge=1, le=10_000)] = 100
    min_leaf: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    n_neighbors: Annotated[int, Field(ge=1, le=1_000)] | None = None
    penalty: Annotated[float, Field(ge=1e-9, le=1e9)] | None = None
    max_steps: Annotated[int, Field(ge=1, le=100_000)] = 200
    test_size: Annotated[float, Field(gt=0, lt=1)] | None = None
    validation_size: Annotated[float, Field(ge=0, lt=1)] = 0.1


RECIPES: dict[str, dict[str, dict[str, Any]]] = {
    "default": {
        learner: {}
        for learner in (
            "network", "forest", "bayes", "logistic", "linear", "neighbors", "baseline",
        )
    },
    "tutorial": {
        "network": {
            "epochs": 20,
            "optimizer": "sgd",
            "learning_rate": 0.01,
            "schedule": "constant",
            "label_smoothing": 0.0,
            "shift_px": 0,
            "test_size": 0.25,
            "validation_size": 0.0,
        },
    },
    "fast": {
        "network": {"epochs": 5},
        "forest": {"n_trees": 30},
        "bayes": {},
        "logistic": {"penalty": 10.0, "max_steps": 30},
        "linear": {"penalty": 1.0},
        "neighbors": {"n_neighbors": 5},
        "baseline": {},
    },
}  # fmt: skip
"""Recipe to learner to settings; each says only where it differs from `Settings`."""


def resolve(asked: dict[str, Any]) -> Settings:
    """Complete what was asked by its recipe and the defaults.

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
    try:
        settings = Settings.model_validate({**RECIPES.get(recipe, {}).get(learner, {}), **known})
    except ValidationError as error:
        for detail in error.errors():
            name = ".".join(str(part) for part in detail["loc"])
            problems.append(
                _problem(name, detail["input"], detail["msg"].removeprefix("Input should be "), ())
            )
    if problems:
        raise SettingsError("Unusable settings: " + "; ".join(sorted(problems)) + ".")
    return settings


def _problem(name: str, value: object, rule: str, known: Any) -> str:
    hint = did_you_mean(str(value) if name == "recipe" else name, known)
    return f"{name}={value!r}, expected {rule}" + (f" ({hint})" if hint else "")

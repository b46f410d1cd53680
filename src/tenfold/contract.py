"""What a model accepts and returns, and the settings of a run: plain, frozen, checked data."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

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
    """The promise a model file carries in its metadata."""

    format: Literal[1] = 1
    task: Literal["classification"] = "classification"
    input: ImageInput
    reader: Reader = Reader()
    labels: Annotated[tuple[str, ...], Field(min_length=2)]
    learner: str
    tenfold: str

    @model_validator(mode="after")
    def _labels_are_unique(self) -> Self:
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("labels repeat")
        return self


class Settings(Frozen):
    """Everything that decides a fit, resolved: what was asked, over its recipe, over the defaults.

    Attributes:
      hidden: Neurons of each hidden layer, first to last.
      learning_rate: Step size at the start. The default is for one layer of 128 and is scaled to
        other layers by `resolve`.
      schedule: `linear` lets the step size fall to 0 along a straight line.
      label_smoothing: Share of each answer that is spread over all labels.
      average: The fitted weights are a running average over the steps, which keeps this share of
        itself at each step. 0: the last weights.
      dropout: Share of each hidden layer's outputs that is silenced while training.
      weight_decay: Pull of kernels towards 0: in each step by this share of the step size.
      class_weights: What the rows of each label count in training, in the order of the labels;
        `balanced`: every label as much as every other one, however many rows it has.
      shift_px: Pixels by which each image may be moved, anew each epoch, up, down and sideways.
      test_size: Share of the training part held out for testing; None: the official test part.
      validation_size: Share of the training rows left that is held out to watch training.
      patience: Epochs without a lower validation loss after which training stops; the weights of
        the lowest one are kept. None: all epochs are trained and the last weights are kept.
    """

    learner: Literal["network"] = "network"
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
    average: Annotated[float, Field(ge=0, lt=1)] = 0.998
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
    shift_px: Annotated[int, Field(ge=0, le=64)] = 1
    test_size: Annotated[float, Field(gt=0, lt=1)] | None = None
    validation_size: Annotated[float, Field(ge=0, lt=1)] = 0.1
    patience: Annotated[int, Field(ge=1, le=100_000)] | None = None

    @field_validator("patience")
    @classmethod
    def _patience_needs_validation_rows(
        cls, patience: int | None, before: ValidationInfo
    ) -> int | None:
        if patience is not None and before.data.get("validation_size") == 0:
            raise ValueError("validation rows to watch: validation_size above 0")
        return patience


RECIPES: dict[str, dict[str, Any]] = {
    "default": {},
    "tutorial": {
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
}
"""Named settings; each says only where it differs from the defaults of `Settings`."""


def resolve(asked: dict[str, Any]) -> Settings:
    """Complete what was asked by its recipe and the defaults.

    Raises:
      SettingsError: Unknown names or values outside their rule, all of them in one message.
    """
    recipe = str(asked.get("recipe", "default"))
    problems = []
    if recipe not in RECIPES:
        problems.append(_problem("recipe", recipe, f"one of {', '.join(RECIPES)}", RECIPES))
    for name in asked.keys() - Settings.model_fields.keys():
        problems.append(_problem(name, asked[name], "a known setting", Settings.model_fields))
    known = {name: value for name, value in asked.items() if name in Settings.model_fields}
    known = {**RECIPES.get(recipe, {}), **known}
    try:
        settings = Settings.model_validate(known)
        if "learning_rate" not in known:
            rate = scaled_learning_rate(settings.learning_rate, settings.hidden)
            settings = settings.model_copy(update={"learning_rate": rate})
    except ValidationError as error:
        for detail in error.errors():
            name = ".".join(str(part) for part in detail["loc"])
            problems.append(_problem(name, detail["input"], _rule(detail["msg"]), ()))
    if problems:
        raise SettingsError("Unusable settings: " + "; ".join(sorted(problems)) + ".")
    return settings


def scaled_learning_rate(rate: float, hidden: tuple[int, ...]) -> float:
    """Adam's learning rate for other layers than the one of 128 that `rate` was chosen for.

    Less for wide layers, by the root of the width or, with a single one, its fourth root; and less
    by the root of the number of layers. Fitted to the best of five rates for each of twelve
    networks, from 32 to 2,048 neurons and one to four layers (docs/training.md).
    """
    if not hidden:
        return rate
    power = 0.25 if len(hidden) == 1 else 0.5
    scaled = rate * (128 / max(hidden)) ** power / len(hidden) ** 0.5
    return float(f"{scaled:.3g}")


def _rule(pydantic_says: str) -> str:
    return pydantic_says.removeprefix("Input should be ").removeprefix("Value error, ")


def _problem(name: str, value: object, rule: str, known: Any) -> str:
    hint = did_you_mean(str(value) if name == "recipe" else name, known)
    return f"{name}={value!r}, expected {rule}" + (f" ({hint})" if hint else "")

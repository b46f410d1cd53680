"""What a model accepts and returns: plain, frozen, checked data."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from tenfold.core.conformal import SET_COVERAGE, fewest_rows
from tenfold.core.task import Classification, Regression, Task, TaskKind
from tenfold.core.version import __version__

METADATA_KEY = "tenfold"
"""Name of the metadata entry of `model.onnx` that holds the contract as JSON."""

WRITTEN_BY = __version__
"""The version that stands in contracts which are written here."""

MAX_ASKED = 5
"""Labels that a question names, at most."""


class Frozen(BaseModel):
    """Base of what is written down: no unknown keys, no change after creation."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _without_defaults(written: dict[str, Any], **defaults: object) -> dict[str, Any]:
    """A contract as it is written, without fields that came later and say nothing."""
    return {
        name: value
        for name, value in written.items()
        if name not in defaults or value != defaults[name]
    }


Background = Literal["dark", "light", "any"]


class ImageInput(Frozen):
    """Pictures as uint8 arrays (n, height, width), or (n, height, width, 3) in colour.

    Attributes:
      crop: How a picture file becomes one of them. `ink`: it is fitted to the MNIST box.
        `centre`: its largest part in the middle of these proportions, area-resampled.
      background: What is around the pictures of the training; None: dark where they have the MNIST
        box, else it does not matter.
      white: The value of white in files of more than 8 bits, where the training had such; None:
        each file shows it.
    """

    kind: Literal["image"] = "image"
    name: Literal["image"] = "image"
    height: Annotated[int, Field(ge=1, le=16_384)]
    width: Annotated[int, Field(ge=1, le=16_384)]
    channels: Literal[1, 3] = 1
    crop: Literal["ink", "centre"] = "ink"
    background: Background | None = None
    white: Annotated[int, Field(ge=255, lt=2**32)] | None = None
    order: ClassVar[None] = None
    id: ClassVar[None] = None

    @model_validator(mode="before")
    @classmethod
    def _of_older_models(cls, given: Any) -> Any:
        """Models once said a polarity that nothing asked for: the fit finds it on each picture."""
        if isinstance(given, dict):
            given = {name: value for name, value in given.items() if name != "polarity"}
        return given

    @model_serializer(mode="wrap")
    def _without_later_fields(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without_defaults(write(self), background=None, white=None)

    def with_background(self, background: Background | None) -> Self:
        """The same of pictures with such a background, which is written where it is not the usual
        one."""
        usual = self.model_copy(update={"background": None})
        if usual.surroundings == background:
            return usual
        return self.model_copy(update={"background": background})

    @property
    def surroundings(self) -> Background:
        """What is around the pictures of the training."""
        return self.background or ("dark" if self.crop == "ink" else "any")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one picture's array."""
        size = (self.height, self.width)
        return size if self.channels == 1 else (*size, self.channels)


ColumnKind = Literal["number", "category", "yes/no", "date", "text", "identifier", "constant"]
"""Kinds of columns; the last two are not learned from."""

KINDS: tuple[ColumnKind, ...] = get_args(ColumnKind)
UNUSED: tuple[ColumnKind, ...] = ("identifier", "constant")


DateFormat = Literal[
    "ISO8601",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%d.%m.%Y",
    "%Y/%m/%d",
    "%d-%m-%Y",
    "%m/%d/%y",
    "%d/%m/%y",
    "%d.%m.%y",
    "%m-%d-%Y",
    "%Y.%m.%d",
    "%Y%m%d",
    "%Y%m",
    "%Y.%m",
    "%Y%m%d%H",
    "%Y%m%d%H%M",
    "%Y%m%d%H%M%S",
    "%m/%Y",
    "%m.%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%d. %b %Y",
    "%d. %B %Y",
    "%d/%b/%Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%b %d %Y",
    "%b-%y",
    "%b-%Y",
    "%b %Y",
    "%B %Y",
    "quarter",
    "week",
    "epoch seconds",
    "epoch milliseconds",
    "epoch microseconds",
    "epoch nanoseconds",
    "Excel days",
]
DATE_FORMATS: tuple[DateFormat, ...] = get_args(DateFormat)
"""How dates may be written, in the order they are tried. A time of day may stand behind."""

DecimalMark = Literal[".", ","]


class Column(Frozen):
    """One column of a table that a model uses.

    Attributes:
      name: Its header.
      kind: How its cells are read. Dates become parts and texts become words before the graph.
      decimal: The decimal mark of a number in the training data: 3,125 alone does not tell.
      grouped: With a decimal comma a point separates thousands: 2.175 is 2175. False in models of
        the first versions, which read 2.175.
      date_format: How a date is written there beside ISO 8601: 03/04/2020 alone does not tell.
      levels: Values of a category in the training rows, most frequent first, at most 1,000.
      signs: Of a text: signs of scripts that have no blanks between words, as Chinese, are words
        each. False in models of the first versions.
    """

    name: str
    kind: ColumnKind
    decimal: DecimalMark = "."
    grouped: bool = False
    date_format: DateFormat = "ISO8601"
    levels: tuple[str, ...] = ()
    signs: bool = False

    @model_serializer(mode="wrap")
    def _without_later_fields(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without_defaults(write(self), grouped=False, signs=False)

    @property
    def inputs(self) -> dict[str, tuple[str, int]]:
        """The graph's inputs for this column: name to (`float` or `string`, width; 0 is any)."""
        if self.kind == "date":
            return {f"{self.name}.{part}": ("float", 1) for part in DATE_PARTS}
        ending = self.name.rpartition(".")[2]
        clashes = self.name in OUTPUT_NAMES or self.name.startswith("front/")
        # No two columns share an input: parts end in their name, these in .column, others in none.
        clashes |= ending in (*DATE_PARTS, "column")
        name = f"{self.name}.column" if clashes else self.name
        if self.kind == "text":
            return {name: ("string", 0)}
        return {name: ("float" if self.kind == "number" else "string", 1)}


OUTPUT_NAMES = ("probabilities", "novelty", "value", "low", "high")
"""Names of a graph's outputs: inputs of the same name are called `low.column` instead of `low`."""

DATE_PARTS = ("year", "month", "day", "weekday", "hour", "year_sin", "year_cos")
"""What a date becomes: the last two place its day on the circle of the year."""


Steps = Literal["even", "rows", "months", "business days"]
"""How rows of a series follow each other, gaps aside; `rows` for uneven steps."""


class SeriesEnd(Frozen):
    """Where one of several series ends; the fields are those of `Order`.

    Attributes:
      name: Its cell in the column of series; of several columns their cells as a line of CSV.
    """

    name: str
    last: float
    last_values: tuple[float | None, ...] = ()
    half_widths: tuple[float, ...] = ()


class Order(Frozen):
    """Rows in the order of time, and where a forecast starts.

    Attributes:
      time: The column of time.
      is_date: Its values are dates; else they are numbers.
      step: Usual distance of two rows: seconds between dates, a number, or how many `months` or
        `business days`.
      last: Time of the last known row: seconds since 1970, or a number.
      lags: How many earlier values of the target are columns of each row.
      last_values: The values 1, 2, ... steps up to the last known row, as many as there are lags,
        oldest first; null where a step has none.
      half_widths: Half-width of the interval of a forecast 1, 2, ... steps ahead.
      steps: What a step is. A lag is the value so many steps earlier; of `rows` so many rows.
      day: Of `months` the day, the last one where a month has fewer; 0 is its last weekday.
      date_format: How its dates are written, where the column itself is not learned from.
      series: The column, or the columns, that tell several series apart; None for one series.
      ends: Where each of them ends.
    """

    time: str
    is_date: bool
    step: float
    last: float
    lags: Annotated[int, Field(ge=0, le=10_000)] = 0
    last_values: tuple[float | None, ...] = ()
    half_widths: tuple[float, ...] = ()
    steps: Steps = "even"
    day: Annotated[int, Field(ge=0, le=31)] = 1
    date_format: DateFormat = "ISO8601"
    series: str | tuple[str, ...] | None = None
    ends: tuple[SeriesEnd, ...] = ()

    @model_serializer(mode="wrap")
    def _without_later_fields(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        later = {} if self.series is not None else {"series": None, "ends": write(self)["ends"]}
        return _without_defaults(write(self), steps="even", day=1, date_format="ISO8601", **later)

    @property
    def series_columns(self) -> tuple[str, ...]:
        """The columns that tell series apart; empty for one series."""
        return (self.series,) if isinstance(self.series, str) else self.series or ()

    @property
    def series_ends(self) -> tuple[SeriesEnd, ...]:
        """The end of each series; of a single one without a name."""
        if self.series is not None:
            return self.ends
        end = {"last": self.last, "last_values": self.last_values, "half_widths": self.half_widths}
        return (SeriesEnd.model_validate({"name": "", **end}),)

    def with_ends(self, ends: Sequence[SeriesEnd]) -> Self:
        """The same with series that end there; how sure forecasts are of each stays as it was."""
        widths = {end.name: end.half_widths for end in self.series_ends}
        ends = [end.model_copy(update={"half_widths": widths.get(end.name, ())}) for end in ends]
        if self.series is not None:
            last = max((end.last for end in ends), default=self.last)
            return self.model_copy(update={"ends": tuple(ends), "last": last})
        update = {name: getattr(end, name) for end in ends for name in ("last", "last_values")}
        return self.model_copy(update=update)

    def lag_columns(self, target: str) -> tuple[str, ...]:
        """Names of the columns of earlier values: `Temp-1` is the value before."""
        return tuple(f"{target}-{lag}" for lag in range(1, self.lags + 1))


class TableInput(Frozen):
    """Rows of a table: an array per column, in any order of the columns.

    Attributes:
      columns: The columns used; others are ignored.
      target: The column that is predicted.
      order: How rows follow each other in time; None where they have no order.
      target_decimal: The decimal mark of the target, where it is a comma that was looked for; None
        leaves it to the file that is read.
      encoding: Of the file that the model was trained on, where it was named; None otherwise.
      id: The column that names each row, beside the answers; None: there is none.
      na_values: The texts that mean a missing cell; None: the usual ones.
    """

    kind: Literal["table"] = "table"
    columns: Annotated[tuple[Column, ...], Field(min_length=1)]
    target: str
    order: Order | None = None
    target_decimal: DecimalMark | None = None
    encoding: str | None = None
    id: str | None = None
    na_values: tuple[str, ...] | None = None

    @model_serializer(mode="wrap")
    def _without_later_fields(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        later = dict.fromkeys(("target_decimal", "encoding", "id", "na_values"))
        return _without_defaults(write(self), **later)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns used."""
        return tuple(column.name for column in self.columns)

    @property
    def inputs(self) -> dict[str, tuple[str, int]]:
        """The graph's inputs: name to (`float` or `string`, width; 0 is any)."""
        return {name: form for column in self.columns for name, form in column.inputs.items()}


class FeaturesInput(Frozen):
    """Rows of numbers, float64 (n, n_features), scaled by the graph itself.

    float64, because numbers far from 0 (a time in seconds, an easting) must lose their offset
    before they are rounded to float32.
    """

    kind: Literal["features"] = "features"
    name: Literal["features"] = "features"
    n_features: Annotated[int, Field(ge=1)]
    order: ClassVar[None] = None
    id: ClassVar[None] = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row."""
        return (self.n_features,)


class Reader(Frozen):
    """How an input becomes the graph's arrays.

    `array`: it is one already, taken as it is. `table`: cells to numbers, strings, date parts and
    words, by the rules of docs/guide/tables.md.
    """

    name: Literal["array", "table"] = "array"
    version: Literal[1] = 1


class Decision(Frozen):
    """How two labels are told apart: `positive` from this probability on, instead of the larger."""

    positive: str
    threshold: Annotated[float, Field(ge=0, le=1)]


class PredictionSets(Frozen):
    """Sets of labels, made to hold the true label in a share of the rows of each label.

    Attributes:
      coverage: That share.
      calibration_rows: From how many rows each label's threshold comes, in the order of the labels.
        A label with too few of them for this coverage is in every set.
    """

    coverage: Annotated[float, Field(gt=0, lt=1)] = SET_COVERAGE
    calibration_rows: tuple[Annotated[int, Field(ge=0)], ...]

    @property
    def are_given(self) -> bool:
        """Whether any label has rows enough; else every set would hold all labels."""
        return max(self.calibration_rows, default=0) >= fewest_rows(self.coverage)


class Contract(Frozen):
    """The promise a model file carries in its metadata.

    Attributes:
      labels: Names of the probabilities' columns; empty for regression.
      decision: A threshold other than the larger probability; None without one.
      novelty_threshold: An answer is unsure where the graph's `novelty` is above; None: the graph
        has no such output.
      rows_at_once: Rows that are to be answered together at most, to bound memory; None: any.
      temperature: What the logarithms of probabilities were divided by to calibrate them.
      prediction_sets: What the graph's sets of labels promise, where it gives any; None: of an
        earlier version, or made without validation rows.
    """

    format: Literal[1] = 1
    task: TaskKind = "classification"
    input: Annotated[ImageInput | TableInput | FeaturesInput, Field(discriminator="kind")]
    reader: Reader = Reader()
    labels: tuple[str, ...] = ()
    decision: Decision | None = None
    rows_at_once: Annotated[int, Field(ge=1)] | None = None
    novelty_threshold: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    prediction_sets: PredictionSets | None = None
    learner: str
    tenfold: str

    @model_serializer(mode="wrap")
    def _without_later_fields(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without_defaults(write(self), prediction_sets=None)

    @property
    def gives_sets(self) -> bool:
        """Whether the graph says which labels are in the set of each answer."""
        return self.prediction_sets is not None and self.prediction_sets.are_given

    @property
    def set_output(self) -> str:
        """The graph's output of these: `in_set`, with a "_" more where an input has that name."""
        name, taken = "in_set", getattr(self.input, "inputs", ())
        while name in taken:
            name += "_"
        return name

    @property
    def answers(self) -> Task:
        """What the model answers, with the facts that the contract has."""
        if self.labels:
            return Classification(self.labels, self.decision.positive if self.decision else None)
        return Regression(self.input.target) if self.input.kind == "table" else Regression()

    @property
    def question(self) -> str | None:
        """Of a table what is asked of each row, for people; None of other inputs.

        Example:
          `survived: 0 or 1`, `price: a number`
        """
        if self.input.kind != "table":
            return None
        *others, last = self.labels or ("a number",)
        if len(others) >= MAX_ASKED:
            others, last = [], f"one of {len(self.labels):,} labels"
        answers = f"{', '.join(others)} or {last}" if others else last
        return f"{self.input.target}: {answers}"

    @model_validator(mode="after")
    def _labels_fit_the_task(self) -> Self:
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("labels repeat")
        if (len(self.labels) >= 2) != (self.task == "classification"):
            raise ValueError("classification has at least two labels, regression none")
        if self.decision and (len(self.labels) != 2 or self.decision.positive not in self.labels):
            raise ValueError("a threshold needs two labels, one of them positive")
        if self.novelty_threshold is not None and self.task == "regression":
            raise ValueError("regression has no novelty")
        sets = self.prediction_sets
        if sets is not None and len(sets.calibration_rows) != len(self.labels):
            raise ValueError("prediction sets have rows of each label")
        return self

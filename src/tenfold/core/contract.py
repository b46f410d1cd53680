"""What a model accepts and returns, as plain, immutable, validated data."""

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

from tenfold.core.conformal import INTERVAL_COVERAGE, SET_COVERAGE, fewest_rows
from tenfold.core.task import Classification, Regression, Task, TaskKind
from tenfold.core.version import __version__

METADATA_KEY = "tenfold"
"""Name of the metadata entry of `model.onnx` that contains the contract as JSON."""

WRITTEN_BY = __version__
"""The version of the contracts that are written here."""

MAX_ASKED = 5
"""Maximum number of labels that a question names."""


class Frozen(BaseModel):
    """Base class of all stored records. Unknown keys are refused, and instances are immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _without_defaults(written: dict[str, Any], **defaults: object) -> dict[str, Any]:
    """Omit fields that were added later and have their default value when a contract is written."""
    return {
        name: value
        for name, value in written.items()
        if name not in defaults or value != defaults[name]
    }


Background = Literal["dark", "light", "any"]


class ImageInput(Frozen):
    """Pictures as uint8 arrays (n, height, width), or (n, height, width, 3) in colour.

    Attributes:
      crop: How a picture file becomes an array. `ink`: it is fitted to the MNIST box. `centre`: its
        largest middle part with these proportions is cut out and area-resampled.
      background: The background of the training pictures. None: dark if they have the MNIST box,
        and otherwise it does not matter.
      white: The value of white in files of more than 8 bits, if the training had such files.
        None: determined for each file.
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
        """Remove the polarity of old models, which nothing used, because it is determined for each
        picture."""
        if isinstance(given, dict):
            given = {name: value for name, value in given.items() if name != "polarity"}
        return given

    @model_serializer(mode="wrap")
    def _without_later_fields(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without_defaults(write(self), background=None, white=None)

    def with_background(self, background: Background | None) -> Self:
        """Return a copy with this background, which is only stored if it is not the usual one."""
        usual = self.model_copy(update={"background": None})
        if usual.surroundings == background:
            return usual
        return self.model_copy(update={"background": background})

    @property
    def surroundings(self) -> Background:
        """The background of the training pictures."""
        return self.background or ("dark" if self.crop == "ink" else "any")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one picture's array."""
        size = (self.height, self.width)
        return size if self.channels == 1 else (*size, self.channels)


ColumnKind = Literal["number", "category", "yes/no", "date", "text", "identifier", "constant"]
"""Kinds of columns. Columns of the last two kinds are not used for learning."""

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
"""Formats of dates, in the order in which they are tried. A time of day may follow."""

DecimalMark = Literal[".", ","]


class Column(Frozen):
    """One column of a table that a model uses.

    Attributes:
      name: Its header.
      kind: How its cells are read. Dates are split into parts and texts into words before the
        graph.
      decimal: The decimal mark of a number in the training data, because 3,125 alone is ambiguous.
      grouped: With a decimal comma, a point separates thousands, so that 2.175 is 2175. False in
        models of the first versions, which read 2.175.
      date_format: The format of dates that are not in ISO 8601, because 03/04/2020 alone is
        ambiguous.
      levels: The values of a category in the training rows, most frequent first, at most 1,000.
      signs: For a text, whether each character of a script without spaces between words, such as
        Chinese, is a word. False in models of the first versions.
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
        """The graph's inputs for this column, each name with (`float` or `string`, width). Width 0
        means any width."""
        if self.kind == "date":
            return {f"{self.name}.{part}": ("float", 1) for part in DATE_PARTS}
        ending = self.name.rpartition(".")[2]
        clashes = self.name in OUTPUT_NAMES or self.name.startswith("front/")
        # No two columns have an input of the same name: the input of a part of a date ends with the
        # name of the part, that of a column with the name of an output ends with .column, and
        # others with neither.
        clashes |= ending in (*DATE_PARTS, "column")
        name = f"{self.name}.column" if clashes else self.name
        if self.kind == "text":
            return {name: ("string", 0)}
        return {name: ("float" if self.kind == "number" else "string", 1)}


OUTPUT_NAMES = ("probabilities", "novelty", "value", "low", "high")
"""The names of a graph's outputs. An input of the same name is called `low.column` instead of
`low`."""

DATE_PARTS = ("year", "month", "day", "weekday", "hour", "year_sin", "year_cos")
"""The parts of a date. The last two are the position of the day on the circle of the year."""


Steps = Literal["even", "rows", "months", "business days"]
"""How the rows of a series follow each other, apart from gaps. `rows` means uneven steps."""


class SeriesEnd(Frozen):
    """The last rows of one of several series. The fields are those of `Order`.

    Attributes:
      name: The cell in the column of series or, for several columns, their cells as a line of CSV.
    """

    name: str
    last: float
    last_values: tuple[float | None, ...] = ()
    half_widths: tuple[float, ...] = ()


class Order(Frozen):
    """The order of rows in time, and where a forecast starts.

    Attributes:
      time: The column of the time.
      is_date: Whether its values are dates. Otherwise they are numbers.
      step: The usual distance of two rows: seconds between dates, a number, or how many `months` or
        `business days`.
      last: The time of the last known row: seconds since 1970, or a number.
      lags: The number of earlier values of the target that are columns of each row.
      last_values: The last known values of the target, one for each lag, oldest first. A step
        without a value has null.
      half_widths: Half the width of the interval of a forecast 1, 2, ... steps ahead.
      steps: The unit of a step. A lag is the value this many steps earlier, or for `rows` this many
        rows earlier.
      day: For `months`, the day of the month, or the last day of a shorter month; 0 means the last
        weekday.
      date_format: The format of the dates, if the column itself is not learned from.
      series: The column or columns that distinguish several series. None for a single series.
      ends: The last rows of each series.
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
        """The columns that distinguish series. Empty for a single series."""
        return (self.series,) if isinstance(self.series, str) else self.series or ()

    @property
    def series_ends(self) -> tuple[SeriesEnd, ...]:
        """The last rows of each series. A single series has no name."""
        if self.series is not None:
            return self.ends
        end = {"last": self.last, "last_values": self.last_values, "half_widths": self.half_widths}
        return (SeriesEnd.model_validate({"name": "", **end}),)

    def with_ends(self, ends: Sequence[SeriesEnd]) -> Self:
        """Return a copy with other last rows of the series. The widths of the intervals are
        kept."""
        widths = {end.name: end.half_widths for end in self.series_ends}
        ends = [end.model_copy(update={"half_widths": widths.get(end.name, ())}) for end in ends]
        if self.series is not None:
            last = max((end.last for end in ends), default=self.last)
            return self.model_copy(update={"ends": tuple(ends), "last": last})
        update = {name: getattr(end, name) for end in ends for name in ("last", "last_values")}
        return self.model_copy(update=update)

    def lag_columns(self, target: str) -> tuple[str, ...]:
        """The names of the columns of earlier values. `Temp-1` is the previous value."""
        return tuple(f"{target}-{lag}" for lag in range(1, self.lags + 1))


class TableInput(Frozen):
    """Rows of a table: one array for each column, in any order.

    Attributes:
      columns: The columns that are used. Others are ignored.
      target: The column that is predicted.
      order: The order of the rows in time. None if they have no order.
      target_decimal: The decimal mark of the target, if a comma was found. None: found for each
        file.
      encoding: The encoding of the training file, if it was given.
      id: The column that names each row, for the predictions. None: there is none.
      group: The column whose equal values belong together, such as a patient, so that their rows
        are not independent. It is not an input. None: there is none.
      na_values: The texts of missing cells. None: the usual ones.
    """

    kind: Literal["table"] = "table"
    columns: Annotated[tuple[Column, ...], Field(min_length=1)]
    target: str
    order: Order | None = None
    target_decimal: DecimalMark | None = None
    encoding: str | None = None
    id: str | None = None
    group: str | None = None
    na_values: tuple[str, ...] | None = None

    @model_serializer(mode="wrap")
    def _without_later_fields(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        later = dict.fromkeys(("target_decimal", "encoding", "id", "group", "na_values"))
        return _without_defaults(write(self), **later)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns that are used."""
        return tuple(column.name for column in self.columns)

    @property
    def inputs(self) -> dict[str, tuple[str, int]]:
        """The graph's inputs, each name with (`float` or `string`, width). Width 0 means any
        width."""
        return {name: form for column in self.columns for name, form in column.inputs.items()}


class FeaturesInput(Frozen):
    """Rows of numbers, float64 (n, n_features), which the graph scales itself.

    They are float64, because numbers far from 0 (a time in seconds, an easting) would lose their
    digits if they were rounded to float32 before the graph subtracts their mean.
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
    """How an input is converted to the graph's arrays.

    `array`: it is an array already, and not converted. `table`: cells are converted to numbers,
    strings, parts of dates and words, by the rules of docs/guide/tables.md.
    """

    name: Literal["array", "table"] = "array"
    version: Literal[1] = 1


class Decision(Frozen):
    """The decision between two labels: `positive` is predicted if its probability is at least this,
    instead of 1/2."""

    positive: str
    threshold: Annotated[float, Field(ge=0, le=1)]


class PredictionSets(Frozen):
    """Prediction sets, which contain the true label in a given share of the rows of each label.

    Attributes:
      coverage: This share.
      calibration_rows: The number of rows from which each label's threshold is computed, in the
        order of the labels. A label with too few rows for this coverage is in every set.
    """

    coverage: Annotated[float, Field(gt=0, lt=1)] = SET_COVERAGE
    calibration_rows: tuple[Annotated[int, Field(ge=0)], ...]

    @property
    def are_given(self) -> bool:
        """Whether any label has enough rows. Otherwise every set would contain all labels."""
        return max(self.calibration_rows, default=0) >= fewest_rows(self.coverage)


class PredictionIntervals(Frozen):
    """Prediction intervals that contain the true value in a given share of all rows.

    Attributes:
      coverage: This share.
      calibration_rows: The number of rows whose errors determine the widths. With too few of them
        for this coverage, no width is finite.
      adaptive: Whether the width depends on the row. Otherwise all intervals have the same width.
    """

    coverage: Annotated[float, Field(gt=0, lt=1)] = INTERVAL_COVERAGE
    calibration_rows: Annotated[int, Field(ge=0)]
    adaptive: bool


class Contract(Frozen):
    """What a model file accepts and returns. It is stored in the file's metadata.

    Attributes:
      labels: The names of the columns of the probabilities. Empty for regression.
      decision: A threshold other than the larger probability. None: there is none.
      novelty_threshold: A prediction is unsure if the graph's `novelty` is above it. None: the
        graph has no such output.
      rows_at_once: Maximum number of rows to predict together, which limits memory. None: any.
      temperature: The number by which the logarithms of probabilities were divided to calibrate
        them.
      prediction_sets: The coverage of the graph's prediction sets. None: the model has no sets,
        because it was made by an earlier version or without validation rows.
      prediction_intervals: The coverage of the intervals of values, and whether their width depends
        on the row. None: the model was made by an earlier version, in which all intervals have the
        same width.
      vote: For a vote (`learner` is then `vote`), the weight of each learner, by its name. The
        weights add up to 1. It is empty for a single learner.
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
    prediction_intervals: PredictionIntervals | None = None
    learner: str
    vote: dict[str, Annotated[float, Field(gt=0, le=1)]] = {}
    tenfold: str

    @model_serializer(mode="wrap")
    def _without_later_fields(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        later: dict[str, Any] = {"prediction_sets": None, "prediction_intervals": None, "vote": {}}
        return _without_defaults(write(self), **later)

    @property
    def gives_sets(self) -> bool:
        """Whether the graph computes prediction sets."""
        return self.prediction_sets is not None and self.prediction_sets.are_given

    @property
    def set_output(self) -> str:
        """The name of the graph's output of sets: `in_set`, or with "_" if an input has that
        name."""
        name, taken = "in_set", getattr(self.input, "inputs", ())
        while name in taken:
            name += "_"
        return name

    @property
    def learners(self) -> tuple[str, ...]:
        """The names of the learners that predict: one, or those of a vote."""
        return tuple(self.vote) or (self.learner,)

    @property
    def answers(self) -> Task:
        """The task of the model, with the properties that the contract contains."""
        if self.labels:
            return Classification(self.labels, self.decision.positive if self.decision else None)
        return Regression(self.input.target) if self.input.kind == "table" else Regression()

    @property
    def question(self) -> str | None:
        """For a table, the question about each row, for people. None for other inputs.

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
        if self.prediction_intervals is not None and self.labels:
            raise ValueError("classification has no intervals")
        return self

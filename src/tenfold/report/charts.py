"""Charts as values, which `svg` draws into a page and `png` into a file, in one style.

A chart describes what is shown, in the units of the data. Its size, fonts and colours are decided
where it is drawn: a page shows it at any width, dark or light.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating[Any]]
Tone = Literal["accent", "against", "ink", "grey"]
"""The colours of marks, by the names of their CSS classes. People with any kind of colour blindness
can distinguish blue and orange, and dashes distinguish lines that could be confused."""

MAX_PLAIN = 1e6
"""Numbers from this size on are written in millions."""

UNITS = ((1e12, " trillion"), (1e9, " billion"), (1e6, " million"))


@dataclass(frozen=True)
class Axis:
    """The quantity along one side of a panel, from `low` to `high`.

    Attributes:
      label: The name of the quantity, and its unit.
      ticks: The marked values, each with its text.
      is_log: Whether equal distances are equal ratios.
    """

    label: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]] = ()
    is_log: bool = False

    def at(self, values: ArrayLike) -> Floats:
        """The positions of values (n,): 0 at the beginning of the axis, 1 at its end."""
        ends, numbers = np.array([self.low, self.high]), np.asarray(values, np.float64)
        if self.is_log:
            ends, numbers = np.log(ends), np.log(numbers)
        places: Floats = (numbers - ends[0]) / (ends[1] - ends[0])
        return places


@dataclass(frozen=True)
class Curve:
    """A line through points (n,). A name adds it to the legend."""

    x: ArrayLike
    y: ArrayLike
    tone: Tone = "accent"
    name: str = ""
    dashed: bool = False


@dataclass(frozen=True)
class Band:
    """The area between two values of y (n,)."""

    x: ArrayLike
    low: ArrayLike
    high: ArrayLike
    tone: Tone = "accent"
    name: str = ""


@dataclass(frozen=True)
class Dots:
    """Points (n,), each with a tooltip if `titles` are given."""

    x: ArrayLike
    y: ArrayLike
    tone: Tone = "accent"
    name: str = ""
    titles: Sequence[str] = ()
    radius: float = 3.5
    opacity: float = 1.0
    hollow: bool = False


@dataclass(frozen=True)
class Whiskers:
    """Intervals from `low` to `high` (n,) at the values `at` (n,) of the other axis."""

    at: ArrayLike
    low: ArrayLike
    high: ArrayLike
    tone: Tone = "ink"
    along_x: bool = False
    opacity: float = 1.0


@dataclass(frozen=True)
class Boxes:
    """Boxes between two values of x (n,) and two of y (n,): bars, bins and cells.

    Attributes:
      shades: The strength of the colour of each, 0 to 1. Without them, all have the full colour.
    """

    x: tuple[ArrayLike, ArrayLike]
    y: tuple[ArrayLike, ArrayLike]
    tone: Tone = "accent"
    name: str = ""
    shades: ArrayLike | None = None
    titles: Sequence[str] = ()


@dataclass(frozen=True)
class TextMarks:
    """Texts at points (n,), beside them or centred on them.

    Attributes:
      on_dark: Which of them are on a strongly coloured box.
    """

    x: ArrayLike
    y: ArrayLike
    texts: Sequence[str]
    anchor: Literal["start", "middle", "end"] = "middle"
    above_px: float = 0.0
    on_dark: Sequence[bool] = ()


Mark = Curve | Band | Dots | Whiskers | Boxes | TextMarks


@dataclass(frozen=True)
class Panel:
    """One pair of axes with the marks between them. The first mark is below the others.

    `width` and `height` are the pixels of its PNG. A page keeps the height, or the ratio of a
    square panel.
    """

    x: Axis
    y: Axis
    marks: Sequence[Mark]
    title: str = ""
    width: int = 460
    height: int = 300
    is_square: bool = False
    has_grid: bool = True

    @property
    def key(self) -> list[Mark]:
        """The marks with a name, in the order in which they are drawn."""
        return [mark for mark in self.marks if getattr(mark, "name", "")]


@dataclass(frozen=True)
class Chart:
    """Panels side by side under one title.

    Attributes:
      facts: The data that it shows, for a picture without its page.
      about: What to look for, for a page.
      is_wide: Whether it takes the whole width of a page.
    """

    title: str
    panels: Sequence[Panel]
    facts: str = ""
    about: str = ""
    is_wide: bool = False


def number_text(value: float, step: float | None = None) -> str:
    """Format a number for an axis, with the decimals of the steps, and never as a power of ten.

    Example:
      >>> number_text(1500.0), number_text(0.25, 0.05), number_text(2_500_000.0, 500_000)
      ('1,500', '0.25', '2.5 million')
    """
    step = step or abs(value) or 1.0
    for size, unit in UNITS:
        if max(abs(value), step) >= size >= MAX_PLAIN:
            return f"{number_text(value / size, step / size)}{unit}" if value else "0"
    decimals = min(12, max(0, -math.floor(math.log10(step) + 1e-9)))
    text = f"{value:,.{decimals}f}"
    return f"{value:,.10g}" if decimals and round(value, decimals) != value else text


FEWEST_TICKS = 3
"""Fewer marks do not show that an axis is of ratios."""


def nice_ticks(low: float, high: float, n: int = 5) -> tuple[list[float], float]:
    """At most about `n` round values from `low` to `high`, and their step, which is 1, 2 or 5 times
    a power of ten.

    Example:
      >>> nice_ticks(0, 1)
      ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], 0.2)
    """
    rough = (high - low) / n
    decade = 10.0 ** math.floor(math.log10(rough))
    step = next(s * decade for s in (1, 2, 5, 10) if s * decade >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)], step


def number_axis(
    label: str, *values: ArrayLike, margin: float = 0.04, whole: bool = False, zero: bool = False
) -> Axis:
    """An axis that includes all the values, with round ticks.

    Args:
      margin: Share of the range that is left free at both ends.
      whole: Whether the values, and therefore the ticks, are integers.
      zero: Whether it begins or ends at 0 if all values are on one side of it.
    """
    numbers = np.concatenate([np.ravel(np.asarray(part, np.float64)) for part in values])
    low, high = float(numbers.min()), float(numbers.max())
    spare = margin * (high - low) or max(1.0 if whole else 0.0, 0.1 * abs(high)) or 1.0
    from_zero, to_zero = zero and low >= 0, zero and high <= 0
    low, high = (0.0 if from_zero else low - spare), (0.0 if to_zero else high + spare)
    ticks, step = nice_ticks(low, high)
    if whole and step < 1:
        ticks, step = [float(i) for i in range(math.ceil(low), math.floor(high) + 1)], 1.0
    return Axis(label, low, high, [(tick, number_text(tick, step)) for tick in ticks])


def share_axis(label: str, low: float = 0.0, high: float = 1.0, *, spare: float = 0.02) -> Axis:
    """An axis of shares in percent. A share `spare` of its range is left free at both ends."""
    if high - low < 1e-6:
        low, high = high - 0.01, high
    ticks, step = nice_ticks(low, high)
    decimals = max(0, -math.floor(math.log10(100 * step) + 1e-9))
    margin = spare * (high - low)
    texts = [(tick, f"{100 * tick:.{decimals}f}%") for tick in ticks]
    return Axis(label, low - margin, high + margin, texts)


def log_axis(label: str, values: ArrayLike) -> Axis:
    """An axis of equal ratios over positive values, marked at each decade, at 1, 2 and 5 of each,
    or at all digits: as few as give three marks."""
    numbers = np.asarray(values, np.float64)
    low, high = float(numbers.min()) / 1.3, float(numbers.max()) * 1.3
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1,), (1, 2, 5), range(1, 10)):
        marked = [step * 10.0**decade for decade in decades for step in steps]
        shown = [value for value in marked if low <= value <= high]
        if len(shown) >= FEWEST_TICKS:
            break
    return Axis(label, low, high, [(value, number_text(value)) for value in shown], is_log=True)


def name_axis(label: str, names: Sequence[str], *, downwards: bool = False) -> Axis:
    """An axis with one position for each name, at 0, 1, 2 ... With `downwards`, the first name is
    on top."""
    ends = (-0.5, len(names) - 0.5)
    low, high = ends[::-1] if downwards else ends
    return Axis(label, low, high, list(enumerate(names)))


def few_names_axis(label: str, names: Sequence[str], n: int = 6) -> Axis:
    """An axis of rows in an order, at 0, 1, 2 ..., of which `n` are named."""
    last = len(names) - 1
    places = sorted({round(i * last / max(n - 1, 1)) for i in range(n)})
    margin = 0.5 if last == 0 else 0.01 * last
    return Axis(label, -margin, last + margin, [(place, names[place]) for place in places])


def short(text: str, length: int = 32) -> str:
    """Shorten long text to its beginning, to fit a title."""
    return text if len(text) <= length else f"{text[: length - 1]}…"

"""Charts as PNG files, for documents and e-mails. A page has them as SVG.

Pillow draws them: shapes at twice the size of the file, which is then halved, and texts at that of
the file. Importing Matplotlib took half a second, longer than a small training.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tenfold.core import colours, files
from tenfold.report.charts import (
    Band,
    Boxes,
    Chart,
    Curve,
    Dots,
    Floats,
    Panel,
    TextMarks,
    Whiskers,
)

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

SCALE = 1.5
"""Number of pixels of the file for each pixel of the chart, whose layout is for a screen of 96
dpi."""

SMOOTH = 2
"""Number of pixels that are drawn for each pixel of the file, along each side."""

ZOOM = round(SCALE * SMOOTH)

TEXT_PX, TITLE_PX, GAP_PX = 12, 15, 16
DASH_PX, SPACE_PX = 5.0, 4.0
MAX_LABEL = 24
"""Maximum number of characters of a name beside an axis."""

TONES = {
    "accent": colours.rgb(colours.ACCENT),
    "against": colours.rgb(colours.AGAINST),
    "ink": colours.rgb(colours.INK),
    "quiet": colours.rgb(colours.QUIET),
    "grey": colours.rgb(colours.QUIET),
    "grid": (226, 229, 233),
    "white": (255, 255, 255),
}


def write_png(chart: Chart, path: Path) -> None:
    """Write a chart as a PNG file. Equal charts give equal files."""
    with files.durable(path) as file:
        file.write(png_bytes(chart))


def png_bytes(chart: Chart) -> bytes:
    frames = [_frame(panel) for panel in chart.panels]
    has_key = any(panel.key for panel in chart.panels)
    top = GAP_PX + 24 + 18 * bool(chart.facts) + 22 * has_key
    width = GAP_PX + sum(frame.width + GAP_PX for frame in frames)
    width = max(
        width, GAP_PX * 2 + text_px(chart.title, TITLE_PX), GAP_PX * 2 + text_px(chart.facts)
    )
    canvas = Canvas(round(width), round(top + max(frame.height for frame in frames) + GAP_PX))
    canvas.text(GAP_PX, GAP_PX + 8, chart.title, "ink", size=TITLE_PX)
    canvas.text(GAP_PX, GAP_PX + 32, chart.facts, "quiet")
    if has_key:
        _draw_key(canvas, chart, top - 12)
    left: float = GAP_PX
    for panel, frame in zip(chart.panels, frames, strict=True):
        frame.draw(canvas, panel, left, top)
        left += frame.width + GAP_PX
    return canvas.png()


@cache
def font(size: float) -> "FreeTypeFont":
    """DejaVu Sans, whose Latin, Greek and Cyrillic letters and symbols are in the package."""
    from PIL import ImageFont

    content = resources.files("tenfold.report").joinpath("DejaVuSans.ttf").read_bytes()
    return ImageFont.truetype(io.BytesIO(content), size)


def text_px(text: str, size: int = TEXT_PX) -> float:
    """The width of a text of a size, both in pixels of the chart."""
    return float(font(size * SCALE).getlength(text)) / SCALE


class Canvas:
    """A picture on which shapes and texts are placed in pixels of the chart."""

    def __init__(self, width: int, height: int) -> None:
        from PIL import Image, ImageDraw

        self._shapes = Image.new("RGB", (width * ZOOM, height * ZOOM), "white")
        self._draw = ImageDraw.Draw(self._shapes, "RGBA")
        self._texts = list[Callable[[Any], None]]()

    def line(self, x: Floats, y: Floats, tone: str, width: float = 1.6) -> None:
        points = self._points(x, y)
        thick = max(1, round(width * ZOOM))
        self._draw.line(points, TONES[tone], thick, joint="curve")

    def dashes(self, x: Floats, y: Floats, tone: str, width: float = 1.2) -> None:
        """Draw a dashed line, each dash of which is a straight piece."""
        along = np.r_[0, np.cumsum(np.hypot(np.diff(x), np.diff(y)))]
        starts = np.arange(0, along[-1], DASH_PX + SPACE_PX)
        for ends in np.stack([starts, np.minimum(starts + DASH_PX, along[-1])], axis=1):
            self.line(np.interp(ends, along, x), np.interp(ends, along, y), tone, width)

    def area(self, x: Floats, y: Floats, tone: str, opacity: float) -> None:
        self._draw.polygon(self._points(x, y), (*TONES[tone], round(255 * opacity)))

    def boxes(self, sides: Floats, tone: str, opacities: Floats) -> None:
        """Draw boxes with `sides` (n, 4): left, top, right, bottom, with a thin white gap between
        them."""
        white, full = np.array(TONES["white"]), np.array(TONES[tone])
        mixed = np.round(white + opacities[:, None] * (full - white)).astype(int).tolist()
        for box, colour in zip((sides * ZOOM).tolist(), mixed, strict=True):
            left, top, right, bottom = box
            ends = (left, top, max(left, right - 1), max(top, bottom - 1))
            self._draw.rectangle(ends, tuple(colour))

    def dots(self, x: Floats, y: Floats, mark: Dots) -> None:
        colour, radius = TONES[mark.tone], mark.radius * ZOOM
        fill = TONES["white"] if mark.hollow else (*colour, round(255 * mark.opacity))
        edge = round(1.6 * ZOOM) if mark.hollow else 0
        for a, b in self._points(x, y):
            box = (a - radius, b - radius, a + radius, b + radius)
            self._draw.ellipse(box, fill, colour if edge else None, edge)

    def text(
        self, x: float, y: float, text: str, tone: str, *,
        size: int = TEXT_PX, anchor: str = "lm", upright: bool = False,
    ) -> None:  # fmt: skip
        """Draw a text with one of Pillow's anchors. A vertical text goes upwards from y."""
        if not text:
            return
        place = (round(x * SCALE), round(y * SCALE))
        draw = _upright if upright else _level
        self._texts.append(
            lambda image: draw(image, place, text, TONES[tone], font(size * SCALE), anchor)
        )

    def png(self) -> bytes:
        picture = self._shapes.reduce(SMOOTH)
        for draw in self._texts:
            draw(picture)
        file = io.BytesIO()
        picture.save(file, "PNG", compress_level=1)
        return file.getvalue()

    def _points(self, x: Floats, y: Floats) -> list[tuple[float, float]]:
        return list(zip((x * ZOOM).tolist(), (y * ZOOM).tolist(), strict=True))


def _level(
    image: Any, place: tuple[int, int], text: str, colour: Any, font: Any, anchor: str
) -> None:
    from PIL import ImageDraw

    ImageDraw.Draw(image).text(place, text, colour, font, anchor)


def _upright(image: Any, place: tuple[int, int], text: str, colour: Any, font: Any, _: str) -> None:
    from PIL import Image, ImageDraw

    size = (round(font.getlength(text)) + 2, round(1.4 * font.size))
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).text((0, size[1] / 2), text, 255, font, "lm")
    mask = mask.rotate(90, expand=True)
    image.paste(colour, (place[0] - size[1] // 2, place[1]), mask)


@dataclass(frozen=True)
class Frame:
    """The margins of a panel around its axes, in pixels, and its size including them."""

    left: float
    top: float
    bottom: float
    width: float
    height: float
    upright: bool

    def draw(self, canvas: Canvas, panel: Panel, left: float, top: float) -> None:
        """Draw a panel with its corner at (left, top)."""
        place = PlacedPanel(panel, left + self.left, top + self.top)
        canvas.text(left, top + 8, panel.title, "ink", size=13)
        if panel.y.label:
            canvas.text(left, top + self.top - 14, panel.y.label, "quiet")
        self._draw_axes(canvas, place)
        for mark in panel.marks:
            DRAW[type(mark)](canvas, place, mark)

    def _draw_axes(self, canvas: Canvas, place: "PlacedPanel") -> None:
        panel = place.panel
        right, bottom = place.left + panel.width, place.top + panel.height
        for value, text in panel.x.ticks:
            x = place.x([value])
            if panel.has_grid:
                canvas.line(np.repeat(x, 2), np.array([place.top, bottom]), "grid", 1)
            canvas.text(
                x[0], bottom + (6 if self.upright else 13), _cut(text), "quiet", anchor="mm",
                upright=self.upright,
            )  # fmt: skip
        for value, text in panel.y.ticks:
            y = place.y([value])
            if panel.has_grid:
                canvas.line(np.array([place.left, right]), np.repeat(y, 2), "grid", 1)
            canvas.text(place.left - 7, y[0], _cut(text), "quiet", anchor="rm")
        middle = place.left + panel.width / 2
        canvas.text(middle, bottom + self.bottom - 10, panel.x.label, "quiet", anchor="mm")


def _frame(panel: Panel) -> Frame:
    left = 12 + max([0.0, *(text_px(_cut(text)) for _, text in panel.y.ticks)])
    names = [text_px(_cut(text)) for _, text in panel.x.ticks]
    upright = bool(names) and sum(names) + 6 * len(names) > panel.width
    top = 22 * bool(panel.title) + 24 * bool(panel.y.label)
    bottom = (12 + max(names) if upright else 22) + 22 * bool(panel.x.label)
    return Frame(left, top, bottom, left + panel.width + 12, top + panel.height + bottom, upright)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_LABEL else f"{text[: MAX_LABEL - 1]}…"


@dataclass(frozen=True)
class PlacedPanel:
    """A panel whose axes begin at (left, top) of a canvas."""

    panel: Panel
    left: float
    top: float

    def x(self, values: Any) -> Floats:
        return self.left + self.panel.width * self.panel.x.at(values)

    def y(self, values: Any) -> Floats:
        return self.top + self.panel.height * (1 - self.panel.y.at(values))


def _line(canvas: Canvas, place: PlacedPanel, mark: Curve) -> None:
    draw = canvas.dashes if mark.dashed else canvas.line
    draw(place.x(mark.x), place.y(mark.y), mark.tone)


def _band(canvas: Canvas, place: PlacedPanel, mark: Band) -> None:
    x = place.x(mark.x)
    y = np.concatenate([place.y(mark.high), place.y(mark.low)[::-1]])
    canvas.area(np.concatenate([x, x[::-1]]), y, mark.tone, 0.2)


def _dots(canvas: Canvas, place: PlacedPanel, mark: Dots) -> None:
    canvas.dots(place.x(mark.x), place.y(mark.y), mark)


def _whiskers(canvas: Canvas, place: PlacedPanel, mark: Whiskers) -> None:
    along, across = (place.x, place.y) if mark.along_x else (place.y, place.x)
    tone = mark.tone if mark.opacity == 1 else "quiet"
    for low, high, at in zip(along(mark.low), along(mark.high), across(mark.at), strict=True):
        ends, same = np.array([low, high]), np.array([at, at])
        canvas.line(*((ends, same) if mark.along_x else (same, ends)), tone, 1.2 * mark.opacity)


def _boxes(canvas: Canvas, place: PlacedPanel, mark: Boxes) -> None:
    sides = np.sort([place.x(side) for side in mark.x], axis=0)
    ends = np.sort([place.y(end) for end in mark.y], axis=0)
    shades = np.ones(sides.shape[1]) if mark.shades is None else np.asarray(mark.shades)
    canvas.boxes(np.stack([sides[0], ends[0], sides[1], ends[1]], axis=1), mark.tone, shades)


def _words(canvas: Canvas, place: PlacedPanel, mark: TextMarks) -> None:
    anchor = {"start": "lm", "middle": "mm", "end": "rm"}[mark.anchor]
    shift = {"start": 8, "middle": 0, "end": -8}[mark.anchor]
    for i, (x, y) in enumerate(zip(place.x(mark.x), place.y(mark.y), strict=True)):
        tone = "white" if mark.on_dark and mark.on_dark[i] else "ink"
        canvas.text(x + shift, y - mark.above_px, mark.texts[i], tone, anchor=anchor)


DRAW: dict[type, Callable[[Canvas, PlacedPanel, Any], None]] = {
    Curve: _line, Band: _band, Dots: _dots, Whiskers: _whiskers, Boxes: _boxes, TextMarks: _words,
}  # fmt: skip


def _draw_key(canvas: Canvas, chart: Chart, y: float) -> None:
    """The named marks of all panels in one line, each once."""
    marks = {mark.name: mark for panel in chart.panels for mark in panel.key}  # type: ignore[union-attr]
    x: float = GAP_PX
    for name, mark in marks.items():
        _swatch(canvas, mark, x, y)
        canvas.text(x + 26, y, name, "quiet")
        x += 26 + text_px(name) + 18


def _swatch(canvas: Canvas, mark: Any, x: float, y: float) -> None:
    ends, same = np.array([x, x + 20]), np.array([y, y])
    if isinstance(mark, Dots):
        canvas.dots(np.array([x + 10]), same[:1], mark)
    elif isinstance(mark, Curve):
        (canvas.dashes if mark.dashed else canvas.line)(ends, same, mark.tone)
    else:
        opacity = 0.2 if isinstance(mark, Band) else 1.0
        canvas.boxes(np.array([[x, y - 5, x + 20, y + 5]]), mark.tone, np.array([opacity]))

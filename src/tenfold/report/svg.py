"""Charts as SVG in a page: at any width, with text of one size, in the page's colours.

Positions are percentages of the space between the axes, which an SVG resolves itself, and texts
keep their distance to them in pixels. Lines and areas are drawn in a square of 1,000 that is
stretched to that space; their strokes are not stretched.
"""

from collections.abc import Iterator, Sequence
from html import escape

import numpy as np

from tenfold.report.charts import (
    Axis,
    Band,
    Boxes,
    Chart,
    Curve,
    Dots,
    Floats,
    Mark,
    Panel,
    TextMarks,
    Whiskers,
)

CHAR_PX = 7.3
"""Mean width of a character of 12 px. The margin for the text of ticks is computed from it."""

TOP_PX, RIGHT_PX, BOTTOM_PX, BOTTOM_LABELLED_PX = 26, 16, 26, 44
MAX_LEFT_CHARS = 26
"""Maximum length of a name beside an axis. Longer names are cut."""


def chart_html(chart: Chart) -> str:
    """A figure of a page: the title, the legend, the panels and what to look for."""
    panels = "".join(panel_svg(panel, chart.title) for panel in chart.panels)
    about = f'<p class="quiet">{escape(chart.about)}</p>' if chart.about else ""
    wide = " wide" if chart.is_wide else ""
    return (
        f'<figure class="chart{wide}"><figcaption><h3>{escape(chart.title)}</h3>{about}'
        f"{_key(chart)}</figcaption>"
        f'<div class="panels" style="--n:{len(chart.panels)}">{panels}</div></figure>'
    )


def panel_svg(panel: Panel, title: str) -> str:
    """One panel as an SVG element."""
    name = f"{title}: {panel.title}" if panel.title else title
    left = 12 + CHAR_PX * max(
        [0, *(min(len(text), MAX_LEFT_CHARS) for _, text in panel.y.ticks if text)]
    )
    bottom = BOTTOM_LABELLED_PX if panel.x.label else BOTTOM_PX
    size = "aspect-ratio:1" if panel.is_square else f"height:{panel.height}px"
    marks = "".join(part for mark in panel.marks for part in _drawn(mark, panel))
    return (
        f'<svg class="panel" role="img" aria-label="{escape(name)}" '
        f'style="padding:{TOP_PX}px {RIGHT_PX}px {bottom}px {left:.0f}px;{size}">'
        f"{''.join(_axes(panel))}{marks}</svg>"
    )


def _key(chart: Chart) -> str:
    """The named marks of all panels, each once."""
    marks = {mark.name: mark for panel in chart.panels for mark in panel.key}  # type: ignore[union-attr]
    if not marks:
        return ""
    items = "".join(
        f'<li><i class="{_swatch(mark)}"></i>{escape(name)}</li>' for name, mark in marks.items()
    )
    return f'<ul class="key">{items}</ul>'


def _swatch(mark: Mark) -> str:
    kind = type(mark).__name__.lower()
    extra = " dashed" if getattr(mark, "dashed", False) or getattr(mark, "hollow", False) else ""
    return f"{kind} {getattr(mark, 'tone', 'ink')}{extra}"


def _axes(panel: Panel) -> Iterator[str]:
    """Grid, ticks and labels of the axes. Every second name is left out on a narrow screen."""
    names = [text for _, text in panel.x.ticks]
    crowded = sum(map(len, names)) * CHAR_PX > 260
    for i, (x, text) in enumerate(zip(_percents(panel.x, panel.x.ticks), names, strict=True)):
        if panel.has_grid:
            yield f'<line class="grid-line" x1="{x}%" x2="{x}%" y1="0" y2="100%"/>'
        fine = ' class="fine"' if crowded and i % 2 else ""
        yield f'<text{fine} x="{x}%" y="100%" dy="18" text-anchor="middle">{escape(text)}</text>'
    for y, (_, text) in zip(_percents(panel.y, panel.y.ticks), panel.y.ticks, strict=True):
        place = f"{100 - y:.2f}%"
        if panel.has_grid:
            yield f'<line class="grid-line" x1="0" x2="100%" y1="{place}" y2="{place}"/>'
        cut = text if len(text) <= MAX_LEFT_CHARS else f"{text[: MAX_LEFT_CHARS - 1]}…"
        yield f'<text y="{place}" dx="-8" dy="4" text-anchor="end">{escape(cut)}</text>'
    if panel.x.label:
        label = escape(panel.x.label)
        yield f'<text class="label" x="50%" y="100%" dy="38" text-anchor="middle">{label}</text>'
    if panel.y.label:
        yield f'<text class="label" y="0" dx="-4" dy="-12">{escape(panel.y.label)}</text>'


def _percents(axis: Axis, ticks: Sequence[tuple[float, str]]) -> list[float]:
    return [round(100 * float(axis.at(value)), 2) for value, _ in ticks]


def _drawn(mark: Mark, panel: Panel) -> Iterator[str]:
    match mark:
        case Curve():
            yield _stretched(
                _path(*_places(panel, mark.x, mark.y)),
                f"line {mark.tone}{' dashed' if mark.dashed else ''}",
            )
        case Band():
            x = np.concatenate([np.asarray(mark.x), np.asarray(mark.x)[::-1]])
            y = np.concatenate([np.asarray(mark.high), np.asarray(mark.low)[::-1]])
            yield _stretched(_path(*_places(panel, x, y)) + "Z", f"area {mark.tone}")
        case Dots():
            yield from _dots(mark, panel)
        case Whiskers():
            yield from _whiskers(mark, panel)
        case Boxes():
            yield from _boxes(mark, panel)
        case TextMarks():
            yield from _words(mark, panel)


def _places(panel: Panel, x: object, y: object) -> tuple[Floats, Floats]:
    """Points in the square of 1,000, y downwards."""
    return 1000 * panel.x.at(x), 1000 * (1 - panel.y.at(y))  # type: ignore[arg-type]


def _path(x: Floats, y: Floats) -> str:
    points = [f"{a:.1f} {b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    return f"M{'L'.join(points)}"


def _stretched(path: str, kind: str) -> str:
    return (
        '<svg viewBox="0 0 1000 1000" preserveAspectRatio="none">'
        f'<path class="{kind}" d="{path}"/></svg>'
    )


def _dots(mark: Dots, panel: Panel) -> Iterator[str]:
    opacity = f' style="opacity:{mark.opacity:.2f}"' if mark.opacity < 1 else ""
    yield f'<g class="dots {mark.tone}{" hollow" if mark.hollow else ""}"{opacity}>'
    x, y = _places(panel, mark.x, mark.y)
    for i, (a, b) in enumerate(zip(x.tolist(), y.tolist(), strict=True)):
        title = f"<title>{escape(mark.titles[i])}</title>" if mark.titles else ""
        yield f'<circle cx="{a / 10:.2f}%" cy="{b / 10:.2f}%" r="{mark.radius}">{title}</circle>'
    yield "</g>"


def _whiskers(mark: Whiskers, panel: Panel) -> Iterator[str]:
    opacity = f' style="opacity:{mark.opacity:.2f}"' if mark.opacity < 1 else ""
    yield f'<g class="whiskers {mark.tone}"{opacity}>'
    ends = (mark.low, mark.high)
    if mark.along_x:
        x, y = [panel.x.at(end) for end in ends], [panel.y.at(mark.at)] * 2
    else:
        x, y = [panel.x.at(mark.at)] * 2, [panel.y.at(end) for end in ends]
    for x1, x2, y1, y2 in (100 * np.stack([*x, 1 - y[0], 1 - y[1]], axis=1)).tolist():
        yield f'<line x1="{x1:.2f}%" x2="{x2:.2f}%" y1="{y1:.2f}%" y2="{y2:.2f}%"/>'
    yield "</g>"


def _boxes(mark: Boxes, panel: Panel) -> Iterator[str]:
    sides = np.sort([100 * panel.x.at(side) for side in mark.x], axis=0)
    ends = np.sort([100 * (1 - panel.y.at(end)) for end in mark.y], axis=0)
    shades = None if mark.shades is None else np.asarray(mark.shades).tolist()
    yield f'<g class="boxes {mark.tone}">'
    for i, (left, right, top, bottom) in enumerate(np.concatenate([sides, ends]).T.tolist()):
        title = f"<title>{escape(mark.titles[i])}</title>" if mark.titles else ""
        shade = f' fill-opacity="{shades[i]:.3f}"' if shades else ""
        yield (
            f'<rect x="{left:.2f}%" y="{top:.2f}%" width="{right - left:.2f}%" '
            f'height="{bottom - top:.2f}%"{shade}>{title}</rect>'
        )
    yield "</g>"


def _words(mark: TextMarks, panel: Panel) -> Iterator[str]:
    x, y = _places(panel, mark.x, mark.y)
    shift = {"start": 8, "middle": 0, "end": -8}[mark.anchor]
    for i, text in enumerate(mark.texts):
        dark = " on-dark" if mark.on_dark and mark.on_dark[i] else ""
        yield (
            f'<text class="word{dark}" x="{x[i] / 10:.2f}%" y="{y[i] / 10:.2f}%" dx="{shift}" '
            f'dy="{4 - mark.above_px:g}" text-anchor="{mark.anchor}">{escape(text)}</text>'
        )

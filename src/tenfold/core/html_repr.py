"""Values as rich HTML in Jupyter: small tables and pictures, everything in them escaped."""

import base64
import html
import io
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

MAX_SHOWN = 20
"""Rows of a table that are shown; a line says how many more there are."""


class Markup(str):
    """Text that is HTML already."""


def card(title: str, *parts: str) -> str:
    """A heading with what belongs under it; parts are HTML."""
    return f"<div><strong>{html.escape(title)}</strong>{''.join(parts)}</div>"


def table(head: Sequence[str], rows: Iterable[Sequence[object]], n: int | None = None) -> str:
    """A table of at most 20 rows and a line about the others, where `n` says how many there are.

    `head` has the names of the columns, empty for none. `Markup` stays as it is.
    """
    shown = [row for row, _ in zip(rows, range(MAX_SHOWN), strict=False)]
    lines = ["<table>"]
    if head:
        lines.append("<tr>" + "".join(f"<th>{html.escape(name)}</th>" for name in head) + "</tr>")
    for row in shown:
        cells = (cell if isinstance(cell, Markup) else html.escape(str(cell)) for cell in row)
        lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    lines.append("</table>")
    if n is not None and n > len(shown):
        lines.append(f"<p>and {n - len(shown):,} more</p>")
    return "".join(lines)


def picture(image: NDArray[np.uint8], height_px: int = 56) -> Markup:
    """A picture, uint8 (height, width) or (height, width, 3), with its pixels as they are."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    source = base64.b64encode(file.getvalue()).decode()
    style = f"height:{height_px}px;image-rendering:pixelated"
    return Markup(f'<img alt="" style="{style}" src="data:image/png;base64,{source}">')


def bar(share: float, width_px: int = 120) -> Markup:
    """A share from 0 to 1 as a bar."""
    style = f"background:#1d5bb8;height:.8em;width:{share * width_px:.0f}px"
    return Markup(f'<div style="{style}"></div>')

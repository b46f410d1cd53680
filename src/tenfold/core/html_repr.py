"""Values as HTML in Jupyter: small tables and pictures, with everything in them escaped."""

import base64
import html
import io
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

MAX_SHOWN = 20
"""Maximum number of rows that are shown. A line says how many more there are."""


class Markup(str):
    """Text that is already HTML."""


def card(title: str, *parts: str) -> str:
    """A heading and the parts below it, which are HTML."""
    return f"<div><strong>{html.escape(title)}</strong>{''.join(parts)}</div>"


def table(head: Sequence[str], rows: Iterable[Sequence[object]], n: int | None = None) -> str:
    """A table of at most 20 rows, and a line about the others if `n` says how many there are.

    `head` contains the names of the columns, or is empty. `Markup` is not escaped.
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
    """A picture, uint8 (height, width) or (height, width, 3), with unscaled pixels."""
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

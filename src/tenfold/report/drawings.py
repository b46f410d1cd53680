"""Draw the steps to a prediction: the original picture, the ink, the input of the model, the
regions that support the prediction, and the probabilities."""

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tenfold.core import colours, files
from tenfold.core.colours import rgb
from tenfold.data.dataset import Dataset
from tenfold.model.predictions import Prediction
from tenfold.model.regions import Spoken, open_regions
from tenfold.report.png import font as font_of_size
from tenfold.report.rows import REGIONS
from tenfold.runs.csv_files import StoredLabels

if TYPE_CHECKING:
    from PIL import Image, ImageDraw
    from PIL.ImageFont import FreeTypeFont

PANEL_PX = 280
"""Side of each of the panels: ten times the MNIST box."""

GAP_PX, HEAD_PX, ROW_PX = 12, 40, 24
MAX_ROWS = 10
"""Number of the most probable labels that get a bar."""

INK, BAR, DOUBT = rgb(colours.INK), rgb(colours.ACCENT), rgb(colours.AGAINST)
GREY = (200, 206, 212)


def steps_picture(answer: Prediction, regions: Spoken | None = None) -> bytes:
    """Draw the steps to the prediction for a picture file, as the bytes of a PNG file. With the
    `regions` of the model, those that support the label are drawn, too."""
    from PIL import Image, ImageDraw

    steps = answer.steps
    assert steps is not None
    panels = [("original", steps.original)]
    if steps.ink is not None:
        panels.append(("ink found", steps.ink))
    size = " x ".join(str(side) for side in steps.image.shape[:2])
    panels.append((f"what the model sees, {size}", steps.image))
    if regions is not None:
        shares = regions.of(steps.image, answer.classes.index(answer.label))
        spoke = heated(steps.image, shares, in_middle=regions.in_middle)
        panels.append((f"what spoke for {answer.label[:24]}", spoke))
    width = GAP_PX + (PANEL_PX + GAP_PX) * (len(panels) + 1)
    canvas = Image.new("RGB", (width, HEAD_PX + PANEL_PX + GAP_PX), (255, 255, 255))
    draw, font = ImageDraw.Draw(canvas), font_of_size(13)
    left = GAP_PX
    for title, pixels in panels:
        draw.text((left, GAP_PX), title, INK, font)
        panel = Image.fromarray(_enlarged(pixels)).convert("RGB")
        panel.thumbnail((PANEL_PX, PANEL_PX))
        canvas.paste(panel, (left, HEAD_PX))
        frame = (left - 1, HEAD_PX - 1, left + panel.size[0], HEAD_PX + panel.size[1])
        draw.rectangle(frame, None, GREY)
        left += PANEL_PX + GAP_PX
    title = f"{answer.label}  {answer.confidence:.4f}" + ("  unsure" if answer.unsure else "")
    draw.text((left, GAP_PX), title, DOUBT if answer.unsure else INK, font)
    _draw_bars(draw, font, answer, left)
    file = io.BytesIO()
    canvas.save(file, "PNG")
    return file.getvalue()


def _enlarged(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Enlarge small pictures by whole blocks, so that each of their pixels is visible."""
    times = max(1, PANEL_PX // max(pixels.shape[:2]))
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


HOTTEST = 0.75
"""The opacity of the colour in the region that supports a label most."""


def heated(
    image: NDArray[np.uint8], shares: NDArray[np.float32], *, in_middle: bool = True
) -> NDArray[np.uint8]:
    """A grey picture, uint8 (height, width, 3), with the regions that support a label in colour.
    The stronger the colour is, the more a region supports the label. Regions cover the square in
    the middle, or the whole picture."""
    from PIL import Image

    height, width = image.shape[:2]
    side = min(height, width)
    rows, columns = (side, side) if in_middle else (height, width)
    spoke = np.maximum(shares, 0) / max(float(shares.max()), 1e-12)
    smooth = Image.fromarray(spoke.astype(np.float32)).resize(
        (columns, rows), Image.Resampling.BICUBIC
    )
    heat = np.zeros((height, width, 1))
    top, left = (height - rows) // 2, (width - columns) // 2
    heat[top : top + rows, left : left + columns, 0] = np.clip(np.asarray(smooth), 0, 1)
    grey = np.asarray(Image.fromarray(image).convert("L").convert("RGB"))
    mixed = grey + HOTTEST * heat * (np.array(DOUBT) - grey)
    return np.asarray(np.rint(mixed), np.uint8)


REGION_PX, REGION_COLUMNS, N_REGIONS = 168, 4, 12
"""The side and the number of the photos whose regions are drawn for a report, and the number in a
row."""


def draw_regions(run: Path, images: NDArray[np.uint8], stored: StoredLabels) -> None:
    """Draw the first photos of `StoredLabels.worst_first`, each with the regions that supported the
    predicted label, into the folder of a run. Does nothing if its model has no regions."""
    from PIL import Image, ImageDraw

    regions = open_regions(run)
    if regions is None:
        return
    n_rows = -(-len(images) // REGION_COLUMNS)
    cell = (REGION_PX + GAP_PX, REGION_PX + HEAD_PX)
    canvas = Image.new("RGB", (REGION_COLUMNS * cell[0], n_rows * cell[1]), (255, 255, 255))
    draw, font = ImageDraw.Draw(canvas), font_of_size(12)
    for i, (image, row) in enumerate(zip(images, stored.worst_first.tolist(), strict=False)):
        code = int(stored.predicted[row])
        answered, true = stored.labels[code], stored.labels[stored.true[row]]
        left, top = i % REGION_COLUMNS * cell[0], i // REGION_COLUMNS * cell[1]
        spoke = heated(image, regions.of(image, code), in_middle=regions.in_middle)
        canvas.paste(_square(spoke), (left, top + HEAD_PX - 4))
        draw.text((left, top + 2), f"spoke for {answered[:20]}", DOUBT, font)
        draw.text((left, top + 18), f"true: {true[:24]}", INK, font)
    with files.durable(run / REGIONS) as file:
        canvas.save(file, "JPEG", quality=85)


def _square(image: NDArray[np.uint8]) -> "Image.Image":
    from PIL import Image, ImageOps

    return ImageOps.fit(Image.fromarray(image), (REGION_PX, REGION_PX))


def _draw_bars(
    draw: "ImageDraw.ImageDraw", font: "FreeTypeFont", answer: Prediction, left: int
) -> None:
    best = np.argsort(-answer.probabilities, kind="stable")[:MAX_ROWS]
    rows = sorted(best.tolist())  # in the model's order
    margin = 8 + max(int(font.getlength(answer.classes[code][:12])) for code in rows)
    space = PANEL_PX - margin - 60
    for row, code in enumerate(rows):
        top, p = HEAD_PX + row * ROW_PX, float(answer.probabilities[code])
        colour = DOUBT if answer.unsure else BAR
        draw.text((left, top + 2), answer.classes[code][:12], INK, font)
        right = left + margin + round(space * p)
        draw.rectangle((left + margin, top + 4, right, top + ROW_PX - 6), colour)
        draw.text((right + 6, top + 2), f"{p:.4f}", INK, font)
    if answer.reason:
        # The text is wrapped here, because a panel fits about 40 characters of a reason.
        top = HEAD_PX + len(rows) * ROW_PX + 4
        small = font_of_size(11)
        draw.text((left, top), answer.reason[:48], DOUBT, small)
        draw.text((left, top + 13), answer.reason[48:96], DOUBT, small)


def write_steps(
    answer: Prediction, picture: Path, folder: Path, regions: Spoken | None = None
) -> Path:
    """Write the steps of one prediction: `photo.steps.png`, or `photo.steps-2.png` if that exists.

    Returns the new file in `folder`. No file is ever overwritten.
    """
    path = files.free_name(folder, f"{picture.stem}.steps", ".png")
    files.write_bytes(path, steps_picture(answer, regions))
    return path


def steps_writer(model: Path, folder: Path) -> Callable[[Prediction, Path], Path]:
    """Make a function that writes the steps of a prediction of this model (a file, or a run folder)
    into a folder, with the regions that support the label if the model has regions."""
    return partial(write_steps, folder=folder, regions=open_regions(model))


MAX_EXAMPLES, MAX_SHEET_LABELS = 12, 100
"""The number of pictures of one label on a sheet of examples, and the number of rows that they
take."""

EXAMPLE_PX = 56
"""Height of a row of examples."""


def draw_examples(data: Dataset, path: Path) -> None:
    """Draw a sheet with the first examples of each label, one row of pictures for each label."""
    from PIL import Image, ImageDraw

    examples = [np.flatnonzero(data.y == code)[:MAX_EXAMPLES] for code in range(len(data.labels))]
    rows = [(label, own) for label, own in zip(data.labels, examples, strict=True) if own.size]
    dropped, rows = rows[MAX_SHEET_LABELS:], rows[:MAX_SHEET_LABELS]
    height, width = data.x.shape[1:3]
    side = max(1, round(EXAMPLE_PX * width / height))
    font = font_of_size(14)
    margin = 2 * GAP_PX + round(max(font.getlength(label[:24]) for label, _ in rows))
    size = (margin + MAX_EXAMPLES * (side + 2) + GAP_PX, HEAD_PX + len(rows) * (EXAMPLE_PX + 2))
    sheet = Image.new("RGB", (size[0], size[1] + GAP_PX), (255, 255, 255))
    draw = ImageDraw.Draw(sheet)
    more = f", the first {MAX_SHEET_LABELS} labels" if dropped else ""
    draw.text((GAP_PX, GAP_PX), f"{data.name}: {len(data):,} examples{more}", INK, font)
    for i, (label, own) in enumerate(rows):
        top = HEAD_PX + i * (EXAMPLE_PX + 2)
        draw.text((margin - GAP_PX, top + EXAMPLE_PX / 2), label[:24], INK, font, "rm")
        for j, row in enumerate(own):
            picture = Image.fromarray(data.x[row]).convert("RGB").resize((side, EXAMPLE_PX), 0)
            sheet.paste(picture, (margin + j * (side + 2), top))
    with files.durable(path) as file:
        sheet.save(file, "PNG")

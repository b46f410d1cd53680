"""Print predictions: for people on a terminal, and as JSON or CSV for programs.

Predictions go to standard output, messages to standard error.
"""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from tenfold.cli.terminal import SafeConsole, output_for_programs
from tenfold.core.errors import TenfoldError
from tenfold.core.text import percent
from tenfold.evaluation.unlike import unlike_file
from tenfold.inputs.pictures.decode import DEFAULT_OPTIONS, PictureOptions
from tenfold.model.answer_forms import Answer, answer_files, csv_head, csv_row
from tenfold.model.forecast import forecast
from tenfold.model.model import Model
from tenfold.model.predictions import Answers, Prediction, Predictions
from tenfold.report.drawings import steps_writer

MAX_DRAWN = 10
"""Maximum number of predictions that are drawn with bars. If there are more, each gets one line."""

BAR_WIDTH = 30


def answers(
    run: Path,
    model: Model,
    inputs: Sequence[Path],
    options: PictureOptions = DEFAULT_OPTIONS,
    *,
    draw: Path | None = None,
    folder: Path = Path(),
    explain: bool = False,
) -> Iterator[Answer]:
    """Predict files in their order with the model of a run, or of a file; see `answer_files`.

    With `draw`, the model's file or its run, the steps of each picture file are written into
    `folder`. Notes about an input go to standard error.
    """
    write = None if draw is None else steps_writer(draw, folder)

    def look(path: Path, answers: Answers) -> bool:
        print_notes(run, model, path, answers)
        if write is None or not isinstance(answers, Predictions) or not answers.steps:
            return True
        picture = drawn(partial(write, answers[0], path))
        if picture is not None:
            print(f"tenfold: picture {picture}", file=sys.stderr)
        return picture is not None

    return answer_files(model, inputs, options, look=look, explain=explain)


def print_notes(run: Path, model: Model, path: Path, answers: Answers) -> None:
    """Print notes about a file, and how its rows differ from the training rows."""
    unlike = [found.text for found in unlike_file(run, model, path, answers)]
    for note in (*answers.notes, *unlike):
        print(f"tenfold: {note}", file=sys.stderr)


def drawn(write: Callable[[], Path]) -> Path | None:
    """The picture that was written. If writing fails, a message says so, and the prediction is
    kept."""
    try:
        return write()
    except TenfoldError as error:
        print(f"tenfold: {error} [{error.code}]", file=sys.stderr)
        return None


def forecast_answers(model: Model, steps: int) -> Iterator[Answer]:
    """Forecast rows in the order of time, series by series. The input of each is its time."""
    values = forecast(model, steps)
    for row, (time, value) in enumerate(zip(values.times, values, strict=True)):
        series = values.series[row] if values.series else None
        yield Answer(time, row % steps, value, series=series)


def print_json(model: Model, name: str, items: Iterable[tuple[Any, bool]]) -> bool:
    """Print items as they are computed, so that a million need no memory. Returns whether all
    succeeded.

    `items` are printed under `name`, and each comes with whether it succeeded.
    """
    print(f'{{"model": "{model.sha256}", "{name}": [', end="")
    all_complete, separator = True, "\n"
    for item, complete in items:
        print(separator + json.dumps(item), end="")
        all_complete, separator = all_complete and complete, ",\n"
    print("\n]}")
    return all_complete


def print_csv(model: Model, answered: Iterator[Answer]) -> bool:
    """Print one line for each prediction. Cells that a spreadsheet would run are escaped.

    Forecasts of several series have a last column `series`. If a column names the rows, it is the
    last column.
    """
    writer = csv.writer(output_for_programs(), lineterminator="\n")
    first = next(answered, None)
    writer.writerow(csv_head(model, first))
    complete = True
    for answer in chain([] if first is None else [first], answered):
        complete = complete and answer.complete
        writer.writerow(csv_row(answer, model))
    return complete


def print_answers(model: Model, answered: Iterator[Answer], top: int | None, show: bool) -> bool:
    """Print for people: the first predictions drawn with bars, the others in one line each."""
    console = SafeConsole(highlight=False, soft_wrap=True)
    complete = True
    for number, answer in enumerate(answered):
        complete = complete and answer.complete
        if answer.answer is None:
            code = f" [{answer.code}]" if answer.code else ""
            print(f"tenfold: {answer.error}{code}", file=sys.stderr)
            continue
        name = "" if answer.series is None else f"{answer.series}  "
        name += "" if answer.id is None else f"{answer.id}  "
        line = f"{name}{answer.input}:{answer.row}  {answer.answer.as_text()}"
        if isinstance(answer.answer, Prediction) and (number < MAX_DRAWN or show):
            console.print(line, style="bold", markup=False)
            _draw(console, answer.answer, top, show)
        else:
            print(line)
        if answer.explanation is not None:
            for text in answer.explanation.lines():
                console.print(f"    {text}", markup=False)
    return complete


def _draw(console: SafeConsole, prediction: Prediction, top: int | None, show: bool) -> None:
    """Draw the bars of a prediction and, if requested, the picture beside them."""
    picture: list[Text] = []
    if show and prediction.image is not None:
        picture = list(_picture_lines(prediction.image, console.color_system is not None))
    blank = Text(" " * (len(picture[0]) if picture else 0))
    bars = _bar_lines(prediction, top)
    for left, right in zip_longest(picture, bars, fillvalue=None):
        console.print((left or blank) + Text(f"  {right or ''}"))


def _bar_lines(prediction: Prediction, top: int | None) -> Iterator[str]:
    margin = max(len(label) for label in prediction.classes)
    for label, probability in prediction.as_dict(top).items():
        eighths = round(probability * BAR_WIDTH * 8)
        bar = "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()
        yield f"{label:>{margin}}  {bar:<{BAR_WIDTH}}  {percent(probability)}"


WIDEST = 80
"""Maximum longer side of a drawn picture in pixels. Larger ones are reduced by whole steps."""


def _picture_lines(image: NDArray[np.uint8], colour: bool) -> Iterator[Text]:
    """Draw two rows of pixels in each line of text, with half blocks in grey or, without colours,
    with five shades."""
    if image.ndim == 3:
        image = image.mean(axis=2).astype(np.uint8)
    step = -(-max(image.shape) // WIDEST)
    height, width = (side // step for side in image.shape)
    cells = image[: height * step, : width * step].reshape(height, step, width, step)
    image = cells.mean(axis=(1, 3)).astype(np.uint8)
    for top in range(0, len(image), 2):
        upper, lower = image[top], image[min(top + 1, len(image) - 1)]
        line = Text()
        for a, b in zip(upper.tolist(), lower.tolist(), strict=True):
            if colour:
                line.append("▀", style=f"rgb({a},{a},{a}) on rgb({b},{b},{b})")
            else:
                line.append(" ░▒▓█"[(a + b) * 5 // 511])
        yield line

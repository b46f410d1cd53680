"""What people see on a terminal: progress, cards, bars, pictures; and JSON or CSV for programs.

Results go to standard output, progress and messages to standard error.
"""

import csv
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import zip_longest
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

from tenfold.core.errors import TenfoldError
from tenfold.core.records import LayerRow
from tenfold.evaluation import AnyEvaluation
from tenfold.experiments.cross_validation import read_folds, spread
from tenfold.inputs.pictures.decode import DEFAULT_OPTIONS, PictureOptions
from tenfold.model.answer_files import answer_files
from tenfold.model.csv_form import csv_head, csv_row
from tenfold.model.forecast import forecast
from tenfold.model.json_form import Answer, as_json
from tenfold.model.model import Model
from tenfold.model.predictions import Answers, Prediction, Predictions, Value
from tenfold.model.transcript import Transcript, transcribe, write_annotated
from tenfold.model.transcript import as_json as page_as_json
from tenfold.report import PICTURES, ordinal, read_robustness
from tenfold.report.drawings import write_steps
from tenfold.runs.csv_files import EXAMPLE_INPUTS, EXAMPLE_ROWS
from tenfold.runs.record import Run

MAX_DRAWN = 10
"""Up to this many answers are drawn with bars; more are listed, one line each."""

BAR_WIDTH = 30


def layer_lines(layers: Sequence[LayerRow]) -> Iterator[str]:
    """The layer table as lines of text, with the sum of the parameters."""
    for layer in layers:
        shape = "x".join(str(size) for size in layer.output_shape[1:])
        yield f"{layer.name:<16}{layer.kind:<16}{shape:>10}{layer.parameters:>14,}"
    counts = [f"{layer.parameters:,}" for layer in layers if layer.parameters]
    total = sum(layer.parameters for layer in layers)
    yield f"parameters: {' + '.join(counts)} = {total:,}"


def print_card(run: Run) -> None:
    print_scores(run.evaluation)
    record, program = run.record, program_name()
    seconds = [f"{stage} {value:.1f}" for stage, value in record.seconds.items()]
    if record.data.n_dropped:
        print(f"dropped            {record.data.n_dropped} training rows that are test rows too")
    print(f"seconds            {', '.join(seconds)}")
    if record.peak_mb is not None:
        print(f"memory             {record.peak_mb:,.0f} MB at most")
    place = f"the {ordinal(record.test_opened)} model in {run.path.parent} measured on them"
    print(f"test rows          {place}")
    print(f"run                {run.path}")
    for name in (*PICTURES, "report.html"):
        if (run.path / name).is_file():
            print(f"                   {run.path / name}")
    for name, (mean, deviation) in spread(read_folds(run.path / "folds.csv")).items():
        print(f"folds              {name} {mean:.6g} (sd {deviation:.2g})")
    if (robustness := read_robustness(run)) is not None:
        print(f"robustness         {robustness.score} at worst: {robustness.worst}")
    if record.note:
        print(f"note               {record.note}")
    rows, images = run.path / EXAMPLE_ROWS, run.path / EXAMPLE_INPUTS
    inputs = str(rows) if rows.exists() else f"{images} --show"
    print(f"next               {program} predict {run.path} {inputs}")


def print_scores(evaluation: AnyEvaluation) -> None:
    print(f"{evaluation.data}: {evaluation.n:,} {evaluation.part} rows, 95% intervals")
    for line in evaluation.lines():
        print(line)


def print_own(run: Run, evaluation: AnyEvaluation) -> None:
    """What the run's own test rows said, beside an evaluation on other rows."""
    if not (run.path / "evaluation.json").is_file() or evaluation == run.evaluation:
        return
    own = run.evaluation
    print(f"the run's own      {own.data}, {own.n:,} {own.part} rows: {own.headline}")


def program_name() -> str:
    """What the reader can type: the name when it is on the path, else as it was called."""
    called = Path(sys.argv[0])
    found = shutil.which("tenfold")
    return "tenfold" if found and Path(found).samefile(called) else str(called)


def answers(
    model: Model,
    inputs: Sequence[Path],
    options: PictureOptions = DEFAULT_OPTIONS,
    *,
    draw: bool = False,
    folder: Path | None = None,
) -> Iterator[Answer]:
    """Answers in input order, as `answer_files` has them.

    With `draw` the steps of each picture file are written, into `folder` or beside it. What a
    reader should know about an input goes to standard error.
    """

    def look(path: Path, answers: Answers) -> bool:
        for note in answers.notes:
            print(f"tenfold: {note}", file=sys.stderr)
        if not draw or not isinstance(answers, Predictions) or not answers.steps:
            return True
        drawn = _drawn(partial(write_steps, answers[0], path, folder))
        if drawn is not None:
            print(f"tenfold: picture {drawn}", file=sys.stderr)
        return drawn is not None

    return answer_files(model, inputs, options, look=look)


def _drawn(write: Callable[[], Path]) -> Path | None:
    """The picture that was written. Where it cannot be, that is said, and the answer stands."""
    try:
        return write()
    except TenfoldError as error:
        print(f"tenfold: {error} [{error.code}]", file=sys.stderr)
        return None


def forecast_answers(model: Model, steps: int) -> Iterator[Answer]:
    """The next values of rows in the order of time; the input is the time."""
    found = forecast(model, steps)
    yield from (
        Answer(time, row, one)
        for row, (time, one) in enumerate(zip(found.times, found, strict=True))
    )


def print_json(model: Model, answered: Iterator[Answer], top: int | None) -> bool:
    """Print while answering, so a million answers need no memory; True if all were answered."""
    print(f'{{"model": "{model.sha256}", "predictions": [', end="")
    complete, separator = True, "\n"
    for answer in answered:
        print(separator + json.dumps(as_json(answer, top)), end="")
        complete, separator = complete and answer.complete, ",\n"
    print("\n]}")
    return complete


def print_csv(model: Model, answered: Iterator[Answer]) -> bool:
    """Print a line per answer; cells that a spreadsheet would run are written harmlessly."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(csv_head(model.labels))
    complete = True
    for answer in answered:
        complete = complete and answer.complete
        writer.writerow(csv_row(answer, model.labels))
    return complete


def print_answers(model: Model, answered: Iterator[Answer], top: int | None, show: bool) -> bool:
    """Print for people: the first answers drawn with bars, the others a line each."""
    console = Console(highlight=False, soft_wrap=True)
    complete = True
    for number, answer in enumerate(answered):
        found, complete = answer.answer, complete and answer.complete
        if found is None:
            print(f"tenfold: {answer.error}", file=sys.stderr)
        elif isinstance(found, Value):
            interval = f"  {found.low:.6g} to {found.high:.6g}" if isfinite(found.high) else ""
            print(f"{answer.input}:{answer.row}  {found.value:.6g}{interval}")
        elif number < MAX_DRAWN or show:
            _draw(console, answer, found, top, show)
        else:
            print(_line(answer, found))
    return complete


class ReadPage(NamedTuple):
    """What `read` prints of one image: what stands there, or why it cannot be read.

    `picture` is the annotated picture that was written. `complete` is false where one should have
    been, and where there is nothing to print.
    """

    input: str
    read: Transcript | None = None
    picture: Path | None = None
    error: str | None = None
    complete: bool = True


def read_pages(
    model: Model,
    images: Sequence[Path],
    options: PictureOptions,
    *,
    draw: bool,
    folder: Path | None,
) -> Iterator[ReadPage]:
    """Read images in their order; one that cannot be read stands in its place with its error."""
    for path in images:
        try:
            read = transcribe(model, path, options)
        except TenfoldError as error:
            yield ReadPage(str(path), error=str(error), complete=False)
            continue
        write = partial(write_annotated, read, path, folder, options)
        picture = _drawn(write) if draw else None
        yield ReadPage(str(path), read, picture, complete=not draw or picture is not None)


def print_pages_json(model: Model, pages: Iterator[ReadPage]) -> bool:
    """Print JSON while reading; pictures that were written are named on standard error."""
    print(f'{{"model": "{model.sha256}", "pages": [', end="")
    complete, separator = True, "\n"
    for page in pages:
        complete = complete and page.complete
        if page.read is None:
            found: dict[str, Any] = {"input": page.input, "error": page.error}
        else:
            found = {"input": page.input, "lines": page_as_json(page.read)}
        print(separator + json.dumps(found), end="")
        separator = ",\n"
        if page.picture:
            print(f"tenfold: picture {page.picture}", file=sys.stderr)
    print("\n]}")
    return complete


def print_pages(model: Model, pages: Iterator[ReadPage]) -> bool:
    """Print each line's number, and the confidence of each of its digits, `?` where unsure."""
    complete = True
    for page in pages:
        complete = complete and page.complete
        if page.read is None:
            print(f"tenfold: {page.error}", file=sys.stderr)
            continue
        lines = page.read.lines
        n_digits, n_lines = sum(map(len, lines)), len(lines)
        counts = [
            f"{n} {word}{'s' * (n != 1)}" for n, word in ((n_digits, "digit"), (n_lines, "line"))
        ]
        print(f"{page.input}: {' in '.join(counts) if n_digits else 'no digits'}")
        width = max((len(text) for text in page.read.texts), default=0)
        for text, line in zip(page.read.texts, lines, strict=True):
            sure = " ".join(
                f"{digit.answer.confidence:.2f}{'?' if digit.answer.unsure else ''}"
                for digit in line
            )
            print(f"  {text:<{width}}  {sure}")
        if page.picture:
            print(f"picture  {page.picture}")
    return complete


def _draw(
    console: Console, answer: Answer, prediction: Prediction, top: int | None, show: bool
) -> None:
    """One answer with its bars, and beside them the picture if it is wanted."""
    console.print(_line(answer, prediction), style="bold", markup=False)
    picture: list[Text] = []
    if show and prediction.image is not None:
        picture = list(_picture_lines(prediction.image, console.color_system is not None))
    blank = Text(" " * (len(picture[0]) if picture else 0))
    bars = _bar_lines(prediction, top)
    for left, right in zip_longest(picture, bars, fillvalue=None):
        console.print((left or blank) + Text(f"  {right or ''}"))


def _line(answer: Answer, prediction: Prediction) -> str:
    doubt = f"  unsure: {prediction.reason}" if prediction.unsure else ""
    return f"{answer.input}:{answer.row}  {prediction.label}  {prediction.confidence:.4f}{doubt}"


def _bar_lines(prediction: Prediction, top: int | None) -> Iterator[str]:
    margin = max(len(label) for label in prediction.classes)
    for label, probability in prediction.as_dict(top).items():
        eighths = round(probability * BAR_WIDTH * 8)
        bar = "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()
        yield f"{label:>{margin}}  {bar:<{BAR_WIDTH}}  {probability:.4f}"


def _picture_lines(image: NDArray[np.uint8], colour: bool) -> Iterator[Text]:
    """Two pixel rows in each line of text: half blocks in grey, or five shades without colours."""
    if image.ndim == 3:
        image = image.mean(axis=2).astype(np.uint8)
    for top in range(0, len(image), 2):
        upper, lower = image[top], image[min(top + 1, len(image) - 1)]
        line = Text()
        for a, b in zip(upper.tolist(), lower.tolist(), strict=True):
            if colour:
                line.append("▀", style=f"rgb({a},{a},{a}) on rgb({b},{b},{b})")
            else:
                line.append(" ░▒▓█"[(a + b) * 5 // 511])
        yield line

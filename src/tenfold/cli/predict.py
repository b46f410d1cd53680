"""`tenfold predict` and `tenfold read`: use a model on files."""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from tenfold.cli import options
from tenfold.cli.answers import (
    answers,
    drawn,
    forecast_answers,
    print_answers,
    print_csv,
    print_json,
    print_notes,
)
from tenfold.core.errors import TenfoldError
from tenfold.core.files import check_new, within
from tenfold.experiments.ray import predict_many
from tenfold.inputs.pictures.decode import PictureOptions
from tenfold.model.answer_forms import Answer, write_answered_table
from tenfold.model.answer_forms import as_json as answer_json
from tenfold.model.model import Model
from tenfold.model.transcript import Transcript, transcribe, transcript_json, write_annotated
from tenfold.runs.ask import model_of

NoTurn = Annotated[bool, typer.Option("--no-turn", help="Ignore the EXIF orientation of photos.")]

STANDARD_INPUT = Path("-")
COPY = "standard input"


class _ReadPage(NamedTuple):
    """What `read` prints for an image: the text of the page, or why it cannot be read.

    `picture` is the annotated picture that was written. `complete` is false if it could not be
    written, or if there is nothing to print.
    """

    input: str
    read: Transcript | None = None
    picture: Path | None = None
    error: str | None = None
    complete: bool = True


class _Asked(NamedTuple):
    """The options of `predict`."""

    inputs: Sequence[Path]
    pictures: PictureOptions
    top: int | None
    show: bool
    out: Path | None
    steps: int | None
    explain: bool
    cluster: str | None
    as_json: bool
    as_csv: bool

    @property
    def is_table(self) -> bool:
        """Whether the rows of a table are written with the predictions beside them."""
        is_csv = self.out is not None and self.out.suffix.lower() == ".csv"
        return is_csv and self.cluster is None and not self.show

    def check(self) -> None:
        """Refuse options that exclude each other."""
        writes_csv = self.as_csv or self.is_table or self.cluster is not None
        for is_wrong, text in (
            (self.as_json and self.as_csv, "--json and --csv exclude each other"),
            (bool(self.inputs) == bool(self.steps), "expected either inputs or --steps"),
            (
                self.top is not None and writes_csv,
                "--top: CSV has a column for every label; use it with --json",
            ),
            (
                self.cluster is not None
                and (self.out is None or self.steps or self.show or self.as_json),
                "--cluster: expected inputs, and --out DIR for the CSV",
            ),
            (
                self.explain and bool(self.steps or writes_csv),
                "--explain: expected inputs; the contributions are printed, with --json as JSON",
            ),
            (
                self.is_table and (self.steps or self.as_json or self.as_csv),
                "--out NAME.csv: expected an input alone",
            ),
        ):
            if is_wrong:
                raise typer.BadParameter(text)


def predict_command(
    run: options.ModelPath,
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="INPUT...",
            help="Pictures, files (CSV, IDX, NumPy) or a folder; - is standard input.",
            show_default=False,
        ),
    ] = None,
    top: Annotated[
        int | None, typer.Option(min=1, help="Show only the K most probable labels.")
    ] = None,
    show: Annotated[
        bool,
        typer.Option("--show", help="Show what the model saw, and save the steps of pictures."),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="A folder for the files of --show [default: the current one] and --cluster; or a "
            "file NAME.csv for the rows of a table with the answers beside them.",
        ),
    ] = None,
    no_fit: Annotated[
        bool,
        typer.Option(
            "--no-fit",
            help="Use pictures and arrays as they are, without fitting them.",
        ),
    ] = False,
    no_turn: NoTurn = False,
    steps: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=100_000, help="Forecast the next N steps of a series."
        ),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Also show what each column of a table contributes."),
    ] = False,
    cluster: options.Cluster = None,
    as_json: options.AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Predict labels or numbers, with their confidence."""
    asked = _Asked(
        inputs=inputs or (),
        pictures=PictureOptions(fit_to_box=not no_fit, apply_exif=not no_turn),
        top=top,
        show=show,
        out=out,
        steps=steps,
        explain=explain,
        cluster=cluster,
        as_json=as_json,
        as_csv=as_csv,
    )
    asked.check()
    with _files(asked.inputs) as files:
        if cluster is not None and out is not None:
            complete = _predict_on_cluster(cluster, run, files, out, asked.pictures)
        elif asked.is_table and out is not None:
            complete = _write_table(run, files, out)
        else:
            complete = _print(run, files, asked)
    if not complete:
        raise typer.Exit(1)


def _predict_on_cluster(
    cluster: str, run: Path, files: Sequence[Path], out: Path, pictures: PictureOptions
) -> bool:
    """Write the predictions of a Ray cluster as CSV. Returns whether every input could be read."""
    done = predict_many(cluster, run, files, out, pictures)
    counts = f"{done.n_answers} answers, {done.n_errors} inputs that cannot be read"
    print(f"{done.path}: {counts}.")
    return not done.n_errors


def _print(run: Path, files: Sequence[Path], asked: _Asked) -> bool:
    """Print the predictions in the requested form. Returns whether every input could be read."""
    model = model_of(run)
    if asked.steps:
        answered = forecast_answers(model, asked.steps)
    else:
        draw = run if asked.show else None
        found = answers(
            run,
            model,
            files,
            asked.pictures,
            draw=draw,
            folder=asked.out or Path(),
            explain=asked.explain,
        )
        answered = map(_named, found)
    if asked.as_csv:
        return print_csv(model, answered)
    if asked.as_json:
        items = ((answer_json(answer, asked.top), answer.complete) for answer in answered)
        return print_json(model, "predictions", items)
    return print_answers(model, answered, asked.top, asked.show)


def _named(answer: Answer) -> Answer:
    """Name the prediction of standard input."""
    is_copy = Path(answer.input).name == COPY
    return answer._replace(input=str(STANDARD_INPUT)) if is_copy else answer


@contextmanager
def _files(inputs: Sequence[Path]) -> Iterator[list[Path]]:
    """The files of the inputs. Standard input is a temporary file while they are read."""
    with tempfile.TemporaryDirectory(prefix="tenfold-") as folder:
        copy = Path(folder, COPY)
        if STANDARD_INPUT in inputs:
            copy.write_bytes(sys.stdin.buffer.read())
        paths = [copy if path == STANDARD_INPUT else path for path in inputs]
        yield [file for path in paths for file in within(path)]


def _write_table(run: Path, files: Sequence[Path], out: Path) -> bool:
    if len(files) != 1:
        raise typer.BadParameter("--out NAME.csv: expected one file with rows of a table")
    check_new(out)
    model = model_of(run)
    answers, n_unsure = write_answered_table(model, files[0], out)
    print_notes(run, model, files[0], answers)
    print(f"{out}: {len(answers):,} rows, {n_unsure:,} of them unsure.")
    return True


def read_command(
    run: options.ModelPath,
    images: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGE...", help="Pictures of pages with digits.", show_default=False
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Where to save annotated pictures [default: the current folder]."
        ),
    ] = None,
    no_picture: Annotated[
        bool, typer.Option("--no-picture", help="Do not save annotated pictures.")
    ] = False,
    no_turn: NoTurn = False,
    as_json: options.AsJson = False,
) -> None:
    """Read pages of handwritten digits, line by line."""
    model = Model.open(run)
    pictures = PictureOptions(apply_exif=not no_turn)
    pages = _read_pages(model, images, pictures, draw=not no_picture, folder=out or Path())
    complete = print_json(model, "pages", _pages_json(pages)) if as_json else _print_pages(pages)
    if not complete:
        raise typer.Exit(1)


def _read_pages(
    model: Model,
    images: Sequence[Path],
    options: PictureOptions,
    *,
    draw: bool,
    folder: Path,
) -> Iterator[_ReadPage]:
    """Read images in their order. An image that cannot be read is replaced by its error."""
    for path in images:
        try:
            read = transcribe(model, path, options)
        except TenfoldError as error:
            yield _ReadPage(str(path), error=str(error), complete=False)
            continue
        write = partial(write_annotated, read, path, folder, options)
        picture = drawn(write) if draw else None
        yield _ReadPage(str(path), read, picture, complete=not draw or picture is not None)


def _pages_json(pages: Iterator[_ReadPage]) -> Iterator[tuple[dict[str, Any], bool]]:
    """Pages as JSON. The pictures that were written are named on standard error."""
    for page in pages:
        if page.read is None:
            yield {"input": page.input, "error": page.error}, page.complete
        else:
            yield {"input": page.input, "lines": transcript_json(page.read)}, page.complete
        if page.picture:
            print(f"tenfold: picture {page.picture}", file=sys.stderr)


def _print_pages(pages: Iterator[_ReadPage]) -> bool:
    """Print the number of each line, and the confidence of each digit, with `?` if unsure."""
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

"""The command line: parse, call one function, print. Results on stdout, the rest on stderr."""

import csv
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

import tenfold
from tenfold import workflow
from tenfold.audit import Audit
from tenfold.contract import RECIPES
from tenfold.data_commands import data_app
from tenfold.errors import TenfoldError
from tenfold.evaluation import Evaluation
from tenfold.learners import LEARNERS, Watcher
from tenfold.model import Model, Prediction, read_input
from tenfold.network import Layer
from tenfold.report.html import ordinal
from tenfold.runs import EXAMPLE_INPUTS, Run, verify
from tenfold.training import Epoch

MAX_DRAWN = 10
"""Up to this many answers are drawn with bars; more are listed, one line each."""

MAX_MATRIX_LABELS = 20
BAR_WIDTH = 30

app = typer.Typer(
    help="Turn labelled examples into a model you can trust.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.add_typer(data_app)

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)]


def main() -> None:
    """Run the command line: 0 done, 1 a clear error, 2 usage, 130 interrupted (Typer's own)."""
    try:
        app()
    except TenfoldError as error:
        print(f"tenfold: {error}", file=sys.stderr)
        sys.exit(1)


@app.callback(invoke_without_command=True)
def _program(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.")
    ] = False,
) -> None:
    if version:
        print(f"tenfold {tenfold.__version__}")
        raise typer.Exit


@app.command()
def train(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A dataset's name.")] = "mnist",
    learner: Annotated[str, typer.Option(help=f"One of: {', '.join(LEARNERS)}.")] = "network",
    recipe: Annotated[str, typer.Option(help=f"One of: {', '.join(RECIPES)}.")] = "default",
    hidden: Annotated[
        str | None, typer.Option(help="Neurons of each hidden layer, as in 128,64.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Times each row is seen.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows per step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Step size at the start.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Decides everything random [default: 0].")
    ] = None,
    test_size: Annotated[
        float | None, typer.Option(help="Share of the training part to test on instead.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where run folders are made.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Train, measure and keep a model: one new run folder."""
    try:
        with _TerminalWatcher() as watcher:
            run = tenfold.train(
                data,
                learner=learner,
                recipe=recipe,
                hidden=None if hidden is None else _widths(hidden),
                epochs=epochs,
                batch_size=batch_size,
                learning_rate=learning_rate,
                seed=seed,
                test_size=test_size,
                out=out,
                watcher=watcher,
            )
    except workflow.Interrupted as interrupted:
        kept = ", ".join(interrupted.run.record.files) or "nothing but run.json"
        print(f"tenfold: interrupted. {interrupted.run.path} keeps: {kept}.", file=sys.stderr)
        raise
    if as_json:
        evaluation = run.evaluation.model_dump(mode="json")
        print(
            json.dumps({"run": str(run.path), "state": run.record.state, "evaluation": evaluation})
        )
    else:
        _print_card(run)


@app.command()
def evaluate(
    run: RunFolder,
    data: Annotated[
        str | None,
        typer.Argument(metavar="[DATA]", help="Other data than the run's own.", show_default=False),
    ] = None,
) -> None:
    """Measure a run's model again, or on other data."""
    _print_scores(tenfold.evaluate(run, data))


@app.command()
def predict(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="A run folder or a model.onnx.", show_default=False),
    ],
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT...", help="IDX files.", show_default=False)
    ],
    top: Annotated[int | None, typer.Option(min=1, help="Only the K best labels.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Draw what the model saw.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Say what inputs are, and how surely."""
    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv exclude each other")
    model = Model.open(run)
    answers = _answers(model, inputs)
    printer = _print_json if as_json else _print_csv if as_csv else _print_answers
    if not printer(model, answers, top, show):
        raise typer.Exit(1)


@app.command("verify")
def verify_command(run: RunFolder) -> None:
    """Check that a run folder is as it was made and answers as it did."""
    checked = verify(run)
    print(
        f"{run}: {checked['files']} files unchanged, {checked['examples']} examples answered alike."
    )


def _widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"--hidden {text!r}: expected numbers such as 128,64") from error


class _TerminalWatcher(Watcher, AbstractContextManager["_TerminalWatcher"]):
    """Stages and epochs as a live bar and lines on a terminal; elsewhere the layer table alone."""

    TITLES = {
        "load": "Reading the data",
        "train": "Starting Keras",
        "export": "Writing the model",
        "evaluate": "Measuring on the test rows",
        "report": "Drawing the report",
    }

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._progress.add_task("", total=None)

    def __enter__(self) -> "_TerminalWatcher":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def stage(self, name: str) -> None:
        self._progress.update(self._task, description=self.TITLES[name], total=None, completed=0)

    def audit(self, audit: Audit) -> None:
        for line in audit.lines():
            self._console.print(line, soft_wrap=True, markup=False)

    def layers(self, layers: Sequence[Layer]) -> None:
        for line in layer_lines(layers):
            self._console.print(line)
        self._progress.update(self._task, description="Compiling")

    def epoch(self, epoch: Epoch, n_epochs: int) -> None:
        self._progress.update(
            self._task, description="Training", total=n_epochs, completed=epoch.epoch
        )
        if self._console.is_terminal:
            line = f"epoch {epoch.epoch:>{len(str(n_epochs))}}/{n_epochs}"
            line += f"  loss {epoch.loss:.4f}  accuracy {epoch.accuracy:.4f}"
            if epoch.val_accuracy is not None:
                line += f"  validation {epoch.val_accuracy:.4f}"
            self._console.print(f"{line}  {epoch.seconds:.2f} s")


def layer_lines(layers: Sequence[Layer]) -> Iterator[str]:
    """The layer table as lines of text, with the sum of the parameters."""
    for layer in layers:
        shape = "x".join(str(size) for size in layer.output_shape[1:])
        yield f"{layer.name:<16}{layer.kind:<16}{shape:>10}{layer.parameters:>14,}"
    counts = [f"{layer.parameters:,}" for layer in layers if layer.parameters]
    total = sum(layer.parameters for layer in layers)
    yield f"parameters: {' + '.join(counts)} = {total:,}"


def _print_card(run: Run) -> None:
    _print_scores(run.evaluation)
    record, program = run.record, _program_name()
    seconds = [f"{stage} {value:.1f}" for stage, value in record.seconds.items()]
    if record.data.n_dropped:
        print(f"dropped            {record.data.n_dropped} training rows that are test rows too")
    print(f"seconds            {', '.join(seconds)}")
    place = f"the {ordinal(record.test_opened)} model in {run.path.parent} measured on them"
    print(f"test rows          {place}")
    print(f"run                {run.path}")
    for name in ("confusion_matrix.png", "history.png", "report.html"):
        print(f"                   {run.path / name}")
    print(f"next               {program} predict {run.path} {run.path / EXAMPLE_INPUTS} --show")


def _print_scores(evaluation: Evaluation) -> None:
    baseline = evaluation.baseline
    print(f"{evaluation.data}: {evaluation.n:,} {evaluation.part} rows, 95% intervals")
    print(f"accuracy           {evaluation.accuracy}")
    print(f"log loss           {evaluation.log_loss}")
    print(f"macro F1           {evaluation.macro_f1}")
    print(f"calibration error  {evaluation.calibration_error}")
    print(f"baseline           {baseline.accuracy} (always {baseline.label!r})")
    pairs = [f"{true} read as {read}: {n}" for true, read, n in evaluation.most_confused[:3]]
    print(f"most confused      {', '.join(pairs) or 'none'}")
    if len(evaluation.labels) <= MAX_MATRIX_LABELS:
        for line in _matrix_lines(evaluation):
            print(line)


def _matrix_lines(evaluation: Evaluation) -> Iterator[str]:
    cells = [[str(count or "·") for count in row] for row in evaluation.confusion]
    width = 1 + max(len(text) for text in (*evaluation.labels, *sum(cells, [])))
    margin = max(len("true"), *(len(label) for label in evaluation.labels))
    header = "".join(f"{label:>{width}}" for label in evaluation.labels)
    yield f"{'true':<{margin}} {header}  predicted"
    for label, row in zip(evaluation.labels, cells, strict=True):
        yield f"{label:>{margin}} {''.join(f'{text:>{width}}' for text in row)}"


def _program_name() -> str:
    """What the reader can type: the name when it is on the path, else as it was called."""
    called = Path(sys.argv[0])
    found = shutil.which("tenfold")
    return "tenfold" if found and Path(found).samefile(called) else str(called)


class _Answer(NamedTuple):
    """One line of what `predict` prints: a prediction, or why there is none."""

    input: str
    row: int
    prediction: Prediction | None = None
    error: str | None = None


def _answers(model: Model, inputs: Sequence[Path]) -> Iterator[_Answer]:
    """Answers in input order; an input that cannot be read stands in its place with its error."""
    for path in inputs:
        try:
            found = model.predict(read_input(path))
        except TenfoldError as error:
            yield _Answer(str(path), 0, error=str(error))
            continue
        predictions = [found] if isinstance(found, Prediction) else found
        yield from (_Answer(str(path), row, one) for row, one in enumerate(predictions))


def _best(prediction: Prediction, top: int | None) -> dict[str, float]:
    """Label to probability: in the model's order, or the `top` best, most probable first."""
    everything = prediction.probabilities
    if top is None:
        return everything
    return dict(sorted(everything.items(), key=lambda item: -item[1])[:top])


def _print_json(model: Model, answers: Iterator[_Answer], top: int | None, show: bool) -> bool:
    """Print while answering, so a million answers need no memory; True if all were answered."""
    print(f'{{"model": "{model.sha256}", "predictions": [', end="")
    complete, separator = True, "\n"
    for answer in answers:
        print(separator + json.dumps(_as_json(answer, top)), end="")
        complete, separator = complete and answer.error is None, ",\n"
    print("\n]}")
    return complete


def _as_json(answer: _Answer, top: int | None) -> dict[str, Any]:
    prediction = answer.prediction
    if prediction is None:
        return {"input": answer.input, "error": answer.error}
    return {
        "input": answer.input,
        "row": answer.row,
        "label": prediction.label,
        "confidence": prediction.confidence,
        "unsure": prediction.unsure,
        "reason": prediction.reason,
        "probabilities": _best(prediction, top),
    }


def _print_csv(model: Model, answers: Iterator[_Answer], top: int | None, show: bool) -> bool:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    names = [f"p_{label}" for label in model.labels]
    writer.writerow(["input", "row", "label", "confidence", "unsure", "error", *names])
    complete = True
    for answer in answers:
        one = answer.prediction
        if one is None:
            writer.writerow([answer.input, "", "", "", "", answer.error, *("" for _ in names)])
            complete = False
        else:
            confidence, unsure = f"{one.confidence:.9g}", str(one.unsure).lower()
            values = (f"{value:.9g}" for value in one.values.tolist())
            writer.writerow([answer.input, answer.row, one.label, confidence, unsure, "", *values])
    return complete


def _print_answers(model: Model, answers: Iterator[_Answer], top: int | None, show: bool) -> bool:
    console = Console(highlight=False, soft_wrap=True)
    complete = True
    for number, answer in enumerate(answers):
        if answer.prediction is None:
            print(f"tenfold: {answer.error}", file=sys.stderr)
            complete = False
        elif number < MAX_DRAWN or show:
            _draw(console, answer, answer.prediction, top, show)
        else:
            one = answer.prediction
            print(f"{answer.input}:{answer.row}  {one.label}  {one.confidence:.4f}")
    return complete


def _draw(
    console: Console, answer: _Answer, prediction: Prediction, top: int | None, show: bool
) -> None:
    """One answer with its bars, and beside them the picture if it is wanted."""
    console.print(
        f"{answer.input}:{answer.row}  {prediction.label}  {prediction.confidence:.4f}",
        style="bold",
    )
    picture = list(_picture_lines(prediction, console.color_system is not None)) if show else []
    blank = Text(" " * (len(picture[0]) if picture else 0))
    bars = _bar_lines(prediction, top)
    for left, right in zip_longest(picture, bars, fillvalue=None):
        console.print((left or blank) + Text(f"  {right or ''}"))


def _bar_lines(prediction: Prediction, top: int | None) -> Iterator[str]:
    margin = max(len(label) for label in prediction.labels)
    for label, probability in _best(prediction, top).items():
        eighths = round(probability * BAR_WIDTH * 8)
        bar = "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()
        yield f"{label:>{margin}}  {bar:<{BAR_WIDTH}}  {probability:.4f}"


def _picture_lines(prediction: Prediction, colour: bool) -> Iterator[Text]:
    """Two pixel rows in each line of text: half blocks in grey, or five shades without colours."""
    image = prediction.image
    for top in range(0, len(image), 2):
        upper, lower = image[top], image[min(top + 1, len(image) - 1)]
        line = Text()
        for a, b in zip(upper.tolist(), lower.tolist(), strict=True):
            if colour:
                line.append("▀", style=f"rgb({a},{a},{a}) on rgb({b},{b},{b})")
            else:
                line.append(" ░▒▓█"[(a + b) * 5 // 511])
        yield line


if __name__ == "__main__":
    main()

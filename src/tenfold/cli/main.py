"""The command line: parse it, call one function, and print. Results go to stdout, the rest to
stderr."""

import atexit
import gc
import io
import json
import os
import signal
import sys
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tenfold.cli import options, usage
from tenfold.cli.card import print_card, print_lines, print_own, print_scores
from tenfold.cli.data import data_app
from tenfold.cli.doctor import checks_json, examine
from tenfold.cli.predict import predict_command, read_command
from tenfold.cli.progress import TerminalListener
from tenfold.cli.sweep import compare_command, sweep_command
from tenfold.cli.terminal import program_name, safe_streams
from tenfold.cli.watch import watched
from tenfold.core.errors import BackendError, SettingsError, TenfoldError, did_you_mean
from tenfold.core.files import check_new, os_errors
from tenfold.core.installation import adding
from tenfold.core.progress import Listener
from tenfold.core.settings import Reading
from tenfold.core.version import __version__
from tenfold.experiments.batch import scores_by, unlike_training
from tenfold.experiments.evaluate import evaluate as evaluate_run
from tenfold.experiments.evaluate import load_for
from tenfold.experiments.evaluate import robustness as robustness_of
from tenfold.experiments.make_run import Interrupted
from tenfold.experiments.train import resume as resume_run
from tenfold.experiments.train import train as train_run
from tenfold.learners import LEARNERS
from tenfold.learners.jax_runtime import import_ahead
from tenfold.report import rewrite_report, write_brief, write_comparison
from tenfold.report.network_page import write_page
from tenfold.runs.csv_files import compare_runs
from tenfold.runs.export import companions, write_keras, write_onnx
from tenfold.runs.record import Run
from tenfold.runs.verify import verify

FIRST = ("train", "report", "predict")
"""The commands that a newcomer needs, in this order."""


class Program(TyperGroup):
    """The help, which fits a screen of 80 x 24: how to begin, the commands, and the names of
    options."""

    def list_commands(self, ctx: Any) -> list[str]:
        names = super().list_commands(ctx)
        return [*FIRST, *(name for name in names if name not in FIRST)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        self.format_commands(ctx, formatter)
        options = ", ".join(parameter.opts[0] for parameter in self.get_params(ctx))
        formatter.write(f"\nOptions: {options}\n")


app = typer.Typer(
    cls=Program,
    help="""Turn labelled examples into a model you can trust. To begin:

    \b
      tenfold train                         train a network on MNIST, in seconds
      tenfold report RUN --open             see how good it is, and why
      tenfold predict RUN photo.png --show  read your own handwriting""",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.add_typer(data_app)
app.command("predict")(predict_command)
app.command("read")(read_command)
app.command("compare")(compare_command)
app.command("sweep")(sweep_command)

EXPORTS = {"page": ".html", "keras": ".keras", "onnx": ".onnx"}
"""What `export` makes, and the suffix of its file."""

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)]


def main() -> None:
    """Run the command line. Exit codes: 0 success, 1 error, 2 usage error, 130 Ctrl-C or
    SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Imports and tracing make many permanent objects. Collecting garbage after every 700 of
    # them took 1 s of a `train` of 8, and once more at the end 0.4 s.
    gc.set_threshold(100_000, 20, 100)
    atexit.register(gc.freeze)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # UTF-8 into files and pipes, also on Windows. File names need not be
            # valid text.
            is_chosen = stream.isatty() or "PYTHONIOENCODING" in os.environ
            encoding = stream.encoding if is_chosen else "utf-8"
            stream.reconfigure(encoding=encoding, errors="backslashreplace")
    with safe_streams():
        try:
            with os_errors():
                status = _call()
        except TenfoldError as error:
            with suppress(OSError):
                print(f"tenfold: {error} [{error.code}]", file=sys.stderr)
            status = 1
    sys.exit(status)


def _call() -> int:
    """Run the requested command, and write all that it prints. Returns the exit code."""
    try:
        return usage.run(app)
    except MemoryError as error:
        fix = "Use fewer rows, smaller files, or a machine with more memory"
        raise BackendError("E978", "There is not enough memory", fix=fix) from error
    finally:
        if sys.stdout is not None:
            sys.stdout.flush()


@app.callback(invoke_without_command=True)
def _program(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        print(f"tenfold {__version__}")
        raise typer.Exit


@app.command()
@options.takes_settings()
@options.takes_reading
def train(
    context: typer.Context,
    data: options.Data = "mnist",
    *,
    settings: dict[str, Any],
    reading: Reading,
    out: Annotated[Path, typer.Option(help="The folder in which run folders are created.")] = Path(
        "runs"
    ),
    resume: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Continue this run, with its own settings."),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Show the training on a page of this computer, and save the page beside the run.",
        ),
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Train a model, measure it and save it in a new run folder."""
    given = _given(context)
    if resume is not None:
        _check_alone(given)
    if resume is not None or _needs_jax(settings):
        import_ahead()

    def make(hearing: Listener) -> Run:
        if resume is not None:
            return resume_run(resume, data if "data" in given else None, listener=hearing)
        return train_run(data, reading=reading, out=out, listener=hearing, **settings)

    try:
        with TerminalListener() as listener:
            run = watched(make, listener, str(resume or data)) if watch else make(listener)
    except Interrupted as interrupted:
        _say_interrupted(interrupted.run)
        raise
    if as_json:
        evaluation = run.evaluation.model_dump(mode="json")
        print(
            json.dumps({"run": str(run.path), "state": run.record.state, "evaluation": evaluation})
        )
    else:
        print_card(run, listener.warnings)


@app.command()
def evaluate(
    run: RunFolder,
    data: Annotated[
        str | None,
        typer.Argument(metavar="[DATA]", help="Measure on these data instead.", show_default=False),
    ] = None,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Also measure on changed test rows.")
    ] = False,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Also measure by the values of a column of the table.",
            show_default=False,
        ),
    ] = None,
    min_accuracy: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Exit with 1 if the accuracy is lower.", show_default=False
        ),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Measure the model of a run again, or on other data."""
    opened = Run.open(run)
    if min_accuracy is not None:
        _check_has_accuracy(opened)
    loaded = load_for(opened, data)
    evaluation = evaluate_run(opened, loaded)
    changed = robustness_of(opened, loaded) if robustness else None
    parts = None if by is None else scores_by(opened, by, loaded)
    differences = [] if data is None else unlike_training(opened, loaded)
    unlike = [f"{name:<19}{text}" for name, text in differences]
    if as_json:
        printed = {"run": str(run), "evaluation": evaluation.model_dump(mode="json")}
        if changed is not None:
            printed["robustness"] = changed.model_dump(mode="json")
        if parts is not None:
            printed["by"] = parts.model_dump(mode="json")
        if unlike:
            printed["unlike_training"] = unlike
        print(json.dumps(printed))
    else:
        print_scores(evaluation)
        if data is not None:
            print_own(opened, evaluation)
        print_lines(unlike)
        for found in (changed, parts):
            print_lines([*found.lines()] if found is not None else [])
    if min_accuracy is not None and evaluation.score.value < min_accuracy:
        print(
            f"tenfold: the accuracy {evaluation.score} is below {min_accuracy:g}", file=sys.stderr
        )
        raise typer.Exit(1)


@app.command("report")
def report_command(
    run: RunFolder,
    other: Annotated[
        Path | None,
        typer.Argument(
            metavar="[OTHER]", help="Another run to compare it with.", show_default=False
        ),
    ] = None,
    open_it: Annotated[
        bool, typer.Option("--open", help="Open the report in the browser.")
    ] = False,
    without_rows: Annotated[
        bool, typer.Option("--without-rows", help="Leave out all rows of the data.")
    ] = False,
    by: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Also show the scores by the values of this column."),
    ] = None,
    summary: Annotated[
        bool, typer.Option("--summary", help="Write one page to mail, without rows of the data.")
    ] = False,
) -> None:
    """Write the report of a run again, or compare two runs.

    Two runs are compared on the test rows that both have.
    """
    first = Run.open(run)
    if other is None and summary:
        path, text = write_brief(first)
        print(f"text               {text}")
    elif other is None:
        parts = None if by is None else scores_by(first, by)
        path = rewrite_report(first, with_rows=not without_rows, by=parts)
    else:
        second = Run.open(other)
        comparison = compare_runs(first, second)
        for line in comparison.lines():
            print(line)
        # The paths `.` and `..` do not contain the name of their parent folder.
        folder = run.parent if run.name not in ("", "..") else run.resolve().parent
        path = folder / f"{run.resolve().name}-and-{other.resolve().name}.html"
        write_comparison(first, second, comparison, path)
    print(f"report             {path}")
    if open_it:
        webbrowser.open(path.resolve().as_uri())


@app.command()
def export(
    run: options.ModelPath,
    to: Annotated[str, typer.Option(help="The form to write: page, keras or onnx.")] = "page",
    out: Annotated[
        Path | None,
        typer.Option(help="The file to write [default: NAME.html, NAME.keras, NAME.onnx]."),
    ] = None,
) -> None:
    """Save the model as a page, for Keras or for ONNX Runtime."""
    if to not in EXPORTS:
        hint = did_you_mean(to, EXPORTS)
        raise typer.BadParameter(
            f"--to {to!r}: expected page, keras or onnx" + (f". {hint}" if hint else "")
        )
    suffix = EXPORTS[to]
    path = out or Path(f"{run.resolve().name.removesuffix('.onnx')}{suffix}")
    if to != "page" and path.suffix != suffix:
        raise typer.BadParameter(f"--out {str(path)!r}: expected a name that ends in {suffix}")
    made = [path, *(companions(path) if to == "onnx" else ())]
    for file in made:
        check_new(file)
    about = ""
    if to == "page":
        write_page(Run.open(run), path)
    elif to == "onnx":
        write_onnx(run, path)
        about = f"\nask   python {made[1]}"
    else:
        about = f"\nfrom  {write_keras(run, path)}"
    print(f"{to:<5} {' '.join(map(str, made))}{about}")


@app.command("serve")
def serve_command(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="Run folders, or folders of runs. Requests that name no model go to the first.",
            show_default=False,
        ),
    ],
    host: Annotated[
        str,
        typer.Option(help="The address to listen on; any but 127.0.0.1 needs a token."),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port to listen on; 0 means any free port.")
    ] = 8000,
    token: Annotated[
        str | None, typer.Option(envvar="TENFOLD_TOKEN", help="The token that clients must send.")
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Another host name that requests may use."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=256, help="The number of processes.")] = 1,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="Change a limit; docs/guide/serving.md lists them."
        ),
    ] = None,
) -> None:
    """Serve predictions over HTTP, with a page to draw on."""
    try:
        from tenfold.serve.limits import read_limits
        from tenfold.serve.server import serve
    except ModuleNotFoundError as error:
        raise SettingsError(
            "E103",
            "The packages for the service are not installed",
            expected="httptools",
            fix=adding("serve"),
            missing=error.name,
        ) from error
    limits = read_limits(limit or [])
    status = serve(
        runs,
        host=host,
        port=port,
        token=token,
        hosts=allow_host or (),
        workers=workers,
        limits=limits,
    )
    raise typer.Exit(status)


@app.command("verify")
def verify_command(run: RunFolder, as_json: options.AsJson = False) -> None:
    """Check the files of a run, and repeat its stored predictions."""
    checked = verify(run)
    if as_json:
        print(json.dumps({"run": str(run), **checked}))
    else:
        print(
            f"{run}: {checked['files']} files unchanged, "
            f"{checked['examples']} stored predictions repeated."
        )


@app.command("doctor")
def doctor_command(as_json: options.AsJson = False) -> None:
    """Check this installation: libraries, cores, GPU, cache."""
    lines = examine()
    if as_json:
        print(json.dumps({"checks": checks_json(lines)}))
    else:
        for line in lines:
            print(f"{'MISSING' if line.is_wrong else '':<8}{line.name:<11}{line.text}")
    if any(line.is_wrong for line in lines):
        raise typer.Exit(1)


def _check_has_accuracy(run: Run) -> None:
    if run.model.task.kind != "classification":
        raise SettingsError(
            "E106",
            "A model that predicts numbers has no accuracy",
            where=run.path,
            expected="a model that predicts labels",
            fix="Leave out --min-accuracy",
        )


def _needs_jax(settings: dict[str, Any]) -> bool:
    learner = LEARNERS.get(settings.get("learner", "network"))
    return learner is not None and learner.epochs


def _given(context: typer.Context) -> set[str]:
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source and source.name == "COMMANDLINE"}


def _check_alone(given: set[str]) -> None:
    if others := given - {"resume", "data", "watch", "as_json"}:
        flags = ", ".join(sorted(f"--{name.replace('_', '-')}" for name in others))
        raise typer.BadParameter(f"--resume takes the settings of the run: leave out {flags}")


def _say_interrupted(run: Run) -> None:
    kept = ", ".join(run.record.files) or "nothing but run.json"
    print(f"tenfold: interrupted. {run.path} keeps: {kept}.", file=sys.stderr)
    print(f"tenfold: continue with: {program_name()} train --resume {run.path}", file=sys.stderr)

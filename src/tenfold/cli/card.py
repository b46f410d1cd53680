"""What a training or an evaluation came to, for a terminal."""

from tenfold.cli.terminal import program_name
from tenfold.core.text import ordinal
from tenfold.evaluation import AnyEvaluation
from tenfold.experiments.cross_validation import fold_spread
from tenfold.report import PICTURES
from tenfold.runs.csv_files import EXAMPLE_INPUTS, EXAMPLE_ROWS, read_folds
from tenfold.runs.record import Run


def print_card(run: Run) -> None:
    if question := run.model.contract.question:
        print(f"question           {question}")
    evaluation = run.evaluation
    print_scores(evaluation)
    record, program = run.record, program_name()
    seconds = [f"{stage} {value:.1f}" for stage, value in record.seconds.items()]
    if record.data.n_dropped:
        print(f"dropped            {record.data.n_dropped} training rows that are test rows too")
    if record.data.repeats:
        print(f"repeats            {record.data.repeats.partition('. ')[0]}")
    print(f"seconds            {', '.join(seconds)}")
    if record.peak_mb is not None:
        print(f"memory             {record.peak_mb:,.0f} MB at most")
    number = ordinal(record.test_opened)
    print(f"test rows          the {number} model in {run.path.parent} measured on them")
    print(f"run                {run.path}")
    for name in (*PICTURES, "report.html"):
        if (run.path / name).is_file():
            print(f"                   {run.path / name}")
    for name, (mean, deviation) in fold_spread(read_folds(run.path / "folds.csv")).items():
        print(f"folds              {name} {mean:.6g} (sd {deviation:.2g})")
    if (robustness := run.robustness) is not None:
        print(f"robustness         {robustness.score} at worst: {robustness.worst}")
    if record.note:
        print(f"note               {record.note}")
    for doubt in evaluation.doubts:  # what was said before the training has scrolled away
        print(f"warning            do not trust the scores: {doubt}")
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

"""Check that a run folder is unchanged: every file, and the predictions for the stored examples."""

from pathlib import Path

from tenfold.core import files
from tenfold.core.errors import RunError
from tenfold.inputs.pictures.decode import PictureOptions
from tenfold.runs.csv_files import EXAMPLE_ANSWERS, STORED, example_inputs, read_answers
from tenfold.runs.record import Run


@files.os_errors()
def verify(path: Path | str) -> dict[str, int]:
    """Check the digest of every file against `run.json`, and predict the stored examples again.

    Returns:
      What was checked: the number of `files` and of `examples`.

    Raises:
      RunError: The run is unfinished, files are changed, missing or new, or a prediction differs.
    """
    run = Run.open(path)
    if run.record.state == "running":
        raise RunError("E712", "The run did not finish", where=run.path, state="running")
    digests = {name: files.sha256(run.path / name) for name in run._names()}
    stored = run.record.files
    wrong = [f"{name} missing" for name in stored.keys() - digests.keys()]
    wrong += [f"{name} added" for name in digests.keys() - stored.keys()]
    wrong += [
        f"{name} changed"
        for name in stored.keys() & digests.keys()
        if stored[name] != digests[name]
    ]
    if wrong:
        raise RunError(
            "E713",
            "Files of the run were changed",
            where=run.path,
            expected="the files that run.json lists",
            files=", ".join(sorted(wrong)),
        )
    n_examples = _answer_again(run) if EXAMPLE_ANSWERS in stored else 0
    return {"files": len(digests), "examples": n_examples}


def _answer_again(run: Run) -> int:
    """Predict the stored examples again. Returns how many there are."""
    model = run.model
    answers = model.predict(example_inputs(run.path), PictureOptions(fit_to_box=False))
    stored = read_answers(run.path / EXAMPLE_ANSWERS, model.task.kind, model.labels)
    same = len(answers) == len(stored)
    if same:
        again = STORED[model.task.kind].of(stored.keys, stored.true, answers)
        same = stored.distance(again) <= ANSWER_TOLERANCE
    if not same:
        raise RunError(
            "E714",
            "The model does not predict the same as when it was made",
            where=run.path,
            expected=f"the answers of {EXAMPLE_ANSWERS} within {ANSWER_TOLERANCE:g}",
        )
    return len(stored)


ANSWER_TOLERANCE = 1e-4
"""Maximum difference between stored predictions and those of another machine, on which products may
be rounded differently."""

"""What is reported and stored about data and trainings."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tenfold.core.contract import Frozen
from tenfold.core.text import percent

BACKGROUND = "background.csv"
"""The file of a run that contains training rows of a table. Explanations compare other rows with
these."""

MAX_BACKGROUND = 100
"""Maximum number of training rows in this file."""


@dataclass(frozen=True)
class LayerRow:
    """One row of the table of layers."""

    name: str
    kind: str
    output_shape: tuple[int | None, ...]
    parameters: int


@dataclass(frozen=True)
class Epoch:
    """The result of one epoch. `seconds` is its training time, without compilation and validation.

    Losses are mean cross-entropies, or mean squared errors, for which there is no accuracy.
    """

    epoch: int
    seconds: float
    loss: float
    accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    learning_rate: float

    @property
    def scores(self) -> str:
        """The scores for people, if possible of the validation rows."""
        rows, accuracy, loss = "validation", self.val_accuracy, self.val_loss
        if loss is None:
            rows, accuracy, loss = "training", self.accuracy, self.loss
        if accuracy is not None:
            return f"{rows} accuracy {percent(accuracy)}"
        return f"{rows} loss {loss:.4g}"


COLUMNS_FILE = "columns.json"
"""The file of a run with the importance of the columns of its table."""

CHECKS_FILE = "checks.json"
"""The file of a run with the findings of the checks of the training."""


CURVE_FILE = "learning_curve.json"
"""The file of a run with its learning curve."""


class Check(Frozen):
    """One finding of the checks of a finished training.

    Attributes:
      code: The code of the check, such as C05. The reference has a page for each.
      title: The subject of the check.
      text: The finding in one line.
    """

    code: str
    title: str
    text: str


class Checks(Frozen):
    """The findings of the checks of a finished training, by code."""

    format: Literal[1] = 1
    checks: tuple[Check, ...]


class LabelCount(Frozen):
    """The number of examples of a label in the training, the test and the validation set, and its
    share of all."""

    label: str
    train: int
    test: int
    share: float
    validation: int = 0


class Finding(Frozen):
    """A fact about the data that the user should know before reading the scores.

    Attributes:
      kind: The kind of finding. `audit_data` has the rule of each kind.
      text: The finding for people, in one line.
      rows: All row numbers of the examples concerned. Empty if it concerns labels.
    """

    kind: Literal[
        "test set inside training set",
        "in both parts",
        "nearly in both parts",
        "test set repeats itself",
        "repeated",
        "different answers",
        "missing label",
        "few examples",
        "identifier",
        "constant",
        "gives the answer away",
        "looks like a group",
        "unreadable cells",
        "missing cells",
        "read as",
        "streamed",
        "resized",
        "shortcut",
        "skipped",
        "refused",
    ]
    text: str
    rows: tuple[int, ...] = ()


UNTRUSTWORTHY = (
    "gives the answer away",
    "test set inside training set",
    "test set repeats itself",
)
"""Kinds of findings that make scores unreliable for future rows."""


class Audit(Frozen):
    """The result of an audit.

    Attributes:
      data: The name of the dataset.
      fingerprint: The fingerprint of the dataset.
      n_train: Number of examples outside the official test and validation sets.
      n_test: Number of examples of the official test set. 0 if there is none.
      n_validation: Number of examples of the official validation set. 0 if there is none.
      labels: The counts of each label.
      findings: The findings, most serious first. Empty if there are none.
    """

    format: Literal[1] = 1
    data: str
    fingerprint: str
    n_train: int
    n_test: int
    labels: tuple[LabelCount, ...]
    findings: tuple[Finding, ...]
    n_validation: int = 0

    @property
    def doubts(self) -> tuple[str, ...]:
        """The findings that make all scores doubtful, one sentence each."""
        return tuple(found.text for found in self.findings if found.kind in UNTRUSTWORTHY)

    def lines(self) -> Iterator[str]:
        """The audit for people: a summary, then one line for each finding."""
        shares = [count.share for count in self.labels]
        # `train` sets aside some of the training examples where there are no others to test with.
        counts = {"validation": self.n_validation, "test": self.n_test}
        official = [f"{n:,} {part}" for part, n in counts.items() if n]
        n = f"{self.n_train:,}"
        if official:
            n = " and ".join([", ".join([f"{n} training", *official[:-1]]), official[-1]])
        answers = "answers that are numbers"
        if shares:
            least, most = percent(min(shares)), percent(max(shares))
            answers = f"{len(self.labels)} labels of {least} to {most}"
        told = ("read as", "resized", "streamed")
        n_found = sum(finding.kind not in told for finding in self.findings)
        found = f"{n_found or 'no'} finding{'' if n_found == 1 else 's'}"
        yield f"audit: {n} examples, {answers}, {found}"
        for finding in self.findings:
            yield f"audit: {finding.text}"


@dataclass(frozen=True)
class Candidate:
    """A learner that `auto` tried, or the vote of several.

    Attributes:
      loss: The mean log loss, or squared error in variances of the target, on rows that it was not
        fitted to.
      behind: The difference from the lowest loss. `low` and `high` are the ends of its 95%
        interval, paired by row.
      seconds: The time of all its fits.
      weight: Its weight in the vote, if the model is a vote. None: it is not a member.
    """

    learner: str
    loss: float
    behind: float
    low: float
    high: float
    seconds: float
    weight: float | None = None


class CandidatePlan(Frozen):
    """The plan of `auto` for a table.

    Attributes:
      folds: The number of folds of the training rows on which the learners are compared. 0: they
        are compared on the validation rows.
      seconds: The estimated processor time of each candidate, by a table of costs.
    """

    folds: int
    seconds: dict[str, float]


class Fold(Frozen):
    """One fold of a cross-validation: the number of rows that were fitted to and held out, and the
    scores on the held-out rows."""

    fold: int
    n_train: int
    n_held_out: int
    scores: dict[str, float | None]


@dataclass(frozen=True)
class TrialResult:
    """A trial of a sweep that has ended, with the reason if it was stopped or failed.

    Attributes:
      point: The values of the varied settings, by name.
      score: The accuracy or the RMSE on the validation rows. None: the trial was stopped or failed.
      parameters: The number of fitted parameters.
      state: finished, stopped or failed.
      seconds: The time of the fit, including compilation.
      epoch_seconds: The time of all epochs, without compilation. None if there are none.
      n_bytes: The size of the model file.
    """

    point: Mapping[str, Any]
    seed: int
    score: float | None
    parameters: int | None
    state: str
    seconds: float | None
    epoch_seconds: float | None
    n_bytes: int
    run: Path
    why: str | None = None

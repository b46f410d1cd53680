"""What is told of data and of a training while it runs, and stored of both."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tenfold.core.contract import Frozen
from tenfold.core.text import percent

BACKGROUND = "background.csv"
"""The file of a run with training rows of a table, with which answers are compared."""

MAX_BACKGROUND = 100
"""Rows that an answer is compared with, at most."""


@dataclass(frozen=True)
class LayerRow:
    """One line of the layer table."""

    name: str
    kind: str
    output_shape: tuple[int | None, ...]
    parameters: int


@dataclass(frozen=True)
class Epoch:
    """What one epoch did; `seconds` is its training alone, without compilation or validation.

    Losses are mean cross-entropies, or mean squared errors; then there is no accuracy.
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
        """What it reached, for people: of the validation rows where there are any."""
        rows, accuracy, loss = "validation", self.val_accuracy, self.val_loss
        if loss is None:
            rows, accuracy, loss = "training", self.accuracy, self.loss
        if accuracy is not None:
            return f"{rows} accuracy {percent(accuracy)}"
        return f"{rows} loss {loss:.4g}"


CHECKS_FILE = "checks.json"
"""The file of a run with what the checks of the training found."""


class Check(Frozen):
    """One thing that a check of a finished training found.

    Attributes:
      code: Its code, such as C05; the reference has a page for each.
      title: What the code is about.
      text: What was found, one line.
    """

    code: str
    title: str
    text: str


class Checks(Frozen):
    """What the checks of a finished training found, by code."""

    format: Literal[1] = 1
    checks: tuple[Check, ...]


class LabelCount(Frozen):
    """How many examples a label has in the training and the test part, and its share of all."""

    label: str
    train: int
    test: int
    share: float


class Finding(Frozen):
    """One thing that a reader should know before the figures.

    Attributes:
      kind: What was found; the rule is beside each kind in `audit_data`.
      text: The same for people, one line.
      rows: Row numbers of the examples concerned, all of them; empty where it concerns labels.
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
"""Kinds of findings after which a score says little of rows to come."""


class Audit(Frozen):
    """What an audit found.

    Attributes:
      data: Name of the dataset.
      fingerprint: Of the dataset.
      n_train: Examples outside the official test part.
      n_test: Examples of the official test part; 0 where there is none.
      labels: Counts of each label.
      findings: What stands out, gravest first; empty when nothing does.
    """

    format: Literal[1] = 1
    data: str
    fingerprint: str
    n_train: int
    n_test: int
    labels: tuple[LabelCount, ...]
    findings: tuple[Finding, ...]

    @property
    def doubts(self) -> tuple[str, ...]:
        """The findings after which no score is to be trusted, a sentence each."""
        return tuple(found.text for found in self.findings if found.kind in UNTRUSTWORTHY)

    def lines(self) -> Iterator[str]:
        """The audit for people: a summary, then a line for each finding."""
        shares = [count.share for count in self.labels]
        n = f"{self.n_train:,}"  # of these `train` sets aside some for validation, and for the test
        if self.n_test:
            n += f" training and {self.n_test:,} test"
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
    """A learner that `auto` tried.

    Attributes:
      loss: Mean log loss, or squared error in variances of the target, of rows that it was not
        fitted to.
      behind: How much more that is than the best one's; `low` and `high` are the ends of its 95%
        interval, paired by row.
      seconds: Of all its fits.
    """

    learner: str
    loss: float
    behind: float
    low: float
    high: float
    seconds: float


class CandidatePlan(Frozen):
    """What `auto` tries on a table.

    Attributes:
      folds: Of the training rows that choose between the learners; 0: the validation rows do.
      seconds: What each learner that is tried costs in processor time, by a table of costs.
    """

    folds: int
    seconds: dict[str, float]


class Fold(Frozen):
    """One fold of a cross-validation: how many rows were fitted to and held out, and the scores on
    the latter."""

    fold: int
    n_train: int
    n_held_out: int
    scores: dict[str, float | None]


@dataclass(frozen=True)
class TrialResult:
    """A trial of a sweep that has ended; why, where it was stopped or failed.

    Attributes:
      point: The values of what is swept, by the name of the setting.
      score: Accuracy, or RMSE, of the validation rows; None: it was stopped or failed.
      parameters: Numbers fitted.
      state: finished, stopped or failed.
      seconds: Of fitting, compilation included.
      epoch_seconds: Of all epochs, without compilation; None where there are none.
      n_bytes: Of the model file.
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

"""Measure and store how a run's model predicts altered test rows."""

import numpy as np

from tenfold.core import files
from tenfold.core.records import COLUMNS_FILE
from tenfold.data.dataset import Dataset, RowNumbers
from tenfold.data.split import Split
from tenfold.evaluation import Subset
from tenfold.evaluation.column_effects import column_effects
from tenfold.evaluation.robustness import measure_robustness, nearly_seen
from tenfold.model.predictions import Answers
from tenfold.runs.record import Run


def write_robustness(run: Run, data: Dataset, split: Split, answers: Answers) -> None:
    """Write `robustness.json`. `answers` are the predictions for the unaltered test rows."""
    test = split.test
    robustness = measure_robustness(run.model, data.x[test], data.y[test], "test")
    if data.input.kind == "image":
        fitted_to = np.r_[split.train, split.validation]
        nearly = nearly_seen(data, fitted_to, test, answers.row_scores(data.y[test]))
        robustness = robustness.model_copy(update={"nearly": nearly})
    files.write_document(run.path / "robustness.json", robustness)


def write_column_effects(run: Run, data: Dataset, test: RowNumbers) -> None:
    """Write which columns of a table matter, unless there are too many columns."""
    groups = None if data.groups is None else data.groups[test]
    subset, positive = Subset(data.name, "test", groups), run.record.data.positive
    effects = column_effects(run.model, data.x[test], data.y[test], subset, positive)
    if effects is not None:
        files.write_document(run.path / COLUMNS_FILE, effects)

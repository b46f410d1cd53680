"""Arrays in, numbers with intervals out. Every interval covers 95% (docs/guide/evidence.md)."""

from typing import Annotated

from pydantic import Field, TypeAdapter

from tenfold.evaluation.answers import Reliability, reliability, share_answered
from tenfold.evaluation.classification import (
    Evaluation,
    confusion_matrix,
    expected_calibration_error,
    f1_scores,
    log_losses,
)
from tenfold.evaluation.comparison import Comparison, Difference, compare_labels, compare_values
from tenfold.evaluation.intervals import Floats, Score, Subset, Verdict, wilson
from tenfold.evaluation.measures import MEASURES, AnyEvaluation
from tenfold.evaluation.multiple import Beside, compare_with_best, holm, mean_interval
from tenfold.evaluation.ranking import PrecisionAtRecall, Ranking
from tenfold.evaluation.regression import BaselineValues, RegressionEvaluation

_READER: TypeAdapter[AnyEvaluation] = TypeAdapter(
    Annotated[AnyEvaluation, Field(discriminator="task")]
)


def read_evaluation(content: bytes) -> AnyEvaluation:
    """Read the JSON of an evaluation of either task.

    Raises:
      pydantic.ValidationError: It is none.
    """
    return _READER.validate_json(content)


__all__ = [
    "MEASURES",
    "AnyEvaluation",
    "BaselineValues",
    "Beside",
    "Comparison",
    "Difference",
    "Evaluation",
    "Floats",
    "PrecisionAtRecall",
    "Ranking",
    "RegressionEvaluation",
    "Reliability",
    "Score",
    "Subset",
    "Verdict",
    "compare_with_best",
    "compare_labels",
    "compare_values",
    "confusion_matrix",
    "expected_calibration_error",
    "f1_scores",
    "holm",
    "log_losses",
    "mean_interval",
    "read_evaluation",
    "reliability",
    "share_answered",
    "wilson",
]

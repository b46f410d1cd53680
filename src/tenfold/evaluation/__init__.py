"""Turn arrays into scores with 95% intervals (docs/guide/evidence.md)."""

from typing import Annotated

from pydantic import Field, TypeAdapter

from tenfold.evaluation.checks import some_rows
from tenfold.evaluation.classification import Evaluation
from tenfold.evaluation.comparison import Comparison, compare_labels, compare_values
from tenfold.evaluation.intervals import Floats, Score, Subset
from tenfold.evaluation.learning_curve import LearningCurve
from tenfold.evaluation.measures import MEASURES, AnyEvaluation, Measure
from tenfold.evaluation.multiple import compare_with_best, sign_flip_p
from tenfold.evaluation.ranking import Ranking, Reliability, reliability, share_answered
from tenfold.evaluation.regression import RegressionEvaluation

__all__ = [
    "MEASURES",
    "AnyEvaluation",
    "Comparison",
    "Evaluation",
    "Floats",
    "LearningCurve",
    "Measure",
    "Ranking",
    "RegressionEvaluation",
    "Reliability",
    "Score",
    "Subset",
    "compare_with_best",
    "compare_labels",
    "compare_values",
    "read_evaluation",
    "reliability",
    "share_answered",
    "sign_flip_p",
    "some_rows",
]

_READER: TypeAdapter[AnyEvaluation] = TypeAdapter(
    Annotated[AnyEvaluation, Field(discriminator="task")]
)


def read_evaluation(content: bytes) -> AnyEvaluation:
    """Read the JSON of an evaluation of either task.

    Raises:
      pydantic.ValidationError: The JSON is not an evaluation.
    """
    return _READER.validate_json(content)

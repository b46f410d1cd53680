"""The answers of a model to files, one after the other."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tenfold.core.errors import TenfoldError
from tenfold.inputs.pictures.decode import DEFAULT_OPTIONS, PictureOptions
from tenfold.model.json_form import Answer
from tenfold.model.model import Model
from tenfold.model.predictions import Answers


def answer_files(
    model: Model,
    inputs: Sequence[Path],
    options: PictureOptions = DEFAULT_OPTIONS,
    *,
    look: Callable[[Path, Answers], bool] | None = None,
) -> Iterator[Answer]:
    """Answers in input order; an input that cannot be read stands in its place with its error.

    Args:
      model: What answers.
      inputs: Files.
      options: How picture files are read.
      look: Is told what was answered to each file, before it is passed on; what it returns says
        whether all that was asked for is there.
    """
    for path in inputs:
        try:
            answers = model.predict(path, options)
        except TenfoldError as error:
            yield Answer(str(path), 0, error=str(error), complete=False)
            continue
        complete = look is None or look(path, answers)
        for row in range(len(answers)):
            yield Answer(str(path), row, answers[row], complete=complete)

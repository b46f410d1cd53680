"""`predict` and `read`: a run, or a model file by itself, is asked."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from tenfold.core import files
from tenfold.inputs.pictures.decode import DEFAULT_OPTIONS, PictureOptions
from tenfold.model.model import Model
from tenfold.model.predictions import Answers
from tenfold.model.transcript import Transcript, transcribe
from tenfold.runs.record import Run


@files.os_errors()
def predict(run: Run | Path | str, inputs: Any) -> Answers:
    """Answer one input or many with a run's model, or with a `model.onnx` by itself.

    A sequence with an answer for each input. See `tenfold.Model.predict` for what inputs may be.

    Raises:
      DataError, FormatError: Inputs that cannot be read or do not fit.
      ModelError, FileError: No model there that can be used.
    """
    return model_of(run).predict(inputs)


def model_of(run: Run | Path | str) -> Model:
    """The model of a run or of its folder, or a `model.onnx` by itself, ready to predict.

    A run goes on from the last rows of its data; a model by itself, which holds no answer of a test
    row, from those before the test rows.
    """
    if isinstance(run, Run):
        return run.model
    model = Model.open(run)
    with files.os_errors("open", run):
        is_run = (Path(run) / "run.json").is_file()
    if not is_run or model.contract.input.order is None:
        return model
    return model.with_ends(Run.open(run).record.data.series_ends)


@files.os_errors()
def read(
    run: Run | Model | Path | str,
    picture: Path | str | NDArray[Any],
    options: PictureOptions = DEFAULT_OPTIONS,
) -> Transcript:
    """Read a page of digits with a run's model, or with a `model.onnx` by itself.

    Args:
      run: A run, its folder, a model or its file.
      picture: A picture file, or a grey picture uint8 (height, width).
      options: How the file is read; `apply_exif` and `max_pixels` count here.

    Returns:
      The lines with their digits; `.text` is what stands there.

    Raises:
      DataError, FormatError: A picture that cannot be read, or a model of something else.
      ModelError, FileError: No model there that can be used.
    """
    if isinstance(run, Run):
        run = run.model
    model = run if isinstance(run, Model) else Model.open(run)
    return transcribe(model, picture, options)

"""`predict` and `read` with a run, or with a single model file."""

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
    """Predict one input or many with a run's model, or with a `model.onnx` file.

    Returns a sequence with one prediction for each input. `tenfold.Model.predict` lists the
    possible inputs.

    Raises:
      DataError, FormatError: An input cannot be read or does not fit the model.
      ModelError, FileError: There is no usable model.
    """
    return model_of(run).predict(inputs)


def model_of(run: Run | Path | str) -> Model:
    """Return the model of a run or its folder, or of a `model.onnx` file, ready to predict.

    A run forecasts from the last rows of its data. A model file contains no target of a test row
    and therefore forecasts from the rows before the test rows.
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
    """Read a page of digits with a run's model, or with a `model.onnx` file.

    Args:
      run: A run, its folder, a model or its file.
      picture: A picture file, or a grey picture uint8 (height, width).
      options: How the file is read. Only `apply_exif` and `max_pixels` matter here.

    Returns:
      The lines with their digits. `.text` is the text of the page.

    Raises:
      DataError, FormatError: The picture cannot be read, or the model reads other inputs.
      ModelError, FileError: There is no usable model.
    """
    if isinstance(run, Run):
        run = run.model
    model = run if isinstance(run, Model) else Model.open(run)
    return transcribe(model, picture, options)

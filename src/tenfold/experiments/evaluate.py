"""`evaluate`, `robustness`, `predict`, `read`: a finished run is asked. The run stays as it is."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold.core.contract import Contract
from tenfold.core.errors import DataError, TargetError
from tenfold.core.progress import Listener
from tenfold.core.settings import Settings
from tenfold.data.dataset import Dataset, RowNumbers
from tenfold.data.load import load
from tenfold.data.split import Split
from tenfold.data.split import split as split_data
from tenfold.evaluation import AnyEvaluation
from tenfold.evaluation.robustness import Robustness, measure_robustness
from tenfold.experiments.artifacts import measure
from tenfold.inputs.pictures.decode import DEFAULT_OPTIONS, PictureOptions
from tenfold.model.model import Model
from tenfold.model.predictions import Answers
from tenfold.model.transcript import Transcript, transcribe
from tenfold.runs.record import Record, Run


def evaluate(
    run: Run | Path | str,
    data: str | Path | Dataset | None = None,
    *,
    listener: Listener | None = None,
) -> AnyEvaluation:
    """Measure a run's model again, or on other data. The run folder stays as it is.

    Args:
      run: A run or its folder.
      data: A dataset, the name of one, or its files; the run's own when absent. The run's own
        data are measured on the run's test rows, other data on their official test part or on all.
        A folder of pictures per label is seen as the model sees pictures; some labels may be
        missing.
      listener: Is warned of files that were left out.

    Raises:
      DataError: Labels or images the model does not know, or the run's own data has changed.
      RunError: No run, or no model in it.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    dataset, rows, part = _measured_rows(run, data, listener or Listener())
    recall = run.record.config.recall
    return measure(run.model, dataset, rows, part, run.record.data, recall)[0]


def load_for(
    run: Run, data: str | Path | Dataset | None = None, *, listener: Listener | None = None
) -> Dataset:
    """The data that `evaluate` and `robustness` take, to be read once for both.

    Args:
      run: The run to be measured.
      data: As `evaluate` takes it; a dataset comes back as it is.
      listener: Is warned of files that were left out while reading.

    Raises:
      DataError, FormatError, FileError: What `load` says, or the run's own data has changed.
    """
    dataset = data_of(run.record, data, None if data is None else run.model.contract)
    if data is None:
        check_same_data(dataset, run.record)
    if dataset is not data and dataset.pictures:
        for kind, text in dataset.pictures.remarks:
            if kind not in ("resized", "streamed"):
                (listener or Listener()).warn(text)
    return dataset


def robustness(run: Run | Path | str, data: str | Path | Dataset | None = None) -> Robustness:
    """Measure a run's model on changed rows: moved, turned, noisy, or without a column.

    Args:
      run: A run or its folder.
      data: As `evaluate` takes it.

    Raises:
      DataError, RunError: What `evaluate` says.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    dataset, rows, part = _measured_rows(run, data, Listener())
    return measure_robustness(run.model, dataset.x[rows], dataset.y[rows], part)


def _measured_rows(
    run: Run, data: str | Path | Dataset | None, listener: Listener
) -> tuple[Dataset, RowNumbers, str]:
    """The rows a run is measured on, in codes of its model, and what they are called."""
    record, model = run.record, run.model
    settings = record.config
    dataset = load_for(run, data, listener=listener)
    own = dataset.fingerprint == record.data.fingerprint
    if dataset.labels and set(dataset.labels) <= set(model.labels):
        dataset = dataset.relabelled(model.labels)  # some labels may not occur in it
    if dataset.labels != model.labels:
        raise DataError(
            "E416",
            "Other labels than the model's",
            where=dataset.name,
            expected=", ".join(model.labels) or "a target of numbers",
            labels=dataset.labels,
        )
    part, rows = "all", np.arange(len(dataset))
    if own:
        part, rows = "test", split_of(dataset, settings).test
    elif dataset.test_rows.size:
        part, rows = "test", dataset.test_rows
    return dataset, rows, part


def predict(run: Run | Path | str, inputs: Any) -> Answers:
    """Answer one input or many with a run's model, or with a `model.onnx` by itself.

    A sequence with an answer for each input. See `tenfold.Model.predict` for what inputs may be.

    Raises:
      DataError, FormatError: Inputs that cannot be read or do not fit.
      ModelError, FileError: No model there that can be used.
    """
    model = run.model if isinstance(run, Run) else Model.open(run)
    return model.predict(inputs)


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


def data_of(
    record: Record, data: str | Path | Dataset | None, like: Contract | None = None
) -> Dataset:
    """The given data, or else the run's own, read as they were."""
    if isinstance(data, Dataset):
        return data
    stored = record.data
    source = data if data is not None else stored.source or stored.name
    try:
        return load(source, reading=stored.reading, like=like)
    except TargetError as error:  # runs of 0.1 took a column by its name without being asked
        if error.likely is None:
            raise
        return load(source, target=error.likely, reading=stored.reading, like=like)


def check_same_data(data: Dataset, record: Record) -> None:
    """Refuse other data than a run was made of.

    Raises:
      DataError: Their fingerprint is another.
    """
    if data.fingerprint != record.data.fingerprint:
        raise DataError(
            "E815",
            "The data changed since the run",
            where=record.data.name,
            expected=f"fingerprint {record.data.fingerprint}",
            fingerprint=data.fingerprint,
        )


def split_of(data: Dataset, settings: Settings) -> Split:
    """Which rows are for what, by the settings of a run."""
    return split_data(
        data,
        seed=settings.seed if settings.split_seed is None else settings.split_seed,
        test_size=settings.test_size,
        validation_size=settings.validation_size,
    )

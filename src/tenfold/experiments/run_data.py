"""The data of a run: read them (later again in the same way), split them and record them."""

import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tenfold.build.problem import Problem, as_seen
from tenfold.core.contract import Contract
from tenfold.core.errors import DataError, TargetError
from tenfold.core.installation import require, version_of
from tenfold.core.settings import Reading, Settings
from tenfold.data.dataset import Dataset
from tenfold.data.from_table import decide_by
from tenfold.data.load import load
from tenfold.data.split import Split
from tenfold.data.split import split as split_data
from tenfold.runs.record import DataRecord, Record

if TYPE_CHECKING:
    import pandas as pd

PACKAGES = ("tenfold", "jax", "keras", "numpy", "onnx", "onnxruntime", "pandas", "scikit-learn")


def as_dataset(
    data: "str | Path | Dataset | pd.DataFrame", target: str | int | None, reading: Reading | None
) -> Dataset:
    """Read the data of a training as `tenfold.load` does. A dataset is returned unchanged.

    Raises:
      BackendError: The packages for training are not installed.
    """
    require("train")
    return data if isinstance(data, Dataset) else load(data, target=target, reading=reading)


def data_of(
    record: Record, data: str | Path | Dataset | None, like: Contract | None = None
) -> Dataset:
    """Return the given data, or else the run's own, read in the same way as before."""
    stored = record.data
    if isinstance(data, Dataset):
        return data.split_like(stored.reading)
    source = data if data is not None else stored.source or stored.name
    try:
        return load(source, reading=stored.reading, like=like)
    # Runs of version 0.1 chose a target column by its name without being told.
    except TargetError as error:
        if error.likely is None:
            raise
        return load(source, target=error.likely, reading=stored.reading, like=like)


def check_same_data(data: Dataset, record: Record) -> None:
    """Refuse data whose fingerprint differs from the run's."""
    if data.fingerprint != record.data.fingerprint:
        raise DataError(
            "E815",
            "The data changed since the run",
            where=record.data.name,
            expected=f"fingerprint {record.data.fingerprint}",
            fingerprint=data.fingerprint,
        )


def split_of(data: Dataset, settings: Settings) -> Split:
    return split_data(
        data,
        seed=settings.seed if settings.split_seed is None else settings.split_seed,
        test_size=settings.test_size,
        validation_size=settings.validation_size,
    )


def decided(data: Dataset, settings: Settings) -> Dataset:
    """The dataset, with the kinds of its columns determined from all rows except the test rows."""
    test = split_of(data, settings).test
    return decide_by(data, np.setdiff1d(np.arange(len(data)), test))


def problem_of(data: Dataset, settings: Settings) -> Problem:
    """Make the problem, with pictures in the form that the learner takes."""
    return Problem(as_seen(data, settings), split_of(data, settings), settings, refit=True)


def record_of(problem: Problem, asked: dict[str, Any]) -> Record:
    data, split = problem.data, problem.split
    order = None if data.labels or data.info is None else data.info.input.order
    about_data = DataRecord(
        name=data.name,
        fingerprint=data.fingerprint,
        n_train=len(split.train),
        n_validation=len(split.validation),
        n_test=len(split.test),
        n_dropped=len(split.dropped),
        n_twins=None if data.table is None else data.n_twins(split.test, split.train),
        source=data.source,
        reading=data.reading,
        target_mean=None if data.labels else float(data.y[split.train].mean()),
        positive=problem.positive,
        series_ends=order.series_ends if order else (),
    )
    return Record.beginning(problem.settings, asked, about_data, versions())


def versions() -> dict[str, str]:
    """The versions of Python and of the packages on which a result depends."""
    packages = {name: version_of(name) for name in PACKAGES}
    return {"python": platform.python_version()} | packages

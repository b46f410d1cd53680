"""`Model`: a checked `model.onnx` that answers. The only way Tenfold predicts."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from pydantic import ValidationError

from tenfold.core import files
from tenfold.core.contract import (
    METADATA_KEY,
    Contract,
    FeaturesInput,
    ImageInput,
    TableInput,
)
from tenfold.core.errors import DataError, ModelError
from tenfold.data.from_table import with_earlier_values
from tenfold.inputs.idx import read_idx
from tenfold.inputs.pictures.decode import DEFAULT_OPTIONS, PictureOptions, is_picture
from tenfold.inputs.pictures.preprocess import PictureSteps, preprocess
from tenfold.inputs.tables.columns import Table, graph_inputs, read_rows
from tenfold.inputs.tables.read import Cells, from_frame, read_table
from tenfold.model.onnx_check import check_graph
from tenfold.model.predictions import (
    Answers,
    Estimate,
    Estimates,
    Floats,
    Prediction,
    Predictions,
    of_picture,
)

MAX_BYTES = 1 << 30
"""Largest model file that is opened. A forest of 100 trees on MNIST takes 93 MB."""

CHUNK_BYTES = 1 << 23
"""Input bytes answered at a time: bounds memory, and 10,000 digits gain nothing from more."""

TABLE_ROWS = 2_000
"""Rows of a table answered at a time."""


class Model:
    """A model file, checked and ready. Use `Model.open`.

    Attributes:
      contract: What it accepts and returns.
      labels: The labels, in the order of the probabilities; empty for regression.
      sha256: Digest of the file's bytes.
      n_bytes: Its size.
    """

    def __init__(self, content: bytes, *, where: object = "bytes") -> None:
        self.contract = _check(content, where)
        self.labels = self.contract.labels
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.n_bytes = len(content)
        self._session = _session(content, where)

    @classmethod
    def open(cls, path: Path | str) -> "Model":
        """Open a `model.onnx`, or the one in a run folder.

        Nothing in the file can run code, read other files or use operators Tenfold does not write.

        Raises:
          ModelError: Too large, damaged, not written by Tenfold, or contradicting its contract.
          FileError: There is no such file.
        """
        path = Path(path)
        with files.os_errors("open", path):
            if path.is_dir():
                path = path / "model.onnx"
            n_bytes = path.stat().st_size
            if n_bytes > MAX_BYTES:
                raise ModelError(
                    "E511",
                    "Model too large",
                    where=path,
                    expected=f"<= {MAX_BYTES}",
                    n_bytes=n_bytes,
                )
            return cls(path.read_bytes(), where=path)

    def predict(
        self, inputs: Any, options: PictureOptions = DEFAULT_OPTIONS
    ) -> Prediction | Predictions | Estimate | Estimates:
        """Answer one input or many.

        Args:
          inputs: For images a uint8 array of one picture (height, width) or of many
            (n, height, width), taken as they are; the path of an IDX file that holds one or the
            other; or of a picture file, which is fitted to the model's box. For tables the path of
            a CSV or Parquet file, a pandas frame, a dict with a value per column, or a list of
            such dicts. For features an array of numbers (d,) or (n, d).
          options: How picture files are read.

        Returns:
          A `Prediction` (regression: `Estimate`) for one input, `Predictions` (`Estimates`) for
          many. Beside input and output a bounded amount of memory is used, however many there are.

        Raises:
          DataError: Another shape or dtype, columns that are missing, or a kind of file that
            cannot be read.
          FormatError: A damaged file.
        """
        contract = self.contract.input
        if isinstance(contract, TableInput):
            cells, notes = with_earlier_values(read_cells(inputs, contract.names), contract)
            rows, remarks = read_rows(cells, contract)
            answers = self.answer(rows, [*notes, *remarks])
            return answers[0] if isinstance(inputs, Mapping) else answers
        if isinstance(contract, FeaturesInput):
            numbers = _numbers(inputs)
            return self.answer(numbers) if numbers.ndim > 1 else self.answer(numbers[None])[0]
        if isinstance(inputs, str | Path):
            if is_picture(inputs):
                return self._answer_picture(preprocess(inputs, contract, options))
            inputs = read_idx(inputs)
        x = np.asarray(inputs)
        return self.answer(x[None])[0] if x.shape == contract.shape else self.answer(x)

    def _answer_picture(self, steps: PictureSteps) -> Prediction | Estimate:
        return of_picture(self.answer(steps.image[None])[0], steps)

    def answer(self, x: NDArray[Any] | Table, notes: Sequence[str] = ()) -> Answers:
        """Answer many examples, already read.

        Args:
          x: Pictures (n, height, width), features float64 (n, n_features), or rows of a table with
            the contract's columns.
          notes: What a reader should know; stands in the answers.

        Raises:
          DataError: An array of another shape or dtype.
        """
        contract = self.contract.input
        if isinstance(x, Table):
            chunks = (
                graph_inputs(x[rows], self._table_input)
                for rows in self._chunks(len(x), TABLE_ROWS)
            )
        else:
            name = self._check_array(x)
            step = max(1, CHUNK_BYTES // (int(np.prod(x.shape[1:])) * x.itemsize))
            chunks = ({name: np.ascontiguousarray(x[rows])} for rows in self._chunks(len(x), step))
        outputs = [self._session.run(None, chunk) for chunk in chunks]
        images = x if isinstance(contract, ImageInput) and not isinstance(x, Table) else None
        if self.contract.task == "regression":
            value, low, high = (
                np.concatenate([np.empty(0, np.float32), *(out[i] for out in outputs)])
                for i in range(3)
            )
            return Estimates(value, low, high, tuple(notes))
        empty = np.empty((0, len(self.labels)), np.float32)
        probabilities = np.concatenate([empty, *(out[0] for out in outputs)])
        novelty, threshold = None, self.contract.novelty_threshold
        if threshold is not None:
            novelty = np.concatenate([np.empty(0, np.float32), *(out[1] for out in outputs)])
        return Predictions(
            probabilities, self.labels, self.contract.decision, images, tuple(notes),
            novelty, threshold or np.inf,
        )  # fmt: skip

    def probabilities(self, x: NDArray[Any] | Table) -> Floats:
        """Probabilities (n, n_labels) of many examples; see `answer`."""
        answers = self.answer(x)
        if isinstance(answers, Estimates):
            raise DataError(
                "E506", "No probabilities", expected="a model of labels", task="regression"
            )
        return answers.probabilities

    @property
    def _table_input(self) -> TableInput:
        assert isinstance(self.contract.input, TableInput)
        return self.contract.input

    def _chunks(self, n: int, step: int) -> Iterator[slice]:
        step = min(step, self.contract.rows_at_once or step)
        return (slice(start, start + step) for start in range(0, n, step))

    def _check_array(self, x: NDArray[Any]) -> str:
        """The name of the graph's input, for an array that fits it."""
        contract = self.contract.input
        if isinstance(contract, TableInput):
            raise DataError(
                "E503",
                "Input does not fit the model",
                expected="rows of a table",
                fix=None,
                dtype=str(x.dtype),
                shape=x.shape,
            )
        is_picture = isinstance(contract, ImageInput)
        dtype, values = (np.uint8, "uint8 from 0 to 255") if is_picture else (np.float64, "float64")
        if x.dtype == dtype and x.shape[1:] == contract.shape:
            return contract.name
        size = ", ".join(str(n) for n in contract.shape)
        if x.dtype != dtype:
            fix = (
                "For values from 0 to 1: (x * 255).round().astype('uint8')" if is_picture else None
            )
        elif x.size and x.size % int(np.prod(contract.shape)) == 0:
            fix = f"The values fit: x.reshape(-1, {size})"
        else:
            fix = None
        raise DataError(
            "E503",
            "Input does not fit the model",
            expected=f"{values}, ({size}) or (n, {size})",
            fix=fix,
            dtype=str(x.dtype),
            shape=x.shape,
        )

    def __repr__(self) -> str:
        contract = self.contract.input
        if isinstance(contract, TableInput):
            size = f"{len(contract.columns)} columns"
        elif isinstance(contract, FeaturesInput):
            size = f"{contract.n_features} features"
        else:
            size = "x".join(str(n) for n in contract.shape)
        answer = f"{len(self.labels)} labels" if self.labels else "regression"
        return f"Model({self.contract.learner}, {size}, {answer})"


def _numbers(inputs: Any) -> NDArray[np.float64]:
    """Features as the graph takes them."""
    try:
        rows = np.asarray(inputs, np.float64)
    except (TypeError, ValueError) as error:
        kind = type(inputs).__name__
        raise DataError(
            "E507", "Not rows of numbers", expected="an array of numbers", kind=kind
        ) from error
    return rows


def read_cells(inputs: Any, known: Sequence[str] = ()) -> Cells:
    """The cells of a table's input: a file, a pandas frame, a dict of values, or a list of them."""
    if isinstance(inputs, str | Path):
        return read_table(inputs, known=known)
    import pandas as pd

    if isinstance(inputs, pd.DataFrame):
        return from_frame(inputs, "frame")
    rows = [inputs] if isinstance(inputs, Mapping) else inputs
    if not isinstance(rows, Sequence) or not all(isinstance(row, Mapping) for row in rows):
        raise DataError(
            "E504",
            "Not rows of a table",
            expected="a CSV or Parquet file, a pandas frame, or dicts of column and value",
            kind=type(inputs).__name__,
        )
    return from_frame(pd.DataFrame.from_records([dict(row) for row in rows]), "rows")


def _session(content: bytes, where: object) -> Any:
    options = onnxruntime.SessionOptions()
    # One thread that does not spin: a digit takes 12 us, waking others costs more (notes on
    # onnxruntime#13808). Warnings are for developers of the runtime.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base but this
        reason = str(error).splitlines()[0]
        raise ModelError("E508", "The model does not load", where=where, reason=reason) from error


def _check(content: bytes, where: object) -> Contract:
    """The contract of a model file, after everything in the file has been looked at."""
    try:
        proto = onnx.ModelProto.FromString(content)
    except DecodeError as error:
        raise ModelError("E509", "Not an ONNX file", where=where) from error
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    if METADATA_KEY not in metadata:
        raise ModelError(
            "E505",
            "Not a model of Tenfold",
            where=where,
            expected=f"metadata entry {METADATA_KEY!r}",
        )
    try:
        contract = Contract.model_validate_json(metadata[METADATA_KEY])
    except ValidationError as error:
        first = error.errors()[0]
        raise ModelError(
            "E510",
            "Unreadable contract",
            where=where,
            entry=".".join(str(part) for part in first["loc"]),
            problem=first["msg"],
        ) from error
    check_graph(proto, contract, where)
    return contract

"""`Model`: a checked `model.onnx` that answers. The only way Tenfold predicts."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from pydantic import ValidationError

from tenfold import files
from tenfold.contract import METADATA_KEY, Contract
from tenfold.errors import DataError, ModelError, message
from tenfold.graph import OPERATORS
from tenfold.idx import read_idx

MAX_BYTES = 1 << 30
"""Largest model file that is opened. A forest of 100 trees on MNIST takes 93 MB."""

CHUNK_BYTES = 1 << 23
"""Input bytes answered at a time: bounds memory, and 10,000 digits gain nothing from more."""

PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"}


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """One answer.

    Attributes:
      label: The most probable label.
      confidence: Its probability.
      image: What the model saw: uint8, of the contract's shape.
      values: The probability of each label, float32 (n_labels,).
      labels: Their names.
      unsure: The model would rather not answer.
      reason: Why it is unsure.
    """

    label: str
    confidence: float
    image: NDArray[np.uint8]
    values: NDArray[np.float32]
    labels: tuple[str, ...]
    unsure: bool = False
    reason: str | None = None

    @property
    def probabilities(self) -> dict[str, float]:
        """Label to probability, in the model's order of labels."""
        return dict(zip(self.labels, self.values.tolist(), strict=True))

    def __repr__(self) -> str:
        return f"Prediction({self.label!r}, confidence={self.confidence:.4f})"


@dataclass(frozen=True, eq=False)
class Predictions(Sequence[Prediction]):
    """Answers to many inputs: a sequence of `Prediction` over two arrays.

    Attributes:
      images: What the model saw: uint8 (n, ...).
      probabilities: float32 (n, n_labels).
      label_names: Names of the columns.
    """

    images: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    label_names: tuple[str, ...]

    @property
    def labels(self) -> list[str]:
        """The most probable label of each input."""
        return [self.label_names[code] for code in self.probabilities.argmax(axis=1)]

    @property
    def confidence(self) -> NDArray[np.float32]:
        """The probability of each answer's label (n,)."""
        highest: NDArray[np.float32] = self.probabilities.max(axis=1)
        return highest

    def __len__(self) -> int:
        return len(self.probabilities)

    @overload
    def __getitem__(self, index: int) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice) -> "Predictions": ...
    def __getitem__(self, index: int | slice) -> "Prediction | Predictions":
        if isinstance(index, slice):
            return Predictions(self.images[index], self.probabilities[index], self.label_names)
        return _prediction(self.images[index], self.probabilities[index], self.label_names)

    def __repr__(self) -> str:
        return f"Predictions({len(self)})"


class Model:
    """A model file, checked and ready. Use `Model.open`.

    Attributes:
      contract: What it accepts and returns.
      labels: The labels, in the order of the probabilities.
      sha256: Digest of the file's bytes.
      n_bytes: Its size.
    """

    def __init__(self, content: bytes, *, where: object = "bytes") -> None:
        self.contract = _check(content, where)
        self.labels = self.contract.labels
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.n_bytes = len(content)
        self._shape = self.contract.input.shape
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
        if path.is_dir():
            path = path / "model.onnx"
        with files.os_errors("open", path):
            n_bytes = path.stat().st_size
            if n_bytes > MAX_BYTES:
                raise ModelError(
                    message(
                        "Model too large", where=path, expected=f"<= {MAX_BYTES}", n_bytes=n_bytes
                    )
                )
            return cls(path.read_bytes(), where=path)

    @overload
    def predict(self, inputs: Path | str) -> Prediction | Predictions: ...
    @overload
    def predict(self, inputs: NDArray[Any]) -> Prediction | Predictions: ...
    def predict(self, inputs: NDArray[Any] | Path | str) -> Prediction | Predictions:
        """Answer one input or many.

        Args:
          inputs: uint8 array of one picture (height, width) or of many (n, height, width), taken
            as they are; or the path of an IDX file that holds one or the other.

        Returns:
          A `Prediction` for one picture, `Predictions` for many. Beside input and output a bounded
          amount of memory is used, however many there are.

        Raises:
          DataError: Another shape or dtype, or a kind of file that cannot be read.
          FormatError: A damaged IDX file.
        """
        x = np.asarray(read_input(inputs) if isinstance(inputs, str | Path) else inputs)
        if x.dtype == np.uint8 and x.shape == self._shape:
            values = self._session.run(None, {"image": x[None]})[0][0]
            return _prediction(x, values, self.labels)
        return Predictions(x, self.probabilities(x), self.labels)

    def probabilities(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Probabilities (n, n_labels) of pictures (n, height, width).

        Raises:
          DataError: Another shape or dtype.
        """
        self._check_input(x)
        answers = np.empty((len(x), len(self.labels)), np.float32)
        for rows in self._chunks(len(x)):
            answers[rows] = self._session.run(None, {"image": np.ascontiguousarray(x[rows])})[0]
        return answers

    def _chunks(self, n: int) -> Iterator[slice]:
        step = max(1, CHUNK_BYTES // int(np.prod(self._shape)))
        step = min(step, self.contract.rows_at_once or step)
        return (slice(start, start + step) for start in range(0, n, step))

    def _check_input(self, x: NDArray[Any]) -> None:
        if x.dtype == np.uint8 and x.shape[1:] == self._shape:
            return
        size = ", ".join(str(n) for n in self._shape)
        if x.dtype != np.uint8:
            fix = "For values from 0 to 1: (x * 255).round().astype('uint8')"
        elif x.size and x.size % int(np.prod(self._shape)) == 0:
            fix = f"The values fit: x.reshape(-1, {size})"
        else:
            fix = None
        raise DataError(
            message(
                "Input does not fit the model",
                expected=f"uint8 from 0 to 255, ({size}) or (n, {size})",
                fix=fix,
                dtype=str(x.dtype),
                shape=x.shape,
            )
        )

    def __repr__(self) -> str:
        size = "x".join(str(n) for n in self._shape)
        return f"Model({self.contract.learner}, {size}, {len(self.labels)} labels)"


def read_input(path: Path | str) -> NDArray[np.uint8]:
    """The array of an input file.

    Raises:
      DataError: A picture file, or no file that is known here.
      FormatError: A damaged IDX file.
    """
    path = Path(path)
    if path.suffix.lower() in PICTURES:
        raise DataError(
            message(
                "Picture files cannot be read yet",
                where=path,
                expected="an IDX file, or a uint8 array in Python",
                fix="Write the pixels with tenfold.idx.write_idx",
            )
        )
    return read_idx(path)


def _prediction(
    image: NDArray[np.uint8], values: NDArray[np.float32], labels: tuple[str, ...]
) -> Prediction:
    best = int(values.argmax())
    return Prediction(labels[best], float(values[best]), image, values, labels)


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
        raise ModelError(message("The model does not load", where=where, reason=reason)) from error


def _check(content: bytes, where: object) -> Contract:
    """The contract of a model file, after everything in the file has been looked at."""
    try:
        proto = onnx.ModelProto.FromString(content)
    except DecodeError as error:
        raise ModelError(message("Not an ONNX file", where=where)) from error
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    if METADATA_KEY not in metadata:
        raise ModelError(
            message(
                "Not a model of Tenfold", where=where, expected=f"metadata entry {METADATA_KEY!r}"
            )
        )
    try:
        contract = Contract.model_validate_json(metadata[METADATA_KEY])
    except ValidationError as error:
        first = error.errors()[0]
        raise ModelError(
            message(
                "Unreadable contract",
                where=where,
                entry=".".join(str(part) for part in first["loc"]),
                problem=first["msg"],
            )
        ) from error
    _check_graph(proto, contract, where)
    return contract


def _check_graph(proto: onnx.ModelProto, contract: Contract, where: object) -> None:
    graph = proto.graph
    used = {f"{node.domain}.{node.op_type}".removeprefix(".") for node in graph.node}
    foreign = used - OPERATORS
    if foreign or proto.functions or graph.sparse_initializer:
        raise ModelError(
            message(
                "Unknown operators",
                where=where,
                expected=f"only {', '.join(sorted(OPERATORS))}",
                operators=sorted(foreign) or "functions",
            )
        )
    external = [
        tensor.name
        for tensor in graph.initializer
        if tensor.external_data or tensor.data_location == onnx.TensorProto.EXTERNAL
    ]
    if external:
        raise ModelError(
            message(
                "Weights outside the file",
                where=where,
                expected="all of them inside",
                weights=external,
            )
        )
    found = [_signature(value) for value in (*graph.input, *graph.output)]
    promised = [
        ("image", onnx.TensorProto.UINT8, contract.input.shape),
        ("probabilities", onnx.TensorProto.FLOAT, (len(contract.labels),)),
    ]
    if found != promised:
        raise ModelError(
            message(
                "The graph contradicts its contract",
                where=where,
                expected=f"{promised}",
                found=found,
            )
        )


def _signature(value: onnx.ValueInfoProto) -> tuple[str, int, tuple[int, ...]]:
    tensor = value.type.tensor_type
    return value.name, tensor.elem_type, tuple(d.dim_value for d in tensor.shape.dim[1:])

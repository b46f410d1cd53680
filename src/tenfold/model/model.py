"""`Model`: a checked `model.onnx` that predicts. It is the only way in which Tenfold predicts."""

import hashlib
import stat
from collections.abc import Sequence
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from google.protobuf.message import DecodeError
from pydantic import ValidationError

from tenfold.core import files
from tenfold.core.contract import METADATA_KEY, Contract, SeriesEnd
from tenfold.core.errors import DataError, ModelError
from tenfold.core.onnx_file import ModelProto, TensorProto
from tenfold.core.records import BACKGROUND, MAX_BACKGROUND
from tenfold.inputs.pictures.decode import DEFAULT_OPTIONS, PictureOptions
from tenfold.model.background import read_background
from tenfold.model.explain import Explainer, Explanations
from tenfold.model.predictions import Answers, Floats, Prediction, Predictions, Value, Values
from tenfold.model.readers import Batch, Rows, reader_of

MAX_BYTES = 1 << 30
"""Maximum size of a model file. A forest of 100 trees on MNIST takes 93 MB."""

OPERATORS = frozenset(
    {
        "Abs", "Add", "Cast", "Clip", "Concat", "Conv", "Div", "Expand", "Flatten", "Gather",
        "Gemm", "GlobalAveragePool", "Greater", "GreaterOrEqual", "IsNaN", "Log", "MatMul", "Max",
        "MaxPool", "Mean", "Mul", "Reciprocal", "ReduceMax", "ReduceSum", "ReduceSumSquare", "Relu",
        "Reshape", "Resize", "Round", "Shape", "Sign", "Slice", "Softmax", "Split", "Sqrt", "Sub",
        "Sum", "TfIdfVectorizer", "TopK", "Transpose", "Unsqueeze", "Where",
        "ai.onnx.ml.LabelEncoder", "ai.onnx.ml.OneHotEncoder", "ai.onnx.ml.TreeEnsembleRegressor",
    }
)  # fmt: skip
"""The operators of graphs, with their domain if it is not ONNX's own."""


class Model:
    """A model file, checked and ready to predict. Use `Model.open`.

    Attributes:
      contract: What the model accepts and returns.
      reader: Turns inputs into the rows that it accepts.
      task: The kind of its predictions.
      labels: The labels, in the order of the probabilities. Empty for regression.
      sha256: The digest of the file's bytes.
      n_bytes: The size of the file.
    """

    def __init__(self, content: bytes, *, where: object = "bytes") -> None:
        self.contract = _check(content, where)
        self.reader = reader_of(self.contract.input)
        self.task = self.contract.answers
        self.labels = self.task.labels
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.n_bytes = len(content)
        self._session = _session(content, where)
        self._where = where
        self._content = content if self.contract.input.kind == "table" else b""

    @classmethod
    def open(cls, path: Path | str) -> "Model":
        """Open a `model.onnx`, or the one in a run folder.

        Nothing in the file can run code, read other files or use operators that Tenfold does not
        write.

        Raises:
          ModelError: The file is too large, damaged, not written by Tenfold, or contradicts its
            contract.
          FileError: There is no such file.
        """
        path = Path(path)
        with files.os_errors("open", path):
            if path.is_dir():
                path = path / "model.onnx"
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):  # a pipe has no end, and a device may be endless
                raise ModelError(
                    "E518", "The model is not a file", where=path, expected="a model file"
                )
            n_bytes = status.st_size
            if n_bytes > MAX_BYTES:
                raise ModelError(
                    "E511",
                    "The model is too large",
                    where=path,
                    expected=f"at most {MAX_BYTES >> 30} GiB",
                    n_bytes=n_bytes,
                )
            return cls(path.read_bytes(), where=path)

    def with_ends(self, ends: Sequence[SeriesEnd]) -> "Model":
        """The same model with these last rows of series, from which it forecasts. Without any, this
        model."""
        accepted = self.contract.input
        if accepted.kind != "table" or accepted.order is None or not ends:
            return self
        order = accepted.order.with_ends(ends)
        known = copy(self)
        accepted = accepted.model_copy(update={"order": order})
        known.contract = self.contract.model_copy(update={"input": accepted})
        known.reader = reader_of(accepted)
        return known

    def predict(self, inputs: Any, options: PictureOptions = DEFAULT_OPTIONS) -> Answers:
        """Predict one input or many.

        Args:
          inputs: For images, an array of one picture (height, width) or of many (n, height, width),
            which is converted to the scale and polarity of the training; the path of an IDX, npy or
            npz file or a CSV of pixels with one or many; or the path of a picture file, which is
            fitted to the model's box. For tables, the path of a CSV or Parquet file, a pandas data
            frame, a dict with a value per column, or a list of such dicts. For features, an array
            of numbers (d,) or (n, d).
          options: How picture files are read.

        Returns:
          A sequence with one prediction for each input: `Predictions`, or for regression `Values`.
          Apart from input and output, the memory in use does not depend on the number of inputs.

        Raises:
          DataError: The shape or dtype does not fit, columns are missing, or the type of a file is
            not supported.
          FormatError: A file is damaged.
          ModelError: The model fails on the input, or breaks its contract.
        """
        return self._answer(self.reader.read(inputs, options))

    def predict_one(
        self, one_input: Any, options: PictureOptions = DEFAULT_OPTIONS
    ) -> Prediction | Value:
        """Predict one input, in any form that `predict` takes.

        Returns:
          A `Prediction`, or for regression a `Value`.

        Raises:
          DataError: There are several inputs or none, or an error of `predict`.
          FormatError: A file is damaged.
        """
        answers = self.predict(one_input, options)
        if len(answers) != 1:
            raise DataError(
                "E516",
                "predict_one takes a single input",
                expected="one input (`predict` takes many)",
                n=len(answers),
            )
        return answers[0]

    def explain(self, inputs: Any, background: Any = None) -> Explanations:
        """Predict rows of a table, and explain the contribution of each column.

        Contributions and the base add up to the learner's own score, before calibration: log-odds
        for boosting, linear and Bayes models and networks, probabilities for forests and
        neighbours, or the value.

        Args:
          inputs: As in `predict`.
          background: At most 100 rows, in the same forms, with which the rows are compared. None:
            the training rows in the run folder of the model. Models of trees need none.

        Returns:
          A sequence with one `Explanation` for each row. `answers` are the results of `predict`.

        Raises:
          DataError: The model is not for tables, background rows are needed but missing, or an
            error of `predict`.
          ModelError: A model of trees of an earlier version lacks what is needed.
        """
        explainer = self._explainer  # which refuses other models than those of tables
        return self._explained(explainer, self.reader.read(inputs), background)

    def explain_rows(self, rows: Rows) -> Explanations:
        """Explain rows of a table that have been read already, as `answer` takes them.

        Raises:
          DataError, ModelError: As in `explain`.
        """
        return self._explained(self._explainer, Batch(rows), None)

    def _explained(self, explainer: Explainer, batch: Batch, background: Any) -> Explanations:
        others = None
        if explainer.needs_background:
            others = self.reader.read(self._background(background)).rows
            few = np.linspace(0, len(others) - 1, min(len(others), MAX_BACKGROUND))
            others = others[few.astype(np.int64)]
        return explainer.explain(batch.rows, self._answer(batch), others)

    @cached_property
    def _explainer(self) -> Explainer:
        accepted = self.contract.input
        if accepted.kind != "table":
            raise DataError(
                "E523",
                "The predictions of this model cannot be explained by columns",
                where=self._where,
                expected="a model of tables",
                kind=accepted.kind,
            )
        return Explainer(self._content, accepted, self._where)

    def _background(self, given: Any) -> Any:
        path = self._where if isinstance(self._where, Path) else None
        if given is None and path is not None:
            given = read_background(path.parent / BACKGROUND)
        if given is None:
            raise DataError(
                "E524",
                "There are no background rows to compare the predictions with",
                where=self._where,
                expected=f"a run folder with {BACKGROUND}, or rows as `background`",
                fix="Train the model again: runs of earlier versions have no such rows",
            )
        return given

    def answer(self, x: Rows) -> Answers:
        """Predict many examples that have been read already.

        Args:
          x: Pictures (n, height, width), features float64 (n, n_features), or rows of a table with
            the contract's columns.

        Raises:
          DataError: The shape or dtype of the array does not fit.
        """
        return self._answer(Batch(x))

    def _answer(self, batch: Batch) -> Answers:
        feeds = self.reader.feeds(batch.rows, self.contract.rows_at_once)
        parts = [self._run(feed) for feed in feeds]

        def output(number: int, *shape: int, dtype: type = np.float32) -> Any:
            shapes = {part[number].shape[1:] for part in parts} | {shape}
            n_rows = sum(len(part[number]) for part in parts)
            if len(shapes) > 1 or n_rows != len(batch.rows):
                raise ModelError(
                    "E520",
                    "The predictions do not match the model's contract",
                    where=self._where,
                    expected=f"a prediction of shape {shape} for each of {len(batch.rows)} rows",
                    n_answers=n_rows,
                    shapes=sorted(shapes - {shape}),
                )
            return np.concatenate([np.empty((0, *shape), dtype), *(p[number] for p in parts)])

        notes = tuple(batch.notes)
        if self.contract.task == "regression":
            return Values(output(0), output(1), output(2), notes, ids=batch.ids)
        threshold, n_labels = self.contract.novelty_threshold, len(self.labels)
        in_set = None
        if self.contract.gives_sets:
            in_set = output(1 if threshold is None else 2, n_labels, dtype=np.bool_)
        return Predictions(
            output(0, n_labels),
            self.labels,
            decision=self.contract.decision,
            images=batch.rows if self.contract.input.kind == "image" else None,
            notes=notes,
            novelty=None if threshold is None else output(1),
            novelty_threshold=threshold or np.inf,
            steps=batch.steps,
            ids=batch.ids,
            in_set=in_set,
            prediction_sets=self.contract.prediction_sets,
        )

    def _run(self, feed: Any) -> list[Floats]:
        try:
            outputs: list[Floats] = self._session.run(None, feed)
            return outputs
        except Exception as error:  # onnxruntime's errors have no other common base
            reason = str(error).splitlines()[0]
            raise ModelError(
                "E519", "The model failed on these rows", where=self._where, reason=reason
            ) from error

    def __repr__(self) -> str:
        answer = f"{len(self.labels)} labels" if self.labels else "regression"
        return f"Model({self.contract.learner}, {self.reader.describe()}, {answer})"


def _session(content: bytes, where: object) -> Any:
    options = onnxruntime.SessionOptions()
    # Use one thread, and do not let it spin: a digit takes 12 us, and waking other threads takes
    # longer (see onnxruntime#13808). Warnings are meant for developers of the runtime.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # its exceptions contain the same messages
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no other common base
        reason = str(error).splitlines()[0]
        raise ModelError(
            "E508", "ONNX Runtime cannot load the model", where=where, reason=reason
        ) from error


def _check(content: bytes, where: object) -> Contract:
    """Check everything in a model file, and return its contract."""
    try:
        proto = ModelProto.FromString(content)
    except DecodeError as error:
        raise ModelError("E509", "The file is not an ONNX model", where=where) from error
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    if METADATA_KEY not in metadata:
        raise ModelError(
            "E505",
            "The model was not made by Tenfold",
            where=where,
            expected="a model.onnx from a run folder",
        )
    try:
        contract = Contract.model_validate_json(metadata[METADATA_KEY])
    except ValidationError as error:
        first = error.errors()[0]
        raise ModelError(
            "E510",
            "The contract inside the model cannot be read",
            where=where,
            entry=".".join(str(part) for part in first["loc"]),
            problem=first["msg"],
        ) from error
    _check_graph(proto, contract, where)
    return contract


def _check_graph(proto: ModelProto, contract: Contract, where: object) -> None:
    """Refuse a graph that has other operators, has weights in other files, or contradicts its
    contract."""
    graph = proto.graph
    used = {f"{node.domain}.{node.op_type}".removeprefix(".") for node in graph.node}
    foreign = used - OPERATORS
    if foreign or proto.functions or graph.sparse_initializer:
        raise ModelError(
            "E512",
            "The model uses operators that are not allowed",
            where=where,
            expected=f"only {', '.join(sorted(OPERATORS))}",
            operators=sorted(foreign) or "functions",
        )
    in_nodes = [attribute.t for node in graph.node for attribute in node.attribute]
    external = [
        tensor.name
        for tensor in [*graph.initializer, *in_nodes]
        if tensor.external_data or tensor.data_location == TensorProto.EXTERNAL
    ]
    if external:
        raise ModelError(
            "E513",
            "The model stores weights outside its file",
            where=where,
            expected="all weights in the file",
            weights=external,
        )
    signature = []
    for value in (*graph.input, *graph.output):
        tensor = value.type.tensor_type
        row_shape = tuple(size.dim_value for size in tensor.shape.dim[1:])
        signature.append((value.name, tensor.elem_type, row_shape))
    promised = _promised_signature(contract)
    if signature != promised:
        raise ModelError(
            "E514",
            "The graph contradicts its contract",
            where=where,
            expected=f"{promised}",
            found=signature,
        )


def _promised_signature(contract: Contract) -> list[tuple[str, int, tuple[int, ...]]]:
    """The name, the type and the shape of one row of each input and output that the contract
    describes."""
    types = {
        "bool": TensorProto.BOOL,
        "uint8": TensorProto.UINT8,
        "float32": TensorProto.FLOAT,
        "float64": TensorProto.DOUBLE,
        "string": TensorProto.STRING,
    }
    inputs = reader_of(contract.input).signature().items()
    outputs: dict[str, tuple[str, tuple[int, ...]]]
    outputs = dict.fromkeys(("value", "low", "high"), ("float32", ()))
    if contract.task == "classification":
        of_labels = (len(contract.labels),)
        outputs = {"probabilities": ("float32", of_labels)}
        if contract.novelty_threshold is not None:
            outputs["novelty"] = ("float32", ())
        if contract.gives_sets:
            outputs[contract.set_output] = ("bool", of_labels)
    both = (*inputs, *outputs.items())
    return [(name, types[dtype], shape) for name, (dtype, shape) in both]

"""Whether a graph is one that Tenfold writes: its operators, its weights, its signature."""

import onnx

from tenfold.core.contract import Contract
from tenfold.core.errors import ModelError
from tenfold.model.readers import reader_of

OPERATORS = frozenset(
    {
        "Abs", "Add", "Cast", "Clip", "Concat", "Conv", "Div", "Expand", "Flatten", "Gather",
        "Gemm", "Greater", "IsNaN", "Log", "Max", "MaxPool", "Mul", "Reciprocal", "ReduceMax",
        "ReduceSum", "ReduceSumSquare", "Relu", "Reshape", "Round", "Shape", "Sign", "Softmax",
        "Split", "Sqrt", "Sub", "TfIdfVectorizer", "TopK", "Transpose", "Unsqueeze", "Where",
        "ai.onnx.ml.OneHotEncoder", "ai.onnx.ml.TreeEnsembleRegressor",
    }
)  # fmt: skip
"""What graphs are made of, with their domain where it is not ONNX's own."""

Signature = tuple[str, int, tuple[int, ...]]
"""Name, type of elements and shape of one row, of an input or output."""


def check_graph(proto: onnx.ModelProto, contract: Contract, where: object) -> None:
    """Refuse a graph of other operators, with weights elsewhere, or unlike its contract.

    Raises:
      ModelError: It is one of these.
    """
    graph = proto.graph
    used = {f"{node.domain}.{node.op_type}".removeprefix(".") for node in graph.node}
    foreign = used - OPERATORS
    if foreign or proto.functions or graph.sparse_initializer:
        raise ModelError(
            "E512",
            "Unknown operators",
            where=where,
            expected=f"only {', '.join(sorted(OPERATORS))}",
            operators=sorted(foreign) or "functions",
        )
    external = [
        tensor.name
        for tensor in graph.initializer
        if tensor.external_data or tensor.data_location == onnx.TensorProto.EXTERNAL
    ]
    if external:
        raise ModelError(
            "E513",
            "Weights outside the file",
            where=where,
            expected="all of them inside",
            weights=external,
        )
    found = [_signature(value) for value in (*graph.input, *graph.output)]
    promised = [*_promised_inputs(contract), *_promised_outputs(contract)]
    if found != promised:
        raise ModelError(
            "E514",
            "The graph contradicts its contract",
            where=where,
            expected=f"{promised}",
            found=found,
        )


def _promised_inputs(contract: Contract) -> list[Signature]:
    types = {
        "uint8": onnx.TensorProto.UINT8,
        "float32": onnx.TensorProto.FLOAT,
        "float64": onnx.TensorProto.DOUBLE,
        "string": onnx.TensorProto.STRING,
    }
    signature = reader_of(contract.input).signature().items()
    return [(name, types[dtype], shape) for name, (dtype, shape) in signature]


def _promised_outputs(contract: Contract) -> list[Signature]:
    if contract.task == "regression":
        return [(name, onnx.TensorProto.FLOAT, ()) for name in ("value", "low", "high")]
    promised: list[Signature] = [("probabilities", onnx.TensorProto.FLOAT, (len(contract.labels),))]
    if contract.novelty_threshold is not None:
        promised.append(("novelty", onnx.TensorProto.FLOAT, ()))
    return promised


def _signature(value: onnx.ValueInfoProto) -> Signature:
    tensor = value.type.tensor_type
    return value.name, tensor.elem_type, tuple(d.dim_value for d in tensor.shape.dim[1:])

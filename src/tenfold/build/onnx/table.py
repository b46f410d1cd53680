"""A table's encoder as the front of a graph: one input per column in, `features` out.

Ours and not skl2onnx 1.20's: that has no converter for missing flags, and its one-hot of rare
categories fails on values it has not seen ("Unknown Category and zeros = 0").
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tenfold.core.contract import TableInput
from tenfold.core.onnx_builder import Front
from tenfold.inputs.tables.encoder import FARTHEST, Encoder, Numbers, Words

TYPES = {"float": TensorProto.FLOAT, "string": TensorProto.STRING}


def table_front(encoder: Encoder, contract: TableInput) -> Front:
    """The nodes that do what `encoder` does.

    Args:
      encoder: Fitted on training rows.
      contract: The columns; a graph input for each.
    """
    nodes = _Nodes()
    parts = []
    if encoder.numbers is not None:
        parts += _numbers(nodes, encoder.numbers, encoder.scaled)
    for name, known in encoder.categories.items():
        parts.append(_one_hot(nodes, name, known))
    for name, words in encoder.texts.items():
        if words.terms:
            parts.append(_tf_idf(nodes, name, words))
    features = nodes.add("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
    inputs = [
        helper.make_tensor_value_info(name, TYPES[kind], ["n", width or f"words of {name}"])
        for name, (kind, width) in contract.inputs.items()
    ]
    return Front(tuple(inputs), tuple(nodes.nodes), tuple(nodes.constants), features)


class _Nodes:
    """Nodes under construction; names start with `front/`, so that no column can have them."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        name = f"front/{operator}_{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(operator, inputs, [name], name=name, domain=domain, **attributes)
        )
        return name

    def constant(self, name: str, value: Any) -> str:
        name = f"front/{name}_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name


def _numbers(nodes: _Nodes, numbers: Numbers, scaled: bool) -> list[str]:
    raw = (
        numbers.names[0] if len(numbers.names) == 1 else nodes.add("Concat", *numbers.names, axis=1)
    )
    gone = nodes.add("IsNaN", raw)
    values = nodes.add("Where", gone, nodes.constant("fill", numbers.fill), raw)
    if scaled:
        values = _scale(nodes, values, numbers)
    if not numbers.flagged.size:
        return [values]
    flags = nodes.add("Cast", gone, to=TensorProto.FLOAT)
    return [values, nodes.add("Gather", flags, nodes.constant("flagged", numbers.flagged), axis=1)]


def _scale(nodes: _Nodes, values: str, numbers: Numbers) -> str:
    skewed = numbers.unit > 0
    if skewed.any():
        unit = nodes.constant("unit", np.where(skewed, numbers.unit, np.float32(1)))
        size = nodes.add("Div", nodes.add("Abs", values), unit)
        log = nodes.add("Log", nodes.add("Add", size, nodes.constant("one", np.float32(1))))
        squeezed = nodes.add("Mul", nodes.add("Sign", values), log)
        values = nodes.add("Where", nodes.constant("skewed", skewed), squeezed, values)
    centred = nodes.add("Sub", values, nodes.constant("mean", numbers.mean))
    units = nodes.add("Div", centred, nodes.constant("deviation", numbers.deviation))
    low, high = np.float32(-FARTHEST), np.float32(FARTHEST)
    return nodes.add("Clip", units, nodes.constant("low", low), nodes.constant("high", high))


def _one_hot(nodes: _Nodes, name: str, known: Sequence[str]) -> str:
    cube = nodes.add(
        "OneHotEncoder", name, domain="ai.onnx.ml", cats_strings=list(known), zeros=1
    )  # (n, 1, n_known)
    columns = nodes.add("Flatten", cube, axis=1)
    total = nodes.add("ReduceSum", columns, nodes.constant("columns", np.array([1])), keepdims=1)
    other = nodes.add("Sub", nodes.constant("one", np.float32(1)), total)
    return nodes.add("Concat", columns, other, axis=1)


def _tf_idf(nodes: _Nodes, name: str, words: Words) -> str:
    order = sorted(range(len(words.terms)), key=lambda i: " " in words.terms[i])  # pairs last
    n_single = sum(" " not in term for term in words.terms)
    counts = nodes.add(
        "TfIdfVectorizer",
        name,
        mode="TF",
        min_gram_length=1,
        max_gram_length=2,
        max_skip_count=0,
        ngram_counts=[0, n_single],
        ngram_indexes=order,
        pool_strings=[word for i in order for word in words.terms[i].split(" ")],
    )
    one, zero = nodes.constant("one", np.float32(1)), nodes.constant("zero", np.float32(0))
    log = nodes.add("Add", one, nodes.add("Log", nodes.add("Max", counts, one)))
    there = nodes.add("Greater", counts, zero)
    weighted = nodes.add(
        "Mul", nodes.add("Where", there, log, zero), nodes.constant("idf", words.idf)
    )
    axis = nodes.constant("columns", np.array([1]))
    square = nodes.add("ReduceSum", nodes.add("Mul", weighted, weighted), axis, keepdims=1)
    length = nodes.add("Max", nodes.add("Sqrt", square), nodes.constant("tiny", np.float32(1e-12)))
    return nodes.add("Div", weighted, length)

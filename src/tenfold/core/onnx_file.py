"""Read the parts of an ONNX file without the `onnx` package, whose 27 MB are only needed to write
one.

`onnx.binpb` describes the format: the `FileDescriptorProto` of onnx 1.23.2's `onnx-ml.proto`. Its
messages have a pool of their own, so that the package may be imported, too.

Source: https://github.com/onnx/onnx/blob/main/onnx/onnx-ml.proto
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnx import AttributeProto as AttributeProto
    from onnx import GraphProto as GraphProto
    from onnx import ModelProto as ModelProto
    from onnx import NodeProto as NodeProto
    from onnx import TensorProto as TensorProto
    from onnx import ValueInfoProto as ValueInfoProto
else:
    _POOL = DescriptorPool()
    _POOL.AddSerializedFile((Path(__file__).parent / "onnx.binpb").read_bytes())
    AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto = (
        GetMessageClass(_POOL.FindMessageTypeByName(f"onnx.{name}Proto"))
        for name in ("Attribute", "Graph", "Model", "Node", "Tensor", "ValueInfo")
    )

KINDS: dict[int, tuple[str, str]] = {
    TensorProto.FLOAT: ("<f4", "float_data"),
    TensorProto.DOUBLE: ("<f8", "double_data"),
    TensorProto.FLOAT16: ("<f2", "int32_data"),
    TensorProto.INT64: ("<i8", "int64_data"),
    TensorProto.INT32: ("<i4", "int32_data"),
    TensorProto.UINT8: ("u1", "int32_data"),
    TensorProto.BOOL: ("?", "int32_data"),
}
"""Number types of the weights of networks: the dtype of their bytes, and the field that contains
the numbers if there are no bytes."""


def to_array(tensor: TensorProto) -> NDArray[Any]:
    """The numbers of a tensor, in its shape. Raises a `KeyError` for types that no network has."""
    dtype, field = KINDS[tensor.data_type]
    if tensor.HasField("raw_data"):
        flat = np.frombuffer(tensor.raw_data, dtype)
    elif tensor.data_type == TensorProto.FLOAT16:  # the field has their bits
        flat = np.array(tensor.int32_data, "<u2").view("<f2")
    else:
        flat = np.array(getattr(tensor, field), dtype)
    return flat.reshape(tuple(tensor.dims))


VALUES: dict[int, str] = {
    AttributeProto.FLOAT: "f",
    AttributeProto.INT: "i",
    AttributeProto.STRING: "s",
    AttributeProto.TENSOR: "t",
    AttributeProto.FLOATS: "floats",
    AttributeProto.INTS: "ints",
    AttributeProto.STRINGS: "strings",
}
"""The field that contains the value of an attribute, by its type."""


def value_of(attribute: AttributeProto) -> Any:
    """The value of an attribute, a list for several. None for a type that Tenfold does not
    write."""
    field = VALUES.get(attribute.type)
    if field is None:
        return None
    value = getattr(attribute, field)
    return list(value) if field.endswith("s") and field != "s" else value

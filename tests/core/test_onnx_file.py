"""An ONNX file read without the `onnx` package is what that package reads."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from tenfold import Run
from tenfold.core import onnx_file
from tenfold.core.onnx_file import AttributeProto, ModelProto, TensorProto, to_array, value_of

KINDS = [np.dtype(kind) for kind, _ in onnx_file.KINDS.values()]
Numbers = NDArray[np.generic]


def test_the_format_is_the_one_of_the_package() -> None:
    here = {(field.name, field.number) for field in ModelProto.DESCRIPTOR.fields}
    there = {(field.name, field.number) for field in onnx.ModelProto.DESCRIPTOR.fields}
    assert here & there == min(here, there, key=len)
    assert ModelProto is not onnx.ModelProto
    assert TensorProto.EXTERNAL == onnx.TensorProto.EXTERNAL


def test_a_model_file_is_read_and_written_as_by_the_package(small_run: Run) -> None:
    content = (small_run.path / "model.onnx").read_bytes()
    ours, its = ModelProto.FromString(content), onnx.ModelProto.FromString(content)
    assert ours.SerializeToString(deterministic=True) == its.SerializeToString(deterministic=True)
    assert str(ours) == str(its)
    for mine, theirs in zip(ours.graph.initializer, its.graph.initializer, strict=True):
        expected = numpy_helper.to_array(theirs)
        assert to_array(mine).dtype == expected.dtype
        np.testing.assert_array_equal(to_array(mine), expected)


@given(st.sampled_from(KINDS).flatmap(lambda kind: arrays.arrays(kind, arrays.array_shapes())))
def test_the_numbers_of_a_tensor_are_those_of_the_package(array: Numbers) -> None:
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    in_fields = helper.make_tensor("x", kind, array.shape, array.ravel().tolist())
    for tensor in (numpy_helper.from_array(array, "x"), in_fields):
        read = to_array(TensorProto.FromString(tensor.SerializeToString()))
        assert read.dtype == array.dtype and read.shape == array.shape
        np.testing.assert_array_equal(read, numpy_helper.to_array(tensor))


@pytest.mark.parametrize("value", [1, 2.5, "max", [1, 2], [0.5, 2.0], ["a", "b"]])
def test_the_value_of_an_attribute_is_that_of_the_package(value: object) -> None:
    attribute = helper.make_attribute("a", value)
    read = value_of(AttributeProto.FromString(attribute.SerializeToString()))
    assert read == helper.get_attribute_value(attribute)


def test_types_that_no_network_has_are_not_read() -> None:
    tensor = numpy_helper.from_array(np.array(["a"], object), "x")
    with pytest.raises(KeyError):
        to_array(TensorProto.FromString(tensor.SerializeToString()))
    assert value_of(AttributeProto(name="a")) is None

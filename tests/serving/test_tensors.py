"""Tensors: what is read is what was written; which tensor a type hint is; what is no tensor."""

from __future__ import annotations

import datetime
import enum
import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Optional

import ml_dtypes
import numpy
import pandas
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from tg.common.delivery.serving import tensors
from tg.common.delivery.serving.tensors import Tensor, TensorType, type_of_hint

LAW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""On a busy machine a law holds as well, only later."""
DTYPES = "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 float32 float64".split()
SHAPES = arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)
NUMBERS = st.sampled_from(DTYPES).flatmap(lambda dtype: arrays.arrays(dtype, SHAPES))
TEXTS = arrays.arrays(
    object, arrays.array_shapes(max_dims=3, max_side=4), elements=st.text(max_size=5), fill=st.nothing()
)


class Carrier(enum.Enum):
    UNITED = "UA"


@pytest.fixture(params=["numpy", "no numpy"])
def numpy_or_not(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """A package in an environment of its own may have no numpy."""
    if request.param == "no numpy":
        monkeypatch.setattr(tensors, "_numpy", lambda: None)
    return request.param == "numpy"


@LAW
@given(NUMBERS)
def test_an_array_written_as_binary_data_is_read_as_it_was(array: numpy.ndarray) -> None:
    made = Tensor.of_value(array)
    read = Tensor.of_bytes(memoryview(made.raw()), made.datatype, made.shape)
    assert read.shape == array.shape
    assert read.elements.dtype == array.dtype
    numpy.testing.assert_array_equal(read.value(numpy.ndarray), array)


@LAW
@given(NUMBERS)
def test_an_array_written_as_json_is_read_as_it_was(array: numpy.ndarray) -> None:
    made = Tensor.of_value(array)
    numpy.testing.assert_array_equal(Tensor.of_json(made.json(), made.datatype, made.shape).elements, made.elements)
    nested = Tensor.of_json(array.tolist(), made.datatype, made.shape)
    numpy.testing.assert_array_equal(nested.elements, made.elements)


@LAW
@given(TEXTS)
def test_texts_are_read_as_they_were_written(texts: numpy.ndarray) -> None:
    made = Tensor.of_value(texts.tolist())
    assert Tensor.of_json(made.json(), "BYTES", made.shape) == made
    assert Tensor.of_bytes(memoryview(made.raw()), "BYTES", made.shape) == made
    assert made.value(list[str]) == texts.tolist()


@LAW
@given(NUMBERS)
def test_big_endian_and_transposed_arrays_are_written_as_the_protocol_wants(array: numpy.ndarray) -> None:
    plain = Tensor.of_value(array)
    other = Tensor.of_value(numpy.asfortranarray(array.astype(array.dtype.newbyteorder(">"))))
    assert (other.raw(), other.shape, other.datatype) == (plain.raw(), plain.shape, plain.datatype)


@LAW
@given(st.lists(st.floats(width=32)))
def test_bf16_is_rounded_as_everybody_rounds_it(values: list[float]) -> None:
    made = Tensor.of_value(numpy.array(values, numpy.float32), TensorType("BF16", (-1,)))
    with numpy.errstate(over="ignore"):
        expected = numpy.array(values, numpy.float32).astype(ml_dtypes.bfloat16)
    read = Tensor.of_bytes(memoryview(made.raw()), "BF16", made.shape)
    numpy.testing.assert_array_equal(read.elements, expected.astype(numpy.float32))


@pytest.mark.parametrize("datatype", ["BOOL", "INT8", "UINT64", "FP16", "FP32", "FP64", "BF16"])
def test_numbers_are_the_same_with_and_without_numpy(datatype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = [0, 1, 1]
    raw = Tensor.of_json(data, datatype, (3,)).raw()
    monkeypatch.setattr(tensors, "_numpy", lambda: None)
    made = Tensor.of_json(data, datatype, (3,))
    assert made.raw() == raw
    assert Tensor.of_bytes(memoryview(raw), datatype, (3,)) == made
    assert made.value(list[float]) == data


@pytest.mark.usefixtures("numpy_or_not")
@pytest.mark.parametrize(
    ("data", "datatype"),
    [
        ([1.5], "INT8"),
        ([128], "INT8"),
        ([-1], "UINT8"),
        ([2], "BOOL"),
        (["1"], "FP32"),
        ([None], "INT32"),
        ([1 << 64], "UINT64"),
        ([math.inf], "INT64"),
        ([math.nan], "INT8"),
        ([-math.inf], "BOOL"),
        ([[]], "FP32"),
        ([{}], "FP32"),
        ([1], "BYTES"),
    ],
)
def test_elements_that_are_not_of_the_datatype_are_refused(data: list[Any], datatype: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Tensor.of_json(data, datatype, (1,))


@pytest.mark.usefixtures("numpy_or_not")
def test_null_is_no_number_among_floats() -> None:
    first, second = Tensor.of_json([None, 1], "FP64", (2,)).elements
    assert math.isnan(first)
    assert second == 1


@pytest.mark.usefixtures("numpy_or_not")
@pytest.mark.parametrize(("raw", "datatype"), [(b"abc", "INT16"), (b"\x05\x00\x00\x00ab", "BYTES"), (b"\x01", "BYTES")])
def test_binary_data_that_ends_early_is_refused(raw: bytes, datatype: str) -> None:
    with pytest.raises(ValueError, match=r"whole number|middle of an element"):
        Tensor.of_bytes(memoryview(raw), datatype, (1,))


@pytest.mark.usefixtures("numpy_or_not")
@pytest.mark.parametrize(
    ("value", "datatype", "shape"),
    [
        (1, "INT64", (1,)),
        (True, "BOOL", (1,)),
        (0.5, "FP64", (1,)),
        ("text", "BYTES", (1,)),
        (b"raw", "BYTES", (1,)),
        ([1, 2], "INT64", (2,)),
        ([1, 0.5], "FP64", (2,)),
        ([[True], [False]], "BOOL", (2, 1)),
        (("a", "b"), "BYTES", (2,)),
        ([], "FP64", (0,)),
    ],
)
def test_plain_values_are_tensors(value: object, datatype: str, shape: tuple[int, ...]) -> None:
    assert Tensor.of_value(value)[:2] == (datatype, shape)


@pytest.mark.usefixtures("numpy_or_not")
@pytest.mark.parametrize("value", [None, {}, object(), [1, "a"], [[1], [1, 2]], [None, "a"], 1j])
def test_what_is_no_tensor_is_told(value: object) -> None:
    with pytest.raises(TypeError, match=r"it is "):
        Tensor.of_value(value)


def test_what_is_declared_is_kept() -> None:
    assert Tensor.of_value([1, 2], TensorType("FP16", (-1,))).raw() == numpy.array([1, 2], "<f2").tobytes()
    with pytest.raises(TypeError, match=r"of the shape \[2\], and FP16 \[-1, 1\] is declared"):
        Tensor.of_value([1, 2], TensorType("FP16", (-1, 1)))
    with pytest.raises(TypeError, match="it is no INT8"):
        Tensor.of_value([1.5], TensorType("INT8", (1,)))


@pytest.mark.parametrize(
    ("hint", "datatype", "shape"),
    [
        (bool, "BOOL", [1]),
        (int, "INT64", [1]),
        (float, "FP64", [1]),
        (str, "BYTES", [1]),
        (bytes, "BYTES", [1]),
        (Optional[int], "INT64", [1]),  # noqa: UP045 written either way
        (int | None, "INT64", [1]),
        (Annotated[float, "share"], "FP64", [1]),
        (Literal["a", "b"], "BYTES", [1]),
        (Literal[1, 2], "INT64", [1]),
        (Carrier, "BYTES", [1]),
        (datetime.datetime, "BYTES", [1]),
        (list[int], "INT64", [-1]),
        (Sequence[str], "BYTES", [-1]),
        (tuple[float, ...], "FP64", [-1]),
        (list[list[bool]], "BOOL", [-1, -1]),
        (list, "FP64", [-1]),
        (numpy.ndarray, "FP64", [-1]),
        (NDArray[numpy.float32], "FP32", [-1]),
        (numpy.ndarray[tuple[int, int], numpy.dtype[numpy.uint8]], "UINT8", [-1, -1]),
        (pandas.DataFrame, "FP64", [-1, -1]),
        (dict[str, int], "BYTES", [1]),
        (int | str, "FP64", [-1]),
        (Any, "FP64", [-1]),
    ],
)
def test_a_type_hint_is_a_tensor(hint: Any, datatype: str, shape: list[int]) -> None:
    assert type_of_hint(hint) == (datatype, tuple(shape))


@pytest.mark.parametrize(
    ("tensor", "hint", "value"),
    [
        (Tensor.of_json([3], "INT64", (1,)), int, 3),
        (Tensor.of_json([3], "INT64", (1,)), int | None, 3),
        (Tensor.of_json([3], "INT64", (1,)), list[int], [3]),
        (Tensor.of_json([1, 2, 3, 4], "INT64", (2, 2)), list[list[int]], [[1, 2], [3, 4]]),
        (Tensor.of_json(["a"], "BYTES", (1,)), str, "a"),
        (Tensor.of_json(["a"], "BYTES", (1,)), bytes, b"a"),
        (Tensor.of_json(["a", "b"], "BYTES", (2,)), list[str], ["a", "b"]),
        (Tensor.of_json(["a", "b"], "BYTES", (2,)), list[bytes], [b"a", b"b"]),
        (Tensor.of_json(["{}"], "BYTES", (1,)), Optional[str], "{}"),  # noqa: UP045 written either way
        (Tensor.of_json(['{"a": 1}'], "BYTES", (1,)), dict[str, int], {"a": 1}),
        (Tensor.of_json(["2013-01-01"], "BYTES", (1,)), datetime.date, "2013-01-01"),
    ],
)
def test_a_parameter_gets_what_its_hint_says(tensor: Tensor, hint: Any, value: object) -> None:
    assert tensor.value(hint) == value


def test_an_object_that_is_no_json_is_refused() -> None:
    with pytest.raises(ValueError, match="EOF"):
        Tensor.of_json(["{"], "BYTES", (1,)).value(dict[str, int])


@pytest.mark.parametrize(
    "said", ["FP32", ("FP32",), ("FP32", 3), ("FP33", [1]), ("FP32", [-2]), ("FP32", [True]), None]
)
def test_what_is_no_type_of_a_tensor_is_told(said: object) -> None:
    with pytest.raises(TypeError, match=r"is no (type of a tensor|datatype|shape)"):
        TensorType.of(said)

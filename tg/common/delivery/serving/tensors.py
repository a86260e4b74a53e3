"""Tensors of the Open Inference Protocol V2: read from JSON and from bytes, made of what a job gives, and written again.

In JSON a tensor is a list, flat or nested. As bytes, with the binary extension, it is little-endian and row by row; BYTES are
elements with their length, four bytes, before each (Triton's `extension_binary_data.md`). BF16 is FP32 here: numpy has none.
"""

from __future__ import annotations

import enum
import math
import struct
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import pydantic_core

from .type_hints import array_of, dtype_of, is_array, is_table, without_alias

__all__ = ["Tensor", "TensorType", "type_of_hint", "types_of"]


class _Format(NamedTuple):
    """A datatype as `struct` and as numpy know it."""

    code: str
    dtype: str


_FORMATS = {
    "BOOL": _Format("?", "bool"),
    "UINT8": _Format("B", "uint8"),
    "UINT16": _Format("H", "uint16"),
    "UINT32": _Format("I", "uint32"),
    "UINT64": _Format("Q", "uint64"),
    "INT8": _Format("b", "int8"),
    "INT16": _Format("h", "int16"),
    "INT32": _Format("i", "int32"),
    "INT64": _Format("q", "int64"),
    "FP16": _Format("e", "float16"),
    "FP32": _Format("f", "float32"),
    "FP64": _Format("d", "float64"),
    "BF16": _Format("H", "float32"),
}
_DATATYPES = {
    **{form.dtype: datatype for datatype, form in _FORMATS.items() if datatype != "BF16"},
    "bfloat16": "BF16",  # of the distribution ml_dtypes
}
_OF_SCALARS = {bool: "BOOL", int: "INT64", float: "FP64", str: "BYTES", bytes: "BYTES"}
_SEQUENCES = (list, tuple, set, frozenset, Sequence, typing.get_origin(typing.Iterable[int]))


class TensorType(NamedTuple):
    """What a tensor has to be; a size of -1 is any."""

    datatype: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, said: Any) -> TensorType:
        """What somebody wrote down, as `("FP32", [-1, 4])`. Raises `TypeError` when it is none."""
        try:
            datatype, shape = said
            sizes = tuple(shape)
        except (TypeError, ValueError):
            raise TypeError(f'{said!r} is no type of a tensor, as ("FP32", [-1, 4]) is one') from None
        if datatype != "BYTES" and datatype not in _FORMATS:
            raise TypeError(f"{datatype!r} is no datatype; these are: BYTES, {', '.join(_FORMATS)}")
        if not all(type(size) is int and size >= -1 for size in sizes):
            raise TypeError(f"{shape!r} is no shape: sizes are whole numbers, -1 for any")
        return cls(datatype, sizes)

    def admits(self, datatype: str, shape: tuple[int, ...]) -> bool:
        """Whether a tensor is of this type."""
        return self.datatype == datatype and self.fits(shape)

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether a shape is."""
        return len(shape) == len(self.shape) and all(
            size in (-1, other) for size, other in zip(self.shape, shape, strict=True)
        )

    def __str__(self) -> str:
        return f"{self.datatype} {list(self.shape)}"


class Tensor(NamedTuple):
    """Elements in a row: an array of numpy where that is installed, a list otherwise; those of BYTES are a list of bytes."""

    datatype: str
    shape: tuple[int, ...]
    elements: Any

    @classmethod
    def of_json(cls, data: Any, datatype: str, shape: tuple[int, ...]) -> Tensor:
        """Read a list. Raises `ValueError`."""
        flat = _flat(data)
        _require_size(len(flat), shape)
        if datatype != "BYTES":
            return cls(datatype, shape, _numbers(flat, datatype))
        if not all(isinstance(one, str) for one in flat):
            raise ValueError("the elements of BYTES are texts in JSON; send others as binary data")
        return cls(datatype, shape, [one.encode() for one in flat])

    @classmethod
    def of_bytes(cls, raw: memoryview, datatype: str, shape: tuple[int, ...]) -> Tensor:
        """Read binary data. Raises `ValueError`."""
        elements = _texts_of_bytes(raw) if datatype == "BYTES" else _numbers_of_bytes(raw, datatype)
        _require_size(len(elements), shape)
        return cls(datatype, shape, elements)

    @classmethod
    def of_value(cls, value: Any, wanted: TensorType | None = None) -> Tensor:
        """Make one of a number, a text, an array or a list of them. Raises `TypeError` for all else, and what is not as wanted."""
        tensor = _of_value(value.to_numpy() if hasattr(value, "to_numpy") else value, wanted and wanted.datatype)
        if wanted is not None and not wanted.fits(tensor.shape):
            raise TypeError(f"it is of the shape {list(tensor.shape)}, and {wanted} is declared")
        return tensor

    def json(self) -> list[Any]:
        """Its elements for JSON, in a row. Raises `ValueError` for bytes that are no text."""
        if self.datatype != "BYTES":
            return self.elements if isinstance(self.elements, list) else self.elements.tolist()
        try:
            return [one.decode() for one in self.elements]
        except UnicodeDecodeError:
            raise ValueError("its bytes are no UTF-8, so JSON cannot have them; ask for binary data") from None

    def raw(self) -> bytes:
        """Its elements as binary data."""
        if self.datatype == "BYTES":
            return b"".join(len(one).to_bytes(4, "little") + one for one in self.elements)
        code, dtype = _FORMATS[self.datatype]
        numpy = _numpy()
        if numpy is None:
            numbers = [_bfloat16(one) for one in self.elements] if self.datatype == "BF16" else self.elements
            return struct.pack(f"<{len(numbers)}{code}", *numbers)
        array = numpy.asarray(self.elements, dtype)
        if self.datatype == "BF16":
            bits = array.view(numpy.uint32).astype(numpy.uint64)
            rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(numpy.uint16)
            array = numpy.where(numpy.isnan(array), numpy.uint16(0x7FC0), rounded)
        return array.astype(array.dtype.newbyteorder("<")).tobytes()  # type: ignore[no-any-return]

    def value(self, hint: Any) -> Any:
        """What a parameter with that hint takes. Raises `ValueError` for bytes that are to be a text or JSON, and are not."""
        kind = _plain_hint(hint)
        texts = self.datatype == "BYTES" and not _wants_bytes(kind)
        elements: Any = self.json() if texts else self.elements
        if is_array(kind) or is_table(kind) or kind is Any:
            numpy = _numpy()
            if numpy is not None:
                made = numpy.asarray(elements, dtype=object) if self.datatype == "BYTES" else elements
                return made.reshape(self.shape)
        plain = elements if isinstance(elements, list) else elements.tolist()
        if kind is Any or _element_of(kind) is not None or len(plain) != 1:
            return _nested(plain, self.shape)
        is_object = texts and kind is not str and plain[0].lstrip()[:1] in ("{", "[")
        return pydantic_core.from_json(plain[0]) if is_object else plain[0]


def type_of_hint(hint: Any) -> TensorType:
    """The tensor that a value with that hint is. What a hint does not tell is FP64 in any shape; an object is BYTES, JSON in it."""
    kind = _plain_hint(hint)
    if is_array(kind):
        dtype = dtype_of(kind)
        sizes = next(iter(typing.get_args(kind)), None)
        sizes = typing.get_args(sizes) if typing.get_origin(sizes) is tuple else ()
        known = sizes and ... not in sizes
        datatype = "FP64" if dtype is None else _DATATYPES.get(dtype.name, "BYTES")
        return TensorType(datatype, (-1,) * len(sizes) if known else (-1,))
    if is_table(kind):
        return TensorType("FP64", (-1, -1))
    if kind is Any:
        return TensorType("FP64", (-1,))
    element = _element_of(kind)
    if element is not None:
        inner = type_of_hint(element)
        row = element is Any or inner.shape == (1,)
        return TensorType(inner.datatype, (-1,) if row else (-1, *inner.shape))
    if typing.get_origin(kind) is Literal:
        return TensorType(_OF_SCALARS.get(type(typing.get_args(kind)[0]), "BYTES"), (1,))
    if isinstance(kind, type):
        values = [type(one.value) for one in kind] if issubclass(kind, enum.Enum) else [kind]
        for scalar, datatype in _OF_SCALARS.items():
            if all(issubclass(one, scalar) for one in values):
                return TensorType(datatype, (1,))
    return TensorType("BYTES", (1,))


def _plain_hint(hint: Any) -> Any:
    """A hint without what is around it; `Any` where it leaves a choice."""
    hint = without_alias(hint)
    while typing.get_origin(hint) is Annotated:
        hint = typing.get_args(hint)[0]
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        left = [one for one in typing.get_args(hint) if one is not type(None)]
        return _plain_hint(left[0]) if len(left) == 1 else Any
    return hint


def _element_of(kind: Any) -> Any:
    """The hint of the elements of a sequence, and `None` for what is none."""
    origin = typing.get_origin(kind) or kind
    if origin not in _SEQUENCES:
        return None
    return next(iter(typing.get_args(kind)), Any)


def _wants_bytes(kind: Any) -> bool:
    element = _element_of(kind)
    return kind is bytes or (element is not None and _wants_bytes(_plain_hint(element)))


def _require_size(size: int, shape: tuple[int, ...]) -> None:
    if size != math.prod(shape):
        raise ValueError(f"shape {list(shape)} has {math.prod(shape)} elements, and {size} are given")


def _flat(data: Any) -> list[Any]:
    """The elements of a list that may be nested as the shape is."""
    if not isinstance(data, (list, tuple)):
        return [data]
    if not any(isinstance(one, (list, tuple)) for one in data):
        return list(data)
    return [value for one in data for value in _flat(one)]


def _shape(value: Any) -> tuple[int, ...]:
    return (len(value), *(_shape(value[0]) if value else ())) if isinstance(value, (list, tuple)) else ()


def _nested(flat: list[Any], shape: tuple[int, ...]) -> Any:
    if len(shape) <= 1:
        return flat
    step = math.prod(shape[1:])
    return [_nested(flat[at * step : (at + 1) * step], shape[1:]) for at in range(shape[0])]


def _numbers(values: Any, datatype: str) -> Any:
    numpy = _numpy()
    if numpy is not None:
        return array_of(values, numpy.dtype(_FORMATS[datatype].dtype)).reshape(-1)
    return [_number(one, datatype) for one in values]


def _number(value: Any, datatype: str) -> Any:
    """One number, where there is no numpy."""
    code = _FORMATS[datatype].code
    if datatype == "BF16" or code in "efd":
        if value is None:
            return math.nan
        if isinstance(value, (bool, int, float)):
            return float(value)
    elif isinstance(value, (bool, int)) or (isinstance(value, float) and value.is_integer()):
        try:
            struct.pack(f"<{code}", int(value))
        except struct.error:
            pass
        else:
            if datatype != "BOOL" or value in (0, 1):
                return bool(value) if datatype == "BOOL" else int(value)
    raise ValueError(f"{value!r} is no {datatype}")


def _numbers_of_bytes(raw: memoryview, datatype: str) -> Any:
    code, dtype = _FORMATS[datatype]
    if len(raw) % struct.calcsize(f"<{code}"):
        raise ValueError(f"{len(raw)} bytes are no whole number of {datatype}")
    numpy = _numpy()
    if datatype == "BF16":  # the upper half of an FP32
        if numpy is None:
            return [struct.unpack("<f", struct.pack("<I", one << 16))[0] for (one,) in struct.iter_unpack("<H", raw)]
        return (numpy.frombuffer(raw, "<u2").astype(numpy.uint32) << 16).view(numpy.float32)
    if numpy is None:
        return [one for (one,) in struct.iter_unpack(f"<{code}", raw)]
    # A copy: in the body it lies unaligned, and could not be written to.
    return numpy.frombuffer(raw, numpy.dtype(dtype).newbyteorder("<")).astype(dtype)


def _texts_of_bytes(raw: memoryview) -> list[bytes]:
    found, at = [], 0
    while at < len(raw):
        after = at + 4 + int.from_bytes(raw[at : at + 4], "little")
        if at + 4 > len(raw) or after > len(raw):
            raise ValueError("its bytes end in the middle of an element")
        found.append(bytes(raw[at + 4 : after]))
        at = after
    return found


def _of_value(value: Any, wanted: str | None) -> Tensor:
    numpy = _numpy()
    if numpy is not None and (hasattr(value, "tolist") or isinstance(value, (bool, int, float, list, tuple))):
        try:
            array = numpy.asarray(value)
        except ValueError as error:
            raise TypeError(f"it is no tensor: {error}") from None
        known = _DATATYPES.get(array.dtype.name)
        if known is not None and wanted != "BYTES":
            datatype = wanted or known
            elements = array.astype("float32") if array.dtype.name == "bfloat16" else array
            try:
                return Tensor(datatype, array.shape or (1,), _numbers(elements, datatype))
            except ValueError as error:
                raise TypeError(f"it is no {datatype}: {error}") from None
        if hasattr(value, "tolist"):  # of a list of texts numpy has taken the last NULs away
            value = array.tolist()
    flat, shape = _flat(value), _shape(value) or (1,)
    if len(flat) != math.prod(shape):
        raise TypeError("it is no tensor: its lists are not of one length")
    datatype = wanted or _datatype_of(flat)
    if datatype == "BYTES" and all(isinstance(one, (str, bytes)) for one in flat):
        return Tensor(datatype, shape, [one.encode() if isinstance(one, str) else one for one in flat])
    try:
        return Tensor(datatype, shape, _numbers(flat, datatype))
    except (KeyError, ValueError) as error:
        raise TypeError(f"it is no {datatype}: {error}") from None


def _datatype_of(flat: list[Any]) -> str:
    for kinds, datatype in (((str, bytes), "BYTES"), (bool, "BOOL"), (int, "INT64"), ((int, float), "FP64")):
        if flat and all(isinstance(one, kinds) for one in flat):
            return datatype
    if flat:
        kinds_there = ", ".join(sorted({type(one).__name__ for one in flat}))
        raise TypeError(
            f"it is of {kinds_there}, which is no tensor. Return arrays, lists of numbers or texts, or several of them by "
            f"name; as plain JSON, answers can be anything."
        )
    return "FP64"


def _bfloat16(value: float) -> int:
    """The bits of a number as BF16, rounded to the nearest."""
    if math.isnan(value):
        return 0x7FC0
    bits: int = struct.unpack("<I", struct.pack("<f", value))[0]
    return (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16


def _numpy() -> Any:
    try:
        import numpy
    except ImportError:
        return None
    return numpy


def types_of(said: Any, what: str) -> Mapping[str, TensorType]:
    """The types that a job says of its own tensors. Raises `TypeError`."""
    if not isinstance(said, Mapping):
        raise TypeError(f'{what} is no mapping of names to types, as {{"rows": ("FP32", [-1, 4])}} is one')
    return {str(name): TensorType.of(one) for name, one in said.items()}

"""Tensors of the Open Inference Protocol V2: a request's inputs as arguments of a job, its answer as outputs.

Numbers are JSON lists or, with the binary extension, raw bytes behind the JSON, whose length a header says
(https://github.com/kserve/open-inference-protocol, and Triton's `extension_binary_data.md`). BYTES there are elements with
their length, four bytes, little end first, before each.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any

from .signature import InvalidArguments, JobSignature, is_array, is_scalar

__all__ = ["HEADER_LENGTH", "arguments_of", "outputs_of", "tensors_of_signature"]

HEADER_LENGTH = "inference-header-content-length"
"""The header that says how many bytes of a body are JSON."""

_FORMATS = {
    "BOOL": ("?", "bool"),
    "UINT8": ("B", "uint8"),
    "UINT16": ("H", "uint16"),
    "UINT32": ("I", "uint32"),
    "UINT64": ("Q", "uint64"),
    "INT8": ("b", "int8"),
    "INT16": ("h", "int16"),
    "INT32": ("i", "int32"),
    "INT64": ("q", "int64"),
    "FP16": ("e", "float16"),
    "FP32": ("f", "float32"),
    "FP64": ("d", "float64"),
}
"""For each datatype the formats of `struct` and of numpy."""

_DATATYPES = {name: datatype for datatype, (_, name) in _FORMATS.items()}


def arguments_of(
    body: bytes, header_length: int | None, signature: JobSignature
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arguments that a request says, and the request itself without its numbers. Raises `InvalidArguments`."""
    text = body if header_length is None else body[:header_length]
    try:
        request = json.loads(text)
        inputs = request["inputs"]
    except (ValueError, KeyError, TypeError):
        raise _problem((), "the body is no inference request: a JSON object with a list `inputs`") from None
    rest = memoryview(body)[len(text) :]
    values: dict[str, Any] = {}
    for place, tensor in enumerate(inputs):
        try:
            name, datatype, shape = tensor["name"], tensor["datatype"], [int(size) for size in tensor["shape"]]
            size = tensor.get("parameters", {}).get("binary_data_size")
            given = tensor["data"] if size is None else None
        except (KeyError, TypeError, ValueError) as error:
            raise _problem(
                ("inputs", place), f"a tensor has name, shape, datatype and data; {error} is not right"
            ) from None
        if datatype != "BYTES" and datatype not in _FORMATS:
            raise _problem(
                ("inputs", name), f"datatype {datatype!r} is not known here; these are: BYTES, {', '.join(_FORMATS)}"
            )
        if size is None:
            flat = _flat(given)
        else:
            if size > len(rest):
                raise _problem(("inputs", name), f"{size} bytes are announced, and {len(rest)} are left in the body")
            flat = _elements(rest[:size], datatype, name)
            rest = rest[size:]
        if len(flat) != math.prod(shape):
            raise _problem(
                ("inputs", name), f"shape {shape} has {math.prod(shape)} elements, and {len(flat)} are given"
            )
        values[name] = (flat, datatype, shape)
    if len(rest):
        raise _problem((), f"{len(rest)} bytes are left in the body that belong to no input")
    return signature.arguments_of(_by_parameter(values, signature)), request


def outputs_of(answer: Any, request: Mapping[str, Any], name: str, version: str) -> tuple[bytes, int | None]:
    """The body of an answer, and how many bytes of it are JSON where it has binary tensors."""
    wanted = {one["name"]: one.get("parameters", {}).get("binary_data") for one in request.get("outputs", ())}
    all_binary = request.get("parameters", {}).get("binary_data_output", False)
    named = (
        answer if isinstance(answer, dict) and answer and all(map(_is_tensor, answer.values())) else {"output": answer}
    )
    outputs, binary = [], []
    for key, value in named.items():
        if wanted and key not in wanted:
            continue
        flat, datatype, shape = _tensor(value, key)
        output: dict[str, Any] = {"name": key, "datatype": datatype, "shape": shape}
        chosen = wanted.get(key)
        if all_binary if chosen is None else chosen:
            raw = _raw(flat, datatype)
            binary.append(raw)
            output["parameters"] = {"binary_data_size": len(raw)}
        else:
            output["data"] = flat if isinstance(flat, list) else flat.reshape(-1).tolist()
        outputs.append(output)
    missing = set(wanted) - set(named)
    if missing:
        raise _problem(
            ("outputs",), f"the job gives no {', '.join(sorted(missing))}; it gives {', '.join(sorted(named))}"
        )
    head = {"model_name": name, "model_version": version, "outputs": outputs}
    if "id" in request:
        head["id"] = request["id"]
    text = json.dumps(head).encode()
    return (b"".join((text, *binary)), len(text)) if binary else (text, None)


def tensors_of_signature(signature: JobSignature) -> list[dict[str, Any]]:
    """The inputs of a model's metadata; what is not told by a type hint is FP64 in any shape."""
    datatypes = {bool: "BOOL", int: "INT64", float: "FP64", str: "BYTES", bytes: "BYTES"}
    return [
        {"name": name, "datatype": datatypes.get(hint, "FP64"), "shape": [1] if is_scalar(hint) else [-1]}
        for name, hint in signature.hints.items()
    ]


def _by_parameter(values: Mapping[str, Any], signature: JobSignature) -> dict[str, Any]:
    hints = signature.hints
    if len(values) == 1 and len(hints) == 1 and not values.keys() & hints.keys():
        values = dict(zip(hints, values.values(), strict=True))  # its name is the client's own affair then
    return {
        name: _value(flat, datatype, shape, hints.get(name, Any)) for name, (flat, datatype, shape) in values.items()
    }


def _value(flat: Any, datatype: str, shape: list[int], hint: Any) -> Any:
    if is_scalar(hint):
        one = flat[0] if len(flat) == 1 else flat
        return one.decode() if hint is str and isinstance(one, bytes) else one
    numpy = _numpy()
    if numpy is not None and (is_array(hint) or hint is Any or _is_table(hint)):
        kind = object if datatype == "BYTES" else _FORMATS[datatype][1]
        return numpy.asarray(flat, dtype=kind).reshape(shape)
    plain = flat.tolist() if hasattr(flat, "tolist") else flat
    if datatype == "BYTES":
        plain = [one.decode() if isinstance(one, bytes) else one for one in plain]
    return _nested(list(plain), shape)


def _nested(flat: list[Any], shape: list[int]) -> Any:
    if len(shape) <= 1:
        return flat
    step = math.prod(shape[1:])
    return [_nested(flat[at : at + step], shape[1:]) for at in range(0, len(flat), step)] if step else []


def _flat(data: Any) -> list[Any]:
    """The numbers of a list that may be nested as the shape is."""
    if not isinstance(data, list):
        return [data]
    if not any(isinstance(one, list) for one in data):
        return data
    return [value for one in data for value in _flat(one)]


def _elements(raw: memoryview, datatype: str, name: str) -> Any:
    if datatype == "BYTES":
        found, at = [], 0
        while at < len(raw):
            size = int.from_bytes(raw[at : at + 4], "little")
            if at + 4 + size > len(raw):
                raise _problem(("inputs", name), "its bytes end in the middle of an element")
            found.append(bytes(raw[at + 4 : at + 4 + size]))
            at += 4 + size
        return found
    form, kind = _FORMATS[datatype]
    if len(raw) % struct.calcsize(form):
        raise _problem(("inputs", name), f"{len(raw)} bytes are no whole number of {datatype}")
    numpy = _numpy()
    if numpy is not None:
        return numpy.frombuffer(raw, dtype=kind)
    return [one for (one,) in struct.iter_unpack(f"<{form}", raw)]


def _is_tensor(value: Any) -> bool:
    return isinstance(value, (bool, int, float, str, bytes, list, tuple)) or hasattr(value, "tolist")


def _tensor(value: Any, key: str) -> tuple[Any, str, list[int]]:
    """The elements of a value in a row, their datatype, and its shape."""
    if hasattr(value, "to_numpy"):
        value = value.to_numpy()
    numpy = _numpy()
    if numpy is not None and _is_tensor(value) and not isinstance(value, (str, bytes)):
        array = numpy.asarray(value)
        if array.dtype.name in _DATATYPES:
            shape = [int(size) for size in array.shape] or [1]
            return array, _DATATYPES[array.dtype.name], shape
        value = array.tolist()
    flat = _flat(list(value) if isinstance(value, tuple) else value)
    shape = _shape(value) or [1]
    for kind, datatype in ((bool, "BOOL"), (int, "INT64"), ((int, float), "FP64"), ((str, bytes), "BYTES")):
        if all(isinstance(one, kind) for one in flat):
            return [one.decode() if isinstance(one, bytes) else one for one in flat], datatype, shape
    raise TypeError(
        f"the job gives {type(value)} for {key!r}, which is no tensor. Return arrays, lists of numbers or texts, or a dict of "
        f"them; plain JSON answers can be anything."
    )


def _shape(value: Any) -> list[int]:
    return [len(value), *(_shape(value[0]) if value else [])] if isinstance(value, (list, tuple)) else []


def _raw(flat: Any, datatype: str) -> bytes:
    if datatype == "BYTES":
        texts = [one.encode() if isinstance(one, str) else one for one in flat]
        return b"".join(len(one).to_bytes(4, "little") + one for one in texts)
    if hasattr(flat, "tobytes"):
        return flat.tobytes()  # type: ignore[no-any-return]
    return struct.pack(f"<{len(flat)}{_FORMATS[datatype][0]}", *flat)


def _is_table(hint: Any) -> bool:
    return getattr(hint, "__name__", "") == "DataFrame"


def _numpy() -> Any:
    try:
        import numpy
    except ImportError:
        return None
    return numpy


def _problem(place: tuple[Any, ...], text: str) -> InvalidArguments:
    return InvalidArguments([{"place": list(place), "problem": text}])

"""Calls by tensors: an inference request of the Open Inference Protocol V2 as arguments of a job, and its answer as outputs.

Which tensors there are is told by type hints. A job that wants to say it exactly has `input_tensors`, `output_tensors` or both:
`{"rows": ("FP32", [-1, 4])}`; a request that is not so is refused then, and an answer is brought into that datatype.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pydantic_core

from .signature import InvalidArguments, JobSignature
from .tensors import Tensor, TensorType, type_of_hint, types_of
from .type_hints import is_table

__all__ = ["HEADER_LENGTH", "TensorCalls", "TensorRequest"]

_DIMENSIONS = 32
"""As many as arrays of numpy had for long; lists that are nested deeper could not be made either."""
HEADER_LENGTH = "inference-header-content-length"
"""The header that says how many bytes of a body are JSON."""

_OUTPUT = "output"
_REFUSED = {
    "classification": "the classification extension is not served here: take the whole tensor, and its highest elements",
    "shared_memory_region": "shared memory is not served here: send the tensor in the body",
}
_SEQUENCE = "sequences of requests are not served here: each request is answered by itself"


class TensorRequest(NamedTuple):
    """What is left of a request when its inputs are read: its id, and which outputs are wanted, as binary data or not."""

    identifier: Any
    outputs: Mapping[str, bool]
    binary: bool


class TensorCalls:
    """The tensors of a job. Raises `TypeError` for declared ones that are none, or that it has no parameters for."""

    def __init__(self, signature: JobSignature, *, inputs: Any = None, outputs: Any = None) -> None:
        self._signature = signature
        self._declared = {} if inputs is None else types_of(inputs, "input_tensors")
        strange = self._declared.keys() - signature.hints.keys()
        if strange and not signature.takes_others:
            raise TypeError(f"input_tensors names {', '.join(sorted(strange))}, and the job has no such parameter")
        self._outputs = {} if outputs is None else types_of(outputs, "output_tensors")

    def metadata(self) -> dict[str, Any]:
        """The `inputs` and `outputs` of a model's metadata."""
        inputs = {name: type_of_hint(hint) for name, hint in self._signature.hints.items()}
        outputs = self._outputs or {
            name: type_of_hint(hint) for name, hint in _fields_of(self._signature.answer_hint).items()
        }
        return {"inputs": _described({**inputs, **self._declared}), "outputs": _described(outputs)}

    def arguments_of(self, body: bytes, header_length: int | None) -> tuple[dict[str, Any], TensorRequest]:
        """The arguments that a request says, and what it wants to have. Raises `InvalidArguments`."""
        if header_length is not None and header_length > len(body):
            raise InvalidArguments.at((), f"{HEADER_LENGTH} is {header_length}, and the body has {len(body)} bytes")
        text = body if header_length is None else body[:header_length]
        try:
            said = pydantic_core.from_json(text)
        except ValueError as error:
            hint = "" if header_length is not None else f"; where bytes follow it, {HEADER_LENGTH} says its length"
            raise InvalidArguments.at((), f"the body is no JSON: {error}{hint}") from None
        inputs = said.get("inputs") if isinstance(said, dict) else None
        if not isinstance(inputs, list):
            raise InvalidArguments.at((), "the body is no inference request: a JSON object with a list `inputs`")
        parameters = _parameters_of(said, ())
        if parameters.get("sequence_id"):
            raise InvalidArguments.at(("parameters", "sequence_id"), _SEQUENCE)
        tensors, rest = {}, memoryview(body)[len(text) :]
        for place, one in enumerate(inputs):
            name, tensor, rest = self._input(one, place, rest)
            if name in tensors:
                raise InvalidArguments.at(("inputs", name), "it is given twice")
            tensors[name] = tensor
        if len(rest):
            raise InvalidArguments.at((), f"{len(rest)} bytes are left in the body that belong to no input")
        values = self._values(tensors)
        for name, value in parameters.items():
            if name in self._signature.hints:
                values.setdefault(name, value)
        request = TensorRequest(said.get("id"), _outputs_of(said), bool(parameters.get("binary_data_output")))
        return self._signature.arguments_of(values), request

    def body_of(self, answer: Any, request: TensorRequest, name: str, version: str) -> tuple[bytes, int | None]:
        """The body of an answer, and how many bytes of it are JSON where it has binary data.

        Raises `InvalidArguments` for outputs that are not there, and `TypeError` for an answer that is no tensors.
        """
        values = self._named(answer)
        missing = request.outputs.keys() - values.keys()
        if missing:
            raise InvalidArguments.at(
                ("outputs",), f"the job gives no {', '.join(sorted(missing))}; it gives {', '.join(values)}"
            )
        outputs, pieces = [], []
        for key, value in values.items():
            if request.outputs and key not in request.outputs:
                continue
            try:
                tensor = Tensor.of_value(value, self._outputs.get(key))
            except TypeError as error:
                raise TypeError(f"its answer has {key!r}, and {error}") from None
            output: dict[str, Any] = {"name": key, "datatype": tensor.datatype, "shape": list(tensor.shape)}
            if request.outputs.get(key, request.binary):
                pieces.append(tensor.raw())
                output["parameters"] = {"binary_data_size": len(pieces[-1])}
            else:
                try:
                    output["data"] = tensor.json()
                except ValueError as error:
                    raise InvalidArguments.at(("outputs", key), str(error)) from None
            outputs.append(output)
        head = {"model_name": name, "model_version": version, "outputs": outputs}
        if request.identifier is not None:
            head["id"] = request.identifier
        text = pydantic_core.to_json(head, inf_nan_mode="null")
        return (b"".join((text, *pieces)), len(text)) if pieces else (text, None)

    def _input(self, said: Any, place: int, rest: memoryview) -> tuple[str, Tensor, memoryview]:
        """One input, and the binary data that is left after it."""
        if not isinstance(said, dict) or not isinstance(said.get("name"), str):
            raise InvalidArguments.at(("inputs", place), "an input is an object with name, shape, datatype and data")
        name = said["name"]
        at = ("inputs", name)
        if isinstance(said.get("shape"), list) and len(said["shape"]) > _DIMENSIONS:
            raise InvalidArguments.at(at, f"it has {len(said['shape'])} dimensions, and {_DIMENSIONS} are the most")
        parameters = _parameters_of(said, at)
        size = parameters.get("binary_data_size")
        if size is None and "data" not in said:
            raise InvalidArguments.at(at, "it has no data")
        try:
            kind = TensorType.of((said.get("datatype"), said.get("shape")))
            if any(one < 0 for one in kind.shape):
                raise ValueError(f"{list(kind.shape)} is no shape of a tensor that is there")
            wanted = self._declared.get(name)
            if wanted is not None and not wanted.admits(*kind):
                raise ValueError(f"it is {kind}, and {wanted} is declared")
            if size is None:
                return name, Tensor.of_json(said["data"], *kind), rest
            if type(size) is not int or not 0 <= size <= len(rest):
                raise ValueError(f"binary_data_size is {size}, and {len(rest)} bytes are left in the body")
            return name, Tensor.of_bytes(rest[:size], *kind), rest[size:]
        except (TypeError, ValueError) as error:
            raise InvalidArguments.at(at, str(error)) from None

    def _values(self, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
        """Arguments made of tensors. A single parameter takes what it is given under any name, a table its columns."""
        hints = self._signature.hints
        only = next(iter(hints)) if len(hints) == 1 and not self._signature.takes_others else None
        if only is not None and only not in tensors:
            if is_table(hints[only]) and tensors:
                return {only: {name: _value(name, _column(tensor), list[Any]) for name, tensor in tensors.items()}}
            if len(tensors) == 1:
                tensors = {only: next(iter(tensors.values()))}
        return {name: _value(name, tensor, hints.get(name, Any)) for name, tensor in tensors.items()}

    def _named(self, answer: Any) -> Mapping[str, Any]:
        """The outputs that an answer has: those of a mapping, fields of an object, columns of a table, or it is one by itself."""
        if isinstance(answer, Mapping) and answer:
            return {str(name): value for name, value in answer.items()}
        if dataclasses.is_dataclass(answer) and not isinstance(answer, type):
            return {field.name: getattr(answer, field.name) for field in dataclasses.fields(answer)}
        if hasattr(answer, "model_fields_set"):
            return dict(answer)
        if hasattr(answer, "columns") and hasattr(answer, "to_numpy"):
            return {str(name): answer[name] for name in answer.columns}
        names = list(self._outputs) or [_OUTPUT]
        if isinstance(answer, Sequence) and not isinstance(answer, (str, bytes)) and len(answer) == len(names) > 1:
            return dict(zip(names, answer, strict=True))
        return {names[0]: answer}


def _value(name: str, tensor: Tensor, hint: Any) -> Any:
    try:
        return tensor.value(hint)
    except ValueError as error:
        raise InvalidArguments.at(("inputs", name), str(error)) from None


def _column(tensor: Tensor) -> Tensor:
    """A column of a table, which many clients send with a second size of 1."""
    return tensor._replace(shape=(math.prod(tensor.shape),))


def _parameters_of(said: Mapping[str, Any], at: tuple[str | int, ...]) -> Mapping[str, Any]:
    found = said.get("parameters") or {}
    if not isinstance(found, dict):
        raise InvalidArguments.at((*at, "parameters"), "parameters are an object")
    for name, reason in _REFUSED.items():
        if found.get(name):
            raise InvalidArguments.at((*at, "parameters", name), reason)
    return found


def _outputs_of(said: Mapping[str, Any]) -> dict[str, bool]:
    wanted = said.get("outputs") or []
    all_binary = bool(_parameters_of(said, ()).get("binary_data_output"))
    found = {}
    for place, one in enumerate(wanted if isinstance(wanted, list) else [None]):
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            raise InvalidArguments.at(("outputs", place), "an output that is asked for is an object with a name")
        parameters = _parameters_of(one, ("outputs", one["name"]))
        found[one["name"]] = bool(parameters.get("binary_data", all_binary))
    return found


def _fields_of(hint: Any) -> dict[str, Any]:
    """The outputs that the hint of an answer tells."""
    kind = hint
    if isinstance(kind, type) and (
        dataclasses.is_dataclass(kind) or hasattr(kind, "__total__") or hasattr(kind, "model_fields")
    ):
        try:
            return typing.get_type_hints(kind)
        except (NameError, TypeError):
            return {_OUTPUT: Any}
    return {_OUTPUT: hint}


def _described(tensors: Mapping[str, TensorType]) -> list[dict[str, Any]]:
    return [{"name": name, "datatype": kind.datatype, "shape": list(kind.shape)} for name, kind in tensors.items()]

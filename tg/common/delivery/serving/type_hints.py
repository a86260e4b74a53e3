"""Type hints of a job, made into what pydantic can check.

Each hint is resolved by itself: one that names what only a type checker imports does not take the others with it. Arrays of
numpy and tables of pandas, wherever they stand in a hint, are made of what JSON has.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import logging
import sys
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, TypeAdapter, WithJsonSchema
from typing_extensions import NotRequired, TypedDict, is_typeddict

__all__ = ["array_of", "checkable", "dtype_of", "hints_of", "is_array", "is_table", "without_alias"]

_LOGGER = logging.getLogger("tg.serving")


def hints_of(call: Callable[..., Any]) -> dict[str, Any]:
    """The hints of what is called, by parameter, and that of what it returns as `return`; those that mean nothing here are left out."""
    while isinstance(call, functools.partial):
        call = call.func
    called = call if inspect.isroutine(call) or inspect.isclass(call) else type(call).__call__
    target = inspect.unwrap(called)
    namespace = getattr(target, "__globals__", {})
    found = {}
    for name, hint in getattr(target, "__annotations__", {}).items():
        alone = types.SimpleNamespace(__annotations__={name: hint})
        try:
            resolved = typing.get_type_hints(alone, namespace, namespace, include_extras=True)
            found.update({place: without_alias(one) for place, one in resolved.items()})
        except Exception as error:  # noqa: BLE001 a hint can name anything, and raise anything
            _LOGGER.warning(f"the type hint {hint!r} of {name} cannot be resolved, so it is not checked: {error}")
    return found


def checkable(hint: Any) -> Any:
    """A hint that pydantic can check, in its place; `Any` for one that it cannot."""
    hint = without_alias(hint)
    if is_array(hint):
        dtype = dtype_of(hint)
        schema = WithJsonSchema({"type": "array", "items": {}})
        return Annotated[Any, BeforeValidator(functools.partial(array_of, dtype=dtype)), schema]
    if is_table(hint):
        records = {"type": "array", "items": {"type": "object"}}
        schema = WithJsonSchema({"anyOf": [records, {"type": "object"}]})
        return Annotated[Any, BeforeValidator(_table_of), schema]
    if _is_known(hint):
        return hint
    try:
        made = _rewritten(hint)
    except TypeError:  # a generic class that takes no such arguments
        return Any
    return made if _is_known(made) else Any


def without_alias(hint: Any) -> Any:
    """What a `type` statement's name stands for (PEP 695); `NDArray` is one in newer releases of numpy."""
    alias = getattr(typing, "TypeAliasType", None)
    if alias is None or _is_known(hint):  # pydantic knows those that it can, and those that refer to themselves
        return hint
    origin = typing.get_origin(hint)
    if isinstance(origin, alias):
        return without_alias(origin.__value__[typing.get_args(hint)])
    return without_alias(hint.__value__) if isinstance(hint, alias) else hint


def is_array(hint: Any) -> bool:
    """Whether it is an array of numpy."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and (hint is numpy.ndarray or typing.get_origin(hint) is numpy.ndarray)


def is_table(hint: Any) -> bool:
    """Whether it is a table of pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and hint is pandas.DataFrame


def dtype_of(hint: Any) -> Any:
    """The type of the elements that the hint of an array says, or `None`."""
    for kind in typing.get_args(hint)[1:]:
        for scalar in typing.get_args(kind):
            if isinstance(scalar, type):
                return sys.modules["numpy"].dtype(scalar)
    return None


def array_of(value: Any, dtype: Any = None) -> Any:
    """An array of numpy. Raises `ValueError` where its elements are not those of the dtype: no fraction is cut off unasked."""
    numpy = sys.modules["numpy"]
    try:
        array = numpy.asarray(value)
        if dtype is None or array.dtype == dtype or array.size == 0:
            return array if dtype is None else array.astype(dtype, copy=False)
        if dtype.kind in "biuf" and (
            array.dtype.kind not in "biufO" or any(isinstance(one, str) for one in array.flat)
        ):
            raise ValueError(f"these are no numbers, as {dtype} has")
        if dtype.kind in "iu" and array.dtype.kind == "f":  # numpy makes floats of 0 and 2 ** 64 - 1
            exact = numpy.asarray(value, object)
            array = exact if all(isinstance(one, int) for one in exact.flat) else array
        with numpy.errstate(invalid="ignore", over="ignore"):
            made = array.astype(dtype)
    except (TypeError, OverflowError) as error:
        raise ValueError(f"no array of {dtype or 'numbers'} can be made of it: {error}") from None
    if dtype.kind in "biu" and not numpy.array_equal(made, array):
        raise ValueError(f"not all of these are {dtype}")
    return made


def _table_of(value: Any) -> Any:
    try:
        return sys.modules["pandas"].DataFrame(value)
    except TypeError as error:
        raise ValueError(str(error)) from None


def _is_known(hint: Any) -> bool:
    try:
        TypeAdapter(hint).json_schema()
    except Exception:  # noqa: BLE001 classes may raise what they like when they are asked for a schema
        return False
    return True


def _rewritten(hint: Any) -> Any:
    """A hint with the parts that pydantic does not know made into ones that it does."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return functools.reduce(lambda made, more: Annotated[made, more], hint.__metadata__, checkable(arguments[0]))
    if origin in (typing.Union, types.UnionType):
        return typing.Union[tuple(checkable(one) for one in arguments)]  # noqa: UP007 they are known at run time only
    if origin is not None:
        return origin[tuple(one if one is ... else checkable(one) for one in arguments)]
    if is_typeddict(hint):
        return _mirrored(hint, hint.__required_keys__)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        fields = [field for field in dataclasses.fields(hint) if field.init]
        missing = dataclasses.MISSING
        required = {one.name for one in fields if one.default is missing and one.default_factory is missing}
        mirrored = _mirrored(hint, required, only=[field.name for field in fields])
        return Annotated[mirrored, AfterValidator(lambda given: hint(**given))]
    return Any


def _mirrored(kind: Any, required: typing.AbstractSet[str], only: typing.Collection[str] | None = None) -> Any:
    """A TypedDict with the fields of a class."""
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = {name: checkable(hint) for name, hint in hints.items() if only is None or name in only}
    made: Any = TypedDict  # a static checker knows it with literal fields alone
    return made(kind.__name__, {name: hint if name in required else NotRequired[hint] for name, hint in fields.items()})

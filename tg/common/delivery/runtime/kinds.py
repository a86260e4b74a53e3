"""Kinds: the type that an object is asked for as, for the type checker and for us to look whether it is of that.

Classes of two versions are two classes. Who asks for `tg.mylibrary.Job` of their own project gets the `UID.tg.mylibrary.Job` of
the package, which is what they mean and what a type checker can be told; so a class of the local roots stands for the one
that has its name in the package.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import UnionType
from typing import TYPE_CHECKING, Any, Protocol, get_origin

from .errors import UnexpectedType
from .roots import Roots, local_prefix

if TYPE_CHECKING:
    from typing_extensions import TypeVar  # type checkers have it; that of Python itself has defaults from 3.13 on

    Kind = TypeVar("Kind", default=Any)
    """What comes back: of the type that was asked for, or anything where none was."""

__all__ = ["check_kind", "name_in_package", "of_kind"]


class _Nothing(Protocol):
    """What all protocols have."""


_NO_MEMBERS = {
    *dir(_Nothing),
    *("_is_runtime_protocol", "__annotations__", "__orig_bases__"),
}


def check_kind(
    value: object, kind: Any, what: str, classes: Sequence[tuple[str, str]] = (), module: str | None = None
) -> None:
    """Raise `UnexpectedType` unless a value is of a kind; `what` names it to the user.

    A kind is a class, a parametrised one (of which the parameters are not looked at), or a protocol, whose members the value must
    have. Or `classes`, the modules and names of the value's classes, has the kind's name in `module`. Raises `TypeError` for
    what is no kind.
    """
    plain = get_origin(kind) or kind
    if not isinstance(plain, type) or plain is UnionType:
        raise TypeError(f"{what} is asked for as {kind!r}, which is no class. Give a class or a protocol.")
    found = (".".join(classes[0]) if classes else _name(type(value))).removeprefix("builtins.")
    if getattr(plain, "_is_protocol", False):
        missing = [name for name in _members(plain) if not hasattr(value, name)]
        problem = f"has no {', '.join(missing)}, as {_name(kind)} has" if missing else None
    else:
        is_of = isinstance(value, plain) or (module or "", plain.__qualname__) in classes
        problem = None if is_of else f"is a {found}, and no {_name(kind)}"
    if problem:
        raise UnexpectedType(
            f"{what} {problem}. Ask for what it is, or for anything by leaving the type out.",
            expected=_name(kind),
            found=found,
        )


def of_kind(value: Any, kind: type[Kind] | None, what: str) -> Kind:
    """The value, if it is of the kind, where there is one; see `check_kind`."""
    if kind is not None:
        check_kind(value, kind, what)
    return value  # type: ignore[no-any-return]


def name_in_package(kind: Any, roots: Iterable[str], package: str) -> str | None:
    """What the module of a class of the local roots is called in a package; `None` for any other class."""
    inside = Roots.of(roots, local_prefix()).inside(getattr(get_origin(kind) or kind, "__module__", ""))
    return None if inside is None else f"{package}.{inside}"


def _members(protocol: Any) -> list[str]:
    """The names of the methods and attributes of a protocol."""
    known = getattr(
        protocol, "__protocol_attrs__", None
    )  # typing's own from 3.12 on, those of typing_extensions before
    if known is not None:
        return sorted(known)
    annotated = {name for one in protocol.__mro__ for name in vars(one).get("__annotations__", ())}
    return sorted(({*dir(protocol)} | annotated) - _NO_MEMBERS)


def _name(kind: Any) -> str:
    return (
        str(kind)
        if get_origin(kind) or not isinstance(kind, type)
        else f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    )

"""Values as the worker sends and receives them: what is of the package stays here, what is of the owner's tree becomes the package's.

It stays here, and the owner gets a proxy, when it is
1. of a class of the package, or such a class or function itself;
2. of a class that cannot be imported by its name, or that the owner has not;
3. an iterator, a module, or something else that refuses to be pickled.
All else is sent by value, and what stays in it is a proxy there.
"""

from __future__ import annotations

import copyreg
import importlib.util
import sys
import types
from pickle import whichmodule  # type: ignore[attr-defined]
from typing import IO, Any, NamedTuple

from .channel import Channel, Message, Packed
from .crossing import Description, IncomingValues, OutgoingValues, held
from .held_objects import HeldObjects, describe
from .names import lies_in
from .roots import Roots

__all__ = ["Kept", "NotHere", "Staying", "WorkerIncoming", "WorkerOutgoing"]

_ERRORS = "tg.common.delivery.runtime.errors"


class Kept(NamedTuple):
    """An object that stays here, whatever it is."""

    value: Any


class NotHere(Exception):
    """What a request refers to cannot be imported in the worker."""


class Staying:
    """Which objects stay in the worker, class by class, and what the owner has been told of those classes."""

    def __init__(self, module_name: str, objects: HeldObjects) -> None:
        self.objects = objects
        self._module_name = module_name
        self._errors = f"{module_name}.{_ERRORS}"
        self._unknown: set[str] = set()
        self._stays: dict[type, bool] = {}
        self._descriptions: dict[type, Description] = {}
        self._new = False

    def owner_lacks(self, module: str) -> None:
        """The owner cannot import this module: objects of classes in it, and in all below, stay here from now on."""
        self._unknown.add(module)
        self._stays.clear()

    def stays(self, kind: type) -> bool:
        """Whether objects of a class stay here."""
        known = self._stays.get(kind)
        if known is None:
            known = self._stays[kind] = (
                issubclass(kind, types.ModuleType) or hasattr(kind, "__next__") or not self._is_shared(kind)
            )
            self._new |= not known
        return known

    def has_sent_new_classes(self) -> bool:
        """Whether something has been sent by value, since this was asked last, that the owner has perhaps not got."""
        new, self._new = self._new, False
        return new

    def is_known_by_name(self, named: Any, name: str | None = None) -> bool:
        """Whether a class, a function or another global that is itself sent can go by its name, as pickling has it."""
        shared = self._is_shared(named, name)
        self._new |= shared and getattr(named, "__module__", None) != "builtins"
        return shared

    def _is_shared(self, named: Any, name: str | None = None) -> bool:
        """Whether the owner finds a class or another global by its name."""
        module, name = getattr(named, "__module__", None), name or getattr(named, "__qualname__", None)
        if module is None and name is not None:
            module = whichmodule(named, name)
        if not isinstance(module, str) or not isinstance(name, str) or module == "__main__":
            return False
        if lies_in(module, self._module_name) and module != self._errors:
            return False
        if any(lies_in(module, one) for one in self._unknown):
            return False
        found: Any = sys.modules.get(module)
        for part in name.split("."):
            found = getattr(found, part, None)
        # Types of Python that have no name there, a function's or a generator's, are made and not found.
        return found is named or (module == "builtins" and isinstance(named, type))

    def description(self, kind: type) -> Description:
        """What a message says of an object that stays."""
        known = self._descriptions.get(kind)
        if known is None:
            known = self._descriptions[kind] = describe(kind)
        return known


class WorkerOutgoing(OutgoingValues):
    """Writes an answer."""

    def __init__(self, staying: Staying) -> None:
        super().__init__()
        self._staying = staying
        self.sent: list[int] = []
        """The numbers of the objects that are referred to, in the order in which they are read."""

    def pack(self, value: tuple[Any, ...], channel: Channel) -> Packed:
        """See `OutgoingValues.pack`."""
        try:
            return super().pack(value, channel)
        except BaseException:
            self._staying.objects.let_go((number, 1) for number in self.sent)
            raise

    def reducer_override(self, value: Any, /) -> Any:
        """See `pickle.Pickler.reducer_override`: called for all but plain values."""
        kind = type(value)
        if kind is Kept:
            return self._reference(value.value)
        if value is held:
            return NotImplemented
        if isinstance(value, (type, types.FunctionType)):
            return NotImplemented if self._staying.is_known_by_name(value) else self._reference(value)
        if self._stays(value):
            return self._reference(value)
        reduce = copyreg.dispatch_table.get(kind)
        try:
            reduced = value.__reduce_ex__(5) if reduce is None else reduce(value)
        except Exception:  # noqa: BLE001 whatever it has against being pickled, it can be used where it is
            return self._reference(value)
        if isinstance(reduced, str) and not self._staying.is_known_by_name(value, reduced):
            return self._reference(value)
        return reduced

    def _stays(self, value: Any) -> bool:
        if isinstance(value, (types.MethodType, types.BuiltinMethodType)):
            owner = value.__self__
            if isinstance(owner, type):  # sent as what its class gives by that name, which a proxy would ask for again
                return not self._staying.is_known_by_name(owner)
            return not isinstance(owner, types.ModuleType) and self._staying.stays(type(owner))
        return self._staying.stays(type(value))

    def _reference(self, value: Any) -> tuple[Any, tuple[int, None, tuple[Any, ...]]]:
        number = self._staying.objects.hold(value)
        self.sent.append(number)
        return held, (number, None, tuple(self._staying.description(type(value))))


class WorkerIncoming(IncomingValues):
    """Reads a request. Classes of the owner's roots are read as the package's, as `EntryPoint.convert` does."""

    def __init__(self, message: Message, file: IO[bytes], objects: HeldObjects, module_name: str, roots: Roots) -> None:
        super().__init__(message, file, objects.look_up)
        self._module_name = module_name
        self._roots = roots

    def find_value(self, module_name: str, global_name: str) -> Any:
        """A global of the request, by the name that it has here."""
        module = self._here(module_name)
        try:
            return super().find_value(module, global_name)
        except (ImportError, AttributeError) as error:
            raise NotHere(
                f"{module_name}.{global_name} is not known to the worker of {self._module_name} "
                f"({type(error).__name__}: {error})"
            ) from error

    def _here(self, module: str) -> str:
        inside = self._roots.inside(module)
        if inside is not None:
            return f"{self._module_name}.{inside}"
        top, _, rest = module.partition(".")
        of_a_package = rest.partition(".")[0] in self._roots.names and top != self._module_name
        if of_a_package and importlib.util.find_spec(top) is None:  # another version, or the owner is delivered itself
            return f"{self._module_name}.{rest}"
        return module

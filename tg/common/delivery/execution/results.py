"""Results: what a job returned elsewhere, read back into the classes of the local `tg`.

A pickle can name any function there is and have it called. So a result may refer to few things only:

1. the local roots that the package has, which its own are read as; of delivery itself, only values;
2. what the declared dependencies of the package bring, with what they name as optional, and what these require in
   turn, as installed here;
3. plain values of Python and its standard library, each named in `plain_values.py`.

It is read twice. First everything it makes is a stub: all its references are looked at, and nothing of it is made, so
one bad reference is found before anything happens. Then it is read in earnest, under the same rules.

This keeps out what no result needs. It does not make a result of somebody hostile harmless: the functions of your own
tree and of your dependencies can be called by it, as they can by the job.
"""

from __future__ import annotations

import importlib
import pickle
import re
import sys
from collections.abc import Sequence
from os import PathLike
from types import ModuleType
from typing import IO, Any

from ..delivery.dependency_files import DependencyFiles
from ..delivery.plain_values import PLAIN_VALUES
from ..runtime.errors import UntrustedResult
from ..runtime.names import lies_in, rename
from ..runtime.roots import Roots, local_prefix

__all__ = ["ResultReader", "read_result"]

_LOCAL = local_prefix()

_DELIVERY = {
    f"{_LOCAL}tg.common.delivery.{module}"
    for module in (
        "delivery.dependencies",
        "delivery.example_job",
        "delivery.facts",
        "execution.limits",
        "environments.platform",
        "images.reference",
        "runtime.errors",
        "runtime.names",
    )
}
"""The values of delivery. The rest of it starts processes and removes files, which no result has to."""


def read_result(
    file: str | PathLike[str] | IO[bytes], module_name: str, requirements: Sequence[str], roots: Sequence[str] = ()
) -> Any:
    """Read the pickle of a result that the package `module_name` (its UID) wrote, with these declared dependencies.

    `file` is a path, or an open binary file that can be read again from its beginning; `roots` are those that the package
    has besides `tg`. Raises `UntrustedResult` when it refers to anything else than the local roots of these names, the
    dependencies and plain values, before anything of it is made.
    """
    return ResultReader(module_name, requirements, roots).read(file)


class ResultReader:
    """Reads results of one package, any number of them; see `read_result`."""

    def __init__(self, module_name: str, requirements: Sequence[str], roots: Sequence[str] = ()) -> None:
        self._trust = _Trust(module_name, requirements, roots)

    def read(self, file: str | PathLike[str] | IO[bytes]) -> Any:
        """Read the pickle of a result. Raises `UntrustedResult`."""
        if isinstance(file, (str, PathLike)):
            with open(file, "rb") as opened:
                return self.read(opened)
        start = file.tell()
        try:
            _Rehearsal(file, self._trust).load()
        except UntrustedResult:
            raise
        except Exception as error:  # all that can be wrong with a stream of bytes: stubs raise nothing
            raise UntrustedResult(
                f"the result of {self._trust.module_name} is not in the form of one, or was cut ({type(error).__name__}: {error}). "
                f"Run it again.",
                reference="",
            ) from error
        file.seek(start)
        return _Reader(file, self._trust).load()


class _Reader(pickle.Unpickler):
    """Makes the result."""

    def __init__(self, file: IO[bytes], trust: _Trust) -> None:
        super().__init__(file)
        self._trust = trust

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        found = self._trust.look_up(self._trust.here(self._trust.unified(module_name)), global_name)
        return self._trust.attribute if found is getattr else found


class _Rehearsal(_Reader):
    """Goes through the result and makes stubs, of the kind that the references call for."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        found = self._trust.look_up(self._trust.here(self._trust.unified(module_name)), global_name)
        return _attribute_stub(self._trust) if found is getattr else _stub_of(found)


class _Stub:
    """An object that is not made. What the pickle would do to it is taken, and nothing is done.

    The methods take what unpickling calls on an object. Called on a class, they have one argument less: that pickle
    would change something that is there, and not a part of the result.
    """

    stands_for: Any = None

    def __new__(cls, *arguments: Any, **named: Any) -> _Stub:
        return object.__new__(cls)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        pass

    def __setstate__(*arguments: Any) -> None:
        if len(arguments) < 2:
            raise UntrustedResult(
                "the result would change a class or a function that is here already. No result does; it is refused.",
                reference="",
            )

    append = extend = add = __setstate__

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


def _stub_of(found: Any) -> type[_Stub]:
    return type("_Stub", (_Stub,), {"stands_for": found})


def _attribute_stub(trust: _Trust) -> type[_Stub]:
    def of(owner: Any, name: Any) -> type[_Stub]:
        is_stub = isinstance(owner, type) and issubclass(owner, _Stub)
        return _stub_of(trust.attribute(owner.stands_for if is_stub else None, name))

    return type("_Stub", (_Stub,), {"__new__": lambda cls, owner, name: of(owner, name)})


class _Trust:
    """What a result of one package may refer to."""

    def __init__(self, module_name: str, requirements: Sequence[str], roots: Sequence[str]) -> None:
        self.module_name = module_name
        self.requirements = tuple(requirements)
        self.local = Roots.of(roots, _LOCAL)
        self._remote = Roots.of(roots, f"{module_name}.")
        self._dependencies = DependencyFiles(self.requirements)

    def unified(self, module: str) -> str:
        """The module by the package's own name, if that is of a version that another one took the place of."""
        match = re.match(rf"{re.escape(self.module_name)}__at_[0-9a-f]{{12}}(?=\.)", module)
        return self.module_name + module[match.end() :] if match else rename(module, "pathlib._local", "pathlib")

    def here(self, module: str) -> str:
        """The local module that one of the package stands for; any other is what it is."""
        inside = self._remote.inside(module)
        return module if inside is None else self.local.here(inside)

    def look_up(self, module: str, name: str) -> Any:
        """The object that a reference names. Raises `UntrustedResult` before its module is imported, or afterwards."""
        if (module, name) == ("builtins", "getattr"):
            return getattr
        if not self._may_refer(module, name):
            raise self._untrusted(module, name)
        try:
            owner: Any = importlib.import_module(module, __package__)  # in full, and so for any tree
            *path, last = name.split(".")
            for part in path:
                owner = getattr(owner, part)
                if not isinstance(owner, type):  # a module, an instance, a function with its __globals__
                    raise self._untrusted(module, name)
                self._check(owner, module, name)
            found = getattr(owner, last)
        except (ImportError, AttributeError) as error:
            raise UntrustedResult(
                f"the result refers to {module}.{name}, which is not here ({error}). Read it with the version of the source "
                f"that made it, or put the name back.",
                reference=f"{module}.{name}",
            ) from error
        self._check(found, module, name)
        return found

    def attribute(self, owner: Any, name: Any) -> Any:
        """`getattr` for what pickles need it for: methods that make an object, and members of enumerations."""
        if not isinstance(owner, type) or not isinstance(name, str):
            raise self._untrusted("builtins", "getattr")
        module, full = owner.__module__, f"{owner.__qualname__}.{name}"
        self._check(owner, module, full)
        if name in getattr(owner, "__members__", ()) or (module, full) == ("zoneinfo", "ZoneInfo._unpickle"):
            return getattr(owner, name)
        found = None if name.startswith("__") else getattr(owner, name, None)
        if found is None:
            raise self._untrusted(module, full)
        self._check(found, module, full)
        return found

    def _check(self, found: Any, module: str, name: str) -> None:
        """Raise unless an object is one of a place that may be referred to, wherever it was found.

        A module of the tree that says `from os import system` has a `system`; it stays one of `os`.
        """
        if isinstance(found, ModuleType):
            raise self._untrusted(module, name)
        if found is Ellipsis or found is NotImplemented:
            return
        home = getattr(found, "__module__", None)
        named = getattr(found, "__qualname__", None)
        if not isinstance(home, str) or not isinstance(named, str):
            # An object that is known by its name, such as a ufunc: it is what its class makes it.
            home, named = type(found).__module__, type(found).__qualname__
            # a list, a dictionary, a method of one: state of a module that is here, and no value
            if home in PLAIN_VALUES:
                raise self._untrusted(module, name)
        home = self.here(home)
        if not self._may_refer(home, named):
            raise self._untrusted(module, name, found=f"{home}.{named}")

    def _may_refer(self, module: str, name: str) -> bool:
        if self.local.inside(module) is not None:
            return not lies_in(module, f"{_LOCAL}tg.common.delivery") or module in _DELIVERY
        if module in PLAIN_VALUES:
            return name in PLAIN_VALUES[module]
        top = module.partition(".")[0]
        return top not in sys.stdlib_module_names and self._dependencies.have(module)

    def _untrusted(self, module: str, name: str, *, found: str = "") -> UntrustedResult:
        missing = self._dependencies.missing
        top = module.partition(".")[0]
        if self.local.inside(module) is not None or module in PLAIN_VALUES or top in sys.stdlib_module_names:
            advice = (
                f"Return plain values, or objects of classes in {' or '.join(f'{one}/' for one in self.local.names)}."
            )
        elif missing:
            advice = f"Not installed here, though declared: {', '.join(missing)}. Install what has it, or return plain values."
        else:
            advice = (
                f"If the package needs what has {top}, declare that: packaging.dependencies = (*packaging.dependencies, "
                f"DependencyList('mine', [...])). Or return plain values."
            )
        return UntrustedResult(
            f"the result of {self.module_name} refers to {module}.{name}"
            f"{f', which is {found}' if found and found != f'{module}.{name}' else ''}. That is neither in the local "
            f"{' or '.join(map(self.local.here, self.local.names))}, nor in a declared dependency, nor a plain value, so nothing "
            f"of the result was made. {advice}",
            reference=f"{module}.{name}",
        )

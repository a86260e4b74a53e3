"""Names of functions of a worker's delivery, as an engine sends them: pickled, they are a name alone, and looked up where they land."""

from __future__ import annotations

import importlib
from typing import Any

from .bootstrap import private_name

__all__ = ["Remote"]


class _Module:
    def __init__(self, name: str) -> None:
        self.name = name

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return importlib.import_module, (self.name,)


class Remote:
    """A function of a module of this room, in the delivery with a digest: where it is unpickled, it is that function."""

    def __init__(self, digest: str, module: str, function: str) -> None:
        self._module = _Module(f"{private_name(digest)}.tg.common.delivery.cluster.{module}")
        self.__name__ = function

    def __reduce__(self) -> tuple[Any, tuple[_Module, str]]:
        return getattr, (self._module, self.__name__)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """It is none here."""
        raise TypeError(f"{self._module.name}.{self.__name__} is a function of workers.")

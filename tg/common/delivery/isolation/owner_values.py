"""Values as the owner sends and receives them: proxies are sent as what they stand for, what stays in the worker is a proxy."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import IO, Any, Protocol

from ..runtime.channel import Message
from ..runtime.crossing import Description, IncomingValues, OutgoingValues, held
from ..runtime.entry_point import EntryPoint
from .proxies import Proxies
from .proxy import Caller, Proxy, RemoteMethod

__all__ = ["NotHere", "OwnerIncoming", "OwnerOutgoing"]

_DELIVERY = __name__[: -len(".isolation.owner_values")]
_ERRORS = "tg.common.delivery.runtime.errors"


class NotHere(Exception):
    """What an answer refers to cannot be imported here: `module`, a whole distribution's where there is nothing of it."""

    def __init__(self, module: str) -> None:
        super().__init__(module)
        self.module = module


class _Package(Caller, Protocol):
    resources_location: Path


class OwnerOutgoing(OutgoingValues):
    """Writes a request."""

    def __init__(self, session: _Package) -> None:
        super().__init__()
        self._session = session

    def reducer_override(self, value: Any, /) -> Any:
        """See `pickle.Pickler.reducer_override`: called for all but plain values."""
        if isinstance(value, Proxy):
            return held, (self._number(value),)
        if type(value) is RemoteMethod:
            return held, (self._number(value.__self__), value.__name__)
        if isinstance(value, EntryPoint) and value.resources_location == self._session.resources_location:
            return held, (0,)  # the worker's own
        return NotImplemented

    def _number(self, proxy: Proxy) -> int:
        session, number = proxy._tg_place
        if session is not self._session:
            raise pickle.PicklingError(f"it is in another worker, of {session.module_name}")
        return number


class OwnerIncoming(IncomingValues):
    """Reads an answer. Delivery's own errors are those of this process."""

    def __init__(self, message: Message, file: IO[bytes], session: _Package, proxies: Proxies, read: list[int]) -> None:
        """The numbers of the objects that it refers to are added to `read`."""

        def proxy(number: int, name: None, description: tuple[Any, ...]) -> Proxy:
            read.append(number)
            return proxies.of(session, number, Description(*description))

        super().__init__(message, file, proxy)
        self._session = session

    def find_value(self, module_name: str, global_name: str) -> Any:
        """A global of the answer. What cannot be imported here, the worker is asked to keep."""
        if module_name == f"{self._session.module_name}.{_ERRORS}":
            module_name = f"{_DELIVERY}.runtime.errors"
        try:
            return super().find_value(module_name, global_name)
        except (ImportError, AttributeError) as error:
            top = module_name.partition(".")[0]
            raise NotHere(
                top if isinstance(error, ModuleNotFoundError) and error.name == top else module_name
            ) from error

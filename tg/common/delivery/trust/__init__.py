"""Trust: who made a package, and whether that is enough to run it here. Every name is fetched on first use (PEP 562)."""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # type checkers take it for true
if TYPE_CHECKING:
    from .keys import PublicKey, SigningKey
    from .manifest import Manifest
    from .policy import Policy

_HOMES = {"Manifest": ".manifest", "Policy": ".policy", "PublicKey": ".keys", "SigningKey": ".keys"}

__all__ = ["Manifest", "Policy", "PublicKey", "SigningKey"]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home, __package__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

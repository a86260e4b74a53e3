"""What the project gives to everybody's `tg/`: the logger, the locations, and delivery.

`Logger` and `Loc` are fetched on first use, so that importing any part of `tg.common` costs nothing but that part.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers take it for true; importing `typing` would double the time this import takes
if TYPE_CHECKING:
    from .locations import Loc
    from .logger import Logger

__all__ = ["Loc", "Logger"]


def __getattr__(name: str) -> object:
    if name == "Logger":
        from .logger import Logger

        return Logger
    if name == "Loc":
        from .locations import Loc

        return Loc
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

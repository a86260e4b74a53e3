"""Executors: one protocol to run a package in this process, in a clean one, in a container here or on a server.

Every name is fetched on first use (PEP 562), so that a run in this process imports no client of an engine.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # type checkers take it for true
if TYPE_CHECKING:
    from .attached import AttachedExecutor
    from .docker import DockerExecutor
    from .process import ProcessExecutor
    from .run import Executor, Run
    from .watching import watch

_HOMES = {
    "AttachedExecutor": ".attached",
    "DockerExecutor": ".docker",
    "Executor": ".run",
    "ProcessExecutor": ".process",
    "Run": ".run",
    "watch": ".watching",
}

__all__ = ["AttachedExecutor", "DockerExecutor", "Executor", "ProcessExecutor", "Run", "watch"]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home, __package__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Clusters: a package at work on the workers of an engine that is there already, Dask or Ray.

The engine gets bytes and a fixed bootstrap. A new engine is one more `Engine`, in a file of its own. Every name is fetched on first
use (PEP 562).
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # type checkers take it for true
if TYPE_CHECKING:
    from .cluster_executor import ClusterExecutor
    from .cluster_run import ClusterRun
    from .dask_executor import DaskExecutor
    from .engine import Engine
    from .map_run import MapRun, Outcome
    from .ray_executor import RayExecutor

_HOMES = {
    "ClusterExecutor": ".cluster_executor",
    "ClusterRun": ".cluster_run",
    "DaskExecutor": ".dask_executor",
    "Engine": ".engine",
    "MapRun": ".map_run",
    "Outcome": ".map_run",
    "RayExecutor": ".ray_executor",
}

__all__ = ["ClusterExecutor", "ClusterRun", "DaskExecutor", "Engine", "MapRun", "Outcome", "RayExecutor"]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home, __package__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

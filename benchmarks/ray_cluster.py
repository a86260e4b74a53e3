"""A Ray cluster to measure on: nodes on this machine, each with a folder for its store."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tg.common.delivery.cluster.ray_executor import RayExecutor
from tg.common.delivery.trust import Policy

_MIB = 1 << 20
_SLOW = "rfc3987_syntax"
"""It checks URIs for jsonschema, is installed here with other tools, and takes 2.5 seconds in each process of Ray."""


class RayCluster:
    """Nodes, and an executor of ours; a context manager, which ends all of it."""

    name = "Ray"

    def __init__(self, folder: Path, *, nodes: int, workers: int) -> None:
        self._folder = folder
        self._nodes = nodes
        self._workers = workers
        self._remote: dict[str, Any] = {}

    def __enter__(self) -> RayCluster:
        (self._folder / "quick").mkdir(parents=True)
        (self._folder / "quick" / f"{_SLOW}.py").write_text('raise ImportError("not here")\n', encoding="utf-8")
        sys.modules[_SLOW] = None  # type: ignore[assignment]
        paths = [str(self._folder / "quick"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)
        os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        import ray
        from ray.cluster_utils import Cluster

        self._cluster = Cluster()
        for number in range(self._nodes):
            self._cluster.add_node(
                wait=False,
                num_cpus=self._workers,
                object_store_memory=(2048 if self._workers > 2 else 150) * _MIB,
                env_vars={"TG_HOME": str(self._folder / f"node{number}")},
                **({} if number else {"include_dashboard": False}),
            )
        self._cluster.wait_for_nodes()
        ray.init(self._cluster.address, namespace="tg", log_to_driver=False, logging_level=logging.ERROR)
        self.executor = RayExecutor(policy=Policy.any(), progress=False)
        return self

    def __exit__(self, *exception: object) -> None:
        import ray

        ray.shutdown()
        self._cluster.shutdown()

    def map_plainly(self, function: Callable[[Any], Any], batches: Sequence[Any]) -> list[Any]:
        """The same as plain tasks, all results at once."""
        import ray

        remote = self._task(function)
        results: list[Any] = ray.get([remote.remote(batch) for batch in batches])
        return results

    def give_plainly(self, value: Any, function: Callable[[Any], Any]) -> Any:
        """A big value into the cluster as it is done without us, and what a first task makes of it."""
        import ray

        return ray.get(self._task(function).remote(ray.put(value)))

    def new_plainly(self, project: Path, number: int) -> Any:
        """A new version of the tree as Ray brings one to a task: a `runtime_env`, whose `py_modules` are a URI."""
        import ray

        # The first folder of the zip is taken away.
        file = Path(shutil.make_archive(str(self._folder / f"version{number}"), "zip", project, "tg/bench"))
        return ray.get(self._task(_imported).options(runtime_env={"py_modules": [file.as_uri()]}).remote())

    def _task(self, function: Callable[..., Any]) -> Any:
        import ray

        if function.__qualname__ not in self._remote:
            self._remote[function.__qualname__] = ray.remote(function)
        return self._remote[function.__qualname__]


def _imported() -> Any:
    from bench.job import Job

    return Job().run()

"""The features of a year, made day by day on a cluster of three nodes; and changed while they are made.

    python cluster.py dask|ray [DAYS]

Version 1.0.0 is delivered to a cluster that runs already, and begins. When half of it is there, one line is changed, and 1.1.0 is
delivered to the same workers. Both come to their end, each with its own code: what comes of them is compared with what one process
makes. The cluster is made for this on one machine, and ended. Ends with an error when anything shown is not so.
"""

from __future__ import annotations

import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import date, timedelta
from itertools import islice
from pathlib import Path

import pandas as pd
from demo import CHANGED_FILE, PROJECT, change, console, environment_with, output_of, require, say, step

from tg.common.delivery.cluster.cluster_executor import ClusterExecutor
from tg.common.delivery.delivery import install_package_and_get_loader
from tg.common.delivery.trust import Policy

NODES = 3
DAYS = 365


def main(where: str, days: str = str(DAYS)) -> None:
    sys.stdout.reconfigure(errors="replace")  # a terminal that has no ✓
    started = time.perf_counter()
    console.print(f"[bold]The features of a year, made day by day on a cluster of {NODES} nodes[/]")
    with tempfile.TemporaryDirectory(prefix="flights-cluster-") as temporary:
        demonstrate(where, [date(2013, 1, 1) + timedelta(day) for day in range(int(days))], Path(temporary))
    console.print()
    say(f"{time.perf_counter() - started:.0f} s in all. The cluster has ended.")


def demonstrate(where: str, days: list[date], temporary: Path) -> None:
    project = temporary / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("__pycache__", "flights-output", "dist"))
    environment = environment_with(TG_HOME=temporary / "home", PYTHONPATH=PROJECT.parents[1])

    def deliver(version: str) -> Path:
        run = [sys.executable, "deliver_daily.py", version, str(project / "dist")]
        return Path(output_of(run, project, environment).splitlines()[-1])

    with CLUSTERS[where](temporary) as executor:
        with step(1, f"1.0.0 begins on the workers of {executor.engine.name}"):
            first = deliver("1.0.0")
            old = executor.map(first, days, batch_size=4)
            old_results = old.results()
            rows = list(islice(old_results, len(days) // 2))
            say(f"{len(rows)} of {len(days)} days are there")
        with step(2, "One line is changed, and 1.1.0 is delivered to the same workers"):
            change(project / CHANGED_FILE)
            second = deliver("1.1.0")
            new = executor.map(second, days, batch_size=4)
            after = pd.concat(list(new.results()), ignore_index=True)
            say(f"all {len(days)} days of 1.1.0 are there")
        with step(3, "1.0.0 goes on where it was"):
            before = pd.concat([*rows, *old_results], ignore_index=True)
            for line in islice(old.logs(), 3):
                say(f"[dim]{line}[/]")
    with step(4, "The same in this process"):
        for package, made in ((first, before), (second, after)):
            pd.testing.assert_frame_equal(made, in_one_process(package, days))
            say(f"[green]✓[/] {package.name}: {len(made):,} flights, {made['late'].mean():.1%} late, as in one process")
        require(bool(before["late"].sum() < after["late"].sum()), "the change has changed nothing")


def in_one_process(package: Path, days: list[date]) -> pd.DataFrame:
    logging.getLogger("tg").setLevel(logging.WARNING)  # nobody asked for these lines twice
    job = install_package_and_get_loader(package, policy=Policy.any(), silent=True).load_resource("job")
    return pd.concat([job.run(day) for day in days], ignore_index=True)


@contextmanager
def on_dask(temporary: Path) -> Iterator[ClusterExecutor]:
    """A scheduler and three workers, each a process."""
    from distributed import LocalCluster

    from tg.common.delivery.cluster.dask_executor import DaskExecutor

    with (
        LocalCluster(n_workers=NODES, threads_per_worker=1, dashboard_address=None) as cluster,
        DaskExecutor(cluster, policy=Policy.any()) as executor,
    ):
        yield executor


@contextmanager
def on_ray(temporary: Path) -> Iterator[ClusterExecutor]:
    """Three nodes, each with a worker, and with a store of its own, as machines have."""
    from ray.cluster_utils import Cluster

    from tg.common.delivery.cluster.ray_executor import RayExecutor

    cluster = Cluster()
    try:
        for number in range(NODES):
            cluster.add_node(
                wait=False,
                num_cpus=1,
                object_store_memory=100 * 1024 * 1024,
                env_vars={"TG_HOME": str(temporary / f"node-{number}")},
                **({} if number else {"include_dashboard": False}),
            )
        cluster.wait_for_nodes()
        with RayExecutor(cluster.address, policy=Policy.any()) as executor:
            yield executor
    finally:
        cluster.shutdown()


CLUSTERS: dict[str, Callable[[Path], AbstractContextManager[ClusterExecutor]]] = {"dask": on_dask, "ray": on_ray}


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A package for all tests of clusters, an engine of threads, and a cluster of Dask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster.threads import ThreadEngine
from projects import Project

from tg.common.delivery.cluster.cluster_executor import ClusterExecutor
from tg.common.delivery.trust import Policy

JOB = """
    import os
    import sys
    import time
    from pathlib import Path

    from tg.common import Logger


    class Job:
        def __init__(self, factor=2, array=None):
            self.factor = factor
            self.array = array

        def run(self, item=1):
            Logger.info(f"item {item}")
            return item * self.factor

        def say(self, item):
            print(f"printed for {item}")
            Logger.info(f"logged for {item}")

        def odd(self, item):
            if item == 13:
                raise ValueError(f"{item} is unlucky")
            return item

        def end(self, item):
            if item == 13:
                os._exit(1)
            return item

        def late(self, item):
            time.sleep(2)
            return item, os.getpid()

        def unpicklable(self, item):
            return (lambda: item) if item == 3 else item

        def here(self, item):
            return item, os.getpid(), os.environ.get("TG_HOME")

        def sometimes_here(self, item):
            if item % 20 == 0:
                time.sleep(0.02)
            return item, os.getpid(), os.environ.get("TG_HOME")

        def prefix(self, item):
            return sys.prefix

        def when(self, item):
            return time.time_ns()

        def mapped(self, item):
            import numpy as np

            entries = Path("/proc/self/maps").read_text().splitlines()
            store = [line.split()[-1] for line in entries if "job.buffers" in line]
            time.sleep(0.2)
            return os.getpid(), float(np.sum(self.array)), len(set(store))


    class Waiting:
        '''Says something, and then waits until a file is there, or for good.'''

        def __init__(self, file):
            self.file = file

        def run(self):
            print("it has begun")
            while not (self.file and os.path.exists(self.file)):
                time.sleep(0.01)
            return "it was there"
"""


@pytest.fixture(scope="session")
def cluster_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with the job of all these tests."""
    project = Project(tmp_path_factory.mktemp("clusters"))
    project.checked = False
    project.write("tg/many/__init__.py", "")
    project.write("tg/many/job.py", JOB)
    return project


@pytest.fixture(scope="session")
def package(cluster_project: Project) -> Path:
    """A package of it."""
    return cluster_project.deliver("many", "1.0.0", job="tg.many.job:Job()")


@pytest.fixture
def engine() -> Iterator[ThreadEngine]:
    """Tasks as threads of this process."""
    engine = ThreadEngine()
    yield engine
    engine.close()


@pytest.fixture
def executor(engine: ThreadEngine) -> ClusterExecutor:
    """What runs packages on it, and trusts what these tests make."""
    return ClusterExecutor(engine, policy=Policy.any())

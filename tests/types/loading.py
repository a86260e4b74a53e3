"""What a user writes to load a package and to run one, as type checkers see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, assert_type

from tg.common.delivery.cluster import DaskExecutor
from tg.common.delivery.delivery import EntryPoint, get_loader_from_installed_package, install_package_and_get_loader
from tg.common.delivery.execution import AttachedExecutor, DockerExecutor, Executor, ProcessExecutor, Run
from tg.common.delivery.isolation.entry_point import IsolatedEntryPoint


@dataclass
class Model:
    """A class of the local `tg`, which stands for that of the package."""

    factor: float

    def predict(self, values: list[float]) -> list[float]:
        return [self.factor * value for value in values]


class Runs(Protocol):
    """What a job does, whatever it is of."""

    def run(self) -> dict[str, int]: ...


entry_point = install_package_and_get_loader("example_job-0.0.0-py3-none-any.whl", silent=True)
assert_type(entry_point, EntryPoint)
assert_type(entry_point.version, str)
assert_type(entry_point.resources, list[str])
assert_type(entry_point.load_resource("job"), Any)
assert_type(entry_point.load_resource("model", Model), Model)
assert_type(entry_point.load_resource("model", Model).predict([1.0]), list[float])
assert_type(entry_point.load_resource("table", dict[str, int]), dict[str, int])
assert_type(entry_point.load_resource("job", Runs).run(), dict[str, int])
assert_type(entry_point.convert(Model(2.0)), Model)
assert_type(get_loader_from_installed_package("example_job"), EntryPoint)

with install_package_and_get_loader("example_job-0.0.0-py3-none-any.whl", isolated=True) as isolated:
    assert_type(isolated, IsolatedEntryPoint)
    assert_type(isolated.load_resource("model", Model), Model)
    assert_type(isolated.load_resource("job"), Any)
    isolated.cancel()


def in_any_way(isolated: bool) -> EntryPoint:
    return install_package_and_get_loader("example_job-0.0.0-py3-none-any.whl", isolated=isolated)


def run_somewhere(executor: Executor) -> dict[str, int]:
    run = executor.start("example_job-0.0.0-py3-none-any.whl")
    assert_type(run, Run)
    for line in run.logs():
        assert_type(line, str)
    assert_type(run.exit_code, int | None)
    assert_type(run.result(), Any)
    return run.result(dict[str, int])


places: list[Executor] = [AttachedExecutor(), ProcessExecutor(memory="4g"), DockerExecutor(host="ssh://server")]
for place in places:
    assert_type(run_somewhere(place), dict[str, int])
assert_type(ProcessExecutor().start("x.whl").result(Model), Model)
assert_type(DaskExecutor("tcp://scheduler:8786").start("x.whl").result(Model), Model)

"""Runs: how soon a change of the code runs on a server, a line that was printed is here, a process has begun."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from .images import SIZES, not_measured, stages_of
from .report import Row
from .samples import median_measure, ratio_measure, sample
from .services import Base, ServiceMissing, Services, own_base, ssh_on_path
from .trees import add_ticking_job, make_tree


def measure(rounds: int, *, quick: bool = False) -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        projects = {size: folder / f"project-{size}" for size in SIZES}
        for size, project in projects.items():
            make_tree(project, size)
            add_ticking_job(project)
        return [*_in_containers(folder, projects, rounds), *_in_a_process(folder, projects[SIZES[-1]], 3 * rounds)]


def _in_containers(folder: Path, projects: dict[int, Path], rounds: int) -> list[Row]:
    try:
        services = Services.start()
        environment = {"DOCKER_HOST": services.engine}
        with own_base(services, folder, environment) as base:
            project = projects[SIZES[-1]]
            local = _lines("the engine here", project, base, rounds, environment)
            try:
                with ssh_on_path(services.ssh_config) as (host, path):
                    environment |= path
                    return [
                        *(
                            row
                            for size, project in projects.items()
                            for row in _on_a_server(size, project, base, rounds, host, environment)
                        ),
                        local,
                        _lines("a server", project, base, rounds, environment, host),
                    ]
            except ServiceMissing as missing:
                return [local, not_measured("on a server", missing)]
    except ServiceMissing as missing:
        return [not_measured("in containers", missing)]


def _on_a_server(
    size: int, project: Path, base: Base, rounds: int, host: str, environment: dict[str, str]
) -> list[Row]:
    taken = _sample(project, base, environment, "changed", str(project), base.name, str(rounds), host)
    ours, bare = [one["ours"] for one in taken], [one["bare"] for one in taken]
    pairs = [(sum(one.values()), sum(other.values())) for one, other in zip(ours, bare, strict=True)]
    return [
        median_measure(
            f"{size} modules, one line changed: first log line on a server",
            "s",
            [one for one, _ in pairs],
            0.5,
            stages_of(ours),
        ),
        ratio_measure("the same, over a container that prints", "bare container", 2.5, pairs),
    ]


def _lines(where: str, project: Path, base: Base, rounds: int, environment: dict[str, str], *host: str) -> Row:
    taken = _sample(project, base, environment, "lines", base.name, str(rounds), *host)
    return median_measure(f"a line printed in a container of {where}, seen here", "ms later", taken, 20)


def _in_a_process(folder: Path, project: Path, rounds: int) -> list[Row]:
    taken = sample("-m", "benchmarks.sample_run", "process", str(rounds), path=[project], home=folder / "home")[
        "rounds"
    ]
    ours, bare = (1000 * median(side) for side in zip(*taken, strict=True))
    return [
        median_measure(
            "a process of its own, environment there: first log line",
            "ms more",
            [1000 * (one - other) for one, other in taken],
            150,
            f"{ours:.0f} ms over {bare:.0f} ms, which `python -c pass` takes",
        )
    ]


def _sample(project: Path, base: Base, environment: dict[str, str], *arguments: str) -> list[Any]:
    with tempfile.TemporaryDirectory(dir=base.home.parent) as name:
        home = base.copy_home(Path(name) / "home")
        script = "-m", "benchmarks.sample_run"
        return sample(*script, *arguments, path=[project], home=home, environment=environment)["rounds"]

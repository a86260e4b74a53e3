"""Killed at any moment, or many at once: what is listed is whole, and the next one succeeds."""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from projects import Project
from soaking import Soak

VICTIMS = Path(__file__).with_name("victims.py")


@pytest.fixture
def soaked(project: Project) -> Project:
    project.write(
        "tg/my/job.py",
        """
        class Job:
            def __init__(self, version):
                self.version = version
            def run(self):
                return self.version
        """,
    )
    return project


def run_victims(project: Project, *arguments: object) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, VICTIMS, *map(str, arguments)],
        cwd=project.elsewhere,
        env=project.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    read: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return read


def test_a_process_can_be_killed_at_any_moment(soaked: Project, soak: Soak) -> None:
    rounds = soak.times(24, 300)
    found = run_victims(soaked, "kill", rounds, soak.seed)
    assert sum(found["killed"].values()) == rounds
    soak.tell(f"{rounds} processes killed: {found['killed']}; each time all packages whole, the next install done")


def test_many_processes_can_be_at_it_at_once(soaked: Project, soak: Soak) -> None:
    rounds, processes = soak.times(1, 20), 32
    for number in range(rounds):
        found = run_victims(soaked, "crowd", processes, soak.seed + number)
        assert sum(found["did"].values()) == processes * 6
        subprocess.run(["rm", "-rf", soaked.home], check=True)
    soak.tell(f"{rounds} rounds of {processes} processes, the last: {found['did']}; one unpacking for each content")


def test_rounds_of_loading_and_unloading_do_not_grow_the_process(project: Project, unchecked: None, soak: Soak) -> None:
    """What Python counts of itself is looked at in `tests/test_versions.py`; this is all that the process has."""
    first, warm_up, part = project.deliver(), soak.times(10, 50), soak.times(10, 200)
    printed = project.run(f"""
        from pathlib import Path
        from tg.common.delivery.delivery import install_package_and_get_loader as install

        def resident():
            pages = Path('/proc/self/statm').read_text().split()[1]
            return int(pages)

        def rounds(count):
            for _ in range(count):
                entry_point = install({str(first)!r}, silent=True)
                assert entry_point.load_resource('job').run() == 'one'
                entry_point.unload()

        rounds({warm_up})
        sizes = [resident()]
        for _ in range(5):
            rounds({part})
            sizes.append(resident())
        print(*sizes)
    """)
    first_size, *sizes = map(int, printed.split())
    grown = [after - before for before, after in itertools.pairwise([first_size, *sizes])]
    # What is kept of each round grows all five parts; the allocator takes a step of some per cent in one of them.
    assert 5 * statistics.median(grown) < 0.05 * first_size
    soak.tell(f"{5 * part} rounds of loading and unloading: {first_size} pages before, {sizes[-1]} after")

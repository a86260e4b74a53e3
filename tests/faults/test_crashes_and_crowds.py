"""Killed at any moment, or many at once: what is listed is whole, and the next one succeeds."""

from __future__ import annotations

import json
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

"""The flights job of the examples, the same object with the same result: attached, in a process, a container, a server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from projects import REPOSITORY

FLIGHTS = REPOSITORY / "examples/flights"


@pytest.mark.usefixtures("image_cache")
def test_the_flights_job_gives_the_same_result_in_all_four_places(tmp_path: Path, ssh_host: str) -> None:
    places = ["attached", "process", "container", ssh_host]
    printed = {}
    for place in places:
        folder = tmp_path / place.replace("/", "_")
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, str(FLIGHTS / "routine.py"), place],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(FLIGHTS), str(REPOSITORY)])},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Job has exited successfully" in done.stdout
        printed[place] = done.stdout.splitlines()[-1]
    assert printed["attached"].startswith("336,776 flights")
    assert len(set(printed.values())) == 1, printed
    files = {
        place: {
            str(path.relative_to(tmp_path / place.replace("/", "_"))): path.read_bytes()
            for path in (tmp_path / place.replace("/", "_")).rglob("*")
            if path.is_file()
        }
        for place in places
    }
    assert set(files["attached"]) == {
        "flights-output/delays.png",
        "flights-output/rows/test.parquet",
        "flights-output/rows/train.parquet",
    }
    for place in places[1:]:
        assert files[place] == files["attached"], place

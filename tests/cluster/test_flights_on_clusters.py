"""The flights job of the examples, day by day on a cluster of three nodes, and a second version delivered while the first is half done."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cluster.ray_nodes import quick_start
from projects import REPOSITORY

FLIGHTS = REPOSITORY / "examples/flights"


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="clusters are started by Python 3.11 alone")
@pytest.mark.parametrize("where", ["dask", pytest.param("ray", marks=pytest.mark.xdist_group("ray"))])
def test_two_versions_make_features_by_day_as_one_process_does(where: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "cluster.py", where, "12"],
        cwd=FLIGHTS,
        env={**os.environ, "TG_HOME": str(tmp_path / "home"), "PYTHONPATH": quick_start(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.partition(":")[0].strip() for line in done.stdout.splitlines() if "as in one process" in line] == [
        "✓ flights_daily-1.0.0-py3-none-any.whl",
        "✓ flights_daily-1.1.0-py3-none-any.whl",
    ]

"""The flights example: a model is trained by a delivered job, served, and swapped for a better one under load."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from projects import REPOSITORY


def test_the_flights_model_is_swapped_for_a_better_one_while_it_is_asked(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "examples/flights/serve.py")],
        cwd=tmp_path,
        env={**os.environ, "NO_COLOR": "1", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "None has failed" in done.stdout
    assert "refused" in done.stdout
    assert list(tmp_path.iterdir()) == []

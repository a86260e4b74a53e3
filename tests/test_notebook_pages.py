"""The notebooks of docs/: each is run in a real kernel, and what it prints is what it shows.

Times, digests, sizes, the names of runs, and the folders of the machine may differ from what stands there.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from projects import REPOSITORY, Project
from services import REQUIRED, Services

NOTEBOOKS = sorted((REPOSITORY / "docs").glob("*.ipynb"))
VARYING = {
    r"(?:\d+ min )?\d+ s(?=</td>)": "SECONDS",
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}": "TIME",
    r"\b[\d,.]+ (bytes|[KMG]iB)": "SIZE",
    r"\b[0-9a-f]{64}\b": "SHA256",
    r"/packages/[0-9a-f]{16}/": "/packages/CONTENT/",
    r"(__\d+_\d+_\d+)-[0-9a-f]{8}\b": r"\1-RUN",
    r"ContainerRun (<b>)?[0-9a-f]{12}": r"ContainerRun \1RUN",
    r"\b\d+ files\b": "FILES",
    r"<style>.*?</style>": "",
}


def shown(outputs: list[Any]) -> list[str]:
    """What outputs show, HTML where there is some; what was printed is one, in however many messages it came."""
    parts: list[str] = []
    was_printed = False
    for output in outputs:
        data = output.get("data", {})
        text = output.get("text") or data.get("text/html") or data.get("text/plain") or str(output)
        is_printed = output.output_type == "stream"
        if is_printed and was_printed:
            parts[-1] += text
        else:
            parts.append(text)
        was_printed = is_printed
    for pattern, word in VARYING.items():
        parts = [re.sub(pattern, word, part, flags=re.DOTALL) for part in parts]
    return [part.strip() for part in parts]


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="a notebook shows what one Python prints: 3.11")
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_prints_what_it_shows(
    file: Path, project: Project, services: Services, request: pytest.FixtureRequest
) -> None:
    with_engine = isinstance(services.docker_engine, str) and isinstance(services.base_image, str)
    if with_engine or os.environ.get(REQUIRED):
        request.getfixturevalue("image_cache")
    stored = nbformat.read(file, as_version=4)
    command = [sys.executable, REPOSITORY / "scripts/notebook", "--into", project.elsewhere, file]
    subprocess.run(
        [*command, *["--without-engine"] * (not with_engine)],
        env=project.environment(with_project=False),
        check=True,
        timeout=300,
    )
    ran = nbformat.read(project.elsewhere / file.name, as_version=4)
    outputs = {cell.id: cell.outputs for cell in ran.cells if cell.cell_type == "code"}
    for cell in stored.cells:
        if cell.id in outputs:
            assert shown(outputs[cell.id]) == shown(cell.outputs), cell.source


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_has_all_its_outputs_and_nothing_of_the_machine_it_was_run_on(file: Path) -> None:
    text = file.read_text("utf-8")
    cells = [cell for cell in nbformat.reads(text, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]
    assert re.findall(r"/(?:tmp|root|home|work)/", text) == []
    assert [cell.source for cell in cells if any(one.output_type == "error" for one in cell.outputs)] == []

"""Packages that earlier releases made must load for good: one for each package format is kept in `packages/`."""

from __future__ import annotations

from pathlib import Path

import pytest
from projects import Project

PACKAGES = sorted(Path(__file__).with_name("packages").glob("*/*.whl"))


def test_there_is_one_for_the_present_format() -> None:
    assert [file.parent.name for file in PACKAGES] == ["format-1-made-by-3.10"]


@pytest.mark.parametrize("file", PACKAGES, ids=lambda file: file.parent.name)
def test_it_loads_runs_and_keeps_its_answer(project: Project, file: Path) -> None:
    printed = project.run(
        f"""
        from tg.common.delivery.delivery import install_package_and_get_loader
        from tg.common.delivery.trust import Policy
        entry_point = install_package_and_get_loader({str(file)!r}, silent=True, policy=Policy.any())
        print(entry_point.load_resource('job').run(), entry_point.resources)
        """,
        with_project=False,
    )
    assert printed.strip() == "('late', ['a', 'b'], 'RED', 2.5, 100000) ['job', 'numbers']"

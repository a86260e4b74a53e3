"""`tg init`: a project that works as it is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cli.conftest import Command, environment_of


def test_a_project_that_was_laid_out_passes_its_tests_and_its_routine_runs(shop: Path) -> None:
    environment = environment_of(shop.parent / "home")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    tested = subprocess.run(command, cwd=shop, env=environment, capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout
    assert "2 passed" in tested.stdout
    routine = subprocess.run(
        [sys.executable, "routine.py"], cwd=shop, env=environment, capture_output=True, text=True, check=False
    )
    assert routine.returncode == 0, routine.stderr
    assert routine.stdout.endswith("{'a': 4, 'rose': 2, 'is': 2}\n")


def test_a_project_is_packaged_and_run_at_once_from_any_of_its_folders(tg: Command, shop: Path) -> None:
    packaged = tg("package", "tg.mylibrary.job:job", "--version", "1.0.0", cwd=shop / "tests")
    file = shop / "tests/dist/count_words-1.0.0-py3-none-any.whl"
    assert packaged.stdout.startswith("count_words 1.0.0 is in dist/count_words-1.0.0-py3-none-any.whl (")
    assert packaged.stderr == ""
    ran = tg("run", file)
    assert ran.stdout.splitlines()[-1] == "{'a': 4, 'rose': 2, 'is': 2}"
    assert "INFO: Counting the words of 2 texts" in ran.stdout


@pytest.mark.usefixtures("_once")
def test_what_is_there_stays_as_it_is(bare: Command, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    (folder / "pyproject.toml").write_text("mine")
    told = json.loads(bare("init", "--library", "prices", "--json").stdout)
    assert told["kept"] == ["pyproject.toml"]
    assert (folder / "pyproject.toml").read_text() == "mine"
    assert "tg/prices/job.py" in told["written"]
    assert "from tg.prices.job import job" in (folder / "routine.py").read_text()
    assert not (folder / "tg/__init__.py").exists()
    again = bare("init", "--library", "prices")
    assert "was laid out before" in again.stdout


@pytest.mark.usefixtures("_once")
@pytest.mark.parametrize("name", ["common", "my-library", "class"])
def test_a_library_has_a_name_that_can_be_imported(bare: Command, tmp_path: Path, name: str) -> None:
    refused = bare("init", "--library", name, exit_code=1)
    assert f"{name!r} cannot be a package below tg/" in refused.stderr
    assert not (tmp_path / "empty/tg").exists()


@pytest.mark.usefixtures("_once")
def test_a_regular_package_named_tg_is_told_before_anything_is_written(bare: Command, tmp_path: Path) -> None:
    (tmp_path / "empty/tg").mkdir()
    (tmp_path / "empty/tg/__init__.py").touch()
    assert "makes tg a package of its own" in bare("init", exit_code=1).stderr
    assert list((tmp_path / "empty/tg").iterdir()) == [tmp_path / "empty/tg/__init__.py"]
    broken = json.loads(bare("doctor", "--json", exit_code=4).stdout)
    assert next(one["state"] for one in broken if one["what"] == "project") == "broken"

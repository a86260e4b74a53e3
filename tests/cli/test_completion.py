"""Completion: what a shell is told at a Tab."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cli.conftest import TG, environment_of

from tg.common.cli.verbs.completion import candidates


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["ro"], ["rollback"]),
        (["deploy", "file.whl", "--mo"], ["--mode"]),
        (["deploy", "file.whl", "--mode", "c"], ["canary"]),
        (["run", "job:job", "--in", "d"], ["docker", "dask://"]),
        (["keys", ""], ["new", "show"]),
        (["inspect", "some"], []),
        (["no", "such"], []),
    ],
)
def test_verbs_options_and_values_are_completed(words: list[str], found: list[str]) -> None:
    assert candidates(words) == found


def test_packages_that_are_installed_are_completed(tmp_path: Path) -> None:
    import os

    names = Path(os.environ["TG_HOME"]) / "store/names"
    names.mkdir(parents=True)
    (names / "prices").touch()
    assert candidates(["uninstall", "p"]) == ["prices"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_of_its_shell(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not here")
    script = tmp_path / "completion"
    script.write_text(subprocess.run([*TG, "completion", shell], capture_output=True, text=True, check=True).stdout)
    subprocess.run([shell, "-n", str(script)], check=True)


def test_bash_asks_and_completes(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not here")
    (tmp_path / "tg").write_text(f'#!/bin/sh\nexec {TG[0]} {TG[1]} "$@"\n')
    (tmp_path / "tg").chmod(0o755)
    code = 'eval "$(tg completion bash)"; COMP_WORDS=(tg deploy x --mode s); COMP_CWORD=4; _tg; printf "%s\\n" "${COMPREPLY[@]}"'
    environment = environment_of(tmp_path / "home")
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    done = subprocess.run([bash, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("shadow\n", "")

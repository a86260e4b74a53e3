"""Verbs of running."""

from __future__ import annotations

import json
import pickle
import signal
import subprocess
from pathlib import Path

import pytest
from cli.conftest import TG, Command, environment_of
from waiting import until


def test_a_run_shows_its_lines_and_then_its_result(tg: Command, tmp_path: Path) -> None:
    done = tg("run", "tg.mylibrary.job:job", "--result", tmp_path / "result", "--json")
    told = json.loads(done.stdout)
    assert (told["state"], told["exit_code"]) == ("succeeded", 0)
    assert told["result"] == {"a": 4, "rose": 2, "is": 2}
    assert "INFO: Counting the words of 2 texts" in done.stderr
    assert pickle.loads((tmp_path / "result").read_bytes()) == told["result"]


def test_what_runs_attached_writes_as_this_process_does(tg: Command) -> None:
    done = tg("run", "tg.mylibrary.job:job", "--in", "attached")
    assert done.stdout.count("INFO: Counting the words of 2 texts") == 1
    assert done.stdout.splitlines()[-1] == "{'a': 4, 'rose': 2, 'is': 2}"
    assert done.stderr == ""


def test_a_job_that_fails_is_told_with_its_place_and_3(tg: Command) -> None:
    failed = tg("run", "tg.mylibrary.odd:Failing", exit_code=3)
    assert "KeyError: 'no such price'" in failed.stdout
    first, place, *_ = failed.stderr.splitlines()
    assert first.startswith("tg: failing__0__h")
    assert first.endswith(" raised KeyError: 'no such price'")
    assert place == "  at tg/mylibrary/odd.py:9"
    assert "Traceback" not in failed.stderr
    assert "Traceback" in tg("run", "tg.mylibrary.odd:Failing", "--traceback", exit_code=3).stderr


def test_a_detached_run_is_found_by_its_id_and_cancelled(tg: Command, tmp_path: Path) -> None:
    home = {"TG_HOME": str(tmp_path / "home")}
    assert "there are no runs in process" in tg("runs", **home).stderr
    started = tg("run", "tg.mylibrary.odd:Patient", "--detach", **home)
    run = started.stdout.strip()
    assert f"tg logs {run}" in started.stderr
    (listed,) = json.loads(tg("runs", "--json", **home).stdout)
    assert (listed["id"], listed["state"]) == (run, "running")
    until(lambda: "INFO: Loading job" in (tmp_path / "home/runs" / run / "log").read_text("utf-8"))
    assert tg("cancel", run, **home).stdout == f"{run}: cancelled\n"
    assert tg("logs", **home).stdout == tg("logs", run, **home).stdout
    assert "INFO: Loading job" in tg("logs", **home).stdout
    assert "was cancelled" in tg("result", exit_code=3, **home).stderr
    assert tg("runs", **home).stdout.splitlines()[1].startswith("cancelled  ")
    assert tg("runs", "--prune", **home).stdout == "1 run is removed\n"
    assert f"process knows no run {run}. `tg runs` lists" in tg("logs", run, exit_code=1, **home).stderr


def test_an_interrupt_cancels_the_run(tg: Command, shop: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    running = subprocess.Popen(
        [*TG, "run", "tg.mylibrary.odd:Patient"],
        cwd=shop,
        env=environment_of(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    assert next(line for line in running.stdout if line == "waiting\n")
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=120)
    assert running.returncode == 3
    assert "was cancelled" in said
    assert [one["state"] for one in json.loads(tg("runs", "--json", TG_HOME=str(home)).stdout)] == ["cancelled"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--in", "me@server"],
            "there is no place 'me@server' to run. There are attached, process, docker, ssh://me@server",
        ),
        (["--in", "attached", "--memory", "1g"], "--in attached does not know --memory"),
        (["--in", "process", "--disk", "1g", "--no-network"], "--in process does not know --disk, --no-network"),
        (["--in", "attached", "--detach"], "Leave out --detach"),
    ],
)
def test_a_place_that_cannot_be_is_told_before_a_package_is_made(tg: Command, options: list[str], said: str) -> None:
    refused = tg("run", "tg.mylibrary.no_such_module:job", *options, exit_code=1)
    assert said in refused.stderr


def test_variables_inputs_and_limits_reach_the_job(tg: Command, shop: Path, tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text("1,2")
    (shop / "tg/mylibrary/given.py").write_text(
        "import os\nfrom pathlib import Path\n\n\nclass Given:\n    def run(self):\n"
        "        return os.environ['CURRENCY'], Path('in.csv').read_text()\n"
    )
    given = ["--propagate", "CURRENCY", "--input", f"in.csv={tmp_path / 'prices.csv'}", "--time-seconds", "600"]
    done = tg("run", "tg.mylibrary.given:Given", *given, CURRENCY="EUR")
    assert done.stdout.splitlines()[-1] == "('EUR', '1,2')"
    assert "'x' is no NAME=PATH" in tg("run", "tg.mylibrary.given:Given", "--input", "x", exit_code=2).stderr


def test_a_run_in_a_container_and_the_image_of_it(
    tg: Command, base_image: str, image_cache: Path, plain_registry: str, tmp_path: Path
) -> None:
    settings, home = ["--base-image", base_image], {"TG_HOME": str(tmp_path / "home")}
    done = tg("run", "tg.mylibrary.job:job", "--in", "docker", *settings, **home)
    assert done.stdout.splitlines()[-1] == "{'a': 4, 'rose': 2, 'is': 2}"
    made = json.loads(tg("image", "tg.mylibrary.job:job", "--to", plain_registry, "--json", *settings, **home).stdout)
    assert made["reference"].startswith(f"{plain_registry}/count_words:0_h")
    assert made["digest"].startswith("sha256:")
    named = tg("image", "tg.mylibrary.job:job", "--tag", "words:1", "--version", "1.0", *settings, **home)
    assert named.stdout.startswith("words:1 is sha256:")

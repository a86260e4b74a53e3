"""`tg doctor`: what is here, what is not, and what to do about it."""

from __future__ import annotations

import json
from pathlib import Path

from cli.conftest import Command


def findings(tg: Command, *options: str, exit_code: int = 0, **environment: str) -> dict[str, dict[str, str]]:
    done = tg("doctor", "--json", *options, exit_code=exit_code, **environment)
    return {one["what"]: one for one in json.loads(done.stdout)}


def test_a_machine_that_has_all_is_told_to(tg: Command, docker_engine: str) -> None:
    found = findings(tg, "--engine", docker_engine)
    assert {found[what]["state"] for what in ("delivery", "project", "files", "uv", "engine", "ssh", "trust")} == {
        "good"
    }
    shown = tg("doctor").stdout
    assert "✓ project " in shown
    assert "mylibrary" in shown


def test_what_is_not_here_is_told_with_what_to_do(bare: Command) -> None:
    found = findings(bare, PATH="/nowhere", DOCKER_HOST="unix:///nowhere/docker.sock")
    assert {what for what, one in found.items() if one["state"] == "missing"} >= {"project", "engine", "ssh", "key"}
    assert all(one["to_do"] for one in found.values() if one["state"] != "good")
    assert found["project"]["to_do"].startswith("tg init")


def test_a_place_for_files_that_has_no_room_is_broken(bare: Command) -> None:
    files = findings(bare, exit_code=4, TG_HOME="/proc/tg")["files"]
    assert files["state"] == "broken"
    assert "TG_HOME" in files["to_do"]


def test_what_one_finding_stumbles_over_does_not_hide_the_others(bare: Command, tmp_path: Path) -> None:
    (tmp_path / "ssh").write_bytes(b"\0 no program")
    (tmp_path / "ssh").chmod(0o755)
    (tmp_path / "config.json").write_text('{"currentContext": "gone"}')
    environment = {"PATH": str(tmp_path), "DOCKER_CONFIG": str(tmp_path), "DOCKER_HOST": "", "DOCKER_CONTEXT": ""}
    found = findings(bare, exit_code=4, TG_HOME="~nobody-of-this-name/tg", **environment)
    assert {what for what, one in found.items() if one["state"] == "broken"} == {"files", "ssh", "trust", "key"}
    assert found["engine"]["state"] == "missing"
    assert "docker context ls" in found["engine"]["to_do"]
    assert "[bill]" in found


def test_what_was_asked_for_and_does_not_answer_is_broken(bare: Command) -> None:
    asked = ["--engine", "tcp://127.0.0.1:9", "--registry", "127.0.0.1:9", "--server", "http://127.0.0.1:9"]
    found = findings(bare, *asked, exit_code=4)
    assert [found[what]["state"] for what in ("engine", "registry", "server")] == ["broken"] * 3


def test_a_registry_that_answers_is_good(bare: Command, plain_registry: str) -> None:
    assert findings(bare, "--registry", plain_registry)["registry"]["found"].startswith(f"{plain_registry} answers")

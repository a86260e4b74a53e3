"""What holds for all verbs: help, exit codes, errors, starting."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from cli.conftest import TG, Command, environment_of
from projects import REPOSITORY

from tg.common.cli import exit_codes
from tg.common.cli.command import parser_of, verbs
from tg.common.cli.complaint import Complaint
from tg.common.cli.exit_codes import FAULT, PIPE_CLOSED
from tg.common.delivery.runtime.errors import UndeliverableSource

DOCUMENT = (REPOSITORY / "docs/command-line.md").read_text("utf-8")


@pytest.mark.parametrize("verb", verbs())
def test_every_verb_is_documented_and_says_what_it_takes(verb: str) -> None:
    assert re.search(rf"`tg {verb}\b", DOCUMENT)
    parser = parser_of(verb)
    assert parser.format_help().startswith(f"usage: tg {verb} ")
    # What tells something tells it to programs too; a log, a token and a shell's script are plain text as they are.
    options = {option for action in parser._actions for option in action.option_strings}
    assert ("--json" in options) != (verb in {"cancel", "completion", "keys", "logs", "serve", "token", "uninstall"})


def test_every_exit_code_is_documented() -> None:
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", DOCUMENT, re.MULTILINE)}
    assert documented == {0, *(getattr(exit_codes, name) for name in exit_codes.__all__)}


def test_help_lists_the_verbs_and_the_version_is_told(bare: Command) -> None:
    shown = bare("--help").stdout
    assert [verb for verb in verbs() if f"\n  {verb} " not in shown] == []
    assert bare(exit_code=2).stdout == shown
    assert bare("help", "run").stdout == bare("run", "--help").stdout
    assert re.fullmatch(r"tg \d+\.\d+\.\d+\n", bare("--version").stdout)


def test_a_command_line_that_is_not_understood_is_2(bare: Command) -> None:
    assert (
        bare("instal", exit_code=2).stderr
        == "tg: there is no instal. Is it `tg install`? `tg --help` lists the verbs.\n"
    )
    assert "Options of a verb stand after it" in bare("--json", "list", exit_code=2).stderr
    missing = bare("package", exit_code=2).stderr
    assert missing == "tg: the following arguments are required: object. `tg package --help` shows what it takes.\n"


def test_an_error_is_one_screen_and_a_traceback_on_request(bare: Command, tmp_path: Path) -> None:
    (tmp_path / "no.whl").write_bytes(b"PK\x03\x04")
    refused = bare("inspect", tmp_path / "no.whl", exit_code=1)
    assert refused.stderr.startswith("tg: ")
    assert str(tmp_path / "no.whl") in refused.stderr
    assert "Traceback" not in refused.stderr
    full = bare("inspect", tmp_path / "no.whl", "--traceback", exit_code=1).stderr
    assert full.startswith("Traceback (most recent call last)")
    assert full.endswith(refused.stderr)
    assert bare("--traceback", "inspect", tmp_path / "no.whl", exit_code=1).stderr == full
    told = json.loads(bare("inspect", tmp_path / "no.whl", "--json", exit_code=1).stdout)["error"]
    assert (told["type"], told["exit_code"]) == ("PackageRejected", 1)


def test_more_than_a_screen_is_cut_in_its_middle() -> None:
    complaint = Complaint.of(UndeliverableSource("there is much", [f"problem {number}" for number in range(200)]))
    shown = complaint.text(full=False).splitlines()
    assert len(shown) < 60
    assert "there is much: 200 problems" in shown[0]
    assert shown[-1] == "- problem 199"
    assert [line for line in shown if line.endswith("lines more: --traceback shows them")]
    assert "- problem 100" in complaint.text(full=True)


def test_what_nobody_has_foreseen_is_told_as_a_fault_with_its_place() -> None:
    try:
        [][1]
    except IndexError as error:
        complaint = Complaint.of(error)
    assert complaint.exit_code == FAULT
    assert f"at {__file__}:" in complaint.text(full=False)


@pytest.mark.parametrize("arguments", [["keys", "new"], ["token", "--name", "me"], ["serve"], ["sign", "file.whl"]])
def test_a_home_that_nobody_knows_is_told_on_one_screen(bare: Command, arguments: list[str]) -> None:
    told = bare(*arguments, exit_code=FAULT, TG_HOME="~nobody-of-this-name/tg").stderr
    assert told.startswith("tg: RuntimeError: Could not determine home directory.")
    assert "Traceback" not in told


def test_colours_are_for_terminals_and_not_where_NO_COLOR_is(tmp_path: Path) -> None:
    assert "\x1b[" in on_a_terminal(tmp_path, "--help")
    assert "\x1b[" not in on_a_terminal(tmp_path, "--help", NO_COLOR="1")
    assert "\x1b[" not in on_a_terminal(tmp_path, "--help", TERM="dumb")


def test_a_reader_that_has_seen_enough_ends_it_quietly(tmp_path: Path) -> None:
    # More than a pipe holds, and nobody reads it.
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*TG, "--help"], env=environment_of(tmp_path), stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (PIPE_CLOSED, b"")


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["list"], ["completion", "--words", "run", "--"]])
def test_starting_imports_nothing_that_takes_long(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "home/store").mkdir(parents=True)
    code = (
        "import sys\nfrom tg.common.cli.command import main\n"
        f"code = main({arguments!r})\nprint(code, *sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [TG[0], "-c", code],
        env=environment_of(tmp_path / "home"),
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    code_and_modules = done.stderr.split()[-len(done.stderr.splitlines()[-1].split()) :]
    assert code_and_modules[0] == "0"
    slow = {
        "rich",
        "docker",
        "requests",
        "cryptography",
        "packaging",
        "numpy",
        "email",
        "asyncio",
        "importlib.metadata",
    }
    assert slow & set(code_and_modules) == set()


def on_a_terminal(folder: Path, *arguments: str, **environment: str) -> str:
    """What the command writes when standard output and error are a terminal."""
    import pty

    script = [*TG, *arguments]
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execve(script[0], script, environment_of(folder / "home", **{"TERM": "xterm", **environment}))
    written = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # Linux says so when the last of the other side is closed
            break
        if not piece:
            break
        written += piece
    os.close(terminal)
    os.waitpid(child, 0)
    return written.decode()

"""Bars: on a terminal what takes long is drawn, elsewhere it is told in lines."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from cli.conftest import environment_of

# Goes on until the test has seen it drawn, so it is not about time.
CODE = """
import sys, time
from pathlib import Path
from tg.common.cli.bars import Bars
from tg.common.progress import working

seen = Path(sys.argv[1])
with Bars():
    with working("sending prices.whl", 1024 * 1024 * 100) as work:
        work.advance(1024 * 1024 * 25)
        while not seen.exists():
            time.sleep(0.02)
    with working("over at once", 10) as work:
        work.advance(10)
print("and the result")
"""


def test_a_bar_has_bytes_and_the_time_that_is_left_and_is_gone_at_the_end(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    command = [sys.executable, "-c", CODE, str(seen)]
    child, terminal = pty.fork()
    if child == 0:
        environment = environment_of(tmp_path, TERM="xterm", COLUMNS="120")
        os.execve(command[0], command, environment)
    said = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # Linux says so when the last of the other side is closed
            break
        if not piece:
            break
        said += piece  # it may end within a character
        written = said.decode(errors="replace")
        if "25.0 MiB of 100.0 MiB" in written and " left" in written:
            seen.touch()
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert "sending prices.whl" in written
    assert "over at once" not in written
    assert written.endswith("and the result\r\n")
    cleared = written.rindex("\x1b[2K")
    assert "sending" not in written[cleared:]


def test_without_a_terminal_lines_say_the_same(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    running = subprocess.Popen(
        [sys.executable, "-c", CODE, str(seen)],
        env=environment_of(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stderr is not None
    first = running.stderr.readline()
    seen.touch()
    out, rest = running.communicate(timeout=120)
    assert first.startswith("sending prices.whl: 25.0 MiB of 100.0 MiB, about ")
    assert rest.startswith("sending prices.whl: done, 25.0 MiB in ")
    assert len(rest.splitlines()) == 1
    assert out == "and the result\n"


@pytest.mark.parametrize("quick", ["--help", "list"])
def test_what_is_quick_starts_no_thread_and_draws_nothing(tmp_path: Path, quick: str) -> None:
    code = (
        f"import threading; from tg.common.cli.command import main; main([{quick!r}]); print(threading.active_count())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment_of(tmp_path), capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("1\n")

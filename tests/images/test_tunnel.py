"""The tunnel to a real server: opened once, closed for sure, and what it says when it cannot be opened."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from projects import REPOSITORY
from services import SshServer
from waiting import until

from tg.common.delivery.images.engine import Engine, EngineAddress
from tg.common.delivery.images.tunnel import SshAddress, Tunnel
from tg.common.delivery.runtime.errors import EngineProblem, HostUnreachable


def processes_with(text: str) -> list[int]:
    """Processes on whose command line this is."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if text in line and int(folder.name) != os.getpid():
                found.append(int(folder.name))
    return found


def gone(text: str) -> bool:
    return until(lambda: not processes_with(text), seconds=20)


def test_one_connection_serves_any_number_of_requests_and_is_closed(ssh_host: str) -> None:
    with Engine(ssh_host) as engine:
        socket = engine.api.base_url, engine._tunnel.socket
        (process,) = [one for one in processes_with(f"-L {socket[1]}") if "ssh" in os.readlink(f"/proc/{one}/exe")]
        for _ in range(20):
            assert engine.inspect_image("python:3.11-slim") is not None
        assert processes_with(f"-L {socket[1]}") == [process]
        assert str(engine.platform()) == "linux/amd64"
    assert gone(socket[1])
    assert not Path(socket[1]).parent.exists()


def test_it_closes_when_the_process_is_killed(ssh_host: str, tmp_path: Path) -> None:
    script = textwrap.dedent(
        f"""
        import time
        from tg.common.delivery.images.engine import Engine
        engine = Engine({ssh_host!r})
        print(engine._tunnel.socket, flush=True)
        time.sleep(600)
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    ) as process:
        assert process.stdout is not None
        socket = process.stdout.readline().strip()
        assert processes_with(f"-L {socket}")
        process.send_signal(signal.SIGKILL)
    assert gone(f"-L {socket}")


def test_an_engine_that_nobody_closes_is_closed_at_the_end(ssh_host: str) -> None:
    script = f"from tg.common.delivery.images.engine import Engine; e = Engine({ssh_host!r}); print(e._tunnel.socket)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert gone(done.stdout.strip())
    assert not Path(done.stdout.strip()).parent.exists()


def test_a_host_that_does_not_answer_is_named_with_the_words_of_ssh(ssh_host: str) -> None:
    with pytest.raises(
        HostUnreachable, match=r"me@127\.0\.0\.1 cannot be connected to: .*Connection refused"
    ) as caught:
        Engine("ssh://me@127.0.0.1:1")
    assert "`ssh -p 1 me@127.0.0.1` shows it" in str(caught.value)
    assert "Connection refused" in caught.value.stderr


def test_a_changed_host_key_is_told(ssh_server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    key = (tmp_path / "other.pub").read_text().split()[:2]
    (tmp_path / "known_hosts").write_text(f"[{ssh_server.host}]:{ssh_server.port} {' '.join(key)}\n")
    _ssh_with(tmp_path, monkeypatch, f"-F {ssh_server.config} -o UserKnownHostsFile={tmp_path / 'known_hosts'}")
    with pytest.raises(HostUnreachable, match="IDENTIFICATION HAS CHANGED") as caught:
        Engine(f"ssh://{ssh_server.alias}")
    assert "ssh-keygen -R" in str(caught.value)


def test_a_key_that_is_not_let_in_is_told(
    ssh_server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ssh_server.config.read_text("utf-8")
    without_key = tmp_path / "config"
    without_key.write_text(re.sub(r"(?m)^\s*IdentityFile.*$", "", config), encoding="utf-8")
    _ssh_with(tmp_path, monkeypatch, f"-F {without_key} -o IdentityAgent=none -o IdentityFile=/dev/null")
    with pytest.raises(HostUnreachable, match="Permission denied"):
        Engine(f"ssh://{ssh_server.alias}")


def test_a_host_without_an_engine_is_told_from_one_that_is_not_there(ssh_host: str) -> None:
    with pytest.raises(HostUnreachable, match=r"is connected to, but its engine does not answer on /no/such\.sock"):
        Engine(f"{ssh_host}/no/such.sock")


def test_no_engine_here_is_told_with_what_to_do() -> None:
    with pytest.raises(EngineProblem, match=r"there is no /no/such\.sock: .*docker info"):
        Engine("unix:///no/such.sock")


def test_an_engine_that_has_stopped_is_told(tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as stopped:
        stopped.bind(str(tmp_path / "engine.sock"))
    with pytest.raises(EngineProblem, match=r"nobody answers on .*engine\.sock \(Connection refused\)"):
        Engine(f"unix://{tmp_path}/engine.sock")


def test_a_socket_that_one_may_not_use_is_told(tmp_path: Path) -> None:
    """Root may use every socket, so somebody else asks."""
    import socket

    folder = Path("/tmp") / f"tg-test-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(folder / "engine.sock"))
            listening.listen()
            (folder / "engine.sock").chmod(0o600)
            code = (
                "import os\n"
                "from tg.common.delivery.images.engine import Engine\n"
                "from docker import ContextAPI\nimport requests\n"
                "os.setuid(65534)\n"
                f"Engine('unix://{folder}/engine.sock')\n"
            )
            done = subprocess.run(
                [sys.executable, "-c", code],
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            )
        assert "you may not use" in done.stderr
        assert "usermod -aG docker" in done.stderr
    finally:
        shutil.rmtree(folder)


def test_the_engine_is_found_as_the_docker_cli_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    assert EngineAddress.find().url.endswith("/var/run/docker.sock")
    run = {"env": dict(os.environ), "check": True, "capture_output": True}
    subprocess.run(["docker", "context", "create", "there", "--docker", "host=unix:///there.sock"], **run)  # type: ignore[call-overload]
    subprocess.run(["docker", "context", "use", "there"], **run)  # type: ignore[call-overload]
    assert EngineAddress.find().url == "unix:///there.sock"
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert EngineAddress.find().url.endswith("/var/run/docker.sock")
    monkeypatch.setenv("DOCKER_HOST", "ssh://me@server")
    assert EngineAddress.find().url == "ssh://me@server"
    assert EngineAddress.find("unix:///other.sock").url == "unix:///other.sock"
    with pytest.raises(
        EngineProblem, match=r"server is no address of an engine\. For the one of a server: ssh://server"
    ):
        EngineAddress.find("server")


def test_a_setting_that_leads_to_no_engine_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    (tmp_path / "config.json").write_text('{"currentContext": "there"}')
    with pytest.raises(EngineProblem, match=r"there is no docker context 'there'\. `docker context ls` shows them"):
        EngineAddress.find()
    meta = tmp_path / "contexts/meta" / hashlib.sha256(b"there").hexdigest() / "meta.json"
    meta.parent.mkdir(parents=True)
    for content in ("{", "{}", "[]"):
        meta.write_text(content)
        with pytest.raises(EngineProblem, match=r"the docker context 'there' cannot be read.*`docker context ls`"):
            EngineAddress.find()
    monkeypatch.setenv("DOCKER_HOST", "tcp://server:2376")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    with pytest.raises(EngineProblem, match=r"DOCKER_HOST is tcp://server:2376.*DOCKER_CERT_PATH"):
        EngineAddress.find()


def test_noise_of_a_login_shell_is_no_greeting(ssh_host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some hosts print a line for every login, also for commands."""
    original = (tmp_path / "commands/ssh").read_text("utf-8")
    noisy = original.replace("exec ", "echo welcome to this host\nexec ")
    (tmp_path / "commands/ssh").write_text(noisy, encoding="utf-8")
    with Tunnel(SshAddress.parse(ssh_host)) as tunnel:
        assert tunnel.stands


def _ssh_with(folder: Path, monkeypatch: pytest.MonkeyPatch, options: str) -> None:
    commands = folder / "ssh commands"
    commands.mkdir(exist_ok=True)
    real = "/usr/bin/ssh"
    (commands / "ssh").write_text(f'#!/bin/sh\nexec {real} {options} "$@"\n', encoding="utf-8")
    (commands / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")

"""The tunnel: one ssh connection that forwards the engine's socket of a host to a socket here.

It is the user's own `ssh`, so `~/.ssh/config`, the agent, jump hosts and ports all count. It is opened once, for any number
of requests. On the host it runs `cat`: what comes back of our first line tells that the connection stands, and when this
process ends in whatever way, `cat` has nothing more to read, and the connection closes.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..runtime.errors import HostUnreachable, InvalidName

__all__ = ["SshAddress", "Tunnel", "ssh_arguments"]

_OPENING_SECONDS = 60
_CLOSING_SECONDS = 3
_GREETING = b"tg-tunnel-stands\n"


@dataclass(frozen=True)
class SshAddress:
    """`ssh://me@server:2222/run/podman/podman.sock`: user, port and socket may be left out."""

    host: str
    user: str | None = None
    port: int | None = None
    socket: str = "/var/run/docker.sock"

    @classmethod
    def parse(cls, url: str) -> SshAddress:
        """Raises `InvalidName`; a password in the address is refused, since `ps` would show it."""
        shown = re.sub("//.*@", "//", url)  # what stands before the @ can have a password in it
        parts = urlsplit(url)
        if parts.password is not None:
            raise InvalidName(
                f"the address {shown} has a password in it. Take it out; ssh asks for it, or uses a key.", given=shown
            )
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme != "ssh" or not parts.hostname or parts.hostname.startswith("-") or port == -1:
            raise InvalidName(f"{shown!r} is not the address of a host. Write ssh://user@host:port.", given=shown)
        # urlsplit makes names lower case; a Host of ~/.ssh/config is matched as it is written.
        written = parts.netloc.rpartition("@")[2]
        host = parts.hostname if written.startswith("[") else written.partition(":")[0]
        user = unquote(parts.username) if parts.username else None
        if user is not None and user.startswith("-"):
            raise InvalidName(f"{user!r} is not a user of a host.", given=shown)
        return cls(host, user, port, parts.path if len(parts.path) > 1 else cls.socket)

    @property
    def login(self) -> str:
        """`me@server`."""
        return f"{self.user}@{self.host}" if self.user else self.host

    @property
    def shown(self) -> str:
        """The command by which a person looks for what is wrong: `ssh -p 2222 me@server`."""
        return f"ssh {f'-p {self.port} ' if self.port else ''}{shlex.quote(self.login)}"


def ssh_arguments(address: SshAddress, local_socket: str, *, ask: bool) -> list[str]:
    """What ssh is called with. `ask`: there is a terminal, where it may ask for a password."""
    return [
        "ssh",
        "-T",
        *("-L", f"{local_socket}:{address.socket}"),
        *("-o", "ExitOnForwardFailure=yes"),
        *("-o", f"BatchMode={'no' if ask else 'yes'}"),
        *("-o", "ControlPath=none"),  # a connection of its own: a shared one would not close with us
        *("-o", "RemoteCommand=none"),
        *("-o", "RequestTTY=no"),
        *("-o", "ServerAliveInterval=15"),  # a dead connection is noticed within a minute
        *("-o", "ServerAliveCountMax=3"),
        *(("-p", str(address.port)) if address.port else ()),
        *("--", address.login, "cat"),
    ]


class Tunnel:
    """An open tunnel: a context manager. `socket` is the path of the socket here.

    Raises `HostUnreachable` with ssh's own words when the connection does not come about.
    """

    def __init__(self, address: SshAddress) -> None:
        self.address = address
        self._folder = Path(tempfile.mkdtemp(prefix="tg-ssh-"))  # 0700; a socket's path may have 107 bytes only
        self.socket = str(self._folder / "engine.sock")
        self._stderr = self._folder / "stderr"
        self._said = ""
        try:
            self._process = self._start()
            self._wait_until_it_stands()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Tunnel:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _start(self) -> subprocess.Popen[bytes]:
        command = ssh_arguments(self.address, self.socket, ask=sys.stdin is not None and sys.stdin.isatty())
        with self._stderr.open("wb") as stderr:
            try:
                return subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, bufsize=0
                )
            except FileNotFoundError as error:
                raise HostUnreachable(
                    f"{self.address.login} is reached by ssh, and there is no ssh here. Install OpenSSH's client.",
                    host=self.address.host,
                    stderr="",
                ) from error

    def _wait_until_it_stands(self) -> None:
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(_GREETING)
        heard = b""
        deadline = time.monotonic() + _OPENING_SECONDS
        while _GREETING not in heard:
            ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            said = os.read(process.stdout.fileno(), 4096) if ready else b""
            if not said:
                raise self.failed(
                    "cannot be connected to" if ready else f"has not let us in for {_OPENING_SECONDS} seconds"
                )
            heard = (heard + said)[-4096:]

    @property
    def stands(self) -> bool:
        """Whether the connection is there."""
        return self._process.poll() is None

    def failed(self, what: str, *, ask: str = "") -> HostUnreachable:
        """The error to raise, with what ssh has said so far; `ask` is the command that shows it on the host."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.2)  # its last words come before its end
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            self._said = self._stderr.read_text("utf-8", "replace").replace("\r", "").strip()
        said = self._said
        advice = f"`{self.address.shown}{' ' + ask if ask else ''}` shows it."
        if "IDENTIFICATION HAS CHANGED" in said:
            advice = (
                f"Its host key is another than before: ask its administrator whether that is meant, and only then "
                f"`ssh-keygen -R {shlex.quote(self.address.host)}`. {advice}"
            )
        return HostUnreachable(
            f"{self.address.login} {what}: {said or 'ssh has said nothing'}\n{advice}",
            host=self.address.host,
            stderr=said,
        )

    def close(self) -> None:
        """Close the connection. Can be called again."""
        process = getattr(self, "_process", None)
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    pipe.close()
            # Requests that are still open would keep ssh waiting for them, so it is told to end.
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(_CLOSING_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        with contextlib.suppress(OSError):  # for whoever asks afterwards why it broke
            self._said = self._stderr.read_text("utf-8", "replace").replace("\r", "").strip()
        shutil.rmtree(self._folder, ignore_errors=True)

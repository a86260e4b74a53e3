"""The settings of a server, checked once."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from ...locations import Loc
from .pool import Limits

__all__ = ["ServerSettings"]


@dataclass(frozen=True)
class ServerSettings:
    """What a server is told when it starts. Sizes are bytes, times seconds.

    `host` and `port` are for requests, `management_host` and `management_port` for deploys and the page; a port 0 is any free one.
    `workers` are those of each version; `in_process` loads versions into the server's own process instead. `preload` are modules
    that are imported before workers are forked. `keep` so many unloaded versions of a name stay known, and in the store.
    `policy` is a file that says whose packages are accepted; the machine's policy unless given. `tokens` is a file of tokens.
    """

    folder: Path = field(default_factory=lambda: Loc.server)
    host: str = "127.0.0.1"
    port: int = 8000
    management_host: str = "127.0.0.1"
    management_port: int = 8080
    workers: int = 1
    in_process: bool = False
    preload: tuple[str, ...] = ("numpy", "pandas")
    keep: int = 10
    policy: Path | None = None
    tokens: Path | None = None
    certificate: Path | None = None
    certificate_key: Path | None = None
    access_log: bool = False
    body_bytes: int = 64 * 1024 * 1024
    package_bytes: int = 2 * 1024 * 1024 * 1024
    head_seconds: float = 30.0
    body_seconds: float = 30.0
    request_seconds: float = 60.0
    waiting: int = 1000
    waiting_seconds: float = 10.0
    installing_seconds: float = 1800.0
    loading_seconds: float = 120.0
    stop_seconds: float = 30.0

    def __post_init__(self) -> None:
        """Raise `ValueError` for what cannot be."""
        for name in ("workers", "keep", "waiting", "body_bytes", "package_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is 1 at least.")
        for name in (
            "head_seconds",
            "body_seconds",
            "request_seconds",
            "waiting_seconds",
            "installing_seconds",
            "loading_seconds",
            "stop_seconds",
        ):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it is more than 0.")
        if bool(self.certificate) != bool(self.certificate_key):
            raise ValueError("TLS needs both, a certificate and its key.")
        for file in (self.policy, self.tokens, self.certificate, self.certificate_key):
            if file is not None and not os.access(file, os.R_OK):
                raise ValueError(f"{file} cannot be read.")

    @property
    def store_folder(self) -> Path:
        """Where its packages are installed."""
        return self.folder / "store"

    @property
    def uploads_folder(self) -> Path:
        """Where package files lie while they come in."""
        return self.folder / "uploads"

    @property
    def tokens_file(self) -> Path:
        """Its tokens."""
        return self.tokens or self.folder / "tokens.json"

    @property
    def limits(self) -> Limits:
        """Those of each version's workers."""
        return Limits(self.waiting, self.waiting_seconds, self.request_seconds)

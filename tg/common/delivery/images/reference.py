"""Names of images as docker writes them: `python:3.11-slim`, `registry:5000/team/job:1.0@sha256:…`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..runtime.errors import InvalidName

__all__ = ["Reference"]

_REFERENCE = re.compile(
    r"(?:(?P<registry>localhost(?::\d+)?|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::\d+)?|[A-Za-z0-9-]+:\d+|\[[0-9a-fA-F:]+\](?::\d+)?)/)?"
    r"(?P<repository>[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)
_HUB = "docker.io"


@dataclass(frozen=True)
class Reference:
    """A parsed name. Without a registry it is Docker Hub's, and a name of one part is in `library/` there."""

    registry: str
    repository: str
    tag: str | None
    digest: str | None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Raises `InvalidName`. Without tag and digest, the tag is `latest`."""
        match = _REFERENCE.fullmatch(text)
        if match is None:
            raise InvalidName(
                f"{text!r} is not the name of an image. It is written as [registry/]repository[:tag][@sha256:…], the "
                f"repository in lower case.",
                given=text,
            )
        registry, repository = match["registry"] or _HUB, match["repository"]
        if registry == _HUB and "/" not in repository:
            repository = f"library/{repository}"
        tag = match["tag"] or (None if match["digest"] else "latest")
        return cls(registry, repository, tag, match["digest"])

    @property
    def familiar(self) -> str:
        """As docker shows it: `python:3.11-slim`."""
        name = (
            self.repository.removeprefix("library/") if self.registry == _HUB else f"{self.registry}/{self.repository}"
        )
        return name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    @property
    def name(self) -> str:
        """Registry and repository, in full."""
        return f"{self.registry}/{self.repository}"

    def __str__(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

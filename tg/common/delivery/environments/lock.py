"""A lock: requirements resolved once to exact versions with hashes, for one Python and one platform."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from ...locations import Loc
from ..runtime.distributions import normalised
from ..runtime.errors import DependencyProblem
from ..runtime.whole_files import make_private_folder, write_whole
from .platform import Platform
from .uv import run_uv

__all__ = ["Lock", "Pin"]

_FROM_SOURCE = "--no-binary"
_PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:==(?P<version>[^\s;\\]+)| @ )")


@dataclass(frozen=True)
class Pin:
    """One distribution of a lock: its normalised name, its version, and its lines in the lock, hashes and all.

    `version` is empty where the distribution is not from an index, but from the URL in `requirement`.
    """

    name: str
    version: str
    text: str = field(repr=False)

    @property
    def requirement(self) -> str:
        """What asks for this and nothing else: `numpy==1.26.4`, or `mine @ https://…/mine-1.0-py3-none-any.whl`."""
        return self.text.partition("\n")[0].rstrip("\\ ")


@dataclass(frozen=True)
class Lock:
    """What environments and the dependency layers of images are made of.

    `from_source` names what is built, not taken as a wheel; `requirements` are what was resolved.
    """

    python: str
    platform: Platform
    pins: tuple[Pin, ...]
    from_source: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        requirements: Sequence[str],
        python: str,
        platform: Platform,
        *,
        from_source: Sequence[str] = (),
        within: Lock | None = None,
        renew: bool = False,
    ) -> Lock:
        """Resolve requirements, or take what they were resolved to the last time, unless `renew` is set.

        What is in `within`, if anything, has the version that it has there.

        Raises `DependencyProblem` with the resolver's own reason.
        """
        built = tuple(sorted({normalised(name) for name in from_source}))
        wanted = tuple(sorted(set(requirements)))
        if not wanted:
            return cls(python, platform, (), built)
        asked = "\n".join([python, platform.uv_name, *built, "", *wanted, *([within.digest] if within else [])])
        file = Loc.locks / f"{hashlib.sha256(asked.encode()).hexdigest()}.txt"
        if renew or not file.exists():
            form = ["--generate-hashes", "--no-header", "--no-annotate"]
            # It runs with this Python whatever it resolves for, and looks for no other: that can take seconds.
            target = ["--python", sys.executable, "--python-version", python, "--python-platform", platform.uv_name]
            options = [*form, *target, *_binary_options(built)]
            text = _resolved(options, wanted, f"for Python {python} on {platform}", within)
            make_private_folder(file.parent)
            write_whole(file, lambda opened: opened.write(text.encode()))
        return cls(python, platform, tuple(_pins(file.read_text("utf-8"))), built, wanted)

    @classmethod
    def of_text(cls, text: str, python: str, platform: Platform, requirements: Sequence[str]) -> Lock:
        """Read back what `text` gave."""
        built = tuple(match[1] for match in re.finditer(rf"^{_FROM_SOURCE} (\S+)$", text, re.MULTILINE))
        return cls(python, platform, tuple(_pins(text)), built, tuple(sorted(set(requirements))))

    @classmethod
    def among(
        cls, texts: Mapping[str, str], python: str, platform: Platform, requirements: Sequence[str]
    ) -> Lock | None:
        """The one for a target among the files of locks, by their names; they are all of these requirements."""
        text = texts.get(cls.file_name_for(python, platform))
        return None if text is None else cls.of_text(text, python, platform, requirements)

    @staticmethod
    def file_name_for(python: str, platform: Platform) -> str:
        """What the file with the text of a lock is called in a package: `3.11-x86_64-manylinux_2_28.txt`."""
        return f"{python}-{platform.uv_name}.txt"

    @property
    def file_name(self) -> str:
        """The name of the file that has the text of this lock, unique for its target."""
        return self.file_name_for(self.python, self.platform)

    @property
    def text(self) -> str:
        """As a requirements file, with hashes. It names no index: who installs by it uses the one of the machine."""
        return "".join([*(f"{_FROM_SOURCE} {name}\n" for name in self.from_source), *(pin.text for pin in self.pins)])

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal digits, of all that decides what is installed."""
        head = f"{self.python}\n{self.platform.uv_name}\n"
        return hashlib.sha256((head + self.text).encode()).hexdigest()

    @property
    def wheels(self) -> tuple[Pin, ...]:
        """The pins that are installed from wheels."""
        return tuple(pin for pin in self.pins if pin.name not in self.from_source)

    @property
    def sources(self) -> tuple[Pin, ...]:
        """The pins that are built."""
        return tuple(pin for pin in self.pins if pin.name in self.from_source)


def _resolved(options: Sequence[str], requirements: Sequence[str], where: str, within: Lock | None) -> str:
    try:
        with TemporaryDirectory() as folder:
            constraints = Path(folder, "within.txt")
            pins = within.pins if within is not None else ()
            constraints.write_text("".join(f"{pin.requirement}\n" for pin in pins), "utf-8")
            return run_uv(
                ["pip", "compile", "--quiet", *options, "--constraint", str(constraints), "-"],
                input="\n".join(requirements),
                purpose=f"resolving {', '.join(requirements)} {where}",
            )
    except DependencyProblem as error:
        if "no usable wheels" not in str(error) and "building from source is disabled" not in str(error):
            raise
        advice = "What has no wheel is built in a base image, by an engine, when from_source names it."
        raise DependencyProblem(f"{error}\n\n{advice}", problems=error.problems) from error


def _binary_options(from_source: Sequence[str]) -> list[str]:
    options = ["--only-binary", ":all:"]
    for name in from_source:
        options += [_FROM_SOURCE, name]
    return options


def _pins(text: str) -> list[Pin]:
    """The entries of a requirements file: a line that begins with a name, and all below it up to the next."""
    pins: list[Pin] = []
    for line in text.splitlines(keepends=True):
        match = _PIN.match(line)
        if match:
            pins.append(Pin(normalised(match["name"]), match["version"] or "", line))
        elif pins and line.strip():
            pins[-1] = Pin(pins[-1].name, pins[-1].version, pins[-1].text + line)
    return pins

"""What a package needs, against what is installed: missing requirements are installed, conflicts are an error.

A running process must not have its packages exchanged under it: what is installed stays, and what is missing is added
to it. A requirement that another version is installed for is a conflict, and is for the user to solve.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import TYPE_CHECKING

from ...logger import Logger
from ...progress import working
from ..environments.uv import find_uv
from ..runtime.distributions import normalised
from ..runtime.errors import CommandFailed, DependencyProblem
from .facts import PackageFacts

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from ..environments.lock import Lock

__all__ = ["check_requirements", "install_missing", "unmet", "unmet_requirements"]


def check_requirements(texts: Sequence[str]) -> list[Requirement]:
    """Parse requirements (PEP 508). Raises `DependencyProblem` with every one that is none, a marker under the place."""
    try:
        from packaging.requirements import InvalidRequirement, Requirement
    except ImportError as error:
        raise DependencyProblem(
            f"whether {', '.join(texts)} can be met is told with the distribution 'packaging', which is not installed here. "
            f"Install it (pip install packaging).",
            problems=["packaging"],
        ) from error
    parsed, problems = [], []
    for text in texts:
        try:
            parsed.append(Requirement(text))
        except InvalidRequirement as error:
            problems.append(f"{text!r} is not a requirement: {error}")
    if problems:
        raise DependencyProblem(
            "\n".join([*problems, "Write it as for pip, for example 'pandas>=2'."]), problems=problems
        )
    return parsed


def unmet_requirements(facts: PackageFacts) -> tuple[list[str], list[str]]:
    """The requirements of a package that are not installed here, and what is installed that conflicts with others of them."""
    return unmet(facts.requirements(), facts.module_name)


def unmet(texts: Sequence[str], needed_by: str) -> tuple[list[str], list[str]]:
    """The same for requirements (PEP 508) alone."""
    missing: list[str] = []
    conflicts: list[str] = []
    for requirement in check_requirements(texts):
        _look_for(requirement, needed_by, missing, conflicts, frozenset())
    return missing, conflicts


def install_missing(facts: PackageFacts, lock: Lock | None, *, install: bool, silent: bool) -> None:
    """See to it that all requirements of a package are met in this environment.

    What is missing gets the version that the `lock` says; what is installed stays as it is.

    Raises `DependencyProblem` when installed versions conflict, or when something is missing and `install` is not
    set; `CommandFailed` when installing does not work.
    """
    missing, conflicts = unmet_requirements(facts)
    if conflicts:
        raise DependencyProblem(
            "; ".join(conflicts)
            + ". Deliver with a requirement that fits, or load it with isolated=True, in an environment of its own.",
            problems=conflicts,
        )
    if not missing:
        return
    if not install:
        raise DependencyProblem(
            f"{facts.module_name} needs {', '.join(missing)}, which is not installed. Install it, or leave "
            f"install_dependencies=True.",
            problems=missing,
        )
    if not silent:
        Logger.info(f"Installing {', '.join(missing)}")
    _install(missing, facts, lock)
    importlib.invalidate_caches()


def _look_for(
    requirement: Requirement, needed_by: str, missing: list[str], conflicts: list[str], extras: frozenset[str]
) -> None:
    """Add a requirement to what is missing or conflicts; `extras` are those under which it stands where it was found."""
    if requirement.marker is not None and not any(
        requirement.marker.evaluate({"extra": extra}) for extra in extras or {""}
    ):
        return
    installed = _installed_version(requirement.name)
    if installed is None:
        requirement.marker = None  # it holds here, and an installer would not know of the extra in it
        missing.append(str(requirement))
    elif not requirement.specifier.contains(installed, prereleases=True):
        conflicts.append(f"{needed_by} needs {requirement}, and {requirement.name} {installed} is installed")
    elif requirement.extras:
        # The distribution is there, but what `name[extra]` adds to it may not be.
        for further in check_requirements(metadata.requires(requirement.name) or []):
            if further.marker is not None and "extra" in str(further.marker):
                _look_for(further, str(requirement), missing, conflicts, frozenset(requirement.extras))


def _installed_version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _install(missing: Sequence[str], facts: PackageFacts, lock: Lock | None) -> None:
    """Add requirements to this environment, all that is installed being held at its version."""
    import tempfile
    from pathlib import Path

    there = {one.metadata["Name"]: one.version for one in metadata.distributions() if one.metadata["Name"]}
    held = {normalised(name): f"{name}=={version}" for name, version in there.items()}
    for pin in lock.pins if lock else ():
        held.setdefault(pin.name, pin.requirement)
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "installed.txt")
        constraints.write_text("".join(f"{one}\n" for _, one in sorted(held.items())), encoding="utf-8")
        uv = find_uv()
        if uv is not None:
            command = [uv, "pip", "install", "--python", sys.executable]
        else:
            command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
        command += ["--quiet", "--constraint", str(constraints), *missing]
        with working(f"installing {', '.join(missing)}"):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    said = (done.stderr or done.stdout).strip()
    if "onflict" in said or ("nsatisfiable" in said and "not found in the package registry" not in said):
        raise DependencyProblem(
            f"{facts.module_name} needs {', '.join(missing)}, which does not go together with what is installed:\n{said}\n"
            f"Load it with isolated=True, in an environment of its own.",
            problems=list(missing),
        )
    raise CommandFailed(
        f"installing {', '.join(missing)} for {facts.module_name} failed with status {done.returncode}:\n{said}\n"
        "Install it by hand and load the package again, or load it with isolated=True, in an environment of its own.",
        command=command,
        return_code=done.returncode,
        stdout=done.stdout,
        stderr=done.stderr,
    )

"""Where things lie in an image, and who runs them.

`PREFIX` is Python's user base there (PYTHONUSERBASE): its site-packages are found by whatever Python the base image has,
wherever that lies, `.pth` files in it count, and a base's own packages stay as they are.
"""

from __future__ import annotations

__all__ = [
    "BOUNDED_RESULT",
    "HOME",
    "PREFIX",
    "RESULT",
    "TEMPORARY",
    "USER",
    "path_in_container",
    "python_command",
    "site_packages",
]

PREFIX = "opt/tg"
HOME = "home/job"
"""The working folder. Anybody may write in it, as in /tmp: a run can be given another user, whose files it mounts."""
RESULT = f"{HOME}/.tg/result.pickle"
TEMPORARY = f"{HOME}/.tg/tmp"
BOUNDED_RESULT = "opt/tg/run/result.pickle"
"""The result of a run whose working folder is bounded, and so in memory and gone at its end: a file that is there already, in
a folder where the job can make no other."""
USER = 1000


def path_in_container(name: str) -> str:
    """Where an input or an output of a run lies: at its name, if that is a path from the root, and else in the working folder."""
    return name if name.startswith("/") else f"/{HOME}/{name}"


def site_packages(python: str) -> str:
    """The folder of modules for a Python, `3.11`; the same as on the machine where uv installs with `--prefix`."""
    return f"{PREFIX}/lib/python{python}/site-packages"


def python_command(python: str) -> str:
    """The interpreter, by a name that no other version has: packages and bytecode are for this one."""
    return f"python{python}"

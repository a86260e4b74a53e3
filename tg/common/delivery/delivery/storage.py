"""Storage: what a disk can refuse, said in a way that helps."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..runtime.errors import StorageProblem

__all__ = ["storing"]

_ADVICE = {
    errno.ENOSPC: "there is no room left on the disk (`df -h` and `df -i` show it). prune() makes some",
    errno.EDQUOT: "the quota of this user is used up (`quota` shows it). prune() makes some room",
    errno.EROFS: "the file system is read-only. TG_HOME names another place",
    errno.EACCES: "this user may not write there. TG_HOME names another place",
    errno.EPERM: "this user may not write there. TG_HOME names another place",
    errno.EXDEV: "it is on two file systems, and what is renamed from one to the other does not appear at once. TG_HOME names "
    "another place",
    errno.EIO: "the disk fails (`dmesg` shows it)",
    errno.EMFILE: "too many files are open in this process (`ulimit -n`)",
    errno.ENFILE: "too many files are open on this machine",
    errno.EEXIST: "a part of the path is a file. TG_HOME names another place",
    errno.ENOTDIR: "a part of the path is a file. TG_HOME names another place",
    errno.ENAMETOOLONG: "the path is too long for the file system. TG_HOME names a shorter one",
}


@contextmanager
def storing(what: str, folder: Path) -> Iterator[None]:
    """Turn what the system says of a disk meanwhile into `StorageProblem`: `what` happened, in `folder`, and what to do.

    Whoever writes cleans up; when this is raised nothing half written is there.
    """
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0)
        if advice is None:
            raise
        where = f" ({error.filename})" if error.filename else ""
        raise StorageProblem(f"{what} in {folder}{where}: {advice}.", path=folder) from error

"""Files that appear whole: whoever looks sees the old one or the new one, and never half of one.

What is unfinished is locked (flock) by whoever writes it, and a lock ends with its process. So what a killed process has
left is told from what another one writes at this moment, and swept.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there, and nothing swept
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "make_private_folder",
    "one_at_a_time",
    "set_aside_for_sweep",
    "sweep_unfinished",
    "unfinished_folder",
    "write_whole",
]

Written = TypeVar("Written")

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_FILE = ".unfinished-"
_FOLDER = "tmp-"
_LOCK = ".lock"
_NO_LOCK_YET_SECONDS = 60.0


def make_private_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, for nobody but this user, whatever the umask is."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        try:
            os.mkdir(folder, 0o700)
            os.chmod(folder, 0o700)  # a umask can take away what the owner needs
        except FileExistsError:
            if not folder.is_dir():
                raise


def write_whole(path: Path, write: Callable[[BinaryIO], Written], *, unfinished_in: Path | None = None) -> Written:
    """Let `write` fill a file under a temporary name beside `path`, rename it, and return what `write` returned.

    `unfinished_in` is another folder of the same file system for the temporary name: one that is swept.
    It is nobody else's to read, whatever the umask is: packages, results and logs can hold what nobody else should see.
    Whatever is raised meanwhile, an interrupt too, leaves no temporary file: its name is known before there is one.
    """
    folder = path.parent if unfinished_in is None else unfinished_in
    # No Path: that of Python 3.12 interns each name that it has seen, which is kept for ever.
    temporary = os.path.join(folder, f"{_FILE}{os.urandom(8).hex()}")
    try:
        with open(temporary, "wb", opener=lambda path, _: os.open(path, _FLAGS, 0o600)) as file:
            os.fchmod(file.fileno(), 0o600)
            _lock(file.fileno())
            written = write(file)
            file.flush()
            if fcntl is not None:
                os.replace(temporary, path)  # as long as it is locked
        if fcntl is None:
            os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    return written


@contextmanager
def unfinished_folder(parent: Path) -> Iterator[Path]:
    """A folder in `parent`, for what is renamed out of it when it is complete. At the end it goes, with all that is in it."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_FOLDER, dir=parent))
        try:
            os.chmod(folder, 0o700)
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:  # it was swept before it had a lock: this process was held up for long
            continue
        break
    try:
        _lock(lock)
        os.write(lock, b"\n")  # from now on it has been locked: see `_is_left`
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


@contextmanager
def one_at_a_time(parent: Path, name: str) -> Iterator[None]:
    """Wait until no other process is in here with this name, and keep them out; for as long as this process lives, at most.

    The one that leaves removes the lock's file while it has the lock. So whoever gets the lock of a file that is no longer
    the one of that name has waited for one that is gone, and takes the next.
    """
    if fcntl is None:
        yield
        return
    file = parent / f"{_FILE}{name}"
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(descriptor), os.stat(file)):
                break
        except FileNotFoundError:
            pass
        except OSError:  # a file system without locks: then each does it for itself
            break
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    try:
        yield
    finally:
        with suppress(OSError):
            os.unlink(file)
        os.close(descriptor)


def set_aside_for_sweep(folder: Path, parent: Path) -> Path | None:
    """Rename a folder within `parent`'s file system to one that the next sweep of `parent` removes, unless the caller does before.

    Returns where it is now, `None` where it is not there.
    """
    away = parent / f"{_FOLDER}{os.urandom(8).hex()}"
    try:
        os.rename(folder, away)
        os.utime(away)  # the caller has a while for it
    except FileNotFoundError:
        return None
    return away


def sweep_unfinished(parent: Path) -> None:
    """Remove what processes that are no more have left unfinished in a folder."""
    if fcntl is None:
        return
    with suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if entry.name.startswith(_FILE):
                _remove_if_left(entry.path, entry.path, os.unlink)
            elif entry.name.startswith(_FOLDER):
                _remove_if_left(
                    entry.path, os.path.join(entry.path, _LOCK), lambda path: shutil.rmtree(path, ignore_errors=True)
                )


def _lock(descriptor: int) -> None:
    if fcntl is not None:
        with suppress(OSError):  # a file system without locks: what is there is never taken for left behind
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # nobody else has it for longer than a look


def _remove_if_left(path: str, lock: str, remove: Callable[[str], object]) -> None:
    """Remove what nobody writes any more.

    1. Whoever makes it, makes the lock's file, locks that, and then writes into it (a file is its own lock).
    2. So one that has bytes and is not locked belongs to nobody.
    3. One without bytes is about to be locked by whoever made it, unless that is a while ago.
    4. It is removed as long as it is locked: whoever waits for it finds then that it is none any more, and makes another.
    """
    try:
        descriptor = os.open(lock, os.O_RDONLY)
    except FileNotFoundError:
        with suppress(FileNotFoundError):
            if time.time() - os.stat(path).st_mtime > _NO_LOCK_YET_SECONDS:
                remove(path)
        return
    except OSError:  # nothing of ours
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found = os.fstat(descriptor)
        if found.st_size > 0 or time.time() - found.st_ctime > _NO_LOCK_YET_SECONDS:
            remove(path)
    except OSError:  # somebody has it, or has removed it
        return
    finally:
        os.close(descriptor)

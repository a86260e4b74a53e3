"""What processes that are no more have left unfinished."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from tg.common.delivery.runtime import whole_files
from tg.common.delivery.runtime.whole_files import sweep_unfinished


def test_what_is_left_goes_and_what_somebody_has_stays(tmp_path: Path) -> None:
    prefix = whole_files._FILE
    (tmp_path / f"{prefix}left").write_bytes(b"half")
    with (tmp_path / f"{prefix}written").open("wb") as opened:
        opened.write(b"half")
        opened.flush()
        fcntl.flock(opened, fcntl.LOCK_EX)
        (tmp_path / f"{whole_files._FOLDER}a-file").touch()  # nothing of ours, and no end of the sweep
        (tmp_path / f"{prefix}z-left").write_bytes(b"half")
        sweep_unfinished(tmp_path)
        assert sorted(os.listdir(tmp_path)) == sorted([f"{prefix}written", f"{whole_files._FOLDER}a-file"])


def test_it_is_removed_while_it_is_locked(tmp_path: Path) -> None:
    """Else whoever waits for it could have it between the look and the removal, and another process the next of that name."""
    left = tmp_path / f"{whole_files._FILE}left"
    left.write_bytes(b"half")
    locked = []

    def remove(path: str) -> None:
        with open(path, "rb") as opened:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                locked.append(path)

    whole_files._remove_if_left(str(left), str(left), remove)
    assert locked == [str(left)]

"""Errors of delivery cross to other processes with their fields, as pools of processes send them."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from tg.common.delivery.runtime.errors import (
    CommandFailed,
    DeliveryError,
    InvalidName,
    MissingVariables,
    PackageNotFound,
    PackageRejected,
    UndeliverablePayload,
    WorkerEnded,
)


@pytest.mark.parametrize(
    "error",
    [
        DeliveryError("refused"),
        InvalidName("no name", given=7, nearest="seven"),
        UndeliverablePayload("payload", ["one", "two"]),
        PackageRejected("cut", path=Path("file.whl"), member="RECORD"),
        CommandFailed("failed", command=["uv"], return_code=2, stdout="", stderr="no"),
        MissingVariables(["TOKEN"]),
        WorkerEnded("it ended", exit_code=-9, stderr="last words"),
        PackageNotFound("nothing of that name"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_read_as_it_was_written(error: DeliveryError) -> None:
    error.mark = "added later"  # type: ignore[attr-defined]
    read = pickle.loads(pickle.dumps(error))
    assert type(read) is type(error)
    assert (read.args, str(read), vars(read)) == (error.args, str(error), vars(error))

"""The settings of a server: what cannot be is refused, and the command has all of them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from tg.common.cli.command import main, parser_of
from tg.common.delivery.serving.settings import ServerSettings


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"workers": 0}, "workers is 0; it is 1 at least."),
        ({"waiting": -1}, "waiting is -1; it is 1 at least."),
        ({"request_seconds": 0}, "request_seconds is 0; it is more than 0."),
        ({"certificate": Path(__file__)}, "TLS needs both, a certificate and its key."),
        ({"policy": Path("nowhere.json")}, "nowhere.json cannot be read."),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason.replace(".", r"\.")):
        ServerSettings(**given)


def test_nobody_else_is_listened_to_unless_that_is_told() -> None:
    assert (ServerSettings().host, ServerSettings().management_host) == ("127.0.0.1", "127.0.0.1")


def test_every_setting_is_an_option_of_the_command() -> None:
    options = {action.dest for action in parser_of("serve")._actions} - {"help", "traceback"}
    assert {field.name for field in fields(ServerSettings)} == (options - {"store"}) | {"folder"}


def test_the_command_tells_a_setting_that_cannot_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--waiting", "0"]) == 1
    assert capsys.readouterr().err == "tg: waiting is 0; it is 1 at least.\n"

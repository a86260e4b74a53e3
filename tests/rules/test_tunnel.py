"""The tunnel's address, and what ssh is called with."""

from __future__ import annotations

import pytest

from tg.common.delivery.images.tunnel import SshAddress, ssh_arguments
from tg.common.delivery.runtime.errors import InvalidName


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("ssh://server", SshAddress("server")),
        ("ssh://me@server:2222", SshAddress("server", "me", 2222)),
        ("ssh://MyHost/run/podman/podman.sock", SshAddress("MyHost", socket="/run/podman/podman.sock")),
        ("ssh://me@[::1]:22", SshAddress("::1", "me", 22)),
        ("ssh://corp%5Cme@server/", SshAddress("server", "corp\\me")),
    ],
)
def test_addresses_are_read(url: str, address: SshAddress) -> None:
    assert SshAddress.parse(url) == address


@pytest.mark.parametrize(
    "url", ["server", "ssh://", "http://server", "ssh://server:x", "ssh://-oProxyCommand=x", "ssh://-x@y"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidName):
        SshAddress.parse(url)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ssh://me:swordfish@server", "ssh://server has a password"),
        ("ssh://me:swordfish@server:x", "ssh://server:x has a password"),
        ("ssh://me:swordfish@-x", "has a password"),
        ("ssh://me:sword/swordfish@server", "'ssh://server' is not the address"),
    ],
)
def test_a_password_in_the_address_is_refused_and_not_repeated(url: str, said: str) -> None:
    with pytest.raises(InvalidName, match=said) as caught:
        SshAddress.parse(url)
    assert "swordfish" not in f"{caught.value} {caught.value.given}"


def test_ssh_is_called_as_the_user_would_and_asks_only_at_a_terminal() -> None:
    arguments = ssh_arguments(SshAddress("server", "me", 2222), "/tmp/x/engine.sock", ask=False)
    assert arguments[:4] == ["ssh", "-T", "-L", "/tmp/x/engine.sock:/var/run/docker.sock"]
    assert arguments[-5:] == ["-p", "2222", "--", "me@server", "cat"]
    assert "BatchMode=yes" in arguments
    assert "BatchMode=no" in ssh_arguments(SshAddress("server"), "/tmp/s", ask=True)


def test_the_command_a_person_looks_with_is_named() -> None:
    assert SshAddress("server", "me", 2222).shown == "ssh -p 2222 me@server"

"""Secrets: used, never shown."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from dataclasses import asdict, dataclass

import pytest

from tg.common.delivery.images.secret import Secret

TEXT = "correct horse"


@dataclass(frozen=True)
class Holder:
    user: str
    password: Secret


@pytest.mark.parametrize(
    "shown",
    [
        str(Secret(TEXT)),
        repr(Secret(TEXT)),
        f"{Secret(TEXT)}",
        f"{Secret(TEXT)!r:>30}",
        "%s" % Secret(TEXT),  # noqa: UP031
        "{:>30}".format(Secret(TEXT)),  # noqa: UP032
        repr([Secret(TEXT)]),
        repr(Holder("me", Secret(TEXT))),
        str(asdict(Holder("me", Secret(TEXT)))),
        str(ValueError(Secret(TEXT))),
    ],
)
def test_it_is_not_shown(shown: str) -> None:
    assert TEXT not in shown
    assert "[REDACTED]" in shown


def test_it_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("test").warning("password %s", Secret(TEXT))
    assert caplog.messages == ["password [REDACTED]"]


def test_it_is_revealed_when_asked() -> None:
    assert Secret(TEXT).reveal() == TEXT


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_cannot_be_pickled_and_says_why(protocol: int) -> None:
    with pytest.raises(TypeError, match="a Secret is not pickled: whoever got the file would have it") as caught:
        pickle.dumps(Holder("me", Secret(TEXT)), protocol)
    assert TEXT not in "".join(traceback.format_exception(caught.value))


def test_it_has_no_other_way_out() -> None:
    with pytest.raises(TypeError):
        vars(Secret(TEXT))
    with pytest.raises(TypeError):
        json.dumps(Secret(TEXT))


def test_equal_texts_are_equal_secrets() -> None:
    assert Secret(TEXT) == Secret(TEXT)
    assert hash(Secret(TEXT)) == hash(Secret(TEXT))
    assert Secret(TEXT) != Secret("other")
    assert Secret("\udc80é") == Secret("\udc80é")


def test_a_text_is_no_secret() -> None:
    assert Secret(TEXT) != TEXT


def test_a_copy_is_as_good() -> None:
    assert copy.deepcopy(Holder("me", Secret(TEXT))) == Holder("me", Secret(TEXT))
    assert copy.copy(Secret(TEXT)) == Secret(TEXT)

"""Where delivery keeps its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tg.common.locations import Loc


@pytest.mark.parametrize(
    ("data", "home"), [("/data", "/data/tg"), ("data", "/me/.local/share/tg"), ("", "/me/.local/share/tg")]
)
def test_without_tg_home_it_is_the_data_folder_of_the_user(
    monkeypatch: pytest.MonkeyPatch, data: str, home: str
) -> None:
    monkeypatch.delenv("TG_HOME")
    monkeypatch.setenv("HOME", "/me")
    monkeypatch.setenv("XDG_DATA_HOME", data)
    assert Loc.home == Path(home)  # a relative one is ignored, as the XDG specification says

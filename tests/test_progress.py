"""Progress: what takes long tells whoever listens how many bytes are done."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from projects import Project

from tg.common.progress import Work, listening, working


class Heard:
    """All that was told: by what it is, what was done, of how much, and whether it ended."""

    def __init__(self) -> None:
        self.works: dict[str, Work] = {}

    def __call__(self, work: Work) -> None:
        self.works[work.what] = work


def test_nobody_listens_unless_asked() -> None:
    heard = Heard()
    with working("before", 1):
        pass
    with listening(heard), working("meanwhile", 3) as work:
        work.advance(1)
        work.advance(2)
    with working("after", 1):
        pass
    assert list(heard.works) == ["meanwhile"]
    assert (work.done_bytes, work.ended) == (3, True)


def test_a_work_that_fails_has_ended() -> None:
    heard = Heard()
    with pytest.raises(ZeroDivisionError), listening(heard), working("failing", 3):
        _ = 1 / 0
    assert heard.works["failing"].ended


def test_other_threads_have_their_own_listeners() -> None:
    heard = Heard()
    with listening(heard):
        thread = threading.Thread(target=lambda: working("elsewhere").__enter__())
        thread.start()
        thread.join()
    assert heard.works == {}


def test_making_and_installing_tell_all_their_bytes(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    from tg.common.delivery.delivery import Packaging, install_package_and_get_loader

    monkeypatch.syspath_prepend(str(project.folder))
    payload = {"job": len, "rows": np.zeros(1_000_000)}
    packaging = Packaging("progressing", "1", payload)
    packaging.silent, packaging.checked = True, False
    heard = Heard()
    with listening(heard):
        packaging.make_package(tmp_path)
        assert packaging.package_location is not None
        install_package_and_get_loader(packaging.package_location, silent=True)
    size = packaging.package_location.stat().st_size
    told = {what.split(" ")[0]: work for what, work in heard.works.items()}
    assert told["hashing"].done_bytes == told["hashing"].total_bytes == 8_000_000
    assert told["writing"].done_bytes >= told["writing"].total_bytes == told["installing"].total_bytes  # type: ignore[operator]
    assert told["installing"].done_bytes == told["installing"].total_bytes
    assert 8_000_000 < told["installing"].done_bytes < size
    assert all(work.ended for work in heard.works.values())

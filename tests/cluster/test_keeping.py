"""What clusters keep: package files that several drivers bring at once."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tg.common.delivery.cluster import dask_node
from tg.common.delivery.cluster.ray_keeper import Keeper


def test_two_drivers_bring_the_same_file_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[str, Path] = {}
    monkeypatch.setattr(dask_node, "_kept", kept)
    monkeypatch.setattr(dask_node, "_coming", {})
    monkeypatch.setattr(dask_node, "_folder", lambda: tmp_path)
    pieces = [(0, b"aa"), (2, b"bb"), (4, b"cc")]
    said = [dask_node.keep("seal", *pieces[0], 6), dask_node.keep("seal", *pieces[1], 6)]
    said.append(dask_node.keep("seal", *pieces[0], 6))  # the other driver begins
    said.append(dask_node.keep("seal", *pieces[2], 6))
    said.append(dask_node.keep("seal", *pieces[1], 6))
    assert said == [False, False, False, True, True]
    assert kept["seal"].read_bytes() == b"aabbcc"
    assert dask_node.keep("other", *pieces[1], 6) == "the scheduler was started anew meanwhile"


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="Ray is there for Python 3.11")
def test_a_worker_that_waits_for_one_drivers_file_gets_it_when_another_has_pledged_it_too() -> None:
    async def both() -> list[object]:
        keeper = Keeper()
        await keeper.pledge("seal", 100 << 20, "one")
        waiting = asyncio.ensure_future(keeper.held("seal"))
        await asyncio.sleep(0)
        await keeper.pledge("seal", 100 << 20, "other")
        await keeper.hold("seal", ["the bytes"], 100 << 20, "one")
        return await asyncio.wait_for(waiting, 60)

    assert asyncio.run(both()) == ["the bytes"]

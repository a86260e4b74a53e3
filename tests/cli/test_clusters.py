"""`--in dask://` and `--in ray://`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.conftest import Command
from cluster.dask_nodes import DaskNodes
from projects import REPOSITORY


@pytest.fixture
def nodes(tmp_path: Path, _once: None) -> Iterator[DaskNodes]:
    pytest.importorskip("distributed")
    started = DaskNodes(tmp_path / "nodes")
    try:
        started.add("one")
        yield started
    finally:
        started.close()


def test_a_job_runs_on_a_dask_cluster_and_is_found_there_again(tg: Command, nodes: DaskNodes) -> None:
    place = ["--in", nodes.address.replace("tcp://", "dask://")]
    started = tg("run", "tg.mylibrary.job:job", "--detach", *place)
    run = started.stdout.strip()
    assert f"tg logs {run} --in dask://" in started.stderr
    assert run in [one["id"] for one in json.loads(tg("runs", "--json", *place).stdout)]
    assert json.loads(tg("result", run, "--json", *place).stdout)["result"] == {"a": 4, "rose": 2, "is": 2}
    refused = tg("run", "tg.mylibrary.job:job", *place, "--memory", "1g", exit_code=1)
    assert "does not know --memory" in refused.stderr


@pytest.mark.parametrize(("module", "place"), [("distributed", "dask://127.0.0.1:9"), ("ray", "ray://127.0.0.1:9")])
def test_a_cluster_without_its_extra_says_what_to_install(tg: Command, tmp_path: Path, module: str, place: str) -> None:
    (tmp_path / f"{module}.py").write_text(f"raise ModuleNotFoundError('No module named {module}', name={module!r})\n")
    path = os.pathsep.join([str(tmp_path), str(REPOSITORY)])
    refused = tg("run", "tg.mylibrary.job:job", "--in", place, exit_code=1, PYTHONPATH=path)
    extra = place.partition(":")[0]
    assert f"pip install 'training-grounds-delivery[{extra}]'" in refused.stderr

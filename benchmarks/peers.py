"""Other systems on the same tree and the same array, in an environment of their own: `make bench-peers` sets it up."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from .samples import REPOSITORY, Measure, sample
from .trees import make_tree

PYTHON = REPOSITORY / ".venv-peers/bin/python"
PEERS = {"torch_package": "torch.package", "mlflow": "MLflow, code_paths", "cloudpickle": "cloudpickle, by value"}
TAKES = {
    "torch_package": "the twelve modules that the job imports",
    "mlflow": "all of the tree",
    "cloudpickle": "only what the job refers to, by value",
}


def measure(rounds: int) -> list[Measure]:
    if not PYTHON.exists():
        raise SystemExit("The other systems are not installed. `make bench-peers` does that, and measures.")
    found = []
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "project")
        make_tree(project, 250)
        ours = [_ours(project) for _ in range(rounds)]
        found += [
            Measure("delivery: 250 modules, make", _median(ours, "make"), "s", None, "all of the tree, first time"),
            Measure("delivery: 250 modules, install + load + run", _median(ours, "load"), "s"),
            Measure(
                "delivery: 256 MiB array, load", _median([_our_array() for _ in range(min(rounds, 3))], "load"), "s"
            ),
        ]
        for peer, name in PEERS.items():
            found += _peer(peer, name, project, rounds)
    return found


def _ours(project: Path) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as home:
        taken = sample("-m", "benchmarks.sample_delivery", "0.0.0", path=[project], home=Path(home), python=str(PYTHON))
        return {"make": taken["make"], "load": taken["install"] + taken["load"]}


def _our_load(arrays: list[dict[str, float]]) -> Measure:
    detail = f"{_median(arrays, 'resident_mib_after_load'):.0f} MiB resident after it"
    return Measure("delivery: 256 MiB array, load", _median(arrays, "load"), "s", None, detail)


def _our_array() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as home:
        return sample("-m", "benchmarks.sample_array", "delivery", home, home=Path(home), python=str(PYTHON))


def _peer(peer: str, name: str, project: Path, rounds: int) -> list[Measure]:
    found = []
    for what, words in (("tree", "250 modules"), ("array", "256 MiB array")):
        builds, loads = [], []
        for _ in range(rounds if what == "tree" else min(rounds, 3)):
            with tempfile.TemporaryDirectory() as folder:
                arguments = ("-m", "benchmarks.sample_peer", peer, what)
                try:
                    builds.append(sample(*arguments, "build", folder, path=[project], python=str(PYTHON)))
                    loads.append(sample(*arguments, "load", folder, python=str(PYTHON)))
                except RuntimeError as error:
                    last = str(error).strip().splitlines()[-1]
                    return [*found, Measure(f"{name}: {words}", float("nan"), "s", None, f"failed: {last}")]
        resident = f"{statistics.median(one['resident'] for one in loads):.0f} MiB resident after it"
        found += [
            Measure(
                f"{name}: {words}, build", _median(builds, "seconds"), "s", None, TAKES[peer] if what == "tree" else ""
            ),
            Measure(
                f"{name}: {words}, load{' + run' if what == 'tree' else ''}",
                _median(loads, "seconds"),
                "s",
                None,
                resident,
            ),
        ]
    return found


def _median(samples: list[dict[str, float]], key: str) -> float:
    return statistics.median(one[key] for one in samples)

"""Other systems on the same tree and the same array, in an environment of their own, and delivery beside them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .samples import REPOSITORY, Measure, Observation, SampleFailed, median_measure, sample
from .trees import make_tree

ENVIRONMENT = REPOSITORY / ".venv-peers"
PYTHON = ENVIRONMENT / "bin/python"
REQUIREMENTS = REPOSITORY / "requirements/peers.txt"
SYSTEMS = {
    "delivery": "delivery",
    "torch_package": "torch.package",
    "mlflow": "MLflow, code_paths",
    "cloudpickle": "cloudpickle, by value",
}
TAKES = {
    "delivery": "all of the tree, tg/common too; first time",
    "torch_package": "the modules that the job needs",
    "mlflow": "all of the tree",
    "cloudpickle": "what the job refers to, by value",
}


def setup() -> None:
    """Install each of the other systems, as far as it can be; what cannot be is named, with the reason pip gives."""
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
    lines = [line.strip() for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines()]
    for requirement in (line for line in lines if line and not line.startswith("#")):
        pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        reason = (done.stderr.strip().splitlines() or [f"pip ended with {done.returncode}"])[-1]
        print(f"{requirement}: installed" if done.returncode == 0 else f"{requirement}: not installed: {reason}")


def measure(rounds: int, *, quick: bool = False) -> list[Measure | Observation]:
    needs_environment()
    found: list[Measure | Observation] = []
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "project")
        make_tree(project, 250)
        for system, name in SYSTEMS.items():
            try:
                found += _system(system, name, project, rounds)
            except SampleFailed as error:
                found.append(Observation({"measure": name, "figure": "none", "how": error.reason}))
    return found


def needs_environment() -> None:
    if not PYTHON.exists():
        raise SystemExit("The other systems are not installed. `python -m benchmarks peers --setup` does that.")


def _system(system: str, name: str, project: Path, rounds: int) -> list[Measure]:
    trees = [_sample(system, "tree", project) for _ in range(rounds + 1)][1:]
    arrays = [_sample(system, "array", project) for _ in range(min(rounds, 3) + 1)][1:]
    resident = max(load["resident"] for _, load in arrays)
    ours = system == "delivery"
    load_detail = "install, which copies and verifies it, and load; load alone is under arrays" if ours else ""
    return [
        median_measure(f"{name}: its import", "s", [load["import"] for _, load in trees]),
        median_measure(f"{name}: 250 modules, build", "s", _seconds(trees, 0), None, TAKES[system]),
        median_measure(f"{name}: 250 modules, load + run", "s", _seconds(trees, 1)),
        median_measure(f"{name}: 256 MiB array, build", "s", _seconds(arrays, 0)),
        median_measure(f"{name}: 256 MiB array, load", "s", _seconds(arrays, 1), None, load_detail),
        Measure(f"{name}: 256 MiB array, resident after load", resident, "MiB", detail="until touched" if ours else ""),
    ]


def _sample(system: str, what: str, project: Path) -> tuple[Any, Any]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "home")
        arguments = ("-m", "benchmarks.sample_peer", system, what)
        path = [project] if what == "tree" else []
        build = sample(*arguments, "build", folder, path=path, home=home, python=str(PYTHON))
        load = sample(*arguments, "load", folder, home=home, python=str(PYTHON))
    assert build["result"] == load["result"]
    return build, load


def _seconds(samples: list[tuple[Any, Any]], step: int) -> list[float]:
    return [pair[step]["seconds"] for pair in samples]

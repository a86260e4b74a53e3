"""Images: how soon the engine, or a container, has a change of the code; and the first image with dependencies."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from .report import Row
from .sample_image import PIP_INSTALL
from .samples import Observation, SampleFailed, in_turns, median_measure, ratio_measure, sample
from .services import Base, DockerFailed, ServiceMissing, Services, docker, own_base
from .trees import make_tree

SIZES = (25, 250)
"""Modules of the projects: each file of a layer takes an engine its time, so these are two different stories."""

SCIENCE = ("numpy", "pandas", "scikit-learn")
IMPORT = """\
import time
started = time.perf_counter()
import numpy, pandas, sklearn
print(time.perf_counter() - started, numpy.__version__, pandas.__version__, sklearn.__version__)
"""
PIP = """\
FROM {base}
{certificates}RUN {pip} {science}
"""
PASSED_ON = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "PIP_INDEX_URL")
"""Variables of this machine that pip in a container needs as well, where they are set."""


def measure(rounds: int, *, quick: bool = False) -> list[Row]:
    try:
        services = Services.start()
        environment = {"DOCKER_HOST": services.engine}
        with tempfile.TemporaryDirectory() as name, own_base(services, Path(name), environment) as base:
            part = _Part(services, base, Path(name), environment)
            return [
                *(row for size in SIZES for row in part.after_a_change(size, rounds)),
                *_or_reason(
                    "through a registry",
                    lambda: [row for size in SIZES for row in part.through_a_registry(size, rounds)],
                ),
                *_or_reason("first image", lambda: part.first_image(1 if quick else min(rounds, 3), rounds)),
            ]
    except ServiceMissing as missing:
        return [not_measured("images", missing)]


def _or_reason(what: str, measured: Callable[[], list[Row]]) -> list[Row]:
    """The rows; or, where a service or the network is missing, one that says so."""
    try:
        return measured()
    except (ServiceMissing, SampleFailed, DockerFailed) as error:
        return [not_measured(what, error)]


def not_measured(what: str, error: Exception) -> Observation:
    reason = error.reason if isinstance(error, SampleFailed) else str(error)
    return Observation({"measure": what, "figure": "not measured", "reach": "", "": "", "spread": "", "how": reason})


class _Part:
    def __init__(self, services: Services, base: Base, folder: Path, environment: dict[str, str]) -> None:
        self.services = services
        self.base = base
        self.folder = folder
        self.environment = environment
        self.projects = {size: folder / f"project-{size}" for size in SIZES}
        for size, project in self.projects.items():
            make_tree(project, size)

    def after_a_change(self, size: int, rounds: int) -> list[Row]:
        project = self.projects[size]
        taken = self._sample(project, "changed", str(project), self.base.name, str(rounds))["rounds"]
        return [
            median_measure(
                f"{size} modules, one line changed: image composed",
                "ms",
                [1000 * one["compose alone"] for one in taken],
                30,
                f"after making the package, in {_ms(taken, 'make')}",
            ),
            ratio_measure(
                f"{size} modules, one line changed: the engine has it",
                "bare load",
                1.5,
                [(one["compose"] + one["load"], one["bare"]) for one in taken],
                detail=f"; {stages_of(taken, 'compose', 'load')}",
            ),
        ]

    def through_a_registry(self, size: int, rounds: int) -> list[Row]:
        project = self.projects[size]
        arguments = "pushed", str(project), self.base.name, str(rounds), self.services.registry
        taken = self._sample(project, *arguments)["rounds"]
        pairs = [(sum(one["ours"].values()), sum(one["peer"].values())) for one in taken]
        ours, peer = ([one[side] for one in taken] for side in ("ours", "peer"))
        return [
            median_measure(
                f"{size} modules, one line changed: pushed, pulled, first log line",
                "s",
                [one for one, _ in pairs],
                0.4,
                stages_of(ours),
            ),
            ratio_measure("the same, over the way of a Dockerfile", "docker build", 0.333, pairs),
            median_measure("the way of a Dockerfile", "s", [one for _, one in pairs], None, stages_of(peer)),
        ]

    def first_image(self, rounds: int, imports: int) -> list[Row]:
        """Both start from the base image; ours once with nothing in uv's cache, and once with what that has left there."""
        peer = f"tg-bench-pip:{self.base.name.rpartition(':')[2]}"
        cold, cached, composed, stages = [], [], [], []
        try:
            for number in range(rounds):
                self._remove(peer)
                (empty, full), built = in_turns(number, self._delivered_twice, lambda: self._built(peer))
                cold.append((sum(empty["stages"].values()), built))
                cached.append((sum(full["stages"].values()), built))
                composed.append((full["stages"]["compose"], built))
                stages.append(full["stages"])
                reference = full["reference"]
            ratios = self._imports(reference, peer, imports)
        finally:
            self._remove(peer, "tg-bench:1.0.0")
        science = ", ".join(SCIENCE)
        return [
            ratio_measure(
                f"first image with {science}: wheels cached",
                "docker build",
                0.2,
                cached,
                detail=f"; {stages_of(stages)}",
            ),
            ratio_measure("the same, until it is composed: a registry could have it", "docker build", None, composed),
            ratio_measure(f"first image with {science}: nothing cached", "docker build", 0.5, cold),
            ratio_measure("importing them in its container", "pip's", 1.1, ratios),
        ]

    def _delivered_twice(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """With nothing in uv's cache, and with all that is needed; our own layers are made both times."""
        with tempfile.TemporaryDirectory(dir=self.folder) as wheels:
            return self._delivered(wheels), self._delivered(wheels)

    def _delivered(self, wheels: str) -> dict[str, Any]:
        self._remove("tg-bench:1.0.0")
        return self._sample(self.projects[SIZES[0]], "first", self.base.name, *SCIENCE, UV_CACHE_DIR=wheels)

    def _built(self, reference: str) -> float:
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            context, certificates = Path(name), ""
            if os.environ.get("SSL_CERT_FILE"):
                shutil.copy(os.environ["SSL_CERT_FILE"], context / "certificates.pem")
                certificates = "COPY certificates.pem /tmp/\nENV PIP_CERT=/tmp/certificates.pem\n"
            for variable in filter(os.environ.get, PASSED_ON):
                certificates += f"ARG {variable}\n"
            text = PIP.format(
                base=self.base.name, certificates=certificates, pip=PIP_INSTALL, science=" ".join(SCIENCE)
            )
            (context / "Dockerfile").write_text(text)
            arguments = [option for one in filter(os.environ.get, PASSED_ON) for option in ("--build-arg", one)]
            arguments += ["--quiet", "--no-cache", "--network", "host", "--tag", reference, str(context)]
            started = perf_counter()
            docker("build", *arguments, environment=self.environment)
            return perf_counter() - started

    def _imports(self, ours: str, peer: str, rounds: int) -> list[tuple[float, float]]:
        """The seconds of the import, as the containers tell them; the first of each is to warm up."""
        pairs = []
        for number in range(rounds + 1):
            taken = in_turns(number, lambda: self._import(ours), lambda: self._import(peer))
            assert taken[0][1:] == taken[1][1:], f"different versions: {taken}"
            pairs.append((float(taken[0][0]), float(taken[1][0])))
        return pairs[1:]

    def _import(self, image: str) -> list[str]:
        run = ["run", "--rm", "--network", "none", "--entrypoint", "python3", image, "-c", IMPORT]
        return docker(*run, environment=self.environment).split()

    def _remove(self, *images: str) -> None:
        for image in images:
            if docker("images", "--quiet", image, environment=self.environment):
                docker("rmi", "--force", image, environment=self.environment)

    def _sample(self, project: Path, *arguments: str, **environment: str) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            home = self.base.copy_home(Path(name) / "home")
            return sample(
                "-m",
                "benchmarks.sample_image",
                *arguments,
                path=[project],
                home=home,
                environment={**self.environment, **environment},
            )


def stages_of(taken: list[dict[str, float]], *named: str) -> str:
    """Stage by stage, medians: those named, or all."""
    return ", ".join(f"{stage} {_ms(taken, stage)}" for stage in named or taken[0])


def _ms(taken: list[dict[str, float]], stage: str) -> str:
    return f"{1000 * median(one[stage] for one in taken):.0f} ms"

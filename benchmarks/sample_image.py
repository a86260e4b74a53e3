"""Samples of images, each with the project on the path and TG_HOME its own:

python -m benchmarks.sample_image base BASE                             remember a base image that the engine has
python -m benchmarks.sample_image changed PROJECT BASE ROUNDS           composed and loaded, after one line changed
python -m benchmarks.sample_image pushed PROJECT BASE ROUNDS REGISTRY   pushed, pulled and run, after one line changed
python -m benchmarks.sample_image first BASE REQUIREMENT...             the first image with these requirements

They print the seconds of each stage. Where a line is changed, one process does all rounds, as a notebook would.
"""

from __future__ import annotations

import importlib
import io
import json
import shutil
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

from tg.common.delivery.delivery import Containering, DependencyList, Packaging
from tg.common.delivery.images.base_image import BaseImage
from tg.common.delivery.images.engine import Engine
from tg.common.delivery.images.engine_pusher import EnginePusher
from tg.common.delivery.images.image import Image
from tg.common.delivery.images.pushing import RegistryPusher

from .containers import first_line, remove
from .samples import in_turns
from .services import docker
from .trees import change_one_line

NAME = "tg-bench"
PIP_INSTALL = "python3 -m pip install --no-cache-dir --disable-pip-version-check --break-system-packages"
DEPENDENCIES_CACHED = """\
FROM {base}
COPY requirements.txt /tmp/
RUN {pip} -r /tmp/requirements.txt
"""
THEN_THE_PACKAGE = """\
COPY *.whl /tmp/
RUN {pip} --no-deps /tmp/*.whl
"""


class Changes:
    """A package that is made again after each change of a line, and an image of it composed."""

    def __init__(self, project: str, base: str) -> None:
        self.job = importlib.import_module("tg.bench.job").Job()
        self.project = Path(project)
        self.base = base
        self.number = 0

    def package(self) -> Packaging:
        """Change a line, and make the package."""
        self.number += 1
        change_one_line(self.project, self.number)
        packaging = Packaging("bench", f"1.0.{self.number}", {"job": self.job})
        packaging.silent = True
        packaging.checked = False  # measured apart, by checks.py
        return packaging.make_package()

    def containering(self, packaging: Packaging) -> Containering:
        settings = Containering.from_packaging(packaging)
        settings.image_name, settings.base_image, settings.silent = NAME, self.base, True
        return settings


class Loading(Changes):
    """An image composed, and brought to the engine here; the floor is the engine's part of that."""

    def __init__(self, project: str, base: str) -> None:
        super().__init__(project, base)
        self.pusher = EnginePusher()
        self.engine = self.pusher.engine()

    def round(self, number: int) -> dict[str, float]:
        """An image that is composed and goes nowhere; then both others."""
        made, composed = self.composed()
        loaded, bare = in_turns(number, self.loaded, self.bare)
        return {"make": made, "compose alone": composed, **loaded, "bare": bare}

    def composed(self) -> tuple[float, float]:
        started = time.perf_counter()
        packaging = self.package()
        made = time.perf_counter()
        settings = self.containering(packaging)
        settings.platform = str(self.engine.platform())
        settings.compose(_file(packaging))
        return made - started, time.perf_counter() - made

    def loaded(self) -> dict[str, float]:
        packaging = self.package()
        stages = Stages()
        settings = self.containering(packaging)
        settings.pusher = self.pusher
        image = settings.compose(_file(packaging))
        stages.done("compose")
        reference = self.pusher.push(image)
        stages.done("load")
        remove(self.engine.api, image=reference)
        return stages.seconds

    def bare(self) -> float:
        packaging = self.package()
        settings = self.containering(packaging)
        settings.pusher = self.pusher
        image = settings.compose(_file(packaging))
        archive = _bare_archive(image)
        started = time.perf_counter()
        said = list(self.engine.api.load_image(archive))
        taken = time.perf_counter() - started
        assert self.engine.inspect_image(image.id) is not None, said
        remove(self.engine.api, image=image.id)
        return taken


class Pushing(Changes):
    """An image composed, pushed, pulled and run; and the way of a Dockerfile to the same."""

    def __init__(self, project: str, base: str, registry: str, folder: Path) -> None:
        super().__init__(project, base)
        self.registry = registry
        self.api = Engine().api
        self.context = folder / "context"
        self.context.mkdir()
        (self.context / "requirements.txt").touch()
        self.dependencies = f"{NAME}-dependencies:{base.rpartition(':')[2]}"
        dependencies = DEPENDENCIES_CACHED.format(base=base, pip=PIP_INSTALL)
        (self.context / "Dockerfile").write_text(dependencies)
        docker("build", "--quiet", "--network", "host", "--tag", self.dependencies, str(self.context))
        # The same steps again, so that they are taken from the cache.
        (self.context / "Dockerfile").write_text(dependencies + THEN_THE_PACKAGE.format(pip=PIP_INSTALL))

    def close(self) -> None:
        remove(self.api, image=self.dependencies)

    def round(self, number: int) -> dict[str, dict[str, float]]:
        ours, peer = in_turns(number, self.ours, self.peer)
        return {"ours": ours, "peer": peer}

    def ours(self) -> dict[str, float]:
        stages = Stages()
        packaging = self.package()
        stages.done("make")
        settings = self.containering(packaging)
        settings.pusher = RegistryPusher(f"{self.registry}/{NAME}")
        image = settings.compose(_file(packaging))
        stages.done("compose")
        reference = settings.pusher.push(image)
        stages.done("push")
        return self._pulled_and_run(reference, {"Image": reference}, stages)

    def peer(self) -> dict[str, float]:
        stages = Stages()
        packaging = self.package()
        for wheel in self.context.glob("*.whl"):
            wheel.unlink()
        shutil.copy(_file(packaging), self.context)
        reference = f"{self.registry}/{NAME}/docker-build:{packaging.version}"
        stages.done("make")
        docker("build", "--quiet", "--network", "host", "--tag", reference, str(self.context))
        stages.done("build")
        docker("push", "--quiet", reference)
        stages.done("push")
        remove(self.api, image=reference)  # so that the engine is one that lacks it, as with ours
        stages.restart()
        command = ["python3", "-m", packaging.package_module_name]
        return self._pulled_and_run(reference, {"Image": reference, "Cmd": command}, stages)

    def _pulled_and_run(self, reference: str, config: dict[str, Any], stages: Stages) -> dict[str, float]:
        repository, _, tag = reference.rpartition(":")
        self.api.pull(repository, tag=tag)
        stages.done("pull")
        container, line = first_line(self.api, config)
        stages.done("run")
        remove(self.api, container=container, image=reference)
        assert "Welcome" in line, line
        return stages.seconds


class Stages:
    """The seconds of each stage, one after the other."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._at = time.perf_counter()

    def done(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = now - self._at
        self._at = now

    def restart(self) -> None:
        """What was since the last stage is nobody's."""
        self._at = time.perf_counter()


def base(name: str) -> None:
    with Engine() as engine:
        BaseImage.from_engine(name, engine.platform(), engine)


def changed(project: str, base: str, rounds: str) -> None:
    loading = Loading(project, base)
    with loading.pusher:
        _print_rounds(loading, int(rounds))


def pushed(project: str, base: str, rounds: str, registry: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pushing = Pushing(project, base, registry, Path(folder))
        try:
            _print_rounds(pushing, int(rounds))
        finally:
            pushing.close()


def first(base: str, *requirements: str) -> None:
    job = importlib.import_module("tg.bench.job").Job()
    packaging = Packaging("bench", "1.0.0", {"job": job}, [DependencyList("science", requirements)])
    packaging.silent = True
    packaging.checked = False  # measured apart, by checks.py
    packaging.make_package()
    stages = Stages()
    settings = Containering.from_packaging(packaging)
    settings.image_name, settings.base_image, settings.silent = NAME, base, True
    image = settings.compose(_file(packaging))
    stages.done("compose")
    reference = settings.pusher.push(image)
    stages.done("load")
    print(json.dumps({"stages": stages.seconds, "reference": reference}))


def _print_rounds(samples: Loading | Pushing, rounds: int) -> None:
    """The first round is to warm up."""
    print(json.dumps({"rounds": [samples.round(number) for number in range(rounds + 1)][1:]}))


def _file(packaging: Packaging) -> Path:
    return packaging.package_location


def _bare_archive(image: Image) -> bytes:
    """What an engine needs at the least to take the image on (docker image spec 1.2): config, and the layer that is new."""
    top = image.layers[-1]
    names = [layer.diff_id.partition(":")[2] + ".tar" for layer in image.layers]
    manifest = [{"Config": "config.json", "RepoTags": None, "Layers": names}]
    members = {
        "manifest.json": json.dumps(manifest).encode(),
        "config.json": image.config.read(),
        names[-1]: top.blob.read(),
    }
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return archive.getvalue()


if __name__ == "__main__":
    {"base": base, "changed": changed, "pushed": pushed, "first": first}[sys.argv[1]](*sys.argv[2:])

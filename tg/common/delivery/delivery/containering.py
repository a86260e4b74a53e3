"""Containering: a package becomes a container image. A thin face over `images`, as the specification shows it."""

from __future__ import annotations

import platform as machine
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from ...logger import Logger
from ..environments.lock import Lock
from ..environments.platform import Platform
from ..images.base_image import BaseImage
from ..images.dependency_layers import kept_layers
from ..images.derived_base import derived_base
from ..images.engine import Engine
from ..images.engine_pusher import EnginePusher
from ..images.image import Image
from ..images.package_layer import BuiltPackage
from ..images.pushing import Pusher
from ..images.recipe import Recipe
from ..images.reference import Reference
from ..runtime.card import card
from ..runtime.errors import ImageProblem
from ..runtime.sizes import size_of
from ..trust.policy import Policy
from .built_package import read_built_package
from .dependencies import DependencyList, dependency_lists
from .older_python import too_new_in
from .packaging import Packaging
from .required_python import python_satisfies, release
from .requirements import check_requirements
from .wheel import WheelReader
from .wheel_tag import WheelTag

__all__ = ["Containering"]


class Containering:
    """Settings for making an image; assignable until `make_container` or `compose` is called, and for the next one.

    - `image_name`, `image_tag`: what the image is called; the package's name and version.
    - `dependencies`: lists of requirements that are installed besides those of the package.
    - `python_version`: of the image, `3.11`; the running one by default.
    - `base_image`: `python:X.Y-slim` by default. What the name stands for is asked once, and kept by digest.
    - `platform`: `linux/amd64` or `linux/arm64`; by default that of the engine it goes to, or of this machine.
    - `libc`: `glibc` or `musl`, of the base image; musl for one whose name has `alpine` in it.
    - `system_packages`: Debian packages that the image needs (`libgomp1`), `from_source`: names of dependencies that
      come without a wheel. These two need an engine, which makes a base image with them, once.
    - `labels`, `environment`: for the image. What is secret does not go here: see `propagate` of the executors.
    - `pusher`: where the image goes; by default the engine that the docker CLI would use.
    - `renew`: ask anew what the base image's name stands for, and resolve the dependencies anew, but
      for those that the package has locked.
    - `policy`: which packages are trusted; the machine's by default.
    - `silent`: log no progress.

    After `make_container`: `image` is what was composed, `image_reference` the name to run it by.
    """

    def __init__(
        self, image_name: str, image_tag: str | None = None, dependencies: Iterable[DependencyList] | str = ()
    ) -> None:
        self.image_name = image_name
        self.image_tag = image_tag
        self.dependencies: tuple[DependencyList, ...] = dependency_lists(dependencies)
        self.python_version = "{}.{}".format(*sys.version_info[:2])
        self.base_image: str | None = None
        self.platform: str | None = None
        self.libc: str | None = None
        self.system_packages: list[str] = []
        self.from_source: list[str] = []
        self.labels: dict[str, str] = {}
        self.environment: dict[str, str] = {}
        self.pusher: Pusher = EnginePusher()
        self.renew = False
        self.policy: Policy | None = None
        self.silent = False
        self.image: Image | None = None
        self.image_reference: str | None = None

    @classmethod
    def from_packaging(cls, packaging: Packaging) -> Containering:
        """Settings for an image of a package: its name, version and dependencies."""
        tag = _tag(packaging.version) if packaging.version is not None else None
        return cls(packaging.name, tag, packaging.dependencies)

    @classmethod
    def from_package(cls, package: str | PathLike[str]) -> Containering:
        """Settings for an image of a package file."""
        with WheelReader(Path(package)) as wheel:
            return cls(wheel.facts.uid.name, _tag(wheel.facts.uid.version))

    @classmethod
    def from_built(cls, built: BuiltPackage) -> Containering:
        """Settings for an image of a package that was read."""
        return cls(built.name, _tag(built.version))

    def __repr__(self) -> str:
        made = "not made yet" if self.image is None else self.image.id
        return f"<Containering {self.image_name}{f':{self.image_tag}' if self.image_tag else ''}: {made}>"

    def _repr_html_(self) -> str:
        image = self.image
        layers = image.layers if image is not None else ()
        return card(
            "Containering",
            f"{self.image_name}:{self.image_tag or '(tag from the content)'}",
            [
                ("base image", self.base_image or f"python:{self.python_version}-slim"),
                ("platform", image.platform if image is not None else self.platform),
                ("image", image.id if image is not None else "not made yet"),
                ("layers", [f"{size_of(layer.blob.size)}  {layer.created_by}" for layer in layers]),
                ("called", self.image_reference),
            ],
        )

    def make_container(self, packaging: Packaging) -> Containering:
        """Compose the image of a package, push it, and return these settings. The package is made if it was not yet.

        Raises `DependencyProblem`, `ImageProblem` or `InvalidName` before anything is pushed, `EngineProblem` or
        `RegistryProblem` when it cannot be.
        """
        if not packaging.is_made:
            packaging.make_package()
        image = self.compose(packaging.package_location)
        self.image_reference = self.pusher.push(image)
        self.image, self.image_tag = image, image.tag
        self._say(f"{self.image_reference} is {image.id}")
        return self

    def compose(self, package: str | PathLike[str]) -> Image:
        """The image of a package file, as a value; nobody gets it."""
        return self.compose_built(read_built_package(Path(package), policy=self.policy))

    def compose_built(self, built: BuiltPackage) -> Image:
        """The image of a package that was read."""
        if not python_satisfies(built.requires_python, self.python_version):
            raise ImageProblem(
                f"{built.module_name} needs Python {built.requires_python}, and the image is to have {self.python_version}. "
                f"Set python_version."
            )
        if release(self.python_version) < sys.version_info[:2]:
            self._check_for_older_python(built)
        tag = self.image_tag if self.image_tag is not None else _tag(built.version)
        Reference.parse(f"{self.image_name}:{tag}")
        requirements = [
            *built.requirements,
            *(one for each in dependency_lists(self.dependencies) for one in each.dependencies),
        ]
        requirements = list(dict.fromkeys(requirements))
        check_requirements(requirements) if requirements else None
        name = self.base_image or f"python:{self.python_version}-slim"
        platform = self._platform(name)
        _check_compiled(built, self.python_version, platform)
        lock = self._lock(built, requirements, platform)
        if self.renew or BaseImage.remembered(name, platform) is None:
            self._say(f"Looking for the base image {name} for {platform}, which is then kept")
        base = BaseImage.find(name, platform, self._connect, renew=self.renew)
        if kept_layers(lock) is None:
            self._say(f"Installing {len(lock.wheels)} distributions for {platform} into layers, which are then kept")
        if self.system_packages or lock.sources:
            base = derived_base(base, lock, self.system_packages, self._connect)
        return Recipe(self.image_name, tag, base, lock, built, dict(self.labels), dict(self.environment)).compose()

    def _check_for_older_python(self, built: BuiltPackage) -> None:
        syntax, names = too_new_in(built, self.python_version)
        if syntax:
            raise ImageProblem(
                f"{built.module_name} cannot run on Python {self.python_version}, which the image is to have: {'; '.join(syntax)}. Set "
                f"python_version, or do without."
            )
        for text in names:
            Logger.warning(f"{text}, and the image is to have Python {self.python_version}.")

    def _lock(self, built: BuiltPackage, requirements: list[str], platform: Platform) -> Lock:
        """That of the package, where it has one for this image; what else is asked for is resolved to go with it."""
        packaged = built.lock_for(self.python_version, platform)
        if packaged is not None and {*requirements} == {*built.requirements} and not self.from_source:
            return packaged
        source = [*self.from_source, *(packaged.from_source if packaged else ())]
        return Lock.of(
            requirements, self.python_version, platform, from_source=source, within=packaged, renew=self.renew
        )

    def _say(self, line: str) -> None:
        if not self.silent:
            Logger.info(line)

    def _platform(self, base: str) -> Platform:
        libc = self.libc or ("musl" if "alpine" in base else "glibc")
        if self.platform is not None:
            return Platform.parse(self.platform, libc=libc)
        if isinstance(self.pusher, EnginePusher):
            return Platform.parse(str(self.pusher.platform()), libc=libc)
        return Platform.parse(f"linux/{machine.machine()}", libc=libc)

    @contextmanager
    def _connect(self) -> Iterator[Engine]:
        """The engine that base images are taken from or made with: that of the pusher, or the one here."""
        if isinstance(self.pusher, EnginePusher):
            yield self.pusher.engine()
        else:
            with Engine() as engine:
                yield engine


def _check_compiled(built: BuiltPackage, python_version: str, platform: Platform) -> None:
    """Raise `ImageProblem` when the image's Python cannot load the compiled code of the package."""
    tag = WheelTag.parse(built.tag)
    if tag.is_pure:
        return
    python = f"cp{python_version.replace('.', '')}"
    there = WheelTag(python, python, f"{platform.os}_{platform.machine}")
    if not tag.fits(there) or (built.libc and built.libc != platform.libc):
        raise ImageProblem(
            f"{built.module_name} has code that is compiled for {tag}{f' with {built.libc}' if built.libc else ''}, and the image is to "
            f"have {there} with {platform.libc}. Set python_version and platform to what it is for, or make it on such a system."
        )


def _tag(version: str) -> str:
    """A version as a tag, which has no `+` and no `!`; no version has a `_` or `-`, so it can be told back (PEP 440)."""
    return version.replace("+", "_").replace("!", "-")

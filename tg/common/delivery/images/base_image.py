"""The base image: read from its registry, or taken from an engine, and remembered by digest.

What a tag names is asked once, and stays until it is asked for anew: the same settings give the same image. Its layers are
fetched when somebody needs their bytes, which an engine or a registry that has the base does not.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from ...locations import Loc
from ...progress import working
from ..environments.platform import Platform
from ..runtime.errors import DeliveryError, ImageProblem, RegistryProblem
from ..runtime.whole_files import make_private_folder, write_whole
from .blob import Blob, Layer, blob_file
from .engine import Engine
from .layer_writer import compress_layer
from .reference import Reference
from .registry import Registry

__all__ = ["BaseImage"]


@dataclass(frozen=True)
class BaseImage:
    """What images stand on: its name, the digest that the name stood for, its config and its layers."""

    name: str
    digest: str
    config: Mapping[str, Any]
    layers: tuple[Layer, ...]

    @classmethod
    def find(
        cls,
        name: str,
        platform: Platform,
        connect: Callable[[], AbstractContextManager[Engine]],
        *,
        renew: bool = False,
    ) -> BaseImage:
        """The base image of a name for a platform.

        It is the remembered one; otherwise its registry is asked, and where that has none or cannot be reached, the
        engine. Raises `ImageProblem` with what both of them said.
        """
        if not renew and (found := cls.remembered(name, platform)) is not None:
            return found
        reference = Reference.parse(name)
        try:
            with Registry(reference.registry) as registry:
                remote = registry.resolve(reference, (platform.os, platform.architecture, None))
            digest = remote.reference.digest or ""
            return _remember(cls(reference.familiar, digest, remote.config, remote.layers), platform)
        except RegistryProblem as error:
            try:
                with connect() as engine:
                    return cls.from_engine(name, platform, engine)
            except DeliveryError as other:
                raise ImageProblem(
                    f"the base image {reference.familiar} is nowhere to be found:\n- {error}\n- {other}"
                ) from other

    @classmethod
    def remembered(cls, name: str, platform: Platform) -> BaseImage | None:
        """What the name stood for when it was asked for; `None` if it never was, or a layer of it is gone."""
        try:
            noted = json.loads(_note(name, platform).read_bytes())
            layers = tuple(Layer(_blob(one), one["diff_id"], one["by"]) for one in noted["layers"])
            found = cls(noted["name"], noted["digest"], noted["config"], layers)
        except (OSError, ValueError, KeyError):
            return None
        gone = any(layer.blob.origin is None and not (Loc.images / layer.blob.file).exists() for layer in layers)
        return None if gone else found

    @classmethod
    def from_engine(cls, name: str, platform: Platform, engine: Engine, *, known: Sequence[Layer] = ()) -> BaseImage:
        """An image that an engine has: exported once, its layers compressed, but for those that are known.

        Raises `ImageProblem`.
        """
        familiar = Reference.parse(name).familiar
        found = engine.inspect_image(familiar)
        if found is None:
            raise ImageProblem(f"the engine {engine.name} has no image {familiar} (docker pull {familiar}).")
        if (found["Os"], found["Architecture"]) != (platform.os, platform.architecture):
            raise ImageProblem(
                f"{familiar} on {engine.name} is for {found['Os']}/{found['Architecture']}, and the image is to be for "
                f"{platform}. Name a base image for {platform}, or another platform."
            )
        with TemporaryDirectory(dir=_made(Loc.images), prefix="tmp-") as folder:
            config, layers = _exported(familiar, engine, Path(folder), known)
        if [layer.diff_id for layer in layers] != config["rootfs"]["diff_ids"]:
            raise ImageProblem(f"{familiar} was saved by {engine.name} with other layers than its config says.")
        return _remember(cls(familiar, found["Id"], config, layers), platform)


def _note(name: str, platform: Platform) -> Path:
    key = hashlib.sha256(f"{Reference.parse(name)}\n{platform}".encode()).hexdigest()
    return Loc.images / "bases" / f"{key}.json"


def _remember(base: BaseImage, platform: Platform) -> BaseImage:
    """Write the note, and give the base as it will be found by it."""
    note = _note(base.name, platform)
    make_private_folder(note.parent)
    layers = [_note_of(layer) for layer in base.layers]
    content = {"name": base.name, "digest": base.digest, "config": base.config, "layers": layers}
    write_whole(note, lambda file: file.write(json.dumps(content).encode()))
    return BaseImage(
        base.name, base.digest, base.config, tuple(Layer(_blob(one), one["diff_id"], one["by"]) for one in layers)
    )


def _note_of(layer: Layer) -> dict[str, Any]:
    return {**layer.blob.descriptor, "origin": layer.blob.origin, "diff_id": layer.diff_id, "by": layer.created_by}


def _blob(noted: Mapping[str, Any]) -> Blob:
    digest, origin = noted["digest"], noted["origin"]
    return Blob(digest, noted["size"], noted["mediaType"], lambda: _fetched(digest, noted["size"], origin), origin)


def _fetched(digest: str, size: int, origin: str | None) -> BinaryIO:
    """The bytes of a layer, from here, or now fetched from the registry that has it."""
    place = Loc.images / blob_file(digest)
    if not place.exists() and origin is not None:
        reference = Reference.parse(f"{origin}@{digest}")
        make_private_folder(place.parent)
        fetching = working(f"fetching a layer of {reference.repository} from {reference.registry}", size)
        with (
            Registry(reference.registry) as registry,
            registry.open_blob(reference.repository, digest, size) as stream,
            fetching as work,
        ):
            write_whole(place, lambda file: _copy(iter(lambda: stream.read(1024 * 1024), b""), file, work.advance))
    return place.open("rb")


def _copy(chunks: Iterable[bytes], file: BinaryIO, told: Callable[[int], object] = lambda count: None) -> None:
    for chunk in chunks:
        told(file.write(chunk))


def _exported(
    name: str, engine: Engine, folder: Path, known: Sequence[Layer]
) -> tuple[dict[str, Any], tuple[Layer, ...]]:
    """The config of an image that an engine saves, and its layers, whose blobs are moved to where they are kept."""
    with (folder / "saved.tar").open("wb") as file:
        _copy(engine.save_image(name), file)
    with tarfile.open(folder / "saved.tar") as saved:
        described = json.loads(_member(saved, "manifest.json").read())[0]
        config = json.loads(_member(saved, described["Config"]).read())
        layers = []
        by_diff_id = {layer.diff_id: layer for layer in known}
        for number, (path, diff_id) in enumerate(zip(described["Layers"], config["rootfs"]["diff_ids"], strict=True)):
            if diff_id in by_diff_id:
                layers.append(by_diff_id[diff_id])
                continue
            layer = compress_layer(_member(saved, path), f"base: {name}", folder / str(number))
            place = Loc.images / layer.blob.file
            os.replace(folder / str(number), _made(place.parent) / place.name)
            layers.append(layer)
    return config, tuple(layers)


def _made(folder: Path) -> Path:
    make_private_folder(folder)
    return folder


def _member(archive: tarfile.TarFile, name: str) -> Any:
    stream = archive.extractfile(name)
    if stream is None:
        raise ImageProblem(f"the engine has saved an image whose archive has no {name}.")
    return stream

"""A derived base image: what a layer of wheels cannot have, Debian packages and distributions built from source.

This is the one case that needs an engine. A container of the base image installs them, and is kept as an image whose tag
is made of all that went into it, so it is made once. It uses the network of the engine's host, and trusts whom this machine
trusts; what it needs for that is gone before the container is kept.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import ssl
import tarfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from ..environments.lock import Lock
from ..runtime.errors import DependencyProblem, ImageProblem
from . import labels
from .base_image import BaseImage
from .engine import Engine
from .image import CREATED, Image
from .image_paths import PREFIX, python_command

__all__ = ["derived_base"]

REPOSITORY = "tg-base"
FORMAT = 1

_DEBIAN_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9-]+)?(=[A-Za-z0-9.+:~-]+)?", re.ASCII)
_PLACE = "tmp/tg-build"
_LAST_LINES = 30


def derived_base(
    base: BaseImage, lock: Lock, system_packages: Sequence[str], connect: Callable[[], AbstractContextManager[Engine]]
) -> BaseImage:
    """The base image with Debian packages and with the lock's distributions that come without wheels.

    Raises `ImageProblem` for what is no name of a package, `DependencyProblem` with the last words of apt or pip.
    """
    odd = [name for name in system_packages if not _DEBIAN_NAME.fullmatch(name)]
    if odd:
        raise ImageProblem(
            f"{odd[0]!r} is not the name of a Debian package. Write it as for apt-get, such as 'libgomp1'."
        )
    packages = sorted(set(system_packages))
    built = "".join(pin.text for pin in lock.sources)
    asked = "\n".join([str(FORMAT), base.digest, str(lock.platform), lock.python, *packages, built])
    name = f"{REPOSITORY}:{hashlib.sha256(asked.encode()).hexdigest()[:32]}"
    found = BaseImage.remembered(name, lock.platform)
    if found is not None:
        return found
    with connect() as engine:
        if engine.inspect_image(name) is None:
            _make(name, base, lock, packages, built, engine)
        return BaseImage.from_engine(name, lock.platform, engine, known=base.layers)


def _make(name: str, base: BaseImage, lock: Lock, packages: Sequence[str], built: str, engine: Engine) -> None:
    standing_on = engine.load(_as_image(base))
    with engine.asked(f"making the base image {name}"):
        made = engine.api.create_container(
            standing_on,
            command=["sh", "-ec", _script(packages, bool(built), lock.python)],
            entrypoint=[],
            user="0:0",
            working_dir="/",
            host_config=engine.api.create_host_config(network_mode="host"),
        )["Id"]
        try:
            engine.api.put_archive(made, "/", _files(built))
            engine.api.start(made)
            status = engine.api.wait(made)["StatusCode"]
            if status != 0:
                said = engine.api.logs(made, tail=_LAST_LINES).decode("utf-8", "replace").strip()
                wanted = ", ".join([*packages, *(pin.requirement for pin in lock.sources)])
                raise DependencyProblem(
                    f"installing {wanted} into {base.name} on {engine.name} failed with status {status}:\n{said}",
                    problems=[said],
                )
            repository, _, tag = name.partition(":")
            engine.api.commit(made, repository=repository, tag=tag)
        finally:
            engine.api.remove_container(made, force=True, v=True)


def _as_image(base: BaseImage) -> Image:
    """The base image as one that is loaded: an engine may not have it, or have another under its name by now."""
    config = {"created": CREATED, **base.config}
    config["config"] = {**(config.get("config") or {}), "Labels": {labels.BASE_NAME: base.name}}
    return Image.of(REPOSITORY, f"on-{base.digest.rpartition(':')[2][:32]}", config, base.layers)


def _script(packages: Sequence[str], builds: bool, python: str) -> str:
    """What the container does. Names have been checked; nothing else of the user's is in it."""
    authorities = f"/{_PLACE}/authorities.pem"
    lines = [
        f"export {name}={authorities}" for name in ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    ]
    if packages:
        lines += [
            "export DEBIAN_FRONTEND=noninteractive",
            "apt-get -q update",
            f"apt-get -q -y install --no-install-recommends {' '.join(packages)}",
            "rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin",
        ]
    if builds:
        lines += [
            # pip's name for our prefix; on Debian --prefix would mean another layout.
            f"export PYTHONUSERBASE=/{PREFIX} PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore",
            f"{python_command(python)} -m pip install --user --ignore-installed --no-deps --no-cache-dir --require-hashes "
            f"--no-binary :all: --disable-pip-version-check -r /{_PLACE}/lock.txt",
        ]
    return "\n".join([*lines, f"rm -rf /{_PLACE}"])


def _files(built: str) -> bytes:
    """What the script reads, as a tar: the lock, and the certificate authorities that this machine trusts."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in (("lock.txt", built.encode()), ("authorities.pem", _authorities())):
            info = tarfile.TarInfo(f"{_PLACE}/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _authorities() -> bytes:
    paths: Any = ssl.get_default_verify_paths()
    named = (os.environ.get("SSL_CERT_FILE"), paths.cafile, paths.openssl_cafile, "/etc/ssl/certs/ca-certificates.crt")
    for path in named:
        if path and Path(path).is_file():
            return Path(path).read_bytes()
    import certifi  # comes with requests

    return Path(certifi.where()).read_bytes()

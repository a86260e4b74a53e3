"""Bills of materials (CycloneDX 1.6): what a package or an image is made of, with hashes, and where it came from.

Made on request, by CycloneDX's own library, which is in no fast path: `pip install 'training-grounds-delivery[bill]'`.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections.abc import Iterator
from email.parser import BytesHeaderParser
from os import PathLike
from typing import TYPE_CHECKING, Any

from ..images import labels
from ..images.image_paths import PREFIX
from ..runtime.errors import DependencyProblem
from .facts import PackageFacts
from .inspecting import PackageReport, inspect_package

if TYPE_CHECKING:
    from ..images.image import Image

__all__ = ["bill_of_image", "bill_of_package"]

_OURS = "training-grounds"
_METADATA = re.compile(
    rf"{PREFIX}/lib/python[0-9.]+/site-packages/(?P<folder>[^/]+\.dist-info)/(?P<file>METADATA|RECORD)"
)


def bill_of_package(file: str | PathLike[str]) -> str:
    """The bill of a package file, as JSON: its files with their SHA-256, what it requires, and its provenance.

    Requirements are as they are declared; to which versions they resolve, the bill of an image says. Nothing of the package
    is run. Raises `PackageRejected`, and `DependencyProblem` where CycloneDX's library is not installed.
    """
    report = inspect_package(file)
    bom, package = _begun(report)
    from cyclonedx.model.component import Component, ComponentType

    files = [
        Component(name=path, type=ComponentType.FILE, bom_ref=f"file:{path}", hashes=[_sha256(one.sha256)])
        for path, one in report.files.items()
    ]
    for requirement in report.facts.requirements():
        package.properties.add(_property("requires", requirement))
    bom.metadata.component = package
    bom.components.update(files)
    bom.register_dependency(package, files)
    return _written(bom)


def bill_of_image(image: Image, file: str | PathLike[str]) -> str:
    """The bill of an image that was composed of a package file, as JSON.

    It has the base image by its digest, the package by that of its file, every distribution that was installed into the
    layers with the SHA-256 of its RECORD there, which has those of all its files, and the layers by theirs. Reads the layers.
    """
    report = inspect_package(file)
    bom, package = _begun(report)
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    whole = Component(
        name=image.name,
        version=image.tag,
        type=ComponentType.CONTAINER,
        bom_ref=f"image:{image.digest}",
        hashes=[_sha256(image.digest.partition(":")[2])],
        properties=[_property("platform", str(image.platform))]
        + [_property(f"layer:{index}", layer.diff_id) for index, layer in enumerate(image.layers)],
    )
    base = Component(
        name=image.labels[labels.BASE_NAME],
        version=image.labels[labels.BASE_DIGEST],
        type=ComponentType.CONTAINER,
        bom_ref=f"base:{image.labels[labels.BASE_DIGEST]}",
        hashes=[_sha256(image.labels[labels.BASE_DIGEST].partition(":")[2])],
    )
    installed = [
        Component(
            name=name,
            version=version,
            type=ComponentType.LIBRARY,
            bom_ref=f"pypi:{name}@{version}",
            purl=PackageURL("pypi", None, name, version),
            properties=[_property("record-sha256", record)],
        )
        for name, version, record in sorted(_distributions(image, report.facts))
    ]
    bom.metadata.component = whole
    bom.components.update([base, package, *installed])
    bom.register_dependency(whole, [base, package, *installed])
    bom.register_dependency(package, installed)
    return _written(bom)


def _begun(report: PackageReport) -> tuple[Any, Any]:
    """A bill with nothing in it, and the package as a component with its provenance."""
    try:
        from cyclonedx.model.bom import Bom
        from cyclonedx.model.component import Component, ComponentType
    except ImportError as error:
        raise DependencyProblem(
            "a bill of materials needs CycloneDX's library: pip install 'training-grounds-delivery[bill]'", problems=()
        ) from error
    facts = report.facts
    provenance = {
        "module": facts.module_name,
        "content-sha256": facts.content,
        "source-sha256": facts.source,
        "requires-python": facts.requires_python,
        "built-with-python": facts.built_with,
    }
    if report.signature is not None and report.signature.fits:
        manifest = report.signature.manifest
        provenance |= {
            "signer": report.signature.signer.key_id,
            "sequence": str(manifest.sequence),
            "built-on": manifest.platform,
            "lock-sha256": manifest.lock,
        }
    package = Component(
        name=facts.uid.name,
        version=facts.uid.version,
        type=ComponentType.APPLICATION,
        bom_ref=f"package:{report.digest}",
        hashes=[_sha256(_digest_of(report))],
        properties=[_property(name, value) for name, value in provenance.items()] + [_property("seal", report.digest)],
    )
    bom = Bom()
    bom.metadata.tools.components.add(
        Component(name="training-grounds-delivery", version=_own_version(), type=ComponentType.APPLICATION)
    )
    return bom, package


def _digest_of(report: PackageReport) -> str:
    """SHA-256 of the package file."""
    digest = hashlib.sha256()
    with report.path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _own_version() -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("training-grounds-delivery")
    except PackageNotFoundError:  # delivered itself
        return None


def _distributions(image: Image, facts: PackageFacts) -> Iterator[tuple[str, str, str]]:
    """Name, version and the SHA-256 of RECORD of what was installed into the layers, the package itself left out."""
    for layer in image.layers:
        if layer.created_by.startswith("dependencies"):
            found: dict[str, dict[str, bytes]] = {}
            with layer.blob.open() as opened, tarfile.open(fileobj=opened, mode="r|gz") as archive:
                for member in archive:
                    match = _METADATA.fullmatch(member.name)
                    content = archive.extractfile(member) if match is not None else None
                    if match is not None and content is not None:
                        found.setdefault(match["folder"], {})[match["file"]] = content.read()
            for folder, files in found.items():
                if folder != facts.dist_info and "METADATA" in files:
                    head = BytesHeaderParser().parse(io.BytesIO(files["METADATA"]))
                    yield str(head["Name"]), str(head["Version"]), hashlib.sha256(files.get("RECORD", b"")).hexdigest()


def _sha256(digest: str) -> Any:
    from cyclonedx.model import HashAlgorithm, HashType

    return HashType(alg=HashAlgorithm.SHA_256, content=digest)


def _property(name: str, value: str) -> Any:
    from cyclonedx.model import Property

    return Property(name=f"{_OURS}:{name}", value=value)


def _written(bom: Any) -> str:
    from cyclonedx.output import make_outputter
    from cyclonedx.schema import OutputFormat, SchemaVersion

    return str(make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2))

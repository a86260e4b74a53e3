"""A registry, spoken to from here: images are read and pushed without an engine (distribution-spec 1.1).

Numbers of the specification's end points, such as end-4a, are in the comments.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import urlencode, urljoin

from ...progress import Work, working
from ..runtime.errors import ImageProblem, InvalidName, RegistryProblem
from .blob import LAYER, Blob, Layer, digest_of
from .blob_stream import BlobStream, BlobUpload
from .credentials import Credentials
from .image import Image
from .reference import Reference
from .registry_answers import json_of, location_in
from .registry_connection import RegistryConnection
from .remote_image import ACCEPTED, RemoteImage, chosen_image, parsed_content, shown_platform

if TYPE_CHECKING:
    from requests import Response

__all__ = ["Registry"]

_LAYER_TYPES = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": LAYER,
    "application/vnd.docker.image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
}
"""What docker calls layers, and OCI the same bytes: an image of ours has OCI's manifest, whatever its base has."""

_AT_ONCE = 4
_CHUNK_BYTES = 1024 * 1024


class Registry:
    """A registry by its `host:port`: a context manager, which connects with the first request and keeps connections.

    `credentials` are user and password; by default what `docker login` has stored, looked up when they are asked for.
    A registry on this machine may do without TLS, as with docker. Every method raises `RegistryProblem`.
    """

    def __init__(self, host: str, *, credentials: Credentials | None = None) -> None:
        self.host = host
        self._given = credentials
        self._connection = RegistryConnection(host, credentials)

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. Can be called again."""
        self._connection.close()

    def resolve(
        self, reference: Reference, platform: tuple[str, str, str | None] = ("linux", "amd64", None)
    ) -> RemoteImage:
        """The image of a name for a platform: operating system, architecture, and variant or `None` for any.

        Raises `ImageProblem` with the platforms there are, if this one is not among them.
        """
        repository = self._repository(reference)
        content, digest = self._manifest(repository, reference.digest or reference.tag or "latest", reference)
        manifest = parsed_content(content, reference)
        if "manifests" in manifest:
            digest = chosen_image(manifest, platform, reference)
            content, digest = self._manifest(repository, digest, reference)
            manifest = parsed_content(content, reference)
            if "manifests" in manifest:
                raise ImageProblem(f"{reference.familiar} is an index of indexes. Name one of its images by digest.")
        described = manifest["config"]
        with self.open_blob(repository, described["digest"], described["size"]) as stream:
            config = parsed_content(stream.read(), reference, what="config")
        found = (config.get("os"), config.get("architecture"))
        if found != platform[:2]:
            raise ImageProblem(
                f"{reference.familiar} has no image for {shown_platform(*platform)}. It has {shown_platform(*found, config.get('variant'))}."
            )
        layers = tuple(self._layers(repository, manifest, config, reference))
        return RemoteImage(replace(reference, digest=digest), manifest, config, layers)

    def push(self, image: Image, reference: Reference) -> str:
        """Push an image under a name, and return its digest as the registry has it. What is there is not sent again."""
        repository = self._repository(reference)
        name = reference.tag or image.digest
        if self._has_manifest(repository, name) == image.digest:
            return image.digest
        # The biggest first: none is left to be waited for alone at the end.
        blobs = sorted((blob for blob in image.blobs if blob != image.manifest), key=lambda blob: -blob.size)
        sending = working(f"pushing {reference.familiar}", sum(blob.size for blob in blobs))
        with sending as work, ThreadPoolExecutor(_AT_ONCE, "tg-push") as pool:
            pushed = [pool.submit(self._push_blob, repository, blob, work) for blob in blobs]
            try:
                for one in pushed:
                    one.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        headers = {"Content-Type": image.manifest.media_type}
        response = self._connection.request(  # end-7
            "PUT",
            f"{repository}/manifests/{name}",
            scopes=_to_push(repository),
            headers=headers,
            body=image.manifest.read,
        )
        self._connection.check(response, f"push {reference.familiar}", {200, 201, 202})
        digest = response.headers.get("Docker-Content-Digest") or self._manifest(repository, name, reference)[1]
        if digest != image.digest:
            raise RegistryProblem(
                f"{self.host} has kept {reference.familiar} as {digest}, and {image.digest} was pushed. Something between "
                f"here and there changes manifests, and the image would not be the one that was composed.",
                registry=self.host,
            )
        return digest

    def check_access(self) -> None:
        """Raise `RegistryProblem` when it does not answer, or does not let us in (distribution-spec, end-1)."""
        response = self._connection.request("GET", "", scopes=())
        self._connection.check(response, "ask it anything", {200})

    def tags(self, repository: str) -> list[str]:
        """All tags of a repository, in the registry's order."""
        found: list[str] = []
        url: str | None = f"{repository}/tags/list"  # end-8a
        while url is not None:
            response = self._connection.request("GET", url, scopes=_to_pull(repository))
            self._connection.check(
                response, f"list the tags of {repository}", {200}, missing=f"no repository {repository}"
            )
            found += json_of(response).get("tags") or []
            following = response.links.get("next", {}).get("url")
            url = urljoin(response.url, following) if following else None
        return found

    def open_blob(self, repository: str, digest: str, size: int) -> BinaryIO:
        """A stream of a blob. It raises `RegistryProblem` before its last bytes are given, if they are not the right ones."""
        return self._opened(repository, digest, size, at_end=lambda: None)

    # Parts of resolving

    def _opened(self, repository: str, digest: str, size: int, *, at_end: Callable[[], None]) -> BinaryIO:
        response = self._connection.request(  # end-2
            "GET",
            f"{repository}/blobs/{digest}",
            scopes=_to_pull(repository),
            headers={"Accept-Encoding": "identity"},
            stream=True,
        )
        try:
            self._connection.check(
                response, f"read {digest} of {repository}", {200}, missing=f"no blob {digest} in {repository}"
            )
        except BaseException:
            response.close()
            raise
        stream = BlobStream(response, self.host, digest, size, at_end)
        return cast(BinaryIO, io.BufferedReader(stream, _CHUNK_BYTES))

    def _repository(self, reference: Reference) -> str:
        if reference.registry != self.host:
            raise InvalidName(f"{reference} is not a name in the registry {self.host}.", given=str(reference))
        return reference.repository

    def _manifest(self, repository: str, name: str, reference: Reference) -> tuple[bytes, str]:
        """A manifest or index by tag or digest, and its digest."""
        response = self._connection.request(  # end-3
            "GET",
            f"{repository}/manifests/{name}",
            scopes=_to_pull(repository),
            headers={"Accept": ", ".join(ACCEPTED)},
        )
        self._connection.check(response, f"read {reference.familiar}", {200}, missing=f"no image {reference.familiar}")
        digest = digest_of(response.content)
        if name.startswith("sha256:") and digest != name:
            raise RegistryProblem(
                f"{self.host} has answered with another manifest ({digest}) than {repository}@{name}. It is not used.",
                registry=self.host,
            )
        return response.content, digest

    def _has_manifest(self, repository: str, name: str) -> str | None:
        """The digest that a tag stands for, if the registry tells it; `None` if there is no such tag."""
        response = self._connection.request(
            "HEAD",
            f"{repository}/manifests/{name}",
            scopes=_to_push(repository),
            headers={"Accept": ", ".join(ACCEPTED)},
        )
        self._connection.check(response, f"push to {repository}", {200, 404})
        return response.headers.get("Docker-Content-Digest") if response.status_code == 200 else None

    def _layers(
        self, repository: str, manifest: Mapping[str, Any], config: Mapping[str, Any], reference: Reference
    ) -> Iterator[Layer]:
        diff_ids = config.get("rootfs", {}).get("diff_ids", [])
        if len(diff_ids) != len(manifest["layers"]):
            raise ImageProblem(
                f"{reference.familiar} has {len(manifest['layers'])} layers, and its config names {len(diff_ids)}."
            )
        history = [step.get("created_by", "") for step in config.get("history", []) if not step.get("empty_layer")]
        if len(history) != len(diff_ids):
            history = [""] * len(diff_ids)
        for described, diff_id, created_by in zip(manifest["layers"], diff_ids, history, strict=True):
            media_type = _LAYER_TYPES.get(described["mediaType"], described["mediaType"])
            digest, size = described["digest"], described["size"]
            opener = self._opener(repository, digest, size)
            blob = Blob(digest, size, media_type, opener, f"{self.host}/{repository}")
            yield Layer(blob, diff_id, created_by)

    def _opener(self, repository: str, digest: str, size: int) -> Callable[[], BinaryIO]:
        host, given = self.host, self._given

        def opened() -> BinaryIO:
            # A connection of its own: it can be opened when this registry was closed long ago.
            registry = Registry(host, credentials=given)
            try:
                return registry._opened(repository, digest, size, at_end=registry.close)
            except BaseException:
                registry.close()
                raise

        return opened

    # Parts of pushing

    def _push_blob(self, repository: str, blob: Blob, work: Work) -> None:
        response = self._connection.request(
            "HEAD", f"{repository}/blobs/{blob.digest}", scopes=_to_push(repository)
        )  # end-2
        self._connection.check(response, f"push to {repository}", {200, 404})
        if response.status_code == 200:
            work.advance(blob.size)
            return
        registry, _, origin = (blob.origin or "").partition("/")
        location = None
        if registry == self.host and origin != repository:
            location = self._mount(repository, blob, origin)
            if location == "":
                work.advance(blob.size)
                return
        self._upload(repository, blob, location, work)

    def _mount(self, repository: str, blob: Blob, origin: str) -> str | None:
        """Have the registry take a blob over from another repository.

        `""` when it has done so, the address to upload to when it has not, `None` when it did not like to be asked.
        """
        query = urlencode({"mount": blob.digest, "from": origin})
        scopes = (*_to_push(repository), *_to_pull(origin))
        try:
            response = self._connection.request("POST", f"{repository}/blobs/uploads/?{query}", scopes=scopes)  # end-11
        except RegistryProblem as problem:
            if problem.status not in {401, 403}:
                raise
            return None  # there is no token for both
        if response.status_code == 201:
            return ""
        # The registry may refuse because of `origin`, which this user need not be allowed to read.
        return location_in(response) if response.status_code == 202 else None

    def _upload(self, repository: str, blob: Blob, location: str | None, work: Work) -> None:
        """Upload a blob in one piece. When that fails it begins anew: what became of an upload cannot be known."""
        locations = [location]
        sent = 0

        def advance(count: int) -> None:
            nonlocal sent
            sent += count
            work.advance(count)

        def body() -> BlobUpload:
            advance(-sent)  # of a try that failed
            return BlobUpload(blob, advance)

        def upload() -> Response:
            target = locations.pop() if locations else None
            if target is None:
                begun = self._connection.call(
                    "POST", f"{repository}/blobs/uploads/", scopes=_to_push(repository)
                )  # end-4a
                if begun.status_code != 202:
                    return begun
                target = location_in(begun)
            target += ("&" if "?" in target else "?") + urlencode({"digest": blob.digest})
            return self._connection.call(  # end-6
                "PUT",
                target,
                scopes=_to_push(repository),
                headers={"Content-Type": "application/octet-stream"},
                body=body,
            )

        self._connection.check(self._connection.retried(upload), f"push {blob.digest} to {repository}", {201, 204})


def _to_pull(repository: str) -> tuple[str, ...]:
    return (f"repository:{repository}:pull",)


def _to_push(repository: str) -> tuple[str, ...]:
    return (f"repository:{repository}:pull,push",)

"""Blobs on their way from and to a registry, each proved to be what its digest says."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ..runtime.errors import ImageProblem, RegistryProblem
from .blob import Blob
from .http_errors import is_of_requests, root_cause

if TYPE_CHECKING:
    from requests import Response

__all__ = ["BlobStream", "BlobUpload"]

_CHUNK_BYTES = 1024 * 1024


class BlobUpload:
    """A blob as the body of a request: requests takes its length from `len`, and reads it."""

    def __init__(self, blob: Blob, told: Callable[[int], None]) -> None:
        """`told` is called with the number of bytes that were read since."""
        self._blob = blob
        self._told = told
        self._stream = blob.open()
        self._left = blob.size

    def __enter__(self) -> BlobUpload:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stream.close()

    def __len__(self) -> int:
        return self._blob.size

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.read(_CHUNK_BYTES), b"")

    def read(self, size: int = -1) -> bytes:
        """Not more than was promised, and an error if it is less: the registry would wait for the rest."""
        data = self._stream.read(self._left if size < 0 else min(size, self._left))
        if not data and self._left:
            raise ImageProblem(
                f"{self._blob.digest} has {self._left} bytes less than the {self._blob.size} that it should have. Something "
                f"has changed it while it was pushed; compose the image again."
            )
        self._left -= len(data)
        self._told(len(data))
        return data


class BlobStream(io.RawIOBase):
    """The body of a response, which is checked while it is read."""

    def __init__(self, response: Response, host: str, digest: str, size: int, at_end: Callable[[], None]) -> None:
        self._response = response
        self._host, self._digest, self._size = host, digest, size
        self._sum = hashlib.new(digest.partition(":")[0])
        self._read = 0
        self._at_end = at_end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        from urllib3.exceptions import HTTPError

        try:
            data = self._response.raw.read(len(buffer), decode_content=False)
        except HTTPError as error:
            reason = root_cause(error)
            broken = self._problem(f"broke off after {self._read} of {self._size} bytes. Try again")
            raise broken from (None if is_of_requests(reason) else reason)
        self._read += len(data)
        self._sum.update(data)
        if not data and self._read < self._size:
            raise self._problem(f"ended after {self._read} of {self._size} bytes. Try again")
        # With the last byte, not after it: whoever knows the size does not ask for more.
        if self._read > self._size or (
            self._read == self._size and self._sum.hexdigest() != self._digest.partition(":")[2]
        ):
            raise self._problem(
                "is not what its digest says. It is not used; the registry, or what lies between, is broken"
            )
        buffer[: len(data)] = data
        return len(data)

    def _problem(self, what: str) -> RegistryProblem:
        return RegistryProblem(f"the blob {self._digest} from {self._host} {what}.", registry=self._host)

    def close(self) -> None:
        if not self.closed:
            self._response.close()
            self._at_end()
        super().close()

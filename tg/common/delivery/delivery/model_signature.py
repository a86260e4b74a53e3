"""A signature of a package file in the form of OpenSSF's model signing (OMS 1.0), for those who check models that way.

Beside the package's own signature, not in its place: no policy here asks for it. Made by OpenSSF's library, without any
network: `pip install 'training-grounds-delivery[model-signing]'`. It signs with elliptic curves of NIST and not with Ed25519,
so the key is another one.
"""

from __future__ import annotations

import os
import stat
from os import PathLike
from pathlib import Path
from typing import Any

from ..runtime.errors import DependencyProblem, TrustProblem
from .wheel import WheelReader

__all__ = ["write_model_signature"]


def write_model_signature(
    file: str | PathLike[str], private_key: str | PathLike[str], signature: str | PathLike[str] | None = None
) -> Path:
    """Write the signature of a package file, to `FILE.sig` unless named, and return where it is.

    `private_key` is in PEM, of the curve secp256r1, 384 or 521 (`openssl ecparam -name prime256v1 -genkey -noout`).
    Raises `PackageRejected` for a file that is not as it was made, `TrustProblem` for a key that cannot be used, and
    `DependencyProblem` where the library is not installed.
    """
    package, key = Path(file).absolute(), Path(private_key).expanduser().absolute()
    target = Path(signature) if signature is not None else package.with_name(f"{package.name}.sig")
    try:
        from model_signing.signing import Config
    except ImportError as error:
        raise DependencyProblem(
            "this signature needs OpenSSF's library: pip install 'training-grounds-delivery[model-signing]'",
            problems=(),
        ) from error
    try:
        mode = stat.S_IMODE(os.stat(key).st_mode)
    except OSError as error:
        raise TrustProblem(f"the private key {key} cannot be read: {error.strerror}.") from error
    if mode & 0o077:
        raise TrustProblem(f"the private key {key} can be read by others (mode {mode:04o}). chmod 600 {key}")
    with WheelReader(package) as wheel:
        wheel.check_seal()
    config: Any = Config
    try:
        config().use_elliptic_key_signer(private_key=key).sign(package, target)
    except (ValueError, TypeError, AttributeError) as error:
        raise TrustProblem(
            f"{key} cannot sign here: {error}. It has to be a key of the curve secp256r1, secp384r1 or secp521r1, in PEM."
        ) from error
    return target

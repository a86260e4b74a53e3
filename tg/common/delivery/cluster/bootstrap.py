"""The bootstrap: what an engine carries to its workers as text, so that they need no delivery installed.

It brings delivery itself to the worker, as the driver has it, under a name of its own: `tg_cluster_<digest>`. Everything in `tg` names
`tg` relatively, so it works under any name, beside a delivery that is installed there and beside those of other drivers. What is
done with a package then is `node.py` of that delivery, so both sides of a cluster are always of one version.

This file runs on workers as text, by `exec`, where nothing of ours is there yet: the standard library alone, and no relative import.
"""

from __future__ import annotations

import importlib
import io
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable
from typing import Any

__all__ = ["node_module", "private_name"]


def private_name(digest: str) -> str:
    """What the delivery of this digest is called on workers, as a module."""
    return f"tg_cluster_{digest[:16]}"


def node_module(digest: str, archive: Callable[[], Any]) -> Any:
    """The module `node` of the delivery with this digest, imported; `archive` gives its bytes where it is not yet here.

    Any number of processes of a node do this at once: each unpacks into a folder of its own, and one wins the rename.
    """
    node = f"{private_name(digest)}.tg.common.delivery.cluster.node"
    if node in sys.modules:
        return sys.modules[node]
    with zipfile.ZipFile(io.BytesIO(archive())) as files:
        namespace: dict[str, Any] = {"__name__": "tg_cluster_locations"}
        exec(files.read(f"{private_name(digest)}/tg/common/locations.py"), namespace)
        parent = os.fspath(namespace["Loc"].cluster)
        folder = os.path.join(parent, digest)
        if not os.path.isdir(folder):
            _unpack(files, parent, folder)
    if folder not in sys.path:
        sys.path.append(folder)
        importlib.invalidate_caches()
    return importlib.import_module(node)


def _unpack(files: zipfile.ZipFile, parent: str, folder: str) -> None:
    os.makedirs(parent, mode=0o700, exist_ok=True)
    temporary = tempfile.mkdtemp(prefix="tmp-", dir=parent)
    try:
        files.extractall(os.path.join(temporary, "delivery"))
        try:
            os.rename(os.path.join(temporary, "delivery"), folder)
        except OSError:
            if not os.path.isdir(folder):  # otherwise another process was first
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)

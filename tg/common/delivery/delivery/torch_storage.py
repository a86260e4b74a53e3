"""Torch's storages as buffers of the pickle: torch itself would write all their bytes into the stream.

A storage is loaded by `torch.frombuffer` on the mapped file, so loading a tensor reads none of it. The pickle refers
to torch and the standard library alone. Torch is never imported here: only who has a tensor has a storage.
"""

from __future__ import annotations

import functools
import operator
import pickle
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["StorageReducer"]


class StorageReducer:
    """What to write for a storage; one for each pickle, so that tensors that share memory share it when loaded."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, int], _Call] = {}

    def reduce(self, value: Any) -> Any:
        """The `__reduce__` value of a torch storage in the CPU's memory, `NotImplemented` for everything else."""
        if type(value).__module__ != "torch.storage":
            return NotImplemented
        torch = sys.modules["torch"]
        typed = type(value) is torch.storage.TypedStorage
        untyped = value._untyped_storage if typed else value
        if type(untyped) is not torch.storage.UntypedStorage or untyped.device.type != "cpu":
            return NotImplemented
        # The address alone does not tell: views of one array of numpy begin together and differ in length.
        memory = untyped.data_ptr(), untyped.nbytes()
        if untyped.nbytes() == 0:  # no buffer can be empty, and torch's own way writes an address into the pickle
            loaded = _Call(torch.UntypedStorage, 0)
        elif (known := self._seen.get(memory)) is not None:
            loaded = known
        else:
            loaded = self._seen[memory] = _loading(torch, untyped)
        if not typed:
            return operator.itemgetter(0), ((loaded,),)
        options = {"wrap_storage": loaded, "dtype": value.dtype, "_internal": True}
        return functools.partial(torch.storage.TypedStorage, **options), ()


class _Call:
    """Pickled as a call, and so loaded as what the call gives."""

    def __init__(self, function: Callable[..., Any], *args: Any, keep: object = None) -> None:
        self._reduced = function, args
        self._keep = keep

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._reduced


def _loading(torch: Any, untyped: Any) -> _Call:
    import ctypes

    memory = (ctypes.c_ubyte * untyped.nbytes()).from_address(untyped.data_ptr())
    from_buffer = functools.partial(torch.frombuffer, dtype=torch.uint8)
    tensor = _Call(from_buffer, pickle.PickleBuffer(memory), keep=untyped)
    return _Call(operator.methodcaller("untyped_storage"), tensor)

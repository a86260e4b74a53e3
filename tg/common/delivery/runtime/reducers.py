"""Reducers: how classes are pickled that have been registered with `copyreg`, in this process by whomever.

Importing Dask registers those of tblib, for every class of exceptions that there is and for tracebacks. What they write can be read
where tblib is, and nowhere else. Pickles of ours go elsewhere, so they are written as if tblib were not there.
"""

from __future__ import annotations

import copyreg
import pickle
import sys
from typing import IO, Any

__all__ = ["dump", "write_plainly"]


def write_plainly(pickler: pickle.Pickler) -> None:
    """Let a pickler that is new write what can be read without tblib."""
    if "tblib" in sys.modules:
        pickler.dispatch_table = {
            kind: reduce for kind, reduce in copyreg.dispatch_table.items() if not _is_of_tblib(reduce)
        }


def dump(value: Any, file: IO[bytes]) -> None:
    """`pickle.dump` with protocol 5, to be read anywhere. Raises what that raises."""
    pickler = pickle.Pickler(file, 5)
    write_plainly(pickler)
    pickler.dump(value)


def _is_of_tblib(reduce: Any) -> bool:
    function = getattr(reduce, "func", reduce)  # of a partial
    return str(getattr(function, "__module__", "")).partition(".")[0] == "tblib"

"""Whether modules parse, under the Python that runs."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["first_errors"]


def first_errors(modules: Sequence[tuple[str, bytes]]) -> list[tuple[int, str] | None]:
    """Line and message of the first error of each `(path, source)`, `None` for each that parses."""
    return [_first_error(path, source) for path, source in modules]


def _first_error(path: str, source: bytes) -> tuple[int, str] | None:
    try:
        compile(source, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        return error.lineno or 1, error.msg
    except (ValueError, RecursionError, MemoryError) as error:  # null bytes; nesting deeper than the parser goes
        return 1, str(error) or type(error).__name__
    return None

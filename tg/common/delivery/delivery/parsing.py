"""Whether a module parses. Also a program, which tells it of many: it imports little, so that it starts soon.

The paths of files come to its standard input, marshalled, and the answers leave by its output.
"""

from __future__ import annotations

import marshal
import symtable
import sys

__all__ = ["Place", "main", "syntax_error"]

Place = tuple[int, str]
"""A line, and what is wrong there."""


def syntax_error(path: str, source: bytes) -> Place | None:
    """The first error of a module, `None` when it parses."""
    try:
        symtable.symtable(source, path, "exec")  # type: ignore[arg-type]  # takes bytes as well, and heeds their encoding
    except SyntaxError as error:
        return error.lineno or 1, error.msg
    except (ValueError, RecursionError, MemoryError) as error:  # null bytes; nesting deeper than the parser goes
        return 1, str(error) or type(error).__name__
    return None


def main() -> None:
    """Answer for the files whose paths come by the standard input; `False` for one that cannot be read."""
    answers: list[Place | bool | None] = []
    for path in marshal.loads(sys.stdin.buffer.read()):
        try:
            with open(path, "rb", buffering=0) as file:
                answers.append(syntax_error(path, file.read()))
        except OSError:
            answers.append(False)
    sys.stdout.buffer.write(marshal.dumps(answers))


if __name__ == "__main__":
    main()

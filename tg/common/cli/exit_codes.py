"""Exit codes of `tg`, besides 0 and those that `tg check`, `tg run` and `tg doctor` have of their own: docs/command-line.md."""

REFUSED, USAGE, FAULT, INTERRUPTED, PIPE_CLOSED = 1, 2, 70, 130, 141

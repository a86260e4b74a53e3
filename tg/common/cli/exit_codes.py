"""Exit codes besides 0, told to users in docs/command-line.md."""

from __future__ import annotations

__all__ = ["FAULT", "FOUND_WRONG", "INTERRUPTED", "JOB_FAILED", "PIPE_CLOSED", "REFUSED", "USAGE"]

REFUSED = 1
"""Delivery refuses it, or something that it needs failed."""
USAGE = 2
"""The command line cannot be understood."""
JOB_FAILED = 3
"""The job ran and failed."""
FOUND_WRONG = 4
"""It was looked at, and something is wrong."""
FAULT = 70
"""What nobody has foreseen: EX_SOFTWARE of sysexits.h."""
INTERRUPTED = 130
"""128 + SIGINT."""
PIPE_CLOSED = 141
"""128 + SIGPIPE: whoever reads has seen enough."""

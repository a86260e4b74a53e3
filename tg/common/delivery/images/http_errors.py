"""What is below an error of requests and urllib3, whose own texts have whole addresses, which may be signed ones."""

from __future__ import annotations

__all__ = ["is_of_requests", "root_cause"]


def is_of_requests(error: BaseException) -> bool:
    """Whether an error is one of these two, and not of the system."""
    return type(error).__module__.partition(".")[0] in {"requests", "urllib3"}


def root_cause(error: BaseException) -> BaseException:
    """What is below an error of requests and urllib3. Their texts have whole addresses, which may be signed ones."""
    while is_of_requests(error):
        inner = error.__cause__ or error.__context__
        if inner is None:
            break
        error = inner
    return error

"""The few files that a package has beside source and resources: its two modules, and the metadata of a wheel."""

from __future__ import annotations

from .facts import PackageFacts

__all__ = ["init_text", "main_text", "wheel_metadata"]

_INIT = '''\
"""A package made by Training Grounds Delivery: an object, and the source it was written with.

`Entry` gives the payload: `from {uid} import Entry; Entry.load_resource("job")`. Plain Python reads it as well:

    buffers = [open(path, "rb").read() for path in sorted(glob("{uid}/resources/job.buffers/*"))]
    job = pickle.load(open("{uid}/resources/job", "rb"), buffers=buffers)
"""

__all__ = ["Entry"]


def __getattr__(name):
    if name != "Entry":
        raise AttributeError(f"module {{__name__!r}} has no attribute {{name!r}}")
    from .tg.common.delivery.runtime.entry_point import EntryPoint

    return EntryPoint.of_module(__name__)
'''
_DISTRIBUTIONS = """

from .tg.common.delivery.runtime.distributions import answer_for_packages

answer_for_packages()
"""
_MAIN = """\
from .tg.common.delivery.runtime.running import main

if __name__ == "__main__":
    raise SystemExit(main(__package__))
"""


def init_text(facts: PackageFacts, *, has_distributions: bool) -> bytes:
    """`UID/__init__.py`. The UID is an identifier, so it can stand in source as it is."""
    text = _INIT.format(uid=facts.module_name) + (_DISTRIBUTIONS if has_distributions else "")
    return text.encode()


def main_text() -> bytes:
    """`UID/__main__.py`."""
    return _MAIN.encode()


def wheel_metadata(facts: PackageFacts, description: str) -> dict[str, bytes]:
    """METADATA (core metadata 2.1) and WHEEL (PEP 427), by file name."""
    summary = " ".join(description.split()) or f"{facts.uid.name}, delivered with its source"
    headers = [
        ("Metadata-Version", "2.1"),
        ("Name", facts.uid.name),
        ("Version", facts.uid.version),
        ("Summary", summary),
        ("Requires-Python", facts.requires_python),
        *(("Requires-Dist", requirement) for requirement in facts.requirements()),
        ("Description-Content-Type", "text/plain"),
    ]
    body = f"{summary}.\n\nRun its job with `python -m {facts.module_name}`.\n"
    wheel = [
        ("Wheel-Version", "1.0"),
        ("Generator", "training-grounds-delivery"),
        ("Root-Is-Purelib", "true" if facts.tag.is_pure else "false"),
        ("Tag", str(facts.tag)),
    ]
    return {"METADATA": _message(headers, body), "WHEEL": _message(wheel, "")}


def _message(headers: list[tuple[str, str]], body: str) -> bytes:
    """Headers and a body, as mail has them: each value on one line, whatever blanks it was given with."""
    lines = [f"{name}: {' '.join(value.split())}\n" for name, value in headers]
    return "".join([*lines, *(["\n", body] if body else [])]).encode()

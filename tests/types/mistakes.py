"""What a type checker must find: each line says so with the rule of each checker. An ignore that is not needed is an error."""

from __future__ import annotations

from tg.common.delivery.delivery import Packaging, install_package_and_get_loader
from tg.common.delivery.execution import ProcessExecutor

Packaging("example_job", "0.0.0", "job")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Packaging("example_job", "0.0.0", {"job": print}, depends=["numpy"])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
entry_point = install_package_and_get_loader("x.whl")
text: str = entry_point.load_resource("job", dict[str, int])  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
entry_point.load_resource("job", "dict")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
entry_point.load_resources("job")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
number: int = ProcessExecutor().start("x.whl").result(list[int])  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
ProcessExecutor(memory=[])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

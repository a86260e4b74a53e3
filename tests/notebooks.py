"""Notebooks: a real kernel, and cells that are run in it as a notebook's user would."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from types import TracebackType
from typing import Any

from jupyter_client.manager import KernelManager
from projects import Project


class Notebook:
    """A kernel that is started in a project's empty folder; it ends with the `with`."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._manager = KernelManager(
            transport="ipc", connection_file=str(project.elsewhere / "kernel.json"), ip=str(project.elsewhere / "ipc")
        )

    def __enter__(self) -> Notebook:
        self._manager.start_kernel(env=self._project.environment(), cwd=str(self._project.elsewhere))
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)

    def interrupt(self) -> None:
        """What the stop button does."""
        self._manager.interrupt_kernel()

    def run(self, cell: str, *, fails: bool = False, seen: Callable[[str], object] = lambda drawn: None) -> str:
        """Run a cell and return what it printed, and where it is to fail the error.

        `seen` gets the HTML of each output that is drawn, and of each that is drawn anew, when it is.
        """
        shown: list[str] = []

        def take(message: dict[str, Any]) -> None:
            content = message["content"]
            drawn = content.get("data", {}).get("text/html")
            if drawn is not None:
                seen(drawn)
            if message["msg_type"] == "stream" and content["name"] == "stdout":
                shown.append(content["text"])
            elif message["msg_type"] == "error":
                shown.append(f"{content['ename']}: {content['evalue']}")

        answer = self._client.execute_interactive(textwrap.dedent(cell).strip("\n"), output_hook=take)
        assert (answer["content"]["status"] == "error") == fails, "".join(shown)
        return "".join(shown)

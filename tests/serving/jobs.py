"""The jobs that are served in these tests, as the source of a project."""

JOBS = '''
import logging
import os
import subprocess
import threading
import time
from typing import Annotated, Any

from pydantic import AfterValidator

log = logging.getLogger("tg.jobs")


def checked(values: list[float]) -> list[float]:
    return {len(values): values}[2]


class Versioned:
    """Says which version it is."""

    def __init__(self, version: str) -> None:
        self.version = version

    def run(self, value: int = 0, seconds: float = 0.0) -> dict[str, Any]:
        if seconds:
            time.sleep(seconds)
        return {"version": self.version, "value": value}


class Waiting(Versioned):
    """Answers when a file is there."""

    def run(self, file: str = "") -> str:
        print("waiting", flush=True)
        while file and not os.path.exists(file):
            time.sleep(0.01)
        return self.version


class Slow(Versioned):
    """Takes its time to warm up."""

    def __init__(self, version: str, seconds: float = 1.0) -> None:
        super().__init__(version)
        self.seconds = seconds

    def warm_up(self) -> None:
        time.sleep(self.seconds)


class Process(Versioned):
    """Says in which process it is, and ends it in any way that is wanted."""

    def run(self, end: str = "", seconds: float = 0.0) -> dict[str, Any]:
        if seconds:
            print("at work", flush=True)
            time.sleep(seconds)
        if end == "exit":
            print("about to exit", flush=True)
            os._exit(3)
        if end == "leave":
            subprocess.Popen(["sleep", "20"], start_new_session=True, close_fds=False)  # as `os.system` does
            os._exit(4)
        if end == "segfault":
            import ctypes

            ctypes.string_at(0)
        if end == "kill":
            os.kill(os.getpid(), 9)
        return {"version": self.version, "process": os.getpid(), "parent": os.getppid()}


class Dying:
    """Cannot live: its process ends when it has just been told to be ready. Its starts are lines of a file."""

    def __init__(self, starts: str) -> None:
        self.starts = starts

    def warm_up(self) -> None:
        with open(self.starts, "a") as file:
            print(time.monotonic(), file=file)
        threading.Timer(1, os._exit, [1]).start()

    def run(self) -> None:
        pass


class Doubled(Versioned):
    """Answers the same in all versions."""

    def run(self, value: int) -> int:
        return 2 * value


class Chatty(Versioned):
    """Gives big answers while a thread of its own logs without end."""

    def warm_up(self) -> None:
        def talk() -> None:
            while True:
                log.info("still here")

        threading.Thread(target=talk, daemon=True).start()

    def run(self, size: int) -> str:
        return "x" * size


class Strict(Versioned):
    """Answers in batches what its validator lets through, which raises what pydantic does not know."""

    batch_size = 4

    def run(self, values: Annotated[list[float], AfterValidator(checked)]) -> float:
        raise AssertionError

    def run_batch(self, items: list[dict[str, Any]]) -> list[float]:
        return [sum(item["values"]) for item in items]


class Logging(Versioned):
    def run(self, text: str) -> str:
        log.warning(f"asked for {text}")
        print(f"printed {text}", flush=True)
        return text


class Traced(Versioned):
    def run(self) -> dict[str, Any]:
        from opentelemetry import baggage, trace

        context = trace.get_current_span().get_span_context()
        return {
            "trace": format(context.trace_id, "032x"),
            "state": context.trace_state.to_header(),
            "baggage": dict(baggage.get_all()),
        }


class Failing(Versioned):
    """Goes wrong at the step that is named, before it can serve."""

    def __init__(self, version: str, step: str) -> None:
        super().__init__(version)
        self.step = step

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.step == "unpickle":
            raise RuntimeError("its state is of another time")
        if self.step == "exit":
            print("going down", flush=True)
            os._exit(7)

    def warm_up(self) -> None:
        log.info("warming up")
        if self.step == "warm_up":
            raise RuntimeError("no weights")
        if self.step == "hang":
            print("waiting for a device", flush=True)
            time.sleep(3600)


class Unimportable:
    """Is of a module that cannot be imported where it lands."""

    def __reduce__(self) -> Any:
        from tg.served import unimportable

        return unimportable.Job, ()


class Counting:
    """Says in which module it is, and how many of its jobs were asked in that."""

    asked = 0

    def run(self) -> list[Any]:
        Counting.asked += 1
        return [__name__, Counting.asked]


class Modules:
    def run(self) -> list[str]:
        import sys

        return sorted(sys.modules)


barrier = threading.Barrier(2)


class Meeting:
    """Two that are asked at once wait for each other."""

    def run(self) -> str:
        barrier.wait(timeout=1.9)
        return "met"


class Batching:
    batch_size = 8
    batch_window_seconds = 0.2

    def run(self, value: int) -> dict[str, int]:
        return {"value": value, "together": 1}

    def run_batch(self, items: list[dict[str, int]]) -> list[dict[str, int]]:
        return [{"value": item["value"], "together": len(items)} for item in items]


class Noting:
    """Says of each of its batches in a file when it begins and when it ends."""

    batch_size = 2

    def run(self, file: str, value: int, seconds: float = 0.0) -> None:
        raise AssertionError

    def run_batch(self, items: list[dict[str, Any]]) -> list[None]:
        for what in ("begun", "done"):
            for item in items:
                with open(item["file"], "a") as file:
                    print(what, item["value"], file=file)
            if what == "begun":
                time.sleep(max(item["seconds"] for item in items))
        return [None] * len(items)


class LoggingInBatches(Logging):
    batch_size = 2

    def run_batch(self, items: list[dict[str, Any]]) -> list[str]:
        return [self.run(**item) for item in items]


class Weighted(Versioned):
    """Has weights, and has looked at each of them."""

    def __init__(self, version: str, weights: Any) -> None:
        super().__init__(version)
        self.weights = weights

    def warm_up(self) -> None:
        self.weights.sum()


class Needing:
    """Says which version of a distribution it has found."""

    def run(self) -> str:
        import tg_needed

        return tg_needed.VERSION
'''

UNIMPORTABLE = """
import os

if os.environ.get("MAKES_PACKAGES") is None:
    import nowhere_to_be_found


class Job:
    def run(self) -> None: ...
"""

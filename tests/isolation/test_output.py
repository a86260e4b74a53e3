"""What the worker prints and logs is here, in order, when the call returns."""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tg.common.delivery.isolation.entry_point import IsolatedEntryPoint
from tg.common.delivery.runtime.errors import WorkerEnded

Isolate = Callable[..., IsolatedEntryPoint]

TALKING = """
import enum
import logging
import os
import subprocess
import sys
import threading

from tg.common import Logger

class Unknown:
    def __repr__(self):
        return "something"

class Stage(str, enum.Enum):
    TRAIN = "train"

class Step(enum.IntEnum):
    ONE = 1

class Job:
    def say(self, *lines):
        for line in lines:
            print(line)

    def begin(self, text):
        print(text, end="")

    def complain(self, text):
        print(text, file=sys.stderr)

    def write(self, data):
        sys.stdout.buffer.write(data)

    def descriptors(self):
        os.write(1, b"one\\n")
        os.write(2, b"two\\n")
        subprocess.run([sys.executable, "-c", "print('three')"], stdout=sys.stdout, check=True)
        subprocess.run([sys.executable, "-c", "print('four')"], check=True)

    def log(self, name, level, text, *values):
        logging.getLogger(name).log(level, text, *values)

    def log_unknown(self):
        logging.getLogger("mine").warning("%s", Unknown(), extra={"number": 7, "thing": Unknown()})

    def log_members(self):
        logging.getLogger("mine").warning("%s", Stage.TRAIN.value, extra={"stage": Stage.TRAIN, "step": Step.ONE, "is_last": True})

    def log_exception(self):
        try:
            1 / 0
        except ZeroDivisionError:
            logging.getLogger("mine").exception("it failed")

    def log_tg(self):
        print("before")
        Logger.info("between")
        print("after")

    def later(self, seconds):
        def wait_and_say():
            time.sleep(seconds)
            print("later")
        import time
        threading.Thread(target=wait_and_say).start()

    def log_later(self, name, seconds):
        def wait_and_log():
            time.sleep(seconds)
            logging.getLogger(name).warning("later")
        import time
        threading.Thread(target=wait_and_log).start()

    def write_without_end(self, threads):
        self.is_writing = True
        def write():
            while self.is_writing:
                os.write(1, b"x")
                print("x")
        for _ in range(threads):
            threading.Thread(target=write, daemon=True).start()

    def write_no_more(self):
        self.is_writing = False

    def warn(self):
        import warnings
        warnings.warn("be careful")
"""


@pytest.fixture
def job(isolate: Isolate) -> Any:
    return isolate(TALKING).load_resource("job")


@pytest.fixture
def records() -> Iterator[list[logging.LogRecord]]:
    """What the root logger gets."""
    found: list[logging.LogRecord] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record)

    handler = Handler()
    logging.getLogger().addHandler(handler)
    yield found
    logging.getLogger().removeHandler(handler)


def test_lines_go_to_the_streams_of_this_process(job: Any, capsys: pytest.CaptureFixture[str]) -> None:
    job.say("one", "two ä ✓")
    job.complain("oh")
    assert capsys.readouterr() == ("one\ntwo ä ✓\n", "oh\n")


def test_all_that_was_written_is_there_when_the_call_returns(job: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(200):
        job.say(number)
        assert capsys.readouterr().out == f"{number}\n"


def test_a_line_that_is_not_ended_is_there_too(job: Any, capsys: pytest.CaptureFixture[str]) -> None:
    job.begin("50 %")
    assert capsys.readouterr().out == "50 %"


def test_much_more_than_a_pipe_holds_crosses_in_order(job: Any, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"{number} {'x' * 1000}" for number in range(3000)]
    job.say(*lines)
    job.write("ä".encode() * 100_000)
    assert capsys.readouterr().out == "\n".join(lines) + "\n" + "ä" * 100_000


def test_what_is_written_behind_python_s_back_crosses(job: Any, capfd: pytest.CaptureFixture[str]) -> None:
    job.descriptors()
    out, err = capfd.readouterr()
    assert (out, err) == ("one\nthree\nfour\n", "two\n")


def test_records_are_handled_by_the_loggers_of_this_process(job: Any, records: list[logging.LogRecord]) -> None:
    job.log("mine", logging.WARNING, "%d of %s", 3, "four")
    [record] = records
    assert (record.name, record.levelname, record.getMessage()) == ("mine", "WARNING", "3 of four")
    assert (record.funcName, record.filename) == ("log", "job.py")
    assert record.process != os.getpid()


def test_records_cross_without_what_they_were_logged_with(job: Any, records: list[logging.LogRecord]) -> None:
    job.log_unknown()
    [record] = records
    assert record.getMessage() == "something"
    assert vars(record)["number"] == 7
    assert "thing" not in vars(record)


def test_members_of_enumerations_cross_as_what_they_are_members_of(job: Any, records: list[logging.LogRecord]) -> None:
    job.log_members()
    [record] = records
    told = [vars(record)[name] for name in ("stage", "step", "is_last")]
    assert told == ["train", 1, True]
    assert [type(one) for one in told] == [str, int, bool]


def test_a_traceback_that_was_logged_crosses_as_text(job: Any, records: list[logging.LogRecord]) -> None:
    job.log_exception()
    assert "ZeroDivisionError" in logging.Formatter().format(records[0])


def test_levels_of_this_process_decide(
    job: Any, records: list[logging.LogRecord], caplog: pytest.LogCaptureFixture
) -> None:
    job.log("mine", logging.INFO, "not shown")
    assert records == []
    with caplog.at_level(logging.DEBUG):
        job.log("mine", logging.DEBUG, "shown")
        logging.getLogger("theirs").setLevel(logging.ERROR)
        job.log("theirs", logging.WARNING, "not shown")
    logging.getLogger("theirs").setLevel(logging.NOTSET)
    assert [record.getMessage() for record in records] == ["shown"]


def test_a_record_larger_than_a_datagram_is_cut(job: Any, records: list[logging.LogRecord]) -> None:
    job.log("mine", logging.ERROR, "x" * 1_000_000)
    assert records[0].getMessage().startswith("xxx")
    assert records[0].getMessage().endswith(" […]")


def test_the_logger_of_jobs_writes_between_what_is_printed(
    job: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's, which `tg` would leave its lines to
    job.log_tg()
    before, between, after = capsys.readouterr().out.splitlines()
    assert (before, after) == ("before", "after")
    assert between.endswith(" INFO: between")


def test_a_line_of_another_thread_comes_between_calls(job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    came = threading.Event()

    class Stream:
        def write(self, text: str) -> None:
            if "later" in text:
                came.set()

        def flush(self) -> None:
            pass

    monkeypatch.setattr(sys, "stdout", Stream())
    job.later(0.2)
    came.wait()


def test_a_record_that_shows_a_proxy_whose_worker_logs_is_written(isolate: Isolate) -> None:
    job = isolate("""
        import logging
        class Job:
            def __repr__(self):
                logging.getLogger("mine").warning("shown")
                return "a job"
    """).load_resource("job")
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    logging.getLogger().addHandler(handler)
    try:
        logging.getLogger("mine").warning("here is %s", job)
        assert repr(job) == "a job"
    finally:
        logging.getLogger().removeHandler(handler)
    assert set(text.getvalue().splitlines()) == {"here is a job", "shown"}


def test_a_stream_that_is_closed_or_missing_takes_no_call_down(job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert job.say("nobody hears it") is None
    with open("/dev/null", "w") as closed:
        pass
    monkeypatch.setattr(sys, "stdout", closed)
    assert job.say("nobody hears it") is None


def test_warnings_are_lines_of_the_standard_error(job: Any, capsys: pytest.CaptureFixture[str]) -> None:
    job.warn()
    assert "UserWarning: be careful" in capsys.readouterr().err


class _Broken(logging.Handler):
    """Raises, as handlers of records should not."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def emit(self, record: logging.LogRecord) -> None:
        raise self.error


@pytest.mark.parametrize("error", [RuntimeError("out of order"), SystemExit(1)], ids=["error", "exit"])
def test_a_handler_that_raises_stops_neither_the_output_nor_the_worker(
    job: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException
) -> None:
    told = threading.Event()
    came = threading.Event()

    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            if "later" in text:
                came.set()
            return len(text)

    class Telling(_Broken):
        def emit(self, record: logging.LogRecord) -> None:
            told.set()
            super().emit(record)

    monkeypatch.setattr(threading, "excepthook", lambda _: None)  # pytest's, to which it is a failure
    handler = Telling(error)
    logging.getLogger("mine").addHandler(handler)
    try:
        job.log_later("mine", 1)  # which nobody but the thread takes in
        told.wait()
    finally:
        logging.getLogger("mine").removeHandler(handler)
    monkeypatch.setattr(sys, "stdout", Stream())
    job.later(0.2)
    came.wait()


def test_what_a_handler_raises_takes_no_call_down(job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda told: found.append(told.exc_type))
    handler = _Broken(RuntimeError("out of order"))
    logging.getLogger("mine").addHandler(handler)
    try:
        for _ in range(20):
            assert job.log("mine", logging.WARNING, "a line") is None
    finally:
        logging.getLogger("mine").removeHandler(handler)
    assert found == [RuntimeError] * 20


def test_a_call_returns_though_a_thread_of_the_worker_writes_without_end(
    job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(io.StringIO):
        def write(self, text: str) -> int:
            time.sleep(0.0001)
            return len(text)

    monkeypatch.setattr(sys, "stdout", Slow())
    job.write_without_end(2)
    for _ in range(3):
        job.say("one")
    job.write_no_more()


def test_a_line_that_never_ends_is_not_kept(isolate: Isolate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    job = isolate("""
        import os, sys
        class Job:
            def run(self):
                for number in range(10_000):
                    sys.stderr.write(f"\\r{number:8} of 10000 done")
                    sys.stderr.flush()
                os._exit(3)
    """).load_resource("job")
    with pytest.raises(WorkerEnded) as raised:
        job.run()
    assert raised.value.stderr.endswith("9999 of 10000 done")
    assert len(raised.value.stderr) < 10_000


def test_a_stream_that_cannot_encode_a_line_has_it_escaped(job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    job.say("two ä")
    assert stream.buffer.getvalue() == b"two \\xe4\n"  # type: ignore[attr-defined]


def test_a_root_logger_that_shows_everything_gets_everything(job: Any, records: list[logging.LogRecord]) -> None:
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.NOTSET)
    try:
        job.log("mine", logging.DEBUG, "shown")
    finally:
        root.setLevel(before)
    job.log("mine", logging.DEBUG, "not shown")
    assert [record.getMessage() for record in records] == ["shown"]

"""Clients in a loop: each answer is kept with when it was asked for, when it came, its status and which version gave it.

python -m benchmarks.clients HOST:PORT PATH BODY CONNECTIONS FILE

Runs until its standard input is closed, in one thread; then FILE has a line for each request: asked, answered (seconds of
CLOCK_MONOTONIC, which all processes of a machine share), status (0 where the connection broke), version by header, body.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from httptools import HttpParserError, HttpResponseParser

from .samples import REPOSITORY

LAST_ANSWERS_SECONDS = 20  # what has not come then counts as failed


class Answer(NamedTuple):
    asked: float
    answered: float
    status: int
    version: str
    body: str

    @property
    def milliseconds(self) -> float:
        return 1000 * (self.answered - self.asked)


class Answers(list[Answer]):
    """What the clients got."""

    def percentile(self, share: float) -> float:
        """A quantile of the latency, in milliseconds."""
        ordered = sorted(one.milliseconds for one in self)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def failed(self) -> int:
        return sum(one.status != 200 for one in self)


@contextmanager
def clients(address: str, path: str, body: str, connections: int, file: Path) -> Iterator[Answers]:
    """Clients that ask for as long as the block runs; what they got is there afterwards."""
    command = [sys.executable, "-m", "benchmarks.clients", address, path, body, str(connections), str(file)]
    answers = Answers()
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=REPOSITORY) as process:
        yield answers
        process.communicate(timeout=60)
    for line in file.read_text(encoding="utf-8").splitlines():
        asked, answered, status, version, text = line.split("\t")
        answers.append(Answer(float(asked), float(answered), int(status), version, text))


class Reply:
    """What a parser of HTTP tells of one answer."""

    def __init__(self) -> None:
        self.ended = False
        self.version = ""
        self.body = b""
        self.status = 0
        self.keeps_alive = False
        self.parser = HttpResponseParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-tg-version":
            self.version = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.status = self.parser.get_status_code()
        self.keeps_alive = self.parser.should_keep_alive()  # once the answer has ended, it says no

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.ended = True


async def ask(host: str, port: int, request: bytes, found: list[Answer], stopped: asyncio.Event) -> None:
    writer = None
    while not stopped.is_set():
        asked = time.monotonic()
        reply = Reply()
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection(host, port)
            writer.write(request)
            while not reply.ended:
                if not (data := await reader.read(1 << 16)):
                    raise ConnectionResetError("the connection ended")
                reply.parser.feed_data(data)
            body = reply.body.decode(errors="replace")
            found.append(Answer(asked, time.monotonic(), reply.status, reply.version, body))
        except (OSError, HttpParserError) as error:
            found.append(Answer(asked, time.monotonic(), 0, "", repr(error)))
            reply.keeps_alive = False
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            found.append(Answer(asked, time.monotonic(), 0, "", "no answer"))
            break
        if writer is not None and not reply.keeps_alive:
            writer.close()
            writer = None
    if writer is not None:
        writer.close()


async def main(address: str, path: str, body: str, connections: str, file: str) -> None:
    host, _, port = address.partition(":")
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    found: list[Answer] = []
    stopped = asyncio.Event()
    asking = [
        asyncio.create_task(ask(host, int(port), (head + body).encode(), found, stopped))
        for _ in range(int(connections))
    ]
    await asyncio.to_thread(sys.stdin.read)
    stopped.set()
    _, waiting = await asyncio.wait(asking, timeout=LAST_ANSWERS_SECONDS)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*asking)
    lines = "".join("\t".join([*map(repr, one[:2]), str(one.status), one.version, one.body]) + "\n" for one in found)
    Path(file).write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

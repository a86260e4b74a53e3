"""A model is served, and swapped for a better one while it is asked.

    python serve.py [--stay]

A delivered job trains a model on the time of departure alone; a server takes it. Another is trained with the route and the
weather, gets a quarter of the requests first, then all of them, with clients asking all the while; a third, which does not
answer as it was recorded, gets none. Nothing is left of it all but what it prints; with --stay the server stays, with clients that
ask it, so that its page can be looked at, until Enter or Ctrl-C. Ends with an error when anything shown is not so.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from demo import PROJECT, console, environment_with, output_of, require, say, step
from rich import box
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from tg.common.delivery.runtime.errors import ServerProblem
from tg.common.delivery.serving.client import ServerClient

NAME = "flights_model"
CLIENTS = 4
SECONDS = 2.0
PATIENCE_SECONDS = 60.0


def main() -> None:
    parser = argparse.ArgumentParser(description="A model is served, and swapped for a better one while it is asked.")
    parser.add_argument("--stay", action="store_true", help="keep the server, to look at its page")
    stay = parser.parse_args().stay
    sys.stdout.reconfigure(errors="replace")  # a terminal that has no ✓
    started = time.perf_counter()
    console.print("[bold]A model is served, and swapped for a better one while it is asked[/]")
    with tempfile.TemporaryDirectory(prefix="flights-serve-") as temporary:
        demonstrate(Path(temporary), stay)
    console.print()
    say(f"{time.perf_counter() - started:.0f} s in all. The server has ended, and all that it kept is gone.")


def demonstrate(temporary: Path, stay: bool) -> None:
    environment = environment_with(TG_HOME=temporary / "home", PYTHONPATH=PROJECT.parents[1])

    with step(
        1, "A delivered job trains a model on the time of departure; the model is packaged as flights_model 1.0.0"
    ):
        first = train("1.0.0", ["time"], temporary, environment)
        say_trained(first)

    with running_server(temporary, environment) as server:
        with step(2, "tg serve, tg deploy: the model is behind HTTP"):
            say(
                tg("deploy", str(first.package), "--to", server.management, environment=environment, token=server.token)
            )
            ask_once(server, first.questions[0]["flight"])
        swap(first, server, temporary, environment)
        if stay:
            stay_until_told(server, first.questions)


def stay_until_told(server: Server, questions: list[dict[str, Any]]) -> None:
    """Have clients go on, so that there is something to see on the page."""
    with step(8, "Its page: charts by version, the difference of their source, traffic and rollback with one click"):
        say(f"[cyan]{server.management}/#/{NAME}[/]")
        say(f"token: [cyan]{server.token}[/]")
        say("[dim]Enter or Ctrl-C ends it[/]")
        with asking(server, questions), contextlib.suppress(KeyboardInterrupt):
            sys.stdin.readline()


def ask_once(server: Server, flight: dict[str, Any]) -> None:
    address = f"{server.address}/{NAME}"
    answer = requests.post(address, json={"flight": flight}, timeout=PATIENCE_SECONDS)
    require(answer.headers.get("x-tg-version") == "1.0.0", f"the answer is not from 1.0.0: {answer.text}")
    say(f"[dim]POST {address}[/]")
    say(f"[dim]{escape(json.dumps({'flight': flight}))}[/]")
    say(f"[cyan]{escape(answer.text)}[/]")
    wrong = requests.post(address, json={"flight": {**flight, "origin": "SFO"}}, timeout=PATIENCE_SECONDS)
    require(wrong.status_code == 422, f"a flight from San Francisco is answered with {wrong.status_code}")
    problem = wrong.json()["problems"][0]
    say(
        f"From San Francisco? [yellow]{wrong.status_code}[/] [dim]{escape('.'.join(problem['place']))}: {escape(problem['problem'])}[/]"
    )
    described = requests.get(f"{server.address}/openapi.json", timeout=PATIENCE_SECONDS).json()
    require(f"/{NAME}" in described["paths"], "the description does not have the model")
    say("Its type hints say what it takes and gives: /docs shows that, and /v2 speaks the Open Inference Protocol")


def swap(first: Trained, server: Server, temporary: Path, environment: dict[str, str]) -> None:
    client = ServerClient(server.management, token=server.token)

    with step(3, "A better one is trained, with the route and the weather: flights_model 1.1.0"):
        second = train("1.1.0", ["time", "route", "weather"], temporary, environment)
        say_trained(second)
        require(second.log_loss < first.log_loss, "it is no better")

    with asking(server, first.questions) as asked:
        with step(4, f"{CLIENTS} clients ask without a pause, and 1.1.0 gets a quarter of their requests: canary"):
            wait_for(lambda: len(asked.answers) > 100)
            done = client.deploy(second.package, mode="canary", share=25)
            require(done["traffic"]["weights"] == {"1.0.0": 75, "1.1.0": 25}, f"the traffic is {done['traffic']}")
            say(f"It was ready after {1000 * done['seconds']['in all']:.0f} ms; {done['lines'][-2]}")
            began = len(asked.answers)
            time.sleep(SECONDS)
            answers = asked.answers[began:]
            require({one.version for one in answers} == {"1.0.0", "1.1.0"}, "not both have answered")
            say_answers(answers)

        with step(5, "1.1.0 becomes live, in one step; what is under way ends on the version it began with"):
            client.direct(NAME, {"1.1.0": 100})
            moved = time.perf_counter()
            time.sleep(SECONDS)
            answers = [one for one in asked.answers if one.at > moved]
            require({one.version for one in answers} == {"1.1.0"}, "another version has answered since")
            say_answers(answers)

        with step(6, "1.2.0 is a mistake: another model, with the recorded answers of the one before"):
            refused = mistaken(second, temporary, environment, client)
            say(f"[yellow]refused[/]  [dim]{escape(refused)}[/]")
            require("recorded" in refused, "it is refused for another reason")
            began = len(asked.answers)
            wait_for(lambda: len(asked.answers) > began + 100)
            require({one.version for one in asked.answers[began:]} == {"1.1.0"}, "it has answered")

    with step(7, "What the server says"):
        say_status(client.status())
        require(not asked.failures, f"{len(asked.failures)} requests have failed, the first with {asked.failures[:1]}")
        count = Counter(one.version for one in asked.answers)
        told = ", ".join(f"{version} has answered {number:,}" for version, number in sorted(count.items()))
        say(f"[green]✓[/] {len(asked.answers):,} requests were sent while all this went on. None has failed; {told}")


@dataclass(frozen=True)
class Trained:
    """A model, and how well it does on all flights that it has not seen."""

    package: Path
    log_loss: float
    log_loss_of_the_mean: float
    questions: list[dict[str, Any]]


@dataclass(frozen=True)
class Server:
    address: str
    management: str
    token: str


@dataclass(frozen=True)
class Answer:
    version: str
    likely: float
    late: bool
    at: float
    """When it was asked, by `time.perf_counter`."""
    seconds: float


class Asked:
    """What clients were answered; a failure is what came in place of an answer."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.failures: list[str] = []


def train(version: str, features: list[str], temporary: Path, environment: dict[str, str]) -> Trained:
    folder = temporary / version
    printed = output_of([sys.executable, "train.py", version, str(folder), *features], PROJECT, environment)
    told = json.loads((folder / "questions.json").read_text())
    return Trained(Path(printed.splitlines()[-1]), **told)


def mistaken(second: Trained, temporary: Path, environment: dict[str, str], client: ServerClient) -> str:
    """Deploy a model with the samples of another one. What the server says to that."""
    code = """
import sys
from tg.common.delivery.delivery import Packaging, install_package_and_get_loader

right = install_package_and_get_loader(sys.argv[1], silent=True)
job = right.load_resource("job")
wrong = type(job)(job.features, job.intercept - 1, job.weights)
packaging = Packaging("flights_model", "1.2.0", {"job": wrong, "samples": right.load_resource("samples")})
packaging.silent = True
packaging.make_package(sys.argv[2])
print(packaging.package_location)
"""
    command = [sys.executable, "-c", code, str(second.package), str(temporary / "1.2.0")]
    file = Path(output_of(command, temporary, environment).splitlines()[-1])
    try:
        client.deploy(file)
    except ServerProblem as problem:
        return str(problem)
    return "it is live"


@contextmanager
def running_server(temporary: Path, environment: dict[str, str]) -> Iterator[Server]:
    """`tg serve`, until the block ends."""
    folder, log = temporary / "server", temporary / "server.log"
    port, management_port = free_ports()
    command = [sys.executable, "-m", "tg.common.cli", "serve", "--store", str(folder)]
    command += ["--port", str(port), "--management-port", str(management_port)]
    with log.open("wb") as opened:
        process = subprocess.Popen(command, env=environment, cwd=temporary, stdout=opened, stderr=opened)
    try:
        management = f"http://127.0.0.1:{management_port}"
        wait_for(lambda: process.poll() is not None or is_ready(management))
        require(process.poll() is None, f"the server has ended:\n{log.read_text()}")
        yield Server(f"http://127.0.0.1:{port}", management, (folder / "token").read_text("ascii"))
    finally:
        process.terminate()
        process.wait()


@contextmanager
def asking(server: Server, questions: list[dict[str, Any]]) -> Iterator[Asked]:
    """Clients that ask one question after the other, until the block ends."""
    asked, stop = Asked(), threading.Event()

    def client(first: int) -> None:
        with requests.Session() as session:
            at = first
            while not stop.is_set():
                question = questions[at % len(questions)]
                at += 1
                started = time.perf_counter()
                try:
                    answer = session.post(
                        f"{server.address}/{NAME}", json={"flight": question["flight"]}, timeout=PATIENCE_SECONDS
                    )
                    answer.raise_for_status()
                    version, likely = answer.headers["x-tg-version"], answer.json()["late"]
                except (requests.RequestException, KeyError) as error:
                    asked.failures.append(str(error))
                    continue
                asked.answers.append(Answer(version, likely, question["late"], started, time.perf_counter() - started))

    threads = [
        threading.Thread(target=client, args=(place * len(questions) // CLIENTS,), daemon=True)
        for place in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    try:
        yield asked
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def tg(*arguments: str, environment: dict[str, str], token: str) -> str:
    command = [sys.executable, "-m", "tg.common.cli", *arguments]
    return escape(output_of(command, PROJECT, {**environment, "TG_TOKEN": token}).strip())


def say_trained(trained: Trained) -> None:
    size = trained.package.stat().st_size / 1000
    say(
        f"[cyan]{trained.package.name}[/]  {size:.0f} kB, with {len(trained.questions)} flights and its answers as samples"
    )
    say(
        f"log loss on two months that it has not seen: [bold]{trained.log_loss:.4f}[/]; "
        f"{trained.log_loss_of_the_mean:.4f} for who says how many are late on average"
    )


def say_answers(answers: list[Answer]) -> None:
    """What each version has answered, and how far that was from what came of the flights."""
    by_version = defaultdict(list)
    for one in answers:
        by_version[one.version].append(one)
    table = new_table("version", "answers", "share", "median ms", "log loss")
    for version, its in sorted(by_version.items()):
        loss = -sum(math.log(one.likely if one.late else 1 - one.likely) for one in its) / len(its)
        median = 1000 * sorted(one.seconds for one in its)[len(its) // 2]
        table.add_row(version, f"{len(its):,}", f"{len(its) / len(answers):.0%}", f"{median:.1f}", f"{loss:.3f}")
    console.print(Padding(table, (0, 0, 0, 3)))


def say_status(status: dict[str, Any]) -> None:
    known = status["names"][NAME]
    states = {one["version"]: one["state"] for one in known["versions"]}
    require(known["traffic"]["weights"] == {"1.1.0": 100}, f"the traffic is {known['traffic']}")
    require(known["previous"] == "1.0.0", f"`tg rollback` would go to {known['previous']}")
    require(states["1.1.0"] == states["1.0.0"] == "ready", f"the states are {states}")
    table = new_table("version", "state", "gets", "source")
    for one in reversed(known["versions"]):
        weight = known["traffic"]["weights"].get(one["version"], 0)
        table.add_row(one["version"], one["state"], f"{weight} %", one["source"][:12])
    console.print(Padding(table, (0, 0, 0, 3)))
    say(f"1.0.0 stays ready: `tg rollback {NAME}` would bring it back at once")


def new_table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 3))
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place else "left")
    return table


def is_ready(management: str) -> bool:
    try:
        return requests.get(f"{management}/health/ready", timeout=PATIENCE_SECONDS).ok
    except requests.ConnectionError:
        return False


def wait_for(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not true():
        require(time.monotonic() < end, f"nothing has come of it in {PATIENCE_SECONDS:g} s")
        time.sleep(0.02)


def free_ports() -> list[int]:
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in (one, other)]


if __name__ == "__main__":
    main()

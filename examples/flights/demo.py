"""The demonstration: a job is delivered, changed, and delivered again; then both versions run side by side.

    python demo.py [FOLDER]

What the jobs write goes to FOLDER, or to a new temporary folder. Nothing in this project, and no installed package of
yours, is touched. Ends with an error when anything shown is not so.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

PROJECT = Path(__file__).resolve().parent
CHANGED_FILE = "tg/flights/lateness.py"
OLD_LINE = 'late = flights["dep_delay"] >= self.from_minutes'
NEW_LINE = 'late = (flights["dep_delay"] >= self.from_minutes) | flights["cancelled"]'

console = Console(highlight=False, soft_wrap=True)  # without colours where NO_COLOR is set


def main(folder: str | None = None) -> None:
    sys.stdout.reconfigure(errors="replace")  # a terminal that has no ✓
    started = time.perf_counter()
    results = Path(folder).resolve() if folder else Path(tempfile.mkdtemp(prefix="flights-demo-"))
    results.mkdir(parents=True, exist_ok=True)
    console.print("[bold]A job is delivered, changed, and delivered again[/]")
    with tempfile.TemporaryDirectory(prefix="flights-") as temporary:
        demonstrate(Path(temporary), results)
    console.print()
    say(f"[bold]Look at[/] the two delays.png in [cyan]{escape(str(results / 'flights-output'))}[/]")
    say(f"{time.perf_counter() - started:.0f} s in all. That folder is yours to delete; all else is gone.")


def demonstrate(temporary: Path, results: Path) -> None:
    environment = environment_with(TG_HOME=temporary / "home")
    project = temporary / "project"

    with step(1, "A project: a job in tg/, and things beside it that are nobody else's business"):
        shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("__pycache__", "flights-output", "dist"))
        for name in ("tg/flights", "data", "notes"):
            files = sorted(file.name for file in (project / name).iterdir())
            shown = f"{len(files)} files, a noun each" if len(files) > 3 else ", ".join(files)
            say(f"{name + '/':<12} {shown}")

    with step(2, "deliver.py makes it a package, flights 1.0.0"):
        first = deliver(project, "1.0.0", environment)
        say_contents(first)
        require_nothing_private_in(first, project)
        say("[green]✓[/] nothing of data/ and notes/ is in it")

    with step(3, "A fresh process has the package only, and runs it"):
        alone = temporary / "alone"
        report = receive([f"{first}:job", f"{first}:simple_job"], alone, temporary, environment)
        require(report["tg.flights"] is None, f"tg.flights is found there: {report['tg.flights']}")
        require(
            not any(Path(one).is_relative_to(project) for one in report["path"]), "the project is on the path there"
        )
        say("[green]✓[/] no tg.flights there, nor the project's path")
        for line in report["log"]:
            say(f"[dim]{escape(line)}[/]")
        composed, simple = report["runs"]
        for run in (composed, simple):
            say(f"{run['class']}  {run['seconds']:.1f} s")
        require(composed["result"]["digest"] == simple["result"]["digest"], "the two ways of writing the job differ")
        say("[green]✓[/] small steps or all in one run: the same files, byte for byte")

    with step(4, "One line is changed, and delivered as flights 1.1.0: no commit, no tag, no publish"):
        change(project / CHANGED_FILE)
        say("A cancelled flight has no delay, so it counted as punctual. From now on it is late.")
        say(f"[dim]{CHANGED_FILE}[/]")
        say(f"[red]- {escape(OLD_LINE)}[/]")
        say(f"[green]+ {escape(NEW_LINE)}[/]")
        second = deliver(project, "1.1.0", environment)
        say_contents(second)
        require_nothing_private_in(second, project)

    with step(5, "One process, both versions"):
        report = receive([f"{first}:job", f"{second}:job"], results, temporary, environment)
        before, after = report["runs"]
        require(before["result"]["digest"] == composed["result"]["digest"], "1.0.0 is not what it was")
        require(before["result"]["late_share"] < after["result"]["late_share"], "the change has changed nothing")
        console.print(Padding(comparison(before, after, results), (0, 0, 0, 3)))
        say("[green]✓[/] 1.0.0 gives what it gave before the change, byte for byte")


def deliver(project: Path, version: str, environment: dict[str, str]) -> Path:
    run = [sys.executable, "deliver.py", version, str(project / "dist")]
    return Path(output_of(run, project, environment).splitlines()[-1])


def receive(wanted: list[str], folder: Path, temporary: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Run resources in a fresh process whose current folder is `folder`.

    -I: neither that folder, nor the script's, nor PYTHONPATH is on its path.
    """
    folder.mkdir(exist_ok=True)
    script = str(shutil.copy(PROJECT / "receive.py", temporary))
    report = temporary / "report.json"
    log = output_of([sys.executable, "-I", script, str(report), *wanted], folder, environment)
    return {**json.loads(report.read_text()), "log": log.splitlines()}


def change(file: Path) -> None:
    text = file.read_text()
    require(text.count(OLD_LINE) == 1, f"{file} no longer has the line that this demonstration changes: {OLD_LINE}")
    file.write_text(text.replace(OLD_LINE, NEW_LINE))


def say_contents(package: Path) -> None:
    """All that a package holds, in short."""
    with zipfile.ZipFile(package) as opened:
        members = [name.split("/") for name in opened.namelist()]
    payload = [member[2] for member in members if member[1] == "resources"]
    sources = Counter(f"tg/{member[2]}" for member in members if member[1] == "tg" and len(member) > 3)
    rest = len(members) - len(payload) - sources.total()
    say(f"[cyan]{package.name}[/]  {package.stat().st_size / 1000:.0f} kB")
    files = ", ".join(f"{room} {number} files" for room, number in sorted(sources.items()))
    say(f"payload {', '.join(payload)}; {files}; {rest} of metadata")


def require_nothing_private_in(package: Path, project: Path) -> None:
    """No file that lies beside tg/ is in the package, whole or in part, under any name."""
    private = [line for folder in ("data", "notes") for file in (project / folder).iterdir() for line in lines_of(file)]
    with zipfile.ZipFile(package) as opened:
        for member in opened.namelist():
            content = opened.read(member)
            for line in private:
                require(line not in content, f"{member} has a line of data/ or notes/: {line!r}")


def lines_of(file: Path) -> list[bytes]:
    return [line for line in file.read_bytes().splitlines() if line.strip()]


def comparison(before: dict[str, Any], after: dict[str, Any], results: Path) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 3))
    table.add_column("")
    for run in (before, after):
        table.add_column(run["uid"], justify="right")
    rows = {
        "flights": lambda result: f"{result['rows']:,}",
        "columns": lambda result: f"{len(result['columns'])}",
        "cancelled": lambda result: f"{result['cancelled']:,}",
        "late": lambda result: f"{result['late_share']:.1%}",
        "late in fair weather": lambda result: f"{result['late_share_fair_weather']:.1%}",
        "late in bad weather": lambda result: f"{result['late_share_bad_weather']:.1%}",
        "digest of its files": lambda result: result["digest"][:12],
        "written to": lambda result: str(folder_of(result)),
    }
    for name, value in rows.items():
        old, new = value(before["result"]), value(after["result"])
        table.add_row(name, old, new if new == old or name == "written to" else f"[bold cyan]{new}[/]")
    for file in before["result"]["files"]:
        relative = Path(file).relative_to(folder_of(before["result"]))
        sizes = [(results / folder_of(run["result"]) / relative).stat().st_size for run in (before, after)]
        table.add_row(f"  {relative}", *(f"{size / 1e6:.1f} MB" for size in sizes), style="dim")
    return table


def folder_of(result: dict[str, Any]) -> Path:
    """Where its files are, in the folder where it ran."""
    return Path(os.path.commonpath(result["files"]))


def output_of(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    require(done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def environment_with(**more: Path) -> dict[str, str]:
    """This environment, and the store in a folder of ours: the user's store is not for demonstrations."""
    return {**os.environ, **{name: str(value) for name, value in more.items()}}


@contextmanager
def step(number: int, title: str) -> Iterator[None]:
    console.print(f"\n[bold cyan]{number}[/] [bold]{title}[/]")
    started = time.perf_counter()
    yield
    say(f"[dim]{time.perf_counter() - started:.1f} s[/]")


def say(text: str) -> None:
    console.print(f"   {text}")


def require(true: bool, otherwise: str) -> None:
    if not true:
        raise SystemExit(f"\nThe demonstration has failed: {otherwise}")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Packages on clusters that are warm: a new version, many items, a big payload; and how the cost grows, with a picture."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from .sample_cluster import BATCH, JOB, WORKERS
from .samples import Measure, median_measure, ratio_measure, sample
from .trees import SIZES, make_tree

ENGINES = ("dask", "ray")
"""Each has its reaches below, and its cluster in `<engine>_cluster.py`."""

NEW_MS = {"dask": 120, "ray": 150}
NODES = (1, 2, 3)
ITEMS = (1_000, 10_000, 100_000)
PICTURE = Path(__file__).with_name("clusters.svg")


def measure(rounds: int, *, quick: bool = False) -> Iterator[Measure]:
    for engine in ENGINES:
        yield from _new_version(engine, rounds)
        yield from _items(engine, rounds)
        yield from _payload(engine, 2 if quick else rounds)
        yield from _growth(engine, rounds, quick=quick)


def _new_version(engine: str, rounds: int) -> list[Measure]:
    with _project(SIZES[0]) as (project, home):
        taken = _sample(engine, "new", project, home, str(project), str(3 * rounds), "1")
    how = f"{SIZES[0]} modules, one line changed; from make_package() on"
    name = f"{engine.title()}: a new version, to its first result"
    rows = [median_measure(name, "ms", [1000 * one for one in taken["first"]], NEW_MS[engine], how)]
    if taken["plain"]:
        pairs = list(zip(taken["first"], taken["plain"], strict=True))
        how = ", with `py_modules`, a zip of the tree"
        rows.append(ratio_measure(f"{name}, once more", "a new runtime_env", 1 / 20, pairs, detail=how))
    return rows


def _items(engine: str, rounds: int) -> list[Measure]:
    with _project(SIZES[0]) as (project, home):
        taken = _sample(engine, "map", project, home, str(3 * rounds), "10000", "1")
    name = f"{engine.title()}: a map over 10,000 tiny items"
    how = f", in batches of {BATCH}"
    return [ratio_measure(name, "plain tasks", 1.1, taken["pairs"], detail=how)]


def _payload(engine: str, rounds: int) -> list[Measure]:
    with _project(SIZES[0]) as (project, home):
        taken = _sample(engine, "payload", project, home, str(rounds))
    workers = [count for count, _ in taken["resident"]]
    return [
        median_measure(
            f"{engine.title()}: 256 MiB payload, {WORKERS} workers of a node",
            "MiB resident",
            [mib for _, mib in taken["resident"]],
            256 * 1.05,
            f"the shares (Pss) of {min(workers)} to {max(workers)} processes together",
        ),
        ratio_measure(
            f"{engine.title()}: the same, to a first result",
            "the array by itself",
            1.2 if engine == "ray" else None,
            taken["pairs"],
        ),
    ]


def _growth(engine: str, rounds: int, *, quick: bool) -> list[Measure]:
    rows, curves = [], {}
    for size in SIZES[:1] if quick else SIZES:
        for nodes in NODES[:1] if quick else NODES:
            with _project(size) as (project, home):
                taken = _sample(engine, "new", project, home, str(project), str(rounds), str(nodes))
            values = [1000 * one for one in taken["each"]]
            curves[f"{size:,} modules", nodes] = median(values)
            name = f"{engine.title()}: {size} modules, {nodes} node{'s' * (nodes > 1)}"
            rows.append(median_measure(name, "ms", values, None, "a new version, to a result of each node"))
    for nodes in NODES[:1] if quick else NODES:
        for items in ITEMS[:2] if quick else ITEMS:
            with _project(SIZES[0]) as (project, home):
                taken = _sample(engine, "map", project, home, str(rounds), str(items), str(nodes))
            values = [ours for ours, _ in taken["pairs"]]
            curves[f"{nodes} nodes", items] = median(values)
            name = f"{engine.title()}: {items:,} tiny items, {nodes} node{'s' * (nodes > 1)}"
            how = f"{median(bare for _, bare in taken['pairs']):.2f} s as plain tasks"
            rows.append(median_measure(name, "s", values, None, how))
    if not quick:
        draw(engine, curves)
    return rows


def draw(engine: str, curves: dict[tuple[str, int], float]) -> None:
    """The picture of how the cost grows: `benchmarks/clusters-<engine>.svg`."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "tg"
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.4))
    for name in dict.fromkeys(name for name, _ in curves):
        points = sorted((x, y) for (one, x), y in curves.items() if one == name)
        axes = left if "modules" in name else right
        axes.plot(*zip(*points, strict=True), marker="o", label=name)
    left.set(title="a new version", xlabel="nodes", ylabel="ms to a result of each", xticks=NODES, ylim=(0, None))
    right.set(title="a map over tiny items", xlabel="items", ylabel="s", xscale="log", yscale="log")
    for axes in (left, right):
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(engine.title())
    figure.tight_layout()
    figure.savefig(PICTURE.with_stem(f"clusters-{engine}"), metadata={"Date": None})
    pyplot.close(figure)


@contextmanager
def _project(size: int) -> Iterator[tuple[Path, Path]]:
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "project")
        make_tree(project, size)
        (project / "tg/bench/many.py").write_text(JOB, encoding="utf-8")
        yield project, Path(folder, "home")


def _sample(engine: str, what: str, project: Path, home: Path, *arguments: str) -> dict[str, Any]:
    # Its clusters are in a folder of their own, which goes with the project.
    place = {"TMPDIR": str(home.parent)}
    return sample(
        "-m", "benchmarks.sample_cluster", engine, what, *arguments, path=[project], home=home, environment=place
    )

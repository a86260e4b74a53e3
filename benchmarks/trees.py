"""Source trees to measure with: modules of about forty lines, as one would write them, in folders of twenty-five."""

from __future__ import annotations

import shutil
from pathlib import Path

NEEDED = 10
"""How many of the modules the job imports."""

_MODULES = (
    '''\
"""Prices of the {name} market, and what is made of them."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

TRADING_DAYS = {number}


@dataclass(frozen=True)
class Price:
    """A closing price on a day, in the currency of its market."""

    day: int
    value: float
    tags: tuple[str, ...] = ()

    def log_return(self, before: "Price") -> float:
        if before.value <= 0:
            raise ValueError(f"no return from {{before.value}}")
        return math.log(self.value / before.value)


@dataclass
class Series:
    prices: list[Price] = field(default_factory=list)

    def add(self, value: float) -> None:
        self.prices.append(Price(len(self.prices), value))

    def returns(self) -> Iterator[float]:
        for before, price in zip(self.prices, self.prices[1:]):
            yield price.log_return(before)

    def volatility(self) -> float:
        values = list(self.returns())
        mean = sum(values) / len(values)
        return math.sqrt(TRADING_DAYS * sum((value - mean) ** 2 for value in values) / len(values))


def answer(values: Iterable[float] = (1.0, 1.1, 1.2)) -> float:
    series = Series()
    for value in values:
        series.add(value * {number})
    return series.volatility()
''',
    '''\
"""Cleaning of the table {name}: each step a function, the order in STEPS."""

import re
from functools import reduce

UNKNOWN = {{"", "n/a", "none", "?", "{name}"}}
SPACES = re.compile(r"\\s+")


def without_unknown(rows):
    for row in rows:
        yield {{key: None if str(value).lower() in UNKNOWN else value for key, value in row.items()}}


def with_numbers(rows, columns=("amount", "count")):
    for row in rows:
        for column in columns:
            try:
                row[column] = float(row.get(column) or 0)
            except ValueError:
                row[column] = float("nan")
        yield row


def with_names(rows):
    for row in rows:
        row["name"] = SPACES.sub(" ", str(row.get("name") or "")).strip().title()
        yield row


STEPS = [without_unknown, with_numbers, with_names]


def clean(rows):
    return list(reduce(lambda cleaned, step: step(cleaned), STEPS, rows))


def answer():
    rows = [{{"name": "  a  b", "amount": "{number}"}}, {{"name": "?", "count": 3}}]
    return sum(row["amount"] + row["count"] for row in clean(rows))
''',
    '''\
"""Rules for {name}: what is tried in which order, and what to say when nothing fits."""

import abc
import enum

from .{sibling} import answer as sibling_answer


class Outcome(enum.Enum):
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNDECIDED = "undecided"


class Rule(abc.ABC):
    weight = {number}

    @abc.abstractmethod
    def decide(self, case):
        """Look at a case, a mapping, and decide."""

    def __repr__(self):
        return f"<{{type(self).__name__}} of weight {{self.weight}}>"


class Threshold(Rule):
    def __init__(self, key, limit):
        self.key, self.limit = key, limit

    def decide(self, case):
        if self.key not in case:
            return Outcome.UNDECIDED
        return Outcome.ACCEPTED if case[self.key] >= self.limit else Outcome.REFUSED


def first_decision(rules, case):
    decisions = [rule.decide(case) for rule in rules]
    return next((one for one in decisions if one is not Outcome.UNDECIDED), Outcome.UNDECIDED)


def answer():
    case = {{"amount": sibling_answer() if callable(sibling_answer) else 0}}
    return float(first_decision([Threshold("age", 3), Threshold("amount", 0.5)], case) is Outcome.ACCEPTED)
''',
)
_JOB = '''\
"""The job: it needs ten of the modules, and adds up what they say."""

{imports}


class Job:
    def run(self):
        return sum(module.answer() for module in ({names}))
'''


def make_tree(project: Path, modules: int) -> None:
    """Write `project/tg/bench/` with that many modules, and `job.py` that imports ten of them."""
    shutil.rmtree(project, ignore_errors=True)
    package = project / "tg/bench"
    for number in range(modules):
        folder = package / f"part{number // 25}"
        if number % 25 == 0:
            folder.mkdir(parents=True)
            (folder / "__init__.py").write_text('"""Part of the benchmark\'s tree."""\n')
        name = f"module{number}"
        sibling = f"module{number - 1}"  # of another kind, so that imports end
        (folder / f"{name}.py").write_text(_MODULES[number % 3].format(name=name, number=number + 1, sibling=sibling))
    names = [f"module{number}" for number in range(NEEDED)]
    imports = "\n".join(f"from .part0 import {name}" for name in names)
    (package / "__init__.py").write_text("")
    (package / "job.py").write_text(_JOB.format(imports=imports, names=", ".join(names)))


def change_one_line(project: Path, number: int) -> None:
    """Change one line of a module that the job imports."""
    module = project / "tg/bench/part0/module0.py"
    lines = module.read_text().splitlines(keepends=True)
    place = next(index for index, line in enumerate(lines) if line.startswith("TRADING_DAYS"))
    lines[place] = f"TRADING_DAYS = {250 + number}\n"
    module.write_text("".join(lines))

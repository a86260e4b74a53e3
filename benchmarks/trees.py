"""Source trees to measure with: modules of about forty lines, as one would write them, in folders of twenty-five.

Six kinds of module take turns, each with names and numbers of its own; some import modules beside them or in other
folders. No module is like another, and none needs more than the standard library. Nothing is wrapped by `lru_cache`,
which cloudpickle cannot take by value.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

SIZES = (250, 2500)
NEEDED = 10
"""How many of the modules the job imports."""
TICKS = 20
"""How many lines the job of `ticking.py` prints."""
_IN_A_FOLDER = 25

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
    '''\
"""Formulas as {name} writes them: words, a parser by precedence, and what they come to."""

import operator
from typing import NamedTuple

OPERATORS = {{"+": (1, operator.add), "-": (1, operator.sub), "*": (2, operator.mul), "/": (2, operator.truediv)}}


class Word(NamedTuple):
    kind: str
    text: str
    column: int


class FormulaError(ValueError):
    def __init__(self, message, column):
        super().__init__(f"{{message}} in column {{column}}")
        self.column = column


def words(text):
    for column, part in enumerate(text.split(), start=1):
        yield Word("operator" if part in OPERATORS else "number", part, column)


def evaluate(text, names=None):
    names, values, waiting = names or {{}}, [], []

    def apply_one():
        right, left = values.pop(), values.pop()
        values.append(OPERATORS[waiting.pop()][1](left, right))

    for word in words(text):
        match word:
            case Word("operator", sign, _):
                while waiting and OPERATORS[waiting[-1]][0] >= OPERATORS[sign][0]:
                    apply_one()
                waiting.append(sign)
            case Word("number", given, column):
                try:
                    values.append(names[given] if given in names else float(given))
                except ValueError:
                    raise FormulaError(f"{{given!r}} is no number", column) from None
    while waiting:
        apply_one()
    return values[0]


def answer():
    return evaluate("2 * {name} - 3 / 4 + 1", {{"{name}": {number}}})
''',
    '''\
"""Readings of {name}: kept in a window, written down as JSON, one writer at a time."""

from __future__ import annotations

import json
import logging
from collections import deque
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

from . import {folder}
from .{sibling} import answer as correction

log = logging.getLogger(__name__)
T = TypeVar("T", bound="Comparable")


class Comparable(Protocol):
    def __lt__(self, other: object) -> bool: ...


class Window(Generic[T]):
    """The last few values; `lowest` is that of the window, not of all time."""

    def __init__(self, length: int = {number}) -> None:
        self._values: deque[T] = deque(maxlen=length)
        self._open = False

    @contextmanager
    def writing(self):
        if self._open:
            raise RuntimeError("somebody writes already")
        self._open = True
        try:
            yield self._values.append
        finally:
            self._open = False
            log.debug("%d values", len(self._values))

    @property
    def lowest(self) -> T:
        return min(self._values)

    def as_json(self) -> str:
        return json.dumps({{"name": "{name}", "values": list(self._values)}}, sort_keys=True)


def answer() -> float:
    window: Window[float] = Window()
    with window.writing() as write:
        for step in range(5):
            write(step * 0.5 + correction())
    return window.lowest + len(window.as_json()) + {folder}.SCALE
''',
    '''\
"""Tariffs of {name}: steps of weight, and what a parcel costs."""

import bisect
import functools
import itertools

from {elsewhere} import answer as surcharge

STEPS = [
{rows}
]
COUNTRIES = {{"at": 1.0, "de": 1.1, "fr": 1.25, "us": 2.5}}


def total(values):
    return functools.reduce(lambda sum_so_far, value: round(sum_so_far + value, 2), values, 0)


def limits():
    return [limit for limit, _ in STEPS]


def base_price(grams):
    """The price of the first step that is heavy enough."""
    place = bisect.bisect_left(limits(), grams)
    if place == len(STEPS):
        raise ValueError(f"{{grams}} g is too heavy for {name}")
    return STEPS[place][1]


def price(grams, country="at", *, express=False):
    factor = COUNTRIES.get(country, max(COUNTRIES.values()))
    return round(base_price(grams) * factor * (1.5 if express else 1), 2)


def table(weights):
    return {{(country, grams): price(grams, country) for country, grams in itertools.product(COUNTRIES, weights)}}


def answer():
    return total(table([50, 150, 300]).values()) + (surcharge() if callable(surcharge) else 0) * 0.01
''',
)
_JOB = '''\
"""The job: it needs ten of the modules, and adds up what they say."""

{imports}


class Job:
    def run(self):
        return sum(module.answer() for module in ({names}))
'''
_TICKING = f'''\
"""A job whose lines say when they were printed, in nanoseconds since 1970."""

import time


class Job:
    def run(self):
        for _ in range({TICKS}):
            print(time.time_ns(), flush=True)
            time.sleep(0.05)
'''


def make_tree(project: Path, modules: int) -> None:
    """Write `project/tg/bench/` with that many modules, and `job.py` that imports ten of them."""
    shutil.rmtree(project, ignore_errors=True)
    package = project / "tg/bench"
    for number in range(modules):
        folder = package / _folder(number)
        if number % _IN_A_FOLDER == 0:
            folder.mkdir(parents=True)
            (folder / "__init__.py").write_text('"""Part of the benchmark\'s tree."""\n')
            (folder / f"settings{number}.py").write_text(f'"""Settings of {folder.name}."""\n\nSCALE = {number + 1}\n')
        (folder / f"module{number}.py").write_text(_module(number))
    names = [f"module{number}" for number in range(NEEDED)]
    imports = "\n".join(f"from .part0 import {name}" for name in names)
    (package / "__init__.py").write_text("")
    (package / "job.py").write_text(_JOB.format(imports=imports, names=", ".join(names)))


def trees(*, quick: bool) -> Iterator[tuple[int, Path]]:
    """A tree of each size, or of the smaller one alone, in a temporary folder of its own: how many modules, and the project."""
    for size in SIZES[:1] if quick else SIZES:
        with tempfile.TemporaryDirectory() as folder:
            project = Path(folder, "project")
            make_tree(project, size)
            yield size, project


def add_ticking_job(project: Path) -> None:
    """Write `tg/bench/ticking.py`: a job that prints the time, twenty times a second."""
    (project / "tg/bench/ticking.py").write_text(_TICKING)


def _folder(number: int) -> str:
    return f"part{number // _IN_A_FOLDER}"


def _module(number: int) -> str:
    """The text of a module. It imports modules of lower numbers only, so that imports end."""
    earlier = max(0, number - _IN_A_FOLDER - number % 7) if number >= _IN_A_FOLDER else max(0, number - 2)
    return _MODULES[number % len(_MODULES)].format(
        name=f"module{number}",
        number=number + 1,
        sibling=_from(number, number - 1),
        elsewhere="." + _from(number, earlier),
        folder=f"settings{number - number % _IN_A_FOLDER}",
        rows="\n".join(f"    ({100 * step + number % 90}, {step * 1.5 + number / 100:.2f})," for step in range(1, 13)),
    )


def _from(number: int, other: int) -> str:
    """Where a module finds another, after the first dot."""
    return f"module{other}" if _folder(number) == _folder(other) else f".{_folder(other)}.module{other}"


def change_one_line(project: Path, number: int) -> None:
    """Change one line of a module that the job imports."""
    module = project / "tg/bench/part0/module0.py"
    lines = module.read_text().splitlines(keepends=True)
    place = next(index for index, line in enumerate(lines) if line.startswith("TRADING_DAYS"))
    lines[place] = f"TRADING_DAYS = {250 + number}\n"
    module.write_text("".join(lines))

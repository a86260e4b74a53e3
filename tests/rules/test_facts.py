"""The facts of a package, and which Pythons satisfy a specifier."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from tg.common.delivery.delivery.facts import FORMAT, PackageFacts, check_requires_python, python_satisfies
from tg.common.delivery.runtime.names import UID

FACTS = PackageFacts(
    uid=UID("my_job", "1.0+h0f"),
    original_tg_import_path="tg",
    requires_python=">=3.10",
    dependencies={"min": (), "mine": ("numpy>=1", "pandas")},
    resources=("job", "model"),
    content="c" * 64,
    source="5" * 64,
)
RELEASE = st.lists(st.integers(0, 14), min_size=1, max_size=3).map(lambda parts: ".".join(map(str, [3, *parts][:3])))


def test_facts_are_read_as_they_were_written() -> None:
    assert PackageFacts.from_json(json.loads(FACTS.to_json())) == FACTS
    readable = PackageFacts(**{**vars(FACTS), "uid": UID("my_job", "1.0", human_readable=True)})
    assert PackageFacts.from_json(json.loads(readable.to_json())) == readable


def test_each_requirement_is_listed_once() -> None:
    facts = PackageFacts(**{**vars(FACTS), "dependencies": {"a": ("numpy", "pandas"), "b": ("numpy",)}})
    assert facts.requirements() == ["numpy", "pandas"]


def test_this_version_reads_its_own_format_and_none_that_is_newer() -> None:
    content = json.loads(FACTS.to_json())
    assert PackageFacts.needs_newer(content) is None
    assert "package format" in (PackageFacts.needs_newer({**content, "format": FORMAT + 1}) or "")
    assert "needs Python >=3.99" in (PackageFacts.needs_newer({**content, "python": {"requires": ">=3.99"}}) or "")


@given(st.lists(st.tuples(st.sampled_from([">=", "<=", "==", "!=", "<", ">", "~="]), RELEASE), min_size=1, max_size=3))
def test_specifiers_mean_what_they_mean_to_the_packaging_library(clauses: list[tuple[str, str]]) -> None:
    text = ",".join(operator + release for operator, release in clauses)
    running = ".".join(map(str, sys.version_info[:3]))
    assert python_satisfies(text) == SpecifierSet(text).contains(running)


@pytest.mark.parametrize("wildcard", ["==3.*", "!=3.*", "==2.*", "!=2.*"])
def test_wildcards_too(wildcard: str) -> None:
    running = ".".join(map(str, sys.version_info[:3]))
    assert python_satisfies(wildcard) == SpecifierSet(wildcard).contains(running)


@pytest.mark.parametrize("text", ["", "3.10", "=>3.10", ">=3.x", ">=3.10;", "any"])
def test_what_is_no_specifier_is_refused(text: str) -> None:
    with pytest.raises((ValueError, InvalidSpecifier)):
        check_requires_python(text)

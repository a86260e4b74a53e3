"""The facts of a package: written and read back, and the Pythons that a specifier names."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from tg.common.delivery.delivery.facts import FORMAT, PackageFacts
from tg.common.delivery.delivery.required_python import check_requires_python, python_satisfies
from tg.common.delivery.runtime.names import UID

NAMES = st.from_regex(r"[a-z][a-z0-9]{0,5}_job", fullmatch=True)
VERSIONS = st.sampled_from(["0.0.0", "1.0", "2!1.0.post1", "1.0rc1.dev2", "0+h00ff"])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
DIGESTS = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
FACTS = st.builds(
    PackageFacts,
    uid=st.builds(UID, NAMES, VERSIONS, st.booleans()),
    original_tg_import_path=st.sampled_from(["tg", "other_job__1_0.tg"]),
    requires_python=st.sampled_from([">=3.10", ">=3.10,<3.14", "==3.11.*"]),
    dependencies=st.dictionaries(TEXT, st.lists(TEXT, max_size=3).map(tuple), max_size=3),
    resources=st.lists(TEXT, max_size=3, unique=True).map(tuple),
    content=DIGESTS,
    source=DIGESTS,
    roots=st.sampled_from([("tg",), ("mycompany", "tg"), ("__main__", "tg")]),
)


def some_facts(**changed: Any) -> PackageFacts:
    values: dict[str, Any] = {
        "uid": UID("my_job", "1.0.0"),
        "original_tg_import_path": "tg",
        "requires_python": ">=3.10",
        "dependencies": {"min": (), "mine": ("numpy>=1",)},
        "resources": ("job",),
        "content": "c" * 64,
        "source": "5" * 64,
    }
    return PackageFacts(**{**values, **changed})


def content_of(facts: PackageFacts) -> Any:
    return json.loads(facts.to_json())


@given(FACTS)
def test_what_was_written_is_read_again(facts: PackageFacts) -> None:
    assert PackageFacts.from_json(content_of(facts)) == facts


@given(FACTS)
def test_the_same_facts_are_the_same_bytes(facts: PackageFacts) -> None:
    assert PackageFacts.from_json(content_of(facts)).to_json() == facts.to_json()


def test_package_json_has_what_the_entry_point_shows_and_what_the_package_needs() -> None:
    assert content_of(some_facts()) == {
        "format": FORMAT,
        "name": "my_job",
        "version": "1.0.0",
        "module_name": "my_job__1_0_0",
        "tg_import_path": "my_job__1_0_0.tg",
        "original_tg_import_path": "tg",
        "python": {"requires": ">=3.10", "built_with": f"{sys.version_info.major}.{sys.version_info.minor}"},
        "dependencies": {"min": [], "mine": ["numpy>=1"]},
        "resources": ["job"],
        "roots": ["tg"],
        "digests": {"content": "c" * 64, "source": "5" * 64},
    }


def test_requirements_are_listed_once_in_their_order() -> None:
    facts = some_facts(dependencies={"b": ("pandas", "numpy>=1"), "a": ("numpy>=1", "scipy")})
    assert facts.requirements() == ["pandas", "numpy>=1", "scipy"]


def test_this_format_and_older_ones_are_read() -> None:
    content = content_of(some_facts())
    assert PackageFacts.needs_newer(content) is None
    assert PackageFacts.needs_newer({**content, "format": FORMAT - 1}) is None


def test_a_newer_format_is_refused_and_says_what_to_upgrade() -> None:
    said = PackageFacts.needs_newer({**content_of(some_facts()), "format": FORMAT + 1})
    assert said is not None
    assert f"has package format {FORMAT + 1}, and this version of delivery reads format {FORMAT} and older" in said
    assert "pip install -U training-grounds-delivery" in said


def test_nothing_else_is_looked_at_in_a_newer_format() -> None:
    said = PackageFacts.needs_newer({"format": FORMAT + 1})
    assert said is not None
    assert f"has package format {FORMAT + 1}" in said


def test_another_python_is_refused_with_the_one_that_is_needed_and_the_one_that_runs() -> None:
    said = PackageFacts.needs_newer(content_of(some_facts(requires_python=">=3.99")))
    running = ".".join(map(str, sys.version_info[:3]))
    assert said == f"needs Python >=3.99, and this is Python {running}. Run it with another Python"


@pytest.mark.parametrize("content", [[], "x", 3, None, {}, {"format": "1"}, {"format": None}])
def test_what_does_not_say_its_format_is_none_of_ours(content: Any) -> None:
    with pytest.raises(ValueError, match="which format it has"):
        PackageFacts.needs_newer(content)


@pytest.mark.parametrize("field", sorted(content_of(some_facts()).keys() - {"format", "tg_import_path", "roots"}))
def test_facts_with_a_field_missing_are_not_read(field: str) -> None:
    content = content_of(some_facts())
    del content[field]
    with pytest.raises((ValueError, KeyError)):
        PackageFacts.from_json(content)


def test_a_package_from_before_there_were_several_roots_has_one() -> None:
    content = content_of(some_facts())
    del content["roots"]
    assert PackageFacts.from_json(content).roots == ("tg",)


@pytest.mark.parametrize("roots", [[], "tg", ["mycompany"], ["tg", "../x"], ["tg", 3], ["__main__", "main", "tg"]])
def test_roots_that_cannot_be_are_not_read(roots: object) -> None:
    with pytest.raises(ValueError, match="roots"):
        PackageFacts.from_json({**content_of(some_facts()), "roots": roots})


@pytest.mark.parametrize(
    "changed",
    [
        {"module_name": "my_job__1_0_1"},
        {"module_name": "other_job__1_0_0"},
        {"module_name": "../my_job"},
        {"version": "1.0.1"},
        {"version": "1.0-1"},
        {"name": "my-job"},
        {"name": 3},
    ],
)
def test_a_module_that_does_not_belong_to_name_and_version_is_not_read(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"does not belong|cannot be used|canonical form"):
        PackageFacts.from_json({**content_of(some_facts()), **changed})


@pytest.mark.parametrize(
    ("field", "value"), [("python", ">=3.10"), ("dependencies", ["numpy"]), ("resources", "job"), ("digests", [])]
)
def test_a_field_of_another_kind_is_not_read(field: str, value: object) -> None:
    with pytest.raises((ValueError, KeyError)):
        PackageFacts.from_json({**content_of(some_facts()), field: value})


MAJOR, MINOR, MICRO = sys.version_info[:3]
# Around the Python that runs, since far from it every operator says the same.
RELEASES = st.sampled_from(
    [
        (MAJOR, MINOR, MICRO, 0),
        (MAJOR, MINOR, MICRO, 1),
        (MAJOR, MINOR, MICRO + 1, 0),
        (MAJOR, MINOR, 0, 0),
        (MAJOR, MINOR + 1, 0, 0),
        (MAJOR, MINOR - 1, MICRO, 0),
        (MAJOR + 1, 0, 0, 0),
        (MAJOR - 1, MINOR, MICRO, 0),
    ]
)
COMPARED = st.builds(
    lambda operator, blank, release, length: operator + blank + ".".join(map(str, release[:length])),
    st.sampled_from([">=", "<=", "==", "!=", "<", ">"]),
    st.sampled_from(["", " "]),
    RELEASES,
    st.integers(1, 4),
)
COMPATIBLE = st.builds(lambda release, length: "~=" + ".".join(map(str, release[:length])), RELEASES, st.integers(2, 4))
WITH_WILDCARD = st.builds(
    lambda operator, release, length: operator + ".".join(map(str, release[:length])) + ".*",
    st.sampled_from(["==", "!="]),
    RELEASES,
    st.integers(1, 4),
)
CLAUSES = COMPARED | COMPATIBLE | WITH_WILDCARD


@given(st.lists(CLAUSES, min_size=1, max_size=3).map(",".join))
def test_a_specifier_means_what_it_means_to_the_packaging_library(specifier: str) -> None:
    assert python_satisfies(specifier) == SpecifierSet(specifier).contains(f"{MAJOR}.{MINOR}.{MICRO}")


@pytest.mark.parametrize(
    "specifier", [">=3.10", ">=3.10,<3.14", ">= 3.10 , < 4", "==3.11.*", "!=3.12.0", "~=3.10", "~=3.10.2"]
)
def test_a_specifier_of_releases_is_taken(specifier: str) -> None:
    check_requires_python(specifier)


@pytest.mark.parametrize(
    "specifier", ["", "3.10", ">3.10<4", ">=3.10,", "=>3.10", "python3", ">=", ">=3.x", "^3.10", ">=3.*", "<3.*", "~=3", "~=3.10.*"]
)  # fmt: skip
def test_what_is_no_specifier_of_releases_is_refused(specifier: str) -> None:
    with pytest.raises(ValueError, match=r"is not a version specifier such as '>=3\.10'"):
        check_requires_python(specifier)

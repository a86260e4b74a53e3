"""Names of images."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tg.common.delivery.images.reference import Reference
from tg.common.delivery.runtime.errors import InvalidName

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("python", Reference("docker.io", "library/python", "latest", None)),
        ("python:3.11-slim", Reference("docker.io", "library/python", "3.11-slim", None)),
        ("me/job", Reference("docker.io", "me/job", "latest", None)),
        ("docker.io/python", Reference("docker.io", "library/python", "latest", None)),
        ("localhost/job", Reference("localhost", "job", "latest", None)),
        ("localhost:5000/job:1", Reference("localhost:5000", "job", "1", None)),
        ("127.0.0.1:5000/a/b/c", Reference("127.0.0.1:5000", "a/b/c", "latest", None)),
        ("[::1]:5000/job", Reference("[::1]:5000", "job", "latest", None)),
        ("registry:5000/team/job:1.0", Reference("registry:5000", "team/job", "1.0", None)),
        ("registry.example/job", Reference("registry.example", "job", "latest", None)),
        ("example_job:0.0.0", Reference("docker.io", "library/example_job", "0.0.0", None)),
        (f"python@{DIGEST}", Reference("docker.io", "library/python", None, DIGEST)),
        (f"r.example/a__b:1@{DIGEST}", Reference("r.example", "a__b", "1", DIGEST)),
    ],
)
def test_names_are_read_as_docker_reads_them(text: str, reference: Reference) -> None:
    assert Reference.parse(text) == reference


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Job",
        "team/Job",
        "job:",
        "job:-1",
        "job:a b",
        "job:" + "x" * 129,
        "_job",
        "a___b",
        "a..b",
        "/job",
        "job/",
        "https://registry.example/job",
        "registry.example:port/job",
        "me:password@registry.example/job",
        "job@sha256:abc",
        "job\n",
        "jöb",
        "../job",
    ],
)
def test_what_is_no_name_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(InvalidName, match=r"is not the name of an image\. It is written as \[registry/\]repository"):
        Reference.parse(text)


@pytest.mark.parametrize(
    ("text", "familiar"),
    [
        ("docker.io/library/python:3.11", "python:3.11"),
        ("docker.io/me/job", "me/job:latest"),
        ("localhost:5000/job:1", "localhost:5000/job:1"),
        (f"docker.io/library/python@{DIGEST}", f"python@{DIGEST}"),
    ],
)
def test_the_familiar_name_is_the_one_docker_shows(text: str, familiar: str) -> None:
    assert Reference.parse(text).familiar == familiar


parts = st.from_regex(r"[a-z0-9]{1,5}((\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}", fullmatch=True)
references = st.builds(
    Reference,
    registry=st.sampled_from(["docker.io", "localhost", "localhost:5000", "[::1]:80", "registry.example"]),
    repository=st.lists(parts, min_size=2, max_size=4).map("/".join),
    tag=st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True),
    digest=st.sampled_from([None, DIGEST]),
)


@given(references)
def test_what_it_prints_it_reads(reference: Reference) -> None:
    assert Reference.parse(str(reference)) == reference


@given(references)
def test_the_familiar_name_is_the_same_image(reference: Reference) -> None:
    if reference.registry != "docker.io":
        assert Reference.parse(reference.familiar) == reference

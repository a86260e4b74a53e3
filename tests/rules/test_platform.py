"""Platforms, in the words of docker and of uv."""

from __future__ import annotations

import pytest

from tg.common.delivery.environments.platform import Platform
from tg.common.delivery.runtime.errors import ImageProblem


@pytest.mark.parametrize("text", ["linux/amd64", "linux/x86_64", "Linux/AMD64"])
def test_names_of_one_machine_are_one_platform(text: str) -> None:
    assert Platform.parse(text) == Platform("amd64")
    assert str(Platform.parse(text)) == "linux/amd64"


def test_uv_gets_its_own_name_with_the_c_library() -> None:
    assert Platform.parse("linux/amd64").uv_name == "x86_64-manylinux_2_28"
    assert Platform.parse("linux/arm64/v8").uv_name == "aarch64-manylinux_2_28"
    assert Platform.parse("linux/arm64", libc="musl").uv_name == "aarch64-unknown-linux-musl"


@pytest.mark.parametrize("text", ["windows/amd64", "linux", "linux/s390x", ""])
def test_what_cannot_be_composed_is_refused(text: str) -> None:
    with pytest.raises(ImageProblem, match="linux/amd64, linux/arm64"):
        Platform.parse(text)


def test_a_c_library_that_no_wheel_is_named_for_is_refused() -> None:
    with pytest.raises(ImageProblem, match=r"'uclibc' is no C library .* There are glibc, musl\.$"):
        Platform.parse("linux/amd64", libc="uclibc")

"""The tag of a wheel: what it is for, and where that is."""

from __future__ import annotations

import sys

import pytest
from packaging.tags import parse_tag, sys_tags

from tg.common.delivery.delivery.wheel_tag import PURE, WheelTag
from tg.common.delivery.environments.platform import libc_here

LINUX = WheelTag("cp311", "cp311", "linux_x86_64")
MAC = WheelTag("cp311", "cp311", "macosx_11_0_arm64")


@pytest.mark.parametrize(
    "text", ["py3-none-any", "cp311-cp311-linux_x86_64", "cp313-cp313t-macosx_11_0_arm64", "py3-none-linux_i686"]
)
def test_what_was_written_is_read_again(text: str) -> None:
    tag = WheelTag.parse(text)
    assert str(tag) == text
    assert {str(one) for one in parse_tag(text)} == {text}


@pytest.mark.parametrize("text", ["", "py3-none", "py3-none-any-more", "py3--any", "py3-none-a/b", "py3-none-a\nb"])
def test_what_is_no_tag_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no tag of a wheel"):
        WheelTag.parse(text)


def test_tags_made_here_are_among_those_that_pip_takes_here() -> None:
    taken = {str(tag) for tag in sys_tags()}
    for counts in ({"extensions": 2, "stable": 1}, {"extensions": 1, "stable": 1}, {"extensions": 0, "stable": 0}):
        assert str(WheelTag.of_compiled(**counts)) in taken
    assert str(PURE) in taken


def test_the_tag_says_the_stable_abi_where_all_modules_use_it() -> None:
    assert WheelTag.of_compiled(extensions=3, stable=3).abi == "abi3"
    assert WheelTag.of_compiled(extensions=3, stable=2) == WheelTag.here()
    assert WheelTag.of_compiled(extensions=0, stable=0) == WheelTag("py3", "none", WheelTag.here().platform)


@pytest.mark.parametrize(
    ("tag", "there", "fits"),
    [
        (PURE, LINUX, True),
        (LINUX, LINUX, True),
        (LINUX, WheelTag("cp312", "cp312", "linux_x86_64"), False),
        (LINUX, WheelTag("cp311", "cp311d", "linux_x86_64"), False),
        (LINUX, WheelTag("cp311", "cp311", "linux_aarch64"), False),
        (LINUX, MAC, False),
        (WheelTag("cp311", "abi3", "linux_x86_64"), LINUX, True),
        (WheelTag("cp310", "abi3", "linux_x86_64"), LINUX, True),
        (WheelTag("cp312", "abi3", "linux_x86_64"), LINUX, False),
        (WheelTag("cp311", "abi3", "linux_x86_64"), WheelTag("cp313", "cp313t", "linux_x86_64"), False),
        (WheelTag("cp311", "abi3", "linux_x86_64"), WheelTag("pp311", "pypy311_pp73", "linux_x86_64"), False),
        (WheelTag("py3", "none", "linux_x86_64"), WheelTag("pp311", "pypy311_pp73", "linux_x86_64"), True),
        (WheelTag("py3", "none", "linux_aarch64"), LINUX, False),
        (MAC, WheelTag("cp311", "cp311", "macosx_10_9_universal2"), True),
        (WheelTag("cp311", "cp311", "macosx_10_9_universal2"), MAC, True),
        (MAC, WheelTag("cp311", "cp311", "macosx_14_0_arm64"), True),
        (MAC, WheelTag("cp311", "cp311", "macosx_11_0_x86_64"), False),
    ],
)
def test_compiled_code_fits_where_its_python_abi_and_platform_are(tag: WheelTag, there: WheelTag, fits: bool) -> None:
    assert tag.fits(there) is fits


def test_pythons_are_narrowed_to_those_that_can_load_it() -> None:
    release = "{}.{}".format(*sys.version_info[:2])
    assert PURE.narrowed(">=3.10") == ">=3.10"
    assert WheelTag("py3", "none", "linux_x86_64").narrowed(">=3.10") == ">=3.10"
    assert LINUX.narrowed(">=3.10") == f">=3.10,=={release}.*"
    assert WheelTag("cp311", "abi3", "linux_x86_64").narrowed(">=3.10") == f">=3.10,>={release}"


def test_the_c_library_is_told_on_linux_alone() -> None:
    assert (libc_here() in ("glibc", "musl")) is sys.platform.startswith("linux")

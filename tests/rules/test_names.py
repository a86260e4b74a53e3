"""UIDs, versions, payload keys and module names: rules that are pure values."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from packaging.version import InvalidVersion, Version

from tg.common.delivery.delivery.wheel import wheel_file_name
from tg.common.delivery.runtime.errors import InvalidName
from tg.common.delivery.runtime.names import UID, check_payload_key, lies_in, rename

NAMES = st.from_regex(r"[a-z][a-z0-9]{0,5}(_[a-z0-9]{1,4}){0,2}", fullmatch=True).filter(
    lambda name: (
        name not in ("if", "in", "is", "or", "as", "def", "del", "for", "not", "and", "try", "case", "type", "match")
    )
)
NUMBERS = st.integers(0, 30)
VERSIONS = st.builds(
    lambda epoch, release, pre, post, dev, local: str(Version(f"{epoch}{release}{pre}{post}{dev}{local}")),
    st.sampled_from(["", "1!", "2!"]),
    st.lists(NUMBERS, min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts))),
    st.sampled_from(["", "a1", "b2", "rc10"]),
    st.sampled_from(["", ".post0", ".post3"]),
    st.sampled_from(["", ".dev0", ".dev12"]),
    st.sampled_from(["", "+a", "+1", "+ubuntu.1", "+h0f.3"]),
)


@given(NAMES, VERSIONS)
def test_a_uid_can_be_taken_apart_again(name: str, version: str) -> None:
    uid = UID(name, version)
    assert str(uid).isidentifier()
    assert UID.parse(str(uid)) == uid


@given(NAMES, VERSIONS, NAMES, VERSIONS)
def test_two_packages_never_share_a_uid(name: str, version: str, other_name: str, other_version: str) -> None:
    assume((name, version) != (other_name, other_version))
    assert str(UID(name, version)) != str(UID(other_name, other_version))


def refusal(name: str, version: str) -> InvalidName | None:
    try:
        UID(name, version)
    except InvalidName as error:
        return error
    return None


@given(st.text(max_size=30))
def test_any_name_is_taken_or_refused_with_a_nearest_one_that_is_taken(name: str) -> None:
    error = refusal(name, "1.0")
    if error is not None:
        assert error.nearest is not None
        assert repr(error.nearest) in str(error)
        assert refusal(error.nearest, "1.0") is None


@given(st.one_of(st.text(max_size=20), st.from_regex(r"v?[0-9]{1,3}([.-][0-9a-z]{1,4}){0,3}", fullmatch=True)))
def test_any_version_is_taken_or_refused_with_a_nearest_one_that_is_taken(version: str) -> None:
    error = refusal("job", version)
    if error is not None:
        assert error.nearest is not None
        assert refusal("job", error.nearest) is None


@given(
    st.from_regex(r"v?[0-9]{1,2}(\.[0-9]{1,2}){0,2}([-_.]?(a|alpha|rc|post|dev|r)[-_.]?[0-9]{0,2})?", fullmatch=True)
)
def test_the_canonical_form_is_that_of_the_packaging_library(version: str) -> None:
    try:
        canonical = str(Version(version))
    except InvalidVersion:
        with pytest.raises(InvalidName):
            UID("job", version)
        return
    if canonical == version:
        assert UID("job", version).version == version
    else:
        with pytest.raises(InvalidName) as caught:
            UID("job", version)
        assert caught.value.nearest == canonical


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("my-job", "my_job"),
        ("my.job", "my_job"),
        ("MyJob", "my_job"),
        ("my__job", "my_job"),
        ("1job", "job_1job"),
        ("Größe", "groe"),
        ("日本", "job"),
        ("", "job"),
        ("class", "class_job"),
        ("match", "match_job"),
        ("a" * 101, "a" * 100),
        (None, "job"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(InvalidName, match=re.escape(repr(nearest))):
        UID(name, "1.0")


@pytest.mark.parametrize(
    ("version", "nearest"),
    [
        ("v21", "21"),
        ("1.0-1", "1.0.post1"),
        ("01.0", "1.0"),
        ("1.0+ABC", "1.0+abc"),
        ("", "0.0.0"),
        ("latest", "0.0.0"),
    ],
)
def test_a_version_that_is_not_canonical_is_refused_with_the_nearest(version: str, nearest: str) -> None:
    with pytest.raises(InvalidName, match=re.escape(repr(nearest))):
        UID("job", version)


def test_versions_that_look_alike_have_uids_of_their_own() -> None:
    assert str(UID("job", "1.0.post1")) == "job__1_0_post1"
    assert str(UID("job", "1.0.1")) == "job__1_0_1"
    assert str(UID("job", "1.0+1")) == "job__1_0__1"
    assert str(UID("job", "1!1.0")) == "job__1e1_0"


def test_a_human_readable_uid_is_the_name_and_hides_no_module_of_python() -> None:
    assert str(UID("my_job", "1.0", human_readable=True)) == "my_job"
    with pytest.raises(InvalidName, match="would hide the module 'json'"):
        UID("json", "1.0", human_readable=True)


def test_the_wheels_name_is_that_of_pep_427() -> None:
    assert wheel_file_name("example_job", "0.0.0") == "example_job-0.0.0-py3-none-any.whl"


@pytest.mark.parametrize("key", ["job", "model_2", "a.b", "Weights", "x-1"])
def test_a_payload_key_that_is_a_file_name_is_taken(key: str) -> None:
    check_payload_key(key)


@pytest.mark.parametrize(
    "key", ["../x", "", "a/b", "a\\b", ".", "..", ".hidden", "a.", "a b", "job.buffers", "é", 3, "x" * 101]
)
def test_a_payload_key_that_is_no_file_name_is_refused(key: str) -> None:
    with pytest.raises(InvalidName) as caught:
        check_payload_key(key)
    assert caught.value.nearest is not None
    check_payload_key(caught.value.nearest)


def test_modules_are_renamed_by_whole_parts() -> None:
    assert rename("tg.x.y", "tg", "UID.tg") == "UID.tg.x.y"
    assert rename("tg", "tg", "UID.tg") == "UID.tg"
    assert rename("tgbot.x", "tg", "UID.tg") == "tgbot.x"
    assert not lies_in("tgbot", "tg")


@given(st.from_regex(r"tg(\.[a-z]{1,4}){0,3}", fullmatch=True))
def test_renaming_back_gives_the_name_again(module: str) -> None:
    assert rename(rename(module, "tg", "UID.tg"), "UID.tg", "tg") == module

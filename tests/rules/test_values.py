"""Values: variables, inputs and outputs are checked as a whole, before anything is made."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import pytest

from tg.common.delivery.execution.values import Values
from tg.common.delivery.runtime.errors import InvalidName, MissingVariables


def test_variables_are_read_from_the_environment_and_are_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")
    values = Values.checked(propagate=["TOKEN"])
    assert values.variables["TOKEN"].reveal() == "hunter2"
    assert "hunter2" not in repr(values)
    with pytest.raises(TypeError, match="Secret"):
        pickle.dumps(values)


def test_all_variables_that_are_missing_are_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THERE", "")
    with pytest.raises(MissingVariables) as raised:
        Values.checked(propagate=["NOT_HERE", "THERE", "NOR_HERE", "NOT_HERE"], outputs={"out": tmp_path / "out"})
    assert raised.value.names == ("NOT_HERE", "NOR_HERE")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("propagate", ["TOKEN", {"TOKEN": "hunter2"}])
def test_names_of_variables_are_a_list(propagate: str | dict[str, str]) -> None:
    with pytest.raises(TypeError, match="propagate"):
        Values.checked(propagate=propagate)  # type: ignore[arg-type]


def test_inputs_are_paths_in_full_and_outputs_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data.csv").write_text("1")
    values = Values.checked(inputs={"in/data.csv": "data.csv"}, outputs={"out/": "deep/out"})
    assert values.inputs == {"in/data.csv": tmp_path / "data.csv"}
    assert values.outputs == {"out": tmp_path / "deep/out"}
    assert (tmp_path / "deep/out").is_dir()


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidName) as raised:
        Values.checked(
            inputs={"a": tmp_path / "gone", "../b": tmp_path / "file"},
            outputs={"c": tmp_path / "file", "made": tmp_path / "made"},
        )
    said = str(raised.value)
    assert f"the input 'a' is to be {tmp_path / 'gone'}, which is not there" in said
    assert "'../b' names no file or folder in the working folder" in said
    assert f"the output 'c' is to be the folder {tmp_path / 'file'}, which is a file" in said
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", ["", ".", "/", "..", "a/..", "a/../b", "a\0b"])
def test_a_name_that_is_none_in_the_working_folder_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidName, match="names no file or folder"):
        Values.checked(inputs={name: tmp_path})


def test_a_name_in_full_is_for_containers_alone(tmp_path: Path) -> None:
    assert Values.checked(inputs={"/data": tmp_path}).inputs == {"/data": tmp_path}
    with pytest.raises(InvalidName, match="'data'"):
        Values.checked(inputs={"/data": tmp_path}, absolute_names=False)


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [({"a": ".", "a/b": "."}, {}), ({"a/b": "."}, {"a": "."}), ({"a": "."}, {"a/": "."}), ({"a": ".", "./a": "."}, {})],
)
def test_names_that_are_in_each_others_way_are_refused(inputs: Mapping[str, str], outputs: Mapping[str, str]) -> None:
    with pytest.raises(InvalidName, match="in each other's way"):
        Values.checked(inputs=inputs, outputs=outputs)


def test_names_that_only_begin_alike_are_not() -> None:
    assert set(Values.checked(inputs={"data": ".", "data.csv": ".", "data2/x": "."}).inputs) == {
        *("data", "data.csv", "data2/x")
    }

"""The documents: what they show is run, what they print is compared, what they name is there.

In README.md, docs/ and the examples' READMEs a code block says by its language what it is:

- `python`: a cell. The cells of one document run one after the other in one process, in a fresh project, as in a
  notebook: the value of a last expression is shown. A cell whose first line is `# tg/….py` is that file of the project, and so
  is any other path.
- `sh`: commands, run in the project's folder. `make` is not run: its target must exist. What runs a file that the document
  shows has the project and delivery on its path; all else has nothing of them.
- `text` right after one of those: all that it prints. Elsewhere it is a drawing.

Times, digests and the folders of the machine may differ from what stands there.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from environments import make_environment
from projects import REPOSITORY, Project
from services import SshServer

COMMON = REPOSITORY / "tg/common"
ARCHITECTURE = REPOSITORY / "docs/architecture.md"
DOCUMENTS = [
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    *sorted((REPOSITORY / "docs").rglob("*.md")),
    *sorted((REPOSITORY / "examples").glob("*/README.md")),
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
VARYING = {
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}": "TIME",
    r"__at_[0-9a-f]{12}": "__at_DIGEST",
    r"\b[0-9a-f]{64}\b": "SHA256",
    r"(?<=numpy |umpy==)\d+(?:\.\d+)+": "VERSION",
    r'"built_with": "[0-9.]+[^"]*"': '"built_with": "PYTHON"',
    r".* INFO: (?:Looking for the base image|Installing \d+ distributions) .*, which (?:is|are) then kept\n": "",  # the first time
    r"(?m)^.*: (?:.* so far|.* left|done.* in \d+ s)\n": "",  # what has taken a second
    r"\(\d+\.\d [KM]iB\)": "(SIZE)",
    r"(?<=__1_0_0-)(?:[0-9a-f]{8}|ID)\b": "ID",
}
ON_ONE_PYTHON = [REPOSITORY / "docs" / name for name in ("index.md", "notebooks.md", "concepts", "places", "moving")]
"""Pages that show what is told of every Python elsewhere: they are run on 3.11 alone."""

CELLS = """
import ast, contextlib, importlib, io, json, os, re, subprocess, sys
from pathlib import Path

namespace = {"__name__": "__main__"}
blocks = json.loads(Path(sys.argv[1]).read_text("utf-8"))
printed = []
written = set()
for language, code in blocks:
    output = io.StringIO()
    first = code.splitlines()[0]
    if language == "sh":
        bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        if any(f"python {name}" in code for name in written):
            bare = dict(os.environ)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        done = subprocess.run(["sh", "-e", "-c", code], env=bare, text=True, **pipes)
        output.write(done.stdout + (f"exit status {done.returncode}\\n" if done.returncode else ""))
    elif re.fullmatch(r"# [\\w/]+\\.py", first):
        file = Path(first[2:])
        written.add(first[2:])
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(code, encoding="utf-8")
        importlib.invalidate_caches()
    else:
        tree = ast.parse(code)
        last = ast.Expression(tree.body.pop().value) if isinstance(tree.body[-1], ast.Expr) else None
        with contextlib.redirect_stdout(output):
            try:
                exec(compile(tree, "example.py", "exec"), namespace)
                value = eval(compile(last, "example.py", "eval"), namespace) if last else None
                if value is not None:
                    print(repr(value))
            except Exception as error:
                print(f"{type(error).__name__}: {error}")
    printed.append(output.getvalue())
Path(sys.argv[2]).write_text(json.dumps(printed), encoding="utf-8")
"""


@dataclass(frozen=True)
class Block:
    """A code block of a document; `line` is that of its fence."""

    document: Path
    line: int
    language: str
    code: str


def blocks_of(document: Path) -> list[Block]:
    text = document.read_text("utf-8")
    return [
        Block(document, text.count("\n", 0, match.start()) + 1, match[1], match[2]) for match in FENCE.finditer(text)
    ]


def examples_of(document: Path) -> list[tuple[Block, str]]:
    """The blocks to run, each with what it shows: the text that follows it with nothing but a blank line between."""
    text = document.read_text("utf-8")
    found = []
    for match in FENCE.finditer(text):
        commands = match[2] if match[1] != "sh" else re.sub(r"^make\b.*\n", "", match[2], flags=re.MULTILINE)
        if match[1] in ("python", "sh") and commands.strip():
            shown = re.compile(r"\n*```text\n(.*?)^```$", re.MULTILINE | re.DOTALL).match(text, match.end())
            block = Block(document, text.count("\n", 0, match.start()) + 1, match[1], commands)
            found.append((block, shown[1] if shown else ""))
    return found


def prose_of(document: Path) -> str:
    return FENCE.sub("", document.read_text("utf-8"))


def names_in_code(text: str) -> Iterator[str]:
    for match in re.finditer(r"(?<!`)`([^`\n]+)`", text):
        yield match[1]


def comparable(text: str, *folders: Path) -> list[str]:
    for folder in folders:
        text = text.replace(str(folder), "…")
    for pattern, word in VARYING.items():
        text = re.sub(pattern, word, text)
    return [line.rstrip() for line in text.strip().splitlines()]


@pytest.fixture
def commands(tmp_path: Path) -> dict[str, str]:
    """The environment of shell commands: `python` and `pip` of an environment with nothing in it, no index, and `tg`."""
    folder = tmp_path / "venv"
    make_environment(folder)
    tg = folder / "bin/tg"
    tg.write_text(
        f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(REPOSITORY))} exec {shlex.quote(sys.executable)} -m tg.common.cli "$@"\n'
    )
    tg.chmod(0o755)
    path = os.pathsep.join([str(folder / "bin"), os.environ.get("PATH", os.defpath)])
    return {"PATH": path, "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


@pytest.fixture
def server(tmp_path: Path, ssh_server: SshServer, image_cache: Path) -> str:
    """A PATH on which `ssh server` works: what the page of servers takes for given."""
    folder = tmp_path / "commands"
    folder.mkdir()
    configuration = folder / "config"
    configuration.write_text(ssh_server.config.read_text("utf-8").replace(ssh_server.alias, "server"), encoding="utf-8")
    wrapper = folder / "ssh"
    wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {configuration} "$@"\n', encoding="utf-8")
    wrapper.chmod(0o755)
    return os.pathsep.join([str(folder), os.environ.get("PATH", os.defpath)])


@pytest.mark.parametrize(
    "document", [one for one in DOCUMENTS if examples_of(one)], ids=lambda path: str(path.relative_to(REPOSITORY))
)
def test_the_examples_print_what_the_document_shows(
    tmp_path: Path, document: Path, request: pytest.FixtureRequest
) -> None:
    if sys.version_info[:2] != (3, 11) and any(document.is_relative_to(place) for place in ON_ONE_PYTHON):
        pytest.skip("this page is run on Python 3.11")
    project = Project(tmp_path)
    examples = examples_of(document)
    environment = project.environment()
    if any(block.language == "sh" for block, _ in examples):
        environment.update(request.getfixturevalue("commands"))
    if document.name in ("container.md", "containers.md"):
        request.getfixturevalue("image_cache")
    if document.name == "ssh.md":
        environment["PATH"] = request.getfixturevalue("server")
    script, given, answer = (project.elsewhere / name for name in ("cells.py", "given.json", "answer.json"))
    script.write_text(CELLS, encoding="utf-8")
    given.write_text(json.dumps([(block.language, block.code) for block, _ in examples]), encoding="utf-8")
    subprocess.run(
        [sys.executable, str(script), str(given), str(answer)],
        cwd=project.folder,
        env=environment,
        check=True,
        timeout=120,
    )
    printed = json.loads(answer.read_text("utf-8"))
    for (block, shown), output in zip(examples, printed, strict=True):
        where = f"{document.relative_to(REPOSITORY)}:{block.line}"
        folders = (project.folder, project.home, REPOSITORY)
        assert comparable(output, *folders) == comparable(shown, *folders), where


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_make_target_that_is_shown_exists(document: Path) -> None:
    makefile = (REPOSITORY / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):(?!=)", makefile, re.MULTILINE))
    code = [block.code for block in blocks_of(document)] + list(names_in_code(prose_of(document)))
    shown = {target for text in code for target in re.findall(r"^make +([a-z][a-z-]*)", text, re.MULTILINE)}
    assert shown - targets == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_link_into_the_repository_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", prose_of(document))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize(
    "document",
    [one for one in DOCUMENTS if one == REPOSITORY / "README.md" or one.is_relative_to(REPOSITORY / "docs")],
    ids=lambda path: str(path.relative_to(REPOSITORY)),
)
def test_every_block_says_what_it_is(document: Path) -> None:
    odd = [f"{block.line}: {block.language}" for block in blocks_of(document)]
    assert [one for one in odd if one.split(": ")[1] not in ("python", "sh", "text")] == []


def test_the_architecture_names_every_file_and_no_other() -> None:
    listed = re.findall(r"^\| `([\w/-]+(?:\.[\w.]+)?/?)` \|", ARCHITECTURE.read_text("utf-8"), re.MULTILINE)
    there = {
        path.relative_to(COMMON).as_posix() + "/" * path.is_dir()
        for path in COMMON.rglob("*")
        if "__pycache__" not in path.parts and not path.name.endswith(".pyc")
    }
    paths = [path for path in listed if "/" in path or "." in path]
    assert sorted(paths) == sorted(there)


def test_every_name_in_the_architecture_is_one_of_the_code() -> None:
    """A name in code style, dotted or called, has each of its words somewhere in the code."""
    code = "".join(path.read_text("utf-8") for path in COMMON.rglob("*.py"))
    words = set(re.findall(r"\w+", code)) | {path.stem for path in COMMON.rglob("*")}
    names = [name for name in names_in_code(prose_of(ARCHITECTURE)) if re.fullmatch(r"[A-Za-z_][\w.]*(\(\))?", name)]
    assert names
    assert [name for name in names if not set(re.findall(r"\w+", name)) <= words] == []


def test_the_architecture_explains_every_fact_of_a_package(project: Project) -> None:
    printed = project.run(f"""
        import json, zipfile
        with zipfile.ZipFile({str(project.deliver())!r}) as wheel:
            print(*json.loads(wheel.read("my_job__1_0_0/package.json")))
    """)
    explained = set(names_in_code(prose_of(ARCHITECTURE).partition("## The package format")[2]))
    assert set(printed.split()) - explained == set()


def test_every_decision_is_in_the_index() -> None:
    folder = REPOSITORY / "docs/decisions"
    linked = re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (folder / "README.md").read_text("utf-8"))
    assert linked == sorted(path.name for path in folder.glob("[0-9]*.md"))

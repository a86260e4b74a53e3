"""Code that nobody here wrote, under another name: a library's own tests, as they are and relocated.

python benchmarks/relocation.py NAME [--with REQUIREMENT]... [--without DISTRIBUTION]... [--also ROOT]... [--tests FOLDER]
                                     [--version V] [-- OPTIONS OF PYTEST]

Downloads the source distribution of NAME and installs it, with what its tests ask for, into an environment of its own.
Its tests run there under its own name. Then the library, and its tests, are delivered as the roots of a package, and the
same tests run in an environment that has the same distributions except NAME. Prints how many passed in both, and each
difference with what was said.

Tests are found inside of the library, in a folder beside it, or as files beside it. A folder that is a package is one
root; in one that is none, each module is a root, as it is for Python when pytest has put the folder on `sys.path`. Both runs
start in a folder with the data of the source distribution.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

REPOSITORY = Path(__file__).resolve().parent.parent
UID = "relocated__0"
_GROUPS = re.compile(r"tests?|testing|pytest|test[-_](?:deps|requirements|dependencies)")
_FOLDERS = "tests", "test", "testing"
_TEST_FILES = "test_*.py", "*_test.py", "test.py", "tests.py"
_OF_PYTEST = "pytest", "pluggy", "packaging", "pygments", "iniconfig"
_SETTINGS = "pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg"
_OWN_FOLDERS = "", "src", "lib", "python", "Lib"
"""Where a source distribution has the library's own source."""
_WITHOUT_SETTINGS = ["-o", "addopts="], ["-o", "addopts=", "-o", "filterwarnings="]
"""Tried when nothing passes with the library's own: options of plugins that are not there, a warning of the library."""
_DELIVER = """
import re, sys
from tg.common.delivery.delivery import Packaging
from tg.common.delivery.runtime.errors import UndeliverableSource

packaging = Packaging("relocated", "0", roots=sys.argv[2:])
packaging.silent = True
try:
    packaging.make_package(sys.argv[1])
except UndeliverableSource as error:  # keys in a library's tests are published already
    packaging.allow_credentials = set(re.findall(r"packaging.allow_credentials = \\['(.*?)'\\]", str(error)))
    packaging.make_package(sys.argv[1])
print(packaging.package_location)
"""


class Outcome(NamedTuple):
    """How a test ended, and what was said."""

    kind: str
    reason: str


class Library(NamedTuple):
    """A library that is installed in an environment, and its source distribution beside it."""

    name: str
    version: str
    python: Path
    source: Path
    roots: list[str]
    modules: list[str]
    """One of each root, which nothing but the library brings."""
    site: Path


class Tests(NamedTuple):
    """Tests that are not part of the library: the folder that has to be on the path, what to deliver of it, what to run."""

    base: Path
    roots: list[str]
    paths: list[Path]


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a library's own tests as they are, and relocated.")
    parser.add_argument("name")
    parser.add_argument("--version", help="of the library; the newest by default")
    parser.add_argument("--with", dest="more", action="append", default=[], help="one more requirement of the tests")
    parser.add_argument("--without", action="append", default=[], help="a distribution that tests can do without")
    parser.add_argument(
        "--also", action="append", default=[], help="one more root: of a requirement that imports the library itself"
    )
    parser.add_argument("--tests", help="the folder of tests in the source distribution, if it is not found")
    parser.add_argument("--json", type=Path, help="write every outcome there")
    parser.add_argument("--folder", type=Path, help="work there, and leave it; a temporary folder by default")
    given = sys.argv[1:]
    end = given.index("--") if "--" in given else len(given)
    options, of_pytest = parser.parse_args(given[:end]), given[end + 1 :]
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder.resolve() if options.folder else Path(temporary)
        library = install(options.name, options.version, options.more, options.without, folder)
        tests = tests_beside(library, options.tests, folder / "own-run")
        own, of_pytest = run_own(library, tests, of_pytest, folder)
        relocated = run_relocated(library, options.also, tests, of_pytest, folder)
    if options.json:
        options.json.write_text(json.dumps({"own": own, "relocated": relocated}, indent=1), encoding="utf-8")
    return tell(library, own, relocated)


def install(name: str, version: str | None, more: list[str], without: list[str], folder: Path) -> Library:
    """The library from the package index in an environment of its own, `folder/own`, with what its tests ask for.

    `without`: what is taken out of that again.
    """
    wanted = f"{name}=={version}" if version else name
    downloads = folder / "downloads"
    download = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", name, "-d", str(downloads)]
    run(*download, wanted)
    archive = next(downloads.iterdir())
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as zipped:
            zipped.extractall(folder / "source")
    else:
        with tarfile.open(archive) as tarred:
            tarred.extractall(folder / "source", **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    source = next((folder / "source").iterdir())
    metadata = (source / "PKG-INFO").read_text(encoding="utf-8")
    version = re.search(r"^Version: (.*)$", metadata, re.MULTILINE)[1]  # type: ignore[index]
    if normalised(name) in _OF_PYTEST:
        raise SystemExit(f"{name} is needed by pytest, so no test runs where it is not there.")
    python = environment(folder / "own")
    into = [uv(), "pip", "install", "-q", "--python", str(python)]
    extras = [one for one in re.findall(r"^Provides-Extra: (.*)$", metadata, re.MULTILINE) if _GROUPS.fullmatch(one)]
    run(*into, f"{name}[{','.join(extras)}]=={version}", "pytest", *more)
    for requirements in asked_for(source):
        if subprocess.run([*into, *requirements], capture_output=True, check=False).returncode:
            print(f"not installed: {' '.join(requirements)}", file=sys.stderr)
    if without:
        run(uv(), "pip", "uninstall", "-q", "--python", str(python), *without)
    roots, modules, site = json.loads(run(str(python), "-P", "-c", _FILES, name))
    library = Library(name, version, python, source, roots, modules, Path(site))
    add_tests_inside(library)
    return library


_FILES = """
import importlib.metadata, json, sys
distribution = importlib.metadata.distribution(sys.argv[1])
roots = {}
for file in sorted(distribution.files or (), key=lambda file: len(file.parts)):
    parts = file.with_suffix("").parts
    if file.suffix == ".py" and all(part.isidentifier() for part in parts):
        roots.setdefault(parts[0], ".".join(part for part in parts if part != "__init__"))
print(json.dumps([list(roots), list(roots.values()), str(distribution.locate_file(""))]))
"""


def asked_for(source: Path) -> list[list[str]]:
    """What the tests need, as far as it is written down: dependency groups (PEP 735) and files named for tests."""
    if sys.version_info < (3, 11):
        raise SystemExit("reading pyproject.toml takes Python 3.11.")
    import tomllib

    file = source / "pyproject.toml"
    content: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    groups: dict[str, list[Any]] = content.get("dependency-groups", {})
    tool = content.get("tool", {})
    poetry = {
        name: list(group.get("dependencies", {})) for name, group in tool.get("poetry", {}).get("group", {}).items()
    }
    groups = {**poetry, **groups}
    named = [name for name in groups if _GROUPS.fullmatch(name.lower())] or [name for name in groups if name == "dev"]

    def listed(name: str) -> list[str]:
        included = [one for one in groups.get(name, ()) if isinstance(one, dict) and "include-group" in one]
        plain = [one for one in groups.get(name, ()) if isinstance(one, str) and not one.startswith("python")]
        return [*plain, *(more for one in included for more in listed(one["include-group"]))]

    files = [path for pattern in ("*requirements*.txt", "*requirements*/*.txt") for path in source.glob(pattern)]
    tests = sorted(path for path in files if re.search("test", path.relative_to(source).as_posix()))
    hatch = tool.get("hatch", {}).get("envs", {}).get("hatch-test", {}).get("extra-dependencies", [])
    return [one for one in (*map(listed, named), hatch, *(["-r", str(path)] for path in tests)) if one]


def add_tests_inside(library: Library) -> None:
    """The folders of tests that lie in the library's own source and that wheels do not have."""
    for root, below in ((root, below) for root in library.roots for below in _OWN_FOLDERS):
        own = library.source / below / root
        for name in _FOLDERS:
            for folder in sorted(own.rglob(name)):
                there = library.site / root / folder.relative_to(own)
                if folder.is_dir() and there.parent.is_dir() and not there.exists():
                    shutil.copytree(folder, there)


def tests_beside(library: Library, given: str | None, place: Path) -> Tests | None:
    """The tests that are not part of the library, in a copy of its source distribution that does not have the library."""

    def left_out(folder: str, names: list[str]) -> set[str]:
        below = Path(folder).relative_to(library.source).as_posix()
        own = {*library.roots, *(f"{root}.py" for root in library.roots), "setup.py"}
        metadata = {name for name in names if name.endswith((".egg-info", ".dist-info"))}
        return metadata | (own & set(names) if below.removeprefix(".") in _OWN_FOLDERS else set())

    shutil.copytree(library.source, place, ignore=left_out, symlinks=True)
    found = (
        [given]
        if given
        else [name for name in _FOLDERS if (place / name).is_dir() and any((place / name).rglob("*.py"))]
    )
    if not found:
        files = sorted({file for pattern in _TEST_FILES for file in place.glob(pattern)})
        return (
            Tests(place, [file.stem for file in place.glob("*.py") if file.stem.isidentifier()], files)
            if files
            else None
        )
    folder = place / found[0]
    above = ["conftest"] if (place / "conftest.py").exists() else []
    mentioned = beside_and_mentioned(place, folder)
    if not (folder / "__init__.py").exists():
        return Tests(folder, [*tops_in(folder), *mentioned], [folder])
    top = Path(found[0]).parts[0] if Path(found[0]).parts[0] not in _OWN_FOLDERS else folder.name
    base = place if (place / top).is_dir() else folder.parent
    return Tests(base, [*above, top, *mentioned], [folder])


def tops_in(folder: Path) -> list[str]:
    """What can be imported where a folder is on the path."""
    files = [one.stem for one in folder.glob("*.py")]
    folders = [one.name for one in folder.iterdir() if one.is_dir() and any(one.rglob("*.py"))]
    return sorted(name for name in {*files, *folders} - sys.stdlib_module_names if name.isidentifier())


def beside_and_mentioned(place: Path, tests: Path) -> list[str]:
    """What lies beside the tests and is imported by them: examples, say."""
    sources = [file.read_text(encoding="utf-8", errors="replace") for file in tests.rglob("*.py")]
    names = [name for name in tops_in(place) if name not in ("conftest", tests.relative_to(place).parts[0])]
    patterns = {name: re.compile(rf"^\s*(?:from|import)\s+{name}\b|[\"']{name}\.\w", re.MULTILINE) for name in names}
    return [name for name in names if any(patterns[name].search(source) for source in sources)]


def run_own(
    library: Library, tests: Tests | None, options: list[str], folder: Path
) -> tuple[dict[str, Outcome], list[str]]:
    """The tests under the library's own name, and the options of pytest that they ran with."""
    bases = [library.site, *([tests.base] if tests else [])]
    paths = [library.site / root for root in library.roots if (library.site / root).is_dir()]
    paths += tests.paths if tests else []
    for more in ([], *_WITHOUT_SETTINGS):
        outcomes = run_tests("own", library.python, paths, bases, library, [*more, *options], folder)
        if any(outcome.kind == "passed" for outcome in outcomes.values()):
            return outcomes, [*more, *options]
    log = (folder / "own.log").read_text(encoding="utf-8")
    raise SystemExit(
        f"no test of {library.name} passes under its own name, or its source distribution has none:\n{log[-3000:]}"
    )


def run_relocated(
    library: Library, also: list[str], tests: Tests | None, options: list[str], folder: Path
) -> dict[str, Outcome]:
    """The tests in a package, in an environment that does not have the library."""
    roots = [*library.roots, *also, *(tests.roots if tests else [])]
    (folder / "delivery").mkdir()
    (folder / "delivery" / "tg").symlink_to(REPOSITORY / "tg")  # alone: the repository has a folder of tests as well
    paths = [folder / "delivery", library.site, *([tests.base, folder / "own-run"] if tests else [])]
    variables = {"PYTHONPATH": os.pathsep.join(map(str, paths)), "TG_HOME": str(folder / "home")}
    package = run(str(library.python), "-P", "-c", _DELIVER, str(folder / "package"), *roots, **variables).split()[-1]
    python = environment(folder / "without")
    pinned = run(uv(), "pip", "freeze", "--python", str(library.python)).split("\n")
    same = [one for one in pinned if one and normalised(re.split(r"[ =@]", one)[0]) != normalised(library.name)]
    run(uv(), "pip", "install", "-q", "--no-deps", "--python", str(python), *same, package)
    for module in library.modules:
        run(str(python), "-P", "-c", _NOT_THERE, module)
    site = Path(run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    base = site / UID
    if tests:
        add_data(tests, base)
    data_alone = shutil.ignore_patterns("*.py", "*.egg-info", *library.roots)
    shutil.copytree(library.source, folder / "relocated-run", ignore=data_alone, symlinks=True)
    warnings = re.compile(rf":({'|'.join(library.roots)})(?=\.[\w.]*Warning\b)")
    for settings in (folder / "relocated-run" / name for name in _SETTINGS):
        if settings.exists():  # which names classes of the library, and is not delivered
            settings.write_text(warnings.sub(rf":{UID}.\1", settings.read_text(encoding="utf-8")), encoding="utf-8")
    found = [base / path.relative_to(tests.base) for path in tests.paths] if tests else []
    if base not in found:
        found += [base / root for root in library.roots if (base / root).is_dir()]
    return run_tests("relocated", python, found, [base], library, options, folder)


_NOT_THERE = """
import importlib.util, sys
try:
    found = importlib.util.find_spec(sys.argv[1])
except ModuleNotFoundError:
    found = None
if found is not None:
    raise SystemExit(f"{sys.argv[1]} is there under its own name: {found}")
"""


def add_data(tests: Tests, base: Path) -> None:
    """What lies beside tests and is no source, where each module is a root of its own."""
    for path in tests.base.iterdir() if tests.paths == [tests.base] else ():
        if path.suffix != ".py" and not (base / path.name).exists():
            (shutil.copytree if path.is_dir() else shutil.copy)(path, base / path.name)


def run_tests(
    name: str,
    python: Path,
    paths: list[Path],
    bases: list[Path],
    library: Library,
    options: list[str],
    folder: Path,
) -> dict[str, Outcome]:
    """Run pytest with the library's own settings; the outcome of each test by its name."""
    outcomes, plugin, place = folder / f"{name}.jsonl", folder / f"{name}-plugin", folder / f"{name}-run"
    plugin.mkdir(exist_ok=True)
    place.mkdir(exist_ok=True)
    shutil.copy(REPOSITORY / "benchmarks/sample_outcomes.py", plugin)
    settings = [place / one for one in _SETTINGS]
    config = next((one for one in settings if one.exists() and "pytest" in one.read_text(encoding="utf-8")), None)
    command = [str(python), "-m", "pytest", "-q", "-p", "sample_outcomes", "-p", "no:cacheprovider"]
    command += ["-o", "consider_namespace_packages=true", "--continue-on-collection-errors"]
    command += [*(["-c", str(config), "--rootdir", str(place)] if config else []), *map(str, paths), *options]
    environment = {
        **os.environ,
        "PYTHONPATH": str(plugin),
        "PYTHONHASHSEED": "0",  # the names of tests may have the order of a set in them
        "RELOCATION_BASES": os.pathsep.join(map(str, bases)),
        "RELOCATION_OUTCOMES": str(outcomes),
    }
    outcomes.unlink(missing_ok=True)
    with (folder / f"{name}.log").open("w", encoding="utf-8") as log:
        subprocess.run(command, cwd=place, env=environment, stdout=log, stderr=subprocess.STDOUT, check=False)
    if not outcomes.exists():
        return {}
    found: dict[str, Outcome] = {}
    for line in outcomes.read_text(encoding="utf-8").splitlines():
        test, kind, reason = json.loads(line)
        test = test.replace(f"{UID}.", "")  # where a module's name is part of a test's
        for base in bases:
            test = test.replace(f"{base}{os.sep}", "")  # and where a path is
        if found.get(test, Outcome("passed", "")).kind != "failed":
            found[test] = Outcome(kind, reason)
    return found


def tell(library: Library, own: dict[str, Outcome], relocated: dict[str, Outcome]) -> int:
    """Print the row of the table and the differences; the status is 0 when 99.5 % hold."""
    own = {names_as_in(relocated, own).get(test, test): outcome for test, outcome in own.items()}
    passed = [test for test, outcome in own.items() if outcome.kind == "passed"]
    lost = [test for test in passed if relocated.get(test, Outcome("not found", "")).kind != "passed"]
    share = 100 * (len(passed) - len(lost)) / max(len(passed), 1)
    print(f"| {library.name} {library.version} | {len(passed):,} | {len(passed) - len(lost):,} | {share:.2f} % |")
    for test in lost:
        kind, reason = relocated.get(test, Outcome("not found", ""))
        print(f"  {kind}: {test}\n      {reason}")
    return 0 if passed and share >= 99.5 else 1


def names_as_in(others: dict[str, Outcome], own: dict[str, Outcome]) -> dict[str, str]:
    """What tests are called there whose names have a time or an address in them, so that they differ from run to run."""

    def only_in(those: dict[str, Outcome], these: dict[str, Outcome]) -> dict[str, list[str]]:
        by_function: dict[str, list[str]] = {}
        for test in these:
            if test not in those and "[" in test:
                by_function.setdefault(re.sub(r"\d|0x[0-9a-f]+", "", test), []).append(test)
        return by_function

    theirs, ours = only_in(own, others), only_in(others, own)
    same = [
        (ours[function], theirs[function]) for function in ours if len(ours[function]) == len(theirs.get(function, ()))
    ]
    return {name: other for names, others in same for name, other in zip(names, others, strict=True)}


def environment(folder: Path) -> Path:
    """A new virtual environment of this Python; its interpreter."""
    run(uv(), "venv", "-q", "--python", sys.executable, str(folder))
    return folder / "bin" / "python"


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def uv() -> str:
    return str(Path(sys.executable).with_name("uv"))


def run(*command: str, **variables: str) -> str:
    """What a command prints. Ends with what it said when it fails."""
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:6])} … failed:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    raise SystemExit(main())

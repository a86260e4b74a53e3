"""Code that nobody here wrote, under another name: a library's own tests, as they are and relocated.

python benchmarks/relocation.py NAME [--with REQUIREMENT]... [--tests FOLDER] [--version V] [-- OPTIONS OF PYTEST]

Downloads the source distribution of NAME and installs it, with what its tests ask for, into an environment of its own.
Its tests run there under its own name. Then the library, and its folder of tests, are delivered as the roots of a
package, and the same tests run in an environment that has the same distributions except NAME. Prints how many passed in
both, and each difference with what was said.
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
    site: Path


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a library's own tests as they are, and relocated.")
    parser.add_argument("name")
    parser.add_argument("--version", help="of the library; the newest by default")
    parser.add_argument("--with", dest="more", action="append", default=[], help="one more requirement of the tests")
    parser.add_argument("--tests", help="the folder of tests in the source distribution, if it is not found")
    parser.add_argument("--json", type=Path, help="write every outcome there")
    parser.add_argument("--folder", type=Path, help="work there, and leave it; a temporary folder by default")
    given = sys.argv[1:]
    end = given.index("--") if "--" in given else len(given)
    options, of_pytest = parser.parse_args(given[:end]), given[end + 1 :]
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        library = install(options.name, options.version, options.more, folder)
        tests = folder_of_tests(library, options.tests, folder)
        own = run_own(library, tests, of_pytest, folder)
        relocated = run_relocated(library, tests, of_pytest, folder)
    if options.json:
        options.json.write_text(json.dumps({"own": own, "relocated": relocated}, indent=1), encoding="utf-8")
    return tell(library, own, relocated)


def install(name: str, version: str | None, more: list[str], folder: Path) -> Library:
    """The library from the package index in an environment of its own, `folder/own`, with what its tests ask for."""
    wanted = f"{name}=={version}" if version else name
    downloads = folder / "downloads"
    run(
        sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", str(downloads), wanted
    )
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
    python = environment(folder / "own")
    requirements = [f"{name}=={version}", "pytest", *asked_for(source), *more]
    run(uv(), "pip", "install", "-q", "--python", str(python), *requirements)
    listed = run(str(python), "-P", "-c", _FILES, name)
    roots, site = json.loads(listed)
    return Library(name, version, python, source, roots, Path(site))


_FILES = """
import importlib.metadata, json, sys
distribution = importlib.metadata.distribution(sys.argv[1])
files = [file for file in distribution.files or () if file.suffix == ".py" and not file.is_absolute()]
tops = {file.parts[0].removesuffix(".py") for file in files if ".." not in file.parts and "-" not in file.parts[0]}
print(json.dumps([sorted(tops), str(distribution.locate_file(""))]))
"""


def asked_for(source: Path) -> list[str]:
    """What the tests need, as far as pyproject.toml says so: extras and dependency groups (PEP 735) named for tests."""
    if sys.version_info < (3, 11):
        raise SystemExit("reading pyproject.toml takes Python 3.11.")
    import tomllib

    file = source / "pyproject.toml"
    content: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    groups = {**content.get("project", {}).get("optional-dependencies", {}), **content.get("dependency-groups", {})}
    listed = [one for name, group in groups.items() if _GROUPS.fullmatch(name.lower()) for one in group]
    return [one for one in listed if isinstance(one, str)]


def folder_of_tests(library: Library, given: str | None, folder: Path) -> Path | None:
    """A copy of the tests that are not part of the library, alone in a folder; `None` where there are none."""
    found = [given] if given else [name for name in _FOLDERS if (library.source / name).is_dir()]
    if not found:
        return None
    shutil.copytree(library.source / found[0], folder / "beside" / Path(found[0]).name)
    return folder / "beside" / Path(found[0]).name


def run_own(library: Library, tests: Path | None, options: list[str], folder: Path) -> dict[str, Outcome]:
    """The tests under the library's own name."""
    bases = [library.site, *([tests.parent] if tests else [])]
    paths = [library.site / root for root in library.roots if (library.site / root).is_dir()]
    return run_tests("own", library.python, [*paths, *([tests] if tests else [])], bases, library, options, folder)


def run_relocated(library: Library, tests: Path | None, options: list[str], folder: Path) -> dict[str, Outcome]:
    """The tests in a package, in an environment that does not have the library."""
    roots = [*library.roots, *([tests.name] if tests else [])]
    (folder / "delivery").mkdir()
    (folder / "delivery" / "tg").symlink_to(REPOSITORY / "tg")  # alone: the repository has a folder of tests as well
    paths = [folder / "delivery", library.site, *([tests.parent] if tests else [])]
    variables = {"PYTHONPATH": os.pathsep.join(map(str, paths)), "TG_HOME": str(folder / "home")}
    package = run(str(library.python), "-P", "-c", _DELIVER, str(folder / "package"), *roots, **variables).split()[-1]
    python = environment(folder / "without")
    pinned = run(uv(), "pip", "freeze", "--python", str(library.python)).split("\n")
    same = [one for one in pinned if one and normalised(re.split(r"[ =@]", one)[0]) != normalised(library.name)]
    run(uv(), "pip", "install", "-q", "--no-deps", "--python", str(python), *same, package)
    for root in library.roots:
        code = f"import importlib.util as u; raise SystemExit(u.find_spec({root!r}) is not None)"
        run(str(python), "-P", "-c", code)  # it is not there under its own name
    site = Path(run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    base = site / UID
    found = [base / root for root in roots if (base / root).is_dir()]
    return run_tests("relocated", python, found, [base], library, options, folder)


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
    plugin.mkdir()
    place.mkdir()
    shutil.copy(REPOSITORY / "benchmarks/sample_outcomes.py", plugin)
    settings = [library.source / one for one in ("pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")]
    config = next((one for one in settings if one.exists() and "pytest" in one.read_text(encoding="utf-8")), None)
    command = [str(python), "-m", "pytest", "-q", "-p", "sample_outcomes", "-p", "no:cacheprovider"]
    command += ["-o", "consider_namespace_packages=true", "--continue-on-collection-errors"]
    command += [*(["-c", str(config), "--rootdir", str(place)] if config else []), *map(str, paths), *options]
    environment = {
        **os.environ,
        "PYTHONPATH": str(plugin),
        "RELOCATION_BASES": os.pathsep.join(map(str, bases)),
        "RELOCATION_OUTCOMES": str(outcomes),
    }
    with (folder / f"{name}.log").open("w", encoding="utf-8") as log:
        subprocess.run(command, cwd=place, env=environment, stdout=log, stderr=subprocess.STDOUT, check=False)
    if not outcomes.exists():
        raise SystemExit(f"no test ran under {name}:\n{(folder / f'{name}.log').read_text(encoding='utf-8')[-3000:]}")
    found: dict[str, Outcome] = {}
    for line in outcomes.read_text(encoding="utf-8").splitlines():
        test, kind, reason = json.loads(line)
        test = test.replace(f"{UID}.", "")  # where a module's name is part of a test's
        if found.get(test, Outcome("passed", "")).kind != "failed":
            found[test] = Outcome(kind, reason)
    return found


def tell(library: Library, own: dict[str, Outcome], relocated: dict[str, Outcome]) -> int:
    """Print the row of the table and the differences; the status is 0 when 99.5 % hold."""
    passed = [test for test, outcome in own.items() if outcome.kind == "passed"]
    lost = [test for test in passed if relocated.get(test, Outcome("not found", "")).kind != "passed"]
    share = 100 * (len(passed) - len(lost)) / max(len(passed), 1)
    print(f"| {library.name} {library.version} | {len(passed):,} | {len(passed) - len(lost):,} | {share:.2f} % |")
    for test in lost:
        kind, reason = relocated.get(test, Outcome("not found", ""))
        print(f"  {kind}: {test}\n      {reason}")
    return 0 if passed and share >= 99.5 else 1


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

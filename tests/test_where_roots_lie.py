"""A root travels from wherever importing finds it: as an editable install, in a zip file, in several folders, or not all of it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest
from extensions import SUFFIX
from projects import REPOSITORY, Project
from test_compiled_roots import in_one_process, make

pytestmark = pytest.mark.usefixtures("unchecked")

MODEL = "from . import parts\nclass Model:\n    def run(self):\n        return __name__, parts.TEXT\n"
PARTS = "import pkgutil\nTEXT = pkgutil.get_data(__name__, 'data/text.txt').decode()\n"
FILES = {"__init__.py": MODEL, "parts.py": PARTS, "data/text.txt": "beside"}
RAN = ["('my_job__1_0_0.mycompany', 'beside')", "[]"]
PRINT = "print(jobs[0].run())\nprint([name for name in sys.modules if name.partition('.')[0] == 'mycompany'])"


def members(file: Path) -> list[str]:
    """The members of a package that are of the root."""
    with zipfile.ZipFile(file) as wheel:
        return sorted(name.partition("/")[2] for name in wheel.namelist() if "/mycompany/" in name)


def write(folder: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(textwrap.dedent(text))


@pytest.fixture
def distribution(project: Project) -> Path:
    """The folder of a project of its own, with a `src/` layout, that is installed from elsewhere than where it lies."""
    folder = project.elsewhere / "their project"
    write(folder / "src/mycompany", FILES)
    write(folder, {"tests/test_it.py": "", "src/unrelated.py": ""})
    return folder


BACKENDS = {
    "setuptools, by a finder": (
        "setuptools.build_meta",
        "[tool.setuptools]\npackages = ['mycompany']\npackage-dir = {mycompany = 'src/mycompany'}\n",
        {},
    ),
    "setuptools, by links": (
        "setuptools.build_meta",
        "[tool.setuptools.package-data]\nmycompany = ['data/*.txt']\n",
        {"editable_mode": "strict"},
    ),
    "setuptools, by its folder": ("setuptools.build_meta", "[tool.setuptools.packages.find]\nwhere = ['src']\n", {}),
    "hatch, by its folder": (
        "hatchling.build",
        "[tool.hatch.build]\ndev-mode-dirs = ['src']\npackages = ['src/mycompany']\n",
        {},
    ),
}


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_editable_install_travels(project: Project, distribution: Path, backend: str) -> None:
    module, settings, options = BACKENDS[backend]
    (distribution / "pyproject.toml").write_text(
        f"[build-system]\nrequires = []\nbuild-backend = '{module}'\n"
        f"[project]\nname = 'their-dist'\nversion = '1.5'\n{settings}"
    )
    site = project.elsewhere / "site"
    code = f"import {module} as backend, sys\nprint(backend.build_editable(sys.argv[1], {options!r}))"
    built = subprocess.run(
        [sys.executable, "-c", code, str(project.elsewhere)],
        cwd=distribution,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(project.elsewhere / built.stdout.splitlines()[-1]) as wheel:
        wheel.extractall(site)
        if backend == "setuptools, by a finder":
            assert any(name.startswith("__editable___") for name in wheel.namelist())
        if backend == "setuptools, by links":
            assert any(path.is_symlink() for path in (distribution / "build").rglob("*.py"))
    # As site does it for site-packages.
    project.write("start.py", f"import site\nsite.addsitedir({str(site)!r})\nfrom mycompany import Model\n")
    file, _ = make(project, job="start:Model()")
    assert in_one_process(project, [file], PRINT) == RAN
    assert members(file) == ["mycompany/__init__.py", "mycompany/data/text.txt", "mycompany/parts.py"]
    assert "my_job__1_0_0/distributions/their-dist-1.5.dist-info/METADATA" in zipfile.ZipFile(file).namelist()


def test_a_legacy_editable_install_travels(project: Project, distribution: Path) -> None:
    """As `setup.py develop` left it."""
    site = project.elsewhere / "site"
    write(site, {"easy-install.pth": f"{distribution}/src\n", "their-dist.egg-link": f"{distribution}/src\n../"})
    write(
        distribution / "src/their_dist.egg-info",
        {"PKG-INFO": "Metadata-Version: 2.1\nName: their-dist\nVersion: 1.5\n"},
    )
    write(
        distribution / "src/their_dist.egg-info",
        {"top_level.txt": "mycompany\n", "SOURCES.txt": "src/mycompany/__init__.py\n"},
    )
    project.write("start.py", f"import site\nsite.addsitedir({str(site)!r})\nfrom mycompany import Model\n")
    file, _ = make(project, job="start:Model()")
    assert in_one_process(project, [file], PRINT) == RAN
    assert members(file) == ["mycompany/__init__.py", "mycompany/data/text.txt", "mycompany/parts.py"]
    assert "my_job__1_0_0/distributions/their-dist-1.5.dist-info/METADATA" in zipfile.ZipFile(file).namelist()


def test_a_src_layout_travels_without_what_lies_around_it(project: Project, distribution: Path) -> None:
    printed = project.deliver(
        job="mycompany:Model()", PYTHONPATH=f"{project.folder}:{REPOSITORY}:{distribution / 'src'}"
    )
    assert in_one_process(project, [printed], PRINT) == RAN
    assert not [name for name in zipfile.ZipFile(printed).namelist() if "unrelated" in name or "test_it" in name]


def zipped(project: Project, name: str, files: dict[str, str], folder: str = "mycompany/") -> Path:
    archive = project.elsewhere / name
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("mycompany/", "")  # by this `zipimport` knows a folder without `__init__.py`
        for path, text in {
            **{f"{folder}{path}": text for path, text in files.items()},
            "other/__init__.py": "",
        }.items():
            opened.writestr(path, text)
    return archive


def delivered_from(project: Project, *entries: Path, job: str = "mycompany:Model()", **settings: str) -> Path:
    path = ":".join(map(str, (project.folder, REPOSITORY, *entries)))
    return project.deliver(job=job, PYTHONPATH=path, **settings)


@pytest.mark.parametrize("name", ["eggs.zip", "their_dist-1.5-py3.11.egg"])
@pytest.mark.parametrize("settings", ["", "packaging.roots = ['mycompany']"])
def test_a_root_in_a_zip_file_or_an_egg_travels(project: Project, name: str, settings: str) -> None:
    archive = zipped(project, name, {**FILES, f"fast{SUFFIX}": "not imported from a zip file"})
    file = delivered_from(project, archive, settings=settings)
    assert in_one_process(project, [file], PRINT) == RAN
    assert members(file) == ["mycompany/__init__.py", "mycompany/data/text.txt", "mycompany/parts.py"]


def test_a_root_in_an_egg_knows_its_own_version(project: Project) -> None:
    knows = "from importlib.metadata import version\nclass Model:\n    def run(self):\n        return version('their-dist')\n"
    archive = zipped(project, "their_dist-1.5-py3.11.egg", {"__init__.py": knows})
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr("EGG-INFO/PKG-INFO", "Metadata-Version: 2.1\nName: their-dist\nVersion: 1.5\n")
        opened.writestr("EGG-INFO/top_level.txt", "mycompany\nother\n")
    file = delivered_from(project, archive)
    assert in_one_process(project, [file], "print(jobs[0].run())") == ["1.5"]


def test_what_a_zip_file_holds_is_unpacked_once_and_again_when_it_was_harmed(project: Project) -> None:
    archive = zipped(project, "eggs.zip", FILES)
    first = delivered_from(project, archive).read_bytes()
    (folder,) = (project.home / "cache/unpacked").iterdir()
    before = folder.stat().st_ino
    assert delivered_from(project, archive).read_bytes() == first
    assert folder.stat().st_ino == before
    (folder / "mycompany/parts.py").write_text("harmed")
    assert delivered_from(project, archive).read_bytes() == first
    zipped(project, "eggs.zip", {**FILES, "data/text.txt": "changed"})
    assert in_one_process(project, [delivered_from(project, archive)], PRINT) == [
        RAN[0].replace("beside", "changed"),
        "[]",
    ]
    assert not [path for path in (project.home / "cache/unpacked").iterdir() if path.name.startswith("tmp-")]


def test_a_root_that_lies_deeper_in_a_zip_file_travels(project: Project) -> None:
    archive = zipped(project, "eggs.zip", FILES, folder="lib/python/mycompany/")
    file = delivered_from(project, archive / "lib/python")
    assert in_one_process(project, [file], PRINT) == RAN


def test_a_single_module_in_a_zip_file_is_a_root(project: Project) -> None:
    archive = zipped(
        project, "eggs.zip", {"tool.py": "class Tool:\n    def run(self):\n        return __name__\n"}, folder=""
    )
    file = delivered_from(project, archive, job="tool:Tool()")
    assert in_one_process(project, [file], "print(jobs[0].run())") == ["my_job__1_0_0.tool"]


def test_a_namespace_package_in_a_folder_and_a_zip_file_travels_whole(project: Project) -> None:
    project.write("one/mycompany/a.py", "from mycompany.b import B\nclass A:\n    def run(self):\n        return B\n")
    archive = zipped(project, "eggs.zip", {"b.py": "B = 'zipped'\n"})
    file = delivered_from(project, project.folder / "one", archive, job="mycompany.a:A()")
    assert in_one_process(project, [file], PRINT) == ["zipped", "[]"]
    assert members(file) == ["mycompany/__init__.py", "mycompany/a.py", "mycompany/b.py"]


def test_a_zip_file_that_is_broken_says_so(project: Project) -> None:
    archive = zipped(project, "eggs.zip", FILES)
    data = archive.read_bytes()
    told = project.run(
        f"""
        import sys; sys.path.append({str(archive)!r})
        from mycompany import Model
        from tg.common.delivery.delivery import Packaging
        data = open({str(archive)!r}, 'rb').read()
        where = data.index(b'mycompany/parts.py') + len('mycompany/parts.py')
        open({str(archive)!r}, 'wb').write(data[:where] + b'broken' + data[where + 6:])
        Packaging('my_job', '1.0.0', dict(job=Model()), roots=['mycompany']).make_package()
        """,
        fails=True,
    )
    assert f"{archive} has mycompany in it and cannot be read" in told
    assert len(data) == len(archive.read_bytes())


@pytest.fixture
def installed(project: Project) -> Path:
    """A folder of site-packages where a distribution with a root is installed."""
    site = project.elsewhere / "site-packages"
    write(site / "mycompany", FILES)
    info = "their_dist-1.5.dist-info"
    record = "".join(f"mycompany/{path},,\n" for path in (*FILES, "extra.py", "data/more.txt", "__pycache__/x.pyc"))
    write(site / info, {"METADATA": "Metadata-Version: 2.1\nName: their-dist\nVersion: 1.5\n", "RECORD": record})
    write(site / "mycompany", {"extra.py": "", "data/more.txt": ""})
    return site


def test_files_of_a_distribution_that_are_gone_are_named(project: Project, installed: Path) -> None:
    paths = {"PYTHONPATH": f"{project.folder}:{REPOSITORY}:{installed}"}
    code = """
        import sys
        sys.stderr = sys.stdout
        from mycompany import Model
        from tg.common.delivery.delivery import Packaging
        Packaging('my_job', '1.0.0', dict(job=Model()), roots=['mycompany']).make_package()
    """
    assert "only partly installed" not in project.run(code, **paths)
    (installed / "mycompany/extra.py").unlink()
    (installed / "mycompany/data/more.txt").unlink()
    assert (
        f"mycompany/ is only partly installed: their-dist has brought {installed}/mycompany/extra.py and 1 more files, gone since. "
        "What needs them fails where the package lands as it does here. Install their-dist again if anything does."
    ) in project.run(code, **paths)


def test_a_module_that_is_imported_and_gone_stops_the_build(project: Project, installed: Path) -> None:
    (installed / "mycompany/extra.py").unlink()
    with (installed / "mycompany/parts.py").open("a") as file:
        file.write("def late():\n    from . import extra\n    import mycompany.extra\n")
    told = project.run(
        """
        from mycompany import Model
        from tg.common.delivery.delivery import Packaging
        Packaging('my_job', '1.0.0', dict(job=Model()), roots=['mycompany']).make_package()
        """,
        fails=True,
        PYTHONPATH=f"{project.folder}:{REPOSITORY}:{installed}",
    )
    assert f"{installed}/mycompany/parts.py:5 imports mycompany.extra, which is not in mycompany/. Add it" in told


def test_a_root_that_is_half_removed_names_what_is_left(project: Project, installed: Path) -> None:
    """Its metadata without its files: as an interrupted `pip uninstall` leaves it."""
    for path in (*FILES, "extra.py", "data/more.txt"):
        (installed / "mycompany" / path).unlink()
    (installed / "mycompany/data").rmdir()
    (installed / "mycompany").rmdir()
    told = project.run(
        """
        from tg.my.job import Job
        from tg.common.delivery.delivery import Packaging
        Packaging('my_job', '1.0.0', dict(job=Job()), roots=['mycompany']).make_package()
        """,
        fails=True,
        PYTHONPATH=f"{project.folder}:{REPOSITORY}:{installed}",
    )
    assert "root 'mycompany' cannot be imported here, so there is nothing to deliver" in told

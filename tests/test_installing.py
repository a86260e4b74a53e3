"""Installing for use in this process: the calls of the page, dependencies, finding, uninstalling."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from environments import make_environment
from projects import REPOSITORY, Project

pytestmark = pytest.mark.usefixtures("unchecked")


def install(project: Project, file: Path, more: str = "", *, fails: bool = False, python: str = sys.executable) -> str:
    code = f"""
from tg.common.delivery.delivery import *
entry_point = install_package_and_get_loader({str(file)!r}, silent=True)
{more}
"""
    return project.run(code, with_project=False, fails=fails, python=python)


def test_the_attributes_of_an_entry_point_are_the_facts_of_the_package(project: Project) -> None:
    more = """
facts = dict(entry_point.__dict__)
location = facts.pop('resources_location')
print(facts)
print(sorted(path.name for path in location.iterdir()), entry_point.resources)
"""
    printed = install(project, project.deliver(), more).splitlines()
    assert printed == [
        "{'name': 'my_job', 'version': '1.0.0', 'module_name': 'my_job__1_0_0', "
        "'tg_import_path': 'my_job__1_0_0.tg', 'original_tg_import_path': 'tg'}",
        "['job'] ['job']",
    ]


def test_installing_imports_nothing_of_the_package(project: Project) -> None:
    more = "import sys; print([name for name in sys.modules if name.startswith('my_job')])"
    assert install(project, project.deliver(), more).strip() == "[]"


def test_a_resource_that_is_not_there_is_an_error_with_the_names_there_are(project: Project) -> None:
    printed = install(project, project.deliver(), "entry_point.load_resource('model')", fails=True)
    assert "PackageNotFound: no resource 'model' in" in printed
    assert "The package has: job." in printed


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("packaging", "Give the file of a package: packaging.package_location, after packaging.make_package()."),
        ("packaging.package_location", "the package of my_job was not made yet. packaging.make_package() makes it."),
    ],
)
def test_a_package_that_was_not_made_is_an_error_that_says_how_to_make_it(
    project: Project, given: str, said: str
) -> None:
    told = project.run(
        f"""
        from tg.common.delivery.delivery import Packaging, install_package_and_get_loader
        packaging = Packaging('my_job', '1.0.0', dict(job=1))
        install_package_and_get_loader({given})
        """,
        fails=True,
    )
    assert said in told


def test_a_missing_file_is_an_error_that_names_it(project: Project) -> None:
    printed = install(project, Path("nowhere.whl"), fails=True)
    assert "PackageRejected" in printed
    assert "nowhere.whl cannot be opened: No such file or directory" in printed


def test_a_package_for_a_newer_python_is_refused_and_says_which(project: Project) -> None:
    file = project.deliver(settings="packaging.requires_python = '>=3.99'")
    printed = install(project, file, fails=True)
    running = ".".join(map(str, sys.version_info[:3]))
    assert f"IncompatiblePackage: {file} needs Python >=3.99, and this is Python {running}." in printed


def test_a_package_is_found_by_uid_and_by_name(project: Project) -> None:
    more = """
print(get_loader_from_installed_package('my_job__1_0_0').load_resource('job').run())
print(get_loader_from_installed_package('my_job').load_resource('job').run())
print(get_loader_from_installed_package('my_job', '1.0.0').load_resource('job').run())
"""
    assert install(project, project.deliver(), more).split() == ["one", "one", "one"]


def test_an_installed_package_for_another_python_is_refused(project: Project) -> None:
    file = project.deliver(settings="packaging.requires_python = '>=3.10,<3.99'")
    install(project, file)
    package_json = next((project.home / "store").glob("*/my_job__1_0_0/package.json"))
    package_json.chmod(0o644)
    package_json.write_text(package_json.read_text().replace("<3.99", "<3.10"))
    printed = project.run(
        "from tg.common.delivery.delivery import get_loader_from_installed_package as get; get('my_job')", fails=True
    )
    assert "IncompatiblePackage: my_job__1_0_0 is installed in" in printed
    assert "but needs Python >=3.10,<3.10" in printed


def test_looking_for_what_is_not_installed_is_an_error_that_says_where_it_looked(project: Project) -> None:
    printed = project.run(
        "from tg.common.delivery.delivery import get_loader_from_installed_package as get; get('nothing')", fails=True
    )
    assert "PackageNotFound: no package 'nothing' is installed, neither in" in printed


@pytest.mark.parametrize("argument", ["entry_point", "'my_job__1_0_0'", "'my_job'", "list_installed()[0]"])
def test_uninstalling_takes_a_package_out_of_process_and_store(project: Project, argument: str) -> None:
    more = f"""
import sys
entry_point.load_resource('job')
uninstall({argument})
print(list_installed(), [name for name in sys.modules if name.startswith('my_job')])
"""
    assert install(project, project.deliver(), more).strip() == "[] []"


def test_uninstalling_what_is_not_there_is_an_error(project: Project) -> None:
    printed = install(project, project.deliver(), "uninstall('other')", fails=True)
    assert "PackageNotFound: other is not in" in printed


class Environment:
    """A fresh virtual environment that has pip, and delivery as a plain folder on its path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = str(make_environment(folder))
        site = next(folder.glob("lib/python*/site-packages"))
        (site / "delivery.pth").write_text(str(REPOSITORY))
        self.pip("install", "packaging")

    def pip(self, *arguments: str) -> None:
        subprocess.run([self.python, "-m", "pip", "-q", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("environment") / "venv")


@pytest.fixture(scope="module")
def small_wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two versions of a distribution that nobody else has, and the one that its extra `more` needs: a folder of wheels."""
    folder = tmp_path_factory.mktemp("wheels")
    for name, version in (("tg-small-dependency", "1.0"), ("tg-small-dependency", "2.0"), ("tg-more", "1.0")):
        source = folder / f"{name}-{version}"
        source.mkdir()
        module = name.replace("-", "_")
        (source / f"{module}.py").write_text(f"VERSION = {version!r}\n")
        (source / "pyproject.toml").write_text(
            f'[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
            f'[project]\nname = "{name}"\nversion = "{version}"\n'
            f'[project.optional-dependencies]\nmore = ["tg-more"]\n'
            f'[tool.hatch.build.targets.wheel]\nonly-include = ["{module}.py"]\n'
        )
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(folder), str(source)]
        subprocess.run(command, check=True, capture_output=True)
    return folder


NEEDS = "packaging.dependencies = (*packaging.dependencies, DependencyList('mine', ['tg-small-dependency>=1']))"


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_missing_dependencies_are_installed_before_anything_is_imported(
    project: Project, environment: Environment, small_wheels: Path, installer: str
) -> None:
    project.write(
        "tg/my/job.py",
        "class Job:\n    def run(self):\n        import tg_small_dependency as d\n        return d.VERSION\n",
    )
    file = project.deliver(settings=NEEDS)
    environment.pip("uninstall", "-y", "tg-small-dependency")
    uv = shutil.which("uv", path=str(Path(sys.executable).parent))
    assert uv is not None
    printed = project.run(
        f"""
        from tg.common.delivery.delivery import install_package_and_get_loader
        entry_point = install_package_and_get_loader({str(file)!r})
        print(entry_point.load_resource('job').run())
        """,
        python=environment.python,
        with_project=False,
        with_delivery=False,
        PATH=str(Path(uv).parent) if installer == "uv" else "/usr/bin:/bin",
        PIP_FIND_LINKS=str(small_wheels),
        UV_FIND_LINKS=str(small_wheels),
    )
    assert printed.splitlines()[0].endswith("INFO: Installing tg-small-dependency>=1")
    assert printed.splitlines()[-1] == "2.0"


def test_what_an_extra_of_an_installed_distribution_needs_is_missing_too(
    project: Project, environment: Environment, small_wheels: Path
) -> None:
    environment.pip("install", "--no-index", "--find-links", str(small_wheels), "tg-small-dependency==1.0")
    environment.pip("uninstall", "-y", "tg-more")
    file = project.deliver(settings=NEEDS.replace(">=1", "[more]>=1"))
    printed = project.run(
        f"""
        from tg.common.delivery.delivery import install_package_and_get_loader
        install_package_and_get_loader({str(file)!r})
        import tg_more
        print(tg_more.VERSION)
        """,
        python=environment.python,
        with_delivery=False,
        PIP_FIND_LINKS=str(small_wheels),
        UV_FIND_LINKS=str(small_wheels),
    )
    assert printed.splitlines()[-1] == "1.0"


def test_missing_dependencies_are_named_when_they_are_not_to_be_installed(
    project: Project, environment: Environment
) -> None:
    file = project.deliver(settings=NEEDS)
    environment.pip("uninstall", "-y", "tg-small-dependency")
    printed = project.run(
        f"""
        from tg.common.delivery.delivery import install_package_and_get_loader
        install_package_and_get_loader({str(file)!r}, install_dependencies=False)
        """,
        python=environment.python,
        with_delivery=False,
        fails=True,
    )
    assert "DependencyProblem: my_job__1_0_0 needs tg-small-dependency>=1, which is not installed" in printed


def test_a_conflict_with_what_is_installed_names_both_and_changes_nothing(
    project: Project, environment: Environment, small_wheels: Path
) -> None:
    environment.pip("install", "--no-index", "--find-links", str(small_wheels), "tg-small-dependency==1.0")
    file = project.deliver(settings=NEEDS.replace(">=1", ">=2"))
    printed = project.run(
        f"""
        from tg.common.delivery.delivery import install_package_and_get_loader
        install_package_and_get_loader({str(file)!r})
        """,
        python=environment.python,
        with_delivery=False,
        fails=True,
    )
    said = "my_job__1_0_0 needs tg-small-dependency>=2, and tg-small-dependency 1.0 is installed"
    assert f"DependencyProblem: {said}" in printed


def test_a_package_that_pip_installed_is_found_by_uid_and_by_name(project: Project, environment: Environment) -> None:
    environment.pip("install", "--no-deps", str(project.deliver()))
    try:
        printed = project.run(
            """
            from tg.common.delivery.delivery import get_loader_from_installed_package as get
            print(get('my_job').load_resource('job').run(), get('my_job__1_0_0').load_resource('job').run())
            print('site-packages' in str(get('my_job').resources_location))
            """,
            python=environment.python,
            with_project=False,
            with_delivery=False,
        )
    finally:
        environment.pip("uninstall", "-y", "my_job")
    assert printed.split() == ["one", "one", "True"]


def test_the_store_takes_over_from_what_pip_installed_under_the_same_uid(
    project: Project, environment: Environment
) -> None:
    environment.pip("install", "--no-deps", str(project.deliver()))
    project.write("tg/my/job.py", "class Job:\n    def run(self):\n        return 'two'\n")
    second = project.deliver()
    try:
        printed = project.run(
            f"""
            from tg.common.delivery.delivery import get_loader_from_installed_package, install_package_and_get_loader
            old = get_loader_from_installed_package('my_job')
            job = old.load_resource('job')
            new = install_package_and_get_loader({str(second)!r}, silent=True)
            print(job.run(), new.load_resource('job').run(), old.load_resource('job').run(), type(new.load_resource('job')))
            """,
            python=environment.python,
            with_project=False,
            with_delivery=False,
        )
    finally:
        environment.pip("uninstall", "-y", "my_job")
    assert printed.strip() == "one two one <class 'my_job__1_0_0.tg.my.job.Job'>"

"""Dependencies are found: what the needed modules import and the payload names, with the versions that are installed."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from projects import REPOSITORY, Project

AUTO = "packaging.dependencies = 'auto'"


class Site:
    """A folder of installed distributions."""

    def __init__(self, project: Project) -> None:
        self.folder = project.elsewhere / "site-packages"
        self.path = f"{project.folder}:{REPOSITORY}:{self.folder}"

    def install(self, name: str, version: str, *files: str, url: str = "") -> None:
        metadata = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        if url:
            (metadata / "direct_url.json").write_text(json.dumps({"url": url, "dir_info": {}}))
        for file in files:
            (self.folder / file).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / file).write_text("class Value:\n    pass\n")
        (metadata / "RECORD").write_text("".join(f"{file},,\n" for file in (*files, f"{metadata.name}/METADATA")))


@pytest.fixture
def site(project: Project) -> Site:
    made = Site(project)
    made.install("Used-Dist", "1.2", "used/__init__.py")
    made.install("deep", "3.4.post1", "deep.py")
    made.install("unreached", "5", "unreached.py")
    made.install("optional", "6", "optional.py")
    made.install("typed", "7", "typed.py")
    made.install("cloud-storage", "8", "cloud/storage/__init__.py")
    made.install("cloud-query", "9", "cloud/query/__init__.py")
    project.write("tg/my/late.py", "def late():\n    import deep\n    from cloud import storage\n    return deep\n")
    project.write("tg/my/nobody.py", "import unreached\nimport nowhere\n")
    project.write(
        "tg/my/job.py",
        """
        import json
        from typing import TYPE_CHECKING
        import used
        try:
            import optional
            import missing
        except ImportError:
            pass
        if TYPE_CHECKING:
            import typed

        class Job:
            def __init__(self, value=None):
                self.value = value

            def run(self):
                from tg.my.late import late
                return late()
        """,
    )
    return made


def needs_of(file: Path) -> dict[str, list[str]]:
    with zipfile.ZipFile(file) as wheel:
        facts = json.loads(wheel.read("my_job__1_0_0/package.json"))
        metadata = wheel.read("my_job-1.0.0.dist-info/METADATA").decode()
    needs: dict[str, list[str]] = facts["dependencies"]
    required = [line.partition(": ")[2] for line in metadata.splitlines() if line.startswith("Requires-Dist")]
    assert required == [one for names in needs.values() for one in names]
    return needs


def test_what_is_reached_is_found_with_its_version(project: Project, site: Site) -> None:
    found = needs_of(project.deliver(settings=AUTO, PYTHONPATH=site.path))
    assert found == {"min": [], "inferred": ["Used-Dist==1.2", "cloud-storage==8", "deep==3.4.post1"]}


def test_what_the_payload_names_is_found(project: Project, site: Site) -> None:
    job = "tg.my.job:Job(__import__('unreached').Value())"
    found = needs_of(project.deliver(job=job, settings=AUTO, PYTHONPATH=site.path))
    assert "unreached==5" in found["inferred"]


def test_what_is_declared_is_not_found_again(project: Project, site: Site) -> None:
    settings = """
packaging.dependencies = (
    DependencyList('mine', ['used_dist>=1']), DependencyList.inferred('found', also=['pyarrow', 'deep<4']),
)"""
    found = needs_of(project.deliver(settings=settings, PYTHONPATH=site.path))
    assert found == {"mine": ["used_dist>=1"], "found": ["pyarrow", "deep<4", "cloud-storage==8"]}


def test_what_code_goes_on_without_is_told(project: Project, site: Site) -> None:
    printed = project.run(
        "from tg.my.job import Job\nfrom tg.common.delivery.delivery import Packaging\n"
        "packaging = Packaging('my_job', '1.0.0', dict(job=Job()), 'auto')\n"
        "print(packaging.dependencies)\npackaging.make_package()",
        PYTHONPATH=site.path,
    )
    assert "({'min': []}, {'inferred': ['…']})" in printed
    assert "imports optional, and goes on without it. It is no dependency" in printed
    assert "imports typed, and goes on without it." in printed
    assert (
        "INFO: my_job__1_0_0 needs Used-Dist==1.2, cloud-storage==8, deep==3.4.post1 besides, as was found" in printed
    )
    assert "missing" not in printed


def test_what_is_imported_for_want_of_something_is_needed_where_that_is_not_here(project: Project, site: Site) -> None:
    file = project.folder / "tg/my/job.py"
    fallbacks = """
try:
    import json as toml
except ImportError:
    import not_here_either as toml
try:
    import nowhere
except ImportError:
    import unreached as nowhere
try:
    import used
except ImportError:
    try:
        import nowhere_at_all
    except ImportError:
        nowhere_at_all = None
"""
    file.write_text(file.read_text() + fallbacks)
    found = needs_of(project.deliver(settings=AUTO, PYTHONPATH=site.path))
    assert found["inferred"] == ["Used-Dist==1.2", "cloud-storage==8", "deep==3.4.post1", "unreached==5"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "import nowhere.at_all",
            "imports nowhere.at_all, which is neither Python's own, nor delivered, nor installed",
        ),
        ("import local", "imports local of local-dist, which is installed from /somewhere and so from nowhere else"),
    ],
)
def test_what_cannot_be_installed_elsewhere_is_an_error(project: Project, site: Site, line: str, said: str) -> None:
    site.install("local-dist", "1", "local.py", url="file:///somewhere")
    file = project.write("tg/my/late.py", f"def late():\n    {line}\n")
    told = project.run(
        "from tg.my.job import Job\nfrom tg.common.delivery.delivery import Packaging\n"
        "Packaging('my_job', '1.0.0', dict(job=Job()), 'auto').make_package()",
        fails=True,
        PYTHONPATH=site.path,
    )
    assert f"{file}:2 {said}" in told
    assert not (project.home / "packages").exists()


def problems_of_check(project: Project, site: Site) -> list[str]:
    """What `check` calls a problem of a job whose dependencies are to be found."""
    told = project.run(
        "from tg.my.job import Job\nfrom tg.common.delivery.delivery import Packaging\n"
        "print(Packaging('my_job', '1.0.0', dict(job=Job()), 'auto').check())",
        PYTHONPATH=site.path,
    )
    return [line for line in told.splitlines() if line.startswith("problem")]


def test_what_is_lacking_is_told_once_a_line(project: Project, site: Site) -> None:
    file = project.write("tg/my/late.py", "def late():\n    from nowhere import a, b, c\n")
    assert problems_of_check(project, site) == [
        f"problem: {file}:2 imports nowhere.a, which is neither Python's own, nor delivered, nor installed here. Install it, "
        "add 'nowhere' to roots, or catch the ImportError if it can do without."
    ]


def test_code_of_the_project_that_does_not_travel_is_told_once(project: Project, site: Site) -> None:
    project.write("helpers.py", "")
    file = project.write("tg/my/late.py", "def late():\n    import helpers\n")
    assert problems_of_check(project, site) == [
        f"problem: job uses helpers ({file}:2), which is outside tg/ ({project.folder}/helpers.py) and will not be delivered. Move "
        "it under tg/, add 'helpers' to roots, pass the value in the payload, or declare the distribution that brings it."
    ]


def test_what_an_installed_root_was_installed_without_is_no_error(project: Project, site: Site) -> None:
    site.install("library", "1", "library/__init__.py", "library/drawing.py")
    (site.folder / "library/__init__.py").write_text("import used\nclass Value:\n    from . import drawing\n")
    (site.folder / "library/drawing.py").write_text(
        "def draw():\n    import plotting\ndef again():\n    import plotting\n"
    )
    printed = project.run(
        "import library\nfrom tg.common.delivery.delivery import Packaging\n"
        "packaging = Packaging('my_job', '1.0.0', dict(job=library.Value()), 'auto', roots=['library'])\n"
        "print(packaging.check())\nprint(packaging.make_package().package_location)",
        PYTHONPATH=site.path,
    )
    assert [line for line in printed.splitlines() if line.startswith(("problem", "note"))] == [
        f"note: {site.folder}/library/drawing.py:2 imports plotting, and is installed here without it. It is no dependency; "
        "DependencyList.inferred(also=[...]) makes it one."
    ]
    assert needs_of(Path(printed.splitlines()[-1])) == {"min": [], "inferred": ["Used-Dist==1.2"]}


def test_there_is_one_list_that_is_found(project: Project, site: Site) -> None:
    told = project.run(
        "from tg.my.job import Job\nfrom tg.common.delivery.delivery import DependencyList, Packaging\n"
        "lists = DependencyList.inferred('a'), DependencyList.inferred('b')\n"
        "Packaging('my_job', '1.0.0', dict(job=Job()), lists).make_package()",
        fails=True,
        PYTHONPATH=site.path,
    )
    assert "dependencies has 2 lists that are to be found, a, b. One has all of them." in told

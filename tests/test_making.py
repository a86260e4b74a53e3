"""Making a package: the calls of the specification, the same bytes for the same input, and nothing half written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from projects import Project

from tg.common.delivery.delivery import DependencyList, Packaging, install_package_and_get_loader
from tg.common.delivery.delivery.example_job import ExampleJob

MAKE = """
import sys
from tg.my.job import Job
from tg.common.delivery.delivery import Packaging
packaging = Packaging('my_job', {version!r}, dict(job=Job()))
packaging.silent = True
packaging.checked = False  # that is a process more; tests/test_checking.py has it
print(packaging.make_package({destination}).package_location)
"""


def test_the_calls_of_the_specification_give_its_answers() -> None:
    packaging = Packaging(name="example_job", version="0.0.0", payload={"job": ExampleJob()})
    packaging.silent = True
    assert repr(packaging.dependencies) == "({'min': []},)"
    assert packaging.make_package() is packaging
    assert packaging.package_module_name == "example_job__0_0_0"
    assert packaging.is_made
    entry_point = install_package_and_get_loader(packaging.package_location, silent=True)
    facts = {key: value for key, value in entry_point.__dict__.items() if key != "resources_location"}
    assert facts == packaging.package_properties == {
        "name": "example_job",
        "version": "0.0.0",
        "module_name": "example_job__0_0_0",
        "tg_import_path": "example_job__0_0_0.tg",
        "original_tg_import_path": "tg",
    }  # fmt: skip
    assert repr(packaging) == f"<Packaging example_job 0.0.0: job; made as {packaging.package_location}>"
    loaded_job = entry_point.load_resource("job")
    entry_point.unload()
    expected = "<class 'example_job__0_0_0.tg.common.delivery.delivery.example_job.ExampleJob'>"
    assert str(type(loaded_job)) == expected


def test_settings_that_no_package_was_made_of_yet_show_that() -> None:
    assert repr(Packaging("job", payload={"job": 1, "more": 2})) == "<Packaging job: job, more; not made yet>"


def test_dependencies_print_and_compare_as_what_they_are() -> None:
    assert repr(DependencyList("ml", ["numpy>=1.26"])) == "{'ml': ['numpy>=1.26']}"
    assert DependencyList("ml", ["a"]) == DependencyList("ml", ("a",)) != DependencyList("ml", ["b"])
    with pytest.raises(TypeError, match="Put it into a list"):
        DependencyList("ml", "numpy")


def test_the_wheels_metadata_has_what_the_package_needs(project: Project, unchecked: None) -> None:
    settings = (
        "packaging.dependencies = (DependencyList('a', ['numpy>=1', 'pandas']), DependencyList('b', ['numpy>=1']))"
    )
    file = project.deliver(settings=settings + "; packaging.description = 'Adds\\n numbers'")
    with zipfile.ZipFile(file) as archive:
        text = archive.read("my_job-1.0.0.dist-info/METADATA").decode()
    assert text.splitlines()[:7] == [
        "Metadata-Version: 2.1",
        "Name: my_job",
        "Version: 1.0.0",
        "Summary: Adds numbers",
        "Requires-Python: >=3.10",
        "Requires-Dist: numpy>=1",
        "Requires-Dist: pandas",
    ]


def make(project: Project, version: str | None = None, **environment: str) -> Path:
    return Path(project.run(MAKE.format(version=version, destination=""), **environment).splitlines()[-1])


@pytest.fixture
def various(project: Project) -> Project:
    """A job of objects whose order or identity could differ from process to process."""
    project.write(
        "tg/my/job.py",
        """
        import enum
        class Color(enum.Enum):
            RED = 'red'
        class Job:
            def __init__(self):
                self.names = {'b', 'a', 'c', 'longer name'}
                self.frozen = frozenset([('x', 1), ('y', 2.5), (None, b'z')])
                self.colors = {Color.RED: [1]}
                self.nested = [{'k': {1, 2, 3, 'four'}}]
                self.big = bytes(range(256)) * 1000
        """,
    )
    return project


def test_equal_content_has_one_version_and_one_file_whatever_the_process(various: Project) -> None:
    files = [make(various, PYTHONHASHSEED=seed) for seed in ("1", "2", "3")]
    assert len({file.name for file in files}) == 1
    first = files[0].read_bytes()
    files[0].unlink()
    assert make(various, PYTHONHASHSEED="4").read_bytes() == first


@pytest.mark.parametrize(
    "change",
    [
        lambda project: project.write("tg/my/job.py", "class Job:\n    x = 2\n"),
        lambda project: project.write("tg/my/data.txt", "x"),
        lambda project: project.write("tg/my/empty.txt", ""),
        lambda project: (project.folder / "tg/my/__init__.py").chmod(0o755),
        lambda project: (project.folder / "tg/my/__init__.py").rename(project.folder / "tg/my/other.py"),
    ],
)
def test_different_content_has_different_versions(project: Project, change: Callable[[Project], object]) -> None:
    before = make(project).name
    change(project)
    assert make(project).name != before


def test_payload_needs_and_python_are_content_too(project: Project, unchecked: None) -> None:
    files = [
        project.deliver(version=None),
        project.deliver(version=None, settings="packaging.payload['x'] = 1"),
        project.deliver(version=None, settings="packaging.payload['x'] = 2"),
        project.deliver(version=None, settings="packaging.payload['y'] = 2"),
        project.deliver(version=None, settings="packaging.payload['x'] = bytes(100_000)"),
        project.deliver(version=None, settings="packaging.payload['x'] = bytes(99_999) + b'1'"),
        project.deliver(version=None, settings="packaging.dependencies = (DependencyList('a', ['b']),)"),
        project.deliver(version=None, settings="packaging.requires_python = '>=3.11'"),
    ]
    assert len({file.name for file in files}) == len(files)


def test_the_place_the_time_and_the_mask_do_not_matter(various: Project, tmp_path: Path) -> None:
    first = make(various, "1.0.0").read_bytes()
    moved = Project(tmp_path / "elsewhere")
    for file in (various.folder / "tg").rglob("*.py"):
        copied = moved.write(str(file.relative_to(various.folder)), file.read_bytes())
        os.utime(copied, (1, 1))
        copied.chmod(0o600)
    printed = moved.run("import os; os.umask(0o077)\n" + MAKE.format(version="1.0.0", destination=""))
    assert Path(printed.splitlines()[-1]).read_bytes() == first


def test_a_file_edited_within_a_moment_is_noticed(project: Project, unchecked: None) -> None:
    for number in range(5):
        project.write("tg/my/job.py", f"class Job:\n    def run(self):\n        return {number}\n")
        with zipfile.ZipFile(project.deliver()) as archive:
            assert f"return {number}".encode() in archive.read("my_job__1_0_0/tg/my/job.py")


def test_a_destination_is_made_and_used(project: Project) -> None:
    printed = project.run(MAKE.format(version="1.0.0", destination="'out/deep'"))
    assert Path(printed.strip()) == project.elsewhere / "out/deep/my_job-1.0.0-py3-none-any.whl"
    assert [file.name for file in (project.elsewhere / "out/deep").iterdir()] == ["my_job-1.0.0-py3-none-any.whl"]


def test_a_destination_that_names_a_file_is_refused(project: Project) -> None:
    printed = project.run(MAKE.format(version="1.0.0", destination="'x.whl'"), fails=True)
    assert "InvalidName: destination 'x.whl' names a file. Name the folder" in printed


def test_working_directory_and_environment_are_untouched(project: Project) -> None:
    project.run(
        "import os\nbefore = os.getcwd(), dict(os.environ), os.umask(0o022)\n"
        + MAKE.format(version="1.0.0", destination="")
        + "assert before[:2] == (os.getcwd(), dict(os.environ))\n"
    )


@pytest.mark.parametrize("moment", ["open", "os.rename"])
def test_interrupting_leaves_no_file(project: Project, moment: str) -> None:
    project.write("tg/my/job.py", "class Job:\n    def __init__(self):\n        self.big = bytes(5_000_000)\n")
    code = f"""
import _thread, os, signal, sys
from tg.my.job import Job
from tg.common.delivery.delivery import Packaging
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell runs in the background ignores it
def interrupt(event, arguments):
    is_path = event == {moment!r} and not isinstance(arguments[0], int)  # a pipe to another process is opened by number
    if is_path and os.path.realpath('out') in os.path.realpath(os.fsdecode(arguments[0])):
        _thread.interrupt_main()
packaging = Packaging('my_job', '1.0.0', dict(job=Job(), more=[bytes(3_000_000 + i) for i in range(10)]))
os.mkdir('out')
sys.addaudithook(interrupt)
try:
    packaging.make_package('out')
except KeyboardInterrupt:
    print('interrupted', os.listdir('out'), packaging.is_made)
"""
    assert project.run(code).strip() == "interrupted [] False"


def test_a_process_killed_while_writing_leaves_no_file_under_the_final_name(project: Project) -> None:
    script = project.elsewhere / "make.py"
    script.write_text(
        "from tg.common.delivery.delivery import Packaging\n"
        "payload = dict(more=[bytes(30_000_000 + i) for i in range(10)])\n"
        "Packaging('my_job', '1.0.0', payload).make_package('out')\n"
    )
    process = subprocess.Popen([sys.executable, str(script)], cwd=project.elsewhere, env=project.environment())
    out = project.elsewhere / "out"
    while not (out.is_dir() and any(out.iterdir())) and process.poll() is None:
        time.sleep(0.001)
    process.kill()
    assert process.wait() == -signal.SIGKILL  # it neither failed nor was it done
    assert list(out.iterdir())
    assert not list(out.glob("*.whl"))


def test_many_threads_and_processes_make_the_same_file_at_once(project: Project) -> None:
    script = project.elsewhere / "make.py"
    script.write_text(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from tg.my.job import Job\n"
        "from tg.common.delivery.delivery import Packaging\n"
        "def make(_):\n"
        "    packaging = Packaging('my_job', '1.0.0', dict(job=Job()))\n"
        "    packaging.silent = True\n"
        "    return packaging.make_package('out').package_location.read_bytes()\n"
        "with ThreadPoolExecutor(4) as pool:\n"
        "    assert len(set(pool.map(make, range(8)))) == 1\n"
    )
    processes = [
        subprocess.Popen([sys.executable, str(script)], cwd=project.elsewhere, env=project.environment())
        for _ in range(4)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0] * 4
    assert [file.name for file in (project.elsewhere / "out").iterdir()] == ["my_job-1.0.0-py3-none-any.whl"]


def test_threads_make_different_packages_at_once(tmp_path: Path) -> None:
    def made(number: int) -> bytes:
        packaging = Packaging("example_job", f"0.0.{number}", {"job": ExampleJob(), "number": number})
        packaging.silent, packaging.checked = True, False
        location = packaging.make_package(tmp_path).package_location
        assert location is not None
        with zipfile.ZipFile(location) as archive:
            return archive.read(f"example_job__0_0_{number}/resources/number")

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(made, range(12)))) == 12


def test_a_human_readable_package_is_fit_to_publish(project: Project, unchecked: None) -> None:
    file = project.deliver("my_job", "1.2.0", settings="packaging.human_readable_module_name = True")
    checked = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", str(file)], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout
    printed = project.run(f"""
        from tg.common.delivery.delivery import install_package_and_get_loader
        entry_point = install_package_and_get_loader({str(file)!r}, silent=True)
        print(entry_point.module_name, type(entry_point.load_resource('job')).__module__)
    """)
    assert printed.strip() == "my_job my_job.tg.my.job"


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_pip_and_uv_install_the_file_and_python_runs_it(project: Project, tmp_path: Path, installer: str) -> None:
    file = project.deliver(job="tg.common.delivery.delivery.example_job:ExampleJob()")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    python = str(tmp_path / "venv/bin/python")
    commands = {
        "pip": [sys.executable, "-m", "pip", "-q", "--python", python, "install", str(file)],
        "uv": [sys.executable, "-m", "uv", "-q", "pip", "install", "--python", python, str(file)],
    }
    subprocess.run(commands[installer], check=True, capture_output=True)
    done = subprocess.run([python, "-I", "-m", "my_job__1_0_0"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0
    assert "INFO: SUCCESS" in done.stdout


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "[[1], [2]]",
        "[1, [2], 3]",
        '{"%s": 3}',
        '{"%s": [1, 2]}',
        '{"%s": [[1], 2, 3, 4, 5, 6, 7, 8]}',
    ],
)
def test_a_cache_that_something_else_wrote_is_as_good_as_none(project: Project, content: str) -> None:
    first = project.deliver().read_bytes()
    caches = [file for file in (project.home / "cache").rglob("*.json") if "package" not in file.parts]
    assert len(caches) == 4  # of the source, of distributions, and two of the trial
    for cache in caches:
        cache.write_text(content.replace("%s", str(project.folder / "tg/my/job.py")))
    assert project.deliver().read_bytes() == first


def test_what_is_unchanged_is_neither_parsed_nor_hashed_again(project: Project) -> None:
    for number in range(5):
        project.write(f"tg/my/module{number}.py", f"x = {number}\n")
    time.sleep(0.15)  # what was written a moment ago is looked at again, since one more change would not show
    project.deliver()
    project.write("tg/my/module3.py", "x = 33\n")
    printed = project.run("""
        from tg.my.job import Job
        from tg.common.delivery.delivery import Packaging, imports, parsing, relocation, snapshot
        looked_at, parsed = [], []
        look_at, syntax_error, parse = snapshot._look_at, parsing.syntax_error, imports.parsed
        snapshot._look_at = lambda file, *more: looked_at.append(file.path) or look_at(file, *more)
        parsing.syntax_error = lambda path, source: parsed.append(path) or syntax_error(path, source)
        relocation.parsed = imports.parsed = lambda source: parsed.append('by relocation') or parse(source)
        packaging = Packaging('my_job', '1.0.1', dict(job=Job()))
        packaging.silent = True
        packaging.make_package()
        print(looked_at, [path.rpartition('/')[2] for path in parsed])
    """)
    assert printed.strip() == "['tg/my/module3.py'] ['module3.py']"


@pytest.mark.parametrize(
    "value", ["{frozenset('ab'), frozenset('cd'), frozenset('efg')}", "{('a', frozenset('bc')), 'd'}"]
)
def test_a_set_of_frozen_sets_gives_one_version_too(project: Project, value: str) -> None:
    project.write(
        "tg/my/job.py",
        f"""
        import enum
        class Color(enum.Enum):
            RED, GREEN, BLUE = range(3)
        class Job:
            def __init__(self):
                self.value = {value}
        """,
    )
    assert len({make(project, PYTHONHASHSEED=seed).name for seed in ("1", "2", "3", "4")}) == 1


def test_the_order_of_the_payload_does_not_matter(project: Project, unchecked: None) -> None:
    names = [
        project.deliver(version=None, settings=f"packaging.payload = {payload}").name
        for payload in ("dict(a=1, b=2)", "dict(b=2, a=1)")
    ]
    assert len(set(names)) == 1


def test_the_working_directory_does_not_matter(project: Project, tmp_path: Path) -> None:
    code = MAKE.format(version="1.0.0", destination="'out'")
    printed = [project.run(f"import os; os.chdir({str(folder)!r})\n" + code) for folder in (tmp_path, project.folder)]
    first, second = (Path(line.strip()) for line in printed)
    assert first != second
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("job", "said"),
    [
        ("Job", "job is the class Job itself, and running it only makes one. Did you mean Job()?"),
        ("3", "can neither be"),
    ],
)
def test_a_job_that_cannot_be_run_is_warned_of(project: Project, job: str, said: str) -> None:
    code = MAKE.replace("dict(job=Job())", f"dict(job={job})").format(version="1.0.0", destination="")
    assert said in project.run(code)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("'a', '1.0', 3", "TypeError: payload is of <class 'int'>. Give the objects by name: dict(job=...)."),
        ("'a', {}", "InvalidName: version is of <class 'dict'>. Give it as text"),
        (
            "'a', '1', {}, ['numpy']",
            "TypeError: dependencies has 'numpy' in it. It is a sequence of lists with names, (DependencyList('mine', [...]),), or 'auto'.",
        ),
        ("'a', '1', {}, [DependencyList('x', ['A'])]", "InvalidName: package name 'a' is that of a dependency"),
    ],
)
def test_arguments_in_the_wrong_place_are_told_what_they_should_be(project: Project, arguments: str, said: str) -> None:
    code = f"from tg.common.delivery.delivery import DependencyList, Packaging; Packaging({arguments}).make_package()"
    assert said in project.run(code, fails=True)


def test_one_list_of_dependencies_need_not_be_in_a_sequence(project: Project, unchecked: None) -> None:
    file = project.deliver(settings="packaging.dependencies = DependencyList('mine', ['pandas'])")
    with zipfile.ZipFile(file) as archive:
        assert b"Requires-Dist: pandas" in archive.read("my_job-1.0.0.dist-info/METADATA")

"""Checking before delivery: a package is loaded in a fresh interpreter, and all that is found is told at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from projects import Project

REPORT = """
from {module} import *
from tg.common.delivery.delivery import DependencyList, Packaging
packaging = Packaging('my_job', {version!r}, dict({payload}))
packaging.silent = True
{settings}
report = packaging.check()
print(report)
print(bool(report))
"""

UNSEEN = "getattr(__import__('importlib'), 'import' + '_module')('t' + 'g.my')"
"""An import that nobody sees who reads the source."""


def check(
    project: Project, payload: str = "job=Job()", settings: str = "", version: str | None = "1.0.0", **environment: str
) -> tuple[list[str], bool]:
    """What a check tells, a line each, and whether there are no problems."""
    code = REPORT.format(module="tg.my.job", version=version, payload=payload, settings=settings)
    *told, verdict = project.run(code, **environment).splitlines()
    return told, verdict == "True"


def job(project: Project, *lines: str, before: str = "") -> None:
    body = "".join(f"        {line}\n" for line in lines or ("return 1",))
    project.write("tg/my/job.py", f"{before}\n\nclass Job:\n    def run(self):\n{body}")


def test_of_a_sound_package_nothing_is_told(project: Project) -> None:
    assert check(project) == (["nothing was found"], True)


def test_a_check_writes_no_package(project: Project) -> None:
    check(project)
    assert not (project.home / "packages").exists()
    assert not (project.home / "trust").exists()


def test_a_module_that_only_the_project_has_is_told_before_anything_is_written(project: Project) -> None:
    project.write("helper.py", "value = 1\n")
    job(project, before="import sys\nexec('import helper')")  # nothing that reading the source would tell
    (told,), sound = check(project)
    assert not sound
    assert told.startswith(
        "problem: payload['job'] cannot be loaded in a fresh interpreter, without the project on its path: at "
    )
    assert f"{project.folder}/tg/my/job.py:2 ModuleNotFoundError: No module named 'helper'." in told
    assert f"{project.folder}/helper.py will not be delivered: add 'helper' to roots" in told
    printed = project.run(
        "from tg.my.job import Job\nfrom tg.common.delivery.delivery import Packaging\n"
        "Packaging('my_job', '1.0.0', dict(job=Job())).make_package('out')",
        fails=True,
    )
    assert "UndeliverableSource: payload['job'] cannot be loaded" in printed
    assert list((project.elsewhere / "out").iterdir()) == []
    project.run(
        "from tg.my.job import Job\nfrom tg.common.delivery.delivery import Packaging\n"
        "Packaging('my_job', '1.0.0', dict(job=Job())).make_package()",
        fails=True,
    )
    assert list((project.home / "packages").iterdir()) == []


def test_a_check_can_be_turned_off(project: Project) -> None:
    project.write("helper.py", "value = 1\n")
    job(project, before="import sys\nexec('import helper')")
    assert project.deliver(settings="packaging.checked = False").exists()


def test_a_root_is_not_there_under_the_name_that_it_has_here(project: Project) -> None:
    job(project, before=UNSEEN)
    (told,), sound = check(project)
    assert not sound
    assert "No module named 'tg'. That is the name the root has here; in the package it has another one." in told


def test_an_absolute_name_that_code_goes_on_without_is_a_warning(project: Project) -> None:
    job(project, before=f"try:\n    {UNSEEN}\nexcept ImportError:\n    pass")
    told, sound = check(project)
    assert sound
    assert told == [
        f"warning: {project.folder}/tg/my/job.py:2 imports tg by the name that it has here and not in the package, and went on without "
        "it. Import it relatively."
    ]


def test_a_class_that_is_pickled_under_another_name_is_told(project: Project) -> None:
    project.write("tg/my/place.py", "from .value import Value\n")
    project.write(
        "tg/my/value.py",
        "class Value:\n    pass\n\n\nsetattr(Value, '__mod' + 'ule__', ''.join(['tg.my', '.place']))\n",
    )
    job(project, before="from .place import Value\n")
    (told,), sound = check(project, payload="job=Job(), value=Value()")
    assert sound
    assert told.startswith("warning: tg.my.place.Value is pickled under that name, and not under that of the package")


def test_all_problems_are_told_at_once(project: Project) -> None:
    project.write("helper.py", "value = 1\n")
    project.write("tg/my/other.py", "class Other:\n    pass\n\n\nexec('import helper')\n")
    project.write(
        "tg/my/third.py",
        "class Third:\n    pass\n\n\nraise_it = {}['no such key'] if __name__.count('.') > 2 else 1\n",
    )
    job(project, before="from .other import Other\nfrom .third import Third\n")
    payload = "other=Other(), more=Other(), third=Third()"
    told, sound = check(project, payload=payload)
    assert not sound
    assert [line.split(" cannot be")[0] for line in told] == [
        "problem: payload['more'] and payload['other']",
        "problem: payload['third']",
    ]
    assert "KeyError: 'no such key'" in told[1]


def test_what_reading_the_source_tells_is_in_the_report_too(project: Project) -> None:
    project.write("helper.py", "value = 1\n")
    project.write("tg/my/broken.py", "def\n")
    job(project, "import tg.my.nowhere", before="import helper")
    told, sound = check(project)
    assert not sound
    assert ["job uses helper" in told[0], "imports tg.my.nowhere, which is not in tg/" in told[1]] == [True, True]
    assert [line for line in told if "broken.py:1 does not parse" in line]


def test_a_needed_module_that_does_not_parse_is_told_once(project: Project) -> None:
    project.write("tg/my/broken.py", "def\n")
    job(project, "from . import broken")
    (told,), sound = check(project)
    assert not sound
    assert told.endswith("broken.py:1 does not parse (invalid syntax), and the payload needs it. Correct it.")


def test_what_may_be_missing_is_told_also_when_the_package_is_known_not_to_load(project: Project) -> None:
    project.write("tg/my/data.csv", "1\n")
    lines = "from typing import Self", "import iniconfig", "open('tg/my/data.csv')", "import tg.my.nowhere"
    job(project, *lines)
    told, sound = check(project)
    assert not sound
    assert [
        part in line for part, line in zip(("nowhere", "typing.Self", "data.csv", "iniconfig"), told, strict=True)
    ] == [True] * 4


def test_what_cannot_be_pickled_is_in_the_report(project: Project) -> None:
    told, sound = check(project, payload="job=Job(), key=lambda: 1")
    assert not sound
    assert told[0].startswith("problem: key refers to a lambda")


def test_an_interpreter_that_does_not_survive_is_told(project: Project) -> None:
    job(
        project,
        before="import os, sys\nif __name__.count('.') > 2:\n    print('so long', file=sys.stderr)\n    os.kill(os.getpid(), 9)",
    )
    (told,), sound = check(project)
    assert not sound
    assert "a fresh interpreter, which did not survive: it was killed by SIGKILL: so long." in told


def test_what_a_module_prints_and_starts_does_not_get_in_the_way(project: Project) -> None:
    job(
        project,
        before="import sys, threading, time\nprint('hello')\nif __name__.count('.') > 2:\n"
        "    threading.Thread(target=time.sleep, args=(3600,)).start()",
    )
    assert check(project) == (["hello", "nothing was found"], True)


def test_a_process_that_a_module_starts_is_not_waited_for(project: Project) -> None:
    started = project.elsewhere / "started"
    job(
        project,
        before="import subprocess, sys\nif __name__.count('.') > 2:\n"
        "    process = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(3600)'])\n"
        f"    open({str(started)!r}, 'w').write(str(process.pid))",
    )
    try:
        assert check(project) == (["nothing was found"], True)
    finally:
        os.kill(int(started.read_text()), signal.SIGKILL)


def test_what_is_left_of_a_trial_that_cannot_be_written_is_removed_before_another_begins(project: Project) -> None:
    kept = project.home / "cache/trials/my_job"
    (kept / "state.json").mkdir(parents=True)
    noted = f"""
from pathlib import Path
from tg.common.delivery.delivery import trial
def removed(folder, remove=trial.shutil.rmtree, **options):
    if folder == Path({str(kept)!r}):
        print(Path({str(kept.parent)!r}, '.unfinished-my_job').exists())
    remove(folder, **options)
trial.shutil.rmtree = removed
"""
    told, sound = check(project, settings=noted)
    assert sound
    assert told[0] == "True"
    assert told[1].startswith("warning: whether the payload can be loaded in a fresh interpreter is not known: ")
    assert not kept.exists()


def check_with_libraries(project: Project, of_other: str = "") -> tuple[list[str], bool]:
    """What a check tells where `one`, which is declared, and `other`, which that needs, are installed from folders.

    As uv and hatch install editably: by a `.pth` file, and metadata that names no module.
    """
    import packaging

    if not (project.elsewhere / "venv").exists():
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(project.elsewhere / "venv")], check=True)
    (site,) = (project.elsewhere / "venv").glob("lib/*/site-packages")
    (site / "others.pth").write_text(f"{Path(packaging.__file__).parent.parent}\n")
    for name, needs in (("one", "Requires-Dist: other-dist\n"), ("other", "")):
        lies = project.write(
            f"libraries/{name}/src/{name}/__init__.py", "import other\n" if needs else of_other
        ).parent.parent
        metadata = site / f"{name}_dist-1.0.dist-info"
        metadata.mkdir(exist_ok=True)
        (site / f"{name}_dist.pth").write_text(f"{lies}\n")
        (metadata / "RECORD").write_text(f"{name}_dist.pth,,\n")
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-dist\nVersion: 1.0\n{needs}")
        (metadata / "direct_url.json").write_text(
            f'{{"url": "{lies.parent.as_uri()}", "dir_info": {{"editable": true}}}}'
        )
    declared = "packaging.dependencies = [DependencyList('mine', ['one-dist'])]"
    code = REPORT.format(module="tg.my.job", version="1.0.0", payload="job=Job()", settings=declared)
    *told, verdict = project.run(code, python=str(project.elsewhere / "venv/bin/python")).splitlines()
    return told, verdict == "True"


def test_what_is_declared_and_installed_from_folders_is_there_with_what_it_needs(project: Project) -> None:
    job(project, before="import one\n")
    assert check_with_libraries(project) == (["nothing was found"], True)


def test_a_declared_library_that_is_edited_where_it_lies_is_loaded_anew(project: Project) -> None:
    job(project, before="import one\n")
    assert check_with_libraries(project)[1]
    (told,), sound = check_with_libraries(
        project, of_other="import sys\nif 'tg' not in sys.modules:\n    raise ValueError('edited')\n"
    )
    assert not sound
    assert "ValueError: edited" in told


def test_a_name_that_a_declared_module_does_not_have_is_told(project: Project) -> None:
    job(project, before="import one\nif __name__.count('.') > 2:\n    from one import nothing\n")
    (told,), sound = check_with_libraries(project)
    assert not sound
    assert "job.py:3 ImportError: cannot import name 'nothing' from 'one'" in told


def test_a_name_that_is_no_module_s_gets_no_advice_for_modules(project: Project) -> None:
    project.write("helper.py", "value = 1\n")
    job(project, before="import sys\nif __name__.count('.') > 2:\n    sys.helper\n")
    (told,), sound = check(project)
    assert not sound
    assert "AttributeError: module 'sys' has no attribute 'helper'. " in told
    assert "roots" not in told


@pytest.mark.parametrize(
    ("lines", "sound"),
    [
        (
            "sys.modules['odd'] = types.ModuleType('odd')\n    sys.modules['odd'].__file__ = pathlib.Path('odd.py')",
            True,
        ),
        ("raise NameError('no', name=pathlib.Path('odd'))", False),
    ],
)
def test_what_is_no_text_where_one_is_usual_does_not_get_in_the_way(project: Project, lines: str, sound: bool) -> None:
    job(project, before=f"import pathlib, sys, types\nif __name__.count('.') > 2:\n    {lines}\n")
    (told,), found_sound = check(project)
    assert found_sound is sound
    assert told == "nothing was found" if sound else "NameError: no. " in told


def test_a_module_that_the_code_writes_beside_itself_does_not_get_in_the_way(project: Project) -> None:
    """As ply does with its `parsetab.py`."""
    lines = "pathlib.Path(__file__).with_name('parsetab.py').write_text('made = 1')\n    from . import parsetab"
    job(project, before=f"import pathlib\nif __name__.count('.') > 2:\n    {lines}\n")
    assert check(project) == check(project) == (["nothing was found"], True)


def test_a_file_that_is_opened_by_a_path_of_the_project_is_told(project: Project) -> None:
    project.write("tg/my/data.csv", "1\n")
    project.write("notes.txt", "1\n")
    job(project, "open('made/by/the/job.txt', 'w')", "return open('tg/my/data.csv').read(), open('notes.txt')")
    told, sound = check(project)
    assert sound
    assert [line.partition(" opens ")[2].partition(" here")[0] for line in told] == [
        f"'tg/my/data.csv', which is {project.folder}/tg/my/data.csv",
        f"'notes.txt', which is {project.folder}/notes.txt",
    ]
    assert all(line.startswith(f"warning: {project.folder}/tg/my/job.py:4 opens") for line in told)
    assert [line.partition(" lands. ")[2].partition(" from")[0] for line in told] == [
        "Read it",
        "Move it into tg/ and read it",
    ]


def test_a_file_that_is_opened_by_its_whole_path_is_told(project: Project) -> None:
    file = project.write("notes.txt", "1\n")
    job(project, f"open({str(file)!r})")
    (told,), _ = check(project)
    assert f" opens '{file}', which will not exist where the package lands. Move it into tg/" in told


def test_data_that_is_read_from_the_package_is_found_in_the_trial(project: Project) -> None:
    project.write("tg/my/data.csv", "1" * 2_000_000)  # so big that the trial has a link to it
    job(
        project,
        before="from importlib.resources import files\nassert files(__package__).joinpath('data.csv').read_text()[:1] == '1'",
    )
    assert check(project) == (["nothing was found"], True)


def test_data_that_does_not_travel_is_missed_in_the_trial(project: Project) -> None:
    project.write("tg/.deliveryignore", "data.csv\n")
    project.write("tg/my/data.csv", "1")
    job(project, before="from pathlib import Path\nlines = Path(__file__).with_name('data.csv').read_text()")
    (told,), sound = check(project)
    assert not sound
    assert "job.py:2 FileNotFoundError" in told


@pytest.mark.parametrize(
    ("line", "what", "python"),
    [("from contextlib import chdir", "contextlib.chdir", "3.11"), ("from typing import Self", "typing.Self", "3.11")],
)
def test_what_is_newer_than_the_oldest_python_is_told(project: Project, line: str, what: str, python: str) -> None:
    job(project, "return 1", before=f"def later():\n    {line}\n")
    (told,), sound = check(project)
    assert sound
    assert told == (
        f"warning: {project.folder}/tg/my/job.py:2 has {what}, which is new in Python {python}, and requires_python is '>=3.10'. "
        f"Set packaging.requires_python = '>={python}', or do without."
    )
    assert check(project, settings="packaging.requires_python = '>=3.11'") == (["nothing was found"], True)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="this Python does not parse what only newer ones do")
def test_syntax_that_is_newer_than_the_oldest_python_is_told(project: Project) -> None:
    job(project, before="type Names = list[str]\n")
    (told,), _ = check(project)
    assert "job.py:1 has a type statement, which is new in Python 3.12, and requires_python is '>=3.10'." in told


def test_a_dependency_that_is_used_and_not_declared_is_told(project: Project) -> None:
    job(project, "import iniconfig", "return iniconfig")
    (told,), sound = check(project)
    assert sound
    assert (
        f"job.py:3 imports iniconfig of iniconfig {_version('iniconfig')}, which no declared dependency brings." in told
    )
    declared = "packaging.dependencies = [DependencyList('mine', ['iniconfig'])]"
    assert check(project, settings=declared) == (["nothing was found"], True)
    assert check(project, settings="packaging.dependencies = 'auto'") == (["nothing was found"], True)


def test_a_dependency_that_is_declared_for_other_systems_alone_is_told(project: Project) -> None:
    job(project, "import iniconfig")
    declared = """packaging.dependencies = [DependencyList('mine', ['iniconfig; sys_platform == "plan9"'])]"""
    told, _ = check(project, settings=declared)
    assert "which no declared dependency brings" in told[0]
    found = declared.replace("])]", "]), DependencyList.inferred()]")
    assert check(project, settings=found) == (["nothing was found"], True)
    printed = project.run(
        f"from tg.my.job import Job\nfrom tg.common.delivery.delivery import DependencyList, Packaging\n"
        f"packaging = Packaging('my_job', '1.0.0', dict(job=Job()))\n{found}\n"
        "print(packaging.make_package().package_location.read_bytes().count(b'Requires-Dist: iniconfig=='))"
    )
    assert printed.splitlines()[-1] == "1"


def test_a_text_that_looks_like_a_name_to_import_by_is_told_as_one(project: Project) -> None:
    job(project, "return 'tg.my.job:Job'")
    (told,), _ = check(project)
    assert told.startswith(f"warning: {project.folder}/tg/my/job.py:3 names a module in a text: 'tg.my.job:Job'.")


def test_what_a_declared_dependency_needs_itself_is_there_and_need_not_be_declared(project: Project) -> None:
    job(project, "import iniconfig, pytest", "return iniconfig")
    declared = "packaging.dependencies = [DependencyList('mine', ['pytest'])]"
    assert check(project, settings=declared) == (["nothing was found"], True)


def test_a_dependency_that_is_declared_and_not_used_is_noted(project: Project) -> None:
    declared = "packaging.dependencies = [DependencyList('mine', ['iniconfig', 'not-installed-anywhere'])]"
    told, sound = check(project, settings=declared)
    assert sound
    assert told == [
        "note: dependencies name iniconfig, and nothing that the payload needs imports it.",
        "note: dependencies name not-installed-anywhere, which is not installed here, so nothing is known of it. Is that how it is "
        "spelled?",
    ]


def test_what_a_pickle_is_made_of_counts_as_used(project: Project) -> None:
    before = "import iniconfig\n"
    job(project, before=before)
    project.write("tg/my/job.py", "class Job:\n    def run(self):\n        return 1\n")
    payload = "job=Job(), config=__import__('iniconfig').SectionWrapper"
    (told,), _ = check(project, payload=payload)
    assert "payload['config'] is made of iniconfig of iniconfig" in told


def test_a_check_that_went_well_is_not_made_again_while_nothing_that_it_imported_changes(project: Project) -> None:
    trace = project.elsewhere / "trace"
    mark = f"if __name__.count('.') > 2:\n    open({str(trace)!r}, 'a').write('x')"
    project.write("tg/my/unneeded.py", "x = 1\n")

    def runs(before: str) -> int:
        job(project, before=before)
        assert check(project)[1]
        return len(trace.read_text())

    assert runs(mark) == runs(mark) == 1
    project.write("tg/my/unneeded.py", "x = 2\n")
    assert runs(mark) == 1
    assert runs(f"{mark}  # changed") == 2
    project.write("tg/my/data.txt", "new")
    assert runs(f"{mark}  # changed") == 3


def test_a_module_that_changes_within_a_tick_of_the_clock_is_loaded_as_it_is_now(project: Project) -> None:
    """Bytecode goes by the time and size of its source, and the trial's folder is used again."""
    for value in range(4):
        text = f"value = {value}\nassert value != 3 or __name__.count('.') == 2\n"
        os.utime(project.write("tg/my/other.py", text), (1_700_000_000, 1_700_000_000))
        job(project, before="from . import other\n")
        assert check(project)[1] is (value != 3)


def test_every_version_is_tried_under_its_own_name(project: Project) -> None:
    job(project, before="assert __name__.partition('.')[0] in ('tg', 'my_job__1_0_0', 'my_job__2_0_0')")
    assert check(project, version="1.0.0")[1]
    assert check(project, version="2.0.0")[1]
    told, sound = check(project, version=None)
    assert not sound
    assert "AssertionError" in told[0]


def test_big_buffers_are_there_in_the_trial_and_are_not_written_for_it(project: Project) -> None:
    before = "class Big:\n    def __init__(self):\n        self.data = bytes(range(256)) * 4096\n    def __setstate__(self, state):\n"
    before += "        assert state['data'][1000:1002] == bytes([232, 233])\n        self.__dict__.update(state)\n"
    job(project, before=before)
    assert check(project, payload="job=Job(), big=Big(), also=Big()") == (["nothing was found"], True)
    kept = [file for file in (project.home / "cache").rglob("*") if file.is_file()]
    assert max(file.stat().st_size for file in kept) < 500_000


def test_where_nothing_can_be_kept_the_package_is_made_and_the_trial_is_missed(project: Project) -> None:
    (project.home).mkdir()
    (project.home / "cache").write_text("no folder")
    told, sound = check(project)
    assert sound
    assert told[0].startswith("warning: whether the payload can be loaded in a fresh interpreter is not known: ")


def test_two_processes_that_check_at_once_do_not_meet(project: Project) -> None:
    code = f"""
        import subprocess, sys
        script = {REPORT.format(module="tg.my.job", version="1.0.0", payload="job=Job()", settings="")!r}
        running = [subprocess.Popen([sys.executable, '-c', script], stdout=subprocess.PIPE, text=True) for _ in range(4)]
        print([one.communicate()[0].splitlines() for one in running])
    """
    assert project.run(code).strip() == str([["nothing was found", "True"]] * 4)


def _version(name: str) -> str:
    from importlib.metadata import version

    return version(name)


def test_the_trial_s_program_needs_the_standard_library_alone() -> None:
    program = Path(__file__).resolve().parent.parent / "tg/common/delivery/delivery/trial_program.py"
    assert "from ." not in program.read_text("utf-8")

"""What is run, a script or a notebook, travels as the module `main` of a package, as far as the payload needs it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest
from notebooks import Notebook
from projects import Project

DELIVER = """
from tg.common.delivery.delivery import Packaging
packaging = Packaging('my_job', '1.0.0', dict(job=Job()))
packaging.silent = True
packaging.checked = False  # a process more for each; one test below leaves it as it is
print(packaging.make_package().package_location)
"""
LOAD = """
from tg.common.delivery.delivery import install_package_and_get_loader
from tg.common.delivery.trust import Policy
def load(file):
    return install_package_and_get_loader(file, silent=True, policy=Policy.any()).load_resource('job')
"""
JOB = """
class Job:
    def run(self):
        return 'one'
"""


def told_by_job(printed: str) -> list[str]:
    """The lines of a script itself, without those that delivery logged."""
    return [line for line in printed.splitlines() if " INFO: " not in line and " WARNING: " not in line]


def delivered(printed: str) -> Path:
    return Path(printed.splitlines()[-1])


def main_of(file: Path, uid: str = "my_job__1_0_0") -> str:
    with zipfile.ZipFile(file) as wheel:
        return wheel.read(f"{uid}/main.py").decode()


def started(project: Project, *arguments: str, fed: str = "", fails: bool = False) -> str:
    """What Python prints, started in the project's folder with these arguments."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=project.folder,
        env=project.environment(),
        input=fed,
        capture_output=True,
        text=True,
    )
    assert (done.returncode != 0) == fails, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr if fails else done.stdout


def ran(project: Project, file: Path) -> str:
    """What a package's job returns in a process that has neither the script nor the project."""
    return project.run(f"{LOAD}\nprint(load({str(file)!r}).run())", with_project=False).strip()


def test_a_class_of_a_script_is_one_of_the_packages_module_main(project: Project) -> None:
    script = """
        import json
        import sys

        print("training")
        LIMIT = 3

        class Job:
            '''What it does.'''

            def run(self):
                return json.dumps(LIMIT), __name__

        from tg.common.delivery.delivery import Packaging, install_package_and_get_loader
        packaging = Packaging('my_job', '1.0.0', dict(job=Job()))
        packaging.silent = True
        packaging.make_package()
        loaded = install_package_and_get_loader(packaging.package_location, silent=True).load_resource('job')
        import inspect
        print(type(loaded), loaded.run())
        print(inspect.getsourcelines(type(loaded)) == inspect.getsourcelines(Job))
        print(packaging.package_location)
    """
    printed = project.run(script)
    assert told_by_job(printed)[:3] == [
        "training",
        "<class 'my_job__1_0_0.main.Job'> ('3', 'my_job__1_0_0.main')",
        "True",
    ]
    assert ran(project, delivered(printed)) == "('3', 'my_job__1_0_0.main')"
    kept = main_of(delivered(printed)).splitlines()
    written = textwrap.dedent(script).splitlines()
    assert {number for number, line in enumerate(kept) if line} == {1, 5, *range(7, 12)} - {9}
    assert all(line in ("", written[number]) for number, line in enumerate(kept))


def test_the_kept_source_is_read_out_of_the_wheel_in_plain_sight(project: Project) -> None:
    printed = project.run(f"{JOB}\nsecret = 'work'\n{DELIVER}")
    assert main_of(delivered(printed)).strip() == JOB.strip()


def test_a_traceback_names_the_line_of_the_script(project: Project) -> None:
    printed = project.run(
        "print('first')\n\nclass Job:\n    def run(self):\n        raise ValueError('here')  # line 5\n" + DELIVER
    )
    told = project.run(f"{LOAD}\nload({str(delivered(printed))!r}).run()", with_project=False, fails=True)
    assert 'my_job__1_0_0/main.py", line 5, in run' in told
    assert "# line 5" in told


def test_the_modules_of_the_project_that_it_imports_travel_as_roots(project: Project) -> None:
    project.write("helpers.py", "def twice(x):\n    return 2 * x\n")
    project.write("mycompany/__init__.py", "from mycompany.model import Model\n")
    project.write("mycompany/model.py", "class Model:\n    x = 4\n")
    project.write("tg/my/values.py", "X = 5\n")
    project.write("unneeded.py", "")
    file = delivered(
        project.run(
            """
            import unneeded
            from helpers import twice
            import mycompany.model as m
            from tg.my import values
            from mycompany import Model
            class Job(Model):
                def run(self):
                    return twice(self.x), m.__name__, values.X
            """
            + textwrap.indent(DELIVER, " " * 12)
        )
    )
    assert ran(project, file) == "(8, 'my_job__1_0_0.mycompany.model', 5)"
    with zipfile.ZipFile(file) as wheel:
        assert not [path for path in wheel.namelist() if "unneeded" in path]


def test_where_roots_are_named_an_import_of_another_is_told(project: Project) -> None:
    project.write("helpers.py", "def twice(x):\n    return 2 * x\n")
    script = "from helpers import twice\nclass Job:\n    def run(self):\n        return twice(2)\n"
    roots = "packaging.roots = {}\npackaging.silent"
    told = project.run(script + DELIVER.replace("packaging.silent", roots.format([])), fails=True)
    assert f"job uses helpers ({project.elsewhere / 'script_0.py'}:1), which is outside tg/" in told
    assert "add 'helpers' to roots" in told
    file = delivered(project.run(script + DELIVER.replace("packaging.silent", roots.format(["helpers"]))))
    assert ran(project, file) == "4"


def test_what_an_imported_module_imports_in_turn_is_told_as_for_any_root(project: Project) -> None:
    project.write("helpers.py", "import deeper\n")
    project.write("deeper.py", "")
    told = project.run(f"import helpers\n{JOB}    x = helpers\n{DELIVER}", fails=True)
    assert f"job uses deeper ({project.folder / 'helpers.py'}:1)" in told
    assert "add 'deeper' to roots" in told


def test_a_value_that_was_computed_is_refused_with_both_places(project: Project) -> None:
    told = project.run(
        f"import json\nmodel = json.loads('[1]')\nclass Job:\n    def run(self):\n        return model\n{DELIVER}",
        fails=True,
    )
    script = project.elsewhere / "script_0.py"
    assert f"{script}:5 uses model, which is made by json.loads(…), which is not run again" in told
    assert f"({script}:2). Give it to the object as an attribute" in told
    assert not project.home.exists()


def test_a_script_that_is_a_module_of_a_package_imports_relatively(project: Project) -> None:
    """`python -m pkg.script`."""
    project.write("pkg/__init__.py", "")
    project.write("pkg/other.py", "from .deep import X\n")
    project.write("pkg/deep.py", "X = 6\n")
    project.write(
        "pkg/script.py",
        "from .other import X\nfrom . import deep\nclass Job:\n    def run(self):\n        return X, deep.__name__\n"
        + DELIVER,
    )
    assert ran(project, delivered(started(project, "-m", "pkg.script"))) == "(6, 'my_job__1_0_0.pkg.deep')"


@pytest.mark.parametrize("arguments", [("tg/my/script.py",), ("-m", "tg.my.script")], ids=["by file", "by name"])
def test_a_file_of_tg_can_be_run_itself(project: Project, arguments: tuple[str, ...]) -> None:
    project.write("tg/my/script.py", f"from tg.my.job import Job as Base\nclass Job(Base):\n    pass\n{DELIVER}")
    assert ran(project, delivered(started(project, *arguments))) == "one"


def test_a_package_and_an_archive_can_be_run_themselves(project: Project) -> None:
    project.write("pkg/__init__.py", "")
    project.write("pkg/__main__.py", JOB + DELIVER)
    assert ran(project, delivered(started(project, "-m", "pkg"))) == "one"
    with zipfile.ZipFile(project.folder / "app.zip", "w") as archive:
        archive.writestr("__main__.py", JOB + DELIVER)
    assert ran(project, delivered(started(project, "app.zip"))) == "one"


def test_runpy_runs_a_script_as_python_does(project: Project) -> None:
    script = project.write("script.py", JOB + DELIVER)
    printed = project.run(f"import runpy\nrunpy.run_path({str(script)!r}, run_name='__main__')")
    assert ran(project, delivered(printed)) == "one"


def test_a_test_delivers_the_classes_of_its_own_module(project: Project) -> None:
    """Under pytest, what is run is pytest."""
    lines = textwrap.indent(DELIVER.strip(), "    ")
    project.write("test_something.py", f"{JOB}\ndef test_delivering():\n{lines}\n")
    printed = started(project, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "test_something.py")
    file = next(line for line in printed.splitlines() if line.endswith(".whl"))
    assert ran(project, Path(file)) == "one"


def test_a_child_process_delivers_what_its_parent_runs(project: Project) -> None:
    """There it is named `__mp_main__`."""
    printed = project.run(
        JOB
        + "\ndef deliver():\n"
        + textwrap.indent(DELIVER, "    ")
        + "\nif __name__ == '__main__':\n    import multiprocessing\n"
        "    process = multiprocessing.get_context('spawn').Process(target=deliver)\n"
        "    process.start()\n    process.join()\n    raise SystemExit(process.exitcode)\n"
    )
    assert ran(project, delivered(printed)) == "one"


@pytest.mark.parametrize(
    ("arguments", "fed", "said"),
    [
        (("-c", JOB + DELIVER), "", "it was given with -c, and its source is kept nowhere. Put it into a file"),
        ((), JOB + DELIVER, "it was read from standard input"),
    ],
    ids=["-c", "standard input"],
)
def test_where_no_source_is_kept_the_reason_is_told(
    project: Project, arguments: tuple[str, ...], fed: str, said: str
) -> None:
    told = started(project, *arguments, fed=fed, fails=True)
    assert "job refers to class Job" in told
    assert f"which is in __main__; {said}" in told


def test_what_was_typed_into_python_travels_where_python_keeps_it(project: Project) -> None:
    """Since 3.13."""
    typed = ["class Job: kind = 'typed'", "", *DELIVER.strip().splitlines(), "exit()"]
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-q"],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**project.environment(), "TERM": "dumb" if sys.version_info < (3, 13) else "xterm"},
        cwd=project.elsewhere,
    ):
        os.close(follower)
        os.write(leader, "".join(f"{line}\r" for line in typed).encode())
        printed = b"".join(iter(lambda: read_terminal(leader), b"")).decode()
    os.close(leader)
    made = list(project.home.rglob("*.whl"))
    if sys.version_info >= (3, 13):
        assert made, printed
        assert "class Job: kind = 'typed'" in main_of(made[0])
    else:
        assert made == []
        assert "it was typed into Python, which keeps no source of it. Put it into a file" in printed


def read_terminal(leader: int) -> bytes:
    try:
        return os.read(leader, 65536)
    except OSError:  # nobody has the other end any more
        return b""


def test_what_exec_has_defined_is_refused(project: Project) -> None:
    told = project.run(f"exec({JOB!r})\n{DELIVER}", fails=True)
    assert "the payload uses Job, which no statement of" in told
    assert "it was made by exec" in told


def test_a_result_is_read_into_the_classes_of_the_script(project: Project) -> None:
    printed = project.run("""
        import io, pickle, sys
        from dataclasses import dataclass

        @dataclass
        class Answer:
            x: int

        class Job:
            def run(self):
                return Answer(5)

        if __name__ == '__main__':
            from tg.common.delivery.delivery import Packaging, get_loader_from_installed_package
            from tg.common.delivery.execution import AttachedExecutor, ProcessExecutor
            packaging = Packaging('my_job', '1.0.0', dict(job=Job()))
            packaging.silent, packaging.checked = True, False
            for executor in (AttachedExecutor(), ProcessExecutor()):
                print(executor.start(packaging).result() == Answer(5))
            entry_point = get_loader_from_installed_package('my_job__1_0_0')
            there = entry_point.load_resource('job').run()
            written = pickle.dumps(there)
            print(b'my_job__1_0_0.main' in written, entry_point.load_file_in_local_tg(io.BytesIO(written)) == Answer(5))
            print(there == Answer(5), type(entry_point.convert(Answer(6))) is type(there))
    """)
    assert told_by_job(printed) == ["True", "True", "True True", "False True"]


def test_a_result_of_a_class_that_nothing_here_runs_is_refused(project: Project) -> None:
    """Another program's `__main__` does not have it."""
    file = delivered(
        project.run("class Answer:\n    pass\nclass Job:\n    def run(self):\n        return Answer()\n" + DELIVER)
    )
    told = project.run(
        f"""
        from tg.common.delivery.execution import AttachedExecutor
        from tg.common.delivery.trust import Policy
        AttachedExecutor(policy=Policy.any()).start({str(file)!r}).result()
        """,
        fails=True,
    )
    assert "the result refers to __main__.Answer, which is not here" in told


def test_versions_run_side_by_side_and_in_child_processes(project: Project) -> None:
    files = [
        str(delivered(project.run(JOB.replace("one", name) + DELIVER.replace("1.0.0", version))))
        for name, version in (("one", "1.0.0"), ("two", "2.0.0"), ("three", "1.0.0"))
    ]
    printed = project.run(
        f"""
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context
        {textwrap.indent(LOAD, " " * 8).strip()}
        if __name__ == '__main__':
            jobs = [load(file) for file in {files!r}]
            print([job.run() for job in jobs], [type(job).__module__.partition('__at_')[0] for job in jobs])
            with ProcessPoolExecutor(1, mp_context=get_context('spawn')) as pool:
                print([pool.submit(job.run).result() for job in jobs])
        """,
        with_project=False,
    )
    assert printed.splitlines() == [
        "['one', 'two', 'three'] ['my_job__1_0_0', 'my_job__2_0_0.main', 'my_job__1_0_0.main']",
        "['one', 'two', 'three']",
    ]


def test_a_package_delivers_its_main_again(project: Project) -> None:
    project.write("helpers.py", "X = 7\n")
    file = delivered(
        project.run("import helpers\nclass Job:\n    def run(self):\n        return helpers.X, __name__\n" + DELIVER)
    )
    again = delivered(
        project.run(
            f"""
            {textwrap.indent(LOAD, " " * 12).strip()}
            job = load({str(file)!r})
            from my_job__1_0_0.tg.common.delivery.delivery import Packaging
            packaging = Packaging('again', '2.0.0', dict(job=job))
            packaging.silent, packaging.checked = True, False
            print(packaging.make_package().package_location)
            """,
            with_project=False,
        )
    )
    assert ran(project, again) == "(7, 'again__2_0_0.main')"
    assert main_of(again, "again__2_0_0") == main_of(file)


def test_a_package_delivers_no_script_but_its_own(project: Project) -> None:
    file = delivered(project.run(JOB + DELIVER))
    told = project.run(
        f"{LOAD}\nload({str(file)!r})\nclass Job: pass\n" + DELIVER.replace("from tg", "from my_job__1_0_0.tg"),
        with_project=False,
        fails=True,
    )
    assert "which is in __main__; what a package has in it delivers nothing else" in told


def test_the_version_follows_from_what_travels(project: Project) -> None:
    deliver = DELIVER.replace("'1.0.0'", "None")
    first, same, other = (
        delivered(project.run(f"work = {work}\n{JOB.replace('one', answer)}{deliver}")).name
        for work, answer in (("1", "one"), ("2", "one"), ("1", "two"))
    )
    assert first == same
    assert first != other


def test_credentials_in_what_travels_stop_a_package_from_being_made(project: Project) -> None:
    token = "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8"
    told = project.run(f"TOKEN = {token!r}\n{JOB}    token = TOKEN\n{DELIVER}", fails=True)
    assert f"{project.elsewhere / 'script_0.py'}:1 looks like" in told
    assert "packaging.allow_credentials = ['main.py']" in told
    project.run(f"TOKEN = {token!r}\n{JOB}{DELIVER}")


def test_dependencies_are_found_through_it(project: Project) -> None:
    found = "packaging.dependencies = dependency_lists('auto')\npackaging.silent"
    deliver = "from tg.common.delivery.delivery.dependencies import dependency_lists\n" + DELIVER.replace(
        "packaging.silent", found
    )
    file = delivered(project.run(f"import numpy\nimport pandas\nclass Job:\n    x = numpy.pi\n{deliver}"))
    with zipfile.ZipFile(file) as wheel:
        metadata = wheel.read("my_job-1.0.0.dist-info/METADATA").decode()
    assert "Requires-Dist: numpy==" in metadata
    assert "pandas" not in metadata


def test_making_names_the_script_among_what_travels(project: Project) -> None:
    printed = project.run(JOB + DELIVER.replace("packaging.silent = True\n", ""))
    assert f" files of {project.elsewhere / 'script_0.py'}, " in printed


def test_a_module_named_main_is_another_root(project: Project, unchecked: None) -> None:
    """As long as not both would be `UID.main`."""
    project.write("main.py", JOB)
    file = project.deliver(job="main:Job()")
    assert ran(project, file) == "one"
    printed = project.run(f"""
        import io, pickle, sys
        {textwrap.indent(LOAD, " " * 8).strip()}
        import main
        job = load({str(file)!r})
        from tg.common.delivery.delivery import get_loader_from_installed_package
        entry_point = get_loader_from_installed_package('my_job__1_0_0')
        print(type(entry_point.load_file_in_local_tg(io.BytesIO(pickle.dumps(job)))) is main.Job)
    """)
    assert printed.strip() == "True"
    told = project.run(f"from main import Job as Other\nclass Job(Other):\n    other = Other()\n{DELIVER}", fails=True)
    assert "the root 'main' would be UID.main, which is what the script or notebook that is run is" in told


def test_functions_partials_and_objects_known_by_name_travel(project: Project) -> None:
    file = delivered(
        project.run(
            """
            import enum, functools
            from typing import Generic, NamedTuple, TypeVar
            T = TypeVar('T')
            class Sentinel:
                def __reduce__(self):
                    return 'MISSING'
            MISSING = Sentinel()
            class Color(enum.Enum):
                RED = 1
            class Outer:
                class Inner(Generic[T]):
                    pass
                def method(self):
                    return Color.RED.name
            class Row(NamedTuple):
                x: int
            def add(x, y):
                return x + y
            class Job:
                def __init__(self):
                    self.held = [MISSING, Color.RED, Outer.Inner(), Outer().method, Row(1), functools.partial(add, 1), T, Outer]
                def run(self):
                    return self.held[0] is MISSING, self.held[1] is Color.RED, self.held[3](), self.held[5](2), self.held[6] is T
            """
            + textwrap.indent(DELIVER, " " * 12)
        )
    )
    assert ran(project, file) == "(True, True, 'RED', 3, True)"


def test_a_pickle_that_the_script_wrote_is_read_into_the_packages_classes(project: Project) -> None:
    project.write("mycompany/__init__.py", "")
    project.write(
        "mycompany/reads.py",
        "import pickle\nfrom pathlib import Path\ndef read():\n    return pickle.loads(Path(__file__).with_name('x').read_bytes())\n",
    )
    (project.folder / "mycompany/x").write_bytes(b"c__main__\nJob\n)\x81.")
    file = delivered(
        project.run(
            "from mycompany.reads import read\nclass Job:\n    def run(self):\n        return type(read()) is Job\n"
            + DELIVER
        )
    )
    assert ran(project, file) == "True"


def test_a_place_that_will_be_another_is_told(project: Project) -> None:
    printed = project.run(f"import os\nHERE = os.path.dirname(__file__)\n{JOB}    here = HERE\n{DELIVER}")
    assert (
        f"{project.elsewhere / 'script_0.py'}:2 uses __file__. Where the package is loaded that is its own main.py"
        in printed
    )


def test_a_file_that_the_script_opens_is_told_with_the_payload_as_its_place(project: Project) -> None:
    (project.elsewhere / "data.csv").write_text("1\n")
    told = project.run(
        JOB.replace("return 'one'", "return open('data.csv').read()")
        + DELIVER.replace("print(", "print(packaging.check());print(")
    )
    assert "opens 'data.csv', which is " in told
    assert "Put what it says into the payload, or give it to the run as an input." in told


def test_what_only_type_checkers_import_is_no_root(project: Project) -> None:
    project.write("helpers.py", "class Helper:\n    pass\n")
    script = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from helpers import Helper\nclass Job:\n    x: 'Helper'\n"
    file = delivered(project.run(script + DELIVER))
    with zipfile.ZipFile(file) as wheel:
        assert "my_job__1_0_0/helpers.py" not in wheel.namelist()
    assert "from helpers import Helper" in main_of(file)


def test_inspecting_knows_its_classes_as_the_packages_own(project: Project) -> None:
    file = delivered(project.run(JOB + DELIVER))
    printed = project.run(f"""
        from tg.common.delivery.delivery import inspect_package
        report = inspect_package({str(file)!r})
        print([(str(one), one.home) for one in report.resources[0].references], report.marked)
    """)
    assert printed.strip() == "[('my_job__1_0_0.main.Job', 'package')] ()"


def test_a_notebook_delivers_the_cells_that_are_needed(project: Project) -> None:
    project.write("helpers.py", "def twice(x):\n    return 2 * x\n")
    with Notebook(project) as notebook:
        notebook.run("%config InlineBackend.rc = {}\nimport json\nfrom helpers import twice\nlines = !echo hello")
        notebook.run("print('training')\nLIMIT = 3")
        notebook.run("%%time\nclass Base:\n    def limit(self):\n        return LIMIT")
        notebook.run(
            "!echo hello\n\nclass Job(Base):\n    def run(self):\n        return json.dumps(twice(self.limit())), __name__"
        )
        notebook.run(DELIVER)
        shown = notebook.run(
            "import inspect\nfrom tg.common.delivery.delivery import install_package_and_get_loader\n"
            "loaded = install_package_and_get_loader(packaging.package_location, silent=True).load_resource('job')\n"
            "print(inspect.getsource(type(loaded)))"
        )
        assert (
            shown.strip()
            == "class Job(Base):\n    def run(self):\n        return json.dumps(twice(self.limit())), __name__"
        )
        location = notebook.run("print(packaging.package_location)").strip()
    assert ran(project, Path(location)) == "('6', 'my_job__1_0_0.main')"
    assert main_of(Path(location)).splitlines()[1:] == [
        "",
        "# In [1]:",
        "",
        "import json",
        "from .helpers import twice",
        "",
        "# In [2]:",
        "",
        "LIMIT = 3",
        "",
        "# In [3]:",
        "class Base:",
        "    def limit(self):",
        "        return LIMIT",
        "",
        "# In [4]:",
        "",
        "",
        "class Job(Base):",
        "    def run(self):",
        "        return json.dumps(twice(self.limit())), __name__",
    ]


def test_a_notebook_delivers_a_dataclass_and_nothing_of_what_made_it_one(project: Project) -> None:
    with Notebook(project) as notebook:
        notebook.run(
            "from dataclasses import dataclass\n@dataclass\nclass Job:\n    x: int = 5\n    def run(self):\n        return self"
        )
        file = delivered(notebook.run(DELIVER))
    assert ran(project, file) == "Job(x=5)"
    assert "# dataclasses.py" not in main_of(file)


def test_a_notebook_says_which_object_is_of_a_class_that_was_defined_anew(project: Project) -> None:
    with Notebook(project) as notebook:
        notebook.run(f"{JOB}\njob = Job()")
        notebook.run(JOB.replace("one", "two"))
        told = notebook.run(DELIVER.replace("Job()", "job"), fails=True)
        assert "job refers to class __main__.Job" in told
        assert "It was defined anew after the object was made: make it again" in told
        assert "return 'two'" in main_of(delivered(notebook.run(DELIVER)))


def test_a_notebook_is_told_what_only_notebooks_have(project: Project) -> None:
    with Notebook(project) as notebook:
        for line in ("display(1)", "!ls", "%time 1"):
            notebook.run(f"class Job:\n    def run(self):\n        {line}")
            told = notebook.run(DELIVER, fails=True)
            assert "line 3 uses " in told
            assert "which only notebooks have" in told


def test_a_notebook_is_told_the_cell_of_what_cannot_travel(project: Project) -> None:
    with Notebook(project) as notebook:
        notebook.run("def make():\n    class Job:\n        def run(self):\n            return 1\n    return Job()")
        notebook.run(DELIVER.replace("Job()", "(lambda: 1)"), fails=True)
        told = notebook.run(DELIVER.replace("Job()", "[\n        make(), lambda: 1]"), fails=True)
    assert (
        "refers to class make.<locals>.Job (In [1] line 3), made inside a function. Move it to the top of its module."
        in told
    )
    assert "refers to a lambda (In [3] line 3). Write it as a function, with def, at the top of a module." in told


def test_a_check_names_the_cells_of_a_notebook(project: Project) -> None:
    (project.elsewhere / "data.csv").write_text("1\n")
    with Notebook(project) as notebook:
        notebook.run("# what it needs\n\nLIMIT = 3")
        notebook.run("%%time\n\ndef limit():\n    return LIMIT, open('data.csv')")
        notebook.run("import iniconfig\nclass Job:\n    def run(self):\n        return iniconfig, limit()")
        told = notebook.run(DELIVER.replace("print(", "print(packaging.check());print("))
    assert "warning: In [2] line 4 opens 'data.csv', which is " in told
    assert "warning: In [3] line 1 imports iniconfig of iniconfig " in told


def test_a_notebook_that_computed_a_value_is_told_its_cell(project: Project) -> None:
    with Notebook(project) as notebook:
        notebook.run("import json\nmodel = json.loads('1')")
        notebook.run("class Job:\n    def run(self):\n        return model")
        told = notebook.run(DELIVER, fails=True)
    assert "In [2] line 3 uses model, which is made by json.loads(…)" in told
    assert "(In [1] line 2). Give it to the object" in told


def test_a_notebook_is_told_its_cells_where_something_does_not_travel(project: Project) -> None:
    project.write("helpers.py", "def twice(x):\n    return 2 * x\n")
    project.write("data.csv", "1\n")
    with Notebook(project) as notebook:
        notebook.run("print(1)\nfrom helpers import twice")
        notebook.run(f"import os\nos.chdir({str(project.folder)!r})")
        notebook.run("class Job:\n    def run(self):\n        return twice(2), open('data.csv')\n")
        told = notebook.run(DELIVER.replace("packaging.silent", "packaging.roots = []\npackaging.silent"), fails=True)
        assert "job uses helpers (In [1] line 2), which is outside tg/" in told
        told = notebook.run("packaging.roots = None\nprint(packaging.check())")
        assert "warning: In [3] line 3 opens 'data.csv'" in told
        told = notebook.run(f"\njob = Job()\njob.key = lambda: 1\n{DELIVER.replace('Job()', 'job')}", fails=True)
    assert "job.key refers to a lambda (In [6] line 2)" in told


def test_a_script_that_a_notebook_has_run_is_part_of_it(project: Project) -> None:
    script = project.write("script.py", "X = 8\nclass Base:\n    x = X\n")
    with Notebook(project) as notebook:
        notebook.run(f"%run {script} it's", fails=True)
        notebook.run(f"%run {script}")
        notebook.run("class Job(Base):\n    def run(self):\n        return self.x")
        file = delivered(notebook.run(DELIVER))
    assert ran(project, file) == "8"
    assert "# script.py:\nX = 8\nclass Base:" in main_of(file)


def test_a_script_that_a_notebook_runs_delivers_itself(project: Project) -> None:
    script = project.write("script.py", JOB + DELIVER)
    with Notebook(project) as notebook:
        notebook.run("class Job:\n    pass")
        file = delivered(notebook.run(f"%run {script}"))
    assert ran(project, file) == "one"


def test_a_result_comes_back_into_the_notebook(project: Project) -> None:
    with Notebook(project) as notebook:
        notebook.run("class Answer:\n    pass\nclass Job:\n    def run(self):\n        return Answer()")
        notebook.run(DELIVER)
        shown = notebook.run(
            "from tg.common.delivery.execution import ProcessExecutor\n"
            "print(type(ProcessExecutor().start(packaging).result()) is Answer)"
        )
    assert shown.strip().endswith("True")

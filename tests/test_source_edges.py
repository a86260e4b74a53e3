"""Source that names its tree absolutely, does not parse, or needs what does not travel."""

from __future__ import annotations

import sysconfig

import pytest
from projects import REPOSITORY, Project

from tg.common.delivery.delivery.relocation import may_need_relocation, relocate

MAKE = """
from tg.my.job import Job
from tg.common.delivery.delivery import Packaging
packaging = Packaging('my_job', '1.0.0', dict(job=Job()))
packaging.silent = True
packaging.make_package()
"""
RUN = """
from tg.common.delivery.delivery import install_package_and_get_loader
print(install_package_and_get_loader({file!r}, silent=True).load_resource('job').run())
"""


def test_absolute_imports_of_the_tree_work_where_the_package_lands(project: Project) -> None:
    project.write("tg/my/words.py", "def word():\n    return __name__\n")
    project.write(
        "tg/my/job.py",
        """
        import tg.my.words
        import tg.my.words as words
        from tg.my.words import word
        from tg.my import words as again

        class Job:
            def run(self):
                import importlib
                from tg.my.words import word as late
                found = importlib.import_module('tg.my.words')
                assert tg.my.words is words is again is found
                return {word(), late(), words.word()}
        """,
    )
    printed = project.run(RUN.format(file=str(project.deliver())), with_project=False)
    assert printed.strip() == "{'my_job__1_0_0.tg.my.words'}"


def test_tracebacks_of_relocated_source_name_the_lines_that_were_written(project: Project) -> None:
    project.write(
        "tg/my/job.py",
        """
        import tg.my, os, \\
            tg.common
        from tg.common import (
            Logger,
        )

        class Job:
            def run(self):
                raise ValueError('line 9')
        """,
    )
    printed = project.run(RUN.format(file=str(project.deliver())), fails=True)
    assert "tg/my/job.py\", line 9, in run\n    raise ValueError('line 9')" in printed


def test_names_made_at_run_time_that_cannot_be_asked_for_are_reported_even_when_silent(project: Project) -> None:
    file = project.write(
        "tg/my/loader.py",
        "from importlib import import_module\n\ndef load(names):\n    return import_module(*names)\n",
    )
    printed = project.run(MAKE)
    assert f"WARNING: {file}:4 imports by a name made at run time: import_module(*names)." in printed


def test_a_text_that_names_a_class_is_reported_and_serves_the_tree_itself(project: Project) -> None:
    project.write("tg/my/words.py", "class Words:\n    pass\n")
    file = project.write(
        "tg/my/job.py",
        """
        from importlib import import_module

        DEFAULT = "tg.my.words:Words"

        class Job:
            def run(self):
                module, name = DEFAULT.split(":")
                return getattr(import_module(module), name)
        """,
    )
    printed = project.run(MAKE)
    assert (
        f"WARNING: {file}:3 names a module in a text: 'tg.my.words:Words'. Code of tg that imports by it finds it where the package "
        "lands, other code does not: give that the object itself."
    ) in printed
    printed = project.run(RUN.format(file=str(project.deliver())), with_project=False)
    assert printed.strip() == "<class 'my_job__1_0_0.tg.my.words.Words'>"


def test_our_own_source_needs_no_relocation() -> None:
    """So it is not looked at for it."""
    ours = [path for path in (REPOSITORY / "tg/common/delivery").rglob("*.py") if path.name != "module_strings.py"]
    assert len(ours) > 90
    for path in ours:
        source, place = path.read_bytes(), path.relative_to(REPOSITORY).as_posix()
        assert not may_need_relocation(source, ["tg"], place)
        assert relocate(source, ["tg"], place).source is source, path


def test_our_own_tree_gives_no_warnings(project: Project) -> None:
    assert project.run(MAKE) == ""


def test_a_file_that_does_not_parse_and_is_not_needed_is_a_warning(project: Project) -> None:
    broken = project.write("tg/my/broken.py", "x = 1\ndef f(:\n")
    printed = project.run(MAKE)
    assert f"WARNING: {broken}:2 does not parse" in printed
    assert project.run(RUN.format(file=str(project.deliver())), with_project=False).strip() == "one"


def test_the_warning_comes_again_when_nothing_has_changed(project: Project) -> None:
    project.write("tg/my/broken.py", "def f(:\n")
    assert project.run(MAKE).count("does not parse") == 1
    assert project.run(MAKE).count("does not parse") == 1


def test_in_a_big_tree_every_file_that_does_not_parse_is_named_with_its_line(project: Project) -> None:
    for index in range(300):
        project.write(f"tg/my/module{index}.py", "x = 1\n" * (index % 7) + ("def f(:\n" if index % 10 == 3 else ""))
    printed = project.run(MAKE)
    expected = {f"module{index}.py:{index % 7 + 1} does not parse" for index in range(300) if index % 10 == 3}
    assert {line.rpartition("/")[2].partition(" (")[0] for line in printed.splitlines()} == expected


@pytest.mark.parametrize("statement", ["from . import broken", "from tg.my import broken", "from .broken import f"])
def test_a_file_that_does_not_parse_and_is_needed_is_an_error_also_when_needed_late(
    project: Project, statement: str
) -> None:
    broken = project.write("tg/my/broken.py", "x = 1\ndef f(:\n")
    project.write("tg/my/job.py", f"class Job:\n    def run(self):\n        {statement}\n")
    printed = project.run(MAKE, fails=True)
    assert f"UndeliverableSource: {broken}:2 does not parse" in printed
    assert not project.home.exists()


def test_code_of_the_project_outside_tg_is_an_error_with_the_line_that_needs_it(project: Project) -> None:
    outside = project.write("myproject/paths.py", "ROOT = 1\n")
    project.write("myproject/__init__.py", "")
    needing = project.write("tg/my/train.py", "import os\n\nfrom myproject.paths import ROOT\n")
    project.write("tg/my/job.py", "from .train import ROOT\nclass Job:\n    pass\n")
    printed = project.run(MAKE, fails=True)
    assert (
        f"job uses myproject.paths ({needing}:3), which is outside tg/ ({outside}) and will not be delivered."
        in printed
    )
    assert not project.home.exists()


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    import myproject\nexcept ImportError:\n    myproject = None\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import myproject\n",
        "import json, packaging\n",
        "import not_installed_here\n",
    ],
)
def test_what_the_code_can_do_without_or_is_installed_is_no_error(project: Project, code: str) -> None:
    project.write("myproject.py", "")
    project.write("tg/my/train.py", code)
    project.write("tg/my/job.py", "class Job:\n    def run(self):\n        from .train import x\n")
    project.run(MAKE)


def test_code_outside_tg_that_nothing_needed_uses_is_no_error(project: Project) -> None:
    project.write("myproject.py", "")
    project.write("tg/my/unused.py", "import myproject\n")
    project.run(MAKE)


def test_a_distribution_in_a_folder_of_its_own_is_no_error_when_it_is_declared(project: Project) -> None:
    project.write("mylib.py", "")
    project.write("tg/my/job.py", "import mylib\nclass Job:\n    def run(self):\n        return 1\n")
    project.deliver(settings="packaging.dependencies = (DependencyList('mine', ['MyLib>=1']),)")


@pytest.mark.parametrize("call", ["import_module('.broken', __package__)", "import_module('tg.my.broken')"])
def test_a_file_that_does_not_parse_and_is_imported_by_a_call_is_an_error(project: Project, call: str) -> None:
    broken = project.write("tg/my/broken.py", "x = 1\ndef f(:\n")
    project.write(
        "tg/my/job.py",
        f"from importlib import import_module\nclass Job:\n    def run(self):\n        return {call}\n",
    )
    printed = project.run(MAKE, fails=True)
    assert f"UndeliverableSource: {broken}:2 does not parse" in printed


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (
            "path.write_text('class Renamed:\\n    pass\\n')",
            "payload refers to tg.my.job.Job, which {file} does not define.",
        ),
        ("path.unlink()", "payload refers to tg.my.job.Job, but the tree has no module tg.my.job any more."),
    ],
)
def test_a_class_that_its_file_no_longer_defines_is_refused(project: Project, edit: str, said: str) -> None:
    file = project.folder / "tg/my/job.py"
    stale = MAKE.replace("packaging =", f"import pathlib; path = pathlib.Path({str(file)!r}); {edit}\npackaging =")
    printed = project.run(stale, fails=True)
    assert said.format(file=file) in printed
    assert "It was changed after it was imported." in printed


def test_an_import_of_a_module_that_is_not_in_tg_is_refused_with_its_place(project: Project) -> None:
    file = project.write("tg/my/job.py", "class Job:\n    def run(self):\n        from .gone import x\n")
    assert f"{file}:3 imports tg.my.gone, which is not in tg/." in project.run(MAKE, fails=True)


def test_a_module_whose_name_ends_like_that_of_a_package_imports_from_where_it_lies(project: Project) -> None:
    project.write("tg/my/other.py", "x = 1\n")
    project.write("tg/my/test__init__.py", "from .other import x\n")
    project.write("tg/my/job.py", "class Job:\n    def run(self):\n        from . import test__init__\n")
    project.run(MAKE)


@pytest.mark.parametrize("statement", ["from .folder import x", "from .compiled import x", "from . import anything"])
def test_folders_compiled_modules_and_names_may_be_imported(project: Project, statement: str) -> None:
    project.write("tg/my/folder/x.py", "")
    project.write("tg/my/compiled" + sysconfig.get_config_var("EXT_SUFFIX"), "")
    project.write("tg/my/job.py", f"class Job:\n    def run(self):\n        {statement}\n")
    project.run(MAKE)

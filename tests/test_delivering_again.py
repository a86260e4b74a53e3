"""A delivered package can deliver: it finds its tree by its own name, whatever that is."""

from __future__ import annotations

import pytest
from projects import Project

pytestmark = pytest.mark.usefixtures("unchecked")

DELIVERING_JOB = """
from ..common.delivery.delivery import Packaging, install_package_and_get_loader
from .late import answer

class Inner:
    def run(self):
        from .late import answer
        return answer(), type(self).__module__

class Job:
    def run(self, name='inner'):
        packaging = Packaging(name, '1.0.0', dict(job=Inner()))
        packaging.silent = True
        packaging.checked = False
        packaging.make_package()
        return install_package_and_get_loader(packaging.package_location, silent=True)
"""


def test_the_same_class_delivers_under_its_own_and_under_a_packages_name(project: Project) -> None:
    project.write("tg/my/job.py", DELIVERING_JOB)
    project.write("tg/my/late.py", "def answer():\n    return 'late'\n")
    file = project.deliver()
    code = f"""
        import sys
        from tg.common.delivery.delivery import install_package_and_get_loader
        job = install_package_and_get_loader({str(file)!r}, silent=True).load_resource('job')
        entry_point = job.run()
        print(entry_point.original_tg_import_path, entry_point.tg_import_path)
        print(*entry_point.load_resource('job').run())
    """
    printed = project.run(code, with_project=False)
    assert printed.splitlines() == ["my_job__1_0_0.tg inner__1_0_0.tg", "late inner__1_0_0.tg.my.job"]


def test_a_package_delivers_in_a_process_that_has_no_delivery_installed(project: Project) -> None:
    project.write("tg/my/job.py", DELIVERING_JOB)
    project.write("tg/my/late.py", "def answer():\n    return 'late'\n")
    file = project.deliver()
    folder = project.elsewhere / "unpacked"
    printed = project.run(
        f"""
        import sys, zipfile
        zipfile.ZipFile({str(file)!r}).extractall({str(folder)!r})
        sys.path.insert(0, {str(folder)!r})
        from my_job__1_0_0 import Entry
        print(*Entry.load_resource('job').run().load_resource('job').run())
        print('tg' in sys.modules)
        """,
        with_project=False,
        with_delivery=False,
    )
    assert printed.splitlines() == ["late inner__1_0_0.tg.my.job", "False"]


def test_delivering_again_delivers_the_same_source(project: Project) -> None:
    project.write("tg/my/job.py", DELIVERING_JOB.replace("from .late import answer\n\n", "import tg.my.late\n\n", 1))
    project.write("tg/my/late.py", "def answer():\n    return 'late'\n")
    file = project.deliver()
    printed = project.run(
        f"""
        import json
        from tg.common.delivery.delivery import install_package_and_get_loader
        first = install_package_and_get_loader({str(file)!r}, silent=True)
        second = first.load_resource('job').run()
        third = install_package_and_get_loader({str(file)!r}, silent=True).load_resource('job').run('third')
        facts = [json.loads((one.resources_location.parent / 'package.json').read_text()) for one in (first, second, third)]
        print(len({{one['digests']['source'] for one in facts}}))
        """,
        with_project=False,
    )
    assert printed.strip() == "1"

"""An image with an older Python than this one: what the payload needs and that Python has not is told before it is made."""

from __future__ import annotations

import sys

import pytest
from projects import Project

from tg.common.delivery.delivery import Containering
from tg.common.delivery.delivery.built_package import read_built_package
from tg.common.delivery.delivery.older_python import too_new_in
from tg.common.delivery.images.package_layer import BuiltPackage
from tg.common.delivery.runtime.errors import ImageProblem
from tg.common.delivery.trust import Policy

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="Python 3.10 is the oldest that packages are for, and this is it"
)

NEWER = "try:\n    pass\nexcept* ValueError:\n    pass\n"


def built(project: Project, late: str, unneeded: str = "") -> BuiltPackage:
    project.write("tg/my/late.py", late)
    project.write("tg/my/unneeded.py", unneeded)
    project.write("tg/my/job.py", "class Job:\n    def run(self):\n        from .late import x\n        return x\n")
    return read_built_package(project.deliver(), policy=Policy.any())


def test_syntax_that_the_image_s_python_has_not_is_refused(project: Project) -> None:
    containering = Containering.from_built(package := built(project, NEWER))
    containering.python_version = "3.10"
    with pytest.raises(ImageProblem) as refused:
        containering.compose_built(package)
    assert str(refused.value) == (
        "my_job__1_0_0 cannot run on Python 3.10, which the image is to have: my_job__1_0_0/tg/my/late.py:1 has except*, which is new "
        "in Python 3.11. Set python_version, or do without."
    )


def test_what_the_payload_does_not_need_may_be_newer(project: Project) -> None:
    assert too_new_in(built(project, "x = 1\n", unneeded=NEWER), "3.10") == ([], [])


def test_names_of_the_standard_library_are_told_apart_since_nobody_may_come_by(project: Project) -> None:
    syntax, names = too_new_in(built(project, "def f():\n    import tomllib\n"), "3.10")
    assert syntax == []
    assert names == ["my_job__1_0_0/tg/my/late.py:2 has tomllib, which is new in Python 3.11"]


def test_a_python_that_has_it_is_told_nothing(project: Project) -> None:
    assert too_new_in(built(project, NEWER), "3.11") == ([], [])

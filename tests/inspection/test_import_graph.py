"""The graph of imports: what is read from the source of a package, from its payload on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from extensions import extension
from projects import Project

from tg.common.delivery.delivery import inspect_package
from tg.common.delivery.delivery.wheel import WheelReader
from tg.common.delivery.inspection.import_graph import ImportGraph

pytestmark = pytest.mark.usefixtures("unchecked")


def graph_of(file: Path) -> ImportGraph:
    with WheelReader(file) as wheel:
        return ImportGraph.of(inspect_package(file), wheel)


def test_it_leads_from_the_payload_to_all_that_is_needed(project: Project) -> None:
    project.write(
        "tg/my/job.py", "import json\nfrom tg.my.parts import first\nimport mycompany.scales\nclass Job:\n    pass\n"
    )
    project.write("tg/my/parts/__init__.py", "")
    project.write(
        "tg/my/parts/first.py", "try:\n    import numpy\nexcept ImportError:\n    numpy = None\nfrom . import second\n"
    )
    project.write("tg/my/parts/second.py", "def later():\n    from .first import numpy\n")
    project.write("tg/my/parts/unneeded.py", "import pandas\n")
    project.write("mycompany/__init__.py", "")
    project.write("mycompany/scales.py", "import numpy\n")
    graph = graph_of(project.deliver(settings="packaging.roots = ['mycompany']"))

    assert graph.resources == {"job": ("tg.my.job",)}
    assert {name: sorted(one.inside) for name, one in graph.modules.items()} == {
        "mycompany": [],
        "mycompany.scales": [],
        "tg": [],
        "tg.my": [],
        "tg.my.job": ["mycompany", "mycompany.scales", "tg.my.parts.first"],
        "tg.my.parts": [],
        "tg.my.parts.first": ["tg.my.parts.second"],
        "tg.my.parts.second": ["tg.my.parts.first"],
    }
    assert graph.modules["tg.my.parts.first"].outside == {"numpy": True}
    assert graph.modules["mycompany.scales"].outside == {"numpy": False}


def test_a_module_that_cannot_be_read_imports_nothing(project: Project) -> None:
    project.write("tg/my/job.py", "def load():\n    from . import broken\nclass Job:\n    pass\n")
    project.write("tg/my/broken.py", "x = '\\d'\n")
    file = project.deliver()
    graph = graph_of(file)
    assert sorted(graph.modules["tg.my.job"].inside) == ["tg.my.broken"]
    assert graph.modules["tg.my.broken"].inside == {}


def test_a_module_that_is_compiled_for_another_python_is_one(project: Project) -> None:
    project.write("mycompany/__init__.py", "")
    extension(project.folder / "mycompany", "fast")
    project.write("mycompany/job.py", "from . import fast\nclass Job:\n    pass\n")
    file = project.deliver(job="mycompany.job:[Job(), fast.count]")
    printed = project.run(f"""
        from importlib.machinery import EXTENSION_SUFFIXES
        EXTENSION_SUFFIXES[:] = ['.cpython-39-x86_64-linux-gnu.so', '.abi3.so', '.so']
        from pathlib import Path
        from tg.common.delivery.delivery import inspect_package
        from tg.common.delivery.delivery.wheel import WheelReader
        from tg.common.delivery.inspection.import_graph import ImportGraph
        from tg.common.delivery.inspection.page import _kind
        report = inspect_package({str(file)!r})
        with WheelReader(Path({str(file)!r})) as wheel:
            graph = ImportGraph.of(report, wheel)
            (member,) = [one for one in wheel.members if '/fast.' in one]
        print(graph.modules['mycompany.job'].inside, 'mycompany.fast' in graph.modules)
        print([one.home for one in report.resources[0].references if one.name == 'count'], _kind(member, report, set()))
    """)
    assert printed.splitlines() == ["{'mycompany.fast': False} True", "['compiled'] 2"]


def test_the_class_of_a_script_is_in_its_module(project: Project) -> None:
    script = project.write(
        "deliver.py",
        """
        from tg.common.delivery.delivery import Packaging
        from tg.my.job import Job
        class Own(Job):
            pass
        packaging = Packaging("own", "1.0.0", {"job": Own()})
        packaging.silent = True
        packaging.checked = False
        print(packaging.make_package().package_location)
        """,
    )
    made = subprocess.run(
        [sys.executable, script], env=project.environment(), capture_output=True, text=True, check=True
    )
    graph = graph_of(Path(made.stdout.strip()))
    assert graph.resources == {"job": ("main",)}
    assert sorted(graph.modules) == ["main", "tg", "tg.my", "tg.my.job"]

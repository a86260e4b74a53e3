"""Any top-level package travels, wherever it lies: named as a root, or because the payload's classes come from it."""

from __future__ import annotations

import py_compile
import textwrap
import zipfile
from pathlib import Path

import pytest
from projects import REPOSITORY, Project

pytestmark = pytest.mark.usefixtures("unchecked")

COMPANY = {
    "mycompany/__init__.py": "import logging\nlogger = logging.getLogger(__name__)\nfrom mycompany.model import Model\n",
    "mycompany/model.py": """
        import mycompany.tables
        from mycompany.tables import double

        class Model:
            def __init__(self, x):
                self.x = x

            def run(self):
                import mycompany.late as late
                return double(self.x), late.name(), mycompany.tables.__name__
        """,
    "mycompany/tables.py": """
        import pkgutil
        from importlib import resources

        def double(x):
            return 2 * x

        def text():
            return resources.files(__package__).joinpath("data.txt").read_text(), pkgutil.get_data(__name__, "data.txt")
        """,
    "mycompany/late.py": "def name():\n    return __name__\n",
    "mycompany/data.txt": "some data",
}
RUN = """
import sys
from tg.common.delivery.delivery import install_package_and_get_loader
from tg.common.delivery.trust import Policy
entry_point = install_package_and_get_loader({file!r}, silent=True, policy=Policy.any())
print(entry_point.load_resource('job').run())
print(sorted(name for name in sys.modules if name.partition('.')[0] in {roots}))
"""


@pytest.fixture
def company(project: Project) -> Project:
    for path, text in COMPANY.items():
        project.write(path, text)
    return project


def ran(project: Project, file: Path, *roots: str) -> list[str]:
    """What the job of a package returns, and which modules of the roots were imported under their own names."""
    return project.run(RUN.format(file=str(file), roots=set(roots)), with_project=False).splitlines()


def members(file: Path) -> list[str]:
    with zipfile.ZipFile(file) as wheel:
        return wheel.namelist()


def test_a_class_outside_tg_brings_the_package_it_is_from(company: Project) -> None:
    file = company.deliver(job="mycompany:Model(3)")
    assert ran(company, file, "mycompany") == [
        "(6, 'my_job__1_0_0.mycompany.late', 'my_job__1_0_0.mycompany.tables')",
        "[]",
    ]
    assert "my_job__1_0_0/mycompany/data.txt" in members(file)


def test_a_root_that_is_installed_travels_when_it_is_named(project: Project) -> None:
    site = project.elsewhere / "site-packages"
    for path, text in COMPANY.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(textwrap.dedent(text))
    project.write("tg/my/job.py", "from mycompany import Model\nclass Job(Model):\n    pass\n")
    paths = {"PYTHONPATH": f"{project.folder}:{REPOSITORY}:{site}"}
    assert "my_job__1_0_0/mycompany/model.py" not in members(project.deliver(job="tg.my.job:Job(1)", **paths))
    file = project.deliver(job="tg.my.job:Job(1)", settings="packaging.roots = ['mycompany']", **paths)
    assert ran(project, file, "mycompany")[0].startswith("(2, 'my_job__1_0_0.mycompany.late'")


def test_roots_import_each_other(company: Project) -> None:
    company.write(
        "mycompany/uses_tg.py", "import tg.my.values\nfrom tg.my import values as v\nVALUE = tg.my.values.X, v.X\n"
    )
    company.write("tg/my/values.py", "X = 7\n")
    company.write(
        "tg/my/job.py",
        """
        import mycompany.uses_tg
        from mycompany import logger

        class Job:
            def run(self):
                return mycompany.uses_tg.VALUE, logger.name
        """,
    )
    told = company.run(
        "from tg.my.job import Job\nfrom tg.common.delivery.delivery import Packaging\n"
        "Packaging('my_job', '1.0.0', dict(job=Job())).make_package()",
        fails=True,
    )
    assert "job uses mycompany" in told
    assert "add 'mycompany' to roots" in told
    file = company.deliver(settings="packaging.roots = ['mycompany']")
    assert ran(company, file, "mycompany")[0] == "((7, 7), 'my_job__1_0_0.mycompany')"


def test_a_root_can_be_a_single_module(project: Project) -> None:
    project.write("tool.py", "import tool\nclass Tool:\n    def run(self):\n        return __name__, tool.__name__\n")
    file = project.deliver(job="tool:Tool()")
    assert ran(project, file, "tool") == ["('my_job__1_0_0.tool', 'my_job__1_0_0.tool')", "[]"]
    assert "my_job__1_0_0/tool.py" in members(file)


def test_two_versions_of_a_root_run_in_one_process(company: Project) -> None:
    first = company.deliver(job="mycompany:Model(3)")
    company.write("mycompany/tables.py", "def double(x):\n    return 20 * x\n")
    second = company.deliver(version="2.0.0", job="mycompany:Model(3)")
    printed = company.run(
        f"""
        from tg.common.delivery.delivery import install_package_and_get_loader
        from tg.common.delivery.trust import Policy
        jobs = [install_package_and_get_loader(file, silent=True, policy=Policy.any()).load_resource('job')
                for file in {[str(first), str(second)]!r}]
        print([job.run()[0] for job in jobs], type(jobs[0]) is type(jobs[1]), isinstance(jobs[0], type(jobs[1])))
        """,
        with_project=False,
    )
    assert printed.strip() == "[6, 60] False False"


def test_data_is_found_beside_the_code(company: Project) -> None:
    company.write(
        "mycompany/reads.py",
        "from mycompany.tables import text\nclass Reads:\n    def run(self):\n        return text()\n",
    )
    file = company.deliver(job="mycompany.reads:Reads()")
    assert ran(company, file, "mycompany")[0] == "('some data', b'some data')"


def test_a_result_is_read_into_the_classes_of_the_local_root(company: Project) -> None:
    company.write(
        "mycompany/makes.py", "from mycompany import Model\nclass Makes:\n    def run(self):\n        return Model(5)\n"
    )
    printed = company.run("""
        from mycompany import Model
        from mycompany.makes import Makes
        from tg.common.delivery.delivery import Packaging, get_loader_from_installed_package
        from tg.common.delivery.execution import AttachedExecutor, ProcessExecutor
        packaging = Packaging('my_job', '1.0.0', dict(job=Makes()))
        packaging.silent, packaging.checked = True, False
        for executor in (AttachedExecutor(), ProcessExecutor()):
            result = executor.start(packaging).result()
            print(type(result) is Model, result.x)
        import io, pickle
        entry_point = get_loader_from_installed_package('my_job__1_0_0')
        written = pickle.dumps(entry_point.load_resource('job').run())
        print(b'my_job__1_0_0.mycompany' in written, type(entry_point.load_file_in_local_tg(io.BytesIO(written))) is Model)
    """)
    assert [line for line in printed.splitlines() if "INFO" not in line][-3:] == ["True 5", "True 5", "True True"]


def test_a_package_delivers_its_roots_again(company: Project) -> None:
    file = company.deliver(job="mycompany:Model(3)")
    printed = company.run(
        f"""
        from tg.common.delivery.delivery import install_package_and_get_loader
        from tg.common.delivery.trust import Policy
        job = install_package_and_get_loader({str(file)!r}, silent=True, policy=Policy.any()).load_resource('job')
        from my_job__1_0_0.tg.common.delivery.delivery import Packaging
        packaging = Packaging('again', '2.0.0', dict(job=job))
        packaging.silent, packaging.checked = True, False
        print(packaging.make_package().package_location)
        """,
        with_project=False,
    )
    again = Path(printed.splitlines()[-1])
    assert ran(company, again, "mycompany")[0] == "(6, 'again__2_0_0.mycompany.late', 'again__2_0_0.mycompany.tables')"
    with zipfile.ZipFile(file) as first, zipfile.ZipFile(again) as second:
        assert first.read("my_job__1_0_0/mycompany/model.py") == second.read("again__2_0_0/mycompany/model.py")


def test_inspecting_knows_the_roots_as_the_packages_own(company: Project) -> None:
    file = company.deliver(job="mycompany:Model(3)")
    printed = company.run(f"""
        from tg.common.delivery.delivery import inspect_package
        report = inspect_package({str(file)!r})
        print([(str(one), one.home) for one in report.resources[0].references], report.marked)
    """)
    assert printed.strip() == "[('my_job__1_0_0.mycompany.model.Model', 'package')] ()"


def test_a_namespace_package_of_several_folders_travels_whole(project: Project) -> None:
    project.write("one/spread/a.py", "from spread.b import B\nclass A:\n    def run(self):\n        return B\n")
    project.write("two/spread/b.py", "B = 'b'\n")
    paths = ":".join(str(path) for path in (project.folder, REPOSITORY, project.folder / "one", project.folder / "two"))
    file = project.deliver(job="spread.a:A()", PYTHONPATH=paths)
    assert ran(project, file, "spread") == ["b", "[]"]
    assert "my_job__1_0_0/spread/__init__.py" in members(file)


def test_an_ignored_file_of_a_root_stays_behind(company: Project) -> None:
    company.write("mycompany/.deliveryignore", "secret*\n")
    company.write("mycompany/secrets/x.txt", "x")
    file = company.deliver(job="mycompany:Model(3)")
    assert not [path for path in members(file) if "mycompany/secret" in path]


def test_a_credential_in_a_root_stops_the_build(company: Project) -> None:
    company.write("mycompany/.env", "PASSWORD=x\n")
    make = (
        "from mycompany import Model\nfrom tg.common.delivery.delivery import Packaging\n"
        "packaging = Packaging('my_job', '1.0.0', dict(job=Model(1)))\n"
    )
    told = company.run(make + "packaging.make_package()", fails=True)
    assert f"{company.folder}/mycompany/.env has the name of a file with credentials" in told
    assert "packaging.allow_credentials = ['mycompany/.env']" in told
    company.run(make + "packaging.allow_credentials = ['mycompany/.env']\npackaging.make_package()")


@pytest.mark.parametrize(
    ("roots", "said"),
    [
        ("'mycompany'", "is one text. Give a list"),
        ("['mycompany.model']", "root 'mycompany.model' is inside of 'mycompany'"),
        ("['json']", "root 'json' is a module of Python itself"),
        ("['resources']", "is not a name that a package's root can have"),
        ("['my-company']", "is not a name that a package's root can have. Give the name that it is imported by."),
        (
            "['./mycompany/']",
            "root './mycompany/' is a path. Give the name that it is imported by, and have the folder above",
        ),
        ("[__import__('json')]", "roots has <module 'json' from"),
        ("['nowhere']", "root 'nowhere' cannot be imported here"),
        ("['sourceless']", "root 'sourceless' is neither a folder, nor a module in a file or a zip file, but "),
    ],
)
def test_what_cannot_be_a_root_is_refused(company: Project, roots: str, said: str) -> None:
    company.write("tg/my/job.py", "class Job:\n    def run(self):\n        pass\n")
    source = company.write("sourceless.py", "")
    py_compile.compile(str(source), cfile=str(source.with_suffix(".pyc")))
    source.unlink()
    told = company.run(
        f"""
        from tg.my.job import Job
        from tg.common.delivery.delivery import Packaging
        Packaging('my_job', '1.0.0', dict(job=Job()), roots={roots}).make_package()
        """,
        fails=True,
    )
    assert said in told
    assert not company.home.exists()


def test_an_editable_install_travels(project: Project, tmp_path: Path) -> None:
    """As a finder maps it, from a `src/` folder that is on no path."""
    project.write("src/mapped/__init__.py", "from mapped.m import M\n")
    project.write("src/mapped/m.py", "class M:\n    def run(self):\n        return __name__\n")
    finder = f"""
import sys
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location

class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name == 'mapped':
            return spec_from_file_location(name, {str(project.folder / "src/mapped/__init__.py")!r})

sys.meta_path.append(Finder)
"""
    project.write("finder.py", finder)
    project.write("start.py", "import finder\nfrom mapped import M\n")
    file = project.deliver(job="start:M()")
    assert ran(project, file, "mapped") == ["my_job__1_0_0.mapped.m", "[]"]


def test_pickles_in_files_of_data_are_read_into_the_packages_classes(company: Project) -> None:
    """They were written where the classes had no package's name, by whatever `pickle` is imported as."""
    company.write(
        "mycompany/stored.py",
        """
        import os, pickle as p
        from io import BytesIO
        from pickle import Unpickler, dumps, loads
        import pickle

        FILE = os.path.join(os.path.dirname(__file__), "stored.pickle")

        class Stored:
            def run(self):
                with open(FILE, "rb") as file:
                    data = file.read()
                read = [p.loads(data), loads(data), Unpickler(BytesIO(data)).load(), pickle.load(open(FILE, "rb"))]
                again = pickle.loads(pickle.dumps(read[0], protocol=pickle.HIGHEST_PROTOCOL))
                return {type(one) is Stored for one in (*read, again)}, p.PickleError.__module__, dumps.__module__
        """,
    )
    company.run(f"""
        import pickle
        from mycompany.stored import Stored
        pickle.dump(Stored(), open({str(company.folder / "mycompany/stored.pickle")!r}, 'wb'))
    """)
    file = company.deliver(job="mycompany.stored:Stored()")
    assert ran(company, file, "mycompany") == ["({True}, '_pickle', '_pickle')", "[]"]


def test_a_root_knows_its_own_version(project: Project, tmp_path: Path) -> None:
    """Also beside another version of it that is installed, and which everybody else is told of."""
    site = tmp_path / "site-packages"
    for version in ("1.5", "2.0"):
        folder = site / version / f"My_Dist-{version}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: My.Dist\nVersion: {version}\n")
        (folder / "entry_points.txt").write_text("[some.group]\none = known.a:b\n")
        (folder / "RECORD").write_text(
            f"known/__init__.py,,\n{folder.name}/METADATA,,\n{folder.name}/entry_points.txt,,\n"
        )
        (site / version / "known").mkdir()
        (site / version / "known/__init__.py").write_text(
            textwrap.dedent("""
                import importlib.metadata
                from importlib.metadata import PackageNotFoundError, distribution, version

                class Known:
                    def run(self):
                        try:
                            other = version("known.other")
                        except PackageNotFoundError:
                            other = None
                        return (
                            version("my-dist"), importlib.metadata.version("My_Dist"), other,
                            [point.name for point in distribution("My.Dist").entry_points],
                        )
            """)
        )
    paths = f"{project.folder}:{REPOSITORY}:{site / '1.5'}"
    file = project.deliver(job="known:Known()", settings="packaging.roots = ['known']", PYTHONPATH=paths)
    assert "my_job__1_0_0/distributions/My.Dist-1.5.dist-info/METADATA" in members(file)
    assert ran(project, file, "known") == ["('1.5', '1.5', None, ['one'])", "[]"]
    printed = project.run(
        RUN.format(file=str(file), roots={"known"})
        + "import importlib.metadata as m\nprint(m.version('my-dist'), [one.value for one in m.entry_points(group='some.group')])",
        PYTHONPATH=f"{REPOSITORY}:{site / '2.0'}",
    )
    assert printed.splitlines()[0::2] == ["('1.5', '1.5', None, ['one'])", "2.0 ['known.a:b']"]


def test_names_that_are_made_while_the_source_runs_mean_the_packages_own(company: Project) -> None:
    """Beside a package of the root's name that is installed where it lands, and that is not meant."""
    company.write(
        "mycompany/registry.py",
        """
        import importlib, subprocess, sys
        from importlib import resources
        from pkgutil import get_data

        PARTS = {"tables": "mycompany.tables", "json": "json"}
        SKIPPED = "json", "mycompany.reg"

        class Registry:
            def run(self):
                name = PARTS["tables"]
                found = [
                    importlib.import_module(name),
                    importlib.import_module("my" + "company.late"),
                    __import__(name),
                    __import__(name, fromlist=["double"]),
                    sys.modules[name],
                    importlib.import_module(PARTS["json"]),
                ]
                package, = {name.partition(".")[0]}
                texts = {get_data(package, "data.txt").decode(), resources.files(package).joinpath("data.txt").read_text()}
                try:
                    __import__("no" + "where")
                except ImportError as error:
                    assert error.__traceback__.tb_next is None  # as code looks that wants to know what was not found
                frame = sys._getframe().f_globals["__name__"]
                assert frame.startswith(SKIPPED) and not frame.startswith(PARTS["tables"])
                Registry.run.__module__ = name
                assert Registry.run.__module__ == found[0].__name__
                return [one.__name__ for one in found], name in sys.modules, "tables.x" in sys.modules, texts
        """,
    )
    file = company.deliver(job="mycompany.registry:Registry()")
    stray = company.elsewhere / "site"
    (stray / "mycompany").mkdir(parents=True)
    (stray / "mycompany/__init__.py").write_text("raise RuntimeError('not meant')\n")
    printed = company.run(
        RUN.format(file=str(file), roots={"mycompany"}), with_project=False, PYTHONPATH=f"{REPOSITORY}:{stray}"
    )
    names = ["mycompany.tables", "mycompany.late", "mycompany", "mycompany.tables", "mycompany.tables"]
    expected = [*(f"my_job__1_0_0.{name}" for name in names), "json"]
    assert printed.splitlines() == [f"({expected!r}, True, False, {{'some data'}})", "[]"]


def test_code_that_is_made_as_text_imports_the_packages_own(company: Project) -> None:
    """As templates and classes of generated methods do; also where it is written to a file, or is a child's program."""
    company.write(
        "mycompany/templates.py",
        """
        import importlib.util, subprocess, sys, tempfile
        from pathlib import Path

        LINES = ["import mycompany.tables", "import mycompany.late as late", "from mycompany import tables as t"]
        END = "__import__('mycompany.late').late.name()"

        def compiled():
            space = {}
            text = "\\n".join([*LINES, "def render(x):", "    return mycompany.tables.double(x), t.double(x), late.name(), " + END])
            exec(compile(text, "<template>", "exec"), space)
            return space["render"](4)

        def handed(function, *arguments):
            return function(*arguments)

        def written():
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder, "made.py")
                file.write_text("from mycompany.late import name\\n")
                spec = importlib.util.spec_from_file_location("made", file)
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                return module.name()

        def child(*options):
            return subprocess.run([sys.executable, *options], capture_output=True, text=True, check=True).stdout.strip()

        class Template:
            def run(self):
                program = "import mycompany.late; print(mycompany.late.name())"
                printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip()
                module = subprocess.run([sys.executable, "-m", "mycompany.shown"], capture_output=True, text=True).stdout.strip()
                called = eval(handed(compile, "__import__('mycompany.late').late.name()", "<handed>", "eval"))
                return compiled(), written(), printed, module, called
        """,
    )
    company.write("mycompany/shown.py", "if __name__ == '__main__':\n    print(__spec__.name)\n")
    file = company.deliver(job="mycompany.templates:Template()")
    unpacked = company.elsewhere / "unpacked"
    with zipfile.ZipFile(file) as wheel:
        wheel.extractall(unpacked)  # a child process finds the package where it is on the path, as with pip
    code = "import my_job__1_0_0 as p\nprint(p.Entry.load_resource('job').run())"
    printed = company.run(code, with_project=False, with_delivery=False, PYTHONPATH=str(unpacked))
    late = "'my_job__1_0_0.mycompany.late'"
    assert (
        printed.strip() == f"((8, 8, {late}, {late}), {late}, {late[1:-1]!r}, 'my_job__1_0_0.mycompany.shown', {late})"
    )


def test_files_that_are_imported_under_another_name_find_the_package_they_lie_in(company: Project) -> None:
    """From a folder of the package that is put on `sys.path`, as scripts do it, by their path, as plug-ins, or executed, as settings."""
    company.write("mycompany/scripts/helper.py", "from mycompany.late import name\nimport mycompany.tables\n")
    company.write("mycompany/scripts/plain.py", "NAME = (__name__, __package__)\n")
    company.write("mycompany/scripts/apps/__init__.py", "from .first import PLACE\nfrom apps import second\n")
    company.write("mycompany/scripts/apps/first.py", "PLACE = __package__\n")
    company.write("mycompany/scripts/apps/second.py", "from mycompany.late import name\n")
    company.write(
        "mycompany/scripts/run.py",
        """
        import importlib.util, os, sys

        class Script:
            def run(self):
                here = os.path.dirname(__file__)
                sys.path.insert(0, here)
                import apps, helper, plain
                assert importlib.reload(helper) is helper
                sys.path.remove(here)
                spec = importlib.util.spec_from_file_location("plugin", os.path.join(here, "helper.py"))
                plugin = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(plugin)
                space = {}
                exec(compile(open(helper.__file__).read(), helper.__file__, "exec"), space)
                assert space["name"] is helper.name and "name" not in globals()
                return [
                    helper.__name__, helper.name(), helper.mycompany.tables.double(1), plain.NAME,
                    apps.PLACE, apps.second.__name__, apps.second.name(), plugin.__name__, plugin.name(),
                ]
        """,
    )
    file = company.deliver(job="mycompany.scripts.run:Script()")
    late = "my_job__1_0_0.mycompany.late"
    found = ["helper", late, 2, ("plain", ""), "apps", "apps.second", late, "plugin", late]
    assert ran(company, file, "mycompany", "my_job__1_0_0.mycompany.scripts.apps") == [repr(found), "[]"]


def test_classes_that_say_to_be_of_a_module_are_pickled_as_the_packages(company: Project) -> None:
    company.write(
        "mycompany/api.py",
        """
        import pickle
        from collections import namedtuple
        from mycompany.impl import Hidden

        Point = namedtuple("Point", "x y", module="mycompany.api")

        class Api:
            def run(self):
                again = pickle.loads(pickle.dumps([Hidden(), Point(1, 2)]))
                return type(again[0]) is Hidden, type(again[1]) is Point, Hidden.__module__
        """,
    )
    company.write("mycompany/impl.py", 'class Hidden:\n    __module__ = "mycompany.api"\n')
    file = company.deliver(job="mycompany.api:Api()")
    assert ran(company, file, "mycompany") == ["(True, True, 'my_job__1_0_0.mycompany.api')", "[]"]


PLUGGED = """
import importlib.metadata
from importlib.metadata import entry_points

class Plugged:
    def run(self):
        points = entry_points(group="known.plugins")
        every = importlib.metadata.entry_points()
        listed = every.get("known.plugins", ()) if isinstance(every, dict) else every.select(group="known.plugins")
        one, = entry_points(group="known.plugins", name="one")
        return (
            sorted((point.name, point.load()()) for point in points),
            sorted(point.name for point in listed),
            one.load().__module__,
            sorted(point.name for point in entry_points(group="other.plugins")),
        )
"""


@pytest.mark.parametrize("installed", [False, True])
def test_a_root_finds_the_plug_ins_of_its_own_distribution(project: Project, tmp_path: Path, installed: bool) -> None:
    """And those of others as they are; another version of its own that is installed has none to say here."""
    declared = {
        "here": "[known.plugins]\none = known.a:name\ntwo=known.a:name [extra]\n[other.plugins]\nmine = known.a:name\n",
        "other": "[known.plugins]\nthree = plugin:name\n[other.plugins]\ntheirs = plugin:name\n",
        "installed": "[known.plugins]\none = known.b:gone\nfour = known.b:gone\n",
    }
    for place, text in declared.items():
        name = "plugin" if place == "other" else "known"
        folder = tmp_path / place / f"{name}-1.0.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(text)
        (folder / "RECORD").write_text(
            f"known/__init__.py,,\n{folder.name}/METADATA,,\n{folder.name}/entry_points.txt,,\n"
        )
    (tmp_path / "here/known").mkdir()
    (tmp_path / "here/known/__init__.py").write_text(PLUGGED)
    (tmp_path / "here/known/a.py").write_text("def name():\n    return __name__\n")
    (tmp_path / "other/plugin.py").write_text("def name():\n    return __name__\n")
    paths = f"{project.folder}:{REPOSITORY}:{tmp_path / 'here'}"
    file = project.deliver(job="known:Plugged()", settings="packaging.roots = ['known']", PYTHONPATH=paths)
    there = [REPOSITORY, tmp_path / "other", *([tmp_path / "installed"] if installed else [])]
    printed = project.run(
        RUN.format(file=str(file), roots={"known"})
        + "import importlib.metadata as m\nprint(sorted(one.value for one in m.entry_points(group='known.plugins')))",
        PYTHONPATH=":".join(map(str, there)),
    )
    own = "my_job__1_0_0.known.a"
    found = f"[('one', '{own}'), ('three', 'plugin'), ('two', '{own}')]"
    everybody = ["known.b:gone", "known.b:gone", "plugin:name"] if installed else ["plugin:name"]
    assert printed.splitlines() == [
        f"({found}, ['one', 'three', 'two'], '{own}', ['mine', 'theirs'])",
        "[]",
        str(everybody),
    ]


def test_files_that_do_not_change_are_not_parsed_again(company: Project) -> None:
    company.write(
        "mycompany/strings.py", "import importlib\n\ndef load(name):\n    return importlib.import_module(name)\n"
    )
    making = """
        import hashlib, sys
        from mycompany import Model
        from tg.common.delivery.delivery import Packaging

        parsed = []
        sys.addaudithook(lambda event, given: parsed.append(given[0]) if event == "compile" and given[1] == "<unknown>" else None)
        packaging = Packaging('my_job', '1.0.0', dict(job=Model(3)), roots=['mycompany'])
        packaging.silent, packaging.checked = True, False
        packaging.make_package()
        print(len(parsed), hashlib.sha256(open(packaging.package_location, "rb").read()).hexdigest())
        """
    company.run("import time; time.sleep(0.2)")  # files that have just been written are looked at again
    first, second = (company.run(making).splitlines()[-1].split() for _ in range(2))
    assert int(first[0]) > 0
    assert second == ["0", first[1]]

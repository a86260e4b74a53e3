"""A root with compiled code travels to where that code runs; what of it cannot work under another name is told when it is made."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from extensions import MODULE, OLD_MODULE, SUFFIX, build, extension
from packaging.tags import sys_tags
from projects import REPOSITORY, Project
from test_interpreters import INSTALLED, interpreter
from test_rejecting import members_of, seal

from tg.common.delivery.delivery import Containering, inspect_package
from tg.common.delivery.delivery.store import Store
from tg.common.delivery.delivery.wheel import Member
from tg.common.delivery.runtime.errors import ImageProblem, IncompatiblePackage
from tg.common.delivery.trust import Policy

pytestmark = pytest.mark.usefixtures("unchecked")

VERSION = "{}{}".format(*sys.version_info[:2])
JOB = """
from . import fast

class Job:
    def run(self):
        return fast.__name__, fast.count()
"""


@pytest.fixture
def company(project: Project) -> Project:
    """A project with `mycompany.fast`, which is compiled."""
    project.write("mycompany/__init__.py", "")
    project.write("mycompany/job.py", JOB)
    extension(project.folder / "mycompany", "fast")
    return project


def make(
    project: Project,
    version: str = "1.0.0",
    *,
    job: str = "mycompany.job:Job()",
    fails: bool = False,
    setting: str = "",
) -> tuple[Path, str]:
    """The package, and what was said while it was made."""
    module, _, expression = job.partition(":")
    printed = project.run(
        f"""
import sys
sys.stderr = sys.stdout
from {module} import *
from tg.common.delivery.delivery import DependencyList, Packaging
packaging = Packaging('my_job', {version!r}, dict(job={expression}))
packaging.silent = True
packaging.checked = {project.checked}
{setting}
print(packaging.make_package().package_location)
""",
        fails=fails,
    )
    return Path(printed.splitlines()[-1]), printed


def in_one_process(project: Project, files: list[Path], code: str, **environment: str) -> list[str]:
    """What code prints that has the entry points of packages, `points`, and their jobs, `jobs`."""
    return project.run(
        f"""
import sys
from tg.common.delivery.delivery import install_package_and_get_loader
from tg.common.delivery.trust import Policy
points = [install_package_and_get_loader(file, silent=True, policy=Policy.any()) for file in {list(map(str, files))!r}]
jobs = [point.load_resource('job') for point in points]
{code}
""",
        with_project=False,
        **environment,
    ).splitlines()


def wheel_says(file: Path) -> tuple[list[str], Any, str]:
    """The lines of WHEEL, the parsed package.json, and METADATA."""
    with zipfile.ZipFile(file) as wheel:
        names = {name.rpartition("/")[2]: name for name in wheel.namelist() if name.count("/") == 1}
        lines = wheel.read(names["WHEEL"]).decode().splitlines()
        return lines, json.loads(wheel.read(names["package.json"])), wheel.read(names["METADATA"]).decode()


def said_to_be_for(file: Path, tag: str, requires: str = ">=3.10", libc: str = "glibc") -> None:
    """Make of a package what another Python would have made."""
    changed = []
    for member in members_of(file):
        if member.path.endswith("/package.json"):
            content = json.loads(bytes(member.data))
            content["compiled"] = {"tag": tag, "libc": libc}
            content["python"]["requires"] = requires
            member = Member.of(member.path, json.dumps(content).encode())
        changed.append(member)
    record = next(one for one in changed if one.path.endswith("/RECORD"))
    package = next(one for one in changed if one.path.endswith("/package.json"))
    from tg.common.delivery.delivery.wheel import RecordedFile

    lines = bytes(record.data).decode().splitlines(keepends=True)
    line = str(RecordedFile(package.path, package.digests.sha256, len(package.data)))
    text = "".join(line if one.startswith(f"{package.path},") else one for one in lines)
    changed[changed.index(record)] = Member.of(record.path, text.encode())
    seal(file, changed)


def test_a_compiled_module_is_imported_under_the_packages_name(company: Project) -> None:
    file, told = make(company)
    assert in_one_process(company, [file], "print(jobs[0].run())") == ["('my_job__1_0_0.mycompany.fast', 1)"]
    assert "mycompany" not in told


def test_name_and_metadata_say_which_python_and_platform_it_is_for(company: Project) -> None:
    file, _ = make(company)
    tag = next(str(tag) for tag in sys_tags() if "manylinux" not in tag.platform and "musllinux" not in tag.platform)
    assert file.name == f"my_job-1.0.0-{tag}.whl"
    wheel, facts, metadata = wheel_says(file)
    assert [line for line in wheel if line.startswith(("Root", "Tag"))] == ["Root-Is-Purelib: false", f"Tag: {tag}"]
    assert facts["compiled"]["tag"] == tag
    release = "{}.{}".format(*sys.version_info[:2])
    assert facts["python"]["requires"] == f">=3.10,=={release}.*"
    assert f"Requires-Python: >=3.10,=={release}.*\n" in metadata


def test_a_package_without_compiled_code_is_for_everybody(project: Project) -> None:
    file = project.deliver()
    wheel, facts, _ = wheel_says(file)
    assert file.name == "my_job-1.0.0-py3-none-any.whl"
    assert wheel == [
        "Wheel-Version: 1.0",
        "Generator: training-grounds-delivery",
        "Root-Is-Purelib: true",
        "Tag: py3-none-any",
    ]
    assert "compiled" not in facts
    assert facts["python"]["requires"] == ">=3.10"


def test_modules_of_the_stable_abi_are_for_later_pythons_too(company: Project) -> None:
    (company.folder / f"mycompany/fast{SUFFIX}").unlink()
    limited = ["-DPy_LIMITED_API=0x030A0000"]
    extension(company.folder / "mycompany", "fast", suffix=".abi3.so", options=limited)
    file, _ = make(company)
    assert file.name.startswith(f"my_job-1.0.0-cp{VERSION}-abi3-")
    assert wheel_says(file)[1]["python"]["requires"] == ">=3.10,>={}.{}".format(*sys.version_info[:2])
    assert in_one_process(company, [file], "print(jobs[0].run())") == ["('my_job__1_0_0.mycompany.fast', 1)"]
    extension(company.folder / "mycompany", "other")
    assert f"-cp{VERSION}-cp{VERSION}" in make(company)[0].name


def test_a_library_that_code_loads_itself_asks_for_the_platform_alone(project: Project) -> None:
    build(project.folder / "mycompany/libanswer.so", "int answer(void) { return 42; }")
    project.write(
        "mycompany/__init__.py",
        """
        import ctypes, os

        class Job:
            def run(self):
                return ctypes.CDLL(os.path.join(os.path.dirname(__file__), "libanswer.so")).answer()
        """,
    )
    file, _ = make(project, job="mycompany:Job()")
    assert file.name.startswith("my_job-1.0.0-py3-none-")
    assert not file.name.endswith("-any.whl")
    assert wheel_says(file)[1]["python"]["requires"] == ">=3.10"
    assert in_one_process(project, [file], "print(jobs[0].run())") == ["42"]


def test_a_text_that_is_called_like_a_library_is_none(project: Project) -> None:
    project.write("tg/my/libother.so", "GROUP ( /usr/lib/libother.so.1 )\n")
    assert project.deliver().name == "my_job-1.0.0-py3-none-any.whl"


def test_a_root_can_be_a_single_compiled_module(project: Project) -> None:
    extension(project.folder, "fast")
    project.write(
        "tg/my/uses.py", "import fast\nclass Job:\n    def run(self):\n        return fast.__name__, fast.count()\n"
    )
    file, _ = make(project, job="tg.my.uses:Job()", setting="packaging.roots = ['fast']")
    assert in_one_process(project, [file], "print(jobs[0].run(), 'fast' in sys.modules)") == [
        "('my_job__1_0_0.fast', 1) False"
    ]


@pytest.mark.parametrize("suffix", [SUFFIX, ".so"])
def test_a_package_can_be_compiled_itself(project: Project, suffix: str) -> None:
    built = extension(project.folder / "mycompany", "mycompany", suffix=suffix)
    built.rename(built.with_name(f"__init__{suffix}"))
    project.write(
        "mycompany/job.py", "import mycompany\nclass Job:\n    def run(self):\n        return mycompany.count()\n"
    )
    file, _ = make(project)
    assert f"-cp{VERSION}-cp{VERSION}" in file.name
    assert in_one_process(project, [file], "print(jobs[0].run(), 'mycompany' in sys.modules)") == ["1 False"]


def test_pip_installs_it_here_and_nowhere_else(company: Project) -> None:
    file, _ = make(company)
    there = company.elsewhere / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(there)]
    subprocess.run([*pip, str(file)], check=True, timeout=120)
    printed = company.run(
        "from tg.common.delivery.delivery import get_loader_from_installed_package\n"
        "print(get_loader_from_installed_package('my_job').load_resource('job').run())",
        PYTHONPATH=f"{REPOSITORY}:{there}",
    )
    assert printed.strip() == "('my_job__1_0_0.mycompany.fast', 1)"
    other = file.with_name(re.sub(r"-cp3\d+-cp3\d+t?-", "-cp39-cp39-", file.name))
    file.rename(other)
    refused = subprocess.run([*pip, str(other)], capture_output=True, text=True, timeout=120)
    assert "is not a supported wheel on this platform" in refused.stderr


@pytest.mark.parametrize(
    ("tag", "libc"),
    [
        ("cp39-cp39-{platform}", "glibc"),
        ("cp3{later}-abi3-{platform}", "glibc"),
        ("cp{here}-cp{here}-macosx_11_0_arm64", ""),
        ("cp{here}-cp{here}-linux_riscv64", "glibc"),
        ("py3-none-win_amd64", ""),
        ("cp{here}-cp{here}-{platform}", "musl"),
    ],
)
def test_it_is_refused_where_it_does_not_run(company: Project, tag: str, libc: str) -> None:
    file, _ = make(company)
    here = file.stem.split("-", 2)[2]
    tag = tag.format(platform=here.split("-")[2], here=VERSION, later=sys.version_info[1] + 1)
    said_to_be_for(file, tag, libc=libc)
    with pytest.raises(IncompatiblePackage) as caught:
        Store().install(file, policy=Policy.any())
    with_libc = f" with {libc}" if libc else ""
    assert f"has code that is compiled for {tag}{with_libc}, and this is {here}" in str(caught.value)
    with pytest.raises(IncompatiblePackage):
        inspect_package(file)
    assert not list((company.home / "store").glob("*"))


@pytest.mark.parametrize("version", [one for one in INSTALLED if one != "{}.{}".format(*sys.version_info[:2])])
def test_another_python_says_what_it_needs(company: Project, version: str) -> None:
    """Installed here, and read there from the store and from where pip has put it."""
    there = interpreter(version)
    assert there is not None
    file, _ = make(company)
    in_one_process(company, [file], "pass")
    site = company.elsewhere / "site"
    with zipfile.ZipFile(file) as wheel:
        wheel.extractall(site)
    code = f"""
        from tg.common.delivery.delivery import get_loader_from_installed_package, install_package_and_get_loader
        from tg.common.delivery.execution import ProcessExecutor
        from tg.common.delivery.trust import Policy
        from tg.common.delivery.runtime.errors import IncompatiblePackage
        for act in (
            lambda: install_package_and_get_loader({str(file)!r}, policy=Policy.any()),
            lambda: get_loader_from_installed_package('my_job'),
            lambda: ProcessExecutor(policy=Policy.any()).start({str(file)!r}),
        ):
            try:
                act()
            except IncompatiblePackage as error:
                print('compiled for cp{VERSION}' in str(error), 'this is cp{version.replace(".", "")}' in str(error))
    """
    assert company.run(code, python=there).splitlines() == ["True True"] * 3
    told = company.run(code, python=there, PYTHONPATH=f"{REPOSITORY}:{site}", TG_HOME=str(company.elsewhere / "home"))
    assert told.splitlines() == ["True True"] * 3


def test_an_image_has_to_have_what_it_is_for(company: Project) -> None:
    file, _ = make(company)
    if "linux_x86_64" not in file.name:
        pytest.skip("this machine is none of linux/amd64")
    for changed, said in (
        ({"python_version": "3.9"}, "needs Python >=3.10,=="),
        ({"platform": "linux/arm64"}, f"and the image is to have cp{VERSION}-cp{VERSION}-linux_aarch64 with glibc"),
        ({"platform": "linux/amd64", "libc": "musl"}, "with glibc, and the image is to have"),
    ):
        containering = Containering.from_package(file)
        containering.policy = Policy.any()
        for name, value in changed.items():
            setattr(containering, name, value)
        with pytest.raises(ImageProblem, match=re.escape(said)):
            containering.compose(file)


def test_a_process_of_its_own_runs_it(company: Project) -> None:
    printed = company.run("""
        from mycompany.job import Job
        from tg.common.delivery.delivery import Packaging
        from tg.common.delivery.execution import ProcessExecutor
        packaging = Packaging('my_job', '1.0.0', dict(job=Job()))
        packaging.silent, packaging.checked = True, False
        print(ProcessExecutor().start(packaging).result())
    """)
    assert printed.splitlines()[-1] == "('my_job__1_0_0.mycompany.fast', 1)"


def test_inspecting_tells_what_is_compiled(company: Project) -> None:
    file, _ = make(company, job="mycompany.fast:[count]", setting="packaging.roots = ['mycompany']")
    report = inspect_package(file, policy=Policy.any())
    assert {(str(one), one.home) for one in report.resources[0].references} >= {
        ("my_job__1_0_0.mycompany.fast.count", "compiled")
    }
    assert report.marked == ()
    assert f"compiled    for cp{VERSION}-cp{VERSION}-" in str(report)
    assert report.to_json()["tag"] == file.stem.split("-", 2)[2]


def test_other_pythons_modules_stay_behind_and_are_told(company: Project) -> None:
    for name in (
        "fast.cpython-39-x86_64-linux-gnu.so",
        "other.cpython-39-x86_64-linux-gnu.so",
        "fast.cp39-win_amd64.pyd",
    ):
        company.write(f"mycompany/{name}", b"\0")
    file, told = make(company)
    with zipfile.ZipFile(file) as wheel:
        compiled = [name for name in wheel.namelist() if name.endswith((".so", ".pyd"))]
    assert compiled == [f"my_job__1_0_0/mycompany/fast{SUFFIX}"]
    assert (
        "fast.cpython-39-x86_64-linux-gnu.so and 1 more compiled files are for cpython-39-x86_64-linux-gnu, and will not be "
        "delivered: this is cpython-"
    ) in told
    assert "fast.cp39-win_amd64.pyd is for cp39-win_amd64, and will not be delivered" in told


def test_a_module_that_only_another_python_can_load_is_missed(company: Project) -> None:
    company.write("mycompany/other.cpython-39-x86_64-linux-gnu.so", b"\0")
    company.write(
        "mycompany/late.py",
        "class Job:\n    def run(self):\n        from . import other\n        import mycompany.other\n",
    )
    _, told = make(company, job="mycompany.late:Job()", fails=True)
    assert "imports mycompany.other, which is not in mycompany/" in told


def test_a_library_of_another_machine_travels_as_data(project: Project) -> None:
    elf = bytearray(64)
    elf[:6] = b"\x7fELF\x02\x01"
    elf[18:20] = (243).to_bytes(2, "little")
    project.write("tg/my/libdevice.so", bytes(elf))
    file, told = make(project, job="tg.my.job:Job()")
    assert file.name.endswith("-py3-none-any.whl")
    if sys.platform == "linux":
        assert "libdevice.so is for machines of riscv64, and will travel all the same, as data" in told


def test_two_versions_of_a_module_have_their_own_state(company: Project) -> None:
    """Although it is the same file: the loader of libraries knows them by their inode, and the store does not link them."""
    first, _ = make(company)
    company.write("mycompany/job.py", JOB + "\n# changed\n")
    second, _ = make(company, "2.0.0")
    printed = in_one_process(company, [first, second], "print([job.run() for job in (jobs[0], jobs[0], jobs[1])])")
    assert printed == [
        "[('my_job__1_0_0.mycompany.fast', 1), ('my_job__1_0_0.mycompany.fast', 2), ('my_job__2_0_0.mycompany.fast', 1)]"
    ]
    stored = list((company.home / "store").glob(f"*/my_job__*/mycompany/fast{SUFFIX}"))
    assert len({file.stat().st_ino for file in stored}) == 2
    linked = list((company.home / "store").glob("*/my_job__*/mycompany/__init__.py"))
    assert len({file.stat().st_ino for file in linked}) == 1


def test_modules_of_one_phase_have_their_own_state_as_well(company: Project) -> None:
    extension(company.folder / "mycompany", "fast", OLD_MODULE)
    files = [make(company, version)[0] for version in ("1.0.0", "2.0.0")]
    printed = in_one_process(
        company, files, "print([job.run()[1] for job in (jobs[0], jobs[0], jobs[1])], jobs[1].run()[0])"
    )
    assert printed == ["[1, 2, 1] my_job__2_0_0.mycompany.fast"]


def test_a_version_that_was_replaced_keeps_its_compiled_modules(company: Project) -> None:
    first = make(company)[0].rename(company.elsewhere / "first.whl")
    extension(company.folder / "mycompany", "fast", MODULE.replace("++calls", "100 + ++calls"))
    second, _ = make(company)
    code = "print([job.run() for job in jobs])\nprint(sorted(name for name in sys.modules if name.endswith('.fast')) == sorted(job.run()[0] for job in jobs))"
    (runs, same) = in_one_process(company, [first, second], code)
    assert re.fullmatch(
        r"\[\('my_job__1_0_0__at_[0-9a-f]+\.mycompany\.fast', 1\), \('my_job__1_0_0\.mycompany\.fast', 101\)\]", runs
    )
    assert same == "True"


def test_a_package_with_compiled_modules_is_delivered_again(company: Project) -> None:
    file, _ = make(company)
    printed = in_one_process(
        company,
        [file],
        """
from my_job__1_0_0.tg.common.delivery.delivery import Packaging
packaging = Packaging('again', '2.0.0', dict(job=jobs[0]))
packaging.silent, packaging.checked = True, False
print(packaging.make_package().package_location)
""",
    )
    again = Path(printed[-1])
    assert again.name == file.name.replace("my_job-1.0.0", "again-2.0.0")
    assert in_one_process(company, [again], "print(jobs[0].run())") == ["('again__2_0_0.mycompany.fast', 1)"]


def test_an_absolute_import_inside_of_what_the_payload_needs_stops_the_build(company: Project) -> None:
    company.write("mycompany/helper.py", "")
    extension(company.folder / "mycompany", "fast", imports="mycompany.helper")
    _, told = make(company, fails=True)
    assert (
        f"{company.folder}/mycompany/fast{SUFFIX} is compiled with the absolute name mycompany.helper, which no module has where the "
        "package lands, and the payload needs it. Build it with relative imports, or declare the distribution of mycompany as a "
        "dependency and leave 'mycompany' out of roots."
    ) in told
    assert not (company.home / "packages").exists()


def test_compiled_code_in_tg_is_looked_at_as_well(project: Project) -> None:
    extension(project.folder / "tg/my", "fast", imports="tg.my.job")
    project.write("tg/my/uses.py", "from . import fast\nclass Job:\n    pass\n")
    _, told = make(project, job="tg.my.uses:Job()", fails=True)
    assert (
        "is compiled with the absolute name tg.my.job, which no module has where the package lands, and the payload needs it. Build it "
        "with relative imports, or make a distribution of it, and declare that as a dependency."
    ) in told


def test_an_absolute_import_inside_of_what_nothing_needs_is_told(company: Project) -> None:
    company.write("mycompany/helper.py", "")
    company.write("mycompany/plain.py", "class Job:\n    def run(self):\n        return 'plain'\n")
    extension(company.folder / "mycompany", "fast", imports="mycompany.helper")
    file, told = make(company, job="mycompany.plain:Job()")
    assert "It travels as it is; nothing that the payload is seen to need imports it." in told
    printed = in_one_process(
        company,
        [file],
        """
print(jobs[0].run())
from my_job__1_0_0.mycompany import fast
try:
    fast.use()
except ModuleNotFoundError as error:
    print(error)
""",
    )
    assert printed == ["plain", "No module named 'mycompany'"]


def cython_module(texts: bytes) -> str:
    """What Cython 3.2 makes of texts: one piece, packed; unpacked when the module is imported."""
    packed = "".join(f"\\{byte:03o}" for byte in zlib.compress(texts, 9))
    return MODULE + f'\nconst char __pyx_packed[] = "{packed}";\n'.replace("%", "%%")


def test_of_many_compiled_files_some_are_named(company: Project) -> None:
    made = extension(company.folder / "mycompany", "aside", imports="mycompany.job")
    for name in "bcdef":
        (made.parent / made.name.replace("aside", name)).write_bytes(made.read_bytes())
    _, printed = make(company)
    warnings = [line for line in printed.splitlines() if "compiled with the absolute name mycompany.job" in line]
    assert len(warnings) == 3
    assert warnings[-1].endswith("out of roots. So it is with 3 more compiled files of mycompany.")


@pytest.mark.parametrize("packed", [True, False])
def test_names_in_what_cython_has_made_are_told_as_a_guess(company: Project, packed: bool) -> None:
    company.write("mycompany/helper.py", "")
    company.write("mycompany/sub/__init__.py", "")
    company.write("mycompany/sub/deep.py", "")
    texts = b"asyncio.coroutinesmycompanymycompany.fastmycompany.helpermycompany.sub.deepnamenew"
    source = cython_module(texts) if packed else MODULE + f'\nconst char __pyx_texts[] = "{texts.decode()}";\n'
    extension(company.folder / "mycompany", "fast", source)
    _, told = make(company)
    assert (
        "has the names mycompany.helper, mycompany.sub.deep compiled in. Where the package lands no module has them; if it imports "
        "by them, it fails, or gets those that are loaded under that name."
    ) in told


def test_a_module_of_cython_enters_itself_by_its_old_name_and_is_told(company: Project) -> None:
    """The first version that is loaded does; each version works with its own all the same."""
    entering = """
    PyObject *modules = PyImport_GetModuleDict();
    if (!PyDict_GetItemString(modules, "mycompany.fast"))
        PyDict_SetItemString(modules, "mycompany.fast", module);
    """
    source = (
        MODULE.replace("PyObject *made", entering + "PyObject *made")
        + '\nconst char mark[] = "__pyx_module_is_main_";\n'
    )
    extension(company.folder / "mycompany", "fast", source)
    files, told = zip(*(make(company, version) for version in ("1.0.0", "2.0.0")), strict=True)
    assert f"mycompany/fast{SUFFIX} enters itself into sys.modules as mycompany.fast as well" in told[0]
    printed = in_one_process(
        company, list(files), "print([job.run() for job in jobs], sys.modules['mycompany.fast'].__name__)"
    )
    runs = "[('my_job__1_0_0.mycompany.fast', 1), ('my_job__2_0_0.mycompany.fast', 1)]"
    assert printed == [f"{runs} my_job__1_0_0.mycompany.fast"]


def test_a_module_that_mypyc_has_put_beside_the_root_is_missed(company: Project) -> None:
    extension(company.folder / "mycompany", "fast", imports="0123abcd__mypyc")
    _, told = make(company, fails=True)
    assert (
        "needs the module 0123abcd__mypyc, which mypyc has put beside the root, and which will not be delivered, and the payload "
        "needs it. Deliver the source that it was made of, or declare the distribution of mycompany as a dependency"
    ) in told


def test_classes_that_carry_their_old_name_load_and_cannot_be_pickled_there(company: Project) -> None:
    extension(company.folder / "mycompany", "fast", of_type="mycompany.fast.Point")
    file, told = make(company, job="mycompany.fast:Point()")
    assert (
        "calls what it has by names such as mycompany.fast.Point, where the package lands too: objects of such classes cannot be "
        "pickled there"
    ) in told
    printed = in_one_process(
        company,
        [file],
        """
import pickle
from my_job__1_0_0.mycompany import fast
print(type(jobs[0]) is fast.Point, fast.Point.__module__)
try:
    pickle.dumps(jobs[0])
except (pickle.PicklingError, ImportError) as error:
    print(error)
""",
    )
    assert printed[0] == "True mycompany.fast"
    assert "mycompany.fast.Point" in printed[1] or "No module named 'mycompany'" in printed[1]


@pytest.fixture
def linked(company: Project) -> Project:
    """`mycompany.fast` needs a library that lies beside the package, as auditwheel puts it there."""
    if sys.platform != "linux":
        pytest.skip("libraries are looked at on Linux")
    return company


def test_libraries_beside_the_root_stop_the_build_of_what_needs_them(linked: Project) -> None:
    library = build(linked.folder / "mycompany.libs/libinner-1a2b.so.1", "int inner(void) { return 7; }")
    source = MODULE.replace("++calls", "inner()").replace("static int calls", "int inner(void);\nstatic int calls")
    options = [str(library), "-Wl,-rpath,$ORIGIN/../mycompany.libs"]
    (linked.folder / f"mycompany/fast{SUFFIX}").unlink()
    extension(linked.folder / "mycompany", "fast", source, options=_by_name(library, options))
    _, told = make(linked, fails=True)
    assert f"needs libinner-1a2b.so.1, which is {library}, outside of mycompany/, and will not be delivered" in told
    linked.write("mycompany/plain.py", "class Job:\n    def run(self):\n        return 'plain'\n")
    _, told = make(linked, job="mycompany.plain:Job()")
    assert "will not be delivered. It travels as it is; nothing that the payload is seen to need imports it." in told


def test_a_library_inside_of_the_root_travels_and_is_shared_by_versions(linked: Project) -> None:
    source = MODULE.replace("++calls", "inner()").replace("static int calls", "int inner(void);\nstatic int calls")
    files = []
    for number in (1, 2):
        library = build(
            linked.folder / "mycompany/libs/libinner.so",
            f"int inner(void) {{ return {number}; }}",
            "-Wl,-soname,libinner.so",
        )
        extension(linked.folder / "mycompany", "fast", source, options=[str(library), "-Wl,-rpath,$ORIGIN/libs"])
        file, told = make(linked, f"{number}.0.0")
        files.append(file)
        assert f"{library} is linked to by its name, libinner.so. A process has one library of a name" in told
    assert in_one_process(linked, files[1:], "print(jobs[0].run()[1])") == ["2"]
    assert in_one_process(linked, files, "print([job.run()[1] for job in jobs])") == ["[1, 1]"]


def _by_name(library: Path, options: list[str]) -> list[str]:
    """A library without a name of its own is linked to by its path; one that is found by `-l:` by its name."""
    return [f"-L{library.parent}", f"-l:{library.name}", *options[1:]]


def test_a_package_for_other_pythons_alone_cannot_be_made_here(company: Project) -> None:
    _, told = make(company, fails=True, setting="packaging.requires_python = '>=3.99'")
    assert "and requires_python='>=3.99' leaves this Python out" in told


def test_readers_of_earlier_releases_refuse_what_another_python_has_compiled(company: Project) -> None:
    """They know no `compiled`, and take `requires`; so nothing is loaded that was built for another Python's memory."""
    file, _ = make(company)
    _, facts, _ = wheel_says(file)
    assert facts["format"] == 1
    assert facts["python"]["requires"].endswith(",=={}.{}.*".format(*sys.version_info[:2]))
    assert os.path.basename(file).count("-") == 4


def test_dependencies_that_are_to_be_found_cannot_be_read_in_compiled_code(company: Project) -> None:
    _, told = make(company)
    assert "cannot be read" not in told
    _, told = make(company, setting="packaging.dependencies = (DependencyList.inferred(),)")
    assert "is compiled, and what it imports cannot be read" in told

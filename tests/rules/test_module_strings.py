"""Names of modules in strings mean the package's own, in packages of any depth; what is no such name stays."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tg.common.delivery.delivery.relocation import may_need_relocation, relocate

ROOTS = ["mycompany", "tg"]
UID = '__spec__.parent.rsplit(".", 2)[0] + "." + '
RUNTIME = '__import__(__spec__.parent.rsplit(".", 2)[0] + ".tg.common.delivery.runtime.{}", fromlist=["here"])'
LATE, PLUGINS, ENTRIES = (RUNTIME.format(module) for module in ("late_names", "plugins", "path_entries"))


def relocated(source: str, path: str = "tg/p/m.py") -> str:
    done = relocate(source.encode(), ROOTS, path)
    assert done.unresolved == ()
    assert done.source.decode() == source or may_need_relocation(source.encode(), ROOTS)
    again = relocate(done.source, ROOTS, path)
    assert again == (type(done)(done.source, ()))
    return done.source.decode()


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        ('import_module("tg.x")', 'import_module("..x", __spec__.parent)'),
        ('import_module("mycompany.x")', 'import_module("...mycompany.x", __spec__.parent)'),
        ('import_module("tg.x", None)', f'import_module({UID}"tg.x", None)'),
        ('importlib.import_module(f"tg.{a}.x")', f'importlib.import_module({UID}f"tg.{{a}}.x")'),
        ('import_module("tg." +\n  name)', f'import_module({UID}"tg." +\n  name)'),
        ('import_module("tg.%s" % name)', f'import_module({UID}"tg.%s" % name)'),
        ('import_module("tg.{}".format(name))', f'import_module({UID}"tg.{{}}".format(name))'),
        ("import_module('tg.x' '.y')", "import_module(__spec__.parent.rsplit('.', 2)[0] + '.' + 'tg.x' '.y')"),
        ('files("tg")', f'files({UID}"tg")'),
        ('resources.files("tg.x") / "a"', f'resources.files({UID}"tg.x") / "a"'),
        ('pkgutil.get_data("tg.x", "a")', f'pkgutil.get_data({UID}"tg.x", "a")'),
        ('find_spec(name="tg.x")', f'find_spec(name={UID}"tg.x")'),
        ('import_module(".x", "tg.p")', f'import_module(".x", {UID}"tg.p")'),
        ('import_module(".x", "tg")', f'import_module(".x", {UID}"tg")'),
        ('sys.modules.setdefault("tg", 1)', f'sys.modules.setdefault({UID}"tg", 1)'),
        ('DocTestSuite("tg")', f'DocTestSuite({UID}"tg")'),
        ('import_module(".x", package="tg.p")', f'import_module(".x", package={UID}"tg.p")'),
        ('pkgutil.resolve_name("tg.x:C")', f'pkgutil.resolve_name({UID}"tg.x:C")'),
        ('patch.dict("tg.x.y", {})', f'patch.dict({UID}"tg.x.y", {{}})'),
        ('mock.patch("tg.x.y")', f'mock.patch({UID}"tg.x.y")'),
        ('monkeypatch.setattr("tg.x.y", 1)', f'monkeypatch.setattr({UID}"tg.x.y", 1)'),
        ('sys.modules["tg.x"]', f'sys.modules[{UID}"tg.x"]'),
        ('sys.modules.get("tg")', f'sys.modules.get({UID}"tg")'),
        ('"tg.x" in sys.modules', f'{UID}"tg.x" in sys.modules'),
        ('m.setitem(sys.modules, "tg.x", None)', f'm.setitem(sys.modules, {UID}"tg.x", None)'),
        ('__import__("tg.x")', '__import__("tg.x", globals(), None, (), 3)'),
        ('__import__("tg.x", fromlist=["y"])', '__import__("tg.x", globals=globals(), level=3, fromlist=["y"])'),
        ('__import__("tg.x", globals(), {}, [], 0)', '__import__("tg.x", globals(), {}, [], 3)'),
        ('__import__("tg.x", globals(), {}, [])', '__import__("tg.x", globals(), {}, [], 3)'),
    ],
)
def test_a_name_that_a_function_takes_as_a_module_is_relocated(source: str, changed: str) -> None:
    assert relocated(source) == changed


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        ("import_module(name)", f"import_module({LATE}.here(name))"),
        ('import_module("tg" + name)', f'import_module({LATE}.here("tg" + name))'),
        ('importlib.import_module(f"{a}.b")', f'importlib.import_module({LATE}.here(f"{{a}}.b"))'),
        ("import_module(\n  a or b\n)", f"import_module(\n  {LATE}.here(a or b)\n)"),
        ("__import__(name, {}, {}, [a])", f"__import__(*{LATE}.import_arguments(name, {{}}, {{}}, [a]))"),
        ('__import__("tg.x", {})', f'__import__(*{LATE}.import_arguments("tg.x", {{}}))'),
        ("sys.modules[name]", f"sys.modules[{LATE}.here(name)]"),
        ("sys.modules.get(name)", f"sys.modules.get({LATE}.here(name))"),
        ("m = c.__module__\nm in sys.modules", f"m = c.__module__\n{LATE}.here(m) in sys.modules"),
        ("name in sys.modules", f"{LATE}.here(name) in sys.modules"),
        ("find_spec(name)", f"find_spec({LATE}.here(name))"),
        ("pkgutil.get_data(name, 'x')", f"pkgutil.get_data({LATE}.here(name), 'x')"),
        ("exec(code)", f"exec({LATE}.source(code))"),
        ("compile(code, file, 'exec')", f"compile({LATE}.source(code), file, 'exec')"),
        ("exec(code, a, b)", f"exec(*{ENTRIES}.executed({LATE}.source(code), a, b))"),
        ("exec(compile(code, file, 'exec'))", f"exec(compile({LATE}.source(code), file, 'exec'))"),
        ('[sys.executable, "-c", code]', f'[sys.executable, "-c", {LATE}.source(code)]'),
        ('file.write("from tg.x import " + n)', f'file.write({LATE}.source("from tg.x import " + n))'),
        (
            "code = dedent('\\n from tg.x import y')\nfile.write_text(code)",
            f"code = dedent('\\n from tg.x import y')\nfile.write_text({LATE}.source(code))",
        ),
        ("cls.__module__.startswith(a)", f"cls.__module__.startswith({LATE}.labels(a))"),
        (
            "def f(a):\n  m = a.f_globals.get('__name__') or '?'\n  if b: m = '?'\n  return m in skipped or m.startswith(a.b)",
            "def f(a):\n  m = a.f_globals.get('__name__') or '?'\n  if b: m = '?'\n"
            f"  return m in {LATE}.labels(skipped) or m.startswith({LATE}.labels(a.b))",
        ),
        ("spec.loader.get_resource_reader(name)", f"spec.loader.get_resource_reader({LATE}.here(name))"),
        ("__loader__.get_source(name)", f"__loader__.get_source({LATE}.here(name))"),
        ("f.__module__ = name", f"f.__module__ = {LATE}.here(name)"),
        (
            "sys.meta_path.append(a)\nname.partition('.')\na.__name__.split('.')",
            f"sys.meta_path.append(a)\n{LATE}.written(name).partition('.')\n{LATE}.written(a.__name__).split('.')",
        ),
        ("call(compile, code, 'a')", f"call({LATE}.compiler(compile), code, 'a')"),
    ],
)
def test_a_name_that_is_made_elsewhere_is_asked_for_where_the_source_runs(source: str, changed: str) -> None:
    assert relocated(source) == changed


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        ("sys.path.insert(0, str(here))", f"sys.path.insert(0, {ENTRIES}.known(str(here)))"),
        ("sys.path[:0] = [a]", f"sys.path[:0] = {ENTRIES}.known([a])"),
        ("sys.path = [a] + sys.path", f"sys.path = {ENTRIES}.known([a] + sys.path)"),
        ("sys.path += more", f"sys.path += {ENTRIES}.known(more)"),
        ("monkeypatch.syspath_prepend(a)", f"monkeypatch.syspath_prepend({ENTRIES}.known(a))"),
        ("util.spec_from_file_location(a, b)", f"{ENTRIES}.telling(util.spec_from_file_location)(a, b)"),
    ],
)
def test_a_folder_on_the_path_and_a_file_may_be_the_packages_own(source: str, changed: str) -> None:
    assert relocated(source) == changed


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        ('class A:\n  __module__ = "tg.x"', f'class A:\n  __module__ = {UID}"tg.x"'),
        ('A.__module__ = "tg"', f'A.__module__ = {UID}"tg"'),
        ('type("A", (), {"__module__": "tg.x"})', f'type("A", (), {{"__module__": {UID}"tg.x"}})'),
        ('setattr(f, "__module__", "tg.x")', f'setattr(f, "__module__", {UID}"tg.x")'),
        ('namedtuple("A", "b", module="tg.x")', f'namedtuple("A", "b", module={UID}"tg.x")'),
        ('@set_module("tg")\ndef f(): pass', f'@set_module({UID}"tg")\ndef f(): pass'),
        ('filterwarnings("ignore", module="tg.x")', f'filterwarnings("ignore", module={UID}"tg.x")'),
        ('if __name__ == "tg.x": pass', f'if __name__ == {UID}"tg.x": pass'),
        ('"tg.x" != __name__', f'{UID}"tg.x" != __name__'),
        ('c.__module__ in ("tg", "a")', f'c.__module__ in ({UID}"tg", "a")'),
        ('f_globals.get("__name__") == "tg.x"', f'f_globals.get("__name__") == {UID}"tg.x"'),
        ('module.__name__ == "tg.x"', f'module.__name__ == {UID}"tg.x"'),
        ('m = c.__module__\nm in ("tg", "a")', f'm = c.__module__\nm in ({UID}"tg", "a")'),
        (
            'def f():\n  m = a.f_globals["__name__"]\n  while m.startswith("tg"): m = b.f_globals["__name__"]',
            f'def f():\n  m = a.f_globals["__name__"]\n  while m.startswith({UID}"tg"): m = b.f_globals["__name__"]',
        ),
        ('module.__name__.startswith("tg.")', f'module.__name__.startswith({UID}"tg.")'),
        ('import tg\ntg.__name__ == "tg"', f'from ... import tg\ntg.__name__ == {UID}"tg"'),
        ('c.__module__.startswith("tg.")', f'c.__module__.startswith({UID}"tg.")'),
        ('version(__name__.split(".")[0])', f'version({UID[:-6]}".tg")'),
        ('files(__package__.partition(".")[0])', f'files({UID[:-6]}".tg")'),
        ('[m for m in sys.modules if m == "tg"]', f'[m for m in sys.modules if m == {UID}"tg"]'),
        (
            'for m in list(sys.modules):\n  if m.startswith(("tg", "a")): del sys.modules[m]',
            f'for m in list(sys.modules):\n  if m.startswith(({UID}"tg", "a")): del sys.modules[{LATE}.here(m)]',
        ),
        ('pytest_plugins = ["tg.x", "a"]', f'pytest_plugins = [{UID}"tg.x", "a"]'),
        (
            '@filterwarnings("ignore:some text:tg.x.AWarning")\ndef f(): pass',
            f'@filterwarnings("ignore:some text:" + {UID[:-6]}".tg.x.AWarning")\ndef f(): pass',
        ),
        (
            'filterwarnings(\n  r"ignore"\n  r":a b:tg.x.AWarning"\n  r":tg.y"\n)',
            f'filterwarnings(\n  r"ignore"\n  r":a b:" + {UID[:-6]}".tg.x.AWarning"\n  r":" + {UID[:-6]}".tg.y"\n)',
        ),
        ('[sys.executable, "-mtg.x"]', f'[sys.executable, "-m" + {UID[:-6]}".tg.x"]'),
        ('[sys.executable, "-I", "-m", "tg.x"]', f'[sys.executable, "-I", "-m", {UID}"tg.x"]'),
    ],
)
def test_a_label_that_is_compared_with_a_modules_name_is_relocated(source: str, changed: str) -> None:
    assert relocated(source) == changed


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        ("version(name)", f"version({LATE}.of_distribution(name))"),
        ('metadata.entry_points(group="a")', f'{PLUGINS}.with_own(metadata.entry_points)(group="a")'),
        ('entry_points().get("a")', f'{PLUGINS}.with_own(entry_points)().get("a")'),
        ('iter_entry_points("a")', f'{PLUGINS}.with_own(iter_entry_points)("a")'),
    ],
)
def test_distributions_are_asked_for_where_roots_are_from_one(source: str, changed: str) -> None:
    assert may_need_relocation(source.encode(), ROOTS, "tg/p/m.py", ["my-dist"])
    done = relocate(source.encode(), ROOTS, "tg/p/m.py", ["my-dist"])
    assert (done.source.decode(), done.unresolved) == (changed, ())
    assert relocate(done.source, ROOTS, "tg/p/m.py", ["my-dist"]).source == done.source
    assert relocated(source) == source


def test_a_module_that_is_a_root_itself_has_its_parent_above() -> None:
    assert relocated('files("tg.x")', "tool.py") == 'files(__spec__.parent + "." + "tg.x")'


@pytest.mark.parametrize(
    "source",
    [
        'title("tg.x")',
        'Path("tg/x.txt")',
        'path("tg", view)',
        'patch("tg")',
        'getLogger("tg.x")',
        'import_module("tgbot.x")',
        'import_module(f"plugins.{name}")',
        'import_module(".x", __package__)',
        'import_module(name, package)',
        'sys.modules[__name__]',
        'sys.modules[cls.__module__]',
        'import_module(f"{__name__}.{x}")',
        'import_module(__package__ + ".x")',
        '__import__(__name__ + ".x", fromlist=["x"])',
        'cls.__name__ == "tg"',
        'cls.__name__.startswith("tg")',
        'm = c.__module__\nm = "x"\nm == "tg"',
        'def f():\n  m = c.__module__\ndef g(m): return m == "tg"',
        'def f(m):\n  m = m or c.__module__\n  return m == "tg"',
        'for m in x: pass\nm = c.__module__\nm.startswith("tg")',
        'tg.__name__ == "tg"',
        'from x import tg\ntg.__name__ == "tg"',
        'namedtuple("A", "b", module="a")',
        'error.module == "tg.x"',
        're.compile("import tg")',
        'exec("x = 1")',
        'print("import tg.x")',
        'file.write("import json")',
        'text = "import json"\nfile.write(text)',
        'text = "the text says: import tg"\nfile.write(text)',
        'text = "\\n import tg"\nprint(text)',
        'pytester.plugins = ["tg"]',
        '["git", "commit", "-m", "tg.x"]',
        'entry_points(group="tg")',
        'sys.modules["json"]',
        'f.__module__ = __name__',
        'loader.get_source(__name__)',
        'environment.get_source(name)',
        'f.__module__ = g.__module__',
        'name.split(".")',
        'sys.meta_path.remove(a)\nname.split(".")',
        'sys.meta_path.insert(0, a)\nname.rpartition("."), name.split(","), ".".join(names)',
        'sys.path.append(".")',
        'sys.path.remove(folder)',
        'sys.path == old',
        'os.path.join(folder)',
        'call(re.compile, "import tg")',
        'modules["tg.x"]',
        '"http:tg"',
        '{"tg.x": 1}',
        'setattr(thing, "tg.x", 1)',
    ],
)  # fmt: skip
def test_what_may_be_something_else_stays(source: str) -> None:
    assert relocated(source) == source


@pytest.mark.parametrize("path", ["tg/__init__.py", "tg/m.py", "tg/p/__init__.py", "tg/p/q/m.py", "tool.py"])
def test_relocated_strings_find_what_they_name(path: str, tmp_path: Path) -> None:
    """All of it run for real, in a package of a name that is nowhere in the source."""
    source = textwrap.dedent("""
        def found():
            import importlib, pkgutil, sys
            from importlib import resources
            name = "data"
            yield importlib.import_module("tg.data").__name__
            yield importlib.import_module(f"tg.{name}").__name__
            yield importlib.import_module("mycompany").__name__
            yield __import__("tg.data").__name__
            yield __import__("tg.data", fromlist=["x"]).__name__
            yield __import__("tg.data", globals(), locals(), []).__name__
            yield sys.modules["tg.data"].__name__
            yield sys.modules.get("mycompany").__name__
            yield str("tg.data" in sys.modules)
            yield (resources.files("tg.data") / "x.txt").read_text()
            yield pkgutil.get_data("tg.data", "x.txt").decode()
    """)
    package = tmp_path / "any_name"
    for name in ("tg/p/q", "tg/data", "mycompany"):
        (package / name).mkdir(parents=True)
    for folder in (package, *(one for one in package.rglob("*") if one.is_dir())):
        (folder / "__init__.py").touch()
    (package / "tg/data/x.txt").write_text("text")
    (package / path).write_text(relocated(source, path))
    module = "any_name." + path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    code = f"import {module} as m; print(*m.found(), sep='\\n')"
    printed = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    tg, data, company = "any_name.tg", "any_name.tg.data", "any_name.mycompany"
    assert printed.stdout.split() == [data, data, company, tg, data, tg, data, company, "True", "text", "text"]

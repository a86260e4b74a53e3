"""What of a script or of cells travels as the module `main`: what the payload needs, each line where it was."""

from __future__ import annotations

import linecache
import sys
import textwrap
from typing import Any

import pytest

from tg.common.delivery.delivery.main_module import MainModule
from tg.common.delivery.delivery.main_source import MainSource, Part
from tg.common.delivery.runtime.errors import UndeliverableSource

SCRIPT = "/project/script.py"


def text_for(script: str, *names: str, package: str = "") -> str:
    """The text that a script, which is run, travels as when the payload refers to these names."""
    part = Part(textwrap.dedent(script).lstrip("\n"), SCRIPT)
    namespace: dict[str, Any] = {"__name__": "__main__", "__package__": package or None}
    exec(compile(part.text, SCRIPT, "exec", dont_inherit=True), namespace)
    return MainModule.with_definitions(MainSource((part,), namespace, SCRIPT, package), names).text.decode()


def text_for_cells(cells: list[str], *names: str) -> str:
    return module_of_cells(cells, *names).text.decode()


def module_of_cells(cells: list[str], *names: str) -> MainModule:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    parts = []
    for number, cell in enumerate(map(textwrap.dedent, cells), 1):
        file = f"<test-cell-{number}-{id(namespace)}>"
        linecache.cache[file] = (len(cell), None, cell.splitlines(True), file)
        parts.append(Part(cell, cell=f"In [{number}]"))
        try:
            exec(compile(cell, file, "exec", dont_inherit=True), namespace)
        except ZeroDivisionError:
            continue
    return MainModule.with_definitions(MainSource(tuple(parts), namespace, "the notebook", ""), names)


def kept(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


def refusal(script: str, *names: str) -> str:
    with pytest.raises(UndeliverableSource) as caught:
        text_for(script, *names)
    return str(caught.value)


def test_each_line_keeps_its_number_and_what_is_not_needed_is_blank() -> None:
    text = text_for(
        """
        import json
        import os

        print("work")

        # What is said right above it stays with it.
        class Job:
            def run(self):
                # and so does this
                return json.dumps(1)

        def unneeded():
            return os.sep
        """,
        "Job",
    )
    assert text.split("\n") == [
        "import json",
        "",
        "",
        "",
        "",
        "# What is said right above it stays with it.",
        "class Job:",
        "    def run(self):",
        "        # and so does this",
        "        return json.dumps(1)",
        "",
    ]


NEEDED = {
    "a base class": ("class B: pass\nclass A(B): pass", "A"),
    "a decorator": ("def d(c): return c\n@d\nclass A: pass", "A"),
    "a default": ("X = 1\ndef f(x=X): return x", "f"),
    "a name in a function": ("def f(): return g()\ndef g(): return X\nX = 1", "f"),
    "a name in a lambda": ("X = 1\nA = lambda: X", "A"),
    "a name in a comprehension": ("X = [1]\nA = [x for x in X]", "A"),
    "a name in an annotation": ("X = int\ndef f(x: X): pass", "f"),
    "a name in an annotation that is a text": ("class X: pass\ndef f(x: 'list[X]'): pass", "f"),
    "a name in an annotation that is read later": (
        "from __future__ import annotations\nclass X: pass\nclass A:\n    x: X",
        "A",
    ),
    "a class in a class": ("X = 1\nclass A:\n    class B:\n        x = X", "A"),
    "a static method": ("X = 1\nclass A:\n    @staticmethod\n    def f(): return X", "A"),
    "a metaclass": ("class M(type): pass\nclass A(metaclass=M): pass", "A"),
    "both sides of an operator": ("X = 1\nY = 2\nA = X + Y", "A"),
    "tuple targets": ("X = 1\nA, (B, *C) = X, (2, 3)\ndef f(): return C", "f"),
    "several targets": ("A = B = 1", "B"),
    "an annotated assignment": ("import typing\nA: typing.Final = 1", "A"),
    "an augmented assignment": ("A = [1]\nA += [2]", "A"),
    "a later change": ("A = {}\nA['x'] = 1\nA.update(y=2)", "A"),
    "an attribute given later": ("class A: pass\nA.x = 1", "A"),
    "a function that wraps another": ("def f(): pass\ndef w(g): return g\n@w\ndef h(): return f", "h"),
    "a type variable": ("from typing import Generic, TypeVar\nT = TypeVar('T')\nclass A(Generic[T]): pass", "A"),
    "a protocol": ("from typing import Protocol\nclass P(Protocol):\n    def f(self): ...\nclass A(P): pass", "A"),
    "an abstract class": (
        "import abc\nclass P(abc.ABC):\n    @abc.abstractmethod\n    def f(self): ...\nclass A(P): pass",
        "A",
    ),
    "an enumeration": ("import enum\nclass C(enum.Enum):\n    R = enum.auto()", "C"),
    "a named tuple": ("from collections import namedtuple\nP = namedtuple('P', 'x y')", "P"),
    "a typed dictionary": ("from typing import TypedDict\nP = TypedDict('P', {'x': int})", "P"),
    "a dataclass": (
        "from dataclasses import dataclass, field\n@dataclass\nclass A:\n    x: list = field(default_factory=list)",
        "A",
    ),
    "a sentinel": ("class S:\n    def __reduce__(self): return 'M'\nM = S()", "M"),
    "a pattern and a logger": (
        "import re, logging\nP = re.compile('a')\nL = logging.getLogger(__name__)\ndef f(): return P, L",
        "f",
    ),
    "a partial": ("from functools import partial\ndef f(x): pass\ng = partial(f, 1)", "g"),
    "a path": ("from pathlib import Path\nA = Path('a').resolve().parent / 'b'", "A"),
    "a method of a text": ("A = 'a b'.split()\nB = ', '.join(A)\nC = B.upper()", "C"),
    "imports of parts of one package": (
        "import os.path\nimport os\nimport xml.dom\nimport xml.sax\ndef f(): return xml, os",
        "f",
    ),
    "a star import": ("from math import *\ndef f(): return sqrt(4)", "f"),
    "a conditional definition": (
        "import sys\nif sys.version_info >= (3, 0):\n    def f(): pass\nelse:\n    f = None",
        "f",
    ),
    "a try for an import": (
        "try:\n    import nowhere\nexcept ImportError:\n    nowhere = None\ndef f(): return nowhere",
        "f",
    ),
    "a suppressed import": (
        "from contextlib import suppress\nwith suppress(ImportError):\n    import json\ndef f(): return json",
        "f",
    ),
    "an import for type checkers": (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from a import B\ndef f(x: 'B'): pass",
        "f",
    ),
    "an import in a function": ("def f():\n    import json\n    return json", "f"),
    "a name that a function sets": ("X = 0\ndef f():\n    global X\n    X += 1", "f"),
    "overloads registered with a function": (
        "from functools import singledispatch\n@singledispatch\ndef f(x): pass\n@f.register\ndef _(x: int): pass\n@f.register\ndef _(x: str): pass",
        "f",
    ),
    "what a decorator collects": (
        "R = []\ndef r(c):\n    R.append(c)\n    return c\n@r\nclass B: pass\ndef f(): return R",
        "f",
    ),
    "what a class notes of its subclasses": (
        "class P:\n    all = []\n    def __init_subclass__(cls): P.all.append(cls)\nclass A(P): pass",
        "P",
    ),
    "what a class notes of the subclasses of its subclasses": (
        "class P:\n    all = []\n    def __init_subclass__(cls): P.all.append(cls)\nclass A(P): pass\nclass B(A): pass",
        "P",
    ),
    "what a metaclass collects": (
        "R = []\nclass M(type):\n    def __init__(c, *given): R.append(c)\nclass A(metaclass=M): pass\nclass B(A): pass\ndef f(): return R",
        "f",
    ),
    "what is registered with an abstract class": (
        "import abc\nclass A(abc.ABC): pass\nclass B: pass\nA.register(B)",
        "A",
    ),
    "what a decorator needs when it is called": (
        "X = 1\ndef d(c): return c, X\n@d\nclass A: pass\nX = 2\ndef f(): return A",
        "f",
    ),
    "an enumeration that makes its members itself": (
        "import enum\nclass C(int, enum.Enum):\n    def __new__(cls, n):\n        c = int.__new__(cls, n)\n        c._value_ = n\n        return c\n    A = 1",
        "C",
    ),
    "a method that a decorator has replaced by a function of its name": (
        "def d(c):\n    def __init__(self): pass\n    c.__init__ = __init__\n    return c\n@d\nclass A:\n    def __init__(self): pass",
        "A",
    ),
    "a method that a decorator has wrapped in a function of its name": (
        "from functools import wraps\ndef d(f):\n    @wraps(f)\n    def run(*a): return f(*a)\n    return run\nclass A:\n    @d\n    def run(self): pass",
        "A",
    ),
    "a function that a decorator has replaced by one of its name": (
        "def d(g):\n    def f(): return g()\n    return f\n@d\ndef f(): pass",
        "f",
    ),
    "the definition for another Python": (
        "import sys\nif sys.version_info >= (3, 10):\n    def f(): return 1\nelse:\n    def f(): return 2",
        "f",
    ),
    "an attribute given by its name": ("class A: pass\nsetattr(A, 'x', 1)", "A"),
    "the value that a statement had": ("X = 1\nY = X + 1\nX = 5\ndef f(): return X, Y", "f"),
}

if sys.version_info >= (3, 12):
    NEEDED["a type of its own syntax"] = ("X = int\ntype A[T] = list[T] | X\ndef f(a: A): pass", "f")
    NEEDED["parameters of types"] = (
        "class X: pass\nclass A[T: X]:\n    y: T\n    def f[S](self, s: S, t: T) -> X: return Y\nY = 1",
        "A",
    )


@pytest.mark.parametrize("case", NEEDED)
def test_what_is_needed_is_kept(case: str) -> None:
    """The whole script here, and nothing of what is put between its statements."""
    script, name = NEEDED[case]
    assert text_for(script, name) == script + "\n"
    with_work = script + "\nprint('work')\nclass Unneeded: pass\nunneeded = __import__('os').getcwd()\n"
    assert text_for(with_work, name) == script + "\n"


@pytest.mark.parametrize("case", NEEDED)
def test_what_is_kept_runs(case: str) -> None:
    script, name = NEEDED[case]
    namespace = {"__name__": "my_job.main", "__package__": "my_job"}
    sys.modules["my_job.main"] = sys  # where a dataclass looks for its module
    try:
        exec(compile(text_for(script, name), "main.py", "exec", dont_inherit=True), namespace)
    finally:
        del sys.modules["my_job.main"]
    assert name in namespace


LEFT_OUT = {
    "what follows on the line": ("A = 1; print(A)", "A", "A = 1; pass"),
    "what comes before on the line": ("print(1); A = 1", "A", "pass; A = 1"),
    "what comes before, over lines": ("print(\n1); A = 1", "A", "\npass; A = 1"),
    "what stands in a branch": (
        "if 1:\n    print(1)\n    A = 1\nelse:\n    print(\n        2\n    )",
        "A",
        "if 1:\n\n    A = 1\nelse:\n    pass",
    ),
    "other branches": (
        "import sys\nif sys.flags.debug:\n    print(1)\nelif 1:\n    A = 1\nelif 2:\n    print(3)",
        "A",
        "import sys\nif sys.flags.debug:\n    pass\nelif 1:\n    A = 1",
    ),
    "the last branch, of one line": ("if 1: A = 1; print(1)\nelse: print(2)", "A", "if 1: A = 1; pass\nelse: pass"),
    "what is said when an import fails": (
        "try:\n    import nowhere\nexcept ImportError:\n    print('none')\n    nowhere = None",
        "nowhere",
        "try:\n    import nowhere\nexcept ImportError:\n\n    nowhere = None",
    ),
    "the first of two definitions": ("def f(): return 1\ndef f(): return 2", "f", "\ndef f(): return 2"),
    "the guard": ("A = 1\nif __name__ == '__main__':\n    print(A)", "A", "A = 1"),
    "an import for its effect, and what is deleted": ("import json\nA = 1\nB = 2\ndel B", "A", "\nA = 1"),
    "the list of public names": ("__all__ = ['A', 'B']\nA = B = 1", "A", "\nA = B = 1"),
    "a decorated function in a branch": (
        "if 1:\n    A = 1\n    @staticmethod\n    def f():\n        pass",
        "A",
        "if 1:\n    A = 1",
    ),
    "the encoding and the interpreter": (
        "#!/bin/python\n# -*- coding: utf-8 -*-\nA = 'ä'; print('ö')",
        "A",
        "\n\nA = 'ä'; pass",
    ),
}


@pytest.mark.parametrize("case", LEFT_OUT)
def test_what_does_the_work_is_left_out(case: str) -> None:
    script, name, expected = LEFT_OUT[case]
    assert text_for(script, name) == expected + "\n"
    compile(expected, "main.py", "exec")


def test_the_docstring_and_what_changes_how_it_is_read_stay() -> None:
    script = '"""What it is."""\n\nfrom __future__ import annotations\n\nprint(1)\nA = 1\n'
    assert text_for(script, "A") == script.replace("print(1)", "")


def test_relative_imports_start_from_the_package_of_the_script() -> None:
    """As under `python -m concurrent.futures.script`."""
    script = """
        from . import thread
        from .process import EXTRA_QUEUED_CALLS as e
        from..futures import _base
        def f():
            from .thread import threading
            return thread, e, _base
        """
    assert kept(text_for(script, "f", package="concurrent.futures"))[:5] == [
        "from concurrent.futures import thread",
        "from concurrent.futures.process import EXTRA_QUEUED_CALLS as e",
        "from concurrent.futures import _base",
        "def f():",
        "    from concurrent.futures.thread import threading",
    ]


@pytest.mark.filterwarnings("ignore:can't resolve package")  # so does Python, run by the file
def test_a_relative_star_import_that_comes_to_nothing_in_a_script_is_kept_beside_the_other() -> None:
    script = "try:\n    from .math import *\nexcept ImportError:\n    from math import *\ndef f(): return sqrt(4)\n"
    assert text_for(script, "f") == script


REFUSED = {
    "a value read from a file": (
        "import json\ndf = json.loads('1')\ndef f(): return df",
        f"{SCRIPT}:3 uses df, which is made by json.loads(…), which is not run again where the package is loaded ({SCRIPT}:2). Give it",
    ),
    "a value of a function of its own": ("def g(): return 1\nx = g()\ndef f(): return x", "is made by g(…)"),
    "a value of a loop": ("for x in range(3):\n    y = x\ndef f(): return y", "is made in a loop"),
    "a value of a with": (
        "import io\nwith io.StringIO() as s:\n    x = 1\ndef f(): return x",
        "is made by with io.StringIO() as s:",
    ),
    "what the guard has made": (
        "if __name__ == '__main__':\n    x = 1\ndef f(): return x",
        'is made under if __name__ == "__main__"',
    ),
    "what a condition decides": (
        "import os\nif os.path.exists('/'):\n    x = 1\ndef f(): return x",
        "is made under a condition that takes os.path.exists(…)",
    ),
    "a try around work": (
        "import json\ntry:\n    json.loads('1')\n    x = 1\nexcept ValueError:\n    x = 2\ndef f(): return x",
        "is made in a try with json.loads(…)",
    ),
    "a process that would be started": (
        "import subprocess\nif 0: x = subprocess.Popen('x')\nelse: x = 1\ndef f(): return x",
        "is made by subprocess.Popen(…)",
    ),
    "what globals() has set": (
        "globals()['x'] = 1\ndef f(): return x",
        "which no statement of /project/script.py defines",
    ),
    "what exec has defined": ("exec('class A: pass')\n", "the payload uses A, which no statement"),
    "what a function has set": (
        "def s():\n    global x\n    x = 1\ns()\ndef f(): return x",
        f"is set by a function ({SCRIPT}:1) that nothing calls",
    ),
    "an object that was worked on": (
        "class M:\n    def fit(self): pass\nm = M()\nm.fit()\ndef f(): return m",
        f"m, which may have changed, and that is not run again where the package is loaded ({SCRIPT}:4)",
    ),
    "an object that was given to something": (
        "class M: pass\ndef train(m): pass\nm = M()\ntrain(m)\ndef f(): return m",
        "may have changed",
    ),
    "a list that was filled": ("x = []\nfor i in range(3):\n    x.append(i)\ndef f(): return x", "may have changed"),
    "an attribute that was computed": (
        "import json\nclass A: pass\nA.x = json.loads('1')\n",
        "which changes by json.loads(…)",
    ),
    "a text changed by exec": (
        "x = 'a'\nexec('x = 1')\ndef f(): return x",
        "which is 'a' at /project/script.py:1 and 1 in memory",
    ),
    "a dictionary that a loop has filled": (
        "x = {}\nfor k in 'ab':\n    x[k] = 1\ndef f(): return x",
        f"{SCRIPT}:4 uses x, which may have changed, and that is not run again where the package is loaded ({SCRIPT}:2)",
    ),
    "a list that something was deleted from": ("x = [1, 2]\ndel x[0]\ndef f(): return x", "may have changed"),
    "a list that was filled under another name": ("x = []\ny = x\ny.append(1)\ndef f(): return x", "may have changed"),
    "an object that another has worked on": (
        "class M: pass\nclass T:\n    def __init__(self, m): self.m = m\n    def fit(self): self.m.w = 1\n"
        "m = M()\nt = T(m)\nt.fit()\ndef f(): return m",
        f"m, which may have changed, and that is not run again where the package is loaded ({SCRIPT}:7)",
    ),
    "an attribute that a loop has set": (
        "class A: pass\nfor n in (1, 2):\n    A.x = n",
        f"uses A, which changes in a loop, which is not run again where the package is loaded ({SCRIPT}:2)",
    ),
    "attributes that a loop has set by their names": (
        "class A: pass\nfor n in 'ab':\n    setattr(A, n, 1)",
        "changes in a loop",
    ),
    "an attribute that the guard has set": (
        "class A: pass\nif __name__ == '__main__':\n    A.x = 1",
        'changes under if __name__ == "__main__", which is not so',
    ),
    "a registry that was filled": (
        "class A:\n    all = {}\n    @classmethod\n    def add(cls, k): cls.all[k] = 1\nA.add('a')",
        f"uses A, which has changed, and that is not run again where the package is loaded ({SCRIPT}:5)",
    ),
    "an assigned expression": ("import json\nif (n := json.loads('1')): pass\ndef f(): return n", "is made by"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_made_again_is_refused_with_its_place(case: str) -> None:
    script, said = REFUSED[case]
    name = "A" if "A" in script else "f"
    assert said in refusal(script, name)


ACCEPTED = {
    "a list that is only shown": "x = [1]\nprint(len(x))\nx\ndef f(): return x",
    "a list that is as it was written": "x = [1]\nprint(sorted(x, key=lambda y: y))\nmax(x)\ndef f(): return x",
    "a cache that functions fill": "x = {}\ndef f(a):\n    x[a] = a\n    return x\nf(1)",
    "a number that functions count up": "x = 0\ndef f():\n    global x\n    x += 1\nf()",
    "a number that objects count up in their class": "class C:\n    n = []\n    def __init__(self): self.n.append(1)\nc = C()\ndef f(): return C",
    "a class whose methods were called": "class C:\n    n = []\n    @classmethod\n    def g(cls): pass\nC.g()\ndef f(): return C",
    "a list whose parts were shown": "x = [[1], [2]]\nfor y in x:\n    print(y)\ndef f(): return x",
    "an object that made plain values": "class C:\n    n = 1\nc = C()\nd = [c.n]\nd.append(1)\ndef f(): return c",
    "a logger that was set up": "import logging\nx = logging.getLogger('a')\nx.setLevel(10)\ndef f(): return x",
    "a name that is not there here either": "def f(): return nowhere",
    "a loop over a name that is deleted": "for x in []: pass\ndef f(): return x",
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_does_no_harm_is_accepted(case: str) -> None:
    assert "def f" in text_for(ACCEPTED[case], "f")


def test_a_script_that_was_edited_after_it_was_run_is_refused() -> None:
    part = Part("\nclass Job:\n    def run(self): pass\n", SCRIPT)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(part.text[1:], SCRIPT, "exec"), namespace)
    with pytest.raises(
        UndeliverableSource, match=r"the one in memory is not the one at /project/script\.py:2: it was changed"
    ):
        MainModule.with_definitions(MainSource((part,), namespace, SCRIPT, ""), ["Job"])


def test_all_that_cannot_be_had_is_told_at_once() -> None:
    told = refusal("import json\nx = json.loads('1')\ny = json.loads('2')\ndef f(): return x, y", "f")
    assert "/project/script.py cannot be delivered: 2 problems" in told


def test_a_chain_of_any_length_is_followed() -> None:
    script = "".join(f"def f{number}(): return f{number + 1}()\n" for number in range(3000)) + "def f3000(): return 1\n"
    assert text_for(script, "f0") == script


def test_cells_stand_below_their_numbers_and_names_go_across_them() -> None:
    text = text_for_cells(
        [
            "import json\nimport os",
            "print(1)\nLIMIT = 2",
            "print(3)",
            "class Job:\n    def run(self): return json, LIMIT\n",
        ],
        "Job",
    )
    assert kept(text)[1:] == [
        "# In [1]:",
        "import json",
        "# In [2]:",
        "LIMIT = 2",
        "# In [4]:",
        "class Job:",
        "    def run(self): return json, LIMIT",
    ]
    assert text.splitlines()[text.splitlines().index("# In [2]:") + 2] == "LIMIT = 2"


def test_every_line_that_is_kept_of_a_cell_is_known_by_its_number_in_it() -> None:
    cells = ["print(1)\nX = 1", "from __future__ import annotations\n\n# note\ndef f():\n    return X\n\n\n"]
    module = module_of_cells(cells, "f")
    kept_lines = dict(zip(module.places, module.text.decode().splitlines(), strict=True))
    assert kept_lines["In [1] line 2"] == "X = 1"
    assert kept_lines["In [2] line 3"] == "# note"
    assert kept_lines["In [2] line 5"] == "    return X"


def test_the_latest_definition_of_a_cell_is_the_one_that_travels() -> None:
    text = text_for_cells(["def f(): return 1", "def g(): return f()", "def f(): return 3"], "g")
    assert "return 3" in text
    assert "return 1" not in text


def test_a_cell_that_failed_on_its_way_defines_what_came_before() -> None:
    text = text_for_cells(["def f(): return 1", "def g(): return 2\n1 / 0\ndef f(): return 3"], "f", "g")
    assert "return 1" in text
    assert "return 2" in text
    assert "return 3" not in text


def test_what_one_cell_says_of_annotations_holds_for_all() -> None:
    text = text_for_cells(["from __future__ import annotations\nX = 1", "def f(x: X) -> int: return X"], "f")
    assert kept(text)[1] == "from __future__ import annotations"
    compile(text, "main.py", "exec")

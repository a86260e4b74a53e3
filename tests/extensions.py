"""Extension modules for tests: C source, compiled as setuptools would, with the flags that this Python was built with."""

from __future__ import annotations

import functools
import shlex
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

from services import Missing, given

SUFFIX: str = sysconfig.get_config_var("EXT_SUFFIX")

MODULE = """
#include <Python.h>
static int calls = 0;
static PyObject *count(PyObject *self, PyObject *nothing) { return PyLong_FromLong(++calls); }
static PyObject *use(PyObject *self, PyObject *nothing) { return PyImport_ImportModule("%(imports)s"); }
static PyMethodDef methods[] = {
    {"count", count, METH_NOARGS, NULL}, {"use", use, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static PyType_Slot nothing[] = {{0, NULL}};
static PyType_Spec point = {
    "%(type)s", sizeof(PyObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, nothing};
static int fill(PyObject *module) {
    PyObject *made = PyType_FromSpec(&point);
    return made == NULL ? -1 : PyModule_AddObject(module, "Point", made);
}
static PyModuleDef_Slot slots[] = {{Py_mod_exec, fill}, {0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "%(name)s", NULL, 0, methods, slots};
PyMODINIT_FUNC PyInit_%(name)s(void) { return PyModuleDef_Init(&definition); }
"""
"""A module in two phases (PEP 489): `count()` counts its calls for all of the library, `use()` imports by a compiled-in name."""

OLD_MODULE = """
#include <Python.h>
static int calls = 0;
static PyObject *count(PyObject *self, PyObject *nothing) { return PyLong_FromLong(++calls); }
static PyMethodDef methods[] = {{"count", count, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "%(name)s", NULL, -1, methods};
PyMODINIT_FUNC PyInit_%(name)s(void) { return PyModule_Create(&definition); }
"""
"""A module in one phase, whose state is the library's."""


@functools.cache
def _compiler() -> str | Missing:
    named = shlex.split(sysconfig.get_config_var("CC") or "cc")[:1]
    found = next((path for name in (*named, "gcc", "cc") if (path := shutil.which(name))), None)
    return found or Missing("there is no C compiler here (gcc or cc)")


def build(file: Path, source: str, *options: str) -> Path:
    """Compile C source to a shared library. Without a compiler the test is skipped, as `given` does."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(_compiled(given(_compiler()), source, options))
    file.chmod(0o755)
    return file


@functools.cache
def _compiled(compiler: str, source: str, options: tuple[str, ...]) -> bytes:
    """The library; most tests want the same one."""
    with tempfile.TemporaryDirectory() as folder:
        written, library = Path(folder, "source.c"), Path(folder, "library")
        written.write_text(source, "utf-8")
        flags = ["-shared", "-fPIC", "-O1", *_system_flags(), f"-I{sysconfig.get_path('include')}"]
        done = subprocess.run(
            [compiler, *flags, str(written), "-o", str(library), *options], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return library.read_bytes()


def extension(
    folder: Path,
    name: str,
    source: str = MODULE,
    *,
    suffix: str = SUFFIX,
    imports: str = "json",
    of_type: str = "Point",
    options: Sequence[str] = (),
) -> Path:
    """An extension module `name` in a folder; `of_type` is what its class calls itself."""
    text = source % {"name": name, "imports": imports, "type": of_type}
    return build(folder / f"{name}{suffix}", text, *options)


def _system_flags() -> list[str]:
    return ["-undefined", "dynamic_lookup"] if sysconfig.get_platform().startswith("macosx") else []

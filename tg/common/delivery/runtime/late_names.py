"""Names that source makes while it runs: `import_module(name)`, where nobody could tell what `name` would be.

Relocated source asks here, at the places where it imports by such a name, what the module is called in this process: a
name in one of the package's roots means the package's own, as it does where it is written out. Code that is made as
text and compiled imports by names that are written out in that text; see `source`.
"""

from __future__ import annotations
import __future__

import builtins
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from .distributions import distributions_of, normalised
from .roots import Roots, local_prefix, roots_of_package

__all__ = ["compiler", "here", "import_", "import_arguments", "labels", "of_distribution", "source", "written"]


def here(name: Any) -> Any:
    """What a module is called here that the source of this package calls `name`, or what is no such name as it is."""
    return local_prefix() + name if isinstance(name, str) and _is_own(name) else name


def labels(names: Any) -> Any:
    """The same for each of several names, as those that the name of a module is compared with."""
    return type(names)(map(here, names)) if type(names) in (tuple, list, set, frozenset) else here(names)


def written(name: Any) -> Any:
    """What the source of this package calls a module that is called `name` here; what is none of its own as it is."""
    prefix = local_prefix()
    if not prefix or not isinstance(name, str) or not name.startswith(prefix):
        return name
    return name[len(prefix) :] if _is_own(name[len(prefix) :]) else name


def of_distribution(name: Any) -> Any:
    """By what `importlib.metadata` finds a distribution here: by the package's name before it where it is the package's own."""
    uid = local_prefix()[:-1]
    if not uid or not isinstance(name, str):
        return name
    own = {normalised(found.metadata["Name"]) for found in distributions_of(uid)}
    return f"{uid}.{name}" if normalised(name) in own else name


def import_arguments(
    name: str,
    globals: Mapping[str, object] | None = None,
    locals: Mapping[str, object] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> tuple[Any, ...]:
    """What to give to `__import__`: then `mycompany.x` gives `UID.mycompany`, as it gave `mycompany`.

    It is called where it was, since there is code that tells by the traceback's depth what could not be imported.
    """
    if level or not _is_own(name):
        return name, globals, locals, fromlist or (), level
    return name, {"__package__": local_prefix()[:-1]}, locals, fromlist or (), 1


def import_(*arguments: Any, **named: Any) -> Any:
    """`__import__`, for the source of this package."""
    return builtins.__import__(*import_arguments(*arguments, **named))


def source(text: Any) -> Any:
    """Source that is made by the package and about to be compiled, with its imports of the package's roots relocated.

    Whoever compiles it may run it anywhere, so here the package's name is written in. Lines keep their numbers. It is text or
    a syntax tree; what is neither, does not parse or imports no root is given back as it is.
    """
    prefix = local_prefix()
    if prefix and type(text).__module__ in ("ast", "_ast"):
        from .generated_source import relocated_tree

        return relocated_tree(text, prefix, _roots())
    if not prefix or not isinstance(text, (str, bytes)):
        return text
    words = text if isinstance(text, str) else text.decode("utf-8", "replace")
    if "import" not in words or not any(root in words for root in _roots().names):
        return text
    from .generated_source import relocated_imports  # with `ast`, whose import takes longer than all of loading

    return relocated_imports(text, prefix, _roots())


def compiler(function: Callable[..., Any]) -> Callable[..., Any]:
    """`compile`, for who is handed it: what it compiles is relocated before. Whatever else is of that name, as it is."""
    return _compile if function is builtins.compile and local_prefix() else function


_FEATURES = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)


def _compile(
    text: Any, filename: Any, mode: str, flags: int = 0, dont_inherit: bool = False, *arguments: Any, **named: Any
) -> Any:
    if not dont_inherit:  # what the caller has imported from __future__, as `compile` finds it out
        flags |= sys._getframe(1).f_code.co_flags & _FEATURES
    return compile(source(text), filename, mode, flags, True, *arguments, **named)


def _is_own(name: str) -> bool:
    return bool(local_prefix()) and _roots().inside(name) is not None


def _roots() -> Roots:
    return _roots_of(local_prefix().partition(".")[0])


@lru_cache(maxsize=8)
def _roots_of(module: str) -> Roots:
    """As relocation has them: what was run is imported by nobody, and so `__main__` is that of this process."""
    return Roots(Roots.of(roots_of_package(module), "").imported, "")

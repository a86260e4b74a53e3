"""How a module of a package names another one: relatively, so that it holds under every UID."""

from __future__ import annotations

from collections.abc import Iterable

from ..runtime.distributions import normalised

__all__ = ["RelativeNames", "is_ours"]


def is_ours(path: str) -> bool:
    """Whether a file of a package is one of delivery itself, which names itself relatively; by its path in the package."""
    return path.startswith("tg/common/delivery/")


class RelativeNames:
    """Where a module is among the roots, and so how it names another one relatively."""

    def __init__(self, roots: tuple[str, ...], path: str, distributions: tuple[str, ...] = ()) -> None:
        self._roots = roots
        self._distributions = distributions
        *packages, _ = path.split("/")
        self._own = packages[0] if packages else None
        self._depth = len(packages)
        self.root = path.partition("/")[0].removesuffix(".py")
        """The root that the module is in."""
        self.above = "." * (len(packages) + 1)
        """The package above the roots, seen from the module."""

    def has(self, name: str) -> bool:
        """Whether a module of that name is in one of the roots."""
        return name.partition(".")[0] in self._roots

    @property
    def has_distributions(self) -> bool:
        """Whether any of the roots is from a distribution."""
        return bool(self._distributions)

    def has_distribution(self, name: str) -> bool:
        """Whether one of the roots is from a distribution of that name."""
        return normalised(name) in self._distributions

    def relative(self, name: str) -> str:
        """`..x` for `tg.x`. In the module's own root without the root's name, since that may be another one some day."""
        top, _, rest = name.partition(".")
        return self.above[1:] + rest if top == self._own else self.above + name

    def import_statement(self, imported: Iterable[tuple[str, str | None]], *, pickles: bool = False) -> str:
        """What `import tg.x, os as o` becomes: one statement for each name, since only `from` can be relative.

        `import tg.x` imports a module and binds another one. What every module has is bound for a moment, so that it is the
        module that is imported also where its package has something else of that name.
        """
        parts = []
        for name, asked in imported:
            if pickles and name == "pickle":
                package, _, last = self.pickles().rpartition(".")
                parts.append(f"from {package} import {last} as {asked or name}")
                continue
            if not self.has(name):
                parts.append(f"import {name}" + (f" as {asked}" if asked else ""))
                continue
            parent, _, last = name.rpartition(".")
            top = name.partition(".")[0]
            if asked and parent:
                parts.append(f"from {self.relative(parent)} import {last} as {asked}")
                continue
            if parent:
                parts.append(f"from {self.relative(name)} import __doc__ as {top}")
            bound = asked or top
            parts.append(f"from {self.above} import {top}" + (f" as {bound}" if bound != top else ""))
        return "; ".join(parts)

    def pickles(self) -> str:
        """The module that reads pickles for the source of a package; see `runtime/pickles.py`."""
        return self.relative("tg.common.delivery.runtime.pickles")

    def uid_expression(self, quote: str) -> str:
        """An expression for the name of the package above the roots, whatever it is called when the module runs."""
        return f"__spec__.parent.rsplit({quote}.{quote}, {self._depth})[0]" if self._depth else "__spec__.parent"

"""Declared dependencies against what the payload needs: what they miss, and what they name in vain."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from ..runtime.distributions import normalised
from .dependency_files import DependencyFiles
from .installed_distributions import InstalledDistributions
from .origins import distribution_names
from .uses import Use

__all__ = ["missed_by", "names_wanted_here", "unused_of"]


def names_wanted_here(requirements: Sequence[str]) -> frozenset[str]:
    """The normalised names of those requirements that hold for this Python and system, as their markers say."""
    if not requirements:
        return frozenset()
    from .requirements import check_requirements  # only here, since it takes as long as making a package

    wanted = (
        one for one in check_requirements(requirements) if one.marker is None or one.marker.evaluate({"extra": ""})
    )
    return frozenset(normalised(one.name) for one in wanted)


def missed_by(requirements: Sequence[str], uses: Iterable[Use], installed: InstalledDistributions) -> list[str]:
    """A sentence for each distribution that the payload needs and that no requirement names, nor one of theirs in turn."""
    declared = names_wanted_here(requirements)
    can_tell = declared <= installed.by_name.keys()  # what one that is not installed here would bring, nobody knows
    brought = DependencyFiles(requirements, with_optional=False)
    found: dict[str, str] = {}
    for use in uses:
        names = {normalised(one.name) for one in use.distributions}
        if use.optional or names & declared:
            continue
        if not names:
            if can_tell:
                found.setdefault(
                    use.module.partition(".")[0],
                    f"{use}, which is not installed here, and which no declared dependency brings. Declare what does.",
                )
        elif not brought.have(use.module):
            one = use.distributions[0]
            found.setdefault(
                one.name,
                f"{use} of {one.name} {one.version}, which no declared dependency brings. Declare it, "
                f"DependencyList('mine', ['{one.name}=={one.version}']), or let dependencies='auto' find all.",
            )
    return [found[name] for name in sorted(found)]


def unused_of(
    requirements: Sequence[str], uses: Iterable[Use], installed: InstalledDistributions, loaded: Collection[str]
) -> list[str]:
    """A sentence for each requirement that nothing which the payload needs imports, and for those that are not installed here.

    `loaded` are top-level modules that were imported when the payload was loaded, by whomever.
    """
    used = {normalised(one.name) for use in uses for one in use.distributions}
    found = []
    for name in sorted(distribution_names(requirements)):
        one = installed.by_name.get(name)
        if one is None:
            found.append(
                f"dependencies name {name}, which is not installed here, so nothing is known of it. Is that how it is spelled?"
            )
        elif name not in used and not {*one.modules} & {*loaded}:
            found.append(f"dependencies name {one.name}, and nothing that the payload needs imports it.")
    return found

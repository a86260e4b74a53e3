"""Inspecting: what is in a package file, told without running, importing or unpickling anything of it."""

from __future__ import annotations

import ast
import hashlib
import io
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from os import PathLike
from pathlib import Path

from ..runtime.card import card
from ..runtime.errors import PackageRejected, TrustProblem
from ..runtime.roots import Roots
from ..runtime.sizes import size_of
from ..trust.envelope import Envelope
from ..trust.keys import PublicKey
from ..trust.manifest import FileEntry, Manifest
from ..trust.policy import Policy
from .claims import claim_of_wheel
from .dependency_files import DependencyFiles
from .facts import LOCKS, PackageFacts
from .imports import parsed
from .plain_values import PLAIN_VALUES
from .references import UNKNOWN, references_in
from .shared_library import compiled_module
from .wheel import RECORD_FILE, WheelReader

__all__ = ["PackageReport", "Reference", "ResourceReport", "Signature", "inspect_package", "moment"]


@dataclass(frozen=True)
class Reference:
    """A class or function that a resource names, and where that is from: `home`.

    `home` is `package`, `compiled` (a module of it that has no source to be read), `dependency` (a declared one, or one that it needs), `plain` (a value of the standard library),
    `python` (anything else of it), `imported` (by a module of the package), `elsewhere`, or `unreadable`.
    """

    module: str
    name: str
    home: str

    @property
    def is_marked(self) -> bool:
        """Whether it is outside of the package and its declared dependencies, and no plain value."""
        return self.home not in ("package", "compiled", "dependency", "plain")

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True)
class ResourceReport:
    """A resource: its key, how many bytes its pickle has and its buffers have, and what it names."""

    key: str
    size: int
    buffers: tuple[int, ...]
    references: tuple[Reference, ...]
    problem: str | None = None

    @property
    def marked(self) -> tuple[Reference, ...]:
        """The references that deserve a look before the resource is loaded."""
        return tuple(one for one in self.references if one.is_marked)


@dataclass(frozen=True)
class Signature:
    """What is said about who stands for the package: the manifest, by whom, and whether the key named in it has signed it.

    `fits` says that nothing was changed since the owner of that key signed. Who that is, a policy says.
    """

    manifest: Manifest
    signer: PublicKey
    fits: bool


@dataclass(frozen=True)
class PackageReport:
    """What is in a package file. `str()` shows it to a person, `to_json()` gives it to a program.

    - `facts`: name, version, module, requirements, Pythons. `size`: of the file, in bytes.
    - `digest`: `sha256:…`, what `Policy.exactly` takes.
    - `signature`: `None` when it is not signed. `verdict`: what the policy of this machine says, and `trusted`, in short.
    - `missing`: declared dependencies that are not installed here, so nobody can tell what is theirs.
    """

    path: Path
    size: int
    facts: PackageFacts
    digest: str
    files: Mapping[str, FileEntry]
    resources: tuple[ResourceReport, ...]
    signature: Signature | None
    trusted: bool
    verdict: str
    missing: tuple[str, ...]

    @property
    def marked(self) -> tuple[Reference, ...]:
        """The references of all resources that deserve a look, each once."""
        return tuple(dict.fromkeys(one for resource in self.resources for one in resource.marked))

    @property
    def locks(self) -> tuple[str, ...]:
        """The targets that the dependencies are locked for: `3.11-x86_64-manylinux_2_28`."""
        folder = f"{self.facts.module_name}/{LOCKS}/"
        names = (path.removeprefix(folder) for path in self.files if path.startswith(folder))
        return tuple(name.removesuffix(".txt") for name in names)

    def to_json(self) -> dict[str, object]:
        """Plain values, for `json.dumps`."""
        signature = self.signature
        return {
            "name": self.facts.uid.name,
            "version": self.facts.uid.version,
            "module_name": self.facts.module_name,
            "file": str(self.path),
            "size": self.size,
            "digest": self.digest,
            "content": f"sha256:{self.facts.content}",
            "source": f"sha256:{self.facts.source}",
            "requires_python": self.facts.requires_python,
            "built_with": self.facts.built_with,
            "tag": str(self.facts.tag),
            "signature": signature
            and {
                "signer": str(signature.signer),
                "key_id": signature.signer.key_id,
                "fits": signature.fits,
                "sequence": signature.manifest.sequence,
                "created": moment(signature.manifest.created),
                "expires": signature.manifest.expires and moment(signature.manifest.expires),
                "platform": signature.manifest.platform,
            },
            "trusted": self.trusted,
            "verdict": self.verdict,
            "dependencies": {name: list(texts) for name, texts in self.facts.dependencies.items()},
            "locks": list(self.locks),
            "dependencies_missing_here": list(self.missing),
            "resources": [
                {
                    "key": one.key,
                    "size": one.size,
                    "buffers": list(one.buffers),
                    "references": [
                        {"name": str(reference), "home": reference.home, "marked": reference.is_marked}
                        for reference in one.references
                    ],
                    "problem": one.problem,
                }
                for one in self.resources
            ],
            "files": {
                path: {"sha256": one.sha256, "size": one.size, "executable": one.executable}
                for path, one in self.files.items()
            },
        }

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def __repr__(self) -> str:
        facts = self.facts
        trusted = "trusted" if self.trusted else "not trusted"
        return f"<PackageReport {facts.uid.name} {facts.uid.version}: {len(self.files)} files, {trusted}, {self.path}>"

    def _repr_html_(self) -> str:
        facts = self.facts
        shown = [
            ("file", f"{self.path} ({size_of(self.size)})"),
            ("module", facts.module_name),
            ("digest", self.digest),
            ("python", f"{facts.requires_python}, made with {facts.built_with}"),
            ("signed", [line[len("  signed") :].strip() for line in self._signature_lines()][:1]),
            ("trusted" if self.trusted else "NOT TRUSTED", self.verdict),
            ("dependencies", facts.requirements() or "none"),
            ("locked for", self.locks),
            ("resources", [f"{one.key} ({size_of(one.size + sum(one.buffers))})" for one in self.resources]),
            ("holds", f"{len(self.files)} files"),
            ("marked", self.marked),
        ]
        return card("package", f"{facts.uid.name} {facts.uid.version}", shown)

    def _lines(self) -> Iterator[str]:
        facts = self.facts
        yield f"{facts.uid.name} {facts.uid.version}"
        yield f"  file        {self.path} ({size_of(self.size)})"
        yield f"  module      {facts.module_name}"
        yield f"  digest      {self.digest}"
        yield f"  content     sha256:{facts.content}"
        yield f"  source      sha256:{facts.source}"
        yield f"  python      {facts.requires_python}, made with {facts.built_with}"
        if not facts.tag.is_pure:
            yield f"  compiled    for {facts.tag}{f' with {facts.libc}' if facts.libc else ''}"
        yield from self._signature_lines()
        yield f"  {'trusted' if self.trusted else 'NOT TRUSTED'}{'     ' if self.trusted else ' '}{self.verdict}"
        yield ""
        yield "dependencies"
        declared = facts.requirements()
        yield from (f"  {one}" for one in declared or ["none"])
        if self.locks:
            yield f"  (locked for {', '.join(self.locks)})"
        if self.missing:
            yield f"  (not installed here: {', '.join(self.missing)}; what a resource names of these is marked below)"
        yield ""
        yield "resources"
        for resource in self.resources:
            count = len(resource.buffers)
            buffers = f", and {count} buffer{'s' * (count > 1)} of {size_of(sum(resource.buffers))}" if count else ""
            yield f"  {resource.key} ({size_of(resource.size)}{buffers})"
            for reference in resource.references:
                yield f"    {'!' if reference.is_marked else ' '} {_printable(str(reference))}{_WORDS[reference.home]}"
            if resource.problem:
                yield f"    ! {resource.problem}"
        yield ""
        yield f"files: {len(self.files)}"
        width = max((len(f"{file.size:,}") for file in self.files.values()), default=0)
        for path, file in self.files.items():
            yield f"  {file.size:>{width},}  {file.sha256[:12]}  {path}{' *' if file.executable else ''}"
        if self.marked:
            yield ""
            yield f"! {len(self.marked)} marked: outside of the package and what it declares. Loading a package runs it; look first."

    def _signature_lines(self) -> Iterator[str]:
        if self.signature is None:
            yield "  signed      by nobody"
            return
        manifest, signer = self.signature.manifest, self.signature.signer
        named = f"{signer.comment} ({signer.key_id})" if signer.comment else signer.key_id
        yield (
            f"  signed      by {_printable(named)}"
            if self.signature.fits
            else (f"  signed      NOT by {_printable(named)}, though it says so")
        )
        yield f"  sequence    {manifest.sequence}, of {moment(manifest.created)}, on {_printable(manifest.platform)}"
        if manifest.expires is not None:
            yield f"  expires     {moment(manifest.expires)}"


_WORDS = {
    "package": "",
    "compiled": "  (compiled: nobody can read what it is)",
    "plain": "  (a plain value)",
    "dependency": "  (declared)",
    "python": "  OF PYTHON ITSELF, no plain value",
    "imported": "  WHICH THE PACKAGE HAS FROM ELSEWHERE",
    "elsewhere": "  IN NO DECLARED DEPENDENCY",
    "unreadable": "  MADE UP WHILE IT IS LOADED",
}


def inspect_package(file: str | PathLike[str], *, policy: Policy | None = None) -> PackageReport:
    """Look into a package file, and run, import and unpickle nothing of it. Every byte is proved to be as it was made.

    `policy` is asked whether it trusts the package; the machine's by default. A package that it does not trust is looked
    into all the same. Raises `PackageRejected` when the file is no package, or not the one that was made.
    """
    path = Path(file).absolute()
    with WheelReader(path) as wheel:
        claim = claim_of_wheel(wheel, wheel.check_seal())
        contents = {}
        for member in wheel.members:
            digest = hashlib.sha256()
            kept = io.BytesIO() if _is_pickle(member, wheel.facts) else None
            for chunk in wheel.chunks(member):
                digest.update(chunk)
                if kept is not None:
                    kept.write(chunk)
            if not member.endswith(f".dist-info/{RECORD_FILE}"):
                wheel.check_hash(member, digest.hexdigest())
            if kept is not None:
                contents[member] = kept
        homes = _Homes(wheel)
        resources = tuple(_resource(key, contents, wheel, homes) for key in wheel.facts.resources)
        try:
            trusted, verdict = True, (policy or Policy.of_machine()).check(claim, is_new=False)
        except (PackageRejected, TrustProblem) as error:
            trusted, verdict = False, str(error).removeprefix(f"{path} is not trusted: ")
        return PackageReport(
            path=path,
            size=os.path.getsize(path),
            facts=wheel.facts,
            digest=claim.digest,
            files=dict(claim.files),
            resources=resources,
            signature=_signature(claim.envelope),
            trusted=trusted,
            verdict=verdict,
            missing=tuple(homes.dependencies.missing),
        )


def _is_pickle(member: str, facts: PackageFacts) -> bool:
    folder, _, key = member.rpartition("/")
    return folder == f"{facts.module_name}/resources" and key in facts.resources


def _resource(key: str, contents: Mapping[str, io.BytesIO], wheel: WheelReader, homes: _Homes) -> ResourceReport:
    member = f"{wheel.facts.module_name}/resources/{key}"
    if member not in contents:
        raise wheel.rejected(f"has no {member}, though it names the resource", member=member)
    buffers = tuple(entry.size for path, entry in wheel.members.items() if path.startswith(f"{member}.buffers/"))
    pickle = contents[member]
    pickle.seek(0)
    problem = None
    references: tuple[Reference, ...] = ()
    try:
        references = tuple(homes.reference(module, name) for module, name in references_in(pickle))
    except ValueError as error:
        problem = f"its pickle cannot be read through: {error}"
    return ResourceReport(key, wheel.members[member].size, buffers, references, problem)


class _Homes:
    """Where what a pickle names is from."""

    def __init__(self, wheel: WheelReader) -> None:
        self._wheel = wheel
        self._roots = Roots.of(wheel.facts.roots, f"{wheel.facts.module_name}.")
        self._compiled = frozenset(map(compiled_module, wheel.members))
        self._imported: dict[str, frozenset[str] | None] = {}
        self.dependencies = DependencyFiles(wheel.facts.requirements())
        self.dependencies.have("")  # looks for all of them once, so that the missing ones are known

    def reference(self, module: str, name: str) -> Reference:
        return Reference(module, name, self._home(module, name))

    def _home(self, module: str, name: str) -> str:
        if module == UNKNOWN or not f"{module}{name}".isprintable():
            return "unreadable"
        if self._roots.inside(module) is not None:
            return self._home_in_tree(module, name.partition(".")[0])
        if name in PLAIN_VALUES.get(module, ()):
            return "plain"
        if module.partition(".")[0] in sys.stdlib_module_names:
            return "python"
        return "dependency" if self.dependencies.have(module) else "elsewhere"

    def _home_in_tree(self, module: str, name: str) -> str:
        """A module that says `from os import system` has a `system`, and a `sys` by way of others; that is none of its own."""
        if module in self._compiled:
            return "compiled"
        if module not in self._imported:
            self._imported[module] = self._names_imported_in(module)
        imported = self._imported[module]
        return "elsewhere" if imported is None else "imported" if name in imported else "package"

    def _names_imported_in(self, module: str) -> frozenset[str] | None:
        """The names that imports bind in a module of the package; `None` when there is no such module to be read."""
        path = module.replace(".", "/")
        for member in (f"{path}.py", f"{path}/__init__.py"):
            if member in self._wheel.members:
                try:
                    tree = parsed(bytes(self._wheel.data(member)))
                except (SyntaxError, ValueError, RecursionError, MemoryError):
                    return None
                imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
                aliases = [alias for node in imports for alias in node.names]
                return frozenset((alias.asname or alias.name).partition(".")[0] for alias in aliases)
        return None


def _signature(envelope: bytes | None) -> Signature | None:
    if envelope is None:
        return None
    try:
        read = Envelope.parse(envelope)
        manifest = Manifest.parse(read.payload)
        signer = PublicKey.parse(manifest.signer)
    except (ValueError, TrustProblem):
        return None
    return Signature(manifest, signer, read.is_signed_by(signer))


def moment(seconds: int) -> str:
    """A time of a manifest, seconds since 1970, for a person."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def _printable(text: str) -> str:
    """What a file says of itself, without the codes that a terminal would obey."""
    return text if text.isprintable() else ascii(text)

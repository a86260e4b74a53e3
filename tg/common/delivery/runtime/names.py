"""Names: of packages, versions, modules and payload entries, and the rules that keep them apart.

1. A UID is `name__version`, a Python identifier: `example_job` and `0.0.0` give `example_job__0_0_0`.
2. It can be taken apart again, so two different packages never share one: a name has no double underscore, and in
   the version `.` becomes `_`, `+` becomes `__`, and the `!` of an epoch becomes `e`.
3. Both must be written in their one canonical form (PEP 440 for versions). What is not is refused with the nearest
   form that would do, and not changed silently: `my-job` and `my_job` would become one package otherwise.
4. Modules are renamed by whole dotted parts: `tg` and `tg.x`, never `tgbot`.
"""

from __future__ import annotations

import keyword
import re
import sys
from dataclasses import dataclass

from .errors import InvalidName

__all__ = ["UID", "check_payload_key", "lies_in", "rename"]

_NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_MAX_LENGTH = 100
# PEP 440, appendix B, with the separators and spellings it allows.
_VERSION = re.compile(
    r"v?(?:(?P<epoch>[0-9]+)!)?(?P<release>[0-9]+(?:\.[0-9]+)*)"
    r"(?:[-_.]?(?P<pre>alpha|beta|preview|pre|a|b|c|rc)[-_.]?(?P<pre_n>[0-9]*))?"
    r"(?P<post>-(?P<post_n1>[0-9]+)|[-_.]?(?:post|rev|r)[-_.]?(?P<post_n2>[0-9]*))?"
    r"(?P<dev>[-_.]?dev[-_.]?(?P<dev_n>[0-9]*))?"
    r"(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?",
    re.ASCII,
)
_PRE = {"alpha": "a", "beta": "b", "preview": "rc", "pre": "rc", "c": "rc"}
_ENCODED = re.compile(r"(?:(?P<epoch>[0-9]+)e)?(?P<public>[0-9][a-z0-9_]*?)(?:__(?P<local>[a-z0-9_]+))?")
_KEY = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_-])?", re.ASCII)


@dataclass(frozen=True)
class UID:
    """The module name of a package. `str()` gives it; `UID.parse` reads it back, unless it is `human_readable`.

    Raises `InvalidName` for a name or version that is not in its canonical form.
    """

    name: str
    version: str
    human_readable: bool = False

    def __post_init__(self) -> None:
        _check_name(self.name, alone=self.human_readable)
        _check_version(self.version)

    def __str__(self) -> str:
        if self.human_readable:
            return self.name
        epoch, _, rest = self.version.rpartition("!")
        public, _, local = rest.partition("+")
        text = (epoch + "e" if epoch else "") + public.replace(".", "_")
        return f"{self.name}__{text}" + ("__" + local.replace(".", "_") if local else "")

    @classmethod
    def parse(cls, module_name: str) -> UID:
        """Take a module name `name__version` apart. Raises `InvalidName` when it is none."""
        name, _, encoded = module_name.partition("__")
        match = _ENCODED.fullmatch(encoded)
        if match is None:
            raise InvalidName(f"{module_name!r} is not a UID, which is name__version.", given=module_name)
        version = match["public"].replace("_", ".")
        if match["epoch"]:
            version = f"{match['epoch']}!{version}"
        if match["local"]:
            version = f"{version}+{match['local'].replace('_', '.')}"
        return cls(name, version)


def rename(module: str, from_module: str, to_module: str) -> str:
    """`tg.x` under `from_module='tg'`, `to_module='UID.tg'` is `UID.tg.x`; `tgbot` stays `tgbot`."""
    return to_module + module[len(from_module) :] if lies_in(module, from_module) else module


def lies_in(module: str, root: str) -> bool:
    """Whether a dotted module name is `root` itself or something below it."""
    return module == root or module.startswith(root + ".")


def check_payload_key(key: object) -> None:
    """Raise `InvalidName` unless `key` can be the name of a file in `resources/`, on any system."""
    if not isinstance(key, str) or not _KEY.fullmatch(key) or len(key) > _MAX_LENGTH:
        raise InvalidName(
            f"payload key {key!r} cannot be a file name. Use letters, digits, '_', '-' and '.', at most "
            f"{_MAX_LENGTH} of them, not starting or ending with a dot, for example {_nearest_key(key)!r}.",
            given=key,
            nearest=_nearest_key(key),
        )
    if key.endswith(".buffers"):
        nearest = key[: -len(".buffers")] + "_buffers"
        raise InvalidName(
            f"payload key {key!r} ends with '.buffers', which names the folder of big buffers. Use {nearest!r}.",
            given=key,
            nearest=nearest,
        )


def _check_name(name: object, *, alone: bool) -> None:
    """`alone`: the name is the module name by itself, so it must be no keyword and hide no module of Python."""
    text = name if isinstance(name, str) else ""
    if not _NAME.fullmatch(text) or len(text) > _MAX_LENGTH:
        nearest = _nearest_name(text)
        raise InvalidName(
            f"package name {name!r} cannot be used: it is also the module's and the wheel's name, so it takes lower "
            f"case letters and digits, joined by single underscores, a letter first, at most {_MAX_LENGTH} in all. "
            f"The nearest valid name is {nearest!r}.",
            given=name,
            nearest=nearest,
        )
    if keyword.iskeyword(text) or keyword.issoftkeyword(text):
        nearest = text + "_job"
        raise InvalidName(
            f"package name {name!r} is a keyword of Python. The nearest valid name is {nearest!r}.",
            given=name,
            nearest=nearest,
        )
    if alone and (text in sys.stdlib_module_names or text == "tg"):
        nearest = text + "_job"
        raise InvalidName(
            f"package name {name!r} would hide the module {name!r}, since human_readable_module_name is set. "
            f"The nearest valid name is {nearest!r}.",
            given=name,
            nearest=nearest,
        )


def _check_version(version: object) -> None:
    if not isinstance(version, str):
        raise InvalidName(
            f"version is of {type(version)}. Give it as text, such as '1.0.0', or leave it out.",
            given=version,
            nearest="0.0.0",
        )
    text = version
    canonical = _canonical_version(text)
    if canonical is None:
        nearest = _nearest_version(text)
        raise InvalidName(
            f"version {version!r} is not a version of Python packages (PEP 440). The nearest valid version is "
            f"{nearest!r}; leave it out to have it made from the content.",
            given=version,
            nearest=nearest,
        )
    if canonical != text:
        raise InvalidName(
            f"version {version!r} is written {canonical!r} in its canonical form (PEP 440). Use that: two spellings of "
            f"one version would be two packages.",
            given=version,
            nearest=canonical,
        )
    if len(text) > _MAX_LENGTH:
        raise InvalidName(
            f"version {version!r} is longer than {_MAX_LENGTH} characters. Use a shorter one, or leave it out.",
            given=version,
        )


def _canonical_version(text: str) -> str | None:
    match = _VERSION.fullmatch(text.strip().lower())
    if match is None:
        return None
    result = ".".join(str(int(part)) for part in match["release"].split("."))
    if match["epoch"] and int(match["epoch"]):
        result = f"{int(match['epoch'])}!{result}"
    if match["pre"]:
        result += f"{_PRE.get(match['pre'], match['pre'])}{int(match['pre_n'] or 0)}"
    if match["post"]:
        result += f".post{int(match['post_n1'] or match['post_n2'] or 0)}"
    if match["dev"]:
        result += f".dev{int(match['dev_n'] or 0)}"
    if match["local"]:
        parts = re.split(r"[-_.]", match["local"])
        result += "+" + ".".join(str(int(part)) if part.isdigit() else part for part in parts)
    return result


def _folded(text: str) -> str:
    """Letters without their accents, lower case, everything that is not a letter or digit as one underscore."""
    import unicodedata

    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)  # MyJob -> My_Job
    plain = unicodedata.normalize("NFKD", spaced).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")


def _nearest_name(text: str) -> str:
    folded = _folded(text)[:_MAX_LENGTH].strip("_")
    if not folded:
        return "job"
    if folded[0].isdigit():
        folded = f"job_{folded}"[:_MAX_LENGTH].strip("_")
    return folded + "_job" if keyword.iskeyword(folded) or keyword.issoftkeyword(folded) else folded


def _nearest_version(text: str) -> str:
    numbers = re.findall(r"[0-9]+", text, re.ASCII)
    if not numbers:
        return "0.0.0"
    return ".".join(str(int(number)) for number in numbers[:4])


def _nearest_key(key: object) -> str:
    return _folded(key)[:_MAX_LENGTH] or "resource" if isinstance(key, str) else "resource"

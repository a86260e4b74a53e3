"""What in the source tree does not travel: what machines leave there, and what a `.deliveryignore` names.

A `.deliveryignore` may lie in any folder of the tree and holds for that folder and all below it. It is written like
a `.gitignore`: one pattern a line, `#` comments, `!` takes back, a final `/` means folders only, a `/` elsewhere ties
the pattern to the file's own folder, `*` and `?` stay within one name, `**` crosses folders, the last match decides.
The file itself travels, so that a delivered package delivers the same files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import translate

__all__ = ["FILE_NAME", "IgnoreRules", "is_dropping"]

FILE_NAME = ".deliveryignore"

_FOLDERS = frozenset(
    "__pycache__ .git .hg .svn .bzr .idea .vscode .vs .ipynb_checkpoints .mypy_cache .ruff_cache .pytest_cache "
    ".hypothesis .tox .nox .venv .eggs __MACOSX".split()
)
_FILES = re.compile(
    "|".join(
        translate(pattern)
        for pattern in (
            "*.py[co]", "*~", ".*.sw[a-p]", ".#*", "#*#", "*.kate-swp", ".~lock.*#", ".DS_Store", "._*", "Thumbs.db",
            "desktop.ini", ".nfs*", ".git", ".coverage",
        )
    )
)  # fmt: skip


_SPECIAL = re.compile(r"[*?\[\\]")
# A character between `[` and `]`: a class, or one that another may follow after `-`. A `]` is one where it is the first.
_MEMBER = re.compile(r"\[:([^\]]*):\]|(\\.|[^\\])(?:-(\\.|[^\\\]]))?", re.DOTALL)
_CLASSES = {
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "alnum": "a-zA-Z0-9",
    "lower": "a-z",
    "upper": "A-Z",
    "xdigit": "0-9a-fA-F",
    "blank": r" \t",
    "space": r"\s",
    "punct": r"!-/:-@\[-`{-~",
    "graph": "!-~",
    "print": " -~",
    "cntrl": r"\x00-\x1f\x7f",
}


def is_dropping(name: str, *, is_folder: bool) -> bool:
    """Whether a file or folder of that name is left by editors, version control, Python or the system."""
    return name in _FOLDERS if is_folder else _FILES.match(name) is not None


@dataclass(frozen=True)
class _Rule:
    pattern: re.Pattern[str]
    folders_only: bool
    takes_back: bool


@dataclass(frozen=True)
class IgnoreRules:
    """The rules that hold in one folder: those of the folders above it, then its own."""

    rules: tuple[_Rule, ...] = ()

    def with_file(self, text: str, folder: str) -> IgnoreRules:
        """These rules and those of a `.deliveryignore` in `folder`, a path below the tree's root with `/`."""
        return IgnoreRules((*self.rules, *(rule for line in text.splitlines() if (rule := _rule(line, folder)))))

    def ignores(self, path: str, *, is_folder: bool) -> bool:
        """Whether a path below the tree's root is left out; what lies in an ignored folder need not be asked for."""
        for rule in reversed(self.rules):
            if (is_folder or not rule.folders_only) and rule.pattern.fullmatch(path):
                return not rule.takes_back
        return False


def _rule(line: str, folder: str) -> _Rule | None:
    line = re.sub(r"(?<!\\) +$", "", line.rstrip("\r\n"))
    if not line or line.startswith("#"):
        return None
    takes_back = line.startswith("!")
    line = line[1:] if takes_back else line
    folders_only = line.endswith("/")
    line = line[:-1] if folders_only else line
    tied = "/" in line
    base = re.escape(folder + "/") if folder else ""
    pattern = base + ("" if tied else "(?:.*/)?") + _translated(line.removeprefix("/"), tied=tied)
    return _Rule(re.compile(pattern, re.DOTALL), folders_only, takes_back)


def _translated(pattern: str, *, tied: bool) -> str:
    """A pattern as a regular expression. `**/`, `/**/` and `/**` cross folders, everything else stays in one."""
    pattern = re.sub(r"\*{3,}", "**", pattern)  # to git, any more stars are two
    result = ""
    position = 0
    while position < len(pattern):
        rest = pattern[position:]
        # Git compares what is before the first special character by itself, and the rest as a pattern of its own; so a
        # `**` that is the first is at its start (`d**/a` has `d/e/a`). A pattern of one name it treats otherwise.
        starts = tied and (not _SPECIAL.search(pattern, 0, position) or pattern[position - 1] == "/")
        if starts and rest.startswith("**/"):
            result, position = result + "(?:.*/)?", position + 3
        elif starts and (rest == "**" or rest.startswith("**\\/")):
            result, position = result + ".*", position + 2
        elif rest[0] == "*":
            result, position = result + "[^/]*", position + 1
        elif rest[0] == "?":
            result, position = result + "[^/]", position + 1
        elif rest[0] == "[":
            characters, length = _bracket(rest)
            result, position = result + characters, position + length
        elif rest[0] == "\\" and len(rest) > 1:
            result, position = result + re.escape(rest[1]), position + 2
        else:
            result, position = result + re.escape(rest[0]), position + 1
    return result


def _bracket(text: str) -> tuple[str, int]:
    """The characters that a `[` at the start of `text` stands for, and how long that is up to its `]`.

    With git, one that is not closed or names no class matches nothing; a range to an earlier one is its first.
    """
    is_negated = text[1:2] in ("!", "^")
    start = position = 2 if is_negated else 1
    members = ""
    while position == start or text[position : position + 1] != "]":
        found = _MEMBER.match(text, position)
        if found is None or found[1] not in (None, *_CLASSES):
            return "(?!)", len(text)
        position = found.end()
        first, last = ((found[group] or "")[-1:] for group in (2, 3))
        if found[1] is not None:
            members += _CLASSES[found[1]]
        else:
            members += re.escape(first) + (f"-{re.escape(last)}" if last and first <= last else "")
    if is_negated:
        return f"[^/{members}]", position + 1
    return f"(?!/)[{members}]", position + 1

"""The page of a package: one HTML file that shows what is in it, and what differs from another. It loads nothing and runs nothing.

A package may be anybody's, so nothing of it is believed to be harmless to show: every text is escaped (`markup.py`), data for the
drawings is JSON in which no `<` stands, and the page's own policy (CSP) lets scripts of ours run, known by their digests, and
nothing else. What the scripts draw, they write as text.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Any

from ..delivery.inspecting import PackageReport, Reference, ResourceReport, moment
from ..delivery.shared_library import compiled_module
from ..delivery.source_difference import DifferentLine, FileDifference
from ..runtime.errors import DeliveryError
from ..runtime.sizes import size_of
from ..runtime.whole_files import write_whole
from ..trust.policy import Policy
from .comparison import Comparison, FactDifference, ResourceDifference, inspected
from .highlighting import Span, changed_spans, python_spans, spanned
from .import_graph import ImportGraph
from .markup import Markup, in_lines, tag, visible

__all__ = ["page_of", "write_page"]

_SCRIPTS = ("vendor/d3-hierarchy.min.js", "vendor/dagre.min.js", "treemap.js", "graph.js", "page.js")
_LICENCES = ("d3-hierarchy", "dagre")
_SOURCE_MAP = re.compile("^//# sourceMappingURL=.*$", re.MULTILINE)
_OPEN_LINES = 400
_OPEN_LINES_IN_ALL = 2_000
_MOST_LINES = 10_000
"""Lines of a difference: so many are drawn, and of a file so many without being asked for."""

_MOST_REFERENCES = 300
_MINUS = "\N{MINUS SIGN}"
_KINDS = (
    "module that the payload needs",
    "other module",
    "compiled code",
    "other file",
    "pickle",
    "buffer",
    "about the package",
)
_HOMES = {
    "package": "of the package",
    "compiled": "compiled: nobody can read what it is",
    "plain": "a plain value",
    "dependency": "declared",
    "python": "of Python itself, no plain value",
    "imported": "which the package has from elsewhere",
    "elsewhere": "in no declared dependency",
    "unreadable": "made up while it is loaded",
}


def write_page(
    file: str | PathLike[str],
    page: str | PathLike[str] | None = None,
    *,
    against: str | PathLike[str] | None = None,
    policy: Policy | None = None,
) -> Path:
    """Write the page of a package file, and return where it is: `page`, or `NAME-VERSION.html` in the current folder.

    `against` is another package file, the version before. Raises what `inspect_package` raises.
    """
    name = Path(file).name.removesuffix(".whl").rsplit("-", 3)[0]
    to = Path(page if page is not None else f"{name}.html").absolute()
    text = page_of(file, against=against, policy=policy).encode()
    to.parent.mkdir(parents=True, exist_ok=True)
    write_whole(to, lambda opened: opened.write(text))
    return to


def page_of(
    file: str | PathLike[str], *, against: str | PathLike[str] | None = None, policy: Policy | None = None
) -> str:
    """The page's HTML; see `write_page`."""
    with ExitStack() as stack:
        report, wheel = stack.enter_context(inspected(file, policy))
        graph = ImportGraph.of(report, wheel)
        comparison = None
        if against is not None:
            before, old = stack.enter_context(inspected(against, policy))
            comparison = Comparison.of(before, old, report, wheel)
        return _document(report, graph, comparison)


def _document(report: PackageReport, graph: ImportGraph, comparison: Comparison | None) -> str:
    style, scripts = _asset("page.css"), [_asset(name) for name in _SCRIPTS]
    policy = (
        f"default-src 'none'; style-src {_digest(style)}; script-src {' '.join(map(_digest, scripts))}; "
        f"base-uri 'none'; form-action 'none'"
    )
    title = f"{report.facts.uid.name} {report.facts.uid.version}"
    sections = [
        _contents(report),
        _resources(report),
        _dependencies(report),
        _imports(report, graph),
        *([_difference(comparison)] if comparison else []),
    ]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Markup(style)),
    )
    body = tag(
        "body",
        _header(report, comparison),
        tag("main", *sections),
        tag(
            "footer",
            "Made by reading alone: nothing of the package was run, and this page loads nothing from elsewhere.",
            tag(
                "details",
                tag("summary", "What others have written of it"),
                *(tag("pre", in_lines(f"{name}\n\n{_asset(f'vendor/{name}.LICENSE')}")) for name in _LICENCES),
            ),
        ),
        tag("script", Markup(_json(_data(report, graph))), type="application/json", id="data"),
        *(tag("script", Markup(script)) for script in scripts),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _asset(name: str) -> str:
    try:
        text = files(__package__).joinpath("page", *name.split("/")).read_text("utf-8")
    except OSError as error:
        raise DeliveryError(
            "this delivery was delivered, and pages of packages do not travel. Install training-grounds-delivery to make one."
        ) from error
    return _SOURCE_MAP.sub("", text)  # which a browser would look for beside the page


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json(value: object) -> str:
    """JSON that no `<` ends, and in which every character is one that is seen."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _data(report: PackageReport, graph: ImportGraph) -> dict[str, Any]:
    """What the scripts draw; files are `[path, bytes, kind]`, imports are `[from, to, whether it is optional]`."""
    needed = {f"{report.facts.module_name}/{module.path}" for module in graph.modules.values()}
    numbers = {name: number for number, name in enumerate(graph.modules)}
    outside = sorted({name for module in graph.modules.values() for name in module.outside})
    places = {name: number for number, name in enumerate(outside)}
    return {
        "kinds": _KINDS,
        "files": [[visible(path), one.size, _kind(path, report, needed)] for path, one in report.files.items()],
        "modules": [visible(name) for name in graph.modules],
        "imports": [
            [number, numbers[name], int(optional)]
            for number, module in enumerate(graph.modules.values())
            for name, optional in module.inside.items()
        ],
        "outside": [visible(name) for name in outside],
        "outsideImports": [
            [number, places[name], int(optional)]
            for number, module in enumerate(graph.modules.values())
            for name, optional in module.outside.items()
        ],
        "resources": [
            [visible(key), [numbers[name] for name in dict.fromkeys(names)]] for key, names in graph.resources.items()
        ],
    }


def _kind(path: str, report: PackageReport, needed: set[str]) -> int:
    folder, inside = f"{report.facts.module_name}/", path.partition("/")[2]
    if (
        not path.startswith(folder)
        or inside in ("__init__.py", "__main__.py", "package.json")
        or inside.startswith("locks/")
    ):
        return 6
    if inside.startswith("resources/"):
        return 5 if ".buffers/" in inside else 4
    if path in needed:
        return 0
    if path.endswith(".py"):
        return 1
    return 2 if compiled_module(path) is not None else 3


def _header(report: PackageReport, comparison: Comparison | None) -> Markup:
    facts = report.facts
    said = [
        ("file", f"{report.path.name}, {size_of(report.size)}"),
        ("module", tag("code", facts.module_name)),
        ("digest", tag("code", report.digest)),
        ("content", tag("code", f"sha256:{facts.content}")),
        ("source", tag("code", f"sha256:{facts.source}")),
        ("Python", f"{facts.requires_python}, made with {facts.built_with}"),
        *([] if facts.tag.is_pure else [("compiled for", f"{facts.tag}{f' with {facts.libc}' if facts.libc else ''}")]),
        ("roots", ", ".join(facts.roots)),
        *_signed(report),
    ]
    marked = len(report.marked)
    links = ["Contents", "Resources", "Dependencies", "Imports", *(["Difference"] if comparison else [])]
    return tag(
        "header",
        tag("h1", facts.uid.name, " ", tag("span", facts.uid.version, class_="version")),
        tag(
            "p",
            tag("strong", "trusted" if report.trusted else "not trusted", class_="good" if report.trusted else "bad"),
            " ",
            report.verdict,
            class_="verdict",
        ),
        *(
            [
                tag(
                    "p",
                    tag("strong", f"{marked} marked", class_="bad"),
                    f" {'name is' if marked == 1 else 'names are'} outside of the package and what it declares. Loading a package runs it; "
                    f"look first.",
                    class_="verdict",
                )
            ]
            if marked
            else []
        ),
        tag("dl", *(part for term, text in said for part in (tag("dt", term), tag("dd", text)))),
        tag("nav", *(tag("a", name, href=f"#{name.lower()}") for name in links), aria_label="Parts of this page"),
    )


def _signed(report: PackageReport) -> Iterator[tuple[str, object]]:
    signature = report.signature
    if signature is None:
        yield "signed", "by nobody"
        return
    manifest, signer = signature.manifest, signature.signer
    named = f"{signer.comment} ({signer.key_id})" if signer.comment else signer.key_id
    yield "signed", f"by {named}" if signature.fits else tag("span", f"NOT by {named}, though it says so", class_="bad")
    yield "sequence", f"{manifest.sequence}, of {moment(manifest.created)}, on {manifest.platform}"
    if manifest.expires is not None:
        yield "expires", moment(manifest.expires)


def _section(name: str, summary: str, *children: object) -> Markup:
    name_id = name.lower()
    title = tag("h2", name, " ", tag("small", summary), id=f"{name_id}-title")
    return tag("section", title, *children, id=name_id, aria_labelledby=f"{name_id}-title")


def _contents(report: PackageReport) -> Markup:
    size = sum(one.size for one in report.files.values())
    return _section(
        "Contents",
        f"{_many(len(report.files), 'file')}, {size_of(size)}",
        tag("div", id="map-path", class_="path"),
        tag("div", id="map", role="group", aria_label="Files by size"),
        tag("p", Markup("&#160;"), id="map-told", class_="told", role="status"),
        tag("ul", id="map-list", class_="inside", aria_label="In this folder"),
        tag("ul", id="map-kinds", class_="kinds", aria_label="What the colours mean"),
        tag(
            "details",
            tag("summary", "All files"),
            tag("label", "Path contains ", tag("input", type="search", id="files-filter")),
            tag("div", id="files", class_="wide", tabindex="0", role="region", aria_label="All files"),
            id="files-list",
        ),
        tag("noscript", tag("p", "The drawings need scripts, which this page brings itself.")),
    )


def _resources(report: PackageReport) -> Markup:
    return _section("Resources", _many(len(report.resources), "object"), *(_resource(one) for one in report.resources))


def _resource(resource: ResourceReport) -> Markup:
    count = len(resource.buffers)
    size = size_of(resource.size)
    buffers = f", {_many(count, 'buffer')} of {size_of(sum(resource.buffers))}" if count else ""
    shown = sorted(resource.references, key=lambda one: not one.is_marked)[:_MOST_REFERENCES]
    more = len(resource.references) - len(shown)
    return tag(
        "article",
        tag("h3", tag("code", resource.key), " ", tag("small", f"{size}{buffers}")),
        *([tag("p", resource.problem, class_="problem")] if resource.problem else []),
        tag("ul", *map(_reference, shown), class_="references", aria_label=f"What {resource.key} names"),
        *([tag("p", f"and {more:,} more", class_="muted")] if more else []),
    )


def _reference(reference: Reference) -> Markup:
    return tag(
        "li",
        tag("code", str(reference)),
        " ",
        tag("span", _HOMES[reference.home], class_="bad" if reference.is_marked else "muted"),
    )


def _dependencies(report: PackageReport) -> Markup:
    declared = report.facts.requirements()
    lists = [
        tag(
            "article",
            tag("h3", name),
            tag(
                "ul", *(tag("li", tag("code", one)) for one in texts) if texts else [tag("li", "none", class_="muted")]
            ),
        )
        for name, texts in report.facts.dependencies.items()
    ]
    locked = [f"Locked for {', '.join(report.locks)}."] if report.locks else []
    missing = (
        [f"Not installed here: {', '.join(report.missing)}. What a resource names of these is marked."]
        if report.missing
        else []
    )
    texts = [tag("p", one, class_="muted") for one in (*locked, *missing)]
    return _section("Dependencies", str(len(declared)) if declared else "none", *lists, *texts)


def _imports(report: PackageReport, graph: ImportGraph) -> Markup:
    modules = sum(path.startswith(f"{report.facts.module_name}/") and path.endswith(".py") for path in report.files)
    return _section(
        "Imports",
        f"{len(graph.modules):,} of {_many(modules, 'module')} are needed by the payload",
        tag(
            "p",
            "Read from the source, from the payload on. A group is opened by a click, a module tells what it imports; dashes are imports "
            "that the code goes on without.",
            class_="muted",
        ),
        tag("div", id="graph", class_="wide", tabindex="0", role="region", aria_label="Graph of imports"),
        tag("div", id="graph-told", class_="told", role="status"),
    )


def _difference(comparison: Comparison) -> Markup:
    before, after = comparison.before.facts, comparison.after.facts
    changed = [one for one in comparison.resources if one.state != "same"]
    summary = (
        f"{before.uid.name} {before.uid.version} → {after.uid.name} {after.uid.version}: "
        f"{_many(len(changed), 'resource')}, {_many(len(comparison.source), 'file')} of source"
    )
    return _section(
        "Difference",
        summary,
        _fact_table(comparison.facts),
        tag("h3", "Payload"),
        tag("div", _payload_table(comparison.resources), class_="wide"),
        tag("h3", "Source"),
        *(_files(comparison.source) if comparison.source else [tag("p", "the same", class_="muted")]),
    )


def _fact_table(facts: Iterable[FactDifference]) -> Markup:
    rows = [
        tag(
            "tr",
            tag("th", one.what, scope="row"),
            tag("td", in_lines(one.before), class_="lines"),
            tag("td", in_lines(one.after), class_="lines"),
        )
        for one in facts
    ]
    head = tag("thead", tag("tr", *(tag("th", one, scope="col") for one in ("", "before", "after"))))
    return tag("div", tag("table", head, tag("tbody", *rows), class_="facts"), class_="wide") if rows else Markup("")


def _payload_table(resources: Iterable[ResourceDifference]) -> Markup:
    head = ("resource", "", "pickle", "buffers", "names that are new or gone")
    return tag(
        "table",
        tag("thead", tag("tr", *(tag("th", one, scope="col") for one in head))),
        tag("tbody", *map(_payload_row, resources)),
        class_="payload",
    )


def _payload_row(one: ResourceDifference) -> Markup:
    names = [tag("ins", f"+ {name}") for name in one.new_references] + [
        tag("del", f"{_MINUS} {name}") for name in one.gone_references
    ]
    return tag(
        "tr",
        tag("th", tag("code", one.key), scope="row"),
        tag("td", one.state, class_=f"state {one.state}"),
        tag("td", one.sizes),
        tag("td", one.differing_buffers),
        tag("td", *names[:_MOST_REFERENCES], class_="names"),
    )


def _files(differences: Iterable[FileDifference]) -> Iterator[Markup]:
    left_open, left = _OPEN_LINES_IN_ALL, _MOST_LINES
    for one in differences:
        lines = one.lines()
        counts = {kind: sum(line.kind == kind for line in lines) for kind in ("added", "removed")}
        shown = lines[:left]
        is_open = len(lines) <= _OPEN_LINES and len(lines) <= left_open
        left, left_open = left - len(shown), left_open - len(lines) * is_open
        summary = tag(
            "summary",
            tag("code", one.path),
            " ",
            *([one.state, " "] if one.state != "changed" else []),
            tag("span", f"+{counts['added']}", class_="added"),
            " ",
            tag("span", f"{_MINUS}{counts['removed']}", class_="removed"),
        )
        more = len(lines) - len(shown)
        yield tag(
            "details",
            summary,
            tag(
                "div",
                tag("table", tag("tbody", *_rows(one, shown))),
                class_="wide lines",
                tabindex="0",
                role="region",
                aria_label=f"Changes of {one.path}",
            ),
            *([tag("p", f"and {more:,} more lines", class_="muted")] if more else []),
            class_="file",
            open=is_open and bool(shown),
        )


def _rows(difference: FileDifference, lines: list[DifferentLine]) -> Iterator[Markup]:
    is_python = difference.path.endswith((".py", ".pyi"))
    spans = [python_spans(data) if is_python and data else {} for data in (difference.before, difference.after)]
    changed = _changed(lines)
    for number, line in enumerate(lines):
        syntax: list[Span] = []
        if line.after is not None:
            syntax = spans[1].get(line.after, [])
        elif line.before is not None:
            syntax = spans[0].get(line.before, [])
        sign = {"added": "+", "removed": _MINUS}.get(line.kind, "")
        yield tag(
            "tr",
            tag("td", line.before or "", class_="place"),
            tag("td", line.after or "", class_="place"),
            tag("td", sign, class_="sign"),
            tag("td", spanned(line.text, syntax, changed.get(number, [])), class_="text"),
            class_=line.kind,
        )


def _changed(lines: list[DifferentLine]) -> dict[int, list[Span]]:
    """What is different within lines, where as many were removed as added at a place."""
    found: dict[int, list[Span]] = {}
    at = 0
    while at < len(lines):
        removed = _run(lines, at, "removed")
        added = _run(lines, at + removed, "added")
        if removed and removed == added:
            for one in range(at, at + removed):
                found[one], found[one + removed] = changed_spans(lines[one].text, lines[one + removed].text)
        at += removed + added or 1
    return found


def _run(lines: list[DifferentLine], at: int, kind: str) -> int:
    end = at
    while end < len(lines) and lines[end].kind == kind:
        end += 1
    return end - at


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"

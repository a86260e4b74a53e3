"""The page of a package, in a real browser: what it shows of a package and its difference, and that a hostile one does nothing."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsers import OVERFLOW, listen, with_one_python, wrong_for_listeners
from playwright.sync_api import Browser, Locator, Page, expect
from projects import Project

from tg.common.cli.command import main
from tg.common.delivery.delivery.signing import sign_package
from tg.common.delivery.inspection.page import write_page
from tg.common.delivery.trust import SigningKey

pytestmark = with_one_python

JOB = """
from dataclasses import dataclass

import numpy

from .helpers import doubled


@dataclass
class Job:
    weights: numpy.ndarray
    others: numpy.ndarray

    def run(self):
        return doubled(len(self.weights), {factor})
"""
HELPERS = '''
"""What the job needs."""


def doubled(value, factor):
    return value * factor
'''
HOSTILE = "</script><img src=x onerror=hacked=1><script>hacked=1</script>"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two versions: another factor in the source, other weights, a resource and a module more, one module less."""
    project = Project(tmp_path_factory.mktemp("inspected"))
    project.checked = False
    project.write("tg/my/__init__.py", "")
    project.write("tg/my/helpers.py", HELPERS)
    project.write("tg/my/gone.py", "GONE = 1\n")
    project.write("tg/my/job.py", JOB.format(factor=2))
    needs = "import numpy; packaging.dependencies = (DependencyList('mine', [{!r}]),)"
    job = "tg.my.job:Job(numpy.zeros(50_000) + {}, numpy.ones(50_000))"
    before = project.deliver(job=job.format(1), settings=needs.format("numpy>=1"))
    (project.folder / "tg/my/gone.py").unlink()
    project.write("tg/my/new.py", "NEW = 1\n")
    project.write("tg/my/job.py", JOB.format(factor=3))
    settings = needs.format("numpy>=2") + "\npackaging.payload = {**packaging.payload, 'limit': {'most': 3}}"
    after = project.deliver(version="1.1.0", job=job.format(2), settings=settings)
    sign_package(after, SigningKey.new(project.elsewhere / "key", comment="somebody"))
    return before, after


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A tab in which nothing may be wrong, and that may ask for nothing but the file."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        opened = context.new_page()
        wrong = listen(opened)
        asked: list[str] = []
        opened.on("request", lambda request: asked.append(request.url))
        opened.on("dialog", lambda dialog: wrong.append(dialog.message))
        yield opened
        assert wrong == []
        assert [url for url in asked if not url.startswith("file:")] == []
        assert len(asked) == len(set(asked))


def part(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=re.compile(f"^{name}"))


def test_a_package_is_shown(page: Page, packages: tuple[Path, Path], tmp_path: Path) -> None:
    page.goto(write_page(packages[1], tmp_path / "page.html").as_uri())

    expect(page.get_by_role("heading", level=1)).to_have_text("my_job 1.1.0")
    expect(page.locator("header")).to_contain_text(re.compile(r"signedby somebody \(SHA256:"))
    job = part(page, "Resources").get_by_role("list", name="What job names")
    expect(job.get_by_role("listitem").filter(has_text="my_job__1_1_0.tg.my.job.Job")).to_contain_text("of the package")
    expect(part(page, "Resources")).to_contain_text("2 buffers of 781.2 KiB")
    expect(part(page, "Dependencies")).to_contain_text("numpy>=2")
    assert page.get_by_role("link", name="Difference").count() == 0


def test_its_files_are_shown_by_size_and_a_folder_can_be_gone_into(
    page: Page, packages: tuple[Path, Path], tmp_path: Path
) -> None:
    page.goto(write_page(packages[1], tmp_path / "page.html").as_uri())
    contents = part(page, "Contents")

    buffer = contents.locator(".cell", has_text="000000").bounding_box()
    source = contents.get_by_role("button", name="my_job__1_1_0/tg/common/delivery/delivery,").bounding_box()
    assert buffer is not None
    assert source is not None
    assert buffer["width"] * buffer["height"] > 0.5 * source["width"] * source["height"]

    for name in ("my_job__1_1_0", "tg", "my"):  # too small to be seen beside delivery itself
        contents.get_by_role("list", name="In this folder").get_by_role("button", name=name, exact=True).press("Enter")
    expect(contents.locator(".cell")).to_have_text(
        [re.compile("job.py"), re.compile("helpers.py"), re.compile("new.py"), "__init__.py"]
    )
    contents.get_by_role("button", name="all", exact=True).click()
    contents.get_by_text("All files").click()
    contents.get_by_label("Path contains").fill("tg/my/")
    expect(contents.get_by_role("row").filter(has_text="tg/my/helpers.py")).to_contain_text(
        "module that the payload needs"
    )
    expect(contents.get_by_role("row").filter(has_text="tg/my/new.py")).to_contain_text("other module")


def test_what_the_payload_imports_is_a_graph(page: Page, packages: tuple[Path, Path], tmp_path: Path) -> None:
    page.goto(write_page(packages[1], tmp_path / "page.html").as_uri())
    imports = part(page, "Imports")

    names = imports.get_by_role("button").evaluate_all("nodes => nodes.map((one) => one.getAttribute('aria-label'))")
    assert sorted(names) == ["job", "numpy", "tg.my.helpers", "tg.my.job"]
    imports.get_by_role("button", name="tg.my.job", exact=True).focus()
    expect(imports.get_by_role("status")).to_contain_text(re.compile("imports numpy, tg.my.helpers.*imported by job"))

    imports.get_by_role("button", name="Close tg.my", exact=True).click()
    imports.get_by_role("button", name="Open tg.my, 3 modules").press("Enter")
    expect(imports.get_by_role("button", name="tg.my.helpers", exact=True)).to_be_visible()


def test_the_difference_to_another_version_is_shown(page: Page, packages: tuple[Path, Path], tmp_path: Path) -> None:
    page.goto(write_page(packages[1], tmp_path / "page.html", against=packages[0]).as_uri())
    difference = part(page, "Difference")

    rows = difference.get_by_role("row")
    expect(rows.filter(has=page.get_by_role("rowheader", name="version"))).to_have_text("version1.0.01.1.0")
    expect(rows.filter(has=page.get_by_role("rowheader", name="dependencies"))).to_have_text(
        "dependenciesnumpy>=1numpy>=2"
    )
    expect(rows.filter(has=page.get_by_role("rowheader", name="job"))).to_contain_text(
        re.compile("changed.*bytes, the same.*1 of 2 differ: 0")
    )
    expect(rows.filter(has=page.get_by_role("rowheader", name="limit"))).to_contain_text("added")
    expect(difference.locator("summary")).to_have_text(
        [
            re.compile(rf"^{one}$")
            for one in (r"tg/my/gone.py removed \+0 .1", r"tg/my/job.py \+1 .1", r"tg/my/new.py added \+1 .0")
        ]
    )
    lines = difference.get_by_role("region", name="Changes of tg/my/job.py").get_by_role("row")
    removed, added = (lines.filter(has_text=f"{factor})") for factor in (2, 3))
    expect(removed).to_have_class("removed")
    expect(added.locator(".changed")).to_have_text("3")
    expect(added.locator(".keyword")).to_have_text("return")
    red, green = (one.evaluate("row => getComputedStyle(row).backgroundColor") for one in (removed, added))
    assert red != green


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 900)])
def test_it_fits_every_screen_and_can_be_listened_to(
    browser: Browser, packages: tuple[Path, Path], tmp_path: Path, scheme: str, width: int, height: int
) -> None:
    file = write_page(packages[1], tmp_path / "page.html", against=packages[0])
    with browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme) as context:  # type: ignore[arg-type]
        page = context.new_page()
        wrong = listen(page)
        page.goto(file.as_uri())
        page.get_by_text("All files").click()
        assert page.evaluate(OVERFLOW) <= 0
        assert wrong_for_listeners(page) == []
        ground = page.evaluate("() => getComputedStyle(document.documentElement).backgroundColor")
        assert (max(map(int, re.findall(r"\d+", ground))) < 60) == (scheme == "dark")
        page.screenshot(path=tmp_path / "page.png", full_page=True)
        assert wrong == []


def test_a_hostile_package_is_text(page: Page, project: Project, tmp_path: Path) -> None:
    project.checked = False
    project.write("tg/my/job.py", f"# {HOSTILE} \u202egnp.exe\n\x0cclass Job:\n    def run(self):\n        return 1\n")
    project.write(f"tg/my/{HOSTILE.replace('/', '')}.txt", HOSTILE)
    before = project.deliver()
    project.write("tg/my/job.py", f"class Job:\n    '''{HOSTILE}'''\n    def run(self):\n        return 1\n")
    after = project.deliver(version="1.1.0")
    sign_package(after, SigningKey.new(tmp_path / "key", comment=HOSTILE))

    page.goto(write_page(after, tmp_path / "page.html", against=before).as_uri())

    assert page.evaluate("() => typeof hacked") == "undefined"
    assert page.locator("img").count() == 0
    expect(page.locator("header")).to_contain_text(f"by {HOSTILE} (SHA256:")
    expect(page.get_by_role("region", name="Changes of tg/my/job.py")).to_contain_text(f"# {HOSTILE} \\u202egnp.exe")
    page.get_by_text("All files").click()
    page.get_by_label("Path contains").fill("onerror")
    expect(page.get_by_role("region", name="All files").get_by_role("row")).to_have_count(2)
    policy = page.locator("meta[http-equiv]").get_attribute("content") or ""
    assert re.fullmatch(
        r"default-src 'none'; style-src 'sha256-\S+'; script-src( 'sha256-\S+')+; base-uri 'none'; form-action 'none'",
        policy,
    )


def test_the_page_of_a_big_package_stays_light(page: Page, project: Project, tmp_path: Path) -> None:
    project.checked = False
    for number in range(2500):
        folder = f"tg/my/part_{number // 250}"
        project.write(f"{folder}/__init__.py", "")
        others = range(number + 1, min(number + 4, 2500))
        lines = [f"    from ..part_{other // 250} import module_{other}" for other in others]
        project.write(f"{folder}/module_{number}.py", "\n".join(["def load():", *lines, "    return 1", ""]))
    job = "from .part_0.module_0 import load\n\n\nclass Job:\n    def run(self):\n        return load()\n"
    project.write("tg/my/job.py", job)
    file = write_page(project.deliver(), tmp_path / "page.html")

    page.goto(file.as_uri())

    assert file.stat().st_size < 1_000_000
    expect(part(page, "Imports")).to_contain_text("2,513 of")
    nodes = part(page, "Imports").get_by_role("button")
    assert 10 <= nodes.count() <= 40
    assert page.locator("*").count() < 4000
    nodes.filter(has_text="part_3").press("Enter")  # 250 at once
    expect(nodes.filter(has_text="module_999")).to_be_visible()


def test_the_page_does_not_travel(packages: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(packages[0]) as package:
        inspection = [name for name in package.namelist() if "/inspection/" in name]
    assert [name for name in inspection if name.endswith("/inspection/page.py")]
    assert [name for name in inspection if "/page/" in name] == []


def test_the_command_writes_it(
    packages: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["inspect", str(packages[1]), "--html"]) == 0
    assert Path(capsys.readouterr().out.strip()) == tmp_path / "my_job-1.1.0.html"
    assert main(["inspect", str(packages[1]), "--html", "other.html", "--against", str(packages[0])]) == 0
    assert "Difference" in (tmp_path / "other.html").read_text("utf-8")

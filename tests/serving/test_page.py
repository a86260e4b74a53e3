"""The page of a server, in a real browser: what it shows, and that its buttons do what they say."""

from __future__ import annotations

import re
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from browsers import OVERFLOW, listen, with_one_python, wrong_for_listeners
from playwright.sync_api import Browser, Locator, Page, expect
from serving.page_server import PageServer, page_server
from waiting import until

pytestmark = with_one_python


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    with page_server(tmp_path_factory.mktemp("page")) as started:
        yield started


@pytest.fixture
def page(browser: Browser, server: PageServer) -> Iterator[Page]:
    """A tab with the page, in which the token is given; nothing may be wrong on its console at the end."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        opened = context.new_page()
        wrong = listen(opened)
        opened.goto(server.address)
        give_token(opened, server.token)
        yield opened
        assert wrong == []


def give_token(page: Page, token: str) -> None:
    page.get_by_label("Token", exact=True).fill(token)
    page.get_by_role("button", name="Show the server").click()


def show(page: Page, server: PageServer, name: str) -> None:
    page.goto(f"{server.address}/#/{name}")
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()


def row(page: Page, version: str) -> Locator:
    """The row of a version in the table of versions."""
    rows = page.get_by_role("table", name="Versions of").get_by_role("row")
    return rows.filter(has=page.get_by_role("rowheader", name=version))


def deploy(page: Page, file: Path, mode: str = "all requests") -> Locator:
    """Deploy a file by the page; its dialog is returned."""
    page.get_by_role("button", name="Deploy…").click()
    dialog = page.get_by_role("dialog", name="Deploy a package")
    dialog.get_by_label(re.compile("Drop a wheel here")).set_input_files(file)
    dialog.get_by_role("radio", name=mode).check()
    dialog.get_by_role("button", name="Deploy").click()
    return dialog


def test_a_token_is_asked_for_once_and_kept_in_the_tab(browser: Browser, server: PageServer) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        wrong = listen(page)
        page.goto(server.address)
        give_token(page, "wrong")
        expect(page.get_by_role("alert")).to_have_text("That token is not accepted here.")

        give_token(page, server.token)
        expect(page.get_by_role("heading", name="Deployments")).to_be_visible()
        page.reload()
        expect(page.get_by_role("heading", name="Deployments")).to_be_visible()

        page.get_by_role("button", name="Forget token").click()
        page.reload()
        expect(page.get_by_label("Token", exact=True)).to_be_visible()
        assert wrong == []


def test_a_package_is_deployed_by_the_page(page: Page, server: PageServer) -> None:
    file = server.package("by_page", "1.0.0", 2)

    dialog = deploy(page, file)

    expect(dialog.get_by_role("status")).to_contain_text("by_page 1.0.0 is ready")
    dialog.get_by_role("button", name="Close").click()
    show(page, server, "by_page")
    version = server.manage("GET", "/status").json()["names"]["by_page"]["versions"][0]
    memory = r"[1-9][\d.]* MiB" if sys.platform == "linux" else "\N{EN DASH}"
    expect(row(page, "1.0.0")).to_contain_text(
        re.compile(rf"live.*ready.*100 %.*{version['source'][:8]}.*ago by owner.*{memory}")
    )
    assert server.ask("by_page", 21) == 42


def test_a_file_that_is_dropped_on_the_page_is_offered_to_be_deployed(page: Page, server: PageServer) -> None:
    expect(page.get_by_role("heading", name="Deployments")).to_be_visible()
    page.evaluate("""() => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File(["content"], "dropped.whl"));
      window.dispatchEvent(new DragEvent("drop", { dataTransfer, cancelable: true }));
    }""")
    expect(page.get_by_role("dialog", name="Deploy a package")).to_contain_text("dropped.whl")
    expect(page.get_by_role("dialog").get_by_role("button", name="Deploy")).to_be_enabled()


def test_the_states_of_a_deploy_are_told_as_they_happen(page: Page, server: PageServer, tmp_path: Path) -> None:
    sign = tmp_path / "sign"
    dialog = deploy(page, server.slow_package("slow", "1.0.0", sign), mode="a share")
    told = dialog.get_by_role("status")

    expect(told).to_contain_text("warming…")
    expect(told).to_contain_text("waiting for the sign")
    expect(page.get_by_role("list").get_by_text("warming", exact=True)).to_have_count(1)
    assert not server.manage("GET", "/status").json()["names"]["slow"]["traffic"]["weights"]

    sign.touch()
    expect(told).to_contain_text("slow 1.0.0 is ready")


def test_who_gets_the_requests_after_a_deploy_is_told_in_per_cents(page: Page, server: PageServer) -> None:
    server.deploy("by_weight", "1.0.0", 1)
    server.deploy("by_weight", "1.1.0", 2, mode="none")
    weights = {"weights": {"1.0.0": 3, "1.1.0": 1}}
    assert server.manage("PUT", "/names/by_weight/traffic", json=weights).ok

    dialog = deploy(page, server.package("by_weight", "1.2.0", 3), mode="none")

    expect(dialog.get_by_role("status")).to_contain_text("requests go to 1.0.0 75 %, 1.1.0 25 %.")


def test_a_deploy_that_fails_tells_its_reason_and_its_log(page: Page, server: PageServer) -> None:
    server.deploy("failing", "1.0.0")

    dialog = deploy(page, server.broken_package("failing", "1.1.0"))

    expect(dialog.get_by_role("alert")).to_contain_text("RuntimeError: the table is empty")
    expect(dialog.get_by_role("region", name="Log of deployment")).to_contain_text("reading the table")
    dialog.get_by_role("button", name="Close").click()
    show(page, server, "failing")
    expect(row(page, "1.1.0")).to_contain_text("failed")
    expect(row(page, "1.1.0")).to_contain_text("RuntimeError: the table is empty")
    last = page.get_by_role("region", name="Deployments").get_by_role("listitem").first
    expect(last).to_contain_text(
        re.compile(r"failed\s*failing 1.1.0.*RuntimeError: the table is empty.*reading the table.*Traceback", re.DOTALL)
    )
    assert server.weights("failing") == {"1.0.0": 100}


def test_a_rollback_takes_a_click_and_a_confirmation(page: Page, server: PageServer) -> None:
    server.deploy("rolled", "1.0.0", 1)
    server.deploy("rolled", "1.1.0", 2)
    show(page, server, "rolled")

    page.get_by_role("button", name="Roll back to 1.0.0").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert server.weights("rolled") == {"1.1.0": 100}

    page.get_by_role("button", name="Roll back to 1.0.0").click()
    page.get_by_role("dialog").get_by_role("button", name="Roll back to 1.0.0").click()
    expect(row(page, "1.0.0")).to_contain_text("live")
    expect(page.get_by_text("rolled is back at 1.0.0.")).to_be_visible()
    assert server.weights("rolled") == {"1.0.0": 100}
    assert server.ask("rolled", 5) == 5


def test_a_slider_gives_a_version_its_share(page: Page, server: PageServer) -> None:
    server.deploy("shared", "1.0.0", 1)
    server.deploy("shared", "1.1.0", 2, mode="canary", share=10)
    show(page, server, "shared")

    page.get_by_role("slider", name="Share of 1.1.0, per cent").fill("25")
    assert server.weights("shared") == {"1.0.0": 90, "1.1.0": 10}
    page.get_by_role("button", name="Apply").click()

    expect(row(page, "1.1.0")).to_contain_text("25 %")
    expect(page.get_by_role("button", name="Apply")).to_have_count(0)
    assert server.weights("shared") == {"1.0.0": 75, "1.1.0": 25}


def test_a_slider_moves_by_the_keyboard_and_asks_before_a_version_gets_nothing(page: Page, server: PageServer) -> None:
    server.deploy("emptied", "1.0.0", 1)
    server.deploy("emptied", "1.1.0", 2, mode="canary", share=2)
    show(page, server, "emptied")

    page.get_by_role("slider", name="Share of 1.1.0, per cent").press("ArrowLeft")
    expect(page.get_by_role("group", name="Shares that are not applied")).to_contain_text("1.0.0 99 %, 1.1.0 1 %")
    page.get_by_role("slider", name="Share of 1.1.0, per cent").press("ArrowLeft")
    page.get_by_role("button", name="Apply").click()
    page.get_by_role("dialog", name="Take all requests from 1.1.0?").get_by_role("button", name="Take them").click()

    expect(page.get_by_role("button", name="Apply")).to_have_count(0)
    assert server.weights("emptied") == {"1.0.0": 100}


def test_a_version_becomes_a_shadow_and_is_unloaded(page: Page, server: PageServer) -> None:
    server.deploy("shadowed", "1.0.0", 1)
    server.deploy("shadowed", "1.1.0", 2, mode="none")
    show(page, server, "shadowed")

    page.get_by_role("button", name="Shadow 1.1.0", exact=True).click()
    expect(row(page, "1.1.0")).to_contain_text("shadow")
    assert server.ask("shadowed", 3) == 3
    expect(page.get_by_text("1 answers compared, 1 different")).to_be_visible()

    page.get_by_role("button", name="End shadow 1.1.0").click()
    expect(row(page, "1.1.0")).to_contain_text("unloaded")


def test_a_version_without_requests_is_unloaded(page: Page, server: PageServer) -> None:
    server.deploy("unloading", "1.0.0", 1)
    server.deploy("unloading", "1.1.0", 2)
    show(page, server, "unloading")

    page.get_by_role("button", name="Unload 1.0.0").click()

    expect(row(page, "1.0.0")).to_contain_text("unloaded")
    expect(page.get_by_role("button", name=re.compile("Roll back"))).to_have_count(0)


def test_what_the_server_refuses_is_told_where_it_was_asked(page: Page, server: PageServer) -> None:
    server.deploy("refused", "1.0.0", 1)
    server.deploy("refused", "1.1.0", 2)
    show(page, server, "refused")
    page.get_by_role("button", name="Roll back to 1.0.0").click()
    server.manage("POST", "/names/refused/versions/1.0.0/unload")

    page.get_by_role("dialog").get_by_role("button", name="Roll back to 1.0.0").click()

    problem = page.get_by_role("region", name="refused").get_by_role("alert")
    expect(problem).to_have_text("there is no version of refused to go back to")


def test_the_difference_of_two_versions_is_shown_line_by_line(page: Page, server: PageServer) -> None:
    server.deploy_file(server.package_with_source("compared", "1.0.0", 3))
    server.deploy_file(server.package_with_source("compared", "1.1.0", 4))
    show(page, server, "compared")

    page.get_by_role("button", name="Diff 1.0.0 against 1.1.0").click()
    difference = page.get_by_role("region", name="Difference of the source")
    difference.get_by_label("from").select_option("1.0.0")
    difference.get_by_label("to").select_option("1.1.0")

    expect(difference.get_by_role("status")).to_have_text("1 file differs")
    lines = difference.get_by_role("region", name="Changes of tg/compared/job.py").get_by_role("row")
    removed, added = (lines.filter(has_text=text) for text in ("value * 3", "value * 4"))
    expect(removed).to_have_class("removed")
    expect(removed).to_have_text(re.compile(r"^\s*3\s*\u2212\s*return value \* 3\s*$"))
    expect(added).to_have_class("added")
    red, green = (one.evaluate("row => getComputedStyle(row).backgroundColor") for one in (removed, added))
    assert red != green


def test_lines_of_a_difference_may_look_like_its_headers(page: Page) -> None:
    difference = "--- a.sql\n+++ a.sql\n@@ -1,2 +1,2 @@\n same\n--- old comment\n+++ new\n--- /dev/null\n+++ b.txt\n@@ -0,0 +1 @@\n+one\n\\ No newline at end of file\n--- c.bin\n+++ c.bin\nthe files are not text, and differ\n"
    files = page.evaluate(
        "async (text) => (await import('/difference.js')).filesOf(text)",
        difference,
    )
    assert [(file["path"], file["is"], file["added"], file["removed"]) for file in files] == [
        ("a.sql", "changed", 1, 1),
        ("b.txt", "added", 1, 0),
        ("c.bin", "changed", 0, 0),
    ]
    assert [line["text"] for line in files[0]["lines"]] == ["@@ -1,2 +1,2 @@", "same", "-- old comment", "++ new"]


def test_shares_come_to_a_hundred_whatever_is_moved(page: Page) -> None:
    wrong = page.evaluate("""async () => {
      const { moved, sharesOf } = await import("/shares.js");
      const sum = (shares) => Object.values(shares).reduce((all, share) => all + share, 0);
      const wrong = [];
      for (let seed = 1; seed < 500; seed++) {
        const weights = Object.fromEntries([3, 7, 11, 13].slice(seed % 4).map((prime) => [`v${prime}`, 1 + ((seed * prime) % 97)]));
        const shares = sharesOf(weights);
        const share = (seed * 17) % 101;
        const after = moved(shares, "v13", share, "heir");
        if (sum(shares) !== 100 || sum(after) !== 100 || (after.v13 ?? 0) !== share) wrong.push([weights, shares, share, after]);
      }
      return wrong;
    }""")
    assert wrong == []
    assert page.evaluate(
        """async () => (await import("/shares.js")).moved({ only: 100 }, "only", 40, undefined)"""
    ) == {"only": 100}


def test_charts_tell_where_the_server_stood_still(page: Page) -> None:
    columns = page.evaluate("""async () => {
      const { History } = await import("/history.js");
      const history = new History();
      const add = (...seconds) => history.add({ name: { versions: [{ version: "1.0.0", seconds }] } });
      add([1000, 5, 0, 1, 2], [1001, 0, 0, 0, 0]);
      add([1011, 7, 1, 1, 3]);
      const { times, figures } = history.columns("name", new Set());
      return [times, figures.get("1.0.0").requests, figures.get("1.0.0").p50];
    }""")
    assert columns == [[1000, 1001, 1006, 1011], [5, 0, None, 0.7], [1, None, None, 1]]


def test_charts_move_under_load(page: Page, server: PageServer) -> None:
    server.deploy("loaded", "1.0.0")
    show(page, server, "loaded")
    charts = page.get_by_role("region", name="Charts of the last minutes").locator("canvas")
    expect(charts).to_have_count(3)
    expect(row(page, "1.0.0").get_by_role("cell").nth(2)).to_have_text("0/s")
    before = [chart.evaluate("canvas => canvas.toDataURL()") for chart in charts.all()[:2]]
    enough = threading.Event()

    def ask() -> None:
        with requests.Session() as session:
            while not enough.is_set():
                session.post(f"{server.requests}/loaded", json={"value": 1}, timeout=60)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        expect(row(page, "1.0.0").get_by_role("cell").nth(2)).to_have_text(re.compile(r"[1-9]"))
        expect(row(page, "1.0.0").get_by_role("cell").nth(3)).to_have_text(re.compile(r"ms$"))
    finally:
        enough.set()
        asking.join()
    after = [chart.evaluate("canvas => canvas.toDataURL()") for chart in charts.all()[:2]]
    assert all(one != other for one, other in zip(before, after, strict=True))


def test_the_server_is_asked_for_what_is_new_only_and_not_while_nobody_looks(page: Page, server: PageServer) -> None:
    status = re.compile(r"/status\?")
    expect(page.get_by_role("heading", name="Deployments")).to_be_visible()
    with page.expect_request(status) as asked:
        pass
    assert float(asked.value.url.rpartition("since=")[2]) > 0

    page.evaluate("""() => {
      Object.defineProperty(document, "hidden", { value: true, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }""")
    page.wait_for_load_state("networkidle")
    meanwhile: list[str] = []
    page.on("request", lambda request: meanwhile.append(request.url))
    page.wait_for_timeout(2500)
    assert meanwhile == []

    with page.expect_request(status):
        page.evaluate("""() => {
          Object.defineProperty(document, "hidden", { value: false });
          document.dispatchEvent(new Event("visibilitychange"));
        }""")


def test_the_page_tells_when_the_server_does_not_answer_and_goes_on_when_it_does(
    browser: Browser, server: PageServer
) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(server.address)
        give_token(page, server.token)
        expect(page.get_by_role("heading", name="Deployments")).to_be_visible()

        context.set_offline(True)
        expect(page.get_by_role("alert")).to_have_text(
            re.compile(r"^The server does not answer; what is shown is of \d\d:\d\d:\d\d\. Asking again\.$")
        )
        context.set_offline(False)
        expect(page.get_by_role("alert")).to_have_count(0)


def test_a_token_that_may_only_read_is_offered_nothing_else(browser: Browser, server: PageServer) -> None:
    server.deploy("read", "1.0.0")
    server.deploy("read", "1.1.0")
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(server.address)
        give_token(page, server.reading_token)
        show(page, server, "read")
        expect(page.get_by_text("reader, may only read")).to_be_visible()
        buttons = page.get_by_role("button").all_text_contents()
        assert set(buttons) == {"Forget token", "Diff"}
        expect(page.get_by_role("slider")).to_have_count(0)


def test_the_page_fits_a_phone(browser: Browser, server: PageServer) -> None:
    name = "an_ordinary_but_rather_long_name_of_a_model"
    server.deploy_file(server.package_with_source(name, None, 7))  # and a version that is made from the content
    server.deploy_file(server.package_with_source(name, "1.0.0", 8), mode="canary")
    with browser.new_context(
        viewport={"width": 360, "height": 740}, device_scale_factor=2, is_mobile=True, has_touch=True
    ) as context:
        page = context.new_page()
        page.goto(server.address)
        assert page.evaluate(OVERFLOW) <= 0
        give_token(page, server.token)
        show(page, server, name)
        assert page.evaluate(OVERFLOW) <= 0
        page.get_by_role("button", name="Diff 1.0.0").tap()
        expect(page.get_by_text("1 file differs")).to_be_visible()
        assert page.evaluate(OVERFLOW) <= 0
        page.get_by_role("button", name="Deploy…").tap()
        expect(page.get_by_role("dialog")).to_be_visible()
        assert page.evaluate(OVERFLOW) <= 0


def test_everything_has_a_name_for_those_who_listen(page: Page, server: PageServer) -> None:
    server.deploy_file(server.package_with_source("heard", "1.0.0", 1))
    server.deploy_file(server.package_with_source("heard", "1.1.0", 2), mode="canary")
    show(page, server, "heard")
    page.get_by_role("button", name="Diff 1.1.0").click()
    expect(page.get_by_text("1 file differs")).to_be_visible()
    page.get_by_role("button", name="Deploy…").click()
    expect(page.get_by_role("dialog", name="Deploy a package")).to_be_visible()

    assert wrong_for_listeners(page) == []


def test_a_dialog_ends_with_escape_and_gives_the_focus_back(page: Page) -> None:
    button = page.get_by_role("button", name="Deploy…")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(button).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_on_its_ground(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme="light" if scheme == "light" else "dark")
    ratios = page.evaluate("""() => {
      const style = getComputedStyle(document.documentElement);
      const luminance = (name) => {
        const probe = document.body.appendChild(document.createElement("i"));
        probe.style.color = style.getPropertyValue(name);
        const [r, g, b] = getComputedStyle(probe).color.match(/[\\d.]+/g).map((one) => one / 255)
          .map((one) => (one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
        probe.remove();
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const ratio = (one, other) => {
        const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
        return (light + 0.05) / (dark + 0.05);
      };
      return Object.fromEntries([["--text", "--ground"], ["--muted", "--ground"], ["--muted", "--raised"], ["--good", "--ground"],
        ["--bad", "--ground"], ["--bad", "--bad-ground"], ["--accent", "--ground"], ["--on-accent", "--accent"],
        ["--text", "--added-ground"], ["--text", "--removed-ground"]].map((pair) => [pair.join(" on "), ratio(...pair)]));
    }""")
    assert {pair: ratio for pair, ratio in ratios.items() if ratio < 4.5} == {}  # WCAG 2.2, 1.4.3


def test_the_page_takes_nothing_from_elsewhere(page: Page, server: PageServer) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    expect(page.get_by_role("heading", name="Deployments")).to_be_visible()

    assert len(asked) > 10
    assert [url for url in asked if not url.startswith(server.address)] == []
    policy = requests.get(server.address, timeout=60).headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy


def test_the_page_is_not_in_what_is_delivered(server: PageServer) -> None:
    with zipfile.ZipFile(server.package("delivered", "1.0.0")) as package:
        serving = [name for name in package.namelist() if "/serving/" in name]
    assert [name for name in serving if name.endswith("/serving/management.py")]
    assert [name for name in serving if "/page/" in name] == []


def test_figures_come_from_a_time_on_and_nonsense_is_refused(server: PageServer) -> None:
    server.deploy("figured", "1.0.0")
    figures = "/status?seconds=300"
    first = until(lambda: server.manage("GET", figures).json()["names"]["figured"]["versions"][0]["seconds"])
    since = first[-1][0]
    later = server.manage("GET", f"/status?seconds=300&since={since}").json()["names"]["figured"]["versions"][0][
        "seconds"
    ]
    assert [second for second in later if second[0] <= since] == []
    for wrong in ("seconds=few", "since=-1", "since=nan"):
        assert server.manage("GET", f"/status?{wrong}").status_code == 422

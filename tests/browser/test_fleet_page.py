"""The fleet page in a real browser, with the real exporter and a simulated cloud."""

import re
import signal
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.simulated_fleet import (
    EAST,
    EAST_NAME,
    HOSTILE,
    SOUTHWEST,
    Fleet,
    simulated_fleet,
)
from tests.real.browser import DESK, PHONE, OpenPage, open_page
from tests.real.programs import exporter

SERVERS = sum(SOUTHWEST.values()) + sum(EAST.values()) + 1
BROKEN = {"kind": "status", "project": "southwest", "servers": "web-07", "status": 500}


def opened(one: OpenPage, fleet: Fleet, path: str = "") -> Page:
    """Open a page and wait for its first update."""
    one.page.goto(fleet.url + path)
    expect(one.page.locator("html.live")).to_be_attached()
    return one.page


def shown(page: Page) -> list[str]:
    """Return the names of the visible cells."""
    names: list[str] = page.eval_on_selector_all(
        ".list:not([hidden]) .block a", "cells => cells.map(cell => cell.firstChild.data)"
    )
    return names


def list_of(page: Page, name: str) -> str:
    """Return the health state of the list that contains a cell."""
    found: str = page.locator(".block a", has_text=name).evaluate(
        "cell => cell.closest('.list').dataset.healthState"
    )
    return found


def test_grid_shows_every_server_worst_first_and_links_to_it(
    browser: Browser, fleet: Fleet
) -> None:
    with open_page(browser) as one:
        page = opened(one, fleet)
        assert len(shown(page)) == SERVERS
        assert list_of(page, "db-04") == "failing"
        assert list_of(page, "web-01") == "working"
        southwest = page.locator('.project[data-project="southwest"]')
        health_states = southwest.locator(".list:not([hidden])").evaluate_all(
            "lists => lists.map(list => list.dataset.healthState)"
        )
        assert health_states[0] == "failing"
        assert health_states[-1] == "working"
        working = southwest.locator(".list.working a")
        names = working.evaluate_all("cells => cells.map(cell => cell.textContent)")
        assert names == sorted(names)
        assert "up to 200 requests per second" in southwest.inner_text()
        assert "logged in until" in southwest.inner_text()
        page.get_by_role("link", name=re.compile("^failing db-04.*not found at api")).click()
        expect(page.get_by_role("heading", level=1)).to_have_text("db-04")
        page.go_back()
        page.get_by_role("link", name=re.compile("^working,? .*cache-01|^working cache-01")).click()
        expect(page.get_by_role("heading", level=1)).to_have_text("cache-01")
        assert one.errors == []


def test_state_is_visible_without_colours(browser: Browser, fleet: Fleet) -> None:
    with open_page(browser) as one:
        page = opened(one, fleet)
        shape = "cell => getComputedStyle(cell, '::before').content.split('\"')[1]"
        shapes = {
            health_state: page.locator(f".list.{health_state} a").first.evaluate(shape)
            for health_state in ("failing", "working")
        }
        assert shapes["failing"] == "✕"
        assert shapes["working"] in {"●", "○"}


def test_filter_works_while_typing_and_is_part_of_the_url(browser: Browser, fleet: Fleet) -> None:
    with open_page(browser) as one:
        page = opened(one, fleet)
        page.get_by_role("searchbox").fill("gpu r01")
        assert shown(page)
        assert all(name.startswith("gpu-") for name in shown(page))
        page.get_by_role("searchbox").fill("")
        page.get_by_role("radio", name="failing").check(force=True)
        failing = shown(page)
        assert {"db-04", "gpu-03", "web-05", "backup-01", "queue-03"} <= set(failing)
        assert "web-01" not in failing
        expect(page.locator("#found")).to_have_text(f"{len(failing)} of {SERVERS} servers")
        address = page.url
        assert address.endswith("#state=failing")
        page.get_by_role("searchbox").fill("no such server")
        expect(page.locator("#nothing")).to_be_visible()
        page.get_by_role("link", name="Show all").click()
        assert len(shown(page)) == SERVERS
        page.goto("about:blank")
        page.goto(address)
        assert set(shown(page)) == set(failing)
        # A link with a query string, as made without JavaScript, is converted to a fragment.
        page.goto(f"{fleet.url}/?q=cache&state=")
        expect(page).to_have_url(f"{fleet.url}/#q=cache")
        assert len(shown(page)) == EAST["cache"]
        assert one.errors == []


def test_failing_console_changes_its_cell_without_a_reload(browser: Browser, fleet: Fleet) -> None:
    with open_page(browser) as one:
        page = opened(one, fleet)
        page.evaluate("window.sameDocument = true")
        before = int(page.locator("#count-failing").inner_text())
        fleet.set_faults(BROKEN)
        try:
            cell = page.locator(".list.failing a", has_text="web-07")
            expect(cell).to_contain_text("server error at api", timeout=10_000)
            expect(page.locator("#count-failing")).to_have_text(str(before + 1))
            expect(page.locator("#news")).to_have_text("web-07 is failing: server error at api")
        finally:
            fleet.set_faults()
        expect(page.locator(".list.working a", has_text="web-07")).to_be_attached(timeout=10_000)
        names = page.locator('[data-project="southwest"] .list.working a').evaluate_all(
            "cells => cells.map(cell => cell.textContent)"
        )
        assert names == sorted(names)
        assert page.evaluate("window.sameDocument")
        assert one.errors == []


def test_hidden_tab_sends_no_requests_and_catches_up_when_visible(
    browser: Browser, fleet: Fleet
) -> None:
    with open_page(browser) as one:
        page = opened(one, fleet)
        page.clock.install()
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.evaluate("Object.defineProperty(document, 'hidden', {get: () => window.away})")
        page.evaluate("window.away = true; document.dispatchEvent(new Event('visibilitychange'))")
        page.wait_for_timeout(100)
        requests.clear()
        page.clock.run_for(20_000)
        page.wait_for_timeout(100)
        # A request that was running when the tab was hidden may still have finished.
        assert len(requests) <= 1
        requests.clear()
        with page.expect_response(re.compile("/fleet/changes")):
            page.evaluate(
                "window.away = false; document.dispatchEvent(new Event('visibilitychange'))"
            )
        assert len(requests) == 1


def test_banner_shows_when_the_exporter_is_down_and_hides_on_recovery(
    browser: Browser, tmp_path: Path
) -> None:
    with simulated_fleet(tmp_path, more=()) as fleet, open_page(browser) as one:
        page = opened(one, fleet)
        expect(page.locator("#banner")).to_be_hidden()
        page.clock.install()
        fleet.exporter.stop(signal.SIGTERM)
        page.clock.run_for(3_000)
        page.wait_for_timeout(200)
        page.clock.run_for(12_000)
        expect(page.locator("#banner")).to_contain_text("The exporter does not respond.")
        expect(page.locator("#banner")).to_contain_text(re.compile(r"as of \d\d:\d\d:\d\d UTC"))
        expect(page.locator("html.old")).to_be_attached()
        expect(page.locator("#age")).to_have_text(re.compile(r"\(\d\d s ago\)"))
        # The refused connection is the only error in the browser's console.
        assert all("ERR_CONNECTION_REFUSED" in said for said in one.errors)
        with exporter(fleet.config, None, f"--web.listen-address={fleet.exporter.url}"):
            with page.expect_navigation():
                page.clock.run_for(5_000)
            expect(page.locator("html.live")).to_be_attached()
            expect(page.locator("#banner")).to_be_hidden()


def test_tab_moves_between_lists_and_arrow_keys_within_one(browser: Browser, fleet: Fleet) -> None:
    with open_page(browser) as one:
        page = opened(one, fleet)
        focused = "document.activeElement.firstChild?.data"
        cells = page.locator('[data-project="southwest"] .list.working a')
        names = cells.evaluate_all("cells => cells.map(cell => cell.firstChild.data)")
        first = page.locator('[data-project="southwest"] .list.working a[tabindex="0"]')
        assert first.count() == 1
        first.focus()
        columns = 8
        for pressed, place in (
            ("ArrowRight", 1), ("ArrowDown", 1 + columns), ("ArrowLeft", columns),
            ("ArrowUp", 0), ("ArrowUp", 0), ("End", len(names) - 1), ("Home", 0),
        ):  # fmt: skip
            page.keyboard.press(pressed)
            assert page.evaluate(focused) == names[place], pressed
        page.keyboard.press("Tab")
        left = page.evaluate(
            "document.activeElement.closest('.list.working')?.parentElement.dataset.project"
        )
        assert left != "southwest"
        stops = page.locator('a[tabindex="0"], a:not([tabindex]), input, button').count()
        assert stops < 30
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text(names[1])


def test_first_tab_stop_skips_to_the_content(browser: Browser, fleet: Fleet) -> None:
    with open_page(browser) as one:
        page = opened(one, fleet)
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()


@pytest.mark.parametrize("size", [DESK, PHONE, (320, 600)])
def test_page_fits_the_screen_width(browser: Browser, fleet: Fleet, size: tuple[int, int]) -> None:
    with open_page(browser, size) as one:
        page = opened(one, fleet)
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        sizes = page.locator(".block a").first.bounding_box()
        assert sizes is not None
        assert sizes["height"] >= 24


def test_server_name_is_never_run_as_a_script(browser: Browser, fleet: Fleet) -> None:
    with open_page(browser) as one:
        one.page.on("dialog", lambda dialog: one.errors.append(dialog.message))
        page = opened(one, fleet)
        page.get_by_role("searchbox").fill("<script>")
        assert shown(page) == [HOSTILE]
        page.get_by_role("link", name=re.compile("alert")).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
        assert one.errors == []


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_no_serious_violation(browser: Browser, fleet: Fleet, *, dark: bool) -> None:
    with open_page(browser, dark=dark) as one:
        page = opened(one, fleet)
        found = Axe().run(page).response["violations"]
        assert [(v["id"], v["nodes"][0]["html"]) for v in found if _is_bad(v["impact"])] == []
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(14, 19, 25)") is dark


def _is_bad(impact: str) -> bool:
    return impact in {"serious", "critical"}


def test_page_works_without_javascript(browser: Browser, fleet: Fleet) -> None:
    with open_page(browser, scripts=False) as one:
        page = one.page
        page.goto(fleet.url)
        assert page.locator(".block a").count() == SERVERS
        assert "does not update without JavaScript" in page.content()
        page.get_by_role("searchbox").fill("cache")
        page.get_by_role("button", name="Filter").click()
        expect(page.locator(".block a")).to_have_count(EAST["cache"])
        assert "6 of" in page.locator("#found").inner_text()
        page.get_by_role("link", name=re.compile("cache-01")).click()
        expect(page.get_by_role("heading", level=1)).to_have_text("cache-01")


def test_page_and_metrics_show_the_same_numbers(browser: Browser, fleet: Fleet) -> None:
    with open_page(browser) as one:
        page = opened(one, fleet)
        metrics = httpx.get(f"{fleet.url}/metrics").text
        failures = re.findall(r"^console_probe_success\{.*\} 0\.0$", metrics, re.MULTILINE)
        assert page.locator(".list.failing a").count() == len(failures)
        assert page.locator(f'[data-project="{EAST_NAME}"] .block a').count() == sum(EAST.values())

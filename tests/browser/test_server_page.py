"""A server's page in a real browser, with the real exporter and a simulated cloud."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.simulated_fleet import EAST_NAME, HOSTILE, Fleet
from tests.real.browser import DESK, PHONE, OpenPage, open_page


def opened(one: OpenPage, fleet: Fleet, name: str, project: str = "southwest") -> Page:
    """Open a server's page and wait for its first update."""
    one.page.goto(fleet.server(name, project))
    expect(one.page.locator("html.live")).to_be_attached()
    return one.page


def test_server_page_shows_all_details(browser: Browser, fleet: Fleet) -> None:
    with open_page(browser) as one:
        page = opened(one, fleet, "queue-03", EAST_NAME)
        state = page.locator("#state")
        expect(state).to_contain_text("failing", ignore_case=True)
        expect(state).to_contain_text(re.compile(r"since \d\d:\d\d:\d\d UTC \(\d+ (s|min) ago\)"))
        expect(state).to_contain_text("times in a row")
        settings = page.locator("#settings")
        for text in ("queue-03-id", EAST_NAME, "cn-east-3", "2s", "rfb", "rack", "queue"):
            expect(settings).to_contain_text(text)
        expect(page.locator("#counters")).to_contain_text("Verdicts")
        marks = page.locator(".timeline i")
        assert marks.count() >= 1
        assert "failure" in (marks.last.get_attribute("class") or "")
        page.get_by_text("as a table").click()
        expect(page.locator("#table tbody tr").first).to_contain_text("websocket rejected")
        assert one.errors == []


def test_waterfall_shows_the_stages_in_sequence(browser: Browser, fleet: Fleet) -> None:
    with open_page(browser) as one:
        page = opened(one, fleet, "queue-03", EAST_NAME)
        rows = page.locator("#last .waterfall tbody tr")
        assert rows.locator("th").all_inner_texts() == ["api", "page", "websocket"]
        bars = [bar.bounding_box() for bar in rows.locator(".bar").all()]
        edges = [(bar["x"], bar["x"] + bar["width"]) for bar in bars if bar]
        assert len(edges) == 3
        assert edges[0][1] == pytest.approx(edges[1][0], abs=8)
        assert edges[1][1] == pytest.approx(edges[2][0], abs=8)
        expect(rows.nth(0)).to_contain_text(re.compile(r"\d+ ms"))
        expect(rows.nth(2)).to_contain_text("failed")


def test_probe_on_demand_is_shown_and_not_recorded(browser: Browser, fleet: Fleet) -> None:
    with open_page(browser) as one:
        page = opened(one, fleet, "web-01")
        page.get_by_role("button", name="Probe now").click()
        response = page.locator("#answer")
        expect(response).to_contain_text("Not recorded")
        expect(response).to_contain_text("success")
        expect(response.locator(".waterfall .bar")).to_have_count(1)
        assert page.url == fleet.server("web-01")
        assert one.errors == []


def test_probe_on_demand_works_without_javascript(browser: Browser, fleet: Fleet) -> None:
    with open_page(browser, scripts=False) as one:
        one.page.goto(fleet.server("db-04"))
        one.page.get_by_role("button", name="Probe now").click()
        expect(one.page.locator("#answer")).to_contain_text("not found at api")
        expect(one.page.locator("#answer")).to_contain_text("Not recorded")
        expect(one.page.get_by_role("heading", level=1)).to_have_text("db-04")


def test_page_updates_without_a_reload(browser: Browser, fleet: Fleet) -> None:
    with open_page(browser) as one:
        page = opened(one, fleet, "gpu-05")
        page.evaluate("window.sameDocument = true")
        page.get_by_text("as a table").click()
        expect(page.locator("#state.working")).to_be_attached()
        fleet.set_faults({"kind": "status", "servers": "gpu-05", "status": 500})
        try:
            expect(page.locator("#state.failing")).to_be_attached(timeout=10_000)
            expect(page.locator("#last")).to_contain_text("server error at api")
        finally:
            fleet.set_faults()
        expect(page.locator("#state.working")).to_be_attached(timeout=10_000)
        assert page.evaluate("window.sameDocument && document.getElementById('table').open")
        # The focus stays on the opened table.
        expect(page.locator("summary")).to_be_focused()
        assert one.errors == []


def test_unknown_server_is_not_found(browser: Browser, fleet: Fleet) -> None:
    with open_page(browser) as one:
        response = one.page.goto(fleet.server("<b>nothing"))
        assert response is not None
        assert response.status == 404
        expect(one.page.get_by_role("heading", level=1)).to_have_text("No such server")
        assert one.page.locator("main b").count() == 0
        one.page.get_by_role("link", name="Show all servers").click()
        expect(one.page.get_by_role("heading", level=1)).to_have_text("Remote consoles")


def test_server_name_is_never_run_as_a_script(browser: Browser, fleet: Fleet) -> None:
    with open_page(browser) as one:
        page = opened(one, fleet, "hostile")
        expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
        page.get_by_role("button", name="Probe now").click()
        expect(page.locator("#answer")).to_contain_text("Not recorded")
        assert one.errors == []


@pytest.mark.parametrize("size", [DESK, PHONE, (320, 600)])
def test_page_fits_the_screen_width(browser: Browser, fleet: Fleet, size: tuple[int, int]) -> None:
    with open_page(browser, size) as one:
        page = opened(one, fleet, "queue-03", EAST_NAME)
        page.get_by_text("as a table").click()
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


@pytest.mark.parametrize(("size", "dark"), [(DESK, False), (PHONE, True)])
def test_axe_finds_no_serious_violation(
    browser: Browser, fleet: Fleet, size: tuple[int, int], *, dark: bool
) -> None:
    with open_page(browser, size, dark=dark) as one:
        page = opened(one, fleet, "queue-03", EAST_NAME)
        page.get_by_text("as a table").click()
        page.get_by_role("button", name="Probe now").click()
        expect(page.locator("#answer")).to_contain_text("Not recorded")
        found = Axe().run(page).response["violations"]
        bad = [v for v in found if v["impact"] in {"serious", "critical"}]
        assert [(v["id"], v["nodes"][0]["html"]) for v in bad] == []


def test_ages_are_rounded(browser: Browser, fleet: Fleet) -> None:
    with open_page(browser) as one:
        page = opened(one, fleet, "web-01")
        texts = page.evaluate("[-3, 119, 120, 7199, 7200, 2e5].map(ago)")
        assert texts == [
            "0 s ago", "119 s ago", "2 min ago", "119 min ago", "2 h ago", "2 days ago"
        ]  # fmt: skip

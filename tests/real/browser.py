"""A real Chromium, and what its pages complain of."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from playwright.sync_api import Browser, Page, sync_playwright

from tests.real.programs import required

_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
DESK, PHONE = (1280, 800), (390, 844)


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Run it without a window until the block ends."""
    path = required("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class LoggedRequest:
    """An open page, and all that went wrong in it."""

    page: Page
    complaints: list[str] = field(default_factory=list)


@contextlib.contextmanager
def logged(
    browser: Browser,
    size: tuple[int, int] = DESK,
    *,
    dark: bool = False,
    scripts: bool = True,
) -> Iterator[LoggedRequest]:
    """Open an empty page for a person of their own."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
        java_script_enabled=scripts,
    )
    try:
        context.set_default_timeout(10_000)
        page = context.new_page()
        one = LoggedRequest(page)
        # A violation of the policy is an error on the console too.
        page.on(
            "console",
            lambda said: one.complaints.append(said.text) if said.type == "error" else None,
        )
        page.on("pageerror", lambda error: one.complaints.append(str(error)))
        yield one
    finally:
        context.close()

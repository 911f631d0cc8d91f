"""A real browser for the pages: the system's Chromium, watched for errors and foreign hosts."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Download, Page, expect, sync_playwright
from pytest_django.live_server_helper import LiveServer

from tests.world import World

# Playwright's loop runs in this thread; nothing here is asynchronous for Django.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
# A slow machine is no fault of the pages: only how often one clicks counts here.
PATIENCE = 90_000
expect.set_options(timeout=PATIENCE)
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert executable, "Chromium is missing: apt-get install chromium"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=list(QUIET))
        yield started
        started.close()


@dataclass(slots=True)
class Visitor:
    """Somebody at a browser. `problems` are script errors, console errors and requests to other hosts."""

    base: str
    context: BrowserContext
    page: Page
    problems: list[str] = field(default_factory=list)
    clicks: int = 0

    def go(self, path: str) -> None:
        """Open an address of the hub."""
        self.page.goto(self.base + path, wait_until="load")

    def click(self, selector: str) -> None:
        """One click of the mouse, counted; what comes of it is still on its way: ask `sees` or `arrives`."""
        self.clicks += 1
        self.page.locator(selector).first.click()

    def fetch(self, selector: str) -> Download:
        """One click that downloads a file, counted."""
        with self.page.expect_download() as found:
            self.click(selector)
        return found.value

    def sees(self, *words: str) -> None:
        """Wait until the page shows all of `words`; AssertionError when it never does."""
        body = self.page.locator("body")
        for text in words:
            expect(body).to_contain_text(text, use_inner_text=True)

    def arrives(self, path: str) -> None:
        """Wait until the page at `path` is loaded."""
        self.page.wait_for_url(f"**{path}")

    def text(self) -> str:
        """What can be read on the page, which `sees` has waited for."""
        return self.page.inner_text("body")

    def faults(self) -> list[str]:
        """Serious faults of accessibility that axe-core finds, as `rule: element`."""
        self.page.evaluate(AXE)
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{rule['id']}: {node['html'][:160]}"
            for rule in found["violations"]
            if rule["impact"] in ("serious", "critical")
            for node in rule["nodes"]
        ]


@pytest.fixture
def visit(live_hub: World, live_server: LiveServer, browser: Browser) -> Iterator[Any]:
    """Makes visitors of the small city: `visit(client, width=…, dark=…, scripts=…)`."""
    opened: list[Visitor] = []

    def make(
        client: Client | None = None,
        *,
        width: int = 1366,
        height: int = 768,
        dark: bool = False,
        scripts: bool = True,
    ) -> Visitor:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
        )
        context.set_default_timeout(PATIENCE)
        if client:
            cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
            context.add_cookies(
                [{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}]
            )
        visitor = Visitor(live_server.url, context, context.new_page())
        _watch(visitor)
        opened.append(visitor)
        return visitor

    yield make
    for visitor in opened:
        # The server has answered whatever the page asked for before the tables are emptied under it.
        visitor.page.wait_for_load_state("networkidle")
        visitor.context.close()
    assert [problem for visitor in opened for problem in visitor.problems] == []


def _watch(visitor: Visitor) -> None:
    own = urlsplit(visitor.base).netloc

    def asked(request: Any) -> None:
        if not request.url.startswith("data:") and urlsplit(request.url).netloc != own:
            visitor.problems.append(f"foreign host: {request.url}")

    visitor.page.on("request", asked)
    visitor.page.on("pageerror", lambda error: visitor.problems.append(f"script error: {error}"))
    visitor.page.on(
        "console",
        lambda told: (
            visitor.problems.append(f"console: {told.text} {told.location}") if told.type == "error" else None
        ),
    )

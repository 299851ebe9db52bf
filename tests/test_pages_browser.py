"""The pages in a real browser without scripts: they work, can be read by everybody, and fit a phone."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from axe_playwright_python.sync_playwright import Axe
from pages_people import PagesClient
from playwright.sync_api import Browser, Page, sync_playwright

pytest_plugins = ["pages_fixtures"]
CHROMIUM = shutil.which("chromium")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 900}
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def pages_browser() -> Iterator[Browser]:
    """Debian's chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(params=["phone dark", "desk light", "phone light", "desk dark"])
def pages_tab(request: pytest.FixtureRequest, pages_browser: Browser) -> Iterator[Page]:
    """A tab of each size and colour; `axe` is a script of the test's own, hence bypass_csp."""
    size, colour = request.param.split()
    context = pages_browser.new_context(
        viewport=PHONE if size == "phone" else DESK,  # pyright: ignore[reportArgumentType]
        color_scheme=colour,
        bypass_csp=True,
    )
    yield context.new_page()
    context.close()


def faults(page: Page) -> list[str]:
    return [f"{one['id']}: {one['help']}" for one in Axe().run(page).response["violations"]]


def fits(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def looked_at(page: Page, tmp_path: Path) -> None:
    """No accessibility fault, nothing beside the screen, colours as the reader wants them."""
    assert faults(page) == []
    assert fits(page)
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    red = int(page.evaluate("getComputedStyle(document.body).backgroundColor")[4:].split(",")[0])
    assert (red < 80) == dark
    page.screenshot(path=tmp_path / "page.png", full_page=True)


def test_every_page_is_readable_for_everybody(
    pages_ada: PagesClient, pages_tab: Page, tmp_path: Path, rows: Any, org: UUID
):
    rows("update organizations set name = %s", "Überlange Veranstaltungsgesellschaft" * 2)
    url = pages_ada.url
    for path in (
        pages_ada.path(),
        pages_ada.path("finance", unsubscribe=True),
        pages_ada.path(unsubscribe=True),
        "/preferences/wrong",
    ):
        pages_tab.goto(url + path)
        looked_at(pages_tab, tmp_path)
    pages_tab.goto(url + pages_ada.path("finance", unsubscribe=True))
    pages_tab.get_by_role("button", name="Unsubscribe").click()
    looked_at(pages_tab, tmp_path)
    pages_tab.get_by_role("link", name="Choose what you get").click()
    pages_tab.get_by_role("button", name="Unsubscribe from everything").click()
    looked_at(pages_tab, tmp_path)
    pages_tab.get_by_role("link", name="Back to your choices").click()
    looked_at(pages_tab, tmp_path)


def test_wrong_quiet_hours_are_readable_for_everybody(
    pages_ada: PagesClient, pages_tab: Page, tmp_path: Path
):
    pages_tab.goto(pages_ada.url + pages_ada.path())
    pages_tab.get_by_label("At these times:").check()
    pages_tab.get_by_label("From").fill("22:00")
    pages_tab.get_by_label("To", exact=True).fill("22:00")
    pages_tab.get_by_role("button", name="Save").click()
    assert pages_tab.get_by_role("alert").is_visible()
    looked_at(pages_tab, tmp_path)


@pytest.fixture
def pages_plain_tab(pages_browser: Browser) -> Iterator[Page]:
    """A tab as a stranger has it: no scripts, the page's own rules in force."""
    context = pages_browser.new_context(java_script_enabled=False, viewport=PHONE)  # pyright: ignore
    page = context.new_page()
    page.set_default_timeout(10_000)
    yield page
    context.close()


def test_choosing_without_scripts(pages_ada: PagesClient, pages_plain_tab: Page, rows: Any):
    said: list[str] = []
    page = pages_plain_tab
    page.on("console", lambda message: said.append(message.text))
    page.goto(pages_ada.url + pages_ada.path())
    group = page.get_by_role("group", name="News")
    group.get_by_label("E-mail").select_option("Once a day")
    page.get_by_label("At these times:").check()
    page.get_by_label("From").fill("20:30")
    page.get_by_label("To", exact=True).fill("09:00")
    page.get_by_label("Time zone").select_option("Europe/Vienna")
    page.get_by_role("button", name="Save").click()
    assert page.get_by_role("heading", name="Your choices are saved").is_visible()
    assert rows("integration_preferences", "category", "channel", "wanted", "digest") == [
        ("news", "email", True, "daily")
    ]
    page.get_by_role("link", name="Back to your choices").click()
    assert group.get_by_label("E-mail").input_value() == "daily"
    assert page.get_by_label("From").input_value() == "20:30"
    assert said == []  # no complaint about the style either


def test_enter_saves_and_stops_nothing(pages_ada: PagesClient, pages_plain_tab: Page, rows: Any):
    pages_plain_tab.goto(pages_ada.url + pages_ada.path())
    pages_plain_tab.get_by_label("From").press("Enter")
    assert pages_plain_tab.get_by_role("heading", name="Your choices are saved").is_visible()
    assert rows("integration_consents") == []


def test_style_of_the_page_is_allowed_and_nothing_else(
    pages_ada: PagesClient, pages_browser: Browser
):
    context = pages_browser.new_context()
    page = context.new_page()
    page.goto(pages_ada.url + pages_ada.path())
    assert page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth") == "736px"
    refused = page.evaluate(
        "() => new Promise(done => { document.addEventListener('securitypolicyviolation',"
        " event => done(event.effectiveDirective)); const one = document.createElement('script');"
        " one.textContent = 'window.ran = 1'; document.head.append(one); setTimeout(done, 3000) })"
    )
    assert refused == "script-src-elem"
    assert page.evaluate("window.ran") is None
    context.close()

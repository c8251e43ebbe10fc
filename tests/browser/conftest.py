"""A page of a synthetic run in a real browser, with the network off."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
from report_synthetic import synthetic_run

from bench.report import style, write_report
from bench.report.plots import FIGURES

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def report_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of a synthetic run, with some of its figures."""
    out = tmp_path_factory.mktemp("browser")
    run = synthetic_run(out / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(style.RC, "savefig.dpi", 80)
        patch.setattr("bench.report.drawing.FIGURES", FIGURES[:6])
        write_report(run, out / "report")
    return out / "report" / "report.html"


@pytest.fixture(scope="session")
def chromium() -> Iterator:
    """Return a browser that answers to Playwright: the system's, or Playwright's own."""
    api = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    found = filter(None, [os.environ.get("BENCH_CHROMIUM"), *map(shutil.which, BROWSERS)])
    program = next(found, "")
    with api.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=program or None, args=["--no-sandbox"]
            )
        except api.Error as error:
            pytest.skip(f"no chromium here; install it with the system's packages ({error.name})")
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium, report_page: Path) -> Iterator:
    """Return a function that opens the page; afterwards no error and no request may be there."""
    heard: list[str] = []
    contexts = []

    def open_page(*, width: int = 1280, height: int = 800, colours: str = "light", **more):
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=colours, **more
        )
        context.set_offline(True)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: heard.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: heard.append(f"error: {error}"))
        page.on("request", lambda request: heard.append(f"request: {request.url[:80]}"))
        page.goto(report_page.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    pages = f"request: {report_page.as_uri()}"[:89]
    assert [one for one in heard if one != pages and not one.startswith("request: data:")] == []

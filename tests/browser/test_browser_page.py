"""The page in a real browser: it sorts, filters, follows a number, and needs nothing beside it."""

import os
from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
WIDTHS = (1280, 390)
TABLE = "#table5 ~ div.layout >> nth=0"


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_and_is_accessible(opened, width, colours):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe")
    page = opened(width=width, height=800, colours=colours, bypass_csp=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate("for (const node of document.querySelectorAll('details')) node.open = true")
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_first_screen_answers(opened, width):
    """Is the speed claim true, by how much, on which machine, how to run it: without scrolling."""
    page = opened(width=width, height=844)
    for words in ("cU-Net faster here?", "time per call", "Imaginary CPU", "bench run table5"):
        box = page.get_by_text(words).first.bounding_box()
        assert box and box["y"] + 10 < 844, words
    folder = os.environ.get("BENCH_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"report-{width}.png")


def test_a_column_sorts_up_and_down(opened):
    page = opened()
    table = page.locator(TABLE).locator("table")
    place = table.locator("thead tr").last.locator("th").all_text_contents().index("Network")
    column = f"tbody tr > :nth-child({place + 1})"
    before = table.locator(column).all_text_contents()
    button = table.get_by_role("button", name="Network")
    button.focus()
    page.keyboard.press("Enter")
    up = table.locator(column).all_text_contents()
    assert sorted(up) == sorted(before) and up != before
    assert table.locator("th[aria-sort=ascending]").count() == 1
    button.click()
    assert table.locator("th[aria-sort=descending]").count() == 1
    assert table.locator(column).first.text_content() == up[-1]


def test_numbers_sort_as_numbers(opened):
    page = opened()
    table = page.locator(TABLE).locator("table")
    heads = table.locator("thead tr").last.locator("th, td").all_text_contents()
    place = heads.index("ours")
    table.get_by_role("button", name="ours", exact=True).first.click()
    texts = table.locator(f"tbody tr > :nth-child({place + 1})").all_text_contents()
    numbers = [float(text.replace(",", "")) for text in texts if text != "-"]
    assert len(numbers) > 3 and numbers == sorted(numbers)


def test_a_filter_leaves_the_rows_with_all_words(opened):
    page = opened()
    rows = page.locator(TABLE).locator("tbody tr")
    field = page.locator("#table5 ~ .filter input").first
    field.fill("no-residual RELEASED")
    shown = [row.text_content() for row in rows.all() if row.is_visible()]
    assert 0 < len(shown) < rows.count()
    assert all("no-residual" in text and "released" in text for text in shown)
    told = page.locator("#table5 ~ .filter").first.inner_text()
    assert f"{len(shown)} of {rows.count()} rows" in told
    field.fill("")
    assert all(row.is_visible() for row in rows.all())


def test_a_number_leads_to_its_record(opened):
    page = opened()
    number = page.locator(TABLE).locator("a.number").first
    target = number.get_attribute("href").removeprefix("#")
    assert "=" in number.get_attribute("title")
    record = page.locator(f"[id='{target}']")
    assert not record.locator("dl").is_visible()
    number.focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.tagName === 'SUMMARY'")
    assert record.locator("dl").is_visible()
    assert "python -m bench run all" in record.inner_text()


def test_a_picture_is_enlarged_and_closed_by_keys(opened):
    page = opened()
    page.locator("figure .zoom").first.focus()
    page.keyboard.press("Enter")
    picture = page.locator("dialog[open] img")
    first = picture.bounding_box()["width"]
    page.keyboard.press("+")
    assert picture.bounding_box()["width"] > 1.2 * first
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert page.evaluate("document.activeElement.className") == "zoom"


def test_the_switch_of_colours(opened):
    page = opened(colours="light")
    back = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(back)
    page.locator("#theme").click()
    dark = page.evaluate(back)
    assert light == "rgb(255, 255, 255)" and dark != light
    page.reload()
    assert page.evaluate(back) == dark


def test_the_page_is_whole_without_script(opened):
    page = opened(java_script_enabled=False)
    assert page.get_by_text("Is a call of the cU-Net faster here?").is_visible()
    assert page.locator("figure img").first.is_visible()
    assert not page.locator("#theme").is_visible()

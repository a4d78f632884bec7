"""The page for every reader: narrow and wide, light and dark, by keyboard and by a screen reader."""

import pytest
from playwright.sync_api import expect

import documents

NARROW, WIDE = {"width": 360, "height": 740}, {"width": 1600, "height": 1000}
LONG = documents.accepting(
    public_url="https://" + "long-" * 30 + "name.example", engine=documents.accepting()["engine"] | {"models": ["m" * 150]},
    gpus=[documents.gpu(name="NVIDIA " + "X" * 90)])


def horizontal_scroll(page):
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


@pytest.mark.parametrize("document", [documents.accepting, lambda: LONG, documents.unknown], ids=["usual", "long", "unknown"])
def test_no_width_scrolls_sideways(machine, open_page, document):
    machine.worker.document = document
    page = open_page()
    for summary in page.locator("summary").all():
        summary.click()
    for width in (320, 360, 480, 600, 900, 1120, 1600, 2560):
        page.set_viewport_size({"width": width, "height": 740})
        assert (width, horizontal_scroll(page)) == (width, 0)
        inner = page.locator(".scroll")
        assert (width, inner.evaluate("node => node.scrollWidth - node.clientWidth")) == (width, 0)


def test_the_colours_follow_the_system(open_page):
    grounds = set()
    for scheme in ("light", "dark"):
        page = open_page(color_scheme=scheme)
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness = sum(map(int, ground[4:-1].split(",")))
        assert (brightness > 384) == (scheme == "light")
        grounds.add(ground)
        # Also while it is open.
        page.emulate_media(color_scheme="dark" if scheme == "light" else "light")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != ground
    assert len(grounds) == 2


@pytest.mark.parametrize("state", [*documents.HEADLINES, *documents.FAILURES])
def test_axe_finds_nothing(open_page, show, axe, state):
    page = open_page()
    page.locator("summary").first.click()
    show(page, state)
    for appearance in ("light", "dark", "narrow"):
        page.set_viewport_size(NARROW if appearance == "narrow" else WIDE)
        page.emulate_media(color_scheme="dark" if appearance == "dark" else "light")
        axe(page)


def test_axe_finds_nothing_when_all_figures_are_unknown_or_old(machine, open_page, show, axe):
    machine.worker.document = documents.unknown
    page = open_page()
    expect(page.locator("#public-url")).to_have_text("N/A")
    axe(page)
    page.emulate_media(color_scheme="dark")
    axe(page)
    show(page, "no_worker")
    expect(page.locator("#age")).to_be_visible(timeout=10000)
    axe(page)
    page.emulate_media(color_scheme="light")
    axe(page)


def test_axe_finds_nothing_on_an_empty_page(machine, open_page, axe):
    machine.worker.stop()
    page = open_page(is_awaited=False)
    expect(page.locator("#fix")).to_be_visible()
    axe(page)


# Every control, in the order of the document.
CONTROLS = """() => [...document.querySelectorAll("a, button, input, select, textarea, summary, [tabindex]")]
    .filter((node) => node.checkVisibility()).map((node) => node.id || node.className || node.textContent)"""
FOCUS = """() => {
    const node = document.activeElement, style = getComputedStyle(node);
    return [node.id || node.className || node.textContent, style.outlineStyle, parseFloat(style.outlineWidth) >= 2];
}"""


@pytest.mark.parametrize("state, expected", [
    ("accepting", ["Utilization as a table", "Utilization as a table", "scroll", "copy-url"]),
    ("no_worker", ["fix", "Utilization as a table", "Utilization as a table", "scroll", "copy-url"]),
])
def test_the_keyboard_reaches_all_in_the_order_of_reading(open_page, show, state, expected):
    page = open_page()
    show(page, state)
    assert page.evaluate(CONTROLS) == expected
    order = []
    for _ in expected:
        page.keyboard.press("Tab")
        order.append(page.evaluate(FOCUS))
    assert [name for name, _, _ in order] == expected
    # The place of the focus can be seen.
    assert all(style == "solid" and is_wide for _, style, is_wide in order)


def test_the_keyboard_opens_the_table_and_scrolls_the_completions(open_page):
    page = open_page()
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("table", name="Utilization of GPU 0 by minute")).to_be_visible()
    completions = page.get_by_role("region", name="Last 50 completions")
    completions.focus()
    page.keyboard.press("End")
    expect(completions.get_by_role("row").last).to_be_in_viewport()


def test_focus_and_open_tables_stay_through_updates(open_page, show):
    page = open_page()
    page.locator("summary").first.click()
    page.locator("#copy-url").focus()
    for state in ("gpu_busy", "accepting"):
        show(page, state)
    assert page.evaluate("document.activeElement.id") == "copy-url"
    assert page.locator("details").first.get_attribute("open") is not None


def test_a_screen_reader_hears_of_states_alone(machine, open_page, show):
    page = open_page()
    assert page.locator("[aria-live]").count() == 1
    expect(page.locator("#announcement")).to_have_text("Ready: Accepting requests")
    show(page, "gpu_busy")
    expect(page.locator("#announcement")).to_have_text("Waiting: Refusing: GPU 0 at 63 %, the limit is 20 %")
    # Neither a second time nor for another figure, and not left over for one who reads on.
    expect(page.locator("#announcement")).to_have_text("")
    text = "Refusing: GPU 0 at 64 %, the limit is 20 %"
    machine.worker.document = lambda: documents.accepting(headline={"state": "gpu_busy", "text": text})
    expect(page.locator("#sentence")).to_have_text(text)
    expect(page.locator("#announcement")).to_have_text("")


def test_the_outline(open_page):
    page = open_page()
    headings = [(node.evaluate("node => node.tagName"), node.inner_text()) for node in page.locator("h1, h2").all()]
    assert headings == [
        ("H1", "Provider status"), ("H2", "GPUs"), ("H2", "Requests"), ("H2", "Report"), ("H2", "Engine"), ("H2", "Workers")]
    for role, names in [("region", ["GPUs", "Requests", "Last 50 completions", "Report", "Engine", "Workers"]),
                        ("table", ["Outcomes, last 15 minutes", "Last 50 completions", "Workers"])]:
        for name in names:
            expect(page.get_by_role(role, name=name, exact=True)).to_have_count(1)


@pytest.mark.parametrize("text_size", ["200%"])
def test_large_text_does_not_scroll_sideways(open_page, text_size):
    page = open_page(viewport={"width": 720, "height": 900})
    page.evaluate("size => { document.documentElement.style.fontSize = size }", text_size)
    assert horizontal_scroll(page) == 0

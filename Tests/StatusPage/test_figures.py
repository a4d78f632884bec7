"""The page shows what status.json says."""

import re

import pytest
from playwright.sync_api import expect

import documents


@pytest.mark.parametrize("state", documents.HEADLINES)
def test_each_headline_has_its_sentence_word_colour_and_icon(machine, open_page, state):
    machine.worker.document = lambda: documents.with_headline(state)
    page = open_page()
    sentence, word = documents.HEADLINES[state]
    expect(page.locator("#sentence")).to_have_text(sentence)
    expect(page.locator("#word")).to_have_text(word)
    expect(page).to_have_title(f"{word}: {sentence}")
    tone = {"Fault": "bad", "Waiting": "wait", "Warning": "wait", "Ready": "good"}[word]
    expect(page.locator("#headline")).to_have_attribute("data-tone", tone)


def test_words_of_different_meaning_have_different_icons(open_page, show):
    page, icons = open_page(), {}
    for state in documents.HEADLINES:
        show(page, state)
        icons.setdefault(documents.HEADLINES[state][1], set()).add(page.locator("#icon").get_attribute("d"))
    assert len({icon for one in ("Fault", "Waiting", "Warning", "Ready") for icon in icons[one]}) == 4


def test_a_state_of_a_later_version_shows_its_sentence(machine, open_page):
    machine.worker.document = documents.accepting(headline={"state": "later", "text": "Something new"})
    page = open_page()
    expect(page.locator("#sentence")).to_have_text("Something new")
    expect(page.locator("#word")).to_have_text("Unknown")


def test_the_figures_of_each_gpu(open_page):
    page = open_page()
    cards = page.locator("#gpus article")
    expect(cards).to_have_count(2)
    first = cards.first
    expect(first.locator("h3")).to_have_text("GPU 0: NVIDIA H100 80GB HBM3")
    for name, text in [("now", "7 %"), ("memory", "21 of 80 GiB"), ("temperature", "41 °C"), ("power", "120.5 W")]:
        expect(first.locator(f'[data-is="{name}"]')).to_have_text(text)
    expect(first.locator('[data-is="summary"]')).to_have_text(re.compile(r"15\sminutes:\smean\s\d+\s%,\shighest\s\d+\s%;\slimit\s20\s%"))
    expect(first.locator(".limit-label")).to_have_text("limit 20 %")
    # A gap in the samples is a gap in the line.
    assert first.locator(".line").get_attribute("d").count("M") == 2
    expect(first.get_by_role("img")).to_have_accessible_name(re.compile(r"Utilization\sof\sGPU\s0\sover\s15\sminutes:\smean"))


def test_the_chart_has_a_table_by_minute(open_page):
    page = open_page()
    page.get_by_text("Utilization as a table").first.click()
    table = page.get_by_role("table", name="Utilization of GPU 0 by minute")
    rows = table.locator("tbody tr")
    expect(rows).to_have_count(15)
    assert re.fullmatch(r"\d\d:\d\d \d+ % \d+ % 21 GiB", " ".join(rows.first.inner_text().replace("\xa0", " ").split()))
    assert "N/A" in table.inner_text()


def test_what_is_not_known_is_not_zero(machine, open_page):
    machine.worker.document = documents.unknown
    page = open_page()
    for name in ("now", "memory", "temperature", "power"):
        expect(page.locator(f'[data-is="{name}"]')).to_have_text("N/A")
    expect(page.locator('[data-is="summary"]')).to_have_text("15 minutes: N/A; limit 20 %")
    for name in ("duration-p50", "duration-p95", "first-p50", "first-p95", "report-outcome", "report-due", "public-url"):
        expect(page.locator(f"#{name}")).to_have_text("N/A")
    expect(page.locator("#report-attempt")).to_have_text("None yet")
    expect(page.locator("#engine-state")).to_have_text("N/A")
    expect(page.locator("#copy-url")).to_be_hidden()
    expect(page.get_by_text("No requests")).to_be_visible()
    expect(page.get_by_text("No completions")).to_be_visible()
    expect(page.locator("#no-models")).to_be_visible()
    assert "NaN" not in page.content() and "Invalid" not in page.content()


def test_a_machine_without_gpus(machine, open_page):
    machine.worker.document = lambda: documents.accepting(
        gpus=[], gpu={"state": "none", "detail": None, "source": None, "sample_age_seconds": None})
    expect(open_page().locator("#gpu-note")).to_have_text("This machine has no GPU, so none can be busy")


def test_an_old_sample_says_its_age(machine, open_page):
    machine.worker.document = lambda: documents.accepting(
        gpu={"state": "idle", "detail": "nvidia-smi: no response", "source": "nvidia-smi", "sample_age_seconds": 42})
    expect(open_page().locator("#gpu-note")).to_have_text(re.compile(r"nvidia-smi:\sno\sresponse;\sThe\sGPUs\swere\sread\s42(\.\d)?\ss\sago"))


def test_requests(open_page):
    page = open_page()
    for name, text in [
            ("in-flight", "2 of 64"), ("duration-p50", "1.5 s"), ("duration-p95", "12 s"), ("first-p50", "200 ms"),
            ("first-p95", "1.1 s")]:
        expect(page.locator(f"#{name}")).to_have_text(text)
    outcomes = page.locator("#outcomes tr")
    expect(outcomes).to_have_count(5)
    expect(outcomes.nth(0).locator("th, td")).to_have_text(["chat", "200 OK", "1,312"])
    expect(outcomes.nth(2).locator("td").first).to_have_text("503 gpu_busy")
    completions = page.locator("#completions tr")
    expect(completions).to_have_count(50)
    assert re.fullmatch(r"\d\d:\d\d:\d\d 200 OK 400 ms", " ".join(completions.first.inner_text().split()))


def test_report_engine_and_workers(open_page):
    page = open_page()
    expect(page.locator("#report-attempt")).to_have_text(re.compile(r"\d\d:\d\d:\d\d\s\(2\smin(\s\d\ss)?\sago\)"))
    expect(page.locator("#report-due")).to_have_text(re.compile(r"\d\d:\d\d:\d\d\s\(in\s(2\smin\s5\d\ss|3\smin)\)"))
    expect(page.locator("#report-outcome")).to_have_text("accepted")
    expect(page.locator("#models li")).to_have_text(["llama3.1:8b", "qwen2.5-coder:32b"])
    expect(page.locator("#engine-state")).to_have_text("Up")
    expect(page.locator("#workers tr").first.locator("th, td")).to_have_text(["provider-fcgi@1", "0.1.0", "2 d 2 h"])


def test_a_report_that_is_late_is_overdue(machine, open_page):
    report = documents.accepting()["report"] | {"next_due": documents.ago(minutes=1)}
    machine.worker.document = lambda: documents.accepting(report=report)
    expect(open_page().locator("#report-due")).to_have_text(re.compile(r"\(1\smin(\s\d\ss)?\sago\),\soverdue"))


@pytest.mark.parametrize("locale, count, power", [("de-DE", "1.312", "120,5 W"), ("en-US", "1,312", "120.5 W")])
def test_numbers_and_times_are_the_readers(open_page, locale, count, power):
    page = open_page(locale=locale, timezone_id="Asia/Tokyo")
    expect(page.locator("#outcomes td.number").first).to_have_text(count)
    expect(page.locator('[data-is="power"]').first).to_have_text(power)
    expected = page.evaluate(
        "async () => { const status = await (await fetch('status.json')).json();"
        f" return new Intl.DateTimeFormat('{locale}', {{hour: '2-digit', timeZone: 'Asia/Tokyo'}}).format(new Date(status.time)) }}")
    assert page.locator("#report-attempt").inner_text()[:2].strip(":") in expected.zfill(2) or locale == "en-US"
    assert ("PM" in page.locator("#report-attempt").inner_text() or "AM" in page.locator("#report-attempt").inner_text()) == (
        locale == "en-US")


def test_foreign_text_is_text(machine, open_page):
    evil = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    machine.worker.document = lambda: documents.accepting(
        headline={"state": "gpu_unknown", "text": evil}, public_url=evil, gpus=[documents.gpu(name=evil)],
        engine=documents.accepting()["engine"] | {"models": [evil]})
    page = open_page()
    expect(page.locator("#sentence")).to_have_text(evil)
    expect(page.locator("#models li")).to_have_text(evil)
    assert page.locator("img, main script").count() == 0


def test_every_figure_has_the_readers_digits(machine, open_page):
    """Arabic has digits of its own: none of ours is left in a figure."""
    machine.worker.document = lambda: documents.accepting(time=documents.ago(seconds=75))
    page = open_page(locale="ar-EG")
    page.locator("summary").first.click()
    figures = page.locator(
        ".tiles dd, .number, .time, .axis, .limit-label, [data-is=summary], #age, #gpu-note, #report-attempt, #report-success, #report-due")
    texts = figures.all_inner_texts()
    assert len(texts) > 100
    assert [text for text in texts if re.search("[0-9]", text.replace("15 min", ""))] == []
    assert re.search("[٠-٩]", figures.first.inner_text())


BUTTONS = [
    ("#fix", "Copy the command", "systemctl start provider-fcgi.target"),
    ("#copy-url", "Copy the URL", "https://violet-otter.ngrok-free.app")]


@pytest.mark.parametrize("key", [None, "Enter", "Space"], ids=["click", "enter", "space"])
def test_the_copy_buttons_copy(open_page, show, key):
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    show(page, "no_worker")
    for selector, label, text in BUTTONS:
        button = page.locator(selector)
        expect(button).to_have_accessible_name(label)
        if key:
            button.press(key)
        else:
            button.click()
        expect(button).to_have_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()") == text
        expect(page.locator("#announcement")).to_have_text(f"Copied: {text}")
    for selector, label, _ in BUTTONS:
        expect(page.locator(selector)).to_have_text(label)


def test_a_browser_that_does_not_copy(open_page):
    page = open_page(script="navigator.clipboard.writeText = () => Promise.reject(new DOMException('', 'NotAllowedError'))")
    button = page.get_by_role("button", name="Copy the URL")
    button.click()
    expect(page.locator("#copy-url")).to_have_text("Cannot copy")
    expect(page.locator("#announcement")).to_have_text("The browser does not allow copying")
    expect(page.locator("#copy-url")).to_have_text("Copy the URL")

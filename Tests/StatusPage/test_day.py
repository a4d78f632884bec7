"""A page that stays open for a day does not grow."""

from pathlib import Path

FAST_CLOCK = (Path(__file__).parent / "day.js").read_text()
# The figures of day.js repeat after that many polls.
CYCLE = 1500


def sizes(page, session):
    session.send("HeapProfiler.collectGarbage")
    metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return {"elements": page.evaluate("document.querySelectorAll('*').length")} | {
        name: metrics[name] for name in ("Nodes", "JSHeapUsedSize", "JSEventListeners")}


def test_a_day_of_polling_does_not_grow(open_page):
    page = open_page(script=FAST_CLOCK)
    for summary in page.locator("summary").all():
        summary.click()
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    # What is not drawn takes a quarter of the time; the tables stay open.
    page.evaluate("document.documentElement.style.display = 'none'")
    page.evaluate(f"walk({CYCLE} + 7 - polls)")
    before, hours = sizes(page, session), 0
    # 29 cycles, 24.2 hours. Each is a call of its own: no call takes longer than a call may.
    for _ in range(29):
        hours = page.evaluate(f"walk({CYCLE})")
    after = sizes(page, session)
    print(f"{hours:.1f} h, {before} and {after}")
    assert hours > 24
    assert after["elements"] == before["elements"]
    assert after["Nodes"] <= before["Nodes"] + 100
    assert after["JSEventListeners"] <= before["JSEventListeners"]
    assert after["JSHeapUsedSize"] < before["JSHeapUsedSize"] + 300_000

"""A page that stays open for a day does not grow."""

# The page's own code polls as always; time runs as fast as the page is done with it. `walk` runs that many polls of 2 s, with
# figures that change in value, number and presence.
FAST_CLOCK = """
(() => {
  let now = Date.parse("2026-11-26T00:00:00Z"), moment = 0, queue = [];
  window.polls = 0;
  performance.now = () => moment;
  window.setInterval = () => 0;
  window.clearTimeout = (id) => { queue = queue.filter((one) => one.id !== id) };
  let ids = 0;
  window.setTimeout = (action, delay) => { queue.push({ id: ++ids, at: moment + delay, action }); return ids };
  AbortSignal.timeout = () => undefined;
  const realFetch = window.fetch;
  let base;
  const stamp = (distance) => new Date(now - distance).toISOString();
  const make = () => {
    const n = window.polls, document = structuredClone(base);
    document.time = stamp(0);
    document.headline = n % 100 < 10 ? { state: "gpu_busy", text: `Refusing: GPU 0 at ${20 + n % 70} %` } : base.headline;
    document.gpus = base.gpus.slice(0, n % 500 < 20 ? 1 : 2).map((gpu) => ({ ...gpu, utilization_percent: n % 101,
      power_watts: n % 7 ? 100 + n % 200 : null,
      history: gpu.history.map((point, index) => ({ ...point, time: stamp(5000 * (179 - index)),
        utilization_percent: (index * 7 + n) % 101 })) }));
    document.completions = base.completions.slice(0, n % 300 < 30 ? n % 50 : 50).map((one, index) =>
      ({ ...one, time: stamp(9000 * index), milliseconds: (n * 37 + index) % 9000 }));
    document.engine.models = Array.from({ length: 1 + n % 5 }, (_, index) => `model-${n % 1000}-${index}`);
    document.requests.last_15_minutes.outcomes = base.requests.last_15_minutes.outcomes.slice(0, 1 + n % 5);
    document.public_url = n % 10 ? `https://name-${n}.example` : null;
    return document;
  };
  window.fetch = async (...options) => {
    base ??= await (await realFetch(...options)).json();
    window.polls += 1;
    if (window.polls % 50 === 0) return new Response("", { status: 502 });
    return new Response(JSON.stringify(make()), { headers: { Date: new Date(now).toUTCString() } });
  };
  window.walk = async (count) => {
    const goal = window.polls + count;
    const idle = () => new Promise((done) => { const port = new MessageChannel(); port.port1.onmessage = done; port.port2.postMessage(0) });
    while (window.polls < goal) {
      queue.sort((a, b) => a.at - b.at);
      const next = queue.shift();
      if (next) { now += next.at - moment; moment = next.at; next.action(); }
      await idle();
    }
    return moment / 3600000;
  };
})();
"""


def sizes(page, session):
    session.send("HeapProfiler.collectGarbage")
    metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return page.evaluate("document.querySelectorAll('*').length"), metrics


def test_a_day_of_polling_does_not_grow(open_page):
    page = open_page(script=FAST_CLOCK)
    page.set_default_timeout(300_000)
    for summary in page.locator("summary").all():
        summary.click()
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    # Both ends at the same point of the figures' cycle.
    page.evaluate("walk(3001 - polls)")
    elements, before = sizes(page, session)
    hours = page.evaluate("walk(43_500 - 1500)")
    hours = page.evaluate("walk(1500)")
    elements_after, after = sizes(page, session)
    print(f"{hours:.1f} h: {elements} and {elements_after} elements;", *(
        f"{name} {before[name]:.0f} and {after[name]:.0f};" for name in ("Nodes", "JSHeapUsedSize", "JSEventListeners")))
    assert hours > 24
    assert abs(elements_after - elements) < 60
    assert after["Nodes"] < before["Nodes"] * 1.1 + 100
    assert after["JSEventListeners"] <= before["JSEventListeners"]
    assert after["JSHeapUsedSize"] < before["JSHeapUsedSize"] + 500_000

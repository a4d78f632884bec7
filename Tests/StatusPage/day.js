// Lets the page's own code poll as always, but time runs as fast as the page is done with it: `walk(count)` runs that many
// polls of 2 s. The figures change in value, number and presence.
(() => {
  let moment = 0, ids = 0, queue = [], status;
  window.polls = 0;
  performance.now = () => moment;
  window.setInterval = () => 0;
  window.setTimeout = (action, delay) => {
    queue.push({ id: ++ids, at: moment + delay, action });
    return ids;
  };
  window.clearTimeout = (id) => { queue = queue.filter((one) => one.id !== id); };
  AbortSignal.timeout = () => undefined;

  const start = Date.parse("2026-11-26T00:00:00Z");
  const text = () => new Date(start + moment).toISOString();
  function advance(n) {
    const recent = status.requests.last_15_minutes, busy = n % 100 < 10;
    status.time = text();
    status.headline = busy
      ? { state: "gpu_busy", text: `Refusing: GPU 0 at ${20 + (n % 70)} %` } : { state: "accepting", text: "Accepting requests" };
    status.gpus = (n % 500 < 20 ? status.all.gpus.slice(0, 1) : status.all.gpus);
    for (const gpu of status.gpus) {
      gpu.utilization_percent = n % 101;
      gpu.power_watts = n % 7 ? 100 + (n % 200) : null;
      if (n % 3 === 0) gpu.history.shift();
      if (n % 3 === 0) gpu.history.push({ time: text(), utilization_percent: (n * 7) % 101, memory_used_bytes: n * 1e6 });
    }
    if (n % 10 === 0) {
      status.all.completions.unshift({ ...status.all.completions.pop(), time: text(), milliseconds: (n * 37) % 9000 });
    }
    status.completions = n % 300 < 30 ? status.all.completions.slice(0, n % 15) : status.all.completions;
    status.engine.models = Array.from({ length: 1 + (n % 5) }, (_, index) => `model-${n}-${index}`);
    recent.outcomes = status.all.outcomes.slice(0, 1 + (n % 5));
    status.public_url = n % 10 ? `https://name-${n}.example` : null;
  }

  const fetchOnce = window.fetch;
  window.fetch = async (...options) => {
    if (!status) {
      status = await (await fetchOnce(...options)).json();
      const { gpus, completions, requests } = status;
      const all = { gpus, completions: completions.slice(0, 16), outcomes: requests.last_15_minutes.outcomes };
      // Not a part of the document.
      Object.defineProperty(status, "all", { value: all });
      // A part of the points, and of the completions below, takes a part of the time.
      for (const gpu of gpus) gpu.history = gpu.history.slice(-30);
    }
    window.polls += 1;
    if (window.polls % 50 === 0) return new Response("", { status: 502 });
    advance(window.polls);
    return new Response(JSON.stringify(status), { headers: { Date: new Date(start + moment).toUTCString() } });
  };

  const channel = new MessageChannel();
  const idle = () => new Promise((done) => {
    channel.port1.onmessage = done;
    channel.port2.postMessage(0);
  });
  window.walk = async (count) => {
    const goal = window.polls + count;
    while (window.polls < goal) {
      queue.sort((a, b) => a.at - b.at);
      const next = queue.shift();
      if (next) {
        moment = next.at;
        next.action();
      }
      await idle();
    }
    await idle();
    return moment / 3600000;
  };
})();

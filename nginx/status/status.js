// Shows status.json, whose keys docs/API.md lists. Foreign text reaches the page through textContent alone.

const POLL = 2000, TIMEOUT = 5000, OLD = 5, SPAN = 900;
const byId = (id) => document.getElementById(id);

// --- Words and numbers --------------------------------------------------------------------------

const SHAPES = {
  good: "M12 2a10 10 0 1 0 0 20a10 10 0 1 0 0-20M7 12.5l3.5 3.5l6.5-7",
  wait: "M12 2a10 10 0 1 0 0 20a10 10 0 1 0 0-20M9.5 8v8M14.5 8v8",
  warn: "M12 3L2 21h20zM12 10v5M12 18v.01",
  bad: "M8 2h8l6 6v8l-6 6H8l-6-6V8zM9 9l6 6M15 9l-6 6",
  unknown: "M12 2a10 10 0 1 0 0 20a10 10 0 1 0 0-20M9 9.5a3 3 0 1 1 3 3.5v1M12 17v.01",
};
// For each state: the colour, the icon and the word. No sign stands alone.
const STATES = {
  no_worker: ["bad", "bad", "Fault"],
  not_responding: ["bad", "bad", "Fault"],
  no_nginx: ["bad", "bad", "Fault"],
  unreadable: ["bad", "bad", "Fault"],
  engine_down: ["bad", "bad", "Fault"],
  gpu_unknown: ["bad", "bad", "Fault"],
  gpu_busy: ["wait", "wait", "Waiting"],
  limit_reached: ["wait", "wait", "Waiting"],
  report_failed: ["wait", "warn", "Warning"],
  accepting: ["good", "good", "Ready"],
};
// What mends a failure to get the status; the headline ends with it.
const FIXES = {
  no_worker: ["The worker is not running", "systemctl start provider-fcgi.target"],
  not_responding: ["The worker is not responding", "systemctl restart provider-fcgi.target"],
  no_nginx: ["nginx is not responding", "systemctl restart nginx"],
};

const locale = navigator.languages;
const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(locale, { timeStyle: "medium" });
const minutes = new Intl.DateTimeFormat(locale, { timeStyle: "short" });
const dates = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });

const known = (value, format) => (value === null || value === undefined ? "N/A" : format(value));
const unit = (format, symbol) => (value) => `${format.format(value)}\u00a0${symbol}`;
const percent = unit(whole, "%"), celsius = unit(whole, "°C"), watts = unit(tenths, "W");
const gibibytes = (bytes) => unit(tenths, "GiB")(bytes / 2 ** 30);
const count = (value) => whole.format(value);
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

function duration(seconds) {
  if (seconds < 1) return unit(whole, "ms")(seconds * 1000);
  if (seconds < 60) return unit(tenths, "s")(seconds);
  const units = [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]];
  const [large, name, small, rest] = units.find(([size]) => seconds >= size);
  const remainder = Math.floor((seconds % large) / small);
  return unit(whole, name)(Math.floor(seconds / large)) + (remainder ? ` ${unit(whole, rest)(remainder)}` : "");
}

// A moment as the reader writes it, with its distance from `now`; both clocks are the provider's.
function moment(text, now) {
  const time = Date.parse(text), distance = Math.round((now - time) / 1000);
  const written = (Math.abs(distance) < 43200 ? clock : dates).format(time);
  if (distance === 0) return `${written} (now)`;
  return `${written} (${distance < 0 ? `in ${duration(-distance)}` : `${duration(distance)} ago`})`;
}

// --- Changing the page in place -----------------------------------------------------------------

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
function set(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

// Fills one child for each item and reuses the children there are, so that the page never grows with time.
function each(parent, items, template, fill) {
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  while (parent.children.length < items.length) parent.append(byId(template).content.firstElementChild.cloneNode(true));
  items.forEach((item, index) => fill(parent.children[index], item, index));
}
function row(node, texts) {
  texts.forEach((text, index) => write(node.cells[index], text));
}
function outcome(cell, { status, code }) {
  write(cell, code ? `${status} ${code}` : status === 200 ? "200 OK" : `${status}`);
  const refused = status === 429 || status === 503 || status === 499;
  set(cell, "data-kind", refused ? "refused" : status >= 400 || code ? "failed" : "done");
}

let silence;
function announce(text) {
  write(byId("announcement"), text);
  clearTimeout(silence);
  silence = setTimeout(() => write(byId("announcement"), ""), 4000);
}

let shownState;
function headline(state, text, command) {
  const [tone, shape, word] = STATES[state] ?? ["", "unknown", "Unknown"];
  set(byId("headline"), "data-state", state);
  set(byId("headline"), "data-tone", tone);
  set(byId("icon"), "d", SHAPES[shape]);
  write(byId("word"), word);
  const full = command ? `${text}: ${command}` : text;
  // A number and its sign stay on one line.
  write(byId("text"), (command ? `${text}: ` : text).replaceAll(" %", "\u00a0%"));
  write(byId("command"), command ?? "");
  byId("fix").hidden = !command;
  byId("fix").dataset.copy = command ?? "";
  document.title = `${word}: ${full}`;
  // A screen reader hears of a new state, not of every percent.
  if (state !== shownState) announce(`${word}: ${full}`);
  shownState = state;
}

// --- GPUs ---------------------------------------------------------------------------------------

// The runs of points without a gap between them: [[x, y], …] each, x in seconds of the span, y in percent from the top.
function runs(history, now) {
  const found = [];
  let last;
  for (const point of history) {
    if (point.utilization_percent === null) continue;
    const x = SPAN - (now - Date.parse(point.time)) / 1000;
    if (x < 0 || x > SPAN) continue;
    // Points are 5 s apart.
    if (last === undefined || x - last > 12) found.push([]);
    found.at(-1).push([x.toFixed(1), (100 - point.utilization_percent).toFixed(1)]);
    last = x;
  }
  return found;
}

function byMinute(history, now) {
  const rows = Array.from({ length: SPAN / 60 }, (_, index) => ({ to: now - index * 60000, utilization: [], memory: [] }));
  for (const point of history) {
    const found = rows[Math.floor((now - Date.parse(point.time)) / 60000)];
    if (found && point.utilization_percent !== null) found.utilization.push(point.utilization_percent);
    if (found && point.memory_used_bytes !== null) found.memory.push(point.memory_used_bytes);
  }
  return rows;
}

function showGPU(card, gpu, now, limit) {
  const part = (name) => card.querySelector(`[data-is="${name}"]`);
  const history = gpu.history ?? [];
  write(card.querySelector("h3"), `GPU ${gpu.index}: ${gpu.name ?? "N/A"}`);
  write(part("now"), known(gpu.utilization_percent, percent));
  const used = gpu.memory_used_bytes, total = gpu.memory_total_bytes;
  const share = (all) => `${known(used, (one) => tenths.format(one / 2 ** 30))} of ${gibibytes(all)}`;
  write(part("memory"), total === null ? known(used, gibibytes) : known(total, share));
  write(part("temperature"), known(gpu.temperature_celsius, celsius));
  write(part("power"), known(gpu.power_watts, watts));
  write(part("top"), percent(100));

  const lines = runs(history, now).map((run) => run.map((point) => point.join(" ")).join("L"));
  set(card.querySelector(".line"), "d", lines.map((line) => `M${line}`).join(""));
  set(card.querySelector(".area"), "d", lines
    .map((line) => `M${line.split(" ")[0]} 100L${line}L${line.split("L").at(-1).split(" ")[0]} 100Z`).join(""));
  const label = card.querySelector(".limit-label");
  label.hidden = limit === undefined;
  set(card.querySelector(".limit"), "d", label.hidden ? "" : `M0 ${100 - limit}H${SPAN}`);
  if (!label.hidden) {
    write(label, `limit ${percent(limit)}`);
    label.style.top = `${100 - limit}%`;
  }

  const values = history.map((point) => point.utilization_percent).filter((value) => value !== null);
  const figures = values.length
    ? `mean ${percent(mean(values))}, highest ${percent(Math.max(...values))}` : "N/A";
  const role = known(limit, (value) => `limit ${percent(value)}`);
  const summary = `15 minutes: ${figures}; ${role}`;
  write(part("summary"), summary);
  set(card.querySelector("svg"), "aria-label", `Utilization of GPU ${gpu.index} over ${summary}`);

  const details = card.querySelector("details");
  set(details.querySelector("table"), "aria-label", `Utilization of GPU ${gpu.index} by minute`);
  if (!details.open) return;
  each(details.querySelector("tbody"), byMinute(history, now), "minute", (node, { to, utilization, memory }) => row(node, [
    minutes.format(to),
    utilization.length ? percent(mean(utilization)) : "N/A",
    utilization.length ? percent(Math.max(...utilization)) : "N/A",
    memory.length ? gibibytes(mean(memory)) : "N/A",
  ]));
}

function showGPUs({ gpu, gpus, settings }, now, age) {
  const sample = gpu?.sample_age_seconds;
  const notes = [];
  if (gpu?.state === "none") notes.push("This machine has no GPU, so none can be busy");
  if (gpu?.detail) notes.push(gpu.detail);
  if (sample !== null && sample !== undefined && sample + age > OLD) notes.push(`The GPUs were read ${duration(sample + age)} ago`);
  write(byId("gpu-note"), notes.join("; ") || "The GPUs cannot be read");
  byId("gpu-note").hidden = notes.length === 0 && gpus.length > 0;
  each(byId("gpus"), gpus, "gpu", (card, one) => showGPU(card, one, now, settings?.busy_threshold));
}

// --- Everything else ----------------------------------------------------------------------------

const endpoint = (name) => (name === "chat_completions" ? "chat" : name);

function showRequests({ requests, completions }) {
  const recent = requests.last_15_minutes;
  write(byId("in-flight"), `${known(requests.in_flight, count)} of ${known(requests.limit, count)}`);
  write(byId("duration-p50"), known(recent.duration_seconds?.p50, duration));
  write(byId("duration-p95"), known(recent.duration_seconds?.p95, duration));
  write(byId("first-p50"), known(recent.time_to_first_byte_seconds?.p50, duration));
  write(byId("first-p95"), known(recent.time_to_first_byte_seconds?.p95, duration));
  byId("no-outcomes").hidden = recent.outcomes.length > 0;
  each(byId("outcomes"), recent.outcomes, "three", (node, one) => {
    write(node.cells[0], endpoint(one.endpoint));
    outcome(node.cells[1], one);
    write(node.cells[2], count(one.count));
  });
  byId("no-completions").hidden = completions.length > 0;
  each(byId("completions"), completions, "completion", (node, one) => {
    write(node.cells[0], clock.format(Date.parse(one.time)));
    outcome(node.cells[1], one);
    write(node.cells[2], known(one.milliseconds, (value) => duration(value / 1000)));
  });
}

function showReport({ report, public_url: url }, now) {
  const at = (text) => known(text, (value) => moment(value, now));
  write(byId("report-attempt"), report ? at(report.last_attempt) : "None yet");
  write(byId("report-outcome"), known(report?.outcome, String));
  write(byId("report-success"), at(report?.last_success));
  const late = report?.next_due && Date.parse(report.next_due) < now;
  write(byId("report-due"), at(report?.next_due) + (late ? ", overdue" : ""));
  write(byId("public-url"), known(url, String));
  byId("copy-url").hidden = !url;
  byId("copy-url").dataset.copy = url ?? "";
}

function showEngine({ engine }) {
  write(byId("engine-state"), engine.up === null ? "N/A" : engine.up ? "Up" : `Down${engine.detail ? `: ${engine.detail}` : ""}`);
  write(byId("engine-url"), known(engine.url, String));
  byId("no-models").hidden = engine.models?.length > 0;
  write(byId("no-models"), engine.up ? "None" : "N/A");
  each(byId("models"), engine.models ?? [], "item", write);
}

function show(status, age) {
  const now = Date.parse(status.time) + age * 1000;
  showGPUs(status, now, age);
  showRequests(status);
  showReport(status, now);
  showEngine(status);
  each(byId("workers"), status.workers, "three", (node, { name, version, since }) =>
    row(node, [name, known(version, String), known(since, (value) => duration((now - Date.parse(value)) / 1000))]));
  byId("figures").hidden = false;
}

// --- Polling ------------------------------------------------------------------------------------

// `lag` is the age that the figures had when they arrived, by the provider's own clock: the reader's may differ.
let last, isAsking = false, timer;
const ageOf = ({ arrived, lag }) => lag + (performance.now() - arrived) / 1000;

function showAge() {
  const age = last ? ageOf(last) : 0;
  byId("age").hidden = !(age > OLD);
  write(byId("age"), age > OLD ? `The figures are ${duration(Math.floor(age))} old` : "");
}

function fail(state) {
  headline(state, ...FIXES[state]);
}

async function ask() {
  let response;
  try {
    response = await fetch("status.json", { cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(TIMEOUT) });
    if (response.status === 502 || response.status === 503) return fail("no_worker");
    if (response.status === 504) return fail("not_responding");
    if (!response.ok) return headline("unreadable", `The worker does not serve its status: HTTP ${response.status}`);
    const status = await response.json();
    const sent = Date.parse(response.headers.get("Date")) || Date.now();
    last = { status, arrived: performance.now(), lag: Math.max(0, (sent - Date.parse(status.time)) / 1000) };
    show(status, last.lag);
    headline(status.headline.state, status.headline.text);
  } catch (error) {
    if (error.name === "TimeoutError") return fail("not_responding");
    if (!response) return fail("no_nginx");
    console.error(error);
    headline("unreadable", "The worker's status cannot be read");
  }
}

async function poll() {
  clearTimeout(timer);
  if (isAsking || document.visibilityState !== "visible") return;
  isAsking = true;
  const started = performance.now();
  await ask();
  isAsking = false;
  showAge();
  timer = setTimeout(poll, Math.max(0, POLL - (performance.now() - started)));
}

async function copy({ target }) {
  const text = target.dataset?.copy;
  if (!text) return;
  target.dataset.label ??= target.textContent;
  try {
    await navigator.clipboard.writeText(text);
    announce(`Copied: ${text}`);
    write(target, "Copied");
  } catch {
    announce("The browser does not allow copying");
    write(target, "Cannot copy");
  }
  setTimeout(() => write(target, target.dataset.label), 2000);
}

document.addEventListener("visibilitychange", poll);
document.addEventListener("click", copy);
// A table that has just been opened is filled at once. This event does not bubble.
document.addEventListener("toggle", () => last && show(last.status, ageOf(last)), true);
setInterval(showAge, 1000);
poll();

// The runs under way, as the server of the page tells; the page loads itself again when others have ended.

const live = document.getElementById("live");
const ASK_SECONDS = 2, BUSY_SECONDS = 4, MOST_CARDS = 12, KEPT = "live";
const about = { answered: 0, touched: 0, menu: false, pending: false };
const part = {
  line: make("p", { class: "counts", role: "status" }),
  bar: make("div", { class: "share" }),
  said: make("p", { class: "muted", role: "status" }),
  title: make("summary", null),
  runs: make("div", { class: "cards" }),
  more: make("details", { class: "more", hidden: true }),
  failed: make("details", { class: "more", hidden: true }),
  again: make("button", { type: "button", hidden: true, click: () => reload() }, "Show new results"),
  moment: make("span", { class: "muted" }),
  itself: make("input", { type: "checkbox", change: () => keep({ itself: part.itself.checked }) }),
};
part.cards = make("details", { hidden: true, toggle: () => keep({ folded: !part.cards.open }) }, part.title, part.runs);
// What is kept in this tab, over the moment in which the page loads itself again.
function kept() {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT)) || {};
  } catch (error) { // nothing can be kept, or it is not ours
    return {};
  }
}
function keep(more) {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify({ ...kept(), ...more }));
  } catch (error) { /* the page is shown as at first */ }
}

// ------------------------------------------------------------ the runs

function time(seconds) {
  if (seconds >= 7200) return `${Math.round(seconds / 3600)} h`;
  const minutes = Math.floor(Math.round(seconds) / 60), rest = Math.round(seconds) % 60;
  if (!minutes) return `${rest} s`;
  return `${minutes} min${minutes < 10 && rest ? ` ${rest} s` : ""}`;
}
function counts({ counts: own, left, working }) {
  const total = Object.values(own).reduce((sum, each) => sum + each, 0);
  const words = Object.entries(own).filter(([name, number]) => number || name === "done").map(([name, number]) => `${number} ${name}`);
  if (!total) return "";
  const rest = left === null || !working ? "" : left < 1 ? "; about to end" : `; about ${time(left)} left`;
  return `${total} runs: ${words.join(", ")}${rest}.`;
}
function share({ counts: own }) {
  const total = Object.values(own).reduce((sum, each) => sum + each, 0) || 1;
  let from = 0;
  return draw("svg", { viewBox: "0 0 100 2", preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" },
    ["done", "failed", "under way", "waiting"].map((name) => {
      const width = (100 * own[name]) / total;
      from += width;
      return draw("rect", { class: name.replace(" ", "-"), x: from - width, y: 0, width, height: 2 });
    }));
}
function card(run) {
  const waits = run.steps <= 1;
  const took = run.seconds === null ? "" : `${time(run.seconds)}${run.expected === null ? "" : run.seconds > run.expected ? ", longer than expected" : ` of about ${time(run.expected)}`}`;
  return make("article", { class: "card run" },
    make("h3", null, run.model),
    make("p", { class: "muted" }, [run.task, run.preset, run.seed === null ? "" : `seed ${run.seed}`].filter(Boolean).join(", ")),
    make("p", null, waits ? run.phase : `${run.phase}, step ${run.done} of ${run.steps}`),
    waits ? null : draw("svg", { class: "steps", viewBox: "0 0 100 2", preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" },
      draw("rect", { class: "waiting", width: 100, height: 2 }), draw("rect", { class: "under-way", width: Math.min(100, (100 * run.done) / run.steps), height: 2 })),
    run.curve ? spark(run) : null,
    run.scalars.length ? make("p", { class: "scalars" }, run.scalars.map(([name, value]) => make("span", null, `${name} ${short(value)}`))) : null,
    make("p", { class: "muted" }, [took, run.holder].filter(Boolean).join("; ")));
}
function spark({ model, curve: { name, points, phases } }) {
  const [width, height, top, bottom] = [260, 74, 8, 16];
  const values = points.map(([, y]) => y).sort((a, b) => a - b);
  const ends = [values[0], values[Math.ceil(0.97 * (values.length - 1))]]; // a first value that is far off squeezes nothing
  const last = points[points.length - 1];
  const toX = scale(points[0][0], last[0], 4, width - 4), toY = scale(ends[0], ends[1], height - bottom, top);
  const at = ([x, y]) => `${toX(x).toFixed(1)},${Math.max(2, toY(y)).toFixed(1)}`;
  return draw("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${name} of ${model} so far, from ${short(points[0][1])} to ${short(last[1])} after ${last[0]} steps` },
    phases.filter(([, from]) => from > points[0][0] && from < last[0]).map(([phase, from]) => draw("path", { class: "real", d: `M${toX(from).toFixed(1)} ${top}V${height - bottom}` }, draw("title", null, phase))),
    draw("polyline", { class: "interval", points: points.map(at).join(" ") }),
    draw("circle", { class: "dot", cx: toX(last[0]), cy: Math.max(2, toY(last[1])), r: 2.5 }),
    draw("text", { x: 4, y: height - 3 }, name), draw("text", { x: width - 4, y: height - 3, "text-anchor": "end" }, `${last[0]} steps`));
}
function told(data) {
  if (!data.there) return data.counts.done ? "The folder is not there any more; this was read before." : "The folder is not there yet.";
  if (data.problem) return `The results below are not the newest, which cannot be shown: ${data.problem}`;
  if (data.working) return "";
  if (data.counts.waiting) return "Nobody is at work in this folder: the same bench run does the runs that wait.";
  return Object.values(data.counts).some(Boolean) ? "All runs have ended." : "Nobody is at work in this folder yet.";
}
function replaced(node, key, ...children) {
  // What is as it was keeps its nodes, so that nothing flickers and no selection is lost.
  if (node.dataset.key === key) return;
  node.dataset.key = key;
  node.replaceChildren();
  add(node, children);
}
function see(data) {
  replaced(part.line, counts(data), counts(data));
  part.bar.hidden = !counts(data);
  const none = live.querySelector(".none");
  if (none) replaced(none, String(data.counts.done + data.counts.failed > 0), data.counts.done + data.counts.failed ? "The first results will be here in a moment." : "No run has finished.");
  replaced(part.bar, JSON.stringify(data.counts), share(data));
  replaced(part.said, told(data), told(data));
  const [shown, others] = [data.runs.slice(0, MOST_CARDS), data.runs.slice(MOST_CARDS)];
  part.cards.hidden = !data.runs.length;
  replaced(part.title, String(data.runs.length), data.runs.length === 1 ? "1 run under way" : `${data.runs.length} runs under way`);
  replaced(part.runs, JSON.stringify(shown), shown.map(card));
  part.more.hidden = !others.length;
  replaced(part.more, JSON.stringify(others), make("summary", null, `${others.length} more under way`), make("ul", null, others.map((run) =>
    make("li", null, `${run.task} ${run.model}${run.seed === null ? "" : ` seed ${run.seed}`}: ${run.phase}${run.steps > 1 ? ` ${run.done}/${run.steps}` : ""}`))));
  part.failed.hidden = !data.failures.length;
  replaced(part.failed, JSON.stringify(data.failures), make("summary", null, `${data.counts.failed} failed`),
    make("ul", null, data.failures.map((each) => make("li", null, `${each.title}: ${each.reason || "no reason is known"}`))));
}

// ------------------------------------------------------------ asking, and loading again

function reading() {
  // Whether loading again would take something away: a dialog, a menu, what is being typed or marked.
  const typing = Date.now() - about.touched < 1000 * BUSY_SECONDS;
  return dialog.open || about.menu || typing || document.hidden || Boolean(document.querySelector("details.columns[open]")) || String(getSelection()) !== "";
}
async function ask() {
  let data = null;
  try {
    const answer = await fetch("progress.json", { cache: "no-store", signal: AbortSignal.timeout(10000) });
    if (answer.ok) data = await answer.json();
  } catch (error) { /* the server has ended, or is busy */ }
  if (data) {
    about.answered = Date.now();
    see(data);
    keep({ data });
    about.pending = data.version !== live.dataset.version;
  }
  const when = about.answered ? new Date(about.answered).toLocaleTimeString() : "";
  part.moment.textContent = data ? `as of ${when}` : `no answer${when ? ` since ${when}` : ""}: is bench watch still running?`;
  step();
}
function step() {
  part.again.hidden = !about.pending;
  if (about.pending && part.itself.checked && !reading()) reload();
}
const tables = () => [...sections[state.task].querySelectorAll(".scroll")];
const choices = () => [...sections[state.task].querySelectorAll(".tool select")];
const parts = () => [...document.querySelectorAll("main details")].filter((each) => !each.closest("section[hidden]"));
const named = (details) => details.querySelector("summary").textContent.replace(/\d+/g, "");
const headings = () => [...document.querySelectorAll("main h2, main h3, main summary")].filter((each) => each.getClientRects().length);
const goals = () => [...document.querySelectorAll("button, select, input, summary, [tabindex]")].filter((each) => each.getClientRects().length);
function placeOf(node) {
  // What a node is called that has the focus: in a table by the name of its row, whatever numbers that has by then.
  const row = node.closest("tr"), label = node.closest("label");
  const text = row ? row.querySelector(".model, th")?.textContent : (label || node).textContent;
  return [node.tagName, node.id, node.className, node.dataset.sort, text, row && [...row.querySelectorAll("button")].indexOf(node)].join("|");
}

function reload() {
  const top = headings().filter((each) => each.getBoundingClientRect().top < 80).pop();
  const at = document.activeElement;
  const view = {
    hash: location.hash,
    anchor: top && TASKS.length ? [top.textContent, top.getBoundingClientRect().top] : null,
    y: window.scrollY,
    open: parts().filter((each) => each.open).map(named),
    boxes: TASKS.length ? tables().map((each) => [each.scrollLeft, each.scrollTop]) : [],
    chosen: TASKS.length ? choices().map((each) => each.value) : [],
    focus: at && at !== document.body ? placeOf(at) : "",
  };
  keep({ view });
  history.scrollRestoration = "manual";
  location.reload();
}
function restore() {
  const { data, view, itself, folded } = kept();
  part.itself.checked = itself !== false;
  part.cards.open = folded === undefined ? matchMedia("(min-width: 40rem)").matches : !folded;
  if (data) see(data);
  keep({ view: null });
  if (!view || view.hash !== location.hash) return;
  parts().forEach((each) => { each.open = view.open.includes(named(each)); });
  if (TASKS.length) {
    choices().forEach((each, index) => {
      const value = view.chosen[index];
      if (each.value === value || ![...each.options].some((option) => option.value === value)) return;
      each.value = value;
      each.dispatchEvent(new Event("change"));
    });
    tables().forEach((each, index) => { [each.scrollLeft, each.scrollTop] = view.boxes[index] || [0, 0]; });
  }
  const same = view.focus && goals().find((each) => placeOf(each) === view.focus);
  if (same) same.focus({ preventScroll: true });
  const top = view.anchor && headings().find((each) => each.textContent === view.anchor[0]);
  window.scrollTo(0, top ? window.scrollY + top.getBoundingClientRect().top - view.anchor[1] : view.y);
}

if (live) {
  add(live, part.line, part.bar, part.said, make("div", { class: "row" }, part.again, make("label", null, part.itself, "Refresh by itself"), part.moment), part.cards, part.more, part.failed);
  for (const kind of ["keydown", "input", "pointerdown", "wheel", "touchmove"]) window.addEventListener(kind, () => { about.touched = Date.now(); }, { passive: true, capture: true });
  // Nothing tells whether the list of a select is open: from the press that may open it, it counts as open.
  document.addEventListener("mousedown", (event) => { about.menu = Boolean(event.target.closest("select")); });
  for (const kind of ["change", "focusout"]) document.addEventListener(kind, () => { about.menu = false; });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); });
  restore();
  ask();
  setInterval(() => { if (!document.hidden) ask(); }, 1000 * ASK_SECONDS);
}

// The cells of a comparison: a table to sort, filter and open. What is shown is in the address of the page.

const DATA = JSON.parse(document.getElementById("data").textContent);
const [BASE, HEAD] = DATA.names;
// Verdicts in the order of their weight; the last are the cells that did not change, which are hidden at first.
const KINDS = ["failed", "missing", "worse", "untested", "not comparable", "better", "new", "no difference", "the same"];
const BAD = ["failed", "missing", "worse", "untested"];
const board = document.getElementById("cells"), dialog = document.getElementById("detail");
const counts = new Map(KINDS.map((kind) => [kind, DATA.cells.filter((cell) => cell.kind === kind).length]));
const tasks = [...new Set(DATA.cells.map((cell) => cell.task))];
const text = (number) => DATA.texts[number];
const identity = (cell) => [cell.task, cell.model, cell.checkpoint, cell.metric];
const tone = (verdict) => (verdict === "better" ? "better" : BAD.includes(verdict) ? "worse" : "muted");

// ------------------------------------------------------------ state, in the address

const state = { kinds: [], task: "", filter: "", sort: "", cell: [] };
const usual = () => {
  const changed = KINDS.slice(0, -1).filter((kind) => counts.get(kind));
  return changed.length ? changed : ["the same"];
};

function read() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const kinds = asked.getAll("verdict").filter((kind) => KINDS.includes(kind));
  state.kinds = asked.has("verdict") ? kinds : usual();
  state.task = tasks.includes(asked.get("task")) ? asked.get("task") : "";
  state.filter = asked.get("filter") || "";
  state.sort = asked.get("sort") || "";
  state.cell = asked.getAll("cell");
}
function write() {
  const kept = new URLSearchParams();
  if (state.kinds.join() !== usual().join()) (state.kinds.length ? state.kinds : [""]).forEach((kind) => kept.append("verdict", kind));
  if (state.task) kept.set("task", state.task);
  if (state.filter) kept.set("filter", state.filter);
  if (state.sort) kept.set("sort", state.sort);
  state.cell.forEach((part) => kept.append("cell", part));
  history.replaceState(null, "", "#" + kept);
}

// ------------------------------------------------------------ cells in their order

// What a column is sorted by; null comes last in both orders.
const KEYS = {
  verdict: (cell) => KINDS.indexOf(cell.kind),
  task: (cell) => cell.task,
  model: (cell) => cell.model,
  metric: (cell) => cell.metric,
  base: (cell) => cell.means[0],
  head: (cell) => cell.means[1],
  difference: (cell) => (cell.difference.length ? -Math.abs(cell.difference[0]) / (Math.abs(cell.means[0]) || 1) : null),
  p: (cell) => cell.p,
};
function sorted() {
  const backwards = state.sort.startsWith("-"), key = KEYS[state.sort.replace(/^-/, "")] || KEYS.verdict;
  const wanted = state.filter.toLowerCase();
  const found = DATA.cells.filter((cell) => state.kinds.includes(cell.kind) && (!state.task || cell.task === state.task)
    && `${cell.model} ${cell.checkpoint} ${cell.metric}`.toLowerCase().includes(wanted));
  return found.sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === null || y === null) return (x === null) - (y === null);
    return (x < y ? -1 : x > y ? 1 : 0) * (backwards ? -1 : 1);
  });
}
// Differences in one metric of one task share an axis, which those that are far off do not squeeze.
const axes = new Map();
DATA.cells.filter((cell) => cell.difference.length && cell.kind !== "the same").forEach((cell) => {
  const name = JSON.stringify([cell.task, cell.metric]);
  axes.set(name, [...(axes.get(name) || []), ...cell.difference.map(Math.abs)]);
});
axes.forEach((ends, name) => {
  ends.sort((a, b) => a - b);
  axes.set(name, Math.min(ends[ends.length - 1], 4 * ends[Math.floor(ends.length / 2)]) || ends[ends.length - 1] || 1);
});

// ------------------------------------------------------------ the table

const signed = (value) => (value > 0 ? "+" : value < 0 ? "−" : "") + String(Number(Math.abs(value).toPrecision(3)));
function size(cell) {
  const [mean, low, high] = cell.difference;
  if (mean === undefined) return "";
  return signed(mean) + (low === undefined ? "" : ` [${signed(low)}, ${signed(high)}]`);
}
function sortBy(name) {
  // In one order, in the other one, then by the weight of the verdicts again.
  state.sort = state.sort === name ? "-" + name : state.sort === "-" + name ? "" : name;
  write();
  table();
  board.querySelector(`[data-sort="${name}"]`).focus();
}
function heading(name, label, note = "", number = false) {
  const order = state.sort === name ? "ascending" : state.sort === "-" + name ? "descending" : null;
  return make("th", { scope: "col", "aria-sort": order, class: number ? "number" : null },
    make("button", { type: "button", "data-sort": name, title: "sort", click: () => sortBy(name) }, label + (order ? (order === "ascending" ? " ▲" : " ▼") : "")),
    note ? make("small", null, note) : null);
}
function line(cell) {
  const test = cell.p === null ? "" : `${cell.p < 0.0001 ? "p < 0.0001" : `p = ${Number(cell.p.toPrecision(2))}`}, ${cell.test}`;
  const drawn = cell.difference.length && cell.kind !== "the same";
  return make("tr", null,
    make("th", { scope: "row" }, make("button", { type: "button", class: "model", tabindex: "-1", click: () => show(cell) }, cell.model), cell.checkpoint && cell.checkpoint !== "final" ? make("small", null, ` ${cell.checkpoint}`) : null),
    tasks.length > 1 ? make("td", null, cell.task) : null,
    make("td", null, cell.metric ? `${cell.metric} ${cell.arrow}` : "(run)", cell.unit ? make("small", null, ` ${cell.unit}`) : null),
    make("td", { class: "number" }, cell.metric ? short(cell.means[0]) : ""),
    make("td", { class: "number" }, cell.metric ? short(cell.means[1]) : ""),
    make("td", { class: "drawn" }, drawn ? [make("span", null, size(cell), cell.distance ? make("small", null, " distance") : null), difference(cell.difference, axes.get(JSON.stringify([cell.task, cell.metric])), tone(cell.verdict))] : null),
    make("td", null, make("span", { class: tone(cell.verdict) }, cell.kind), " ",
      test ? make("small", { class: "test" }, test) : drawn || cell.kind === "the same" ? null : make("small", { class: "reason" }, text(cell.words))));
}
function table() {
  const cells = sorted();
  const head = make("tr", null, heading("model", "model"), tasks.length > 1 ? heading("task", "task") : null, heading("metric", "metric"),
    heading("base", "base", "", true), heading("head", "head", "", true), heading("difference", "difference", "head − base [95 % interval]"),
    heading("verdict", "verdict"));
  const grid = make("table", { role: "grid", "aria-label": "Cells of the comparison" }, make("thead", null, head), make("tbody", null, cells.map(line)));
  grid.addEventListener("keydown", arrowKeys);
  board.querySelector(".scroll").replaceChildren(grid);
  const first = grid.querySelector("tbody button");
  if (first) first.tabIndex = 0;
  board.querySelector(".shown").textContent = `${cells.length} of ${DATA.cells.length} cells${state.sort ? `, sorted by ${state.sort.replace(/^-/, "")}` : ", by the weight of the verdict"}.`;
}
function controls() {
  const redraw = () => { write(); table(); };
  const kinds = KINDS.filter((kind) => counts.get(kind));
  return [
    make("fieldset", { class: "kinds" }, make("legend", null, "Verdicts"), kinds.map((kind) => make("label", null, make("input", {
      type: "checkbox", value: kind, checked: state.kinds.includes(kind),
      change: (event) => { state.kinds = KINDS.filter((each) => (each === kind ? event.target.checked : state.kinds.includes(each))); redraw(); },
    }), make("span", { class: tone(kind) }, kind), ` (${counts.get(kind)})`))),
    make("div", { class: "row" },
      make("label", null, "Filter", make("input", { type: "search", value: state.filter, placeholder: "part of a model or metric", input: (event) => { state.filter = event.target.value; redraw(); } })),
      tasks.length > 1 ? make("label", null, "Task", make("select", { class: "task", change: (event) => { state.task = event.target.value; redraw(); } },
        make("option", { value: "" }, "all"), tasks.map((each) => make("option", { value: each, selected: each === state.task }, each)))) : null)];
}

// ------------------------------------------------------------ what is behind a cell

function show(cell) {
  state.cell = identity(cell);
  write();
  const model = DATA.models.find((each) => each.task === cell.task && each.model === cell.model);
  const unit = cell.unit ? ` ${cell.unit}` : "";
  dialog.replaceChildren();
  add(dialog, make("div", { class: "row" }, make("h2", { id: "detail-title" }, [cell.model, cell.metric].filter(Boolean).join(": ")),
    make("button", { type: "button", class: "close", autofocus: true, click: () => dialog.close() }, "Close")),
  make("p", { class: "muted" }, [cell.task, cell.checkpoint, cell.meaning].filter(Boolean).join("; ")),
  make("p", null, make("strong", { class: tone(cell.verdict) }, cell.kind), cell.kind === text(cell.words) ? "." : `: ${text(cell.words)}.`),
  cell.difference.length && cell.kind !== "the same" ? make("p", null, `Difference${cell.distance ? " of the distance from the real data's value" : ""}, head − base: `, make("strong", null, size(cell) + unit), `, n = ${cell.n}.`) : null,
  cell.seeds.length && cell.metric ? [make("h3", null, "Seeds, paired"), dumbbells(cell), seedTable(cell, model)] : null,
  signatures(cell), configuration(model), commands(model));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}
function dumbbells(cell) {
  // A line for each seed from base (hollow) to head (filled).
  const known = cell.values.flat().filter((value) => value !== null);
  if (!known.length) return null;
  const [low, high] = [Math.min(...known), Math.max(...known)], room = 0.06 * (high - low || Math.abs(high) || 1);
  const width = Math.max(240, Math.min(560, document.documentElement.clientWidth - 80)), step = 18, left = 62;
  const height = step * cell.seeds.length + 24;
  const at = scale(low - room, high + room, left, width - 10);
  return draw("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Base and head in ${cell.seeds.length} seeds; the same numbers are in the table below.` },
    cell.seeds.map((seed, index) => {
      const y = 12 + step * index, [a, b] = cell.values.map((side) => side[index]);
      return [draw("text", { x: 0, y: y + 4 }, `seed ${seed}`), draw("path", { class: "axis", d: `M${left} ${y}H${width - 10}` }),
        a !== null && b !== null ? draw("path", { class: "pair", d: `M${at(a)} ${y}H${at(b)}` }) : null,
        a === null ? null : draw("circle", { class: "base dot", cx: at(a), cy: y, r: 4 }),
        b === null ? null : draw("circle", { class: `dot ${tone(cell.verdict)}`, cx: at(b), cy: y, r: 4 })];
    }),
    draw("text", { x: left, y: height - 4 }, short(low)), draw("text", { x: width - 10, y: height - 4, "text-anchor": "end" }, `${short(high)}; hollow: base, filled: head`));
}
function scrolled(label, header, rows, numbers = []) {
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, make("table", null,
    make("thead", null, make("tr", null, header.map((name, index) => make("th", { scope: "col", class: numbers.includes(index) ? "number" : null }, name)))),
    make("tbody", null, rows.map(([first, ...rest]) => make("tr", null, make("th", { scope: "row" }, first),
      rest.map((each, index) => make("td", { class: numbers.includes(index + 1) ? "number" : null }, each)))))));
}
function seedTable(cell, model) {
  const run = (side, seed) => {
    const found = model && model.sides[side].runs.find((each) => each.seed === seed);
    return found ? [make("code", null, found.id), found.status === "ok" ? "" : ` ${found.status}`] : "";
  };
  return scrolled("Seeds", ["seed", "base", "head", "head − base", "run of base", "run of head"], cell.seeds.map((seed, index) => {
    const [a, b] = cell.values.map((side) => side[index]);
    return [String(seed), short(a), short(b), a === null || b === null ? "" : signed(b - a), run(0, seed), run(1, seed)];
  }), [1, 2, 3]);
}
function signatures(cell) {
  const [a, b] = cell.signatures.map((side) => side.map(text));
  if (!a.length && !b.length) return null;
  const list = (side, title) => [make("dt", null, title), make("dd", null, side.length ? side.map((each) => make("code", null, each)) : "none")];
  return [make("h3", null, "How it was computed"),
    a.join() === b.join() ? make("p", null, "On both sides ", make("code", null, a.join(" and ")), ".") : make("dl", null, list(a, "base"), list(b, "head"))];
}
function configuration(model) {
  if (!model) return null;
  const title = make("h3", null, "What differs between base and head");
  if (!model.known) return [title, make("p", { class: "muted" }, "Not known: one side has no records of this model.")];
  if (!model.differences.length) return [title, make("p", null, "Nothing: fields, code, versions, commit, machine and data are the same.")];
  return [title, scrolled("What differs", ["what", "base", "head"], model.differences.map(([name, a, b]) => [name, a || "none", b || "none"]))];
}
function commands(model) {
  const known = (model ? model.sides : []).map((side, index) => [["base", "head"][index], side.command]).filter(([, command]) => command);
  return known.length ? [make("h3", null, "To run them again"), known.map(([name, command]) => [make("p", null, name), make("pre", { class: "command", tabindex: "0" }, command)])] : null;
}
dialog.addEventListener("close", () => { state.cell = []; write(); });
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

// ------------------------------------------------------------ the page

function build() {
  board.replaceChildren(board.firstElementChild);
  add(board, controls(), make("div", { class: "scroll" }), make("p", { class: "muted" }, make("span", { class: "shown", role: "status" }),
    " A model's name opens the cell: its seeds, signatures, what differs, commands; arrow keys move between rows. Differences in one metric of one task share an axis; the dashed line is zero."));
  table();
  const cell = DATA.cells.find((each) => JSON.stringify(identity(each)) === JSON.stringify(state.cell));
  if (cell) show(cell);
}
document.querySelector("header .tools").hidden = false;
document.querySelector(".plain").hidden = true;
board.hidden = !DATA.cells.length;
window.addEventListener("hashchange", () => { read(); build(); });
read();
build();

// The table of scores: what is shown is in the address of the page, so that a link shows the same.

const TASKS = JSON.parse(document.getElementById("data").textContent).tasks;
// Where the values of a cell are.
const [TEXT, STYLE, MEAN, LOW, HIGH, N, MIDDLE, MIDDLE_LOW, MIDDLE_HIGH, SIGNATURE, BECAUSE, SEEDS] = [...Array(12).keys()];
const GROUPS = { real: "Real data", contender: "Contenders", control: "Controls, there to be beaten" };
const COSTS = ["seconds", "tokens", "updates"];
const sections = [...document.querySelectorAll("section.task")];
const dialog = document.getElementById("detail");

// ------------------------------------------------------------ state, in the address

const state = { task: 0, columns: [], sort: "", filter: "", hide: [], steps: false, cell: [], samples: [], seed: "", alone: false };
const task = () => TASKS[state.task];

function read() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const index = TASKS.findIndex((each) => each.title === asked.get("task"));
  state.task = Math.max(0, index);
  const known = new Set(task().metrics.map((metric) => metric.name));
  const columns = asked.getAll("column").filter((name) => known.has(name));
  state.columns = columns.length ? columns : task().shown.slice();
  state.sort = asked.get("sort") || "";
  state.filter = asked.get("filter") || "";
  state.hide = asked.getAll("hide");
  state.steps = asked.has("steps");
  state.cell = asked.getAll("cell");
  state.samples = asked.getAll("samples").filter((model) => model in task().models);
  state.seed = asked.get("seed") || "";
  state.alone = asked.has("alone");
}
function write() {
  const kept = new URLSearchParams();
  if (TASKS.length > 1) kept.set("task", task().title);
  if (state.columns.join("\n") !== task().shown.join("\n")) state.columns.forEach((name) => kept.append("column", name));
  if (state.sort) kept.set("sort", state.sort);
  if (state.filter) kept.set("filter", state.filter);
  state.hide.forEach((group) => kept.append("hide", group));
  if (state.steps) kept.set("steps", "1");
  state.cell.forEach((part) => kept.append("cell", part));
  state.samples.forEach((model) => kept.append("samples", model));
  if (state.seed) kept.set("seed", state.seed);
  if (state.alone) kept.set("alone", "1");
  history.replaceState(null, "", "#" + kept);
}

// ------------------------------------------------------------ rows in their order

const metricAt = (name) => task().metrics.findIndex((metric) => metric.name === name);

function goodness(metric, mean) {
  // The smaller the better.
  if (metric.direction === "higher") return -mean;
  return metric.direction === "real" && metric.real !== null ? Math.abs(mean - metric.real) : mean;
}
function blocks() {
  // The rows of each model together, final score first; sorted by the final score.
  const found = [];
  for (const row of task().rows) {
    const last = found[found.length - 1];
    if (last && last[0].model === row.model && row.checkpoint !== "final") last.push(row);
    else found.push([row]);
  }
  const backwards = state.sort.startsWith("-"), name = state.sort.replace(/^-/, "");
  const index = metricAt(name), sign = backwards ? -1 : 1;
  if (name === "model") found.sort((a, b) => sign * (a[0].label < b[0].label ? -1 : a[0].label > b[0].label ? 1 : 0));
  else if (index >= 0) {
    const key = ([row]) => (isCell(row.cells[index]) ? goodness(task().metrics[index], row.cells[index][MEAN]) : NaN);
    found.sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      return Number.isNaN(x) || Number.isNaN(y) ? Number.isNaN(x) - Number.isNaN(y) : sign * (x - y);
    });
  }
  return found;
}
function visibleRows() {
  const wanted = state.filter.toLowerCase();
  return blocks()
    .filter(([row]) => !state.hide.includes(row.group) && (row.group === "real" || row.model.toLowerCase().includes(wanted)))
    .flatMap((rows) => (state.steps ? rows : rows.slice(0, 1)));
}

// ------------------------------------------------------------ the table

function interval(metric, cell, group) {
  const [width, height, edge] = [112, 12, 5];
  const [low, high] = metric.axis;
  const at = (value) => edge + ((Math.min(Math.max(value, low), high) - low) / (high - low || 1)) * (width - 2 * edge);
  const beyond = cell[MEAN] < low ? -1 : cell[MEAN] > high ? 1 : 0;
  const kind = group === "control" ? " control" : "";
  const middle = height / 2;
  const x = at(cell[MEAN]);
  return draw("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true", focusable: "false" },
    draw("path", { class: "axis", d: `M${edge} ${middle}H${width - edge}` }),
    metric.real !== null && metric.real >= low && metric.real <= high
      ? draw("path", { class: "real", d: `M${at(metric.real)} 0V${height}` }) : null,
    cell[LOW] !== null && !beyond
      ? draw("path", { class: "interval" + kind, d: `M${at(cell[LOW])} ${middle}H${at(cell[HIGH])}` }) : null,
    beyond
      ? draw("path", { class: "dot" + kind, d: `M${x} ${middle - 4}l${4 * beyond} 4l${-4 * beyond} 4Z` })
      : draw("circle", { class: "dot" + kind, cx: x, cy: middle, r: 3 }));
}
function mark(row) {
  const best = task().best;
  if (!best || row.checkpoint !== "final") return null;
  if (row.model === best.model) return ["best", "best mean"];
  return best.alike.includes(row.model) ? ["alike", "best set"] : null;
}
function heading(name, label, note, sorted) {
  return make("th", { scope: "col", "aria-sort": sorted },
    make("button", { type: "button", "data-sort": name, title: "sort", click: () => sortBy(name) }, label),
    make("small", null, note));
}
function sortBy(name) {
  // Best first, worst first, then the leaderboard's own order again.
  state.sort = state.sort === name ? "-" + name : state.sort === "-" + name ? "" : name;
  write();
  table();
  const again = sections[state.task].querySelector(`[data-sort="${CSS.escape(name)}"]`);
  if (again) again.focus();
}
function order(name, metric) {
  if (state.sort.replace(/^-/, "") !== name) return null;
  if (metric && metric.direction === "real") return "other";
  const downwards = Boolean(metric && metric.direction === "higher") !== state.sort.startsWith("-");
  return downwards ? "descending" : "ascending";
}
function table() {
  const columns = state.columns.map((name) => [metricAt(name), task().metrics[metricAt(name)]]);
  const rows = visibleRows();
  const arrows = { ascending: " ▲", descending: " ▼", other: " ▲" };
  const head = make("tr", null,
    heading("model", "model" + (arrows[order("model")] || ""), "", order("model")),
    columns.map(([, metric]) => {
      const sorted = order(metric.name, metric);
      return heading(metric.name, `${metric.name} ${metric.arrow}${sorted ? arrows[sorted] : ""}`.trim(), metric.unit || "\u00a0", sorted);
    }),
    make("th", { scope: "col", class: "number" }, "n"));
  const bodies = Object.entries(GROUPS).map(([group, title]) => {
    const own = rows.filter((row) => row.group === group);
    if (!own.length) return null;
    const named = group === "real" ? null
      : make("tr", null, make("th", { scope: "rowgroup", colspan: columns.length + 2 }, title));
    return make("tbody", null, named, own.map((row) => line(row, columns)));
  });
  const grid = make("table", { role: "grid", "aria-label": `Scores, ${task().title}` }, make("thead", null, head), bodies);
  grid.addEventListener("keydown", arrowKeys);
  const box = sections[state.task].querySelector(".board .scroll");
  box.replaceChildren(grid);
  const first = grid.querySelector("tbody button");
  if (first) first.tabIndex = 0;
  const models = new Set(rows.map((row) => row.model)).size;
  const sorted = state.sort ? `, sorted by ${state.sort.replace(/^-/, "")}, ${state.sort.startsWith("-") ? "worst" : "best"} first` : "";
  sections[state.task].querySelector(".board .shown").textContent =
    `${models} of ${Object.keys(task().models).length} rows${sorted}.`;
}
function bestSet() {
  // The best model and those that the seeds do not separate from it, as one set.
  const best = task().best;
  if (!best) return null;
  const index = metricAt(best.metric);
  const rows = task().rows.filter((row) => row.checkpoint === "final" && mark(row)).sort((a, b) => (a.model === best.model ? -1 : b.model === best.model ? 1 : 0));
  const others = best.compared - best.alike.length;
  return make("div", { class: "set", role: "group", "aria-label": "The best set" },
    make("strong", null, `Best set by ${best.metric}:`),
    rows.map((row) => make("button", { type: "button", class: mark(row)[0], click: () => show(row, index) }, row.model + (row.group === "control" ? " (control)" : ""))),
    make("span", { class: "muted" }, best.alike.length ? `${best.model} has the best mean; the seeds do not separate these.` : "the seeds separate it from the others.",
      others ? ` ${others} others that may win are worse.` : ""));
}
function line(row, columns) {
  const standing = mark(row);
  const open = (index) => () => show(row, index);
  const name = make("th", { scope: "row" },
    make("button", { type: "button", class: "model", tabindex: "-1", click: open(metricAt(task().headline)) }, row.label),
    standing ? make("span", { class: "mark" }, standing[1]) : null);
  const cells = row.cells.length
    ? columns.map(([index, metric]) => {
      const cell = row.cells[index];
      const tag = isCell(cell) && { strong: "strong", emphasis: "em" }[cell[STYLE]];
      const text = isCell(cell) ? cell[TEXT] : "n/a";
      return make("td", null, make("button", { type: "button", class: "cell", tabindex: "-1", click: open(index) },
        tag ? make(tag, null, text) : make("span", null, text), isCell(cell) ? interval(metric, cell, row.group) : null));
    })
    : make("td", { colspan: columns.length || 1 }, make("p", { class: "failed" }, row.failed || "no result"));
  const classes = [row.group, row.checkpoint === "final" ? "" : "sub", row.ranked ? "" : "unranked", standing ? standing[0] : ""];
  return make("tr", { class: classes.filter(Boolean).join(" ") }, name, cells, make("td", { class: "number" }, make("span", { class: "cell" }, row.seeds)));
}

// ------------------------------------------------------------ its controls

function toggle(text, checked, change) {
  return make("label", null, make("input", { type: "checkbox", checked, change: (event) => change(event.target.checked) }), text);
}
function controls() {
  const redraw = () => { write(); table(); };
  const groups = ["contender", "control"].filter((group) => task().rows.some((row) => row.group === group));
  const steps = task().rows.some((row) => row.checkpoint !== "final");
  return make("div", { class: "row" },
    make("label", null, "Filter", make("input", { type: "search", value: state.filter, placeholder: "part of a name", input: (event) => { state.filter = event.target.value; redraw(); } })),
    groups.length > 1 ? groups.map((group) => toggle(group + "s", !state.hide.includes(group), (on) => {
      state.hide = on ? state.hide.filter((each) => each !== group) : [...state.hide, group];
      redraw();
    })) : null,
    steps ? toggle("other training steps", state.steps, (on) => { state.steps = on; redraw(); }) : null,
    make("button", { type: "button", class: "save-csv", click: () => save("csv") }, "Save CSV"),
    make("button", { type: "button", class: "save-json", click: () => save("json") }, "Save JSON"));
}
function columnChoice() {
  const title = make("summary", null);
  const name = () => { title.textContent = `Columns: ${state.columns.length} of ${task().metrics.length}`; };
  const themes = new Map();
  task().metrics.forEach((metric) => themes.set(metric.theme, [...(themes.get(metric.theme) || []), metric.name]));
  const boxes = [];
  const change = () => { name(); write(); table(); };
  const choose = (metric, on) => {
    state.columns = on ? [...state.columns, metric] : state.columns.filter((each) => each !== metric);
    change();
  };
  const usual = () => {
    state.columns = task().shown.slice();
    boxes.forEach((box) => { box.checked = state.columns.includes(box.value); });
    change();
  };
  name();
  return make("details", { class: "columns" }, title, make("div", null,
    [...themes].map(([theme, metrics]) => make("fieldset", null, make("legend", null, theme), metrics.map((metric) => {
      const box = make("input", { type: "checkbox", value: metric, checked: state.columns.includes(metric), change: (event) => choose(metric, event.target.checked) });
      boxes.push(box);
      return make("label", null, box, metric);
    })))),
    make("button", { type: "button", click: usual }, "Headline columns"));
}
function save(form) {
  const columns = state.columns.map((name) => [name, metricAt(name)]);
  const lines = visibleRows().map((row) => {
    const common = { task: task().title, model: row.model, checkpoint: row.checkpoint, role: row.group, seeds: row.seeds };
    const scores = columns.map(([name, index]) => [name, isCell(row.cells[index]) ? row.cells[index] : null]);
    return [common, scores];
  });
  let text;
  if (form === "json") {
    text = JSON.stringify(lines.map(([common, scores]) => ({ ...common, scores: Object.fromEntries(scores.map(([name, cell]) => [name, cell && {
      shown: cell[TEXT], mean: cell[MEAN], low: cell[LOW], high: cell[HIGH], n: cell[N], signature: task().texts[cell[SIGNATURE]], unit: task().metrics[metricAt(name)].unit,
    }])) })), null, 1);
  } else {
    const head = ["task", "model", "checkpoint", "role", "seeds", ...columns.flatMap(([name]) => [name, `${name}_low`, `${name}_high`])];
    const body = lines.map(([common, scores]) => [...Object.values(common), ...scores.flatMap(([, cell]) => (cell ? [cell[MEAN], cell[LOW], cell[HIGH]] : ["", "", ""]))]);
    text = [head, ...body].map((cells) => cells.map(csv).join(",") + "\n").join("");
  }
  const link = make("a", { href: URL.createObjectURL(new Blob([text], { type: form === "csv" ? "text/csv" : "application/json" })), download: `leaderboard.${form}` });
  link.click();
  URL.revokeObjectURL(link.href);
}
function csv(value) {
  if (value === null || typeof value === "number") return value === null ? "" : String(value);
  const text = /^'*[=+\-@\t\r\n＝＋－＠]/.test(value) ? `'${value}` : value; // no formula to a spreadsheet
  return /[",\n\r]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
}

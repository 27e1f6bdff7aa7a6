"use strict";
// Draws what can be sorted, filtered and opened, from the data in the page. Text from elsewhere only ever becomes the
// text of a node or the value of an attribute: nothing here is parsed as HTML.
(() => {
  const TASKS = JSON.parse(document.getElementById("data").textContent).tasks;
  // Where the values of a cell are.
  const [TEXT, STYLE, MEAN, LOW, HIGH, N, MIDDLE, MIDDLE_LOW, MIDDLE_HIGH, SIGNATURE, BECAUSE, SEEDS] = [...Array(12).keys()];
  const GROUPS = { real: "Real data", contender: "Contenders", control: "Controls, there to be beaten" };
  const COSTS = ["seconds", "tokens", "updates"];
  const sections = [...document.querySelectorAll("section.task")];
  const dialog = document.getElementById("detail");

  // ---------------------------------------------------------------- nodes

  function make(name, attributes, ...children) {
    return fill(document.createElement(name), attributes, children);
  }
  function draw(name, attributes, ...children) {
    return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
  }
  function fill(node, attributes, children) {
    for (const [key, value] of Object.entries(attributes || {})) {
      if (typeof value === "function") node.addEventListener(key, value);
      else if (value === true) node.setAttribute(key, "");
      else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value);
    }
    return add(node, children);
  }
  function add(node, ...children) {
    node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
    return node;
  }
  const isCell = (cell) => Array.isArray(cell);
  const verse = (text) => (text ? text.split(" / ").join("\n") : "(nothing)");
  const short = (value) =>
    value === null ? "n/a" : Math.abs(value) >= 1000 ? value.toLocaleString("en", { maximumFractionDigits: 0 }) : String(Number(value.toPrecision(5)));

  // ---------------------------------------------------------------- state, in the address

  const state = { task: 0, columns: [], sort: "", filter: "", hide: [], steps: false, cell: [], samples: [], seed: "" };
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
    history.replaceState(null, "", "#" + kept);
  }

  // ---------------------------------------------------------------- rows in their order

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

  // ---------------------------------------------------------------- the table

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
    const direction = sorted === null ? null : sorted;
    return make("th", { scope: "col", "aria-sort": direction },
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
    const downwards = (metric && metric.direction === "higher") !== state.sort.startsWith("-");
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
    const index = metricAt(task().headline);
    const rows = task().rows.filter((row) => row.checkpoint === "final" && mark(row)).sort((a, b) => (a.model === best.model ? -1 : b.model === best.model ? 1 : 0));
    const others = best.compared - best.alike.length;
    return make("div", { class: "set", role: "group", "aria-label": "The best set" },
      make("strong", null, `Best set by ${task().headline}:`),
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
  function arrowKeys(event) {
    const step = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[event.key];
    const here = event.target.closest("tbody button");
    if (!step || !here) return;
    event.preventDefault();
    const lines = [...event.currentTarget.querySelectorAll("tbody tr")].filter((each) => each.querySelector("button"));
    const row = here.closest("tr"), buttons = [...row.querySelectorAll("button")];
    const next = lines[lines.indexOf(row) + step[0]];
    const others = next ? [...next.querySelectorAll("button")] : [];
    const goal = others[Math.min(buttons.indexOf(here) + step[1], others.length - 1)];
    if (!goal) return;
    here.tabIndex = -1;
    goal.tabIndex = 0;
    goal.focus();
  }

  // ---------------------------------------------------------------- its controls

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

  // ---------------------------------------------------------------- verdicts

  function verdicts(section) {
    const asked = task().verdicts.filter((each) => each.stated && each.role === "contender" && each.difference.length);
    section.hidden = !asked.length;
    if (!asked.length) return;
    const byMetric = new Map();
    asked.forEach((each) => byMetric.set(each.metric, [...(byMetric.get(each.metric) || []), each]));
    add(section, make("p", { class: "muted" },
      "Contender minus reference, paired by seed, with its 95 % interval; left and right of the line is what the arrow says. The verdict is corrected for all comparisons."),
      [...byMetric].map(([name, own]) => {
        const metric = task().metrics[metricAt(name)];
        const ends = own.flatMap((each) => each.difference).map(Math.abs).sort((a, b) => a - b);
        const most = Math.min(ends[ends.length - 1], 4 * ends[Math.floor(ends.length / 2)]) || 1;
        return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Verdicts by ${name}` }, make("table", null,
          make("caption", null, `${name} ${metric.arrow} ${metric.unit}`.trim()),
          make("thead", null, make("tr", null, ["contender", "against", "verdict", "difference", ""].map((title) => (title ? make("th", { scope: "col" }, title) : make("td", null))))),
          make("tbody", null, own.map((each) => {
            const kind = each.outcome.startsWith("better") ? "better" : each.outcome.startsWith("worse") ? "worse" : "muted";
            return make("tr", null, make("th", { scope: "row" }, each.model), make("td", null, each.reference),
              make("td", { title: each.words }, make("span", { class: kind }, each.outcome)),
              make("td", { class: "number" }, each.shown), make("td", null, difference(each.difference, most)));
          }))));
      }));
  }
  function difference([mean, low = null, high = null], most) {
    const [width, height] = [180, 14], middle = height / 2;
    const at = (value) => 6 + ((Math.max(-most, Math.min(most, value)) + most) / (2 * most)) * (width - 12);
    return draw("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true", focusable: "false" },
      draw("path", { class: "axis", d: `M6 ${middle}H${width - 6}` }), draw("path", { class: "real", d: `M${at(0)} 0V${height}` }),
      low === null ? null : draw("path", { class: "interval", d: `M${at(low)} ${middle}H${at(high)}` }),
      draw("circle", { class: "dot", cx: at(mean), cy: middle, r: 3.5 }));
  }

  // ---------------------------------------------------------------- charts

  function scale(low, high, from, to, log) {
    const f = log ? Math.log10 : (value) => value;
    const [a, b] = [f(low), f(high)];
    return (value) => from + ((f(value) - a) / (b - a || 1)) * (to - from);
  }
  function ticks(low, high, log) {
    if (log) {
      const found = [];
      for (let power = Math.ceil(Math.log10(low)); power <= Math.log10(high); power += 1) found.push(10 ** power);
      return found.length > 1 ? found : [low, high];
    }
    const rough = (high - low) / 5 || 1, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough);
    const found = [];
    for (let value = Math.ceil(low / step) * step; value <= high + step / 1e6; value += step) found.push(Number(value.toPrecision(10)));
    return found;
  }
  const amount = (value) => {
    const [size, suffix] = [[1e9, "G"], [1e6, "M"], [1e3, "k"]].find(([each]) => Math.abs(value) >= each) || [1, ""];
    return Number((value / size).toPrecision(3)) + suffix;
  };
  function frame(label, x, y, xName, yName, log) {
    // Axes with their ticks, and where values stand on them.
    const width = Math.max(320, Math.min(900, document.documentElement.clientWidth - 40)); // letters keep their size on a phone
    const [height, left, right, top, bottom] = [360, 62, 16, 12, 42];
    const toX = scale(x[0], x[1], left, width - right, log), toY = scale(y[0], y[1], height - bottom, top);
    const svg = draw("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
    ticks(x[0], x[1], log).forEach((value) => svg.append(
      draw("path", { class: "axis", d: `M${toX(value)} ${top}V${height - bottom}` }),
      draw("text", { x: toX(value), y: height - bottom + 15, "text-anchor": "middle" }, amount(value))));
    ticks(y[0], y[1]).forEach((value) => svg.append(
      draw("path", { class: "axis", d: `M${left} ${toY(value)}H${width - right}` }),
      draw("text", { x: left - 6, y: toY(value) + 4, "text-anchor": "end" }, amount(value))));
    svg.append(draw("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, xName),
      draw("text", { transform: `translate(13 ${(top + height - bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, yName));
    return { svg, toX, toY, width, height, left, right, top, bottom };
  }
  function priceChart(name) {
    const metric = task().metrics[metricAt(name)], cost = metricAt("seconds"), index = metricAt(name);
    const rows = task().rows.filter((row) => row.checkpoint === "final" && row.group !== "real" && isCell(row.cells[index]) && isCell(row.cells[cost]));
    const paid = rows.map((row) => row.cells[cost][MEAN]).filter((value) => value > 0);
    if (!paid.length) return make("p", { class: "muted" }, "No model has both a cost and a score.");
    const log = Math.max(...paid) > 20 * Math.min(...paid);
    const ends = log ? [Math.min(...paid) / 1.6, Math.max(...paid) * 2.2] : [0, Math.max(...paid) * 1.12];
    const best = task().best;
    const label = `${name} against seconds of training for ${rows.length} models; the same numbers are in the table of scores.`;
    const { svg, toX, toY, width, height, right, top, bottom } = frame(label, ends, metric.axis, "seconds of training", `${name} ${metric.arrow}`, log);
    const taken = [];
    const rank = (row) => (mark(row) ? { best: 0, alike: 1 }[mark(row)[0]] : row.group === "contender" ? 2 : 3);
    const middleY = (row) => Math.min(height - bottom, Math.max(top, toY(row.cells[index][MEAN])));
    const middleX = (row) => toX(Math.max(row.cells[cost][MEAN], ends[0] || 0));
    rows.forEach((row) => taken.push([middleX(row) - 5, middleY(row) - 5, 10, 10]));
    if (metric.real !== null && metric.real >= metric.axis[0] && metric.real <= metric.axis[1])
      svg.append(draw("path", { class: "real", d: `M62 ${toY(metric.real)}H${width - right}` }), draw("text", { x: width - right, y: toY(metric.real) - 4, "text-anchor": "end" }, "real data"));
    for (const row of [...rows].sort((a, b) => rank(a) - rank(b))) {
      const cell = row.cells[index], [x, y] = [middleX(row), middleY(row)], kind = row.group === "control" ? " control" : "";
      const inside = cell[MEAN] >= metric.axis[0] && cell[MEAN] <= metric.axis[1];
      const clip = (value) => toY(Math.min(metric.axis[1], Math.max(metric.axis[0], value)));
      svg.append(draw("g", { class: "point", click: () => show(row, index) },
        draw("title", null, `${row.label}: ${cell[TEXT]}, ${row.cells[cost][TEXT]} s`),
        inside && cell[LOW] !== null ? draw("path", { class: "interval" + kind, d: `M${x} ${clip(cell[LOW])}V${clip(cell[HIGH])}` }) : null,
        inside ? draw("circle", { class: "dot" + kind, cx: x, cy: y, r: 4 })
          : draw("path", { class: "dot" + kind, d: `M${x - 4} ${y}h8l-4 ${cell[MEAN] > metric.axis[1] ? -6 : 6}Z` }),
        mark(row) ? draw("circle", { class: "ring", cx: x, cy: y, r: 8 }) : null,
        place(row.label, x, y, taken, width)));
    }
    return svg;
  }
  function place(text, x, y, taken, width) {
    // A label where it hides nothing; none where there is no such position.
    const long = text.length * 6.1;
    for (const [left, base, anchor] of [[x + 10, y + 4, "start"], [x - 10 - long, y + 4, "end"], [x - long / 2, y - 11, "middle"], [x - long / 2, y + 18, "middle"]]) {
      const box = [left, base - 10, long, 12];
      const free = left > 62 && left + long < width && taken.every(([a, b, w, h]) => a + w < box[0] || box[0] + box[2] < a || b + h < box[1] || box[1] + box[3] < b);
      if (!free) continue;
      taken.push(box);
      return draw("text", { x: anchor === "start" ? left : anchor === "end" ? left + long : x, y: base, "text-anchor": anchor }, text);
    }
    return null;
  }
  function prices(section) {
    const metrics = task().metrics.filter((metric) => !metric.cost);
    section.hidden = metricAt("seconds") < 0 || !metrics.length;
    if (section.hidden) return;
    const box = make("div", null, priceChart(task().headline || metrics[0].name));
    add(section, make("div", { class: "row" }, make("label", null, "Score", make("select", { change: (event) => box.replaceChildren(priceChart(event.target.value)) },
      metrics.map((metric) => make("option", { selected: metric.name === task().headline }, metric.name))))),
      make("p", { class: "muted" }, "Filled: contenders; hollow: controls; ringed: the best, and those not separable from it. A triangle is beyond the axis."), box);
  }
  function curveChart(name, cost, model) {
    const lines = model.runs.map((run) => task().curves[name][run.id]).filter(Boolean)
      .map((columns) => columns[COSTS.indexOf(cost)].map((spent, index) => [spent, columns[3][index]]).filter(([x, y]) => x !== null && y !== null))
      .filter((points) => points.length > 1);
    if (!lines.length) return make("p", { class: "muted" }, `No curve of ${name} over ${cost}.`);
    const values = lines.flatMap((points) => points.map(([, y]) => y)).sort((a, b) => a - b);
    const y = [values[0], values[Math.floor(0.97 * (values.length - 1))]];
    const room = 0.05 * (y[1] - y[0] || 1);
    const x = [0, Math.max(...lines.flatMap((points) => points.map(([spent]) => spent)))];
    const { svg, toX, toY, top } = frame(`${name} while training, a line for each of ${lines.length} seeds, over ${cost}.`, x, [y[0] - room, y[1] + room], cost, name);
    lines.forEach((points) => svg.append(draw("polyline", { class: "interval", points: points.map(([a, b]) => `${toX(a).toFixed(1)},${Math.max(top, toY(b)).toFixed(1)}`).join(" ") })));
    return svg;
  }

  // ---------------------------------------------------------------- samples

  function usualSamples() {
    const best = task().best, rows = task().rows.filter((row) => row.checkpoint === "final");
    const first = (group) => rows.filter((row) => row.group === group && row.ranked).map((row) => row.model);
    const wanted = [...first("real"), ...rows.filter((row) => row.group === "real").map((row) => row.model), best && best.model, ...first("contender").slice(0, 2), first("control")[0]];
    return [...new Set(wanted)].filter((model) => model && runWithSamples(model)).slice(0, 4);
  }
  function runWithSamples(model, seed) {
    const runs = task().models[model].runs.filter((run) => run.status === "ok" && run.samples.length);
    return runs.find((run) => String(run.seed) === seed) || (seed ? null : runs[0]);
  }
  function samples(section) {
    const models = [...new Set(task().rows.map((row) => row.model))].filter((model) => runWithSamples(model));
    section.hidden = !models.length;
    if (!models.length) return;
    const cards = make("div", { class: "cards" });
    const title = make("summary", null);
    const chosen = () => (state.samples.length ? state.samples : usualSamples());
    const redraw = () => {
      title.textContent = `Models: ${chosen().length} of ${models.length}`;
      const groups = Object.fromEntries(task().rows.map((row) => [row.model, row.group]));
      cards.replaceChildren(...models.filter((model) => chosen().includes(model)).map((model) => {
        const run = runWithSamples(model, state.seed);
        return make("article", { class: `card ${groups[model]}` }, make("h4", null, model),
          run ? [make("div", { class: "muted" }, `seed ${run.seed}, run `, make("code", null, run.id)), run.samples.map((text) => make("p", { class: "sample" }, verse(text)))]
            : make("p", { class: "muted" }, "no samples of this seed"));
      }));
    };
    const change = (model, on) => {
      const now = chosen();
      state.samples = on ? [...now, model] : now.filter((each) => each !== model);
      write();
      redraw();
    };
    add(section, make("p", { class: "muted" }, "The first of each run, not hand-picked; verses and lines of tunes are broken at their slashes. ", make("code", null, "bench sample"), " draws more from a run, by its id."),
      make("div", { class: "row" }, make("label", null, "Seed", make("select", { class: "seed", change: (event) => { state.seed = event.target.value; write(); redraw(); } },
        make("option", { value: "" }, "the first of each"), task().seeds.map((seed) => make("option", { value: seed, selected: String(seed) === state.seed }, String(seed)))))),
      make("details", { class: "columns" }, title, make("div", null, models.map((model) => toggle(model, chosen().includes(model), (on) => change(model, on))))), cards);
    redraw();
  }

  // ---------------------------------------------------------------- what is behind a cell

  function show(row, index) {
    const metric = task().metrics[index], cell = row.cells[index];
    const model = task().models[row.model];
    state.cell = metric ? [row.model, row.checkpoint, metric.name] : [];
    write();
    const text = (number) => task().texts[number];
    const unit = metric && metric.unit ? ` ${metric.unit}` : "";
    const parts = [make("div", { class: "row" },
      make("h2", { id: "detail-title" }, metric ? `${row.model}: ${metric.name}` : row.model),
      make("button", { type: "button", class: "close", autofocus: true, click: () => dialog.close() }, "Close"))];
    if (row.checkpoint !== "final") parts.push(make("p", { class: "muted" }, row.label.replace("↳ ", "")));
    if (metric && isCell(cell)) {
      const middle = cell[MIDDLE] === null ? null : `${short(cell[MIDDLE])}${cell[MIDDLE_LOW] === null ? "" : ` [${short(cell[MIDDLE_LOW])}, ${short(cell[MIDDLE_HIGH])}]`}`;
      parts.push(
        make("p", null, make("strong", null, cell[TEXT] + unit), `, mean and 95 % interval over n = ${cell[N]}`, metric.meaning ? `; ${metric.meaning}` : "", metric.about ? ` (${metric.about})` : "", "."),
        text(cell[BECAUSE]) ? make("p", null, "† No rank: ", text(cell[BECAUSE]), ".") : null,
        make("h4", null, "Seeds"), strip(metric, cell), seedTable(model, cell),
        middle ? make("p", { class: "muted" }, `Interquartile mean with its 95 % bootstrap interval: ${middle}.`) : null);
    } else if (metric && row.cells.length) parts.push(make("p", null, `n/a: ${text(cell)}.`));
    if (row.failed) parts.push(make("p", null, row.failed));
    const said = metric && row.checkpoint === "final" ? task().verdicts.filter((each) => each.model === row.model && each.metric === metric.name) : [];
    if (said.length) parts.push(make("h4", null, "Verdicts"), make("ul", null, said.map((each) => make("li", null, each.words))));
    parts.push(curves(model, metric), make("h4", null, "How it was run"), facts(model));
    if (metric && isCell(cell)) parts.push(make("h4", null, "How it was computed"), make("p", null, make("code", null, `${metric.name}: ${text(cell[SIGNATURE])}`)));
    const run = model.runs.find((each) => each.status === "ok" && each.samples.length);
    if (run) parts.push(make("h4", null, `Samples of seed ${run.seed}`), run.samples.map((each) => make("p", { class: "sample" }, verse(each))));
    dialog.replaceChildren();
    add(dialog, parts);
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
  }
  function strip(metric, cell) {
    const values = cell[SEEDS].filter((value) => value !== null);
    const all = [...values, ...[cell[LOW], cell[HIGH]].filter((value) => value !== null)];
    const [low, high] = [Math.min(...all), Math.max(...all)], room = 0.06 * (high - low || 1);
    const [width, height] = [520, 46], at = scale(low - room, high + room, 10, width - 10);
    return draw("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${values.length} seeds from ${short(Math.min(...values))} to ${short(Math.max(...values))}` },
      values.map((value) => draw("circle", { class: "seed", cx: at(value), cy: 9, r: 4 })),
      draw("path", { class: "axis", d: `M10 22H${width - 10}` }),
      cell[LOW] === null ? null : draw("path", { class: "interval", d: `M${at(cell[LOW])} 22H${at(cell[HIGH])}` }),
      draw("circle", { class: "dot", cx: at(cell[MEAN]), cy: 22, r: 4 }),
      draw("text", { x: 10, y: 42 }, short(low)), draw("text", { x: width - 10, y: 42, "text-anchor": "end" }, short(high)));
  }
  function seedTable(model, cell) {
    const runs = new Map(model.runs.map((run) => [run.seed, run]));
    const rows = task().seeds.map((seed, index) => [seed, cell[SEEDS][index], runs.get(seed)]).filter(([, , run]) => run);
    const selected = rows.some(([, , run]) => run.selected);
    return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Seeds" }, make("table", null,
      make("thead", null, make("tr", null, ["seed", "value", "run", "status", ...(selected ? ["selected by validation"] : [])].map((name, index) => make("th", { scope: "col", class: index === 1 ? "number" : null }, name)))),
      make("tbody", null, rows.map(([seed, value, run]) => make("tr", null, make("th", { scope: "row" }, String(seed)), make("td", { class: "number" }, short(value)),
        make("td", null, make("code", null, run.id)), make("td", null, run.reason ? `${run.status}: ${run.reason}` : run.status), selected ? make("td", null, run.selected) : null)))));
  }
  function curves(model, metric) {
    const names = Object.keys(task().curves).filter((name) => model.runs.some((run) => task().curves[name][run.id]));
    if (!names.length) return [];
    const family = metric ? metric.name.split("_")[0] : ""; // nll_valid goes with nll_test
    const choice = { name: names.find((name) => name.split("_")[0] === family) || names[0], cost: COSTS[0] };
    const box = make("div", null, curveChart(choice.name, choice.cost, model));
    const select = (title, key, options) => make("label", null, title, make("select", { change: (event) => {
      choice[key] = event.target.value;
      box.replaceChildren(curveChart(choice.name, choice.cost, model));
    } }, options.map((each) => make("option", { selected: each === choice[key] }, each))));
    return [make("h4", null, "Training curve"), make("div", { class: "tools" }, select("Score", "name", names), select("over", "cost", COSTS)), box];
  }
  function facts(model) {
    const unique = (values) => [...new Set(values.filter(Boolean))];
    const listed = {
      Settings: model.settings,
      Chosen: model.tuned,
      Density: unique(model.runs.map((run) => run.density)).join(", "),
      Environment: unique(model.runs.map((run) => task().texts[run.where])).join("; "),
      "Data (SHA-256)": unique(model.runs.map((run) => run.data)).join(", "),
      Finished: unique(model.runs.map((run) => run.finished)).sort().join(", "),
      Warnings: unique(model.runs.flatMap((run) => run.warnings)).join(" "),
    };
    return [make("dl", null, Object.entries(listed).filter(([, value]) => value).map(([name, value]) => [make("dt", null, name), make("dd", null, value)])),
      model.command ? [make("p", null, "To run it again:"), make("pre", { class: "command", tabindex: "0" }, model.command)]
        : make("p", { class: "muted" }, "Real data are scored by every ", make("code", null, "bench run"), " on this task.")];
  }
  dialog.addEventListener("close", () => { state.cell = []; write(); });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

  // ---------------------------------------------------------------- the page

  function build() {
    sections.forEach((section, index) => { section.hidden = index !== state.task; });
    const section = sections[state.task];
    section.querySelectorAll(".tool").forEach((tool) => {
      tool.hidden = false;
      tool.replaceChildren(tool.firstElementChild);
    });
    section.querySelectorAll(".plain").forEach((plain) => { plain.hidden = true; });
    const board = section.querySelector(".board");
    if (task().metrics.length) {
      add(board, bestSet(), controls(), columnChoice(), make("div", { class: "scroll" }),
        make("p", { class: "muted" }, make("span", { class: "shown", role: "status" }), " A cell opens its seeds, curve, settings and samples; arrow keys move between cells. Dots and lines: mean and 95 % interval on one axis per column; dashed: real data; † has no rank."));
      table();
    } else board.hidden = true;
    verdicts(section.querySelector(".verdicts"));
    prices(section.querySelector(".tool.cost"));
    samples(section.querySelector(".tool.samples"));
    const [model, checkpoint, name] = state.cell;
    const row = task().rows.find((each) => each.model === model && each.checkpoint === checkpoint);
    if (row && metricAt(name) >= 0) show(row, metricAt(name));
  }
  function theme(wanted) {
    document.documentElement.dataset.theme = wanted;
    const button = document.getElementById("theme");
    button.textContent = wanted === "dark" ? "Light" : "Dark";
    button.title = `switch to ${button.textContent.toLowerCase()} colours`;
  }
  function remembered(value) {
    try {
      if (value) localStorage.setItem("theme", value);
      return localStorage.getItem("theme");
    } catch (error) { // a browser may keep nothing for files
      return null;
    }
  }

  const choice = document.getElementById("task");
  TASKS.forEach((each, index) => choice.append(make("option", { value: index }, each.title)));
  choice.addEventListener("change", () => {
    Object.assign(state, { task: Number(choice.value), sort: "", samples: [], cell: [], seed: "" });
    state.columns = task().shown.slice();
    write();
    build();
  });
  document.getElementById("theme").addEventListener("click", () => {
    const wanted = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    theme(wanted);
    remembered(wanted);
  });
  window.addEventListener("hashchange", () => { read(); choice.value = state.task; build(); });
  theme(remembered() || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
  document.querySelector("header .tools").hidden = false;
  choice.closest("label").hidden = TASKS.length < 2;
  read();
  choice.value = state.task;
  if (TASKS.length) build();
})();

// What is behind a cell: its seeds, verdicts, curve, settings, command and samples.

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
      make("h3", null, "Seeds"), strip(metric, cell), seedTable(model, cell),
      middle ? make("p", { class: "muted" }, `Interquartile mean with its 95 % bootstrap interval: ${middle}.`) : null);
  } else if (metric && row.cells.length) parts.push(make("p", null, `n/a: ${text(cell)}.`));
  if (row.failed) parts.push(make("p", null, row.failed));
  const said = metric && row.checkpoint === "final" ? task().verdicts.filter((each) => each.model === row.model && each.metric === metric.name) : [];
  if (said.length) parts.push(make("h3", null, "Verdicts"), make("ul", null, said.map((each) => make("li", null, each.words))));
  parts.push(curves(model, metric), make("h3", null, "How it was run"), facts(model));
  if (metric && isCell(cell)) parts.push(make("h3", null, "How it was computed"), make("p", null, make("code", null, `${metric.name}: ${text(cell[SIGNATURE])}`)));
  const run = model.runs.find((each) => each.status === "ok" && each.samples.length);
  if (run) parts.push(make("h3", null, `Samples of seed ${run.seed}`), specimens(run, row.model));
  hush();
  dialog.replaceChildren();
  add(dialog, parts);
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}
function strip(metric, cell) {
  const values = cell[SEEDS].filter((value) => value !== null);
  const all = [...values, ...[cell[LOW], cell[HIGH]].filter((value) => value !== null)];
  const [low, high] = [Math.min(...all), Math.max(...all)], room = 0.06 * (high - low || 1);
  const width = Math.max(240, Math.min(520, document.documentElement.clientWidth - 80));
  const height = 46;
  const at = scale(low - room, high + room, 10, width - 10);
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
  return [make("h3", null, "Training curve"), make("div", { class: "tools" }, select("Score", "name", names), select("over", "cost", COSTS)), box];
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
dialog.addEventListener("close", () => { hush(); state.cell = []; write(); });
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

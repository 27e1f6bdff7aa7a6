// What is drawn beside the table: verdicts, costs, temperatures and training curves.

// ------------------------------------------------------------ verdicts

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

// ------------------------------------------------------------ charts

function ticks(low, high, log) {
  if (log) {
    const found = [];
    for (let power = Math.ceil(Math.log10(low)); power <= Math.log10(high); power += 1) found.push(10 ** power);
    return found.length > 1 ? found : [low, high];
  }
  const rough = (high - low) / 6 || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step / 1e6; value += step) found.push(Number(value.toPrecision(10)));
  return found;
}
const amount = (value) => {
  const [size, suffix] = [[1e9, "G"], [1e6, "M"], [1e3, "k"]].find(([each]) => Math.abs(value) >= each) || [1, ""];
  return Number((value / size).toPrecision(3)) + suffix;
};
function frame(label, x, y, xName, yName, log, size) {
  // Axes with their ticks, and where values stand on them.
  const room = Math.max(320, Math.min(900, document.documentElement.clientWidth - 40)); // letters keep their size on a phone
  const [width, height] = size || [room, 360];
  const [left, right, top, bottom] = [62, 16, 12, 42];
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
    const cell = row.cells[index], [x, y] = [middleX(row), middleY(row)];
    const inside = cell[MEAN] >= metric.axis[0] && cell[MEAN] <= metric.axis[1];
    const clip = (value) => toY(Math.min(metric.axis[1], Math.max(metric.axis[0], value)));
    svg.append(draw("g", { class: "point", click: () => show(row, index) },
      draw("title", null, `${row.label}: ${cell[TEXT]}, ${row.cells[cost][TEXT]} s`),
      inside && cell[LOW] !== null ? draw("path", { class: `line f${look(row.model)[0]}`, d: `M${x} ${clip(cell[LOW])}V${clip(cell[HIGH])}` }) : null,
      glyph(row.model, x, y, 5, row.group === "control"),
      inside ? null : draw("path", { class: `mark f${look(row.model)[0]}`, d: arrow(x, y, cell[MEAN] > metric.axis[1]) }),
      mark(row) ? draw("circle", { class: "ring", cx: x, cy: y, r: 8 }) : null,
      place(row.label, x, y, taken, width)));
  }
  return [svg, legend(rows.map((row) => row.model), (model) => rows.find((row) => row.model === model).cells[index][TEXT], null, false)];
}
function place(text, x, y, taken, width) {
  // A label where it hides nothing; none where there is no such position.
  const long = text.length * 6.1;
  for (const [left, base, anchor] of [[x + 10, y + 4, "start"], [x - 10 - long, y + 4, "end"], [x - long / 2, y - 11, "middle"], [x - long / 2, y + 18, "middle"]]) {
    const box = [left, base - 10, long, 12];
    const free = left > 62 && left + long < width && base > 10 && taken.every(([a, b, w, h]) => a + w < box[0] || box[0] + box[2] < a || b + h < box[1] || box[1] + box[3] < b);
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
  add(section, make("div", { class: "row" }, make("label", null, "Score", make("select", { change: (event) => box.replaceChildren(...[priceChart(event.target.value)].flat()) },
    metrics.map((metric) => make("option", { selected: metric.name === task().headline }, metric.name))))),
    make("p", { class: "muted" }, "Filled: contenders; hollow: controls; ringed: the best, and those not separable from it. What has an arrow is beyond the axis."), box);
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

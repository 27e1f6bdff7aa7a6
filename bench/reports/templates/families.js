// Models by family: each family has a colour, each model a line and a mark, the same as in the files of figures/. Many
// models are drawn as one small chart for each family, with all others in grey behind it.

const DASHES = ["", "6 4", "7 3 2 3", "2 3"];
const SMALL = [400, 260];
const SHAPES = {
  o: (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`,
  s: (r) => `M${-r} ${-r}h${2 * r}v${2 * r}h${-2 * r}Z`,
  "^": (r) => `M0 ${-1.2 * r}L${1.1 * r} ${0.9 * r}H${-1.1 * r}Z`,
  v: (r) => `M0 ${1.2 * r}L${1.1 * r} ${-0.9 * r}H${-1.1 * r}Z`,
  D: (r) => `M0 ${-1.3 * r}L${1.3 * r} 0L0 ${1.3 * r}L${-1.3 * r} 0Z`,
  P: (r) => `M${-r / 2.5} ${-1.1 * r}h${r / 1.25}v${0.7 * r}h${0.7 * r}v${r / 1.25}h${-0.7 * r}v${0.7 * r}h${-r / 1.25}v${-0.7 * r}h${-0.7 * r}v${-r / 1.25}h${0.7 * r}Z`,
  X: (r) => `M${-r} ${-0.5 * r}l${0.5 * r} ${-0.5 * r}l${0.5 * r} ${0.5 * r}l${0.5 * r} ${-0.5 * r}l${0.5 * r} ${0.5 * r}l${-0.5 * r} ${0.5 * r}l${0.5 * r} ${0.5 * r}l${-0.5 * r} ${0.5 * r}l${-0.5 * r} ${-0.5 * r}l${-0.5 * r} ${0.5 * r}l${-0.5 * r} ${-0.5 * r}l${0.5 * r} ${-0.5 * r}Z`,
};
const look = (model) => task().looks[model] || [7, 0, "o"];
const arrow = (x, y, up) => `M${x - 4} ${y + (up ? -9 : 9)}h8l-4 ${up ? -6 : 6}Z`;

function glyph(model, x, y, r, hollow, reference) {
  const [colour, , marker] = look(model);
  const kind = `mark ${reference ? "reference" : `f${colour}`}${hollow ? " hollow" : ""}`;
  return draw("path", { class: kind, d: SHAPES[marker](r), transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` });
}
function stroke(model, points, reference) {
  const [colour, dash] = look(model);
  return draw("polyline", { class: reference ? "line reference" : `line f${colour}`, "stroke-dasharray": reference ? null : DASHES[dash] || null, points: points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ") });
}
function legend(models, note, reference, line = true) {
  const controls = new Set(task().rows.filter((row) => row.group === "control").map((row) => row.model));
  return make("ul", { class: "legend" }, models.map((model) => make("li", null,
    draw("svg", { width: 34, height: 14, viewBox: "0 0 34 14", "aria-hidden": "true", focusable: "false" },
      line ? stroke(model, [[1, 7], [33, 7]], model === reference) : null, glyph(model, 17, 7, 4.5, !line && controls.has(model), model === reference)),
    make("span", null, model, controls.has(model) ? " (control)" : "", make("span", { class: "muted" }, ` ${note(model)}`)))));
}
function multiples(groups, chart) {
  return make("div", { class: `multiples${groups.length > 1 ? "" : " single"}` }, groups.map(({ title, models }) =>
    make("figure", null, title ? make("figcaption", null, title) : null, chart(models, title))));
}
let clips = 0;
function clipped({ svg, width, height, left, right, top, bottom }) {
  // A group of the chart in which nothing is drawn beyond its axes.
  clips += 1;
  const inside = draw("g", { "clip-path": `url(#clip-${clips})` });
  svg.append(draw("clipPath", { id: `clip-${clips}` }, draw("rect", { x: left, y: top, width: width - left - right, height: height - top - bottom })), inside);
  return inside;
}
function markAt(parts, model, x, y, r, reference) {
  // The mark where the point is, or at the frame with an arrow towards it.
  const { svg, width, height, left, right, top, bottom } = parts;
  const at = [Math.min(width - right, Math.max(left, x)), Math.min(height - bottom, Math.max(top, y))];
  svg.append(draw("g", null, draw("title", null, model), glyph(model, at[0], at[1], r, false, reference),
    at[1] === y ? null : draw("path", { class: `mark f${look(model)[0]}`, d: arrow(at[0], at[1], y < top) })));
  return at;
}
function radii(places, r) {
  // Of marks of which each covers those before it: what others cover is larger than they are.
  const found = [];
  for (let index = places.length - 1; index >= 0; index -= 1) {
    const over = found.filter((each) => Math.hypot(each.x - places[index][0], each.y - places[index][1]) < 7).map((each) => each.r);
    found.push({ x: places[index][0], y: places[index][1], r: over.length ? Math.max(...over) + 2.2 : r });
  }
  return found.map((each) => each.r).reverse();
}

// ------------------------------------------------------------ learning curves

function courses(section) {
  const names = Object.keys(task().courses);
  section.hidden = !names.length;
  if (!names.length) return;
  const choice = { name: names[0], cost: COSTS[0] };
  const box = make("div", null);
  const redraw = () => box.replaceChildren(courseCharts(choice.name, COSTS.indexOf(choice.cost)));
  const select = (title, key, options) => make("label", null, title, make("select", { change: (event) => { choice[key] = event.target.value; redraw(); } },
    options.map((each) => make("option", { selected: each === choice[key] }, each))));
  add(section, make("div", { class: "row" }, select("Score", "name", names), select("over", "cost", COSTS)),
    make("p", { class: "muted" }, "Mean over seeds and, as a band, the lowest to the highest seed, at equal progress. Hollow marks: a phase ends; filled: training ends, with the score there beside the name. Dashed across: where the reference ended. What has an arrow is beyond the axes; grey: models of the other charts."), box);
  redraw();
}
function courseCharts(name, cost) {
  const { axis, reference, groups, models } = task().courses[name];
  const MEANS = COSTS.length, LOWEST = MEANS + 1, HIGHEST = MEANS + 2, BORDERS = MEANS + 3;
  const counts = (model) => models[model][cost].every((value) => value !== null);
  const known = Object.keys(models).filter(counts);
  if (!known.length) return make("p", { class: "muted" }, `No model counts ${COSTS[cost]}.`);
  const ends = known.map((model) => models[model][cost][models[model][cost].length - 1]);
  const paid = known.flatMap((model) => models[model][cost]).filter((value) => value > 0);
  const log = Math.min(...ends) > 0 && Math.max(...ends) > 20 * Math.min(...ends);
  const x = log ? [Math.min(...paid), 1.1 * Math.max(...ends)] : [0, 1.04 * Math.max(...ends) || 1];
  return multiples(groups, (listed, title) => {
    const own = listed.filter(counts);
    const label = `${name} while training, over ${COSTS[cost]}${title ? `, ${title}` : ""}: ${own.join(", ") || "no model counts it"}. The table Quality against cost has numbers.`;
    const parts = frame(label, x, axis, COSTS[cost], name, log, groups.length > 1 ? SMALL : null);
    const toX = (value) => parts.toX(Math.max(value, x[0])), inside = clipped(parts);
    const points = (model, row) => models[model][cost].map((value, index) => [toX(value), parts.toY(models[model][row][index])]);
    known.filter((model) => !own.includes(model)).forEach((model) => inside.append(draw("polyline", { class: "other", points: points(model, MEANS).map((each) => each.map((value) => value.toFixed(1)).join(",")).join(" ") })));
    own.forEach((model) => inside.append(draw("polygon", { class: `band f${look(model)[0]}`, points: [...points(model, LOWEST), ...points(model, HIGHEST).reverse()].map((each) => each.map((value) => value.toFixed(1)).join(",")).join(" ") })));
    if (reference !== null) inside.append(draw("path", { class: "level", d: `M${parts.left} ${parts.toY(reference)}H${parts.width - parts.right}` }));
    own.forEach((model) => {
      const line = points(model, MEANS);
      inside.append(stroke(model, line));
      models[model][BORDERS].slice(0, -1).forEach((border) => inside.append(glyph(model, line[border][0], line[border][1], 3.6, true)));
    });
    const last = own.map((model) => points(model, MEANS).pop());
    radii(last, 5).forEach((r, index) => markAt(parts, own[index], last[index][0], last[index][1], r));
    return [parts.svg, legend(own, (model) => short(models[model][MEANS][models[model][MEANS].length - 1]))];
  });
}

// ------------------------------------------------------------ quality and diversity

function frontiers(section) {
  section.hidden = !task().sweep;
  if (section.hidden) return;
  const { quality, coverage, unit, axes, models, reference, groups } = task().sweep;
  const one = (model) => models[model][0].indexOf(1);
  add(section, make("p", { class: "muted" }, `Each line goes from the lowest to the highest temperature, means over seeds; the mark is temperature 1, with both scores beside the name. Nearer to the lower left corner is better. The thick line: ${reference}, the reference; grey: models of the other charts. What has an arrow, or stands at the frame, is beyond it.`),
    multiples(groups, (own, title) => {
      const label = `${coverage} against ${quality} over temperatures${title ? `, ${title}` : ""}: ${own.join(", ")}. All numbers are in the table Quality and diversity.`;
      const parts = frame(label, axes[0], axes[1], `${quality} ↓ ${unit}: quality`, `${coverage} ↓: diversity`, false, groups.length > 1 ? SMALL : null);
      const inside = clipped(parts);
      const points = (model) => models[model][1].map((value, index) => [parts.toX(value), parts.toY(models[model][2][index])]);
      Object.keys(models).filter((model) => !own.includes(model) && model !== reference).forEach((model) => inside.append(draw("polyline", { class: "other", points: points(model).map((each) => each.map((value) => value.toFixed(1)).join(",")).join(" ") })));
      if (models[reference]) inside.append(stroke(reference, points(reference), true));
      own.filter((model) => model !== reference).forEach((model) => inside.append(stroke(model, points(model))));
      const marked = own.filter((model) => one(model) >= 0), places = marked.map((model) => points(model)[one(model)]);
      radii(places, 5).forEach((r, index) => markAt(parts, marked[index], places[index][0], places[index][1], r, marked[index] === reference));
      return [parts.svg, legend(own, (model) => (one(model) < 0 ? "not at temperature 1" : `${short(models[model][1][one(model)])}, ${short(models[model][2][one(model)])}`), reference)];
    }));
}

// The samples side by side, and the page as a whole.

// ------------------------------------------------------------ samples

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
  const sweep = make("div", null);
  const title = make("summary", null);
  const chosen = () => (state.samples.length ? state.samples : usualSamples());
  const redraw = () => {
    title.textContent = `Models: ${chosen().length} of ${models.length}`;
    if (task().sweep) sweep.replaceChildren(sweepChart(chosen()));
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
  add(section, make("details", { class: "columns" }, title, make("div", null, models.map((model) => toggle(model, chosen().includes(model), (on) => change(model, on))))),
    task().sweep ? [make("h4", null, "Quality and diversity over temperatures"), make("p", { class: "muted" },
      `Each line goes from the lowest to the highest temperature, means over seeds; the mark is temperature 1. Nearer to the lower left corner is better. Grey: all other models.`), sweep] : null,
    make("h4", null, "Samples"),
    make("p", { class: "muted" }, "The first of each run, not hand-picked; verses and lines of tunes are broken at their slashes. ", make("code", null, "bench sample"), " draws more from a run, by its id."),
    make("div", { class: "row" }, make("label", null, "Seed", make("select", { class: "seed", change: (event) => { state.seed = event.target.value; write(); redraw(); } },
      make("option", { value: "" }, "the first of each"), task().seeds.map((seed) => make("option", { value: seed, selected: String(seed) === state.seed }, String(seed)))))), cards);
  redraw();
}

// ------------------------------------------------------------ the page

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
  matrix(section.querySelector(".tool.matrix"));
  verdicts(section.querySelector(".verdicts"));
  prices(section.querySelector(".tool.cost"));
  courses(section.querySelector(".tool.courses"));
  frontiers(section.querySelector(".tool.frontiers"));
  samples(section.querySelector(".tool.samples"));
  const [model, checkpoint, name] = state.cell;
  const row = task().rows.find((each) => each.model === model && each.checkpoint === checkpoint);
  if (row && metricAt(name) >= 0) show(row, metricAt(name));
}
const choice = document.getElementById("task");
TASKS.forEach((each, index) => choice.append(make("option", { value: index }, each.title)));
choice.addEventListener("change", () => {
  Object.assign(state, { task: Number(choice.value), sort: "", samples: [], cell: [], seed: "" });
  state.columns = task().shown.slice();
  write();
  build();
});
window.addEventListener("hashchange", () => { read(); choice.value = state.task; build(); });
document.querySelector("header .tools").hidden = false;
choice.closest("label").hidden = TASKS.length < 2;
if (TASKS.length) {
  read();
  choice.value = state.task;
  build();
}

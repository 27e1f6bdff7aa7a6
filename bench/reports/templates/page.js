// The page as a whole.

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

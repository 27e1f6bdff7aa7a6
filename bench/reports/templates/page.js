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
if (TASKS.length) {
  read();
  choice.value = state.task;
  build();
}

// The samples side by side, each beside the training example that is nearest to it.

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
  const nearest = anyNearest(task());
  const ofReal = task().rows.some((row) => row.group === "real" && task().models[row.model].runs.some((run) => run.nearest.length));
  const redraw = () => {
    hush();
    title.textContent = `Models: ${chosen().length} of ${models.length}`;
    const groups = Object.fromEntries(task().rows.map((row) => [row.model, row.group]));
    cards.replaceChildren(...models.filter((model) => chosen().includes(model)).map((model) => {
      const run = runWithSamples(model, state.seed);
      return make("article", { class: `card ${groups[model]}` }, make("h4", null, model),
        run ? [make("div", { class: "muted" }, `seed ${run.seed}, run `, make("code", null, run.id)), specimens(run, model)]
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
    make("p", { class: "muted" }, `The first of each run, not hand-picked${task().form ? "" : "; verses are broken at their slashes"}. `, make("code", null, "bench sample"), " draws more from a run, by its id."),
    make("p", { class: "muted" }, nearest
      ? ["With each stands the training example nearest to it: the one with the longest common subsequence, as a part of the longer of the two. What both share, in this order, is ", make("mark", null, "underlined"), ". ",
        ofReal ? "Real data here are test sequences, or any where all are listed: what they share is chance, not copying." : ""]
      : "No training examples are kept beside these samples: the runs were made by an earlier version, or their data are of persons."),
    task().undrawn ? make("p", { class: "muted" }, task().undrawn) : null,
    make("div", { class: "row" }, make("label", null, "Seed", make("select", { class: "seed", change: (event) => { state.seed = event.target.value; write(); redraw(); } },
      make("option", { value: "" }, "the first of each"), task().seeds.map((seed) => make("option", { value: seed, selected: String(seed) === state.seed }, String(seed))))),
      nearest ? toggle("nearest training examples", !state.alone, (on) => { state.alone = !on; write(); redraw(); }) : null), cards);
  redraw();
}

// ------------------------------------------------------------ one sample

const hush = () => { if (typeof player !== "undefined") player.stop(); };
const anyNearest = (task) => Object.values(task.models).some((model) => model.runs.some((run) => run.nearest.length));
const whole = (pieces) => (isCell(pieces) ? pieces.join("") : pieces);

function specimens(run, model) {
  const shown = run.samples.map((sample, index) => specimen(sample, state.alone ? null : run.nearest[index], `${model}, sample ${index + 1}`));
  const earlier = !run.nearest.length && anyNearest(task());
  return [earlier ? make("p", { class: "muted" }, "made by an earlier version, which kept no training examples") : null, shown];
}

function specimen(sample, nearest, name) {
  const [said, example, copy] = nearest || [];
  return make("div", { class: "specimen" }, make("div", { class: "own" }, passage(sample, "sample", name)),
    nearest ? make("div", { class: copy ? "nearest copy" : "nearest" },
      make("p", { class: "said" }, make("strong", null, copy ? "Identical" : "Nearest training example"), `: ${task().texts[said]}.`),
      example.length ? passage(example, "example", `${name}, nearest training example`) : null) : null);
}
function passage(text, kind, name) {
  // A text, or pieces of one, every second of which is shared; and its drawing, if it has one.
  const words = isCell(text)
    ? whole(text) ? text.map((piece, index) => (piece && index % 2 ? make("mark", null, verse(piece)) : piece && verse(piece))) : verse("")
    : verse(text);
  const written = make("p", { class: kind }, words);
  if (task().form === "tune" && whole(text)) return add(staff(text, name), make("details", { class: "abc" }, make("summary", null, "ABC"), written));
  return task().form === "molecule" ? [written, molecule(whole(text), name)] : written;
}

// Who beats what: the verdicts as a matrix, models by what each is compared with, one score at a time.

const SIGNS = { better: "▲", worse: "▼", "not separable": "=", identical: "=", mixed: "◆" };

function matrix(section) {
  const all = task().verdicts;
  const stated = all.filter((each) => each.stated);
  const metrics = task().metrics.map((metric) => metric.name).filter((name) => all.some((each) => each.metric === name));
  section.hidden = !all.length;
  if (!all.length) return;
  const conclusions = "what conclusions rest on";
  const box = make("div", null);
  const redraw = (name) => box.replaceChildren(verdictTable(name === conclusions ? stated : all.filter((each) => each.metric === name), name));
  add(section, make("div", { class: "row" }, make("label", null, "Score", make("select", { change: (event) => redraw(event.target.value) },
    (stated.length ? [conclusions, ...metrics] : metrics).map((name) => make("option", null, name))))),
    make("p", { class: "muted" }, "The row against the column, over the seeds that both have, corrected for all comparisons of the score. ▲ better, ▼ worse, = the seeds do not separate them, which does not mean that they are equal; an asterisk: if seeds scatter normally. An empty cell was not compared."), box);
  redraw(stated.length ? conclusions : metrics[0]);
}
function verdictTable(asked, name) {
  const references = [...new Set(asked.map((each) => each.reference))];
  const counts = new Map();
  asked.forEach((each) => counts.set(each.metric, (counts.get(each.metric) || 0) + 1));
  const usual = [...counts].sort((a, b) => b[1] - a[1])[0][0];
  const roles = [["contender", GROUPS.contender], ["control", GROUPS.control]].filter(([role]) => asked.some((each) => each.role === role));
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Verdict matrix by ${name}` }, make("table", { class: "verdict-matrix" },
    make("caption", null, counts.size > 1 ? `by ${usual}; where a cell names another score, by that` : `by ${usual}`),
    make("thead", null, make("tr", null, make("th", { scope: "col" }, "model"), references.map((reference) => make("th", { scope: "col" }, `against ${reference}`)))),
    roles.map(([role, title]) => make("tbody", null,
      roles.length > 1 ? make("tr", null, make("th", { scope: "rowgroup", colspan: references.length + 1 }, title)) : null,
      [...new Set(asked.filter((each) => each.role === role).map((each) => each.model))].map((model) => make("tr", null, make("th", { scope: "row" }, model),
        references.map((reference) => verdictCell(asked.find((each) => each.model === model && each.reference === reference), usual))))))));
}
function verdictCell(each, usual) {
  if (!each) return make("td", { class: "none" });
  const [word, condition] = each.outcome.split(", ");
  const kind = { better: "better", worse: "worse" }[word] || "even";
  return make("td", { class: kind, title: each.words },
    make("span", { "aria-hidden": "true" }, `${SIGNS[word] || "?"} `), word, condition ? make("span", { title: condition }, "*") : null,
    each.metric === usual ? null : make("small", null, each.metric));
}

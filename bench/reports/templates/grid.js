// Tables whose cells are buttons: arrow keys move between them.

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

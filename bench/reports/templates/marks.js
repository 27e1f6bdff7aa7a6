// Marks that more than one page draws.

function scale(low, high, from, to, log) {
  const f = log ? Math.log10 : (value) => value;
  const [a, b] = [f(low), f(high)];
  return (value) => from + ((f(value) - a) / (b - a || 1)) * (to - from);
}
function difference([mean, low = null, high = null], most, tone = "") {
  const [width, height] = [180, 14], middle = height / 2;
  const at = (value) => 6 + ((Math.max(-most, Math.min(most, value)) + most) / (2 * most)) * (width - 12);
  return draw("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true", focusable: "false" },
    draw("path", { class: "axis", d: `M6 ${middle}H${width - 6}` }), draw("path", { class: "real", d: `M${at(0)} 0V${height}` }),
    low === null ? null : draw("path", { class: `interval ${tone}`, d: `M${at(low)} ${middle}H${at(high)}` }),
    Math.abs(mean) > most
      ? draw("path", { class: `dot ${tone}`, d: `M${at(mean)} ${middle - 4}l${4 * Math.sign(mean)} 4l${-4 * Math.sign(mean)} 4Z` })
      : draw("circle", { class: `dot ${tone}`, cx: at(mean), cy: middle, r: 3.5 }));
}

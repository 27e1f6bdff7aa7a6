// Molecules, from lines and letters that were read out of RDKit's drawings.

function molecule(smiles, name) {
  const drawing = smiles ? task().drawings[smiles] : "it is empty";
  if (!isCell(drawing)) return drawing ? make("p", { class: "wrong" }, `Not a molecule: ${drawing}.`) : null;
  const [width, height, paths, letters] = drawing;
  return draw("svg", { class: "molecule", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${name}: drawing of ${smiles}` },
    paths.map(([colour, filled, d]) => draw("path", { class: filled ? `filled ${colour}` : colour, d })),
    letters.map(([x, y, small, colour, letter]) => draw("text", { class: small ? `small ${colour}` : colour, x, y }, letter)));
}

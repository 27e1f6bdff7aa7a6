// Tunes as notes on a staff: drawn from the ABC of a sample, which has neither bars nor a key, in which a sharp is
// written before each note that has it, and whose lengths are in eighths. What is no note is shown as what it is.

const SEMITONES = { C: 0, D: 2, E: 4, F: 5, G: 7, A: 9, B: 11 };
const NOTE = /^([_^=]?)([A-Ga-gz])([,']*)(\d*)(?:\/(\d+))?$/;
const WIDTH = 360, GAP = 7, CLEF = 30; // of a staff, between two of its lines, and of its clef
const UNITS = [48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1]; // lengths that one sign has, in 32nds; every third part is a dot's

function readTune(pieces) {
  // Notes, rests and what is neither, with where each begins, in 32nds; of pieces every second one is shared.
  let at = 0;
  return (isCell(pieces) ? pieces : [pieces]).flatMap((piece, index) => piece.split(/\s+/).filter(Boolean).map((word) => {
    const found = NOTE.exec(word), own = { word, piece: index, shared: index % 2 === 1, at };
    if (!found || found[5] === "0") return { ...own, wrong: true, length: 0, signs: [0] };
    const [, accidental, letter, octaves, times, parts] = found;
    own.length = 4 * ((times ? Number(times) : 1) / (parts ? Number(parts) : 1));
    at += own.length;
    Object.assign(own, signsOf(own.length));
    if (letter === "z") return { ...own, rest: true };
    const octave = (letter === letter.toUpperCase() ? 4 : 5) + [...octaves].reduce((sum, mark) => sum + (mark === "'" ? 1 : -1), 0);
    const name = letter.toUpperCase();
    const midi = 12 * (octave + 1) + SEMITONES[name] + (accidental === "^" ? 1 : accidental === "_" ? -1 : 0);
    return { ...own, accidental, step: 7 * octave + "CDEFGAB".indexOf(name), midi };
  }));
}
function signsOf(length) {
  // The signs that are tied to one note: lengths in 32nds; and of how many equal parts they are, if not of two.
  const parts = [1, 3, 5, 7, 9].find((each) => Math.abs(Math.round(length * stretch(each)) - length * stretch(each)) < 1e-6) || 1;
  let rest = Math.max(1, Math.round(length * stretch(parts)));
  const signs = [];
  while (rest && signs.length < 8) {
    const sign = UNITS.find((each) => each <= rest);
    signs.push(sign);
    rest -= sign;
  }
  return { signs, parts: parts > 1 ? parts : 0 };
}
const stretch = (parts) => parts / 2 ** Math.floor(Math.log2(parts));
const isDotted = (sign) => sign % 3 === 0;
const flagsOf = (sign) => (sign >= 8 ? 0 : sign >= 4 ? 1 : sign >= 2 ? 2 : 3);

function staff(pieces, name) {
  // The drawing of a tune and, where the browser can make sounds, what plays it.
  const events = readTune(pieces);
  const sounding = events.filter((each) => each.midi !== undefined);
  const wrong = events.filter((each) => each.wrong);
  const middle = sounding.map((each) => each.step).sort((a, b) => a - b)[sounding.length >> 1];
  const bass = middle < 27; // most notes below the B under middle C
  const bottom = bass ? 18 : 30; // G2 or E4, on the lowest line
  for (const each of sounding) {
    each.octaves = 0;
    each.height = each.step - bottom;
    while (each.height > 16) { each.height -= 7; each.octaves += 1; }
    while (each.height < -8) { each.height += 7; each.octaves -= 1; }
  }
  const systems = [[]];
  let x = CLEF;
  for (const each of events) {
    each.signs.forEach((sign, index) => {
      const width = each.wrong ? 12 + 4.4 * each.word.length : 8 + 4.2 * Math.log2(sign + 1) + (each.accidental && !index ? 7 : 0) + (isDotted(sign) ? 4 : 0);
      if (x + width > WIDTH - 2 && systems[systems.length - 1].length) { systems.push([]); x = CLEF; }
      const before = each.signs.slice(0, index).reduce((sum, one) => sum + one, 0);
      systems[systems.length - 1].push({ ...each, sign, index, x, width, begin: each.at + before, event: each, last: index === each.signs.length - 1 });
      x += width;
    });
  }
  let top = 0;
  const drawn = systems.map((signs) => {
    const [node, height] = system(signs, bass, top);
    top += height;
    return node;
  });
  const shared = events.filter((each) => each.shared).length;
  const count = (number, what) => (number ? `${number} ${what}${number === 1 ? "" : "s"}` : "");
  const said = [count(sounding.length, "note"), count(events.filter((each) => each.rest).length, "rest"), shared ? `${shared} of them shared` : ""].filter(Boolean).join(", ") || "no note";
  const picture = draw("svg", { class: "staff", viewBox: `0 0 ${WIDTH} ${Math.ceil(top)}`, role: "img", "aria-label": `${name}: ${said}` }, drawn);
  return make("div", { class: "tune" }, picture,
    sounding.length && typeof AudioContext !== "undefined" ? playButton(events, name) : null,
    wrong.length ? make("p", { class: "wrong" }, `${wrong.length === 1 ? "One word is" : `${wrong.length} words are`} no note: ${[...new Set(wrong.map((each) => each.word))].slice(0, 5).join(", ")}.`) : null,
    sounding.length ? null : make("p", { class: "wrong" }, "There is no note in it."));
}
function system(signs, bass, top) {
  const groups = stems(signs.filter((each) => each.height !== undefined));
  const above = (each) => Math.max(each.height, each.up ? each.tip : 0) + (each.octaves || each.parts ? 4 : 1);
  const pitched = signs.filter((each) => each.height !== undefined);
  const highest = Math.max(10, ...pitched.map(above));
  const lowest = Math.min(-2, ...pitched.map((each) => Math.min(each.height, each.up === false ? each.tip : 0)));
  const ground = top + 4 + (highest * GAP) / 2; // the lowest line
  const y = (height) => ground - (height * GAP) / 2;
  const under = y(lowest) + 6;
  const lines = [0, 2, 4, 6, 8].map((height) => `M0 ${y(height)}H${WIDTH}`).join("");
  const back = signs.filter((each) => each.shared).map((each, index, all) => {
    const next = all[index + 1], joined = next && next.piece === each.piece;
    const left = each.x - 2, right = each.x + each.width - (joined ? 2 : 4);
    return [draw("rect", { class: "behind", x: left, y: y(9), width: right - left, height: y(-1) - y(9) }), draw("path", { class: "under", d: `M${left} ${under}H${right}` })];
  });
  const nodes = signs.map((each) => sign(each, y));
  groups.forEach((group) => stem(group, y));
  signs.forEach((each, index) => { (each.event.nodes = each.event.nodes || []).push(nodes[index]); });
  return [draw("g", null, back, draw("path", { class: "lines", d: lines }), clef(bass, y), nodes), under + 5 - top];
}
function stems(notes) {
  // Notes by their stems: short ones of one quarter, one beside the other, share their beams.
  const groups = [];
  let open = null;
  for (const each of notes) {
    each.quarter = Math.floor(each.begin / 8 + 1e-6);
    const previous = open && open[open.length - 1];
    const joins = previous && flagsOf(each.sign) && previous.quarter === each.quarter && Math.abs(previous.x + previous.width - each.x) < 0.01;
    if (joins) open.push(each);
    else if (each.sign < 32) groups.push((open = [each]));
    if (!flagsOf(each.sign)) open = null;
  }
  for (const group of groups) {
    const heights = group.map((each) => each.height);
    const up = heights.reduce((sum, one) => sum + one, 0) / group.length < 4;
    const tip = up ? Math.max(...heights) + 6 : Math.min(...heights) - 6;
    group.forEach((each) => Object.assign(each, { up, tip }));
  }
  return groups;
}
function sign(each, y) {
  // One sign but for its stem; `place` is the middle of its head.
  const group = (each.node = draw("g", { class: "sign" }));
  if (each.wrong) return add(group, draw("text", { x: each.x, y: y(3.2) }, "× " + each.word));
  const place = (each.place = each.x + (each.accidental && !each.index ? 11 : 4));
  if (each.rest) return add(group, rest(each, place, y), dots(each, place, y(5)), tuplet(each, place, y(9.5)));
  const at = y(each.height), open = each.sign >= 16;
  const above = Math.max(8, each.height, each.up ? each.tip : 0) + 1.5, ledgers = [];
  for (let height = -2; height >= each.height; height -= 2) ledgers.push(`M${place - 6.5} ${y(height)}h13`);
  for (let height = 10; height <= each.height; height += 2) ledgers.push(`M${place - 6.5} ${y(height)}h13`);
  return add(group,
    ledgers.length ? draw("path", { class: "pen", d: ledgers.join("") }) : null,
    each.accidental && !each.index ? accidental(each.accidental, place - 9.5, at) : null,
    draw("ellipse", { class: open ? "open head" : "ink head", cx: place, cy: at, rx: 4, ry: 2.9, transform: `rotate(-20 ${place} ${at})` }),
    dots(each, place, each.height % 2 ? at : at - GAP / 2),
    each.last ? null : draw("path", { class: "pen", d: `M${place + 2} ${at + 5}q${each.width / 2} 5 ${each.width - 3} 0` }), // a tie
    tuplet(each, place, y(above)),
    each.octaves && !each.index ? draw("text", { x: place - 5, y: y(above) }, `${{ 1: "8", 2: "15", 3: "22" }[Math.abs(each.octaves)] || "?"}${each.octaves > 0 ? "va" : "vb"}`) : null);
}
function stem(group, y) {
  // The stems of a group, and its beams, or the flags of a single note.
  const [first] = group, way = first.up ? 1 : -1, tip = y(first.tip);
  const at = (each) => each.place + 3.6 * way;
  for (const each of group) add(each.node, draw("path", { class: "pen", d: `M${at(each)} ${y(each.height)}V${tip}` }));
  for (let level = 1; level <= 3; level += 1) {
    const line = tip + way * (level - 1) * 4;
    group.forEach((each, index) => {
      if (flagsOf(each.sign) < level) return;
      const next = group[index + 1], before = group[index - 1];
      const reaches = (other) => other && flagsOf(other.sign) >= level;
      if (group.length === 1) add(each.node, draw("path", { class: "pen", d: `M${at(each)} ${line}c0 ${5 * way} 6 ${5 * way} 4.5 ${12 * way}` }));
      else if (reaches(next) || !reaches(before)) add(each.node, draw("path", { class: "beam", d: `M${at(each)} ${line}H${reaches(next) ? at(next) : at(each) + (next ? 5 : -5)}` }));
    });
  }
}
function rest(each, place, y) {
  if (each.sign >= 32) return draw("rect", { class: "ink", x: place - 4, y: y(6), width: 9, height: 3.5 });
  if (each.sign >= 16) return draw("rect", { class: "ink", x: place - 4, y: y(4) - 3.5, width: 9, height: 3.5 });
  if (each.sign >= 8) return draw("path", { class: "pen", d: `M${place - 2} ${y(7)}l4 5c-4 3 -4 4 0 8c-5 -2 -7 2 -2 5` });
  const marks = [];
  for (let flag = 0; flag < flagsOf(each.sign); flag += 1) {
    const at = y(5) + 4 * flag;
    marks.push(draw("circle", { class: "ink", cx: place - 2, cy: at, r: 1.6 }), draw("path", { class: "pen", d: `M${place - 2} ${at + 1}q3 1 5 -2` }));
  }
  return [marks, draw("path", { class: "pen", d: `M${place + 3} ${y(5) - 1}L${place} ${y(1.5)}` })];
}
function dots(each, place, at) {
  return isDotted(each.sign) ? draw("circle", { class: "ink", cx: place + 7.5, cy: at, r: 1.3 }) : null;
}
function tuplet(each, place, at) {
  return each.parts && !each.index ? draw("text", { x: place - 2, y: at }, String(each.parts)) : null;
}
function accidental(kind, x, at) {
  if (kind === "^") return draw("path", { class: "pen", d: `M${x - 1.3} ${at - 6}v12.5M${x + 1.3} ${at - 6.5}v12.5M${x - 3} ${at - 1.4}l6 -1.4M${x - 3} ${at + 2.8}l6 -1.4` });
  if (kind === "=") return draw("path", { class: "pen", d: `M${x - 1.6} ${at - 7}v9.8l3.4 -1.2M${x + 1.8} ${at + 7}v-9.8l-3.4 1.2` });
  return draw("path", { class: "pen", d: `M${x - 1.6} ${at - 8}v11c6 -4 4 -8 0 -5` });
}
function clef(bass, y) {
  if (bass) {
    const f = y(6);
    return [draw("circle", { class: "ink", cx: 7, cy: f, r: 2.2 }), draw("circle", { class: "ink", cx: 20, cy: f - 3, r: 1.2 }), draw("circle", { class: "ink", cx: 20, cy: f + 3.5, r: 1.2 }),
      draw("path", { class: "pen", d: `M6 ${f}c-1 -9 11 -9 10 1c0 8 -6 14 -13 17` })];
  }
  const g = y(2);
  return [draw("path", { class: "pen", d: `M11.5 ${g + 2.5}c-4.5 -1 -4 -7.5 1 -7.5c6.5 0 7 9.5 0 9.500c-10 0 -11.5 -10.5 -5 -17c4 -4 7.5 -8 7 -13c-0.3 -4.5 -2.6 -5 -4 -1.500c-1.5 4 -0.3 8 0.5 12.500l3 20c0.8 5.5 -5.5 6.5 -6.5 2.5` }),
    draw("circle", { class: "ink", cx: 8.6, cy: g + 11.5, r: 1.8 })];
}

"use strict";
(() => {
  const sheet = JSON.parse(document.getElementById("sheet").textContent);
  const $ = (id) => document.getElementById(id);
  const noun = sheet.items.some((item) => item.notes) ? "tune" : "text";
  const sections = ["start", "rate", "done"];
  const GUARD = 150; // milliseconds in which a second press is taken for a slip of the first
  let rater = "", order = [], given = [], shown = 0, spent = 0, saved = true, sound = null;

  // What is kept on this device, so that a closed tab loses nothing.
  const place = (name) => `rating/${sheet.sheet}/${name}`;
  const store = (() => {
    try {
      localStorage.setItem(place("?"), "1");
      localStorage.removeItem(place("?"));
      return localStorage;
    } catch {
      return null;
    }
  })();
  const keep = () => {
    saved = false;
    try {
      if (store) {
        store.setItem(place("rater"), rater);
        store.setItem(place(`answers/${rater}`), JSON.stringify(given));
      }
    } catch { /* full: the page still has the answers, and warns when it is closed */ }
  };
  const kept = (name) => {
    try {
      const found = JSON.parse(store.getItem(place(`answers/${name}`)));
      const known = new Set(sheet.items.map((item) => item.id));
      return Array.isArray(found) ? found.filter((row) => known.has(row[0])) : [];
    } catch {
      return [];
    }
  };

  // The order of each rater: shuffled by Fisher and Yates with splitmix32, seeded by FNV-1a of the name.
  const seedOf = (text) => {
    let hash = 0x811c9dc5;
    for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
    return hash >>> 0;
  };
  const shuffled = (items, name) => {
    let state = seedOf(`${sheet.sheet}/${name.toLowerCase()}`);
    const random = () => {
      state = (state + 0x9e3779b9) | 0;
      let mixed = state ^ (state >>> 16);
      mixed = Math.imul(mixed, 0x21f0aaad);
      mixed ^= mixed >>> 15;
      mixed = Math.imul(mixed, 0x735a2d97);
      return ((mixed ^ (mixed >>> 15)) >>> 0) / 4294967296;
    };
    const result = items.slice();
    for (let last = result.length - 1; last > 0; last--) {
      const other = Math.floor(random() * (last + 1));
      [result[last], result[other]] = [result[other], result[last]];
    }
    return result;
  };
  const cleaned = (name) => name.normalize("NFC").replace(/[\p{C}\s]+/gu, " ").replace(/^[=+\-@'＝＋－＠ ]+/u, "").trim();

  const show = (name) => {
    for (const each of sections) $(each).hidden = each !== name;
    $("who").hidden = name === "start";
    $("who").textContent = rater;
    window.scrollTo(0, 0);
  };
  const clock = () => { shown = performance.now(); spent = 0; };
  const pause = () => { if (shown) { spent += performance.now() - shown; shown = 0; } };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) pause(); else if (!$("rate").hidden) shown = performance.now();
  });

  const next = () => {
    hush();
    const at = given.length;
    if (at >= order.length) { finish(); return; }
    const item = order[at];
    show("rate");
    $("progress").textContent = `${noun === "tune" ? "Tune" : "Text"} ${at + 1} of ${order.length}`;
    $("bar").max = order.length;
    $("bar").value = at;
    const blank = item.text.trim() === "";
    $("text").textContent = blank ? "(nothing)" : item.text;
    $("text").classList.toggle("nothing", blank);
    $("tune").hidden = !item.notes;
    $("undo").disabled = at === 0;
    $("card").focus({ preventScroll: true });
    $("card").scrollTop = 0;
    clock();
  };
  const answer = (said) => {
    if ($("rate").hidden) return;
    const now = spent + (shown ? performance.now() - shown : 0);
    if (now < GUARD) return;
    given.push([order[given.length].id, said, Math.round(now / 100) / 10]);
    keep();
    next();
  };
  const undo = () => {
    if ($("rate").hidden || !given.length) return;
    given.pop();
    keep();
    next();
  };
  const finish = () => {
    hush();
    show("done");
    const left = order.length - given.length;
    $("thanks").textContent = left ? "Stop here for now" : `Thank you: that was the last ${noun}`;
    $("summary").textContent = left
      ? `You have judged ${given.length} of ${order.length} ${noun}s. Save your answers now, or go back and continue.`
      : `You have judged all ${order.length} ${noun}s. Please save your answers.`;
    $("saved").textContent = "";
    $("csv").value = table();
    $("back").textContent = left ? `Back to the ${noun}s` : "Undo the last answer";
    $("save").focus();
  };

  const quoted = (value) => `"${String(value).replace(/"/g, '""')}"`;
  const table = () => ["sheet,item,answer,rater,seconds",
    ...given.map(([item, said, seconds]) => [sheet.sheet, item, said, quoted(rater), seconds].join(","))].join("\n") + "\n";
  const save = () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([table()], { type: "text/csv;charset=utf-8" }));
    link.download = `answers-${sheet.sheet}-${rater.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "") || "rater"}.csv`;
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    saved = true;
    $("saved").textContent = `Saved as ${link.download}, where your browser puts downloads.`;
  };

  // Tunes: each note a soft triangle, 120 quarters a minute.
  const hush = () => { if (sound) { sound.close(); sound = null; $("play").textContent = "▶ Play"; } };
  const play = () => {
    if (sound) { hush(); return; }
    const item = order[given.length];
    if (!item || !item.notes || $("rate").hidden) return;
    const own = sound = new AudioContext();
    let at = own.currentTime + 0.05;
    for (const [pitch, sixteenths] of item.notes) {
      const length = sixteenths * 0.125;
      if (pitch !== null) {
        const tone = own.createOscillator(), volume = own.createGain();
        tone.type = "triangle";
        tone.frequency.value = 440 * 2 ** ((pitch - 69) / 12);
        volume.gain.setValueAtTime(0, at);
        volume.gain.linearRampToValueAtTime(0.3, at + 0.01);
        volume.gain.setTargetAtTime(0, at + length * 0.8, length * 0.08);
        tone.connect(volume).connect(own.destination);
        tone.start(at);
        tone.stop(at + length);
      }
      at += length;
    }
    $("play").textContent = "■ Stop";
    setTimeout(() => { if (sound === own) hush(); }, (at - own.currentTime) * 1000 + 200);
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || $("rate").hidden || !$("keys").checked) return;
    const does = {
      h: () => answer("human"), ArrowLeft: () => answer("human"),
      m: () => answer("machine"), ArrowRight: () => answer("machine"),
      u: undo, Backspace: undo, p: play,
      ...(sheet.skip ? { s: () => answer("skip") } : {}),
    }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (does) { event.preventDefault(); does(); }
  });
  $("human").addEventListener("click", () => answer("human"));
  $("machine").addEventListener("click", () => answer("machine"));
  $("skip").addEventListener("click", () => answer("skip"));
  $("undo").addEventListener("click", undo);
  $("play").addEventListener("click", play);
  $("pause").addEventListener("click", finish);
  $("save").addEventListener("click", save);
  $("csv").addEventListener("focus", () => $("csv").select());
  $("csv").addEventListener("copy", () => { saved = true; });
  $("back").addEventListener("click", () => {
    if (given.length >= order.length) { given.pop(); keep(); }
    next();
  });
  $("begin").addEventListener("submit", (event) => {
    event.preventDefault();
    rater = cleaned($("name").value);
    if (!rater) {
      $("name").value = "";
      $("name").setCustomValidity("Please write a name that has a letter or a digit.");
      $("name").reportValidity();
      return;
    }
    order = shuffled(sheet.items, rater);
    given = kept(rater);
    const stray = given.findIndex((row, at) => row[0] !== order[at]?.id);
    if (stray >= 0) given.length = stray; // what does not follow the order was not written by this page
    next();
  });
  $("name").addEventListener("input", () => $("name").setCustomValidity(""));
  window.addEventListener("beforeunload", (event) => { if (!store && !saved && given.length) event.preventDefault(); });

  for (const id of ["question", "question-start"]) $(id).textContent = sheet.question;
  $("count").textContent = sheet.items.length === 1 ? `one ${noun}` : `${sheet.items.length} ${noun}s`;
  $("must").textContent = sheet.skip
    ? "If you cannot tell at all, say so; but a guess is better."
    : "Judge every one of them: if you cannot tell, guess.";
  $("storage").textContent = store
    ? "Your answers are kept on this device as you go: you may close the page and continue later."
    : "This browser keeps nothing: save your answers before you close the page.";
  const every = sheet.items.map((item) => item.text).join("");
  $("text").lang = /\p{sc=Han}/u.test(every) && !/[\p{sc=Hiragana}\p{sc=Katakana}]/u.test(every) ? "zh" : "";
  $("missing").hidden = !every.includes("□");
  $("skip").hidden = $("skip-key").hidden = !sheet.skip;
  $("play-key").hidden = noun !== "tune";
  if (store) $("name").value = store.getItem(place("rater")) || "";
  show("start");
  $("name").focus();
})();

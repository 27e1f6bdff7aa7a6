// Plays tunes: one at a time, from a click or a key alone, on oscillators of the browser; nothing is loaded.

const EIGHTH = 0.25; // seconds: 120 quarters a minute
const player = {
  context: null,
  playing: null, // the button of the tune that sounds
  ended: () => {},
  stop() {
    const ended = player.ended;
    player.ended = () => {};
    player.playing = null;
    ended();
  },
};

function playButton(events, name) {
  const button = make("button", { type: "button", class: "play", "aria-label": `Play ${name}`, click: () => {
    const again = player.playing === button;
    player.stop();
    if (!again) play(events, button, name);
  } }, "▶ Play");
  return button;
}
function play(events, button, name) {
  player.context = player.context || new AudioContext();
  const { context } = player;
  context.resume();
  const volume = context.createGain(), oscillators = [], timers = [];
  volume.gain.value = 0.25;
  volume.connect(context.destination);
  const start = context.currentTime + 0.08, of = (units) => (units / 4) * EIGHTH;
  let end = 0;
  for (const each of events) {
    end = Math.max(end, of(each.at + each.length));
    if (each.midi === undefined) continue;
    const from = start + of(each.at), until = from + of(each.length);
    const tone = context.createOscillator(), loudness = context.createGain();
    tone.type = "triangle";
    tone.frequency.value = 440 * 2 ** ((each.midi - 69) / 12);
    loudness.gain.setValueAtTime(0, from);
    loudness.gain.linearRampToValueAtTime(1, from + 0.01); // a beginning and an end without a click
    loudness.gain.setTargetAtTime(0.6, from + 0.01, 0.1);
    loudness.gain.setTargetAtTime(0, Math.max(from + 0.01, until - 0.04), 0.012);
    tone.connect(loudness).connect(volume);
    tone.start(from);
    tone.stop(until + 0.02);
    oscillators.push(tone);
    const light = (on) => () => each.nodes.forEach((node) => node.classList.toggle("sounding", on));
    timers.push(setTimeout(light(true), 1000 * (0.08 + of(each.at))), setTimeout(light(false), 1000 * (0.08 + of(each.at + each.length))));
  }
  timers.push(setTimeout(() => player.stop(), 1000 * (end + 0.3)));
  player.playing = button;
  button.textContent = "■ Stop";
  button.setAttribute("aria-label", `Stop ${name}`);
  player.ended = () => {
    timers.forEach(clearTimeout);
    oscillators.forEach((tone) => tone.stop());
    volume.disconnect();
    events.forEach((each) => (each.nodes || []).forEach((node) => node.classList.remove("sounding")));
    button.textContent = "▶ Play";
    button.setAttribute("aria-label", `Play ${name}`);
  };
}
document.addEventListener("keydown", (event) => { if (event.key === "Escape") player.stop(); });

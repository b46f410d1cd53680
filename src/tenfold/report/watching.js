// Watch a training: while it runs, the page asks for updates once a second. It can be replayed.

const find = (id) => document.getElementById(id);
const { frames, isLive } = JSON.parse(find("stored").textContent);
const slider = find("epoch");
const ASK_MS = 1000;
const PLAY_MS = 200;
let playing = null;

function showFrame() {
  const frame = frames[slider.value];
  find("player").hidden = !frame?.weights;
  if (!frame) return;
  if (frame.weights) find("weights").src = frame.weights;
  find("at").textContent = `epoch ${frame.epoch}, ${frame.text}`;
}

function stop() {
  clearInterval(playing);
  playing = null;
  find("play").textContent = "Play";
}

function play() {
  if (playing) return stop();
  if (slider.value === slider.max) slider.value = 0;
  find("play").textContent = "Stop";
  showFrame();
  playing = setInterval(() => {
    if (Number(slider.value) >= frames.length - 1) return stop();
    slider.value = Number(slider.value) + 1;
    showFrame();
  }, PLAY_MS);
}

/** Take frames in, and follow the newest one unless an earlier one is looked at. */
function add(more) {
  const follows = !playing && slider.value === slider.max;
  frames.push(...more);
  slider.max = Math.max(0, frames.length - 1);
  if (follows) slider.value = slider.max;
  showFrame();
}

async function ask() {
  let state = null;
  try {
    state = await (await fetch(`state?after=${frames.at(-1)?.epoch ?? 0}`)).json();
  } catch {
    find("status").textContent += ". The program has ended; this page plays back what it saw.";
    return;
  }
  find("status").textContent = state.status;
  find("about").textContent = state.about;
  find("share").value = state.share;
  find("curves").innerHTML = state.chart;
  if (state.samples && find("pictures").hidden) {
    find("samples").innerHTML = state.samples;
    find("pictures").hidden = false;
  }
  add(state.frames);
  if (!state.done) setTimeout(ask, ASK_MS);
}

find("play").addEventListener("click", play);
slider.addEventListener("input", () => {
  stop();
  showFrame();
});
add([]);
if (isLive) ask();

// A model that this page cannot compute: the drawing is fitted here, the service that the page came from answers.

import { fit, NothingDrawn, SIDE_PX } from "./box.js";
import { barFor, exampleButtons, showAnswer, showSeen } from "./living.js";
import { openPad } from "./pad.js";

const find = (id) => document.getElementById(id);

/** Bring the section of living.html.j2 to life: `stored` is what page/html.py embedded. */
export function openAsked(stored) {
  const state = { image: null, answer: null, wanted: null, isAsking: false };
  const bars = stored.labels.map((label) => barFor(label, () => {}));
  for (const bar of bars) bar.button.disabled = true; // there is no neuron to show
  find("bars").append(...bars.map((bar) => bar.item));
  const say = (text) => (find("verdict").textContent = text);
  const show = () => {
    showSeen(state.image);
    showAnswer(state.answer, bars, stored.labels);
  };

  /** One request at a time; the newest drawing is asked for next, those between are left out. */
  const ask = async () => {
    if (state.isAsking) return;
    state.isAsking = true;
    while (state.wanted) {
      const image = state.wanted;
      state.wanted = null;
      const found = await answerOf(stored, image);
      if (state.image !== image) continue;
      state.answer = found.answer ?? null;
      show();
      if (found.problem) say(found.problem);
    }
    state.isAsking = false;
  };
  const look = (image) => {
    Object.assign(state, { image, wanted: image });
    if (!image) state.answer = null;
    show();
    ask();
  };
  const read = (grey) => {
    if (!grey) return look(null);
    try {
      look(fit(grey).image);
    } catch (error) {
      if (!(error instanceof NothingDrawn)) throw error;
      look(null);
      say("Nothing drawn that stands out from its paper.");
    }
  };

  const pad = openPad(find("pad"), { changed: read, refused: say });
  find("clear").addEventListener("click", pad.clear);
  find("undo").addEventListener("click", pad.undo);
  find("file").addEventListener("change", (event) => event.target.files.length && pad.show(event.target.files[0]));
  const seen = (data) => {
    pad.clear();
    requestAnimationFrame(() => look({ height: SIDE_PX, width: SIDE_PX, data })); // after the pad said it is empty
  };
  find("examples").append(...exampleButtons(stored.examples, seen));
  show();
  return { state, pad, read, look: seen, fit };
}

/** What the service says of a picture, in the form of living.js; or the problem. */
async function answerOf({ labels, service }, image) {
  try {
    const headers = { "content-type": "application/octet-stream" };
    const reply = await fetch(service, { method: "POST", headers, body: new Uint8Array(image.data) });
    const said = await reply.json();
    if (!reply.ok) return { problem: said.error };
    const one = said.predictions[0];
    const probabilities = labels.map((label) => one.probabilities[label]);
    return { answer: { best: labels.indexOf(one.label), probabilities, doubt: one.unsure ? one.reason : null } };
  } catch {
    return { problem: "The service does not answer." };
  }
}

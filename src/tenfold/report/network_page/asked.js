// For a model that this page cannot compute: the page fits the drawing, and the service that sent it predicts.

import { openAsking } from "./asking.js";
import { fit, NothingDrawn, SIDE_PX } from "./box.js";
import { barFor, exampleButtons, showAnswer, showSeen } from "./living.js";
import { openPad } from "./pad.js";

const find = (id) => document.getElementById(id);

/** Start the section of living.html.j2: `stored` is what report/network_page/html.py embedded. */
export function openAsked(stored) {
  const state = { image: null, answer: null };
  const bars = stored.labels.map((label) => barFor(label, () => {}));
  for (const bar of bars) bar.button.disabled = true; // there is no neuron to show
  find("bars").append(...bars.map((bar) => bar.item));
  const say = (text) => (find("verdict").textContent = text);
  const show = () => {
    showSeen(state.image);
    showAnswer(state.answer, bars, stored.labels);
  };

  const asking = openAsking(stored, ({ answer, problem }) => {
    state.answer = answer ?? null;
    show();
    if (problem) say(problem);
  });
  const look = (image) => {
    state.image = image;
    if (!image) state.answer = null;
    show();
    asking.ask(image);
  };
  const read = (grey) => {
    find("pad-hint").hidden = Boolean(grey);
    if (!grey) return look(null);
    try {
      look(fit(grey).image);
    } catch (error) {
      if (!(error instanceof NothingDrawn)) throw error;
      look(null);
      say("Nothing is drawn on the picture that stands out from its paper.");
    }
  };

  const pad = openPad(find("pad"), { changed: read, refused: say });
  find("clear").addEventListener("click", pad.clear);
  find("undo").addEventListener("click", pad.undo);
  find("pen").addEventListener("input", (event) => pad.width(event.target.value / 100));
  find("save").hidden = true; // the network's page has it
  find("file").addEventListener("change", (event) => event.target.files.length && pad.show(event.target.files[0]));
  const seen = (data) => {
    pad.clear();
    requestAnimationFrame(() => look({ height: SIDE_PX, width: SIDE_PX, data })); // after the pad said it is empty
  };
  find("examples").append(...exampleButtons(stored.examples, seen));
  show();
  return { state, asking, pad, read, look: seen, fit };
}

// The network on the page: from a drawing to every number of the network.

import { fit, NothingDrawn, SIDE_PX } from "./box.js";
import { drawOnce } from "./drawn_once.js";
import { evidence, openNetwork, run } from "./engine.js";
import { layersOf, neuronOf, sidesOf } from "./neuron.js";
import { drawPaths, pathsOf, sizeFor } from "./paths.js";
import { hit, paint } from "./paint.js";
import { openPad } from "./pad.js";

const NS = "http://www.w3.org/2000/svg";
const MOST_LINES = 6; // inputs of a neuron that get a line each
const STILL_MS = 80; // a neuron, evidence, and all but the first network of a vote wait until the pen rests: drawing must not
const NEAR_SHARE = 0.5; // an unsure answer whose second label has this share of the first's is between both
const find = (id) => document.getElementById(id);

/**
 * Start the section of living.html.j2.
 * @param stored what report/network_page/html.py embedded.
 * @param openAsking of asking.js, when the page comes from a service: then it is asked, too.
 */
export function openLiving(stored, openAsking = null) {
  const network = openNetwork(stored.network);
  const layers = layersOf(network);
  const state = { image: null, values: null, layer: 0, index: 0, place: null, rival: null, isChosen: false };
  const maps = layers.map((layer, k) => ({ layer, ...mapFor(layer, k, stored.labels) }));
  find("layers").append(...maps.map((map) => map.figure));
  const bars = stored.labels.map((label, code) => barFor(label, () => choose(layers.length - 1, code)));
  find("bars").append(...bars.map((bar) => bar.item));

  const choose = (layer, index, place = null) => {
    Object.assign(state, { layer, index, place, isChosen: true });
    show();
    showNeuron(network, layers, state, stored.labels);
    find("neuron").scrollIntoView({ block: "nearest" });
  };
  maps.forEach((map, k) => {
    map.canvas.addEventListener("click", (event) => {
      const found = map.place && hit(map.canvas, map.place, event);
      if (found) choose(k, found.tile, map.layer.kind === "conv" ? [found.row, found.column] : null);
    });
    map.number.addEventListener("input", () => {
      const index = Math.min(map.number.max, Math.max(0, Math.floor(map.number.value) || 0));
      choose(k, index);
    });
  });
  find("rival").addEventListener("change", (event) => {
    state.rival = Number(event.target.value);
    show();
  });

  const asking = openAsking?.(stored, (found) => showServed(found, stored.labels));
  const look = (image, about = "") => {
    state.image = image;
    find("about-input").textContent = about;
    if (asking) find("served").textContent = "";
    asking?.ask(image);
    state.values = image && run(network, image.data, network.first);
    state.isWhole = network.first.length === network.steps.length;
    Object.assign(state, { place: null, rival: null });
    if (image && !state.isChosen) state.index = strongest(state.values, layers[0]);
    show();
  };
  const read = (grey) => {
    find("pad-hint").hidden = Boolean(grey);
    if (!grey) return look(null);
    try {
      look(fit(grey).image);
    } catch (error) {
      if (!(error instanceof NothingDrawn)) throw error;
      look(null);
      find("verdict").textContent = "Nothing is drawn on the picture that stands out from its paper.";
    }
  };
  const show = () => {
    showSeen(state.image);
    showAnswer(answerNow(), bars, stored.labels);
    for (const [k, map] of maps.entries()) showMap(map, state, k);
    clearTimeout(state.later);
    state.later = setTimeout(rest, STILL_MS);
  };
  const answerNow = () => state.values && answerOf(stored, state.values);
  const rest = () => {
    if (state.image && !state.isWhole) {
      Object.assign(state, { values: run(network, state.image.data), isWhole: true });
      showAnswer(answerNow(), bars, stored.labels);
    }
    showNeuron(network, layers, state, stored.labels);
    showEvidence(network, state, answerNow(), stored.labels);
    showPaths();
  };
  const isDense = layers.every((layer) => layer.kind === "dense");
  const showPaths = () => {
    const answer = answerNow();
    find("paths").hidden = !answer || !isDense;
    if (find("paths").hidden) return;
    const paths = pathsOf(network, layers, state.values, answer.best);
    const { labels } = stored;
    find("paths-to").textContent = labels[answer.best];
    const size = sizeFor(find("paths-picture").clientWidth);
    find("paths-picture").replaceChildren(
      drawPaths(paths, { layers, labels, choose, values: state.values, probabilities: answer.probabilities, side: SIDE_PX, size }),
    );
    const share = (px, whole) => `${(100 * px) / whole}%`;
    const { width, height, picture, left, top } = size;
    Object.assign(find("paths-seen").style, { left: share(left, width), top: share(top, height), width: share(picture, width) });
    paint(find("paths-seen"), state.image.data, [1, SIDE_PX, SIDE_PX], { most: 255, positive: "--light", ground: "--night", across: 280 });
  };

  const pad = openPad(find("pad"), { changed: read, refused: (text) => (find("verdict").textContent = text) });
  find("clear").addEventListener("click", pad.clear);
  find("undo").addEventListener("click", pad.undo);
  find("file").addEventListener("change", (event) => event.target.files.length && pad.show(event.target.files[0]));
  const seen = (data, about = "") => {
    pad.clear();
    requestAnimationFrame(() => {
      look({ height: SIDE_PX, width: SIDE_PX, data }, about); // after the pad said it is empty
    });
  };
  find("examples").append(...exampleButtons(stored.examples, seen));
  find("pen").addEventListener("input", (event) => pad.width(event.target.value / 100));
  find("save").addEventListener("click", async () => {
    const answer = answerNow();
    const link = element("a", { href: URL.createObjectURL(await pad.save()), download: `${answer ? stored.labels[answer.best] : "drawing"}.png` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href));
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  addEventListener("resize", show);
  show();
  const shown = stored.examples.at(-3) ?? stored.examples[0];
  if (shown) {
    const image = { height: SIDE_PX, width: SIDE_PX, data: bytes(shown.pixels) };
    const lookAt = (drawn) => look(drawn, "An example of the data. Draw one of your own.");
    lookAt(image);
    let last = state.image;
    const follow = (drawn) => (lookAt(drawn), (last = drawn));
    if (!asking) drawOnce(find("pad"), image, follow, () => state.image === last);
  }
  setTimeout(warmUp);
  const answer = (pixels) => [...run(network, pixels).get(network.output).data];
  return { state, network, asking, pad, answerOf, read, look: seen, answer, fit, run, evidence, openNetwork, layersOf, neuronOf };
}

/** The first fits of a page are compiled while they run: better now than under the pen. */
function warmUp() {
  const side = 140;
  const data = new Uint8Array(side * side);
  for (let y = 30; y < 110; y++) data.fill(255, y * side + 60, y * side + 72);
  for (let k = 0; k < 4; k++) fit({ height: side, width: side, data });
}

/** The predicted label, the runner-up, the probabilities, and why the prediction is unsure, if it is. */
export function answerOf({ labels, decision, network }, values) {
  const probabilities = values.get(network.output).data;
  const order = [...probabilities.keys()].sort((a, b) => probabilities[b] - probabilities[a]);
  const [first, second] = order;
  let best = first;
  if (decision) {
    const positive = labels.indexOf(decision.positive);
    best = probabilities[positive] >= Math.fround(decision.threshold) ? positive : 1 - positive;
  }
  let doubt = null;
  if (network.novelty_threshold !== null && !(values.get("novelty").data[0] <= Math.fround(network.novelty_threshold))) {
    const near = probabilities[second] >= NEAR_SHARE * probabilities[first];
    doubt = near ? `${labels[first]} or ${labels[second]}` : "unlike the training examples";
  }
  return { best, second: order.find((code) => code !== best), probabilities, doubt };
}

/** The neuron, or the channel, of a layer with the largest output. */
function strongest(values, layer) {
  const { shape, data } = values.get(layer.activation);
  const best = data.reduce((most, value, i) => (value > data[most] ? i : most), 0);
  return shape.length === 4 ? Math.floor(best / (shape[2] * shape[3])) : best;
}

// The pieces of the page.

export function showSeen(image) {
  const pixels = image ? image.data : new Uint8Array(SIDE_PX * SIDE_PX);
  paint(find("seen"), pixels, [1, SIDE_PX, SIDE_PX], { most: 255, positive: "--light", ground: "--night", across: 280 });
}

function showServed({ answer, problem }, labels) {
  const share = answer && `${labels[answer.best]}, ${(100 * answer.probabilities[answer.best]).toFixed(2)}%`;
  const doubt = answer?.doubt ? `, unsure: ${answer.doubt}` : "";
  find("served").textContent = problem ?? `The service answers ${share}${doubt}.`;
}

export function barFor(label, chosen) {
  const item = element("li");
  const button = element("button", { type: "button", className: "bar" });
  const [name, track, fill, number] = ["span", "span", "span", "span"].map((tag) => element(tag));
  [name.className, track.className, fill.className, number.className] = ["name", "track", "fill", "number"];
  name.textContent = label;
  track.append(fill);
  button.append(name, track, number);
  button.addEventListener("click", chosen);
  item.append(button);
  return { item, button, fill, number, label };
}

export function showAnswer(answer, bars, labels) {
  for (const [code, bar] of bars.entries()) {
    const share = answer ? answer.probabilities[code] : 0;
    bar.fill.style.width = `${100 * share}%`;
    bar.number.textContent = answer ? percent(share) : "";
    bar.button.classList.toggle("best", answer?.best === code);
    bar.button.ariaLabel = `${bar.label}: ${answer ? percent(share) : "no answer yet"}${bar.button.disabled ? "" : ". Show its neuron."}`;
  }
  find("verdict").replaceChildren();
  if (!answer) return find("verdict").append("Draw, or choose an example.");
  const label = element("b");
  label.textContent = labels[answer.best];
  find("verdict").append(label, ` with ${percent(answer.probabilities[answer.best])}`);
  if (answer.doubt === null) return;
  const doubt = element("span", { className: "unsure", textContent: `unsure: ${answer.doubt}` });
  find("verdict").append(doubt);
}

function mapFor(layer, k, labels) {
  const figure = element("figure", { className: "layer" });
  const caption = element("figcaption");
  const title = element("b");
  title.textContent = layer.isOutput ? "Output" : `${layer.kind === "conv" ? "Convolution" : "Hidden layer"} ${k + 1}`;
  const about = element("span");
  const choice = element("label");
  const number = element("input", { type: "number", min: 0, value: 0, inputMode: "numeric" });
  choice.append(layer.kind === "conv" ? "channel " : "neuron ", number);
  caption.append(title, about, choice);
  const canvas = element("canvas", { className: "map" });
  canvas.setAttribute("role", "img");
  figure.append(caption, canvas);
  if (layer.isOutput) figure.append(outputLabels(labels));
  return { figure, canvas, about, number, labels };
}

/** The labels below the outputs, where they lie in one row. */
function outputLabels(labels) {
  const row = element("div", { className: "outputs" });
  row.append(...labels.map((label) => element("span", { textContent: label, title: label })));
  row.ariaHidden = "true"; // the bars say the same
  return row;
}

function showMap(map, state, k) {
  const { layer, canvas, about, number } = map;
  if (!state.values) return (map.figure.hidden = true);
  map.figure.hidden = false;
  const { shape, data } = state.values.get(layer.activation);
  const sides = shape.length === 4 ? [shape[1], shape[2], shape[3]] : [shape[1], 1, 1];
  const awake = data.reduce((n, value) => n + (value > 0), 0);
  const size = shape.length === 4 ? `${shape[1]} maps of ${shape[2]} × ${shape[3]}` : `${shape[1]} neurons`;
  about.textContent = layer.isRelu ? `${size}, ${Math.round((100 * awake) / data.length)}% of them active` : size;
  number.max = sides[0] - 1;
  if (state.layer === k && document.activeElement !== number) number.value = state.index;
  map.place = paint(canvas, data, sides, { marked: state.layer === k ? state.index : -1, across: Math.min(640, map.figure.parentElement.clientWidth) });
  const labels = map.figure.querySelector(".outputs");
  if (labels) {
    labels.hidden = map.place.rows > 1;
    labels.style.width = `${map.place.across}px`;
  }
  canvas.ariaLabel = `Activations of ${about.textContent}`;
}

function showNeuron(network, layers, state, labels) {
  const panel = find("neuron");
  panel.hidden = !state.values;
  if (!state.values) return;
  const layer = layers[state.layer];
  const neuron = neuronOf(network, state.values, layer, state.index, state.place);
  const where = layer.isOutput ? `Output “${labels[state.index]}”` : `${layer.kind === "conv" ? "Channel" : "Neuron"} ${state.index} of layer ${state.layer + 1}`;
  const at = neuron.place ? `, at row ${neuron.place[0]}, column ${neuron.place[1]}` : "";
  find("neuron-title").textContent = where + at;
  const most = neuron.weights.reduce((a, b) => Math.max(a, Math.abs(b)), 0) || 1;
  const across = 180;
  paint(find("neuron-inputs"), neuron.inputs, neuron.sides, { across });
  paint(find("neuron-weights"), neuron.weights, neuron.sides, { most, across });
  paint(find("neuron-products"), neuron.products, neuron.sides, { across });
  const end = layer.isOutput ? percent(state.values.get(network.output).data[state.index]) : signed(neuron.activation, false);
  find("neuron-diagram").replaceChildren(diagram(neuron, layer, end));
}

/** A neuron as tutorials draw it, with its real numbers: inputs, weights, sum, activation. */
function diagram(neuron, layer, end) {
  const order = [...neuron.products.keys()].sort((a, b) => Math.abs(neuron.products[b]) - Math.abs(neuron.products[a]));
  const top = order.slice(0, MOST_LINES).filter((i) => neuron.products[i]);
  const rest = order.slice(top.length).reduce((sum, i) => sum + neuron.products[i], 0);
  const lines = top.map((i) => [`${signed(neuron.inputs[i], false)} × ${signed(neuron.weights[i])}`, neuron.products[i]]);
  if (order.length > top.length) lines.push([`${order.length - top.length} others`, rest]);
  lines.push(["bias", neuron.bias]);
  const height = 34 * lines.length + 20;
  const middle = height / 2;
  const most = Math.max(...lines.map(([, value]) => Math.abs(value))) || 1;
  const name = layer.isOutput ? "softmax" : layer.isRelu ? "ReLU" : "as it is";
  const svg = svgElement("svg", { viewBox: `-12 0 512 ${height}`, role: "img" });
  svg.append(svgElement("title", {}, `The sum of the weighted inputs is ${signed(neuron.sum)}; after ${name} it is ${end}.`));
  lines.forEach(([text, value], k) => {
    const y = 27 + 34 * k;
    const side = value < 0 ? "against" : "for";
    svg.append(svgElement("line", { x1: 206, y1: y, x2: 262, y2: middle, class: side, "stroke-width": 0.5 + (5 * Math.abs(value)) / most }));
    svg.append(svgElement("text", { x: 114, y: y + 5, "text-anchor": "end" }, text));
    svg.append(svgElement("text", { x: 200, y: y + 5, "text-anchor": "end", class: `number ${side}` }, `= ${signed(value)}`));
  });
  svg.append(svgElement("line", { x1: 320, y1: middle, x2: 350, y2: middle, class: "plain" }));
  svg.append(svgElement("line", { x1: 414, y1: middle, x2: 436, y2: middle, class: "plain" }));
  svg.append(svgElement("circle", { cx: 288, cy: middle, r: 32 }), svgElement("rect", { x: 350, y: middle - 24, width: 64, height: 48, rx: 8 }));
  svg.append(svgElement("text", { x: 288, y: middle - 6, "text-anchor": "middle" }, "Σ"));
  svg.append(svgElement("text", { x: 288, y: middle + 13, "text-anchor": "middle", class: "number" }, signed(neuron.sum)));
  svg.append(svgElement("text", { x: 382, y: middle + 5, "text-anchor": "middle" }, name));
  svg.append(svgElement("text", { x: 440, y: middle + 5, class: "number end" }, end));
  return svg;
}

function showEvidence(network, state, answer, labels) {
  find("evidence").hidden = !answer;
  if (!answer) return;
  const rival = state.rival === null || state.rival === answer.best ? answer.second : state.rival;
  const others = labels.map((label, code) => ({ label, code })).filter(({ code }) => code !== answer.best);
  find("rival").replaceChildren(...others.map(({ label, code }) => element("option", { value: code, textContent: label, selected: code === rival })));
  find("winner").textContent = labels[answer.best];
  const found = evidence(network, state.values, answer.best, rival);
  paint(find("evidence-map"), found.pixels, [1, SIDE_PX, SIDE_PX], { across: 280 });
  const speaking = (sign) => found.pixels.reduce((sum, value) => sum + (sign * value > 0 ? value : 0), 0);
  find("evidence-sum").textContent =
    `Pixels for “${labels[answer.best]}” ${signed(speaking(1))}, pixels for “${labels[rival]}” ${signed(speaking(-1))}, ` +
    `biases ${signed(found.rest)}: together ${signed(found.difference)}, the lead before softmax.`;
}

export function exampleButtons(examples, chosen) {
  return examples.map(({ label, pixels }) => {
    const data = bytes(pixels);
    const button = element("button", { type: "button", className: "example", title: `An example of ${label}` });
    button.ariaLabel = `An example of ${label}`;
    const canvas = element("canvas");
    paint(canvas, data, [1, SIDE_PX, SIDE_PX], { most: 255, positive: "--light", ground: "--night", across: 28 });
    button.append(canvas);
    button.addEventListener("click", () => chosen(data));
    return button;
  });
}

function bytes(base64) {
  return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
}

function element(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties);
}

function svgElement(tag, attributes, text = null) {
  const made = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== null) made.textContent = text;
  return made;
}

/** A number in three digits with its sign: a true minus is as wide as a plus. */
export function signed(value, plus = true) {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  const text = Math.abs(value).toFixed(digits);
  return (value < 0 && Number(text) ? "−" : plus && Number(text) ? "+" : "") + text;
}

function percent(share) {
  return share > 0.9999 && share < 1 ? "> 99.99%" : `${(100 * share).toFixed(share > 0.999 ? 2 : 1)}%`;
}

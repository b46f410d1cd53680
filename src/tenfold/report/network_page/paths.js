// The network as tutorials draw it, from the picture to the labels, with the paths that decide.

import { neuronOf } from "./neuron.js";

const NS = "http://www.w3.org/2000/svg";
const SHOWN = 10; // neurons of a hidden layer
const PIXELS = 24;
const [HEIGHT, TOP, FOOT, RADIUS] = [400, 16, 44, 12];
const [WIDE, NARROW] = [{ width: 760, picture: 180 }, { width: 340, picture: 96 }];

/** The strongest paths to one output: for each layer, last to first, the inputs that add or take most from what is
 *  shown of it. Returns {columns: [indices of pixels, ..., [output]], edges: [{layer, from, to, value}]}. */
export function pathsOf(network, layers, values, output) {
  const columns = [[output]];
  const edges = [];
  for (let k = layers.length - 1; k >= 0; k--) {
    const neurons = columns[0].map((index) => neuronOf(network, values, layers[k], index));
    const strength = neurons[0].products.map((_, i) => neurons.reduce((sum, { products }) => sum + Math.abs(products[i]), 0));
    const order = [...strength.keys()].filter((i) => strength[i]).sort((a, b) => strength[b] - strength[a]);
    const from = order.slice(0, k === 0 ? PIXELS : SHOWN).sort((a, b) => a - b);
    for (const { index, products } of neurons) edges.push(...from.map((i) => ({ layer: k, from: i, to: index, value: products[i] })));
    columns.unshift(from);
  }
  return { columns, edges };
}

/** The size of the drawing in so many pixels, in which texts keep a size that can be read, and of the picture in it. */
export function sizeFor(px) {
  const size = px < 560 ? NARROW : WIDE;
  return { ...size, height: HEIGHT, left: 8, top: TOP + (HEIGHT - TOP - FOOT - size.picture) / 2 };
}

/** Draw them: the picture in pixels of `side` a side, hidden neurons as circles that can be chosen, all labels. */
export function drawPaths({ columns, edges }, { layers, values, labels, probabilities, side, choose, size }) {
  const svg = made("svg", { viewBox: `0 0 ${size.width} ${HEIGHT}`, role: "img" });
  const output = columns.at(-1)[0];
  svg.append(made("title", {}, `The strongest paths from the picture to ${labels[output]}`));
  const shown = [...columns.slice(0, -1), labels.map((_, code) => code)];
  const placeOf = placer(shown, side, size);
  for (const [k] of layers.entries()) {
    const own = edges.filter((edge) => edge.layer === k).sort((a, b) => Math.abs(a.value) - Math.abs(b.value));
    const most = Math.abs(own.at(-1)?.value ?? 1);
    for (const { from, to, value } of own) {
      const [[x1, y1], [x2, y2]] = [placeOf(k, from), placeOf(k + 1, to)];
      const share = Math.abs(value) / most;
      if (share > 0.03) svg.append(made("line", { x1, y1, x2, y2, class: value < 0 ? "against" : "for", "stroke-width": 0.3 + 3.7 * share, "stroke-opacity": 0.25 + 0.6 * share }));
    }
  }
  for (const [k, indices] of shown.entries()) {
    const isLast = k === shown.length - 1;
    if (k > 0) for (const index of indices) {
      const [label, share] = isLast ? [labels[index], probabilities[index]] : [index, null];
      svg.append(...node(placeOf(k, index), label, share, () => choose(k - 1, index)));
    }
    const n = k === 0 ? side * side : values.get(layers[k - 1].activation).data.length;
    const what = k === 0 ? "pixels" : isLast ? "outputs" : size.width === NARROW.width ? "neurons" : `neurons, ${indices.length} drawn`;
    const x = k === 0 ? size.picture / 2 + 8 : columnAt(k, shown.length, size);
    svg.append(made("text", { x, y: HEIGHT - 14, "text-anchor": "middle", class: "count" }, `${n} ${what}`));
  }
  return svg;
}

/** The position of something: of a pixel in the picture, or of a neuron in its column. */
function placer(shown, side, { picture, left, top, width }) {
  const down = HEIGHT - TOP - FOOT;
  return (k, index) => {
    if (k === 0) return [left + (picture * ((index % side) + 0.5)) / side, top + (picture * (Math.floor(index / side) + 0.5)) / side];
    return [columnAt(k, shown.length, { picture, width }), TOP + (down * (shown[k].indexOf(index) + 0.5)) / shown[k].length];
  };
}

function columnAt(k, n, { picture, width }) {
  return picture + ((width - (width === WIDE.width ? 90 : 50) - picture) * k) / (n - 1);
}

function node([x, y], label, share, chosen) {
  const isOutput = share !== null;
  const circle = made("circle", { cx: x, cy: y, r: isOutput ? 4 + 9 * share : RADIUS, class: isOutput ? "output" : "hidden" });
  circle.addEventListener("click", chosen);
  const text = isOutput ? { x: x + 20, y: y + 5, class: "label" } : { x, y: y + 4, "text-anchor": "middle", class: "index" };
  return [circle, made("text", text, label)];
}

function made(tag, attributes, text = null) {
  const element = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== null) element.textContent = text;
  return element;
}

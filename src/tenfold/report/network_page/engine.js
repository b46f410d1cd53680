// The model's own network, computed here: the nodes of model.onnx, one picture at a time,
// in float32, and in float64 where the graph says so.
// A tensor is {shape, data}; the first side of a shape is the one picture.

const { max, min, floor, exp, log } = Math;

/** Read what src/tenfold/report/network_page/network.py wrote: nodes in order, weights as base64 of float32, little-endian. */
export function openNetwork(stored) {
  const weights = new Map();
  for (const { name, shape, data } of stored.weights) {
    weights.set(name, { shape, data: typeof data === "string" ? floats(data) : data });
  }
  const steps = stored.nodes.map((node) => ({ ...node, ...OPERATORS[node.operator] }));
  return { ...stored, weights, steps, first: ofFirst(steps) };
}

/** The steps of a graph in which a vote of networks is its first one; all of them where there is no vote. */
function ofFirst(steps) {
  const used = new Set(steps.flatMap((step) => step.inputs));
  const needed = new Set(steps.map((step) => step.output).filter((name) => !used.has(name)));
  const kept = [];
  for (const step of [...steps].reverse()) {
    if (!needed.has(step.output)) continue;
    const inputs = step.operator === "Mean" ? step.inputs.slice(0, 1) : step.inputs;
    for (const name of inputs) needed.add(name);
    kept.unshift({ ...step, inputs });
  }
  return kept;
}

function floats(base64) {
  return new Float32Array(Uint8Array.from(atob(base64), (char) => char.charCodeAt(0)).buffer);
}

/** Every tensor of the graph for one picture (Uint8Array, row by row): a Map from name to tensor. With
 *  `network.first` as steps the answer of a vote is its first network's. */
export function run(network, pixels, steps = network.steps) {
  const values = new Map(network.weights);
  values.set(network.input, { shape: [1, ...network.shape], data: Float32Array.from(pixels) });
  for (const step of steps) {
    values.set(step.output, step.forward(step.inputs.map((name) => values.get(name)), step.attributes));
  }
  return values;
}

/** How much each pixel supported label `a` against label `b`: pixel times gradient of the difference of their logits.
 *  A network of straight pieces is straight around each picture, so the pixels and the rest (biases) sum to the
 *  difference exactly. Returns {pixels, rest, difference}. */
export function evidence(network, values, a, b) {
  const end = network.steps.find((step) => step.operator === "Softmax").inputs[0];
  const logits = values.get(end);
  const slope = new Float32Array(logits.data.length);
  slope[a] += 1;
  slope[b] -= 1;
  const slopes = new Map([[end, slope]]);
  for (const step of [...network.steps].reverse()) {
    const after = slopes.get(step.output);
    if (!after) continue;
    const inputs = step.inputs.map((name) => values.get(name));
    const before = step.backward(after, inputs, step.attributes, values.get(step.output));
    // All inputs of a mean are the picture's own; of other operators the first one alone.
    for (const name of step.operator === "Mean" ? step.inputs : step.inputs.slice(0, 1)) {
      slopes.set(name, sumOf(slopes.get(name), before));
    }
  }
  const pixels = values.get(network.input).data.map((value, i) => value * slopes.get(network.input)[i]);
  const difference = logits.data[a] - logits.data[b];
  return { pixels, difference, rest: difference - pixels.reduce((sum, value) => sum + value, 0) };
}

function sumOf(known, more) {
  return known ? known.map((value, i) => value + more[i]) : more;
}

// Operators: `forward(inputs, attributes)`, and `backward(slope, inputs, attributes, output)`: from the slope of a
// sum by each value of the output to the slope by each value of the first input.

const DOUBLE = 11; // as ONNX numbers its types

const sameShape = (x, data) => ({ shape: x.shape, data });
const passed = (slope) => slope;

function each(change) {
  return ([x]) => sameShape(x, x.data.map(change));
}

/** All values of the one picture become one. */
function reduced(change) {
  return ([x], { keepdims = 1 }) => ({ shape: keepdims ? [1, 1] : [1], data: x.data.constructor.of(x.data.reduce(change, null)) });
}

/** Two tensors, one of which repeats along the sides where it has 1. */
function pairwise(change) {
  return ([a, b]) => {
    const isFirst = a.data.length - b.data.length || a.shape.length - b.shape.length; // a single number has no shape
    const [large, small] = isFirst >= 0 ? [a, b] : [b, a];
    const place = placeOf(large.shape, small.shape);
    const data = new large.data.constructor(large.data.length);
    for (let i = 0; i < data.length; i++) {
      data[i] = large === a ? change(a.data[i], b.data[place(i)]) : change(a.data[place(i)], b.data[i]);
    }
    return { shape: large.shape, data };
  };
}

/** The place in a smaller tensor that corresponds to place i of a larger one. */
function placeOf(large, small) {
  const sides = [...Array(large.length - small.length).fill(1), ...small];
  if (sides.every((side) => side === 1)) return () => 0;
  return (i) => {
    let [at, step] = [0, 1];
    for (let axis = large.length - 1; axis >= 0; axis--) {
      if (sides[axis] !== 1) at += (i % large[axis]) * step;
      step *= sides[axis];
      i = floor(i / large[axis]);
    }
    return at;
  };
}

/** The first input is the picture's, the second a weight that is no larger. */
function scaledBy(factor) {
  return (slope, [a, b]) => {
    const place = placeOf(a.shape, b.shape);
    return slope.map((value, i) => value * factor(b.data[place(i)]));
  };
}

/** The mean of tensors of one shape: the joint output of the networks of a vote. */
function mean(inputs) {
  return sameShape(inputs[0], inputs[0].data.map((_, i) => inputs.reduce((sum, x) => sum + x.data[i], 0) / inputs.length));
}

function softmax([x]) {
  const n = x.shape.at(-1);
  const data = new Float32Array(x.data.length);
  for (let start = 0; start < data.length; start += n) {
    const most = x.data.subarray(start, start + n).reduce((a, b) => max(a, b));
    let sum = 0;
    for (let i = start; i < start + n; i++) sum += data[i] = exp(x.data[i] - most);
    for (let i = start; i < start + n; i++) data[i] /= sum;
  }
  return sameShape(x, data);
}

function cast([x], { to }) {
  return sameShape(x, (to === DOUBLE ? Float64Array : Float32Array).from(x.data));
}

function gemm([x, weight, bias], { transB = 0, alpha = 1 }) {
  const [nIn, nOut] = [x.data.length, transB ? weight.shape[0] : weight.shape[1]];
  const [down, across] = transB ? [1, nIn] : [nOut, 1];
  const sums = new Float64Array(nOut);
  for (let i = 0; i < nIn; i++) {
    const value = x.data[i];
    if (value) for (let j = 0; j < nOut; j++) sums[j] += value * weight.data[i * down + j * across];
  }
  return { shape: [1, nOut], data: x.data.constructor.from(sums, (sum, j) => alpha * sum + (bias ? bias.data[j % bias.data.length] : 0)) };
}

function gemmBack(slope, [x, weight], { transB = 0, alpha = 1 }) {
  const [nIn, nOut] = [x.data.length, slope.length];
  const [down, across] = transB ? [1, nIn] : [nOut, 1];
  return Float32Array.from(x.data, (_, i) => {
    let sum = 0;
    for (let j = 0; j < nOut; j++) sum += slope[j] * weight.data[i * down + j * across];
    return alpha * sum;
  });
}

function flatten([x], { axis = 1 }) {
  const first = x.shape.slice(0, axis).reduce((a, b) => a * b, 1);
  return { shape: [first, x.data.length / first], data: x.data };
}

function reshape([x, shape]) {
  const sides = [...shape.data].map((side, axis) => (side === 0 ? x.shape[axis] : side));
  const known = sides.reduce((product, side) => (side === -1 ? product : product * side), 1);
  return { shape: sides.map((side) => (side === -1 ? x.data.length / known : side)), data: x.data };
}

function unsqueeze([x, axes]) {
  const shape = [...x.shape];
  const places = [...axes.data].map((axis) => (axis < 0 ? axis + x.shape.length + axes.data.length : axis));
  for (const axis of places.sort((a, b) => a - b)) shape.splice(axis, 0, 1);
  return { shape, data: x.data };
}

function transpose([x], { perm }) {
  const shape = perm.map((axis) => x.shape[axis]);
  const data = new Float32Array(x.data.length);
  const from = placesTransposed(x.shape, perm);
  for (let i = 0; i < data.length; i++) data[i] = x.data[from(i)];
  return { shape, data };
}

function transposeBack(slope, [x], { perm }) {
  const back = new Float32Array(slope.length);
  const from = placesTransposed(x.shape, perm);
  for (let i = 0; i < slope.length; i++) back[from(i)] = slope[i];
  return back;
}

function placesTransposed(shape, perm) {
  const steps = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  return (i) => {
    let at = 0;
    for (let k = perm.length - 1; k >= 0; k--) {
      at += (i % shape[perm[k]]) * steps[perm[k]];
      i = floor(i / shape[perm[k]]);
    }
    return at;
  };
}

/** Where windows stand: their size, step and the margins, and how many there are down and across. */
export function windows([, , height, width], { kernel_shape: size, strides = [1, 1], pads = [0, 0, 0, 0] }) {
  const [top, left, bottom, right] = pads;
  const rows = floor((height + top + bottom - size[0]) / strides[0]) + 1;
  const columns = floor((width + left + right - size[1]) / strides[1]) + 1;
  return { size, strides, top, left, bottom, right, rows, columns };
}

function conv([x, weight, bias], attributes) {
  const [, channels, height, width] = x.shape;
  const [nOut, , kh, kw] = weight.shape;
  const place = windows(x.shape, { ...attributes, kernel_shape: [kh, kw] });
  const { rows, columns, strides } = place;
  const padded = withMargins(x, place, 0);
  const plane = padded.height * padded.width;
  const data = new Float32Array(nOut * rows * columns);
  for (let o = 0; o < nOut; o++) {
    const out = data.subarray(o * rows * columns, (o + 1) * rows * columns);
    if (bias) out.fill(bias.data[o]);
    for (let i = 0; i < channels; i++) {
      const from = padded.data.subarray(i * plane, (i + 1) * plane);
      const kernel = weight.data.subarray((o * channels + i) * kh * kw, (o * channels + i + 1) * kh * kw);
      if (kh === 3 && kw === 3 && strides[0] === 1 && strides[1] === 1) slide3(from, padded.width, kernel, out, rows, columns);
      else slide(from, padded.width, kernel, kh, kw, out, place);
    }
  }
  return { shape: [1, nOut, rows, columns], data, channels, height, width };
}

/** Nine weights kept in registers: three times as fast as the loop below. */
function slide3(from, across, [a, b, c, d, e, f, g, h, k], out, rows, columns) {
  for (let y = 0; y < rows; y++) {
    const [r0, r1, r2, to] = [y * across, (y + 1) * across, (y + 2) * across, y * columns];
    for (let x = 0; x < columns; x++) {
      out[to + x] +=
        a * from[r0 + x] + b * from[r0 + x + 1] + c * from[r0 + x + 2] +
        d * from[r1 + x] + e * from[r1 + x + 1] + f * from[r1 + x + 2] +
        g * from[r2 + x] + h * from[r2 + x + 1] + k * from[r2 + x + 2];
    }
  }
}

function slide(from, across, kernel, kh, kw, out, { rows, columns, strides }) {
  for (let ky = 0; ky < kh; ky++) {
    for (let kx = 0; kx < kw; kx++) {
      const w = kernel[ky * kw + kx];
      for (let y = 0; y < rows; y++) {
        const start = (y * strides[0] + ky) * across + kx;
        for (let x = 0; x < columns; x++) out[y * columns + x] += w * from[start + x * strides[1]];
      }
    }
  }
}

/** The planes of a tensor with margins around them, as one array. */
function withMargins(x, { top, left, bottom, right }, value) {
  const [, channels, height, width] = x.shape;
  const [tall, wide] = [height + top + bottom, width + left + right];
  const data = new Float32Array(channels * tall * wide).fill(value);
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < height; y++) {
      const start = (c * height + y) * width;
      data.set(x.data.subarray(start, start + width), (c * tall + top + y) * wide + left);
    }
  }
  return { data, height: tall, width: wide };
}

function convBack(slope, [x, weight], attributes) {
  const [, channels, height, width] = x.shape;
  const [nOut, , kh, kw] = weight.shape;
  const place = windows(x.shape, { ...attributes, kernel_shape: [kh, kw] });
  const { rows, columns, strides, top, left } = place;
  const [tall, wide] = [height + top + place.bottom, width + left + place.right];
  const padded = new Float32Array(channels * tall * wide);
  for (let o = 0; o < nOut; o++) {
    const after = slope.subarray(o * rows * columns, (o + 1) * rows * columns);
    for (let i = 0; i < channels; i++) {
      const to = padded.subarray(i * tall * wide, (i + 1) * tall * wide);
      const kernel = weight.data.subarray((o * channels + i) * kh * kw, (o * channels + i + 1) * kh * kw);
      slideBack(to, wide, kernel, kh, kw, after, rows, columns, strides);
    }
  }
  const back = new Float32Array(x.data.length);
  for (let row = 0; row < channels * height; row++) {
    const from = (floor(row / height) * tall + top + (row % height)) * wide + left;
    back.set(padded.subarray(from, from + width), row * width);
  }
  return back;
}

function slideBack(to, across, kernel, kh, kw, slope, rows, columns, [down, right]) {
  for (let ky = 0; ky < kh; ky++) {
    for (let kx = 0; kx < kw; kx++) {
      const w = kernel[ky * kw + kx];
      for (let y = 0; y < rows; y++) {
        const start = (y * down + ky) * across + kx;
        for (let x = 0; x < columns; x++) to[start + x * right] += w * slope[y * columns + x];
      }
    }
  }
}

/** Visit every place of every window that lies on the picture: visit(window, place on the picture, place in it). */
function eachWindow({ rows, columns, strides, top, left }, height, width, kh, kw, visit) {
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      for (let ky = 0; ky < kh; ky++) {
        const v = y * strides[0] + ky - top;
        if (v < 0 || v >= height) continue;
        for (let kx = 0; kx < kw; kx++) {
          const u = x * strides[1] + kx - left;
          if (u >= 0 && u < width) visit(y * columns + x, v * width + u, ky * kw + kx);
        }
      }
    }
  }
}

function maxPool([x], attributes) {
  const [, channels, height, width] = x.shape;
  const place = windows(x.shape, attributes);
  const n = place.rows * place.columns;
  const data = new Float32Array(channels * n).fill(-Infinity);
  for (let c = 0; c < channels; c++) {
    eachWindow(place, height, width, ...place.size, (to, from) => {
      data[c * n + to] = max(data[c * n + to], x.data[c * height * width + from]);
    });
  }
  return { shape: [1, channels, place.rows, place.columns], data };
}

/** The slope goes to the first of the greatest values of each window. */
function maxPoolBack(slope, [x], attributes, out) {
  const [, channels, height, width] = x.shape;
  const place = windows(x.shape, attributes);
  const n = place.rows * place.columns;
  const back = new Float32Array(x.data.length);
  const given = new Uint8Array(channels * n);
  for (let c = 0; c < channels; c++) {
    eachWindow(place, height, width, ...place.size, (to, from) => {
      const [i, k] = [c * n + to, c * height * width + from];
      if (given[i] || x.data[k] !== out.data[i]) return;
      given[i] = 1;
      back[k] += slope[i];
    });
  }
  return back;
}

function clip([x, low, high]) {
  const [least, most] = [low ? low.data[0] : -Infinity, high ? high.data[0] : Infinity];
  return sameShape(x, x.data.map((value) => min(most, max(least, value))));
}

export const OPERATORS = {
  Add: { forward: pairwise((a, b) => a + b), backward: passed },
  Cast: { forward: cast, backward: passed },
  Clip: { forward: clip },
  Conv: { forward: conv, backward: convBack },
  Div: { forward: pairwise((a, b) => a / b), backward: scaledBy((value) => 1 / value) },
  Flatten: { forward: flatten, backward: passed },
  Gemm: { forward: gemm, backward: gemmBack },
  Log: { forward: each((value) => log(value)) },
  Max: { forward: pairwise(max) },
  MaxPool: { forward: maxPool, backward: maxPoolBack },
  Mean: { forward: mean, backward: (slope, inputs) => slope.map((value) => value / inputs.length) },
  Mul: { forward: pairwise((a, b) => a * b), backward: scaledBy((value) => value) },
  ReduceMax: { forward: reduced((most, value) => (most === null ? value : max(most, value))) },
  ReduceSumSquare: { forward: reduced((sum, value) => sum + value * value) },
  Relu: {
    forward: each((value) => max(0, value)),
    backward: (slope, [x]) => slope.map((value, i) => (x.data[i] > 0 ? value : 0)),
  },
  Reshape: { forward: reshape, backward: passed },
  Softmax: { forward: softmax },
  Sqrt: { forward: each((value) => Math.sqrt(value)) },
  Sub: { forward: pairwise((a, b) => a - b), backward: passed },
  Transpose: { forward: transpose, backward: transposeBack },
  Unsqueeze: { forward: unsqueeze, backward: passed },
};

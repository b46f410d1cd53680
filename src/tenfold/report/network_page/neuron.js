// What the layers of a network are, and the arithmetic of one neuron of them.

import { windows } from "./engine.js";

/** The layers with weights that lead to the labels, first to last; of a vote those of its first network: {name, kind: "dense"|"conv", step, sum, activation, isOutput}, where `sum`
 *  and `activation` name the tensors before and after the activation. */
export function layersOf(network) {
  const layers = [];
  const needed = new Set(network.steps.find((step) => step.operator === "Softmax").inputs);
  for (const step of [...network.steps].reverse()) if (needed.has(step.output)) leading(step).forEach((name) => needed.add(name));
  for (const step of network.steps) {
    if (!needed.has(step.output) || !["Gemm", "Conv"].includes(step.operator)) continue;
    const next = reluAfter(network, step.output);
    const kind = step.operator === "Gemm" ? "dense" : "conv";
    const isRelu = Boolean(next);
    const activation = isRelu ? next.output : step.output;
    layers.push({ name: step.output, kind, step, sum: step.output, activation, isRelu, isOutput: false });
  }
  if (layers.length) layers.at(-1).isOutput = true;
  return layers;
}

/** What a step needs for one network: of a mean, which is a vote, the first of its inputs. */
function leading({ operator, inputs }) {
  return operator === "Mean" ? inputs.slice(0, 1) : inputs;
}

/** The ReLU that follows a tensor; what shifts or scales its channels before may lie between. */
function reluAfter(network, name) {
  const following = network.steps.filter((step) => step.inputs[0] === name);
  const relu = following.find((step) => step.operator === "Relu");
  const shift = following.find((step) => ["Add", "Sub", "Mul", "Div"].includes(step.operator));
  return relu ?? (shift && reluAfter(network, shift.output));
}

/** The sides in which a flat tensor is best looked at: [tiles, height, width]. */
export function sidesOf(network, values, name) {
  const { shape, data } = values.get(name);
  if (shape.length === 4) return [shape[1], shape[2], shape[3]];
  if (shape.length === 3) return [1, shape[1], shape[2]];
  const maker = network.steps.find((step) => step.output === name);
  const isView = maker && ["Flatten", "Reshape"].includes(maker.operator);
  const from = isView ? network.steps.find((step) => step.output === maker.inputs[0]) : null;
  if (isView && from?.operator !== "Transpose") return sidesOf(network, values, maker.inputs[0]);
  return [data.length, 1, 1];
}

/** The arithmetic of a neuron: inputs times weights, their sum, the activation.
 *
 *  In a convolution the neuron `index` is a channel, looked at in one place [row, column], by default where it answers
 *  most. `sides` are those of inputs and weights. */
export function neuronOf(network, values, layer, index, place = null) {
  const { step } = layer;
  const [, weight, bias] = step.inputs.map((name) => network.weights.get(name));
  const found = layer.kind === "dense" ? dense(network, values, layer, weight, index) : patch(values, layer, weight, index, place);
  const products = found.inputs.map((value, i) => value * found.weights[i]);
  return {
    ...found,
    index,
    products,
    bias: bias ? bias.data[index % bias.data.length] : 0,
    sum: values.get(layer.sum).data[found.at],
    activation: values.get(layer.activation).data[found.at],
  };
}

function dense(network, values, { step }, weight, index) {
  const inputs = values.get(step.inputs[0]).data;
  const { transB = 0 } = step.attributes;
  const n = weight.shape[transB ? 0 : 1];
  const at = (i) => (transB ? index * inputs.length + i : i * n + index);
  const weights = inputs.map((_, i) => weight.data[at(i)]);
  return { inputs, weights, sides: sidesOf(network, values, step.inputs[0]), at: index, place: null };
}

function patch(values, { step, sum, activation }, weight, index, given) {
  const x = values.get(step.inputs[0]);
  const [, channels, kh, kw] = weight.shape;
  const [, , rows, columns] = values.get(sum).shape;
  const [, , height, width] = x.shape;
  const map = values.get(activation).data.subarray(index * rows * columns, (index + 1) * rows * columns);
  const best = map.reduce((most, value, i) => (value > map[most] ? i : most), 0);
  const place = given ?? [Math.floor(best / columns), best % columns];
  const { strides, top, left } = windows(x.shape, { ...step.attributes, kernel_shape: [kh, kw] });
  const inputs = new Float32Array(channels * kh * kw);
  for (let k = 0; k < inputs.length; k++) {
    const v = place[0] * strides[0] - top + (Math.floor(k / kw) % kh);
    const u = place[1] * strides[1] - left + (k % kw);
    const channel = Math.floor(k / (kh * kw));
    if (v >= 0 && v < height && u >= 0 && u < width) inputs[k] = x.data[(channel * height + v) * width + u];
  }
  const weights = weight.data.subarray(index * inputs.length, (index + 1) * inputs.length);
  return { inputs, weights, sides: [channels, kh, kw], at: (index * rows + place[0]) * columns + place[1], place };
}

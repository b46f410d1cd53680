// A model of tables, computed here: the nodes of model.onnx, one row at a time, over the operators of engine.js.
// A tensor is {shape, data}; data are numbers, 0 and 1 for false and true, or texts.

import { OPERATORS } from "./engine.js";

/** Read what src/tenfold/report/network_page/table_graph.py wrote. */
export function openGraph(stored) {
  const weights = new Map(stored.weights.map((weight) => [weight.name, { shape: weight.shape, data: numbers(weight) }]));
  const steps = stored.nodes.map((node) => ({ ...node, forward: forwardOf(node) }));
  return { ...stored, weights, steps };
}

const ARRAYS = { "<f4": Float32Array, "<f8": Float64Array, "<i4": Int32Array, "<u2": Uint16Array, "|u1": Uint8Array };

/** The numbers of a stored array: base64 of its type's bytes, or a list. */
export function numbers({ type, data }) {
  if (typeof data !== "string") return data;
  return new ARRAYS[type](Uint8Array.from(atob(data), (char) => char.charCodeAt(0)).buffer);
}

/** Every tensor of the graph for one row: `inputs` are tensors by name. With `end` only what that tensor needs. */
export function run(graph, inputs, end) {
  const values = new Map(graph.weights);
  for (const [name, tensor] of Object.entries(inputs)) values.set(name, tensor);
  for (const step of end ? stepsTo(graph, end) : graph.steps) {
    const made = step.forward(step.inputs.map((name) => values.get(name)), step.attributes);
    step.outputs.forEach((name, i) => values.set(name, step.outputs.length > 1 ? made[i] : made));
  }
  return values;
}

/** The steps that lead to a tensor, found once. */
function stepsTo(graph, end) {
  graph.known ??= new Map();
  if (!graph.known.has(end)) {
    const needed = new Set([end]);
    const kept = graph.steps.toReversed().filter((step) => {
      const leads = step.outputs.some((name) => needed.has(name));
      if (leads) for (const name of step.inputs) needed.add(name);
      return leads;
    });
    graph.known.set(end, kept.toReversed());
  }
  return graph.known.get(end);
}

function forwardOf({ operator, attributes }) {
  return PREPARED[operator]?.(attributes) ?? MORE[operator] ?? OPERATORS[operator].forward;
}

// Operators that engine.js has not: `forward(inputs, attributes)`.

const each = (change) => ([x]) => ({ shape: x.shape, data: x.data.map(change) });
const size = (shape) => shape.reduce((a, b) => a * b, 1);

/** Several tensors that repeat along the sides where they have 1, value by value. */
function together(change, kind = Array) {
  return (inputs) => {
    const shape = shapeOf(inputs.map((x) => x.shape));
    const places = inputs.map((x) => placeOf(shape, x.shape));
    const data = kind.from({ length: size(shape) }, (_, i) => change(...inputs.map((x, k) => x.data[places[k](i)])));
    return { shape, data };
  };
}

function shapeOf(shapes) {
  const n = Math.max(...shapes.map((shape) => shape.length));
  const padded = shapes.map((shape) => [...Array(n - shape.length).fill(1), ...shape]);
  return Array.from({ length: n }, (_, axis) => Math.max(...padded.map((shape) => shape[axis])));
}

/** Where the value of a smaller tensor stands that meets place i of a larger one. */
function placeOf(large, small) {
  const sides = [...Array(large.length - small.length).fill(1), ...small];
  if (size(small) === size(large)) return (i) => i;
  return (i) => {
    let [at, step] = [0, 1];
    for (let axis = large.length - 1; axis >= 0; axis--) {
      if (sides[axis] !== 1) at += (i % large[axis]) * step;
      step *= sides[axis];
      i = Math.floor(i / large[axis]);
    }
    return at;
  };
}

/** Side by side: of one row all sides before the axis are 1. */
function concat(inputs, { axis }) {
  const shape = [...inputs[0].shape];
  shape[axis] = inputs.reduce((sum, x) => sum + x.shape[axis], 0);
  const kind = inputs[0].data.constructor;
  return { shape, data: kind.from(inputs.flatMap((x) => [...x.data])) };
}

function split([x, sizes]) {
  let start = 0;
  return [...sizes.data].map((n) => {
    start += n;
    return { shape: [1, n], data: x.data.slice(start - n, start) };
  });
}

function gather([x, places]) {
  const data = x.data.constructor.from(places.data, (place) => x.data[place]);
  return { shape: [1, data.length], data };
}

function reduceSum([x], { keepdims = 1 }) {
  const sum = x.data.reduce((a, b) => a + b, 0);
  return { shape: keepdims ? [1, 1] : [1], data: x.data.constructor.of(sum) };
}

const MORE = {
  Abs: each(Math.abs),
  Concat: concat,
  Expand: ([x, shape]) => together((value) => value, x.data.constructor)([x, { shape: [...shape.data], data: Array(size([...shape.data])) }]),
  Gather: gather,
  Greater: together((a, b) => Number(a > b)),
  GreaterOrEqual: together((a, b) => Number(a >= b)),
  IsNaN: ([x]) => ({ shape: x.shape, data: Array.from(x.data, (value) => Number(Number.isNaN(value))) }),
  ReduceSum: reduceSum,
  Shape: () => ({ shape: [1], data: [1] }), // its first side alone is asked for: the one row
  Sign: each(Math.sign),
  Split: split,
  Sum: (inputs) => together((...values) => values.reduce((a, b) => a + b), inputs[0].data.constructor)(inputs),
  Where: (inputs) => together((is, a, b) => (is ? a : b), inputs[2].data.constructor)(inputs),
};

// Operators with tables of their own, which are read once.

function oneHotEncoder({ cats_strings: names }) {
  const places = new Map(names.map((name, i) => [name, i]));
  return ([x]) => {
    const data = new Float32Array(names.length);
    if (places.has(x.data[0])) data[places.get(x.data[0])] = 1;
    return { shape: [1, 1, names.length], data };
  };
}

function labelEncoder({ keys_strings: keys, values_floats: values, default_float: other }) {
  const known = new Map(keys.map((key, i) => [key, values[i]]));
  return ([x]) => ({ shape: x.shape, data: Float32Array.of(known.get(x.data[0]) ?? other) });
}

/** How often each word, and each pair of neighbours, stands in the one row. */
function tfIdfVectorizer({ ngram_counts: [, nSingle], ngram_indexes: columns, pool_strings: pool }) {
  const column = new Map();
  for (let i = 0; i < nSingle; i++) column.set(pool[i], columns[i]);
  for (let i = nSingle; i < columns.length; i++) {
    const at = nSingle + 2 * (i - nSingle);
    column.set(`${pool[at]} ${pool[at + 1]}`, columns[i]); // no word has a blank in it
  }
  return ([{ data: words }]) => {
    const counts = new Float32Array(columns.length);
    words.forEach((word, i) => {
      for (const term of i ? [word, `${words[i - 1]} ${word}`] : [word]) if (column.has(term)) counts[column.get(term)] += 1;
    });
    return { shape: [1, counts.length], data: counts };
  };
}

function treeEnsemble({ trees: stored }) {
  const trees = openTrees(stored);
  return ([x]) => {
    const sums = Float64Array.from(trees.base);
    for (const root of trees.root) {
      const leaf = leafOf(trees, root, x.data);
      for (let i = trees.first[leaf]; i < trees.first[leaf + 1]; i++) sums[trees.target[i]] += trees.weight[i];
    }
    return { shape: [1, sums.length], data: x.data.constructor.from(sums) };
  };
}

function leafOf({ feature, threshold, left, right, missing, isLeaf }, node, x) {
  while (!isLeaf[node]) {
    const value = x[feature[node]];
    const goesLeft = Number.isNaN(value) ? missing[node] : value <= threshold[node];
    node = goesLeft ? left[node] : right[node];
  }
  return node;
}

/** Trees as table_graph.py wrote them; the answers of leaf i are those from first[i] to first[i + 1]. */
export function openTrees(stored) {
  const trees = Object.fromEntries(Object.entries(stored).map(([name, array]) => [name, numbers(array)]));
  trees.first = new Int32Array(trees.isLeaf.length + 1);
  for (const leaf of trees.leaf) trees.first[leaf + 1] += 1;
  for (let i = 1; i < trees.first.length; i++) trees.first[i] += trees.first[i - 1];
  return trees;
}

const PREPARED = {
  LabelEncoder: labelEncoder,
  OneHotEncoder: oneHotEncoder,
  TfIdfVectorizer: tfIdfVectorizer,
  TreeEnsembleRegressor: treeEnsemble,
};

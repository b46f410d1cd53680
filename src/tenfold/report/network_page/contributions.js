// What each column contributes to the score of a row: what src/tenfold/model/explain.py does.

import { graphInputs } from "./cells.js";
import { openTrees, run } from "./graph.js";

const ORDERS = 2;

/** Contributions by column to the score `of` an answer, largest first: {of, base, score, columns: [{name, value, error}]}.
 *  `answer` is the place of the label that is answered. */
export function explain(graph, stored, cells, answer) {
  const score = (cells) => scoreOf(graph, stored, cells);
  const own = score(cells);
  const direction = directionOf(stored, own, answer);
  const along = (scores) => scores.reduce((sum, value, i) => sum + value * direction[i], 0);
  const { base, values, errors } = WAYS[stored.way](graph, stored, cells, { score, along });
  const columns = graph.columns.map(({ name }, i) => ({ name, value: values[i], error: errors?.[i] }));
  return { of: nameOf(stored, direction), base, score: along(own), columns: columns.sort((a, b) => Math.abs(b.value) - Math.abs(a.value)) };
}

/** The learner's own scores, before softmax and calibration, or the value in the target's unit. */
function scoreOf(graph, { tensor, scale, mean }, cells) {
  const values = run(graph, graphInputs(graph.columns, cells), tensor);
  return Array.from(values.get(tensor).data, (value) => value * scale + mean);
}

/** The label's own score; of log-odds how far it is above the next best one's. */
function directionOf({ isLogOdds }, scores, answer) {
  const direction = scores.map((_, i) => Number(i === answer));
  if (isLogOdds) {
    const rest = scores.map((value, i) => (i === answer ? -Infinity : value));
    direction[rest.indexOf(Math.max(...rest))] = -1;
  }
  return direction;
}

function nameOf({ labels, target, isLogOdds }, direction) {
  if (!labels.length) return `value of ${target}`;
  const label = labels[direction.indexOf(1)];
  return isLogOdds ? `log-odds of ${label} against ${labels[direction.indexOf(-1)]}` : `probability of ${label}`;
}

/** Where no two columns act together: the reference row with this one cell, less the mean of that in the training rows. */
function ofSeparate(graph, { reference, expected }, cells, { score, along }) {
  const plain = along(score(reference));
  const means = expected.map(along);
  const values = graph.columns.map(({ name }, i) => along(score({ ...reference, [name]: cells[name] })) - means[i]);
  return { base: means.reduce((sum, mean) => sum + mean - plain, plain), values };
}

/** Columns take turns to change from a background row's cell to the row's own, in random orders. */
function ofSamples(graph, { background }, cells, { score, along }) {
  const names = graph.columns.map(({ name }) => name);
  const [values, squares] = [names.map(() => 0), names.map(() => 0)];
  const random = seeded(1);
  let base = 0;
  for (const other of background) {
    const found = Array.from({ length: ORDERS }, () => stepsIn(shuffled(names, random), other, cells, (row) => along(score(row))));
    base += found[0].start / background.length;
    for (const [i, name] of names.entries()) {
      const pair = found.map((steps) => steps[name]);
      const mean = pair.reduce((a, b) => a + b) / ORDERS;
      values[i] += mean / background.length;
      squares[i] += pair.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (ORDERS - 1) / ORDERS;
    }
  }
  return { base, values, errors: squares.map((square) => Math.sqrt(square) / background.length) };
}

function stepsIn(order, other, cells, score) {
  let row = other;
  let before = score(row);
  const steps = { start: before };
  for (const name of order) {
    row = { ...row, [name]: cells[name] };
    const after = score(row);
    steps[name] = after - before;
    before = after;
  }
  return steps;
}

/** Numbers from 0 to 1, the same ones each time (mulberry32). */
function seeded(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function shuffled(names, random) {
  const order = [...names];
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** Sums over the paths of trees, as src/tenfold/model/tree_paths.py explains them: exact. */
function ofTrees(graph, stored, cells, { along }) {
  const { features, columnOf, scale, mean } = stored;
  const x = run(graph, graphInputs(graph.columns, cells), features).get(features).data;
  const node = graph.steps.find((step) => step.operator === "TreeEnsembleRegressor");
  graph.paths ??= pathsOf(openTrees(node.attributes.trees));
  const scores = graph.columns.map(() => Array(graph.paths.base.length).fill(0));
  for (const path of graph.paths.leaves) addPath(path, x, columnOf, scores);
  const scaled = (values, offset) => along(values.map((value) => value * scale + offset));
  return { base: scaled([...graph.paths.base], mean), values: scores.map((values) => scaled(values, 0)) };
}

function addPath({ conditions, answers }, x, columnOf, scores) {
  const { points, weights } = quadrature(conditions.length);
  const holds = conditions.map(({ feature, low, high, takesMissing }) =>
    Number.isNaN(x[feature]) ? takesMissing : x[feature] > low && x[feature] <= high);
  for (const [q, t] of points.entries()) {
    const known = conditions.map(({ share }, i) => (holds[i] ? t : 0) + (1 - t) * share);
    const product = weights[q] * known.reduce((a, b) => a * b, 1);
    for (const [i, { share, feature }] of conditions.entries()) {
      const gain = (product / known[i]) * ((holds[i] ? 1 : 0) - share);
      for (const { target, weight } of answers) scores[columnOf[feature]][target] += gain * weight;
    }
  }
}

/** The leaves with the conditions on their paths, one for each feature, and the mean answer of the training rows. */
function pathsOf(trees) {
  const [base, leaves] = [Float64Array.from(trees.base), []];
  for (const root of trees.root) {
    const waiting = [[root, new Map()]];
    while (waiting.length) {
      const [node, known] = waiting.pop();
      if (trees.isLeaf[node]) {
        const answers = [];
        for (let i = trees.first[node]; i < trees.first[node + 1]; i++) {
          answers.push({ target: trees.target[i], weight: trees.weight[i] });
          base[trees.target[i]] += (trees.weight[i] * trees.hits[node]) / trees.hits[root];
        }
        leaves.push({ conditions: [...known.values()], answers });
      } else {
        waiting.push([trees.left[node], narrowed(trees, known, node, true)], [trees.right[node], narrowed(trees, known, node, false)]);
      }
    }
  }
  return { base, leaves };
}

const LEAST_SHARE = 1e-12;

function narrowed(trees, known, node, goesLeft) {
  const feature = trees.feature[node];
  const before = known.get(feature) ?? { feature, low: -Infinity, high: Infinity, takesMissing: true, share: 1 };
  const child = goesLeft ? trees.left[node] : trees.right[node];
  return new Map(known).set(feature, {
    feature,
    low: goesLeft ? before.low : Math.max(before.low, trees.threshold[node]),
    high: goesLeft ? Math.min(before.high, trees.threshold[node]) : before.high,
    takesMissing: before.takesMissing && Boolean(trees.missing[node]) === goesLeft,
    share: before.share * Math.max(trees.hits[child] / Math.max(trees.hits[node], 1e-30), LEAST_SHARE),
  });
}

/** Gauss-Legendre on 0 to 1 with half as many points as conditions: exact for their product. Newton's method finds the points. */
const known = new Map();
function quadrature(d) {
  if (known.has(d)) return known.get(d);
  const n = Math.max(1, Math.ceil(d / 2));
  const [points, weights] = [[], []];
  for (let i = 0; i < n; i++) {
    let x = Math.cos((Math.PI * (i + 0.75)) / (n + 0.5));
    let slope = 1;
    for (let turn = 0; turn < 50; turn++) {
      let [p, before] = [1, 0];
      for (let k = 1; k <= n; k++) [p, before] = [((2 * k - 1) * x * p - (k - 1) * before) / k, p];
      slope = (n * (x * p - before)) / (x * x - 1);
      x -= p / slope;
      if (Math.abs(p / slope) < 1e-15) break;
    }
    points.push((1 + x) / 2);
    weights.push(1 / ((1 - x * x) * slope * slope));
  }
  known.set(d, { points, weights });
  return known.get(d);
}

const WAYS = { separate: ofSeparate, samples: ofSamples, trees: ofTrees };

// The fit to the MNIST box, the same steps as src/tenfold/inputs/pictures/mnist_box.py: docs/guide/handwriting.md says what they are and why.
// A picture is {height, width, data}: data a Float32Array (ink, greys) or a Uint8Array (masks, pixels), row by row.
// Numbers are rounded to float32 where NumPy rounds them, so that both give the same picture.

const WORK_PX = 640;
export const SIDE_PX = 28;
const BOX_PX = 20;
const OVERSAMPLING = 4;
const STROKE_PX = 1.8;
const SAMPLE_PX = 140;
const LINE_SPAN = 0.9;
const CLEAR_SKEWNESS = 0.4;
const MAX_PIECES = 50;
const MIN_CONTRAST = 12;
const { fround, max, min, floor, ceil, abs, sqrt, hypot, PI } = Math;

/** Nothing is drawn on the picture. */
export class NothingDrawn extends Error {}

/** Fit one digit: {image: the 28x28 that the network sees, box: [x, y, width, height] in the picture's pixels}. */
export function fit(grey) {
  const ink = findInk(grey);
  return { image: toBox(ink.amount), box: boxOf(ink.amount, ink.scale), polarity: ink.polarity };
}

function boxOf(amount, scale) {
  const [top, bottom, left, right] = extent(amount);
  const [x, y] = [left * scale[1], top * scale[0]];
  const sides = [right * scale[1] - x, bottom * scale[0] - y];
  return [rint(x), rint(y), max(1, rint(sides[0])), max(1, rint(sides[1]))];
}

/** What was drawn: the share of ink per pixel, shadows, rules, specks and borders left out. */
export function findInk(grey) {
  const work = shrink(grey, WORK_PX);
  const dark = isDarkOnLight(work);
  const light = dark ? work : mapped(work, (value) => 255 - value);
  const radius = floor(longer(work) / 300);
  const smooth = localMean(light, radius);
  const first = firstGuess(smooth);
  if (!first.data.includes(1)) throw new NothingDrawn();
  const { paper, noise } = findPaper(smooth, strokeWidth(mapped(first, Number)));
  const meanLight = fround(mean(sampled(mapped(paper, (value) => max(value, 64)))));
  const shade = mapped(paper, (value) => fround(meanLight / max(value, 64)));
  let contrast = contrastOf(paper, smooth, shade);
  let level = percentile(chosen(contrast, first), 75);
  if (level < max(MIN_CONTRAST, 5 * noise)) throw new NothingDrawn();
  const inked = over(contrast, level / 2);
  const strokes = oneDigit(withoutRules(contrast, level / 2), contrast);
  contrast = contrastOf(paper, light, shade);
  level = strokes.data.includes(1) ? percentile(chosen(contrast, strokes), 75) : 0;
  if (level < MIN_CONTRAST) throw new NothingDrawn();
  // The soft edge of a stroke: beside it, above the noise, and no part of what was dropped.
  const least = fround(max(min(3 * noise * (2 * radius + 1), 0.5 * level), 0.02 * level));
  const near = grown(strokes, max(2, 1 + radius));
  const amount = mapped(contrast, (value, i) => {
    const soft = near.data[i] && value > least && (strokes.data[i] || !inked.data[i]);
    return soft ? min(1, max(0, fround(value / fround(level)))) : 0;
  });
  const scale = [grey.height / work.height, grey.width / work.width];
  return { amount, scale, polarity: dark ? "dark on light" : "light on dark" };
}

function contrastOf(paper, values, shade) {
  return mapped(paper, (value, i) => fround(fround(value - values.data[i]) * shade.data[i]));
}

// Ink from paper.

function isDarkOnLight(picture) {
  const x = blockMeans(picture, max(1, floor(longer(picture) / SAMPLE_PX)));
  const around = localMean(x, reach(x));
  let [square, cube] = [0, 0];
  for (let i = 0; i < x.data.length; i++) {
    const away = fround(x.data[i] - around.data[i]);
    square += away * away;
    cube += away * away * away;
  }
  [square, cube] = [square / x.data.length, cube / x.data.length];
  const skewness = square > 0 ? cube / square ** 1.5 : 0;
  if (abs(skewness) > CLEAR_SKEWNESS) return skewness < 0;
  const threshold = otsu(x.data);
  const edge = max(1, floor(min(x.height, x.width) / 16));
  let [nDark, nBorder, nDarkBorder] = [0, 0, 0];
  for (let y = 0; y < x.height; y++) {
    for (let col = 0; col < x.width; col++) {
      const dark = x.data[y * x.width + col] < threshold;
      const border = y < edge || y >= x.height - edge || col < edge || col >= x.width - edge;
      nDark += dark;
      nBorder += border;
      nDarkBorder += dark && border;
    }
  }
  return nDarkBorder / nBorder + nDark / x.data.length < 1;
}

function reach(x) {
  return max(6, floor(longer(x) / 8));
}

function firstGuess(smooth) {
  const around = localMean(smooth, reach(smooth));
  const contrast = mapped(smooth, (value, i) => around.data[i] - value);
  const sample = sampled(contrast);
  const nMost = min(sample.length, max(4, floor(sample.length / 1000)));
  ordered(sample, sample.length - nMost);
  const level = mean(sample.subarray(sample.length - nMost));
  const least = max(level / 2, 1);
  // Once more, the mean now of the paper alone, so that wide strokes are not hollow.
  const light = mapped(contrast, (value) => (value > fround(least) ? 0 : 1));
  const bare = localMean(light, reach(smooth));
  const paper = localMean(mapped(smooth, (value, i) => (light.data[i] ? value : 0)), reach(smooth));
  const again = mapped(smooth, (value, i) => fround(paper.data[i] / max(bare.data[i], fround(1e-3))) - value);
  return oneDigit(withoutRules(again, least), again);
}

function findPaper(smooth, width) {
  const size = floor(min(max(6 * width, 9), longer(smooth) / 2)) | 1;
  const closed = closing(smooth, size);
  const sample = sampled(mapped(closed, (value, i) => value - smooth.data[i]));
  const threshold = otsu(sample);
  const empty = sample.filter((value) => value < fround(threshold));
  if (!empty.length) return { paper: closed, noise: 0 };
  const lifted = fround(percentile(empty, 50));
  const noise = 1.4826 * percentile(empty.map((value) => abs(fround(value - lifted))), 50);
  return { paper: mapped(closed, (value) => value - lifted), noise };
}

function sampled(x) {
  const step = max(1, floor(longer(x) / SAMPLE_PX));
  const values = new Float32Array(ceil(x.height / step) * ceil(x.width / step));
  let n = 0;
  for (let y = 0; y < x.height; y += step) {
    for (let col = 0; col < x.width; col += step) values[n++] = x.data[y * x.width + col];
  }
  return values;
}

function localMean(x, radius) {
  if (!radius) return x;
  const down = along(x, 0, (line, out) => meanOfLine(line, out, radius));
  return along(down, 1, (line, out) => meanOfLine(line, out, radius));
}

function meanOfLine(line, out, radius) {
  const n = line.length;
  const mirrored = (i) => {
    const place = ((i % (2 * n)) + 2 * n) % (2 * n);
    return line[place < n ? place : 2 * n - 1 - place];
  };
  const size = 2 * radius + 1;
  let sum = 0;
  for (let i = -radius; i <= radius; i++) sum += mirrored(i);
  for (let i = 0; i < n; i++) {
    out[i] = sum / size;
    const [last, next] = [i - radius, i + radius + 1];
    sum += (next < n ? line[next] : mirrored(next)) - (last >= 0 ? line[last] : mirrored(last));
  }
}

function closing(x, size) {
  const half = (size - 1) / 2;
  let out = x;
  for (const sign of [1, -1]) for (const axis of [0, 1]) out = extreme(out, axis, half, half, sign);
  return out;
}

/** The greatest (sign 1) or least (-1) value from `before` to `after` places away, the picture ending at its border.
 *  To mirror it there would change nothing: a window that leaves it holds all that is mirrored. */
function extreme(x, axis, before, after, sign) {
  const queue = new Int32Array(axis ? x.width : x.height); // places whose values only fall
  return along(x, axis, (line, out) => {
    let [head, tail, next] = [0, 0, 0];
    for (let i = 0; i < line.length; i++) {
      for (; next < line.length && next <= i + after; next++) {
        while (tail > head && sign * line[queue[tail - 1]] <= sign * line[next]) tail--;
        queue[tail++] = next;
      }
      while (queue[head] < i - before) head++;
      out[i] = line[queue[head]];
    }
  });
}

/** Apply a change of lines to each column (axis 0) or each row (axis 1). */
function along(x, axis, change) {
  const { height, width, data } = x;
  const [n, lines, step, start] = axis ? [width, height, 1, width] : [height, width, width, 1];
  const out = new data.constructor(data.length);
  const [line, changed] = [new data.constructor(n), new data.constructor(n)];
  for (let k = 0; k < lines; k++) {
    for (let i = 0, at = k * start; i < n; i++, at += step) line[i] = data[at];
    change(line, changed);
    for (let i = 0, at = k * start; i < n; i++, at += step) out[at] = changed[i];
  }
  return { height, width, data: out };
}

function otsu(values) {
  let low = Infinity;
  let high = -Infinity;
  for (let i = 0; i < values.length; i++) {
    low = min(low, values[i]);
    high = max(high, values[i]);
  }
  if (high <= low) return low;
  const edges = Array.from({ length: 129 }, (_, i) => fround(low + (i * (high - low)) / 128));
  edges[128] = high;
  const counts = new Float64Array(128);
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    let bin = min(127, floor(((value - low) / (high - low)) * 128));
    if (value < edges[bin]) bin--;
    else if (bin < 127 && value >= edges[bin + 1]) bin++;
    counts[bin]++;
  }
  const middles = Array.from(counts, (_, i) => fround(edges[i] + edges[i + 1]) / 2);
  const whole = counts.reduce((sum, count, i) => sum + count * middles[i], 0);
  let [below, part, best, threshold] = [0, 0, -1, low];
  for (let i = 0; i < 127; i++) {
    below += counts[i];
    part += counts[i] * middles[i];
    const above = values.length - below;
    const between = below * above * (part / below - (whole - part) / above) ** 2;
    if (between > best) [best, threshold] = [between, edges[i + 1]];
  }
  return threshold;
}

function withoutRules(contrast, threshold) {
  const mask = over(contrast, threshold);
  if (longer(mask) < 100) return mask;
  const faint = over(contrast, threshold / 2);
  const level = levelLines(faint);
  const upright = transposed(levelLines(transposed(faint)));
  const rest = mapped(mask, (value, i) => value && !level.data[i] && !upright.data[i]);
  return rest.data.includes(1) ? rest : mask;
}

function levelLines(mask) {
  const { height, width } = mask;
  const none = mapped(mask, () => 0);
  const columns = extreme(mask, 0, height, height, 1).data.subarray(0, width);
  if (mean(columns) < LINE_SPAN) return none; // most pictures
  const length = max(15, floor(width / 12));
  const [before, after] = [length >> 1, length - (length >> 1) - 1];
  const thick = extreme(mask, 0, 1, 1, 1);
  const runs = extreme(extreme(thick, 1, before, after, -1), 1, before, after, 1);
  const bridge = ((floor(width / 4) | 1) - 1) / 2;
  const bridged = extreme(extreme(extreme(runs, 0, 1, 1, 1), 1, bridge, bridge, 1), 1, bridge, bridge, -1);
  const parts = partsOf(bridged, bridged);
  const spans = parts.boxes.map(([, , left, right]) => right - left > LINE_SPAN * width);
  const isLine = (value, i) => parts.labels[i] > 0 && spans[parts.labels[i] - 1] && value && runs.data[i];
  const lines = mapped(mask, isLine);
  if (!lines.data.includes(1)) return none;
  const thickness = verticalRuns(mask);
  const usual = percentile(thickness.filter((_, i) => lines.data[i]), 25);
  if (usual > height / 25) return none; // a border or a shadow
  return mapped(lines, (value, i) => value && thickness[i] <= 1.5 * usual + 1);
}

/** For each pixel of the mask the length of the vertical run it is in; elsewhere 0. */
function verticalRuns({ height, width, data }) {
  const runs = new Int32Array(data.length);
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) {
      let end = y;
      while (end < height && data[end * width + x]) end++;
      for (let i = y; i < end; i++) runs[i * width + x] = end - y;
      y = max(y, end - 1);
    }
  }
  return runs;
}

/** Connected strokes (8 neighbours): labels from 1, and mass, box [top, bottom, left, right] and contact of each. */
function partsOf({ height, width, data }, contrast) {
  const labels = new Int32Array(data.length);
  const stack = new Int32Array(data.length);
  const [mass, boxes, rim] = [[], [], []];
  for (let start = 0; start < data.length; start++) {
    if (!data[start] || labels[start]) continue;
    const label = mass.push(0);
    const box = [height, 0, width, 0];
    labels[start] = label;
    stack[0] = start;
    let onRim = 0;
    for (let n = 1; n > 0; ) {
      const at = stack[--n];
      const [y, x] = [floor(at / width), at % width];
      mass[label - 1] += contrast.data[at];
      if (y < box[0]) box[0] = y;
      if (y >= box[1]) box[1] = y + 1;
      if (x < box[2]) box[2] = x;
      if (x >= box[3]) box[3] = x + 1;
      const ends = (y === 0) + (y === height - 1);
      onRim += ends || (x === 0) + (x === width - 1);
      for (let v = max(0, y - 1); v <= min(height - 1, y + 1); v++) {
        for (let u = max(0, x - 1); u <= min(width - 1, x + 1); u++) {
          const other = v * width + u;
          if (data[other] && !labels[other]) {
            labels[other] = label;
            stack[n++] = other;
          }
        }
      }
    }
    boxes.push(box);
    rim.push(onRim);
  }
  const contact = rim.map((n, i) => n / max(boxes[i][1] - boxes[i][0], boxes[i][3] - boxes[i][2], 1));
  return { labels, mass, boxes, contact };
}

/** The strokes of the main digit: the heaviest part, and what is near enough to belong to it. */
function oneDigit(mask, contrast) {
  const { labels, mass, boxes, contact } = partsOf(mask, contrast);
  if (mass.length < 2) return mask;
  const score = mass.map((value, i) => value * (1 - 0.95 * min(1, contact[i])));
  const order = [...score.keys()].sort((a, b) => score[b] - score[a] || a - b);
  const main = order[0];
  const mostContact = contact[main] ? 0.5 : 0.2;
  const belongs = (i) => i !== main && score[i] > 0.01 * score[main] && contact[i] < mostContact;
  const waiting = order.slice(0, MAX_PIECES).filter(belongs);
  const kept = new Set([main + 1]);
  let box = boxes[main];
  for (;;) {
    const far = 0.25 * max(box[1] - box[0], box[3] - box[2]);
    const at = waiting.findIndex((i) => gap(box, boxes[i]) <= far);
    if (at < 0) return mapped(mask, (_, i) => kept.has(labels[i]));
    const [part] = waiting.splice(at, 1);
    kept.add(part + 1);
    const other = boxes[part];
    box = [min(box[0], other[0]), max(box[1], other[1]), min(box[2], other[2]), max(box[3], other[3])];
  }
}

function gap(a, b) {
  return max(b[0] - a[1], a[0] - b[1], b[2] - a[3], a[2] - b[3]);
}

function grown(mask, radius) {
  return extreme(extreme(mask, 0, radius, radius, 1), 1, radius, radius, 1);
}

// Ink to box.

/** Place ink in the MNIST box: 20x20 keeping proportions, centre of mass in the middle of 28x28. */
export function toBox(amount) {
  const crop = cropped(amount);
  const long = longer(crop);
  const [whole, wanted] = [OVERSAMPLING * BOX_PX, OVERSAMPLING * STROKE_PX];
  const width = min(strokeWidth(crop), 0.9 * long);
  const thin = (width * whole) / long < wanted;
  const radius = thin ? (wanted - (width * (whole - wanted)) / (long - width)) / 2 : 0;
  const inBox = [crop.height, crop.width].map((side) => {
    const large = (side * (whole - 2 * radius)) / long + 2 * radius;
    return max(1, rint(large / OVERSAMPLING));
  });
  const inner = inBox.map((side) => max(1, rint(OVERSAMPLING * side - 2 * radius)));
  const drawn = cropped(widened(resize(crop, ...inner), radius));
  const small = resize(drawn, ...inBox);
  const most = small.data.reduce((a, b) => max(a, b));
  const image = { height: SIDE_PX, width: SIDE_PX, data: new Uint8Array(SIDE_PX * SIDE_PX) };
  const even = mapped(small, (value) => value / most);
  const [top, left] = [0, 1].map((axis) =>
    min(max(0, rint(SIDE_PX / 2 - centre(even, axis))), SIDE_PX - inBox[axis]),
  );
  for (let y = 0; y < inBox[0]; y++) {
    for (let x = 0; x < inBox[1]; x++) {
      image.data[(top + y) * SIDE_PX + left + x] = rint(fround(even.data[y * inBox[1] + x] * 255));
    }
  }
  return image;
}

function extent({ height, width, data }) {
  let [top, bottom, left, right] = [height, 0, width, 0];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!data[y * width + x]) continue;
      if (y < top) top = y;
      bottom = y + 1;
      if (x < left) left = x;
      if (x >= right) right = x + 1;
    }
  }
  return [top, bottom, left, right];
}

function cropped(x) {
  const [top, bottom, left, right] = extent(x);
  const [height, width] = [bottom - top, right - left];
  const data = new Float32Array(height * width);
  for (let y = 0; y < height; y++) {
    data.set(x.data.subarray((top + y) * x.width + left, (top + y) * x.width + right), y * width);
  }
  return { height, width, data };
}

function centre({ width, data }, axis) {
  let [sum, weighted] = [0, 0];
  data.forEach((value, i) => {
    sum += value;
    weighted += value * (axis ? i % width : floor(i / width));
  });
  return weighted / sum;
}

/** Mean width in pixels: twice the ink over the length of its outline (Cauchy-Crofton). */
function strokeWidth({ height, width, data }) {
  const full = (y, x) => y >= 0 && y < height && x >= 0 && x < width && data[y * width + x] > 0.5;
  let [edges, sum] = [0, 0];
  for (let y = 0; y <= height; y++) {
    for (let x = 0; x <= width; x++) {
      const here = full(y, x);
      edges += (here !== full(y - 1, x)) + (here !== full(y, x - 1));
      if (y < height && x < width) sum += data[y * width + x];
    }
  }
  return (2 * sum) / ((max(edges, 4) * PI) / 4);
}

function widened(x, radius) {
  const far = ceil(radius - 0.5);
  if (far < 1) return x;
  const [height, width] = [x.height + 2 * far, x.width + 2 * far];
  const data = new Float32Array(height * width);
  for (let dy = -far; dy <= far; dy++) {
    for (let dx = -far; dx <= far; dx++) {
      const share = fround(min(1, radius + 0.5 - hypot(dy, dx)));
      if (share <= 0) continue;
      for (let y = 0; y < x.height; y++) {
        for (let col = 0; col < x.width; col++) {
          const at = (far + dy + y) * width + far + dx + col;
          data[at] = max(data[at], fround(x.data[y * x.width + col] * share));
        }
      }
    }
  }
  return { height, width, data };
}

// Resampling.

function shrink(grey, most) {
  const x = blockMeans(grey, max(1, floor(longer(grey) / most)));
  const ratio = min(1, most / longer(x));
  return resize(x, max(1, rint(x.height * ratio)), max(1, rint(x.width * ratio)));
}

function blockMeans(x, step) {
  if (step === 1 || min(x.height, x.width) < step) {
    return { height: x.height, width: x.width, data: Float32Array.from(x.data) };
  }
  const [height, width] = [floor(x.height / step), floor(x.width / step)];
  const data = new Float32Array(height * width);
  for (let dy = 0; dy < step; dy++) {
    for (let dx = 0; dx < step; dx++) {
      for (let y = 0; y < height; y++) {
        const from = (y * step + dy) * x.width + dx;
        for (let col = 0; col < width; col++) data[y * width + col] += x.data[from + col * step];
      }
    }
  }
  return { height, width, data: data.map((value) => value / (step * step)) };
}

/** Area resampling: each pixel is the mean over the area of the picture it covers. */
export function resize(x, height, width) {
  const down = resizedRows(x, height);
  return transposed(resizedRows(transposed(down), width));
}

function resizedRows(x, n) {
  const { height: old, width } = x;
  if (n === old) return x;
  const data = new Float32Array(n * width);
  const total = new Float64Array(old + 1);
  const upTo = (at, column) => {
    const low = min(floor(at), old - 1);
    return total[low] + x.data[low * width + column] * (at - low);
  };
  for (let column = 0; column < width; column++) {
    for (let y = 0; y < old; y++) total[y + 1] = total[y] + x.data[y * width + column];
    for (let y = 0; y < n; y++) {
      const part = upTo((y + 1) * (old / n), column) - upTo(y * (old / n), column);
      data[y * width + column] = part * (n / old);
    }
  }
  return { height: n, width, data };
}

// Arrays.

function longer(x) {
  return max(x.height, x.width);
}

/** A picture of the same kind with each value changed: change(value, place). */
function mapped(x, change) {
  const data = new (x.data instanceof Uint8Array && change !== Number ? Uint8Array : Float32Array)(x.data.length);
  for (let i = 0; i < data.length; i++) data[i] = change(x.data[i], i);
  return { height: x.height, width: x.width, data };
}

function over(x, threshold) {
  const data = new Uint8Array(x.data.length);
  const least = fround(threshold);
  for (let i = 0; i < data.length; i++) data[i] = x.data[i] > least;
  return { height: x.height, width: x.width, data };
}

function transposed({ height, width, data }) {
  const out = new data.constructor(data.length);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) out[x * height + y] = data[y * width + x];
  return { height: width, width: height, data: out };
}

function chosen(x, mask) {
  const values = [];
  for (let i = 0; i < mask.data.length; i++) if (mask.data[i]) values.push(x.data[i]);
  return values;
}

function mean(values) {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum / values.length;
}

/** Linear between the two nearest values, as NumPy has it. */
function percentile(values, share) {
  const copy = Float32Array.from(values);
  const at = ((copy.length - 1) * share) / 100;
  const below = ordered(copy, floor(at));
  let above = floor(at) + 1 < copy.length ? Infinity : below;
  for (let i = floor(at) + 1; i < copy.length; i++) above = min(above, copy[i]);
  return below + (above - below) * (at - floor(at));
}

/** Put the k-th smallest value in its place, no larger ones before it and no smaller ones behind (Hoare's select). */
function ordered(values, k) {
  let [left, right] = [0, values.length - 1];
  while (left < right) {
    const pivot = values[k];
    let [i, j] = [left, right];
    while (i <= j) {
      while (values[i] < pivot) i++;
      while (pivot < values[j]) j--;
      if (i <= j) {
        const kept = values[i];
        values[i++] = values[j];
        values[j--] = kept;
      }
    }
    if (j < k) left = i;
    if (k < i) right = j;
  }
  return values[k];
}

/** Rounded to a whole number, halves to the even one. */
export function rint(x) {
  const rounded = Math.round(x);
  return abs(x % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

// Numbers as colours on a canvas. Colours come from the style sheet, so dark and light follow the reader.

/** A colour of the style sheet as [red, green, blue]. */
export function colour(name) {
  const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
}

const FINGER_PX = 26; // a neuron that a finger hits

/** How tiles lie on a canvas: pixels per value, the gap between tiles, how many in a row. */
export function layOut([n, height, width], { across = 420 } = {}) {
  const single = height === 1 && width === 1;
  const room = single ? Math.max(4, Math.floor(across / FINGER_PX)) : n;
  const columns = evenly(n, Math.min(room, Math.ceil(Math.sqrt(n * (single ? 4 : 2)))));
  const scale = Math.max(1, Math.min(single ? 28 : 12, Math.floor(across / (columns * width))));
  const gap = n === 1 ? 0 : scale > 4 || !single ? 2 : 1;
  const [stepX, stepY] = [width * scale + gap, height * scale + gap];
  const rows = Math.ceil(n / columns);
  return { n, height, width, columns, rows, scale, gap, stepX, stepY, across: columns * stepX - gap, down: rows * stepY - gap };
}

/** The fewest columns from `start` on that lay out n cells without a ragged row, or `start`. */
function evenly(n, start) {
  for (let columns = start; columns <= 2 * start && columns <= n; columns++) if (n % columns === 0) return columns;
  return Math.min(n, start);
}

/** Paint values on a canvas: from paper to "for" where positive, to "against" where negative.
 *  `most` is the value of the full colour; `marked` a tile to frame. */
export function paint(canvas, values, sides, { most = null, marked = -1, positive = "--for", negative = "--against", ground = "--cell", across } = {}) {
  const place = layOut(sides, { across });
  canvas.width = place.across;
  canvas.height = place.down;
  const context = canvas.getContext("2d");
  const image = context.createImageData(place.across, place.down);
  const dots = new Uint32Array(image.data.buffer); // alpha, blue, green, red on every machine with a browser
  const full = most ?? (values.reduce((a, b) => Math.max(a, Math.abs(b)), 0) || 1);
  const [plus, minus, paper] = [positive, negative, ground].map(colour);
  const area = place.height * place.width;
  for (let i = 0; i < values.length; i++) {
    const tile = Math.floor(i / area);
    const [row, column] = [Math.floor((i % area) / place.width), i % place.width];
    const x = (tile % place.columns) * place.stepX + column * place.scale;
    const y = Math.floor(tile / place.columns) * place.stepY + row * place.scale;
    const dot = mixed(paper, values[i] < 0 ? minus : plus, Math.min(1, Math.abs(values[i]) / full));
    for (let v = y; v < y + place.scale; v++) dots.fill(dot, v * place.across + x, v * place.across + x + place.scale);
  }
  context.putImageData(image, 0, 0);
  if (marked >= 0 && place.n > 1) frame(context, place, marked);
  return place;
}

function mixed(from, to, share) {
  const [red, green, blue] = from.map((value, k) => Math.round(value + (to[k] - value) * share));
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

function frame(context, place, tile) {
  context.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--ink");
  context.lineWidth = 2;
  const x = (tile % place.columns) * place.stepX;
  const y = Math.floor(tile / place.columns) * place.stepY;
  context.strokeRect(x + 1, y + 1, place.stepX - place.gap - 2, place.stepY - place.gap - 2);
}

/** Which tile was hit, and where in it: {tile, row, column}, or null beside all of them. */
export function hit(canvas, place, event) {
  const box = canvas.getBoundingClientRect();
  const x = ((event.clientX - box.left) / box.width) * place.across;
  const y = ((event.clientY - box.top) / box.height) * place.down;
  const [across, down] = [Math.floor(x / place.stepX), Math.floor(y / place.stepY)];
  const tile = down * place.columns + across;
  if (across < 0 || across >= place.columns || tile < 0 || tile >= place.n) return null;
  const row = Math.min(place.height - 1, Math.floor((y % place.stepY) / place.scale));
  return { tile, row, column: Math.min(place.width - 1, Math.floor((x % place.stepX) / place.scale)) };
}

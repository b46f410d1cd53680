// An example that is drawn once when the network is first seen, so that a reader sees the numbers follow the pen.

const INK = 64; // grey values below are the soft edge of a stroke
const LASTS_MS = 1500;

/**
 * Draw an image stroke by stroke, once, when an element comes into view. Nothing moves for readers who ask for less motion.
 * @param element the element to wait for.
 * @param image {height, width, data: Uint8Array}, light on dark.
 * @param look shows an image. It is called once a frame.
 * @param isFree whether nobody else has shown an image since the last call of `look`.
 */
export function drawOnce(element, image, look, isFree) {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  const order = drawingOrder(image);
  const play = (began) => (now) => {
    if (!isFree()) return;
    const share = Math.min(1, (now - began) / LASTS_MS);
    look({ ...image, data: image.data.map((value, i) => (order[i] <= share ? value : 0)) });
    if (share < 1) requestAnimationFrame(play(began));
  };
  const observer = new IntersectionObserver(
    ([entry]) => {
      if (!entry.isIntersecting) return;
      observer.disconnect();
      requestAnimationFrame((now) => play(now)(now));
    },
    { threshold: 0.6 },
  );
  observer.observe(element);
}

/** When each pixel is drawn, in [0, 1]: ink grows from the topmost pixel along its strokes, one piece after the other. */
export function drawingOrder({ height, width, data }) {
  const steps = new Float64Array(height * width).fill(Infinity);
  let last = 0;
  for (let start = 0; start < data.length; start++) {
    if (data[start] < INK || steps[start] < Infinity) continue;
    steps[start] = last + 1;
    const queue = [start];
    for (const pixel of queue) {
      last = steps[pixel];
      for (const near of neighbours(pixel, height, width)) {
        if (data[near] < INK || steps[near] < Infinity) continue;
        steps[near] = last + 1;
        queue.push(near);
      }
    }
  }
  return Float64Array.from(steps, (own, pixel) => {
    const near = neighbours(pixel, height, width).map((other) => steps[other]);
    return Math.min(last, own, ...near) / (last || 1); // a soft edge comes with its stroke
  });
}

function neighbours(pixel, height, width) {
  const [row, column] = [Math.floor(pixel / width), pixel % width];
  const found = [];
  for (let y = Math.max(0, row - 1); y <= Math.min(height - 1, row + 1); y++) {
    for (let x = Math.max(0, column - 1); x <= Math.min(width - 1, column + 1); x++) {
      if (y !== row || x !== column) found.push(y * width + x);
    }
  }
  return found;
}

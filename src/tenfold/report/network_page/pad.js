// The pad: strokes of mouse, finger and pen, and pictures that are dropped, pasted or chosen.

const SHEET_PX = 140; // what is fitted: the size on which the fit takes its statistics anyway
const PEN = 0.07; // usual width of the pen, in shares of the pad
const [MAX_BYTES, MAX_PIXELS, MAX_SIDE] = [32 * 2 ** 20, 64e6, 16384]; // as inputs/pictures/decode.py has them

/** Make a canvas a pad. `changed(grey)` is called with {height, width, data: Uint8Array} at most once a frame, with
 *  null when the pad is empty; `refused(text)` when a picture cannot be read. */
export function openPad(canvas, { changed, refused }) {
  const strokes = [];
  const sheet = new OffscreenCanvas(SHEET_PX, SHEET_PX);
  let picture = null;
  let waiting = false;
  let pen = PEN;

  const draw = () => {
    const side = Math.round(canvas.clientWidth * devicePixelRatio) || 280;
    if (canvas.width !== side) canvas.width = canvas.height = side;
    drawn(canvas.getContext("2d"), side, strokes, { picture, pen });
  };
  const tell = () => {
    draw();
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      if (picture) return;
      drawn(sheet.getContext("2d", { willReadFrequently: true }), SHEET_PX, strokes, { pen });
      changed(strokes.length ? greyOf(sheet.getContext("2d").getImageData(0, 0, SHEET_PX, SHEET_PX)) : null);
    });
  };
  const pointOf = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    picture = null;
    strokes.push([pointOf(event)]);
    tell();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!canvas.hasPointerCapture(event.pointerId)) return;
    const events = event.getCoalescedEvents?.() ?? [];
    strokes.at(-1).push(...(events.length ? events : [event]).map(pointOf));
    tell();
  });

  const show = async (blob) => {
    if (blob.size > MAX_BYTES) return refused("This file is too large: 32 MiB at most.");
    let given;
    try {
      given = await createImageBitmap(blob, { colorSpaceConversion: "none" });
    } catch {
      return refused("This is no picture that the browser can read.");
    }
    const { width, height } = given;
    if (width * height > MAX_PIXELS || Math.max(width, height) > MAX_SIDE) {
      given.close(); // what is on the pad stays there
      return refused("This picture is too large: 64 million pixels and 16,384 a side at most.");
    }
    picture = given;
    strokes.length = 0;
    draw();
    const large = new OffscreenCanvas(width, height).getContext("2d");
    large.drawImage(picture, 0, 0);
    changed(greyOf(large.getImageData(0, 0, width, height)));
  };
  addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
    if (file) show(file);
  });
  canvas.addEventListener("dragover", (event) => event.preventDefault());
  canvas.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) show(event.dataTransfer.files[0]);
  });
  addEventListener("resize", draw);
  draw();
  return {
    show,
    /** Set the width of the pen, in shares of the pad; strokes that are there get it, too. */
    width: (share) => {
      pen = share;
      if (strokes.length) tell();
    },
    /** The drawing as a PNG, dark on light, as on paper. */
    save: () => {
      const page = new OffscreenCanvas(2 * SHEET_PX, 2 * SHEET_PX);
      const context = page.getContext("2d");
      drawn(context, 2 * SHEET_PX, strokes, { pen });
      context.globalCompositeOperation = "difference";
      context.fillStyle = "#fff";
      context.fillRect(0, 0, 2 * SHEET_PX, 2 * SHEET_PX);
      return page.convertToBlob({ type: "image/png" });
    },
    clear: () => {
      strokes.length = 0;
      picture = null;
      tell();
    },
    undo: () => {
      picture = null;
      strokes.pop();
      tell();
    },
    strokes: (given) => {
      picture = null;
      strokes.splice(0, strokes.length, ...given);
      tell();
    },
  };
}

/** Light on dark; the style sheet turns the pad over for a light page. */
function drawn(context, side, strokes, { picture = null, pen = PEN } = {}) {
  context.fillStyle = "#000";
  context.fillRect(0, 0, side, side);
  if (picture) {
    const scale = side / Math.max(picture.width, picture.height);
    const [width, height] = [picture.width * scale, picture.height * scale];
    context.filter = matchMedia("(prefers-color-scheme: dark)").matches ? "none" : "invert(1)";
    context.drawImage(picture, (side - width) / 2, (side - height) / 2, width, height);
    context.filter = "none";
  }
  context.strokeStyle = "#fff";
  context.lineWidth = pen * side;
  context.lineCap = context.lineJoin = "round";
  for (const [first, ...others] of strokes) {
    context.beginPath();
    context.moveTo(first[0] * side, first[1] * side);
    for (const [x, y] of others.length ? others : [first]) context.lineTo(x * side, y * side);
    context.stroke();
  }
}

/** Grey values as Pillow has them (ITU-R 601, in whole numbers); transparent parts lie on paper that leaves the drawing
 *  visible, as images.decode has it. */
export function greyOf({ width, height, data }) {
  const n = width * height;
  const grey = new Uint8Array(n);
  let isOpaque = true;
  for (let i = 0; i < n; i++) {
    grey[i] = (data[4 * i] * 19595 + data[4 * i + 1] * 38470 + data[4 * i + 2] * 7471 + 0x8000) >> 16;
    isOpaque &&= data[4 * i + 3] === 255;
  }
  if (isOpaque) return { height, width, data: grey };
  const seen = grey.filter((_, i) => data[4 * i + 3] >= 128).sort();
  const half = seen.length >> 1;
  const middle = seen.length % 2 ? seen[half] : (seen[half - 1] + seen[half]) / 2;
  const paper = seen.length * 2 > n ? Math.floor(middle) : !seen.length || middle < 128 ? 255 : 0;
  for (let i = 0; i < n; i++) {
    const alpha = data[4 * i + 3] / 255;
    grey[i] = Math.round(grey[i] * alpha + paper * (1 - alpha));
  }
  return { height, width, data: grey };
}

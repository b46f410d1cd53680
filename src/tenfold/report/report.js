// The rows behind each cell of the confusion matrix. Rows come wrong ones first, and most confident first.

const rows = JSON.parse(document.getElementById("rows-data").textContent);
const FIRST = 48; // rows shown at once; a button shows the others
const TILE_PX = 56;
const [MAX_COLUMNS, MAX_TEXT] = [30, 80]; // columns and characters of a cell that are shown
const file = rows.keys[0].slice(0, rows.keys[0].lastIndexOf(":") + 1);
const isOneFile = file && rows.keys.every((key) => key.startsWith(file));

/** The places of the rows of a cell, most confident first. */
function rowsOf(truth, predicted) {
  return rows.keys.flatMap((_, i) => (rows.true[i] === truth && rows.predicted[i] === predicted ? [i] : []));
}

function item(i, told) {
  const made = document.createElement("li");
  made.dataset.key = rows.keys[i];
  if (i < rows.pictured) made.append(tile(i));
  const about = document.createElement("b");
  const percent = `${(100 * rows.confidence[i]).toFixed(1)}%`;
  about.textContent = told ? `${rows.labels[rows.true[i]]} → ${rows.labels[rows.predicted[i]]}, ${percent}` : percent;
  const key = document.createElement("span");
  key.className = "key";
  key.textContent = isOneFile ? `row ${rows.keys[i].slice(file.length)}` : rows.keys[i];
  made.append(about, key);
  if (rows.cells[i]) made.append(cellsOf(rows.cells[i]));
  return made;
}

/** The cells of a table's row, each with the name of its column. */
function cellsOf(cells) {
  const made = document.createElement("dl");
  made.className = "cells";
  const add = (column, cell) => {
    const [pair, name, value] = ["div", "dt", "dd"].map((kind) => document.createElement(kind));
    [name.textContent, value.textContent] = [column, cell];
    pair.append(name, value);
    made.append(pair);
  };
  for (const [k, cell] of cells.slice(0, MAX_COLUMNS).entries()) {
    add(rows.names[k], cell.length > MAX_TEXT ? `${cell.slice(0, MAX_TEXT)}…` : cell || "missing");
  }
  if (cells.length > MAX_COLUMNS) add("and", `${cells.length - MAX_COLUMNS} more columns`);
  return made;
}

function tile(i) {
  const [height, width] = rows.side;
  const scale = TILE_PX / Math.max(height, width);
  const made = document.createElement("span");
  made.className = "tile";
  made.role = "img";
  made.ariaLabel = `Image of ${rows.labels[rows.true[i]]}`;
  made.style.setProperty("--across", `${rows.columns * width * scale}px`);
  made.style.setProperty("--x", `${-(i % rows.columns) * width * scale}px`);
  made.style.setProperty("--y", `${-Math.floor(i / rows.columns) * height * scale}px`);
  made.style.width = `${width * scale}px`;
  made.style.height = `${height * scale}px`;
  return made;
}

function fill(list, places, told) {
  list.classList.toggle("plain", !rows.pictured);
  list.replaceChildren(...places.slice(0, FIRST).map((i) => item(i, told)));
}

function showCell(truth, predicted) {
  const places = rowsOf(truth, predicted);
  const [name, read] = [rows.labels[truth], rows.labels[predicted]];
  const count = Number(document.querySelector(`[data-cell="${truth},${predicted}"]`)?.dataset.n ?? places.length);
  const listed = places.length < count ? `, ${places.length.toLocaleString("en")} of them listed here` : "";
  const title = truth === predicted ? `“${name}” read right` : `“${name}” read as “${read}”`;
  document.getElementById("cell-title").textContent = `${title}: ${count.toLocaleString("en")} rows${listed}, most confident first`;
  fill(document.getElementById("cell-rows"), places, false);
  const more = document.getElementById("cell-more");
  more.hidden = places.length <= FIRST;
  more.textContent = `Show all ${places.length.toLocaleString("en")}`;
  more.onclick = () => {
    document.getElementById("cell-rows").append(...places.slice(FIRST).map((i) => item(i, false)));
    more.hidden = true;
  };
  for (const cell of document.querySelectorAll("[data-cell]")) {
    cell.ariaPressed = String(cell.dataset.cell === `${truth},${predicted}`);
  }
}

for (const cell of document.querySelectorAll("[data-cell]")) {
  cell.addEventListener("click", () => showCell(...cell.dataset.cell.split(",").map(Number)));
}
const wrong = rows.keys.flatMap((_, i) => (rows.true[i] !== rows.predicted[i] ? [i] : []));
const hardest = wrong.sort((a, b) => rows.confidence[b] - rows.confidence[a]).slice(0, rows.hardest);
fill(document.getElementById("hardest"), hardest, true);
if (isOneFile) document.getElementById("rows-file").textContent = `Rows are those of ${file.slice(0, -1)}, from 0.`;
const first = document.querySelector(".pairs [data-cell]") ?? document.querySelector("[data-cell]:enabled");
if (first) showCell(...first.dataset.cell.split(",").map(Number));

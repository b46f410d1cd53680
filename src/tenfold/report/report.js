// The rows behind each cell of the confusion matrix. Wrong predictions come first, most confident first.

import { shownCell } from "./network_page/shown_cell.js";

const rows = JSON.parse(document.getElementById("rows-data").textContent);
rows.keys = rows.keys.map((key) => rows.shared + key); // what all keys begin with is stored once
const FIRST = 48; // rows shown at once; a button shows the others
const TILE_PX = 56;
const [MAX_COLUMNS, MAX_TEXT] = [30, 80]; // columns and characters of a cell that are shown
const [firstKey = ""] = rows.keys; // a report without rows has none
const file = firstKey.slice(0, firstKey.lastIndexOf(":") + 1);
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
  const percent = percentOf(i);
  about.textContent = told ? `${rows.labels[rows.true[i]]} → ${rows.labels[rows.predicted[i]]}, ${percent}` : percent;
  const form = rows.cells[i] && globalThis.tenfold?.form;
  const key = document.createElement(form ? "button" : "span");
  key.className = form ? "key door" : "key";
  key.textContent = nameOf(i);
  if (form) Object.assign(key, { type: "button", onclick: () => intoForm(form, i) });
  made.append(about, key);
  if (rows.cells[i]) made.append(cellsOf(rows.cells[i]));
  return made;
}

/** Put a row of a table into the form below. */
function intoForm(form, i) {
  const about = `Test row ${nameOf(i)}: ${rows.labels[rows.true[i]]}, predicted as ${rows.labels[rows.predicted[i]]} with ${percentOf(i)}.`;
  form.show(Object.fromEntries(rows.names.map((name, k) => [name, rows.cells[i][k]])), about);
  document.getElementById("try").scrollIntoView();
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
  for (const [k, stored] of cells.slice(0, MAX_COLUMNS).entries()) {
    const cell = shownCell(stored, rows.kinds[k]);
    add(rows.names[k], cell.length > MAX_TEXT ? `${cell.slice(0, MAX_TEXT)}…` : cell || "missing");
  }
  if (cells.length > MAX_COLUMNS) add("and", `${cells.length - MAX_COLUMNS} more columns`);
  return made;
}

/** A picture; where the page has the network that answered it, a button that shows it there. */
function tile(i) {
  const [height, width] = rows.side;
  const scale = TILE_PX / Math.max(height, width);
  const isDoor = globalThis.tenfold?.network && height === width;
  const made = document.createElement(isDoor ? "button" : "span");
  made.className = "tile";
  const about = `${rows.labels[rows.true[i]]}, predicted as ${rows.labels[rows.predicted[i]]}`;
  if (isDoor) {
    made.type = "button";
    made.addEventListener("click", () => show(i));
    made.ariaLabel = `Image of ${about}. Show it in the network.`;
  } else {
    made.role = "img";
    made.ariaLabel = `Image of ${about}`;
  }
  made.style.setProperty("--across", `${rows.columns * width * scale}px`);
  made.style.setProperty("--x", `${-(i % rows.columns) * width * scale}px`);
  made.style.setProperty("--y", `${-Math.floor(i / rows.columns) * height * scale}px`);
  made.style.width = `${width * scale}px`;
  made.style.height = `${height * scale}px`;
  return made;
}

/** Put a picture of the sheet into the network below. The sheet has 16 greys, so that the answer may differ by a little. */
async function show(i) {
  const [height, width] = rows.side;
  const address = getComputedStyle(document.documentElement).getPropertyValue("--sheet").trim().slice(4, -1).replace(/^"|"$/g, "");
  const sheet = Object.assign(new Image(), { src: address });
  await sheet.decode();
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  context.drawImage(sheet, (i % rows.columns) * width, Math.floor(i / rows.columns) * height, width, height, 0, 0, width, height);
  const pixels = context.getImageData(0, 0, width, height).data;
  const about = `Test image ${nameOf(i)}: ${rows.labels[rows.true[i]]}, predicted as ${rows.labels[rows.predicted[i]]} with ${percentOf(i)}.`;
  globalThis.tenfold.look(Uint8Array.from({ length: width * height }, (_, k) => pixels[4 * k]), about);
  document.getElementById("living").scrollIntoView();
}

const percentOf = (i) => `${(100 * rows.confidence[i]).toFixed(1)}%`;
const nameOf = (i) => (isOneFile ? `row ${rows.keys[i].slice(file.length)}` : rows.keys[i]);

function fill(list, places, told) {
  list.classList.toggle("plain", !rows.pictured);
  list.replaceChildren(...places.slice(0, FIRST).map((i) => item(i, told)));
}

function showCell(truth, predicted) {
  const places = rowsOf(truth, predicted);
  const [name, read] = [rows.labels[truth], rows.labels[predicted]];
  const count = Number(document.querySelector(`[data-cell="${truth},${predicted}"]`)?.dataset.n ?? places.length);
  const listed = places.length < count ? `, ${places.length.toLocaleString("en")} of them listed here` : "";
  const title = truth === predicted ? `“${name}” predicted correctly` : `“${name}” predicted as “${read}”`;
  document.getElementById("cell-title").textContent = `${title}: ${count.toLocaleString("en")} ${count === 1 ? rows.noun.replace(/s$/, "") : `${rows.noun}${listed}, most confident first`}`;
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

/** Write numbers, shares of the true label or shares of the predicted one into the cells. */
function showShares(kind) {
  const cells = [...document.querySelectorAll(".matrix .cell")];
  const place = (cell) => cell.dataset.cell.split(",").map(Number);
  const sums = { row: {}, column: {} };
  for (const cell of cells) {
    const [i, j] = place(cell);
    sums.row[i] = (sums.row[i] ?? 0) + Number(cell.dataset.n);
    sums.column[j] = (sums.column[j] ?? 0) + Number(cell.dataset.n);
  }
  for (const cell of cells) {
    const [i, j] = place(cell);
    const n = Number(cell.dataset.n);
    const share = n / Math.max(1, kind === "column" ? sums.column[j] : sums.row[i]);
    cell.textContent = kind === "count" ? n.toLocaleString("en") : `${(100 * share).toFixed(1)}%`;
  }
}
for (const input of document.querySelectorAll("[name=shares]")) input.addEventListener("change", () => showShares(input.value));

for (const cell of rows.keys.length ? document.querySelectorAll("[data-cell]") : []) {
  cell.addEventListener("click", () => showCell(...cell.dataset.cell.split(",").map(Number)));
}
const wrong = rows.keys.flatMap((_, i) => (rows.true[i] !== rows.predicted[i] ? [i] : []));
const hardest = wrong.sort((a, b) => rows.confidence[b] - rows.confidence[a]).slice(0, rows.hardest);
if (hardest.length) fill(document.getElementById("hardest"), hardest, true);
if (isOneFile) document.getElementById("rows-file").textContent = `Row numbers count the rows of ${file.slice(0, -1)} from 0.`;
const first = document.querySelector(".pairs [data-cell]") ?? document.querySelector("[data-cell]:enabled");
if (first && rows.keys.length) showCell(...first.dataset.cell.split(",").map(Number));

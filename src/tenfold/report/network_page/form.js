// The form to try values: fields for the columns of a row, and what the model says of it.

import { graphInputs } from "./cells.js";
import { explain } from "./contributions.js";
import { openGraph, run } from "./graph.js";
import { shownCell } from "./shown_cell.js";

const find = (id) => document.getElementById(id);
const FIRST_FIELDS = 12; // the other columns are behind a line that opens
const MAX_CHOICES = 20; // levels of a category that are offered in a list; with more they are typed
const [MAX_LABELS, MAX_COLUMNS] = [10, 10];
const ANOTHER = "(another value)";

/** Bring the section of form.html.j2 to life: `stored` is what report/network_page/form.py wrote. */
export function openForm(stored) {
  const graph = stored.graph && openGraph(stored.graph);
  const form = { stored, graph, cells: {}, answerOf: (cells) => answerOf(graph, stored, cells), show, fields: new Map() };
  const places = [find("form-fields"), find("form-more-fields")];
  for (const [i, column] of stored.fields.entries()) places[Number(i >= FIRST_FIELDS)].append(fieldOf(form, column, changed));
  find("form-more").hidden = stored.fields.length <= FIRST_FIELDS;
  find("form-typical").addEventListener("click", () => show(stored.typical));
  find("form").addEventListener("submit", (event) => event.preventDefault());

  /** Put a row into the form: texts by column. */
  function show(cells, about = "A typical row: middle numbers, most frequent categories. Change any value.") {
    form.cells = { ...stored.typical, ...cells };
    for (const [name, field] of form.fields) field.set(form.cells[name] ?? "");
    find("form-about").textContent = about;
    update();
  }
  function changed(name, cell) {
    form.cells[name] = cell;
    find("form-about").textContent = "";
    update();
  }
  function update() {
    const answer = graph && form.answerOf(form.cells);
    if (answer) showAnswer(stored, answer);
    const way = stored.explained?.way;
    if (!graph || way === "service") return ask(stored, form.cells);
    clearTimeout(form.waiting); // sampled contributions take half a second: after the last change of several
    form.waiting = setTimeout(() => way && showContributions(stored, explain(graph, stored.explained, form.cells, answer.best ?? 0), form.cells), way === "samples" ? 300 : 30);
  }
  for (const door of document.querySelectorAll("[data-cells]")) {
    door.addEventListener("click", () => {
      show(JSON.parse(door.dataset.cells), door.dataset.about);
      find("try").scrollIntoView();
    });
  }
  show(stored.typical);
  return form;
}

/** What the model says of a row: probabilities, novelty and the labels of its set, or value, low and high. */
export function answerOf(graph, stored, cells) {
  const values = run(graph, graphInputs(graph.columns, cells));
  const output = (name) => values.get(name)?.data;
  if (!stored.labels.length) {
    const [value, low, high] = ["value", "low", "high"].map((name) => output(name)[0]);
    return { value, low, high };
  }
  const probabilities = [...output("probabilities")];
  const best = bestOf(stored, probabilities);
  const novelty = stored.noveltyThreshold === null ? null : output("novelty")[0];
  const order = probabilities.map((_, i) => i).sort((a, b) => probabilities[b] - probabilities[a]);
  const labels = stored.set && order.filter((i) => output(stored.set.output)[i]).map((i) => stored.labels[i]);
  return { probabilities, best, novelty, labels, doubt: doubtOf(stored, probabilities, novelty) };
}

function bestOf({ labels, decision }, probabilities) {
  if (!decision) return probabilities.indexOf(Math.max(...probabilities));
  const positive = labels.indexOf(decision.positive);
  return Math.fround(probabilities[positive]) >= Math.fround(decision.threshold) ? positive : 1 - positive;
}

function doubtOf({ labels, noveltyThreshold }, probabilities, novelty) {
  if (novelty === null || novelty <= Math.fround(noveltyThreshold)) return null;
  const [first, second] = probabilities.map((p, i) => [p, labels[i]]).sort(([a], [b]) => b - a);
  if (second[0] >= first[0] / 2) return `${first[1]} (${first[0].toFixed(2)}) or ${second[1]} (${second[0].toFixed(2)})`;
  return `unlike the training rows: novelty ${novelty.toFixed(2)}, more than ${noveltyThreshold}`;
}

// What is shown.

const percent = (share) => `${(100 * share).toFixed(1)}%`;
const inUnit = (value) => (Number.isFinite(value) ? Number(value.toPrecision(5)).toLocaleString("en", { maximumSignificantDigits: 5 }) : "without end");

function make(kind, text = "", name = "") {
  return Object.assign(document.createElement(kind), { textContent: text, className: name });
}

function showAnswer(stored, answer) {
  if (!stored.labels.length) {
    find("form-answer").textContent = `${inUnit(answer.value)}`;
    find("form-detail").textContent = Number.isFinite(answer.low) ? `Between ${inUnit(answer.low)} and ${inUnit(answer.high)} in 90 of 100 cases.` : "";
    return;
  }
  find("form-answer").textContent = `${stored.labels[answer.best]}, ${percent(answer.probabilities[answer.best])}`;
  const novelty = answer.novelty === null ? "" : `Novelty ${answer.novelty.toFixed(2)}: above ${stored.noveltyThreshold} a row is unlike the training rows.`;
  find("form-detail").textContent = [setOf(stored, answer), answer.doubt && `Unsure: ${answer.doubt}.`, novelty].filter(Boolean).join(" ");
  const order = answer.probabilities.map((_, i) => i);
  if (order.length > MAX_LABELS) order.sort((a, b) => answer.probabilities[b] - answer.probabilities[a]);
  find("form-bars").replaceChildren(...order.slice(0, MAX_LABELS).map((i) => barOf(stored.labels[i], answer.probabilities[i])));
}

/** What the prediction set adds to the label that is answered, as `Prediction.set_text` says it. */
function setOf({ set, labels: names }, { best, labels }) {
  if (!set || !labels) return "";
  if (!labels.length) return `Less sure than usual: of each label, ${Math.round(100 * set.coverage)} in 100 rows get a higher probability of it.`;
  const others = labels.filter((label) => label !== names[best]);
  if (!others.length) return "";
  const named = new Intl.ListFormat("en", { type: "disjunction" }).format(others);
  return others.length < labels.length ? `It could also be ${named}.` : `It could be ${named} instead.`;
}

function barOf(label, share) {
  const [item, bar, filled] = [make("li"), make("span", "", "interval"), make("span", "", "span")];
  filled.style.left = 0;
  filled.style.right = `${100 - 100 * share}%`;
  bar.append(filled);
  item.append(make("span", label), bar, make("span", percent(share), "number"));
  return item;
}

function showContributions(stored, { of, base, score, columns }, cells) {
  const isShare = of.startsWith("probability");
  const whole = (value) => (isShare ? percent(value) : inUnit(value));
  const isSampled = columns[0]?.error !== undefined;
  find("form-why-about").textContent = `${of}: ${whole(score)}. The average row has ${whole(base)}; each column adds the rest${isSampled ? ", sampled, with a standard error" : ""}.`;
  const shown = columns.slice(0, MAX_COLUMNS);
  const rest = columns.slice(MAX_COLUMNS);
  if (rest.length) shown.push({ name: "other columns", value: rest.reduce((sum, one) => sum + one.value, 0) });
  const most = Math.max(...shown.map((one) => Math.abs(one.value)), 1e-12);
  const kinds = new Map(stored.fields.map(({ name, kind }) => [name, kind]));
  const textOf = (name) => (kinds.has(name) ? cellText(cells[name], kinds.get(name)) : "");
  find("form-why-bars").replaceChildren(...shown.map((one) => partOf(one, textOf(one.name), most, isShare)));
}

function partOf({ name, value, error }, cell, most, isShare) {
  const [item, bar, filled] = [make("li"), make("span", "", "part"), make("span", "", value < 0 ? "span less" : "span")];
  filled.style.width = `${(50 * Math.abs(value)) / most}%`;
  bar.append(filled);
  const label = make("span", name);
  if (cell) label.append(make("small", ` ${cell}`));
  const spread = error === undefined ? "" : ` ± ${isShare ? percent(error) : error.toPrecision(2)}`;
  item.append(label, bar, make("span", `${signed(value, isShare)}${spread}`, "number"));
  return item;
}

const MAX_TEXT = 40;

function cellText(cell, kind) {
  const text = shownCell(cell, kind);
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text || "missing";
}

function signed(value, isShare) {
  const size = isShare ? percent(Math.abs(value)) : Math.abs(Number(value.toPrecision(4))).toLocaleString("en", { maximumSignificantDigits: 4 });
  return `${value < 0 ? "−" : "+"}${size}`;
}

// Fields. Each has a `set(cell)` in `form.fields`.

function fieldOf(form, column, changed) {
  const label = make("label");
  const control = CONTROLS[column.kind](column);
  label.append(make("span", column.name), control);
  control.addEventListener("input", () => changed(column.name, control.value));
  form.fields.set(column.name, { set: (cell) => put(control, column, cell) });
  return label;
}

function put(control, column, cell) {
  if (column.kind === "number" && cell !== "") cell = String(Number(cell)); // 45.0
  if (column.kind === "date") cell = column.hasTime ? cell : cell.slice(0, 10);
  if (control.tagName === "SELECT" && ![...control.options].some((option) => option.value === cell)) control.add(new Option(cell, cell));
  control.value = cell;
}

const CONTROLS = {
  number: () => Object.assign(make("input"), { type: "number", step: "any", placeholder: "missing" }),
  date: ({ hasTime }) => Object.assign(make("input"), hasTime ? { type: "datetime-local", step: 1 } : { type: "date" }),
  text: () => Object.assign(make("textarea"), { rows: 2, placeholder: "missing" }),
  category: choice,
  "yes/no": choice,
};

function choice({ levels, name }) {
  if (levels.length > MAX_CHOICES) {
    const control = Object.assign(make("input"), { type: "text", placeholder: "missing" });
    control.title = `Such as ${levels.slice(0, 5).join(", ")}`;
    return control;
  }
  const control = make("select");
  control.append(...levels.map((level) => new Option(level, level)), new Option("missing", ""));
  if (!levels.includes(ANOTHER)) control.append(new Option(ANOTHER, ANOTHER));
  control.ariaLabel = name;
  return control;
}

// What the service answers, where the page cannot compute: one request at a time, the newest row last.

const asking = { newest: null, isBusy: false };

async function ask(stored, cells) {
  asking.newest = cells;
  if (asking.isBusy) return;
  asking.isBusy = true;
  for (let row = null; row !== asking.newest; ) {
    row = asking.newest;
    const { problem, answer, why } = await answered(stored, row);
    if (problem) showProblem(stored, problem);
    else if (!stored.graph) showAnswer(stored, answer);
    if (why && row === asking.newest) showContributions(stored, why, row);
  }
  asking.isBusy = false;
}

/** Say why the service did not answer, and take away what it answered before. */
function showProblem({ graph }, problem) {
  find("form-why-bars")?.replaceChildren();
  if (find("form-why-about")) find("form-why-about").textContent = graph ? problem : "";
  if (graph) return; // the page answered itself
  find("form-answer").textContent = problem;
  find("form-detail").textContent = "";
  find("form-bars").replaceChildren();
}

async function answered({ service, explained, labels }, cells) {
  try {
    const row = Object.fromEntries(Object.entries(cells).map(([name, cell]) => [name, cell === "" ? null : cell]));
    const headers = { "content-type": "application/json" };
    const reply = await fetch(`${service}/${explained ? "explain" : "predict"}`, { method: "POST", headers, body: JSON.stringify({ rows: [row] }) });
    const said = await reply.json();
    const one = said.predictions?.[0];
    if (!reply.ok || one.error) return { problem: said.error ?? one.error };
    return { answer: answerIn(one, labels), why: one.explanation && contributionsIn(one.explanation) };
  } catch {
    return { problem: "The service does not answer." };
  }
}

/** A prediction of the service in the form of `answerOf`. */
function answerIn(one, labels) {
  if (one.label === undefined) return { value: one.value, low: one.low ?? -Infinity, high: one.high ?? Infinity };
  const probabilities = labels.map((label) => one.probabilities[label]);
  return { best: labels.indexOf(one.label), probabilities, novelty: one.novelty ?? null, labels: one.prediction_set, doubt: one.unsure ? one.reason : null };
}

/** An explanation of the service in the form of `explain`. */
function contributionsIn({ of, base, score, contributions, standard_errors: errors }) {
  const columns = Object.entries(contributions).map(([name, value]) => ({ name, value, error: errors?.[name] }));
  return { of, base, score, columns: columns.sort((a, b) => Math.abs(b.value) - Math.abs(a.value)) };
}

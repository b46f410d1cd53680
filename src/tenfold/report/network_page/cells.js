// The cells of a row, as texts, to the inputs of a graph: what src/tenfold/inputs/tables/columns.py does.

const LARGEST = 1e37;
const MAX_WORDS = 2000;
const DAY = 86_400_000;

const SIGN = "[\\u0e00-\\u0eff\\u1000-\\u109f\\u1780-\\u17ff\\u3040-\\u30ff\\u3400-\\u9fff\\uf900-\\ufaff\\u{20000}-\\u{3ffff}]";
const LETTER = "[\\p{L}\\p{Nl}\\p{No}]";
const OTHERS = "\\p{Nd}+|[^\\p{L}\\p{N}_\\s]";
const WORD = new RegExp(`${LETTER}+|${OTHERS}`, "gu");
const WORD_OR_SIGN = new RegExp(`${SIGN}|(?:(?!${SIGN})${LETTER})+|${OTHERS}`, "gu");
const DIGITS = /^[\p{Nd}²³¹⁰⁴-⁹₀-₉]+$/u;

/** Tensors by name. `cells` are texts by column; a missing one is "". */
export function graphInputs(columns, cells) {
  return Object.assign({}, ...columns.map((column) => ENCODED[column.kind](cells[column.name] ?? "", column)));
}

const ENCODED = {
  number: (cell, { inputs }) => ({ [inputs[0]]: float(numberOf(cell)) }),
  date: (cell, { inputs }) => Object.fromEntries(dateParts(cell).map((part, i) => [inputs[i], float(part)])),
  text: (cell, { inputs, signs }) => {
    const words = wordsOf(cell, signs);
    return { [inputs[0]]: { shape: [1, words.length], data: words } };
  },
  category: name,
  "yes/no": (cell, column) => name(cell.toLowerCase(), column),
};

function name(cell, { inputs }) {
  return { [inputs[0]]: { shape: [1, 1], data: [cell] } };
}

function float(value) {
  return { shape: [1, 1], data: Float32Array.of(value) };
}

function numberOf(cell) {
  const value = cell.trim() === "" ? NaN : Number(cell);
  return Math.max(-LARGEST, Math.min(LARGEST, value));
}

function wordsOf(text, signs) {
  const words = (text.toLowerCase().match(signs ? WORD_OR_SIGN : WORD) ?? []).slice(0, MAX_WORDS);
  return words.length ? words.map((word) => (DIGITS.test(word) ? `#${[...word].length}` : word)) : [""];
}

/** Year, month, day, weekday from Monday, hour, and the day's place on the circle of the year. */
function dateParts(cell) {
  const time = Date.parse(/T/.test(cell) ? `${cell}Z` : cell); // a day alone is read as UTC
  if (Number.isNaN(time)) return Array(7).fill(NaN);
  const [date, day] = [new Date(time), Math.floor(time / DAY)];
  const year = date.getUTCFullYear();
  const turn = ((day - Date.UTC(year, 0, 1) / DAY) / 365.25) * 2 * Math.PI;
  const weekday = (((day + 3) % 7) + 7) % 7;
  return [year, date.getUTCMonth() + 1, date.getUTCDate(), weekday, (time - day * DAY) / 3_600_000, Math.sin(turn), Math.cos(turn)];
}

// A stored cell for people: what `shown_cell` of src/tenfold/core/text.py does.

/** A number with five digits, and a day without its midnight. */
export function shownCell(cell, kind) {
  if (kind === "date") return cell.replace(/T00:00:00$/, "");
  const value = Number(cell);
  if (kind !== "number" || cell === "" || !Number.isFinite(value)) return cell;
  const size = value ? Math.floor(Math.log10(Math.abs(value))) : 0;
  if (size <= -7 || size >= 15) return String(Number(value.toPrecision(5)));
  const text = value.toFixed(Math.max(0, 4 - size));
  return text.includes(".") ? text.replace(/0+$/, "").replace(/\.$/, "") : text;
}

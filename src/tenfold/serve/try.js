// The forms of /docs: what is filled in is sent to the service, and its answer is shown below.

for (const form of document.querySelectorAll("form[data-address]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = form.querySelector("output");
    answer.textContent = "Asked ...";
    try {
      const reply = await fetch(form.dataset.address, { method: "POST", ...bodyOf(form) });
      const said = await reply.json();
      answer.textContent = reply.ok ? said.predictions.map(inWords).join("\n") : said.error;
    } catch {
      answer.textContent = "The service does not answer.";
    }
  });
}

/** What is sent: a picture as it is, the cells of a row, or JSON as it was written. */
function bodyOf(form) {
  const file = form.querySelector("[type=file]")?.files[0];
  if (file) return { headers: { "content-type": file.type }, body: file };
  const written = form.querySelector("textarea")?.value;
  const cells = [...form.querySelectorAll("[data-column]")].map((field) => [field.dataset.column, field.value === "" ? null : field.value]);
  const body = written ?? JSON.stringify({ rows: [Object.fromEntries(cells)] });
  return { headers: { "content-type": "application/json" }, body };
}

function inWords(found) {
  if (found.error) return found.error;
  if (found.label === undefined) return `${found.value}${found.low === null ? "" : `, between ${found.low} and ${found.high}`}`;
  const doubt = found.unsure ? `; unsure: ${found.reason}` : "";
  return `${found.label} with ${(100 * found.confidence).toFixed(1)}%${doubt}`;
}

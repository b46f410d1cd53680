// Ask the service that sent the page to predict a picture.

/**
 * There is one request at a time. The newest picture comes next, and those in between are skipped.
 * @param {{labels: string[], service: string}} stored what report/network_page/html.py embedded.
 * @param {function({answer?, problem?}): void} told is called for the newest picture, in the form of living.js.
 */
export function openAsking(stored, told) {
  const asking = { newest: null, isBusy: false, ask };
  async function ask(image) {
    asking.newest = image;
    if (asking.isBusy) return;
    asking.isBusy = true;
    for (let image = asking.newest; image; image = asking.newest === image ? null : asking.newest) {
      const found = await answerOf(stored, image);
      if (asking.newest === image) told(found);
    }
    asking.isBusy = false;
  }
  return asking;
}

async function answerOf({ labels, service }, image) {
  try {
    const headers = { "content-type": "application/octet-stream" };
    const reply = await fetch(service, { method: "POST", headers, body: new Uint8Array(image.data) });
    const said = await reply.json();
    if (!reply.ok) return { problem: said.error };
    const one = said.predictions[0];
    const probabilities = labels.map((label) => one.probabilities[label]);
    return { answer: { best: labels.indexOf(one.label), probabilities, doubt: one.unsure ? one.reason : null } };
  } catch {
    return { problem: "The service does not answer." };
  }
}

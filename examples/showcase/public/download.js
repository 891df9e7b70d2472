// Reads an answer of unknown length piece by piece, as it comes. "Stop" hangs up, and the server stops working.

import { bytes, element, fill, number, rate, show } from "./page.js";

const answer = element("download-answer");
const progress = element("download-progress");
const cancel = element("download-cancel");
const form = element("download-form");
const submit = form.querySelector("[type=submit]");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const count = Number(element("download-count").value);
  const control = new AbortController();
  cancel.disabled = false;
  submit.disabled = true;
  cancel.onclick = () => control.abort();
  const tally = { bytes: 0, lines: 0, reads: 0, last: "", rest: "", started: performance.now() };
  try {
    const response = await fetch(`/primes?count=${count}`, { signal: control.signal });
    if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
    for await (const piece of pieces(response)) {
      add(tally, piece);
      fill(progress, tally.lines / count);
      report(tally, "…");
    }
    report(tally, `\nthe last one: ${tally.last}`);
  } catch (error) {
    if (control.signal.aborted) report(tally, "\nstopped; the server has stopped too");
    else show(answer, error.message, { failed: true });
  } finally {
    cancel.disabled = true;
    submit.disabled = false;
  }
});

async function* pieces(response) {
  const reader = response.body.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
}

const decoder = new TextDecoder();

function add(tally, piece) {
  const text = decoder.decode(piece);
  const lines = (tally.rest + text).split("\n");
  tally.bytes += piece.length;
  tally.reads++;
  tally.lines += lines.length - 1;
  tally.last = lines.at(-2) ?? tally.last;
  tally.rest = lines.at(-1);
}

function report(tally, end) {
  const took = performance.now() - tally.started;
  const amount = `${number.format(tally.lines)} primes, ${bytes(tally.bytes)} in ${number.format(tally.reads)} reads`;
  show(answer, `${amount}, ${rate(tally.bytes, took)} ${end}`);
}

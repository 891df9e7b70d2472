// A streamed upload. The bar shows what the server has received, as it says itself over Server-Sent Events;
// at the end its SHA-256 is compared with the one worked out here.

import { bytes, element, fill, rate, show } from "./page.js";

const MIB = 1024 * 1024;
/** Beyond this, the file is not read into memory to hash it here. */
const HASHABLE = 512 * MIB;

const answer = element("upload-answer");
const progress = element("upload-progress");
const drop = element("upload-drop");
const cancel = element("upload-cancel");
const sample = element("upload-sample");
const file = element("upload-file");

file.addEventListener("change", () => file.files[0] && upload(file.files[0]));
sample.addEventListener("click", () => upload(new File([randomBytes(64 * MIB)], "random.bin")));
for (const type of ["dragover", "dragleave", "drop"])
  drop.addEventListener(type, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", type === "dragover");
    if (type === "drop" && event.dataTransfer.files[0]) upload(event.dataTransfer.files[0]);
  });

async function upload(content) {
  const id = `${Date.now().toString(36)}${Math.random().toString(36).slice(2, 10)}`;
  const control = new AbortController();
  const reports = watch(id, content.size);
  cancel.disabled = false;
  sample.disabled = true;
  cancel.onclick = () => control.abort();
  fill(progress, 0);
  try {
    await reports.opened;
    const sent = fetch(`/upload?id=${id}`, { method: "PUT", body: content, signal: control.signal });
    const [result, here] = await Promise.all([sent.then(read), hash(content)]);
    fill(progress, 1);
    conclude(content, result, here);
  } catch (error) {
    show(answer, control.signal.aborted ? "Cancelled. The server threw away what it had." : error.message, {
      failed: true,
    });
  } finally {
    reports.close();
    cancel.disabled = true;
    sample.disabled = false;
    file.value = "";
  }
}

/** Follows the server's reports on one upload. */
function watch(id, size) {
  const feed = new EventSource(`/upload/progress?id=${id}`);
  feed.addEventListener("progress", (event) => {
    const { received } = JSON.parse(event.data);
    fill(progress, size === 0 ? 1 : received / size);
    show(answer, `the server has ${bytes(received)} of ${bytes(size)}`);
  });
  const opened = new Promise((resolve, reject) => {
    feed.addEventListener("open", resolve, { once: true });
    feed.addEventListener("error", () => reject(new Error("The server does not answer.")), { once: true });
  });
  return { opened, close: () => feed.close() };
}

async function read(response) {
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return response.json();
}

function conclude(content, result, here) {
  const pace = rate(result.bytes, result.milliseconds);
  show(
    answer,
    `${content.name}\n${bytes(result.bytes)} in ${result.pieces} pieces, ${pace}\nSHA-256 ${result.sha256.slice(0, 32)}\n        ${result.sha256.slice(32)}\n`,
  );
  const verdict = document.createElement("span");
  verdict.className = here === result.sha256 ? "good" : "";
  verdict.textContent =
    here === undefined
      ? "too large to check here"
      : here === result.sha256
        ? "✓ the same here"
        : "✗ another one here";
  answer.append(verdict);
}

/** Hexadecimal SHA-256, or undefined where this page may not or cannot work it out. */
async function hash(content) {
  if (content.size > HASHABLE || crypto.subtle === undefined) return undefined;
  const digest = await crypto.subtle.digest("SHA-256", await content.arrayBuffer());
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function randomBytes(size) {
  const block = crypto.getRandomValues(new Uint8Array(65536));
  const all = new Uint8Array(size);
  for (let at = 0; at < size; at += block.length) {
    block[at % 977] ^= at >> 16;
    all.set(block, at);
  }
  return all;
}

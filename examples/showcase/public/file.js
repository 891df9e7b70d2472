// A file asked for in part, and again with the validator of the first answer.

import { element, show } from "./page.js";

const PATH = "/files/main.ts";
const answer = element("file-answer");
let etag;

element("file-range").addEventListener("click", () => ask({ range: "bytes=0-119" }));
element("file-again").addEventListener("click", async () => {
  if (etag === undefined) await ask({});
  await ask({ "if-none-match": etag });
});

async function ask(headers) {
  try {
    const response = await fetch(PATH, { headers, cache: "no-store" });
    const text = await response.text();
    etag = response.headers.get("etag") ?? etag;
    const said = ["content-range", "content-length", "etag", "last-modified"].flatMap((name) => {
      const value = response.headers.get(name);
      return value === null ? [] : [`${name}: ${value}`];
    });
    const asked = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
    const body = response.status === 206 ? `\n\n${text}` : "";
    show(answer, `→ ${asked.join()}\n← ${response.status} ${response.statusText}\n${said.join("\n")}${body}`);
  } catch (error) {
    show(answer, error.message, { failed: true });
  }
}

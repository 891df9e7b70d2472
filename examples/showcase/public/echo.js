// What is sent comes back.

import { bytes, element, show } from "./page.js";

const answer = element("echo-answer");

element("echo-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = element("echo-text").value;
  const started = performance.now();
  try {
    const response = await fetch("/echo", { method: "POST", body: text });
    const back = await response.arrayBuffer();
    const took = (performance.now() - started).toFixed(1);
    const head = `${response.status}  ${response.headers.get("content-type")}  ${bytes(back.byteLength)}  ${took} ms`;
    show(answer, `${head}\n\n${new TextDecoder().decode(back)}`, { failed: !response.ok });
  } catch (error) {
    show(answer, error.message, { failed: true });
  }
});

// What both programs serve: who answers, and an answer that takes its time.

import { setTimeout as sleep } from "node:timers/promises";
import * as mist from "@x/mist";

export function handler(request: mist.Request): mist.ServerResponse {
  switch (request.path) {
    case "/":
      return mist.text(`process ${process.pid}\n`);
    case "/slow":
      return mist.response(200, { headers: { "content-type": "text/plain" }, body: mist.chunked(slowly()) });
    default:
      return mist.response(404);
  }
}

/** A second of work in ten lines. */
async function* slowly(): AsyncGenerator<string> {
  for (let i = 1; i <= 10; i++) {
    await sleep(100);
    yield `${i} of 10 by process ${process.pid}\n`;
  }
}

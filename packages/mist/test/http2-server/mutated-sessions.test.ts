// Mutated sessions against whole servers, with handlers of every kind: nothing fails but what must, nothing is left, and
// other connections do not notice. H2_MUTATIONS sets how many, H2_SEED where they start.

import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import * as mist from "../../src/index.ts";
import { mutate, randomFrom } from "../http2/sessions.ts";
import { serve } from "../server/serve.ts";
import { ask, session } from "./client.ts";

const RUNS = Number(process.env["H2_MUTATIONS"] ?? 3000);
const AT_ONCE = 300;

class Expected extends Error {}

function* pieces(): Generator<string> {
  for (let n = 0; n < 5; n++) yield "piece".repeat(n * 300);
}

async function* broken(): AsyncGenerator<string> {
  yield "begun";
  await turn();
  throw new Expected();
}

let asked = 0;
const handlers: readonly mist.Handler[] = [
  (request) => mist.text(request.path),
  async (request) =>
    mist.response(200).setBody(mist.bytes(await mist.readBody(request, { maxBodyLimit: 5000 }))),
  async (request) => {
    let size = 0;
    for await (const piece of mist.stream(request)) size += piece.length;
    return mist.text(String(size));
  },
  () => mist.response(200).setBody(mist.chunked(pieces())),
  (request) => mist.response(200).setBody(mist.chunked(mist.stream(request))),
  () => mist.response(200).setBody(mist.chunked(broken())),
  () =>
    mist
      .response(200)
      .setBody("whole")
      .withTrailers(async () => [["x-sum", "1"]]),
  () => {
    throw new Expected();
  },
  async (request) => {
    await turn();
    mist.sendInformational(request, 103, [["link", "</a>"]]);
    return mist.response(204);
  },
  async ({ signal }) => {
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    signal.throwIfAborted();
    return mist.response(204);
  },
];
const handler: mist.Handler = (request) => {
  if (request.path === "/bystander") return mist.text("here");
  if (request.getHeader("upgrade") === "websocket") {
    return mist.websocket({
      request,
      onInit: () => undefined,
      handler(_state, message, websocket) {
        if (message.type === "text") websocket.sendText(message.data);
      },
    });
  }
  return (handlers[asked++ % handlers.length] as mist.Handler)(request);
};

test(`${RUNS} of them`, { timeout: Math.max(60_000, RUNS * 10) }, async () => {
  const { server, url, reports } = await serve(handler, (builder) =>
    builder.withDeadlines({ headMs: 200, bodyIdleMs: 200, settingsAckMs: 200 }),
  );
  const random = randomFrom(Number(process.env["H2_SEED"] ?? 9113));
  const bystander = await session(url);
  const talk = async () => {
    const socket = await server.connect();
    socket.on("error", () => {}).resume();
    const bytes = mutate(random);
    const closed = new Promise((resolve) => socket.once("close", resolve));
    for (let at = 0; at < bytes.length; ) {
      const end = random(3) === 0 ? at + 1 + random(40) : bytes.length;
      socket.write(bytes.subarray(at, end));
      at = end;
      await turn();
    }
    const leave = random(8);
    if (leave < 3) socket.end();
    else if (leave < 5) socket.resetAndDestroy();
    else if (leave < 7) socket.destroy();
    // Else the server has its deadlines; but some handlers wait for the client to go.
    const patience = setTimeout(() => socket.destroy(), 250);
    await closed;
    clearTimeout(patience);
  };
  for (let left = RUNS; left > 0; left -= AT_ONCE) {
    const talks = Array.from({ length: Math.min(left, AT_ONCE) }, talk);
    const answer = await ask(bystander, "/bystander");
    expect(answer.body.toString()).toBe("here");
    await Promise.all(talks);
  }
  bystander.close();
  await expect.poll(() => [server.info().connections, server.info().streams]).toEqual([0, 0]);
  const unexpected = reports.filter(({ error }) => !(error instanceof Expected));
  expect(unexpected).toEqual([]);
  expect(reports.length).toBeGreaterThan(RUNS / 50);
});

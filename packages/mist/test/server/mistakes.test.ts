// What untyped code is told that hands the server something else than it takes.

import { expect, test } from "vitest";
import * as mist from "../../src/index.ts";

const ok = mist.response(200);
const limited = { maxBodyLimit: 10 };

test.each<[string, (request: mist.Request<mist.IncomingBody>) => unknown, string]>([
  ["nothing", () => undefined, "the handler returned no response of mist.response(…), but undefined"],
  [
    "nothing, later",
    async () => undefined,
    "the handler returned no response of mist.response(…), but undefined",
  ],
  ["text", () => "hello", "the handler returned no response of mist.response(…), but string"],
  [
    "a fetch Response",
    () => new Response("hello"),
    "the handler returned a fetch Response: such handlers are for fromFetch of @x/mist/fetch",
  ],
  [
    "text as a body",
    () => ok.setBody("hello"),
    "a response body is made by mist.bytes(…) and the like, and is no string",
  ],
  [
    "an object as bytes",
    () => ok.setBody(mist.bytes({ a: 1 } as never)),
    "mist.bytes takes text, bytes or a list, no Object",
  ],
  [
    "no limit",
    (request) => mist.readBody(request, undefined as never),
    "maxBodyLimit is a number of bytes of at least 0, not undefined",
  ],
  [
    "a body read twice",
    async (request) => {
      await mist.readBody(request, limited);
      return ok.setBody(mist.bytes(await mist.readBody(request, limited)));
    },
    "this request body has been read already",
  ],
])("%s: 500, and onError hears what is wrong", async (_, handler, message) => {
  const errors: unknown[] = [];
  await using server = await mist
    .new(handler as mist.Handler)
    .port(0)
    .afterStart(() => {})
    .onError(({ error }) => void errors.push(error))
    .start();
  const response = await fetch(server.url, { method: "POST", body: "content" });
  expect(response.status).toBe(500);
  await response.text();
  expect(errors).toEqual([new mist.UsageError(message)]);
});

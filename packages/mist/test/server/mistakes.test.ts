// What untyped code is told that hands the server something else than it takes.

import { expect, test } from "vitest";
import * as mist from "../../src/index.ts";

const ok = mist.response(200);
const limited = { maxBodyLimit: 10 };

test.each<[string, (request: mist.Request) => unknown, string]>([
  [
    "nothing",
    () => undefined,
    "the handler must return a response, such as mist.response(200), got undefined",
  ],
  [
    "nothing, later",
    async () => undefined,
    "the handler must return a response, such as mist.response(200), got undefined",
  ],
  ["text", () => "hello", 'the handler must return a response, such as mist.response(200), got "hello"'],
  [
    "a fetch Response",
    () => new Response("hello"),
    "the handler returned a fetch Response: wrap it with fromFetch of @x/mist/fetch",
  ],
  [
    "an object as a body",
    () => ok.setBody({ hello: 1 }),
    "a response body must be text, bytes or what mist.chunked and the like give, got an object",
  ],
  [
    "an object as bytes",
    () => ok.setBody(mist.bytes({ a: 1 } as never)),
    "bytes takes text, bytes or a list of them, got an object",
  ],
  [
    "no limit",
    (request) => mist.readBody(request, {} as never),
    "maxBodyLimit must be a number of bytes, at least 0, got undefined",
  ],
  [
    "a body read twice",
    async (request) => {
      await mist.readBody(request, limited);
      return ok.setBody(mist.bytes(await mist.readBody(request, limited)));
    },
    "the request body has already been read",
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

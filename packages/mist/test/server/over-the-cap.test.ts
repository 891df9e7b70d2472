// The response to a connection over `withMaxConnections`.

import { once } from "node:events";
import * as net from "node:net";
import { expect, test } from "vitest";
import * as mist from "../../src/index.ts";

const busy = mist.text("Busy.\n", { status: 503, headers: { "retry-after": "5" } });

test("is sent whole, and the connection ends", async () => {
  await using server = await mist.serve({
    port: 0,
    afterStart: () => {},
    handler: () => mist.text("served\n"),
    maxConnections: 1,
    refusal: busy,
  });
  const first = net.connect(server.port, "127.0.0.1");
  await once(first, "connect");
  const refused = await fetch(server.url);
  expect(refused.status).toBe(503);
  expect(Object.fromEntries(refused.headers)).toEqual({
    connection: "close",
    "content-length": "6",
    "content-type": "text/plain; charset=utf-8",
    "retry-after": "5",
  });
  expect(await refused.text()).toBe("Busy.\n");
  expect(server.info().rejectedBy["max-connections"]).toBe(1);
  first.destroy();
});

test.each<[string, unknown, string]>([
  ["text", "HTTP/1.1 503 Busy\r\n\r\n", 'refusal must be a response, got "HTTP/1.1 503'],
  ["a response below 500", mist.response(200), "the status of a refusal must be from 500 to 599, got 200"],
  [
    "a stream",
    mist.response(503, { body: mist.chunked(["a"]) }),
    "the body of a refusal must be empty, text or bytes",
  ],
  ["a wrong length", busy.setHeader("content-length", "7"), "content-length"],
])("%s is refused", (_, refusal, message) => {
  const builder = mist.new(() => mist.response(200));
  expect(() => builder.withRefusal(refusal as never)).toThrow(mist.UsageError);
  expect(() => builder.withRefusal(refusal as never)).toThrow(message);
});

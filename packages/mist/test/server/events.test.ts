// `server.on`: the events of one server.

import diagnostics_channel from "node:diagnostics_channel";
import { expect, expectTypeOf, onTestFinished, test } from "vitest";
import * as mist from "../../src/index.ts";
import { serve } from "./serve.ts";

test("tells of this server's requests, and of no other's", async () => {
  await using server = await mist.test(() => mist.text("four"));
  await using other = await mist.test(() => mist.text("x"));
  const seen: unknown[] = [];
  server.on("request:start", ({ request }) => seen.push(["start", request.path]));
  server.on("request:end", ({ request, status, bytesWritten, complete, durationMs }) => {
    seen.push(["end", request.path, status, bytesWritten, complete]);
    expect(durationMs).toBeGreaterThan(0);
  });
  await (await other.fetch("/other")).text();
  await (await server.fetch("/mine")).text();
  await expect
    .poll(() => seen)
    .toEqual([
      ["start", "/mine"],
      ["end", "/mine", 200, 4, true],
    ]);
});

test("tells of failures, with the error at the end, too", async () => {
  const failure = new Error("no");
  const handler = () => {
    throw failure;
  };
  await using server = await mist.test(mist.new(handler).onError(() => {}));
  const errors: unknown[] = [];
  server.on("request:error", ({ error }) => errors.push(error));
  server.on("request:end", ({ error }) => errors.push(error));
  expect((await server.fetch("/")).status).toBe(500);
  await expect.poll(() => errors).toEqual([failure, failure]);
});

test("tells of bytes that never became a request", async () => {
  const { server, ask } = await serve(() => mist.text("x"));
  const refused: mist.RequestRefusedEvent[] = [];
  server.on("request:refused", (event) => refused.push(event));
  await ask("nonsense\r\n\r\n");
  expect(refused).toMatchObject([{ status: 400, error: expect.any(mist.ProtocolError) }]);
  expect(refused[0]?.address?.ipAddress).toBeDefined();
});

test("tells of WebSockets", async () => {
  const handler: mist.Handler = (request) =>
    mist.websocket({
      request,
      onInit: () => null,
      handler(_state, message) {
        if (message.type === "text") throw new Error(message.data);
        return undefined;
      },
    });
  await using server = await mist.test(mist.new(handler).onError(() => {}));
  const seen: unknown[] = [];
  server.on("websocket:open", ({ websocket }) => seen.push(["open", websocket.open]));
  server.on("websocket:error", ({ error }) => seen.push(["error", (error as Error).message]));
  server.on("websocket:close", ({ code }) => seen.push(["close", code]));
  await using socket = await server.websocket("/");
  await socket.send("no");
  await socket.closed;
  await expect
    .poll(() => seen)
    .toEqual([
      ["open", true],
      ["error", "no"],
      ["close", 1011],
    ]);
});

test("stops telling once the listener is taken off, as often as it was put on", async () => {
  await using server = await mist.test(() => mist.text("x"));
  let count = 0;
  const listener = () => {
    count++;
  };
  const off = server.on("request:start", listener);
  server.on("request:start", listener);
  await (await server.fetch("/")).text();
  expect(count).toBe(2);
  off();
  off();
  await (await server.fetch("/")).text();
  expect(count).toBe(3);
});

test("the diagnostics channel hears the same event", async () => {
  await using server = await mist.test(() => mist.text("x"));
  const heard: unknown[] = [];
  const note = (event: unknown) => {
    heard.push(event);
  };
  diagnostics_channel.subscribe("mist:request:end", note);
  onTestFinished(() => void diagnostics_channel.unsubscribe("mist:request:end", note));
  let own: unknown;
  server.on("request:end", (event) => {
    own = event;
  });
  await (await server.fetch("/")).text();
  await expect.poll(() => own).toBeDefined();
  expect(heard).toContain(own);
});

test.each<[string, () => unknown]>([
  [
    "throws",
    () => {
      throw new Error("mine");
    },
  ],
  [
    "rejects",
    async () => {
      throw new Error("mine");
    },
  ],
])("a listener that %s is told to onError, and nobody else suffers", async (_name, listener) => {
  const { server, reports, ask } = await serve(() => mist.text("fine"));
  let others = 0;
  server.on("request:start", listener);
  server.on("request:start", () => others++);
  expect(await ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n")).toContain("fine");
  expect(others).toBe(1);
  await expect
    .poll(() => reports)
    .toMatchObject([{ during: "listener", request: undefined, error: { message: "mine" } }]);
});

test("refuses an event that there is not, and a listener that is no function", async () => {
  await using server = await mist.test(() => mist.text("x"));
  expect(() => server.on("end" as "request:end", () => {})).toThrow(
    /^the event must be one of "request:start", .*, got "end"$/,
  );
  expect(() => server.on("request:end", 3 as never)).toThrow("listener must be a function, got 3");
  server.on("request:refused", (event) => expectTypeOf(event).toEqualTypeOf<mist.RequestRefusedEvent>());
});

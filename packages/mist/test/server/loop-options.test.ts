// What `websocket`, `serverSentEvents` and `chunked` refuse, at the call; and the bound of a mailbox nobody has bounded.

import { describe, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import * as mist from "../../src/index.ts";
import { defaultMaxMailbox } from "../../src/options.ts";
import { open } from "../application/websocket-peer.ts";
import { fakeRequest } from "./file-request.ts";
import { serve } from "./serve.ts";

const request = fakeRequest("/");
const nothing = (): undefined => undefined;

const makers: Record<string, (options: object) => unknown> = {
  websocket: (options) => mist.websocket({ request, onInit: nothing, handler: nothing, ...options }),
  serverSentEvents: (options) => mist.serverSentEvents({ request, init: nothing, loop: nothing, ...options }),
  chunked: (options) =>
    mist.chunked({ request, response: mist.response(200), init: nothing, loop: nothing, ...options }),
};

test.each([
  ["websocket", { onInit: undefined }, "onInit must be a function, got undefined"],
  ["websocket", { handler: "echo" }, 'handler must be a function, got "echo"'],
  ["websocket", { onClose: 1 }, "onClose must be a function, got 1"],
  ["websocket", { pingInterval: 1 }, 'websocket has no option "pingInterval"'],
  ["websocket", { maxMailbox: 0 }, "maxMailbox must be an integer of at least 1, got 0"],
  ["websocket", { request: undefined }, "request must be one that a handler was called with, got undefined"],
  ["websocket", { maxMessageBytes: -1 }, "maxMessageBytes must be a number of at least 1, got -1"],
  [
    "websocket",
    { checkOrigin: "https://a.example" },
    'checkOrigin must be a list of strings or a function, got "https',
  ],
  [
    "websocket",
    { subprotocols: "chat.v2" },
    'subprotocols must be a list of strings or a function, got "chat.v2"',
  ],
  ["websocket", { compression: 5 }, "the options of compression must be an object, got 5"],
  ["websocket", { compression: { leve: 1 } }, 'compression has no option "leve"'],
  ["websocket", { compression: { level: 20 } }, "compression.level must be a number from 0 to 9, got 20"],
  ["websocket", { compression: { synchronous: 1 } }, "compression.synchronous must be true or false, got 1"],
  ["websocket", { headers: { "sec-websocket-key": "a" } }, "headers must not name sec-websocket-key"],
  ["serverSentEvents", { request: {} }, "request must be one that a handler was called with, got an object"],
  ["serverSentEvents", { initialResponse: 200 }, "initialResponse must be a response, got 200"],
  ["serverSentEvents", { init: undefined }, "init must be a function, got undefined"],
  ["serverSentEvents", { loop: null }, "loop must be a function, got null"],
  ["serverSentEvents", { keepAlive: 1 }, 'serverSentEvents has no option "keepAlive"'],
  ["serverSentEvents", { keepAliveMs: -1 }, "keepAliveMs must be an integer from 0, got -1"],
  ["serverSentEvents", { overflow: "drop" }, "overflow must be"],
  ["chunked", { init: undefined }, "init must be a function, got undefined"],
  ["chunked", { request: undefined }, "request must be one that a handler was called with, got undefined"],
  ["chunked", { response: undefined }, "response must be a response, got undefined"],
  ["chunked", { loop: undefined }, "loop must be a function, got undefined"],
  ["chunked", { onShutdown: {} }, "onShutdown must be a function, got an object"],
  ["chunked", { trailer: nothing }, 'chunked has no option "trailer"'],
])("%s refuses %o", (maker, options, message) => {
  const call = () => makers[maker]!(options);
  expect(call).toThrow(mist.UsageError);
  expect(call).toThrow(message);
});

test("chunked without init and loop is no iterable either", () => {
  expect(() => mist.chunked({} as never)).toThrow(mist.UsageError);
});

describe(`a mailbox that nobody has bounded holds ${defaultMaxMailbox} messages; one more`, () => {
  const fill = (writer: { readonly subject: { send(message: never): void } }): Promise<undefined> => {
    for (let i = 0; i <= defaultMaxMailbox; i++) writer.subject.send(i as never);
    return Promise.resolve(undefined);
  };
  const overflow = new RegExp(`the mailbox is full: ${defaultMaxMailbox} messages are waiting`);

  test("closes a WebSocket with 1011", async () => {
    const served = await serve((request) => mist.websocket({ request, onInit: fill, handler: nothing }));
    const client = await open(served);
    expect(await client.close()).toBe(1011);
    expect(served.reports.map(({ error }) => String(error))).toEqual([expect.stringMatching(overflow)]);
  });

  test("breaks an event stream off", async () => {
    const served = await serve((request) => mist.serverSentEvents({ request, init: fill, loop: nothing }));
    await expect(fetch(served.url).then((response) => response.text())).rejects.toThrow();
    await vi.waitUntil(() => served.reports.length > 0);
    expect(served.reports.map(({ error }) => String(error))).toEqual([expect.stringMatching(overflow)]);
  });
});

describe("onClose is told", () => {
  test("how a WebSocket ended: what the client closed with", async () => {
    const closes: unknown[] = [];
    const served = await serve((request) =>
      mist.websocket({ request, onInit: () => 1, handler: nothing, onClose: (...told) => closes.push(told) }),
    );
    const socket = new WebSocket(served.url.replace("http", "ws"));
    socket.onopen = () => socket.close(4000, "enough");
    await vi.waitUntil(() => closes.length > 0);
    expect(closes).toEqual([[1, { code: 4000, reason: "enough" }]]);
  });

  test.each<[string, () => undefined | mist.Next<number, never>, boolean, string]>([
    ["its loop ended it", () => mist.stop(), false, "normal"],
    ["its loop failed", () => mist.stopAbnormal(new Error("x")), false, "handler"],
    ["the client left", nothing, true, "reset"],
  ])("how a stream ended: %s", async (_name, answer, leaves, type) => {
    const closes: unknown[] = [];
    const served = await serve((request) =>
      mist.serverSentEvents({
        request,
        init(stream) {
          stream.subject.send("go");
          return 1;
        },
        loop: (_state, _message: string) => answer(),
        onClose: (state, reason) => closes.push([state, reason.type]),
      }),
    );
    const socket = await served.connect();
    await socket.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await socket.receiveUntil("\r\n\r\n", { timeout: 5000 });
    if (leaves) socket.reset();
    await vi.waitUntil(() => closes.length > 0);
    expect(closes).toEqual([[1, type]]);
    await socket.close();
  });
});

// Wherever user code is called: a throw or a rejection is reported once, and nothing else happens.

import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import * as mist from "../../src/index.ts";
import { handshake } from "../application/websocket-peer.ts";
import { text } from "../websocket/client-frames.ts";
import { type Served, serve } from "./serve.ts";

const boom = new Error("boom");
const get = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

const failures: readonly [string, () => unknown][] = [
  [
    "throws",
    () => {
      throw boom;
    },
  ],
  ["rejects", () => Promise.reject(boom)],
  [
    "returns a thenable that fails at once",
    () => ({
      // biome-ignore lint/suspicious/noThenProperty: that is what is tested
      then() {
        throw boom;
      },
    }),
  ],
];

let warnings: Error[];
const note = (warning: Error): void => void warnings.push(warning);

beforeEach(() => {
  warnings = [];
  process.on("warning", note);
});

afterEach(() => {
  process.off("warning", note);
});

const nothing = (): undefined => undefined;

type Act = "leave" | "text" | "stop" | undefined;

/** What is there when the first has come, and a second had time to come. */
async function soon(list: readonly unknown[]): Promise<void> {
  await vi.waitUntil(() => list.length > 0);
  await sleep(10);
}

describe.each(failures)("user code that %s", (_how, fail) => {
  const failing = fail as () => never;
  /** A producer of content that goes on until it is let go of, and then fails. */
  const fromIterable = (): mist.ServerResponse => {
    const chunks: AsyncIterable<string> = {
      [Symbol.asyncIterator]: () => ({
        next: async () => {
          await sleep(1);
          return { done: false, value: "x".repeat(1000) };
        },
        return: failing,
      }),
    };
    return mist.response(200).setBody(mist.chunked(chunks));
  };
  const websocket = (request: mist.Request, options: object): mist.ServerResponse =>
    mist.websocket({ request, onInit: nothing, handler: nothing, ...options });
  const events = (request: mist.Request, options: object): mist.ServerResponse =>
    mist.serverSentEvents({ request, init: nothing, loop: nothing, ...options });
  const chunks = (request: mist.Request, options: object): mist.ServerResponse =>
    mist.chunked({ request, response: mist.response(200), init: nothing, loop: nothing, ...options });
  const told = (writer: { subject: { send(message: never): void } }): undefined =>
    void writer.subject.send("go" as never);

  const callbacks: [callback: string, handler: (request: mist.Request) => unknown, act?: Act][] = [
    ["the handler", failing],
    ["work behind waitUntil", (request) => leaveBehind(request, failing)],
    ["an iterator's return", fromIterable, "leave"],
    ["a WebSocket's onInit", (request) => websocket(request, { onInit: failing })],
    ["a WebSocket's handler", (request) => websocket(request, { handler: failing }), "text"],
    ["a WebSocket's message", (request) => websocket(request, { onInit: told, handler: failing })],
    ["a WebSocket's onClose", (request) => websocket(request, { onClose: failing }), "leave"],
    ["an event stream's init", (request) => events(request, { init: failing })],
    ["an event stream's loop", (request) => events(request, { init: told, loop: failing })],
    ["an event stream's onShutdown", (request) => events(request, { onShutdown: failing }), "stop"],
    ["an event stream's onClose", (request) => events(request, { onClose: failing }), "leave"],
    ["a chunked answer's init", (request) => chunks(request, { init: failing })],
    ["a chunked answer's loop", (request) => chunks(request, { init: told, loop: failing })],
    ["a chunked answer's onClose", (request) => chunks(request, { onClose: failing }), "stop"],
  ];

  async function go(served: Served, callback: string, act: Act): Promise<void> {
    const socket = await served.connect();
    onTestFinished(() => socket.close());
    await socket.send(callback.includes("WebSocket") ? handshake() : get);
    if (act === undefined) return;
    await socket.receiveUntil("\r\n\r\n", { timeout: 5000 });
    if (act === "leave") socket.reset();
    else if (act === "text") await socket.send(text("hello"));
    else void served.server.stop({ deadlineMs: 50 });
  }

  test.each(callbacks)("%s is reported once", async (callback, handler, act) => {
    const served = await serve(handler as mist.Handler);
    await go(served, callback, act);
    await soon(served.reports);
    expect(served.reports.map(({ error }) => error)).toEqual([boom]);
    expect(warnings).toEqual([]);
  });

  test.each(callbacks)(
    "onError, told of a failure of %s, is a process warning",
    async (callback, handler, act) => {
      const served = await serve(handler as mist.Handler, (builder) => builder.onError(fail as () => void));
      await go(served, callback, act);
      await soon(warnings);
      expect(warnings).toEqual([boom]);
    },
  );

  test("onError does not keep onClose from being called", async () => {
    const closes: unknown[] = [];
    const options = {
      handler() {
        throw new Error("the handler's");
      },
      onInit: () => "state",
      onClose: (state: unknown, reason: mist.WebSocketCloseReason) => closes.push([state, reason]),
    };
    const served = await serve(
      (request) => websocket(request, options),
      (builder) => builder.onError(fail as () => void),
    );
    await go(served, "a WebSocket", "text");
    await soon(warnings);
    expect(warnings).toEqual([boom]);
    expect(closes).toEqual([["state", { code: 1011, reason: "", error: new Error("the handler's") }]]);
  });
});

/** Leaves work behind: a promise or a thenable; what throws at once is the handler's own failure. */
function leaveBehind(request: mist.Request, fail: () => unknown): mist.ServerResponse {
  mist.waitUntil(request, fail() as Promise<unknown>);
  return mist.response(200);
}

const unreadable = new Proxy(new Error("unreadable"), {
  get() {
    throw boom;
  },
});

describe.each<[what: string, error: unknown]>([
  ["undefined", undefined],
  ["an error whose properties cannot be read", unreadable],
])("%s, thrown or rejected with, is reported once", (_what, error) => {
  const rejected = (): Promise<never> => Promise.reject(error);
  const told = (writer: mist.ChunkedStream<string>): void => writer.subject.send("go");
  const next = () => ({ [Symbol.asyncIterator]: () => ({ next: rejected }) });

  test.each<[string, mist.Handler]>([
    ["by a handler", rejected],
    [
      "by a handler at once",
      () => {
        throw error;
      },
    ],
    [
      "by init",
      (request) => mist.chunked({ request, response: mist.response(200), init: rejected, loop() {} }),
    ],
    [
      "by a loop",
      (request) => mist.chunked({ request, response: mist.response(200), init: told, loop: rejected }),
    ],
    ["by an iterator", () => mist.response(200).setBody(mist.chunked(next()))],
  ])("%s", async (_where, handler) => {
    const served = await serve(handler);
    await served.ask(get);
    await soon(served.reports);
    expect(served.reports).toHaveLength(1);
    expect(served.reports[0]!.error === error).toBe(true);
  });
});

test("a handler that returns what cannot be looked at is reported once, and answered 500", async () => {
  const { ask, reports } = await serve(() => unreadable as never);
  expect(await ask(get)).toContain("HTTP/1.1 500 ");
  expect(reports.map(({ error }) => error)).toEqual([boom]);
});

describe.each<[string, () => Promise<never>]>([
  ["a promise", () => new Promise(() => {})],
  ["a promise that rejects", () => Promise.reject(boom)],
])("%s where an answer is wanted at once is refused, and harms nobody", (_what, promise) => {
  test.each<[string, mist.Handler, string]>([
    [
      "checkOrigin",
      (request) =>
        mist.websocket({ request, onInit: nothing, handler: nothing, checkOrigin: promise as () => never }),
      handshake(),
    ],
    [
      "a source's subscribe",
      (request) =>
        mist.chunked({
          request,
          response: mist.response(200),
          init: () => [0, mist.selector<never>().select({ subscribe: promise as () => never })],
          loop: nothing,
        }),
      get,
    ],
  ])("%s", async (name, handler, request) => {
    const { ask, reports } = await serve(handler);
    expect(await ask(request)).not.toContain("HTTP/1.1 101 ");
    await soon(reports);
    expect(reports.map(({ error }) => String(error))).toEqual([
      `UsageError: ${name} must answer at once, got a promise`,
    ]);
  });

  test("onFailure", async () => {
    const { ask, reports } = await serve(
      () => {
        throw boom;
      },
      (builder) => builder.onFailure(promise as () => never),
    );
    expect(await ask(get)).toContain("HTTP/1.1 500 ");
    expect(reports.map(({ during }) => during)).toEqual(["handler", "failure"]);
  });
});

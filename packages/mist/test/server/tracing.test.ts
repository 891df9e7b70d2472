// `tracing:mist:request`: the tracing channel of requests, and the stores that are bound to it.

import { AsyncLocalStorage } from "node:async_hooks";
import { type TracingChannelSubscribers, tracingChannel } from "node:diagnostics_channel";
import { once } from "node:events";
import { connect } from "node:http2";
import { expect, onTestFinished, test } from "vitest";
import * as mist from "../../src/index.ts";
import { serve } from "./serve.ts";

const channel = tracingChannel<unknown, mist.RequestTrace>("mist:request");

/** The names of the events of requests to `path`, and their message. */
function listen(path: string) {
  const names: string[] = [];
  const traces = new Set<mist.RequestTrace>();
  const note = (name: string) => (trace: object) => {
    if ((trace as mist.RequestTrace).request.path !== path) return;
    names.push(name);
    traces.add(trace as mist.RequestTrace);
  };
  const subscribers = Object.fromEntries(
    ["start", "end", "asyncStart", "asyncEnd", "error"].map((name) => [name, note(name)]),
  ) as unknown as TracingChannelSubscribers<mist.RequestTrace>;
  channel.subscribe(subscribers);
  onTestFinished(() => channel.unsubscribe(subscribers));
  return { names, traces };
}

/** A store that holds the path of the request. */
function bound(): AsyncLocalStorage<string> {
  const store = new AsyncLocalStorage<string>();
  channel.start.bindStore(store, ({ request }) => request.path);
  onTestFinished(() => void channel.start.unbindStore(store));
  return store;
}

test.each<[string, mist.Handler]>([
  ["answers at once", () => mist.text("hello")],
  ["answers later", async () => mist.text("hello")],
  ["streams", () => mist.response(200).setBody(mist.chunked(["he", "llo"]))],
])("a handler that %s: start, end, asyncStart, asyncEnd, with one message", async (_name, handler) => {
  const { names, traces } = listen("/ok");
  await using server = await mist.test(handler);
  expect(await (await server.fetch("/ok")).text()).toBe("hello");
  await expect.poll(() => names).toEqual(["start", "end", "asyncStart", "asyncEnd"]);
  expect([...traces]).toMatchObject([{ status: 200, bytesWritten: 5, complete: true, error: undefined }]);
});

test.each<[string, mist.Handler]>([
  [
    "throws",
    () => {
      throw new RangeError("no");
    },
  ],
  [
    "rejects",
    async () => {
      throw new RangeError("no");
    },
  ],
])("a handler that %s: error, before asyncStart", async (_name, handler) => {
  const { names, traces } = listen("/fails");
  await using server = await mist.test(mist.new(handler).onError(() => {}));
  expect((await server.fetch("/fails")).status).toBe(500);
  await expect.poll(() => names).toEqual(["start", "end", "error", "asyncStart", "asyncEnd"]);
  const [trace] = traces;
  expect(trace).toMatchObject({ status: 500, complete: true });
  expect(trace?.error).toBeInstanceOf(RangeError);
});

test("a bound store holds in the handler, in what it awaits, in a body that is produced later, in onError and in events", async () => {
  const store = bound();
  const seen: (string | undefined)[] = [];
  async function* pieces() {
    seen.push(store.getStore());
    yield "x".repeat(300_000);
    seen.push(store.getStore());
    throw new Error("no more");
  }
  const handler = async () => {
    seen.push(store.getStore());
    await new Promise(setImmediate);
    seen.push(store.getStore());
    return mist.response(200).setBody(mist.chunked(pieces()));
  };
  await using server = await mist.test(mist.new(handler).onError(() => seen.push(store.getStore())));
  for (const event of ["request:error", "request:end"] as const)
    server.on(event, () => void seen.push(store.getStore()));
  await expect((await server.fetch("/stored")).text()).rejects.toThrow();
  await expect.poll(() => seen).toEqual(Array(7).fill("/stored"));
  expect(store.getStore()).toBeUndefined();
});

test("a bound store holds in a WebSocket's handlers, and in the loop of a chunked response", async () => {
  const store = bound();
  await using server = await mist.test((request) => {
    if (request.path === "/socket")
      return mist.websocket({
        request,
        onInit: () => null,
        handler(_state, message, websocket) {
          if (message.type === "text") websocket.sendText(`${store.getStore()}`);
          return undefined;
        },
      });
    return mist.chunked<null, string>({
      request,
      response: mist.response(200),
      init(stream) {
        setImmediate(() => store.run("elsewhere", () => stream.subject.send("go")));
        return null;
      },
      loop(_state, _message, stream) {
        stream.sendChunk(`${store.getStore()}`);
        return mist.stop();
      },
    });
  });
  await using socket = await server.websocket("/socket");
  await socket.send("where am I?");
  expect(await socket.receive()).toBe("/socket");
  expect(await (await server.fetch("/loop")).text()).toBe("/loop");
});

test("a bound store holds in a WebSocket over HTTP/2", async () => {
  const store = bound();
  const { url } = await serve((request) =>
    mist.websocket({
      request,
      onInit: () => null,
      handler(_state, message, websocket) {
        if (message.type === "text") websocket.sendText(`${store.getStore()}`);
        return undefined;
      },
    }),
  );
  const session = connect(url);
  onTestFinished(() => session.destroy());
  await once(session, "remoteSettings");
  const stream = session.request({
    ":method": "CONNECT",
    ":protocol": "websocket",
    ":path": "/h2",
    "sec-websocket-version": "13",
  });
  await once(stream, "response");
  stream.write(Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0x78])); // "x", masked with zeros
  const [frame] = (await once(stream, "data")) as [Buffer];
  expect(frame.subarray(2).toString()).toBe("/h2");
});

test("pipelined requests have stores of their own", async () => {
  const store = bound();
  const { ask } = await serve(async () =>
    mist.response(200).setBody(mist.chunked([`<${store.getStore()}>`])),
  );
  const answer = await ask("GET /a HTTP/1.1\r\nhost: a\r\n\r\nGET /b HTTP/1.1\r\nhost: a\r\n\r\n");
  expect(answer.match(/<.*?>/g)).toEqual(["</a>", "</b>"]);
});

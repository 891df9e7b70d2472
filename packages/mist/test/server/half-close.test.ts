// A client that half-closes while its response is streamed has gone: its producer is let go of, the connection ends,
// every hook is called once. A response that is all there is still sent.

import { once } from "node:events";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import * as mug from "@x/mug";
import { Hono } from "hono";
import { streamSSE } from "hono/streaming";
import { describe, expect, it, onTestFinished } from "vitest";
import { fromFetch } from "../../src/fetch/index.ts";
import * as mist from "../../src/index.ts";
import { certificate } from "../conformance/certificate.ts";
import { expectAbortError } from "./abort-error.ts";
import { fileRequestFolder } from "./half-close-file.ts";
import { serve } from "./serve.ts";

/** What a test sees of a producer. */
interface Probe {
  /** The handler has been called, and its response is on its way. */
  begun: number;
  /** The producer has been let go of. */
  released: number;
  /** Whether a first piece comes before the silence. */
  readonly speaks: boolean;
}

type Producer = (probe: Probe, request: mist.Request) => ReturnType<mist.Handler>;

const silence = new Promise<never>(() => {});
const page = () => mist.response(200).setHeader("content-type", "text/plain");

function webStream(probe: Probe, pull?: () => Promise<void>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    start(controller) {
      if (probe.speaks) controller.enqueue(Buffer.from("first"));
    },
    ...(pull !== undefined && { pull }),
    cancel() {
      probe.released += 1;
    },
  });
}

const actorOptions = (probe: Probe, request: mist.Request) => ({
  request,
  init: (writer: { sendChunk?(data: string): unknown; sendEvent?(event: mist.ServerSentEvent): unknown }) => {
    if (probe.speaks) {
      writer.sendChunk?.("first");
      writer.sendEvent?.(mist.event("first"));
    }
    return 0;
  },
  loop: () => mist.continue(0),
  onClose: () => {
    probe.released += 1;
  },
});

const producers: Record<string, Producer> = {
  "an iterable of its own make": (probe) => {
    let left = probe.speaks ? 1 : 0;
    const iterator = {
      next: () => (left-- > 0 ? Promise.resolve({ done: false, value: "first" }) : silence),
      return: () => {
        probe.released += 1;
        return Promise.resolve({ done: true, value: undefined });
      },
    } as AsyncIterator<string>;
    return page().setBody(mist.chunked({ [Symbol.asyncIterator]: () => iterator }));
  },
  "a generator that awaits the signal": (probe, request) =>
    page().setBody(
      mist.chunked(
        (async function* () {
          try {
            if (probe.speaks) yield "first";
            await new Promise((_, reject) => {
              request.signal.addEventListener("abort", () => reject(request.signal.reason));
            });
          } finally {
            probe.released += 1;
          }
        })(),
      ),
    ),
  "a web stream": (probe) =>
    page().setBody(mist.chunked(webStream(probe) as unknown as AsyncIterable<Uint8Array>)),
  "a web stream that is asked": (probe) =>
    page().setBody(mist.chunked(webStream(probe, () => silence) as unknown as AsyncIterable<Uint8Array>)),
  "a Node stream": (probe) => {
    const stream = new Readable({
      read() {},
      destroy(error, done) {
        probe.released += 1;
        done(error);
      },
    });
    if (probe.speaks) stream.push("first");
    return page().setBody(mist.chunked(stream));
  },
  "a chunked loop": (probe, request) => mist.chunked({ ...actorOptions(probe, request), response: page() }),
  "an event stream": (probe, request) => mist.serverSentEvents(actorOptions(probe, request)),
  "a fetch Response": (probe, request) =>
    fromFetch(() => new Response(webStream(probe), { headers: { "content-type": "text/plain" } }))(request),
  "the stream of a fetch that a handler passes on": (probe, request) =>
    fromFetch(async () => {
      const upstream = await serve((inner) => {
        inner.signal.addEventListener("abort", () => {
          probe.released += 1;
        });
        return page().setBody(mist.chunked(webStream({ ...probe }) as unknown as AsyncIterable<Uint8Array>));
      });
      return fetch(upstream.url);
    })(request),
  "Hono's streamSSE": (probe, request) => {
    const app = new Hono();
    app.get("*", (c) =>
      streamSSE(c, async (out) => {
        out.onAbort(() => {
          probe.released += 1;
        });
        if (probe.speaks) await out.writeSSE({ data: "first" });
        await silence;
      }),
    );
    return fromFetch(app.fetch)(request);
  },
};

const get = (coding = "") => `GET / HTTP/1.1\r\nhost: localhost\r\n${coding}\r\n`;
const gzip = "accept-encoding: gzip\r\n";

/** Half-closes on `producer`, and tells what came of it. */
async function halfClose(producer: Producer, speaks: boolean, transport: "TCP" | "TLS", coding: string) {
  const probe: Probe = { begun: 0, released: 0, speaks };
  const handler: mist.Handler = async (request) => {
    const made = await producer(probe, request);
    probe.begun += 1;
    return made;
  };
  const identity = await certificate();
  const { server, reports } = await serve(coding === "" ? handler : mist.compress(handler), (builder) =>
    transport === "TLS" ? builder.withTls(identity) : builder,
  );
  const address = mug.new("127.0.0.1", { port: server.port }).timeout(5000);
  const secure = () => address.withTls({ ca: identity.cert, serverName: "localhost" });
  const socket = await (transport === "TLS" ? secure() : address).connect();
  onTestFinished(() => socket.close());
  await socket.send(get(coding));
  await expect.poll(() => probe.begun).toBe(1);
  await socket.receiveUntil("\r\n\r\n", { timeout: 5000 });
  if (speaks) await socket.receive({ timeout: 5000 });
  await socket.halfClose();
  await expect.poll(() => server.info().connections, { timeout: 5000 }).toBe(0);
  await expect.poll(() => probe.released, { timeout: 5000 }).toBe(1);
  expect(reports).toEqual([]);
}

describe.each(Object.entries(producers))("%s", (_, producer) => {
  it.each([
    ["before its first piece", false],
    ["behind its first piece", true],
  ])("%s", (_when, speaks) => halfClose(producer, speaks, "TCP", ""));

  it("compressed", () => halfClose(producer, true, "TCP", gzip));
  it("over TLS", () => halfClose(producer, true, "TLS", ""));
});

describe("a generator that nothing wakes", () => {
  it("does not keep the connection", async () => {
    const { connect, server } = await serve(() =>
      page().setBody(
        mist.chunked(
          (async function* () {
            yield "first";
            await silence;
          })(),
        ),
      ),
    );
    const socket = await connect();
    await socket.send(get());
    await socket.receiveUntil("first", { timeout: 5000 });
    await socket.halfClose();
    await expect.poll(() => server.info().connections, { timeout: 5000 }).toBe(0);
  });
});

describe("half-closed with the request, as by printf … | nc", () => {
  it("a plain response is delivered", async () => {
    const { ask } = await serve(async () => {
      await new Promise((resolve) => setImmediate(resolve));
      return page().setBody(mist.bytes("all there"));
    });
    expect(await ask(get())).toContain("\r\n\r\nall there");
  });

  it("a file is delivered", async () => {
    const { root, name, content } = await fileRequestFolder();
    const { ask } = await serve((request) => mist.sendFile(name, { root, request }));
    expect((await ask(get())).endsWith(content)).toBe(true);
  });

  it("a response to HEAD is delivered, whatever its body would have been", async () => {
    const { ask } = await serve(() => page().setBody(mist.chunked(["a"])));
    expect(await ask(get().replace("GET", "HEAD"))).toContain("HTTP/1.1 200 OK");
  });

  it.each<[string, (signal: AbortSignal, upstream: string) => Promise<unknown>]>([
    ["passes its signal on to fetch", (signal, upstream) => fetch(upstream, { signal })],
    ["waits with its signal", (signal) => sleep(3_600_000, undefined, { signal })],
    ["rejects with its reason", (signal) => once(signal, "abort").then(() => Promise.reject(signal.reason))],
    [
      "rejects with the cause of its reason",
      (signal) => once(signal, "abort").then(() => Promise.reject(signal.reason.cause)),
    ],
    [
      "wraps what was told with its reason",
      async (signal) => {
        const told = await sleep(3_600_000, undefined, { signal }).catch((error: unknown) => error);
        throw new Error("gave up", { cause: told });
      },
    ],
  ])("a handler that %s gives up, and no failure is made of it", async (_, wait) => {
    let waiting = 0;
    const upstream = await serve(() => silence);
    const { connect, server, reports } = await serve(async ({ signal }) => {
      waiting += 1;
      await wait(signal, upstream.url);
      return page();
    });
    const socket = await connect();
    await socket.send(get());
    await expect.poll(() => waiting).toBe(1);
    await socket.halfClose();
    expect(String(await socket.receiveToEnd({ timeout: 5000 }))).toBe("");
    await expect.poll(() => server.info().connections).toBe(0);
    expect(reports).toEqual([]);
  });

  it("the reason of the signal is an AbortError", async () => {
    const reasons: unknown[] = [];
    const { ask } = await serve(async ({ signal }) => {
      if (!signal.aborted) await once(signal, "abort");
      reasons.push(signal.reason);
      return page();
    });
    expect(await ask(get())).toContain("HTTP/1.1 200 OK");
    expectAbortError(reasons[0]);
  });

  it("a failure of its own is answered all the same", async () => {
    const { ask, reports } = await serve(async ({ signal }) => {
      if (!signal.aborted) await once(signal, "abort");
      throw new Error("of its own");
    });
    expect(await ask(get())).toContain("HTTP/1.1 500 ");
    expect(reports).toHaveLength(1);
  });

  it("nothing is produced for it that takes time, and the producer is let go of", async () => {
    let released = 0;
    let started = false;
    const { ask, server, reports } = await serve(async () => {
      await new Promise((resolve) => setTimeout(resolve, 50)); // the FIN comes first
      const iterator = {
        next: () => {
          started = true;
          return silence;
        },
        return: () => {
          released += 1;
          return Promise.resolve({ done: true as const, value: undefined });
        },
        [Symbol.asyncIterator]() {
          return this;
        },
      };
      return page().setBody(mist.chunked(iterator));
    });
    expect(await ask(get())).toBe("");
    await expect.poll(() => server.info().connections).toBe(0);
    expect({ released, started, reports }).toEqual({ released: 1, started: false, reports: [] });
  });
});

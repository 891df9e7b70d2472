// `mist.test` and `server.fetch`: what a test of a handler needs, over HTTP/1.1 and HTTP/2.

import { Buffer } from "node:buffer";
import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout as after } from "node:timers/promises";
import { Hono } from "hono";
import { describe, expect, it, onTestFinished } from "vitest";
import { fromFetch } from "../../src/fetch/index.ts";
import * as mist from "../../src/index.ts";
import type { ErrorReport, Handler } from "../../src/server/exchange/service.ts";
import { virtualClock } from "../../src/testing/index.ts";
import { certificate } from "../conformance/certificate.ts";

interface Tested {
  readonly server: mist.Server;
  readonly reports: ErrorReport[];
}

async function tested(
  handler: Handler,
  configure: (builder: mist.Builder) => mist.Builder = (builder) => builder,
): Promise<Tested> {
  const reports: ErrorReport[] = [];
  const server = await mist.test(configure(mist.new(handler).onError((report) => reports.push(report))));
  onTestFinished(() => server[Symbol.asyncDispose]());
  return { server, reports };
}

function deferred<Value = void>(): { promise: Promise<Value>; resolve(value: Value): void } {
  let resolve!: (value: Value) => void;
  const promise = new Promise<Value>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

/** A body that is produced piece by piece. */
function streamed(pieces: mist.Chunks): mist.ServerResponse {
  return mist.response(200).setBody(mist.chunked(pieces));
}

/** Endless, piece by piece. */
async function* endless(piece: Uint8Array): AsyncGenerator<Uint8Array> {
  for (;;) yield piece;
}

const echo: Handler = async (request) =>
  mist.response(200).setBody(mist.bytes(await mist.readBody(request, { maxBodyLimit: 1 << 26 })));

describe.each([1, 2] as const)("HTTP/%i", (httpVersion) => {
  it("asks and is answered", async () => {
    const { server } = await tested((request) =>
      mist.json({
        method: request.method,
        path: request.path,
        query: request.query,
        host: request.getHeader("host"),
        own: request.getHeader("x-own"),
      }),
    );
    const response = await server.fetch("/a/b?c=d&e=%20", { httpVersion, headers: { "x-own": "ü" } });
    expect(response.status).toBe(200);
    expect(response.ok).toBe(true);
    expect(response.url).toBe("http://localhost/a/b?c=d&e=%20");
    expect(response.headers.get("content-type")).toMatch(/^application\/json/);
    expect(await response.json()).toMatchObject({ method: "GET", path: "/a/b", own: "ü" });
    expect(server.info()).toMatchObject({ memory: true, accepted: 1 });
  });

  it.each<[string, NonNullable<RequestInit["body"]>, string]>([
    ["text", "grüße", "text/plain;charset=UTF-8"],
    ["bytes", Buffer.from("bytes"), ""],
    ["a search", new URLSearchParams({ a: "b" }), "application/x-www-form-urlencoded;charset=UTF-8"],
    ["a Blob", new Blob(["blob"], { type: "text/x-blob" }), "text/x-blob"],
  ])("sends %s with its length and type", async (_what, body, type) => {
    const { server } = await tested(async (request) =>
      mist.json({
        type: request.getHeader("content-type") ?? "",
        length: request.getHeader("content-length"),
        text: String(await mist.readBody(request, { maxBodyLimit: 100 })),
      }),
    );
    const response = await server.fetch("/", { httpVersion, method: "POST", body });
    const text = await new Response(body).text();
    expect(await response.json()).toEqual({ type, length: String(Buffer.byteLength(text)), text });
  });

  it("takes a Request, forms included", async () => {
    const { server } = await tested(
      fromFetch(async (request) => {
        const form = await request.formData();
        return new Response(`${request.method} ${new URL(request.url).pathname} ${form.get("name")}`);
      }),
    );
    const form = new FormData();
    form.set("name", "Ada");
    const request = new Request("http://example.com/form", { method: "PUT", body: form });
    const response = await server.fetch(request, { httpVersion });
    expect(await response.text()).toBe("PUT /form Ada");
  });

  it("streams an upload while its answer comes back", async () => {
    const { server } = await tested((request) =>
      streamed(
        (async function* () {
          for await (const part of mist.stream(request)) yield `got ${part.length};`;
        })(),
      ),
    );
    const more = deferred();
    async function* upload(): AsyncGenerator<Uint8Array> {
      yield Buffer.from("one");
      await more.promise;
      yield Buffer.from("three");
    }
    const response = await server.fetch("/", { httpVersion, method: "POST", body: upload() as never });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    expect((await reader.read()).value).toBe("got 3;");
    more.resolve();
    expect((await reader.read()).value).toBe("got 5;");
    expect((await reader.read()).done).toBe(true);
  });

  it("carries megabytes through small buffers, both ways", async () => {
    const { server } = await tested(echo);
    const body = Buffer.from(Array.from({ length: 3_000_000 }, (_, index) => index % 251));
    const response = await server.fetch("/", {
      httpVersion,
      method: "POST",
      body,
      connection: { highWaterMark: 1000 },
    });
    expect(Buffer.from(await response.arrayBuffer()).equals(body)).toBe(true);
  });

  it("a response larger than every buffer waits for a slow reader", async () => {
    let made = 0;
    const piece = Buffer.alloc(16_384, "x");
    const { server } = await tested(() =>
      streamed(
        (async function* () {
          for (; made < 400; made += 1) yield piece;
        })(),
      ),
    );
    const response = await server.fetch("/", { httpVersion });
    for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(made).toBeLessThan(100);
    const reader = response.body!.getReader();
    let length = 0;
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      length += next.value.length;
      if (length % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(length).toBe(400 * piece.length);
  });

  it.each([
    ["HEAD", 200],
    ["GET", 204],
    ["GET", 304],
  ])("%s with %i has no body", async (method, status) => {
    const { server } = await tested(() => (status === 200 ? mist.text("four") : mist.response(status)));
    const response = await server.fetch("/", { httpVersion, method });
    expect(response.status).toBe(status);
    expect(response.body).toBeNull();
    if (status === 200) expect(response.headers.get("content-length")).toBe("4");
    expect([...(await response.trailers)]).toEqual([]);
  });

  it("ignores interim responses and follows no redirect", async () => {
    const { server } = await tested((request) => {
      mist.sendInformational(request, 103, { link: "</style.css>; rel=preload" });
      return mist.redirect("/elsewhere");
    });
    const response = await server.fetch("/", { httpVersion });
    expect(response.status).toBe(302);
    expect(response.headers.get("location")).toBe("/elsewhere");
    expect(response.headers.get("link")).toBeNull();
    await expect(server.fetch("/", { httpVersion, redirect: "error" })).rejects.toThrow(TypeError);
  });

  it("gives the trailers", async () => {
    const { server } = await tested(() => streamed(["body"]).withTrailers(() => ({ "x-checksum": "abc" })));
    const response = await server.fetch("/", { httpVersion, headers: { te: "trailers" } });
    expect(await response.text()).toBe("body");
    expect((await response.trailers).get("x-checksum")).toBe("abc");
  });

  it("decodes what was compressed, as fetch does", async () => {
    const text = "compress me ".repeat(1000);
    for (const coding of ["gzip", "br", "identity"] as const) {
      const { server } = await tested(mist.compress(() => mist.text(text)));
      const response = await server.fetch("/", { httpVersion, headers: { "accept-encoding": coding } });
      expect(response.headers.get("content-encoding")).toBe(coding === "identity" ? null : coding);
      expect(await response.text()).toBe(text);
    }
  });

  it("keeps several set-cookie fields", async () => {
    const { server } = await tested(() =>
      mist.response(200).appendHeader("set-cookie", "a=1").appendHeader("set-cookie", "b=2"),
    );
    const response = await server.fetch("/", { httpVersion });
    expect(response.headers.getSetCookie()).toEqual(["a=1", "b=2"]);
  });

  it("a handler that fails is a 500, and told to onError", async () => {
    const { server, reports } = await tested(() => {
      throw new Error("mistake");
    });
    const response = await server.fetch("/", { httpVersion });
    expect(response.status).toBe(500);
    expect(reports.map(({ error }) => String(error))).toEqual(["Error: mistake"]);
  });

  it("a body that fails midway breaks the response off", async () => {
    const { server } = await tested(() =>
      streamed(
        (async function* () {
          yield "the beginning";
          await new Promise((resolve) => setImmediate(resolve));
          throw new Error("no more");
        })(),
      ),
    );
    const response = await server.fetch("/", { httpVersion });
    const failure = await response.text().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(TypeError);
    expect((failure as TypeError).cause).toBeInstanceOf(Error);
    await expect(response.trailers).rejects.toBeInstanceOf(TypeError);
  });

  it("an upload that fails rejects with its error", async () => {
    const ended = deferred<unknown>();
    const { server } = await tested(async (request) => {
      try {
        for await (const _ of mist.stream(request));
      } catch (error) {
        ended.resolve(error);
        throw error;
      }
      return mist.text("unreachable");
    });
    const cause = new Error("the disk is gone");
    async function* upload(): AsyncGenerator<Uint8Array> {
      yield Buffer.from("one");
      throw cause;
    }
    const asked = server.fetch("/", { httpVersion, method: "POST", body: upload() as never });
    await expect(asked).rejects.toMatchObject({ name: "TypeError", cause });
    expect(await ended.promise).toBeInstanceOf(Error);
  });

  it("an early answer ends an endless upload", async () => {
    const { server } = await tested(() => mist.text("enough"));
    const cancelled = deferred();
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(Buffer.alloc(10_000)),
      cancel: () => cancelled.resolve(),
    });
    const response = await server.fetch("/", { httpVersion, method: "POST", body });
    expect(await response.text()).toBe("enough");
    await cancelled.promise;
  });

  describe("abort", () => {
    it("before the request: with the reason", async () => {
      const { server } = await tested(() => mist.text("never"));
      const asked = server.fetch("/", { httpVersion, signal: AbortSignal.abort(new Error("mine")) });
      await expect(asked).rejects.toThrow("mine");
      expect(server.info().accepted).toBe(0);
    });

    it("while the handler works: its signal aborts", async () => {
      const [begun, aborted] = [deferred(), deferred()];
      const { server } = await tested(async (request) => {
        request.signal.addEventListener("abort", () => aborted.resolve());
        begun.resolve();
        await aborted.promise;
        return mist.text("too late");
      });
      const abort = new AbortController();
      const asked = server.fetch("/", { httpVersion, signal: abort.signal });
      await begun.promise;
      abort.abort();
      await expect(asked).rejects.toMatchObject({ name: "AbortError" });
      await aborted.promise;
    });

    it("in the middle of an endless response: a timer still fires, and its producer stops", async () => {
      const stopped = deferred();
      const { server } = await tested(() =>
        streamed(
          (async function* () {
            try {
              yield* endless(Buffer.alloc(1000, "e"));
            } finally {
              stopped.resolve();
            }
          })(),
        ),
      );
      const response = await server.fetch("/", { httpVersion, signal: AbortSignal.timeout(50) });
      let length = 0;
      const read = (async () => {
        for await (const piece of response.body!) length += piece.length;
      })();
      await expect(read).rejects.toMatchObject({ name: "TimeoutError" });
      expect(length).toBeGreaterThan(0);
      await stopped.promise;
    });

    it("cancelling the body does the same, though nothing arrives", async () => {
      const [stopped, begun] = [deferred(), deferred()];
      const { server } = await tested((request) => {
        request.signal.addEventListener("abort", () => stopped.resolve());
        return streamed(
          (async function* () {
            yield "first";
            begun.resolve();
            await stopped.promise;
          })(),
        );
      });
      const response = await server.fetch("/", { httpVersion });
      await begun.promise;
      await response.body!.cancel();
      await stopped.promise;
    });
  });

  it("answers a hundred at once, each with its own", async () => {
    const { server } = await tested(async (request) => {
      await after(Math.random() * 5);
      return mist.text(request.path);
    });
    const paths = Array.from({ length: 100 }, (_, index) => `/${index}`);
    const answers = await Promise.all(
      paths.map(async (path) => (await server.fetch(path, { httpVersion })).text()),
    );
    expect(answers).toEqual(paths);
    await server.stop(1000);
    expect(server.info()).toMatchObject({ connections: 0, accepted: 100, rejected: 0 });
  });

  it("finishes what is under way when the server stops, and is refused after that", async () => {
    const [begun, go] = [deferred(), deferred()];
    const { server } = await tested(async () => {
      begun.resolve();
      await go.promise;
      return mist.text("finished");
    });
    const asked = server.fetch("/", { httpVersion });
    await begun.promise;
    const stopped = server.stop(5000);
    go.resolve();
    expect(await (await asked).text()).toBe("finished");
    expect(await stopped).toMatchObject({ killed: 0 });
    await expect(server.fetch("/", { httpVersion })).rejects.toMatchObject({
      name: "TypeError",
      cause: { code: "econnrefused" },
    });
  });

  it("a response that is cut by the stop deadline fails", async () => {
    const { server } = await tested(() =>
      streamed(
        (async function* () {
          yield "first";
          await new Promise(() => {});
        })(),
      ),
    );
    const response = await server.fetch("/", { httpVersion });
    const text = response.text();
    text.catch(() => {});
    await server.stop(0);
    await expect(text).rejects.toBeInstanceOf(TypeError);
  });

  it("await using is done at once, with a response that nobody reads and a handler that never answers", async () => {
    const begun = deferred();
    const began = performance.now();
    {
      await using server = await mist.test((request) => {
        if (request.path === "/never") {
          begun.resolve();
          return new Promise(() => {});
        }
        return streamed(endless(Buffer.alloc(100_000)));
      });
      await server.fetch("/large", { httpVersion });
      server.fetch("/never", { httpVersion }).catch(() => {});
      await begun.promise;
    }
    // The stop deadline is 10 s, a linger 2 s.
    expect(performance.now() - began).toBeLessThan(1500);
  });

  it("tells the handler the client's address", async () => {
    const { server } = await tested((request) => {
      const { ipAddress, port } = mist.getConnectionInfo(request);
      return mist.text(`${mist.ipAddressToString(ipAddress)} ${port}`);
    });
    const connection = { remoteAddress: "192.0.2.7", remotePort: 1234 };
    expect(await (await server.fetch("/", { httpVersion, connection })).text()).toBe("192.0.2.7 1234");
  });

  it("works over TLS, and with a server that listens on a port", async () => {
    const { cert, key } = await certificate();
    const builder = mist
      .new((request) => mist.text(`${request.scheme} ${request.version}`))
      .afterStart(() => {})
      .withTls({ cert, key });
    for (const target of [{ memory: true } as const, 0]) {
      await using server = await builder.start(target);
      const response = await server.fetch("/", { httpVersion });
      expect(await response.text()).toBe(httpVersion === 1 ? "https 1.1" : "https 2");
      expect(response.url).toMatch(/^https:/);
    }
  });

  it("serves files and event streams", async () => {
    const { server } = await tested((request) => {
      if (request.path === "/events") {
        return mist.serverSentEvents({
          request,
          init: () => 0,
          loop: (state) => mist.continue(state),
          ...({} as object),
        });
      }
      return mist.sendFile("/fetch.test.ts", { root: import.meta.dirname, request });
    });
    const file = await server.fetch("/file", { httpVersion, headers: { range: "bytes=3-12" } });
    expect(file.status).toBe(206);
    expect(await file.text()).toBe("`mist.test");
    const events = await server.fetch("/events", { httpVersion });
    expect(events.headers.get("content-type")).toBe("text/event-stream");
    await events.body!.cancel();
  });

  it("works with Hono, streaming included", async () => {
    const app = new Hono();
    app.get("/hello/:name", (c) => c.text(`hello ${c.req.param("name")}`));
    app.post("/echo", (c) => c.body(c.req.raw.body as never));
    const { server } = await tested(fromFetch(app.fetch));
    expect(await (await server.fetch("/hello/Ada", { httpVersion })).text()).toBe("hello Ada");
    const body = new Blob(["a ", "stream"]).stream();
    const echoed = await server.fetch("/echo", { httpVersion, method: "POST", body });
    expect(await echoed.text()).toBe("a stream");
    expect((await server.fetch("/nothing", { httpVersion })).status).toBe(404);
  });
});

describe("what is sent", () => {
  it.each([
    ["//name/path", "//name/path"],
    ["/a b\t<>", "/a%20b%3C%3E"],
    ["/a/../b/./c", "/b/c"],
    ["/ü", "/%C3%BC"],
    ["?only=query", "/"],
    ["", "/"],
  ])("%j is asked for as %j", async (path, seen) => {
    const server = await mist.test((request) => mist.text(request.path));
    onTestFinished(() => server[Symbol.asyncDispose]());
    expect(await (await server.fetch(path)).text()).toBe(seen);
  });

  it("an absolute URL names the host that the server is told, and no other is asked", async () => {
    const { server } = await tested((request) => mist.text(request.getHeader("host") ?? "none"));
    expect(await (await server.fetch("http://example.com:81/x")).text()).toBe("example.com:81");
    expect(await (await server.fetch("/", { headers: { host: "other.example" } })).text()).toBe(
      "other.example",
    );
    await expect(server.fetch("ftp://example.com/")).rejects.toThrow("a URL must begin with http: or https:");
    await expect(server.fetch("http://[")).rejects.toThrow(TypeError);
  });

  it("the server refuses what it would refuse from anyone", async () => {
    const { server } = await tested(() => mist.text("fine"));
    expect((await server.fetch("/%zz%")).status).toBe(400);
    expect((await server.fetch(`/${"x".repeat(10_000)}`)).status).toBe(414);
    expect((await server.fetch("/", { headers: { "x-large": "y".repeat(20_000) } })).status).toBe(431);
  });

  it.each<[string, mist.FetchInit, string | RegExp]>([
    ["a body with GET", { body: "x" }, /GET/],
    ["TRACE", { method: "TRACE" }, /TRACE/],
    ["a malformed field", { headers: { "x y": "z" } }, /x y/],
    ["another version", { httpVersion: 3 as never }, "httpVersion must be 1 or 2, got 3"],
    ["a wrong address", { connection: { remoteAddress: "here" } }, /fetch failed|remoteAddress/],
  ])("refuses %s", async (_what, init, message) => {
    const { server } = await tested(() => mist.text("never"));
    await expect(server.fetch("/", init)).rejects.toThrow(message);
  });

  it("a body that is no bytes is the caller's mistake", async () => {
    const { server } = await tested(echo);
    async function* body(): AsyncGenerator<unknown> {
      yield 17;
    }
    const asked = server.fetch("/", { method: "POST", body: body() as never });
    await expect(asked).rejects.toMatchObject({ name: "TypeError" });
  });
});

it.each([1, 2] as const)("HTTP/%i: nothing is left of a request that is over", async (httpVersion) => {
  const { server } = await tested(() => mist.text("done"));
  const connect = server.connect.bind(server);
  const clients: { readonly destroyed: boolean }[] = [];
  server.connect = async (options) => {
    const client = await connect(options);
    clients.push(client);
    return client;
  };
  await (await server.fetch("/", { httpVersion })).text();
  await server.fetch("/", { httpVersion }); // its body is not read
  while (server.info().connections > 0 || clients.some((client) => !client.destroyed)) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(clients).toHaveLength(2);
});

it("needs no network at all", async () => {
  // Nothing may listen here.
  const { server } = await tested(() => mist.text("in memory"));
  expect(server.url).toBe("http://localhost");
  expect(server.address).toEqual({
    scheme: "http",
    port: undefined,
    host: "localhost",
    url: "http://localhost",
  });
  expect(() => server.port).toThrow("a server on memory has no port");
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  probe.close();
  expect(await (await server.fetch("/")).text()).toBe("in memory");
});

it("mist.test takes a handler or a builder, and refuses anything else", async () => {
  await using server = await mist.test(mist.new(() => mist.text("built")).withLimits({ maxTarget: 10 }));
  expect(await (await server.fetch("/")).text()).toBe("built");
  expect((await server.fetch("/0123456789")).status).toBe(414);
  await expect(mist.test(undefined as never)).rejects.toThrow("handler must be a function");
});

it("goes by a virtual clock: what would take minutes takes none", async () => {
  using clock = virtualClock();
  await using server = await mist.test(async () => {
    await new Promise<void>((resolve) => clock.setTimer(resolve, 60_000));
    return mist.text("a minute later");
  });
  const asked = server.fetch("/");
  await clock.advance(60_000);
  expect(await (await asked).text()).toBe("a minute later");
});

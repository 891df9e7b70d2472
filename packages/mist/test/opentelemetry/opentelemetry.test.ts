// Spans and metrics by the semantic conventions, and the context in everything that comes of a request.

import { AsyncLocalStorage } from "node:async_hooks";
import { SpanKind, SpanStatusCode } from "@opentelemetry/api";
import type { DataPoint, Histogram } from "@opentelemetry/sdk-metrics";
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base";
import { describe, expect, test } from "vitest";
import { fromFetch } from "../../src/fetch/index.ts";
import * as mist from "../../src/index.ts";
import { setRoute, telemetry } from "../../src/opentelemetry/opentelemetry.ts";
import { serve } from "../server/serve.ts";
import { activeTraceId, type Sdk, sdk } from "./sdk.ts";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const spanId = "b7ad6b7169203331";
const traceparent = `00-${traceId}-${spanId}-01`;

async function onlySpan({ spans }: Sdk): Promise<ReadableSpan> {
  await expect.poll(() => spans().length).toBe(1);
  return spans()[0]!;
}

describe("the span of a request", () => {
  test("has the attributes of the conventions, and the caller as its parent", async () => {
    const it = sdk();
    const { ask, port } = await serve(telemetry(() => mist.text("hello"), it.options));
    await ask(
      `GET /books?page=2&sig=secret&x=1 HTTP/1.1\r\nhost: example.org:8443\r\nuser-agent: test/1\r\ntraceparent: ${traceparent}\r\n\r\n`,
    );
    const span = await onlySpan(it);
    expect(span.kind).toBe(SpanKind.SERVER);
    expect(span.name).toBe("GET");
    expect(span.spanContext().traceId).toBe(traceId);
    expect(span.parentSpanContext?.spanId).toBe(spanId);
    expect(span.status.code).toBe(SpanStatusCode.UNSET);
    const { "client.port": clientPort, ...attributes } = span.attributes;
    expect(clientPort).not.toBe(port);
    expect(attributes).toEqual({
      "http.request.method": "GET",
      "url.scheme": "http",
      "url.path": "/books",
      "url.query": "page=2&sig=REDACTED&x=1",
      "server.address": "example.org",
      "server.port": 8443,
      "client.address": "127.0.0.1",
      "network.protocol.version": "1.1",
      "user_agent.original": "test/1",
      "http.response.status_code": 200,
    });
  });

  test("says _OTHER for a method that is none of the known ones", async () => {
    const it = sdk();
    const { ask } = await serve(telemetry(() => mist.response(204), it.options));
    await ask("BREW / HTTP/1.1\r\nhost: [::1]\r\n\r\n");
    const { name, attributes } = await onlySpan(it);
    expect(name).toBe("HTTP");
    expect(attributes).toMatchObject({
      "http.request.method": "_OTHER",
      "http.request.method_original": "BREW",
      "server.address": "::1",
      "server.port": 80,
    });
  });

  test("is named for the route that the application has set", async () => {
    const it = sdk();
    const handler: mist.Handler = (request) => {
      setRoute(request.setPath("/7"), "/books/:id");
      return mist.text("x");
    };
    await using server = await mist.test(telemetry(handler, it.options));
    await (await server.fetch("/books/7")).text();
    const { name, attributes } = await onlySpan(it);
    expect(name).toBe("GET /books/:id");
    expect(attributes["http.route"]).toBe("/books/:id");
    const [point] = await it.points("http.server.request.duration");
    expect(point?.attributes["http.route"]).toBe("/books/:id");
  });

  test.each<[string, mist.Handler, number, string | undefined]>([
    [
      "a handler that throws",
      () => {
        throw new TypeError("no");
      },
      500,
      "TypeError",
    ],
    [
      "a handler that rejects",
      async () => {
        throw new RangeError("no");
      },
      500,
      "RangeError",
    ],
    [
      "an HttpError from 500",
      () => {
        throw new mist.HttpError(503);
      },
      503,
      "HttpError",
    ],
    ["a 5xx that is returned", () => mist.response(502), 502, "502"],
    [
      "a 4xx that is thrown",
      () => {
        throw new mist.HttpError(404);
      },
      404,
      undefined,
    ],
    ["a 4xx that is returned", () => mist.response(409), 409, undefined],
  ])("and its errors: %s", async (_name, handler, status, errorType) => {
    const it = sdk();
    await using server = await mist.test(mist.new(telemetry(handler, it.options)).onError(() => {}));
    expect((await server.fetch("/")).status).toBe(status);
    const span = await onlySpan(it);
    const isError = status >= 500;
    expect(span.status.code).toBe(isError ? SpanStatusCode.ERROR : SpanStatusCode.UNSET);
    expect(span.attributes).toMatchObject({ "http.response.status_code": status });
    expect(span.attributes["error.type"]).toBe(errorType);
    const thrown = isError && errorType !== `${status}`;
    expect(span.events.map((event) => event.name)).toEqual(thrown ? ["exception"] : []);
  });

  test("lasts as long as the response, and has the error of a body that fails", async () => {
    const it = sdk();
    async function* pieces() {
      yield "a";
      throw new RangeError("no more");
    }
    const handler = () => mist.response(200).setBody(mist.chunked(pieces()));
    await using server = await mist.test(mist.new(telemetry(handler, it.options)).onError(() => {}));
    await expect((await server.fetch("/")).text()).rejects.toThrow();
    const span = await onlySpan(it);
    expect(span.attributes).toMatchObject({ "http.response.status_code": 200, "error.type": "RangeError" });
    expect(span.status.code).toBe(SpanStatusCode.ERROR);
  });

  test("ends without an error when the client leaves", async () => {
    const it = sdk();
    let begun = (): void => {};
    let heardIn: string | undefined;
    const running = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const handler: mist.Handler = ({ signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => {
          heardIn = activeTraceId();
          reject(signal.reason);
        });
        begun();
      });
    await using server = await mist.test(telemetry(handler, it.options));
    const leave = new AbortController();
    const asked = server.fetch("/", { signal: leave.signal });
    await running;
    expect(it.spans()).toEqual([]);
    expect(await it.points("http.server.active_requests")).toMatchObject([{ value: 1 }]);
    leave.abort();
    await expect(asked).rejects.toThrow();
    const span = await onlySpan(it);
    expect(span.attributes["error.type"]).toBe("client_gone");
    expect(heardIn).toBe(span.spanContext().traceId);
    expect(span.status.code).toBe(SpanStatusCode.UNSET);
    expect(await it.points("http.server.active_requests")).toMatchObject([{ value: 0 }]);
  });

  test("has the client that a trusted proxy tells, and no port that it does not tell", async () => {
    const it = sdk();
    const { ask } = await serve(
      telemetry(() => mist.response(204), it.options),
      (builder) => builder.withForwarded({ trustedPeers: ["127.0.0.1"], headers: "x-forwarded" }),
    );
    await ask(
      "GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 203.0.113.7\r\nx-forwarded-proto: https\r\n\r\n",
    );
    const { attributes } = await onlySpan(it);
    expect(attributes).toMatchObject({
      "client.address": "203.0.113.7",
      "url.scheme": "https",
      "server.port": 443,
    });
    expect(attributes).not.toHaveProperty("client.port");
  });

  test("is there over HTTP/2, and for a fetch app", async () => {
    const it = sdk();
    const app = fromFetch((_request, { mist: request }) => {
      setRoute(request, "/all");
      return new Response(activeTraceId());
    });
    await using server = await mist.test(telemetry(app, it.options));
    const response = await server.fetch("/", { httpVersion: 2, headers: { traceparent } });
    expect(await response.text()).toBe(traceId);
    const { name, attributes } = await onlySpan(it);
    expect(name).toBe("GET /all");
    expect(attributes["network.protocol.version"]).toBe("2");
  });
});

test("metrics: durations in the advised buckets, sizes, and how many requests are active", async () => {
  const it = sdk();
  const handler: mist.Handler = async (request) => {
    await mist.readBody(request, { maxBodyLimit: 1000 });
    return mist.text("four");
  };
  await using server = await mist.test(telemetry(handler, it.options));
  for (const body of ["a", "abc"]) await (await server.fetch("/", { method: "POST", body })).text();
  const labels = {
    "http.request.method": "POST",
    "url.scheme": "http",
    "network.protocol.version": "1.1",
    "http.response.status_code": 200,
  };
  const [duration] = (await it.points("http.server.request.duration")) as DataPoint<Histogram>[];
  expect(duration?.attributes).toEqual(labels);
  const { count, buckets, sum = -1 } = duration!.value;
  expect(count).toBe(2);
  expect(buckets.boundaries).toEqual([
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
  ]);
  expect(sum).toBeGreaterThan(0);
  expect(await it.points("http.server.request.body.size")).toMatchObject([
    { attributes: labels, value: { count: 2, sum: 4 } },
  ]);
  expect(await it.points("http.server.response.body.size")).toMatchObject([
    { attributes: labels, value: { count: 2, sum: 8 } },
  ]);
  expect(await it.points("http.server.active_requests")).toMatchObject([
    { attributes: { "http.request.method": "POST", "url.scheme": "http" }, value: 0 },
  ]);
});

describe("the context of a request is active in", () => {
  /** What `seen` was called with until it had been `count` times. */
  async function traces(
    handler: (seen: () => void) => mist.Handler,
    use: (server: mist.Server) => Promise<unknown>,
    count: number,
  ) {
    const seen: (string | undefined)[] = [];
    await using server = await mist.test(
      mist
        .new(
          telemetry(
            handler(() => void seen.push(activeTraceId())),
            sdk().options,
          ),
        )
        .onError(() => {
          seen.push(activeTraceId());
        }),
    );
    await use(server);
    await expect.poll(() => seen.length).toBe(count);
    return seen;
  }
  const get = async (server: mist.Server) =>
    await (await server.fetch("/", { headers: { traceparent } })).text().catch(() => "");

  test("the handler, behind what it awaits", async () => {
    const handler = (seen: () => void) => async () => {
      seen();
      await new Promise(setImmediate);
      seen();
      return mist.text("x");
    };
    expect(await traces(handler, get, 2)).toEqual([traceId, traceId]);
  });

  test("onError", async () => {
    const handler = () => () => {
      throw new Error("no");
    };
    expect(await traces(handler, get, 1)).toEqual([traceId]);
  });

  test("a body that is produced later", async () => {
    const handler = (seen: () => void) => () => {
      async function* pieces() {
        try {
          for (let i = 0; i < 3; i++) {
            seen();
            yield "x".repeat(300_000); // more than a turn's worth, and than the client takes at once
          }
        } finally {
          seen();
        }
      }
      return mist.response(200).setBody(mist.chunked(pieces()));
    };
    expect(await traces(handler, get, 4)).toEqual([traceId, traceId, traceId, traceId]);
  });

  test("the loop of an event stream, whoever sends to it", async () => {
    let subject: { send(message: string): unknown } | undefined;
    const handler = (seen: () => void) => (request: mist.Request) =>
      mist.serverSentEvents<null, string>({
        request,
        init(stream) {
          seen();
          subject = stream.subject;
          return null;
        },
        loop(_state, message, stream) {
          seen();
          if (message === "stop") return mist.stop();
          stream.sendEvent(mist.event(message));
          return undefined;
        },
        onClose: seen,
      });
    const use = async (server: mist.Server) => {
      const response = await server.fetch("/", { headers: { traceparent } });
      subject?.send("one");
      subject?.send("stop");
      expect(await response.text()).toContain("data: one");
    };
    expect(await traces(handler, use, 4)).toEqual([traceId, traceId, traceId, traceId]);
  });

  test("a WebSocket", async () => {
    const handler = (seen: () => void) => (request: mist.Request) =>
      mist.websocket({
        request,
        onInit: seen,
        handler(_state, message, websocket) {
          seen();
          if (message.type === "text") websocket.sendText(activeTraceId() ?? "none");
          return undefined;
        },
        onClose: seen,
      });
    const use = async (server: mist.Server) => {
      await using socket = await server.websocket("/", { headers: { traceparent } });
      await socket.send("x");
      expect(await socket.receive()).toBe(traceId);
      socket.close();
      await socket.closed;
    };
    expect(await traces(handler, use, 4)).toEqual([traceId, traceId, traceId, traceId]);
  });

  test("no other request of the same connection", async () => {
    const it = sdk();
    async function* pieces() {
      yield "a";
      yield "b";
    }
    const store = new AsyncLocalStorage<string>();
    const stores: (string | undefined)[] = [];
    const inner: mist.Handler = telemetry((request) => {
      stores.push(store.getStore());
      return request.path === "/1" ? mist.response(200).setBody(mist.chunked(pieces())) : mist.text("x");
    }, it.options);
    const { ask } = await serve((request) =>
      request.path === "/1" ? store.run("first", inner, request) : inner(request),
    );
    await ask(
      `GET /1 HTTP/1.1\r\nhost: a\r\ntraceparent: ${traceparent}\r\n\r\nGET /2 HTTP/1.1\r\nhost: a\r\n\r\n`,
    );
    await expect.poll(() => it.spans().length).toBe(2);
    const [first, second] = it.spans();
    expect(first?.spanContext().traceId).toBe(traceId);
    expect(second?.parentSpanContext).toBeUndefined();
    expect(second?.spanContext().traceId).not.toBe(traceId);
    expect(stores).toEqual(["first", undefined]);
  });
});

test("without an SDK the handler answers all the same", async () => {
  await using server = await mist.test(telemetry(() => mist.text("x")));
  expect(await (await server.fetch("/")).text()).toBe("x");
});

test("refuses what is no handler, an unknown option, and a route that is none", async () => {
  expect(() => telemetry(3 as never)).toThrow("the handler given to telemetry must be a function, got 3");
  expect(() => telemetry(() => mist.text("x"), { tracer: 1 } as never)).toThrow(mist.UsageError);
  expect(() => setRoute({} as never, "/")).toThrow(mist.UsageError);
  let failure: unknown;
  await using server = await mist.test((request) => {
    setRoute(request, "/ignored");
    try {
      setRoute(request, "");
    } catch (error) {
      failure = error;
    }
    return mist.response(204);
  });
  expect((await server.fetch("/")).status).toBe(204);
  expect(failure).toMatchObject({ message: 'a route must be text that is not empty, got ""' });
});

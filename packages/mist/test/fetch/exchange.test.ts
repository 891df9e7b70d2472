// Fetch handlers over real sockets: what leaves of a Response, and what happens when somebody stops half-way.

import { gzipSync } from "node:zlib";
import * as undici from "undici";
import { describe, expect, test } from "vitest";
import * as mist from "../../src/index.ts";
import { expectAbortError } from "../server/abort-error.ts";
import { readAnswer, statuses } from "../server/serve.ts";
import { deferred, serveFetch } from "./serve-fetch.ts";

const oneTurn = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));
const get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const bytes = (text: string) => new TextEncoder().encode(text);

/** A stream that gives what `next` says, and what became of it. */
function source(next: (round: number) => Uint8Array | undefined | Promise<Uint8Array | undefined>) {
  const cancelled = deferred<unknown>();
  let pulls = 0;
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const piece = await next(pulls++);
        if (piece === undefined) controller.close();
        else controller.enqueue(piece);
      },
      cancel: (reason) => cancelled.resolve(reason),
    },
    { highWaterMark: 0 },
  );
  return { stream, cancelled: cancelled.promise, pulls: () => pulls };
}

describe("what leaves", () => {
  test.each<[string, () => Response, number, Record<string, string | undefined>, string]>([
    [
      "text",
      () => new Response("ä"),
      200,
      { "content-type": "text/plain;charset=UTF-8", "content-length": "2" },
      "ä",
    ],
    ["nothing", () => new Response(), 200, { "content-length": "0", "content-type": undefined }, ""],
    [
      "json",
      () => Response.json([1], { status: 201 }),
      201,
      { "content-type": "application/json", "content-length": "3" },
      "[1]",
    ],
    [
      "bytes",
      () => new Response(bytes("ab")),
      200,
      { "content-length": "2", "content-type": undefined },
      "ab",
    ],
    [
      "a form",
      () => new Response(new URLSearchParams("a=b")),
      200,
      { "content-type": "application/x-www-form-urlencoded;charset=UTF-8" },
      "a=b",
    ],
    [
      "a blob",
      () => new Response(new Blob(["ab"], { type: "a/b" })),
      200,
      { "content-type": "a/b", "content-length": "2" },
      "ab",
    ],
    [
      "a redirect",
      () => Response.redirect("http://a/", 307),
      307,
      { location: "http://a/", "content-length": "0" },
      "",
    ],
    ["204", () => new Response(null, { status: 204 }), 204, { "content-length": undefined }, ""],
    ["205", () => new Response(null, { status: 205 }), 205, { "content-length": "0" }, ""],
    ["304", () => new Response(null, { status: 304, headers: { etag: '"a"' } }), 304, { etag: '"a"' }, ""],
    [
      "a stream",
      () => new Response(source((round) => oneTurn().then(() => ["a", "b"].map(bytes)[round])).stream),
      200,
      { "transfer-encoding": "chunked", "content-length": undefined },
      "ab",
    ],
    [
      "a stream of known length",
      () => new Response(new Blob(["ab"]).stream(), { headers: { "content-length": "2" } }),
      200,
      { "content-length": "2", "transfer-encoding": undefined },
      "ab",
    ],
    [
      "changed headers",
      () => {
        const r = new Response("a");
        r.headers.set("x-a", "1");
        r.headers.delete("content-type");
        return r;
      },
      200,
      { "x-a": "1", "content-type": undefined },
      "a",
    ],
    [
      "a wrapped response",
      () => new Response(new Response("a").body, new Response(null, { status: 202 })),
      202,
      { "transfer-encoding": undefined, "content-length": "1" },
      "a",
    ],
    ["a clone", () => new Response("a", { status: 202 }).clone(), 202, { "content-length": "1" }, "a"],
    [
      "undici's Response",
      () => new undici.Response("a", { status: 203 }) as unknown as Response,
      203,
      {},
      "a",
    ],
    [
      "a generator",
      () =>
        new Response(
          (async function* () {
            yield bytes("a");
            yield bytes("b");
          })() as never,
        ),
      200,
      {},
      "ab",
    ],
  ])("%s", async (_name, make, status, headers, content) => {
    const { url } = await serveFetch(make);
    const answer = await fetch(url, { redirect: "manual" });
    expect(answer.status).toBe(status);
    for (const [name, value] of Object.entries(headers))
      expect(answer.headers.get(name) ?? undefined).toBe(value);
    expect(await answer.text()).toBe(content);
  });

  test("a field line for each cookie", async () => {
    const { url } = await serveFetch(() => {
      const response = new Response("a", {
        headers: [
          ["set-cookie", "a=1; Expires=Fri, 01 Jan 2100 00:00:00 GMT"],
          ["set-cookie", "b=2"],
        ],
      });
      response.headers.append("set-cookie", "c=3");
      return response;
    });
    expect((await fetch(url)).headers.getSetCookie()).toEqual([
      "a=1; Expires=Fri, 01 Jan 2100 00:00:00 GMT",
      "b=2",
      "c=3",
    ]);
  });

  test("the same Response, answered again and again", async () => {
    const kept = new Response("kept");
    const { url } = await serveFetch(() => kept);
    for (let i = 0; i < 3; i++) expect(await (await fetch(url)).text()).toBe("kept");
  });

  test("an HTTP/1.0 client gets a stream until the end of the connection", async () => {
    const { stream } = source((round) => oneTurn().then(() => ["a", "b"].map(bytes)[round]));
    const { connect } = await serveFetch(() => new Response(stream));
    const socket = await connect();
    await socket.send("GET / HTTP/1.0\r\n\r\n");
    const answer = String(await socket.receiveToEnd({ timeout: 5000 }));
    await socket.close();
    expect(answer).toMatch(/\r\n\r\nab$/);
    expect(answer.toLowerCase()).not.toContain("transfer-encoding");
  });
});

describe("HEAD", () => {
  test.each<[string, () => Response, string | undefined]>([
    ["of text", () => new Response("abc"), "3"],
    ["of nothing in particular", () => new Response(null), undefined],
    ["with a length of its own", () => new Response(null, { headers: { "content-length": "7" } }), "7"],
    ["of a blob", () => new Response(new Blob(["ab"])), "2"],
  ])("%s", async (_name, make, length) => {
    const { connect } = await serveFetch(make);
    const socket = await connect();
    await socket.send("HEAD / HTTP/1.1\r\nhost: a\r\n\r\nHEAD / HTTP/1.1\r\nhost: a\r\n\r\n");
    for (let i = 0; i < 2; i++) {
      const answer = await readAnswer(socket, "HEAD");
      expect(answer.status).toBe(200);
      expect(answer.headers.get("content-length")).toBe(length);
    }
    await socket.close();
  });

  test.each<[string, Record<string, string>, number]>([
    ["unread if its length is known", { "content-length": "7" }, 0],
    ["before it is read to its end", {}, 1000],
  ])("cancels a stream %s", async (_name, headers, most) => {
    const { stream, cancelled, pulls } = source(() => bytes("a"));
    const { url } = await serveFetch(() => new Response(stream, { headers }));
    expect((await fetch(url, { method: "HEAD" })).status).toBe(200);
    await cancelled;
    expect(pulls()).toBeLessThanOrEqual(most);
  });
});

describe("streams", () => {
  test("the head does not wait for the first piece", async () => {
    const first = deferred<Uint8Array>();
    const { stream } = source((round) => (round === 0 ? first.promise : undefined));
    const { url } = await serveFetch(async () => new Response(stream, { headers: { "x-a": "1" } }));
    const answer = await fetch(url);
    expect(answer.headers.get("x-a")).toBe("1");
    first.resolve(bytes("late"));
    expect(await answer.text()).toBe("late");
  });

  test("are pulled no faster than the client reads, and cancelled when it leaves", async () => {
    const piece = new Uint8Array(64 * 1024);
    const stalled = deferred();
    let idle: NodeJS.Immediate | undefined;
    const { stream, cancelled, pulls } = source(() => {
      clearImmediate(idle);
      idle = setImmediate(() => setImmediate(() => setImmediate(stalled.resolve)));
      return piece;
    });
    const aborted = deferred<unknown>();
    const { connect } = await serveFetch((request) => {
      request.signal.addEventListener("abort", () => aborted.resolve(request.signal.reason));
      return new Response(stream);
    });
    const socket = await connect();
    await socket.send(get);
    await socket.receiveUntil("\r\n\r\n", { timeout: 5000 });
    await stalled.promise;
    expect(pulls()).toBeLessThan(1000); // what the kernel and one buffer take, and not the 64 MB that would be
    await socket.reset();
    await cancelled;
    expectAbortError(await aborted.promise);
  });

  test("are cancelled unread if the client has left before them", async () => {
    const { stream, cancelled, pulls } = source(() => bytes("a"));
    const called = deferred();
    const { connect } = await serveFetch(async (request) => {
      const gone = new Promise((resolve) => request.signal.addEventListener("abort", resolve));
      called.resolve();
      await gone;
      return new Response(stream);
    });
    const socket = await connect();
    await socket.send(get);
    await called.promise;
    await socket.reset();
    await cancelled;
    expect(pulls()).toBe(0);
  });

  test.each<[string, boolean]>([
    ["chunked", false],
    ["with a length", true],
  ])("that fail midway break the message off (%s), and are reported", async (_name, known) => {
    const failure = new Error("midway");
    const { stream } = source((round) => {
      if (round === 0) return bytes("part");
      return oneTurn().then(() => Promise.reject(failure));
    });
    const { url, reports } = await serveFetch(
      () => new Response(stream, known ? { headers: { "content-length": "100" } } : {}),
    );
    const answer = await fetch(url);
    await expect(answer.text()).rejects.toThrow();
    expect(reports.map(({ error, during }) => [error, during])).toEqual([[failure, "body"]]);
  });

  test.each<[string, string]>([
    ["too long", "abc"],
    ["too short", "a"],
  ])("that are %s for their length break the message off", async (_name, content) => {
    const { stream } = source((round) => oneTurn().then(() => [bytes(content)][round]));
    const { url, reports } = await serveFetch(
      () => new Response(stream, { headers: { "content-length": "2" } }),
    );
    await expect(fetch(url).then((answer) => answer.text())).rejects.toThrow();
    expect(reports).toHaveLength(1);
  });

  test.each<[string, unknown, string]>([
    ["a number", 5, "5"],
    ["an object", { a: 1 }, "an object"],
    ["an ArrayBuffer", new ArrayBuffer(1), "an object of class ArrayBuffer"],
    ["nothing", undefined, "undefined"],
  ])("of %s fail, and are cancelled", async (_name, piece, shown) => {
    const message = `the stream of a Response must hold Uint8Arrays or strings, got ${shown}`;
    for (const turns of [0, 1]) {
      const { stream, cancelled } = source((round) => {
        if (round === 0) return bytes("part");
        return turns === 0 ? (piece as never) : oneTurn().then(() => piece as never);
      });
      // `source` ends at undefined.
      const own =
        piece === undefined
          ? stream.pipeThrough(new TransformStream({ flush: (c) => c.enqueue(undefined) }))
          : stream;
      const { url, reports } = await serveFetch(() => new Response(own));
      const answer = await fetch(url)
        .then((whole) => whole.text())
        .catch(() => "broken off");
      expect(answer).toBe(turns === 0 ? "500 Internal Server Error\n" : "broken off");
      expect(reports.map(({ error }) => error)).toEqual([new TypeError(message)]);
      if (own === stream) await cancelled;
    }
  });

  test("that fail in their first turn are answered 500", async () => {
    const failure = new Error("at once");
    const { stream } = source((round) => {
      if (round === 1) throw failure;
      return bytes("part");
    });
    const { url, reports } = await serveFetch(() => new Response(stream));
    const answer = await fetch(url);
    expect([answer.status, await answer.text()]).toEqual([500, "500 Internal Server Error\n"]);
    expect(reports.map(({ error }) => error)).toEqual([failure]);
  });

  test("an echo streams both ways at once", async () => {
    const { connect } = await serveFetch((request) => new Response(request.body));
    const socket = await connect();
    await socket.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    await socket.receiveUntil("\r\n\r\n", { timeout: 5000 });
    for (const word of ["one", "two"]) {
      await socket.send(`3\r\n${word}\r\n`);
      expect(String(await socket.receiveUntil(`${word}\r\n`, { timeout: 5000 }))).toContain("3\r\n");
    }
    await socket.send("0\r\n\r\n");
    await socket.receiveUntil("0\r\n\r\n", { timeout: 5000 });
    await socket.close();
  });

  test("an upload is read no faster than the handler reads", async () => {
    const go = deferred();
    const { connect, url } = await serveFetch(async (request) => {
      if (request.method === "GET") return new Response();
      await go.promise;
      return new Response(String((await request.arrayBuffer()).byteLength));
    });
    const socket = await connect();
    const size = 12 * 1024 * 1024;
    await socket.send(`POST / HTTP/1.1\r\nhost: a\r\ncontent-length: ${size}\r\n\r\n`);
    let sent = false;
    const sending = socket.send(new Uint8Array(size)).then(() => {
      sent = true;
    });
    for (let i = 0; i < 50; i++) await (await fetch(`${url}/other`)).text();
    expect(sent).toBe(false);
    go.resolve();
    await sending;
    expect((await readAnswer(socket)).body).toBe(String(size));
  });
});

describe("signal", () => {
  test("aborts when the client leaves before the answer", async () => {
    const called = deferred<AbortSignal>();
    const { connect } = await serveFetch((request) => {
      called.resolve(request.signal);
      return new Promise(() => {});
    });
    const socket = await connect();
    await socket.send(get);
    const signal = await called.promise;
    expect(signal.aborted).toBe(false);
    const aborted = new Promise((resolve) => signal.addEventListener("abort", resolve));
    await socket.reset();
    await aborted;
  });

  test("does not abort behind a complete answer", async () => {
    const signals: AbortSignal[] = [];
    const { connect, server } = await serveFetch((request) => {
      signals.push(request.signal, request.clone().signal);
      return new Response("a");
    });
    const socket = await connect();
    await socket.send(get);
    await readAnswer(socket);
    await socket.reset();
    await server.stop({ deadlineMs: 1000 });
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, false]);
  });

  test("is one object", async () => {
    const { url } = await serveFetch((request) => {
      const { signal } = request;
      void request.cache;
      return Response.json(signal === request.signal);
    });
    expect(await (await fetch(url)).json()).toBe(true);
  });
});

describe("failures", () => {
  test.each<[string, () => Response | Promise<Response>]>([
    [
      "throws",
      () => {
        throw new Error("no");
      },
    ],
    [
      "rejects",
      async () => {
        throw new Error("no");
      },
    ],
    ["returns nothing", () => undefined as never],
    ["resolves with nothing", async () => undefined as never],
    ["returns text", () => "text" as never],
    ["returns an object", () => ({ status: 200 }) as never],
    ["returns a network error", () => Response.error()],
    [
      "returns a Response that is being read",
      () => {
        const r = new Response("a");
        r.body?.getReader();
        return r;
      },
    ],
    [
      "returns a Response that was read",
      async () => {
        const r = new Response("a");
        await r.text();
        return r;
      },
    ],
    ["returns a length that is not so", () => new Response("abc", { headers: { "content-length": "2" } })],
    ["sets a control character", () => new Response("a", { headers: { "x-a": "a\u0001b" } })],
  ])("a handler that %s is answered 500, and reported once", async (_name, handler) => {
    const { ask, reports } = await serveFetch(handler);
    expect(statuses(await ask(get))).toEqual([500]);
    expect(reports.map(({ during }) => during)).toEqual(["handler"]);
  });

  test("the next request is none the worse", async () => {
    const { url } = await serveFetch((request) => {
      if (request.url.endsWith("/bad")) throw new Error("bad");
      return new Response("good");
    });
    expect((await fetch(`${url}/bad`)).status).toBe(500);
    expect(await (await fetch(`${url}/good`)).text()).toBe("good");
  });

  test.each<[string, unknown[]]>([
    ["no function", [{ fetch() {} }]],
    ["a limit that is none", [() => new Response(), { maxBodyLimit: -1 }]],
    ["a limit that is text", [() => new Response(), { maxBodyLimit: "1" }]],
  ])("%s is a UsageError at the call", (_name, [handler, options]) => {
    expect(() => serveFetch(handler as never, options as never)).toThrow(mist.UsageError);
  });
});

test("the context has the server's stopping signal", async () => {
  let seen: AbortSignal | undefined;
  const { url, server } = await serveFetch((_request, _environment, { stopping }) => {
    seen = stopping;
    return new Response();
  });
  await fetch(url);
  expect(seen).toBe(server.stopping);
});

describe("waitUntil", () => {
  test("is waited for by stop, its failure reported", async () => {
    const work = deferred();
    let done = false;
    const { url, server, reports } = await serveFetch((request, _environment, context) => {
      context.passThroughOnException();
      context.waitUntil(
        work.promise.then(() => {
          done = true;
        }),
      );
      context.waitUntil(Promise.reject(new Error("background")));
      (request as Request & { waitUntil(work: Promise<unknown>): void }).waitUntil(Promise.resolve());
      return Response.json(context.props);
    });
    expect(await (await fetch(url)).json()).toEqual({});
    const stopped = server.stop({ deadlineMs: 5000 });
    work.resolve();
    await stopped;
    expect(done).toBe(true);
    expect(reports.map(({ during }) => during)).toEqual(["background"]);
  });
});

describe("answers of fetch, passed on", () => {
  const page = "page ".repeat(1000);

  test("are decoded, and say no more that they are coded", async () => {
    const coded = gzipSync(page);
    const origin = await serveFetch(
      () =>
        new Response(coded, {
          headers: {
            "content-encoding": "gzip",
            "content-length": String(coded.length),
            "x-a": "1",
            vary: "a",
          },
        }),
    );
    const proxy = await serveFetch(() => fetch(origin.url));
    const answer = await fetch(proxy.url);
    expect(await answer.text()).toBe(page);
    expect(answer.headers.get("content-encoding")).toBeNull();
    expect(answer.headers.get("x-a")).toBe("1");
    expect(answer.headers.get("vary")).toBe("a");
    const head = await serveFetch(() => fetch(origin.url, { method: "HEAD" }));
    expect((await fetch(head.url, { method: "HEAD" })).headers.get("content-encoding")).toBe("gzip");
  });

  test("keep the length of what is not coded, and leave the hop's fields behind", async () => {
    const origin = await serveFetch(
      () => new Response("plain", { status: 203, headers: { connection: "close", "x-a": "1" } }),
    );
    const proxy = await serveFetch(() => fetch(origin.url));
    const answer = await fetch(proxy.url);
    expect([answer.status, answer.headers.get("content-length")]).toEqual([203, "5"]);
    expect(answer.headers.get("connection")).not.toBe("close");
    expect(await answer.text()).toBe("plain");
  });

  test("keep an unknown coding as it is", async () => {
    const origin = await serveFetch(() => new Response("??", { headers: { "content-encoding": "x-own" } }));
    const proxy = await serveFetch(() => fetch(origin.url));
    expect((await fetch(proxy.url)).headers.get("content-encoding")).toBe("x-own");
  });
});

// Fields behind the content, on responses of every kind, over HTTP/1.1 and HTTP/2.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import * as mist from "../../src/index.ts";
import type { Handler } from "../../src/server/exchange/service.ts";
import { ask, session } from "../http2-server/client.ts";
import { type Served, serve } from "./serve.ts";

const get = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const gzipped = get.replace("\r\n\r\n", "\r\naccept-encoding: gzip\r\n\r\n");

/** Sends a request and gives all that comes back. Does not half-close, which would end a response that is streamed. */
async function raw({ connect }: Served, request = get): Promise<string> {
  const socket = await connect();
  await socket.send(request);
  const answer = await socket.receiveToEnd({ timeout: 5000 });
  await socket.close();
  return answer.toString("latin1");
}

function* abc() {
  yield "a";
  yield "bc";
}

const fields = () => ({ "X-Sum": "3", "x-tag": ["one", "two"] });

// The chunks of the content, and the trailers.
const plain = mist.response(200).setHeader("content-type", "text/plain");
const responses: [string, Handler, string][] = [
  ["an iterable", () => mist.response(200, { body: mist.chunked(abc()) }), "1\r\na\r\n2\r\nbc\r\n"],
  ["text", () => mist.response(200, { body: "abc" }), "3\r\nabc\r\n"],
  ["bytes", () => mist.response(200, { body: Buffer.from("abc") }), "3\r\nabc\r\n"],
  ["an empty one", () => mist.response(200), ""],
  [
    "one written by a loop",
    (request) =>
      mist.chunked({
        request,
        response: plain,
        init: (chunks) => void chunks.subject.send("abc"),
        loop: (_, message: string, chunks) => {
          chunks.sendChunk(message);
          return mist.stop();
        },
      }),
    "3\r\nabc\r\n",
  ],
  [
    "a file",
    (request) => {
      const folder = mkdtempSync(join(tmpdir(), "mist-trailers-"));
      onTestFinished(() => rmSync(folder, { recursive: true }));
      writeFileSync(join(folder, "a"), "abc");
      return mist.sendFile(join(folder, "a"), { request });
    },
    "3\r\nabc\r\n",
  ],
  [
    "an event stream",
    (request) =>
      mist.serverSentEvents({
        request,
        init: (stream) => void stream.subject.send("abc"),
        loop: (_, message: string, stream) => {
          stream.sendEvent(mist.event(message));
          return mist.stop();
        },
      }),
    "b\r\ndata: abc\n\n\r\n",
  ],
];

describe.each(responses)("behind %s", (_, respond, chunks) => {
  const withTrailers: Handler = async (request) => (await respond(request)).withTrailers(fields);

  test("HTTP/1.1: in the last chunk", async () => {
    const served = await serve(withTrailers);
    const answer = await raw(served);
    const [head = "", ...rest] = answer.split("\r\n\r\n");
    expect(head).toContain("transfer-encoding: chunked");
    expect(head).not.toContain("content-length");
    const content = answer.slice(head.length + 4);
    expect(rest).not.toEqual([]);
    expect(content).toBe(`${chunks}0\r\nx-sum: 3\r\nx-tag: one\r\nx-tag: two\r\n\r\n`);
    expect(served.reports).toEqual([]);
  });

  test("HTTP/2: in a field section at the end", async () => {
    const served = await serve(withTrailers);
    const answer = await ask(await session(served.url), "/");
    expect(answer.trailers).toMatchObject({ "x-sum": "3", "x-tag": "one, two" });
    expect(answer.body.toString()).toBe(chunks.replaceAll(/[0-9a-f]\r\n(\w+|data: abc\n\n)\r\n/g, "$1"));
    expect(served.reports).toEqual([]);
  });

  test("HTTP/1.0: left out", async () => {
    const served = await serve(withTrailers);
    const answer = await raw(served, "GET / HTTP/1.0\r\n\r\n");
    expect(answer).not.toContain("x-sum");
    expect(answer).not.toContain("chunked");
    expect(served.reports).toEqual([]);
  });

  test("HEAD: not asked for", async () => {
    const trailers = vi.fn(fields);
    const served = await serve(async (request) => (await respond(request)).withTrailers(trailers));
    expect(await raw(served, get.replace("GET", "HEAD"))).toMatch(/^HTTP\/1.1 200 .*[^\r\n]\r\n\r\n$/s);
    expect((await ask(await session(served.url), "/", { method: "HEAD" })).trailers).toBeUndefined();
    expect(trailers).not.toHaveBeenCalled();
  });
});

test("are asked for once, when the last piece has been produced, and may take their time", async () => {
  const events: string[] = [];
  const served = await serve(() =>
    mist
      .response(200, {
        body: mist.chunked(
          (async function* () {
            yield "a";
            events.push("produced");
          })(),
        ),
      })
      .withTrailers(async () => {
        await new Promise((resolve) => setImmediate(resolve));
        events.push("asked");
        return [["x-sum", String(events.length)]];
      }),
  );
  expect(await raw(served)).toMatch(/0\r\nx-sum: 2\r\n\r\n$/);
  expect((await ask(await session(served.url), "/")).trailers).toMatchObject({ "x-sum": "4" });
  expect(events).toEqual(["produced", "asked", "produced", "asked"]);
});

test("stay on a response that is changed, and do not change the response they were set on", async () => {
  const first = mist.response(200, { body: mist.chunked(["a"]) });
  const second = first
    .withTrailers(fields)
    .setStatus(201)
    .setHeader("x", "1")
    .appendHeader("x", "2")
    .prependHeader("x", "0")
    .removeHeader("y")
    .setBody(first.body);
  const served = await serve(({ path }) => (path === "/" ? second : first));
  expect(await raw(served)).toMatch(/0\r\nx-sum: 3\r\nx-tag: one\r\nx-tag: two\r\n\r\n$/);
  expect(await raw(served, get.replace("/", "/first"))).toMatch(/0\r\n\r\n$/);
});

test.each(["chunked", "loop", "text"])("stay behind a compressed response: %s", async (kind) => {
  const long = "abc".repeat(1000);
  const served = await serve(
    mist.compress((request) => {
      if (kind === "text") return plain.setBody(long).withTrailers(fields);
      if (kind === "chunked") return plain.setBody(mist.chunked([long])).withTrailers(fields);
      return mist.chunked({
        request,
        response: plain.withTrailers(fields),
        init: (chunks) => void chunks.subject.send(long),
        loop: (_, message: string, chunks) => {
          chunks.sendChunk(message);
          return mist.stop();
        },
      });
    }),
  );
  const answer = await raw(served, gzipped);
  expect(answer).toContain("content-encoding: gzip");
  expect(answer).toMatch(/\r\n0\r\nx-sum: 3\r\nx-tag: one\r\nx-tag: two\r\n\r\n$/);
});

test("a client of HTTP/1.1 that has half-closed still gets what is all there", async () => {
  const served = await serve(async ({ signal }) => {
    await new Promise((resolve) => signal.addEventListener("abort", resolve)); // the FIN is there
    return mist.response(200, { body: "abc" }).withTrailers(fields);
  });
  expect(await served.ask(get)).toMatch(/3\r\nabc\r\n0\r\nx-sum: 3\r\n/);
});

test("a content-length of the response's own leaves no room for them in HTTP/1.1", async () => {
  const served = await serve(() =>
    mist.response(200, { body: "abc", headers: { "content-length": "3" } }).withTrailers(fields),
  );
  expect(await raw(served)).toMatch(/\r\ncontent-length: 3\r\n(?!.*x-sum).*\r\n\r\nabc$/s);
  const answer = await ask(await session(served.url), "/");
  expect([answer.headers["content-length"], answer.trailers?.["x-sum"]]).toEqual(["3", "3"]);
  expect(served.reports).toEqual([]);
});

test.each<[string, mist.Trailers]>([
  [
    "throws",
    () => {
      throw new Error("no sum");
    },
  ],
  [
    "rejects",
    async () => {
      throw new Error("no sum");
    },
  ],
  ["gives a field that no trailer may be", () => ({ "content-length": "3" })],
  ["gives a value that would end its line", () => [["x", "a\r\nb: c"]]],
  ["gives nothing", (() => undefined) as never],
])("a function that %s breaks the response off, and is reported", async (_, trailers) => {
  const served = await serve(() =>
    mist.response(200, { body: mist.chunked(["abc"]) }).withTrailers(trailers),
  );
  expect(await raw(served)).toMatch(/3\r\nabc\r\n$/);
  await expect(ask(await session(served.url), "/")).rejects.toThrow("INTERNAL_ERROR");
  expect(served.reports).toMatchObject([{ during: "body" }, { during: "body" }]);
});

test("withTrailers takes a function", () => {
  expect(() => mist.response(200).withTrailers({ "x-sum": "3" } as never)).toThrow(mist.UsageError);
});

test("a client that leaves while they are awaited does not hold the server up", async () => {
  let asked = () => {};
  const waiting = new Promise<void>((resolve) => {
    asked = resolve;
  });
  let left = () => {};
  const gone = new Promise<void>((resolve) => {
    left = resolve;
  });
  const { url, server, reports } = await serve((request) => {
    request.signal.addEventListener("abort", () => left());
    return mist.response(200).withTrailers(() => {
      asked();
      return new Promise(() => {});
    });
  });
  const client = await session(url);
  const stream = client.request({ ":path": "/" });
  stream.on("error", () => {});
  await waiting;
  stream.close(8);
  await gone;
  await vi.waitFor(() => expect(server.info().streams).toBe(0));
  expect(reports).toEqual([]);
});

// Responses whose stream is all there: they leave as a whole, with their length, whoever made them.

import { gunzipSync, inflateSync } from "node:zlib";
import { Hono } from "hono";
import { compress } from "hono/compress";
import { cors } from "hono/cors";
import { etag } from "hono/etag";
import { describe, expect, test } from "vitest";
import { readAnswer } from "../server/serve.ts";
import { deferred, serveFetch } from "./serve-fetch.ts";

// Before `fromFetch` puts its own in its place.
const Native = globalThis.Response;

const request = (method: string, more = "") => `${method} / HTTP/1.1\r\nhost: a\r\n${more}\r\n`;
const large = "<p>häß</p>".repeat(20_000);
const page = "<p>A page long enough to be worth compressing.</p>".repeat(100);

function form(): FormData {
  const made = new FormData();
  made.set("a", "1");
  made.set("file", new File(["content"], "name"));
  return made;
}

function stream<Piece>(...pieces: Piece[]): ReadableStream<Piece> {
  return new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(piece);
      controller.close();
    },
  });
}

const utf8 = (latin1: string) => Buffer.from(latin1, "latin1");
const bytes = (text: string) => new TextEncoder().encode(text);

const responses: [name: string, make: () => Response, content: string | RegExp][] = [
  ["bytes", () => new Native(bytes("ab")), "ab"],
  ["no bytes", () => new Native(new Uint8Array(0)), ""],
  ["text", () => new Native("häß"), "häß"],
  ["large text", () => new Native(large), large],
  ["a Blob", () => new Native(new Blob(["a", "b"])), "ab"],
  ["a form", () => new Native(form()), /^-{4}.*name="a"\r\n\r\n1\r\n.*\r\n\r\ncontent\r\n-{4}/s],
  ["a wrapped body", () => new Native(new Native("ab").body), "ab"],
  ["a clone", () => new Native("ab").clone(), "ab"],
  ["a transformed body", () => new Native(new Native("ab").body?.pipeThrough(new TransformStream())), "ab"],
  ["a stream", () => new Native(stream(bytes("a"), bytes(""), bytes("b"))), "ab"],
  ["a stream of nothing", () => new Native(stream<Uint8Array>()), ""],
  ["a stream of text", () => new Native(stream("h", "äß", "") as never), "häß"],
];

describe.each(["HTTP/1.1", "HTTP/1.1, nothing global touched"])("over %s", (how) => {
  const options = { overrideGlobals: how === "HTTP/1.1" };

  test.each(responses)("%s leaves with its length", async (_name, make, content) => {
    const { connect, reports } = await serveFetch(() => make(), options);
    const socket = await connect();
    await socket.send(request("GET"));
    const answer = await readAnswer(socket);
    expect(answer.headers.get("transfer-encoding")).toBeUndefined();
    expect(answer.headers.get("content-length")).toBe(String(answer.body.length));
    if (typeof content === "string") expect(utf8(answer.body).toString()).toBe(content);
    else expect(answer.body).toMatch(content);

    await socket.send(request("HEAD"));
    const head = await readAnswer(socket, "HEAD");
    expect(head.headers.get("content-length")).toBe(String(answer.body.length));
    await socket.close();
    expect(reports).toEqual([]);
  });
});

test("head and content leave in one write", async () => {
  const { connect } = await serveFetch(() => new Native(stream("a", "b") as never));
  const socket = await connect();
  for (let i = 0; i < 5; i++) {
    await socket.send(request("GET"));
    expect(String(await socket.receive({ timeout: 5000 }))).toMatch(/\r\ncontent-length: 2\r\n\r\nab$/);
  }
  await socket.close();
});

describe("what Hono's middleware has made", () => {
  const app = new Hono();
  app.get("/cors", cors(), (c) => c.text(page));
  app.get("/etag", etag(), (c) => c.text(page));
  app.get("/both", cors(), etag(), (c) => c.html(page));
  app.use("/coded", compress());
  app.get("/coded", (c) => c.html(page));

  const ask = async (path: string, more = "") => {
    const { connect } = await serveFetch(app.fetch);
    const socket = await connect();
    await socket.send(request("GET", more).replace("/", path));
    const answer = await readAnswer(socket);
    await socket.close();
    return answer;
  };

  test.each(["/cors", "/etag", "/both"])("%s leaves with its length", async (path) => {
    const { headers, body } = await ask(path);
    expect(headers.get("transfer-encoding")).toBeUndefined();
    expect(headers.get("content-length")).toBe(String(page.length));
    expect(body).toBe(page);
  });

  // Its compressor works on threads, and is waited for within limits: on a busy machine it may be too late.
  test.each([
    ["gzip", gunzipSync],
    ["deflate", inflateSync],
  ] as const)("compress leaves with its length, unless it is slow: %s", async (coding, decode) => {
    const lengths = new Set<string | undefined>();
    for (let i = 0; i < 20 && !lengths.has("sized"); i++) {
      const { headers, body } = await ask("/coded", `accept-encoding: ${coding}\r\n`);
      expect(headers.get("content-encoding")).toBe(coding);
      expect(decode(utf8(body)).toString()).toBe(page);
      const length = headers.get("content-length");
      if (length === undefined) expect(headers.get("transfer-encoding")).toBe("chunked");
      else expect(length).toBe(String(body.length));
      lengths.add(length === undefined ? "chunked" : "sized");
    }
    expect(lengths).toContain("sized");
  });
});

test.each([{ "transfer-encoding": "chunked" }, { "x-accel-buffering": "no" }])(
  "%o is streamed as it asks",
  async (headers) => {
    const { connect } = await serveFetch(
      () => new Response(stream("a") as never, { headers: headers as never }),
    );
    const socket = await connect();
    await socket.send(request("GET"));
    const answer = await readAnswer(socket);
    expect([answer.headers.get("transfer-encoding"), answer.body]).toEqual(["chunked", "a"]);
    await socket.close();
  },
);

describe("what goes on behind its first turn", () => {
  test("is streamed from there on, nothing lost and nothing twice", async () => {
    const go = deferred();
    const body = new ReadableStream({
      async start(controller) {
        controller.enqueue("one ");
        controller.enqueue("two ");
        await go.promise;
        controller.enqueue("three");
        controller.close();
      },
    });
    const { connect } = await serveFetch(() => new Response(body));
    const socket = await connect();
    await socket.send(request("GET"));
    const first = String(await socket.receiveUntil("two \r\n", { timeout: 5000 }));
    expect(first).toContain("\r\ntransfer-encoding: chunked\r\n");
    expect(first).toMatch(/\r\n\r\n4\r\none \r\n4\r\ntwo \r\n$/);
    go.resolve();
    expect(String(await socket.receiveUntil("0\r\n\r\n", { timeout: 5000 }))).toBe("5\r\nthree\r\n0\r\n\r\n");
    await socket.close();
  });

  test("is gathered within limits", async () => {
    let pulls = 0;
    const cancelled = deferred();
    const body = new ReadableStream(
      {
        pull(controller) {
          pulls += 1;
          controller.enqueue(new Uint8Array(1024));
        },
        cancel: () => cancelled.resolve(),
      },
      { highWaterMark: 0 },
    );
    const { connect } = await serveFetch(() => new Response(body));
    const socket = await connect();
    await socket.send(request("HEAD"));
    const { headers } = await readAnswer(socket, "HEAD");
    expect(headers.get("content-length")).toBeUndefined();
    await cancelled.promise;
    expect(pulls).toBeLessThan(100);
    await socket.close();
  });

  test("with a coding, is not held back once there is content", async () => {
    const last = deferred();
    const body = new ReadableStream({
      async start(controller) {
        controller.enqueue(new Uint8Array(10));
        await new Promise((resolve) => setImmediate(resolve));
        controller.enqueue(new Uint8Array(20));
        await last.promise;
        controller.close();
      },
    });
    const headers = { "content-encoding": "gzip" };
    const { connect } = await serveFetch(() => new Response(body, { headers }));
    const socket = await connect();
    await socket.send(request("GET"));
    await socket.receiveUntil(`14\r\n${"\0".repeat(20)}\r\n`, { timeout: 5000 });
    last.resolve();
    await socket.receiveUntil("0\r\n\r\n", { timeout: 5000 });
    await socket.close();
  });

  test("with a coding, has its head sent though no content comes", async () => {
    const { connect } = await serveFetch(
      () => new Response(new ReadableStream(), { headers: { "content-encoding": "gzip" } }),
    );
    const socket = await connect();
    await socket.send(request("GET"));
    expect(String(await socket.receiveUntil("\r\n\r\n", { timeout: 5000 }))).toContain("200 OK");
    await socket.close();
  });
});

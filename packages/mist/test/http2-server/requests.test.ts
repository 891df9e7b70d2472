// The same handlers over HTTP/2, with node:http2 as the client.

import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import * as http2 from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import * as mist from "../../src/index.ts";
import { serve } from "../server/serve.ts";
import { answerOf, ask, session } from "./client.ts";

const text = (body: string | Uint8Array) => mist.response(200).setBody(mist.bytes(body));

describe("a request", () => {
  test("is answered on the cleartext port, as one of HTTP/1 is", async () => {
    const { url, port } = await serve((request) =>
      text(
        `${request.version} ${request.method} ${request.path}?${request.query} ${request.host}:${request.port}`,
      ),
    );
    const client = await session(url);
    const answer = await ask(client, "/a?b=c");
    expect(answer.status).toBe(200);
    expect(answer.body.toString()).toBe(`2 GET /a?b=c 127.0.0.1:${port}`);
    expect(answer.headers["content-length"]).toBe(String(answer.body.length));
    expect(answer.headers.date).toBeDefined();
    const old = await fetch(`${url}/a?b=c`);
    expect(await old.text()).toBe(`1.1 GET /a?b=c 127.0.0.1:${port}`);
  });

  test("a preface that comes byte by byte is recognised, and a POST is not mistaken for one", async () => {
    const { connect } = await serve(() => text("ok"));
    const socket = await connect();
    for (const byte of Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0", "latin1"))
      await socket.send(Buffer.of(byte));
    const settings = await socket.receiveExact(9, { timeout: 5000 });
    expect(settings[3]).toBe(4);
    await socket.close();
    const other = await connect();
    for (const byte of Buffer.from("PRI / HTTP/1.1\r\nhost: a\r\n\r\n")) await other.send(Buffer.of(byte));
    expect((await other.receiveLine({ timeout: 5000 })).toString()).toContain("HTTP/1.1 200");
    await other.close();
  });

  test("many at a time, answered out of order", async () => {
    const { url, server } = await serve(async (request) => {
      const n = Number(request.path.slice(1));
      if (n % 3 === 0) await sleep(10);
      if (n % 3 === 1) await undefined;
      return text(request.path);
    });
    const client = await session(url);
    const answers = await Promise.all(Array.from({ length: 90 }, (_, n) => ask(client, `/${n}`)));
    expect(answers.map(({ body }) => body.toString())).toEqual(answers.map((_, n) => `/${n}`));
    expect(server.info().streams).toBe(0);
    expect(server.info().connections).toBe(1);
  });

  test("HEAD, 204 and 304 have no content", async () => {
    const { url } = await serve((request) =>
      request.path === "/" ? text("hello") : mist.response(Number(request.path.slice(1))),
    );
    const client = await session(url);
    const head = await ask(client, "/", { method: "HEAD" });
    expect([head.status, head.headers["content-length"], head.body.length]).toEqual([200, "5", 0]);
    for (const status of [204, 304])
      expect(await ask(client, `/${status}`)).toMatchObject({ status, body: Buffer.alloc(0) });
  });

  test("a handler that throws is answered 500 and reported; the connection goes on", async () => {
    const { url, reports } = await serve((request) => {
      if (request.path === "/crash") throw new Error("as asked");
      return text("ok");
    });
    const client = await session(url);
    expect((await ask(client, "/crash")).status).toBe(500);
    expect(reports).toMatchObject([{ during: "handler" }]);
    expect((await ask(client, "/")).status).toBe(200);
  });

  test("fields of the connection are left out, cookies are joined", async () => {
    const { url } = await serve((request) =>
      text(request.getHeader("cookie") ?? "")
        .setHeader("connection", "close")
        .setHeader("X-Case", "1"),
    );
    const client = await session(url);
    const answer = await ask(client, "/", { headers: { cookie: ["a=1", "b=2"] } });
    expect(answer.body.toString()).toBe("a=1; b=2");
    expect(answer.headers.connection).toBeUndefined();
    expect(answer.headers["x-case"]).toBe("1");
    expect((await ask(client, "/")).status).toBe(200);
  });

  test("a head that is too large is refused, and the connection goes on", async () => {
    const { url } = await serve(
      () => text("ok"),
      (builder) => builder.withLimits({ maxTarget: 100 }),
    );
    const client = await session(url);
    expect((await ask(client, `/${"x".repeat(200)}`)).status).toBe(414);
    expect((await ask(client, "/")).status).toBe(200);
  });

  test("a WebSocket handshake of HTTP/1.1's is refused", async () => {
    const { url } = await serve((request) =>
      mist.websocket({ request, onInit: () => undefined, handler: () => undefined }),
    );
    const client = await session(url);
    expect((await ask(client, "/")).status).toBe(400);
  });
});

describe("a request's body", () => {
  test("is read whole, streamed, and by readRequestBody", async () => {
    const content = Buffer.alloc(3_000_000, "abcdefg");
    const { url } = await serve(async (request) => {
      if (request.path === "/whole") return text(await mist.readBody(request, { maxBodyLimit: 1e7 }));
      let size = 0;
      for await (const piece of mist.stream(request)) size += piece.length;
      return text(String(size));
    });
    const client = await session(url);
    const whole = await ask(client, "/whole", { body: content });
    expect(whole.body.equals(content)).toBe(true);
    expect((await ask(client, "/streamed", { body: content })).body.toString()).toBe("3000000");

    const server = await mist
      .new((request: mist.Request<Buffer>) => text(request.body))
      .readRequestBody({ bytesLimit: 10 })
      .port(0)
      .afterStart(() => {})
      .start();
    onTestFinished(async () => void (await server.stop(0)));
    const other = await session(server.url);
    expect((await ask(other, "/", { body: "short" })).body.toString()).toBe("short");
    expect((await ask(other, "/", { body: "much too long" })).status).toBe(413);
  });

  test("has trailers", async () => {
    const { url } = await serve(async (request) => {
      const body = mist.stream(request);
      for await (const _ of body);
      return text(JSON.stringify(body.trailers));
    });
    const client = await session(url);
    const stream = client.request({ ":method": "POST", ":path": "/" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "x-sum": "1" }));
    const answer = answerOf(stream);
    stream.end("abc");
    expect((await answer).body.toString()).toBe('[["x-sum","1"]]');
  });

  test("is waited for with a 100 if the client expects one", async () => {
    const { url } = await serve(async (request) => text(await mist.readBody(request, { maxBodyLimit: 100 })));
    const client = await session(url);
    const stream = client.request({ ":method": "POST", ":path": "/", expect: "100-continue" });
    stream.once("continue", () => stream.end("now"));
    expect((await answerOf(stream)).body.toString()).toBe("now");
  });

  test("that nobody wants is not waited for", async () => {
    const { url } = await serve(() => text("no, thanks"));
    const client = await session(url);
    const stream = client.request({ ":method": "POST", ":path": "/" });
    stream.write("x");
    const answer = await answerOf(stream);
    expect(answer.body.toString()).toBe("no, thanks");
    expect((await ask(client, "/")).status).toBe(200);
  });

  test("a slow handler holds back its stream only", async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { url } = await serve(async (request) => {
      if (request.path === "/slow") await held;
      let size = 0;
      for await (const piece of mist.stream(request)) size += piece.length;
      return text(String(size));
    });
    const client = await session(url);
    const body = Buffer.alloc(2_000_000);
    const slow = ask(client, "/slow", { body });
    for (let i = 0; i < 5; i++)
      expect((await ask(client, "/fast", { body })).body.toString()).toBe("2000000");
    release();
    expect((await slow).body.toString()).toBe("2000000");
  });

  test("that stalls is answered 408", async () => {
    const { url } = await serve(
      async (request) => text(await mist.readBody(request, { maxBodyLimit: 100 })),
      (builder) => builder.withDeadlines({ bodyIdleMs: 50 }),
    );
    const client = await session(url);
    const stream = client.request({ ":method": "POST", ":path": "/" });
    stream.write("x");
    expect((await answerOf(stream)).status).toBe(408);
    expect((await ask(client, "/", { body: "ok" })).status).toBe(200);
  });
});

describe("a response", () => {
  test("informational ones come first", async () => {
    const { url } = await serve((request) => {
      mist.sendInformational(request, 103, [["link", "</a>; rel=preload"]]);
      return text("ok");
    });
    const answer = await ask(await session(url), "/");
    expect(answer.informational).toMatchObject([{ ":status": 103, link: "</a>; rel=preload" }]);
    expect(answer.body.toString()).toBe("ok");
  });

  const trailing = (body: Parameters<mist.Response["setBody"]>[0]) =>
    mist
      .response(200)
      .setBody(body as mist.BytesBody)
      .withTrailers(async () => [["x-sum", "3"]]);

  test.each([
    ["chunked", () => trailing(mist.chunked(["a", "b", "c"]) as never)],
    ["whole", () => trailing("abc")],
  ])("%s, with trailers behind", async (_, handler) => {
    const { url } = await serve(handler);
    const answer = await ask(await session(url), "/");
    expect(answer.body.toString()).toBe("abc");
    expect(answer.trailers).toMatchObject({ "x-sum": "3" });
    expect(answer.headers["transfer-encoding"]).toBeUndefined();
    const head = await ask(await session(url), "/", { method: "HEAD" });
    expect([head.status, head.trailers]).toEqual([200, undefined]);
  });

  test("trailers that fail reset the stream", async () => {
    const { url, reports } = await serve(() =>
      mist.response(200, { body: "abc" }).withTrailers(() => {
        throw new Error("no sum");
      }),
    );
    await expect(ask(await session(url), "/")).rejects.toThrow();
    expect(reports).toMatchObject([{ during: "body", error: { message: "no sum" } }]);
  });

  test("a large one comes whole while small ones overtake it", async () => {
    const chunk = Buffer.alloc(65_536, "x");
    const { url } = await serve((request) => {
      if (request.path === "/small") return text("small");
      return mist.response(200).setBody(mist.chunked(Array.from({ length: 320 }, () => chunk)));
    });
    const client = await session(url);
    const order: string[] = [];
    const large = ask(client, "/large").then((answer) => {
      order.push("large");
      return answer;
    });
    for (let i = 0; i < 10; i++) await ask(client, "/small").then(() => order.push("small"));
    expect((await large).body.length).toBe(320 * 65_536);
    expect(order.at(-1)).toBe("large");
  });

  test("a file, whole and in part, with HEAD", async () => {
    const folder = mkdtempSync(join(tmpdir(), "mist-h2-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, "a.txt");
    const content = Buffer.alloc(1_500_000, "0123456789");
    writeFileSync(file, content);
    const { url } = await serve((request) => mist.sendFile(file, { request }));
    const client = await session(url);
    expect((await ask(client, "/")).body.equals(content)).toBe(true);
    const part = await ask(client, "/", { headers: { range: "bytes=3-7" } });
    expect([part.status, part.body.toString(), part.headers["content-range"]]).toEqual([
      206,
      "34567",
      "bytes 3-7/1500000",
    ]);
    const head = await ask(client, "/", { method: "HEAD" });
    expect([head.body.length, head.headers["content-length"]]).toEqual([0, "1500000"]);
  });

  test("compressed", async () => {
    const handler = mist.compress(() => text("hello ".repeat(1000)).setHeader("content-type", "text/plain"));
    const { url } = await serve(handler);
    const answer = await ask(await session(url), "/", { headers: { "accept-encoding": "gzip" } });
    expect(answer.headers["content-encoding"]).toBe("gzip");
    expect(answer.body.length).toBeLessThan(200);
  });

  test("that fails midway resets the stream, and no other", async () => {
    const { url, reports } = await serve((request) => {
      if (request.path === "/") return text("ok");
      return mist.response(200).setBody(
        mist.chunked(
          (function* () {
            yield "begun";
            throw new Error("broken");
          })(),
        ),
      );
    });
    const client = await session(url);
    await expect(ask(client, "/broken")).rejects.toThrow();
    expect(reports).toMatchObject([{ during: "body" }]);
    expect((await ask(client, "/")).status).toBe(200);
  });
});

describe("what was sent before a response breaks off", () => {
  const size = 30_000;
  const breaksOff = () =>
    mist.response(200).setBody(
      mist.chunked(
        (async function* () {
          yield Buffer.alloc(size, "x");
          throw new Error("no more");
        })(),
      ),
    );

  test("arrives, as far as the client takes it, and then the stream is reset", async () => {
    const { url } = await serve(breaksOff);
    const client = await session(url);
    const stream = client.request({ ":path": "/" });
    let got = 0;
    stream.on("data", (piece: Buffer) => {
      got += piece.length;
    });
    await expect(answerOf(stream)).rejects.toThrow("INTERNAL_ERROR");
    expect(got).toBe(size);
  });

  test("is given up where the client's window is shut, and nothing is left of the stream", async () => {
    const { url, server } = await serve(breaksOff);
    const client = await session(url, { settings: { initialWindowSize: 1000 } });
    const stream = client.request({ ":path": "/" });
    stream.on("error", () => {});
    stream.pause();
    await new Promise((resolve) => stream.once("close", resolve));
    expect(stream.rstCode).toBe(2);
    expect(server.info().streams).toBe(0);
    expect(await server.stop({ deadlineMs: 5000 })).toMatchObject({ killed: 0 });
  });
});

describe("a client that leaves", () => {
  test("a reset aborts that request's signal, and no other", async () => {
    const aborted: string[] = [];
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let begun = 0;
    const both = new Promise<void>((resolve) => {
      setImmediate(function look() {
        if (begun === 2) resolve();
        else setImmediate(look);
      });
    });
    const { url } = await serve(async (request) => {
      request.signal.addEventListener("abort", () => {
        aborted.push(request.path);
        release();
      });
      begun += 1;
      await held;
      return text(request.path);
    });
    const client = await session(url);
    const left = client.request({ ":path": "/left" });
    left.on("error", () => {});
    const stays = ask(client, "/stays");
    await both;
    left.close(http2.constants.NGHTTP2_CANCEL);
    expect((await stays).body.toString()).toBe("/stays");
    expect(aborted).toEqual(["/left"]);
  });

  test("a reset lets go of the producer", async () => {
    let over = () => {};
    const released = new Promise<void>((resolve) => {
      over = resolve;
    });
    const { url } = await serve(() =>
      mist.response(200).setBody(
        mist.chunked(
          (async function* () {
            try {
              for (;;) yield Buffer.alloc(10_000);
            } finally {
              over();
            }
          })(),
        ),
      ),
    );
    const client = await session(url);
    const stream = client.request({ ":path": "/" });
    stream.on("error", () => {});
    await once(stream, "data");
    stream.close(http2.constants.NGHTTP2_CANCEL);
    await released;
  });
});

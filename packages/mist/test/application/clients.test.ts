// Real clients: fetch, undici's client, pool and pipelining, node:http, over TCP and over TLS.

import { createHash } from "node:crypto";
import * as http from "node:http";
import { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { Agent, Client, Pool, fetch as undiciFetch } from "undici";
import { afterEach, describe, expect, it } from "vitest";
import * as mist from "../../src/index.ts";
import { certificate } from "../conformance/certificate.ts";
import { serve } from "../server/serve.ts";

const mebibyte = 1024 * 1024;
const large = 50;
const text = (body: string) =>
  mist.response(200).setHeader("content-type", "text/plain").setBody(mist.bytes(body));

// What has to be closed behind a test.
const open: { destroy(): Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((client) => client.destroy()));
});

function closing<T extends { destroy(): Promise<void> }>(client: T): T {
  open.push(client);
  return client;
}

/** The `n`th mebibyte of a content nobody else would send. */
function piece(n: number): Buffer {
  const bytes = Buffer.alloc(mebibyte, n + 1);
  bytes.writeUInt32BE((n * 2654435761) >>> 0, 0);
  return bytes;
}

function* pieces(count: number): Generator<Buffer> {
  for (let n = 0; n < count; n++) yield piece(n);
}

function digestOf(count: number): string {
  const hash = createHash("sha256");
  for (const bytes of pieces(count)) hash.update(bytes);
  return hash.digest("hex");
}

const digest: mist.Handler = async (request) => {
  const hash = createHash("sha256");
  for await (const bytes of mist.stream(request)) hash.update(bytes);
  return text(hash.digest("hex"));
};

describe.each(["TCP", "TLS"])("over %s", (transport) => {
  async function begin(handler: mist.Handler) {
    const identity = await certificate();
    const served = await serve(handler, (builder) =>
      transport === "TLS" ? builder.withTls(identity) : builder,
    );
    const origin = `${transport === "TLS" ? "https" : "http"}://localhost:${served.port}`;
    const connect = { ca: identity.cert, family: 4 };
    return {
      ...served,
      origin,
      client: (options: Client.Options = {}) => closing(new Client(origin, { connect, ...options })),
      pool: (options: Pool.Options = {}) => closing(new Pool(origin, { connect, ...options })),
      fetch: (path: string, init: NonNullable<Parameters<typeof undiciFetch>[1]> = {}) =>
        undiciFetch(origin + path, { ...init, dispatcher: closing(new Agent({ connect })) }),
    };
  }

  it("fetch gets, posts and asks for heads", async () => {
    const { fetch } = await begin(async (request) => {
      if (request.method !== "POST") return text(`${request.method} ${request.path}?${request.query}`);
      const content = await mist.readBody(request, { maxBodyLimit: mebibyte });
      return text(`${content.length} ${request.getHeader("content-type")}`);
    });
    const got = await fetch("/a%20b?c=d");
    expect([got.status, await got.text()]).toEqual([200, "GET /a%20b?c=d"]);
    const posted = await fetch("/", { method: "POST", body: "héllo" });
    expect(await posted.text()).toBe("6 text/plain;charset=UTF-8");
    const headed = await fetch("/x", { method: "HEAD" });
    expect([headed.headers.get("content-length"), await headed.text()]).toEqual(["17", ""]);
  });

  it("an upload of 50 MiB arrives as it was sent, of a length and in chunks", async () => {
    const { client } = await begin(digest);
    const expected = digestOf(large);
    const undici = client();
    const chunked = await undici.request({ path: "/", method: "PUT", body: Readable.from(pieces(large)) });
    expect(await chunked.body.text()).toBe(expected);
    const headers = { "content-length": String(large * mebibyte) };
    const lengthy = await undici.request({
      path: "/",
      method: "PUT",
      headers,
      body: Readable.from(pieces(large)),
    });
    expect(await lengthy.body.text()).toBe(expected);
  });

  it("a download of 50 MiB arrives as it was sent, however slowly it is read", async () => {
    const { client } = await begin((request) => {
      const response = mist.response(200).setBody(mist.chunked(pieces(large)));
      return request.path === "/length"
        ? response.setHeader("content-length", String(large * mebibyte))
        : response;
    });
    for (const path of ["/chunked", "/length"]) {
      const { body, headers } = await client().request({ path, method: "GET" });
      expect(headers["content-length"] === undefined).toBe(path === "/chunked");
      const hash = createHash("sha256");
      let slow = 5;
      for await (const bytes of body) {
        hash.update(bytes);
        if (slow-- > 0) await delay(10);
      }
      expect(hash.digest("hex")).toBe(digestOf(large));
    }
  });

  it("an upload is echoed while it is still being sent", async () => {
    const { client } = await begin((request) =>
      mist.response(200).setBody(mist.chunked(mist.stream(request))),
    );
    let echoed = 0;
    let sent = 0;
    async function* turns() {
      for (let n = 0; n < 20; n++) {
        while (echoed < sent) await delay(1);
        sent += mebibyte;
        yield piece(n);
      }
    }
    const { body } = await client().request({ path: "/", method: "POST", body: Readable.from(turns()) });
    const hash = createHash("sha256");
    for await (const bytes of body) {
      hash.update(bytes);
      echoed += bytes.length;
    }
    expect(hash.digest("hex")).toBe(digestOf(20));
  });

  it("trailers come behind the content", async () => {
    const { client } = await begin(() =>
      mist
        .response(200)
        .setBody(mist.chunked(["a", "b"]))
        .withTrailers(async () => [["x-sum", "2"]]),
    );
    const { body, trailers } = await client().request({ path: "/", method: "GET" });
    expect(await body.text()).toBe("ab");
    expect(trailers).toEqual({ "x-sum": "2" });
  });

  it("early hints come ahead of the answer", async () => {
    const { client } = await begin((request) => {
      mist.sendInformational(request, 103, [["link", "</a.css>; rel=preload"]]);
      return text("ok");
    });
    const hints: unknown[] = [];
    const onInfo = (info: { statusCode: number; headers: unknown }) =>
      hints.push([info.statusCode, info.headers]);
    const { body } = await client().request({ path: "/", method: "GET", onInfo });
    expect(await body.text()).toBe("ok");
    expect(hints).toEqual([[103, { link: "</a.css>; rel=preload" }]]);
  });

  it("pipelined requests are answered in order, whichever handler is first", async () => {
    const { client, server } = await begin(async (request) => {
      if (Number(request.path.slice(1)) % 3 === 0) await delay(2);
      return text(request.path);
    });
    const undici = client({ pipelining: 16 });
    const answers = await Promise.all(
      Array.from({ length: 200 }, async (_, n) => {
        const { body } = await undici.request({ path: `/${n}`, method: "GET" });
        return body.text();
      }),
    );
    expect(answers).toEqual(Array.from({ length: 200 }, (_, n) => `/${n}`));
    expect(server.info().accepted).toBe(1);
  });

  it("a pool's connections are kept and used again, content read or not", async () => {
    const { pool, server } = await begin(async (request) => {
      if (request.path === "/read") await mist.readBody(request, { maxBodyLimit: mebibyte });
      return text("ok");
    });
    const undici = pool({ connections: 4 });
    const visit = async (n: number) => {
      const path = n % 2 === 0 ? "/read" : "/unread";
      const { statusCode, body } = await undici.request({
        path,
        method: "POST",
        body: Buffer.alloc(n * 100),
      });
      return [statusCode, await body.text()];
    };
    const answers = await Promise.all(Array.from({ length: 300 }, (_, n) => visit(n)));
    expect(new Set(answers.map(String))).toEqual(new Set(["200,ok"]));
    expect(server.info().accepted).toBeLessThanOrEqual(4);
  });

  it("an upload that is aborted rejects the read, and costs nothing else", async () => {
    const seen: unknown[] = [];
    const { client, server, reports } = await begin(async (request) => {
      if (request.method === "GET") return text("fine");
      await mist.readBody(request, { maxBodyLimit: large * mebibyte }).catch((error) => seen.push(error));
      return text("");
    });
    const abort = new AbortController();
    async function* endless() {
      for (let n = 0; ; n++) {
        if (n === 3) abort.abort();
        yield piece(n);
      }
    }
    const undici = client();
    const upload = undici.request({
      path: "/",
      method: "POST",
      body: Readable.from(endless()),
      signal: abort.signal,
    });
    await expect(upload).rejects.toThrow();
    await expect.poll(() => seen.length).toBe(1);
    const { body } = await undici.request({ path: "/", method: "GET" });
    expect(await body.text()).toBe("fine");
    expect(reports).toEqual([]);
    await undici.close();
    await expect.poll(() => server.info().connections).toBe(0);
  });

  it("a download that is aborted ends its producer and its signal", async () => {
    let released = 0;
    const signals: AbortSignal[] = [];
    const { client, server, reports } = await begin((request) => {
      signals.push(request.signal);
      return mist.response(200).setBody(
        mist.chunked(
          (function* () {
            try {
              for (let n = 0; ; n++) yield piece(n);
            } finally {
              released += 1;
            }
          })(),
        ),
      );
    });
    const undici = client();
    const { body } = await undici.request({ path: "/", method: "GET" });
    for await (const _ of body) break;
    await expect.poll(() => released).toBe(1);
    expect(signals.map((signal) => signal.aborted)).toEqual([true]);
    await undici.destroy();
    await expect.poll(() => server.info().connections).toBe(0);
    expect(reports).toEqual([]);
  });

  it("a body that breaks off is a failure to the client, never a short success", async () => {
    const { client } = await begin((request) => {
      const response = mist.response(200).setBody(
        mist.chunked(
          (async function* () {
            yield "half";
            await delay(1);
            throw new Error("boom");
          })(),
        ),
      );
      return request.path === "/length" ? response.setHeader("content-length", "8") : response;
    });
    for (const path of ["/chunked", "/length"]) {
      const answer = client().request({ path, method: "GET" });
      await expect(answer.then(({ body }) => body.text())).rejects.toThrow();
    }
  });

  it("an answer given before the upload is over reaches the client", async () => {
    const { client } = await begin(() => mist.response(403).setBody(mist.bytes("no")));
    async function* trickle() {
      for (let n = 0; n < 20; n++) {
        yield piece(n);
        await delay(1);
      }
    }
    const { statusCode } = await client().request({
      path: "/",
      method: "POST",
      body: Readable.from(trickle()),
    });
    expect(statusCode).toBe(403);
  });
});

describe("the platform's own clients", () => {
  it("fetch streams both ways", async () => {
    const { url } = await serve((request) => mist.response(200).setBody(mist.chunked(mist.stream(request))));
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(Buffer.from("a"));
        controller.enqueue(Buffer.from("b"));
        controller.close();
      },
    });
    const init = { method: "POST", body, duplex: "half" } as RequestInit;
    expect(await (await fetch(url, init)).text()).toBe("ab");
  });

  it("node:http waits for 100 before it sends its content", async () => {
    const { port } = await serve(async (request) => {
      const content = await mist.readBody(request, { maxBodyLimit: mebibyte });
      return text(String(content.length));
    });
    const answer = await new Promise<string>((resolve, reject) => {
      const headers = { expect: "100-continue", "content-length": "5" };
      const request = http.request({ port, host: "127.0.0.1", method: "POST", headers }, (response) => {
        response.setEncoding("utf8").on("data", (data) => resolve(`continued: ${continued}, ${data}`));
      });
      let continued = false;
      request.on("continue", () => {
        continued = true;
        request.end("hello");
      });
      request.on("error", reject);
      request.flushHeaders();
    });
    expect(answer).toBe("continued: true, 5");
  });

  it("node:http gets what a handler refuses unread, without 100", async () => {
    const { port } = await serve(() => mist.response(417));
    const [status, continued] = await new Promise<[number | undefined, boolean]>((resolve, reject) => {
      let told = false;
      const headers = { expect: "100-continue", "content-length": "5" };
      const request = http.request({ port, host: "127.0.0.1", method: "POST", headers });
      request.on("continue", () => {
        told = true;
      });
      request.on("response", (response) => resolve([response.statusCode, told]));
      request.on("error", reject);
      request.flushHeaders();
    });
    expect([status, continued]).toEqual([417, false]);
  });

  it("node:http keeps its connection", async () => {
    const { port, server } = await serve(() => text("ok"));
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    for (let i = 0; i < 5; i++) {
      await new Promise<void>((resolve, reject) => {
        http
          .get({ port, host: "127.0.0.1", agent }, (response) => response.resume().on("end", resolve))
          .on("error", reject);
      });
    }
    expect(server.info().accepted).toBe(1);
    agent.destroy();
  });
});

// A Hono app as people write them, with Hono's own middleware and helpers, on real sockets.

import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Hono } from "hono";
import { basicAuth } from "hono/basic-auth";
import { bearerAuth } from "hono/bearer-auth";
import { bodyLimit } from "hono/body-limit";
import { hc } from "hono/client";
import { compress } from "hono/compress";
import { contextStorage, getContext } from "hono/context-storage";
import { deleteCookie, getCookie, getSignedCookie, setCookie, setSignedCookie } from "hono/cookie";
import { cors } from "hono/cors";
import { csrf } from "hono/csrf";
import { etag } from "hono/etag";
import { html } from "hono/html";
import { HTTPException } from "hono/http-exception";
import { ipRestriction } from "hono/ip-restriction";
import { jwt, sign } from "hono/jwt";
import { methodOverride } from "hono/method-override";
import { poweredBy } from "hono/powered-by";
import { prettyJSON } from "hono/pretty-json";
import { proxy } from "hono/proxy";
import { requestId } from "hono/request-id";
import { secureHeaders } from "hono/secure-headers";
import { stream, streamSSE, streamText } from "hono/streaming";
import { timeout } from "hono/timeout";
import { timing } from "hono/timing";
import { trimTrailingSlash } from "hono/trailing-slash";
import { validator } from "hono/validator";
import * as undici from "undici";
import { describe, expect, test } from "vitest";
import { getConnInfo } from "../../src/fetch/hono/hono.ts";
import type { FetchContext, FetchEnvironment } from "../../src/fetch/index.ts";
import { readAnswer } from "../server/serve.ts";
import { deferred, serveFetch } from "./serve-fetch.ts";

type Bindings = { Bindings: FetchEnvironment };

async function served(build: (app: Hono<Bindings>) => void) {
  const app = new Hono<Bindings>();
  build(app);
  const served = await serveFetch(app.fetch);
  const ask = (path: string, init?: RequestInit) => fetch(served.url + path, { redirect: "manual", ...init });
  return { ...served, get: ask };
}

const page = "<p>A page long enough to be worth compressing.</p>".repeat(100);

describe("routing and answers", () => {
  const build = (app: Hono<Bindings>) => {
    app.get("/", (c) => c.text("Hello, world!"));
    app.get("/json/:name", (c) => c.json({ name: c.req.param("name"), query: c.req.query("q") ?? null }));
    app.get("/html", (c) => c.html(html`<h1>${"<a>"}</h1>`));
    app.get("/header", (c) => c.text(c.req.header("x-a") ?? "none", 201, { "x-b": "1" }));
    app.get("/go", (c) => c.redirect("/", 303));
    app.get("/none", (c) => c.body(null, 204));
    app.get("/bytes", (c) => c.body(new Uint8Array([1, 2, 3])));
    app.get("/buffer", (c) => c.body(new Uint8Array([1, 2, 3]).buffer, 200, { "content-type": "a/b" }));
    app.get("/boom", () => {
      throw new Error("boom");
    });
    app.get("/teapot", () => {
      throw new HTTPException(418, { message: "short and stout" });
    });
    app.post("/json", async (c) => c.json(await c.req.json()));
    app.post("/form", async (c) => c.json(await c.req.parseBody({ all: true })));
    app.post("/twice", async (c) => c.text((await c.req.text()) + JSON.stringify(await c.req.json())));
    app.on(["PURGE", "PROPFIND"], "/any", (c) => c.text(c.req.method));
    app.all("/all", (c) => c.text(`${c.req.method} ${c.req.path} ${new URL(c.req.url).pathname}`));
    app.notFound((c) => c.text("nowhere", 404));
    app.onError((error, c) => (error instanceof HTTPException ? error.getResponse() : c.text("sorry", 500)));
  };

  test.each<[string, RequestInit, number, string]>([
    ["/", {}, 200, "Hello, world!"],
    ["/json/a%20b?q=%C3%A4", {}, 200, '{"name":"a b","query":"ä"}'],
    ["/html", {}, 200, "<h1>&lt;a&gt;</h1>"],
    ["/header", { headers: { "x-a": "1" } }, 201, "1"],
    ["/go", {}, 303, ""],
    ["/none", {}, 204, ""],
    ["/bytes", {}, 200, "\u0001\u0002\u0003"],
    ["/buffer", {}, 200, "\u0001\u0002\u0003"],
    ["/boom", {}, 500, "sorry"],
    ["/teapot", {}, 418, "short and stout"],
    ["/json", { method: "POST", body: '{"a":[1]}' }, 200, '{"a":[1]}'],
    ["/form", { method: "POST", body: new URLSearchParams("a=1&a=2&b=3") }, 200, '{"a":["1","2"],"b":"3"}'],
    ["/twice", { method: "POST", body: "{}" }, 200, "{}{}"],
    ["/any", { method: "PROPFIND" }, 200, "PROPFIND"],
    ["/all", { method: "DELETE" }, 200, "DELETE /all /all"],
    ["/nothing", {}, 404, "nowhere"],
    ["/", { method: "HEAD" }, 200, ""],
  ])("%s %j", async (path, init, status, text) => {
    const { get, reports } = await served(build);
    const answer = await get(path, init);
    expect([answer.status, await answer.text()]).toEqual([status, text]);
    expect(reports).toEqual([]);
  });

  test("an upload in parts", async () => {
    const { get } = await served((app) => {
      app.post("/", async (c) => {
        const { file, note } = await c.req.parseBody<{ file: File; note: string }>();
        return c.json([file.name, file.size, await file.text(), note]);
      });
    });
    const body = new FormData();
    body.set("file", new File(["content"], "a.txt"));
    body.set("note", "ä");
    expect(await (await get("/", { method: "POST", body })).json()).toEqual(["a.txt", 7, "content", "ä"]);
  });

  test("routes, base paths and mounted handlers", async () => {
    const { get } = await served((app) => {
      app.route(
        "/books",
        new Hono().get("/:id", (c) => c.text(`book ${c.req.param("id")}`)),
      );
      app.mount("/raw", (request) => new Response(`${request.method} ${request.url}`));
      app.basePath("/api").get("/v", (c) => c.text("v1"));
    });
    expect(await (await get("/books/7")).text()).toBe("book 7");
    expect(await (await get("/raw/x?y")).text()).toMatch(/^GET http:\/\/127.0.0.1:\d+\/x\?y$/);
    expect(await (await get("/api/v")).text()).toBe("v1");
  });

  test("Hono's own client, typed", async () => {
    const app = new Hono().post(
      "/sum",
      validator("json", (value) => ({ terms: value.terms as number[] })),
      (c) => c.json({ sum: c.req.valid("json").terms.reduce((a, b) => a + b, 0) }),
    );
    const { url } = await serveFetch(app.fetch);
    const client = hc<typeof app>(url);
    const send = client.sum.$post as unknown as (input: unknown) => Promise<Response>;
    expect(await (await send({ json: { terms: [1, 2, 3] } })).json()).toEqual({ sum: 6 });
  });
});

describe("middleware", () => {
  test("cors", async () => {
    const { get } = await served((app) => {
      app.use(cors({ origin: "http://example.org", credentials: true, allowMethods: ["PUT"] }));
      app.put("/", (c) => c.text("put"));
    });
    const headers = { origin: "http://example.org", "access-control-request-method": "PUT" };
    const preflight = await get("/", { method: "OPTIONS", headers });
    expect([preflight.status, preflight.headers.get("access-control-allow-methods")]).toEqual([204, "PUT"]);
    const answer = await get("/", { method: "PUT", headers });
    expect(answer.headers.get("access-control-allow-origin")).toBe("http://example.org");
    expect(await answer.text()).toBe("put");
  });

  test("etag", async () => {
    const { get } = await served((app) => {
      app.use(etag());
      app.get("/", (c) => c.html(page));
    });
    const first = await get("/");
    const tag = first.headers.get("etag") ?? "";
    expect(tag).toContain(createHash("sha1").update(page).digest("hex"));
    expect(await first.text()).toBe(page);
    const second = await get("/", { headers: { "if-none-match": tag } });
    expect([second.status, await second.text()]).toEqual([304, ""]);
  });

  test.each([["gzip"], ["deflate"]])("compress: %s", async (coding) => {
    const { get } = await served((app) => {
      app.use(compress());
      app.get("/", (c) => c.html(page));
      app.get("/small", (c) => c.html("<p>", 200, { "content-length": "3" }));
    });
    const answer = await get("/", { headers: { "accept-encoding": coding } });
    expect(answer.headers.get("content-encoding")).toBe(coding);
    expect(await answer.text()).toBe(page);
    expect((await get("/small")).headers.get("content-encoding")).toBeNull();
  });

  test("basic and bearer authentication, and a token", async () => {
    const { get } = await served((app) => {
      app.use("/basic", basicAuth({ username: "u", password: "p" }));
      app.use("/bearer", bearerAuth({ token: "t" }));
      app.use("/jwt", jwt({ secret: "s", alg: "HS256" }));
      app.get("/:way", (c) => c.text("in"));
    });
    const token = await sign({ a: 1 }, "s", "HS256");
    const ways = { basic: `Basic ${btoa("u:p")}`, bearer: "Bearer t", jwt: `Bearer ${token}` };
    for (const [way, authorization] of Object.entries(ways)) {
      const refused = await get(`/${way}`);
      expect([refused.status, refused.headers.has("www-authenticate")]).toEqual([401, true]);
      await refused.text();
      expect(await (await get(`/${way}`, { headers: { authorization } })).text()).toBe("in");
    }
  });

  test("bodyLimit, of a known and of an unknown length", async () => {
    const { url } = await served((app) => {
      app.use(bodyLimit({ maxSize: 10, onError: (c) => c.text("too much", 413) }));
      app.post("/", async (c) => c.text(await c.req.text()));
    });
    const post = async (...pieces: string[]) => {
      const known = pieces.length === 1;
      const body = known ? (pieces[0] as string) : new Blob(pieces).stream();
      const answer = await undici.fetch(url, { method: "POST", body, duplex: "half" });
      return [answer.status, await answer.text()];
    };
    expect(await post("1234567890")).toEqual([200, "1234567890"]);
    expect(await post("12345678901")).toEqual([413, "too much"]);
    expect(await post("12345", "67890")).toEqual([200, "1234567890"]);
    expect(await post("12345", "678901")).toEqual([413, "too much"]);
  });

  test("cookies, plain and signed", async () => {
    const { get } = await served((app) => {
      app.get("/", async (c) => {
        setCookie(c, "a", "1", { httpOnly: true, path: "/" });
        await setSignedCookie(c, "b", "2", "secret");
        deleteCookie(c, "c");
        return c.json([getCookie(c, "x"), getCookie(c, "y"), await getSignedCookie(c, "secret", "b")]);
      });
    });
    const answer = await get("/", { headers: { cookie: "x=1; y=%C3%A4" } });
    expect(await answer.json()).toEqual(["1", "ä", null]);
    const set = answer.headers.getSetCookie();
    expect(set.map((cookie) => cookie.split("=")[0])).toEqual(["a", "b", "c"]);
    const signed = set[1]?.split(";")[0] ?? "";
    expect(((await (await get("/", { headers: { cookie: signed } })).json()) as unknown[])[2]).toBe("2");
  });

  test("validators", async () => {
    const { get } = await served((app) => {
      app.post(
        "/",
        validator("json", (value, c) => (typeof value.a === "number" ? value : c.text("no number", 400))),
        (c) => c.json(c.req.valid("json")),
      );
    });
    const post = async (body: string) => {
      const answer = await get("/", {
        method: "POST",
        body,
        headers: { "content-type": "application/json" },
      });
      return [answer.status, await answer.text()];
    };
    expect(await post('{"a":1}')).toEqual([200, '{"a":1}']);
    expect(await post('{"a":"1"}')).toEqual([400, "no number"]);
    expect((await post("{"))[0]).toBe(400);
  });

  test("many at once", async () => {
    const { get } = await served((app) => {
      app.use(contextStorage(), requestId(), poweredBy(), secureHeaders(), timing(), prettyJSON(), csrf());
      app.use(timeout(5000), trimTrailingSlash());
      app.get("/", (c) => c.json({ id: getContext().get("requestId" as never), path: c.req.path }));
      app.get("/a", (c) => c.text("a"));
      app.post("/", (c) => c.text("posted"));
    });
    const answer = await get("/?pretty", { headers: { "x-request-id": "abc" } });
    expect(await answer.text()).toBe('{\n  "id": "abc",\n  "path": "/"\n}');
    for (const name of ["x-powered-by", "x-request-id", "server-timing", "x-content-type-options"]) {
      expect(answer.headers.has(name), name).toBe(true);
    }
    expect((await get("/a/")).status).toBe(301);
    const form = {
      method: "POST",
      body: new URLSearchParams("a=b"),
      headers: { origin: "http://evil.example" },
    };
    expect((await get("/", form)).status).toBe(403);
  });

  test("methodOverride", async () => {
    const { get } = await served((app) => {
      app.use(methodOverride({ app: app as never }));
      app.delete("/", async (c) => c.json(await c.req.parseBody()));
    });
    const body = new URLSearchParams({ _method: "DELETE", a: "1" });
    expect(await (await get("/", { method: "POST", body })).json()).toEqual({ a: "1" });
  });

  test("the proxy helper", async () => {
    const origin = await served((app) => {
      app.use(compress());
      app.all("/p", async (c) =>
        c.html(`${c.req.method} ${c.req.header("x-a")} ${await c.req.text()} ${page}`),
      );
    });
    const { get } = await served((app) => {
      app.all("/:path", (c) => proxy(`${origin.url}/${c.req.param("path")}`, { ...c.req }));
      app.all("/raw/:path", (c) => proxy(`${origin.url}/${c.req.param("path")}`, c.req.raw));
    });
    const headers = { "x-a": "1", "accept-encoding": "gzip" };
    for (const path of ["/p", "/raw/p"]) {
      expect(await (await get(path, { headers })).text(), path).toBe(`GET 1  ${page}`);
    }
    const posted = await get("/raw/p", { method: "POST", body: "b", headers });
    expect(await posted.text()).toBe(`POST 1 b ${page}`);
  });

  test("getConnInfo and ipRestriction", async () => {
    const { get } = await served((app) => {
      app.get("/", (c) => c.json(getConnInfo(c)));
      app.use("/no", ipRestriction(getConnInfo, { denyList: ["127.0.0.0/8"] }));
      app.use("/yes", ipRestriction(getConnInfo, { allowList: ["127.0.0.1"] }));
      app.get("/:x", (c) => c.text("in"));
    });
    expect(await (await get("/")).json()).toEqual({
      remote: { address: "127.0.0.1", addressType: "IPv4", port: expect.any(Number), transport: "tcp" },
    });
    expect((await get("/no")).status).toBe(403);
    expect((await get("/yes")).status).toBe(200);
  });

  test("c.env is the environment, c.executionCtx waits", async () => {
    const done = deferred();
    let waited = false;
    const { get, server } = await served((app) => {
      app.get("/path", (c) => {
        c.executionCtx.waitUntil(
          done.promise.then(() => {
            waited = true;
          }),
        );
        return c.text(c.env.mist.path);
      });
    });
    expect(await (await get("/path")).text()).toBe("/path");
    const stopped = server.stop({ deadlineMs: 5000 });
    done.resolve();
    await stopped;
    expect(waited).toBe(true);
  });
});

test("a body beyond maxBodyLimit is 413, a broken one 400, without a word of the app's", async () => {
  const app = new Hono();
  app.post("/", async (c) => c.json(await c.req.json()));
  app.post("/form", async (c) => c.json(await c.req.parseBody()));
  const { url, connect, reports } = await serveFetch(app.fetch, { maxBodyLimit: 10 });
  expect((await fetch(url, { method: "POST", body: "1".repeat(10) })).status).toBe(200);
  expect((await fetch(url, { method: "POST", body: "1".repeat(11) })).status).toBe(413);
  const form = new URLSearchParams({ name: "long enough" });
  expect((await fetch(`${url}/form`, { method: "POST", body: form })).status).toBe(413);
  const socket = await connect();
  await socket.send(
    "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\nno chunk\r\n",
  );
  expect((await readAnswer(socket)).status).toBe(400);
  await socket.close();
  expect(reports).toEqual([]);
});

describe("streaming", () => {
  test("stream, piped and written", async () => {
    const { get } = await served((app) => {
      app.get("/", (c) =>
        stream(c, async (out) => {
          await out.write(new Uint8Array([97]));
          await out.write("b");
          await out.pipe(new Blob(["c"]).stream());
        }),
      );
    });
    expect(await (await get("/")).text()).toBe("abc");
  });

  test("streamText leaves piece by piece", async () => {
    const go = [deferred(), deferred()];
    const { connect } = await served((app) => {
      app.get("/", (c) =>
        streamText(c, async (out) => {
          for (const step of go) {
            await step.promise;
            await out.writeln("step");
          }
        }),
      );
    });
    const socket = await connect();
    await socket.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    expect(String(await socket.receiveUntil("\r\n\r\n", { timeout: 5000 }))).toContain("text/plain");
    for (const step of go) {
      step.resolve();
      expect(String(await socket.receiveUntil("step\n\r\n", { timeout: 5000 }))).toContain("5\r\n");
    }
    await socket.receiveUntil("0\r\n\r\n", { timeout: 5000 });
    await socket.close();
  });

  test("an event stream that listens to the stopping server ends at once, and the health check is red", async () => {
    const { connect, get, server } = await served((app) => {
      app.get("/readyz", (c) => c.body(null, c.env.mist.stopping.aborted ? 503 : 204));
      app.get("/feed", (c) =>
        streamSSE(c, async (out) => {
          const { stopping } = c.executionCtx as unknown as FetchContext;
          while (!stopping.aborted) {
            await out.writeSSE({ data: "beat" });
            await sleep(3_600_000, undefined, { signal: stopping }).catch(() => {});
          }
        }),
      );
    });
    expect((await get("/readyz")).status).toBe(204);
    const socket = await connect();
    await socket.send("GET /feed HTTP/1.1\r\nhost: a\r\n\r\n");
    await socket.receiveUntil("beat", { timeout: 10_000 });
    void server.stop({ delayMs: 3_600_000 });
    await socket.receiveUntil("0\r\n\r\n", { timeout: 10_000 });
    await socket.close();
    expect((await get("/readyz")).status).toBe(503);
    expect(await server.stop({ deadlineMs: 3_600_000 })).toMatchObject({ killed: 0 });
  });

  test("streamSSE, and onAbort when the client leaves", async () => {
    const aborted = deferred();
    const { connect } = await served((app) => {
      app.get("/", (c) =>
        streamSSE(c, async (out) => {
          out.onAbort(() => aborted.resolve());
          await out.writeSSE({ event: "tick", id: "1", data: "a\nb" });
          await aborted.promise;
        }),
      );
    });
    const socket = await connect();
    await socket.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    const head = String(await socket.receiveUntil("\r\n\r\n", { timeout: 5000 }));
    expect(head).toContain("content-type: text/event-stream");
    const event = String(await socket.receiveUntil("\n\n", { timeout: 5000 }));
    expect(event).toContain("event: tick\ndata: a\ndata: b\nid: 1\n\n");
    await socket.reset();
    await aborted.promise;
  });

  test("an error inside is told to the stream's own handler, and the answer ends", async () => {
    const failed = deferred<string>();
    const { get } = await served((app) => {
      app.get("/", (c) =>
        stream(
          c,
          async (out) => {
            await out.write("part");
            throw new Error("inside");
          },
          async (error) => failed.resolve(error.message),
        ),
      );
    });
    expect(await (await get("/")).text()).toBe("part");
    expect(await failed.promise).toBe("inside");
  });
});

test("pipelined requests of one connection", async () => {
  const { connect } = await served((app) => {
    app.use(async (c, next) => {
      await next();
      c.header("x-n", c.req.query("n") ?? "");
    });
    app.get("/", (c) => c.text(`n=${c.req.query("n")}`));
  });
  const socket = await connect();
  await socket.send([1, 2, 3].map((n) => `GET /?n=${n} HTTP/1.1\r\nhost: a\r\n\r\n`).join(""));
  for (const n of ["1", "2", "3"]) {
    const answer = await readAnswer(socket);
    expect([answer.body, answer.headers.get("x-n")]).toEqual([`n=${n}`, n]);
  }
  await socket.close();
});

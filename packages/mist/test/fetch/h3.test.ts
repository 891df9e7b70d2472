// H3 apps on mist: routes, helpers, middleware, streams, sockets.

import { once } from "node:events";
import {
  basicAuth,
  bodyLimit,
  createEventStream,
  defineWebSocketHandler,
  getCookie,
  getQuery,
  getRequestIP,
  getRequestURL,
  getRouterParam,
  getValidatedQuery,
  H3,
  HTTPError,
  handleCacheHeaders,
  handleCors,
  html,
  iterable,
  proxy,
  proxyRequest,
  readBody,
  readFormData,
  redirect,
  setCookie,
} from "h3";
import { describe, expect, test } from "vitest";
import { withWebSockets } from "../../src/fetch/crossws/crossws.ts";
import { deferred, serveFetch, socketTo } from "./serve-fetch.ts";

async function served(build: (app: H3) => void) {
  const app = new H3({ silent: true });
  build(app);
  const served = await serveFetch(withWebSockets(app.fetch));
  const get = (path: string, init?: RequestInit) => fetch(served.url + path, { redirect: "manual", ...init });
  return { ...served, get };
}

describe("answers", () => {
  const build = (app: H3) => {
    app.get("/", () => "Hello, world!");
    app.get("/json/:name", (event) => ({ name: getRouterParam(event, "name"), query: getQuery(event) }));
    app.get("/html", () => html`<h1>${"a"}</h1>`);
    app.get("/null", () => null);
    app.get("/response", () => new Response("r", { status: 202, headers: { "x-a": "1" } }));
    app.get("/blob", () => new Blob(["b"]));
    app.get("/bytes", () => new Uint8Array([97, 98]));
    app.get("/stream", () => new Blob(["streamed"]).stream());
    app.get("/iterable", () => iterable(["a", "b", "c"]));
    app.get("/go", () => redirect("/", 307));
    app.get("/error", () => {
      throw new HTTPError({ status: 418, message: "teapot" });
    });
    app.get("/boom", () => {
      throw new Error("boom");
    });
    app.get("/status", (event) => {
      event.res.status = 203;
      event.res.headers.set("x-b", "2");
      setCookie(event, "a", "1");
      setCookie(event, "b", "2");
      return getCookie(event, "x") ?? "";
    });
    app.get("/url", (event) => getRequestURL(event).href);
    app.get("/ip", (event) => getRequestIP(event) ?? "?");
    app.post("/body", async (event) => (await readBody(event)) ?? "none");
    app.post("/form", async (event) => Object.fromEntries(await readFormData(event)));
    app.get("/valid", async (event) => {
      return await getValidatedQuery(event, (query) => (query as { a?: string }).a !== undefined);
    });
    app.mount(
      "/sub",
      new H3().get("/x", () => "mounted"),
    );
    app.mount("/raw", (request) => new Response(new URL(request.url).pathname));
  };

  test.each<[string, RequestInit, number, string | RegExp]>([
    ["/", {}, 200, "Hello, world!"],
    ["/json/a?b=%C3%A4", {}, 200, /^\{\s*"name":\s*"a",\s*"query":\s*\{\s*"b":\s*"ä"\s*\}\s*\}$/],
    ["/html", {}, 200, "<h1>a</h1>"],
    ["/null", {}, 200, ""],
    ["/response", {}, 202, "r"],
    ["/blob", {}, 200, "b"],
    ["/bytes", {}, 200, "ab"],
    ["/stream", {}, 200, "streamed"],
    ["/iterable", {}, 200, "abc"],
    ["/go", {}, 307, /.*/],
    ["/error", {}, 418, /teapot/],
    ["/boom", {}, 500, /.*/],
    ["/nothing", {}, 404, /.*/],
    ["/status", { headers: { cookie: "x=y" } }, 203, "y"],
    ["/url?a=b", {}, 200, /^http:\/\/127.0.0.1:\d+\/url\?a=b$/],
    ["/ip", {}, 200, "127.0.0.1"],
    [
      "/body",
      { method: "POST", body: '{"a":1}', headers: { "content-type": "application/json" } },
      200,
      /"a":\s*1/,
    ],
    ["/form", { method: "POST", body: new URLSearchParams("a=1") }, 200, /"a":\s*"1"/],
    ["/valid", {}, 400, /.*/],
    ["/sub/x", {}, 200, "mounted"],
    ["/raw/y", {}, 200, "/y"],
    ["/", { method: "HEAD" }, 200, ""],
  ])("%s %j", async (path, init, status, text) => {
    const { get, reports } = await served(build);
    const answer = await get(path, init);
    const body = await answer.text();
    expect(answer.status).toBe(status);
    if (typeof text === "string") expect(body).toBe(text);
    else expect(body).toMatch(text);
    expect(reports).toEqual([]);
  });

  test("headers and cookies", async () => {
    const { get } = await served(build);
    const answer = await get("/status");
    expect(answer.headers.get("x-b")).toBe("2");
    expect(answer.headers.getSetCookie().map((cookie) => cookie.split(";")[0])).toEqual(["a=1", "b=2"]);
  });
});

test("middleware: cors, authentication, limits, cache", async () => {
  const { get } = await served((app) => {
    app.use((event) => {
      const answered = handleCors(event, { origin: "*", methods: "*" });
      return answered === false ? undefined : answered;
    });
    app.use("/secret", basicAuth({ username: "u", password: "p" }));
    app.use("/small", bodyLimit(5));
    app.get("/secret", () => "in");
    app.post("/small", async (event) => await event.req.text());
    app.get("/cached", (event) => (handleCacheHeaders(event, { etag: '"1"' }) ? "" : "fresh"));
  });
  expect(
    (
      await get("/secret", {
        method: "OPTIONS",
        headers: { origin: "http://a", "access-control-request-method": "GET" },
      })
    ).status,
  ).toBe(204);
  expect((await get("/secret")).status).toBe(401);
  const authorization = `Basic ${btoa("u:p")}`;
  expect(await (await get("/secret", { headers: { authorization } })).text()).toBe("in");
  expect(await (await get("/small", { method: "POST", body: "12345" })).text()).toBe("12345");
  expect((await get("/small", { method: "POST", body: "123456" })).status).toBe(413);
  expect((await get("/cached", { headers: { "if-none-match": '"1"' } })).status).toBe(304);
});

test("server-sent events, closed with the client", async () => {
  const closed = deferred();
  const { connect } = await served((app) => {
    app.get("/", (event) => {
      const stream = createEventStream(event);
      stream.onClosed(() => closed.resolve());
      void stream.push({ event: "tick", data: "1" });
      return stream.send();
    });
  });
  const socket = await connect();
  await socket.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  expect(String(await socket.receiveUntil("data: 1\n\n", { timeout: 5000 }))).toContain("text/event-stream");
  await socket.reset();
  await closed.promise;
});

test("proxies", async () => {
  const origin = await served((app) => {
    app.all(
      "/x",
      async (event) => `${event.req.method} ${event.req.headers.get("x-a")} ${await event.req.text()}`,
    );
  });
  const { get } = await served((app) => {
    app.all("/request", (event) => proxyRequest(event, `${origin.url}/x`));
    app.all("/plain", (event) => proxy(event, `${origin.url}/x`));
  });
  const posted = await get("/request", { method: "POST", body: "b", headers: { "x-a": "1" } });
  expect(await posted.text()).toBe("POST 1 b");
  expect(await (await get("/plain")).text()).toBe("GET null ");
});

test("a body beyond maxBodyLimit is 413", async () => {
  const app = new H3({ silent: true }).post("/", async (event) => await event.req.text());
  const { url } = await serveFetch(app.fetch, { maxBodyLimit: 10 });
  expect((await fetch(url, { method: "POST", body: "1".repeat(10) })).status).toBe(200);
  expect((await fetch(url, { method: "POST", body: "1".repeat(11) })).status).toBe(413);
});

test("waitUntil is waited for", async () => {
  const work = deferred();
  let done = false;
  const { get, server } = await served((app) => {
    app.get("/", (event) => {
      event.waitUntil(
        work.promise.then(() => {
          done = true;
        }),
      );
      return "";
    });
  });
  await (await get("/")).text();
  const stopped = server.stop({ deadlineMs: 5000 });
  work.resolve();
  await stopped;
  expect(done).toBe(true);
});

describe("sockets", () => {
  const build = (app: H3) => {
    app.get("/plain", () => "plain");
    app.get(
      "/ws/:room",
      defineWebSocketHandler({
        upgrade(request) {
          if (request.headers.has("x-refuse")) return new Response("refused", { status: 403 });
          return { headers: { "x-room": "yes" } };
        },
        open: (peer) => {
          peer.subscribe("room");
          peer.send({ welcome: peer.remoteAddress });
        },
        message: (peer, message) => peer.publish("room", message.text()),
      }),
    );
    app.get(
      "/lazy",
      defineWebSocketHandler(async () => ({ open: (peer) => void peer.send("lazy") })),
    );
  };

  const open = async (port: number, path: string) => {
    const client = socketTo(port, path);
    const [[message]] = await Promise.all([once(client, "message"), once(client, "open")]);
    return { client, message: String(message) };
  };

  test("rooms", async () => {
    const { port } = await served(build);
    const first = await open(port, "/ws/a");
    const second = await open(port, "/ws/a");
    const other = await open(port, "/ws/b");
    expect(first.message).toBe('{"welcome":"127.0.0.1"}');
    let leaked = false;
    other.client.on("message", () => {
      leaked = true;
    });
    const heard = once(second.client, "message");
    first.client.send("hello");
    expect(String((await heard)[0])).toBe("hello");
    expect(leaked).toBe(false);
    expect((await open(port, "/lazy")).message).toBe("lazy");
  });

  test("refused by a hook, and where the app has none", async () => {
    const { port, get } = await served(build);
    const refused = socketTo(port, "/ws/a", [], { headers: { "x-refuse": "1" } });
    expect((await once(refused, "unexpected-response"))[1].statusCode).toBe(403);
    const nowhere = socketTo(port, "/nothing");
    expect((await once(nowhere, "unexpected-response"))[1].statusCode).toBe(404);
    const plain = socketTo(port, "/plain");
    expect((await once(plain, "unexpected-response"))[1].statusCode).toBe(200);
    expect((await get("/ws/a")).status).toBe(426);
  });
});

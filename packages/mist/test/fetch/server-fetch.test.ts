// Apps of Hono and H3 tested with `mist.test`: no port, the real server, HTTP/1.1 and HTTP/2.

import { H3, readBody } from "h3";
import { Hono } from "hono";
import { cors } from "hono/cors";
import { describe, expect, test } from "vitest";
import { fromFetch } from "../../src/fetch/index.ts";
import * as mist from "../../src/index.ts";

const late = () =>
  new ReadableStream({
    async start(controller) {
      for (const piece of ["one ", "two"]) {
        controller.enqueue(new TextEncoder().encode(piece));
        await new Promise((resolve) => setImmediate(resolve));
      }
      controller.close();
    },
  });

const hono = new Hono()
  .use(cors({ origin: "https://app.test" }))
  .get("/books/:id", (c) => c.json({ id: c.req.param("id"), q: c.req.query("q") ?? null }))
  .post("/books", async (c) => c.json(await c.req.json(), 201))
  .get("/stream", (c) => c.body(late()));
const h3 = new H3()
  .use((event) => void event.res.headers.set("access-control-allow-origin", "https://app.test"))
  .get("/books/:id", (event) => ({ id: event.context.params?.id, q: event.url.searchParams.get("q") }))
  .post("/books", async (event) => {
    event.res.status = 201;
    return await readBody(event);
  })
  .get("/stream", () => late());

describe.each([
  ["Hono", hono.fetch],
  ["H3", h3.fetch],
] as const)("an app of %s", (_name, handler) => {
  test.each([1, 2] as const)("over HTTP/%s", async (httpVersion) => {
    await using server = await mist.test(fromFetch(handler as never));
    const found = await server.fetch("/books/7?q=a", {
      httpVersion,
      headers: { origin: "https://app.test" },
    });
    expect(found.headers.get("access-control-allow-origin")).toBe("https://app.test");
    expect(await found.json()).toEqual({ id: "7", q: "a" });
    const made = await server.fetch("/books", {
      httpVersion,
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ title: "Emma" }),
    });
    expect([made.status, await made.json()]).toEqual([201, { title: "Emma" }]);
    expect(await (await server.fetch("/stream", { httpVersion })).text()).toBe("one two");
    expect((await server.fetch("/nowhere", { httpVersion })).status).toBe(404);
  });
});

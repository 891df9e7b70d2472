// Fetch handlers and frameworks over HTTP/2.

import { H3 } from "h3";
import { Hono } from "hono";
import { expect, test } from "vitest";
import { fromFetch } from "../../src/fetch/index.ts";
import { serve } from "../server/serve.ts";
import { answerOf, ask, session } from "./client.ts";

test("Hono and H3 answer", async () => {
  const hono = new Hono().post("/echo", async (c) =>
    c.text(`hono ${await c.req.text()}`, 201, { "x-a": "1" }),
  );
  const h3 = new H3().post("/echo", async (event) => `h3 ${await event.req.text()}`);
  for (const [name, handler] of [
    ["hono", fromFetch(hono.fetch)],
    ["h3", fromFetch((request) => h3.fetch(request))],
  ] as const) {
    const { url } = await serve(handler);
    const answer = await ask(await session(url), "/echo", { body: "hello" });
    expect(answer.body.toString()).toBe(`${name} hello`);
    expect(answer.status).toBe(name === "hono" ? 201 : 200);
  }
});

const echoing = new Hono().post("/", (c) => c.body(c.req.raw.body as ReadableStream));

test.each([
  ["a body passed on", fromFetch((request) => new Response(request.body))],
  ["Node's own Request", fromFetch((request) => new Response(request.body), { overrideGlobals: false })],
  ["Hono", fromFetch(echoing.fetch)],
])("full duplex: each piece is answered before the next is sent: %s", async (_, handler) => {
  const { url } = await serve(handler);
  const client = await session(url);
  const stream = client.request({ ":method": "POST", ":path": "/" });
  const heard: string[] = [];
  const answer = answerOf(stream);
  for (const piece of ["one", "two", "three"]) {
    const come = new Promise<void>((resolve) => {
      stream.once("data", (data: Buffer) => {
        heard.push(data.toString());
        resolve();
      });
    });
    stream.write(piece);
    await come;
  }
  stream.end();
  expect((await answer).body.toString()).toBe("onetwothree");
  expect(heard).toEqual(["one", "two", "three"]);
});

test("a reset aborts the request's signal", async () => {
  const aborted = new Promise<unknown>((resolve) => {
    told = resolve;
  });
  const { url } = await serve(
    fromFetch(async (request) => {
      request.signal.addEventListener("abort", () => told(request.signal.reason));
      return new Response(new ReadableStream({ pull: () => new Promise(() => {}) }));
    }),
  );
  const client = await session(url);
  const stream = client.request({ ":path": "/" });
  stream.on("error", () => {});
  stream.once("response", () => stream.close(8));
  expect(await aborted).toBeInstanceOf(Error);
});
let told: (reason: unknown) => void = () => {};

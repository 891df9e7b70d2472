// Fetch handlers over TLS, on a unix socket, where nobody has an address, and behind other handlers of mist.

import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { request as secureRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { Hono } from "hono";
import { streamText } from "hono/streaming";
import { expect, onTestFinished, test } from "vitest";
import { getConnInfo } from "../../src/fetch/hono/hono.ts";
import { fromFetch } from "../../src/fetch/index.ts";
import * as mist from "../../src/index.ts";
import { certificate } from "../conformance/certificate.ts";
import { serve } from "../server/serve.ts";
import { deferred, serveFetch } from "./serve-fetch.ts";

const app = new Hono().get("/a", (c) =>
  c.json([c.req.url, getConnInfo(c).remote, (c.req.raw as Request & { ip?: string }).ip ?? null]),
);

test("over TLS the scheme is https, and 443 its own port", async () => {
  const { cert, key } = await certificate();
  const { port } = await serveFetch(app.fetch, {}, (builder) => builder.withTls({ cert, key }));
  const seen = async (headers: Record<string, string>) => {
    const asking = secureRequest({
      host: "127.0.0.1",
      port,
      path: "/a",
      headers,
      ca: cert,
      servername: "localhost",
    }).end();
    const [answer] = await once(asking, "response");
    return JSON.parse(await text(answer))[0];
  };
  expect(await seen({})).toBe(`https://127.0.0.1:${port}/a`);
  expect(await seen({ host: "example.org:443" })).toBe("https://example.org/a");
  expect(await seen({ host: "example.org:80" })).toBe("https://example.org:80/a");
});

test("on a unix socket", async () => {
  const folder = mkdtempSync(join(tmpdir(), "mist-fetch-"));
  const socketPath = join(folder, "s");
  const server = await mist
    .new(fromFetch(app.fetch))
    .afterStart(() => {})
    .start({ path: socketPath });
  onTestFinished(async () => {
    await server.stop({ deadlineMs: 0 });
    rmSync(folder, { recursive: true });
  });
  const ask = async (headers: Record<string, string>) => {
    const asking = request({ socketPath, path: "/a", headers }).end();
    const [answer] = await once(asking, "response");
    return JSON.parse(await text(answer));
  };
  expect(await ask({ host: "example.org" })).toEqual(["http://example.org/a", {}, null]);
});

test("behind static files, and in front of a compressor", async () => {
  const root = mkdtempSync(join(tmpdir(), "mist-fetch-"));
  onTestFinished(() => rmSync(root, { recursive: true }));
  writeFileSync(join(root, "a.txt"), "a file");
  const page = "a page ".repeat(1000);
  const go = deferred();
  const app = new Hono();
  app.get("/", (c) => c.text(page));
  app.post("/a.txt", async (c) => c.text(await c.req.text()));
  app.get("/slow", (c) =>
    streamText(c, async (out) => {
      await out.write(page);
      await go.promise;
    }),
  );
  const files = mist.staticFiles({ root, index: false, fallback: fromFetch(app.fetch) });
  const { url } = await serve(mist.compress(files));
  const range = { headers: { range: "bytes=2-" } };
  expect(await (await fetch(`${url}/a.txt`, range)).text()).toBe("file");
  const answer = await fetch(url, { headers: { "accept-encoding": "gzip" } });
  expect(answer.headers.get("content-encoding")).toBe("gzip");
  expect(await answer.text()).toBe(page);
  expect(await (await fetch(`${url}/a.txt`, { method: "POST", body: "posted" })).text()).toBe("posted");
  expect((await fetch(`${url}/nowhere`)).status).toBe(404);
  // What a slow stream has given does not wait in the compressor for what it has not.
  const slow = await fetch(`${url}/slow`, { headers: { "accept-encoding": "gzip" } });
  expect(slow.headers.get("content-encoding")).toBe("gzip");
  let heard = "";
  for await (const piece of slow.body as unknown as AsyncIterable<Uint8Array>) {
    heard += new TextDecoder().decode(piece);
    if (heard === page) go.resolve();
  }
  expect(heard).toBe(page);
});

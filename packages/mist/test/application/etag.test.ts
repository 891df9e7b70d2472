// `etag`: tags for what handlers answer as a whole, and the 304 they save.

import { describe, expect, onTestFinished, test } from "vitest";
import { fromFetch } from "../../src/fetch/index.ts";
import * as mist from "../../src/index.ts";

async function started(handler: mist.Handler): Promise<mist.Server> {
  const server = await mist.test(mist.new(handler).onError(() => {}));
  onTestFinished(() => server[Symbol.asyncDispose]());
  return server;
}

const page = "hello ".repeat(400);
const plain: mist.Handler = () =>
  mist.text(page, { headers: { "cache-control": "max-age=5", "x-a": "1", "set-cookie": "s=1" } });

describe.each([
  ["a handler that answers at once", plain],
  ["a promise", async (request: mist.Request) => plain(request)],
  [
    "a fetch app",
    fromFetch(() => new Response(page, { headers: { "cache-control": "max-age=5", "x-a": "1" } })),
  ],
] as [string, mist.Handler][])("%s", (_name, handler) => {
  test("has a strong tag, and 304 for who has it", async () => {
    const server = await started(mist.etag(handler));
    const first = await server.fetch("/");
    const tag = first.headers.get("etag")!;
    expect(tag).toMatch(/^"[\w-]{27}"$/);
    expect(await first.text()).toBe(page);
    for (const [method, match] of [
      ["GET", tag],
      ["HEAD", tag],
      ["GET", `"other", W/${tag}`],
      ["GET", "*"],
    ] as const) {
      const again = await server.fetch("/", { method, headers: { "if-none-match": match } });
      expect(again.status).toBe(304);
      expect(again.headers.get("etag")).toBe(tag);
      expect(again.headers.get("x-a")).toBe("1");
      expect(again.headers.get("cache-control")).toBe("max-age=5");
      expect(again.headers.get("content-type")).toBeNull();
      expect(await again.text()).toBe("");
    }
    const other = await server.fetch("/", { headers: { "if-none-match": '"other"' } });
    expect([other.status, await other.text()]).toEqual([200, page]);
    expect((await server.fetch("/", { headers: { "if-match": '"other"' } })).status).toBe(412);
    expect((await server.fetch("/", { headers: { "if-match": tag } })).status).toBe(200);
  });
});

test("the tag is the content's", async () => {
  const server = await started(
    mist.etag(({ path }) =>
      mist.response(200, { body: path === "/b" ? Buffer.from("b") : path.slice(1, 2) }),
    ),
  );
  const tag = async (path: string) => (await server.fetch(path)).headers.get("etag");
  expect(await tag("/b")).toBe(await tag("/bb"));
  expect(await tag("/a")).not.toBe(await tag("/b"));
});

test("a tag and a date that are there are kept, and heeded", async () => {
  const headers = { etag: 'W/"v1"', "last-modified": "Thu, 01 Jan 2026 00:00:00 GMT" };
  const server = await started(mist.etag(() => mist.text("a", { headers })));
  expect((await server.fetch("/")).headers.get("etag")).toBe('W/"v1"');
  expect((await server.fetch("/", { headers: { "if-none-match": '"v1"' } })).status).toBe(304);
  const since = { "if-modified-since": "Thu, 01 Jan 2026 00:00:00 GMT" };
  expect((await server.fetch("/", { headers: since })).status).toBe(304);
});

test.each([
  ["other methods", () => mist.text("a"), { method: "POST" }],
  ["other statuses", () => mist.text("a", { status: 201 }), {}],
  ["no content", () => mist.response(200), {}],
  ["long bodies", () => mist.text("a".repeat(11)), {}],
  ["streams", () => mist.response(200).setBody(mist.chunked(["a"])), {}],
  ["trailers", () => mist.text("a").withTrailers(() => ({})), {}],
  ["no-store", () => mist.text("a", { headers: { "cache-control": "private, No-Store" } }), {}],
] as [string, mist.Handler, mist.FetchInit][])("leaves alone: %s", async (_name, handler, init) => {
  const server = await started(mist.etag(handler, { maxLength: 10 }));
  const answer = await server.fetch("/", { ...init, headers: { "if-none-match": "*" } });
  expect(answer.headers.get("etag")).toBeNull();
  expect(answer.status).not.toBe(304);
});

test("within compress: the tag becomes weak, and still saves the content", async () => {
  const server = await started(mist.compress(mist.etag(plain)));
  const headers = { "accept-encoding": "gzip" };
  const first = await server.fetch("/", { headers });
  const tag = first.headers.get("etag")!;
  expect(tag).toMatch(/^W\//);
  const again = await server.fetch("/", { headers: { ...headers, "if-none-match": tag } });
  expect([again.status, again.headers.get("etag"), again.headers.get("vary")]).toEqual([
    304,
    tag,
    "accept-encoding",
  ]);
});

test.each([
  [() => mist.etag(undefined as never), "the handler given to etag must be a function, got undefined"],
  [() => mist.etag(plain, { maxLength: -1 }), "maxLength must be a number of bytes, at least 0, got -1"],
  [() => mist.etag(plain, { weak: true } as never), "weak"],
])("refuses wrong options", (call, message) => {
  expect(call).toThrow(mist.UsageError);
  expect(call).toThrow(message);
});

// Responses as values: made with options, and those that most applications make.

import { describe, expect, it, test } from "vitest";
import * as mist from "../../src/index.ts";

describe("response(status, options)", () => {
  it("takes fields by name or as lines, several of one name too", () => {
    const headers = { "Content-Type": "text/css", "set-cookie": ["a=1", "b=2"], "x-none": undefined };
    const lines = [
      ["content-type", "text/css"],
      ["set-cookie", "a=1"],
      ["set-cookie", "b=2"],
    ] as const;
    expect(mist.response(200, { headers }).headers).toEqual(lines);
    expect(mist.response(200, { headers: lines }).headers).toEqual(lines);
    expect(mist.response(200, { headers }).getHeaders("Set-Cookie")).toEqual(["a=1", "b=2"]);
    expect(mist.response(200, { headers }).getHeader("Set-Cookie")).toBe("a=1");
  });

  it("takes text, bytes and other bodies, as setBody does", () => {
    const body = new Uint8Array([1, 2]);
    for (const made of [mist.response(200, { body }), mist.response(200).setBody(body)]) {
      expect(made.body).toEqual({ kind: "bytes", data: body });
    }
    expect(mist.response(200, { body: "é" }).body).toEqual(mist.bytes("é"));
    const chunks = mist.chunked(["a"]);
    expect(mist.response(200, { body: chunks }).body).toBe(chunks);
    expect(mist.response(204, {}).body).toEqual({ kind: "empty" });
    expect(mist.response(204, { headers: undefined, body: undefined })).toEqual(mist.response(204));
  });

  it.each<[string, () => unknown, string]>([
    ["a wrong status", () => mist.response("200" as never), 'must be an integer from 200 to 599, got "200"'],
    ["an interim status", () => mist.response(103), "from 200 to 599, got 103"],
    ["a misspelt option", () => mist.response(200, { header: {} } as never), 'has no option "header"'],
    ["text in place of options", () => mist.response(200, "hello" as never), "must be an object"],
    [
      "a number as a value",
      () => mist.response(200, { headers: { age: 5 } as never }),
      "must be a string, got 5",
    ],
    [
      "a line break in a value",
      () => mist.response(200, { headers: { a: "b\r\nc: d" } }),
      "control characters",
    ],
    ["a line break in a name", () => mist.response(200, { headers: [["a\n", "b"]] }), "must be a token"],
    [
      "a number set",
      () => mist.response(200).setHeader("x", 5 as never),
      "the value of x must be a string, got 5",
    ],
  ])("refuses %s", (_, make, message) => {
    expect(make).toThrow(mist.UsageError);
    expect(make).toThrow(message);
  });
});

test.each([
  ["json", mist.json({ a: [1, "é"] }), "application/json", '{"a":[1,"é"]}'],
  ["json of null", mist.json(null), "application/json", "null"],
  ["text", mist.text("é"), "text/plain; charset=utf-8", "é"],
  ["html", mist.html("<p>é"), "text/html; charset=utf-8", "<p>é"],
])("%s sets the type and the body", (_, response, type, data) => {
  expect([response.status, response.headers]).toEqual([200, [["content-type", type]]]);
  expect(response.body).toEqual({ kind: "bytes", data });
});

test("they take a status and fields; a content-type among them stands", () => {
  const response = mist.json(
    {},
    { status: 422, headers: { "Content-Type": "application/problem+json", etag: '"1"' } },
  );
  expect(response.status).toBe(422);
  expect(response.getHeaders("content-type")).toEqual(["application/problem+json"]);
  expect(response.getHeader("etag")).toBe('"1"');
});

test("they arrive as they are", async () => {
  await using server = await mist.serve({
    port: 0,
    afterStart: () => {},
    handler: (request) => (request.path === "/" ? mist.redirect("/json") : mist.json({ héllo: 1 })),
  });
  const response = await fetch(server.url);
  expect(response.redirected).toBe(true);
  expect(response.headers.get("content-type")).toBe("application/json");
  expect(await response.json()).toEqual({ héllo: 1 });
});

const circular: { self?: unknown } = {};
circular.self = circular;

test.each<[string, () => unknown, string]>([
  ["undefined", () => mist.json(undefined), "JSON cannot represent undefined"],
  ["a function", () => mist.json(() => 1), "JSON cannot represent a function"],
  ["a bigint", () => mist.json({ n: 1n }), "JSON cannot represent this value"],
  ["a circle", () => mist.json(circular), "JSON cannot represent this value: Converting circular structure"],
  ["a number as text", () => mist.text(5 as never), "text takes a string, got 5"],
  [
    "bytes as html",
    () => mist.html(new Uint8Array() as never),
    "html takes a string, got an object of class",
  ],
  ["a misspelt option", () => mist.text("", { state: 404 } as never), 'text has no option "state"'],
  [
    "a status in place of options",
    () => mist.json({}, 404 as never),
    "the options of json must be an object, got 404",
  ],
])("%s is a UsageError", (_, make, message) => {
  expect(make).toThrow(mist.UsageError);
  expect(make).toThrow(message);
});

describe("redirect", () => {
  it.each([
    ["/items/7?a=b#c", undefined, 302],
    ["../up", 301, 301],
    ["https://example.com/%C3%A9", 303, 303],
    ["?page=2", 307, 307],
    ["http://[::1]:8080/", 308, 308],
  ])("to %s", (location, status, sent) => {
    const response = mist.redirect(location, status);
    expect([response.status, response.headers, response.body]).toEqual([
      sent,
      [["location", location]],
      { kind: "empty" },
    ]);
  });

  it("takes a URL", () => {
    expect(mist.redirect(new URL("https://example.com/é b")).getHeader("location")).toBe(
      "https://example.com/%C3%A9%20b",
    );
  });

  it.each(["", "/é", "/a b", "/a\r\nset-cookie: b=c", "/\\evil.example", "/%zz", "/<a>", undefined, 7])(
    "refuses the location %j",
    (location) => {
      expect(() => mist.redirect(location as string)).toThrow(mist.UsageError);
      expect(() => mist.redirect(location as string)).toThrow("must be a URI reference");
    },
  );

  it.each([200, 300, 304, 305, 306, 309, 404, "302"])("refuses the status %j", (status) => {
    expect(() => mist.redirect("/", status as number)).toThrow(mist.UsageError);
  });
});

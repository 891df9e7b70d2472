// The light Response against Node's own: whatever is asked of it, the answers are the same.

import { inspect } from "node:util";
import { FormData as UndiciFormData, Response as UndiciResponse } from "undici";
import { describe, expect, test } from "vitest";
import { LightResponse } from "../../src/fetch/response.ts";

const Native = globalThis.Response;
const Light = LightResponse as unknown as typeof Response;

type Init = ConstructorParameters<typeof Response>[1];
type Make = () => [body?: unknown, init?: unknown];

const streamOf = (...pieces: string[]) =>
  new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(new TextEncoder().encode(piece));
      controller.close();
    },
  });

async function* generated() {
  yield new TextEncoder().encode("gen");
  yield new TextEncoder().encode("erated");
}

const cases: [name: string, make: Make][] = [
  ["nothing", () => []],
  ["null and nothing", () => [null, undefined]],
  ["undefined body, null init", () => [undefined, null]],
  ["text", () => ["hello"]],
  ["empty text", () => [""]],
  ["text beyond ASCII", () => ["häß→😀"]],
  ["a lone surrogate", () => ["a\ud800b"]],
  ["a number", () => [42]],
  ["bytes", () => [new Uint8Array([104, 105])]],
  ["a Buffer", () => [Buffer.from("buffer")]],
  ["part of a Buffer", () => [Buffer.from("buffer").subarray(2, 4)]],
  ["an ArrayBuffer", () => [new Uint8Array([1, 2, 3]).buffer]],
  ["a DataView", () => [new DataView(new Uint8Array([65, 66]).buffer)]],
  ["a Blob", () => [new Blob(["blob"], { type: "text/Plain" })]],
  ["a Blob without a type", () => [new Blob(["blob"])]],
  ["URLSearchParams", () => [new URLSearchParams({ a: "1 2", b: "ü" })]],
  ["a stream", () => [streamOf("a", "b")]],
  ["an async generator", () => [generated()]],
  ["a status", () => ["x", { status: 404 }]],
  ["a status as text", () => ["x", { status: "404" }]],
  ["a fractional status", () => ["x", { status: 200.7 }]],
  ["a null status", () => ["x", { status: null }]],
  ["status 199", () => ["x", { status: 199 }]],
  ["status 600", () => ["x", { status: 600 }]],
  ["status 101", () => [null, { status: 101 }]],
  ["204 with a body", () => ["x", { status: 204 }]],
  ["204 with an empty body", () => ["", { status: 204 }]],
  ["204", () => [null, { status: 204 }]],
  ["205", () => [null, { status: 205 }]],
  ["304 with bytes", () => [new Uint8Array(1), { status: 304 }]],
  ["statusText", () => ["x", { status: 200, statusText: "Fine" }]],
  ["bad statusText", () => ["x", { statusText: "a\nb" }]],
  ["headers as a record", () => ["x", { headers: { "X-A": "1", "content-type": "text/html" } }]],
  [
    "headers as Headers",
    () => [
      "x",
      {
        headers: new Headers([
          ["b", "2"],
          ["a", "1"],
        ]),
      },
    ],
  ],
  [
    "headers as a list",
    () => [
      "x",
      {
        headers: [
          ["set-cookie", "a=1"],
          ["set-cookie", "b=2"],
        ],
      },
    ],
  ],
  ["headers as a Map", () => ["x", { headers: new Map([["a", "1"]]) }]],
  ["the same name twice", () => ["x", { headers: { a: "1", A: "2" } }]],
  ["a value with spaces around", () => ["x", { headers: { a: "  1\t" } }]],
  ["a value that is no string", () => ["x", { headers: { a: 1, b: true, c: undefined } }]],
  ["an empty value", () => ["x", { headers: { a: "" } }]],
  ["a line break in a value", () => ["x", { headers: { a: "1\r\nb: 2" } }]],
  ["a character beyond Latin-1", () => ["x", { headers: { a: "→" } }]],
  ["obs-text", () => ["x", { headers: { a: "ü" } }]],
  ["a name that is none", () => ["x", { headers: { "a b": "1" } }]],
  ["headers null", () => ["x", { headers: null }]],
  ["headers that are text", () => ["x", { headers: "a: 1" }]],
  ["an init that is text", () => ["x", "200"]],
  ["an empty init", () => ["x", {}]],
  ["another response as init", () => ["x", new Native("y", { status: 201, headers: { a: "1" } })]],
  ["another light one as init", () => ["x", new Light("y", { status: 201, headers: { a: "1" } })]],
];

async function describeResponse(make: () => Response): Promise<unknown> {
  let response: Response;
  try {
    response = make();
  } catch (error) {
    return `throws ${(error as Error).constructor.name}`;
  }
  const { status, ok, statusText, type, url, redirected, bodyUsed } = response;
  const copy = response.clone();
  const hasBody = response.body !== null;
  return {
    ...{ status, ok, statusText, type, url, redirected, bodyUsed, hasBody },
    headers: [...response.headers],
    text: await response.text(),
    usedAfterwards: response.bodyUsed,
    copy: Buffer.from(await copy.arrayBuffer()).toString("hex"),
    copyHeaders: [...copy.headers],
    again: await response.text().then(
      (text) => text,
      (error: Error) => error.constructor.name,
    ),
  };
}

describe("new Response", () => {
  test.each(cases)("%s", async (_name, make) => {
    const given = (Class: typeof Response) => () => {
      const [body, init] = make();
      return new Class(body as never, init as Init);
    };
    expect(await describeResponse(given(Light))).toEqual(await describeResponse(given(Native)));
  });

  test("a FormData", async () => {
    const form = new FormData();
    form.set("a", "1");
    const response = new Light(form);
    expect(response.headers.get("content-type")).toMatch(/^multipart\/form-data; boundary=/);
    expect((await response.formData()).get("a")).toBe("1");
  });
});

const statics: [name: string, make: (Class: typeof Response) => Response][] = [
  ["json", (Class) => Class.json({ a: ["ü"] })],
  ["json with a status", (Class) => Class.json(null, { status: 201, statusText: "Made" })],
  ["json with a type", (Class) => Class.json(1, { headers: { "Content-Type": "application/problem+json" } })],
  ["json with a header", (Class) => Class.json(1, { headers: { a: "1" } })],
  ["json of what has none", (Class) => Class.json(undefined)],
  [
    "json of a circle",
    (Class) =>
      Class.json(
        Object.defineProperty({}, "x", {
          get() {
            throw new RangeError();
          },
          enumerable: true,
        }),
      ),
  ],
  ["json with 204", (Class) => Class.json(1, { status: 204 })],
  ["redirect", (Class) => Class.redirect("http://a/b", undefined as never)],
  ["redirect 308", (Class) => Class.redirect("http://a/b", 308)],
  ["redirect 200", (Class) => Class.redirect("http://a/b", 200 as never)],
  ["redirect nowhere", (Class) => Class.redirect("//:::", 302)],
  ["error", (Class) => Class.error()],
];

test.each(statics)("Response.%s", async (_name, make) => {
  expect(await describeResponse(() => make(Light))).toEqual(await describeResponse(() => make(Native)));
});

describe("instanceof", () => {
  test("holds both ways", () => {
    expect(new Light("x")).toBeInstanceOf(Native);
    expect(new Native("x")).toBeInstanceOf(Light);
    expect(Light.json(1)).toBeInstanceOf(Light);
    expect({} instanceof Light).toBe(false);
    expect((null as unknown) instanceof Light).toBe(false);
  });

  test("a subclass keeps to its own", async () => {
    class Page extends Light {
      readonly title: string;
      constructor(title: string) {
        super(`<title>${title}</title>`, { headers: { "content-type": "text/html" } });
        this.title = title;
      }
    }
    const page = new Page("a");
    expect(page).toBeInstanceOf(Page);
    expect(page).toBeInstanceOf(Light);
    expect(page).toBeInstanceOf(Native);
    expect(new Light("x") instanceof Page).toBe(false);
    expect(page.title).toBe("a");
    expect(await page.text()).toBe("<title>a</title>");
  });

  test("it looks like a Response", () => {
    expect(Light.name).toBe("Response");
    expect(Light.length).toBe(Native.length);
    expect(Object.prototype.toString.call(new Light("x"))).toBe("[object Response]");
    expect(inspect(new Light("x", { status: 404 }))).toContain("404");
    const names = (Class: typeof Response) => Object.getOwnPropertyNames(Class.prototype).sort();
    expect(names(Light)).toEqual(names(Native));
    expect(Object.getOwnPropertyNames(Light).sort()).toEqual(Object.getOwnPropertyNames(Native).sort());
    const enumerable: string[] = [];
    for (const name in new Light("x")) enumerable.push(name);
    expect(enumerable).toContain("status");
  });
});

async function joined(stream: ReadableStream<string>): Promise<string> {
  let text = "";
  for await (const piece of stream) text += piece;
  return text;
}

// `bytes` and `textStream` came with later versions of Node.
test("whatever this Node reads a body with", async () => {
  const readers = ["arrayBuffer", "blob", "bytes", "text", "textStream"].filter(
    (name) => name in Native.prototype,
  );
  for (const name of readers) {
    const response = new Light("text");
    const read = (response as unknown as Record<string, () => unknown>)[name]!();
    const text =
      read instanceof ReadableStream ? await joined(read) : await new Native((await read) as string).text();
    expect([name, text]).toEqual([name, "text"]);
    expect(response.bodyUsed).toBe(true);
  }
});

describe("what it shares and what not", () => {
  test("bytes are its own", async () => {
    const bytes = Buffer.from("abc");
    const response = new Light(bytes);
    bytes.fill(0);
    expect(await response.text()).toBe("abc");
    const { buffer } = new Uint8Array([97]);
    const second = new Light(buffer);
    new Uint8Array(buffer)[0] = 0;
    expect(await second.text()).toBe("a");
  });

  test("headers are one object, whatever is read", async () => {
    const response = new Light("a", { headers: { a: "1" } });
    const { headers } = response;
    headers.set("b", "2");
    expect(response.headers).toBe(headers);
    await response.text();
    expect(response.headers).toBe(headers);
    expect(response.clone === Light.prototype.clone).toBe(true);
    expect([...response.headers]).toEqual([
      ["a", "1"],
      ["b", "2"],
      ["content-type", "text/plain;charset=UTF-8"],
    ]);
  });

  test("a clone goes its own way", async () => {
    const response = new Light("a");
    const copy = response.clone();
    copy.headers.set("x", "1");
    expect(response.headers.has("x")).toBe(false);
    expect(await copy.text()).toBe("a");
    expect(response.bodyUsed).toBe(false);
    expect(() => copy.clone()).toThrow(TypeError);
    expect(await response.text()).toBe("a");
  });

  test("a body that is being read cannot be read otherwise", async () => {
    const response = new Light("a");
    const reader = response.body?.getReader();
    expect(response.bodyUsed).toBe(false);
    await expect(response.text()).rejects.toThrow(TypeError);
    expect((await reader?.read())?.value).toEqual(new Uint8Array([97]));
    expect(response.bodyUsed).toBe(true);
  });

  test.each<[string, (response: Response) => Promise<unknown>, unknown]>([
    ["arrayBuffer", (response) => response.arrayBuffer(), new Uint8Array([123, 125]).buffer],
    ["json", (response) => response.json(), {}],
    [
      "bytes",
      (response) => (response as Response & { bytes(): Promise<Uint8Array> }).bytes(),
      new Uint8Array([123, 125]),
    ],
    ["blob", async (response) => (await response.blob()).type, "text/plain;charset=utf-8"],
  ])("%s", async (_name, read, expected) => {
    expect(await read(new Light("{}"))).toEqual(expected);
  });

  test("undici's own classes are taken for what they are", async () => {
    const form = new UndiciFormData();
    form.set("a", "b");
    expect(new UndiciResponse("x") instanceof Light).toBe(false);
    expect(new Light(await new UndiciResponse("x").text()).status).toBe(200);
  });
});

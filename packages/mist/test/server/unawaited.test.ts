// Promises that the library hands out, and that are looked at late or never: their rejection does no harm.

import { describe, expect, it, onTestFinished } from "vitest";
import { fromFetch } from "../../src/fetch/index.ts";
import * as mist from "../../src/index.ts";
import { serve, statuses } from "./serve.ts";

const post = (content: string, length = content.length) =>
  `POST / HTTP/1.1\r\nhost: a\r\ncontent-length: ${length}\r\n\r\n${content}`;
const chunked = (rest: string) => `POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n${rest}`;
const turns = async () => {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
};

function unhandled(): unknown[] {
  const seen: unknown[] = [];
  const note = (error: unknown) => void seen.push(error);
  process.on("unhandledRejection", note);
  onTestFinished(() => void process.off("unhandledRejection", note));
  return seen;
}

/** A handler that begins to read, lets the event loop turn, and then awaits what it began, or does not. */
type Reading = (awaits: boolean) => mist.Handler;

const readingMist =
  (begin: (request: mist.Request) => Promise<unknown>): Reading =>
  (awaits) =>
  async (request) => {
    const content = begin(request);
    await turns();
    if (awaits) await content;
    return mist.response(200);
  };

const readingFetch =
  (begin: (request: Request) => Promise<unknown>): Reading =>
  (awaits) =>
    fromFetch(
      async (request) => {
        const content = begin(request);
        await turns();
        if (awaits) await content;
        return new Response();
      },
      { maxBodyLimit: 3 },
    );

/** Asks for two pieces at once: the second is the one that fails. */
function readOn(request: mist.Request): Promise<unknown> {
  const pieces = mist.stream(request)[Symbol.asyncIterator]();
  void pieces.next();
  return pieces.next();
}

describe.each<[string, Reading]>([
  ["readBody", readingMist((request) => mist.readBody(request, { maxBodyLimit: 3 }))],
  ["consume", readingMist((request) => mist.stream(request).consume(1000))],
  ["the iterator of a stream", readingMist(readOn)],
  ["a Request's text()", readingFetch((request) => request.text())],
  ["a Request's json()", readingFetch((request) => request.json())],
  ["a Request's arrayBuffer()", readingFetch((request) => request.arrayBuffer())],
  ["a Request's blob()", readingFetch((request) => request.blob())],
])("%s", (_, reading) => {
  it.each([
    ["too long or cut off", post("longer", 10)],
    ["malformed", chunked("3\r\nabc\r\nx\r\n")],
  ])("begun early and awaited later: %s", async (_name, text) => {
    const seen = unhandled();
    const { ask, server } = await serve(reading(true));
    expect(statuses(await ask(text))[0]).toBeGreaterThanOrEqual(400);
    await expect.poll(() => server.info().connections).toBe(0);
    expect(seen).toEqual([]);
  });

  it("begun and never looked at", async () => {
    const seen = unhandled();
    const { ask, server } = await serve(reading(false));
    expect(statuses(await ask(post("longer", 10)))).toEqual([200]);
    await expect.poll(() => server.info().connections).toBe(0);
    await turns();
    expect(seen).toEqual([]);
  });
});

describe("onError", () => {
  it.each<[string, () => void | Promise<void>]>([
    [
      "throws",
      () => {
        throw new Error("onError");
      },
    ],
    ["rejects", () => Promise.reject(new Error("onError"))],
  ])("that %s becomes a warning", async (_, onError) => {
    const seen = unhandled();
    const warnings: Error[] = [];
    const note = (warning: Error) => void warnings.push(warning);
    process.on("warning", note);
    onTestFinished(() => void process.off("warning", note));
    const { ask } = await serve(
      () => {
        throw new Error("handler");
      },
      (builder) => builder.onError(onError),
    );
    expect(statuses(await ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n"))).toEqual([500]);
    await expect.poll(() => warnings.map(({ message }) => message)).toEqual(["onError"]);
    expect(seen).toEqual([]);
  });
});

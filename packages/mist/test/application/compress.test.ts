import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import zlib from "node:zlib";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { Response, response } from "../../src/http/response.ts";
import {
  type ActorBody,
  bytes,
  iterableBody,
  type ServerResponse,
} from "../../src/server/body/response-body.ts";
import type { ResponseStream } from "../../src/server/body/response-stream.ts";
import { type CompressOptions, compress } from "../../src/server/compression/compress.ts";
import { sendFile } from "../../src/server/files/file.ts";
import { contentOf, descriptorsBelow, fakeRequest, lengthOf } from "../server/file-request.ts";

// For machines with other things to do.
const patience = { timeout: 10_000 };

const text = "All work and no play makes Jack a dull boy. ".repeat(50);
const zstd = "zstdDecompressSync" in zlib ? (zlib.zstdDecompressSync as (data: Buffer) => Buffer) : undefined;

function decode(coding: string | undefined, data: Buffer): string {
  switch (coding) {
    case undefined:
      return String(data);
    case "br":
      return String(zlib.brotliDecompressSync(data));
    case "gzip":
      return String(zlib.gunzipSync(data));
    case "deflate":
      return String(zlib.inflateSync(data));
    default:
      return String(zstd!(data));
  }
}

function textResponse(body: ServerResponse["body"] = bytes(text), headers: Record<string, string> = {}) {
  const fields: [string, string][] = [["content-type", "text/plain; charset=utf-8"]];
  return new Response(200, [...fields, ...Object.entries(headers)], body);
}

async function run(
  answer: ServerResponse,
  accept: string | undefined = "gzip",
  options: CompressOptions = {},
  method = "GET",
): Promise<ServerResponse> {
  const headers: Record<string, string> = accept === undefined ? {} : { "accept-encoding": accept };
  return compress(() => answer, options)(fakeRequest("/", headers, method));
}

function chunksOf({ body }: ServerResponse): AsyncIterableIterator<Uint8Array> {
  if (body.kind !== "iterable") throw new Error(`expected an iterable body, not ${body.kind}`);
  return body.chunks as AsyncIterableIterator<Uint8Array>;
}

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "mist-compress-"));
  await writeFile(join(directory, "large.txt"), text.repeat(200));
});
afterAll(() => rm(directory, { recursive: true }));

describe("choice of coding", () => {
  it.each([
    ["br", {}, "br"],
    ["gzip, deflate, br", {}, "br"],
    ["gzip", {}, "gzip"],
    ["deflate", {}, undefined],
    ["deflate", { codings: ["deflate"] }, "deflate"],
    ["br, gzip", { codings: ["gzip", "br"] }, "gzip"],
    ["br;q=0.1, gzip;q=0.2", {}, "gzip"],
    ["br;q=0, gzip;q=0", {}, undefined],
    ["identity", {}, undefined],
    ["identity;q=0, gzip", {}, "gzip"],
    ["*", {}, "br"],
    ["", {}, undefined],
  ])("%j with %j: %s", async (accept, options, coding) => {
    const answer = await run(textResponse(), accept, options as CompressOptions);
    expect(answer.getHeader("content-encoding")).toBe(coding);
    expect(answer.getHeader("vary")).toBe("accept-encoding");
    expect(decode(coding, await contentOf(answer))).toBe(text);
    expect(lengthOf(answer)).toBe((await contentOf(answer)).length);
  });

  it("offers zstd where Node has it, and says so where it has not", async () => {
    if (zstd === undefined) {
      expect(() => compress(() => response(200), { codings: ["zstd"] })).toThrow("zstd");
      expect((await run(textResponse(), "zstd")).getHeader("content-encoding")).toBeUndefined();
    } else {
      for (const body of [bytes(text), iterableBody([text])]) {
        const answer = await run(textResponse(body), "zstd, gzip");
        expect(answer.getHeader("content-encoding")).toBe("zstd");
        expect(decode("zstd", await contentOf(answer))).toBe(text);
      }
    }
  });

  it("sees all lines of accept-encoding", async () => {
    const request = fakeRequest("/", { "accept-encoding": ["identity;q=0.1", "gzip"] });
    const answer = await compress(() => textResponse())(request);
    expect(answer.getHeader("content-encoding")).toBe("gzip");
  });

  it("answers at once when the handler does and the body is small", () => {
    const answer = compress(() => textResponse())(fakeRequest("/", { "accept-encoding": "gzip" }));
    expect(answer).toBeInstanceOf(Response);
  });

  it("waits for a handler that takes its time, and for large bodies", async () => {
    const large = text.repeat(20);
    const handler = compress(async () => textResponse(bytes(large)));
    const answer = await handler(fakeRequest("/", { "accept-encoding": "br" }));
    expect(decode("br", await contentOf(answer))).toBe(large);
  });

  it("hands on what the handler throws", async () => {
    const request = fakeRequest("/");
    expect(() =>
      compress(() => {
        throw new Error("early");
      })(request),
    ).toThrow("early");
    await expect(compress(() => Promise.reject(new Error("late")))(request)).rejects.toThrow("late");
  });

  it.each([
    [{ codings: ["rar"] }, "rar"],
    [{ levels: { br: 12 } }, "level of br"],
    [{ levels: { gzip: 0.5 } }, "level of gzip"],
    [{ minLength: -1 }, "minLength"],
  ])("refuses %j", (options, message) => {
    expect(() => compress(() => response(200), options as never)).toThrow(message);
  });

  it("takes levels", async () => {
    const low = await run(textResponse(), "br", { levels: { br: 0 } });
    const high = await run(textResponse(), "br", { levels: { br: 11 } });
    expect(lengthOf(high)).toBeLessThan(lengthOf(low)!);
  });
});

describe("what is left as it is", () => {
  const html = (headers: Record<string, string>) => textResponse(bytes(text), headers);
  it.each<[string, ServerResponse]>([
    ["a short body", textResponse(bytes("short"))],
    ["an image", new Response(200, [["content-type", "image/png"]], bytes(text))],
    ["a body without a type", new Response(200, [], bytes(text))],
    ["a part", new Response(206, html({ "content-range": "bytes 0-1/9" }).headers, bytes(text))],
    ["a part under another status", html({ "content-range": "bytes 0-1/9" })],
    ["a coded body", html({ "content-encoding": "br" })],
    ["no-transform", html({ "cache-control": "private, No-Transform" })],
    ["a digest of the content", html({ "content-digest": "sha-256=:abc=:" })],
    ["an empty body", textResponse({ kind: "empty" })],
  ])("%s", async (_name, answer) => {
    expect(await run(answer)).toBe(answer);
  });

  it("what does not get smaller", async () => {
    const noise = randomBytes(2000);
    const answer = await run(textResponse(bytes(noise)));
    expect(answer.getHeader("content-encoding")).toBeUndefined();
    expect(answer.getHeader("vary")).toBe("accept-encoding");
    expect(await contentOf(answer)).toEqual(noise);
  });

  it("by minimum length, in bytes", async () => {
    const answer = textResponse(bytes("a".repeat(100)));
    expect((await run(answer, "gzip", { minLength: 100 })).getHeader("content-encoding")).toBe("gzip");
    expect((await run(answer, "gzip", { minLength: 101 })).getHeader("content-encoding")).toBeUndefined();
    const accented = textResponse(bytes("é".repeat(60)));
    expect((await run(accented, "gzip", { minLength: 100 })).getHeader("content-encoding")).toBe("gzip");
  });

  it("by type", async () => {
    const typed = (type: string) => new Response(200, [["content-type", type]], bytes(text));
    const coding = async (type: string, types: CompressOptions["types"]) =>
      (await run(typed(type), "gzip", { types: types! })).getHeader("content-encoding");
    expect(await coding("application/x-thing", ["application/x-thing"])).toBe("gzip");
    expect(await coding("Text/Plain; charset=utf-8", ["text/*"])).toBe("gzip");
    expect(await coding("application/json", ["text/*"])).toBeUndefined();
    expect(await coding("image/png", (type) => type.startsWith("image/"))).toBe("gzip");
  });
});

describe("fields", () => {
  it.each([
    ['"v1"', 'W/"v1"'],
    ['W/"v1"', 'W/"v1"'],
  ])("weakens the tag %s", async (etag, sent) => {
    const answer = textResponse(bytes(text), { etag });
    expect((await run(answer)).getHeader("etag")).toBe(sent);
    expect((await run(answer, "identity")).getHeader("etag")).toBe(etag);
  });

  it("drops what was said of the uncoded content, and keeps the rest", async () => {
    const headers = {
      "content-length": String(text.length),
      "accept-ranges": "bytes",
      "content-encoding": "identity",
      "x-other": "kept",
    };
    const answer = await run(textResponse(bytes(text), headers));
    expect(answer.headers).toEqual([
      ["content-type", "text/plain; charset=utf-8"],
      ["x-other", "kept"],
      ["vary", "accept-encoding"],
      ["content-encoding", "gzip"],
    ]);
  });

  it("merges vary from all its lines", async () => {
    const lines: [string, string][] = [
      ["vary", "origin"],
      ["content-type", "text/plain"],
      ["vary", "cookie"],
    ];
    const answer = await run(new Response(200, lines, bytes(text)));
    expect(answer.headers.filter((field) => field[0] === "vary")).toEqual([
      ["vary", "origin, cookie, accept-encoding"],
    ]);
  });

  it("gives a 304 the tag and the vary of the 200", async () => {
    const answer = await run(new Response(304, [["etag", '"v1"']], { kind: "empty" }));
    expect([answer.getHeader("etag"), answer.getHeader("vary")]).toEqual(['W/"v1"', "accept-encoding"]);
  });

  it("are the same for HEAD", async () => {
    for (const body of [bytes(text), iterableBody([text])]) {
      const get = await run(textResponse(body));
      const head = await run(textResponse(body), "gzip", {}, "HEAD");
      expect(head.headers).toEqual(get.headers);
      expect(lengthOf(head)).toBe(lengthOf(get));
    }
  });
});

describe("a file", () => {
  const large = () => text.repeat(200);
  const fetchFile = (headers: Record<string, string>, method = "GET") => {
    const request = fakeRequest("/large.txt", headers, method);
    return compress((incoming) => sendFile("/large.txt", { root: directory, request: incoming }))(request);
  };

  it.each(["br", "gzip"])("is streamed through %s", async (coding) => {
    const answer = await fetchFile({ "accept-encoding": coding });
    expect([answer.getHeader("content-encoding"), lengthOf(answer)]).toEqual([coding, undefined]);
    expect(answer.getHeader("accept-ranges")).toBeUndefined();
    expect(decode(coding, await contentOf(answer)) === large()).toBe(true);
  });

  it("keeps its ranges uncoded", async () => {
    const answer = await fetchFile({ "accept-encoding": "br", range: "bytes=0-1999" });
    expect([answer.status, answer.getHeader("content-encoding")]).toEqual([206, undefined]);
    expect(String(await contentOf(answer))).toBe(large().slice(0, 2000));
  });

  it("is known again by its tag", async () => {
    const etag = (await fetchFile({ "accept-encoding": "br" })).getHeader("etag")!;
    const again = await fetchFile({ "accept-encoding": "br", "if-none-match": etag });
    expect([again.status, again.getHeader("vary")]).toEqual([304, "accept-encoding"]);
  });

  it("is given back when the client leaves, and the coder with it", async () => {
    const made = vi.spyOn(zlib, "createBrotliCompress");
    const sources = await Promise.all(
      Array.from({ length: 10 }, async () => {
        const answer = await fetchFile({ "accept-encoding": "br" });
        if (answer.body.kind !== "source") throw new Error("expected a source");
        return answer.body.open();
      }),
    );
    for (const [i, source] of sources.entries()) {
      if (i % 2 === 0) await source.read();
      Promise.resolve(source.read()).catch(() => {}); // under way in the thread pool now
      source.close();
    }
    const coders = made.mock.results.map((result) => result.value as zlib.BrotliCompress);
    expect(coders).toHaveLength(10);
    await expect.poll(() => coders.every((coder) => coder.closed), patience).toBe(true);
    await expect.poll(() => descriptorsBelow(directory), patience).toBe(0);
    made.mockRestore();
  });
});

describe("a body made as it is sent", () => {
  async function* slowly(parts: readonly string[], turn: () => Promise<void>) {
    for (const part of parts) {
      yield part;
      await turn();
    }
  }

  it.each(["br", "gzip"])("comes out whole through %s, trailers behind it", async (coding) => {
    const trailers = () => [["x-sum", "1"]] as const;
    for (const chunks of [
      [text, "", text],
      slowly([text, text], async () => {}),
      [Buffer.from(text + text)],
    ]) {
      const answer = await run(textResponse(iterableBody(chunks)).withTrailers(trailers), coding);
      expect(answer).toMatchObject({ body: { kind: "iterable" }, trailers });
      expect(decode(coding, await contentOf(answer))).toBe(text + text);
    }
  });

  it("may be empty", async () => {
    const answer = await run(textResponse(iterableBody([])), "gzip");
    expect(decode("gzip", await contentOf(answer))).toBe("");
  });

  it.each(["br", "gzip"])("is flushed through %s while the producer pauses", async (coding) => {
    let goOn = () => {};
    const pause = () =>
      new Promise<void>((resolve) => {
        goOn = resolve;
      });
    const answer = await run(textResponse(iterableBody(slowly(["first", "second"], pause))), coding);
    const chunks = chunksOf(answer);
    const decoder = coding === "br" ? zlib.createBrotliDecompress() : zlib.createGunzip();
    const seen: string[] = [];
    decoder.on("data", (data) => {
      seen.push(String(data));
      goOn(); // the producer only goes on once its last word has arrived
    });
    for await (const chunk of chunks) decoder.write(chunk);
    await new Promise((resolve) => decoder.end().once("end", resolve));
    expect(seen.join("")).toBe("firstsecond");
  });

  it("is not flushed while the producer is at work", async () => {
    const parts = Array.from({ length: 500 }, (_, i) => `line ${i}\n`);
    const answer = await run(textResponse(iterableBody(parts)), "gzip");
    expect((await contentOf(answer)).length).toBeLessThan(2000);
  });

  it("is pulled no faster than it is taken", async () => {
    let pulled = 0;
    function* endless() {
      for (;;) {
        pulled++;
        yield randomBytes(64 * 1024);
      }
    }
    const answer = await run(textResponse(iterableBody(endless())), "gzip");
    const iterator = chunksOf(answer)[Symbol.asyncIterator]();
    await iterator.next();
    await new Promise((resolve) => setImmediate(resolve));
    expect(pulled).toBeLessThanOrEqual(2);
    await iterator.return!();
  });

  it("fails as its producer fails", async () => {
    const failing = (function* () {
      yield text;
      throw new Error("out of words");
    })();
    const answer = await run(textResponse(iterableBody(failing)));
    await expect(contentOf(answer)).rejects.toThrow("out of words");
  });

  it("lets go of its producer when the client leaves, begun or not", async () => {
    for (const begun of [true, false]) {
      let returned = 0;
      const endless: AsyncIterableIterator<string> = {
        [Symbol.asyncIterator]() {
          return this;
        },
        next: () =>
          returned === 0 && !begun ? Promise.reject(new Error("not asked")) : new Promise(() => {}),
        return: async () => {
          returned++;
          return { done: true, value: undefined };
        },
      };
      const answer = await run(textResponse(iterableBody(endless)));
      const chunks = chunksOf(answer);
      if (begun) chunks.next().catch(() => {}); // will never be answered
      await chunks.return!();
      await chunks.return!();
      expect(returned).toBe(1);
    }
  });
});

describe("a body an actor writes", () => {
  // The client's side of a stream: collects what arrives, takes it when told.
  function connect(body: ActorBody) {
    const decoder = zlib.createGunzip();
    const seen: string[] = [];
    decoder.on("data", (data) => seen.push(String(data)));
    const state = { ended: undefined as unknown, aborted: undefined as unknown, open: true };
    let take: Promise<void> | undefined;
    const stream: ResponseStream = {
      bufferedAmount: 0,
      blocked: false,
      get open() {
        return state.open;
      },
      setDeadline: () => {},
      report: () => {},
      send: (data) => {
        decoder.write(data);
        return take ?? Promise.resolve();
      },
      end: () => {
        state.ended = true;
        state.open = false;
        decoder.end();
      },
      abort: (error) => {
        state.aborted = error;
        state.open = false;
      },
    };
    const hold = (until: Promise<void>) => {
      take = until;
    };
    return { writer: body.start(stream), seen, state, hold };
  }

  async function compressedActor(start: ActorBody["start"]): Promise<ActorBody> {
    const answer = await run(textResponse({ kind: "actor", maxBufferedBytes: 1000, start }));
    expect(answer.getHeader("content-encoding")).toBe("gzip");
    expect(answer.body).toMatchObject({ kind: "actor", maxBufferedBytes: 1000 });
    return answer.body as ActorBody;
  }

  it("arrives piece by piece, and ends", async () => {
    let stream!: ResponseStream;
    const calls: string[] = [];
    const body = await compressedActor((given) => {
      stream = given;
      return {
        shutdown: (ms) => calls.push(`shutdown ${ms}`),
        deadline: () => calls.push("deadline"),
        closed: () => calls.push("closed"),
      };
    });
    const { writer, seen, state } = connect(body);
    await stream.send("one");
    await expect.poll(() => seen.join(""), patience).toBe("one");
    stream.send("two");
    stream.send("");
    stream.send("three");
    stream.end();
    expect(stream.open).toBe(false);
    await expect(stream.send("four")).rejects.toThrow();
    await expect.poll(() => state.ended, patience).toBe(true);
    await expect.poll(() => seen.join(""), patience).toBe("onetwothree");
    writer.shutdown(5);
    writer.deadline!();
    writer.closed();
    expect(calls).toEqual(["shutdown 5", "deadline", "closed"]);
  });

  it("makes a fast actor wait for a slow client, and wakes it when the client leaves", async () => {
    let stream!: ResponseStream;
    const body = await compressedActor((given) => {
      stream = given;
      return { shutdown: () => {}, closed: () => {} };
    });
    const { writer, hold } = connect(body);
    let release = () => {};
    hold(
      new Promise((resolve) => {
        release = resolve;
      }),
    );
    const piece = randomBytes(100_000);
    const first = stream.send(piece);
    expect(stream.bufferedAmount).toBe(100_000);
    release();
    hold(Promise.resolve());
    await first;
    expect(stream.bufferedAmount).toBe(0);
    hold(new Promise(() => {}));
    const second = stream.send(piece);
    writer.closed();
    await expect(second).rejects.toThrow();
  });

  it("gives its coder back when the actor cannot start", async () => {
    const made = vi.spyOn(zlib, "createGzip");
    const body = await compressedActor(() => {
      throw new Error("no start");
    });
    expect(() => connect(body)).toThrow("no start");
    const coder = made.mock.results[0]!.value as zlib.Gzip;
    await expect.poll(() => coder.closed, patience).toBe(true);
    made.mockRestore();
  });

  it("can be broken off", async () => {
    let stream!: ResponseStream;
    const body = await compressedActor((given) => {
      stream = given;
      return { shutdown: () => {}, closed: () => {} };
    });
    const { state } = connect(body);
    const error = new Error("enough");
    stream.abort(error);
    expect(state.aborted).toBe(error);
    expect(stream.open).toBe(false);
  });
});

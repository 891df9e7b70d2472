// What produces a body is let go of exactly once, whichever way the response ends, and whether or not a byte of it
// was ever wanted.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import type { ServerResponse } from "../../src/index.ts";
import * as mist from "../../src/index.ts";
import { readAnswer, serve } from "./serve.ts";

const get = (path = "/") => `GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`;

/** A body of some kind, and how often its producer was let go of. */
interface Produced {
  readonly body: ServerResponse["body"];
  released(): number;
}

const kinds: Record<string, (pieces: number) => Produced> = {
  "a generator": (pieces) => {
    let count = 0;
    return {
      body: mist.chunked(
        (function* () {
          try {
            for (let i = 0; i < pieces; i++) yield new Uint8Array(64 * 1024);
          } finally {
            count += 1;
          }
        })(),
      ),
      released: () => count,
    };
  },
  "an async generator": (pieces) => {
    let count = 0;
    return {
      body: mist.chunked(
        (async function* () {
          try {
            for (let i = 0; i < pieces; i++) yield new Uint8Array(64 * 1024);
          } finally {
            count += 1;
          }
        })(),
      ),
      released: () => count,
    };
  },
  "an iterator of one's own": (pieces) => {
    let count = 0;
    let left = pieces;
    const released = (): undefined => {
      count += 1;
    };
    const iterator = {
      [Symbol.asyncIterator]: () => iterator,
      next: async () =>
        left-- > 0
          ? { done: false as const, value: new Uint8Array(64 * 1024) }
          : { done: true as const, value: released() },
      return: async () => ({ done: true as const, value: released() }),
    };
    return { body: mist.chunked(iterator), released: () => count };
  },
  "a Node stream": (pieces) => {
    let count = 0;
    let left = pieces;
    const stream = new Readable({
      read() {
        this.push(left-- > 0 ? Buffer.alloc(64 * 1024) : null);
      },
      destroy(error, done) {
        count += 1;
        done(error);
      },
    });
    return { body: mist.chunked(stream), released: () => count };
  },
  "a web stream": (pieces) => {
    let count = 0;
    let left = pieces;
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (left-- > 0) controller.enqueue(new Uint8Array(64 * 1024));
        else {
          count += 1;
          controller.close();
        }
      },
      cancel() {
        count += 1;
      },
    });
    return { body: mist.chunked(stream), released: () => count };
  },
  "a source": (pieces) => {
    let count = 0;
    let left = pieces;
    const body = {
      kind: "source" as const,
      length: pieces * 64 * 1024,
      open: async () => ({
        read: async () => (left-- > 0 ? new Uint8Array(64 * 1024) : null),
        close: () => {
          count += 1;
        },
      }),
    };
    return { body, released: () => count };
  },
  "an actor": (pieces) => {
    let count = 0;
    const body: ServerResponse["body"] = {
      kind: "actor",
      start(stream) {
        const write = async () => {
          for (let i = 0; i < pieces && stream.open; i++) await stream.send(new Uint8Array(64 * 1024));
          if (stream.open) stream.end();
        };
        write().catch(() => {});
        return {
          shutdown() {},
          closed: () => {
            count += 1;
          },
        };
      },
    };
    return { body, released: () => count };
  },
};

const endless = 1_000_000;
// A generator that was never begun has nothing to give back; a source never opened and an actor never started neither.
const unbegun = new Set(["a generator", "an async generator", "a source", "an actor"]);

describe.each(Object.entries(kinds))("%s as a body", (kind, produce) => {
  it("is let go of once at its end", async () => {
    const produced = produce(3);
    const { connect } = await serve(() => mist.response(200).setBody(produced.body));
    const socket = await connect();
    await socket.send(get());
    expect((await readAnswer(socket)).body.length).toBe(3 * 64 * 1024);
    await expect.poll(produced.released).toBe(1);
  });

  it.each(["HEAD", "204", "205", "304"])("of an answer without content (%s) is let go of", async (what) => {
    const produced = produce(endless);
    const { connect, server } = await serve((request) =>
      request.path === "/"
        ? mist.response(what === "HEAD" ? 200 : Number(what)).setBody(produced.body)
        : mist.response(200).setBody(mist.bytes("next")),
    );
    const method = what === "HEAD" ? "HEAD" : "GET";
    const socket = await connect();
    await socket.send(`${method} / HTTP/1.1\r\nhost: a\r\n\r\n`);
    expect((await readAnswer(socket, method)).body).toBe("");
    await socket.send(get("/next"));
    expect((await readAnswer(socket)).body).toBe("next");
    expect(produced.released()).toBe(unbegun.has(kind) ? 0 : 1);
    await server.stop({ deadlineMs: 0 });
    expect(produced.released()).toBe(unbegun.has(kind) ? 0 : 1);
  });

  it.each(["reset", "close", "stop"] as const)(
    "is let go of once when it is cut off by a %s",
    async (how) => {
      const produced = produce(endless);
      const { connect, server, reports } = await serve(() => mist.response(200).setBody(produced.body));
      const socket = await connect();
      await socket.send(get());
      await socket.receiveExact(300_000, { timeout: 10_000 });
      expect(produced.released()).toBe(0);
      if (how === "stop") await server.stop({ deadlineMs: 20 });
      else await socket[how]();
      await expect.poll(produced.released, { timeout: 10_000 }).toBe(1);
      await expect.poll(() => server.info().connections).toBe(0);
      expect(produced.released()).toBe(1);
      expect(reports).toEqual([]);
    },
  );

  it("is let go of when its head cannot be sent", async () => {
    const produced = produce(endless);
    const { connect, reports } = await serve(() =>
      mist.response(200).setHeader("transfer-encoding", "gzip").setBody(produced.body),
    );
    const socket = await connect();
    await socket.send(get());
    expect((await readAnswer(socket)).status).toBe(500);
    expect(reports).toHaveLength(1);
    await expect.poll(produced.released).toBe(unbegun.has(kind) && kind !== "a source" ? 0 : 1);
  });

  it("longer than the content-length it came with is broken off, reported, and let go of", async () => {
    const produced = produce(2);
    const { connect, reports } = await serve(() =>
      mist.response(200).setHeader("content-length", "70000").setBody(produced.body),
    );
    const socket = await connect();
    await socket.send(get());
    const answer = (await socket.receiveToEnd({ timeout: 5000 })).toString("latin1");
    if (kind === "a source") expect(answer).toContain("HTTP/1.1 500 ");
    else expect(answer.length).toBeLessThan(70_000 + 200);
    expect(reports.length).toBeLessThanOrEqual(1);
    await expect.poll(produced.released).toBe(1);
  });
});

describe("a producer", () => {
  it.each<[string, Iterable<unknown> | AsyncIterable<unknown>]>([
    ["null", [null]],
    ["a number", [1]],
    ["an object", [{}]],
  ])("that yields %s is broken off, reported, and let go of", async (_, pieces) => {
    let released = 0;
    const { connect, reports } = await serve(() =>
      mist.response(200).setBody(
        mist.chunked(
          (function* () {
            try {
              yield* pieces as Iterable<string>;
            } finally {
              released += 1;
            }
          })(),
        ),
      ),
    );
    const socket = await connect();
    await socket.send(get());
    expect((await socket.receiveToEnd({ timeout: 5000 })).toString()).not.toContain("\r\n0\r\n\r\n");
    expect(reports).toHaveLength(1);
    expect(released).toBe(1);
  });

  it("that fails while it is let go of is reported once, and harms nobody", async () => {
    const { connect, server, reports } = await serve(() =>
      mist.response(200).setBody(
        mist.chunked(
          (function* () {
            try {
              for (;;) yield new Uint8Array(64 * 1024);
            } finally {
              // biome-ignore lint/correctness/noUnsafeFinally: what is tested
              throw new Error("boom");
            }
          })(),
        ),
      ),
    );
    const socket = await connect();
    await socket.send(get());
    await socket.receiveExact(100_000, { timeout: 5000 });
    await socket.reset();
    await expect.poll(() => server.info().connections).toBe(0);
    expect(reports.map(({ error }) => error)).toEqual([new Error("boom")]);
  });

  it.each([
    ["an octet at a time", "x"],
    ["64 KiB at a time", Buffer.alloc(65_536)],
    ["a mebibyte at a time", Buffer.alloc(1 << 20)],
  ])("that never waits leaves the event loop to others: %s", async (_name, piece) => {
    const { connect, server } = await serve((request) =>
      request.path === "/endless"
        ? mist.response(200).setBody(
            mist.chunked(
              (function* () {
                for (;;) yield piece;
              })(),
            ),
          )
        : mist.response(200).setBody(mist.bytes("fine")),
    );
    // In a process of its own the client may take all as fast as it comes.
    const reading = `
      const socket = require("node:net").connect(${server.port}, "127.0.0.1");
      socket.once("data", () => console.log("reading")).resume().write(${JSON.stringify(get("/endless"))});`;
    const greedy = spawn(process.execPath, ["-e", reading], { stdio: ["ignore", "pipe", "inherit"] });
    await once(greedy.stdout, "data");
    const modest = await connect();
    for (let i = 0; i < 20; i++) {
      await modest.send(get());
      expect((await readAnswer(modest)).body).toBe("fine");
    }
    greedy.kill();
    await once(greedy, "exit");
  });

  it("that waits for something when the client leaves is let go of once it is asked next", async () => {
    let released = 0;
    let wake: () => void = () => {};
    const woken = new Promise<void>((resolve) => {
      wake = resolve;
    });
    const { connect, server } = await serve(() =>
      mist.response(200).setBody(
        mist.chunked(
          (async function* () {
            try {
              yield "a";
              await woken;
              yield "b";
            } finally {
              released += 1;
            }
          })(),
        ),
      ),
    );
    const socket = await connect();
    await socket.send(get());
    await socket.receiveUntil("\r\na\r\n", { timeout: 5000 });
    await socket.reset();
    await expect.poll(() => server.info().connections).toBe(0);
    wake();
    await expect.poll(() => released).toBe(1);
  });
});

// `request.signal` aborts when the client leaves before its response is complete, and never afterwards.

import { describe, expect, it } from "vitest";
import * as mist from "../../src/index.ts";
import { expectAbortError } from "./abort-error.ts";
import { readAnswer, serve } from "./serve.ts";

const get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const text = (body: string) => mist.response(200).setBody(mist.bytes(body));

interface Watched {
  readonly signals: AbortSignal[];
  readonly aborts: () => boolean[];
}

function watch(): Watched & { see(request: mist.Request): AbortSignal } {
  const signals: AbortSignal[] = [];
  return {
    signals,
    aborts: () => signals.map((signal) => signal.aborted),
    see(request) {
      signals.push(request.signal);
      return request.signal;
    },
  };
}

const aborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));

describe("request.signal", () => {
  it("is one and the same for a request", async () => {
    const signals = new Set<AbortSignal>();
    const { ask } = await serve((request) => {
      for (let i = 0; i < 3; i++) signals.add(request.signal);
      return text("");
    });
    await ask(get);
    expect(signals.size).toBe(1);
  });

  it("does not abort when the response is complete, the connection goes on, and then closes", async () => {
    const watched = watch();
    const { connect, server } = await serve((request) => {
      watched.see(request);
      return text("ok");
    });
    const socket = await connect();
    for (let i = 0; i < 3; i++) {
      await socket.send(get);
      await readAnswer(socket);
    }
    await socket.close();
    await expect.poll(() => server.info().connections).toBe(0);
    expect(watched.aborts()).toEqual([false, false, false]);
  });

  it.each(["reset", "close"] as const)(
    "aborts when the client leaves by %s while the handler works",
    async (how) => {
      const watched = watch();
      const { connect, reports } = await serve(async (request) => {
        await aborted(watched.see(request));
        throw request.signal.reason;
      });
      const socket = await connect();
      await socket.send(get);
      await expect.poll(() => watched.signals.length).toBe(1);
      await socket[how]();
      await expect.poll(watched.aborts).toEqual([true]);
      expectAbortError(watched.signals[0]?.reason);
      expect(reports).toEqual([]);
    },
  );

  it("aborts when the client leaves while the response is streamed", async () => {
    const watched = watch();
    const { connect } = await serve((request) => {
      const signal = watched.see(request);
      return mist.response(200).setBody(
        mist.chunked(
          (async function* () {
            yield "a";
            await aborted(signal);
          })(),
        ),
      );
    });
    const socket = await connect();
    await socket.send(get);
    await socket.receiveUntil("\r\na\r\n", { timeout: 5000 });
    expect(watched.aborts()).toEqual([false]);
    await socket.reset();
    await expect.poll(watched.aborts).toEqual([true]);
  });

  it("asked for only when the client is gone is aborted already", async () => {
    let go: () => void = () => {};
    const gone = new Promise<void>((resolve) => {
      go = resolve;
    });
    const seen: boolean[] = [];
    const { connect, server } = await serve(async (request) => {
      await gone;
      seen.push(request.signal.aborted);
      return text("");
    });
    const socket = await connect();
    await socket.send(get);
    await expect.poll(() => server.info().connections).toBe(1);
    await expect.poll(() => server.info().bytesRead).toBe(get.length);
    await socket.reset();
    await expect.poll(() => server.info().connections).toBe(0);
    go();
    await expect.poll(() => seen).toEqual([true]);
  });

  it("aborts once, whatever else happens to the connection", async () => {
    let count = 0;
    let working = false;
    const { connect, server } = await serve((request) => {
      request.signal.addEventListener("abort", () => {
        count += 1;
      });
      working = true;
      return new Promise(() => {});
    });
    const socket = await connect();
    await socket.send(get);
    await expect.poll(() => working).toBe(true);
    await socket.halfClose();
    await expect.poll(() => count).toBe(1);
    await socket.reset();
    await server.stop({ deadlineMs: 10 });
    expect(count).toBe(1);
  });

  it("does not abort a request that is being answered because one behind it is broken", async () => {
    const watched = watch();
    let release: () => void = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { connect } = await serve(async (request) => {
      watched.see(request);
      await released;
      return text("fine");
    });
    const socket = await connect();
    await socket.send(`${get}\0\r\n\r\n`);
    await expect.poll(() => watched.signals.length).toBe(1);
    release();
    expect((await readAnswer(socket)).body).toBe("fine");
    expect((await readAnswer(socket)).status).toBe(400);
    expect(watched.aborts()).toEqual([false]);
  });
});

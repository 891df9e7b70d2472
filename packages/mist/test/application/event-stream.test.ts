// Event streams and chunked loops on real connections: with undici's EventSource, fetch, and a raw peer.

import { Buffer } from "node:buffer";
import { selector, subject } from "@x/glisten/actor";
import { EventSource } from "undici";
import { describe, expect, onTestFinished, test } from "vitest";
import * as mist from "../../src/index.ts";
import { readAnswer, serve } from "../server/serve.ts";
import { deferred } from "./websocket-peer.ts";

type Options = Partial<mist.ServerSentEventsOptions<unknown, string>>;

/** A stream of everything sent to `news`. */
function feed(options: Options = {}) {
  const news = subject<string>();
  const handler = (request: mist.Request): mist.ServerResponse =>
    mist.serverSentEvents<unknown, string>({
      request,
      init: () => [undefined, selector<string>().select(news)] as const,
      loop: (_state, message, stream) => void stream.sendEvent(mist.event(message)),
      ...options,
    });
  return { news, handler };
}

async function openStream(url: string, headers: Record<string, string> = {}) {
  const response = await fetch(url, { headers });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  return {
    response,
    cancel: () => reader.cancel(),
    /** What has come, as soon as it ends with `end`. */
    async until(end: string): Promise<string> {
      while (!text.endsWith(end)) {
        const { done, value } = await reader.read();
        if (done) throw new Error(`the stream ended with ${JSON.stringify(text)}`);
        text += value;
      }
      const got = text;
      text = "";
      return got;
    },
    async rest(): Promise<string> {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return text;
        text += value;
      }
    },
  };
}

describe("an event stream", () => {
  test("is an EventSource's", async () => {
    const { news, handler } = feed({
      loop: (_state, message, stream) =>
        void stream.sendEvent(mist.event(message).eventName("news").eventId("42")),
    });
    const { url } = await serve(handler);
    const source = new EventSource(url);
    onTestFinished(() => source.close());
    await new Promise((resolve) => source.addEventListener("open", resolve));
    const got = new Promise<MessageEvent>((resolve) =>
      source.addEventListener("news", (event) => resolve(event as MessageEvent)),
    );
    news.send("two\nlines");
    expect(await got).toMatchObject({ data: "two\nlines", lastEventId: "42" });
  });

  test("a client that comes back names the last event it saw", async () => {
    const { handler } = feed({
      init: (stream) => void stream.sendEvent(mist.event(`after ${stream.lastEventId}`)),
    });
    const { url } = await serve(handler);
    const stream = await openStream(url, { "last-event-id": "41" });
    expect(await stream.until("\n\n")).toBe("data: after 41\n\n");
  });

  test("has the fields of the initial response beside its own", async () => {
    const initialResponse = mist.response(200).setHeader("access-control-allow-origin", "*");
    const { handler } = feed({ initialResponse });
    const { url } = await serve(handler);
    const { response } = await openStream(url);
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    expect(response.headers.get("cache-control")).toBe("no-cache");
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
  });

  test("messages sent to its subject reach the loop too", async () => {
    const { handler } = feed({ init: (stream) => stream.subject.send("own") });
    const { url } = await serve(handler);
    expect(await (await openStream(url)).until("\n\n")).toBe("data: own\n\n");
  });

  test("a quiet one sends comments, which the client ignores", async () => {
    const { news, handler } = feed({ keepAliveMs: 100 });
    const { url } = await serve(handler);
    const stream = await openStream(url);
    expect(await stream.until("\n\n")).toBe(": \n\n");
    news.send("x");
    expect(await stream.until("data: x\n\n")).toMatch(/^(: \n\n)*data: x\n\n$/);
  });

  test("the loop can end it", async () => {
    const { news, handler } = feed({ loop: () => mist.stop() });
    const { url } = await serve(handler);
    const stream = await openStream(url);
    news.send("enough");
    expect(await stream.rest()).toBe("");
  });

  test("a failure breaks it off, and is reported once", async () => {
    const { news, handler } = feed({ loop: () => mist.stopAbnormal(new Error("crash")) });
    const { url, reports } = await serve(handler);
    const stream = await openStream(url);
    news.send("x");
    await expect(stream.rest()).rejects.toThrow();
    expect(reports.map(({ error }) => (error as Error).message)).toEqual(["crash"]);
  });

  test("an init that fails breaks it off too, and onClose is not called", async () => {
    let closes = 0;
    const { handler } = feed({
      init: () => Promise.reject(new Error("no database")),
      onClose: () => void closes++,
    });
    const { url, reports } = await serve(handler);
    await expect(openStream(url).then((stream) => stream.rest())).rejects.toThrow();
    expect(reports.map(({ error }) => (error as Error).message)).toEqual(["no database"]);
    expect(closes).toBe(0);
  });

  test.each(["leaves in order", "is reset"])("a client that %s ends the loop at once", async (how) => {
    const closed = deferred<unknown>();
    const started = deferred();
    const { handler } = feed({
      init: () => {
        started.resolve();
        return "last state";
      },
      onClose: closed.resolve,
    });
    const { connect } = await serve(handler);
    const socket = await connect();
    await socket.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    await started.promise;
    if (how === "is reset") socket.reset();
    else await socket.halfClose();
    expect(await closed.promise).toBe("last state");
  });

  test("when the server stops, it ends with a reconnection time", async () => {
    const closed = deferred<unknown>();
    const { news, handler } = feed({ retryOnStopMs: 250, onClose: closed.resolve });
    const { url, server } = await serve(handler);
    const stream = await openStream(url);
    news.send("x");
    await stream.until("data: x\n\n");
    const stopped = server.stop({ deadlineMs: 5000 });
    expect(await stream.rest()).toBe("retry: 250\n\n");
    await closed.promise;
    expect((await stopped).killed).toBe(0);
  });

  test("onShutdown has a word to say first", async () => {
    const { handler } = feed({ onShutdown: (_state, stream) => void stream.sendEvent(mist.event("bye")) });
    const { url, server } = await serve(handler);
    const stream = await openStream(url);
    const stopped = server.stop({ deadlineMs: 5000 });
    expect(await stream.rest()).toBe("data: bye\n\nretry: 1000\n\n");
    await stopped;
  });

  test("a client that takes nothing holds the loop back, whether it waits for its sends or not", async () => {
    let handled = 0;
    const big = "x".repeat(100_000);
    const { news, handler } = feed({
      maxMailbox: 10_000,
      loop: (_state, message, stream) => {
        handled++;
        stream.sendEvent(mist.event(message));
      },
    });
    const { connect } = await serve(handler);
    const socket = await connect();
    await socket.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    await socket.receiveUntil("\r\n\r\n");
    for (let i = 0; i < 1000; i++) news.send(big);
    await new Promise((resolve) => setTimeout(resolve, 100));
    const held = handled;
    expect(held).toBeLessThan(300); // what the kernel's buffers take, not a hundred megabytes
    let received = 0;
    while (handled === held) received += (await socket.receive({ timeout: 5000 })).length;
    expect(received).toBeGreaterThan(0);
  });

  test("a mailbox too full ends the stream, where that is the policy", async () => {
    const { news, handler } = feed({ maxMailbox: 5, overflow: "stop", loop: () => new Promise(() => {}) });
    const { url } = await serve(handler);
    const stream = await openStream(url);
    for (let i = 0; i < 10; i++) news.send("x");
    await expect(stream.rest()).rejects.toThrow();
  });

  test("HEAD is answered with the fields and no stream", async () => {
    let started = 0;
    const { handler } = feed({ init: () => void started++ });
    const { connect } = await serve(handler);
    const socket = await connect();
    await socket.send("HEAD / HTTP/1.1\r\nhost: a\r\n\r\nHEAD / HTTP/1.1\r\nhost: a\r\n\r\n");
    for (let i = 0; i < 2; i++) {
      const { status, headers } = await readAnswer(socket, "HEAD");
      expect([status, headers.get("content-type")]).toEqual([200, "text/event-stream"]);
    }
    expect(started).toBe(0);
  });

  test("options that make no sense are refused", async () => {
    const { handler } = feed({ keepAliveMs: -1 });
    const { ask, reports } = await serve(handler);
    expect(await ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n")).toMatch(/^HTTP\/1\.1 500 /);
    expect(reports.map(({ error }) => (error as Error).name)).toEqual(["UsageError"]);
  });
});

describe("a chunked response", () => {
  const lines = (options: Partial<mist.ChunkedOptions<number, string>> = {}) => {
    const source = subject<string>();
    const handler = (request: mist.Request): mist.ServerResponse =>
      mist.chunked<number, string>({
        request,
        response: mist.response(200).setHeader("content-type", "text/plain"),
        init: () => [0, selector<string>().select(source)] as const,
        loop(count, line, chunks) {
          if (line === "") return mist.stop();
          if (line === "!") return mist.stopAbnormal(new Error("crash"));
          chunks.sendChunk(`${count} ${line}\n`);
          return mist.continue(count + 1);
        },
        ...options,
      });
    return { source, handler };
  };

  test("is what the loop sends, until it stops", async () => {
    const closed = deferred<number>();
    const { source, handler } = lines({ onClose: closed.resolve });
    const { url } = await serve(handler);
    const answer = fetch(url).then((response) => response.text());
    for (const line of ["a", "b", ""]) source.send(line);
    expect(await answer).toBe("0 a\n1 b\n");
    expect(await closed.promise).toBe(2);
  });

  test("aborting breaks the coding, so that the client sees a failure", async () => {
    const { source, handler } = lines();
    const { connect, reports } = await serve(handler);
    const socket = await connect();
    await socket.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    await socket.receiveUntil("\r\n\r\n");
    source.send("a");
    await socket.receiveUntil("0 a\n\r\n");
    source.send("!");
    const rest = await socket.receiveToEnd({ timeout: 5000 }).catch(() => Buffer.alloc(0));
    expect(rest.toString()).not.toContain("0\r\n\r\n");
    expect(reports.map(({ error }) => (error as Error).message)).toEqual(["crash"]);
  });

  test("may have trailers", async () => {
    const { source, handler } = lines({
      response: mist.response(200).withTrailers(() => [["x-lines", "1"]]),
    });
    const { connect } = await serve(handler);
    const socket = await connect();
    await socket.send("GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\n\r\n");
    await socket.receiveUntil("\r\n\r\n");
    source.send("a");
    source.send("");
    expect((await socket.receiveUntil("\r\n\r\n")).toString()).toMatch(/0\r\nx-lines: 1\r\n\r\n$/);
  });

  test("one under way when the server stops is finished", async () => {
    const { source, handler } = lines();
    const { url, server } = await serve(handler);
    const response = await fetch(url);
    const stopped = server.stop({ deadlineMs: 5000 });
    source.send("still");
    source.send("");
    expect(await response.text()).toBe("0 still\n");
    expect((await stopped).killed).toBe(0);
  });

  test("a client that leaves ends the loop at once", async () => {
    const closed = deferred<number>();
    const { source, handler } = lines({ onClose: closed.resolve });
    const { connect } = await serve(handler);
    const socket = await connect();
    await socket.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    await socket.receiveUntil("\r\n\r\n");
    source.send("a");
    await socket.receiveUntil("0 a\n\r\n");
    socket.reset();
    expect(await closed.promise).toBe(1);
  });

  test("iterables are chunked as well", async () => {
    const { url } = await serve(() => mist.response(200).setBody(mist.chunked(["a", "b"])));
    expect(await (await fetch(url)).text()).toBe("ab");
  });
});

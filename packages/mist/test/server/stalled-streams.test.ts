// Clients that do not take what a stream sends: bounded in memory, and cut off.

import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import * as mist from "../../src/index.ts";
import { serve } from "./serve.ts";

const get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
// What compression cannot make smaller than the socket would take.
const piece = randomBytes(75_000).toString("base64");

interface Sending {
  readonly bufferedAmount: number;
  readonly open: boolean;
}

/** Sends from a timer, and looks at no promise. */
function sendFromTimer(
  writer: mist.ChunkedStream | mist.EventStream,
  seen: { most: number; closes: number },
): void {
  const timer = setInterval(() => {
    const { bufferedAmount, open }: Sending = writer;
    if (!open) return clearInterval(timer);
    seen.most = Math.max(seen.most, bufferedAmount);
    if ("sendChunk" in writer) writer.sendChunk(piece);
    else writer.sendEvent(mist.event(piece));
  }, 1);
}

type Options = { readonly maxBufferedBytes?: number; readonly keepAliveMs?: number };
type Streaming = (
  request: mist.Request,
  begin: (writer: mist.ChunkedStream | mist.EventStream) => void,
  onClose: () => void,
  options: Options,
) => mist.ServerResponse;

const streams: [string, Streaming][] = [
  [
    "a chunked loop",
    (request, begin, onClose, { maxBufferedBytes }) =>
      mist.chunked({
        request,
        response: mist.response(200).setHeader("content-type", "text/plain"),
        init: begin,
        loop: () => mist.continue(undefined),
        onClose,
        maxBufferedBytes,
      }),
  ],
  [
    "an event stream",
    (request, begin, onClose, options) =>
      mist.serverSentEvents({
        request,
        init: begin,
        loop: () => mist.continue(undefined),
        onClose,
        ...options,
      }),
  ],
];

describe.each(streams)("%s that keeps sending to a client that takes nothing", (_, stream) => {
  it.each([
    ["as it is", ""],
    ["compressed", "accept-encoding: gzip\r\n"],
  ])("is broken off at maxBufferedBytes: %s", async (_name, coding) => {
    const seen = { most: 0, closes: 0 };
    const handler: mist.Handler = (request) =>
      stream(
        request,
        (writer) => sendFromTimer(writer, seen),
        () => void seen.closes++,
        { maxBufferedBytes: 1_000_000 },
      );
    const { connect, server, reports } = await serve(mist.compress(handler), (builder) =>
      builder.withDeadlines({ sendMs: 600_000 }),
    );
    const socket = await connect();
    await socket.send(get.replace("\r\n\r\n", `\r\n${coding}\r\n`));
    await expect.poll(() => seen.closes, { timeout: 20_000 }).toBe(1);
    // A response that is broken off lingers, in case the client takes what was sent before.
    await expect.poll(() => server.info().connections, { timeout: 10_000 }).toBe(0);
    expect(seen.most).toBeLessThan(1_000_000 + 2 * piece.length);
    expect(reports).toEqual([]);
    await socket.close();
  });

  it("is cut off by sendMs, however often it sends", async () => {
    const seen = { most: 0, closes: 0 };
    const { connect, server, reports } = await serve(
      (request) =>
        stream(
          request,
          (writer) => sendFromTimer(writer, seen),
          () => void seen.closes++,
          { maxBufferedBytes: 1_000_000_000 },
        ),
      (builder) => builder.withDeadlines({ sendMs: 300 }),
    );
    const socket = await connect();
    await socket.send(get);
    await expect.poll(() => seen.closes, { timeout: 20_000 }).toBe(1);
    await expect.poll(() => server.info().connections).toBe(0);
    expect(reports).toEqual([]);
    await socket.close();
  });
});

it("keep-alive comments do not put off the deadline of a stalled event stream", async () => {
  let closes = 0;
  const { connect, server } = await serve(
    (request) =>
      mist.serverSentEvents({
        request,
        keepAliveMs: 250,
        init(events) {
          for (let i = 0; i < 160; i++) events.sendEvent(mist.event(piece));
        },
        loop: () => mist.continue(undefined),
        onClose: () => void closes++,
        maxBufferedBytes: 1_000_000_000,
      }),
    (builder) => builder.withDeadlines({ sendMs: 600 }),
  );
  const socket = await connect();
  await socket.send(get);
  await expect.poll(() => closes, { timeout: 20_000 }).toBe(1);
  await expect.poll(() => server.info().connections).toBe(0);
  await socket.close();
});

describe("maxBufferedBytes", () => {
  it.each([-1, 1.5, Number.NaN, "1"])("cannot be %s", (maxBufferedBytes) => {
    const request = {} as mist.Request;
    for (const [, stream] of streams) {
      const make = () =>
        stream(
          request,
          () => {},
          () => {},
          { maxBufferedBytes: maxBufferedBytes as number },
        );
      expect(make).toThrow(mist.UsageError);
    }
  });
});

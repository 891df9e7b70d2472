/**
 * Whatever two ends do to each other, over whatever carries them: every promise settles, every failure has a code,
 * every stream is destroyed in the end, and nothing is unhandled.
 */

import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket as NetSocket, connect as netConnect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Duplex, duplexPair } from "node:stream";
import { createServer as createTlsServer, connect as tlsConnect } from "node:tls";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as mug from "../src/index.ts";
import { type Certificates, makeCertificates } from "./certificates.ts";

let certificates: Certificates;
let directory: string;
const unhandled: unknown[] = [];
const onUnhandled = (error: unknown): void => void unhandled.push(error);

beforeAll(() => {
  certificates = makeCertificates();
  directory = mkdtempSync(join(tmpdir(), "mug-chaos-"));
  process.on("unhandledRejection", onUnhandled);
});
afterAll(() => {
  rmSync(directory, { recursive: true });
  process.off("unhandledRejection", onUnhandled);
});

/** Two connected streams, and the way to let go of what carried them. */
interface Carrier {
  readonly ends: readonly [Duplex, Duplex];
  close(): void;
}

let path = 0;

const carriers: Record<string, () => Promise<Carrier>> = {
  async tcp() {
    const server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const accepted = once(server, "connection");
    const near = netConnect({
      port: (server.address() as { port: number }).port,
      host: "127.0.0.1",
      allowHalfOpen: true,
    });
    const [[far]] = await Promise.all([accepted, once(near, "connect")]);
    return { ends: [near, far as NetSocket], close: () => server.close() };
  },
  async unix() {
    const where = join(directory, String(path++));
    const server = createServer({ allowHalfOpen: true }).listen(where);
    await once(server, "listening");
    const accepted = once(server, "connection");
    const near = netConnect({ path: where, allowHalfOpen: true });
    const [[far]] = await Promise.all([accepted, once(near, "connect")]);
    return { ends: [near, far as NetSocket], close: () => server.close() };
  },
  async tls() {
    const server = createTlsServer({ ...certificates.server, allowHalfOpen: true }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const accepted = once(server, "secureConnection");
    const near = tlsConnect({
      port: (server.address() as { port: number }).port,
      host: "127.0.0.1",
      ca: certificates.ca,
    });
    const [[far]] = await Promise.all([accepted, once(near, "secureConnect")]);
    return { ends: [near, far as NetSocket], close: () => server.close() };
  },
  async memory() {
    return { ends: duplexPair(), close: () => {} };
  },
};

const step = fc.record({
  who: fc.integer({ min: 0, max: 1 }),
  what: fc.constantFrom(
    ...([
      "send",
      "send",
      "flood",
      "receive",
      "receive",
      "exact",
      "until",
      "line",
      "rest",
      "unreceive",
    ] as const),
    ...(["arm", "disarm", "flush", "half-close", "shutdown", "close", "reset", "destroy", "turn"] as const),
  ),
  timeout: fc.constantFrom(undefined, 0, 1, 5),
});

interface End {
  readonly socket: mug.Socket;
  readonly stream: Duplex;
}

function act(end: End, what: string, timeout: number | undefined): Promise<unknown> | undefined {
  const { socket } = end;
  const wait = timeout === undefined ? undefined : { timeout };
  const send = (size: number): Promise<void> => socket.send(Buffer.alloc(size, "line\n"), wait);
  switch (what) {
    case "send":
      return send(100);
    case "flood":
      return send(1_000_000);
    case "receive":
      return socket.receive(wait);
    case "exact":
      return socket.receiveExact(200_000, wait);
    case "until":
      return socket.receiveUntil("e\nl", wait);
    case "line":
      return socket.receiveLine(wait);
    case "rest":
      return socket.receiveToEnd(wait);
    case "flush":
      return socket.flush(wait);
    case "half-close":
      return socket.halfClose();
    case "shutdown":
      return socket.shutdown();
    case "close":
      return socket.close(wait);
    case "reset":
      return socket.reset();
    case "destroy":
      end.stream.destroy();
      return undefined;
    case "unreceive":
      socket.unreceive(Buffer.from("again"));
      return undefined;
    case "arm":
      socket.receiveAllPacketsAsMessages();
      return undefined;
    case "disarm":
      socket.stopReceivingPacketsAsMessages();
      return undefined;
    default:
      return new Promise((resolve) => setImmediate(resolve));
  }
}

test.each(Object.keys(carriers))("over %s", { timeout: 60_000 }, async (kind) => {
  const run = async (steps: readonly { who: number; what: string; timeout: number | undefined }[]) => {
    const carrier = await carriers[kind]!();
    const ends = carrier.ends.map((stream) => {
      const socket = mug.over(stream);
      socket.subscribe(() => {});
      return { socket, stream };
    });
    const outcomes: Promise<unknown>[] = [];
    for (const { who, what, timeout } of steps) {
      try {
        const outcome = act(ends[who]!, what, timeout);
        if (what === "turn") await outcome;
        else if (outcome !== undefined) outcomes.push(outcome);
      } catch (error) {
        if (!(error instanceof mug.UsageError)) throw error;
      }
    }
    const late = setTimeout(() => {
      for (const { socket } of ends) void socket.close({ timeout: 10 });
    }, 10);
    const settled = await Promise.allSettled(outcomes);
    clearTimeout(late);
    await Promise.all(ends.map(({ socket }) => socket.close({ timeout: 10 })));
    carrier.close();
    for (const outcome of settled) {
      if (outcome.status === "fulfilled") continue;
      expect(outcome.reason).toBeInstanceOf(mug.MugError);
      expect(outcome.reason.code).not.toBe("unknown");
    }
    for (const { stream, socket } of ends) {
      expect(stream.destroyed).toBe(true);
      await expect(socket.receive()).rejects.toMatchObject({ code: "closed" });
      await expect(socket.send("x")).rejects.toBeInstanceOf(mug.MugError);
    }
    await new Promise((resolve) => setImmediate(resolve));
    expect(unhandled).toEqual([]);
  };
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 14 }), run), {
    numRuns: 60,
    timeout: 3000,
  });
});

/** A pair of sockets in memory: order, backpressure, FIN and reset, with no server around it. */

import { once } from "node:events";
import { expect, it } from "vitest";
import { MemorySocket } from "../../src/transport/memory-socket.ts";

const server = { address: "127.0.0.1", port: 0 };
const client = { address: "::1", port: 50_000 };

function pair(highWaterMark = 65_536): [MemorySocket, MemorySocket] {
  return MemorySocket.pair(server, client, highWaterMark);
}

/** What arrives, and how it ends. */
function collect(socket: MemorySocket): { readonly chunks: Buffer[]; readonly events: string[] } {
  const chunks: Buffer[] = [];
  const events: string[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("end", () => events.push("end"));
  socket.on("error", (error: NodeJS.ErrnoException) => events.push(error.code ?? "error"));
  socket.on("close", () => events.push("close"));
  return { chunks, events };
}

/** Every tick that is due now, and those they bring about. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

function text(chunks: readonly Buffer[]): string {
  return Buffer.concat(chunks).toString();
}

it("delivers in a microtask, never inside the write", async () => {
  const [near, far] = pair();
  const { chunks } = collect(near);
  await settled();
  const order: string[] = [];
  near.once("data", () => order.push("data"));
  far.write("hello");
  order.push("written");
  await settled();
  expect(order).toEqual(["written", "data"]);
  expect(text(chunks)).toBe("hello");
});

it("copies: the writer may use its memory again once the write is done", async () => {
  const [near, far] = pair();
  const bytes = Buffer.from("first");
  far.write(bytes);
  bytes.fill("x");
  far.write(bytes);
  const { chunks } = collect(near);
  await settled();
  expect(text(chunks)).toBe("firstxxxxx");
});

it("gives each chunk memory of its own, of at most 64 KiB", async () => {
  const [near, far] = pair(1_000_000);
  const { chunks } = collect(near);
  far.write(Buffer.alloc(200_000, "a"));
  await settled();
  expect(chunks.map((chunk) => chunk.length)).toEqual([65_536, 65_536, 65_536, 3_392]);
  expect(chunks.every((chunk) => chunk.length === chunk.buffer.byteLength)).toBe(true);
});

it("delivers corked writes as one chunk", async () => {
  const [near, far] = pair();
  const { chunks } = collect(near);
  await settled();
  far.cork();
  far.write("one ");
  far.write("two");
  far.uncork();
  await settled();
  expect(chunks.map(String)).toEqual(["one two"]);
});

it.each([1, 7, 64, 65_536])("holds at most %i bytes unread, and drains as they are read", async (limit) => {
  const [near, far] = pair(limit);
  const sent = Buffer.from(Array.from({ length: 500 }, (_, index) => index % 251));
  let writes = 0;
  while (far.write(sent)) writes += 1;
  await settled();
  expect(near.readableLength).toBeLessThanOrEqual(limit);
  expect(far.writableLength).toBeLessThan(limit + sent.length);
  const { chunks, events } = collect(near);
  await once(far, "drain");
  far.end();
  await settled();
  expect(Buffer.concat(chunks)).toEqual(Buffer.concat(Array(writes + 1).fill(sent)));
  expect(events).toEqual(["end"]);
});

it("counts what the other end has not read, even within one write", async () => {
  const [near, far] = pair(10);
  near.read(0); // asks for bytes
  far.write(Buffer.alloc(100));
  await settled();
  expect(far.unread).toBe(100);
  expect(near.read(4)).toHaveLength(4);
  await settled();
  expect(far.unread).toBe(96);
  expect(far.writableLength).toBe(100);
  expect(near.readableLength).toBe(10);
});

it("reads on behind bytes that were put back", async () => {
  const [near, far] = pair(8);
  const all = collect(near);
  near.pause();
  far.end("0123456789abcdef");
  await settled();
  near.unshift(Buffer.from("before the rest "));
  near.resume();
  await settled();
  expect(text(all.chunks)).toBe("before the rest 0123456789abcdef");
  expect(all.events).toEqual(["end"]);
});

it("half-closes both ways", async () => {
  const [near, far] = pair();
  const [atNear, atFar] = [collect(near), collect(far)];
  far.end("question");
  await once(near, "end");
  near.write("answer");
  await settled();
  expect(text(atNear.chunks)).toBe("question");
  expect(text(atFar.chunks)).toBe("answer");
  expect(atFar.events).toEqual([]);
  near.end();
  await settled();
  expect(atFar.events).toEqual(["end", "close"]);
  expect(atNear.events).toEqual(["end", "close"]);
});

it("a reset reaches the other end as ECONNRESET, behind what it is reading", async () => {
  for (const turned of [false, true]) {
    const [near, far] = turned ? (pair().reverse() as [MemorySocket, MemorySocket]) : pair();
    const [atNear, atFar] = [collect(near), collect(far)];
    await settled();
    far.write("last words");
    far.resetAndDestroy();
    await settled();
    expect(text(atNear.chunks)).toBe("last words");
    expect(atNear.events).toEqual(["ECONNRESET", "close"]);
    expect(atFar.events).toEqual(["close"]);
  }
});

it("an end that does not read notices a reset when it has read, or when it writes", async () => {
  for (const how of ["reads", "writes"]) {
    const [near, far] = pair(4);
    const atNear = collect(near.pause());
    far.write("more than there is room for");
    await settled();
    far.on("error", () => {}).resetAndDestroy();
    await settled();
    expect(atNear.events).toEqual([]);
    if (how === "reads") near.resume();
    else near.write("anybody there?");
    await settled();
    expect(atNear.events).toEqual(["ECONNRESET", "close"]);
    expect(text(atNear.chunks)).toBe(how === "reads" ? "more" : "");
  }
});

it("an end that is destroyed with bytes unread resets the other one, else it sends FIN", async () => {
  const [near, far] = pair();
  const atNear = collect(near);
  near.write("unread");
  far.destroy();
  await settled();
  expect(atNear.events).toEqual(["ECONNRESET", "close"]);

  const [nextNear, nextFar] = pair();
  const atNext = collect(nextNear);
  nextFar.destroy();
  await settled();
  expect(atNext.events).toEqual(["end"]);
  // It is gone: nobody reads this.
  nextNear.write("too late");
  await settled();
  expect(atNext.events).toEqual(["end", "ECONNRESET", "close"]);
});

it("a write that waits is told when either end is destroyed", async () => {
  for (const which of ["own", "other"]) {
    const [near, far] = pair(4);
    collect(far);
    const told = new Promise<Error | null | undefined>((resolve) => far.write("0123456789", resolve));
    await settled();
    (which === "own" ? far : near).destroy();
    expect(await told).toBeInstanceOf(Error);
  }
});

it("the end of the stream comes behind everything that waited for room", async () => {
  const [near, far] = pair(3);
  far.end(Buffer.alloc(1000, "z"));
  await settled();
  const { chunks, events } = collect(near);
  await once(near, "end");
  expect(text(chunks)).toBe("z".repeat(1000));
  expect(events).toEqual(["end"]);
});

it("destroySoon destroys behind the last byte", async () => {
  const [near, far] = pair(3);
  far.write("some bytes");
  far.destroySoon();
  await settled();
  expect(far.destroyed).toBe(false);
  const { chunks, events } = collect(near);
  await once(far, "close");
  expect(text(chunks)).toBe("some bytes");
  expect(events).toEqual(["end"]);
});

it("has addresses and counters", async () => {
  const [near, far] = pair();
  near.resume();
  far.write("12345");
  await settled();
  expect([far.localAddress, far.localPort, far.localFamily]).toEqual(["::1", 50_000, "IPv6"]);
  expect([far.remoteAddress, far.remotePort, far.remoteFamily]).toEqual(["127.0.0.1", 0, "IPv4"]);
  expect([near.remoteAddress, near.remotePort]).toEqual(["::1", 50_000]);
  expect([far.bytesWritten, near.bytesRead, near.bytesWritten]).toEqual([5, 5, 0]);
  expect(far.connecting).toBe(false);
  expect(far.setNoDelay().setKeepAlive().ref().unref()).toBe(far);
});

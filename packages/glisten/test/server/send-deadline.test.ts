/** Peers that take what they are sent slowly, or not at all. */

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { connect as tlsConnect } from "node:tls";
import { describe, expect, it } from "vitest";
import * as glisten from "../../src/index.ts";
import { virtualClock } from "../../src/testing/index.ts";
import { testCertificates } from "../certificates.ts";
import { dial, dialTls, eventually } from "./peer.ts";

const nothing = (): undefined => undefined;
const MiB = 1024 * 1024;

interface Written {
  readonly connection: glisten.Connection;
  readonly reasons: glisten.CloseReason[];
}

/** A server whose connections are written to by the test. */
async function writing(
  shape: (builder: glisten.Builder) => glisten.Builder,
): Promise<{ readonly server: glisten.Server; readonly written: Written[] }> {
  const written: Written[] = [];
  const builder = glisten.protocol((connection) => {
    const reasons: glisten.CloseReason[] = [];
    written.push({ connection, reasons });
    return { data: nothing, closed: (reason) => void reasons.push(reason) };
  });
  return { server: await shape(builder).withStopDeadline(20).start(0), written };
}

/**
 * Whether the kernel still keeps the server's end of a connection: it does for minutes when bytes were left behind FIN,
 * and does not after RST. Undefined where it cannot be told. (A peer that does not read does not hear of a reset.)
 */
function orphaned(server: glisten.Server, peer: Socket): boolean | undefined {
  if (process.platform !== "linux") return undefined;
  const port = (value: number): string => `:${value.toString(16).toUpperCase().padStart(4, "0")}`;
  const ours = `${port(server.port)} 0100007F${port(peer.localPort!)} `;
  return readFileSync("/proc/self/net/tcp", "latin1").includes(ours);
}

/** Resolves when no file is being read: the kernel's count of what a peer has acknowledged is in one. */
async function answeredBySystem(): Promise<void> {
  const reading = () => process.getActiveResourcesInfo().some((name) => name.startsWith("FSReq"));
  while (reading()) await new Promise((resolve) => setImmediate(resolve));
}

/** Takes `bytesPerSecond` in small helpings until the socket ends or `total` bytes have come. */
async function readSlowly(socket: Socket, bytesPerSecond: number, total: number): Promise<number> {
  let received = 0;
  const began = performance.now();
  socket.on("error", nothing);
  socket.pause();
  while (received < total && !socket.destroyed && !socket.readableEnded) {
    const due = ((performance.now() - began) / 1000) * bytesPerSecond;
    while (received < due) {
      const chunk = socket.read() as Buffer | null;
      if (chunk === null) break;
      received += chunk.length;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return received;
}

describe("a peer that takes nothing", () => {
  it.each([
    ["at the default rate", {}],
    ["without a minimum rate", { minSendRate: 0 }],
  ])("is cut off with RST, however often it is written to, %s", async (_name, rate) => {
    const { server, written } = await writing((builder) =>
      builder.withSendDeadline({ sendMs: 400, ...rate }),
    );
    await using _ = server;
    const peer = await dial(server);
    peer.socket.pause();
    await eventually(() => written.length === 1);
    const { connection, reasons } = written[0]!;
    const producer = setInterval(() => connection.write(Buffer.alloc(MiB)), 20);
    await eventually(() => reasons.length === 1);
    clearInterval(producer);
    expect(reasons).toEqual([{ type: "deadline", deadline: "send" }]);
    await eventually(() => server.info().connections === 0);
    expect(orphaned(server, peer.socket)).not.toBe(true);
    peer.socket.destroy();
  });

  it("is cut off when little waits for it, far below the high-water mark", async () => {
    const { server, written } = await writing((builder) => builder.withSendDeadline({ sendMs: 300 }));
    await using _ = server;
    const peer = await dial(server);
    peer.socket.pause();
    await eventually(() => written.length === 1);
    const { connection, reasons } = written[0]!;
    // Fills the kernel; then one byte waits.
    while (connection.bufferedAmount === 0) connection.write(Buffer.alloc(4096));
    expect(connection.bufferedAmount).toBeLessThan(65_536);
    await eventually(() => reasons.length === 1);
    expect(reasons).toEqual([{ type: "deadline", deadline: "send" }]);
  });

  it("is cut off over TLS, below it", async () => {
    const { certfile, keyfile } = (await testCertificates()).server;
    const { server, written } = await writing((builder) =>
      builder.withTls({ certfile, keyfile }).withSendDeadline({ sendMs: 400 }),
    );
    await using _ = server;
    const raw = connect(server.port, "127.0.0.1");
    raw.on("error", nothing);
    const secure = tlsConnect({ socket: raw, rejectUnauthorized: false });
    secure.on("error", nothing);
    await once(secure, "secureConnect");
    secure.pause();
    await eventually(() => written.length === 1);
    const { connection, reasons } = written[0]!;
    void connection.send(Buffer.alloc(32 * MiB));
    await eventually(() => reasons.length === 1);
    expect(reasons).toEqual([{ type: "deadline", deadline: "send" }]);
    await eventually(() => server.info().connections === 0);
    expect(orphaned(server, raw)).not.toBe(true);
    secure.destroy();
  });

  it("is waited for without a deadline", async () => {
    const { server, written } = await writing((builder) => builder.withSendDeadline({ sendMs: Infinity }));
    await using _ = server;
    const peer = await dial(server);
    peer.socket.pause();
    await eventually(() => written.length === 1);
    const { connection, reasons } = written[0]!;
    void connection.send(Buffer.alloc(8 * MiB));
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(reasons).toEqual([]);
    peer.socket.resume();
    await peer.until(() => peer.received.length === 8 * MiB);
  });
});

describe("a peer that is slow, but takes bytes", () => {
  it.skipIf(process.platform !== "linux")("has the whole of what was written before close", async () => {
    using clock = virtualClock();
    const { server, written } = await writing((builder) => builder);
    await using _ = server;
    const peer = connect(server.port, "127.0.0.1").on("error", nothing).pause();
    await eventually(() => written.length === 1);
    const { connection, reasons } = written[0]!;
    const size = 12 * MiB; // more than the kernel takes
    connection.write(Buffer.alloc(size));
    connection.close();
    let received = 0;
    for (let second = 0; second < 360; second++) {
      received += ((peer.read(3072) as Buffer | null) ?? "").length;
      await clock.advance(1_000);
      await answeredBySystem();
    }
    expect(reasons).toEqual([]);
    peer.on("data", (chunk: Buffer) => {
      received += chunk.length;
    });
    peer.resume();
    await once(peer, "close");
    expect(received).toBe(size);
  });

  // What the kernel has accepted moves in steps of a third of its send buffer: at this rate, one in several seconds.
  it.skipIf(process.platform !== "linux")("is served", { timeout: 30_000 }, async () => {
    const { server, written } = await writing((builder) => builder.withSendDeadline({ sendMs: 1_500 }));
    await using _ = server;
    const socket = connect(server.port, "127.0.0.1");
    const read = readSlowly(socket, 200_000, 1_200_000);
    await eventually(() => written.length === 1);
    const { connection, reasons } = written[0]!;
    void connection.send(Buffer.alloc(64 * MiB));
    await read;
    expect(reasons).toEqual([]);
    socket.destroy();
  });

  it.skipIf(process.platform !== "linux")("is cut off below the minimum rate", async () => {
    const { server, written } = await writing((builder) =>
      builder.withSendDeadline({ sendMs: 1_000, minSendRate: 10 * MiB }),
    );
    await using _ = server;
    const socket = connect(server.port, "127.0.0.1");
    void readSlowly(socket, 400_000, Number.POSITIVE_INFINITY);
    await eventually(() => written.length === 1);
    const { connection, reasons } = written[0]!;
    void connection.send(Buffer.alloc(64 * MiB));
    await eventually(() => reasons.length === 1);
    expect(reasons).toEqual([{ type: "deadline", deadline: "send" }]);
  });
});

describe("a large write", () => {
  /** Bytes that tell where they stand. */
  function pattern(length: number): Buffer {
    const bytes = Buffer.alloc(length);
    for (let at = 0; at < length; at++) bytes[at] = (at * 7 + (at >> 9)) & 0xff;
    return bytes;
  }

  it.each(["tcp", "tls"])("arrives whole, in order, and before FIN: %s", async (transport) => {
    const { certfile, keyfile } = (await testCertificates()).server;
    const { server, written } = await writing((builder) =>
      transport === "tls" ? builder.withTls({ certfile, keyfile }) : builder,
    );
    await using _ = server;
    const received: Buffer[] = [];
    const options = { port: server.port, host: "127.0.0.1" };
    const socket =
      transport === "tls" ? tlsConnect({ ...options, rejectUnauthorized: false }) : connect(options);
    socket.on("data", (chunk: Buffer) => received.push(chunk));
    await eventually(() => written.length === 1);
    const { connection, reasons } = written[0]!;
    const large = pattern(5 * MiB + 17);
    const text = "é".repeat(300_000);
    const sent: string[] = [];
    expect(connection.write(["head", large, "tail"], "latin1", () => sent.push("large"))).toBe(false);
    expect(connection.bytesWritten).toBe(large.length + 8);
    connection.write(text, "utf8", () => sent.push("text"));
    connection.write("last", "latin1", () => sent.push("last"));
    connection.close();
    expect(connection.write("too late")).toBe(false);
    await once(socket, "end");
    const expected = [
      Buffer.from("head"),
      large,
      Buffer.from("tail"),
      Buffer.from(text),
      Buffer.from("last"),
    ];
    expect(Buffer.concat(received).equals(Buffer.concat(expected))).toBe(true);
    expect(sent).toEqual(["large", "text", "last"]);
    await eventually(() => reasons.length === 1);
    expect(reasons).toEqual([{ type: "normal" }]);
    socket.destroy();
  });

  it("gives its memory back when the connection is cut in the middle", async () => {
    const { server, written } = await writing((builder) => builder);
    await using _ = server;
    const peer = await dial(server);
    peer.socket.pause();
    await eventually(() => written.length === 1);
    const { connection } = written[0]!;
    const sent: string[] = [];
    connection.write(Buffer.alloc(16 * MiB), undefined, () => sent.push("first"));
    connection.write(Buffer.alloc(16 * MiB), undefined, () => sent.push("second"));
    const room = connection.send("!");
    connection.reset();
    await expect(room).rejects.toMatchObject({ code: "closed" });
    expect(sent).toEqual(["first", "second"]);
    expect(connection.bufferedAmount).toBe(0);
  });
});

describe("an end", () => {
  it.each(["tcp", "tls"])("by kill() comes through while FIN is under way: %s", async (transport) => {
    const { certfile, keyfile } = (await testCertificates()).server;
    const { server, written } = await writing((builder) =>
      transport === "tls" ? builder.withTls({ certfile, keyfile }) : builder,
    );
    const peer = await (transport === "tls" ? dialTls : dial)(server, { allowHalfOpen: true } as never);
    await eventually(() => written.length === 1);
    const { connection, reasons } = written[0]!;
    connection.write("x");
    connection.close();
    await new Promise((resolve) => process.nextTick(resolve));
    server.kill();
    await server.closed;
    expect(reasons).toHaveLength(1);
    peer.socket.destroy();
  });

  const ends: [string, (server: glisten.Server) => void][] = [
    ["at the stop deadline", (server) => void server.stop(10)],
    ["by kill()", (server) => server.kill()],
  ];
  it.each(ends)("%s is a reset, where bytes wait", async (_name, end) => {
    const { server, written } = await writing((builder) => builder);
    const peer = await dial(server);
    peer.socket.pause();
    await eventually(() => written.length === 1);
    void written[0]!.connection.send(Buffer.alloc(16 * MiB));
    const { port } = server;
    end(server);
    await server.closed;
    expect(orphaned({ port } as glisten.Server, peer.socket)).not.toBe(true);
    peer.socket.destroy();
  });

  it("is told when the conversation is over, not when the linger is", async () => {
    const { server, written } = await writing((builder) => builder.withLinger({ lingerMs: 60_000 }));
    const peer = await dial(server, { allowHalfOpen: true } as never);
    await eventually(() => written.length === 1);
    const { connection, reasons } = written[0]!;
    connection.write("bye");
    connection.close("idle");
    await eventually(() => reasons.length === 1);
    expect(reasons).toEqual([{ type: "deadline", deadline: "idle" }]);
    await peer.whenEnded();
    expect(peer.received.toString()).toBe("bye");
    expect(server.info()).toMatchObject({ connections: 1, states: { closing: 1 } });
    const stopped = server.stop({ deadlineMs: 10_000 });
    peer.socket.end();
    expect(await stopped).toMatchObject({ drained: 1, killed: 0 });
    expect(peer.error).toBe(undefined);
  });

  it("of a lingering connection at the stop deadline takes nothing back", async () => {
    const { server, written } = await writing((builder) => builder.withLinger({ lingerMs: 60_000 }));
    const peer = await dial(server, { allowHalfOpen: true } as never);
    peer.socket.pause();
    await eventually(() => written.length === 1);
    written[0]!.connection.write("bye");
    written[0]!.connection.close();
    expect(await server.stop(100)).toMatchObject({ drained: 0, killed: 1 });
    peer.socket.resume();
    await peer.whenEnded();
    expect(peer.received.toString()).toBe("bye");
    expect(peer.error).toBe(undefined);
    peer.socket.destroy();
  });
});

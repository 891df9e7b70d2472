/** A socket over any Duplex: two ends in memory, with the same behaviour as over TCP. */

import { once } from "node:events";
import { Duplex, type DuplexOptions, duplexPair, PassThrough } from "node:stream";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import * as mug from "../src/index.ts";
import { ExpectationError, forEverySplit, over } from "../src/testing/index.ts";
import { type Certificates, makeCertificates } from "./certificates.ts";

let near: Duplex;
let far: Duplex;
let socket: mug.Socket;
let peer: mug.Socket;

beforeEach(() => {
  [near, far] = duplexPair();
  socket = mug.over(near);
  peer = mug.over(far);
});

afterEach(async () => {
  await Promise.all([socket.close({ timeout: 0 }), peer.close({ timeout: 0 })]);
});

const wait = { timeout: 2000 };

/** A stream whose writes are kept until released, one by one. */
function slow(options: DuplexOptions = {}): Duplex & { release(error?: Error): void; held: number } {
  const kept: ((error?: Error) => void)[] = [];
  const stream = new Duplex({
    read() {},
    write(_chunk, _encoding, done) {
      kept.push(done);
    },
    ...options,
  });
  return Object.assign(stream, {
    release: (error?: Error) => kept.shift()?.(error),
    get held() {
      return kept.length;
    },
  });
}

test("sends and receives in every form", async () => {
  await socket.send(["one line\n", "exactly", Buffer.from("until;"), "the rest"]);
  await socket.halfClose();
  expect(await peer.receiveLine(wait)).toBe("one line");
  expect(String(await peer.receiveExact(7, wait))).toBe("exactly");
  expect(String(await peer.receiveUntil(";", wait))).toBe("until;");
  expect(String(await peer.receiveToEnd(wait))).toBe("the rest");
  // Half-closed: the other direction still works.
  await peer.send("answer");
  expect(String(await socket.receive(wait))).toBe("answer");
  await peer.shutdown();
  await expect(socket.receive(wait)).rejects.toMatchObject({ code: "closed" });
});

test("a timeout loses nothing; bytes can be put back", async () => {
  await peer.send("ab");
  await expect(socket.receiveExact(4, { timeout: 5 })).rejects.toMatchObject({ code: "timeout" });
  await peer.send("cd");
  const all = await socket.receiveExact(4, wait);
  expect(String(all)).toBe("abcd");
  socket.unreceive(all.subarray(2));
  expect(String(await socket.receive(wait))).toBe("cd");
});

test("has no address, counts bytes, and is not encrypted", async () => {
  await socket.send("grüße");
  await peer.receiveExact(7, wait);
  expect([socket.bytesWritten, peer.bytesRead, peer.bytesWritten]).toEqual([7, 7, 0]);
  expect([socket.peername(), socket.sockname()]).toEqual([{ family: "duplex" }, { family: "duplex" }]);
  expect(socket.encrypted).toBe(false);
  expect(socket.peerCertificate()).toBeUndefined();
});

test("a stream that has addresses and a reset of its own is asked for them", async () => {
  const resets: string[] = [];
  const stream = Object.assign(new PassThrough(), {
    remoteAddress: "10.0.0.1",
    remotePort: 1234,
    remoteFamily: "IPv4",
    localAddress: "::1",
    localPort: 80,
    localFamily: "IPv6",
    resetAndDestroy() {
      resets.push("reset");
      stream.destroy();
    },
  });
  const own = mug.over(stream);
  expect(own.peername()).toEqual({ family: "ipv4", address: "10.0.0.1", port: 1234 });
  expect(own.sockname()).toEqual({ family: "ipv6", address: "::1", port: 80 });
  await own.reset();
  expect(resets).toEqual(["reset"]);
});

test("stops reading when nobody receives, and nothing is lost", async () => {
  const block = Buffer.alloc(2_000_000, "0123456789");
  const sending = peer.send(block);
  await expect(socket.receive(wait))
    .resolves.toBeInstanceOf(Buffer)
    .then(() => {});
  await new Promise((resolve) => setImmediate(resolve));
  socket.unreceive(Buffer.from("!"));
  await peer.halfClose();
  await sending;
  const rest = await socket.receiveToEnd(wait);
  expect(rest[0]).toBe(0x21);
  await socket.send("done");
  expect(String(await peer.receive(wait))).toBe("done");
});

test("holds the peer back: a stream nobody receives from is paused", async () => {
  let pushed = 0;
  const source = new Duplex({
    write: (_chunk, _encoding, done) => done(),
    read() {
      pushed += 16_384;
      setImmediate(() => this.push(Buffer.alloc(16_384)));
    },
  });
  await using own = mug.over(source, { highWaterMark: 65_536 });
  while (own.bytesAvailable < 65_536) await new Promise((resolve) => setImmediate(resolve));
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(pushed).toBeLessThan(300_000);
  expect(await own.receiveExact(1_000_000, wait)).toHaveLength(1_000_000);
});

test("send waits for the stream, and flush for its callbacks", async () => {
  const stream = slow({ writableHighWaterMark: 4 });
  const own = mug.over(stream);
  const order: string[] = [];
  const sending = own.send("12345").then(() => order.push("sent"));
  const flushing = own.flush().then(() => order.push("flushed"));
  await new Promise((resolve) => setImmediate(resolve));
  expect(order).toEqual([]);
  expect(own.bufferedAmount).toBe(5);
  stream.release();
  await new Promise((resolve) => setImmediate(resolve));
  stream.release();
  await Promise.all([sending, flushing]);
  expect(own.bufferedAmount).toBe(0);
  await own.reset();
});

test("a write that fails reaches the send that waits for it", async () => {
  const stream = slow({ writableHighWaterMark: 4 });
  const own = mug.over(stream);
  const sending = own.send("12345");
  stream.release(Object.assign(new Error("write EPIPE"), { code: "EPIPE" }));
  await expect(sending).rejects.toMatchObject({ code: "epipe" });
  await expect(own.receive(wait)).rejects.toMatchObject({ code: "epipe" });
  await own.closed;
});

test("ending settles although a write of the stream never calls back", async () => {
  const own = mug.over(slow({ writableHighWaterMark: 4 }));
  const stuck = [own.send("12345"), own.flush(), own.halfClose(), own.shutdown()];
  await own.close({ timeout: 5 });
  for (const promise of stuck) await expect(promise).rejects.toMatchObject({ code: "closed" });
});

test("a stream destroyed by others is a reset, not an end", async () => {
  const receiving = socket.receiveToEnd(wait);
  near.destroy();
  await expect(receiving).rejects.toMatchObject({ code: "econnreset" });
  await socket.closed;
  await expect(socket.send("x")).rejects.toMatchObject({ code: "econnreset" });
});

test("an error of the stream keeps its code and its cause", async () => {
  const failure = Object.assign(new Error("read ETIMEDOUT"), { code: "ETIMEDOUT" });
  const receiving = socket.receive(wait);
  near.destroy(failure);
  await expect(receiving).rejects.toMatchObject({ code: "etimedout", cause: failure });
});

test("reset and close destroy the stream", async () => {
  await socket.reset();
  expect(near.destroyed).toBe(true);
  await peer.send("dropped");
  await peer.close({ timeout: 20 });
  expect(far.destroyed).toBe(true);
});

test("active mode", async () => {
  const messages = mug.tcpMessages(socket)[Symbol.asyncIterator]();
  await peer.send("packet");
  expect((await messages.next()).value).toMatchObject({ type: "packet", data: Buffer.from("packet") });
  await peer.halfClose();
  expect((await messages.next()).value).toEqual({ type: "socket-closed", socket });
  expect((await messages.next()).done).toBe(true);
});

test("web streams", async () => {
  const { readable, writable } = socket.toWeb();
  const writer = writable.getWriter();
  await writer.write("to the peer");
  await writer.close();
  expect(String(await peer.receiveToEnd(wait))).toBe("to the peer");
  await peer.send("and back");
  await peer.halfClose();
  expect(await new Response(readable as ReadableStream).text()).toBe("and back");
});

test.each<[string, () => unknown, string]>([
  ["nothing", () => undefined, "a Duplex"],
  ["an emitter", () => process, "a Duplex"],
  ["objects", () => new PassThrough({ objectMode: true }), "bytes"],
  ["text", () => new PassThrough().setEncoding("utf8"), "bytes"],
  ["a destroyed stream", () => new PassThrough().destroy(), "not connected"],
  ["a stream somebody reads", () => new PassThrough().on("data", () => {}), "somebody else reads"],
  ["a stream with a socket on it", () => near, "somebody else reads"],
  ["an ended stream", () => new PassThrough().end(), "already ended"],
])("over refuses %s", (_name, stream, message) => {
  expect(() => mug.over(stream() as Duplex)).toThrow(message);
  expect(() => mug.over(stream() as Duplex)).toThrow(mug.UsageError);
});

test("over refuses a misspelt option", () => {
  const options = { highWatermark: 5 } as mug.SocketOptions;
  expect(() => mug.over(new PassThrough(), options)).toThrow(
    /no option "highWatermark"; there are highWaterMark/,
  );
});

describe("TLS over a Duplex", () => {
  let certificates: Certificates;
  beforeAll(() => {
    certificates = makeCertificates();
  });

  /** The far end speaks TLS once it has read STARTTLS, and echoes. */
  function serveTls(stream: Duplex): Promise<TLSSocket> {
    const server = createTlsServer(certificates.server, (tls) => {
      tls.on("error", () => {});
      tls.pipe(tls);
    });
    stream.once("data", () => {
      stream.pause();
      stream.write("READY\n");
      server.emit("connection", stream);
    });
    return once(server, "secureConnection").then(([tls]) => tls as TLSSocket);
  }

  async function ready(): Promise<{ own: mug.Socket; below: Duplex; secure: Promise<TLSSocket> }> {
    const [below, other] = duplexPair();
    const secure = serveTls(other);
    const own = mug.over(below);
    await own.send("STARTTLS\n");
    expect(await own.receiveLine(wait)).toBe("READY");
    return { own, below, secure };
  }

  test("startTls verifies, speaks, and ends", async () => {
    const { own, below, secure } = await ready();
    await own.startTls({ ca: certificates.ca, serverName: "localhost" });
    await secure;
    expect(own.encrypted).toBe(true);
    expect(own.peerCertificate()?.subject.CN).toBe("server");
    const block = Buffer.alloc(300_000, "secret");
    void own.send(block);
    expect((await own.receiveExact(block.length, { timeout: 10_000 })).equals(block)).toBe(true);
    await own.send("last words");
    await own.halfClose();
    expect(String(await own.receiveToEnd(wait))).toBe("last words");
    await own.close();
    expect(below.destroyed).toBe(true);
  });

  test("needs the name to verify", async () => {
    expect(() => socket.startTls({ ca: certificates.ca })).toThrow("tls.serverName is required");
  });

  test("a refused certificate destroys the stream", async () => {
    const { own, below } = await ready();
    const starting = own.startTls({ ca: certificates.strangerCa, serverName: "localhost" });
    await expect(starting).rejects.toMatchObject({ code: "tls" });
    expect(below.destroyed).toBe(true);
    await own.closed;
  });
});

describe("scripted peers over a Duplex", () => {
  test("send, expect, and see the other end go", async () => {
    const [left, right] = duplexPair();
    const client = over(left, { expectTimeoutMs: 1000 });
    const server = over(right);
    await client.dribble("PING\r\n");
    await server.expect("PING\r\n");
    await server.send("PONG\r\n");
    expect((await client.expectMatch(/^(\w+)\r\n/))[1]).toBe("PONG");
    await client.expectSilence(5);
    await server.halfClose();
    expect(await client.expectClose({ kind: "fin" })).toBe("fin");
    await client.halfClose();
    expect(await server.expectClose()).toBe("fin");
    expect(client.transcript.toString()).toContain('←  "PONG\\r\\n"');
    await Promise.all([client.close(), server.close()]);
  });

  test("a failed expectation shows the transcript", async () => {
    const [left, right] = duplexPair();
    const client = over(left, { expectTimeoutMs: 20 });
    right.write("HEL");
    await expect(client.expect("HELLO")).rejects.toBeInstanceOf(ExpectationError);
    await expect(client.expect("HELLO")).rejects.toThrow(/got "HEL" within 20 ms[\s\S]*←\s+"HEL"/);
    await client.reset();
  });

  test("every split reaches a server in this process", async () => {
    await forEverySplit("GET / HTTP/1.1\r\n\r\n", async (pieces) => {
      const [left, right] = duplexPair();
      const client = over(left);
      const server = over(right);
      await client.sendPieces(pieces);
      await server.expect("GET / HTTP/1.1\r\n\r\n");
      await Promise.all([client.close(), server.close()]);
    });
  });
});

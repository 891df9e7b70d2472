import { EventEmitter, once } from "node:events";
import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import * as tcp from "../../src/low-level/tcp.ts";

const LOOPBACK: tcp.TcpOptions = { ip: "loopback" };
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function listening(options: tcp.TcpOptions = LOOPBACK): Promise<tcp.TcpListener> {
  const listener = await tcp.listen(0, options);
  cleanups.push(() => listener.close());
  return listener;
}

function peerOf(listener: tcp.TcpListener): Socket {
  const peer = connect({ port: listener.port!, host: "127.0.0.1", allowHalfOpen: true });
  cleanups.push(() => peer.destroy());
  return peer;
}

/** A connection with both its ends in hand. */
async function pair(options?: tcp.TcpOptions): Promise<{ socket: tcp.TcpSocket; peer: Socket }> {
  const listener = await listening(options);
  const peer = peerOf(listener);
  const socket = await listener.accept();
  cleanups.push(() => socket.close());
  return { socket, peer };
}

async function allFrom(peer: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  peer.on("data", (chunk) => chunks.push(chunk));
  await once(peer, "end");
  return Buffer.concat(chunks);
}

function text(bytes: Promise<Buffer>): Promise<string> {
  return bytes.then(String);
}

describe("receive", () => {
  it("takes exactly as many bytes as asked for, or whatever is there", async () => {
    const { socket, peer } = await pair();
    peer.write("hello, world");
    expect(await text(socket.receive(5))).toBe("hello");
    expect(await text(socket.receive())).toBe(", world");
    peer.write("ab");
    const three = text(socket.receive(3));
    peer.write("cd");
    expect(await three).toBe("abc");
    expect(await text(socket.receive(1))).toBe("d");
  });

  it("serves several at once in order", async () => {
    const { socket, peer } = await pair();
    const answers = Promise.all([3, 1, 0].map((length) => text(socket.receive(length))));
    peer.write("abcdef");
    expect(await answers).toEqual(["abc", "d", "ef"]);
  });

  it("takes more than any buffer holds", async () => {
    const { socket, peer } = await pair();
    const sent = Buffer.alloc(5_000_000, "0123456789");
    peer.write(sent);
    expect((await socket.receive(sent.length)).equals(sent)).toBe(true);
  });

  it("loses nothing after a timeout or an abort", async () => {
    const { socket, peer } = await pair();
    peer.write("abc");
    expect(await text(socket.receive(1))).toBe("a");
    const late = socket.receive(5, { timeout: 20 });
    await expect(late).rejects.toMatchObject({ name: "DeadlineError", code: "timeout", deadline: "receive" });
    const abort = new AbortController();
    const aborted = socket.receive(5, { signal: abort.signal });
    abort.abort(new Error("never mind"));
    await expect(aborted).rejects.toThrow("never mind");
    await expect(socket.receive(5, { signal: abort.signal })).rejects.toThrow("never mind");
    peer.write("def");
    expect(await text(socket.receive(5))).toBe("bcdef");
  });

  it("is served behind a larger one that timed out", async () => {
    const { socket, peer } = await pair();
    const big = socket.receive(100, { timeout: 50 });
    const small = text(socket.receive(2));
    peer.write("abc");
    await expect(big).rejects.toMatchObject({ code: "timeout" });
    expect(await small).toBe("ab");
  });

  it("with timeout 0 takes what is there, and is a timeout on a quiet socket", async () => {
    const { socket, peer } = await pair();
    await expect(socket.receive(0, { timeout: 0 })).rejects.toMatchObject({ code: "timeout" });
    peer.write("abc");
    expect(await text(socket.receive(1))).toBe("a");
    expect(await text(socket.receive(0, { timeout: 0 }))).toBe("bc");
  });

  it("after the peer's FIN gives the rest, then closed", async () => {
    const { socket, peer } = await pair();
    peer.end("abc");
    await expect(socket.receive(4)).rejects.toMatchObject({ code: "closed" });
    expect(await text(socket.receive(2))).toBe("ab");
    expect(await text(socket.receive())).toBe("c");
    await expect(socket.receive()).rejects.toMatchObject({ name: "TransportError", code: "closed" });
    await socket.send("still open");
    await socket.close();
    expect(String(await allFrom(peer))).toBe("still open");
  });

  it("tells a reset", async () => {
    const { socket, peer } = await pair();
    const waiting = socket.receive();
    peer.resetAndDestroy();
    await expect(waiting).rejects.toMatchObject({ code: "econnreset" });
    await expect(socket.receive()).rejects.toMatchObject({ code: "econnreset" });
    await expect(socket.send("x")).rejects.toMatchObject({ code: "econnreset" });
    expect(socket.closed).toBe(true);
  });

  it("reads nothing ahead of its callers, so that a fast peer waits", async () => {
    const { socket, peer } = await pair();
    const length = 64 * 1024 * 1024;
    peer.write(Buffer.alloc(length));
    await socket.receive(1);
    const taken = socket.receive(1);
    await taken;
    expect(peer.writableLength).toBe(length);
  });

  it("is bounded, and whole", async () => {
    const { socket } = await pair();
    await expect(socket.receive(0x4000001)).rejects.toMatchObject({ code: "enomem" });
    expect(() => socket.receive(-1)).toThrow(tcp.UsageError);
    expect(() => socket.receive(1.5)).toThrow(tcp.UsageError);
    expect(() => socket.receive(0, { timeout: -1 })).toThrow(tcp.UsageError);
    expect(() => socket.receive(0, { timeout: Number.NaN })).toThrow(tcp.UsageError);
  });
});

describe("accept", () => {
  it("serves several at once in order, and keeps connections that came early", async () => {
    const listener = await listening();
    const early = peerOf(listener);
    await once(early, "connect");
    const sockets = [await listener.accept(), listener.accept(), listener.accept()];
    const second = peerOf(listener);
    await once(second, "connect");
    const last = peerOf(listener);
    const [a, b, c] = await Promise.all(sockets);
    expect([a, b, c].map((each) => each!.peername().port)).toEqual(
      [early, second, last].map((each) => each.localPort),
    );
    await Promise.all([a, b, c].map((each) => each!.close()));
  });

  it("loses no connection after a timeout or an abort", async () => {
    const listener = await listening();
    await expect(listener.accept({ timeout: 0 })).rejects.toMatchObject({ code: "timeout" });
    await expect(listener.accept({ timeout: 10 })).rejects.toMatchObject({
      deadline: "accept",
      timeoutMs: 10,
    });
    await expect(listener.accept({ signal: AbortSignal.abort(new Error("no")) })).rejects.toThrow("no");
    const peer = peerOf(listener);
    const socket = await listener.accept({ timeout: 5_000 });
    expect(socket.peername().port).toBe(peer.localPort);
    await socket.close();
  });

  it("is rejected with closed when the listener closes; accepted sockets live on", async () => {
    const listener = await tcp.listen(0, LOOPBACK);
    const { port } = listener;
    const peer = peerOf(listener);
    const socket = await listener.accept();
    const waiting = listener.accept();
    await listener.close();
    await expect(waiting).rejects.toMatchObject({ name: "TransportError", code: "closed" });
    await expect(listener.accept()).rejects.toMatchObject({ code: "closed" });
    await listener.close();
    peer.write("ping");
    expect(await text(socket.receive(4))).toBe("ping");
    await socket.close();
    const [refused] = await once(connect(port!, "127.0.0.1"), "error");
    expect(refused).toMatchObject({ code: "ECONNREFUSED" });
  });

  it("closes connections above the backlog at once, and counts them", async () => {
    const listener = await listening({ ...LOOPBACK, backlog: 2 });
    const peers: Socket[] = [];
    for (let count = 0; count < 5; count += 1) {
      const peer = peerOf(listener).on("error", () => {});
      // One after the other: the kernel's own queue is as short.
      await once(peer, "connect");
      peers.push(peer.resume());
    }
    await Promise.all(peers.slice(2).map((peer) => peer.readableEnded || peer.closed || once(peer, "end")));
    expect(listener.dropped).toBe(3);
    await Promise.all([listener.accept(), listener.accept()].map(async (each) => (await each).close()));
  });

  it("is ended by await using, as sockets are", async () => {
    let peer: Socket;
    {
      await using listener = await tcp.listen(0, LOOPBACK);
      peer = peerOf(listener);
      await using socket = await listener.accept();
      await socket.send("bye");
    }
    expect(String(await allFrom(peer))).toBe("bye");
  });
});

describe("send", () => {
  it("takes text, bytes and arrays of both, in order", async () => {
    const { socket, peer } = await pair();
    await Promise.all([
      socket.send("é"),
      socket.send(new Uint8Array([1, 2])),
      socket.send(["a", new Uint8Array([98]), "c"]),
      socket.send([]),
      socket.send(""),
    ]);
    await socket.close();
    expect(await allFrom(peer)).toEqual(Buffer.from([0xc3, 0xa9, 1, 2, 97, 98, 99]));
  });

  it("times out against a peer that never reads, and closes then", async () => {
    const { socket } = await pair({ ...LOOPBACK, sendTimeout: 50 });
    const stuck = socket.send(Buffer.alloc(64 * 1024 * 1024));
    await expect(stuck).rejects.toMatchObject({ name: "DeadlineError", deadline: "send", code: "timeout" });
    expect(socket.closed).toBe(true);
    await expect(socket.send("more")).rejects.toMatchObject({ code: "closed" });
  });

  it("may leave the socket open after a timeout: the bytes are on their way", async () => {
    const { socket, peer } = await pair({ ...LOOPBACK, sendTimeout: 50, sendTimeoutClose: false });
    const length = 64 * 1024 * 1024;
    await expect(socket.send(Buffer.alloc(length))).rejects.toMatchObject({ code: "timeout" });
    socket.setOptions({ sendTimeout: 15_000 });
    const received = allFrom(peer);
    await socket.close();
    expect((await received).length).toBe(length);
  });
});

describe("shutdown and close", () => {
  it("shutdown ends sending, not receiving", async () => {
    const { socket, peer } = await pair();
    const heard = allFrom(peer);
    await socket.send("question");
    await socket.shutdown();
    expect(String(await heard)).toBe("question");
    await expect(socket.send("more")).rejects.toMatchObject({ code: "closed" });
    await expect(socket.shutdown()).rejects.toMatchObject({ code: "closed" });
    peer.end("answer");
    expect(await text(socket.receive(6))).toBe("answer");
  });

  it("close sends everything first", async () => {
    const { socket, peer } = await pair();
    const length = 8 * 1024 * 1024;
    const received = allFrom(peer);
    const sent = socket.send(Buffer.alloc(length));
    await Promise.all([socket.close(), sent]);
    expect((await received).length).toBe(length);
  });

  it("close does not wait for ever for a peer that never reads", async () => {
    const { socket } = await pair({ ...LOOPBACK, sendTimeout: 50 });
    const sent = socket.send(Buffer.alloc(64 * 1024 * 1024)).catch((error) => error);
    await socket.close();
    expect(socket.closed).toBe(true);
    expect(await sent).toBeInstanceOf(tcp.TransportError);
  });

  it("close rejects pending and later receives with closed", async () => {
    const { socket, peer } = await pair();
    const waiting = [socket.receive(), socket.receive(10)].map((each) => each.catch((error) => error.code));
    await socket.close();
    expect(await Promise.all(waiting)).toEqual(["closed", "closed"]);
    await expect(socket.receive()).rejects.toMatchObject({ code: "closed" });
    await expect(socket.send("x")).rejects.toMatchObject({ code: "closed" });
    await socket.close();
    expect((await allFrom(peer)).length).toBe(0);
  });

  it("close drops bytes that were not received", async () => {
    const { socket, peer } = await pair();
    peer.write("abcdef");
    await socket.receive(1);
    await socket.close();
    await expect(socket.receive()).rejects.toMatchObject({ code: "closed" });
  });

  it("close with linger 0 resets", async () => {
    const { socket, peer } = await pair();
    socket.setOptions({ linger: { enabled: true, seconds: 0 } });
    const failed = once(peer, "error");
    await socket.close();
    expect((await failed)[0]).toMatchObject({ code: "ECONNRESET" });
  });
});

describe("names", () => {
  it("of a TCP socket are addresses and ports, even when the peer has gone", async () => {
    const listener = await listening();
    const peer = peerOf(listener);
    const socket = await listener.accept();
    const { localPort } = peer;
    expect(tcp.ipAddressToString(socket.peername().ipAddress)).toBe("127.0.0.1");
    peer.resetAndDestroy();
    await expect(socket.receive()).rejects.toMatchObject({ code: "econnreset" });
    expect(socket.peername().port).toBe(localPort);
    expect(socket.sockname()).toEqual({ ...listener.sockname() });
    expect(listener.sockname()).toMatchObject({ type: "tcp", port: listener.port });
  });

  it("of an IPv4 peer on a dual-stack socket are IPv4", async () => {
    const { socket } = await pair({ ipv6: true });
    expect(socket.peername().ipAddress.type).toBe("ipv4");
  });

  it("of a unix socket are a path; the peer has none", async () => {
    const directory = await mkdtemp(join(tmpdir(), "glisten-tcp-"));
    cleanups.push(() => rmSync(directory, { recursive: true }));
    const unixPath = join(directory, "socket");
    const listener = await listening({ ip: { unixPath } });
    expect(listener.port).toBeUndefined();
    const peer = connect(unixPath, () => peer.write("over unix"));
    const socket = await listener.accept();
    expect(await text(socket.receive(9))).toBe("over unix");
    expect(socket.sockname()).toEqual({ type: "unix", path: unixPath });
    expect(() => socket.peername()).toThrow(expect.objectContaining({ code: "enotconn" }));
    expect(() => socket.setOptions({ nodelay: false })).toThrow(tcp.UsageError);
    await socket.close();
  });

  it("TCP shakes no hands and negotiates nothing", async () => {
    const { socket } = await pair();
    expect(await socket.handshake()).toBe(socket);
    expect(socket.negotiatedProtocol()).toBeUndefined();
  });
});

describe("options", () => {
  it("begin with the defaults, or with those of the listener", async () => {
    const { socket } = await pair();
    expect(socket.options()).toEqual({
      nodelay: true,
      linger: { enabled: false, seconds: 0 },
      sendTimeout: 30_000,
      sendTimeoutClose: true,
      activeMode: "passive",
      mode: "binary",
    });
    const other = await pair({
      ...LOOPBACK,
      nodelay: false,
      sendTimeout: 5,
      mode: "binary",
      reuseaddr: true,
    });
    expect(other.socket.options()).toMatchObject({ nodelay: false, sendTimeout: 5 });
    other.socket.setOptions({ nodelay: true, sendTimeout: Number.POSITIVE_INFINITY });
    expect(other.socket.options()).toMatchObject({ nodelay: true, sendTimeout: Number.POSITIVE_INFINITY });
  });

  it.each([
    [{ reuseaddr: false }, /SO_REUSEADDR/],
    [{ linger: { enabled: true, seconds: 5 } }, /which is all that Node can set/],
    [{ mode: "list" }, /binary/],
    [{ activeMode: "once" }, /controllingProcess/],
    [{ backlog: 0 }, /1 to 65535/],
    [{ sendTimeout: -1 }, /sendTimeout/],
    [{ nodelay: 1 }, /true or false/],
    [{ buffer: 65_535 }, /buffer must be an integer from 65536 to 1073741824, got 65535/],
    [{ ip: "127.0.0.1" }, /"any", "loopback"/],
    [{ packet: 4 }, /no socket option "packet"/],
    [{ certKeyConfig: {} }, /no socket option "certKeyConfig"/],
    [{ ip: { unixPath: "/tmp/x" }, nodelay: true }, /option of TCP/],
    [{ ip: { unixPath: "/tmp/x" }, ipv6: true }, /option of TCP/],
  ])("listen refuses %j", async (options, message) => {
    const refused = tcp.listen(0, { ip: "loopback", ...options } as tcp.TcpOptions);
    await expect(refused).rejects.toThrow(message);
    await expect(refused).rejects.toBeInstanceOf(tcp.UsageError);
  });

  it.each([
    [{ backlog: 5 }, /by listen only/],
    [{ reuseaddr: true }, /by listen only/],
    [{ ipv6: true }, /by listen only/],
    [{ linger: { enabled: true, seconds: 1 } }, /which is all that Node can set/],
    [{ activeMode: { count: 0 } }, /1 to 32767/],
    [{ activeMode: "once" }, /controllingProcess/],
    [{ keepalive: true }, /no socket option/],
  ])("setOptions refuses %j and changes nothing", async (options, message) => {
    const { socket } = await pair();
    const before = socket.options();
    expect(() => socket.setOptions({ sendTimeout: 1, ...options } as tcp.SocketOptions)).toThrow(message);
    expect(socket.options()).toEqual(before);
  });

  it("a port for a unix socket is refused, a port in use is a start error", async () => {
    await expect(tcp.listen(5, { ip: { unixPath: "/tmp/x" } })).rejects.toThrow(tcp.UsageError);
    const listener = await listening();
    await expect(tcp.listen(listener.port!, LOOPBACK)).rejects.toMatchObject({
      name: "StartError",
      socketReason: "eaddrinuse",
    });
  });
});

describe("an active socket", () => {
  /** A controlling process that can be waited on. */
  class Owner extends EventEmitter {
    readonly messages: string[] = [];

    send(message: tcp.SocketMessage): void {
      const detail =
        message.type === "packet" ? `:${message.data}` : message.type === "error" ? `:${message.reason}` : "";
      this.messages.push(message.type + detail);
      this.emit("message");
    }

    async until(count: number): Promise<readonly string[]> {
      while (this.messages.length < count) await once(this, "message");
      return this.messages;
    }
  }

  async function owned() {
    const { socket, peer } = await pair();
    const owner = new Owner();
    socket.controllingProcess(owner);
    return { socket, peer, owner };
  }

  it("once: tells one packet, then is passive again", async () => {
    const { socket, peer, owner } = await owned();
    socket.setOptions({ activeMode: "once" });
    await expect(socket.receive()).rejects.toMatchObject({ code: "einval" });
    peer.write("one");
    expect(await owner.until(1)).toEqual(["packet:one"]);
    expect(socket.options().activeMode).toBe("passive");
    peer.write("two");
    expect(await text(socket.receive(3))).toBe("two");
  });

  it("count: tells that many, then that it is passive", async () => {
    const { socket, peer, owner } = await owned();
    socket.setOptions({ activeMode: { count: 2 } });
    peer.write("one");
    await owner.until(1);
    peer.write("two");
    expect(await owner.until(3)).toEqual(["packet:one", "packet:two", "passive"]);
    peer.write("three");
    expect(await text(socket.receive(5))).toBe("three");
  });

  it("active: tells everything, and the end", async () => {
    const { socket, peer, owner } = await owned();
    socket.setOptions({ activeMode: "active" });
    peer.write("one");
    await owner.until(1);
    peer.end("two");
    expect(await owner.until(3)).toEqual(["packet:one", "packet:two", "closed"]);
    await expect(socket.receive()).rejects.toMatchObject({ code: "closed" });
  });

  it("tells what had arrived before, and a reset", async () => {
    const { socket, peer, owner } = await owned();
    peer.write("abc");
    await socket.receive(1);
    socket.setOptions({ activeMode: "active" });
    expect(await owner.until(1)).toEqual(["packet:bc"]);
    peer.resetAndDestroy();
    expect(await owner.until(3)).toEqual(["packet:bc", "error:econnreset", "closed"]);
  });

  it("can be made passive before anything came", async () => {
    const { socket, peer, owner } = await owned();
    socket.setOptions({ activeMode: "active" });
    socket.setOptions({ activeMode: "passive" });
    peer.write("abc");
    expect(await text(socket.receive(3))).toBe("abc");
    expect(owner.messages).toEqual([]);
  });
});

import { once } from "node:events";
import { connect as connectRaw, type Socket } from "node:net";
import { join } from "node:path";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import * as tls from "../../src/low-level/tls.ts";
import { type TestCertificates, type TestIdentity, testCertificates } from "../certificates.ts";

let made: TestCertificates;
beforeAll(async () => {
  made = await testCertificates();
});

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function identity({ cert, key }: TestIdentity): { cert: string; key: string } {
  return { cert, key };
}

async function listening(options: Partial<tls.TlsListenOptions> = {}): Promise<tls.TlsListener> {
  const listener = await tls.listen(0, { ip: "loopback", certKeyConfig: identity(made.server), ...options });
  cleanups.push(() => listener.close());
  return listener;
}

function peerOf(listener: tls.TlsListener, options: ConnectionOptions = {}): TLSSocket {
  const port = listener.port!;
  const peer = connect({ port, host: "127.0.0.1", servername: "localhost", ca: made.ca.cert, ...options });
  cleanups.push(() => peer.destroy());
  return peer.on("error", () => {});
}

function rawPeerOf(listener: tls.TlsListener): Socket {
  const peer = connectRaw(listener.port!, "127.0.0.1");
  cleanups.push(() => peer.destroy());
  return peer.on("error", () => {}).resume();
}

async function accepted(listener: tls.TlsListener): Promise<tls.TlsSocket> {
  const socket = await listener.accept();
  cleanups.push(() => socket.close());
  return socket;
}

describe("a TLS socket", () => {
  it("is accepted first, shakes hands then, and talks", async () => {
    const listener = await listening({
      alpnPreferredProtocols: ["h2", "http/1.1"],
      serverNames: { "second.example": identity(made.second) },
    });
    const options = { servername: "second.example", ALPNProtocols: ["http/1.1"] };
    const peer = peerOf(listener, options);
    const socket = await accepted(listener);
    expect(socket.peername().port).toBe(peer.localPort);
    expect([socket.negotiatedProtocol(), socket.serverName(), socket.peerCertificate()]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    await expect(socket.receive()).rejects.toMatchObject({ code: "enotconn" });
    await expect(socket.send("x")).rejects.toMatchObject({ code: "enotconn" });
    await expect(socket.shutdown()).rejects.toMatchObject({ code: "enotconn" });
    expect(await socket.handshake({ timeout: 10_000 })).toBe(socket);
    expect([socket.negotiatedProtocol(), socket.serverName()]).toEqual(["http/1.1", "second.example"]);
    peer.write("hello, world");
    expect(String(await socket.receive(5))).toBe("hello");
    await expect(socket.receive(100, { timeout: 10 })).rejects.toMatchObject({ code: "timeout" });
    expect(String(await socket.receive())).toBe(", world");
    await socket.send(["good", "bye"]);
    await socket.close();
    expect(String((await once(peer, "data"))[0])).toBe("goodbye");
    await expect(socket.receive()).rejects.toMatchObject({ code: "closed" });
  });

  it("takes and sends more than a record", async () => {
    const listener = await listening();
    const peer = peerOf(listener);
    peer.allowHalfOpen = true;
    const socket = await (await accepted(listener)).handshake();
    const data = Buffer.alloc(3_000_000, "0123456789");
    peer.write(data);
    expect((await socket.receive(data.length)).equals(data)).toBe(true);
    let echoed = 0;
    peer.on("data", (chunk) => {
      echoed += chunk.length;
    });
    await Promise.all([socket.send(data), once(peer, "end"), socket.shutdown()]);
    expect(echoed).toBe(data.length);
    peer.end("last words");
    expect(String(await socket.receive(10))).toBe("last words");
    await expect(socket.receive()).rejects.toMatchObject({ code: "closed" });
  });

  it("shakes hands once", async () => {
    const listener = await listening();
    peerOf(listener);
    const socket = await accepted(listener);
    const first = socket.handshake();
    await expect(socket.handshake()).rejects.toMatchObject({ code: "ealready" });
    await first;
    await expect(socket.handshake()).rejects.toMatchObject({ code: "eisconn" });
  });

  it("gives a handshake up after a timeout or an abort, and the connection with it", async () => {
    const listener = await listening();
    const [silent, other] = [rawPeerOf(listener), rawPeerOf(listener)];
    const [first, second] = [await accepted(listener), await accepted(listener)];
    await expect(first.handshake({ timeout: 20 })).rejects.toMatchObject({
      deadline: "handshake",
      timeoutMs: 20,
    });
    expect(first.closed).toBe(true);
    await expect(second.handshake({ signal: AbortSignal.abort(new Error("no")) })).rejects.toThrow("no");
    const abort = new AbortController();
    const aborted = second.handshake({ signal: abort.signal }).catch((error: Error) => error.message);
    abort.abort(new Error("enough"));
    expect(["enough", "An operation is already in progress on this socket (ealready)."]).toContain(
      await aborted,
    );
    await second.close();
    await Promise.all([silent, other].map((each) => each.closed || once(each, "close")));
  });

  it("close rejects a pending handshake with closed", async () => {
    const listener = await listening();
    rawPeerOf(listener);
    const socket = await accepted(listener);
    const waiting = socket.handshake();
    const rejected = expect(waiting).rejects.toMatchObject({ code: "closed" });
    await socket.close();
    await rejected;
    await expect(socket.handshake()).rejects.toBeInstanceOf(tls.TransportError);
  });

  it("a peer that breaks its handshake costs only its own connection", async () => {
    const listener = await listening();
    const bad = rawPeerOf(listener);
    bad.write("GET / HTTP/1.1\r\n\r\n");
    const broken = await accepted(listener);
    await expect(broken.handshake()).rejects.toMatchObject({ name: "TransportError", code: "eproto" });
    expect(broken.closed).toBe(true);
    const peer = peerOf(listener);
    const socket = await (await accepted(listener)).handshake();
    peer.write("fine");
    expect(String(await socket.receive(4))).toBe("fine");
  });
});

it("TLS runs over a unix socket as well", async () => {
  const unixPath = join(made.directory, "tls.socket");
  const listener = await listening({ ip: { unixPath } });
  const peer = connect({ path: unixPath, servername: "localhost", ca: made.ca.cert });
  const socket = await (await accepted(listener)).handshake();
  peer.end("over unix");
  expect(String(await socket.receive(9))).toBe("over unix");
  expect(socket.sockname()).toEqual({ type: "unix", path: unixPath });
});

describe("client verification", () => {
  it("asks for a certificate, and requires it when told to", async () => {
    const options = { verify: "peer", caCertFile: made.ca.certfile } as const;
    const [asking, requiring] = await Promise.all([
      listening(options),
      listening({ ...options, failIfNoPeerCert: true }),
    ]);
    peerOf(asking);
    const anonymous = await (await accepted(asking)).handshake();
    expect(anonymous.peerCertificate()).toBeUndefined();
    peerOf(requiring, identity(made.client));
    const known = await (await accepted(requiring)).handshake();
    expect(known.peerCertificate()?.subject.CN).toBe("client");
    for (const [listener, stranger] of [
      [asking, identity(made.wrongClient)],
      [requiring, identity(made.wrongClient)],
      [requiring, {}],
    ] as const) {
      peerOf(listener, stranger);
      await expect((await accepted(listener)).handshake()).rejects.toMatchObject({ code: "eproto" });
    }
  });

  it.each([
    { caCertFile: "/somewhere" },
    { caCerts: [] },
    { failIfNoPeerCert: true },
    { verify: "verify_peer" as never },
  ])("%j without verify is refused", async (options) => {
    await expect(listening(options)).rejects.toBeInstanceOf(tls.UsageError);
  });
});

describe("a TLS listener", () => {
  it("names what is missing, and refuses unknown options", async () => {
    const missing = { certfile: "/nowhere/cert.pem", keyfile: "/nowhere/key.pem" };
    await expect(listening({ certKeyConfig: missing })).rejects.toMatchObject({
      reason: "no-key-or-certificate",
    });
    await expect(listening({ certKeyConfig: undefined as never })).rejects.toBeInstanceOf(
      tls.CertificateError,
    );
    await expect(listening({ verify: "peer" })).rejects.toMatchObject({
      reason: "no-authority",
      message: 'verify: "peer" needs the CA: give caCertFile or caCerts.',
    });
    await expect(listening({ verify: "peer", caCertFile: "x", caCerts: [] })).rejects.toThrow(
      "give either caCertFile or caCerts, not both",
    );
    await expect(listening({ packet: 4 } as never)).rejects.toBeInstanceOf(tls.UsageError);
    await expect(listening({ reuseaddr: false })).rejects.toBeInstanceOf(tls.UsageError);
    await expect(listening({ buffer: 100 } as never)).rejects.toThrow(/buffer cannot be set/);
  });

  it("replaces its certificates at once, or not at all", async () => {
    const listener = await listening();
    const subjectOf = async () => {
      const peer = peerOf(listener);
      await Promise.all([(await accepted(listener)).handshake(), once(peer, "secureConnect")]);
      return peer.getPeerX509Certificate()!.subject;
    };
    expect(await subjectOf()).toBe("CN=server");
    await expect(listener.update({ certKeyConfig: { cert: made.rsa.cert } })).rejects.toMatchObject({
      reason: "no-key",
    });
    expect(await subjectOf()).toBe("CN=server");
    await listener.update({ certKeyConfig: identity(made.rsa) });
    expect(await subjectOf()).toBe("CN=rsa");
  });
});

import { createPrivateKey, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer, type Socket as NetSocket, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer as createTlsServer, type TlsOptions as ServerOptions, type TLSSocket } from "node:tls";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import * as mug from "../src/index.ts";
import { type Certificates, makeCertificates } from "./certificates.ts";
import { serve } from "./servers.ts";

let certificates: Certificates;
const servers: Server[] = [];

beforeAll(() => {
  certificates = makeCertificates();
});

afterEach(async () => {
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
});

interface Echo {
  readonly port: number;
  readonly next: Promise<TLSSocket>;
}

async function echoTls(
  options: ServerOptions = {},
  listen: { port?: number; path?: string } = {},
): Promise<Echo> {
  const server = createTlsServer({ ...certificates.server, ...options }, (stream) => {
    stream.on("error", () => {});
    stream.on("data", (data) => stream.write(data));
    stream.on("end", () => stream.end());
  });
  server.on("tlsClientError", (_error, stream) => stream.destroy());
  server.listen(listen.path === undefined ? { port: 0, host: "127.0.0.1" } : { path: listen.path });
  await once(server, "listening");
  servers.push(server);
  const next = once(server, "secureConnection").then(([stream]) => stream as TLSSocket);
  return { port: listen.path === undefined ? (server.address() as AddressInfo).port : 0, next };
}

const local = (port: number): mug.ConnectOptions => ({
  host: "localhost",
  port,
  ipVersionPreference: "ipv4-only",
  timeout: 5000,
});

async function failure(promise: Promise<unknown>): Promise<mug.ConnectError> {
  const error = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(mug.ConnectError);
  return error as mug.ConnectError;
}

describe("from the first byte", () => {
  test("connects, verifies, and speaks", async () => {
    const { port } = await echoTls();
    await using socket = await mug
      .new("localhost", { port })
      .timeout(5000)
      .ipVersionPreference("ipv4-only")
      .withTls({ ca: certificates.ca })
      .connect();
    expect(socket.encrypted).toBe(true);
    expect(socket.tlsVersion).toBe("TLSv1.3");
    expect(socket.peerCertificate()?.subject.CN).toBe("server");
    expect(socket.peername()).toMatchObject({ family: "ipv4", port });
    await socket.send(["one ", "write"]);
    expect(String(await socket.receiveExact(9, { timeout: 5000 }))).toBe("one write");
    await socket.flush();
    // With TLS the bytes are those of the records.
    expect(socket.bytesWritten).toBeGreaterThan(9);
    expect(socket.bytesRead).toBeGreaterThan(9);
    await socket.halfClose();
    expect(await socket.receiveToEnd({ timeout: 5000 })).toHaveLength(0);
  });

  test("carries megabytes, held back when nobody receives", async () => {
    const { port } = await echoTls();
    await using socket = await mug.connect({ ...local(port), tls: { ca: certificates.ca } });
    const block = Buffer.alloc(3_000_000, "0123456789");
    const sending = socket.send(block);
    const answer = await socket.receiveExact(block.length, { timeout: 10_000 });
    await sending;
    expect(answer.equals(block)).toBe(true);
  });

  test("certificates and keys as DER bytes", async () => {
    const { port, next } = await echoTls({
      requestCert: true,
      rejectUnauthorized: true,
      ca: certificates.ca,
    });
    const key = createPrivateKey(certificates.client.key).export({ format: "der", type: "pkcs8" });
    const cert = new X509Certificate(certificates.client.cert).raw;
    const ca = new Uint8Array(new X509Certificate(certificates.ca).raw);
    await using _socket = await mug.connect({ ...local(port), tls: { ca, cert, key } });
    expect((await next).getPeerCertificate().subject.CN).toBe("client");
  });

  test("a client certificate as an array, its chain behind it", async () => {
    const { port, next } = await echoTls({
      requestCert: true,
      rejectUnauthorized: true,
      ca: certificates.ca,
    });
    const { cert, key } = certificates.client;
    const chain = [new X509Certificate(cert).raw, certificates.ca];
    await using _socket = await mug.connect({
      ...local(port),
      tls: { ca: certificates.ca, cert: chain, key },
    });
    expect((await next).getPeerCertificate().subject.CN).toBe("client");
  });

  test("ALPN, client certificate, an authority among several, PEM bytes, TLS 1.2", async () => {
    const { port, next } = await echoTls({
      ALPNProtocols: ["two", "three"],
      requestCert: true,
      rejectUnauthorized: true,
      ca: certificates.ca,
    });
    await using socket = await mug.connect({
      ...local(port),
      tls: {
        ca: [certificates.strangerCa, Buffer.from(certificates.ca)],
        alpnProtocols: ["one", "two"],
        ...certificates.client,
        minVersion: "TLSv1.2",
        maxVersion: "TLSv1.2",
      },
    });
    expect(socket.alpnProtocol).toBe("two");
    expect(socket.tlsVersion).toBe("TLSv1.2");
    expect((await next).getPeerCertificate().subject.CN).toBe("client");
  });

  test("the server name is sent and verified; an IP address is verified and not sent", async () => {
    const { port, next } = await echoTls();
    await using _socket = await mug.connect({ host: "127.0.0.1", port, tls: { ca: certificates.ca } });
    expect((await next).servername).toBeFalsy();

    const elsewhere = await echoTls(certificates.elsewhere);
    await using socket = await mug.connect({
      ...local(elsewhere.port),
      tls: { ca: certificates.ca, serverName: "elsewhere.test" },
    });
    expect(socket.encrypted).toBe(true);
    expect((await elsewhere.next).servername).toBe("elsewhere.test");
  });

  test("over a unix path", async () => {
    const directory = mkdtempSync(join(tmpdir(), "mug-tls-"));
    try {
      const path = join(directory, "socket");
      await echoTls({}, { path });
      await using socket = await mug.connect({ path, tls: { ca: certificates.ca, serverName: "localhost" } });
      await socket.send("hello");
      expect(String(await socket.receive({ timeout: 5000 }))).toBe("hello");
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test("in a race of families", async () => {
    const { port } = await echoTls();
    const lookup: mug.Lookup = async (_host, family) => (family === 4 ? ["127.0.0.1"] : []);
    const race = { host: "localhost", port, happyEyeballs: true, lookup, timeout: 5000 };
    await using socket = await mug.connect({ ...race, tls: { ca: certificates.ca } });
    expect(socket.encrypted).toBe(true);
    const error = await failure(mug.connect({ ...race, tls: { ca: certificates.strangerCa } }));
    expect(error).toMatchObject({ family: "ipv4", code: "tls" });
  });

  test("a reset is a true RST, behind TLS too", async () => {
    const { port, next } = await echoTls();
    await using socket = await mug.connect({ ...local(port), tls: { ca: certificates.ca } });
    // With TLS 1.3 the client is ready before the server is.
    await socket.send("ready?");
    await socket.receive({ timeout: 5000 });
    const reset = once(await next, "error");
    await socket.reset();
    expect((await reset)[0].code).toBe("ECONNRESET");
  });

  test("close and shutdown end it in order", async () => {
    const { port, next } = await echoTls();
    const socket = await mug.connect({ ...local(port), tls: { ca: certificates.ca } });
    const ended = once(await next, "end");
    await socket.send("last");
    await socket.shutdown();
    await ended;
    await socket.closed;
  });
});

describe("refused", () => {
  test.each<[string, () => ServerOptions, () => mug.TlsOptions, RegExp]>([
    ["an unknown authority", () => ({}), () => ({}), /self-signed|unable to (verify|get)/i],
    ["another authority", () => ({}), () => ({ ca: certificates.strangerCa }), /unable to/i],
    [
      "a certificate for elsewhere",
      () => certificates.elsewhere,
      () => ({ ca: certificates.ca }),
      /does not match/i,
    ],
    [
      "no common protocol version",
      () => ({ maxVersion: "TLSv1.2" }),
      () => ({ ca: certificates.ca, minVersion: "TLSv1.3" }),
      /version/i,
    ],
  ])("%s", async (_name, serverOptions, tls, message) => {
    const { port } = await echoTls(serverOptions());
    const error = await failure(mug.connect({ ...local(port), tls: tls() }));
    expect(error).toMatchObject({ family: "ipv4", code: "tls" });
    expect(error.ipv4?.message).toMatch(message);
    expect(error.ipv4?.cause).toBeInstanceOf(Error);
  });

  test("unless the danger is chosen by name", async () => {
    const { port } = await echoTls(certificates.elsewhere);
    await using socket = await mug.connect({ ...local(port), tls: { dangerouslyDisableVerification: true } });
    expect(socket.encrypted).toBe(true);
  });

  test("an unverified certificate is not shown as the peer's", async () => {
    const { port } = await echoTls();
    const trusting = { ...local(port), tls: { dangerouslyDisableVerification: true } };
    await using unverified = await mug.connect(trusting);
    expect(unverified.peerCertificate()).toBeUndefined();
    await using verified = await mug.connect({ ...local(port), tls: { ca: certificates.ca } });
    expect(verified.peerCertificate()).toMatchObject({
      subject: { CN: "server" },
      issuerCertificate: { subject: expect.objectContaining({}) },
    });
  });

  test("messages are one line, in whole milliseconds, without OpenSSL's traces", async () => {
    const { port } = await echoTls({ requestCert: true, rejectUnauthorized: true, ca: certificates.ca });
    const old = await echoTls({ maxVersion: "TLSv1.2" });
    await using text = await serve((socket) => socket.end("220 hello\r\n"));
    await using silent = await serve((socket) => socket.resume());
    const tls12 = { ca: certificates.ca, maxVersion: "TLSv1.2" } as const;
    const messages = await Promise.all([
      failure(mug.connect({ ...local(port), tls: tls12 })).then((error) => error.message),
      failure(mug.connect({ ...local(old.port), tls: { minVersion: "TLSv1.3" } })).then(
        (error) => error.message,
      ),
      failure(mug.connect({ ...local(text.port), tls: true })).then((error) => error.message),
      failure(mug.connect({ ...local(silent.port), tls: true, timeout: 50 })).then((error) => error.message),
    ]);
    for (const message of messages) {
      expect(message).not.toMatch(/\n|\.[ch]:\d|[0-9A-F]{8}:|\d\.\d{3}/);
    }
    expect(messages[0]).toMatch(/\(ipv4: TLS handshake: .*alert.*\)$/);
    expect(messages[1]).toMatch(/protocol version/);
    expect(messages[2]).toMatch(/wrong version number/);
    expect(messages[3]).toContain("(ipv4: TLS handshake did not finish within 50 ms)");
  });

  test("a key that cannot be read is refused in one line", () => {
    const { cert } = certificates.client;
    const key = "-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n";
    const call = (): unknown => mug.connect({ ...local(1), tls: { cert, key } });
    expect(call).toThrow(mug.UsageError);
    expect(call).toThrow(/^tls: cannot read the certificates or the key: [^\n:]+$/);
  });

  test("a server that speaks no TLS", async () => {
    await using plain = await serve((socket) => socket.end("220 hello\r\n"));
    const error = await failure(mug.connect({ ...local(plain.port), tls: true }));
    expect(error.code).toBe("tls");
  });

  test("a server that hangs up", async () => {
    await using plain = await serve((socket) => socket.end());
    const error = await failure(mug.connect({ ...local(plain.port), tls: true }));
    expect(error.code).toBe("closed");
  });

  test("a server that says nothing meets the timeout", async () => {
    await using plain = await serve((socket) => socket.resume());
    const error = await failure(mug.connect({ ...local(plain.port), tls: true, timeout: 50 }));
    expect(error.ipv4?.code).toBe("timeout");
  });

  test("a signal cancels the handshake", async () => {
    await using plain = await serve((socket) => socket.resume());
    const controller = new AbortController();
    const connection = mug.connect({ ...local(plain.port), tls: true, signal: controller.signal });
    await plain.next();
    controller.abort();
    await expect(connection).rejects.toMatchObject({ code: "aborted" });
  });
});

describe("startTls", () => {
  /** Says READY, then speaks TLS once it has read STARTTLS; echoes from there. */
  async function startTlsServer(behindReady = ""): Promise<number> {
    const tls = createTlsServer(certificates.server, (stream) => {
      stream.on("error", () => {});
      stream.on("data", (data) => stream.write(data));
      stream.on("end", () => stream.end());
    });
    tls.on("tlsClientError", (_error, stream) => stream.destroy());
    const server = createServer((raw: NetSocket) => {
      raw.on("error", () => {});
      raw.once("data", () => {
        raw.write(`READY\r\n${behindReady}`);
        tls.emit("connection", raw);
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    servers.push(server);
    return (server.address() as AddressInfo).port;
  }

  async function ready(behindReady?: string): Promise<mug.Socket> {
    const socket = await mug.connect(local(await startTlsServer(behindReady)));
    await socket.send("STARTTLS\r\n");
    expect(await socket.receiveLine({ timeout: 5000 })).toBe("READY");
    return socket;
  }

  test("on a live socket, verifying the host it is connected to", async () => {
    await using socket = await ready();
    await socket.startTls({ ca: certificates.ca });
    expect(socket.encrypted).toBe(true);
    await socket.send("secret\n");
    expect(await socket.receiveLine({ timeout: 5000 })).toBe("secret");
    expect(() => socket.startTls()).toThrow(mug.UsageError);
    await socket.halfClose();
    expect(await socket.receiveToEnd({ timeout: 5000 })).toHaveLength(0);
  });

  test("a reset still works after it", async () => {
    const socket = await ready();
    await socket.startTls({ ca: certificates.ca });
    await socket.reset();
    await socket.closed;
  });

  test("nothing can be sent in the clear while it is under way", async () => {
    await using socket = await ready();
    const starting = socket.startTls({ ca: certificates.ca });
    await expect(socket.send("secret\n")).rejects.toMatchObject({ code: "einprogress" });
    await starting;
    await socket.send("secret\n");
    expect(await socket.receiveLine({ timeout: 5000 })).toBe("secret");
  });

  test("closing while it is under way ends both", async () => {
    await using plain = await serve((socket) => socket.resume());
    const socket = await mug.connect(local(plain.port));
    const starting = expect(socket.startTls()).rejects.toBeInstanceOf(mug.MugError);
    await socket.close();
    await starting;
  });

  test("a TLS socket of Node can be wrapped; its reset is an abrupt close", async () => {
    const { port, next } = await echoTls();
    await using client = await mug.connect({ ...local(port), tls: { ca: certificates.ca } });
    const stream = await next;
    stream.removeAllListeners("data");
    const wrapped = mug.over(stream);
    expect(wrapped.encrypted).toBe(true);
    await wrapped.send("hello");
    expect(String(await client.receive({ timeout: 5000 }))).toBe("hello");
    await wrapped.reset();
    await expect(client.receiveToEnd({ timeout: 5000 })).resolves.toHaveLength(0);
  });

  test("a refused certificate ends the connection", async () => {
    const socket = await ready();
    await expect(socket.startTls({ ca: certificates.strangerCa })).rejects.toMatchObject({ code: "tls" });
    await socket.closed;
    await expect(socket.send("x")).rejects.toMatchObject({ code: "tls" });
    await expect(socket.receive()).rejects.toMatchObject({ code: "tls" });
    await socket.close();
  });

  test("plain text ahead of the handshake is not taken for the peer's word", async () => {
    const socket = await ready("250 smuggled\r\n");
    await expect(socket.startTls({ ca: certificates.ca })).rejects.toMatchObject({ code: "eproto" });
    await socket.closed;
    await expect(socket.receive()).rejects.toMatchObject({ code: "closed" });
  });

  test("a peer that does not answer meets the timeout", async () => {
    await using plain = await serve((socket) => socket.resume());
    const socket = await mug.connect(local(plain.port));
    await expect(socket.startTls({ timeout: 30 })).rejects.toMatchObject({
      code: "timeout",
      deadline: "TLS handshake",
    });
    await socket.closed;
  });

  test("a signal that has fired already leaves the connection as it was", async () => {
    await using socket = await ready();
    const options = { ca: certificates.ca, signal: AbortSignal.abort() };
    await expect(socket.startTls(options)).rejects.toMatchObject({ code: "aborted" });
    await socket.startTls({ ca: certificates.ca });
    expect(socket.encrypted).toBe(true);
  });

  test("one timeout for the flush and the handshake; one that ends before it leaves plain text", async () => {
    await using plain = await serve((stream) => stream.pause());
    const socket = await mug.connect(local(plain.port));
    void socket.send(Buffer.alloc(32 * 1024 * 1024));
    await expect(socket.startTls({ timeout: 20 })).rejects.toMatchObject({
      code: "timeout",
      deadline: "startTls",
      timeoutMs: 20,
    });
    expect(socket.encrypted).toBe(false);
    await socket.reset();
  });

  test("a send that waits when this side ends is flushed behind TLS as well", async () => {
    const { port } = await echoTls();
    const socket = await mug.connect({ ...local(port), tls: { ca: certificates.ca } });
    const block = Buffer.alloc(4_000_000, "x");
    const sends = [socket.send(block), socket.send("more", { timeout: 10_000 }), socket.flush()];
    const ending = socket.halfClose();
    expect(await socket.receiveToEnd({ timeout: 10_000 })).toHaveLength(block.length + 4);
    await Promise.all([...sends, ending]);
    await socket.close();
  });

  test("is refused while a receive waits, while armed, while another is under way, and without a name", async () => {
    await using plain = await serve();
    await using socket = await mug.connect(local(plain.port));
    const stream = await plain.next();
    const pending = socket.receive();
    expect(() => socket.startTls()).toThrow(mug.UsageError);
    stream.write("x");
    await pending;
    socket.receiveNextPacketAsMessage();
    expect(() => socket.startTls()).toThrow(mug.UsageError);
    socket.stopReceivingPacketsAsMessages();
    const wrapped = mug.over(stream);
    expect(() => wrapped.startTls()).toThrow(mug.UsageError);
    expect(() => socket.startTls({ cert: "x", key: "x" })).toThrow(mug.UsageError);
    const first = socket.startTls({ timeout: 30 });
    expect(() => socket.startTls()).toThrow(mug.UsageError);
    await expect(first).rejects.toMatchObject({ code: "timeout" });
  });
});

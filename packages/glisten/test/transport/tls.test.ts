import { once } from "node:events";
import { connect as connectRaw, type Socket } from "node:net";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { CertificateError, TransportError, UsageError } from "../../src/errors.ts";
import { type ClientVerification, TlsContext, type TlsOptions } from "../../src/transport/tls.ts";
import { type OpenListener, openListener } from "../../src/transport/transport.ts";
import { type TestCertificates, type TestIdentity, testCertificates } from "../certificates.ts";

let made: TestCertificates;
beforeAll(async () => {
  made = await testCertificates();
});

const listeners: OpenListener[] = [];
afterEach(() => {
  for (const listener of listeners.splice(0)) listener.close();
});

interface Served {
  readonly context: TlsContext;
  readonly port: number;
  /** How each handshake ended, in order. */
  readonly outcomes: (TLSSocket | TransportError)[];
  /** The next outcome. */
  next(): Promise<TLSSocket | TransportError>;
}

/** A TLS echo; `receive` may read from the raw socket first and hand on what it took. */
async function serve(
  options: TlsOptions,
  verification?: ClientVerification,
  receive: (raw: Socket) => Promise<Uint8Array | undefined> = async () => undefined,
): Promise<Served> {
  const context = await TlsContext.create(options, verification);
  const outcomes: (TLSSocket | TransportError)[] = [];
  const waiting: ((outcome: TLSSocket | TransportError) => void)[] = [];
  const settle = (outcome: TLSSocket | TransportError) => {
    outcomes.push(outcome);
    waiting.shift()?.(outcome);
  };
  const onConnection = async (raw: Socket) => {
    const received = await receive(raw);
    await context
      .handshake(raw, received)
      .then(echo, (error: TransportError) => error)
      .then(settle);
  };
  const listener = await openListener({ port: 0 }, { onConnection, onError: () => {} });
  listeners.push(listener);
  const next = () => new Promise<TLSSocket | TransportError>((resolve) => void waiting.push(resolve));
  return { context, port: listener.port!, outcomes, next };
}

function echo(socket: TLSSocket): TLSSocket {
  socket.on("data", (chunk) => socket.write(chunk));
  socket.on("end", () => socket.end());
  return socket;
}

function identity({ cert, key }: TestIdentity): { cert: string; key: string } {
  return { cert, key };
}

/** Connects, has a word echoed, and tells what the handshake gave. */
async function visit(port: number, options: ConnectionOptions = {}) {
  const socket = connect({ port, host: "127.0.0.1", servername: "localhost", ca: made.ca.cert, ...options });
  let session: Buffer | undefined;
  socket.on("session", (ticket) => {
    session = ticket;
  });
  await once(socket, "secureConnect");
  const { alpnProtocol } = socket;
  const subject = socket.getPeerX509Certificate()?.subject;
  const [protocol, reused] = [socket.getProtocol(), socket.isSessionReused()];
  socket.end("word");
  const [word] = await once(socket, "data");
  await once(socket, "close");
  return { word: String(word), subject, protocol, alpnProtocol, reused, session: session! };
}

/** Connects and waits for the connection to fail, whether in the handshake or right behind it (TLS 1.3). */
async function refused(port: number, options: ConnectionOptions = {}): Promise<void> {
  const socket = connect({ port, host: "127.0.0.1", servername: "localhost", ca: made.ca.cert, ...options });
  let echoed = false;
  socket.on("error", () => {});
  socket.on("data", () => {
    echoed = true;
  });
  socket.on("secureConnect", () => socket.write("word"));
  await new Promise((resolve) => socket.on("close", resolve));
  expect(echoed).toBe(false);
}

describe("the handshake", () => {
  it.each(["server", "rsa", "chained"] as const)("offers the %s certificate", async (name) => {
    const { port } = await serve(identity(made[name]));
    expect(await visit(port)).toMatchObject({ word: "word", subject: `CN=${name}`, protocol: "TLSv1.3" });
  });

  it("gives a socket that is open half-way and has not been read", async () => {
    const { port, next } = await serve(identity(made.server));
    const outcome = next();
    await visit(port);
    expect(await outcome).toMatchObject({ allowHalfOpen: true, encrypted: true, servername: "localhost" });
  });

  it.each([1, 5, 50, 1000])("takes up bytes that were read before: %d of them", async (count) => {
    // As after a PROXY header: the start of the hello is in our hands already.
    const readSome = (raw: Socket) =>
      new Promise<Buffer>((resolve) => {
        let bytes = Buffer.alloc(0);
        raw.on("data", function taken(chunk: Buffer) {
          bytes = Buffer.concat([bytes, chunk]);
          if (bytes.length < Math.min(count, 200)) return;
          raw.off("data", taken);
          raw.pause();
          // Some in hand, the others back where they came from.
          raw.unshift(bytes.subarray(count));
          resolve(bytes.subarray(0, count));
        });
        raw.resume();
      });
    const { port } = await serve(identity(made.server), undefined, readSome);
    expect(await visit(port)).toMatchObject({ word: "word" });
  });

  it("refuses old versions", async () => {
    const { port, next } = await serve({ ...identity(made.server), minVersion: "TLSv1.3" });
    const outcome = next();
    await refused(port, { maxVersion: "TLSv1.2" });
    expect(await outcome).toMatchObject({
      code: "eproto",
      message: expect.stringMatching(/^The TLS handshake failed: [^\n:]+\.$/),
    });
    expect(await visit(port)).toMatchObject({ protocol: "TLSv1.3" });
    const second = await serve(identity(made.server));
    expect(await visit(second.port, { maxVersion: "TLSv1.2" })).toMatchObject({ protocol: "TLSv1.2" });
  });

  it("agrees on a protocol, ours first, and on none when the client offers none", async () => {
    const { port } = await serve({ ...identity(made.server), alpnProtocols: ["h2", "http/1.1"] });
    expect((await visit(port, { ALPNProtocols: ["http/1.1", "h2"] })).alpnProtocol).toBe("h2");
    expect((await visit(port, { ALPNProtocols: ["x", "http/1.1"] })).alpnProtocol).toBe("http/1.1");
    expect((await visit(port)).alpnProtocol).toBe(false);
    await refused(port, { ALPNProtocols: ["other"] });
  });
});

describe("certificates by server name", () => {
  it.each([
    ["second.example", "second"],
    ["SECOND.example", "second"],
    ["a.wild.example", "wildcard"],
    ["exact.wild.example", "rsa"],
    ["a.b.wild.example", "server"],
    ["wild.example", "server"],
    ["unknown.example", "server"],
    ["localhost", "server"],
  ] as const)("%s gets %s", async (servername, expected) => {
    const { port } = await serve({
      ...identity(made.server),
      serverNames: {
        "second.example": identity(made.second),
        "*.Wild.example": identity(made.wildcard),
        "exact.wild.example": { certfile: made.rsa.certfile, keyfile: made.rsa.keyfile },
      },
    });
    const visited = await visit(port, { servername, checkServerIdentity: () => undefined });
    expect(visited.subject).toBe(`CN=${expected}`);
  });

  it("a client without a name gets the server's own", async () => {
    const { port } = await serve({
      ...identity(made.server),
      serverNames: { "b.example": identity(made.second) },
    });
    const { servername: _, ...anonymous } = { servername: "" };
    expect((await visit(port, { ...anonymous, servername: "" })).subject).toBe("CN=server");
  });

  it("verifies clients under every name", async () => {
    const { port, outcomes } = await serve(
      { ...identity(made.server), serverNames: { "second.example": identity(made.second) } },
      { ca: made.ca.cert },
    );
    const servername = "second.example";
    await visit(port, { servername, ...identity(made.client) });
    expect(outcomes[0]).toMatchObject({ authorized: true });
    await refused(port, { servername });
    await refused(port, { servername, ...identity(made.wrongClient) });
  });

  it.each(["", "*", "*.", "a..b", "a b", "*.*.example", "-a.example", "1.2.3.4:5"])(
    "%j is no name",
    async (name) => {
      const options = { ...identity(made.server), serverNames: { [name]: identity(made.second) } };
      await expect(TlsContext.create(options)).rejects.toThrow(UsageError);
    },
  );

  it("a bad certificate is named by the server name it is for", async () => {
    const options = { ...identity(made.server), serverNames: { "b.example": { cert: made.second.cert } } };
    await expect(TlsContext.create(options)).rejects.toThrow(/the key of b\.example/);
  });
});

describe("client verification", () => {
  it("required: only a certificate of the authority is accepted", async () => {
    const { port, outcomes, next } = await serve(identity(made.server), { caFile: made.ca.certfile });
    const subject = next().then((socket) => (socket as TLSSocket).getPeerX509Certificate()?.subject);
    await visit(port, identity(made.client));
    expect(await subject).toBe("CN=client");
    expect(outcomes[0]).toMatchObject({ authorized: true });
    await refused(port);
    await refused(port, identity(made.wrongClient));
    await refused(port, identity(made.expiredClient));
    await visit(port, identity(made.client));
    expect(outcomes.slice(1, 4).map((each) => (each as TransportError).code)).toEqual([
      "eproto",
      "eproto",
      "eproto",
    ]);
    expect((outcomes[3] as TransportError).message).toBe(
      "The client's certificate was refused: CERT_HAS_EXPIRED.",
    );
    expect(outcomes[4]).toMatchObject({ authorized: true });
  });

  it("optional: a client without a certificate gets in, one with an invalid certificate does not", async () => {
    const { port, outcomes } = await serve(identity(made.server), { ca: made.ca.cert, optional: true });
    await visit(port);
    expect(outcomes[0]).toMatchObject({ authorized: false });
    await visit(port, identity(made.client));
    expect(outcomes[1]).toMatchObject({ authorized: true });
    await refused(port, identity(made.wrongClient));
    expect(outcomes[2]).toBeInstanceOf(TransportError);
  });
});

describe("an update", () => {
  it("is used by new handshakes; open connections go on", async () => {
    const { context, port } = await serve(identity(made.server));
    const open = connect({ port, host: "127.0.0.1", servername: "localhost", ca: made.ca.cert });
    await once(open, "secureConnect");
    await context.update(identity(made.renewed));
    expect((await visit(port)).subject).toBe("CN=renewed");
    open.end("still here");
    expect(String((await once(open, "data"))[0])).toBe("still here");
  });

  it("keeps ALPN, the lowest version and the ciphers, unless it names others", async () => {
    const rules = { alpnProtocols: ["h2", "http/1.1"], minVersion: "TLSv1.3" } as const;
    const { context, port } = await serve({ ...identity(made.server), ...rules });
    const agreed = async (maxVersion: "TLSv1.2" | "TLSv1.3") => {
      const options = { servername: "localhost", ca: made.ca.cert, ALPNProtocols: ["h2"], maxVersion };
      const peer = connect({ port, host: "127.0.0.1", ...options });
      const outcome = await once(peer, "secureConnect").then(
        () => peer.alpnProtocol,
        () => "refused",
      );
      peer.destroy();
      return outcome;
    };
    expect([await agreed("TLSv1.3"), await agreed("TLSv1.2")]).toEqual(["h2", "refused"]);
    await context.update(identity(made.renewed));
    expect([await agreed("TLSv1.3"), await agreed("TLSv1.2")]).toEqual(["h2", "refused"]);
    await context.update({ ...identity(made.renewed), alpnProtocols: ["http/1.1"], minVersion: "TLSv1.2" });
    expect([await agreed("TLSv1.3"), await agreed("TLSv1.2")]).toEqual(["refused", "refused"]);
  });

  it("that is bad changes nothing", async () => {
    const { context, port } = await serve(identity(made.server), { ca: made.ca.cert });
    const attempts = [
      context.update({ cert: made.renewed.cert, key: made.rsa.key }),
      context.update(identity(made.renewed), { ca: "nonsense" }),
      context.update({ ...identity(made.renewed), serverNames: { "a.example": {} } }),
      context.update({ ...identity(made.renewed), ciphers: "NO-SUCH-CIPHER" }),
    ];
    for (const attempt of attempts) await expect(attempt).rejects.toThrow(CertificateError);
    expect((await visit(port, identity(made.client))).subject).toBe("CN=server");
    await refused(port);
  });

  it("replaces the client authorities, too", async () => {
    const { context, port } = await serve(identity(made.server), { ca: made.ca.cert });
    await context.update(identity(made.server), { ca: made.wrongCa.cert });
    await refused(port, identity(made.client));
    expect((await visit(port, identity(made.wrongClient))).word).toBe("word");
  });

  it("does not disturb a handshake under way, and the last one asked for wins", async () => {
    const { context, port, next } = await serve(identity(made.server));
    const raw = connectRaw(port, "127.0.0.1");
    await once(raw, "connect");
    const outcome = next();
    const updates = [context.update({ ...identity(made.rsa) }), context.update(identity(made.renewed))];
    await Promise.all(updates);
    const socket = connect({ socket: raw, servername: "localhost", ca: made.ca.cert });
    await once(socket, "secureConnect");
    expect(["CN=server", "CN=renewed"]).toContain(socket.getPeerX509Certificate()!.subject);
    socket.destroy();
    await outcome;
    expect((await visit(port)).subject).toBe("CN=renewed");
  });

  it.each(["TLSv1.2", "TLSv1.3"] as const)("keeps %s session tickets good", async (maxVersion) => {
    const { context, port } = await serve(identity(made.server));
    const { session } = await visit(port, { maxVersion });
    expect((await visit(port, { maxVersion, session })).reused).toBe(true);
    await context.update(identity(made.renewed));
    expect((await visit(port, { maxVersion, session })).reused).toBe(true);
  });

  it("a ticket does not outlive the authority it was earned under", async () => {
    const { context, port, outcomes } = await serve(identity(made.server), { ca: made.ca.cert });
    const { session } = await visit(port, identity(made.client));
    expect((await visit(port, { ...identity(made.client), session })).reused).toBe(true);
    expect(outcomes[1]).toMatchObject({ authorized: true });
    await context.update(identity(made.server), { ca: made.wrongCa.cert });
    await refused(port, { ...identity(made.client), session });
  });

  it("tickets of one process are good in another that was given the same keys", async () => {
    const ticketKeys = Buffer.alloc(48, 7);
    const [one, other] = await Promise.all([
      serve({ ...identity(made.server), ticketKeys }),
      serve({ ...identity(made.server), ticketKeys }),
    ]);
    const { session } = await visit(one.port);
    expect((await visit(other.port, { session })).reused).toBe(true);
    await expect(
      TlsContext.create({ ...identity(made.server), ticketKeys: Buffer.alloc(47) }),
    ).rejects.toThrow(UsageError);
  });
});

describe("a peer that breaks its handshake costs only its own connection", () => {
  const breakages: readonly (readonly [string, (raw: Socket) => void])[] = [
    ["garbage", (raw) => void raw.write("GET / HTTP/1.1\r\n\r\n")],
    ["binary garbage", (raw) => void raw.write(Buffer.alloc(3000, 0xff))],
    ["a FIN at once", (raw) => void raw.end()],
    ["a FIN in the hello", (raw) => void raw.end(Buffer.from("16030100c8010000c4", "hex"))],
    ["a reset at once", (raw) => void raw.resetAndDestroy()],
    [
      "a reset in the hello",
      (raw) => void raw.write(Buffer.from("160301", "hex"), () => raw.resetAndDestroy()),
    ],
  ];

  it.each(breakages)("%s", async (_, misbehave) => {
    const { port, next } = await serve(identity(made.server));
    const outcome = next();
    const raw = connectRaw(port, "127.0.0.1", () => misbehave(raw));
    raw.on("error", () => {}).resume();
    expect(await outcome).toBeInstanceOf(TransportError);
    expect((await visit(port)).word).toBe("word");
  });

  it("a hundred at once, and the good are served", async () => {
    const { port, outcomes } = await serve(identity(made.server));
    const bad = Array.from({ length: 100 }, () => {
      const raw = connectRaw(port, "127.0.0.1", () => void raw.write("rubbish, and more rubbish\n"));
      raw.on("error", () => {}).resume();
      return once(raw, "close");
    });
    const good = await Promise.all(Array.from({ length: 10 }, () => visit(port)));
    await Promise.all(bad);
    expect(good.every((each) => each.word === "word")).toBe(true);
    expect(outcomes.filter((each) => each instanceof TransportError)).toHaveLength(100);
  });

  it("giving up is destroying the raw socket", async () => {
    const context = await TlsContext.create(identity(made.server));
    const failure = new Promise((resolve) => {
      const onConnection = (raw: Socket) => {
        context.handshake(raw).catch(resolve);
        raw.destroy();
        context.handshake(raw).catch((error) => expect(error).toMatchObject({ code: "closed" }));
      };
      void openListener({ port: 0 }, { onConnection, onError: () => {} }).then((listener) => {
        listeners.push(listener);
        connectRaw(listener.port!, "127.0.0.1").on("error", () => {});
      });
    });
    expect(await failure).toBeInstanceOf(TransportError);
  });
});

it.each([{ minVersion: "TLSv1.1" as never }, { alpnProtocols: [""] }, { alpnProtocols: ["x".repeat(256)] }])(
  "refuses %j",
  async (options) => {
    await expect(TlsContext.create({ ...identity(made.server), ...options })).rejects.toThrow(UsageError);
  },
);

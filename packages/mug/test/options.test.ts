import { describe, expect, test } from "vitest";
import * as mug from "../src/index.ts";
import * as testing from "../src/testing/index.ts";
import { serve } from "./servers.ts";

const good = { host: "127.0.0.1", port: 1 };

describe("refused at the call, before anything is tried", () => {
  test.each<[string, mug.ConnectOptions]>([
    ["no target", {}],
    ["no port", { host: "x" }],
    ["no host", { port: 1 }],
    ["an empty host", { ...good, host: "" }],
    ["a host with a NUL", { ...good, host: "a\0b" }],
    ["port 0", { ...good, port: 0 }],
    ["port 65536", { ...good, port: 65_536 }],
    ["a negative port", { ...good, port: -1 }],
    ["half a port", { ...good, port: 80.5 }],
    ["port NaN", { ...good, port: Number.NaN }],
    ["a port as text", { ...good, port: "80" as unknown as number }],
    ["a negative timeout", { ...good, timeout: -1 }],
    ["timeout NaN", { ...good, timeout: Number.NaN }],
    ["a timeout no timer can hold", { ...good, timeout: 2 ** 31 }],
    ["an unknown preference", { ...good, ipVersionPreference: "ipv5" as "ipv4-only" }],
    ["an IPv4 address with ipv6-only", { ...good, ipVersionPreference: "ipv6-only" }],
    ["an IPv6 address with ipv4-only", { host: "::1", port: 1, ipVersionPreference: "ipv4-only" }],
    ["a local name instead of an address", { ...good, localAddress: "localhost" }],
    [
      "an IPv6 local address with ipv4-only",
      { host: "x", port: 1, localAddress: "::1", ipVersionPreference: "ipv4-only" },
    ],
    ["a local port out of range", { ...good, localPort: 65_536 }],
    ["a head start too short", { ...good, attemptDelayMs: 9 }],
    ["a high-water mark of 0", { ...good, highWaterMark: 0 }],
    ["maxReceive 0", { ...good, maxReceive: 0 }],
    ["a signal that is none", { ...good, signal: {} as AbortSignal }],
    ["a lookup that is none", { ...good, lookup: "dns" as unknown as mug.Lookup }],
    ["a path with a host", { path: "/tmp/x", host: "x" }],
    ["a path with a port", { path: "/tmp/x", port: 1 }],
    ["a path with a preference", { path: "/tmp/x", ipVersionPreference: "ipv4-only" }],
    ["a path with TLS and no name to verify", { path: "/tmp/x", tls: true }],
    ["an option that does not exist", { ...good, timeoutMs: 5 } as mug.ConnectOptions],
    ["a TLS option that does not exist", { ...good, tls: { rejectUnauthorized: false } as mug.TlsOptions }],
    ["a certificate without its key", { ...good, tls: { cert: "x" } }],
    ["a passphrase without a key", { ...good, tls: { passphrase: "x" } }],
    ["a certificate that is none", { ...good, tls: { cert: "x", key: "x" } }],
    ["DER bytes that are no certificate", { ...good, tls: { ca: Uint8Array.of(0x30, 0x00) } }],
    [
      "TLS versions that exclude each other",
      { ...good, tls: { minVersion: "TLSv1.3", maxVersion: "TLSv1.2" } },
    ],
    ["a head start without a race", { ...good, attemptDelayMs: 100 }],
    ["a path with a race", { path: "/tmp/x", happyEyeballs: true }],
    ["a path with noDelay", { path: "/tmp/x", noDelay: true }],
    ["a path with a lookup", { path: "/tmp/x", lookup: async () => [] }],
    ["an empty list of authorities", { ...good, tls: { ca: [] } }],
    ["an empty server name", { ...good, tls: { serverName: "" } }],
    ["an old TLS version", { ...good, tls: { minVersion: "TLSv1" as "TLSv1.2" } }],
    ["tls that is neither", { ...good, tls: "yes" as unknown as boolean }],
  ])("%s", (_name, options) => {
    expect(() => mug.connect(options)).toThrow(mug.UsageError);
  });

  test("by the builder's own methods as well", () => {
    const builder = mug.new("localhost", { port: 1 });
    expect(() => mug.new("", { port: 1 })).toThrow("host must be a non-empty string");
    expect(() => mug.new("x", { port: 0 })).toThrow("port must be an integer from 1 to 65535, got 0");
    expect(() => mug.unix("")).toThrow(mug.UsageError);
    expect(() => builder.timeout(-1)).toThrow(mug.UsageError);
    expect(() => builder.ipVersionPreference("v4" as "ipv4-only")).toThrow(mug.UsageError);
    expect(() => builder.withTls({ key: "x" })).toThrow(mug.UsageError);
    expect(() => builder.localAddress("x")).toThrow(mug.UsageError);
    expect(() => builder.happyEyeballs(1)).toThrow(mug.UsageError);
    expect(() => builder.limits({ maxReceive: 0 })).toThrow(mug.UsageError);
  });

  test("by the calls of a socket", async () => {
    await using server = await serve();
    await using socket = await mug.connect({ host: "127.0.0.1", port: server.port, maxReceive: 1000 });
    const calls: (() => unknown)[] = [
      () => socket.receive({ timeout: -1 }),
      () => socket.receive({ timeout: Number.NaN }),
      () => socket.receive({ signal: "x" as unknown as AbortSignal }),
      () => socket.receive(5 as mug.WaitOptions),
      () => socket.receiveExact(-1),
      () => socket.receiveExact(1001),
      () => socket.receiveExact(1.5),
      () => socket.receiveExact("5" as unknown as number),
      () => socket.receiveUntil(""),
      () => socket.receiveUntil(new Uint8Array(0)),
      () => socket.receiveUntil(undefined as unknown as string),
      () => socket.receiveUntil("\n", { max: 1001 }),
      () => socket.receiveLine({ max: -1 }),
      () => socket.receiveLine({ timeout: -1 }),
      () => socket.receiveToEnd({ max: 1001 }),
      () => socket.send("x", { timeout: -1 }),
      () => socket.flush({ timeout: -1 }),
      () => socket.close({ timeout: -1 }),
      () => socket.unreceive("x" as unknown as Uint8Array),
      () => socket.startTls({ serverName: "" }),
      () => socket.startTls({ timeout: -1 }),
    ];
    for (const call of calls) expect(call, String(call)).toThrow(mug.UsageError);
    // None of them took the socket's one place to wait.
    await expect(socket.receive({ timeout: 0 })).rejects.toMatchObject({ code: "timeout" });
  });
});

describe("misspelt and missing", () => {
  const refused = (call: () => unknown, message: string): void => {
    expect(call, String(call)).toThrow(mug.UsageError);
    expect(call, String(call)).toThrow(message);
  };
  const any = (value: unknown): never => value as never;

  test("arguments of connecting", () => {
    const builder = mug.new("x", { port: 1 });
    refused(
      () => mug.connect("x", any({ port: 1, timeuot: 5 })),
      'there is no option "timeuot"; there are host, port,',
    );
    refused(() => mug.connect(any(undefined)), "host must be a non-empty string, got undefined");
    refused(() => mug.connect("x", any(undefined)), "port is required");
    refused(() => mug.connect("x", any({ port: 1, host: "y" })), "the host was given twice");
    refused(
      () => mug.connect(any({ host: "x", port: 1 }), { port: 5 }),
      "either a host and options, or one object",
    );
    refused(() => mug.new(any(undefined), { port: 1 }), "host must be");
    refused(() => mug.new("x", any(undefined)), "port is required");
    refused(() => mug.new("x", any({ port: 1, atempts: 1 })), 'no option "atempts"');
    refused(() => mug.unix(any(undefined)), "path must be a non-empty string, got undefined");
    refused(() => mug.unix("/x", any({ port: 5 })), "port does not apply to a unix socket");
    refused(
      () => builder.timeout(any(undefined)),
      "timeout must be from 0 to 2147483647 ms or Infinity, got undefined",
    );
    refused(() => builder.ipVersionPreference(any(undefined)), 'one of "ipv4-only"');
    refused(() => builder.lookup(any(undefined)), "lookup must be a function, got undefined");
    refused(() => builder.signal(any(undefined)), "signal must be an AbortSignal, got undefined");
    refused(() => builder.tap(any(undefined)), "tap must be an object, got undefined");
    refused(
      () => builder.tap(any({ recieved() {} })),
      'tap has no option "recieved"; there are received, sent, event',
    );
    refused(() => builder.tap(any({ sent: true })), "tap.sent must be a function, got true");
    refused(() => builder.limits(any({ highWatermark: 5 })), 'no option "highWatermark"');
    refused(() => builder.limits(any({ timeout: 5 })), 'no option "timeout"');
    refused(() => builder.withTls(any("cert.pem")), 'tls must be an object, got "cert.pem"');
    refused(
      () => builder.withTls({ ca: "ca.pem" }),
      'tls.ca must be PEM text or bytes, not the name of a file, got "ca.pem"',
    );
    refused(
      () => builder.withTls(any({ caFile: "x" })),
      'tls has no option "caFile"; there are ca, serverName,',
    );
    refused(
      () => builder.withTls({ alpnProtocols: any(["h2", 5]) }),
      "tls.alpnProtocols[1] must be a non-empty string, got 5",
    );
  });

  test("a tap that is an instance of a class may have fields of its own", () => {
    class Log implements mug.Tap {
      readonly lines: string[] = [];
      sent(bytes: string | Uint8Array): void {
        this.lines.push(String(bytes));
      }
    }
    expect(() => mug.new("x", { port: 1 }).tap(new Log())).not.toThrow();
  });

  test("arguments of a socket's calls", async () => {
    await using server = await serve();
    await using socket = await mug.connect("127.0.0.1", { port: server.port });
    const typo = any({ timeuot: 5 });
    refused(() => socket.receive(typo), 'there is no option "timeuot"; there are timeout, signal');
    refused(() => socket.receive(any({ max: 5 })), 'no option "max"');
    refused(() => socket.receive(any(null)), "options must be an object, got null");
    refused(() => socket.receiveExact(5, typo), 'no option "timeuot"');
    refused(
      () => socket.receiveExact(any(undefined)),
      "size must be an integer from 0 to 67108864, got undefined",
    );
    refused(() => socket.receiveUntil("\n", typo), "there are timeout, signal, max");
    refused(() => socket.receiveLine(typo), 'no option "timeuot"');
    refused(() => socket.receiveToEnd(typo), 'no option "timeuot"');
    refused(() => socket.send("x", typo), 'no option "timeuot"');
    refused(() => socket.flush(typo), 'no option "timeuot"');
    refused(() => socket.close(typo), 'there is no option "timeuot"; there is timeout');
    refused(() => socket.close(any(5)), "options must be an object, got 5");
    refused(() => socket.close(any({ signal: AbortSignal.abort() })), 'no option "signal"');
    refused(() => socket.startTls(typo), 'no option "timeuot"');
    refused(() => socket.startTls(any(null)), "options must be an object");
    refused(() => socket.subscribe(any(undefined)), "receiver must be a function, got undefined");
    refused(() => mug.tcpMessages(any(undefined)), "socket must be a socket of mug, got undefined");
    refused(() => mug.selectTcpMessages(any({}), socket, String), "selector.selectMap must be a function");
    refused(
      () => mug.selectTcpMessages(any({ selectMap() {} }), socket, any(undefined)),
      "map must be a function",
    );
    await expect(socket.receive({ timeout: 0 })).rejects.toMatchObject({ code: "timeout" });
  });

  test("arguments of the testing kit", async () => {
    await using server = await testing.listen();
    await using peer = await testing.connect(server.host, { port: server.port, expectTimeoutMs: 1000 });
    const typo = any({ timeuot: 5 });
    refused(() => testing.connect("x", any({ port: 1, expectTimeout: 5 })), 'no option "expectTimeout"');
    refused(() => testing.connect("x", { port: 1, expectTimeoutMs: -1 }), "expectTimeoutMs must be");
    refused(() => testing.connect(any(undefined)), "host must be");
    refused(() => testing.over(any(undefined)), "stream must be a Duplex, got undefined");
    refused(() => testing.listen(any("script")), 'script must be a function, got "script"');
    refused(() => testing.listen([], typo), 'no option "timeuot"');
    refused(() => testing.listen([], { port: 65_536 }), "port must be an integer");
    refused(() => testing.listen([], { path: "/x", port: 5 }), "do not apply to a unix socket");
    refused(() => testing.listen([], { tls: any({}) }), "tls.cert and tls.key are required");
    refused(() => server.accept(typo), 'no option "timeuot"');
    refused(() => peer.send(any(undefined)), "data must be text, bytes or an array of them, got undefined");
    refused(() => peer.expect(any(undefined)), "message must be a string or bytes, got undefined");
    refused(() => peer.expect("x", typo), 'no option "timeuot"');
    refused(() => peer.expectMatch(any("x")), 'pattern must be a RegExp, got "x"');
    refused(() => peer.expectMatch(/x/, typo), 'no option "timeuot"');
    refused(() => peer.expectSilence(any(undefined)), "ms must be from 0");
    refused(
      () => peer.expectClose({ kind: any("fni") }),
      'kind must be one of "fin", "reset", "any", got "fni"',
    );
    refused(() => peer.expectClose(any({ discards: true })), 'no option "discards"');
    refused(() => peer.cutShort("abc", 1, any("hang")), 'how must be one of "half-close"');
    refused(() => peer.cutShort("abc", 4, "stall"), "at must be an integer from 0 to 3, got 4");
    refused(() => peer.dribble("abc", any({ every: 5 })), 'no option "every"');
    refused(() => peer.dribble("abc", { size: 0 }), "size must be an integer");
    refused(() => peer.sendSplit("abc", any(1)), "offsets must be an array of byte offsets");
    refused(() => peer.sendPieces(any("abc")), "pieces must be an array");
    refused(() => peer.stall(any(undefined)), "until must be milliseconds or a promise");
    refused(() => testing.everySplit("abc", { cuts: any(3) }), "cuts must be one of 1, 2, got 3");
    refused(() => testing.forEverySplit("abc", any(undefined)), "run must be a function");
    refused(() => testing.forEverySplit("abc", async () => {}, any({ paralel: 2 })), 'no option "paralel"');
  });
});

test("the builder and the options object say the same", async () => {
  await using server = await serve();
  const lookup = async () => ["127.0.0.1"];
  const { signal } = new AbortController();
  const tap = {};
  const options = {
    port: server.port,
    timeout: 500,
    ipVersionPreference: "ipv4-preferred",
    happyEyeballs: true,
    attemptDelayMs: 100,
    localAddress: "127.0.0.1",
    localPort: 0,
    lookup,
    tls: {},
    signal,
    noDelay: false,
    highWaterMark: 10,
    maxReceive: 20,
    tap,
  } as const satisfies mug.HostOptions;
  const built = mug
    .new("localhost", { port: server.port })
    .timeout(500)
    .ipVersionPreference("ipv4-preferred")
    .happyEyeballs(100)
    .localAddress("127.0.0.1")
    .lookup(lookup)
    .withTls()
    .signal(signal)
    .noDelay(false)
    .limits({ highWaterMark: 10, maxReceive: 20 })
    .tap(tap);
  expect(built.options).toEqual({ host: "localhost", ...options });
  expect(mug.new("localhost", options).options).toEqual(built.options);
});

test("builders are immutable: each method gives a new one", async () => {
  await using server = await serve();
  const plain = mug.new("127.0.0.1", { port: server.port });
  const quick = plain.timeout(5).noDelay(false).limits({ highWaterMark: 10 });
  expect(plain.options).toEqual({ host: "127.0.0.1", port: server.port });
  expect(quick.options).toEqual({
    host: "127.0.0.1",
    port: server.port,
    timeout: 5,
    noDelay: false,
    highWaterMark: 10,
  });
  await using one = await plain.connect();
  await using two = await plain.connect();
  expect(one.sockname()).not.toEqual(two.sockname());
});

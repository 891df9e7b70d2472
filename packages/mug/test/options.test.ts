import { describe, expect, test } from "vitest";
import * as mug from "../src/index.ts";
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

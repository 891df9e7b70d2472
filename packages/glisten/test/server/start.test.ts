/** Where a server can be started, and what it says when it cannot. */

import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server as NetServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import * as glisten from "../../src/index.ts";
import { testCertificates } from "../certificates.ts";
import { dial, dialTls, type Peer } from "./peer.ts";

const directory = mkdtempSync(join(tmpdir(), "glisten-start-"));
afterAll(() => rmSync(directory, { recursive: true }));

const nothing = (): undefined => undefined;

function echo(): glisten.HandlerBuilder<undefined, never> {
  return glisten
    .new<undefined>(nothing, (_state, message, connection) => {
      if (message.type === "packet") void connection.send(message.data);
    })
    .withStopDeadline(10);
}

async function speaks(peer: Peer): Promise<void> {
  peer.socket.write("hello");
  expect(await peer.read(5)).toBe("hello");
}

async function failure(started: Promise<glisten.Server>): Promise<glisten.StartError> {
  const error = await started.then(
    (server) => server.stop(0),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(Error);
  return error as glisten.StartError;
}

describe("start", () => {
  it.each([
    ["by default", echo(), ["127.0.0.1"], { type: "ipv4", octets: [127, 0, 0, 1] }],
    ["on localhost", echo().bind("localhost"), ["127.0.0.1"], { type: "ipv4", octets: [127, 0, 0, 1] }],
    ["on every interface", echo().bind("0.0.0.0"), ["127.0.0.1"], { type: "ipv4", octets: [0, 0, 0, 0] }],
    ["on an IPv6 address", echo().bind("::1"), ["::1"], glisten.ipv6(0, 0, 0, 0, 0, 0, 0, 1)],
    ["on both loopbacks", echo().withIpv6(), ["127.0.0.1", "::1"], glisten.ipv4(127, 0, 0, 1)],
    [
      "on every interface of both families",
      echo().bind("0.0.0.0").withIpv6(),
      ["127.0.0.1", "::1"],
      glisten.ipv6(0, 0, 0, 0, 0, 0, 0, 0),
    ],
  ])("%s", async (_name, builder, hosts, ipAddress) => {
    await using server = await builder.start(0);
    expect(server.port).toBeGreaterThan(0);
    expect(server.info()).toMatchObject({ port: server.port, ipAddress });
    for (const host of hosts) await speaks(await dial(server, { host }));
  });

  it("on a unix socket, whose file goes with the server", async () => {
    const path = join(directory, "echo.sock");
    const server = await echo().start({ path });
    expect(server.info()).toMatchObject({ path });
    expect(server.address).toEqual({ type: "unix", path });
    expect(() => server.port).toThrow(glisten.UsageError);
    await speaks(await dial({ port: 0 }, { path, host: undefined, port: undefined } as never));
    await server.stop();
    expect(existsSync(path)).toBe(false);
  });

  it("on a unix socket with TLS", async () => {
    const path = join(directory, "tls.sock");
    const { certfile, keyfile } = (await testCertificates()).server;
    await using server = await echo().withTls({ certfile, keyfile }).start({ path });
    expect(server.info()).toMatchObject({ path });
    await speaks(await dialTls({ port: 0 }, { path, host: undefined, port: undefined } as never));
  });

  it("replaces a stale socket file, not a live one", async () => {
    const path = join(directory, "stale.sock");
    const stale = createServer().listen(path);
    await once(stale, "listening");
    const live = await failure(echo().start({ path }));
    expect(live).toMatchObject({ name: "StartError", reason: "system-error", socketReason: "eaddrinuse" });
    expect(live.message).toContain(path);
    await abandon(stale, path);
    await using server = await echo().start({ path });
    expect(server.info()).toMatchObject({ path });
  });

  it("explains in one sentence what is wrong, with the address", async () => {
    await using taken = await echo().start(0);
    const cases: [Promise<glisten.Server>, string, string][] = [
      [echo().start(taken.port), `127.0.0.1:${taken.port}`, "eaddrinuse"],
      [echo().bind("192.0.2.1").start(0), "192.0.2.1:0", "eaddrnotavail"],
      [echo().bind("2001:db8::1").start(8080), "[2001:db8::1]:8080", "eaddrnotavail"],
      [echo().start({ path: "/nowhere/at/all.sock" }), "/nowhere/at/all.sock", "eacces"],
    ];
    for (const [started, address, code] of cases) {
      const error = await failure(started);
      expect(error).toMatchObject({ name: "StartError", reason: "system-error" });
      expect(error.message).toContain(address);
      expect(error.message.split("\n")).toHaveLength(1);
      if (code !== "eacces") expect(error.socketReason).toBe(code);
    }
  });

  it("refuses invalid options at the call", async () => {
    const wrong: [() => unknown, RegExp][] = [
      [() => echo().bind("example.com"), /bind must be "localhost" or an IPv4 or IPv6 address/],
      [() => echo().bind("127.0.0.1.1"), /127\.0\.0\.1\.1/],
      [() => echo().withPoolSize(0), /poolSize must be an integer from 1 to 65536, got 0/],
      [() => echo().withMaxConnections(1.5), /maxConnections/],
      [() => echo().withHandshakeTimeout(-1), /handshakeTimeoutMs/],
      [() => echo().withActiveState({ count: 1 }), /activeState must be "once", .* got an object$/],
      [() => echo().withActiveState("twice" as never), /twice/],
      [() => echo().withSignal({} as never), /AbortSignal/],
      [() => echo().withHighWaterMark(1), /highWaterMark/],
      [() => echo().withProxyProtocol({ trustedPeers: [] }), /trustedPeers must have/],
      [() => echo().withProxyProtocol({ trustedPeers: ["nobody"] }), /nobody/],
      [() => echo().withMailbox({ maxMailbox: 0 }), /maxMailbox/],
      [() => echo().withMailbox({ max: 5 } as never), /withMailbox has no option "max"/],
      [
        () => echo().withProxyProtocol(undefined as never),
        /the options of withProxyProtocol must be an object/,
      ],
      [() => echo().withClientVerification({}), /caFile or ca/],
      [() => echo().supervised(1, { id: 5 as never }), /id must be a string that is not empty, got 5/],
      [() => echo().withClose(undefined as never), /onClose must be a function, got undefined/],
      [() => echo().withShutdown(5 as never), /onShutdown must be a function, got 5/],
      [() => echo().withIntensity({ restarts: 1 } as never), /intensity must be { restarts, withinMs }/],
      [() => echo().withLinger({ linger: 5 } as never), /withLinger has no option "linger"/],
      [() => echo().withProxyProtocol({ trustedPeers: ["unix"], peers: [] } as never), /no option "peers"/],
      [
        () => (echo().withTls as (...files: string[]) => unknown)("cert.pem", "key.pem"),
        /the options of withTls must be { certfile, keyfile } or { cert, key }, got "cert.pem"/,
      ],
      [
        () => echo().withClientVerification("ca.pem" as never),
        /the options of withClientVerification must be { caFile } or { ca }, got "ca.pem"/,
      ],
      [
        () => echo().withSendDeadline({ sendMs: 0 }),
        /sendMs must be an integer from 1 to 2147483647, or Infinity/,
      ],
      [() => echo().withRefusal(503 as never), /refusal must be text or bytes, got 503/],
      [() => echo().withTls({ minversion: "TLSv1.3" } as never), /withTls has no option "minversion"/],
      [() => echo().withTls({ minVersion: "TLSv1.1" as never }), /minVersion must be "TLSv1.2" or/],
      [() => echo().withTls({ keyType: "dsa" as never }), /keyType must be "rsa"/],
      [() => echo().withTls({ alpnProtocols: "h2" as never }), /alpnProtocols must be an array/],
      [() => echo().withTls({ alpnProtocols: [""] }), /1 to 255 bytes/],
      [() => echo().withTls({ serverNames: { "a b": {} } }), /a server name must be a host name/],
      [
        () => echo().withTls({ serverNames: { a: { cet: "" } as never } }),
        /serverNames\["a"\] has no option "cet"/,
      ],
      [() => echo().withClientVerification({ cafile: "x" } as never), /no option "cafile"/],
      [() => echo().withClientVerification({ optional: "yes" as never }), /optional must be true or false/],
      [() => glisten.new(1 as never, nothing), /init must be a function/],
      [() => glisten.protocol({} as never), /(must be|takes) a function, got/],
    ];
    for (const [call, message] of wrong) {
      expect(call).toThrow(glisten.UsageError);
      expect(call).toThrow(message);
    }
  });

  it("rejects options that contradict each other", async () => {
    const { ca } = await testCertificates();
    const wrong = [
      echo().withClientVerification({ ca: ca.cert }).start(0),
      echo()
        .bind("127.0.0.1")
        .start({ path: join(directory, "x") }),
      echo().start(-1),
      echo().start(70_000),
      ...[
        {},
        null,
        undefined,
        "3000",
        { port: 0 },
        { path: "/tmp/x", mode: 0o600 },
        { fd: 3, path: "/tmp/x" },
      ].map((target) => echo().start(target as never)),
      echo().start({ fd: -1 }),
    ];
    for (const started of wrong) expect(await failure(started)).toBeInstanceOf(glisten.UsageError);
    expect(await failure(echo().withTls({ certfile: "/no", keyfile: "/no" }).start(0))).toMatchObject({
      name: "CertificateError",
    });
  });

  it("leaves builders as they were", async () => {
    const plain = echo();
    plain.bind("::1");
    await using server = await plain.start(0);
    expect(server.info()).toMatchObject({ ipAddress: glisten.ipv4(127, 0, 0, 1) });
  });
});

/** Closes a listening socket and leaves its file behind, as a killed process does. */
async function abandon(server: NetServer, path: string): Promise<void> {
  const { linkSync, renameSync } = await import("node:fs");
  const kept = `${path}.kept`;
  linkSync(path, kept);
  server.close();
  await once(server, "close");
  renameSync(kept, path);
}

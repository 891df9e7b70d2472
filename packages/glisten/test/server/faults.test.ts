/** What a server must survive: hostile peers, broken handlers, and a machine that runs out of things. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, describe, expect, it } from "vitest";
import * as glisten from "../../src/index.ts";
import { faultOf } from "../../src/server/listener.ts";
import { builtSources } from "../built.ts";
import { testCertificates } from "../certificates.ts";
import { dial, dialTls, eventually, Peer, reports } from "./peer.ts";

const nothing = (): undefined => undefined;

function echo(): glisten.HandlerBuilder<undefined, never> {
  return glisten.new<undefined>(nothing, (_state, message, connection) => {
    if (message.type === "packet") void connection.send(message.data);
  });
}

async function tlsEcho(): Promise<glisten.HandlerBuilder<undefined, never>> {
  const { certfile, keyfile } = (await testCertificates()).server;
  return echo().withTls({ certfile, keyfile }).withStopDeadline(100);
}

async function speaks(peer: Peer): Promise<void> {
  peer.socket.write("still here");
  expect(await peer.read(10)).toBe("still here");
}

describe("a TLS server", () => {
  it("serves good clients while a thousand send garbage", async () => {
    const { errors, handler } = reports();
    await using server = await (await tlsEcho()).onError(handler).start(0);
    const good = await dialTls(server);
    const garbage = Buffer.from("GET / HTTP/1.1\r\nhost: x\r\n\r\n".repeat(4));
    let gone = 0;
    for (let i = 0; i < 1_000; i += 100) {
      const batch = Array.from({ length: 100 }, async () => {
        const peer = new Peer(connect(server.port, "127.0.0.1"));
        peer.socket.write(garbage);
        await peer.whenEnded();
        peer.socket.destroy();
        gone += 1;
      });
      await speaks(good);
      await speaks(await dialTls(server));
      await Promise.all(batch);
    }
    expect(gone).toBe(1_000);
    await speaks(good);
    await eventually(() => server.info().states.handshaking === 0);
    expect(server.info()).toMatchObject({ accepted: 1_011, rejected: 0 });
    expect(errors).toEqual([]);
  });

  it("does not wait for a client that never shakes hands", async () => {
    await using server = await (await tlsEcho()).withHandshakeTimeout(50).start(0);
    const silent = await dial(server);
    await silent.whenClosed();
    await speaks(await dialTls(server));
  });

  it("publishes the reason of a failed handshake on the diagnostics channel only", async () => {
    const { subscribe, unsubscribe } = await import("node:diagnostics_channel");
    const told: glisten.CloseReason[] = [];
    const listener = (event: unknown): void => void told.push((event as glisten.CloseEvent).reason);
    subscribe("glisten:connection:close", listener);
    await using server = await (await tlsEcho()).withHandshakeTimeout(50).start(0);
    const broken = await dial(server);
    broken.socket.write("this is no hello");
    await broken.whenEnded();
    broken.socket.destroy();
    await (await dial(server)).whenClosed();
    const vanished = await dial(server);
    await eventually(() => server.info().states.handshaking === 1);
    vanished.socket.resetAndDestroy();
    await eventually(() => told.length === 3);
    unsubscribe("glisten:connection:close", listener);
    expect(told.map(({ type }) => type)).toEqual(["handshake", "deadline", "handshake"]);
    expect(told[1]).toEqual({ type: "deadline", deadline: "handshake" });
  });

  it("swaps its certificate for new connections and keeps the old ones", async () => {
    const { server: first, renewed } = await testCertificates();
    await using server = await (await tlsEcho()).start(0);
    const before = await dialTls(server);
    await expect(server.tls.update({ certfile: "/nowhere", keyfile: "/nowhere" })).rejects.toMatchObject({
      name: "CertificateError",
    });
    await speaks(await dialTls(server));
    await server.tls.update({ cert: renewed.cert, key: renewed.key });
    const after = await dialTls(server);
    await speaks(before);
    await speaks(after);
    const serials = [before, after].map(({ socket }) => {
      const certificate = (socket as import("node:tls").TLSSocket).getPeerX509Certificate();
      return certificate?.serialNumber;
    });
    expect(serials[0]).not.toBe(serials[1]);
    expect(first.cert).not.toBe(renewed.cert);
  });

  it("resets and half-closes as TCP does, and tells who the client is", async () => {
    const { ca, client } = await testCertificates();
    const seen: unknown[] = [];
    await using server = await (await tlsEcho())
      .withTls({ ...pick((await testCertificates()).server), alpnProtocols: ["echo"] })
      .withClientVerification({ ca: ca.cert })
      .start(0);
    const protocolServer = await glisten
      .protocol((connection) => {
        seen.push(connection.alpnProtocol, connection.serverName, connection.transport);
        seen.push(connection.peerCertificate()?.subject.CN !== undefined);
        return { data: () => connection.reset() };
      })
      .withTls({ ...pick((await testCertificates()).server), alpnProtocols: ["echo"] })
      .withClientVerification({ ca: ca.cert })
      .start(0);
    const identity = { cert: client.cert, key: client.key, ALPNProtocols: ["echo"], servername: "localhost" };
    const half = await dialTls(server, { ...identity, allowHalfOpen: true } as never);
    half.socket.end("over");
    expect(await half.read(4)).toBe("over");
    await half.whenEnded();
    const reset = await dialTls(protocolServer, identity);
    reset.socket.write("x");
    await reset.whenClosed();
    expect(reset.error?.code).toBe("ECONNRESET");
    expect(seen).toEqual(["echo", "localhost", "tls", true]);
    await protocolServer.stop(0);
  });
});

function pick({ certfile, keyfile }: { certfile: string; keyfile: string }): {
  certfile: string;
  keyfile: string;
} {
  return { certfile, keyfile };
}

describe("a TLS peer that resets below TLS", () => {
  it("costs nothing but its connection", async () => {
    const { errors, handler } = reports();
    const closes: string[] = [];
    await using server = await (await tlsEcho())
      .onError(handler)
      .withClose((_state, { type }) => void closes.push(type))
      .start(0);
    const raw = connect(server.port, "127.0.0.1");
    const peer = await dialTls(server, { socket: raw });
    await speaks(peer);
    raw.resetAndDestroy();
    await eventually(() => closes.length === 1 && server.info().connections === 0);
    expect(closes).toEqual(["reset"]);
    expect(errors).toEqual([]);
  });
});

describe("a peer that resets", () => {
  const never = new Promise<undefined>(nothing);
  const STATES: [string, () => glisten.HandlerBuilder<undefined, never>][] = [
    ["while it waits", () => glisten.new(() => never, nothing).withPoolSize(1)],
    ["during init", () => glisten.new(() => never, nothing)],
    ["when nothing happens", () => glisten.new(nothing, nothing)],
    ["while a handler is pending", () => glisten.new(nothing, () => never)],
    [
      "while it is being sent to",
      () =>
        glisten.new(nothing, (_state, _message, connection) => void connection.send(Buffer.alloc(1 << 26))),
    ],
    ["while closing", () => glisten.new(nothing, () => glisten.stop())],
    ["after our FIN", () => glisten.new(nothing, (_state, _message, connection) => connection.end())],
  ];
  for (const [when, builder] of STATES) {
    it(`${when} costs nothing but its connection`, async () => {
      const { errors, handler } = reports();
      const server = await builder().onError(handler).withInitTimeout(200).start(0);
      const blocker = await dial(server);
      const peer = await dial(server, { allowHalfOpen: true } as never);
      peer.socket.pause();
      peer.socket.write("x");
      await eventually(() => server.info().accepted === 2);
      peer.socket.resetAndDestroy();
      blocker.socket.destroy();
      await eventually(() => server.info().connections <= (when.includes("pending") ? 1 : 0));
      expect(errors.every(({ message }) => message.includes("init"))).toBe(true);
      expect((await server.stop(50)).killed).toBeLessThanOrEqual(1);
    });
  }
});

describe("a handler that asks who is there", () => {
  it("is no failure when the peer has vanished", async () => {
    const { errors, handler } = reports();
    const closes: glisten.CloseReason[] = [];
    let peer!: Peer;
    await using server = await glisten
      .new<undefined>(nothing, (_state, _message, connection) => {
        // The kernel hears of it at once; we do so only when the event loop goes on.
        peer.socket.resetAndDestroy();
        glisten.getConnectionInfo(connection);
      })
      .onError(handler)
      .withClose((_state, reason) => void closes.push(reason))
      .start(0);
    peer = await dial(server);
    peer.socket.write("x");
    await eventually(() => closes.length === 1);
    expect(closes).toEqual([{ type: "reset", code: "enotconn" }]);
    expect(errors).toEqual([]);
  });

  it("on a unix socket has", async () => {
    const { errors, handler } = reports();
    const path = join(await mkdtemp(join(tmpdir(), "glisten-")), "s");
    await using server = await glisten
      .new<undefined>((connection) => void connection.info(), nothing)
      .onError(handler)
      .start({ path });
    expect(server.address).toEqual({ type: "unix", path });
    await new Peer(connect(path)).whenClosed();
    expect(errors.map(({ cause }) => (cause as glisten.TransportError).code)).toEqual(["enotconn"]);
  });
});

describe("a handler that never resolves", () => {
  it("holds up its own connection only, and that one's peer feels it", async () => {
    const never = new Promise<undefined>(nothing);
    await using server = await glisten
      .new<undefined>(nothing, (_state, message, connection) => {
        if (message.type === "packet" && message.data[0] === 0) return never;
        if (message.type === "packet") void connection.send(message.data);
        return undefined;
      })
      .withStopDeadline(10)
      .start(0);
    const stuck = await dial(server);
    stuck.socket.write(Buffer.alloc(1));
    await eventually(() => server.info().bytesRead === 1);
    const flood = Buffer.alloc(1 << 20, 1);
    let taken = 0;
    while (stuck.socket.write(flood, () => taken++) || stuck.socket.writableLength < 32 << 20);
    const other = await dial(server);
    await speaks(other);
    // What is neither read nor buffered stays with the peer.
    expect(stuck.socket.writableLength).toBeGreaterThan(0);
    expect(server.info().bytesRead).toBeLessThan(4 << 20);
    stuck.socket.destroy();
  });
});

describe("accepting", () => {
  it("classifies accept errors by whose failure they are", () => {
    const faults = ["ECONNABORTED", "EMFILE", "ENFILE", "ENOBUFS", "EBADF", "ESOMETHING"].map((code) =>
      faultOf(Object.assign(new Error(code), { code })),
    );
    expect(faults).toEqual(["socket", "machine", "machine", "machine", "listener", "listener"]);
  });

  it("turns sockets away for a moment when the machine has no descriptors, and recovers", async () => {
    await using server = await echo().withStopDeadline(10).start(0);
    const listener = server.supervisor.which("listener") as unknown as { failed(error: unknown): void };
    const before = await dial(server);
    await speaks(before);
    listener.failed(Object.assign(new Error("aborted"), { code: "ECONNABORTED" }));
    await speaks(await dial(server));
    listener.failed(Object.assign(new Error("too many"), { code: "EMFILE" }));
    await (await dial(server)).whenEnded();
    expect(server.info().rejected).toBe(1);
    await speaks(before);
    const served = async (): Promise<boolean> => {
      const peer = await dial(server);
      peer.socket.write("x");
      return (await peer.read(1)) === "x";
    };
    while (!(await served()));
    expect(server.supervisor.which("listener")).toBe(listener);
  });
});

// ── processes of their own ────────────────────────────────────────────────────────────────────────────────────

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

/** Runs an echo in a process, under a shell command if there is one; answers a line on stdin with its state. */
async function echoProcess(
  name: string,
  prefix: string,
): Promise<{ readonly port: number; ask(): Promise<Record<string, number>> }> {
  const built = await builtSources();
  const file = join(built, `${name}.mjs`);
  await writeFile(
    file,
    `import * as glisten from "./index.js";
     const server = await glisten
       .new(() => undefined, (_state, message, connection) => {
         if (message.type === "packet") connection.send(message.data);
       })
       .start(0);
     console.log(server.port);
     process.stdin.on("data", () => {
       const { user, system } = process.cpuUsage();
       const cpuMs = (user + system) / 1000;
       const rss = process.resourceUsage().maxRSS * 1024;
       const { connections, accepted, rejectedBy } = server.info();
       console.log(JSON.stringify({ rss, cpuMs, connections, accepted, exhausted: rejectedBy.exhausted }));
     });`,
  );
  const child = spawn("bash", ["-c", `${prefix} exec "$0" "$1"`, process.execPath, file], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  children.push(child);
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const line = async (): Promise<string> => (await lines.next()).value as string;
  return {
    port: Number(await line()),
    async ask() {
      child.stdin!.write("\n");
      return JSON.parse(await line()) as Record<string, number>;
    },
  };
}

describe("a process", () => {
  it("out of descriptors serves those it has, does not spin, and recovers", async () => {
    const server = await echoProcess("few-descriptors", "ulimit -n 48;");
    const peers = await Promise.all(Array.from({ length: 80 }, () => dial(server)));
    const talking = await Promise.all(
      peers.map(async (peer) => {
        peer.socket.write("x");
        return (await peer.read(1)) === "x" ? peer : undefined;
      }),
    );
    const served = talking.filter((peer) => peer !== undefined);
    expect(served.length).toBeGreaterThan(10);
    expect(served.length).toBeLessThan(48);
    const before = await server.ask();
    // Nobody was closed behind our back: libuv tells nothing of a connection it had no descriptor for.
    expect(before).toMatchObject({ accepted: served.length, exhausted: 80 - served.length });
    for (let i = 0; i < 20; i++) await speaks(served[0]!);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect((await server.ask()).cpuMs! - before.cpuMs!).toBeLessThan(150);
    for (const peer of peers) peer.socket.destroy();
    for (let left = 1; left > 0; ) left = (await server.ask()).connections!;
    let recovered: string;
    do {
      const peer = await dial(server);
      peer.socket.write("back");
      recovered = await peer.read(4);
    } while (recovered !== "back");
  });

  it("keeps its memory when peers send and never read", async () => {
    const server = await echoProcess("never-read", "");
    const before = await server.ask();
    const chunk = Buffer.alloc(1 << 20, 7);
    const floods = Array.from({ length: 16 }, () => connect(server.port, "127.0.0.1"));
    for (const socket of floods) {
      socket.on("error", nothing);
      socket.pause();
      await once(socket, "connect");
      for (let i = 0; i < 32; i++) socket.write(chunk);
    }
    // 512 MiB wait to be taken. Nothing more moves once every buffer on the way is full.
    let last = -1;
    for (let now = 0; now !== last; ) {
      last = now;
      await new Promise((resolve) => setTimeout(resolve, 200));
      now = floods.reduce((sum, socket) => sum + socket.bytesWritten - socket.writableLength, 0);
    }
    const after = await server.ask();
    expect(after.rss! - before.rss!).toBeLessThan(128 << 20);
    expect(after.connections).toBe(16);
    await speaks(await dial(server));
    for (const socket of floods) socket.destroy();
  });
});

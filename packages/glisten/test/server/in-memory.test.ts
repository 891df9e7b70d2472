/** Servers on memory: the same listener, acceptors, limits, handshakes and connections as on a socket of the system. */

import { once } from "node:events";
import { connect as tlsConnect } from "node:tls";
import * as mug from "@x/mug";
import { over } from "@x/mug/testing";
import { afterEach, describe, expect, it } from "vitest";
import * as glisten from "../../src/index.ts";
import { testCertificates } from "../certificates.ts";
import { Peer, reports } from "./peer.ts";

const servers: glisten.Server[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop(0)));
});

function keep(server: glisten.Server): glisten.Server {
  servers.push(server);
  return server;
}

const echo: glisten.HandlerLoop<number, never> = (state, message, connection) => {
  if (message.type === "packet") void connection.send(message.data);
  return glisten.continue(state);
};

async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

/** A client's end that may be reset when the test is over. */
async function connect(
  server: glisten.Server,
  options?: glisten.ConnectOptions,
): Promise<glisten.MemorySocket> {
  return (await server.connect(options)).on("error", () => {});
}

async function dial(server: glisten.Server, options?: glisten.ConnectOptions): Promise<Peer> {
  return new Peer((await server.connect(options)) as never);
}

describe("where it listens", () => {
  it("says memory, and has no port", async () => {
    const server = keep(await glisten.new(() => 0, echo).start({ memory: true }));
    expect(server.address).toEqual({ type: "memory" });
    expect(server.info()).toMatchObject({ memory: true, connections: 0 });
    expect(() => server.port).toThrow("a server on memory has no port");
    expect(glisten.new(() => 0, echo).supervised({ memory: true }).id).toBe("glisten:memory");
  });

  it("takes the place from options, too", async () => {
    const server = keep(await glisten.listen({ memory: { highWaterMark: 10 }, init: () => 0, loop: echo }));
    const peer = await dial(server);
    peer.socket.write("hello");
    expect(await peer.read(5)).toBe("hello");
    expect(peer.socket.readableHighWaterMark).toBe(10);
  });

  it.each<[unknown, string]>([
    [{ memory: false }, "memory must be true or { highWaterMark }, got false"],
    [{ memory: { highWaterMark: 0 } }, "highWaterMark must be an integer from 1 to 1073741824, got 0"],
    [{ memory: { size: 1 } }, 'memory has no option "size"; there is highWaterMark'],
    [{ memory: true, path: "/x" }, 'start({ path }) has no option "memory"'],
  ])("refuses %o", async (target, message) => {
    await expect(glisten.new(() => 0, echo).start(target as never)).rejects.toThrow(message);
  });

  it.each<[unknown, string]>([
    [{ highWaterMark: 1.5 }, "highWaterMark must be an integer"],
    [{ remoteAddress: "localhost" }, 'remoteAddress must be an IPv4 or IPv6 address, got "localhost"'],
    [{ remotePort: -1 }, "remotePort must be an integer from 0 to 65535, got -1"],
    [{ port: 1 }, 'connect has no option "port"'],
    [null, "the options of connect must be an object, got null"],
  ])("connect refuses %o", async (options, message) => {
    const server = keep(await glisten.new(() => 0, echo).start({ memory: true }));
    await expect(server.connect(options as never)).rejects.toThrow(message);
  });

  it("any server can be connected to in memory", async () => {
    const seen: string[] = [];
    const init = (connection: glisten.Connection): number => {
      const { local } = connection.info();
      seen.push(`${connection.transport} ${glisten.ipAddressToString(local.ipAddress)}:${local.port}`);
      return 0;
    };
    const onTcp = keep(await glisten.new(init, echo).start(0));
    const onUnix = keep(await glisten.new(init, echo).start({ path: `/tmp/in-memory-${process.pid}.sock` }));
    for (const server of [onTcp, onUnix]) {
      const peer = await dial(server);
      peer.socket.write("hello");
      expect(await peer.read(5)).toBe("hello");
      peer.socket.resetAndDestroy();
    }
    expect(seen).toEqual([`memory 127.0.0.1:${onTcp.port}`, "memory 127.0.0.1:0"]);
  });
});

describe("a connection", () => {
  it("knows both ends", async () => {
    const infos: glisten.ConnectionInfo[] = [];
    const init = (connection: glisten.Connection): number => infos.push(connection.info());
    const server = keep(await glisten.new(init, echo).start({ memory: true }));
    await connect(server);
    const second = await connect(server);
    await connect(server, { remoteAddress: "2001:db8::1", remotePort: 7 });
    expect(infos.map(({ ipAddress, port }) => [glisten.ipAddressToString(ipAddress), port])).toEqual([
      ["127.0.0.1", 49_152],
      ["127.0.0.1", 49_153],
      ["2001:db8::1", 7],
    ]);
    expect([second.localPort, second.remoteAddress, second.remotePort]).toEqual([49_153, "127.0.0.1", 0]);
  });

  it("counts bytes and states like any other, and is gone from the figures when it is over", async () => {
    const server = keep(await glisten.new(() => 0, echo).start({ memory: true }));
    const peer = await dial(server);
    peer.socket.write("hello");
    await peer.read(5);
    expect(server.info()).toMatchObject({ connections: 1, accepted: 1, bytesRead: 5, bytesWritten: 5 });
    expect(server.info().states.open).toBe(1);
    peer.socket.end();
    await peer.whenClosed();
    expect(server.info()).toMatchObject({ connections: 0, accepted: 1, bytesRead: 5, bytesWritten: 5 });
  });

  it("answers after the client's FIN", async () => {
    const server = keep(
      await glisten
        .protocol((connection) => ({
          data() {},
          end() {
            void connection.send("after the end");
            connection.close();
          },
        }))
        .start({ memory: true }),
    );
    const peer = await dial(server);
    peer.socket.end("question");
    await peer.whenClosed();
    expect(String(peer.received)).toBe("after the end");
    expect(peer.error).toBeUndefined();
  });

  it.each<[string, (connection: glisten.Connection) => void]>([
    ["connection.reset()", (connection) => connection.reset()],
    ["the handler fails with bytes unread", (connection) => connection.destroy()],
  ])("the client sees ECONNRESET: %s", async (_how, end) => {
    let connection: glisten.Connection | undefined;
    const init = (given: glisten.Connection): number => {
      connection = given;
      given.pause();
      return 0;
    };
    const server = keep(await glisten.new(init, echo).start({ memory: true }));
    const peer = await dial(server);
    peer.socket.write("unread");
    await settled();
    end(connection!);
    await peer.whenClosed();
    expect(peer.error?.code).toBe("ECONNRESET");
  });

  it("hears of the client's reset", async () => {
    const reasons: glisten.CloseReason[] = [];
    const builder = glisten.new(() => 0, echo).withClose((_state, reason) => reasons.push(reason));
    const server = keep(await builder.start({ memory: true }));
    const client = await connect(server);
    client.resetAndDestroy();
    await settled();
    expect(reasons).toEqual([{ type: "reset", code: "econnreset" }]);
  });

  it("holds a producer back while the client does not read, with nothing unbounded", async () => {
    let sent = 0;
    const chunk = Buffer.alloc(10_000, "x");
    const loop: glisten.HandlerLoop<number, never> = async (state, _message, connection) => {
      for (let turn = 0; turn < 200; turn += 1) {
        await connection.send(chunk);
        sent += chunk.length;
      }
      connection.close();
      return glisten.continue(state);
    };
    const server = keep(await glisten.new(() => 0, loop).start({ memory: { highWaterMark: 1000 } }));
    const client = await connect(server);
    client.write("go");
    await settled();
    expect(client.readableLength).toBeLessThanOrEqual(1000);
    expect(sent).toBeLessThanOrEqual(80_000);
    const peer = new Peer(client as never);
    await peer.whenEnded();
    expect(peer.received).toHaveLength(2_000_000);
  });

  it("holds the client back while the handler is busy", async () => {
    let go: (() => void) | undefined;
    let received = 0;
    const loop: glisten.HandlerLoop<number, never> = async (state, message) => {
      if (message.type === "packet") received += message.data.length;
      if (go === undefined) {
        await new Promise<void>((resolve) => {
          go = resolve;
        });
      }
      return glisten.continue(state);
    };
    const server = keep(await glisten.new(() => 0, loop).start({ memory: { highWaterMark: 100 } }));
    const client = await connect(server);
    let written = 0;
    while (client.write(Buffer.alloc(40))) written += 40;
    await settled();
    expect(client.writableNeedDrain).toBe(true);
    expect(received).toBeLessThan(written + 40);
    go!();
    await once(client, "drain");
    await settled();
    expect(received).toBe(written + 40);
  });

  it("is cut off when it takes nothing, and served when it takes little", async () => {
    const reasons: glisten.CloseReason[] = [];
    const server = keep(
      await glisten
        .new(
          () => 0,
          (state, _message, connection) => {
            void connection.send(Buffer.alloc(4000));
            return glisten.continue(state);
          },
        )
        .withSendDeadline({ sendMs: 400, minSendRate: 0 })
        .withClose((_state, reason) => reasons.push(reason))
        .start({ memory: { highWaterMark: 100 } }),
    );
    const slow = await connect(server);
    const stalled = await connect(server);
    stalled.on("error", () => {});
    slow.write("go");
    stalled.write("go");
    let taken = 0;
    // A byte at a time, for longer than the deadline: all of it is one write of the server's.
    while (reasons.length === 0) {
      taken += (slow.read(1) as Buffer | null)?.length ?? 0;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(reasons).toEqual([{ type: "deadline", deadline: "send" }]);
    slow.on("data", (chunk: Buffer) => {
      taken += chunk.length;
    });
    while (taken < 4000) await settled();
    expect(slow.destroyed).toBe(false);
  });
});

describe("limits", () => {
  it("turns away what is over the cap, with the refusal", async () => {
    const server = keep(
      await glisten
        .new(() => 0, echo)
        .withMaxConnections(1)
        .withRefusal("too many")
        .start({ memory: true }),
    );
    await connect(server);
    const peer = await dial(server);
    await peer.whenEnded();
    expect(String(peer.received)).toBe("too many");
    expect(server.info().rejectedBy["max-connections"]).toBe(1);
  });

  it("accepts any number at once, in order", async () => {
    const server = keep(
      await glisten
        .new(() => 0, echo)
        .withBacklog(2)
        .start({ memory: true }),
    );
    const clients = await Promise.all(Array.from({ length: 2000 }, () => connect(server)));
    expect(clients.map(({ localPort }) => localPort)).toEqual(clients.map((_, index) => 49_152 + index));
    expect(server.info()).toMatchObject({ connections: 2000, rejected: 0 });
  });

  it("lets the caller listen before a connection that was turned away fails", async () => {
    const server = keep(
      await glisten
        .new(() => 0, echo)
        .withMaxConnections(1)
        .start({ memory: true }),
    );
    await connect(server);
    const refused = server.connect();
    const events: string[] = [];
    for (const event of ["error", "end", "close"]) (await refused).on(event, () => events.push(event));
    (await refused).resume().write("anybody there?");
    await settled();
    expect(events).toEqual(["error", "close"]);
  });

  it("bounds what waits for an acceptor", async () => {
    let go: (() => void) | undefined;
    const init = (): Promise<number> => new Promise((resolve) => (go = () => resolve(0)));
    const server = keep(
      await glisten.new(init, echo).withPoolSize(1).withMaxQueue(1).start({ memory: true }),
    );
    await connect(server);
    await connect(server);
    const third = await dial(server);
    await third.whenEnded();
    expect(server.info().rejectedBy["queue-full"]).toBe(1);
    go!();
  });
});

describe("stopping", () => {
  it("refuses with econnrefused, connections under way included", async () => {
    const server = await glisten.new(() => 0, echo).start({ memory: true });
    server.kill();
    await expect(server.connect()).rejects.toMatchObject({ name: "TransportError", code: "econnrefused" });
    await server.closed;
    await expect(server.connect()).rejects.toMatchObject({ code: "econnrefused" });

    const next = await glisten.new(() => 0, echo).start({ memory: true });
    const connects = Promise.allSettled([next.connect(), next.connect()]);
    next.kill();
    const outcomes = await connects;
    expect(outcomes.map((each) => each.status)).toEqual(["rejected", "rejected"]);
  });

  it("goes on accepting during the delay of a stop", async () => {
    const server = await glisten.new(() => 0, echo).start({ memory: true });
    const stopped = server.stop({ delayMs: 50, deadlineMs: 0 });
    expect(server.stopping.aborted).toBe(true);
    const peer = await dial(server);
    peer.socket.write("still here");
    expect(await peer.read(10)).toBe("still here");
    const report = await stopped;
    expect(report).toMatchObject({ killed: 1 });
    expect(peer.error?.code ?? "end").toMatch(/ECONNRESET|end/);
    await expect(server.connect()).rejects.toMatchObject({ code: "econnrefused" });
  });

  it("tells connections, waits for them, and reports", async () => {
    const server = await glisten
      .new(() => 0, echo)
      .withShutdown((_state, connection) => {
        void connection.send("bye");
        return glisten.stop();
      })
      .start({ memory: true });
    const peer = await dial(server);
    await settled();
    const stopped = server.stop(5_000);
    await peer.whenEnded();
    peer.socket.end();
    expect(String(peer.received)).toBe("bye");
    expect(await stopped).toMatchObject({ drained: 1, killed: 0 });
  });
});

describe("PROXY header and TLS", () => {
  it("reads a PROXY header of a trusted peer, and refuses one of another", async () => {
    const seen: string[] = [];
    const init = (connection: glisten.Connection): number =>
      seen.push(glisten.ipAddressToString(connection.info().ipAddress));
    const server = keep(
      await glisten
        .new(init, echo)
        .withProxyProtocol({ trustedPeers: ["127.0.0.1"] })
        .start({ memory: true }),
    );
    const header = "PROXY TCP4 192.0.2.7 192.0.2.8 1234 80\r\n";
    const trusted = await dial(server);
    trusted.socket.write(`${header}hello`);
    expect(await trusted.read(5)).toBe("hello");
    expect(seen).toEqual(["192.0.2.7"]);
    const other = await dial(server, { remoteAddress: "192.0.2.1" });
    other.socket.write(header);
    await other.whenClosed();
    expect(seen).toHaveLength(1);
  });

  async function secureServer(
    loop: glisten.HandlerLoop<number, never> = echo,
    target: glisten.ListenTarget = { memory: true },
  ): Promise<{ server: glisten.Server; infos: string[]; errors: unknown[]; reasons: glisten.CloseReason[] }> {
    const { certfile, keyfile } = (await testCertificates()).server;
    const infos: string[] = [];
    const reasons: glisten.CloseReason[] = [];
    const { errors, handler } = reports();
    const server = keep(
      await glisten
        .new((connection) => {
          const { ipAddress, port } = connection.info();
          infos.push(`${connection.transport} ${glisten.ipAddressToString(ipAddress)}:${port}`);
          return 0;
        }, loop)
        .withTls({ certfile, keyfile })
        .withClose((_state, reason) => reasons.push(reason))
        .onError(handler)
        .start(target),
    );
    return { server, infos, errors, reasons };
  }

  async function dialTls(server: glisten.Server, options?: glisten.ConnectOptions): Promise<Peer> {
    const socket = tlsConnect({ socket: await connect(server, options), rejectUnauthorized: false });
    const peer = new Peer(socket);
    await once(socket, "secureConnect");
    return peer;
  }

  it("shakes hands, with addresses and counters", async () => {
    const { server, infos } = await secureServer();
    const peer = await dialTls(server, { remoteAddress: "192.0.2.9", remotePort: 99 });
    peer.socket.write("hello");
    expect(await peer.read(5)).toBe("hello");
    expect(infos).toEqual(["tls 192.0.2.9:99"]);
    expect(server.info()).toMatchObject({ bytesRead: 5, bytesWritten: 5 });
    peer.socket.end();
    await peer.whenClosed();
    while (server.info().connections > 0) await settled();
    expect(server.info()).toMatchObject({ bytesRead: 5, bytesWritten: 5 });
  });

  it("works for a server that listens on TCP with TLS", async () => {
    const { server, infos } = await secureServer(echo, 0);
    const peer = await dialTls(server);
    peer.socket.write("hello");
    expect(await peer.read(5)).toBe("hello");
    expect(infos).toEqual(["tls 127.0.0.1:49152"]);
  });

  it("resets from below", async () => {
    const { server, reasons } = await secureServer((_state, _message, connection) => {
      connection.reset("mine");
      return glisten.continue(0);
    });
    const peer = await dialTls(server);
    peer.socket.write("hello");
    await peer.whenClosed();
    while (server.info().connections > 0) await settled();
    expect(reasons).toEqual([{ type: "deadline", deadline: "mine" }]);
  });

  it("a client that is gone in the middle of the handshake costs its own connection only", async () => {
    const { server, errors } = await secureServer();
    const raw = await connect(server);
    raw.on("error", () => {});
    raw.write(Buffer.from("160301", "hex"));
    await settled();
    raw.resetAndDestroy();
    while (server.info().connections > 0) await settled();
    const peer = await dialTls(server);
    peer.socket.write("hello");
    expect(await peer.read(5)).toBe("hello");
    expect(errors).toEqual([]);
  });

  it("moves megabytes both ways through small buffers", async () => {
    const { server } = await secureServer();
    const peer = await dialTls(server, { highWaterMark: 3_000 });
    peer.socket.write(Buffer.alloc(2_000_000, "m"));
    await peer.until(() => peer.received.length >= 2_000_000);
    expect(peer.received.every((byte) => byte === 0x6d)).toBe(true);
  });

  it("a peer behind TLS that takes nothing is cut off", async () => {
    const { certfile, keyfile } = (await testCertificates()).server;
    const reasons: glisten.CloseReason[] = [];
    const server = keep(
      await glisten
        .new(
          () => 0,
          (state, _message, connection) => {
            void connection.send(Buffer.alloc(1_000_000));
            return glisten.continue(state);
          },
        )
        .withTls({ certfile, keyfile })
        .withSendDeadline({ sendMs: 400 })
        .withClose((_state, reason) => reasons.push(reason))
        .start({ memory: { highWaterMark: 1000 } }),
    );
    const socket = tlsConnect({ socket: await connect(server), rejectUnauthorized: false });
    socket.on("error", () => {});
    await once(socket, "secureConnect");
    socket.pause();
    socket.write("go");
    while (server.info().connections > 0 || server.info().accepted === 0) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(reasons).toEqual([{ type: "deadline", deadline: "send" }]);
    socket.destroy();
  });

  it("mug and its testing peers work on a client's end, with TLS as well", async () => {
    const plain = keep(await glisten.new(() => 0, echo).start({ memory: true }));
    await using socket = mug.over(await connect(plain));
    await socket.send("line one\nline two\n");
    expect(await socket.receiveLine({ timeout: 2000 })).toBe("line one");
    expect(socket.peername()).toEqual({ family: "ipv4", address: "127.0.0.1", port: 0 });
    expect(socket.bytesWritten).toBe(18);
    await using peer = over(await connect(plain));
    await peer.send("ping");
    await peer.expect("ping");
    await peer.reset();
    const { server } = await secureServer();
    await using secure = mug.over(await connect(server));
    await secure.startTls({ dangerouslyDisableVerification: true });
    await secure.send("secret\n");
    expect(await secure.receiveLine({ timeout: 2000 })).toBe("secret");
  });
});

it("runs the same every time", async () => {
  const transcript = async (): Promise<string[]> => {
    const lines: string[] = [];
    const server = await glisten
      .new(
        (connection) => {
          lines.push(`init ${connection.id}`);
          return 0;
        },
        (count, message, connection) => {
          if (message.type === "packet") lines.push(`${connection.id} ${message.data.length}`);
          if (message.type === "packet") void connection.send(message.data);
          return glisten.continue(count + 1);
        },
      )
      .withClose((count) => lines.push(`closed after ${count}`))
      .start({ memory: { highWaterMark: 700 } });
    const clients = await Promise.all(Array.from({ length: 5 }, () => connect(server)));
    for (const [index, client] of clients.entries()) {
      client.on("data", (chunk: Buffer) => lines.push(`client ${index} ${chunk.length}`));
      client.on("end", () => lines.push(`client ${index} end`));
      client.end(Buffer.alloc(1000 * index, "x"));
    }
    await Promise.all(clients.map((client) => once(client, "close")));
    await server.stop(0);
    return lines;
  };
  const first = await transcript();
  expect(first.filter((line) => line.startsWith("closed"))).toHaveLength(5);
  for (let run = 0; run < 5; run += 1) expect(await transcript()).toEqual(first);
});

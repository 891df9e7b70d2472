/** Bytes in both directions: order, backpressure, half-close, deadlines. */

import { describe, expect, it } from "vitest";
import { type Subject, selector, subject } from "../../src/actor/index.ts";
import * as glisten from "../../src/index.ts";
import { dial, eventually, Peer, reports } from "./peer.ts";

const nothing = (): undefined => undefined;

interface Gate {
  readonly opened: Promise<void>;
  open(): void;
}

function gate(): Gate {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

describe("packets", () => {
  it.each<[string, glisten.ActiveState]>([
    ["once", "once"],
    ["active", "active"],
    ["count", { count: 3 }],
  ])("come one at a time and in order: %s", async (_name, activeState) => {
    let inside = 0;
    let most = 0;
    const received: Buffer[] = [];
    await using server = await glisten
      .new<undefined>(nothing, async (_state, message) => {
        most = Math.max(most, ++inside);
        await new Promise((resolve) => setImmediate(resolve));
        if (message.type === "packet") received.push(message.data);
        inside -= 1;
      })
      .withActiveState(activeState)
      .start(0);
    const peer = await dial(server);
    const sent = Buffer.alloc(1 << 20);
    for (let i = 0; i < sent.length; i++) sent[i] = (i * 7 + (i >> 8)) & 0xff;
    for (let at = 0; at < sent.length; at += 10_000) {
      peer.socket.write(sent.subarray(at, at + 10_000));
      if (at % 50_000 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    peer.socket.end();
    await peer.whenClosed();
    expect(Buffer.concat(received).equals(sent)).toBe(true);
    expect(most).toBe(1);
  });

  it.each<[string, glisten.ActiveState, number, number]>([
    ["once: hardly", "once", 0, 300_000],
    ["active: up to a mebibyte", "active", 1_048_576, 1_500_000],
    ["count: as many chunks", { count: 8 }, 64, 900_000],
  ])("are read ahead of a pending handler, %s", async (_name, activeState, least, most) => {
    const { opened, open } = gate();
    await using server = await glisten
      .new<undefined>(nothing, () => opened)
      .withActiveState(activeState)
      .start(0);
    const peer = await dial(server);
    for (let i = 0; i < 64; i++) peer.socket.write(Buffer.alloc(1 << 16));
    let last = -1;
    for (let now = 0; now !== last; ) {
      last = now;
      await new Promise((resolve) => setTimeout(resolve, 30));
      now = server.info().bytesRead;
    }
    expect(last).toBeGreaterThan(least);
    expect(last).toBeLessThan(most);
    open();
    peer.socket.end();
    await peer.whenClosed();
    expect(server.info().bytesRead).toBe(64 << 16);
  });

  it("behind which the peer's FIN comes are answered first", async () => {
    const { opened, open } = gate();
    await using server = await glisten
      .new<undefined>(nothing, async (_state, message, connection) => {
        await opened;
        if (message.type === "packet") await connection.send(message.data);
      })
      .start(0);
    const peer = await dial(server, { allowHalfOpen: true } as never);
    peer.socket.write("a");
    await eventually(() => server.info().bytesRead === 1);
    peer.socket.write("b");
    await eventually(() => server.info().bytesRead === 2);
    peer.socket.end("c");
    open();
    expect(await peer.read(3)).toBe("abc");
    await peer.whenEnded();
  });
});

describe("a protocol", () => {
  it("hears of the peer's FIN, goes on writing, and ends when it likes", async () => {
    const heard: string[] = [];
    await using server = await glisten
      .protocol((connection) => ({
        data: (chunk) => void heard.push(String(chunk)),
        end: () => {
          heard.push("end");
          connection.write("after your FIN");
          connection.end();
        },
        closed: ({ type }) => void heard.push(type),
      }))
      .start(0);
    const peer = await dial(server, { allowHalfOpen: true } as never);
    peer.socket.end("last words");
    expect(await peer.read(14)).toBe("after your FIN");
    await peer.whenClosed();
    await eventually(() => heard.length === 3);
    expect(heard).toEqual(["last words", "end", "normal"]);
  });

  it("hears that the peer takes bytes again, and its promise of room is kept", async () => {
    let connection!: glisten.Connection;
    let drains = 0;
    await using server = await glisten
      .protocol((given) => {
        connection = given;
        return { data: nothing, drain: () => void drains++ };
      })
      .withStopDeadline(10)
      .start(0);
    const peer = await dial(server);
    await eventually(() => connection !== undefined);
    peer.socket.pause();
    let sent = 0;
    while (connection.write(Buffer.alloc(1 << 16))) sent += 1 << 16;
    sent += 1 << 16;
    expect(connection.bufferedAmount).toBeGreaterThan(65_536);
    expect(drains).toBe(0);
    const taken = connection.send("!");
    peer.socket.resume();
    await taken;
    await eventually(() => drains === 1);
    expect(connection.bufferedAmount).toBe(0);
    await peer.until(() => peer.received.length === sent + 1);
    expect(await connection.send("now")).toBeUndefined();
  });

  it("can pause and resume its peer", async () => {
    const chunks: string[] = [];
    let connection!: glisten.Connection;
    await using server = await glisten
      .protocol((given) => {
        connection = given;
        return {
          data: (chunk) => {
            chunks.push(String(chunk));
            given.pause();
          },
        };
      })
      .withStopDeadline(10)
      .start(0);
    const peer = await dial(server);
    peer.socket.write("a");
    await eventually(() => chunks.length === 1);
    peer.socket.write("b");
    await eventually(() => server.info().bytesRead === 2);
    expect(chunks).toEqual(["a"]);
    connection.resume();
    await eventually(() => chunks.length === 2);
    expect(chunks).toEqual(["a", "b"]);
  });

  it("is told when its deadline has passed, and may set it again or take it back", async () => {
    const passed: number[] = [];
    const since = performance.now();
    await using server = await glisten
      .protocol((connection) => {
        connection.setDeadline(150);
        return {
          data: () => connection.setDeadline(0),
          deadline: () => {
            passed.push(performance.now() - since);
            if (passed.length === 1) connection.setDeadline(100);
            else connection.close();
          },
        };
      })
      .start(0);
    const peer = await dial(server);
    await peer.whenClosed();
    expect(passed).toHaveLength(2);
    expect(passed[0]).toBeGreaterThanOrEqual(145);
    expect(passed[1]! - passed[0]!).toBeGreaterThanOrEqual(95);
  });

  it.each(["data", "end", "drain", "deadline", "shutdown"] as const)(
    "that throws in %s is closed once and reported once",
    async (method) => {
      const { errors, handler } = reports();
      const closes: string[] = [];
      const server = await glisten
        .protocol((connection) => ({
          data: () => {
            if (method === "drain") connection.write(Buffer.alloc(1 << 23));
            if (method === "deadline") connection.setDeadline(1);
          },
          end: nothing,
          [method]: () => {
            throw new Error("no");
          },
          closed: ({ type }) => void closes.push(type),
        }))
        .onError(handler)
        .start(0);
      const peer = await dial(server);
      peer.socket.write("x");
      if (method === "end") peer.socket.end();
      await eventually(() => server.info().bytesRead === 1);
      const stopped = method === "shutdown" ? server.stop(5_000) : undefined;
      await peer.whenClosed();
      await eventually(() => closes.length === 1);
      expect(closes).toEqual(["handler"]);
      expect(errors.map((error) => error.handler)).toEqual([method]);
      await (stopped ?? server.stop());
    },
  );
});

describe("send", () => {
  it("takes text, bytes, and arrays of both in one write", async () => {
    await using server = await glisten
      .new<undefined>(async (connection) => {
        await connection.send("Grüße ");
        await glisten.send(connection, new Uint8Array([104, 105]));
        await connection.send([" ", Buffer.from("there"), "!"]);
        connection.cork();
        connection.write("é", "latin1");
        connection.uncork();
        connection.write(["\xe8", Buffer.from("!")], "latin1");
        connection.close();
      }, nothing)
      .start(0);
    const peer = await dial(server);
    await peer.whenClosed();
    expect(peer.received).toEqual(
      Buffer.concat([Buffer.from("Grüße hi there!"), Buffer.from([0xe9, 0xe8, 0x21])]),
    );
  });

  it("judges whether there is room when all parts are written", async () => {
    const rooms: boolean[] = [];
    let sent = 0;
    await using server = await glisten
      .protocol((connection) => ({
        data: () => {
          const parts = ["head", Buffer.alloc(65_536), "tail"];
          rooms.push(connection.write(parts, "latin1", () => sent++)); // the kernel takes it all at once
          rooms.push(connection.write([Buffer.alloc(1 << 26), "tail"]));
        },
      }))
      .start(0);
    const peer = await dial(server);
    peer.socket.write("x");
    await eventually(() => sent === 1);
    expect(rooms).toEqual([true, false]);
    peer.socket.destroy();
  });

  it("rejects when the peer is gone, waiting or not, and may be ignored", async () => {
    const outcomes: unknown[] = [];
    let connection!: glisten.Connection;
    await using server = await glisten
      .protocol((given) => {
        connection = given;
        return {
          data: () => {
            given.send(Buffer.alloc(1 << 26)).catch((error: unknown) => outcomes.push(error));
            void given.send("unobserved");
          },
        };
      })
      .start(0);
    const peer = await dial(server);
    peer.socket.pause();
    peer.socket.write("x");
    await eventually(() => connection?.bufferedAmount > 0);
    peer.socket.resetAndDestroy();
    await eventually(() => connection.closed);
    await eventually(() => outcomes.length === 1);
    await expect(connection.send("late")).rejects.toMatchObject({ name: "TransportError", code: "closed" });
    void connection.send("unobserved");
    expect(connection.write("late")).toBe(false);
    expect(outcomes[0]).toMatchObject({ name: "TransportError" });
  });
});

describe("user messages", () => {
  it("come from the connection's subject, also while init is pending, and never beside a packet", async () => {
    const { opened, open } = gate();
    const log: string[] = [];
    let inbox!: Subject<string>;
    await using server = await glisten
      .new<string[], string>(
        async (connection) => {
          inbox = connection.subject;
          await opened;
          return [];
        },
        (_state, message, connection) => {
          log.push(message.type === "user" ? message.message : String(message.data));
          if (message.type === "packet") {
            connection.subject.send("from inside");
            log.push("still the packet");
          }
        },
      )
      .start(0);
    const peer = await dial(server);
    await eventually(() => inbox !== undefined);
    inbox.send("early");
    open();
    await eventually(() => log.length === 1);
    peer.socket.write("packet");
    await eventually(() => log.length === 4);
    expect(log).toEqual(["early", "packet", "still the packet", "from inside"]);
    peer.socket.end();
    await peer.whenClosed();
    inbox.send("too late");
    expect(log).toHaveLength(4);
  });

  it("come from a selector given by init, until another takes its place", async () => {
    const first = subject<number>();
    const second = subject<string>();
    await using server = await glisten
      .new<number, string>(
        () => [0, selector<string>().selectMap(first, (n) => `first ${n}`)],
        (count, message, connection) => {
          if (message.type === "packet") return undefined;
          void connection.send(`${message.message};`);
          return glisten.continue<number, string>(count + 1).withSelector(selector<string>().select(second));
        },
      )
      .start(0);
    const peer = await dial(server);
    await eventually(() => server.info().states.open === 1);
    first.send(1);
    expect(await peer.read(8)).toBe("first 1;");
    first.send(2);
    second.send("second");
    expect(await peer.read(7)).toBe("second;");
    peer.socket.end();
    await peer.whenClosed();
  });

  it("are no packets, whatever they look like", async () => {
    const kinds: string[] = [];
    await using server = await glisten
      .new<undefined, unknown>(nothing, (_state, message, connection) => {
        kinds.push(message.type);
        if (kinds.length === 1) connection.subject.send(message);
      })
      .start(0);
    const peer = await dial(server);
    peer.socket.write("x");
    await eventually(() => kinds.length === 2);
    expect(kinds).toEqual(["packet", "user"]);
    peer.socket.end();
  });

  it("sent in init are handled in order, ahead of what is sent while handling them", async () => {
    const log: number[] = [];
    await using server = await glisten
      .new<undefined, number>(
        (connection) => {
          for (const message of [1, 2]) connection.subject.send(message);
          return undefined;
        },
        (_state, message, connection) => {
          if (message.type !== "user") return;
          log.push(message.message);
          if (message.message === 1) connection.subject.send(3);
        },
      )
      .start(0);
    const peer = await dial(server);
    await eventually(() => log.length === 3);
    expect(log).toEqual([1, 2, 3]);
    peer.socket.end();
  });

  it("sent in init are bounded by the mailbox", async () => {
    const { errors, handler } = reports();
    let closes = 0;
    await using server = await glisten
      .new<undefined, number>(async (connection) => {
        for (const message of [1, 2, 3]) connection.subject.send(message);
        return undefined;
      }, nothing)
      .withMailbox({ maxMailbox: 2 })
      .withClose(() => void closes++)
      .onError(handler)
      .start(0);
    await (await dial(server)).whenClosed();
    await eventually(() => closes === 1);
    expect(errors.map(({ handler: role, cause }) => [role, (cause as Error).name])).toEqual([
      ["init", "MailboxOverflowError"],
    ]);
  });

  it("too many for a bounded mailbox end the connection", async () => {
    const { errors, handler } = reports();
    const never = new Promise<undefined>(nothing);
    let inbox!: Subject<number>;
    await using server = await glisten
      .new<undefined, number>(
        (connection) => {
          inbox = connection.subject;
          return undefined;
        },
        () => never,
      )
      .withMailbox({ maxMailbox: 2, overflow: "stop" })
      .onError(handler)
      .start(0);
    const peer = await dial(server);
    await eventually(() => inbox !== undefined);
    for (let i = 0; i < 4; i++) inbox.send(i);
    await peer.whenClosed();
    expect(errors).toHaveLength(1);
  });
});

describe("the PROXY protocol", () => {
  const header = "PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n";
  const told = (connection: Pick<glisten.Connection, "info">): string => {
    const { ipAddress, port } = glisten.getConnectionInfo(connection);
    return `${glisten.ipAddressToString(ipAddress)}:${port}`;
  };
  const whoAmI = (trustedPeers: string[]): glisten.HandlerBuilder<string, never> =>
    glisten
      .new<string>(told, (state, message, connection) => {
        if (message.type === "packet") void connection.send(`${state} ${message.data}`);
      })
      .withProxyProtocol({ trustedPeers })
      .withHandshakeTimeout(100)
      .withStopDeadline(10);

  it("tells the real client from init on, wherever the header is cut", async () => {
    await using server = await whoAmI(["127.0.0.0/8"]).start(0);
    for (const cut of [1, 6, 20, header.length - 1, header.length]) {
      const peer = await dial(server);
      peer.socket.write(header.slice(0, cut));
      await new Promise((resolve) => setImmediate(resolve));
      peer.socket.write(`${header.slice(cut)}hello`);
      const expected = "203.0.113.7:4711 hello";
      expect(await peer.read(expected.length)).toBe(expected);
      peer.socket.destroy();
    }
  });

  it.each([
    ["an untrusted peer", ["192.0.2.0/24"], header, "untrusted"],
    ["a malformed header", ["127.0.0.1"], "PROXY TCP9 nonsense\r\n", "malformed"],
    ["no header", ["127.0.0.1"], "GET / HTTP/1.1\r\n", "malformed"],
  ])("closes the connection of %s", async (_name, trusted, bytes, reason) => {
    const { subscribe, unsubscribe } = await import("node:diagnostics_channel");
    const told: glisten.CloseReason[] = [];
    const listener = (event: unknown): void => void told.push((event as glisten.CloseEvent).reason);
    subscribe("glisten:connection:close", listener);
    await using server = await whoAmI(trusted).start(0);
    const peer = await dial(server);
    peer.socket.write(bytes);
    await peer.whenEnded();
    peer.socket.destroy();
    await eventually(() => told.length === 1);
    unsubscribe("glisten:connection:close", listener);
    expect(told[0]).toMatchObject({ type: "handshake", error: { name: "ProxyProtocolError", reason } });
    expect(server.info().connections).toBe(0);
  });

  it("must come in time", async () => {
    const { subscribe, unsubscribe } = await import("node:diagnostics_channel");
    const told: glisten.CloseReason[] = [];
    const listener = (event: unknown): void => void told.push((event as glisten.CloseEvent).reason);
    subscribe("glisten:connection:close", listener);
    await using server = await whoAmI(["127.0.0.1"]).start(0);
    const peer = await dial(server);
    peer.socket.write("PROXY TC");
    await peer.whenClosed();
    await eventually(() => told.length === 1);
    unsubscribe("glisten:connection:close", listener);
    expect(told).toEqual([{ type: "deadline", deadline: "handshake" }]);
  });

  it("comes before TLS", async () => {
    const { testCertificates } = await import("../certificates.ts");
    const { connect: tlsConnect } = await import("node:tls");
    const { certfile, keyfile } = (await testCertificates()).server;
    await using server = await whoAmI(["127.0.0.1"])
      .withHandshakeTimeout(5_000)
      .withTls({ certfile, keyfile })
      .start(0);
    const raw = await dial(server);
    raw.socket.removeAllListeners("data");
    raw.socket.write(header);
    const peer = new Peer(tlsConnect({ socket: raw.socket, rejectUnauthorized: false }));
    peer.socket.write("tls");
    expect(await peer.read(20)).toBe("203.0.113.7:4711 tls");
    peer.socket.destroy();
  });
});

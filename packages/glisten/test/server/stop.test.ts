/** Stopping: in order, within the deadline, and with a report of what became of whom. */

import { connect } from "node:net";
import { connect as tlsConnect } from "node:tls";
import { describe, expect, it } from "vitest";
import {
  type ChildSpecification,
  RestartIntensityError,
  shutdownExit,
  supervisor,
} from "../../src/actor/index.ts";
import * as glisten from "../../src/index.ts";
import { virtualClock } from "../../src/testing/index.ts";
import { testCertificates } from "../certificates.ts";
import { dial, dialTls, eventually, Peer, reports } from "./peer.ts";

const nothing = (): undefined => undefined;

function gate(): { readonly opened: Promise<void>; open(): void } {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** Resolves once nobody listens; a client that is still taken in hangs up. */
async function refused(port: number): Promise<void> {
  for (;;) {
    const peer = await dial({ port });
    peer.socket.destroy();
    await peer.whenClosed();
    if (peer.error?.code === "ECONNREFUSED") return;
  }
}

/** A server that echoes every packet once the gate is open. */
function patient(opened: Promise<void>): glisten.HandlerBuilder<undefined, never> {
  return glisten.new<undefined>(nothing, async (_state, message, connection) => {
    await opened;
    if (message.type === "packet") await connection.send(message.data);
  });
}

describe("stop", () => {
  it("of an idle server is done at once", async () => {
    const server = await glisten.new(nothing, nothing).start(0);
    expect(await server.stop()).toEqual({ type: "shutdown", drained: 0, killed: 0, byKind: {} });
    expect(await server.closed).toEqual({ type: "shutdown" });
  });

  it("lets a connection that is still talking finish, and takes no new one", async () => {
    const server = await patient(Promise.resolve()).start(0);
    const peer = await dial(server);
    await eventually(() => server.info().states.open === 1);
    const { port } = server;
    const stopped = server.stop({ deadlineMs: 10_000 });
    peer.socket.write("one");
    expect(await peer.read(3)).toBe("one");
    await refused(port);
    peer.socket.write("two");
    expect(await peer.read(3)).toBe("two");
    peer.socket.end();
    expect(await stopped).toMatchObject({ killed: 0 });
  });

  it("waits for a pending handler, whose answer arrives", async () => {
    const { opened, open } = gate();
    const server = await patient(opened).start(0);
    const peer = await dial(server);
    peer.socket.end("late");
    await eventually(() => server.info().bytesRead === 4);
    const stopped = server.stop({ deadlineMs: 10_000 });
    open();
    expect(await peer.read(4)).toBe("late");
    expect(await stopped).toMatchObject({ drained: 1, killed: 0 });
  });

  it("kills what is left at the deadline: idle, in a handler, in init, in withClose", async () => {
    const never = new Promise<undefined>(nothing);
    let born = 0;
    const server = await glisten
      .new<undefined>(
        () => (++born === 3 ? never : undefined),
        () => never,
      )
      .withClose(() => never)
      .start(0);
    const idle = await dial(server);
    const handling = await dial(server);
    handling.socket.write("x");
    const initialising = await dial(server);
    await eventually(() => server.info().states.initialising === 1 && server.info().bytesRead === 1);
    expect(await server.stop({ deadlineMs: 30 })).toEqual({
      type: "shutdown",
      drained: 0,
      killed: 3,
      byKind: { connection: { drained: 0, killed: 3 } },
    });
    for (const peer of [idle, handling, initialising]) await peer.whenClosed();
    expect(server.info()).toMatchObject({ connections: 0 });
  });

  it("serves those that wait for an acceptor, one after the other", async () => {
    const { opened, open } = gate();
    const closes: string[] = [];
    const server = await glisten
      .new(async () => {
        await opened;
        return "state";
      }, nothing)
      .withPoolSize(1)
      .withClose((state, { type }) => void closes.push(`${state} ${type}`))
      .withShutdown(async (_state, connection) => {
        await connection.send("bye");
        return glisten.stop();
      })
      .start(0);
    const peers = [await dial(server), await dial(server), await dial(server)];
    await eventually(() => server.info().states.waiting === 2);
    const stopped = server.stop({ deadlineMs: 10_000 });
    open();
    for (const peer of peers) expect(await peer.read(3)).toBe("bye");
    expect(await stopped).toMatchObject({ drained: 3, killed: 0 });
    expect(closes).toEqual(Array(3).fill("state shutdown"));
  });

  it("waits for an acceptor no longer than its deadline", async () => {
    const server = await glisten
      .new(() => new Promise<undefined>(nothing), nothing)
      .withPoolSize(1)
      .start(0);
    const peers = [await dial(server), await dial(server)];
    await eventually(() => server.info().states.waiting === 1);
    expect(await server.stop({ deadlineMs: 30 })).toMatchObject({ drained: 0, killed: 2 });
    for (const peer of peers) await peer.whenClosed();
  });

  it("lets a handshake finish that gets on, and waits a moment only for one that does not", async () => {
    const { certfile, keyfile } = (await testCertificates()).server;
    const server = await patient(Promise.resolve()).withTls({ certfile, keyfile }).start(0);
    (await dialTls(server)).socket.destroy(); // what a first handshake loads takes its time
    const silent = await dial(server);
    await eventually(() => server.info().states.handshaking === 1);
    const raw = await dial(server);
    await eventually(() => server.info().states.handshaking === 2);
    const stopped = server.stop({ deadlineMs: 60_000 });
    raw.socket.removeAllListeners("data");
    const late = new Peer(tlsConnect({ socket: raw.socket, rejectUnauthorized: false }));
    late.socket.write("late");
    expect(await late.read(4)).toBe("late");
    await silent.whenClosed();
    late.socket.end();
    expect(await stopped).toMatchObject({ killed: 0 });
  });

  it("serves every connection that the kernel has accepted", async () => {
    const server = await patient(Promise.resolve()).start(0);
    const peers = Array.from({ length: 300 }, () => new Peer(connect(server.port, "127.0.0.1")));
    for (const peer of peers) peer.socket.end("last");
    await peers[0]!.until(() => !peers[0]!.socket.connecting);
    const stopped = server.stop({ deadlineMs: 20_000 });
    const refused = (peer: Peer): boolean => peer.error?.code === "ECONNREFUSED";
    for (const peer of peers) expect((await peer.read(4)) === "last" || refused(peer)).toBe(true);
    expect(await stopped).toMatchObject({ killed: 0 });
  });

  it("leaves no client hanging that connects meanwhile", async () => {
    const server = await glisten.new(nothing, nothing).start(0);
    const peers = Array.from({ length: 50 }, () => new Peer(connect(server.port, "127.0.0.1")));
    await peers[0]!.until(() => !peers[0]!.socket.connecting);
    const report = await server.stop({ deadlineMs: 50 });
    for (const peer of peers) await peer.whenClosed();
    expect(report.drained + report.killed).toBe(server.info().accepted);
    expect(server.info().connections).toBe(0);
  });

  it("tells handlers, which may still send", async () => {
    const server = await glisten
      .new<undefined>(nothing, nothing)
      .withShutdown(async (_state, connection, deadlineMs) => {
        await connection.send(deadlineMs > 5_000 && deadlineMs <= 10_000 ? "bye" : String(deadlineMs));
        return glisten.stop();
      })
      .start(0);
    const peer = await dial(server);
    await eventually(() => server.info().states.open === 1);
    const stopped = server.stop({ deadlineMs: 10_000 });
    expect(await peer.read(3)).toBe("bye");
    expect(await stopped).toMatchObject({ drained: 1, killed: 0 });
  });

  it("tells protocols, and counts by their kind", async () => {
    using clock = virtualClock();
    const server = await glisten
      .protocol((connection) => {
        const kind = connection.id === 1 ? "tame" : "wild";
        return { kind, data: nothing, shutdown: () => kind === "tame" && connection.close() };
      })
      .start(0);
    await dial(server);
    await dial(server);
    await eventually(() => server.info().states.open === 2);
    expect(await clock.until(server.stop({ deadlineMs: 60_000 }))).toEqual({
      type: "shutdown",
      drained: 1,
      killed: 1,
      byKind: { tame: { drained: 1, killed: 0 }, wild: { drained: 0, killed: 1 } },
    });
  });

  it("a second time can shorten the deadline, not extend it", async () => {
    const server = await glisten.new(nothing, nothing).start(0);
    await dial(server);
    await eventually(() => server.info().states.open === 1);
    const patiently = server.stop({ deadlineMs: 600_000 });
    const hastily = server.stop(10);
    void server.stop(600_000);
    expect(await hastily).toBe(await patiently);
    expect(await hastily).toMatchObject({ killed: 1 });
  });

  it("refuses an invalid deadline", async () => {
    await using server = await glisten.new(nothing, nothing).start(0);
    expect(() => server.stop({ deadlineMs: -1 })).toThrow(glisten.UsageError);
    expect(() => server.stop(Number.NaN)).toThrow(glisten.UsageError);
    expect(() => server.stop({ deadline: 5 } as never)).toThrow(/stop has no option "deadline"/);
    expect(() => server.stop({ delayMs: -1 })).toThrow(
      "delayMs must be a number from 0 to 2147483647, got -1",
    );
    expect(() => server.stop({ delayMs: Number.POSITIVE_INFINITY })).toThrow(glisten.UsageError);
    expect(server.stopping.aborted).toBe(false);
  });

  it("cuts off a peer that takes nothing of what it was sent", async () => {
    const server = await glisten
      .new<undefined>((connection) => {
        connection.write(Buffer.alloc(64 * 1024 * 1024));
        connection.close();
      }, nothing)
      .withLinger({ lingerMs: 100, stallMs: 100 })
      .start(0);
    const peer = await dial(server);
    peer.socket.pause();
    await eventually(() => server.info().connections === 0 && server.info().accepted === 1);
    peer.socket.destroy();
    await server.stop();
  });
});

describe("stop with a delay", () => {
  it("serves as before until it is over, with the signal aborted", async () => {
    const told: string[] = [];
    const server = await glisten
      .new(
        (connection) => connection,
        async (_, message, connection) => {
          if (message.type === "packet") await connection.send(String(connection.stopping.aborted));
        },
      )
      .withShutdown(() => {
        told.push("shutdown");
        return glisten.stop();
      })
      .start(0);
    const early = await dial(server);
    early.socket.write("?");
    expect(await early.read(5)).toBe("false");
    server.stopping.addEventListener("abort", () => told.push("stopping"));
    void server.stop({ delayMs: 600_000, deadlineMs: 10_000 });
    expect([told, server.stopLeftMs]).toEqual([["stopping"], undefined]);
    for (const peer of [early, await dial(server)]) {
      peer.socket.write("?");
      expect(await peer.read(4)).toBe("true");
    }
    // A second call ends the delay, and the report counts from there.
    expect(await server.stop({ deadlineMs: 10_000 })).toMatchObject({ drained: 2, killed: 0 });
    expect(told).toEqual(["stopping", "shutdown", "shutdown"]);
  });

  it("drains by itself when the delay has passed", async () => {
    const server = await glisten.new(nothing, nothing).withStopDeadline(10).start(0);
    await dial(server);
    await eventually(() => server.info().states.open === 1);
    expect(await server.stop({ delayMs: 10 })).toMatchObject({ drained: 0, killed: 1 });
  });

  it("is cut short by kill", async () => {
    const server = await glisten.new(nothing, nothing).start(0);
    const stopped = server.stop({ delayMs: 600_000 });
    server.kill();
    expect(await stopped).toMatchObject({ drained: 0, killed: 0 });
    expect(await server.closed).toEqual({ type: "killed" });
  });
});

describe("the stopping signal", () => {
  it.each([
    ["stop", (server: glisten.Server) => void server.stop()],
    ["kill", (server: glisten.Server) => server.kill()],
    ["its signal", (_: glisten.Server, abort: () => void) => abort()],
  ])("aborts with %s", async (_, end) => {
    const own = new AbortController();
    const server = await glisten.new(nothing, nothing).withSignal(own.signal).start(0);
    const { stopping } = server;
    end(server, () => own.abort());
    expect(stopping.aborted).toBe(true);
    await server.closed;
  });
});

describe("a server ends", () => {
  it("when its signal is aborted", async () => {
    const abort = new AbortController();
    const server = await glisten.new(nothing, nothing).withSignal(abort.signal).withStopDeadline(20).start(0);
    const peer = await dial(server);
    abort.abort();
    expect(await server.closed).toEqual({ type: "shutdown" });
    await peer.whenClosed();
  });

  it("in order, when its signal is aborted: who has connected is served", async () => {
    const abort = new AbortController();
    const server = await patient(Promise.resolve()).withSignal(abort.signal).start(0);
    const peers = Array.from({ length: 20 }, () => new Peer(connect(server.port, "127.0.0.1")));
    for (const peer of peers) peer.socket.end("last");
    await peers[19]!.until(() => !peers[19]!.socket.connecting);
    abort.abort();
    for (const peer of peers) expect(await peer.read(4)).toBe("last");
    expect(await server.closed).toEqual({ type: "shutdown" });
  });

  it("before it has started, when the signal was aborted already", async () => {
    const started = glisten.new(nothing, nothing).withSignal(AbortSignal.abort()).start(0);
    await expect(started).rejects.toMatchObject({ name: "StartError", reason: "listener-closed" });
  });

  it("and tells why the signal was aborted, before the start or in the middle of it", async () => {
    const cause = new Error("no longer wanted");
    const before = glisten.new(nothing, nothing).withSignal(AbortSignal.abort(cause)).start(0);
    await expect(before).rejects.toMatchObject({ name: "StartError", cause });
    const abort = new AbortController();
    const during = glisten.new(nothing, nothing).withSignal(abort.signal).start(0);
    abort.abort(cause);
    await expect(during).rejects.toMatchObject({ name: "StartError", cause });
  });

  it("with the scope it was declared in", async () => {
    let port: number;
    {
      await using server = await glisten.new(nothing, nothing).start(0);
      port = server.port;
    }
    await using again = await glisten.new(nothing, nothing).start(port);
    expect(again.port).toBe(port);
  });

  it("at once when killed", async () => {
    const closes: string[] = [];
    const server = await glisten
      .new(nothing, nothing)
      .withClose((_state, { type }) => void closes.push(type))
      .start(0);
    const peer = await dial(server);
    await eventually(() => server.info().states.open === 1);
    server.kill();
    expect(await server.closed).toEqual({ type: "killed" });
    await peer.whenClosed();
    expect(closes).toEqual(["killed"]);
  });

  it("as a child of a supervisor, and is started again by it", async () => {
    const tree = await supervisor({
      children: [glisten.new(nothing, nothing).withStopDeadline(50).supervised(0)],
    });
    const first = tree.which("glisten:0") as glisten.Server;
    await dial(first);
    first.kill();
    await eventually(() => ![undefined, first].includes(tree.which("glisten:0")));
    const second = tree.which("glisten:0") as glisten.Server;
    const peer = await dial(second);
    expect(await tree.stop()).toEqual({ type: "shutdown" });
    await peer.whenClosed();
    expect(await second.closed).toEqual({ type: "shutdown" });
  });
});

describe("a server in a tree", () => {
  const builder = glisten.new(nothing, nothing);

  it.each([
    [3000, "glisten:3000"],
    [{ path: "/run/app.sock" }, "glisten:unix:/run/app.sock"],
    [{ fd: 3 }, "glisten:fd:3"],
    [{ systemd: true }, "glisten:systemd"],
    [{ systemd: "web" }, "glisten:systemd:web"],
  ] as const)("on %j is called %s unless it is named", (target, id) => {
    expect(builder.supervised(target).id).toBe(id);
    expect(builder.supervised(target, { id: "web" }).id).toBe("web");
  });

  it("refuses invalid options at the call", () => {
    expect(() => builder.supervised(3000, { name: "web" } as never)).toThrow(
      /supervised has no option "name"/,
    );
    expect(() => builder.supervised("3000" as never)).toThrow(glisten.UsageError);
  });

  it("stands beside another", async () => {
    await using tree = await supervisor({
      children: [builder.supervised(0, { id: "one" }), builder.supervised(0, { id: "two" })],
    });
    const ports = ["one", "two"].map((id) => tree.which<glisten.Server>(id)!.port);
    expect(new Set(ports).size).toBe(2);
  });

  it("goes on until its turn to stop has come", async () => {
    const { opened, open } = gate();
    const order: string[] = [];
    const guest: ChildSpecification = {
      id: "guest",
      start: () => ({
        exited: opened.then(() => shutdownExit),
        kill: open,
        stop: async () => {
          const peer = await dial(tree.which("glisten:0") as glisten.Server);
          peer.socket.end("still");
          order.push(await peer.read(5), "guest stopped");
          open();
          return shutdownExit;
        },
      }),
    };
    const server = patient(Promise.resolve())
      .withClose(() => void order.push("closed"))
      .supervised(0);
    const tree = await supervisor({ children: [server, guest] });
    await tree.stop();
    expect(order).toEqual(["still", "guest stopped", "closed"]);
  });
});

describe("a listener that crashes", () => {
  const crash = (server: glisten.Server): void => {
    (server.supervisor.which("listener") as unknown as { failed(error: unknown): void }).failed(
      Object.assign(new Error("bad descriptor"), { code: "EBADF" }),
    );
  };

  it("is opened again on its port, while connections go on", async () => {
    await using server = await patient(Promise.resolve()).withStopDeadline(50).start(0);
    const { port } = server;
    const before = await dial(server);
    await eventually(() => server.info().states.open === 1);
    const crashed = server.supervisor.which("listener");
    crash(server);
    await eventually(() => ![undefined, crashed].includes(server.supervisor.which("listener")));
    expect(server.port).toBe(port);
    await eventually(() => server.supervisor.which("acceptors") !== undefined);
    for (const peer of [before, await dial(server)]) {
      peer.socket.write("still");
      expect(await peer.read(5)).toBe("still");
    }
  });

  it("repeatedly makes the server give up with an error", async () => {
    const { errors, handler } = reports();
    const closes: string[] = [];
    const server = await glisten
      .new(nothing, nothing)
      .onError(handler)
      .withIntensity({ restarts: 2, withinMs: 60_000 })
      .withStopDeadline(50)
      .withClose((_state, { type }) => void closes.push(type))
      .start(0);
    const peer = await dial(server);
    await eventually(() => server.info().states.open === 1);
    for (let i = 0; i < 3; i++) {
      const crashed = server.supervisor.which("listener");
      crash(server);
      if (i < 2) await eventually(() => ![undefined, crashed].includes(server.supervisor.which("listener")));
    }
    const reason = await server.closed;
    expect(reason.type).toBe("abnormal");
    expect((reason as { error: unknown }).error).toBeInstanceOf(RestartIntensityError);
    await peer.whenClosed();
    expect(closes).toEqual(["killed"]);
    expect(errors).toEqual([]);
  });
});

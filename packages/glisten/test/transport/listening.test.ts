import { spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { existsSync, rmSync } from "node:fs";
import { link, mkdtemp, rename, writeFile } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { StartError, UsageError } from "../../src/errors.ts";
import { addressToString, ipv4 } from "../../src/transport/address.ts";
import { inheritedSockets } from "../../src/transport/inherited-sockets.ts";
import { listenRefused } from "../../src/transport/listening-socket.ts";
import { type ListenTarget, type OpenListener, openListener } from "../../src/transport/transport.ts";
import { builtSources } from "../built.ts";
import { descriptorOf, inodeOfPath, inodeOfPort } from "../descriptors.ts";

let directory = "";
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "glisten-listening-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Listens, answering every connection with a greeting, until the test is done. */
async function listening(
  target: ListenTarget,
  test: (listener: OpenListener) => Promise<void>,
): Promise<void> {
  const listener = await openListener(target, {
    onConnection: (socket) => void socket.end("hello"),
    onError: (error) => expect.fail(error.message),
  });
  try {
    await test(listener);
  } finally {
    listener.close();
  }
}

function refusal(target: ListenTarget): Promise<StartError> {
  const listener = openListener(target, { onConnection: () => {}, onError: () => {} });
  return listener.then(
    (open) => {
      open.close();
      return expect.fail("it listens");
    },
    (error) => error as StartError,
  );
}

async function textFrom(socket: Socket): Promise<string> {
  let text = "";
  socket.setEncoding("utf8").on("data", (chunk) => {
    text += chunk;
  });
  await once(socket, "close");
  return text;
}

describe("TCP", () => {
  it("chooses a port, and listens on the loopback unless told otherwise", async () => {
    await listening({ port: 0 }, async (listener) => {
      expect(listener.port).toBeGreaterThan(0);
      expect(addressToString(listener.address)).toBe(`127.0.0.1:${listener.port}`);
      expect(await textFrom(connect(listener.port!, "127.0.0.1"))).toBe("hello");
    });
  });

  it("serves both loopbacks on one port", async () => {
    await listening({ port: 0, ipv6: true }, async (listener) => {
      expect(listener.addresses.map(addressToString)).toEqual([
        `127.0.0.1:${listener.port}`,
        `[::1]:${listener.port}`,
      ]);
      expect(await textFrom(connect(listener.port!, "127.0.0.1"))).toBe("hello");
      expect(await textFrom(connect(listener.port!, "::1"))).toBe("hello");
    });
  });

  it("serves every interface over both families", async () => {
    await listening({ port: 0, interface: "0.0.0.0", ipv6: true }, async (listener) => {
      expect(await textFrom(connect(listener.port!, "127.0.0.1"))).toBe("hello");
      expect(await textFrom(connect(listener.port!, "::1"))).toBe("hello");
    });
  });

  it("gives sockets that are not read before someone asks, and stay open behind the peer's FIN", async () => {
    const accepted = new EventEmitter();
    const listener = await openListener(
      { port: 0 },
      { onConnection: (socket) => accepted.emit("socket", socket), onError: () => {} },
    );
    const arrival = once(accepted, "socket") as Promise<[Socket]>;
    const peer = connect(listener.port!, "127.0.0.1").setEncoding("utf8");
    peer.end("question");
    const [socket] = await arrival;
    expect(socket.isPaused() || socket.readableFlowing === false).toBe(true);
    const [question] = await Promise.all([once(socket, "data"), socket.resume()]);
    expect(String(question[0])).toBe("question");
    await once(socket, "end");
    socket.end("answer");
    expect(await textFrom(peer)).toBe("answer");
    listener.close();
    listener.close();
  });

  it("says in one sentence what stands in the way, with the address in it", async () => {
    await listening({ port: 0 }, async ({ port }) => {
      const taken = await refusal({ port: port! });
      expect(taken).toMatchObject({ reason: "system-error", socketReason: "eaddrinuse" });
      expect(taken.message).toBe(
        `Cannot listen on 127.0.0.1:${port}: the address is already in use (eaddrinuse); another process listens there.`,
      );
    });
    const unroutable = await refusal({ port: 0, interface: "192.0.2.1" });
    expect(unroutable).toBeInstanceOf(StartError);
    expect(unroutable).toMatchObject({ socketReason: "eaddrnotavail", address: "192.0.2.1:0" });
    expect(unroutable.message).toContain("no network interface of this machine has it");
  });

  it("a port taken on the second address frees the first again", async () => {
    const other = createServer().listen(0, "::1");
    await once(other, "listening");
    const { port } = other.address() as { port: number };
    expect(await refusal({ port, ipv6: true })).toMatchObject({
      address: `[::1]:${port}`,
      socketReason: "eaddrinuse",
    });
    await listening({ port }, async (listener) => {
      expect(listener.port).toBe(port);
    });
    other.close();
  });

  it.each([
    { port: -1 },
    { port: 65_536 },
    { port: 1.5 },
    { port: Number.NaN },
    { port: 0, interface: "nowhere" },
    undefined as never,
    "3000" as never,
    {} as never,
  ])("refuses %j", async (target) => {
    expect(await refusal(target)).toBeInstanceOf(UsageError);
  });
});

describe("a refusal", () => {
  const because = (code: string) => Object.assign(new Error(`listen ${code}`), { code });

  it.each([
    ["EACCES", "a hint of its own", "permission is denied (eacces); a hint of its own."],
    ["EMFILE", undefined, "the process has too many open files (emfile); raise the limit on open files."],
    ["EAFNOSUPPORT", undefined, "the address family is not supported (eafnosupport)."],
  ])("for %s is one sentence", (code, hint, rest) => {
    const cause = because(code);
    const error = listenRefused("[::1]:80", cause, hint);
    expect(error.message).toBe(`Cannot listen on [::1]:80: ${rest}`);
    expect(error).toMatchObject({ reason: "system-error", address: "[::1]:80", cause });
  });
});

describe("a unix socket", () => {
  const file = (name: string) => join(directory, name);

  it("is served, and its file goes with it", async () => {
    const path = file("plain");
    await listening({ path, everyone: true }, async (listener) => {
      expect(listener).toMatchObject({ kind: "unix", port: undefined, address: { type: "unix", path } });
      expect(await textFrom(connect(path))).toBe("hello");
    });
    expect(existsSync(path)).toBe(false);
  });

  it("replaces a stale file, but not a live one", async () => {
    const path = file("stale");
    const first = await openListener({ path }, { onConnection: () => {}, onError: () => {} });
    const refused = await refusal({ path });
    expect(refused).toMatchObject({ socketReason: "eaddrinuse", address: path });
    expect(refused.message).toContain(path);
    // Closing removes the file; a crash would have left it behind.
    await link(path, `${path}.kept`);
    first.close();
    await rename(`${path}.kept`, path);
    await listening({ path }, async () => {
      expect(await textFrom(connect(path))).toBe("hello");
    });
  });

  it("never replaces a file that is no socket", async () => {
    const path = file("document");
    await writeFile(path, "keep me");
    expect(await refusal({ path })).toMatchObject({ socketReason: "eaddrinuse" });
    expect(existsSync(path)).toBe(true);
  });

  it.runIf(process.platform === "linux")("may be abstract, and leaves no file", async () => {
    const path = `@glisten-${process.pid}`;
    await listening({ path }, async (listener) => {
      expect(listener.address).toEqual({ type: "unix", path });
      expect(await textFrom(connect(`\0${path.slice(1)}`))).toBe("hello");
      expect(await refusal({ path })).toMatchObject({ socketReason: "eaddrinuse" });
    });
  });

  it("says what is wrong with its path", async () => {
    expect(await refusal({ path: file("none/such") })).toMatchObject({
      socketReason: "enoent",
      message: expect.stringContaining("its directory is missing"),
    });
    expect(await refusal({ path: `/tmp/${"x".repeat(120)}` })).toMatchObject({
      socketReason: "enametoolong",
    });
    expect(await refusal({ path: "" })).toBeInstanceOf(UsageError);
    expect(await refusal({ path: "/tmp/a\0b" })).toBeInstanceOf(UsageError);
  });
});

describe("inherited sockets", () => {
  it.each([
    [{}, []],
    [{ LISTEN_PID: "7", LISTEN_FDS: "2" }, [3, 4].map((fd) => ({ fd, name: "unknown" }))],
    [
      { LISTEN_PID: "7", LISTEN_FDS: "2", LISTEN_FDNAMES: "web:admin" },
      [
        { fd: 3, name: "web" },
        { fd: 4, name: "admin" },
      ],
    ],
    [{ LISTEN_PID: "7", LISTEN_FDS: "1", LISTEN_FDNAMES: "" }, [{ fd: 3, name: "unknown" }]],
    [{ LISTEN_PID: "7", LISTEN_FDS: "0" }, []],
    // Meant for our parent.
    [{ LISTEN_PID: "8", LISTEN_FDS: "2" }, []],
  ])("%j", (environment, expected) => {
    expect(inheritedSockets(environment, 7)).toEqual(expected);
  });

  it.each([
    { LISTEN_PID: "7", LISTEN_FDS: "many" },
    { LISTEN_PID: "7", LISTEN_FDS: "-1" },
    { LISTEN_PID: "x", LISTEN_FDS: "1" },
    { LISTEN_PID: "7", LISTEN_FDS: "999999999" },
    { LISTEN_PID: "7", LISTEN_FDS: "2", LISTEN_FDNAMES: "web" },
  ])("refuses %j", (environment) => {
    expect(() => inheritedSockets(environment, 7)).toThrow(StartError);
  });

  it("descriptors that are no sockets are refused by number", async () => {
    expect(await refusal({ fd: 9999 })).toMatchObject({
      reason: "system-error",
      message: expect.stringContaining("file descriptor 9999"),
    });
    expect(await refusal({ fd: -1 })).toBeInstanceOf(UsageError);
    expect(await refusal({ systemd: true })).toMatchObject({ socketReason: "enoent" });
    expect(await refusal({ systemd: "web" })).toMatchObject({ message: expect.stringContaining('"web"') });
  });

  it.runIf(process.platform === "linux")(
    "a process started with sockets serves them by number and name",
    async () => {
      const path = join(directory, "inherited");
      const [tcp, unix] = [createServer(), createServer()];
      await Promise.all([
        once(tcp.listen(0, "127.0.0.1"), "listening"),
        once(unix.listen(path), "listening"),
      ]);
      const { port } = tcp.address() as { port: number };
      const child = spawn(process.execPath, ["--input-type=module", "-e", CHILD, await builtSources()], {
        stdio: [
          "ignore",
          "pipe",
          "inherit",
          descriptorOf(inodeOfPort(port)),
          descriptorOf(inodeOfPath(path)),
        ],
        env: { ...process.env, LISTEN_FDS: "2", LISTEN_FDNAMES: "web:local" },
      });
      try {
        const [line] = await once(child.stdout!.setEncoding("utf8"), "data");
        expect(JSON.parse(line)).toEqual([
          { type: "tcp", ipAddress: ipv4(127, 0, 0, 1), port },
          { type: "unix", path },
        ]);
        // From here on the child alone accepts; closing removes the file, so it is put back.
        await link(path, `${path}.kept`);
        tcp.close();
        unix.close();
        await rename(`${path}.kept`, path);
        expect(await textFrom(connect(port, "127.0.0.1"))).toBe("from web");
        expect(await textFrom(connect(path))).toBe("from 4");
      } finally {
        child.kill();
      }
    },
  );
});

const CHILD = `
  const { openListener } = await import(process.argv[1] + "/transport/transport.js");
  process.env.LISTEN_PID = String(process.pid);
  const greet = (text) => ({ onConnection: (socket) => socket.end(text), onError: console.error });
  const web = await openListener({ systemd: "web" }, greet("from web"));
  const local = await openListener({ fd: 4 }, greet("from 4"));
  console.log(JSON.stringify([web.address, local.address]));
`;

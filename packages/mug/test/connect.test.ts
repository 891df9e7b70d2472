import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import * as mug from "../src/index.ts";
import { openBlackHole } from "./black-hole.ts";
import { serve, serveEcho, type TestServer } from "./servers.ts";

async function failure(promise: Promise<unknown>): Promise<mug.ConnectError> {
  const error = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(mug.ConnectError);
  return error as mug.ConnectError;
}

/** A port on which nobody listens. */
async function deadPort(): Promise<number> {
  await using server = await serve();
  return server.port;
}

/** A resolver that knows these addresses only; the promise form can also never answer. */
function resolver(
  known: { 4?: readonly string[] | Promise<never>; 6?: readonly string[] | Promise<never> },
  asked: number[] = [],
): mug.Lookup {
  return async (_host, family) => {
    asked.push(family);
    return (await known[family]) ?? [];
  };
}

const NEVER = new Promise<never>(() => {});

describe("one host", () => {
  let server: TestServer;
  beforeEach(async () => {
    server = await serveEcho();
  });
  afterEach(() => server[Symbol.asyncDispose]());

  test("both forms connect, and tell both ends", async () => {
    await using built = await mug.new("127.0.0.1", { port: server.port }).timeout(500).connect();
    await using called = await mug.connect({ host: "127.0.0.1", port: server.port, timeout: 500 });
    for (const socket of [built, called]) {
      expect(socket.peername()).toEqual({ family: "ipv4", address: "127.0.0.1", port: server.port });
      expect(socket.sockname()).toMatchObject({ family: "ipv4", address: "127.0.0.1" });
    }
    expect(called.encrypted).toBe(false);
    expect(called.alpnProtocol).toBeUndefined();
    expect(called.tlsVersion).toBeUndefined();
    expect(called.peerCertificate()).toBeUndefined();
  });

  test("counts bytes", async () => {
    await using socket = await mug.connect({ host: "127.0.0.1", port: server.port });
    await socket.send("hello");
    await socket.receiveExact(5, { timeout: 2000 });
    expect([socket.bytesWritten, socket.bytesRead]).toEqual([5, 5]);
  });

  test("from a local address and port", async () => {
    const port = await deadPort();
    await using socket = await mug
      .new("127.0.0.1", { port: server.port })
      .localAddress("127.0.0.1", port)
      .connect();
    expect(socket.sockname()).toEqual({ family: "ipv4", address: "127.0.0.1", port });
  });

  test("a local address of somebody else is eaddrnotavail", async () => {
    const connection = mug.connect({ host: "127.0.0.1", port: server.port, localAddress: "192.0.2.1" });
    expect((await failure(connection)).ipv4?.code).toBe("eaddrnotavail");
  });

  test("a refused connection says whom and why", async () => {
    const port = await deadPort();
    const error = await failure(mug.connect({ host: "127.0.0.1", port }));
    expect(error).toMatchObject({ family: "ipv4", code: "econnrefused", ipv6: undefined });
    expect(error.ipv4?.code).toBe("econnrefused");
    expect(error.attempts).toMatchObject([{ address: "127.0.0.1", family: "ipv4" }]);
    expect(error.message).toContain(`could not connect to 127.0.0.1:${port} (ipv4: Connection refused`);
  });

  test("over wraps what another accepted", async () => {
    await using client = await mug.connect({ host: "127.0.0.1", port: server.port });
    const other = await serve();
    await using own = await mug.connect({ host: "127.0.0.1", port: other.port });
    const accepted = mug.over(await other.next(), { highWaterMark: 10 });
    await accepted.send("hello");
    expect(String(await own.receive({ timeout: 2000 }))).toBe("hello");
    // Its FIN does not end what the wrapped side may still say.
    await own.halfClose();
    expect(await accepted.receiveToEnd({ timeout: 2000 })).toHaveLength(0);
    await accepted.send("still here");
    expect(String(await own.receive({ timeout: 2000 }))).toBe("still here");
    const stream = other.sockets[0]!;
    await accepted.close();
    expect(() => mug.over(stream)).toThrow(mug.UsageError);
    await other[Symbol.asyncDispose]();
    await client.close();
  });
});

describe("families, one after the other", () => {
  let server: TestServer;
  beforeEach(async () => {
    server = await serve();
  });
  afterEach(() => server[Symbol.asyncDispose]());

  const connectBy = (preference: mug.IpVersionPreference, lookup: mug.Lookup, timeout = 2000) =>
    mug.connect({ host: "name.test", port: server.port, ipVersionPreference: preference, lookup, timeout });

  test.each([
    ["ipv4-only", [4]],
    ["ipv4-preferred", [4, 6]],
    ["ipv6-only", [6]],
    ["ipv6-preferred", [6, 4]],
  ] as const)("%s asks for %j", async (preference, expected) => {
    const asked: number[] = [];
    const error = await failure(connectBy(preference, resolver({}, asked)));
    expect(asked).toEqual(expected);
    expect(error.code).toBe("nxdomain");
  });

  test("the second family is not asked when the first connects", async () => {
    const asked: number[] = [];
    await using socket = await connectBy("ipv4-preferred", resolver({ 4: ["127.0.0.1"] }, asked));
    expect(asked).toEqual([4]);
    expect(socket.peername()).toMatchObject({ family: "ipv4" });
  });

  test("the second family is tried when the first fails, with its own whole timeout", async () => {
    const lookup = resolver({ 6: NEVER, 4: ["127.0.0.1"] });
    await using socket = await connectBy("ipv6-preferred", lookup, 300);
    expect(socket.peername()).toMatchObject({ family: "ipv4" });
  });

  test("each family keeps its own cause", async () => {
    const port = await deadPort();
    const lookup = resolver({ 6: NEVER, 4: ["127.0.0.1"] });
    const error = await failure(mug.connect({ host: "name.test", port, lookup, timeout: 30 }));
    expect(error.family).toBe("both");
    expect(error.ipv6).toMatchObject({ code: "timeout", timeoutMs: 30 });
    expect(error.ipv4).toMatchObject({ code: "econnrefused" });
    expect(error.code).toBe("econnrefused");
    expect(error.cause).toBe(error.ipv4);
  });

  test("within a family the addresses are tried in order", async () => {
    const lookup = resolver({ 4: ["127.0.0.2", "127.0.0.3", "127.0.0.1"] });
    await using socket = await connectBy("ipv4-only", lookup);
    expect(socket.peername()).toMatchObject({ address: "127.0.0.1" });
    const port = await deadPort();
    const error = await failure(
      mug.connect({ host: "name.test", port, ipVersionPreference: "ipv4-only", lookup }),
    );
    expect(error.attempts.map(({ address }) => address)).toEqual(["127.0.0.2", "127.0.0.3", "127.0.0.1"]);
  });

  test("a resolver that fails is nxdomain, with its error as cause", async () => {
    const broken = new Error("no resolver today");
    const error = await failure(connectBy("ipv4-only", () => Promise.reject(broken)));
    expect(error.ipv4).toMatchObject({ code: "nxdomain", cause: broken });
  });

  test("a resolver that gives a name is not trusted to mean an address", async () => {
    const error = await failure(connectBy("ipv4-only", async () => ["other.test"]));
    expect(error.message).toContain("lookup returned other.test, which is not an ipv4 address");
  });

  test("a signal ends it at once, whatever family it is at", async () => {
    const controller = new AbortController();
    const connection = mug
      .new("name.test", { port: 1 })
      .lookup(resolver({ 6: NEVER }))
      .signal(controller.signal)
      .connect();
    controller.abort("changed my mind");
    await expect(connection).rejects.toMatchObject({ code: "aborted", cause: "changed my mind" });
    await expect(
      mug.connect({ host: "127.0.0.1", port: server.port, signal: controller.signal }),
    ).rejects.toMatchObject({ code: "aborted" });
    expect(server.sockets).toHaveLength(0);
  });
});

describe("an address that never answers", () => {
  test("meets the timeout, and a signal", async () => {
    await using hole = await openBlackHole();
    const error = await failure(mug.connect({ host: hole.host, port: hole.port, timeout: 30 }));
    expect(error.ipv4).toMatchObject({ code: "timeout", deadline: "connect", timeoutMs: 30 });
    const controller = new AbortController();
    const connecting = mug.connect({
      host: hole.host,
      port: hole.port,
      timeout: 5000,
      signal: controller.signal,
    });
    setImmediate(() => controller.abort());
    await expect(connecting).rejects.toMatchObject({ code: "aborted" });
  });

  test("does not hold up the race: the next starts after the head start, and wins", async () => {
    await using hole = await openBlackHole();
    await using live = await serve(() => {}, { host: "127.0.0.2", port: hole.port });
    const lookup = resolver({ 4: [hole.host, "127.0.0.2"], 6: [] });
    const race = { host: "name.test", port: live.port, lookup, happyEyeballs: true, timeout: 5000 };
    await using socket = await mug.connect({ ...race, attemptDelayMs: 20 });
    expect(socket.peername()).toMatchObject({ address: "127.0.0.2" });
    // One after the other it holds up everything until the timeout.
    const patient = { ...race, happyEyeballs: false, timeout: 40, ipVersionPreference: "ipv4-only" } as const;
    expect((await failure(mug.connect(patient))).attempts).toHaveLength(1);
  });

  test("an address that resolves late still joins the race", async () => {
    await using hole = await openBlackHole();
    await using live = await serve(() => {}, { host: "127.0.0.2", port: hole.port });
    const lookup: mug.Lookup = async (_host, family) => {
      if (family === 6) return [];
      // Long after the head start of what the preferred family brought.
      await new Promise((resolve) => setTimeout(resolve, 60));
      return ["127.0.0.2"];
    };
    const preferred: mug.Lookup = async (host, family) =>
      family === 6 ? ["::ffff:127.0.0.1"] : lookup(host, family);
    const race = {
      host: "name.test",
      port: live.port,
      lookup: preferred,
      happyEyeballs: true,
      attemptDelayMs: 10,
    };
    await using socket = await mug.connect({ ...race, timeout: 5000 });
    expect(socket.peername()).toMatchObject({ address: "127.0.0.2" });
  });
});

describe("happy eyeballs", () => {
  let server: TestServer;
  beforeEach(async () => {
    server = await serve();
  });
  afterEach(() => server[Symbol.asyncDispose]());

  const race = (lookup: mug.Lookup, change: Partial<mug.ConnectOptions> = {}) =>
    mug.connect({
      host: "name.test",
      port: server.port,
      happyEyeballs: true,
      lookup,
      timeout: 5000,
      ...change,
    });

  test("asks for both families at once, preferred first", async () => {
    const asked: number[] = [];
    await failure(race(resolver({}, asked)));
    expect(asked).toEqual([6, 4]);
  });

  test("a family that never resolves does not hold up the other", async () => {
    await using socket = await race(resolver({ 6: NEVER, 4: ["127.0.0.1"] }));
    expect(socket.peername()).toMatchObject({ address: "127.0.0.1" });
  });

  test("the preferred family resolving alone starts at once", async () => {
    await using socket = await race(resolver({ 4: ["127.0.0.1"], 6: NEVER }), {
      ipVersionPreference: "ipv4-preferred",
    });
    expect(socket.peername()).toMatchObject({ address: "127.0.0.1" });
  });

  test("an address that refuses gives way to the next at once", async () => {
    const lookup = resolver({ 4: ["127.0.0.2", "127.0.0.3", "127.0.0.1"], 6: [] });
    await using socket = await race(lookup, { attemptDelayMs: 2000 });
    expect(socket.peername()).toMatchObject({ address: "127.0.0.1" });
  });

  test("when all refuse, every family has its cause and every address its attempt", async () => {
    const port = await deadPort();
    const lookup = resolver({ 4: ["127.0.0.1", "127.0.0.2"], 6: [] });
    const error = await failure(race(lookup, { port }));
    expect(error.family).toBe("both");
    expect(error.ipv4?.code).toBe("econnrefused");
    expect(error.ipv6?.code).toBe("nxdomain");
    expect(error.attempts.map(({ address }) => address)).toEqual(["127.0.0.1", "127.0.0.2"]);
  });

  test("one timeout for everything", async () => {
    const error = await failure(race(resolver({ 4: NEVER, 6: NEVER }), { timeout: 30 }));
    expect(error.family).toBe("both");
    expect([error.ipv4?.code, error.ipv6?.code]).toEqual(["timeout", "timeout"]);
  });

  test("a signal ends the race", async () => {
    const controller = new AbortController();
    const racing = race(resolver({ 4: NEVER, 6: NEVER }), { signal: controller.signal });
    controller.abort();
    await expect(racing).rejects.toMatchObject({ code: "aborted" });
  });

  test("only one connection is left over", async () => {
    // Both are the same server, so the loser may have been accepted before it was given up.
    const lookup = resolver({ 4: ["127.0.0.1", "127.0.0.1", "127.0.0.1"], 6: [] });
    await using socket = await race(lookup, { attemptDelayMs: 10 });
    await socket.send("the one");
    const stream = await Promise.race([server.next(), server.next()].map(async (next) => next));
    stream.resume();
    expect(server.sockets.filter((accepted) => !accepted.destroyed).length).toBeLessThanOrEqual(1);
  });
});

describe("a unix path", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "mug-path-"));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  test("connects, in both forms", async () => {
    const path = join(directory, "socket");
    await using _server = await serveEcho({ path });
    await using one = await mug.unix(path).connect();
    await using two = await mug.connect({ path });
    for (const socket of [one, two]) {
      await socket.send("hello");
      expect(String(await socket.receive({ timeout: 2000 }))).toBe("hello");
      expect(socket.peername()).toEqual({ family: "unix", path });
      expect(socket.sockname()).toEqual({ family: "unix", path: "" });
    }
  });

  test("nobody there is enoent, a plain file econnrefused", async () => {
    const missing = await failure(mug.connect({ path: join(directory, "none") }));
    expect(missing).toMatchObject({ family: "unix", code: "enoent", attempts: [] });
    writeFileSync(join(directory, "file"), "");
    expect(await failure(mug.connect({ path: join(directory, "file") }))).toMatchObject({
      code: "econnrefused",
    });
  });
});

import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { UsageError } from "../../src/index.ts";
import { connect, ExpectationError, forEverySplit, type Peer } from "../../src/testing/index.ts";
import { serve, serveEcho, type TestServer } from "../servers.ts";

let server: TestServer;
let peer: Peer;

beforeEach(async () => {
  server = await serve();
  peer = await connect({ host: "127.0.0.1", port: server.port, expectTimeoutMs: 1000 });
});

afterEach(async () => {
  await peer.close();
  await server[Symbol.asyncDispose]();
});

async function failure(promise: Promise<unknown>): Promise<ExpectationError> {
  const error = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(ExpectationError);
  return error as ExpectationError;
}

describe("expect", () => {
  test("consumes just what it expects, over packet borders", async () => {
    const socket = await server.next();
    socket.write("HEL");
    setImmediate(() => socket.write("LO world"));
    await peer.expect("HELLO");
    await peer.expect(Buffer.from(" world"));
  });

  test("fails at the first wrong byte, without waiting for the rest, and loses nothing", async () => {
    (await server.next()).write("HTTP/1.0 ");
    const error = await failure(peer.expect("HTTP/1.1 200 OK\r\n"));
    expect(error.message).toContain('expected "HTTP/1.1 200 OK\\r\\n", but byte 7 differs');
    expect(error.expected).toBe("HTTP/1.1 200 OK\r\n");
    expect(error.actual).toBe("HTTP/1.0 ");
    await peer.expect("HTTP/1.0 ");
  });

  test("says how far it came when time is up", async () => {
    (await server.next()).write("HEL");
    const error = await failure(peer.expect("HELLO", { timeout: 30 }));
    expect(error.message).toContain('got "HEL" within 30 ms');
    await peer.expect("HEL");
  });

  test("says so when the peer closes instead", async () => {
    (await server.next()).end("HEL");
    const error = await failure(peer.expect("HELLO"));
    expect(error.message).toContain('got "HEL", then: receive: Connection closed');
  });
});

describe("expectMatch", () => {
  test("gives the match and leaves what is behind it", async () => {
    const socket = await server.next();
    socket.write("HTTP/1.1 2");
    setImmediate(() => socket.write("04 No Content\r\nrest"));
    const match = await peer.expectMatch(/^HTTP\/1\.1 (\d{3}) (.*)\r\n/g);
    expect(match[1]).toBe("204");
    await peer.expect("rest");
  });

  test("one character is one byte, whatever the bytes", async () => {
    (await server.next()).write(Buffer.from("é€\nrest"));
    await peer.expectMatch(/^.*\n/);
    await peer.expect("rest");
  });

  test("gives up at its limit and at its deadline, and loses nothing", async () => {
    (await server.next()).write("abcdef");
    expect((await failure(peer.expectMatch(/x/, { max: 3 }))).message).toContain("within 3 bytes");
    expect((await failure(peer.expectMatch(/x/, { timeout: 20 }))).actual).toBe("abcdef");
    await peer.expect("abcdef");
  });
});

describe("expectSilence", () => {
  test("holds while nothing comes", async () => {
    await peer.expectSilence(20);
  });

  test("is broken by bytes, which stay", async () => {
    (await server.next()).write("boo");
    expect((await failure(peer.expectSilence(1000))).message).toContain('got "boo"');
    await peer.expect("boo");
  });

  test("is broken by a close", async () => {
    (await server.next()).end();
    expect((await failure(peer.expectSilence(1000))).message).toContain("Connection closed");
  });
});

describe("expectClose", () => {
  test("tells FIN from RST", async () => {
    (await server.next()).end();
    expect(await peer.expectClose({ kind: "fin" })).toBe("fin");

    const second = await connect({ host: "127.0.0.1", port: server.port });
    (await server.next()).resetAndDestroy();
    expect(await second.expectClose({ kind: "reset" })).toBe("reset");
    await second.close();
  });

  test("the wrong kind is a failure", async () => {
    (await server.next()).end();
    expect((await failure(peer.expectClose({ kind: "reset" }))).message).toContain(
      "by reset, but it closed by fin",
    );
  });

  test("bytes in front are a failure, unless discarded", async () => {
    (await server.next()).end("bye");
    expect((await failure(peer.expectClose())).message).toContain('got "bye"');
    expect(await peer.expectClose({ discard: true })).toBe("fin");
  });

  test("an open connection is a failure", async () => {
    expect((await failure(peer.expectClose({ timeout: 20 }))).message).toContain("stayed open for 20 ms");
  });
});

describe("sending", () => {
  /** The packets that the server reads. */
  async function packetsOf(act: () => Promise<void>): Promise<string[]> {
    const socket = await server.next();
    const packets: string[] = [];
    socket.on("data", (data) => packets.push(String(data)));
    const ended = once(socket, "close");
    await act();
    await peer.close();
    socket.end();
    await ended;
    return packets;
  }

  test("pieces arrive one by one", async () => {
    expect(await packetsOf(() => peer.sendSplit("abcdef", [1, 4]))).toEqual(["a", "bcd", "ef"]);
  });

  test("dribbling arrives byte by byte", async () => {
    expect(await packetsOf(() => peer.dribble("abcd"))).toEqual(["a", "b", "c", "d"]);
  });

  test("an array arrives at once", async () => {
    expect(await packetsOf(() => peer.send(["ab", Buffer.from("cd")]))).toEqual(["abcd"]);
  });

  test.each([
    ["half-close", "end"],
    ["close", "end"],
    ["reset", "ECONNRESET"],
  ] as const)("cutShort by %s", async (how, expected) => {
    const socket = await server.next();
    const seen: string[] = [];
    socket.on("data", (data) => seen.push(String(data)));
    const outcome = new Promise<string>((resolve) => {
      socket.once("end", () => resolve("end"));
      socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? ""));
    });
    await peer.cutShort("Hello, world", 5, how);
    expect(await outcome).toBe(expected);
    expect(seen.join("")).toBe("Hello");
  });

  test("cutShort by stalling keeps the connection", async () => {
    const socket = await server.next();
    await peer.cutShort("Hello, world", 5, "stall");
    const [data] = await once(socket, "data");
    expect(String(data)).toBe("Hello");
    expect(() => peer.transcript.toString()).not.toThrow();
    expect(() => peer.cutShort("abc", 4, "close")).toThrow(UsageError);
  });

  test("sending into a closed connection shows the transcript", async () => {
    await peer.send("first");
    await peer.close();
    const error = await failure(peer.send("second"));
    expect(error.message).toContain("send failed with closed");
    expect(error.message).toContain('→  "first"');
  });
});

test("stall waits for a promise", async () => {
  let settled = false;
  const gate = new Promise<void>((resolve) =>
    setImmediate(() => {
      settled = true;
      resolve();
    }),
  );
  await peer.stall(gate);
  expect(settled).toBe(true);
});

test("the transcript tells direction, time and bytes", async () => {
  const socket = await server.next();
  await peer.send('GET "/" \\\r\n');
  const answered = once(socket, "data");
  await answered;
  socket.end(Buffer.of(0x00, 0xff, 0x09));
  await peer.expect(Buffer.of(0x00, 0xff, 0x09));
  peer.note("so far so good");
  await peer.expectClose();
  const lines = peer.transcript.toString().split("\n");
  expect(lines[0]).toMatch(/^transcript of 127\.0\.0\.1:\d+/);
  const shapes = lines.slice(1).map((line) => line.replace(/^ +\d+\.\d {2}/, ""));
  expect(shapes).toEqual([
    "·  connected",
    '→  "GET \\"/\\" \\\\\\r\\n"',
    '←  "\\x00\\xff\\t"',
    "#  so far so good",
    "·  the peer sent FIN",
  ]);
});

test("the transcript is bounded: long chunks and long conversations are cut", async () => {
  const socket = await server.next();
  socket.resume();
  await peer.send("x".repeat(100_000));
  for (let count = 0; count < 1100; count++) peer.note(`note ${count}`);
  const text = peer.transcript.toString();
  expect(text).toContain("… 102 earlier entries");
  expect(text.length).toBeLessThan(100_000);
  expect(peer.transcript.entries).toHaveLength(1000);
});

test("a server of lines holds under every split of a request", async () => {
  await using echo = await serveEcho();
  await forEverySplit("PING one\r\nPING two\r\n", async (pieces) => {
    await using own = await connect({ host: "127.0.0.1", port: echo.port });
    await own.sendPieces(pieces);
    await own.expect("PING one\r\nPING two\r\n");
    await own.halfClose();
    await own.expectClose({ kind: "fin" });
  });
});

/** The scenarios of the library's Gleam ancestor. */

import { afterAll, beforeAll, expect, test } from "vitest";
import * as mug from "../src/index.ts";
import { serveEcho, type TestServer } from "./servers.ts";

let server: TestServer;

beforeAll(async () => {
  server = await serveEcho();
});

afterAll(() => server[Symbol.asyncDispose]());

const connect = () => mug.new("localhost", { port: server.port }).timeout(500).connect();

test.each([
  [undefined, "both"],
  ["ipv4-only", "ipv4"],
  ["ipv6-only", "ipv6"],
  ["ipv4-preferred", "both"],
  ["ipv6-preferred", "both"],
] as const)("an unknown host is nxdomain for every family tried (%s)", async (preference, family) => {
  const connection = mug.connect({
    host: "invalid.example.com",
    port: server.port,
    timeout: 5000,
    ...(preference === undefined ? {} : { ipVersionPreference: preference }),
  });
  const error = await connection.then(
    () => undefined,
    (error: unknown) => error as mug.ConnectError,
  );
  expect(error).toBeInstanceOf(mug.ConnectError);
  expect(error?.family).toBe(family);
  expect(error?.ipv4?.code).toBe(family === "ipv6" ? undefined : "nxdomain");
  expect(error?.ipv6?.code).toBe(family === "ipv4" ? undefined : "nxdomain");
});

test("hello world", async () => {
  const socket = await connect();
  await expect(socket.receive({ timeout: 0 })).rejects.toMatchObject({ code: "timeout" });

  await socket.send(Buffer.from("Hello, Joe!\n"));
  await socket.send(Buffer.from("Hello, Mike!\n"));
  await socket.send(["System still ", "working?\n"]);
  await socket.send("Seems to be!");
  const whole = "Hello, Joe!\nHello, Mike!\nSystem still working?\nSeems to be!";
  expect((await socket.receiveExact(whole.length, { timeout: 1000 })).toString()).toBe(whole);

  await socket.shutdown();
  await expect(socket.send("One more thing!")).rejects.toMatchObject({ code: "closed" });
  await expect(socket.receive({ timeout: 0 })).rejects.toMatchObject({ code: "closed" });
});

test("active mode: one message, then passive again", async () => {
  const socket = await connect();
  const messages: mug.TcpMessage[] = [];
  socket.receiveNextPacketAsMessage();
  await expect(socket.receive({ timeout: 0 })).rejects.toMatchObject({ code: "einval" });

  await socket.send("Hello, Joe!\n");
  const first = await new Promise<mug.TcpMessage>((resolve) => {
    socket.subscribe((message) => {
      messages.push(message);
      resolve(message);
    });
  });
  expect(first).toEqual({ type: "packet", socket, data: Buffer.from("Hello, Joe!\n") });

  await socket.send("Hello, Mike!\n");
  expect((await socket.receive({ timeout: 1000 })).toString()).toBe("Hello, Mike!\n");
  await expect(socket.receive({ timeout: 0 })).rejects.toMatchObject({ code: "timeout" });
  expect(messages).toHaveLength(1);
  await socket.close();
});

test("active mode: the peer's close is a message", async () => {
  const socket = await connect();
  socket.receiveNextPacketAsMessage();
  await socket.send(Buffer.of(0));
  const message = await new Promise((resolve) => socket.subscribe(resolve));
  expect(message).toEqual({ type: "socket-closed", socket });
  await socket.close();
});

test("exact bytes", async () => {
  const socket = await connect();
  await socket.send("Hello");
  await socket.send("World");
  expect((await socket.receiveExact(5, { timeout: 1000 })).toString()).toBe("Hello");
  expect((await socket.receiveExact(5, { timeout: 1000 })).toString()).toBe("World");
  await socket.shutdown();
  await expect(socket.receiveExact(5, { timeout: 100 })).rejects.toMatchObject({ code: "closed" });
});

test("exact bytes: not enough of them is a timeout that loses none", async () => {
  const socket = await connect();
  await socket.send("Hello");
  await socket.send("Worl");
  expect((await socket.receiveExact(5, { timeout: 1000 })).toString()).toBe("Hello");
  await expect(socket.receiveExact(5, { timeout: 30 })).rejects.toMatchObject({ code: "timeout" });
  await socket.send("d");
  expect((await socket.receiveExact(5, { timeout: 1000 })).toString()).toBe("World");
  await socket.shutdown();
  await expect(socket.receiveExact(5, { timeout: 100 })).rejects.toMatchObject({ code: "closed" });
});

import type { Socket as NetSocket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import * as mug from "../src/index.ts";
import { serve, type TestServer } from "./servers.ts";

let server: TestServer;
let socket: mug.Socket;
let peer: NetSocket;
/** What the subscriber heard, in short. */
let heard: string[];

beforeEach(async () => {
  server = await serve();
  socket = await mug.connect({ host: "127.0.0.1", port: server.port });
  peer = await server.next();
  heard = [];
});

afterEach(async () => {
  await socket.close({ timeout: 0 });
  await server[Symbol.asyncDispose]();
});

function short(message: mug.TcpMessage): string {
  if (message.type === "packet") return String(message.data);
  return message.type === "tcp-error" ? `error ${message.error.code}` : "closed";
}

const listen = (): (() => void) => socket.subscribe((message) => heard.push(short(message)));

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

test("a passive socket says nothing; what came can be received", async () => {
  listen();
  peer.write("one");
  await until(() => socket.bytesAvailable === 3);
  expect(heard).toEqual([]);
  expect(String(await socket.receive())).toBe("one");
});

test("what came before it was armed is the first message, and not inside the call that arms", async () => {
  listen();
  peer.write("one");
  await until(() => socket.bytesAvailable === 3);
  socket.receiveNextPacketAsMessage();
  expect(heard).toEqual([]);
  await until(() => heard.length > 0);
  expect(heard).toEqual(["one"]);
  expect(socket.activeState).toBe("passive");
});

test("a packet for an armed socket waits for its first subscriber", async () => {
  socket.receiveNextPacketAsMessage();
  peer.write("one");
  await until(() => socket.bytesAvailable === 3);
  listen();
  await until(() => heard.length > 0);
  expect(heard).toEqual(["one"]);
});

test("a receiver that arms again inside its call gets every packet, one by one", async () => {
  socket.subscribe((message) => {
    heard.push(short(message));
    if (message.type === "packet") socket.receiveNextPacketAsMessage();
  });
  socket.receiveNextPacketAsMessage();
  peer.write("one");
  await until(() => heard.length === 1);
  peer.write("two");
  await until(() => heard.length === 2);
  peer.end();
  await until(() => heard.length === 3);
  expect(heard).toEqual(["one", "two", "closed"]);
});

test("every packet, until stopped", async () => {
  listen();
  socket.receiveAllPacketsAsMessages();
  peer.write("one");
  await until(() => heard.length === 1);
  peer.write("two");
  await until(() => heard.length === 2);
  socket.stopReceivingPacketsAsMessages();
  const pending = socket.receive({ timeout: 2000 });
  peer.write("three");
  expect(String(await pending)).toBe("three");
  expect(heard).toEqual(["one", "two"]);
});

test("a reset is an error, then closed", async () => {
  listen();
  socket.receiveNextPacketAsMessage();
  peer.resetAndDestroy();
  await until(() => heard.length === 2);
  expect(heard).toEqual(["error econnreset", "closed"]);
});

test("arming a socket that has ended says so", async () => {
  peer.end();
  await expect(socket.receive()).rejects.toMatchObject({ code: "closed" });
  listen();
  socket.receiveNextPacketAsMessage();
  await until(() => heard.length === 1);
  expect(heard).toEqual(["closed"]);
  await expect(socket.receive()).rejects.toMatchObject({ code: "closed" });
});

test("all subscribers hear it, none after unsubscribing", async () => {
  const other: string[] = [];
  listen();
  const unsubscribe = socket.subscribe((message) => other.push(short(message)));
  socket.receiveAllPacketsAsMessages();
  peer.write("one");
  await until(() => heard.length === 1);
  unsubscribe();
  peer.write("two");
  await until(() => heard.length === 2);
  expect(other).toEqual(["one"]);
});

test("receives of every kind are einval while armed; arming while one waits is a mistake", async () => {
  socket.receiveNextPacketAsMessage();
  for (const receive of [
    () => socket.receive(),
    () => socket.receiveExact(1),
    () => socket.receiveUntil("\n"),
    () => socket.receiveLine(),
    () => socket.receiveToEnd(),
  ]) {
    await expect(receive()).rejects.toMatchObject({ code: "einval" });
  }
  socket.stopReceivingPacketsAsMessages();
  const pending = socket.receive();
  expect(() => socket.receiveNextPacketAsMessage()).toThrow(mug.UsageError);
  peer.write("x");
  await pending;
});

test("the async iterator arms for one message at a time and ends behind closed", async () => {
  const iterated: string[] = [];
  peer.write("one");
  for await (const message of mug.tcpMessages(socket)) {
    expect(socket.activeState).toBe("passive");
    iterated.push(short(message));
    if (message.type === "packet") peer.end("two".slice(iterated.length === 1 ? 0 : 3));
  }
  expect(iterated).toEqual(["one", "two", "closed"]);
});

test("leaving the iterator leaves the socket passive", async () => {
  const messages = mug.tcpMessages(socket)[Symbol.asyncIterator]();
  const first = messages.next();
  expect(socket.activeState).toBe("once");
  peer.write("one");
  expect(await first).toMatchObject({ value: { type: "packet" } });
  const second = messages.next();
  await messages.return?.();
  expect(await second).toEqual({ value: undefined, done: true });
  expect(await messages.next()).toEqual({ value: undefined, done: true });
  const pending = socket.receive({ timeout: 2000 });
  peer.write("two");
  expect(String(await pending)).toBe("two");
});

test("two packets asked for at once come in order", async () => {
  const messages = mug.tcpMessages(socket)[Symbol.asyncIterator]();
  const both = Promise.all([messages.next(), messages.next()]);
  peer.write("one");
  await until(() => socket.bytesRead === 3);
  peer.write("two");
  expect((await both).map(({ value }) => short(value))).toEqual(["one", "two"]);
});

test("selectTcpMessages adds a socket to any selector that maps sources", async () => {
  /** As small as a selector can be. */
  const selector = {
    selectMap<T>(source: mug.MessageSource<T>, map: (message: T) => string) {
      return {
        subscribe: (receiver: (text: string) => void) =>
          source.subscribe((message) => receiver(map(message))),
      };
    },
  };
  const selected = mug.selectTcpMessages(selector, socket, short);
  selected.subscribe((text) => heard.push(text));
  socket.receiveNextPacketAsMessage();
  peer.write("one");
  await until(() => heard.length === 1);
  expect(heard).toEqual(["one"]);
});
